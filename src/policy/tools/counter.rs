//! Counters: which there are, what a call adds to them, and what they may reach.
//!
//! Promises: nothing is allowed that could take less than it should: an amount
//! that is missing, no whole number or below zero denies the call. A limit is
//! kept by the value *after* the call was counted.

use std::collections::HashMap;
use std::time::Duration;

use chrono::{DateTime, Utc};

use super::condition::Argument;
use super::read::text;
use crate::call::json::{Json, Number};
use crate::config::names::{meant, shortened};
use crate::policy::call::{CounterKey, Take, Window};
use crate::policy::problem::{Place, Problems};
use crate::policy::values::Map;
use crate::policy::yaml::{Entry, Scalar, Value};

/// The scope of counters of rules that are for every tool.
pub(super) const EVERY_TOOL: &str = "_global";

/// A counter, on whichever server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Counter {
    pub scope: String,
    pub name: String,
    pub window: Window,
}

impl Counter {
    pub fn key(&self, server: &str) -> CounterKey {
        CounterKey {
            server: server.to_owned(),
            scope: self.scope.clone(),
            name: self.name.clone(),
            window: self.window,
        }
    }

    /// How long it takes until it begins again; up to a second too long, never too short.
    pub fn begins_again_in(&self, now: DateTime<Utc>) -> Duration {
        let length: u32 = match self.window {
            Window::Minute => 60,
            Window::Hour => 3_600,
            Window::Day => 86_400,
        };
        let gone = now.timestamp().rem_euclid(i64::from(length));
        Duration::from_secs(u64::from(length) - gone.unsigned_abs())
    }
}

/// The counters for which the document has a `state` block, by scope.
#[derive(Debug, Default)]
pub(super) struct Declared(HashMap<String, HashMap<String, Window>>);

impl Declared {
    pub fn add(&mut self, counter: &Counter) {
        let scope = self.0.entry(counter.scope.clone()).or_default();
        scope.insert(counter.name.clone(), counter.window);
    }

    /// Every counter that `SCOPE.NAME` may mean: both may have dots in them.
    pub fn find(&self, path: &str) -> Vec<Counter> {
        let dots = path.char_indices().filter(|(_, c)| *c == '.');
        let splits = dots.map(|(at, _)| (&path[..at], &path[at + 1..]));
        let found = splits.filter_map(|(scope, name)| {
            let window = *self.0.get(scope)?.get(name)?;
            Some(Counter { scope: scope.to_owned(), name: name.to_owned(), window })
        });
        found.collect()
    }
}

/// What each call that passes adds to a counter.
#[derive(Debug, Clone)]
pub(super) struct State {
    pub counter: Counter,
    amount: Amount,
    /// What the counter may not exceed afterwards.
    pub limit: Option<i64>,
}

#[derive(Debug, Clone)]
enum Amount {
    Fixed(i64),
    /// The argument, and its path as the document has it.
    From(Argument, String),
}

/// The amount that a call adds cannot be told: why, for the agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct NoAmount(pub String);

impl State {
    /// One call more, within so many of them.
    pub fn rate(counter: Counter, limit: i64) -> State {
        State { counter, amount: Amount::Fixed(1), limit: Some(limit) }
    }

    /// What a call with these arguments adds.
    pub fn amount(&self, arguments: &Json) -> Result<i64, NoAmount> {
        let (argument, path) = match &self.amount {
            Amount::Fixed(amount) => return Ok(*amount),
            Amount::From(argument, path) => (argument, path),
        };
        match argument.in_object(arguments) {
            None => Err(NoAmount(format!("{path} is missing"))),
            Some(value) => match value.as_i64() {
                Some(amount) if amount >= 0 => Ok(amount),
                _ => Err(NoAmount(format!("{path} must be a whole number and not below 0"))),
            },
        }
    }

    /// Whether an argument says how much a call adds.
    pub fn looks_at_arguments(&self) -> bool {
        matches!(self.amount, Amount::From(..))
    }

    pub fn take(&self, server: &str, amount: i64) -> Take {
        Take::Counter { key: self.counter.key(server), amount, limit: self.limit }
    }

