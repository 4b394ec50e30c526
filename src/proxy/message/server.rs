//! What a server said: only the parts that we need to know.
//!
//! Promises: never refuses anything. What is not JSON-RPC is [`Said::Other`], and
//! is passed on for the client to judge, as it would be without us.

use bytes::Bytes;

use super::scan::{find, members};
use super::{Id, scan};

/// What a server said.
#[derive(Debug, Clone)]
pub struct ServerMessage {
    /// As it was sent.
    pub bytes: Bytes,
    /// What it is.
    pub said: Said,
}

/// What a message of a server is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Said {
    /// The answer to the request with this id.
    Answer(Id),
    /// Something that it asks the client (legacy only).
    Request(Id, String),
    /// Something that it tells.
    Notification(String),
    /// Nothing that we know.
    Other,
}

/// How a call ended, by what the server answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ended {
    /// With a result.
    Succeeded,
    /// With a result that says it failed, or with a JSON-RPC error: its code.
    Failed(Option<i64>),
    /// Not yet: the server wants something first.
    InputRequired {
        /// The names of what is asked.
        asked: Vec<String>,
        /// What the client has to hand back.
        state: Option<String>,
    },
    /// Not yet: the server made a task of it.
    Task,
}

impl ServerMessage {
    /// Looks at a message.
    pub fn read(bytes: Bytes) -> ServerMessage {
        let said = said(&bytes).unwrap_or(Said::Other);
        ServerMessage { bytes, said }
    }

    /// The bytes under another id.
    pub fn under(&self, id: &Id) -> Bytes {
        match find(&self.bytes, &["id"]) {
            Some(place) => scan::replaced(&self.bytes, &[(place, id.as_str().as_bytes())]),
            None => self.bytes.clone(),
        }
    }

    /// The id or token at this path, if there is one.
    pub fn id_at(&self, path: &[&str]) -> Option<Id> {
        Id::read(&self.bytes[find(&self.bytes, path)?])
    }

    /// The text at this path, if there is one.
    pub fn text_at(&self, path: &[&str]) -> Option<String> {
        let place = find(&self.bytes, path)?;
        scan::text(&self.bytes[place]).map(|text| text.into_owned())
    }

    /// The message with another id or token at this path, where there is one.
    pub fn with_id_at(self, path: &[&str], id: &Id) -> ServerMessage {
        match find(&self.bytes, path) {
            Some(place) => {
                let bytes = scan::replaced(&self.bytes, &[(place, id.as_str().as_bytes())]);
                ServerMessage { bytes, said: self.said }
            }
            None => self,
        }
    }

    /// The token of a notification of progress.
    pub fn progress_token(&self) -> Option<Id> {
        match &self.said {
            Said::Notification(method) if method == "notifications/progress" => {
                self.id_at(&["params", "progressToken"])
            }
            _ => None,
        }
    }

    /// A notification of progress whose numbers begin after `count`.
    pub fn with_progress_after(self, count: u64) -> Bytes {
        if count == 0 {
            return self.bytes;
        }
        let moved = |name: &str| {
            let place = find(&self.bytes, &["params", name])?;
            let number: f64 = std::str::from_utf8(&self.bytes[place.clone()]).ok()?.parse().ok()?;
            let moved = number + count as f64;
            moved.is_finite().then(|| (place, format!("{moved}").into_bytes()))
        };
        let mut parts: Vec<_> = ["progress", "total"].into_iter().filter_map(moved).collect();
        parts.sort_by_key(|(place, _)| place.start);
        let parts: Vec<_> = parts.iter().map(|(place, with)| (place.clone(), &with[..])).collect();
        scan::replaced(&self.bytes, &parts)
    }

