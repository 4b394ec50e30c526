//! Holding one call for a person at a terminal, or a script: what [`crate::hold`]
//! does, with a line that says what is waited for, and signals that withdraw.
//!
//! Must never: take `approved` for permission.

#[cfg(test)]
mod tests;

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::sleep;

use super::client::{Client, brief};
use super::errors::Failure;
use super::output::note;
use super::signals::Stop;
use super::waiting::Waiting;
use super::when;
use crate::call::digest::Digest;
use crate::call::model::Status;
use crate::client::worth_retrying;
use crate::hold::{self, Standing, Trouble};
use crate::proto;

/// How long a daemon that was never reached is looked for.
const FIRST_CONNECTION: Duration = Duration::from_secs(10);
/// Between attempts to reach it.
const PAUSE: Duration = Duration::from_millis(500);
/// How often the waiting line counts down.
const TICK: Duration = Duration::from_secs(1);
/// After which part of the time that people have it is news that nobody looked:
/// when the daemon knows whether anybody was reached.
const LATE: u32 = 5;
/// The contract's default, for a daemon that never told us its deadline.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(900);
/// Signals that come so soon after the first are the same request to stop: a
/// terminal tells a whole group, and a wrapper passes it on once more.
const SAME_MOMENT: Duration = Duration::from_secs(1);

/// One attempt at one call.
#[derive(Debug)]
pub struct Hold {
    client: Client,
    held: hold::Hold,
    line: Line,
}

/// How a held call ended.
#[derive(Debug)]
pub enum Ending {
    /// Approved: now the use can be taken. Not a permission.
    Approved,
    /// An operator said no.
    Denied,
    /// Nobody answered in time.
    Expired,
    /// Taken back, by a signal to this process or otherwise.
    Withdrawn,
    /// The daemon did not take it, or cannot be reached.
    Refused(Failure),
}

impl Hold {
    /// A new attempt, under a call id of its own.
    pub fn new(
        client: Client,
        call: proto::Call,
        digest: Digest,
        timeout: Option<Duration>,
    ) -> Self {
        let waiting = Waiting::new(&call.tool, &call.server);
        let patience = timeout.unwrap_or(DEFAULT_TIMEOUT);
        let held = hold::Hold::new(client.caller(), call, digest, timeout, patience);
        let line = Line { waiting, until: when::boot() + patience, late: None };
        Hold { client, held, line }
    }

    /// The newest answer; none until the daemon took the call.
    pub fn answer(&self) -> Option<&proto::ApprovalAnswer> {
        self.held.answer.as_ref()
    }

    /// The request's id, once the daemon told it.
    pub fn id(&self) -> Option<&str> {
        self.held.id()
    }

    /// Whether it was an earlier request's from the start.
    pub fn continued(&self) -> bool {
        self.held.continued && self.held.answer.is_some()
    }

    /// Asks, and waits until people have answered, time is up or a signal comes.
    pub async fn wait(&mut self, stop: &mut Stop) -> Ending {
        let ending = tokio::select! {
            biased;
            ending = self.until_it_ends() => ending,
            () = stop.asked() => Ending::Withdrawn,
        };
        self.line.waiting.clear();
        let open = self.answer().is_none_or(|a| a.status == Status::Pending.number());
        match ending {
            Ending::Withdrawn if open => self.withdraw("interrupted", stop).await,
            other => other,
        }
    }

    async fn until_it_ends(&mut self) -> Ending {
        if let Err(failure) = self.reach().await {
            return Ending::Refused(failure);
        }
        let standing = self.held.standing();
        match self.line.beside(standing, self.held.wait()).await {
            hold::Ending::Approved => Ending::Approved,
            hold::Ending::Denied => Ending::Denied,
            hold::Ending::Expired => Ending::Expired,
            hold::Ending::Withdrawn => Ending::Withdrawn,
            hold::Ending::Refused(Trouble::Away(status)) if self.answer().is_some() => {
                let failure = self.client.failure(status);
                let what = format!(
                    "its time is up, and the daemon cannot be asked how it ended: {}",
                    failure.what
                );
                Ending::Refused(Failure { what, ..failure })
            }
            hold::Ending::Refused(trouble) => Ending::Refused(self.failure(trouble)),
        }
    }

    fn failure(&self, trouble: Trouble) -> Failure {
        match trouble {
            Trouble::Away(status) | Trouble::Refused(status) => self.client.failure(status),
            Trouble::Strange(what) => Failure::unreachable(
                what,
                "Nothing was run. Check that HOLDPOINT_SERVER is a daemon of this version that you trust.",
            ),
        }
    }

