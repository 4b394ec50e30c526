//! What a client sent, read strictly.
//!
//! Promises: what we read is what the server will read. Two readers may differ on
//! duplicate members, on names that differ in case only (Go's decoder takes
//! `"Method"` for `method`), on what comes after U+0000 in a name (to C it is not
//! there), on a carriage return inside a line (Python's reads it as the line's end):
//! the first three are refused, the last is made a space.

use std::ops::Range;

use bytes::Bytes;

use super::scan::{self, items};
use super::{CLIENT_CAPABILITIES, Era, Id, TASKS};
use crate::call::json::{Json, parse_envelope};

/// The most messages in one batch. Batches left the protocol in 2025-06-18;
/// those who still send them send a few.
const MAX_BATCH: usize = 100;

/// The members of a JSON-RPC message.
const MESSAGE: &[&str] = &["jsonrpc", "id", "method", "params", "result", "error"];

/// JSON-RPC's codes.
pub mod code {
    /// Not JSON, or JSON that means more than one thing.
    pub const PARSE: i32 = -32700;
    /// Not a request as JSON-RPC has them.
    pub const INVALID_REQUEST: i32 = -32600;
    /// The method is not there.
    pub const METHOD_NOT_FOUND: i32 = -32601;
    /// Parameters that the method does not take.
    pub const INVALID_PARAMS: i32 = -32602;
    /// Something failed on this side of the server.
    pub const INTERNAL: i32 = -32603;
    /// MCP: headers and body disagree.
    pub const HEADER_MISMATCH: i32 = -32020;
    /// MCP: the request does not declare an extension that it uses.
    pub const MISSING_CAPABILITY: i32 = -32021;
}

/// What came in one piece: a line, or the body of a POST.
#[derive(Debug)]
pub enum Incoming {
    /// One message.
    One(ClientMessage),
    /// Several at once, each by itself: a message, or why it is none.
    Batch(Vec<Result<ClientMessage, Refusal>>),
}

/// One message, whole.
#[derive(Clone)]
pub struct ClientMessage {
    /// What it is.
    pub kind: Kind,
    /// Its bytes, as they were sent but for line ends between its parts.
    pub bytes: Bytes,
    /// What they say.
    pub json: Json,
}

/// Without what it carries: that may be secret.
impl std::fmt::Debug for ClientMessage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ClientMessage").field("kind", &self.kind).finish_non_exhaustive()
    }
}

/// What a message is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// It wants an answer.
    Request {
        /// The answer's id.
        id: Id,
        /// What is wanted.
        method: String,
    },
    /// It wants none.
    Notification {
        /// What it tells.
        method: String,
    },
    /// The answer to what the server asked.
    Response {
        /// The id of the server's request.
        id: Id,
    },
}

/// Why a message goes no further, to be answered with a JSON-RPC error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The id of the request, where it could be read.
    pub id: Option<Id>,
    /// See [`code`].
    pub code: i32,
    /// What is wrong and what to do.
    pub message: String,
}

impl Refusal {
    /// A refusal of a message whose id is not known.
    pub fn new(code: i32, message: impl Into<String>) -> Self {
        Refusal { id: None, code, message: message.into() }
    }

    /// The same, for the request with this id.
    pub fn of(self, id: &Id) -> Self {
        Refusal { id: Some(id.clone()), ..self }
    }
}

/// Reads what a client sent.
///
/// # Errors
/// What means nothing, or more than one thing.
pub fn read(bytes: Bytes) -> Result<Incoming, Refusal> {
    let json = parse_envelope(&bytes)
        .map_err(|error| Refusal::new(code::PARSE, format!("not accepted: {error}")))?;
    let bytes = one_line(bytes);
    let Json::Array(parts) = json else {
        return one(json, bytes).map(Incoming::One);
    };
    let places = items(&bytes, 0..bytes.len(), MAX_BATCH).filter(|places| !places.is_empty());
    let Some(places) = places else {
        let why = format!("a batch has 1 to {MAX_BATCH} messages: send each by itself");
        return Err(Refusal::new(code::INVALID_REQUEST, why));
    };
    let each = parts.into_iter().zip(places);
    // Each by itself: one that waits for people is not to keep the others in memory.
    let part = |place: Range<usize>| Bytes::copy_from_slice(&bytes[place]);
    Ok(Incoming::Batch(each.map(|(json, place)| one(json, part(place))).collect()))
}

/// Line ends are as good as spaces to JSON, but not to a server that reads lines.
fn one_line(bytes: Bytes) -> Bytes {
    // Within strings they are escaped, as the strict parser made sure.
    let is_end = |byte: &u8| matches!(byte, b'\n' | b'\r');
    if !bytes.iter().any(is_end) {
        return bytes;
    }
    let mut line = bytes.to_vec();
    line.iter_mut().filter(|byte| is_end(byte)).for_each(|byte| *byte = b' ');
    line.into()
}

