//! A `tools/call`, read strictly: what the agent wants, and how long its client
//! can wait for it.

use std::ops::Range;

use bytes::Bytes;

use super::client::{self, Incoming, code, is_plain, only_exact};
use super::{CLIENT_CAPABILITIES, CLIENT_INFO, ClientMessage, Era, Id, Kind, Refusal, TASKS, scan};
use crate::call::digest::{Covered, Digest};
use crate::call::json::Json;

/// The method by which tools are called.
pub const METHOD: &str = "tools/call";

/// The members of a call's parameters that decide what it does, or how it is answered.
const PARAMS: &[&str] = &["name", "arguments", "_meta", "inputResponses", "requestState", "task"];

/// One call of a tool.
#[derive(Debug, Clone)]
pub struct ToolCall {
    /// The whole message.
    pub message: ClientMessage,
    /// Its id.
    pub id: Id,
    /// The tool's name.
    pub tool: String,
    /// Which protocol it belongs to.
    pub era: Era,
    /// Where the arguments lie in the message; `None` if there are none.
    arguments: Option<Range<usize>>,
}

impl ToolCall {
    /// Whether this message calls a tool.
    pub fn is_one(message: &ClientMessage) -> bool {
        message.method() == Some(METHOD)
    }

    /// Reads a message that calls a tool.
    ///
    /// # Errors
    /// A call without an id, so that nobody would hear how it ended, and
    /// parameters that could be read in two ways.
    pub fn read(message: ClientMessage) -> Result<ToolCall, Refusal> {
        let Kind::Request { id, .. } = &message.kind else {
            let why = "a tools/call without an id is not forwarded: send it as a request";
            return Err(Refusal::new(code::INVALID_REQUEST, why));
        };
        let id = id.clone();
        let refused = |why: &str| Refusal::new(code::INVALID_PARAMS, why).of(&id);
        let params = message.params().and_then(Json::as_object).unwrap_or_default();
        only_exact(params, PARAMS, "params: ").map_err(|refusal| refusal.of(&id))?;
        let member = |name: &str| message.params().and_then(|params| params.get(name));
        let Some(tool) = member("name").and_then(Json::as_str) else {
            return Err(refused("params.name is the tool's name, a string"));
        };
        if !is_plain(tool) {
            return Err(refused("params.name has control characters, and no tool's name has"));
        }
        let tool = tool.to_owned();
        if member("arguments").is_some_and(|a| a.as_object().is_none()) {
            return Err(refused("params.arguments is a JSON object: send {}, or leave it out"));
        }
        if member("inputResponses").is_some_and(|r| r.as_object().is_none()) {
            return Err(refused("params.inputResponses is a JSON object"));
        }
        if member("requestState").is_some_and(|s| s.as_str().is_none()) {
            return Err(refused("params.requestState is a string"));
        }
        if member("_meta").is_some_and(|m| m.as_object().is_none()) {
            return Err(refused("params._meta is a JSON object"));
        }
        let arguments = message.find(&["params", "arguments"]);
        let era = message.era();
        Ok(ToolCall { message, id, tool, era, arguments })
    }

    fn param(&self, name: &str) -> Option<&Json> {
        self.message.params()?.get(name)
    }

    fn meta(&self, name: &str) -> Option<&Json> {
        self.param("_meta")?.get(name)
    }

    /// The arguments as they were sent; empty if there are none.
    pub fn arguments(&self) -> Bytes {
        self.arguments.clone().map_or_else(Bytes::new, |place| self.message.bytes.slice(place))
    }

    /// The arguments as they were read: an object; empty if there are none.
    pub fn tree(&self) -> &Json {
        const NONE: &Json = &Json::Object(Vec::new());
        self.param("arguments").unwrap_or(NONE)
    }

    /// The answers to what the server asked, as they were sent.
    pub fn input_responses(&self) -> Option<Bytes> {
        let place = self.message.find(&["params", "inputResponses"])?;
        Some(self.message.bytes.slice(place))
    }

    /// The names of what is answered in [`ToolCall::input_responses`].
    pub fn answered(&self) -> Vec<&str> {
        let responses = self.param("inputResponses").and_then(Json::as_object);
        responses.unwrap_or_default().iter().map(|(name, _)| name.as_str()).collect()
    }

    /// What the server gave the client to hand back.
    pub fn request_state(&self) -> Option<&str> {
        self.param("requestState").and_then(Json::as_str)
    }

    /// The JSON text of the token under which the client wants to hear of progress.
    pub fn progress_token(&self) -> Option<&str> {
        let place = self.message.find(&["params", "_meta", "progressToken"])?;
        // A token is as an id is: a string or a number.
        Id::read(&self.message.bytes[place.clone()])?;
        std::str::from_utf8(&self.message.bytes[place]).ok().map(str::trim)
    }

