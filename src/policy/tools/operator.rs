//! The operators of conditions: what each says of a value.
//!
//! Promises: numbers are compared by their exact values, however they are
//! written; time is linear in the value and in what it is compared with. What
//! an operator cannot be asked about the value at hand is neither true nor
//! false, and whoever asks decides what then is safe.

use std::cmp::Ordering;

use super::pattern::{Pattern, Patterns};
use super::value;
use crate::call::json::{Json, Number};
use crate::config::names::{meant, shortened};
use crate::policy::budget::Budget;
use crate::policy::problem::{Place, Problems};
use crate::policy::yaml::{Entry, Value};

/// Every operator there is.
const OPERATORS: [&str; 11] =
    ["eq", "neq", "in", "not_in", "lt", "lte", "gt", "gte", "regex", "contains", "exists"];

/// What an operator says of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Truth {
    Holds,
    Fails,
    /// The value is not there, or of a kind that this operator knows nothing of.
    Unknown,
}

impl From<bool> for Truth {
    fn from(holds: bool) -> Truth {
        if holds { Truth::Holds } else { Truth::Fails }
    }
}

/// An operator with what it compares to.
#[derive(Debug, Clone)]
pub(super) enum Test {
    Equal(Json),
    Unequal(Json),
    Among(Vec<Json>),
    NotAmong(Vec<Json>),
    Less(Number),
    AtMost(Number),
    More(Number),
    AtLeast(Number),
    Matches(Pattern),
    Contains(Json),
    Exists(bool),
}

/// The longest text that a pattern is tried on, in bytes; a longer one cannot be
/// evaluated, and so never passes. A large pattern pays so much for each byte that
/// it comes to the end of the call's budget before.
const LONGEST_MATCHED: usize = 64 * 1024;

/// So many bytes of a text, or one item of a list, are looked at for the price of a step.
const BYTES: usize = 64;

impl Test {
    /// What it says of this value; `None`: there is none.
    pub fn of(&self, actual: Option<&Json>, budget: &mut Budget) -> Truth {
        if let Test::Exists(expected) = self {
            return (actual.is_some_and(|actual| !actual.is_null()) == *expected).into();
        }
        let Some(actual) = actual else {
            return Truth::Unknown;
        };
        if budget.steps(self.cost(actual)).is_err() {
            return Truth::Unknown;
        }
        match self {
            Test::Equal(expected) => same(actual, expected).into(),
            Test::Unequal(expected) => (!same(actual, expected)).into(),
            Test::Among(list) => list.iter().any(|item| same(actual, item)).into(),
            Test::NotAmong(list) => (!list.iter().any(|item| same(actual, item))).into(),
            Test::Less(bound) => ordered(actual, bound, Ordering::is_lt),
            Test::AtMost(bound) => ordered(actual, bound, Ordering::is_le),
            Test::More(bound) => ordered(actual, bound, Ordering::is_gt),
            Test::AtLeast(bound) => ordered(actual, bound, Ordering::is_ge),
            Test::Matches(pattern) => match actual.as_str() {
                Some(text) if text.len() <= LONGEST_MATCHED => pattern.is_found(text).into(),
                _ => Truth::Unknown,
            },
            Test::Contains(part) => contains(actual, part),
            Test::Exists(_) => Truth::Unknown,
        }
    }

    /// What it says of a counter.
    pub fn of_number(&self, value: i64) -> Truth {
        self.of(Some(&Json::from(value)), &mut Budget::default())
    }

    /// How many steps it takes to ask this of a value.
    fn cost(&self, actual: &Json) -> u64 {
        let length = match actual {
            Json::String(text) => text.len(),
            Json::Number(number) => number.as_str().len(),
            Json::Array(items) => BYTES * items.len(),
            _ => 0,
        };
        let look = 1 + (length / BYTES) as u64;
        match self {
            Test::Among(list) | Test::NotAmong(list) => look * (1 + list.len() as u64),
            Test::Matches(pattern) => look + pattern.cost(length),
            _ => look,
        }
    }

    /// The largest counter that passes, if this is a limit from above.
    ///
    /// Found by bisection with the very comparison that judges calls: so a
    /// fraction, or a number beyond any counter, means here what it means there.
    pub fn limit(&self) -> Option<i64> {
        let (Test::Less(_) | Test::AtMost(_)) = self else {
            return None;
        };
        let passes = |n: i64| self.of_number(n) == Truth::Holds;
        let (mut passing, mut beyond) = (i64::MIN, i64::MAX);
        if passes(beyond) {
            return Some(beyond);
        }
        while beyond.abs_diff(passing) > 1 {
            let middle = passing.midpoint(beyond);
            if passes(middle) {
                passing = middle;
            } else {
                beyond = middle;
            }
        }
        Some(passing)
    }

