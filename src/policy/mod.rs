//! The policy: which tool calls pass, which do not, and which wait for a person.
//!
//! A YAML document. `example.yaml` beside this file shows every key:
//!
//! ```text
//! default: require_approval        allow, deny or require_approval; this is also its default
//! timeout: 15m                     how long people have where a line does not say; 5s to 7d
//! servers:
//!   valkey:                        a name, or a glob in quotes: "*"
//!     trusted: true                what its tools say of themselves may let a call pass
//!     default: require_approval    for its tools that no line matches
//!     tools:
//!       - match: valkey_read       a glob or a list of globs; anchored, case-sensitive
//!         action: allow
//!       - match: delete_broker
//!         action: deny
//!         reason: Open a ticket.   the agent is told; only with deny, which needs it
//!       - match: ["create_*", "update_*"]
//!         action: require_approval
//!         timeout: 30m             only with require_approval
//! ```
//!
//! What it means for a call:
//!
//! 1. Every entry under `servers` that matches the server's name counts, and in
//!    those every line under `tools` that matches the tool's name.
//! 2. Of these lines the strictest stands: deny, then `require_approval`, then
//!    allow; among equal ones the first in the file, but of several
//!    `require_approval` the one with the shortest timeout. One that has none
//!    takes the document's; without that either it counts as the longest.
//! 3. If no line matches, the default holds: the strictest of the defaults of
//!    the matching entries that have one, else the document's.
//! 4. Where that default is `require_approval`, a tool of a trusted server that
//!    says of itself `readOnlyHint: true`, and not `destructiveHint: true`,
//!    passes. A `deny` is never passed over so.
//! 5. A server is trusted if a matching entry says `trusted: true`, or the
//!    proxy's configuration does, and no matching entry says `trusted: false`.
//!
//! Without a file nothing is trusted and everything is held; the proxy's
//! configuration can still mark a server as trusted.
//!
//! Promises: a document means one thing or is refused, with every problem that
//! was found, its line and column; adding a deny line never loosens anything;
//! to judge takes one pass over each name, however long the document is. Must
//! never: read a file or a clock, believe a server that nobody marked, or
//! panic.

mod annotations;
mod call;
mod document;
pub mod judging;
mod patterns;
mod problem;
#[cfg(test)]
mod tests;
// Not called yet: the top level of a document is read by its own part.
#[cfg_attr(not(test), expect(dead_code))]
mod tools;
mod values;
mod yaml;

use std::collections::BTreeSet;
use std::fmt;

pub use annotations::{Annotations, kind};
pub use call::{
    Action, Call, CounterKey, Counters, Fresh, From, Hold, LimitKey, Recent, Ruling, Take, Untold,
    Window,
};
pub use problem::{Place, PolicyError, Problem};
pub use yaml::LONGEST;

use patterns::Patterns;

/// A policy in which every key is shown, and what it means is said.
pub const EXAMPLE: &str = include_str!("example.yaml");

/// What passes, what does not, what waits.
#[derive(Clone)]
pub struct Policy {
    revision: String,
    /// Where nothing else is said.
    default: Verdict,
    /// The entries under `servers`, in the order of the document.
    servers: Vec<Server>,
    /// The names of `servers`, by the same numbers.
    names: Patterns,
    /// One for each pattern under `tools`, in the order of the document.
    lines: Vec<Line>,
    /// The patterns of `lines`, by the same numbers.
    tools: Patterns,
    /// How many items there are under `tools`; each may have several patterns.
    rules: usize,
    /// Servers that the proxy's configuration marks as trusted.
    trusted: BTreeSet<String>,
}

/// Short: ten thousand rules have no place in a log.
impl fmt::Debug for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Policy")
            .field("revision", &self.revision)
            .field("servers", &self.servers.len())
            .field("rules", &self.rules)
            .finish_non_exhaustive()
    }
}

/// What an entry under `servers` says beside its lines.
#[derive(Debug, Clone)]
struct Server {
    trusted: Option<Trust>,
    default: Option<Verdict>,
}

/// `trusted:`, and the rule to name where it lets a call pass.
#[derive(Debug, Clone)]
struct Trust {
    trusted: bool,
    rule: String,
}

/// One pattern of one item under `tools`.
#[derive(Debug, Clone)]
struct Line {
    /// The number of its entry under `servers`.
    server: usize,
    verdict: Verdict,
}

