//! The functions that a condition may call.

use std::rc::Rc;

use chrono::{DateTime, TimeDelta, Utc};

use super::Failed;
use super::compile::Fault;
use super::value::Value;
use crate::config::names::{meant, shortened};
use crate::policy::budget::Budget;

/// A function. Where it is called on a value, that is its first argument.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Function {
    Size,
    Contains,
    StartsWith,
    EndsWith,
    LowerAscii,
    UpperAscii,
    Int,
    Double,
    String,
    Timestamp,
    Duration,
}

/// How a function is called.
#[derive(PartialEq)]
enum Style {
    /// `text.contains("x")`
    On,
    /// `int(x)`
    Of,
    Both,
}

/// Each with its name, how it is called, and how many arguments it takes.
const FUNCTIONS: [(&str, Style, usize, Function); 11] = [
    ("size", Style::Both, 1, Function::Size),
    ("contains", Style::On, 2, Function::Contains),
    ("startsWith", Style::On, 2, Function::StartsWith),
    ("endsWith", Style::On, 2, Function::EndsWith),
    ("lowerAscii", Style::On, 1, Function::LowerAscii),
    ("upperAscii", Style::On, 1, Function::UpperAscii),
    ("int", Style::Of, 1, Function::Int),
    ("double", Style::Of, 1, Function::Double),
    ("string", Style::Of, 1, Function::String),
    ("timestamp", Style::Of, 1, Function::Timestamp),
    ("duration", Style::Of, 1, Function::Duration),
];

/// These become something else before a function is looked for.
const SPECIAL: [&str; 7] = ["matches", "has", "all", "exists", "exists_one", "map", "filter"];

impl Function {
    /// The function of this name, called on a value or not, with so many arguments.
    pub fn find(name: &str, on: bool, given: usize) -> Result<Function, Fault> {
        let shown = shortened(name);
        let Some((_, style, takes, function)) = FUNCTIONS.iter().find(|(n, ..)| *n == name) else {
            let known = || FUNCTIONS.iter().map(|(name, ..)| *name).chain(SPECIAL);
            let special = SPECIAL.contains(&name);
            let message = match special {
                true => format!("calls `{shown}` in a way that it cannot be called"),
                false => format!("calls `{shown}`, which does not exist"),
            };
            let remedy = match meant(name, known()).filter(|_| !special) {
                Some(word) => format!("did you mean `{word}`?"),
                None if special => HOW.to_owned(),
                None => format!("known are {}", known().collect::<Vec<_>>().join(", ")),
            };
            return Err(Fault { message, remedy });
        };
        if given != *takes || (*style != Style::Both && (*style == Style::On) != on) {
            let message = format!("calls `{shown}` in a way that it cannot be called");
            return Err(Fault { message, remedy: HOW.to_owned() });
        }
        Ok(*function)
    }

    /// What it returns, where that is not true or false.
    pub fn never_true_or_false(self) -> Option<&'static str> {
        match self {
            Function::Contains | Function::StartsWith | Function::EndsWith => None,
            Function::Size | Function::Int | Function::Double => Some("a number"),
            Function::LowerAscii | Function::UpperAscii | Function::String => Some("a text"),
            Function::Timestamp => Some("a time"),
            Function::Duration => Some("a duration"),
        }
    }

    /// What it returns for these arguments, as many as it takes.
    pub fn call<'a>(
        self,
        arguments: &[Value<'a>],
        budget: &mut Budget,
    ) -> Result<Value<'a>, Failed> {
        match (self, arguments) {
            (Function::Size, [value]) => size(value, budget),
            (Function::Contains, [text, part]) => {
                let (text, part) = texts(self, text, part, budget)?;
                Ok(Value::Bool(text.contains(part)))
            }
            (Function::StartsWith, [text, part]) => {
                let (text, part) = texts(self, text, part, budget)?;
                Ok(Value::Bool(text.starts_with(part)))
            }
            (Function::EndsWith, [text, part]) => {
                let (text, part) = texts(self, text, part, budget)?;
                Ok(Value::Bool(text.ends_with(part)))
            }
            (Function::LowerAscii, [text]) => made(text, budget, |text| text.to_ascii_lowercase()),
            (Function::UpperAscii, [text]) => made(text, budget, |text| text.to_ascii_uppercase()),
            (Function::Int, [value]) => int(value),
            (Function::Double, [value]) => double(value),
            (Function::String, [value]) => string(value),
            (Function::Timestamp, [value]) => timestamp(value),
            (Function::Duration, [value]) => duration(value),
            _ => Err(Failed::Senseless("a function has too few arguments".to_owned())),
        }
    }
}

const HOW: &str = "for example: size(args.list), args.text.contains(\"x\"), \
                   args.list.all(x, x > 0), has(args.name), int(args.text)";

fn none<T>(function: &str, value: &Value<'_>) -> Result<T, Failed> {
    Err(Failed::Senseless(format!("{function} cannot be had of {}", value.kind())))
}