fn one(json: Json, bytes: Bytes) -> Result<ClientMessage, Refusal> {
    let refused = |why: &str| Refusal::new(code::INVALID_REQUEST, why);
    let members = json.as_object().ok_or_else(|| refused("a message is a JSON object"))?;
    only_exact(members, MESSAGE, "")?;
    if json.get("jsonrpc").and_then(Json::as_str) != Some("2.0") {
        return Err(refused("a message has \"jsonrpc\": \"2.0\""));
    }
    let id = match json.get("id") {
        None => None,
        Some(_) => Some(id_in(&bytes).ok_or_else(|| {
            refused("an id is a string of at most 1024 bytes or a whole number of 64 bits")
        })?),
    };
    let method = match json.get("method") {
        None => None,
        Some(Json::String(method)) if is_plain(method) => Some(method.clone()),
        Some(_) => return Err(refused("a method is a string without control characters")),
    };
    let answers = json.get("result").is_some() || json.get("error").is_some();
    if let Some(params) = json.get("params")
        && params.as_object().is_none()
    {
        let refusal = Refusal::new(code::INVALID_PARAMS, "params is a JSON object");
        return Err(Refusal { id, ..refusal });
    }
    let kind = match (id, method) {
        (Some(id), Some(method)) if !answers => Kind::Request { id, method },
        (None, Some(method)) if !answers => Kind::Notification { method },
        (Some(id), None) if answers => Kind::Response { id },
        _ => return Err(refused("a message is a request, a notification or a response")),
    };
    Ok(ClientMessage { kind, bytes, json })
}

fn id_in(bytes: &[u8]) -> Option<Id> {
    Id::read(&bytes[scan::find(bytes, &["id"])?])
}

/// Refuses members whose names are taken for one of `known` by readers that fold case.
pub(super) fn only_exact(
    members: &[(String, Json)],
    known: &[&str],
    within: &str,
) -> Result<(), Refusal> {
    for (name, _) in members {
        let meant = known.iter().find(|known| **known != name && folds_to(name, known));
        if let Some(meant) = meant {
            let why = format!(
                "{within}a member is named like \"{meant}\" but for upper and lower case, or what follows U+0000, and servers differ on what that is: write \"{meant}\""
            );
            return Err(Refusal::new(code::INVALID_REQUEST, why));
        }
    }
    Ok(())
}

/// Whether a name is the same to every reader: to those in C a text ends at U+0000.
pub(super) fn is_plain(name: &str) -> bool {
    !name.contains(char::is_control)
}

/// Whether they are one name to a reader that folds case: ASCII letters, and the
/// two others that fold to one; or to one for whom a text ends at U+0000.
fn folds_to(name: &str, known: &str) -> bool {
    let name = name.split('\0').next().unwrap_or_default();
    let fold = |c: char| match c {
        '\u{17F}' => 's',
        '\u{212A}' => 'k',
        c => c.to_ascii_lowercase(),
    };
    name.chars().map(fold).eq(known.chars().map(fold))
}

impl ClientMessage {
    /// The parameters, if there are any.
    pub fn params(&self) -> Option<&Json> {
        self.json.get("params")
    }

    /// Which protocol it belongs to.
    pub fn era(&self) -> Era {
        Era::of(self.params())
    }

    /// Whether the request says that its client knows the tasks of the extension.
    pub fn declares_tasks(&self) -> bool {
        let meta = || self.params()?.get("_meta")?.get(CLIENT_CAPABILITIES)?.get("extensions");
        self.era() == Era::Modern && meta().is_some_and(|e| e.get(TASKS).is_some())
    }

    /// The id, if it is a request.
    pub fn request_id(&self) -> Option<&Id> {
        match &self.kind {
            Kind::Request { id, .. } => Some(id),
            _ => None,
        }
    }

    /// The method, if it has one.
    pub fn method(&self) -> Option<&str> {
        match &self.kind {
            Kind::Request { method, .. } | Kind::Notification { method } => Some(method),
            Kind::Response { .. } => None,
        }
    }

    /// Where the value at this path lies in the bytes.
    pub fn find(&self, path: &[&str]) -> Option<Range<usize>> {
        scan::find(&self.bytes, path)
    }

    /// The bytes under another id.
    pub fn under(&self, id: &Id) -> Bytes {
        match self.find(&["id"]) {
            Some(place) => scan::replaced(&self.bytes, &[(place, id.as_str().as_bytes())]),
            None => self.bytes.clone(),
        }
    }

