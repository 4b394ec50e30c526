//! `when:`, a condition in CEL over a call.
//!
//! The text is parsed by the `cel` crate and evaluated here, directly on the
//! arguments as they were sent. The crate's own evaluator knows no limit and cannot
//! be stopped; ours pays for every step out of the call's budget (see [`evaluate`]).
//!
//! Promises: what does not make sense is refused when the policy is read, with names
//! and functions that do not exist; an evaluation ends within some milliseconds,
//! whatever the arguments; nothing of the arguments is in what is said of a failure.
//! Must never: round a number, or take what cannot be evaluated for an answer.

mod compile;
mod cost;
mod doubt;
mod evaluate;
mod functions;
mod remedy;
#[cfg(test)]
mod tests;
mod value;

use chrono_tz::Tz;

use crate::call::model::{Category, Risk};
use crate::call::safe_text::SafeText;
use crate::policy::Call;
use crate::policy::budget::{Budget, Spent};
use crate::policy::problem::{Place, Problems, Warning};
use crate::policy::rules::Doubt;
use crate::policy::values::text;
use crate::policy::yaml::Entry;
use compile::Tree;

/// A condition.
#[derive(Debug, Clone)]
pub struct When {
    source: String,
    place: Place,
    tree: Tree,
}

/// What a condition is asked of.
#[derive(Debug, Clone, Copy)]
pub struct Facts<'a> {
    pub call: &'a Call<'a>,
    pub category: Category,
    pub risk: Risk,
    /// Why one of these is not known.
    pub doubt: Doubt,
    /// For `time.hour` and the like.
    pub zone: Tz,
}

/// Why a condition has no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Failed {
    /// A member that is not there, by the name that the condition gives it.
    #[error("there is no `{0}`")]
    Missing(String),
    /// Something that cannot be done with a value of this kind, or with this value.
    #[error("{0}")]
    Senseless(String),
    /// More work than the conditions on one call may be.
    #[error("it is too costly")]
    TooCostly,
}

impl From<Spent> for Failed {
    fn from(Spent: Spent) -> Failed {
        Failed::TooCostly
    }
}

impl When {
    /// Reads `when:`. Of one that cannot be used, says why.
    pub fn read(entry: &Entry, problems: &mut Problems) -> Option<When> {
        let source = text(entry, HOW, problems)?;
        match compile::compile(source) {
            Ok(tree) => Some(When { source: source.to_owned(), place: entry.node.place, tree }),
            Err(fault) => {
                problems.add(entry.node.place, format!("`when` {}", fault.message), fault.remedy);
                None
            }
        }
    }

    /// Whether it holds; what it takes is paid for out of the call's budget.
    ///
    /// # Errors
    /// It cannot be evaluated.
    pub fn holds(&self, facts: &Facts<'_>, budget: &mut Budget) -> Result<bool, Failed> {
        evaluate::evaluate(&self.tree, facts, budget)
    }

    /// What of it says the same of every call, or is compared with what it never is.
    pub fn doubts(&self) -> impl Iterator<Item = Warning> {
        doubt::doubts(&self.tree).into_iter().map(|fault| Warning {
            place: Some(self.place),
            message: format!("`when` {}", fault.message),
            remedy: fault.remedy,
        })
    }

    /// Whether it looks at the arguments.
    pub fn looks_at_arguments(&self) -> bool {
        self.tree.looks_at_arguments()
    }

    /// As it is written.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// What the members of the arguments are that it looks at, each by its path.
    pub fn looked_at(&self, facts: &Facts<'_>) -> Vec<(String, String)> {
        let mut paths = Vec::new();
        self.tree.paths(&mut paths);
        paths.sort();
        paths.dedup();
        let shown = |path: &Vec<String>| {
            let mut value = Some(facts.call.arguments);
            for name in path {
                value = value.and_then(|value| value.get(name));
            }
            let name = format!("args.{}", path.join("."));
            let value = value.map_or("not there".to_owned(), |value| value.to_text());
            (SafeText::line(&name).to_string(), SafeText::cut_line(&value, 60).0.to_string())
        };
        paths.iter().map(shown).collect()
    }
}

const HOW: &str = "write a condition in single quotes, such as 'args.key.startsWith(\"prod:\")'";