    /// Tries for a while to reach a daemon that may be about to start. Asking it
    /// who we are tells a daemon from something else that listens there, and a
    /// token that is not valid, before anything is held.
    async fn reach(&mut self) -> Result<(), Failure> {
        let begun = when::boot();
        loop {
            let mut service = self.client.operator();
            let status = match service.who_am_i(brief(proto::WhoAmIRequest {})).await {
                Ok(_) => return Ok(()),
                Err(status) => status,
            };
            let too_long = when::boot() > begun + FIRST_CONNECTION;
            if too_long || !worth_retrying(&status) {
                return Err(self.client.failure(status));
            }
            if when::boot() > begun + TICK {
                self.line.waiting.away(None, None);
            }
            sleep(PAUSE).await;
        }
    }

    /// Takes the use. `Ok` is the permission to run the call now, once; it
    /// carries the length of the lease.
    pub async fn take(
        &mut self,
        expect_outcome: bool,
        stop: &mut Stop,
    ) -> Result<Duration, Ending> {
        let standing = self.held.standing();
        let within = self.line.left().max(FIRST_CONNECTION);
        let taking = self.line.beside(standing, self.held.take(expect_outcome, within));
        let taken = tokio::select! {
            taken = taking => taken,
            () = stop.asked() => return Err(self.withdraw("interrupted", stop).await),
        };
        taken.map_err(|trouble| Ending::Refused(self.failure(trouble)))
    }

    /// Keeps the lease of a use whose call runs, granted at `since` (on
    /// [`when::boot`]'s clock). Never returns: drop it when the call has ended.
    pub async fn keep_lease(&self, lease: Duration, since: Duration) {
        let lost = |status| {
            let why = self.client.failure(status).what;
            note(&format!("holdpoint: the daemon no longer follows this run: {why}"));
        };
        self.held.keep_lease(lease, since, lost).await;
    }

    /// Tells the daemon how the call ended, for at most `within`.
    pub async fn report(
        &self,
        outcome: proto::Outcome,
        detail: &str,
        within: Duration,
    ) -> Result<(), Failure> {
        let told = self.held.report(outcome, detail, within).await;
        told.map_err(|status| self.client.failure(status))
    }

    /// Takes the request back, so that nobody decides what nobody will run.
    pub async fn withdraw(&mut self, reason: &str, stop: &mut Stop) -> Ending {
        self.line.waiting.clear();
        let begun = when::boot();
        let insists = async {
            loop {
                stop.asked().await;
                if when::boot() > begun + SAME_MOMENT {
                    break;
                }
            }
        };
        let told = tokio::select! {
            biased;
            told = self.held.withdraw(reason) => told,
            () = insists => {
                return Ending::Refused(Failure::unreachable(
                    "interrupted before the withdrawal was confirmed",
                    "Nothing was run; check with: holdpoint mine",
                ));
            }
        };
        let (Err(status), Some(id)) = (told, self.id()) else {
            return Ending::Withdrawn;
        };
        let failure = self.client.failure(status);
        let what = format!("interrupted, but the request could not be withdrawn: {}", failure.what);
        let next = format!("Nothing was run. Withdraw it with: holdpoint withdraw {id}");
        Ending::Refused(Failure { what, next, ..failure })
    }
}

/// The line that says what is waited for.
#[derive(Debug)]
struct Line {
    waiting: Waiting,
    /// When the request expires, on [`when::boot`]'s clock.
    until: Duration,
    /// From when on it is news that nobody looked; none until the daemon held it.
    late: Option<Duration>,
}

impl Line {
    /// Keeps the line up while something is done.
    async fn beside<T>(
        &mut self,
        mut standing: watch::Receiver<Standing>,
        work: impl Future<Output = T>,
    ) -> T {
        tokio::pin!(work);
        loop {
            let news = tokio::select! {
                biased;
                done = &mut work => return done,
                changed = standing.changed() => changed.is_ok(),
                () = sleep(TICK) => false,
            };
            let now = standing.borrow_and_update().clone();
            self.show(&now, news);
        }
    }

    fn show(&mut self, standing: &Standing, news: bool) {
        match standing {
            // Until something went wrong there is nothing to say.
            Standing::Asking if !news => {}
            Standing::Asking => self.waiting.away(None, Some(self.left())),
            Standing::Held(held) => {
                self.until = held.until;
                let late = self.late.get_or_insert_with(|| when::boot() + held.left() / LATE);
                self.waiting.late = *late <= when::boot();
                self.waiting.held(&held.answer, held.left());
            }
            Standing::Away(held) => self.waiting.away(Some(&held.answer.id), Some(held.left())),
        }
    }

    fn left(&self) -> Duration {
        self.until.saturating_sub(when::boot())
    }
}
