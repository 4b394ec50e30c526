//! What a policy means, line by line, and what it refuses.

mod hostile;
mod meaning;
mod mistakes;

use std::time::Duration;

use super::*;

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

/// Says nothing of itself.
const SILENT: Annotations = Annotations { read_only: None, destructive: None };

/// Says that it only reads.
const READS: Annotations = Annotations { read_only: Some(true), destructive: None };

/// Says both.
const BOTH: Annotations = Annotations { read_only: Some(true), destructive: Some(true) };

fn minutes(minutes: u64) -> Action {
    Action::Hold(Hold { timeout: Some(Duration::from_secs(minutes * 60)), ..Hold::default() })
}

const HELD: Action =
    Action::Hold(Hold { timeout: None, told: None, labels: Vec::new(), route: None });

fn denied(reason: &str) -> Action {
    Action::Deny { reason: reason.to_owned() }
}
