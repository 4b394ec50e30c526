//! How the answer to a request begins: its status and its kind.
//!
//! An answer that comes at once goes as JSON, with the status that it has in the
//! newer protocol. Where something else comes before it, or nothing comes soon, or
//! a person is asked, it is a stream of events.

use std::time::Duration;

use bytes::Bytes;
use hyper::StatusCode;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::call::json::Json;
use crate::proxy::http::held;
use crate::proxy::http::reply::{self, Reply};
use crate::proxy::message::client::code;
use crate::proxy::message::server::Ended;
use crate::proxy::message::{CLIENT_CAPABILITIES, ClientMessage, Era, Said, ServerMessage};

/// Messages that may wait for a client that reads slowly.
pub const WAITING: usize = 16;

/// How long an answer may take to be one piece with a status of its own. Clients
/// wait for a minute until they hear anything.
const AT_ONCE: Duration = Duration::from_secs(1);

/// A request whose answer is to begin.
#[derive(Debug)]
pub struct Begin {
    /// Cancelled when it begins, before there is anything to say.
    pub begun: CancellationToken,
    modern: bool,
    /// It lacks what every modern request has.
    malformed: bool,
}

impl Begin {
    /// For this request.
    pub fn new(message: &ClientMessage) -> Begin {
        let meta = message.params().and_then(|params| params.get("_meta"));
        let capabilities = meta.and_then(|meta| meta.get(CLIENT_CAPABILITIES));
        Begin {
            begun: CancellationToken::new(),
            modern: message.era() == Era::Modern,
            malformed: capabilities.and_then(Json::as_object).is_none(),
        }
    }

    /// The status of an answer (2026-07-28, Streamable HTTP and "Request Metadata").
    fn status(&self, answer: &ServerMessage) -> StatusCode {
        match answer.ended() {
            Ended::Failed(Some(error)) if self.modern => match i32::try_from(error) {
                Ok(code::METHOD_NOT_FOUND) => StatusCode::NOT_FOUND,
                // Headers, version, capabilities.
                Ok(-32022..=code::HEADER_MISMATCH) => StatusCode::BAD_REQUEST,
                Ok(code::INVALID_PARAMS) if self.malformed => StatusCode::BAD_REQUEST,
                _ => StatusCode::OK,
            },
            _ => StatusCode::OK,
        }
    }
}

/// The messages for a client, as its answer. `gone` is cancelled with the end of
/// the answer, whoever ends it.
pub async fn answer(
    begin: Begin,
    mut messages: mpsc::Receiver<Bytes>,
    gone: CancellationToken,
    takes_events: bool,
) -> Reply {
    let here = gone.clone().drop_guard();
    loop {
        let message = tokio::select! {
            biased;
            message = messages.recv() => message,
            () = begin.begun.cancelled(), if takes_events => {
                here.disarm();
                return held::events(None, messages, gone);
            }
            () = tokio::time::sleep(AT_ONCE), if takes_events => {
                here.disarm();
                return held::events(None, messages, gone);
            }
        };
        let Some(message) = message.map(ServerMessage::read) else {
            // It was cancelled, and there is nothing to say.
            return reply::refused(StatusCode::OK, "the request was cancelled");
        };
        if matches!(message.said, Said::Answer(_)) {
            return reply::json(begin.status(&message), message.bytes);
        }
        if takes_events {
            here.disarm();
            return held::events(Some(message.bytes), messages, gone);
        }
    }
}
