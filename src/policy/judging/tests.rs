//! Judging, from outside.

mod arguments;
mod definitions;
mod hostile;
mod labels;
mod names;

use super::*;
use crate::call::json::parse;

/// A tool by its name alone.
fn named(name: &str) -> Judgement {
    judge(name, None, Word::default(), false, None)
}

fn tool(definition: &str) -> Tool {
    Tool::of(&parse(definition.as_bytes()).expect("JSON"))
}

/// Whether a call would pass without a policy.
fn passes(judgement: &Judgement) -> bool {
    judgement.told && judgement.category == Category::Read
}

/// What was found, for the message of a test.
fn why(judgement: &Judgement) -> String {
    let found: Vec<_> = judgement.evidence.iter().map(|e| e.found.as_str()).collect();
    format!(
        "{} {} told {} by {}",
        judgement.category,
        judgement.risk,
        judgement.told,
        found.join("; ")
    )
}
