//! The one JSON of this project: a tree that keeps what was sent.
//!
//! What an agent sends is parsed once, by [`parse()`], and everything reads this
//! tree: policy, masking, the digest, what the operator sees. What we write
//! ourselves (CLI lines, audit payloads) is built with it too.
//!
//! Promises: member order and the text of numbers are kept, and
//! `parse(x.to_text()) == x`. What [`Json::to_text`] writes is safe on a terminal
//! and in a log: every control, bidi or invisible character is escaped, which
//! JSON allows anywhere in a string. Must never: round a number, drop a
//! duplicate member quietly, or give any member name a meaning of its own
//! (`__proto__` and `$serde_json::private::RawValue` are names like others).

mod error;
mod number;
mod parse;
#[cfg(test)]
pub(crate) mod tests;

use std::fmt;

pub use error::{JsonError, JsonErrorKind};
pub use number::Number;
pub use parse::{MAX_DEPTH, parse, parse_envelope, parse_object};

/// A JSON value, as it was sent.
///
/// Equality is literal: `1.0` and `1` differ here, and so do two objects with
/// the same members in another order. Whether two values *mean* the same is
/// what [`Json::canonical`] answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Json {
    /// `null`
    Null,
    /// `true` or `false`
    Bool(bool),
    /// A number, in the digits it was sent in.
    Number(Number),
    /// A string, unescaped.
    String(String),
    /// An array.
    Array(Vec<Json>),
    /// An object: members in the order they were sent, each name once.
    Object(Vec<(String, Json)>),
}

impl Json {
    /// An object with these members, in this order.
    ///
    /// For building our own output: names are expected to differ, and a name
    /// that comes twice is a bug of the caller (the later one is dropped, so
    /// that what is written can still be parsed).
    pub fn object<K: Into<String>>(members: impl IntoIterator<Item = (K, Json)>) -> Json {
        let mut seen = std::collections::HashSet::new();
        let members = members.into_iter().map(|(name, value)| (name.into(), value));
        Json::Object(members.filter(|(name, _)| seen.insert(name.clone())).collect())
    }

    /// An array with these items.
    pub fn array<V: Into<Json>>(items: impl IntoIterator<Item = V>) -> Json {
        Json::Array(items.into_iter().map(Into::into).collect())
    }

    /// The member called `name`, if this is an object that has one.
    pub fn get(&self, name: &str) -> Option<&Json> {
        let members = self.as_object()?;
        members.iter().find(|(n, _)| n == name).map(|(_, value)| value)
    }

    /// The text, if this is a string.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Json::String(s) => Some(s),
            _ => None,
        }
    }

    /// The truth value, if this is one.
    pub fn as_bool(&self) -> Option<bool> {
        match self {
            Json::Bool(b) => Some(*b),
            _ => None,
        }
    }

    /// The number, if this is one.
    pub fn as_number(&self) -> Option<&Number> {
        match self {
            Json::Number(n) => Some(n),
            _ => None,
        }
    }

    /// The exact value, if this is a whole number within `u64` (`1.0` and `1e0` are 1).
    pub fn as_u64(&self) -> Option<u64> {
        self.as_number()?.as_u64()
    }

    /// The exact value, if this is a whole number within `i64` (`1.0` and `1e0` are 1).
    pub fn as_i64(&self) -> Option<i64> {
        self.as_number()?.as_i64()
    }

    /// The nearest double, if this is a number within the range of one. Not exact.
    pub fn as_f64(&self) -> Option<f64> {
        self.as_number()?.as_f64()
    }

    /// The items, if this is an array.
    pub fn as_array(&self) -> Option<&[Json]> {
        match self {
            Json::Array(items) => Some(items),
            _ => None,
        }
    }

    /// The members in the order they were sent, if this is an object.
    pub fn as_object(&self) -> Option<&[(String, Json)]> {
        match self {
            Json::Object(members) => Some(members),
            _ => None,
        }
    }

    /// Whether this is `null`.
    pub fn is_null(&self) -> bool {
        matches!(self, Json::Null)
    }

    /// Compact JSON on one line: order and number text kept, nothing in it that
    /// a terminal or a log would act on.
    pub fn to_text(&self) -> String {
        let mut out = String::new();
        self.write_text(&mut out);
        out
    }

    /// Appends what [`Json::to_text`] returns.
    pub fn write_text(&self, out: &mut String) {
        match self {
            Json::Null => out.push_str("null"),
            Json::Bool(true) => out.push_str("true"),
            Json::Bool(false) => out.push_str("false"),
            Json::Number(n) => out.push_str(n.as_str()),
            Json::String(s) => write_string(out, s, super::safe_text::is_hidden),
            Json::Array(items) => {
                out.push('[');
                for (i, item) in items.iter().enumerate() {
                    if i > 0 {
                        out.push(',');
                    }
                    item.write_text(out);
                }
                out.push(']');
            }
            Json::Object(members) => {
                out.push('{');
                for (i, (name, value)) in members.iter().enumerate() {
                    if i > 0 {
                        out.push(',');
                    }
                    write_string(out, name, super::safe_text::is_hidden);
                    out.push(':');
                    value.write_text(out);
                }
                out.push('}');
            }
        }
    }

    /// The canonical form, which the digest is taken over: see [`super::canonical`].
    pub fn canonical(&self) -> String {
        super::canonical::canonical(self)
    }
}

/// Appends `s` as a JSON string. Escaped are what RFC 8259 demands (with the
/// short forms that RFC 8785 prescribes), and what `also` asks for.
pub(super) fn write_string(out: &mut String, s: &str, also: impl Fn(char) -> bool) {
    out.push('"');
    for c in s.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\u{8}' => out.push_str("\\b"),
            '\t' => out.push_str("\\t"),
            '\n' => out.push_str("\\n"),
            '\u{c}' => out.push_str("\\f"),
            '\r' => out.push_str("\\r"),
            ' '..='~' => out.push(c),
            c if c < ' ' || also(c) => {
                let mut units = [0u16; 2];
                for unit in c.encode_utf16(&mut units) {
                    out.push_str(&format!("\\u{unit:04x}"));
                }
            }
            c => out.push(c),
        }
    }
    out.push('"');
}

/// The same as [`Json::to_text`].
impl fmt::Display for Json {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_text())
    }
}

impl From<&str> for Json {
    fn from(s: &str) -> Json {
        Json::String(s.to_owned())
    }
}

impl From<String> for Json {
    fn from(s: String) -> Json {
        Json::String(s)
    }
}

impl From<bool> for Json {
    fn from(b: bool) -> Json {
        Json::Bool(b)
    }
}

impl From<Number> for Json {
    fn from(n: Number) -> Json {
        Json::Number(n)
    }
}

impl From<u32> for Json {
    fn from(n: u32) -> Json {
        Json::Number(n.into())
    }
}

impl From<u64> for Json {
    fn from(n: u64) -> Json {
        Json::Number(n.into())
    }
}

impl From<i64> for Json {
    fn from(n: i64) -> Json {
        Json::Number(n.into())
    }
}

impl From<usize> for Json {
    fn from(n: usize) -> Json {
        // usize is at most 64 bits on every target there is.
        Json::Number((n as u64).into())
    }
}

impl From<Vec<Json>> for Json {
    fn from(items: Vec<Json>) -> Json {
        Json::Array(items)
    }
}

/// `None` is `null`.
impl<T: Into<Json>> From<Option<T>> for Json {
    fn from(value: Option<T>) -> Json {
        value.map_or(Json::Null, Into::into)
    }
}