/// What happens to a call, and which rule says so.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Verdict {
    action: Action,
    rule: String,
}

impl Verdict {
    /// Whether this one stands where both match and `other` comes first.
    fn overrides(&self, other: &Verdict) -> bool {
        match (&self.action, &other.action) {
            (Action::Hold(mine), Action::Hold(other)) => match (mine.timeout, other.timeout) {
                (Some(_), None) => true,
                (Some(mine), Some(other)) => mine < other,
                (None, _) => false,
            },
            _ => self.action.is_stricter_than(&other.action),
        }
    }
}

impl Policy {
    /// Reads and checks a document, at most [`LONGEST`] bytes of UTF-8.
    pub fn read(text: &[u8]) -> Result<Policy, PolicyError> {
        document::read(text)
    }

    /// The policy where there is no document: everything is held.
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

    /// How many items there are under all the `tools`.
    pub fn rules(&self) -> usize {
        self.rules
    }

    /// What happens to a call, as far as can be told from what was counted so far.
    pub fn judge(&self, call: &Call<'_>, counters: &dyn Counters) -> Ruling {
        let _ = counters;
        let trusted = self.trusts(call.server);
        let judgement = judging::judge(
            call.tool,
            call.definition,
            judging::Word::default(),
            trusted,
            Some(call.arguments),
        );
        let annotations = call.definition.map(|tool| tool.annotations).unwrap_or_default();
        let Verdict { action, rule } = self.verdict(call.server, call.tool, &annotations);
        Ruling { action, rule, judgement, takes: Vec::new() }
    }

    /// Whether what was counted so far may matter to calls of this tool.
    pub fn counts(&self, server: &str, tool: &str) -> bool {
        let _ = (server, tool);
        false
    }

    /// Whether any tool of this server may be hidden.
    pub fn hides_any(&self, server: &str) -> bool {
        let _ = server;
        false
    }

    /// Whether an agent is not to see this tool, nor to call it.
    pub fn hides(&self, server: &str, tool: &str, definition: Option<&judging::Tool>) -> bool {
        let _ = (server, tool, definition);
        false
    }

    fn verdict(&self, server: &str, tool: &str, annotations: &Annotations) -> Verdict {
        let entries = self.names.matching(server);
        let lines = self.tools.matching(tool).into_iter().filter_map(|n| self.lines.get(n));
        let lines = lines.filter(|line| entries.binary_search(&line.server).is_ok());
        if let Some(verdict) = strictest(lines.map(|line| &line.verdict)) {
            return verdict.clone();
        }
        let defaults = self.entries(&entries).filter_map(|entry| entry.default.as_ref());
        let default = strictest(defaults).unwrap_or(&self.default);
        match self.trust(server, &entries) {
            Some(rule) if default.action.strictness() == 1 && annotations.only_reads() => {
                Verdict { action: Action::Allow, rule: rule.to_owned() }
            }
            _ => default.clone(),
        }
    }

    /// Whether an entry under `servers` is about this server.
    pub fn names(&self, server: &str) -> bool {
        !self.names.matching(server).is_empty()
    }

    /// Whether what this server's tools say of themselves may let a call pass.
    pub fn trusts(&self, server: &str) -> bool {
        self.trust(server, &self.names.matching(server)).is_some()
    }

    /// The rule by which a server is trusted; `None` if it is not.
    fn trust(&self, server: &str, entries: &[usize]) -> Option<&str> {
        let said = || self.entries(entries).filter_map(|entry| entry.trusted.as_ref());
        if said().any(|trust| !trust.trusted) {
            return None;
        }
        let configured = self.trusted.contains(server).then_some(TRUSTED_BY_CONFIGURATION);
        said().next().map(|trust| trust.rule.as_str()).or(configured)
    }

    fn entries(&self, numbers: &[usize]) -> impl Iterator<Item = &Server> {
        numbers.iter().filter_map(|number| self.servers.get(*number))
    }
}

/// The rule that is named where the proxy's configuration trusts a server.
const TRUSTED_BY_CONFIGURATION: &str = "trusted by the proxy's configuration, read-only tool";

/// Of those in the order of the document, the one that stands.
fn strictest<'a>(verdicts: impl Iterator<Item = &'a Verdict>) -> Option<&'a Verdict> {
    verdicts.reduce(|first, next| if next.overrides(first) { next } else { first })
}
