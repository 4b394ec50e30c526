//! What a pattern costs.

use regex::{Regex, RegexBuilder};

use super::Failed;
use super::compile::Fault;
use crate::config::names::shortened;
use crate::policy::budget::Budget;
use crate::policy::tools::translated;

/// A regular expression with what it costs.
#[derive(Debug, Clone)]
pub struct Pattern {
    regex: Regex,
    /// Its compiled size, in [`UNIT`]s.
    size: u64,
}

/// What a compiled pattern is measured in, in bytes.
const UNIT: usize = 256;

/// The largest pattern, compiled, in [`UNIT`]s.
const LARGEST: usize = 512;

/// What a pattern may remember of states it has met, in bytes; it forgets beyond.
const REMEMBERED: usize = 256 << 10;

impl Pattern {
    /// Compiles it, in RE2's syntax, as CEL has it.
    ///
    /// The time that a match takes is bounded by the length of the text times the size
    /// of the program, so both are paid for. The size is found by trying.
    pub fn of(pattern: &str) -> Result<Pattern, Fault> {
        let shown = shortened(pattern);
        let wrong = |why: &str| Fault {
            message: format!(
                "has the pattern \"{shown}\", which is no regular expression: {}",
                shortened(why)
            ),
            remedy: "it is RE2's syntax: no look-around and no references back; \\ is written \
                     twice in \"...\", or once in r\"...\""
                .to_owned(),
        };
        let translated = translated(pattern).map_err(|why| wrong(&why))?;
        let mut size = 1;
        loop {
            let built = RegexBuilder::new(&translated)
                .size_limit(size * UNIT)
                .dfa_size_limit(REMEMBERED)
                .build();
            match built {
                Ok(regex) => return Ok(Pattern { regex, size: size as u64 }),
                Err(regex::Error::CompiledTooBig(_)) if size < LARGEST => size *= 2,
                Err(regex::Error::CompiledTooBig(_)) => {
                    return Err(Fault {
                        message: format!("has the pattern \"{shown}\", which is too large"),
                        remedy: "repeat less in it".to_owned(),
                    });
                }
                Err(error) => {
                    let why = error.to_string();
                    let last = why.lines().last().unwrap_or_default();
                    return Err(wrong(last.trim_start_matches("error: ")));
                }
            }
        }
    }

    /// Whether it is found in the text.
    pub fn found(&self, text: &str, budget: &mut Budget) -> Result<bool, Failed> {
        // The worst of patterns take 0.1 microseconds for a byte and unit, which is
        // half of the price of a step.
        budget.steps(1 + (text.len() as u64 * self.size) / 2)?;
        Ok(self.regex.is_match(text))
    }
}
