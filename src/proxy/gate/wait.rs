//! Waiting for people, and keeping the client there by what it can bear.
//!
//! | what the client offers | how it is kept |
//! |---|---|
//! | a progress token | progress at least every ten seconds, until the deadline |
//! | nothing | its own bound (50 s, or as configured), then "make the same call again" |
//!
//! The comments that keep a stream of events open are the HTTP door's.

use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};

use super::Reply;
use crate::hold::{Ending, Hold, Standing};
use crate::proxy::answer::{self, words};

/// Between notifications of progress while nothing changes. The shortest idle
/// time-out that clients are known to have is a minute.
const PROGRESS_EVERY: Duration = Duration::from_secs(10);

/// How a wait ended.
#[derive(Debug)]
pub enum Waited {
    /// The request did.
    Ended(Ending),
    /// The client would not wait any longer.
    Bounded,
    /// The client is gone.
    Gone,
}

/// Notifications of progress to one token.
#[derive(Debug)]
pub struct Progress {
    /// JSON text.
    token: String,
    /// What the policy says of such calls, for the agent.
    told: Option<String>,
    /// The last number that was sent: each has to be higher than the one before.
    pub count: u64,
}

impl Progress {
    /// To this token; nothing was sent yet.
    pub fn to(token: &str, told: Option<&str>) -> Progress {
        Progress { token: token.to_owned(), told: told.map(str::to_owned), count: 0 }
    }

    async fn tell(&mut self, reply: &Reply, standing: &Standing) {
        let said = match standing {
            Standing::Asking => words::ASKING.to_owned(),
            Standing::Held(held) => words::progress(held, false, self.told.as_deref()),
            Standing::Away(held) => words::progress(held, true, self.told.as_deref()),
        };
        self.count += 1;
        reply.send(answer::progress(&self.token, self.count, &said)).await;
    }
}

/// Waits until the request ends, the client is gone, or it would not wait longer.
///
/// A client that is told of progress is told until the end; another only waits
/// for `bound`, if there is one. A wait that the door has ended counts as one
/// whose client is gone: the door has answered.
pub async fn wait(
    hold: &mut Hold,
    reply: &Reply,
    progress: Option<&mut Progress>,
    bound: Option<Duration>,
) -> Waited {
    let waited = wait_on(hold, reply, progress, bound).await;
    if reply.claim() { waited } else { Waited::Gone }
}

async fn wait_on(
    hold: &mut Hold,
    reply: &Reply,
    mut progress: Option<&mut Progress>,
    bound: Option<Duration>,
) -> Waited {
    let mut standing = hold.standing();
    let bound = bound.filter(|_| progress.is_none()).map(|bound| Instant::now() + bound);
    let ending = hold.wait();
    tokio::pin!(ending);
    let mut tick = interval(PROGRESS_EVERY);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    // The first is at once, when there is nothing to tell yet.
    tick.tick().await;
    loop {
        let changed = tokio::select! {
            biased;
            () = reply.gone() => return Waited::Gone,
            ending = &mut ending => return Waited::Ended(ending),
            () = at(bound) => return Waited::Bounded,
            changed = standing.changed() => changed.is_ok(),
            _ = tick.tick() => true,
        };
        if let Some(progress) = progress.as_deref_mut().filter(|_| changed) {
            let now = standing.borrow_and_update().clone();
            progress.tell(reply, &now).await;
            tick.reset();
        }
    }
}

async fn at(bound: Option<Instant>) {
    match bound {
        Some(bound) => sleep_until(bound).await,
        None => std::future::pending().await,
    }
}
