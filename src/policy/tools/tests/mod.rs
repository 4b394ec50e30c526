//! What a document in Intercept's format means, and what it is refused for.

mod counters;
mod documents;
mod meaning;
mod mistakes;
mod oracle;
mod patterns;

use std::cell::RefCell;
use std::collections::HashMap;

use chrono::{DateTime, Utc};

use super::*;
use crate::call::json::{Json, parse};
use crate::policy::call::{CounterKey, Definition, From, LimitKey, Recent, Untold, Window};
use crate::policy::yaml;

/// Reads a document's Intercept side, and nothing else of it.
fn read(text: &str) -> Result<Intercept, String> {
    let mut problems = Problems::default();
    let root = yaml::read(text.as_bytes(), &mut problems);
    let found = root.and_then(|root| {
        let top = Map::of(&root, "the document", "write something", &mut problems)?;
        Intercept::read(&top, &mut problems)
    });
    problems.finish(found).map_err(|error| error.to_string())
}

fn policy(text: &str) -> Intercept {
    read(text).unwrap_or_else(|error| panic!("{error}\n{text}"))
}

fn refused(text: &str) -> String {
    match read(text) {
        Ok(policy) => panic!("{policy:?} was read from\n{text}"),
        Err(error) => error,
    }
}

/// A document with one tool, `t`, and these rules.
fn ruled(rules: &str) -> String {
    let indented = rules.trim_matches('\n').lines().map(|line| format!("      {line}\n"));
    format!("version: \"1\"\ntools:\n  t:\n    rules:\n{}", indented.collect::<String>())
}

/// A document with one rule of one condition.
fn condition(path: &str, op: &str, value: &str) -> String {
    ruled(&format!("- name: r\n  conditions:\n    - {{path: {path}, op: {op}, value: {value}}}"))
}

fn json(text: &str) -> Json {
    parse(text.as_bytes()).unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// Twenty past ten, and 5 seconds.
fn noon() -> DateTime<Utc> {
    "2026-11-22T10:20:05Z".parse().expect("a time")
}

/// Counters in memory: what a call takes is added by [`Memory::take`].
#[derive(Default)]
struct Memory(RefCell<HashMap<CounterKey, i64>>);

impl Counters for Memory {
    fn recent(&self, _: &LimitKey, _: u32, _: std::time::Duration) -> Result<Recent, Untold> {
        Err(Untold)
    }

    fn value(&self, key: &CounterKey) -> Result<i64, Untold> {
        Ok(self.0.borrow().get(key).copied().unwrap_or_default())
    }
}

impl Memory {
    fn take(&self, takes: &[Take]) {
        for take in takes {
            let Take::Counter { key, amount, limit } = take else {
                panic!("{take:?}");
            };
            let mut values = self.0.borrow_mut();
            let value = values.entry(key.clone()).or_default();
            *value += amount;
            assert!(limit.is_none_or(|limit| *value <= limit), "{take:?} goes beyond");
        }
    }

    fn set(&self, scope: &str, name: &str, window: Window, value: i64) {
        let key = CounterKey {
            server: "s".to_owned(),
            scope: scope.to_owned(),
            name: name.to_owned(),
            window,
        };
        self.0.borrow_mut().insert(key, value);
    }
}

/// Counters that cannot be read.
struct Broken;

impl Counters for Broken {
    fn recent(&self, _: &LimitKey, _: u32, _: std::time::Duration) -> Result<Recent, Untold> {
        Err(Untold)
    }

    fn value(&self, _: &CounterKey) -> Result<i64, Untold> {
        Err(Untold)
    }
}

fn on_at(
    policy: &Intercept,
    tool: &str,
    args: &str,
    counters: &dyn Counters,
    at: DateTime<Utc>,
) -> Said {
    let arguments = json(args);
    let from = From::default();
    let call = Call {
        server: "s",
        tool,
        definition: Definition::Unknown,
        arguments: &arguments,
        from,
        at,
    };
    policy.weigh(&call, &mut Budget::default()).said(&call, counters)
}

fn on(policy: &Intercept, tool: &str, args: &str, counters: &dyn Counters) -> Said {
    on_at(policy, tool, args, counters, noon())
}

/// The word for what happens to a call of `t`, with nothing counted so far.
fn word(policy: &Intercept, args: &str) -> &'static str {
    on(policy, "t", args, &Memory::default()).action.word()
}

fn reason(said: &Said) -> &str {
    match &said.action {
        Action::Deny { reason } | Action::Limited { reason, .. } => reason,
        action => panic!("{action:?}"),
    }
}
