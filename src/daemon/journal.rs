//! The log of what happens to requests: a line for each event, at `info`, with
//! the request's id, so that `grep ID` tells its whole life.
//!
//! The lines are written beside the work: by a task that follows the committed
//! events as a watcher does. When more happens than it can follow, it says how
//! much it left out; the history has it all.
//!
//! Must never: log arguments, reasons, explanations or what callers report.

use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tracing::field::display;

use crate::call::model::{Decision, Request};
use crate::call::safe_text::SafeText;
use crate::desk::Desk;
use crate::store::Event;
use crate::store::audit::Kind;

/// Names from outside, and what a mail server said, may be longer and are cut.
const LONGEST_NAME: usize = 120;

/// The task that writes it.
#[derive(Debug)]
pub struct Journal {
    task: JoinHandle<()>,
    stop: oneshot::Sender<()>,
}

impl Journal {
    /// Begins with what happens from now on.
    pub fn begin(desk: &Desk) -> Self {
        let (stop, stopped) = oneshot::channel();
        let stopped = async {
            let _ = stopped.await;
        };
        Journal { task: tokio::spawn(follow(desk.subscribe(), stopped)), stop }
    }

    /// Writes down what is left, and ends.
    pub async fn finish(self) {
        let _ = self.stop.send(());
        let _ = self.task.await;
    }
}

/// Follows events until `stop`, and then to the last one.
async fn follow(mut events: Receiver<Event>, stop: impl Future<Output = ()>) {
    let mut stop = std::pin::pin!(stop);
    loop {
        let event = tokio::select! {
            biased;
            event = events.recv() => event,
            () = &mut stop => return,
        };
        match event {
            Ok(event) => line(&event),
            Err(RecvError::Lagged(events)) => {
                tracing::warn!(
                    events,
                    "more happened than could be logged; the history has it all"
                );
            }
            Err(RecvError::Closed) => return,
        }
    }
}

fn line(event: &Event) {
    let request = &*event.request;
    let id = request.id;
    match event.kind {
        Kind::Requested => {
            let call = &request.call;
            let (caller, client) = (name(&call.caller), named(&call.client));
            let (server, tool) = (name(&call.server), name(&call.tool));
            let timeout_s = request.deadline.left(request.created).as_secs();
            tracing::info!(request = %id, %caller, client, %server, %tool, timeout_s, "held");
        }
        Kind::Resumed => tracing::info!(request = %id, "resumed by a new call"),
        Kind::ApprovalCounted => decided(request, "approved, and more have to approve"),
        Kind::Approved => decided(request, "approved"),
        Kind::Denied => decided(request, "denied"),
        Kind::DenialRepeated => {
            tracing::info!(request = %id, "asked again; the denial was repeated")
        }
        Kind::DenialLifted => tracing::info!(request = %id, "the denial was lifted"),
        Kind::Expired => {
            tracing::info!(request = %id, after_s = age(request), "expired: nobody decided in time")
        }
        Kind::Withdrawn => {
            tracing::info!(request = %id, after_s = age(request), "withdrawn by its caller")
        }
        Kind::UseGranted => tracing::info!(request = %id, "use granted: the call may run, once"),
        Kind::UseLapsed => tracing::info!(request = %id, "the approval lapsed unused"),
        Kind::OutcomeReported => {
            tracing::info!(request = %id, outcome = request.outcome.word(), "outcome reported");
        }
        Kind::OutcomeUnknown => {
            tracing::warn!(request = %id, "nobody knows whether this call ran; somebody should look");
        }
        Kind::NobodyReached => {
            let why = request.unreached.as_ref().map(|unreached| display(name(&unreached.why)));
            tracing::warn!(request = %id, why, "nobody who is asked could be reached by mail, and nobody has looked");
        }
        other => tracing::info!(request = %id, "{}", other.word()),
    }
}

fn decided(request: &Request, what: &'static str) {
    let last: Option<&Decision> = request.decisions.last();
    let operator = last.map(|decision| display(name(&decision.operator)));
    let strength = last.map(|decision| decision.strength.word());
    let at = last.map_or(request.created, |decision| decision.at);
    let after_s = at.left(request.created).as_secs();
    tracing::info!(request = %request.id, operator, strength, after_s, "{what}");
}

/// Seconds from its creation to its end.
fn age(request: &Request) -> u64 {
    request.ended.unwrap_or(request.created).left(request.created).as_secs()
}

fn name(text: &str) -> SafeText {
    SafeText::cut_line(text, LONGEST_NAME).0
}

fn named(text: &str) -> Option<tracing::field::DisplayValue<SafeText>> {
    (!text.is_empty()).then(|| display(name(text)))
}
