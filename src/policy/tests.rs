//! What a policy means, rule by rule, and what it refuses.

mod hostile;
mod lint;
mod loose;
mod meaning;
mod mistakes;
mod pages;
mod tables;
mod traps;

use std::time::Duration;

use chrono::{DateTime, Utc};

use super::judging::Tool;
use super::*;
use crate::call::json::{Json, parse};

fn policy(text: &str) -> Policy {
    match Policy::read(text.as_bytes()) {
        Ok(policy) => policy,
        Err(error) => panic!("{error}\n{text:.2000}"),
    }
}

fn refused(text: &str) -> String {
    match Policy::read(text.as_bytes()) {
        Ok(policy) => panic!("{policy:?} was read from {:.2000}", text),
        Err(error) => error.to_string(),
    }
}

fn json(text: &str) -> Json {
    parse(text.as_bytes()).unwrap_or_else(|error| panic!("{text}: {error}"))
}

/// Says nothing of itself.
const SILENT: &str = "{}";

/// Says that it only reads.
const READS: &str = r#"{"annotations":{"readOnlyHint":true,"destructiveHint":false}}"#;

/// Says that it destroys.
const DESTROYS: &str = r#"{"annotations":{"destructiveHint":true}}"#;

/// A Sunday.
fn now() -> DateTime<Utc> {
    "2026-11-22T18:05:00Z".parse().expect("a time")
}

/// A call to ask a policy of.
#[derive(Debug, Clone)]
struct Asked<'a> {
    server: &'a str,
    tool: &'a str,
    definition: &'a str,
    arguments: &'a str,
    from: From<'a>,
}

fn asked<'a>(server: &'a str, tool: &'a str) -> Asked<'a> {
    let from = From { client: "ci", session: "s1", ..From::default() };
    Asked { server, tool, definition: SILENT, arguments: "{}", from }
}

impl<'a> Asked<'a> {
    fn says(self, definition: &'a str) -> Asked<'a> {
        Asked { definition, ..self }
    }

    fn with(self, arguments: &'a str) -> Asked<'a> {
        Asked { arguments, ..self }
    }

    fn of(&self, policy: &Policy) -> Ruling {
        self.counted(policy, &Fresh)
    }

    fn counted(&self, policy: &Policy, counters: &dyn Counters) -> Ruling {
        let (definition, arguments) = (Tool::of(&json(self.definition)), json(self.arguments));
        let call = Call {
            server: self.server,
            tool: self.tool,
            definition: Definition::Is(&definition),
            arguments: &arguments,
            from: self.from,
            at: now(),
        };
        policy.judge(&call, counters)
    }
}

/// What a document says of a call of a silent tool.
fn judged(text: &str, server: &str, tool: &str) -> Action {
    asked(server, tool).of(&policy(text)).action
}

fn minutes(minutes: u64) -> Action {
    Action::Hold(Hold { timeout: Some(Duration::from_secs(minutes * 60)), ..Hold::default() })
}

const HELD: Action =
    Action::Hold(Hold { timeout: None, told: None, labels: Vec::new(), route: None });

fn denied(reason: &str) -> Action {
    Action::Deny { reason: reason.to_owned() }
}
