//! The values of a condition: the arguments as they were sent, and what is made of them.

use std::cmp::Ordering;
use std::rc::Rc;

use chrono::{DateTime, TimeDelta, Utc};

use super::Failed;
use crate::call::json::{Json, Number};
use crate::policy::budget::Budget;

/// A value. What comes from the arguments is not copied.
#[derive(Debug, Clone)]
pub enum Value<'a> {
    Null,
    Bool(bool),
    Int(i64),
    Double(f64),
    Text(&'a str),
    /// A text that an evaluation made.
    Made(Rc<str>),
    Items(&'a [Json]),
    /// A list that an evaluation made.
    List(Rc<Vec<Value<'a>>>),
    Map(&'a [(String, Json)]),
    Time(DateTime<Utc>),
    Span(TimeDelta),
}

impl<'a> Value<'a> {
    /// A value of the arguments.
    pub fn of(json: &'a Json, budget: &mut Budget) -> Result<Value<'a>, Failed> {
        Ok(match json {
            Json::Null => Value::Null,
            Json::Bool(value) => Value::Bool(*value),
            Json::Number(number) => return exact(number, budget),
            Json::String(text) => Value::Text(text),
            Json::Array(items) => Value::Items(items),
            Json::Object(members) => Value::Map(members),
        })
    }

    /// The text, if it is one.
    pub fn text(&self) -> Option<&str> {
        match self {
            Value::Text(text) => Some(text),
            Value::Made(text) => Some(text),
            _ => None,
        }
    }

    /// The number, if it is a whole one, also as a double.
    pub fn whole(&self) -> Option<i64> {
        match self {
            Value::Int(int) => Some(*int),
            Value::Double(double) => {
                let int = *double as i64;
                (int_and_double(int, *double)? == Ordering::Equal).then_some(int)
            }
            _ => None,
        }
    }

    /// What it is, in words.
    pub fn kind(&self) -> &'static str {
        match self {
            Value::Null => "null",
            Value::Bool(_) => "true or false",
            Value::Int(_) | Value::Double(_) => "a number",
            Value::Text(_) | Value::Made(_) => "a text",
            Value::Items(_) | Value::List(_) => "a list",
            Value::Map(_) => "an object",
            Value::Time(_) => "a time",
            Value::Span(_) => "a duration",
        }
    }

    /// Its length and its items, if it is a list.
    pub fn items(&self) -> Option<Items<'_, 'a>> {
        match self {
            Value::Items(items) => Some(Items::Sent(items)),
            Value::List(items) => Some(Items::Made(items)),
            _ => None,
        }
    }

    /// Whether both are the same. What is of different kinds is different.
    pub fn equals(&self, other: &Value<'a>, budget: &mut Budget) -> Result<bool, Failed> {
        budget.steps(1)?;
        if let (Some(a), Some(b)) = (self.text(), other.text()) {
            budget.bytes(a.len().min(b.len()))?;
            return Ok(a == b);
        }
        if let (Some(a), Some(b)) = (self.items(), other.items()) {
            if a.len() != b.len() {
                return Ok(false);
            }
            for at in 0..a.len() {
                if !a.get(at, budget)?.equals(&b.get(at, budget)?, budget)? {
                    return Ok(false);
                }
            }
            return Ok(true);
        }
        Ok(match (self, other) {
            (Value::Null, Value::Null) => true,
            (Value::Bool(a), Value::Bool(b)) => a == b,
            (Value::Time(a), Value::Time(b)) => a == b,
            (Value::Span(a), Value::Span(b)) => a == b,
            (Value::Map(a), Value::Map(b)) => same_members(a, b, budget)?,
            (a, b) => numbers(a, b) == Some(Ordering::Equal),
        })
    }

    /// Which of the two comes first.
    pub fn compare(&self, other: &Value<'_>, budget: &mut Budget) -> Result<Ordering, Failed> {
        if let (Some(a), Some(b)) = (self.text(), other.text()) {
            budget.bytes(a.len().min(b.len()))?;
            return Ok(a.cmp(b));
        }
        let order = match (self, other) {
            (Value::Bool(a), Value::Bool(b)) => Some(a.cmp(b)),
            (Value::Time(a), Value::Time(b)) => Some(a.cmp(b)),
            (Value::Span(a), Value::Span(b)) => Some(a.cmp(b)),
            (a, b) => numbers(a, b),
        };
        order.ok_or_else(|| {
            Failed::Senseless(format!("{} and {} have no order", self.kind(), other.kind()))
        })
    }
}

/// Both objects with the same members, in whatever order.
fn same_members<'a>(
    a: &'a [(String, Json)],
    b: &'a [(String, Json)],
    budget: &mut Budget,
) -> Result<bool, Failed> {
    if a.len() != b.len() {
        return Ok(false);
    }
    for (name, value) in a {
        let Some(other) = member(b, name, budget)? else {
            return Ok(false);
        };
        if !Value::of(value, budget)?.equals(&Value::of(other, budget)?, budget)? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// A member of an object. It is looked for, one after the other.
pub fn member<'a>(
    members: &'a [(String, Json)],
    name: &str,
    budget: &mut Budget,
) -> Result<Option<&'a Json>, Failed> {
    let at = members.iter().position(|(n, _)| n == name);
    budget.steps(at.unwrap_or(members.len()) as u64 / 8)?;
    Ok(at.and_then(|at| members.get(at)).map(|(_, value)| value))
}

/// A list, wherever it comes from.
#[derive(Debug, Clone, Copy)]
pub enum Items<'v, 'a> {
    Sent(&'a [Json]),
    Made(&'v [Value<'a>]),
}

impl<'a> Items<'_, 'a> {
    pub fn len(&self) -> usize {
        match self {
            Items::Sent(items) => items.len(),
            Items::Made(items) => items.len(),
        }
    }

    /// The item at a place below the length.
    pub fn get(&self, at: usize, budget: &mut Budget) -> Result<Value<'a>, Failed> {
        let found = match self {
            Items::Sent(items) => items.get(at).map(|item| Value::of(item, budget)).transpose()?,
            Items::Made(items) => items.get(at).cloned(),
        };
        found.ok_or_else(|| Failed::Senseless("the list is shorter than that".to_owned()))
    }
}

