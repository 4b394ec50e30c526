//! What is wrong with a configuration, where, and how to mend it.
//!
//! A person who mends a file wants all of its mistakes at once, so reading
//! collects problems instead of stopping at the first. Values are quoted in
//! messages unless they are, or may be, secrets.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::call::safe_text::SafeText;

/// Where a setting was made.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Place {
    /// Nowhere: it is the default, or was made by the program itself.
    #[default]
    Default,
    /// In a configuration file. Line and column count from 1.
    File {
        /// The file.
        path: Arc<Path>,
        /// Its line.
        line: usize,
        /// The character within the line.
        column: usize,
    },
    /// An environment variable.
    Variable(String),
    /// A file or folder as a whole.
    Path(PathBuf),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::Default => f.write_str("default"),
            Place::File { path, line, column } => {
                write!(f, "{}:{line}:{column}", printable(path))
            }
            Place::Variable(name) => f.write_str(name),
            Place::Path(path) => f.write_str(&printable(path)),
        }
    }
}

/// A path without what could drive a terminal.
pub(crate) fn printable(path: &Path) -> String {
    SafeText::line(&path.to_string_lossy()).to_string()
}

/// One thing to mend.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Where it stands.
    pub place: Place,
    /// What is wrong, with the value unless that is secret.
    pub message: String,
    /// What to do about it.
    pub remedy: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}\n  {}", self.place, self.message, self.remedy)
    }
}

/// The configuration cannot be used. Lists everything that is wrong with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    /// At least one, in the order of the file.
    pub problems: Vec<Problem>,
}

impl ConfigError {
    /// One problem.
    pub(crate) fn one(
        place: Place,
        message: impl Into<String>,
        remedy: impl Into<String>,
    ) -> ConfigError {
        let problem = Problem { place, message: message.into(), remedy: remedy.into() };
        ConfigError { problems: vec![problem] }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.problems.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            problem.fmt(f)?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigError {}

/// Collects errors and warnings while a configuration is read.
#[derive(Debug, Default)]
pub(crate) struct Problems {
    errors: Vec<Problem>,
    warnings: Vec<Problem>,
}

impl Problems {
    /// Something that makes the configuration unusable.
    pub fn error(&mut self, place: &Place, message: impl Into<String>, remedy: impl Into<String>) {
        let place = place.clone();
        self.errors.push(Problem { place, message: message.into(), remedy: remedy.into() });
    }

    /// Something that works but is probably not what was meant.
    pub fn warning(
        &mut self,
        place: &Place,
        message: impl Into<String>,
        remedy: impl Into<String>,
    ) {
        let place = place.clone();
        self.warnings.push(Problem { place, message: message.into(), remedy: remedy.into() });
    }

    /// Whether an error was found so far.
    pub fn any_error(&self) -> bool {
        !self.errors.is_empty()
    }

    /// The warnings, or all errors.
    pub fn finish(mut self) -> Result<Vec<String>, ConfigError> {
        if self.errors.is_empty() {
            return Ok(self.warnings.iter().map(Problem::to_string).collect());
        }
        // Variables first, then the file from top to bottom.
        self.errors.sort_by_key(|problem| match problem.place {
            Place::File { line, column, .. } => (1, line, column),
            _ => (0, 0, 0),
        });
        Err(ConfigError { problems: self.errors })
    }
}
