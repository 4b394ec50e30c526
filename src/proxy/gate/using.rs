//! A use that was taken: kept while its call runs, until its outcome is told.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::AbortHandle;

use super::{Gate, Ticket};
use crate::client::{boot, reason_of};
use crate::faults;
use crate::hold::{Hold, Trouble};
use crate::policy::Take;
use crate::proto::Outcome;
use crate::proxy::message::Id;
use crate::proxy::message::ServerMessage;
use crate::proxy::message::server::Ended;
use crate::proxy::upstream::NoAnswer;

/// How long a daemon that does not answer is asked for the use: the client waits.
const TAKE_WITHIN: Duration = Duration::from_secs(10);
/// How long the outcome of a call may take to be told. The daemon takes it as
/// unknown once the lease ends, and a report that comes later still counts.
const REPORT_WITHIN: Duration = Duration::from_secs(600);
/// How long an answer waits for its outcome to be told first. A client that ends
/// with its answer ends us too, and usually it takes milliseconds; but an answer
/// is not to wait for a daemon that is away.
const REPORT_FIRST: Duration = Duration::from_secs(1);

/// The use of one approved request.
#[derive(Debug)]
pub struct Using {
    hold: Arc<Hold>,
    renewing: AbortHandle,
    /// What the call took from counters, until the server has answered.
    pub(super) ticket: Option<Ticket>,
    /// What it took of limits and counters in all.
    pub(super) takes: Vec<Take>,
    /// How often the call was sent; the first time right after the use was taken.
    sent: u32,
}

impl Using {
    /// Takes the use: from now on the call may run, once.
    ///
    /// # Errors
    /// It must not run.
    pub async fn take(mut hold: Hold) -> Result<Using, (Trouble, Hold)> {
        let since = boot();
        let taken = match faults::planted("no-use") {
            true => Ok(REPORT_WITHIN),
            false => hold.take(true, TAKE_WITHIN).await,
        };
        let lease = match taken {
            Ok(lease) => lease,
            Err(trouble) => return Err((trouble, hold)),
        };
        let hold = Arc::new(hold);
        let kept = hold.clone();
        let renewing = tokio::spawn(async move {
            let lost = |status| {
                let reason = reason_of(&status).unwrap_or_default();
                tracing::warn!(request = kept.id(), reason, "the lease of a running call is lost");
            };
            kept.keep_lease(lease, since, lost).await;
        });
        Ok(Using {
            hold,
            renewing: renewing.abort_handle(),
            ticket: None,
            takes: Vec::new(),
            sent: 1,
        })
    }

    /// The server has answered, or will not: what the call took from counters stays
    /// taken, or is given back.
    pub fn answered(&mut self, answered: &Result<ServerMessage, NoAnswer>) {
        if let Some(ticket) = self.ticket.take() {
            ticket.ended(answered);
        }
    }

    /// The id under which the server gets the call once more. It got no other
    /// under it.
    pub fn next_id(&mut self) -> Id {
        self.sent += 1;
        sent_as(&self.hold, self.sent)
    }
}

/// The id under which the server gets the held call for the nth time.
pub fn sent_as(hold: &Hold, n: u32) -> Id {
    let request = hold.id().unwrap_or_default();
    match n {
        1 => Id::minted(request),
        n => Id::minted(&format!("{request}-{n}")),
    }
}

/// The lease is renewed until the outcome was told.
impl Drop for Using {
    fn drop(&mut self) {
        self.renewing.abort();
    }
}

/// How a call ended, as the daemon is told of it.
pub fn outcome(answered: &Result<ServerMessage, NoAnswer>) -> (Outcome, String) {
    match answered {
        Ok(answer) => match answer.ended() {
            Ended::Succeeded => (Outcome::Succeeded, String::new()),
            Ended::Failed(None) => (Outcome::Failed, "the tool answered that it failed".to_owned()),
            Ended::Failed(Some(code)) => (Outcome::Failed, format!("JSON-RPC error {code}")),
            Ended::InputRequired { .. } => {
                (Outcome::Unknown, "the server asked for input, which ended there".to_owned())
            }
            Ended::Task => (Outcome::Succeeded, "the server made a task of it".to_owned()),
        },
        Err(NoAnswer::NotSent(why)) => (Outcome::Failed, format!("not sent: {why}")),
        Err(NoAnswer::Lost(why)) => (Outcome::Unknown, why.clone()),
    }
}

impl Gate {
    /// Tells the daemon how a call ended. Returns once it knows, or soon; the
    /// telling goes on beside.
    pub(super) async fn report(&self, using: Using, outcome: Outcome, detail: String) {
        let telling = self.telling.spawn(async move {
            let told = using.hold.report(outcome, &detail, REPORT_WITHIN).await;
            if let Err(status) = told {
                let reason = reason_of(&status).unwrap_or_default();
                tracing::warn!(request = using.hold.id(), reason, "an outcome could not be told");
            }
            faults::call_reached("after-report");
        });
        let _ = tokio::time::timeout(REPORT_FIRST, telling).await;
    }

    /// Tells the daemon of a use that may have been taken, and will not be used.
    pub(super) fn not_run(&self, hold: Hold, why: &str) {
        let detail = format!("not run: {why}");
        self.telling.spawn(async move {
            let told = hold.report(Outcome::Failed, &detail, REPORT_WITHIN).await;
            let reason = told.err().map(|status| reason_of(&status).unwrap_or_default());
            // What was not taken is there for the same call.
            if let Some(reason) = reason.filter(|reason| reason != "NOT_TAKEN") {
                tracing::warn!(request = hold.id(), reason, "an outcome could not be told");
            }
        });
    }
}
