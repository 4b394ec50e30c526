//! What an evaluation may cost, and what a pattern costs.

use regex::{Regex, RegexBuilder};

use super::Failed;
use super::compile::Fault;
use crate::config::names::shortened;

/// How many steps an evaluation may take: some milliseconds.
const STEPS: u64 = 100_000;

/// How many bytes of text are looked at or copied for the price of a step.
const BYTES: usize = 64;

/// What is left of the steps of one evaluation.
#[derive(Debug)]
pub struct Budget(u64);

impl Default for Budget {
    fn default() -> Budget {
        Budget(STEPS)
    }
}

impl Budget {
    /// Pays for so many steps.
    pub fn steps(&mut self, steps: u64) -> Result<(), Failed> {
        match self.0.checked_sub(steps) {
            Some(rest) => {
                self.0 = rest;
                Ok(())
            }
            None => {
                self.0 = 0;
                Err(Failed::TooCostly)
            }
        }
    }

    /// Pays for a text of so many bytes.
    pub fn bytes(&mut self, bytes: usize) -> Result<(), Failed> {
        self.steps((bytes / BYTES) as u64)
    }
}

/// A regular expression with what it costs.
#[derive(Debug, Clone)]
pub struct Pattern {
    regex: Regex,
    /// Its compiled size, in KiB.
    size: u64,
}

/// The largest pattern, compiled, in KiB.
const LARGEST: usize = 256;

impl Pattern {
    /// Compiles it: the time that a match takes is bounded by the length of the text
    /// times the size of the program, so both are paid for.
    pub fn of(pattern: &str) -> Result<Pattern, Fault> {
        let mut size = 1;
        loop {
            let built = RegexBuilder::new(pattern)
                .size_limit(size * 1024)
                .dfa_size_limit(256 * 1024)
                .build();
            match built {
                Ok(regex) => return Ok(Pattern { regex, size: size as u64 }),
                Err(regex::Error::CompiledTooBig(_)) if size < LARGEST => size *= 2,
                Err(regex::Error::CompiledTooBig(_)) => {
                    return Err(Fault {
                        message: format!(
                            "has the pattern \"{}\", which is too large",
                            shortened(pattern)
                        ),
                        remedy: "repeat less in it, or write [0-9] for \\d and [a-z] for \\w"
                            .to_owned(),
                    });
                }
                Err(error) => {
                    let why = error.to_string();
                    let why = why.lines().last().unwrap_or_default().trim_start_matches("error: ");
                    return Err(Fault {
                        message: format!(
                            "has the pattern \"{}\", which is no regular expression: {}",
                            shortened(pattern),
                            shortened(why)
                        ),
                        remedy: "it is RE2's syntax: no look-around and no references back; \
                                 \\ is written twice in \"...\", or once in r\"...\""
                            .to_owned(),
                    });
                }
            }
        }
    }

    /// Whether it is found in the text.
    pub fn found(&self, text: &str, budget: &mut Budget) -> Result<bool, Failed> {
        budget.steps(1 + (text.len() as u64 * self.size) / 64)?;
        Ok(self.regex.is_match(text))
    }
}