    /// The same call, of a client that cannot be told of progress.
    pub fn without_progress(self) -> ToolCall {
        let meta = self.message.find(&["params", "_meta"]);
        let bytes = meta.and_then(|meta| scan::without(&self.message.bytes, meta, "progressToken"));
        let read = bytes.and_then(|bytes| match client::read(bytes) {
            Ok(Incoming::One(message)) => ToolCall::read(message).ok(),
            _ => None,
        });
        read.unwrap_or(self)
    }

    /// Whether the client can wait for a task of the extension.
    pub fn takes_tasks(&self) -> bool {
        self.message.declares_tasks()
    }

    /// What a modern request says of its client: name and version.
    pub fn client_info(&self) -> Option<(&str, &str)> {
        let info = self.meta(CLIENT_INFO)?;
        let text = |name| info.get(name).and_then(Json::as_str);
        Some((text("name")?, text("version").unwrap_or_default()))
    }

    /// The names of what goes to the server beside what the digest covers, `_meta`
    /// aside, which clients fill with ids of their own: at most `most`, as one line.
    pub fn uncovered(&self, most: usize) -> Option<String> {
        let params = self.message.params().and_then(Json::as_object).unwrap_or_default();
        let covered = |name: &str| PARAMS.contains(&name) && name != "task";
        let mut names = params.iter().map(|(name, _)| name.as_str()).filter(|name| !covered(name));
        let shown: Vec<_> = names.by_ref().take(most).collect();
        let more = if names.next().is_some() { " and more" } else { "" };
        let mut line = format!("params.{}{more}", shown.join(", params."));
        while line.len() > 400 {
            line.pop();
        }
        (!shown.is_empty()).then_some(line)
    }

    /// The digest of this call at that server.
    pub fn digest(&self, server: &str) -> Digest {
        let none = Json::Object(Vec::new());
        Covered {
            server,
            tool: &self.tool,
            arguments: self.param("arguments").unwrap_or(&none),
            input_responses: self.param("inputResponses"),
            request_state: self.request_state(),
        }
        .digest()
    }

    /// The digest of the call that this one repeats with answers to what the server
    /// asked; its own, if it answers nothing.
    pub fn first_digest(&self, server: &str) -> Digest {
        let none = Json::Object(Vec::new());
        let arguments = self.param("arguments").unwrap_or(&none);
        let (input_responses, request_state) = (None, None);
        Covered { server, tool: &self.tool, arguments, input_responses, request_state }.digest()
    }

    /// The message as the server gets it once it may run: under an id of ours,
    /// and, if `alone`, without the client's word that it can wait for tasks, and
    /// that it wants to hear of progress.
    pub fn outgoing(&self, id: &Id, alone: bool) -> Bytes {
        let mut bytes = self.message.under(id);
        let meta = ["params", "_meta", CLIENT_CAPABILITIES, "extensions"];
        for (path, name) in [(&meta[..], TASKS), (&meta[..2], "progressToken")] {
            let object = scan::find(&bytes, path).filter(|_| alone);
            bytes = object.and_then(|o| scan::without(&bytes, o, name)).unwrap_or(bytes);
        }
        bytes
    }

