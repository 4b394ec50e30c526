//! The side of a policy that PolicyLayer Intercept's files have: `version`,
//! `description`, `default`, `hide` and `tools`.
//!
//! ```text
//! read       the document's tree into rules, every problem with its place
//! rule       one rule on one call: its action, conditions and counter
//! condition  a path, and what is asked of the value there
//! operator   eq, neq, in, not_in, lt, lte, gt, gte, regex, contains, exists
//! pattern    Go's regular expressions
//! value      what conditions compare with
//! counter    state blocks, rate limits, windows
//! ```
//!
//! Promises: a file that Intercept reads means here what Intercept documents, or
//! is refused; where its documents are silent and its behaviour would let a call
//! pass unseen, this side is the stricter (`docs/policy.md` says where). What
//! cannot be evaluated never lets a call pass. The time for a call depends on the
//! rules for its tool and for every tool, not on how many others there are. Must
//! never: read a clock, or change a counter: it says what a call would take.

mod condition;
mod counter;
mod operator;
mod pattern;
mod read;
mod rule;
#[cfg(test)]
mod tests;
mod value;

use std::collections::{BTreeMap, HashMap};

use super::budget::Budget;
use super::call::{Action, Call, Counters, Take};
use super::problem::Problems;
use super::values::Map;
use crate::call::safe_text::SafeText;
use condition::Look;
pub(super) use pattern::translated;
use rule::Rule;

/// How much of a tool's name an agent is told again, in columns.
const SHOWN: usize = 200;

/// What a document says on this side. One that says nothing hides, lists and
/// rules nothing.
#[derive(Debug, Clone, Default)]
pub(super) struct Intercept {
    /// Whether the document has this side at all: see [`Intercept::stands`].
    stands: bool,
    /// The line of a `default: deny`. Other words matter to whoever reads the rest.
    denies: Option<usize>,
    /// The line on which each hidden name stands.
    hidden: BTreeMap<String, usize>,
    tools: HashMap<String, Listed>,
    /// The rules under `"*"`.
    every: Vec<Rule>,
}

/// A tool that the document lists.
#[derive(Debug, Clone)]
struct Listed {
    /// What the history calls it where no rule of it decides.
    label: String,
    rules: Vec<Rule>,
}

/// What this side says of a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Said {
    /// The strictest that a rule says; `Allow` where none objects.
    pub action: Action,
    /// The rule that says so: safe text on one line, at most 200 bytes.
    pub rule: String,
    /// What the call takes if it passes; empty where it does not.
    pub takes: Vec<Take>,
    /// Whether the tool is not listed, so that the document's default applies too:
    /// of both the stricter. A default of deny is in `action` already.
    pub unlisted: bool,
}

impl Intercept {
    /// Reads this side's keys of the document, and leaves the others alone; `None`:
    /// something is wrong, and was reported. Of `default` it only sees whether it is
    /// deny: what else it may be, and what is wrong with it, is for the whole document.
    pub fn read(top: &Map<'_>, problems: &mut Problems) -> Option<Intercept> {
        read::document(top, problems)
    }

    /// Whether the document has this side: `tools`, or a `version` and nothing of
    /// ours. Its omitted `default` is then allow.
    pub fn stands(&self) -> bool {
        self.stands
    }

    /// Whether the document lists this tool.
    pub fn lists(&self, tool: &str) -> bool {
        self.tools.contains_key(tool)
    }

    /// How many tools the document lists.
    pub fn tools(&self) -> usize {
        self.tools.len()
    }

    /// Whether the document hides any tool.
    pub fn hides_any(&self) -> bool {
        !self.hidden.is_empty()
    }

    /// Whether the document hides this tool.
    pub fn hides(&self, tool: &str) -> bool {
        self.hidden_by(tool).is_some()
    }

    /// Whether what was counted so far may matter to calls of this tool.
    pub fn counts(&self, tool: &str) -> bool {
        self.rules_for(tool).any(Rule::counts)
    }

    /// Whether a rule for this tool looks at the arguments of a call, and no other denies
    /// every call.
    pub fn looks_at_arguments(&self, tool: &str) -> bool {
        self.rules_for(tool).any(Rule::looks_at_arguments)
            && !self.rules_for(tool).any(Rule::denies_all)
    }

    /// How many rules there are.
    pub fn rules(&self) -> usize {
        self.tools.values().map(|tool| tool.rules.len()).sum::<usize>() + self.every.len()
    }

