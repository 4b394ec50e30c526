//! What the door answers itself, where no server is asked.

use std::convert::Infallible;

use bytes::Bytes;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full};
use hyper::header::{self, HeaderValue};
use hyper::{Response, StatusCode};

use crate::proxy::answer;
use crate::proxy::message::client::code;
use crate::proxy::message::server::Ended;
use crate::proxy::message::{Refusal, ServerMessage};

/// What can go wrong while a body is passed on.
pub type BodyError = Box<dyn std::error::Error + Send + Sync>;

/// The body of an answer: whole, or as it comes.
pub type Body = UnsyncBoxBody<Bytes, BodyError>;

/// An answer.
pub type Reply = Response<Body>;

/// JSON-RPC's code for what its own codes do not cover.
const SERVER_ERROR: i32 = -32000;

/// A body that is there already.
pub fn whole(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into()).map_err(|never: Infallible| match never {}).boxed_unsync()
}

/// Nothing but a status.
pub fn empty(status: StatusCode) -> Reply {
    let mut reply = Response::new(whole(Bytes::new()));
    *reply.status_mut() = status;
    reply
}

/// A line for a person.
pub fn text(status: StatusCode, line: &str) -> Reply {
    let mut reply = Response::new(whole(format!("{line}\n")));
    *reply.status_mut() = status;
    let plain = HeaderValue::from_static("text/plain; charset=utf-8");
    reply.headers_mut().insert(header::CONTENT_TYPE, plain);
    reply
}

/// JSON that is written already.
pub fn json(status: StatusCode, bytes: impl Into<Bytes>) -> Reply {
    let mut reply = Response::new(whole(bytes));
    *reply.status_mut() = status;
    let json = HeaderValue::from_static("application/json");
    reply.headers_mut().insert(header::CONTENT_TYPE, json);
    reply
}

/// A JSON-RPC error that answers no request in particular.
pub fn refused(status: StatusCode, why: &str) -> Reply {
    json(status, answer::error(None, SERVER_ERROR, why))
}

/// The answer to a request, as JSON-RPC has it. One that says that the request
/// itself was wrong has the status for that (2026-07-28, "Error Codes").
pub fn answered(answer: Bytes) -> Reply {
    let wrong = matches!(
        ServerMessage::read(answer.clone()).ended(),
        Ended::Failed(Some(code)) if code == i64::from(code::MISSING_CAPABILITY)
    );
    json(if wrong { StatusCode::BAD_REQUEST } else { StatusCode::OK }, answer)
}

/// The refusal of a message that came by itself.
pub fn refusal(refusal: &Refusal) -> Reply {
    json(StatusCode::BAD_REQUEST, answer::refusal(refusal))
}
