//! One task, as it goes on: told by who runs its call, read by who asks for it.

use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::inputs::Asked;
use super::{KEPT, Owner, ms, now, since};
use crate::client::boot;
use crate::hold::Standing;
use crate::proxy::answer::tasks::View;
use crate::proxy::answer::{self, words};
use crate::proxy::locked;
use crate::proxy::message::scan::find;
use crate::proxy::message::{Era, Id, ServerMessage};

/// One held call that its client follows by an id.
#[derive(Debug)]
pub struct Task {
    id: String,
    owner: Owner,
    /// What the policy says of such calls, for the agent.
    told: Option<String>,
    /// On the clock that people read, and on [`boot`]'s.
    created: (DateTime<Utc>, Duration),
    /// The client does not want it any more.
    cancelled: CancellationToken,
    /// Nobody is there to ask for it.
    over: CancellationToken,
    /// The client answered something that the server asked.
    answered: Notify,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    stage: Stage,
    updated: DateTime<Utc>,
    /// When it ended, on [`boot`]'s clock.
    ended: Option<Duration>,
    /// How long the client was told that it is kept.
    promised: Duration,
}

/// How far a task is.
#[derive(Debug)]
enum Stage {
    /// People are asked.
    Held(Standing),
    /// The server works on it.
    Runs,
    /// The server asked for something.
    Asks(Asked),
    /// Over.
    Ended(End),
}

/// How a task ended.
#[derive(Debug, Clone)]
pub enum End {
    /// The server answered; with a result, or with an error.
    Answered(ServerMessage),
    /// It has no answer of the server's: what the agent is told.
    Said(String),
    /// Cancelled before it ran, or in the middle of it, where the server asked.
    Cancelled,
}

impl Task {
    pub(super) fn new(
        id: String,
        owner: Owner,
        told: Option<String>,
        over: CancellationToken,
    ) -> Task {
        let state = State {
            stage: Stage::Held(Standing::Asking),
            updated: now(),
            ended: None,
            promised: KEPT,
        };
        Task {
            id,
            owner,
            told,
            created: (now(), boot()),
            cancelled: CancellationToken::new(),
            over,
            answered: Notify::new(),
            state: Mutex::new(state),
        }
    }

    pub(super) fn id(&self) -> &str {
        &self.id
    }

    pub(super) fn owner(&self) -> &Owner {
        &self.owner
    }

    pub(super) fn handle(&self) -> String {
        self.owner.handle(&self.id)
    }

    /// The client does not want it any more. What already runs may still end.
    pub(super) fn cancel(&self) {
        self.cancelled.cancel();
    }

    /// Cancelled with it.
    pub fn cancelled(&self) -> CancellationToken {
        self.cancelled.clone()
    }

    /// Whether nobody will fetch its result.
    pub fn is_gone(&self) -> bool {
        self.cancelled.is_cancelled() || self.over.is_cancelled()
    }

    /// Ends when nobody will fetch its result.
    pub(super) async fn gone(&self) {
        tokio::select! {
            () = self.cancelled.cancelled() => {}
            () = self.over.cancelled() => {}
        }
    }

    /// The request stands so now.
    pub(super) fn stands(&self, standing: Standing) {
        let mut state = self.state();
        if let Standing::Held(held) | Standing::Away(held) = &standing {
            state.promised = state.promised.max(since(self.created.1) + held.left() + KEPT);
        }
        state.moves_to(Stage::Held(standing));
    }

    /// The server has it now.
    pub(super) fn runs(&self) {
        self.state().moves_to(Stage::Runs);
    }

    /// The server asks for something.
    pub(super) fn asks(&self, asked: Asked) {
        self.state().moves_to(Stage::Asks(asked));
    }

    /// What the server asked for, once everything was answered. May be dropped at
    /// any moment.
    pub(super) async fn answers(&self) -> Asked {
        loop {
            {
                let mut state = self.state();
                if let Stage::Asks(asked) = &state.stage
                    && asked.is_answered()
                    && let Stage::Asks(asked) = state.moves_to(Stage::Runs)
                {
                    return asked;
                }
            }
            // A permit is kept for who comes late, so no answer is missed between.
            self.answered.notified().await;
        }
    }

