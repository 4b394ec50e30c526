//! What we answer ourselves, in the shapes that each era takes.
//!
//! A refusal is a tool result with `isError`, in both eras: clients show those to
//! the model, which can act on them, and JSON-RPC errors they only may (2025-11-25
//! and 2026-07-28, server/tools, "Error Handling"). A modern result has to say
//! that it is complete.
//!
//! Must never: invent codes in the ranges that MCP reserves.

pub mod tasks;
pub mod words;

use bytes::Bytes;

use super::message::{Era, Id, Refusal};
use crate::call::json::Json;

fn text(text: &str) -> Json {
    Json::String(text.to_owned())
}

fn message(members: Vec<(&str, Json)>) -> Bytes {
    let version = ("jsonrpc", text("2.0"));
    Json::object(std::iter::once(version).chain(members)).to_text().into()
}

/// `{"jsonrpc":"2.0","id":ID,"result":RESULT}`
fn with_result(id: &Id, result: &str) -> Bytes {
    // The id goes back as it came, in its own spelling.
    format!(r#"{{"jsonrpc":"2.0","id":{},"result":{result}}}"#, id.as_str()).into()
}

/// The result of a call that did not run, or of which nobody knows.
pub fn tool_error(era: Era, said: &str) -> Json {
    let content = Json::object([("type", text("text")), ("text", text(said))]);
    let mut members = vec![("content", Json::array([content])), ("isError", Json::Bool(true))];
    if era == Era::Modern {
        members.insert(0, ("resultType", text("complete")));
    }
    Json::object(members)
}

/// The answer to a call, with this result.
pub fn result(id: &Id, result: &Json) -> Bytes {
    with_result(id, &result.to_text())
}

/// A JSON-RPC error.
pub fn error(id: Option<&Id>, code: i32, said: &str) -> Bytes {
    let error = Json::object([("code", number(i64::from(code))), ("message", text(said))]);
    let id = id.map_or("null", Id::as_str);
    format!(r#"{{"jsonrpc":"2.0","id":{id},"error":{}}}"#, error.to_text()).into()
}

/// The error for a message that goes no further.
pub fn refusal(refusal: &Refusal) -> Bytes {
    error(refusal.id.as_ref(), refusal.code, &refusal.message)
}

/// How a wait goes on, to the token (JSON text) that the client gave.
pub fn progress(token: &str, count: u64, said: &str) -> Bytes {
    let said = text(said).to_text();
    format!(
        r#"{{"jsonrpc":"2.0","method":"notifications/progress","params":{{"progressToken":{token},"progress":{count},"message":{said}}}}}"#
    )
    .into()
}

/// That a request of ours is not waited for any more.
pub fn cancelled(id: &Id, why: &str) -> Bytes {
    let why = text(why).to_text();
    format!(
        r#"{{"jsonrpc":"2.0","method":"notifications/cancelled","params":{{"requestId":{},"reason":{why}}}}}"#,
        id.as_str()
    )
    .into()
}

/// A notification of our own, with nothing to say beside its name.
pub fn notification(method: &str) -> Bytes {
    message(vec![("method", text(method))])
}

/// A request of our own.
pub fn request(id: &Id, method: &str, params: Json) -> Bytes {
    let id = crate::call::json::parse(id.as_str().as_bytes()).unwrap_or(Json::Null);
    message(vec![("id", id), ("method", text(method)), ("params", params)])
}

fn number(n: i64) -> Json {
    crate::call::json::Number::new(&n.to_string()).map_or(Json::Null, Json::Number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_has_the_shape_of_its_era() {
        let id = Id::read(b"3").expect("an id");
        let legacy = result(&id, &tool_error(Era::Legacy, "no \"x\"\n"));
        assert_eq!(
            legacy,
            &br#"{"jsonrpc":"2.0","id":3,"result":{"content":[{"type":"text","text":"no \"x\"\n"}],"isError":true}}"#[..]
        );
        let modern = result(&id, &tool_error(Era::Modern, "no"));
        assert_eq!(
            modern,
            &br#"{"jsonrpc":"2.0","id":3,"result":{"resultType":"complete","content":[{"type":"text","text":"no"}],"isError":true}}"#[..]
        );
    }

    #[test]
    fn errors_and_notifications_are_json_rpc() {
        assert_eq!(
            error(None, -32700, "no"),
            &br#"{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"no"}}"#[..]
        );
        assert_eq!(
            progress("\"t\"", 2, "waiting"),
            &br#"{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":"t","progress":2,"message":"waiting"}}"#[..]
        );
        assert_eq!(
            request(&Id::ours("h"), "tools/list", Json::object::<&str>([])),
            &br#"{"jsonrpc":"2.0","id":"h","method":"tools/list","params":{}}"#[..]
        );
    }
}