    /// What this side can say of a call without what was counted.
    pub fn weigh(&self, call: &Call<'_>, budget: &mut Budget) -> Weighed<'_> {
        let listed = self.tools.get(call.tool);
        let unlisted = listed.is_none();
        let denied = |reason: &str, rule: String| {
            let (tool, _) = SafeText::cut_line(call.tool, SHOWN);
            let reason = format!("Tool \"{tool}\" {reason}");
            let action = Action::Deny { reason };
            let said = Said { action, rule, takes: Vec::new(), unlisted };
            Weighed { said, rules: Vec::new() }
        };
        if let Some(line) = self.hidden_by(call.tool) {
            return denied("is hidden by policy", format!("hide (line {line})"));
        }
        if let Some(line) = self.denies
            && unlisted
        {
            return denied("is not permitted by policy", format!("default (line {line})"));
        }
        let label = listed.map_or("no rule for this tool", |listed| &listed.label);
        let said =
            Said { action: Action::Allow, rule: label.to_owned(), takes: Vec::new(), unlisted };
        let mut rules = Vec::new();
        for rule in self.rules_for(call.tool) {
            let looks = rule.looks(call, budget);
            let denies = rule.denies(&looks);
            rules.push((rule, looks));
            if denies {
                break;
            }
        }
        Weighed { said, rules }
    }

    /// What each rule for a call's tool says by itself, in the order in which they are
    /// looked at.
    pub fn each(
        &self,
        call: &Call<'_>,
        counters: &dyn Counters,
        budget: &mut Budget,
    ) -> Vec<(String, Action)> {
        let rules = self.rules_for(call.tool);
        let said = |rule: &Rule| {
            let looks = rule.looks(call, budget);
            (rule.label.clone(), rule.on(&looks, call, counters).0)
        };
        rules.map(said).collect()
    }

    /// The names of the tools that the document lists, hides included.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.tools.keys().chain(self.hidden.keys()).map(String::as_str)
    }

    fn hidden_by(&self, tool: &str) -> Option<usize> {
        self.hidden.get(tool).or_else(|| self.hidden.get(EVERY)).copied()
    }

    /// A tool's own rules come first.
    fn rules_for(&self, tool: &str) -> impl Iterator<Item = &Rule> {
        self.tools.get(tool).into_iter().flat_map(|tool| &tool.rules).chain(&self.every)
    }
}

/// What this side can say of a call without what was counted.
#[derive(Debug)]
pub(super) struct Weighed<'a> {
    /// What it says where no rule objects.
    said: Said,
    /// The rules up to one that denies, with what each saw in the arguments.
    rules: Vec<(&'a Rule, Vec<Option<Look>>)>,
}

impl Weighed<'_> {
    /// What this side says, as far as can be told from what was counted.
    pub fn said(&self, call: &Call<'_>, counters: &dyn Counters) -> Said {
        let mut said = self.said.clone();
        for (rule, looks) in &self.rules {
            let (action, take) = rule.on(looks, call, counters);
            said.takes.extend(take);
            if said.hears(action) {
                said.rule.clone_from(&rule.label);
            }
            if let Action::Deny { .. } = said.action {
                break;
            }
        }
        if let Action::Deny { .. } | Action::Limited { .. } = said.action {
            said.takes.clear();
        }
        said
    }
}

/// The name that stands for every tool.
const EVERY: &str = "*";

impl Said {
    /// Takes in what one more rule says; whether that rule is now the one that decides.
    fn hears(&mut self, action: Action) -> bool {
        match (&mut self.action, action) {
            // All limits must have room again, so the longest wait counts.
            (Action::Limited { again_in, .. }, Action::Limited { again_in: other, .. }) => {
                *again_in = again_in.zip(other).map(|(mine, other)| mine.max(other));
                false
            }
            // People have the shortest time that a rule gives them.
            (Action::Hold(mine), Action::Hold(other)) => {
                let shorter = match (mine.timeout, other.timeout) {
                    (Some(mine), Some(other)) => other < mine,
                    (mine, other) => mine.is_none() && other.is_some(),
                };
                if shorter {
                    mine.timeout = other.timeout;
                }
                if (shorter && other.told.is_some()) || mine.told.is_none() {
                    mine.told = other.told;
                }
                shorter
            }
            (mine, action) if action.is_stricter_than(mine) => {
                *mine = action;
                true
            }
            _ => false,
        }
    }
}