    /// The same once more, with answers to what the server asked, and the state that
    /// it gave: the JSON text of each. They replace those that the call had.
    pub fn repeat(&self, id: &Id, responses: Option<&[u8]>, state: Option<&[u8]>) -> Option<Bytes> {
        let mut bytes = self.outgoing(id, true);
        let given = [("inputResponses", responses), ("requestState", state)];
        for (name, value) in given {
            let params = scan::find(&bytes, &["params"])?;
            bytes = scan::without(&bytes, params, name).unwrap_or(bytes);
            if let Some(value) = value {
                let params = scan::find(&bytes, &["params"])?;
                let value = std::str::from_utf8(value).ok()?;
                bytes = scan::with_member(&bytes, params, name, value)?;
            }
        }
        Some(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(params: &str) -> Result<ToolCall, Refusal> {
        let text = format!(r#"{{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{params}}}"#);
        match client::read(Bytes::from(text))? {
            Incoming::One(message) => ToolCall::read(message),
            Incoming::Batch(_) => panic!("a batch"),
        }
    }

    #[test]
    fn what_the_digest_covers_is_what_the_server_gets() {
        let call = call(r#"{"name":"set","arguments":{"k":9007199254740993}}"#).expect("a call");
        assert_eq!(&call.arguments()[..], br#"{"k":9007199254740993}"#);
        let again = client::read(call.outgoing(&Id::ours("h"), true)).expect("read again");
        let Incoming::One(again) = again else { panic!("one") };
        let again = ToolCall::read(again).expect("a call");
        assert_eq!(again.digest("s"), call.digest("s"));
        assert_ne!(again.digest("t"), call.digest("s"));
        assert_eq!(again.id, Id::ours("h"));
    }

    #[test]
    fn what_goes_along_uncovered_is_named() {
        let plain = call(r#"{"name":"a","arguments":{},"_meta":{"x":1}}"#).expect("a call");
        assert_eq!(plain.uncovered(2), None);
        let more = call(r#"{"name":"a","task":{},"force":true,"z":1}"#).expect("a call");
        assert_eq!(more.uncovered(2).as_deref(), Some("params.task, params.force and more"));
    }

    #[test]
    fn missing_arguments_are_empty_ones_and_null_is_refused() {
        let (absent, empty) = (call(r#"{"name":"a"}"#), call(r#"{"name":"a","arguments":{}}"#));
        assert_eq!(absent.expect("a call").digest("s"), empty.expect("a call").digest("s"));
        for params in [
            r#"{"name":"a","arguments":null}"#,
            r#"{"name":"a","arguments":[1]}"#,
            r#"{"name":"a","Arguments":{}}"#,
            r#"{"name":"a","arguments":{"x":1,"x":2}}"#,
            r#"{"name":1}"#,
            r#"{"name":"a\u0000b"}"#,
            r#"{"name":"a","name\u0000":"b"}"#,
            r#"{"arguments":{}}"#,
            r#"{"name":"a","requestState":1}"#,
            r#"{"name":"a","inputResponses":[]}"#,
            r#"{"name":"a","_meta":1}"#,
        ] {
            assert!(call(params).is_err(), "{params}");
        }
        let refused = call(r#"{"name":"a","arguments":null}"#).expect_err("null");
        assert_eq!(refused.id, Id::read(b"7"));
    }

    #[test]
    fn a_repeat_differs_in_what_it_answers_and_in_nothing_else() {
        let first = call(r#"{"name":"a","arguments":{"x":1},"requestState":"old"}"#).expect("one");
        let id = Id::ours("h");
        let answered = first.repeat(&id, Some(br#"{"q":{}}"#), Some(br#""new""#)).expect("spliced");
        assert_eq!(
            &answered[..],
            br#"{"jsonrpc":"2.0","id":"h","method":"tools/call","params":{"requestState":"new","inputResponses":{"q":{}},"name":"a","arguments":{"x":1}}}"#
        );
        let bare = first.repeat(&id, None, None).expect("spliced");
        let Ok(Incoming::One(bare)) = client::read(bare) else { panic!("one") };
        let bare = ToolCall::read(bare).expect("a call");
        assert_eq!((bare.request_state(), bare.answered().len()), (None, 0));
        assert_eq!(bare.first_digest("s"), first.first_digest("s"));
        assert_ne!(first.first_digest("s"), first.digest("s"));
    }

    #[test]
    fn a_call_that_nobody_waits_for_is_refused() {
        let text = r#"{"jsonrpc":"2.0","method":"tools/call","params":{"name":"a"}}"#;
        let Ok(Incoming::One(message)) = client::read(Bytes::from(text)) else { panic!("one") };
        assert!(ToolCall::is_one(&message));
        assert_eq!(ToolCall::read(message).expect_err("refused").code, code::INVALID_REQUEST);
    }

    #[test]
    fn what_the_client_can_wait_for_is_read_from_its_request() {
        let modern = call(
            r#"{"name":"a","_meta":{"progressToken": "t","io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientInfo":{"name":"c","version":"1"},"io.modelcontextprotocol/clientCapabilities":{"extensions":{"io.modelcontextprotocol/tasks":{},"x":{}}}}}"#,
        )
        .expect("a call");
        assert_eq!((modern.era, modern.takes_tasks()), (Era::Modern, true));
        assert_eq!(modern.progress_token(), Some("\"t\""));
        assert_eq!(modern.client_info(), Some(("c", "1")));
        let alone = modern.outgoing(&Id::ours("h"), true);
        assert!(!alone.windows(TASKS.len()).any(|w| w == TASKS.as_bytes()));
        assert!(!alone.windows(8).any(|w| w == b"progress"));
        assert!(alone.windows(7).any(|w| w == br#"{"x":{}"#));
        let told = modern.digest("s");
        let untold = modern.without_progress();
        assert_eq!((untold.progress_token(), untold.digest("s")), (None, told));
        assert!(untold.takes_tasks());
        let legacy = call(
            r#"{"name":"a","_meta":{"io.modelcontextprotocol/clientCapabilities":{"extensions":{"io.modelcontextprotocol/tasks":{}}}}}"#,
        )
        .expect("a call");
        assert_eq!((legacy.era, legacy.takes_tasks()), (Era::Legacy, false));
        assert_eq!(legacy.progress_token(), None);
    }
}