    /// The id of the request that this notification cancels.
    pub fn cancels(&self) -> Option<Id> {
        if self.method() != Some("notifications/cancelled") {
            return None;
        }
        Id::read(&self.bytes[self.find(&["params", "requestId"])?])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one_of(text: &str) -> Result<ClientMessage, Refusal> {
        match read(Bytes::copy_from_slice(text.as_bytes()))? {
            Incoming::One(message) => Ok(message),
            Incoming::Batch(_) => panic!("a batch: {text}"),
        }
    }

    #[test]
    fn requests_notifications_and_responses_are_told_apart() {
        let kind = |text| one_of(text).expect(text).kind;
        let id = Id::read(b"1").expect("an id");
        assert_eq!(
            kind(r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#),
            Kind::Request { id: id.clone(), method: "ping".to_owned() }
        );
        assert_eq!(
            kind(r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#),
            Kind::Notification { method: "notifications/initialized".to_owned() }
        );
        assert_eq!(kind(r#"{"jsonrpc":"2.0","id":1.0,"result":{}}"#), Kind::Response { id });
    }

    #[test]
    fn what_could_mean_two_things_is_refused() {
        for text in [
            r#"{"jsonrpc":"2.0","id":1,"method":"ping","method":"tools/call"}"#,
            r#"{"jsonrpc":"2.0","id":1,"method":"ping","Method":"tools/call"}"#,
            r#"{"jsonrpc":"2.0","id":1,"method":"ping","param\u017f":{}}"#,
            r#"{"jsonrpc":"2.0","id":1,"method":"ping","method\u0000":"tools/call"}"#,
            r#"{"jsonrpc":"2.0","id":1,"method":"tools/call\u0000","params":{"name":"a"}}"#,
            r#"{"jsonrpc":"2.0","id":1,"method":"tools/call\n","params":{"name":"a"}}"#,
            r#"{"jsonrpc":"2.0","id":1,"method":"ping","result":{}}"#,
            r#"{"jsonrpc":"2.0","id":null,"method":"tools/call"}"#,
            r#"{"jsonrpc":"2.0","id":true,"method":"tools/call"}"#,
            r#"{"jsonrpc":"2.0","id":1.5,"method":"tools/call"}"#,
            r#"{"jsonrpc":"2.0","id":[1],"method":"tools/call"}"#,
            r#"{"jsonrpc":"2.0","id":1,"method":["tools/call"]}"#,
            r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":[1]}"#,
            r#"{"jsonrpc":"1.0","id":1,"method":"ping"}"#,
            r#"{"id":1,"method":"ping"}"#,
            r#"{"jsonrpc":"2.0","id":1,"method":"ping"} {}"#,
            r#"{"jsonrpc":"2.0"}"#,
            "[]",
            "1",
            "",
        ] {
            let refused = read(Bytes::copy_from_slice(text.as_bytes()));
            assert!(refused.is_err(), "{text}");
        }
        assert!(one_of("\u{feff}{}").is_err());
    }

    #[test]
    fn a_line_within_the_line_is_not_a_line_to_the_server() {
        let inner = r#"{"jsonrpc":"2.0","id":2,"method":"tools/call"}"#;
        let text = format!(
            "{{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\",\"params\":{{\"x\":\r{inner}\r\n}}}}"
        );
        let message = one_of(&text).expect("one message");
        assert!(!message.bytes.iter().any(|b| matches!(b, b'\r' | b'\n')));
        assert_eq!(message.bytes.len(), text.len());
    }

    #[test]
    fn a_batch_is_taken_apart() {
        let text =
            r#"[{"jsonrpc":"2.0","id":1,"method":"ping"}, 7,{"jsonrpc":"2.0","method":"x"}]"#;
        let Ok(Incoming::Batch(parts)) = read(Bytes::copy_from_slice(text.as_bytes())) else {
            panic!("a batch");
        };
        assert_eq!(&parts[0].as_ref().expect("a ping").bytes[..], &text.as_bytes()[1..41]);
        assert_eq!(parts[1].as_ref().expect_err("no message").code, code::INVALID_REQUEST);
        assert_eq!(parts[2].as_ref().expect("told").method(), Some("x"));
        let many = format!("[{}1]", "1,".repeat(MAX_BATCH));
        assert!(read(Bytes::from(many)).is_err());
    }

    #[test]
    fn what_is_cancelled_is_named_by_its_id() {
        let text =
            r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":"a"}}"#;
        assert_eq!(one_of(text).expect("told").cancels(), Id::read(b"\"a\""));
        let moved = one_of(r#"{"jsonrpc":"2.0", "id" : 1,"method":"ping"}"#).expect("asked");
        let ours = Id::ours("h-1");
        assert_eq!(&moved.under(&ours)[..], br#"{"jsonrpc":"2.0", "id" : "h-1","method":"ping"}"#);
    }
}
