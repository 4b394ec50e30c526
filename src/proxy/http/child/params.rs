//! Arguments that stand in headers too (`x-mcp-header`, 2026-07-28, "Custom Headers
//! from Tool Parameters"). A process does not see headers, so that they say what the
//! body says is for us to see to.
//!
//! Known are the tools of the lists that passed by: a client that has not seen a
//! tool's definition does not know which headers it wants.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use hyper::header::HeaderMap;

use crate::call::json::{Json, parse_envelope};
use crate::proxy::http::headers;
use crate::proxy::message::client::code;
use crate::proxy::message::scan::{find, items};
use crate::proxy::message::{Refusal, ServerMessage, ToolCall};

/// The most tools that are remembered of one server.
const TOOLS: usize = 5000;
/// The most arguments of one tool that may stand in headers, and how deep they may
/// lie: more than a request's head has room for.
const MOST: usize = 64;
const DEEPEST: usize = 16;

/// Which arguments stand in headers.
#[derive(Debug, Default)]
pub struct Params(Mutex<HashMap<String, Vec<Param>>>);

/// One such argument.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Param {
    header: String,
    /// The names on the way to it.
    path: Vec<String>,
}

impl Params {
    fn known(&self) -> MutexGuard<'_, HashMap<String, Vec<Param>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes note of a list of tools.
    pub fn learn(&self, answer: &ServerMessage) {
        let list = find(&answer.bytes, &["result", "tools"]);
        let list = list.and_then(|place| items(&answer.bytes, place, TOOLS)).unwrap_or_default();
        let mut known = self.known();
        for tool in list {
            let Ok(tool) = parse_envelope(&answer.bytes[tool]) else { continue };
            let Some(name) = tool.get("name").and_then(Json::as_str) else { continue };
            let mut found = Vec::new();
            if let Some(schema) = tool.get("inputSchema") {
                params(schema, &mut Vec::new(), &mut found);
            }
            if found.is_empty() {
                known.remove(name);
            } else if known.len() < TOOLS || known.contains_key(name) {
                known.insert(name.to_owned(), found);
            }
        }
    }

    /// Forgets all: the tools are others now.
    pub fn forget(&self) {
        self.known().clear();
    }

    /// Whether headers say of a call's arguments what its body says.
    ///
    /// # Errors
    /// One is missing, says something else, or nothing.
    pub fn agree(&self, headers: &HeaderMap, call: &ToolCall) -> Result<(), Refusal> {
        let Some(params) = self.known().get(&call.tool).cloned() else { return Ok(()) };
        let arguments = call.message.params().and_then(|params| params.get("arguments"));
        for Param { header, path } in params {
            let value = path.iter().try_fold(arguments, |value, name| Some(value?.get(name)));
            let value = value.flatten().filter(|value| !value.is_null());
            let wrong = match (headers::text_of(headers, &header), value) {
                (Ok(None), None) => continue,
                (Ok(Some(said)), Some(value)) if says(&said, value) => continue,
                (Ok(None), Some(_)) => "is missing",
                (Ok(Some(_)), _) => "does not say what the body says",
                (Err(_), _) => "is not one text",
            };
            let why = format!("the header {header} {wrong}");
            return Err(Refusal::new(code::HEADER_MISMATCH, why).of(&call.id));
        }
        Ok(())
    }
}

/// The arguments of a schema that stand in headers.
fn params(schema: &Json, path: &mut Vec<String>, found: &mut Vec<Param>) {
    let properties = schema.get("properties").and_then(Json::as_object).unwrap_or_default();
    for (name, property) in properties {
        if found.len() == MOST || path.len() == DEEPEST {
            return;
        }
        path.push(name.clone());
        if let Some(header) = property.get("x-mcp-header").and_then(Json::as_str) {
            let header = format!("{}{}", headers::PARAM, header.to_ascii_lowercase());
            found.push(Param { header, path: path.clone() });
        }
        params(property, path, found);
        path.pop();
    }
}

/// Whether a header says a value.
fn says(said: &str, value: &Json) -> bool {
    match value {
        Json::String(text) => said == text,
        Json::Bool(yes) => said == if *yes { "true" } else { "false" },
        // `42.0` is 42.
        Json::Number(number) => said.trim().parse::<f64>().ok() == number.as_f64(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use hyper::header::{HeaderName, HeaderValue};

    use super::*;
    use crate::proxy::message::{Incoming, client};

    fn agrees(arguments: &str, said: &[(&str, &str)]) -> bool {
        let tool = r#"{"name":"t","inputSchema":{"properties":{"region":{"type":"string","x-mcp-header":"Region"},"in":{"properties":{"n":{"type":"integer","x-mcp-header":"N"}}}}}}"#;
        let list = format!(r#"{{"id":1,"result":{{"tools":[{tool},{{"name":"u"}}]}}}}"#);
        let params = Params::default();
        params.learn(&ServerMessage::read(list.into()));
        let text = format!(
            r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"name":"t","arguments":{arguments}}}}}"#
        );
        let Ok(Incoming::One(message)) = client::read(Bytes::from(text)) else { panic!("one") };
        let call = ToolCall::read(message).expect("a call");
        let mut headers = HeaderMap::new();
        for (name, value) in said {
            let name = name.parse::<HeaderName>().expect("a name");
            headers.append(name, HeaderValue::from_str(value).expect("a value"));
        }
        params.agree(&headers, &call).is_ok()
    }

    #[test]
    fn arguments_in_headers_are_what_the_body_says() {
        let region = "Mcp-Param-Region";
        assert!(agrees(r#"{"region":"us"}"#, &[(region, "us")]));
        assert!(agrees(r#"{"region":"Hello"}"#, &[(region, "=?base64?SGVsbG8=?=")]));
        assert!(agrees(r#"{"in":{"n":42}}"#, &[("Mcp-Param-N", "42.0")]));
        assert!(agrees(r#"{"region":null}"#, &[("Mcp-Param-Other", "x")]));
        assert!(!agrees(r#"{"region":"us"}"#, &[]));
        assert!(!agrees(r#"{"region":"us"}"#, &[(region, "eu")]));
        assert!(!agrees("{}", &[(region, "us")]));
        assert!(!agrees(r#"{"region":"us"}"#, &[(region, "us"), (region, "us")]));
        assert!(!agrees(r#"{"region":"Hello"}"#, &[(region, "=?base64?SGVsbG8?=")]));
        assert!(!agrees(r#"{"in":{"n":42}}"#, &[("Mcp-Param-N", "x")]));
    }
}
