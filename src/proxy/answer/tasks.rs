//! The shapes of the tasks extension, and its announcement.

use bytes::Bytes;
use chrono::{DateTime, SecondsFormat, Utc};

use super::{number, text};
use crate::call::json::Json;
use crate::proxy::message::client::code;
use crate::proxy::message::scan::{find, members, with_member};
use crate::proxy::message::{Id, TASKS};

/// How soon a client is to ask again. Asking costs next to nothing, and an
/// approved call should not wait long for whoever wants its result.
const POLL_EVERY_MS: i64 = 2000;

/// What a task looks like from outside.
#[derive(Debug)]
pub struct View<'a> {
    /// Its id.
    pub id: &'a str,
    /// `working`, `input_required`, `completed`, `failed` or `cancelled`.
    pub status: &'static str,
    /// What a person may want to know.
    pub message: Option<String>,
    /// When it was created.
    pub created: DateTime<Utc>,
    /// When it last changed.
    pub updated: DateTime<Utc>,
    /// How long it is kept, from its creation; none: as long as the daemon's record.
    pub ttl_ms: Option<i64>,
    /// What comes with the status: the member's name, and its JSON text.
    pub with: Option<(&'static str, Bytes)>,
}

impl View<'_> {
    /// The result of a call that became a task.
    pub fn created(&self, id: &Id) -> Bytes {
        self.result(id, "task")
    }

    /// The result of `tasks/get`.
    pub fn got(&self, id: &Id) -> Bytes {
        self.result(id, "complete")
    }

    fn result(&self, id: &Id, kind: &str) -> Bytes {
        let time = |at: DateTime<Utc>| text(&at.to_rfc3339_opts(SecondsFormat::Millis, true));
        let mut members = vec![
            ("resultType", text(kind)),
            ("taskId", text(self.id)),
            ("status", text(self.status)),
        ];
        members.extend(self.message.as_ref().map(|message| ("statusMessage", text(message))));
        members.extend([
            ("createdAt", time(self.created)),
            ("lastUpdatedAt", time(self.updated)),
            ("ttlMs", self.ttl_ms.map_or(Json::Null, number)),
            ("pollIntervalMs", number(POLL_EVERY_MS)),
        ]);
        let result = Json::object(members).to_text();
        let head = format!(r#"{{"jsonrpc":"2.0","id":{},"result":{result}"#, id.as_str());
        let mut message = head.into_bytes();
        // What the server said goes back as the bytes it was.
        if let Some((name, value)) = &self.with {
            message.pop();
            message.extend_from_slice(format!(r#","{name}":"#).as_bytes());
            message.extend_from_slice(value);
            message.push(b'}');
        }
        message.push(b'}');
        message.into()
    }
}

/// The answer to `tasks/update` and `tasks/cancel`.
pub fn acknowledged(id: &Id) -> Bytes {
    super::result(id, &Json::object([("resultType", text("complete"))]))
}

/// The error for a request about a task that does not declare the extension.
pub fn not_declared(id: &Id) -> Bytes {
    let required = Json::object([(TASKS, Json::object::<&str>([]))]);
    let required = Json::object([("extensions", required)]);
    let data = Json::object([("requiredCapabilities", required)]);
    let error = Json::object([
        ("code", number(i64::from(code::MISSING_CAPABILITY))),
        ("message", text("this request has to declare the tasks extension in its _meta")),
        ("data", data),
    ]);
    let error = error.to_text();
    format!(r#"{{"jsonrpc":"2.0","id":{},"error":{error}}}"#, id.as_str()).into()
}

/// A server's answer to `server/discover`, saying that calls may become tasks. What
/// it says itself stays; an answer that is none stays as it is.
pub fn announced(answer: &Bytes) -> Bytes {
    let missing = [
        ("capabilities", &["result"][..]),
        ("extensions", &["result", "capabilities"]),
        (TASKS, &["result", "capabilities", "extensions"]),
    ];
    let mut bytes = answer.clone();
    for (name, path) in missing {
        let Some(object) = find(&bytes, path) else { return answer.clone() };
        let Some(inside) = members(&bytes, object.clone()) else { return answer.clone() };
        if inside.iter().all(|member| member.name != name) {
            match with_member(&bytes, object, name, "{}") {
                Some(with) => bytes = with,
                None => return answer.clone(),
            }
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_task_is_shown_with_the_servers_own_bytes() {
        let at = DateTime::UNIX_EPOCH;
        let view = View {
            id: "holdpoint-task-1",
            status: "completed",
            message: Some("done".to_owned()),
            created: at,
            updated: at,
            ttl_ms: Some(5),
            with: Some(("result", Bytes::from_static(br#"{"n": 1.0}"#))),
        };
        let id = Id::read(b"7").expect("an id");
        assert_eq!(
            view.got(&id),
            &br#"{"jsonrpc":"2.0","id":7,"result":{"resultType":"complete","taskId":"holdpoint-task-1","status":"completed","statusMessage":"done","createdAt":"1970-01-01T00:00:00.000Z","lastUpdatedAt":"1970-01-01T00:00:00.000Z","ttlMs":5,"pollIntervalMs":2000,"result":{"n": 1.0}}}"#[..]
        );
        let view = View { ttl_ms: None, message: None, with: None, status: "working", ..view };
        let created = view.created(&id);
        assert!(created.ends_with(br#""ttlMs":null,"pollIntervalMs":2000}}"#), "{created:?}");
        assert!(crate::call::json::parse(&created).is_ok());
        assert!(crate::call::json::parse(&not_declared(&id)).is_ok());
        assert_eq!(
            acknowledged(&id),
            &br#"{"jsonrpc":"2.0","id":7,"result":{"resultType":"complete"}}"#[..]
        );
    }

    #[test]
    fn the_extension_is_announced_beside_what_the_server_has() {
        let announced = |text: &'static str| {
            String::from_utf8(announced(&Bytes::from_static(text.as_bytes())).into()).expect("text")
        };
        for (said, expected) in [
            (
                r#"{"id":1,"result":{"capabilities":{"tools":{},"extensions":{"x":{}}}}}"#,
                r#"{"id":1,"result":{"capabilities":{"tools":{},"extensions":{"io.modelcontextprotocol/tasks":{},"x":{}}}}}"#,
            ),
            (
                r#"{"id":1,"result":{"capabilities":{}}}"#,
                r#"{"id":1,"result":{"capabilities":{"extensions":{"io.modelcontextprotocol/tasks":{}}}}}"#,
            ),
            (
                r#"{"id":1,"result":{}}"#,
                r#"{"id":1,"result":{"capabilities":{"extensions":{"io.modelcontextprotocol/tasks":{}}}}}"#,
            ),
        ] {
            assert_eq!(announced(said), expected);
            assert_eq!(announced(expected), expected);
        }
        for other in [
            r#"{"id":1,"error":{"code":-32601}}"#,
            r#"{"id":1,"result":{"capabilities":{"extensions":1}}}"#,
            r#"{"id":1,"result":[]}"#,
            "hello",
        ] {
            assert_eq!(announced(other), other);
        }
    }
}