    /// The client answers what the server asked: an object, as it was sent.
    /// Answers to anything else are passed over. False: too much to keep.
    pub(super) fn is_answered(&self, responses: &Bytes) -> bool {
        let mut state = self.state();
        let taken = match &mut state.stage {
            Stage::Asks(asked) => asked.answer(responses),
            _ => true,
        };
        state.updated = now();
        self.answered.notify_one();
        taken
    }

    /// It is over.
    pub(super) fn ends(&self, end: End) {
        let mut state = self.state();
        state.moves_to(Stage::Ended(end));
        let ended = boot();
        state.ended = Some(ended);
        state.promised = state.promised.max(since(self.created.1) + KEPT);
    }

    /// When it ended.
    pub(super) fn ended(&self) -> Option<Duration> {
        self.state().ended
    }

    /// Whether it has ended and was kept for as long as its client was told.
    pub(super) fn is_over(&self) -> bool {
        let state = self.state();
        state.ended.is_some() && since(self.created.1) > state.promised
    }

    /// How many bytes are kept of how it ended; 0 before.
    pub(super) fn kept(&self) -> usize {
        match &self.state().stage {
            Stage::Ended(End::Answered(answer)) => answer.bytes.len() + 1,
            Stage::Ended(End::Said(said)) => said.len() + 1,
            Stage::Ended(End::Cancelled) => 1,
            _ => 0,
        }
    }

    /// The answer to the call that became this task.
    pub(super) fn as_created(&self, id: &Id) -> Bytes {
        self.view(|view| view.created(id))
    }

    /// The answer to `tasks/get`.
    pub(super) fn as_got(&self, id: &Id) -> Bytes {
        self.view(|view| view.got(id))
    }

    fn view(&self, shown: impl FnOnce(&View<'_>) -> Bytes) -> Bytes {
        let state = self.state();
        let (status, message, with) = state.stage.shown(self.told.as_deref());
        shown(&View {
            id: &self.id,
            status,
            message,
            created: self.created.0,
            updated: state.updated,
            ttl_ms: Some(ms(state.promised)),
            with,
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        locked(&self.state)
    }
}

impl State {
    /// Returns where it was.
    fn moves_to(&mut self, stage: Stage) -> Stage {
        self.updated = now();
        std::mem::replace(&mut self.stage, stage)
    }
}

type Shown = (&'static str, Option<String>, Option<(&'static str, Bytes)>);

impl Stage {
    /// Status, message, and what comes with them.
    fn shown(&self, told: Option<&str>) -> Shown {
        let part = |message: &ServerMessage, name| {
            find(&message.bytes, &[name]).map(|place| (name, message.bytes.slice(place)))
        };
        let said = |said: &str| answer::tool_error(Era::Modern, said).to_text().into();
        match self {
            Stage::Held(Standing::Asking) => ("working", Some(words::ASKING.to_owned()), None),
            Stage::Held(Standing::Held(held)) => {
                ("working", Some(words::progress(held, false, told)), None)
            }
            Stage::Held(Standing::Away(held)) => {
                ("working", Some(words::progress(held, true, told)), None)
            }
            Stage::Runs => ("working", Some(words::RUNNING.to_owned()), None),
            Stage::Asks(asked) => (
                "input_required",
                Some(words::INPUT_REQUIRED.to_owned()),
                Some(("inputRequests", asked.outstanding())),
            ),
            Stage::Ended(End::Cancelled) => ("cancelled", Some(words::CANCELLED.to_owned()), None),
            Stage::Ended(End::Said(what)) => ("completed", None, Some(("result", said(what)))),
            Stage::Ended(End::Answered(answer)) => {
                match (part(answer, "error"), part(answer, "result")) {
                    (Some(error), _) => {
                        ("failed", Some(words::JSON_RPC_ERROR.to_owned()), Some(error))
                    }
                    (None, Some(result)) => ("completed", None, Some(result)),
                    (None, None) => {
                        let what = words::unknown("the server's answer says nothing");
                        ("completed", None, Some(("result", said(&what))))
                    }
                }
            }
        }
    }
}