    /// How the call ended that this is the answer to.
    pub fn ended(&self) -> Ended {
        if let Some(place) = find(&self.bytes, &["error"]) {
            let code = find(&self.bytes[place.clone()], &["code"]);
            let code = code.and_then(|code| std::str::from_utf8(&self.bytes[place][code]).ok());
            return Ended::Failed(code.and_then(|code| code.trim().parse().ok()));
        }
        match self.text_at(&["result", "resultType"]).as_deref() {
            Some("input_required") => {
                let asked = find(&self.bytes, &["result", "inputRequests"]);
                let asked = asked.and_then(|place| members(&self.bytes, place));
                let asked = asked.unwrap_or_default();
                let asked = asked.into_iter().map(|m| m.name.into_owned()).collect();
                return Ended::InputRequired {
                    asked,
                    state: self.text_at(&["result", "requestState"]),
                };
            }
            Some("task") => return Ended::Task,
            _ => {}
        }
        let is_error = find(&self.bytes, &["result", "isError"]);
        match is_error.map(|place| self.bytes[place].trim_ascii() == b"true") {
            Some(true) => Ended::Failed(None),
            _ => Ended::Succeeded,
        }
    }
}

fn said(bytes: &[u8]) -> Option<Said> {
    let inside = members(bytes, 0..bytes.len())?;
    let value = |name: &str| {
        let member = inside.iter().rev().find(|member| member.name == name)?;
        Some(&bytes[member.value.clone()])
    };
    let id = value("id").map(Id::read);
    match (value("method"), id) {
        (Some(method), None) => Some(Said::Notification(scan::text(method)?.into_owned())),
        (Some(method), Some(id)) => Some(Said::Request(id?, scan::text(method)?.into_owned())),
        (None, Some(id)) if value("result").or(value("error")).is_some() => Some(Said::Answer(id?)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> ServerMessage {
        ServerMessage::read(Bytes::copy_from_slice(text.as_bytes()))
    }

    #[test]
    fn answers_requests_and_notifications_are_told_apart() {
        let id = Id::read(b"1").expect("an id");
        assert_eq!(read(r#"{"jsonrpc":"2.0","id":1,"result":{}}"#).said, Said::Answer(id.clone()));
        assert_eq!(
            read(r#"{"jsonrpc":"2.0","id":1,"method":"roots/list"}"#).said,
            Said::Request(id, "roots/list".to_owned())
        );
        let progress = r#"{"method":"notifications/progress","params":{"progressToken":"t"}}"#;
        assert_eq!(read(progress).progress_token(), Id::read(b"\"t\""));
        for other in ["", "Listening on 8080", "{}", "[1]", r#"{"id":{},"result":1}"#] {
            assert_eq!(read(other).said, Said::Other, "{other}");
        }
    }

    #[test]
    fn an_answer_tells_how_the_call_ended() {
        let ended = |result: &str| read(&format!(r#"{{"id":1,{result}}}"#)).ended();
        assert_eq!(ended(r#""result":{"content":[]}"#), Ended::Succeeded);
        assert_eq!(ended(r#""result":{"isError":false}"#), Ended::Succeeded);
        assert_eq!(ended(r#""result":{"isError" : true}"#), Ended::Failed(None));
        assert_eq!(ended(r#""error":{"code":-32602,"message":""}"#), Ended::Failed(Some(-32602)));
        assert_eq!(ended(r#""result":{"resultType":"task","taskId":"x"}"#), Ended::Task);
        assert_eq!(
            ended(
                r#""result":{"resultType":"input_required","inputRequests":{"a":{}},"requestState":"s"}"#
            ),
            Ended::InputRequired { asked: vec!["a".to_owned()], state: Some("s".to_owned()) }
        );
    }

    #[test]
    fn progress_of_the_server_goes_on_where_ours_ended() {
        let text = r#"{"method":"notifications/progress","params":{"progressToken":"t","total":10,"progress":0.5}}"#;
        assert_eq!(&read(text).with_progress_after(0)[..], text.as_bytes());
        let moved = read(text).with_progress_after(3);
        assert!(moved.ends_with(br#""total":13,"progress":3.5}}"#), "{moved:?}");
    }

    #[test]
    fn an_answer_moves_to_the_id_that_the_client_knows() {
        let answer = read(r#"{"jsonrpc":"2.0","result":{"id":5},"id":"h-1"}"#);
        let id = Id::read(b"12").expect("an id");
        assert_eq!(&answer.under(&id)[..], br#"{"jsonrpc":"2.0","result":{"id":5},"id":12}"#);
    }
}