    /// `state:` of a rule whose counters have this scope.
    pub fn read(entry: &Entry, scope: &str, problems: &mut Problems) -> Option<State> {
        let remedy = "write `counter: NAME` and `window: hour` under it";
        let map = Map::of(&entry.node, "`state`", remedy, problems)?;
        map.only(&["counter", "window", "increment", "increment_from"], "in `state`", problems);
        let name = match map.get("counter") {
            Some(entry) => text(entry, problems),
            None => Some(""),
        };
        if name.is_some_and(|name| name.trim().is_empty()) {
            problems.add(map.place, "`counter` must not be empty", "add `counter: NAME`");
        }
        let window = match map.get("window") {
            Some(entry) => text(entry, problems)
                .and_then(|word| window("window", word, entry.node.place, problems)),
            None => window("window", "", map.place, problems),
        };
        let fixed = match map.get("increment") {
            Some(entry) => increment(entry, problems),
            None => Some(1),
        };
        let amount = match map.get("increment_from") {
            Some(entry) => increment_from(entry, problems),
            None => fixed.map(Amount::Fixed),
        };
        // A window that is wrong is reported; conditions may still find their counter.
        let window = window.unwrap_or(Window::Day);
        let counter = Counter { scope: scope.to_owned(), name: name?.to_owned(), window };
        Some(State { counter, amount: amount?, limit: None })
    }
}

/// `rate_limit: 5/hour`.
pub(super) fn rate(entry: &Entry, problems: &mut Problems) -> Option<(i64, Window)> {
    let at = entry.node.place;
    let Value::Scalar(Scalar { text, .. }) = &entry.node.value else {
        let message = "`rate_limit` must have the form N/window";
        let remedy = match entry.node.value {
            Value::Map(_) => {
                "write for example rate_limit: 5/hour; {max: ..., window: ...} is for `rules`"
            }
            _ => "write for example: rate_limit: 5/hour",
        };
        problems.add(at, message, remedy);
        return None;
    };
    let Some((count, word)) = text.split_once('/') else {
        let message =
            format!("`rate_limit` must have the form N/window, and is \"{}\"", shortened(text));
        problems.add(at, message, "write for example: rate_limit: 5/hour");
        return None;
    };
    let number = count.parse::<i64>().ok().filter(|count| *count > 0);
    if number.is_none() {
        let message = format!(
            "the count in `rate_limit` must be a positive integer, and is \"{}\"",
            shortened(count)
        );
        problems.add(at, message, "write for example: rate_limit: 5/hour");
    }
    let window = window("the window in `rate_limit`", word, at, problems);
    let (window, number) = (window?, number?);
    Some((number, window))
}

pub(super) fn word_for(window: Window) -> &'static str {
    match window {
        Window::Minute => "minute",
        Window::Hour => "hour",
        Window::Day => "day",
    }
}

fn window(what: &str, word: &str, place: Place, problems: &mut Problems) -> Option<Window> {
    let found = [Window::Minute, Window::Hour, Window::Day]
        .into_iter()
        .find(|window| word_for(*window) == word);
    if found.is_none() {
        let message = format!("{what} must be minute, hour or day, and is \"{}\"", shortened(word));
        let remedy = match window_meant(word) {
            Some(word) => format!("did you mean {word}?"),
            None => "write minute, hour or day".to_owned(),
        };
        problems.add(place, message, remedy);
    }
    found
}

/// The window that a duration, or a word that is nearly one, means: `1h`, `min`.
fn window_meant(word: &str) -> Option<&'static str> {
    let lower = word.trim().to_lowercase();
    match lower.trim_start_matches('1').trim() {
        "m" | "min" | "mins" | "minutes" => return Some("minute"),
        "h" | "hr" | "hours" | "hourly" => return Some("hour"),
        "d" | "days" | "daily" => return Some("day"),
        _ => {}
    }
    match lower.trim_end_matches('s') {
        "60" => Some("minute"),
        "3600" | "60m" => Some("hour"),
        "86400" | "24h" => Some("day"),
        _ => meant(&lower, ["minute", "hour", "day"]),
    }
}

fn increment(entry: &Entry, problems: &mut Problems) -> Option<i64> {
    let number = match &entry.node.value {
        Value::Scalar(scalar) if scalar.plain => Number::new(&scalar.text),
        Value::Refused => return None,
        _ => None,
    };
    let found = number.and_then(|number| number.as_i64()).filter(|number| *number != 0);
    if found.is_none() {
        let remedy = "write a whole number, without quotes, or leave it out for 1";
        problems.add(entry.node.place, "`increment` must be a whole number other than 0", remedy);
    }
    found
}

fn increment_from(entry: &Entry, problems: &mut Problems) -> Option<Amount> {
    let path = text(entry, problems)?;
    let at = entry.node.place;
    let Some(rest) = path.strip_prefix("args.") else {
        let message =
            format!("`increment_from` must start with args., and is \"{}\"", shortened(path));
        problems.add(at, message, "use a path like args.amount");
        return None;
    };
    let argument = Argument::read(rest, "`increment_from`", at, problems)?;
    Some(Amount::From(argument, path.to_owned()))
}
