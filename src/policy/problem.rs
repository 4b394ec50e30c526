//! What is wrong with a policy, where, and how to mend it: all of it at once.

use std::fmt;

/// How many problems are reported. Whoever has more has one cause for most.
const MOST: usize = 100;

/// How many warnings are kept, for the same reason.
pub(super) const MOST_WARNINGS: usize = 50;

/// Where something stands. Both count from 1; the column counts characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The line.
    pub line: usize,
    /// The character within the line.
    pub column: usize,
}

impl Place {
    /// The first character.
    pub(super) const START: Place = Place { line: 1, column: 1 };

    /// The character that follows this text.
    pub(super) fn after(text: &str) -> Place {
        let line = text.matches('\n').count() + 1;
        let begun = text.rsplit('\n').next().unwrap_or_default();
        Place { line, column: begun.chars().count() + 1 }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.line, self.column)
    }
}

/// One thing to mend.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Where it stands.
    pub place: Place,
    /// What is wrong: safe text on one line.
    pub message: String,
    /// What to do about it.
    pub remedy: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}\n  {}", self.place, self.message, self.remedy)
    }
}

/// Something that can be used, and is probably not what was meant.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Warning {
    /// Where it stands; `None`: it is about the whole document.
    pub place: Option<Place>,
    /// What was found: safe text on one line.
    pub message: String,
    /// What to do if it is not meant.
    pub remedy: String,
}

/// The policy cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyError {
    /// At least one, in the order of the document.
    pub problems: Vec<Problem>,
    /// How many more there are.
    pub more: usize,
}

impl fmt::Display for PolicyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.problems.iter().enumerate() {
            let between = if index > 0 { "\n" } else { "" };
            write!(f, "{between}{problem}")?;
        }
        match self.more {
            0 => Ok(()),
            more => write!(f, "\nand {more} more"),
        }
    }
}

impl std::error::Error for PolicyError {}

/// Collects what is wrong while a policy is read.
#[derive(Debug, Default)]
pub(super) struct Problems {
    found: Vec<Problem>,
    more: usize,
    doubts: Vec<Warning>,
}

impl Problems {
    pub fn add(&mut self, place: Place, message: impl Into<String>, remedy: impl Into<String>) {
        if self.found.len() == MOST {
            self.more += 1;
            return;
        }
        self.found.push(Problem { place, message: message.into(), remedy: remedy.into() });
    }

    /// What can be used and is probably not meant.
    pub fn doubt(&mut self, place: Place, message: impl Into<String>, remedy: impl Into<String>) {
        if self.doubts.len() < MOST_WARNINGS {
            let (message, remedy) = (message.into(), remedy.into());
            self.doubts.push(Warning { place: Some(place), message, remedy });
        }
    }

    /// The doubts so far.
    pub fn doubts(&mut self) -> Vec<Warning> {
        std::mem::take(&mut self.doubts)
    }

    /// Whether something was wrong so far.
    pub fn any(&self) -> bool {
        !self.found.is_empty()
    }

    /// The value, if nothing was wrong.
    pub fn finish<T>(mut self, value: Option<T>) -> Result<T, PolicyError> {
        match value {
            Some(value) if self.found.is_empty() => Ok(value),
            _ => {
                self.found.sort_by_key(|problem| problem.place);
                Err(PolicyError { problems: self.found, more: self.more })
            }
        }
    }
}