/// A number as a value of the same worth; one that is neither a 64-bit whole number
/// nor a double cannot be told from its neighbours, and is no value.
fn exact<'a>(number: &Number, budget: &mut Budget) -> Result<Value<'a>, Failed> {
    let text = number.as_str();
    budget.bytes(text.len())?;
    if let Ok(int) = text.parse() {
        return Ok(Value::Int(int));
    }
    budget.steps(4 + text.len() as u64)?;
    if let Some(int) = number.as_i64() {
        return Ok(Value::Int(int));
    }
    let double = number.as_f64().filter(|double| {
        let shortest = Number::new(&format!("{double:e}"));
        shortest.is_some_and(|shortest| shortest.canonical() == number.canonical())
    });
    double.map(Value::Double).ok_or_else(|| {
        Failed::Senseless("a number has more digits than can be told apart".to_owned())
    })
}

fn numbers(a: &Value<'_>, b: &Value<'_>) -> Option<Ordering> {
    match (a, b) {
        (Value::Int(a), Value::Int(b)) => Some(a.cmp(b)),
        (Value::Double(a), Value::Double(b)) => a.partial_cmp(b),
        (Value::Int(a), Value::Double(b)) => int_and_double(*a, *b),
        (Value::Double(a), Value::Int(b)) => int_and_double(*b, *a).map(Ordering::reverse),
        _ => None,
    }
}

/// By their exact values: as a double, 9007199254740993 would be its neighbour.
fn int_and_double(int: i64, double: f64) -> Option<Ordering> {
    const BEYOND: f64 = 9_223_372_036_854_775_808.0;
    if double.is_nan() {
        None
    } else if double >= BEYOND {
        Some(Ordering::Less)
    } else if double < -BEYOND {
        Some(Ordering::Greater)
    } else {
        let whole = double.trunc();
        Some(int.cmp(&(whole as i64)).then_with(|| 0_f64.total_cmp(&(double - whole + 0.0))))
    }
}