/// Characters of a text, items of a list, members of an object.
fn size<'a>(value: &Value<'a>, budget: &mut Budget) -> Result<Value<'a>, Failed> {
    let size = match value {
        Value::Items(items) => items.len(),
        Value::List(items) => items.len(),
        Value::Map(members) => members.len(),
        value => match value.text() {
            Some(text) => {
                budget.bytes(text.len())?;
                text.chars().count()
            }
            None => return none("a size", value),
        },
    };
    Ok(Value::Int(size as i64))
}

fn texts<'v>(
    function: Function,
    text: &'v Value<'_>,
    part: &'v Value<'_>,
    budget: &mut Budget,
) -> Result<(&'v str, &'v str), Failed> {
    match (text.text(), part.text()) {
        (Some(text), Some(part)) => {
            budget.bytes(text.len() + part.len())?;
            Ok((text, part))
        }
        (None, _) => none(&format!("{function:?}"), text),
        (_, None) => none(&format!("{function:?}"), part),
    }
}

fn made<'a>(
    value: &Value<'a>,
    budget: &mut Budget,
    make: impl Fn(&str) -> String,
) -> Result<Value<'a>, Failed> {
    match value.text() {
        Some(text) => {
            budget.bytes(2 * text.len())?;
            Ok(Value::Made(Rc::from(make(text))))
        }
        None => none("another case", value),
    }
}

fn int<'a>(value: &Value<'a>) -> Result<Value<'a>, Failed> {
    let int = match value {
        Value::Int(int) => Some(*int),
        // Within what both can say: as casts saturate, the ends are left out.
        Value::Double(double) if double.abs() < i64::MAX as f64 => Some(*double as i64),
        Value::Double(_) => None,
        Value::Time(time) => Some(time.timestamp()),
        value => match value.text() {
            Some(text) => text.parse().ok(),
            None => return none("a whole number", value),
        },
    };
    int.map(Value::Int).ok_or_else(|| Failed::Senseless("this is no whole number".to_owned()))
}

fn double<'a>(value: &Value<'a>) -> Result<Value<'a>, Failed> {
    let double = match value {
        Value::Int(int) => Some(*int as f64),
        Value::Double(double) => Some(*double),
        value => match value.text() {
            Some(text) => text.parse().ok().filter(|double: &f64| double.is_finite()),
            None => return none("a number", value),
        },
    };
    double.map(Value::Double).ok_or_else(|| Failed::Senseless("this is no number".to_owned()))
}

fn string<'a>(value: &Value<'a>) -> Result<Value<'a>, Failed> {
    let text = match value {
        Value::Bool(value) => value.to_string(),
        Value::Int(value) => value.to_string(),
        Value::Double(value) => value.to_string(),
        Value::Text(_) | Value::Made(_) => return Ok(value.clone()),
        Value::Time(time) => time.to_rfc3339_opts(chrono::SecondsFormat::AutoSi, true),
        value => return none("a text", value),
    };
    Ok(Value::Made(Rc::from(text)))
}

fn timestamp<'a>(value: &Value<'a>) -> Result<Value<'a>, Failed> {
    let time = match value {
        Value::Time(time) => Some(*time),
        Value::Int(seconds) => DateTime::from_timestamp(*seconds, 0),
        value => match value.text() {
            Some(text) => {
                DateTime::parse_from_rfc3339(text).ok().map(|time| time.with_timezone(&Utc))
            }
            None => return none("a time", value),
        },
    };
    time.map(Value::Time)
        .ok_or_else(|| Failed::Senseless("this is no time such as 2026-11-22T18:00:00Z".to_owned()))
}

fn duration<'a>(value: &Value<'a>) -> Result<Value<'a>, Failed> {
    let span = match value {
        Value::Span(span) => Some(*span),
        value => match value.text() {
            Some(text) => span(text),
            None => return none("a duration", value),
        },
    };
    span.map(Value::Span)
        .ok_or_else(|| Failed::Senseless("this is no duration such as 1h30m or 90s".to_owned()))
}

/// `1h30m`, `-90s`, `1.5h`: as CEL writes it, a number and a unit, repeated.
fn span(text: &str) -> Option<TimeDelta> {
    let (negative, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let mut total = TimeDelta::zero();
    if rest.is_empty() || rest.len() > 64 {
        return None;
    }
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let number: f64 = rest.get(..digits)?.parse().ok()?;
        let unit = rest.get(digits..)?;
        let (nanoseconds, length) =
            [("ns", 1.0), ("us", 1e3), ("ms", 1e6), ("s", 1e9), ("m", 60e9), ("h", 3600e9)]
                .into_iter()
                .find(|(name, _)| unit.starts_with(name))
                .map(|(name, unit)| (number * unit, name.len()))?;
        if nanoseconds >= i64::MAX as f64 {
            return None;
        }
        total = total.checked_add(&TimeDelta::nanoseconds(nanoseconds as i64))?;
        rest = unit.get(length..)?;
    }
    Some(if negative { -total } else { total })
}
