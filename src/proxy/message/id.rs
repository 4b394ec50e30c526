//! A JSON-RPC id: which answer belongs to which request.

use std::fmt;
use std::sync::OnceLock;

use crate::call::json::{Json, parse};

/// An id as MCP allows it: a string, or a whole number.
///
/// Equal ids mean the same value, however they were written: `1`, `1.0` and
/// `1e0` are one id, `1` and `"1"` are two.
#[derive(Debug, Clone)]
pub struct Id {
    /// As it was sent.
    text: Box<str>,
    /// Canonical JSON: what is compared.
    key: Box<str>,
}

/// The longest id, in bytes as it was sent. A request's id is kept while it
/// waits; no client needs more.
const MAX_ID: usize = 1024;

impl Id {
    /// Reads the JSON text of an id.
    pub fn read(text: &[u8]) -> Option<Id> {
        if text.len() > MAX_ID {
            return None;
        }
        let json = parse(text).ok()?;
        let is_id = match &json {
            Json::String(_) => true,
            Json::Number(n) => n.as_i64().is_some(),
            _ => false,
        };
        let text = std::str::from_utf8(text).ok()?.trim();
        is_id.then(|| Id { text: text.into(), key: json.canonical().into() })
    }

    /// A string of our own as an id.
    pub fn ours(name: &str) -> Id {
        let text: Box<str> = Json::String(name.to_owned()).to_text().into();
        Id { key: text.clone(), text }
    }

    /// An id for a request of this process: nobody else can know it before it is
    /// sent, and another proxy before or behind this one has others.
    pub fn minted(name: &str) -> Id {
        Id::ours(&format!("{}{name}", minted_with()))
    }

    /// The name that an id was minted with, if it was by this process.
    pub fn minted_name(&self) -> Option<&str> {
        let text = self.text.strip_prefix('"')?.strip_suffix('"')?;
        text.strip_prefix(minted_with())
    }

    /// The JSON text, as it was sent.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

/// How ids begin that this process mints.
fn minted_with() -> &'static str {
    static BEGIN: OnceLock<String> = OnceLock::new();
    BEGIN.get_or_init(|| {
        let random = uuid::Uuid::new_v4().simple().to_string();
        format!("holdpoint-{}-", &random[..12])
    })
}

impl PartialEq for Id {
    fn eq(&self, other: &Id) -> bool {
        self.key == other.key
    }
}

impl Eq for Id {}

impl std::hash::Hash for Id {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.key.hash(state);
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_a_string_or_a_whole_number_and_means_its_value() {
        let id = |text: &str| Id::read(text.as_bytes());
        assert_eq!(id("1"), id("1.0"));
        assert_eq!(id("\"a\""), id("\"\\u0061\""));
        assert_ne!(id("1"), id("\"1\""));
        assert_eq!(id("1e0").expect("whole").as_str(), "1e0");
        for none in ["null", "true", "1.5", "{}", "[1]", "", "1 2", "\"\\ud800\""] {
            assert_eq!(id(none), None, "{none}");
        }
        assert_eq!(id(&format!("\"{}\"", "x".repeat(2000))), None);
        let minted = Id::minted("n7");
        assert_eq!(minted.minted_name(), Some("n7"));
        assert!(id("\"holdpoint-n7\"").expect("an id").minted_name().is_none());
        assert_eq!(Id::ours("h\"1").as_str(), r#""h\"1""#);
    }
}
