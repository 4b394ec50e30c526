//! The policy: which tool calls pass, which do not, and which wait for a person.
//!
//! A YAML document. `example.yaml` beside this file shows every key, `docs/policy.md`
//! says what they mean.
//!
//! ```text
//! yaml, values, problem    the document's tree, what its values may be, what is wrong
//! patterns, cover          globs over names, and which matches all that another does
//! document                 the keys at the top
//! servers                  facts about servers and their tools
//! tools                    PolicyLayer Intercept's side: all its rules must pass
//! rules                    our side: the first rule that matches decides
//! standing                 the default
//! judging                  what a tool does, and how bad a mistake would be
//! verdict                  the strictest of all that is said of a call
//! budget                   how much work the conditions on one call may be
//! explain, lint, unseen    what else was near; what is probably not meant; what hangs on arguments
//! table, memory            tables of expected verdicts, and counters for them
//! ```
//!
//! Promises: a document means one thing or is refused, with every problem that was
//! found, its line and column; what cannot be evaluated never lets a call pass;
//! adding a rule that denies in front of the others never loosens anything; the time
//! for a call does not depend on how many rules name other tools. Must never: read a
//! file or a clock, believe a server that nobody marked, or panic.

mod annotations;
mod budget;
mod call;
mod cover;
mod document;
mod explain;
pub mod judging;
mod lint;
mod memory;
mod patterns;
mod problem;
mod rules;
mod servers;
mod standing;
mod table;
#[cfg(test)]
mod tests;
mod tools;
mod unseen;
mod values;
mod verdict;
mod yaml;

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use chrono_tz::Tz;

pub use annotations::Annotations;
pub use call::{
    Action, Call, CounterKey, Counters, Definition, Fresh, From, Hold, LimitKey, Recent, Ruling,
    Take, Untold, Window,
};
pub use explain::{Explanation, Near};
pub use memory::Memory;
pub use problem::{Place, PolicyError, Problem, Warning};
pub use table::{Expected, Outcome, Table};
pub use verdict::Weighed;
pub use yaml::LONGEST;

use crate::config::names::meant;
use rules::{Does, Rules};
use servers::Servers;
use standing::Default;
use tools::Intercept;

/// A table of expected verdicts in which every key is shown; for [`EXAMPLE`].
pub const EXAMPLE_TABLE: &str = include_str!("example_test.yaml");

/// A policy in which every key is shown, and what it means is said.
pub const EXAMPLE: &str = include_str!("example.yaml");

/// What passes, what does not, what waits.
#[derive(Clone)]
pub struct Policy {
    revision: String,
    /// Where nothing else is said.
    default: Default,
    /// PolicyLayer Intercept's side.
    intercept: Intercept,
    /// Whether there is a document.
    file: bool,
    /// For every hold without its own.
    timeout: Option<Duration>,
    /// Where the clock of `time.hour` hangs.
    zone: Tz,
    servers: Servers,
    rules: Rules,
    /// Servers that the proxy's configuration marks as trusted.
    trusted: BTreeSet<String>,
    /// What was found while it was read that is probably not meant.
    doubts: Vec<Warning>,
}

/// Short: ten thousand rules have no place in a log.
impl fmt::Debug for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Policy")
            .field("revision", &self.revision)
            .field("servers", &self.servers.len())
            .field("rules", &self.rules.len())
            .finish_non_exhaustive()
    }
}

impl Policy {
    /// Reads and checks a document, at most [`LONGEST`] bytes of UTF-8.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn read(text: &[u8]) -> Result<Policy, PolicyError> {
        document::read(text)
    }

    /// The policy where there is no document: what is known to read passes, and
    /// everything else is held.
    pub fn without_file() -> Policy {
        document::none()
    }

    /// The same with this server trusted, unless the document says otherwise of it.
    pub fn trusting(mut self, server: &str) -> Policy {
        self.trusted.insert(server.to_owned());
        self
    }

    /// What tells this document from others: `sha256:` and the first 16 digits
    /// of its hash, or `none` if there is none.
    pub fn revision(&self) -> &str {
        &self.revision
    }

    /// How many entries there are under `servers`.
    pub fn servers(&self) -> usize {
        self.servers.len()
    }

    /// How many rules there are, on both sides.
    pub fn rules(&self) -> usize {
        self.rules.len() + self.intercept.rules()
    }

    /// Whether the document names servers, and nothing in it is about this one.
    pub fn passes_over(&self, server: &str) -> bool {
        let says = self.servers.len() + self.rules.len() > 0;
        says && !self.intercept.stands()
            && !self.servers.name(server)
            && !self.rules.are_about(server)
    }

    /// Whether the document names servers, and this is none of them: said by rules or
    /// entries that are for some servers alone.
    pub fn names_others(&self, server: &str) -> bool {
        let rules = || self.rules.all().iter().filter(|rule| !rule.servers.are_all());
        let names_some = self.servers.len() > 0 || rules().next().is_some();
        names_some && !self.servers.name(server) && !self.rules.name(server)
    }

    /// The server of the document that was probably meant.
    pub fn server_meant(&self, wrong: &str) -> Option<&str> {
        let rules = self.rules.all().iter().flat_map(|rule| &rule.servers.exact);
        meant(wrong, self.servers.names().chain(rules.map(String::as_str)))
    }

    /// Whether what this server says of its tools may make them look better.
    pub fn trusts(&self, server: &str) -> bool {
        self.servers.trust(server).unwrap_or_else(|| self.trusted.contains(server))
    }
}