    /// `op:` and `value:` of a condition that stands at `place`.
    pub fn read(
        op: &str,
        place: Place,
        entry: Option<&Entry>,
        patterns: &mut Patterns,
        problems: &mut Problems,
    ) -> Option<Test> {
        if !OPERATORS.contains(&op) {
            let remedy = match meant(op, OPERATORS) {
                Some(word) => format!("did you mean {word}?"),
                None => format!("use one of: {}", OPERATORS.join(", ")),
            };
            problems.add(place, format!("unknown operator \"{}\"", shortened(op)), remedy);
            return None;
        }
        let at = entry.map_or(place, |entry| entry.node.place);
        let needs = |what: &str, remedy: &str, problems: &mut Problems| {
            problems.add(at, format!("operator {op} requires {what}"), remedy);
        };
        let Some(entry) = entry else {
            needs("a value", "write `value:` and what to compare with", problems);
            return None;
        };
        match op {
            "in" | "not_in" => {
                let Value::List(_) = entry.node.value else {
                    needs("a list value", "write a list: [\"a\", \"b\"]", problems);
                    return None;
                };
            }
            // The pattern is asked for the text as it stands.
            "regex" => {
                let Some(Json::String(pattern)) = value::json(&entry.node, problems) else {
                    needs("a string value", "write the pattern in quotes", problems);
                    return None;
                };
                return patterns.compile(&pattern, at, problems).map(Test::Matches);
            }
            _ => {}
        }
        let value = value::json(&entry.node, problems)?;
        let order: Option<fn(Number) -> Test> = match op {
            "lt" => Some(Test::Less),
            "lte" => Some(Test::AtMost),
            "gt" => Some(Test::More),
            "gte" => Some(Test::AtLeast),
            _ => None,
        };
        match (op, value) {
            (_, Json::Number(bound)) if order.is_some() => order.map(|test| test(bound)),
            _ if order.is_some() => {
                needs("a numeric value", "write a number, without quotes", problems);
                None
            }
            ("exists", Json::Bool(expected)) => Some(Test::Exists(expected)),
            ("exists", _) => {
                needs("a boolean value", "write true or false, without quotes", problems);
                None
            }
            ("in", Json::Array(list)) => Some(Test::Among(list)),
            ("not_in", Json::Array(list)) => Some(Test::NotAmong(list)),
            ("eq", value) => Some(Test::Equal(value)),
            ("neq", value) => Some(Test::Unequal(value)),
            (_, value) => Some(Test::Contains(value)),
        }
    }
}

/// Numbers by value, lists and objects by their parts, and else by the text:
/// `5` is `"5"` and `true` is `"true"`, as many servers take either.
fn same(a: &Json, b: &Json) -> bool {
    match (a, b) {
        (Json::Null, Json::Null) => true,
        (Json::Number(a), Json::Number(b)) => a.compare(b).is_eq(),
        (Json::Array(a), Json::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b))
        }
        (Json::Object(members), Json::Object(others)) => {
            members.len() == others.len()
                && members.iter().all(|(name, a)| b.get(name).is_some_and(|b| same(a, b)))
        }
        (a, b) => text(a).zip(text(b)).is_some_and(|(a, b)| a == b),
    }
}

/// What a single value looks like as text; nothing has no looks.
fn text(value: &Json) -> Option<std::borrow::Cow<'_, str>> {
    match value {
        Json::String(text) => Some(text.as_str().into()),
        Json::Number(number) => Some(number.canonical().into()),
        Json::Bool(true) => Some("true".into()),
        Json::Bool(false) => Some("false".into()),
        Json::Null | Json::Array(_) | Json::Object(_) => None,
    }
}

fn ordered(actual: &Json, bound: &Number, passes: fn(Ordering) -> bool) -> Truth {
    actual.as_number().map_or(Truth::Unknown, |number| passes(number.compare(bound)).into())
}

fn contains(actual: &Json, part: &Json) -> Truth {
    match (actual, part) {
        (Json::String(text), Json::String(part)) => text.contains(part.as_str()).into(),
        (Json::Array(items), part) => items.iter().any(|item| same(item, part)).into(),
        _ => Truth::Unknown,
    }
}
