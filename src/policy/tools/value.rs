//! A `value:` of a condition, as JSON: what it is compared with is JSON.
//!
//! Must never: guess. What one reader of YAML takes for text and another for a
//! number, a date or a boolean is refused.

use crate::call::json::{Json, Number};
use crate::config::names::shortened;
use crate::policy::problem::Problems;
use crate::policy::values::unambiguous;
use crate::policy::yaml::{Node, Scalar, Value};

/// The value; `None`: that is a problem, and was reported.
pub(super) fn json(node: &Node, problems: &mut Problems) -> Option<Json> {
    match &node.value {
        Value::Scalar(scalar) => single(scalar, node, problems),
        // Every item is read before one may end it all: each has its own problem.
        Value::List(nodes) => {
            let items: Vec<_> = nodes.iter().map(|node| json(node, problems)).collect();
            Some(Json::Array(items.into_iter().collect::<Option<_>>()?))
        }
        Value::Map(entries) => {
            let mut members = Vec::with_capacity(entries.len());
            for entry in entries {
                let clear = unambiguous(&entry.key, entry.place, problems);
                members.push(json(&entry.node, problems).filter(|_| clear).map(|value| {
                    let name: String = entry.key.text.clone();
                    (name, value)
                }));
            }
            Some(Json::Object(members.into_iter().collect::<Option<_>>()?))
        }
        Value::Refused => None,
    }
}

fn single(scalar: &Scalar, node: &Node, problems: &mut Problems) -> Option<Json> {
    if !scalar.plain {
        return Some(Json::String(scalar.text.clone()));
    }
    match scalar.text.as_str() {
        "true" => return Some(Json::Bool(true)),
        "false" => return Some(Json::Bool(false)),
        "null" => return Some(Json::Null),
        text => {
            if let Some(number) = Number::new(text) {
                return Some(Json::Number(number));
            }
        }
    }
    if scalar.is_nothing() {
        problems.add(node.place, "there is no value here", "write one; null if null is meant");
        return None;
    }
    if unambiguous(scalar, node.place, &mut Problems::default()) {
        return Some(Json::String(scalar.text.clone()));
    }
    let shown = shortened(&scalar.text);
    problems.add(
        node.place,
        format!("`{shown}` may be read as text, as a number or as true or false"),
        format!("text goes in quotes: \"{shown}\"; numbers are written in plain digits; otherwise write true, false or null"),
    );
    None
}
