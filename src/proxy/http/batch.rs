//! Several messages in one body, as clients up to 2025-03-26 send them: each is
//! judged, sent and answered by itself.

use std::sync::Arc;

use bytes::Bytes;
use hyper::{Method, StatusCode};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::remote::{Caller, Remote};
use super::reply::{self, Reply};
use super::{held, visit};
use crate::proxy::answer;
use crate::proxy::gate::{self, Judged, Ticket};
use crate::proxy::message::{ClientMessage, Kind, Refusal, ToolCall};

/// Answers that may wait for the client to read them.
const WAITING: usize = 16;

/// Answers a batch.
pub async fn answer(
    remote: Remote,
    caller: Caller,
    messages: Vec<Result<ClientMessage, Refusal>>,
) -> Reply {
    let (out, answers) = mpsc::channel(WAITING);
    let gone = CancellationToken::new();
    let one = Arc::new(One { remote, caller, out, gone: gone.clone() });
    let mut awaited = false;
    for message in messages {
        awaited |= !matches!(&message, Ok(message) if message.request_id().is_none());
        tokio::spawn(one.clone().take(message));
    }
    let takes_events = one.caller.takes_events;
    // The answers end with the last message.
    drop(one);
    match (awaited, takes_events) {
        // Not sooner: what is on its way is bounded by the connections that wait for it.
        (false, _) => {
            held::answers(answers, gone).await;
            reply::empty(StatusCode::ACCEPTED)
        }
        (true, true) => held::events(None, answers, gone),
        (true, false) => held::answers(answers, gone).await,
    }
}

/// What every message of a batch needs.
struct One {
    remote: Remote,
    caller: Caller,
    out: mpsc::Sender<Bytes>,
    gone: CancellationToken,
}

impl One {
    async fn take(self: Arc<Self>, message: Result<ClientMessage, Refusal>) {
        let message = match message {
            Ok(message) => message,
            Err(refusal) => return self.say(answer::refusal(&refusal)).await,
        };
        if ToolCall::is_one(&message) {
            return match ToolCall::read(message) {
                Ok(call) => self.call(call).await,
                Err(refusal) => self.say(answer::refusal(&refusal)).await,
            };
        }
        match &message.kind {
            Kind::Request { .. } => self.forward(message, None).await,
            _ if self.remote.cancels_held(&self.caller, &message) => {}
            _ => {
                let body = Some(message.bytes.clone());
                let passing = self.remote.pass(&self.caller, Method::POST, body);
                tokio::select! {
                    _ = passing => {}
                    // Nobody waits for it any more.
                    () = self.gone.cancelled() => {}
                }
            }
        }
    }

    async fn call(&self, call: ToolCall) {
        let call = if self.caller.takes_events { call } else { call.without_progress() };
        match self.remote.judge(&self.caller, call).await {
            Judged::Forward(passed) => self.forward(passed.call.message, passed.ticket).await,
            Judged::Answer(answer) => self.say(answer).await,
            Judged::Hold(question) => {
                let cancelled = CancellationToken::new();
                let sessions = &self.remote.sessions;
                let _held = sessions.hold(&self.caller.scope, &question.call.id, cancelled.clone());
                let way = self.way(&question.call.message, cancelled);
                let visit = Arc::new(self.remote.visit(&self.caller));
                self.remote.gate.hold(*question, way, visit).await;
            }
        }
    }

    /// Sends a request as it is, and its answer back.
    async fn forward(&self, message: ClientMessage, ticket: Option<Ticket>) {
        let Some(id) = message.request_id() else { return };
        let way = self.way(&message, CancellationToken::new());
        let visit = self.remote.visit(&self.caller);
        let asking = visit.forward(id, message.bytes.clone(), &way);
        let asking = tokio::time::timeout(self.remote.answer, asking);
        let answered = tokio::select! {
            answered = asking => answered,
            // Nobody waits for it any more.
            () = self.gone.cancelled() => return,
        };
        let said = match answered {
            Ok(Ok(said)) => {
                if let Some(ticket) = ticket {
                    ticket.answered(&said);
                }
                match message.method() {
                    Some("tools/list") => {
                        self.remote.learn(&self.caller, true)(&said);
                        self.remote.shown(&self.caller, &said.bytes)
                    }
                    _ => said.bytes,
                }
            }
            Ok(Err(why)) => visit::no_answer(id, &why.to_string()),
            Err(_) => visit::no_answer(id, "the server does not answer"),
        };
        self.say(said).await;
    }

    fn way(&self, message: &ClientMessage, cancelled: CancellationToken) -> gate::Reply {
        let id = message.request_id().cloned().expect("a request has an id");
        gate::Reply::into(id, self.out.clone(), cancelled, self.gone.clone())
    }

    async fn say(&self, message: Bytes) {
        // Nobody is there any more.
        let _ = self.out.send(message).await;
    }
}
