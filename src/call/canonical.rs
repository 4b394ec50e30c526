//! The canonical form: one text for everything that means the same.
//!
//! RFC 8785 (JCS) with one departure, told at [`Number::canonical`]: a number
//! that a double cannot hold keeps its exact digits.
//!
//! Promises: two trees have the same canonical text exactly when they differ in
//! nothing but member order and the spelling of numbers. Must never: change.
//! Digests in databases and exports were taken over this form.
//!
//! [`Number::canonical`]: super::json::Number::canonical

use super::json::{Json, write_string};

/// The canonical text of `value`.
pub fn canonical(value: &Json) -> String {
    let mut out = String::new();
    write(&mut out, value);
    out
}

/// Appends the canonical text of `value`.
pub(super) fn write(out: &mut String, value: &Json) {
    match value {
        Json::Null => out.push_str("null"),
        Json::Bool(true) => out.push_str("true"),
        Json::Bool(false) => out.push_str("false"),
        Json::Number(number) => out.push_str(&number.canonical()),
        Json::String(text) => string(out, text),
        Json::Array(items) => {
            out.push('[');
            for (i, item) in items.iter().enumerate() {
                if i > 0 {
                    out.push(',');
                }
                write(out, item);
            }
            out.push(']');
        }
        Json::Object(members) => {
            let mut members: Vec<&(String, Json)> = members.iter().collect();
            // By UTF-16 code units, as the RFC demands. UTF-8 order differs:
            // U+10000 and above start with a surrogate, below U+E000.
            members.sort_by(|a, b| a.0.encode_utf16().cmp(b.0.encode_utf16()));
            out.push('{');
            for (i, (name, value)) in members.into_iter().enumerate() {
                if i > 0 {
                    out.push(',');
                }
                string(out, name);
                out.push(':');
                write(out, value);
            }
            out.push('}');
        }
    }
}

/// Appends a string as JCS writes it: nothing is escaped but what JSON demands.
pub(super) fn string(out: &mut String, text: &str) {
    write_string(out, text, |_| false);
}

#[cfg(test)]
#[path = "canonical_tests.rs"]
mod tests;
