//! Our side of a policy: `rules:`, in the order of the document.
//!
//! ```text
//! read     from the document's tree to rules, every problem with its place
//! index    which rules may match a call, without looking at the others
//! limit    rate limits: whose, how many, what is said when they are used up
//! when     conditions in CEL
//! ```
//!
//! The first rule that matches and has an action decides. A rule without one takes a
//! place of its `rate_limit`, and the search goes on; where its limit is used up, that
//! decides.
//!
//! Promises: a condition that cannot be evaluated never allows: an allowing rule then
//! does not match, and every other does. Judging looks only at rules that name this
//! tool or server, or match them by a pattern, so ten thousand rules for others cost
//! nothing. Must never: read a clock, or take a place: it says what a call would take.

mod index;
mod limit;
mod read;
pub mod when;

use std::cell::Cell;
use std::fmt;

use chrono_tz::Tz;

use super::Annotations;
use super::budget::Budget;
use super::call::{Action, Call, Counters, Hold, Take};
use super::judging::{Judgement, Tool};
use super::problem::Place;
use super::verdict::Verdict;
use crate::call::model::{Category, Risk};
use index::{Index, Names, Sought};
use limit::Limit;
pub use limit::Per;
pub use read::read;
use when::{Facts, Failed, When};

/// The rules, and how they are found.
#[derive(Debug, Clone, Default)]
pub struct Rules {
    rules: Vec<Rule>,
    index: Index,
    /// Whether one of them hides tools.
    hiding: bool,
}

/// One rule.
#[derive(Debug, Clone)]
pub struct Rule {
    /// What the history calls it: safe text on one line, at most 200 bytes.
    pub label: String,
    /// Where it begins.
    pub place: Place,
    /// Its own name.
    pub name: Option<String>,
    pub servers: Names,
    pub tools: Names,
    categories: Vec<Category>,
    risks: Vec<Risk>,
    hints: Vec<(Hint, bool)>,
    pub when: Option<When>,
    pub action: Option<Does>,
    pub limit: Option<Limit>,
}

/// What a rule does where it matches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Does {
    Allow,
    Deny(String),
    Hold(Hold),
    Hide,
}

/// A hint of a tool's annotations.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hint {
    ReadOnly,
    Destructive,
}

/// What our side says of a call.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Said {
    /// What the first rule with an action, or a limit that is used up, says.
    pub verdict: Option<Verdict>,
    /// What the call takes of limits.
    pub takes: Vec<Take>,
}

/// A call with what was found out of it.
#[derive(Debug, Clone, Copy)]
pub struct Known<'a> {
    pub call: &'a Call<'a>,
    pub judgement: &'a Judgement,
    /// Whether the server is trusted.
    pub trusted: bool,
    pub doubt: Doubt,
    pub zone: Tz,
    /// What all conditions on the call share.
    pub budget: &'a Cell<Budget>,
}

/// Why it cannot be told what a call does, where that is so. What the judgement says
/// is then a guess, by which nothing is let pass and no rule that tightens passed over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Doubt {
    pub category: Option<&'static str>,
    pub risk: Option<&'static str>,
}

/// Why a rule does not match, or that it does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Match {
    Yes,
    /// It matches because something of it cannot be evaluated, and it is not one that
    /// allows.
    InDoubt(String),
    No(Miss),
}

/// What of a rule that is about this tool and server keeps it from matching.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Miss {
    Category(Category),
    Risk(Risk),
    Annotation(Hint),
    /// An annotation would let it allow, and the server is not trusted.
    Untrusted,
    When,
    /// It allows, and cannot be evaluated.
    InDoubt(String),
}

impl Rules {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.rules.len()
    }

    /// All of them, in order.
    pub fn all(&self) -> &[Rule] {
        &self.rules
    }

    /// Those that are about this tool of this server, in order.
    pub fn about(&self, server: &str, tool: &str) -> impl Iterator<Item = &Rule> {
        let numbers = self.index.about(&self.rules, server, tool);
        numbers.into_iter().filter_map(|number| self.rules.get(number))
    }

    /// Whether a rule is about any tool of this server.
    pub fn are_about(&self, server: &str) -> bool {
        let sought = self.index.sought(server, "");
        self.rules.iter().any(|rule| rule.servers.have(server, || sought.server_globs()))
    }

    /// Whether a rule that is for some servers alone is for this one.
    pub fn name(&self, server: &str) -> bool {
        let sought = self.index.sought(server, "");
        let mut some = self.rules.iter().filter(|rule| !rule.servers.are_all());
        some.any(|rule| rule.servers.have(server, || sought.server_globs()))
    }

    /// Whether a rule is about this tool of this server.
    pub fn is_about(&self, rule: &Rule, server: &str, tool: &str) -> bool {
        rule.is_about(&self.index.sought(server, tool))
    }

    /// Whether what was counted so far may matter to calls of this tool.
    pub fn counts(&self, server: &str, tool: &str) -> bool {
        self.about(server, tool).any(|rule| rule.limit.is_some())
    }

    /// Whether a rule hides something.
    pub fn hide(&self) -> bool {
        self.hiding
    }

    /// The rule that hides a tool, judged without arguments.
    pub fn hidden_by(&self, known: &Known<'_>) -> Option<&Rule> {
        if !self.hiding {
            return None;
        }
        let mut about = self.about(known.call.server, known.call.tool);
        about.find(|rule| {
            rule.action == Some(Does::Hide) && !matches!(rule.matches(known), Match::No(_))
        })
    }

    /// The rules that match a call, in order, up to the first that decides.
    pub fn matching(&self, known: &Known<'_>) -> Vec<&Rule> {
        let mut matching = Vec::new();
        for rule in self.about(known.call.server, known.call.tool) {
            if let Match::No(_) = rule.matches(known) {
                continue;
            }
            matching.push(rule);
            // What hides is looked for by itself, before: with what the tool is, not the
            // call.
            if rule.action.as_ref().is_some_and(|does| *does != Does::Hide) {
                break;
            }
        }
        matching
    }

    /// What these rules say, which match a call.
    pub fn said(matching: &[&Rule], call: &Call<'_>, counters: &dyn Counters) -> Said {
        let mut said = Said::default();
        for rule in matching {
            if let Some(limit) = &rule.limit {
                match limit.room(call, rule, counters) {
                    Ok(take) => said.takes.push(take),
                    Err(action) => {
                        said.verdict = Some(Verdict { action, rule: rule.label.clone() });
                        break;
                    }
                }
            }
            let action = match &rule.action {
                Some(Does::Allow) => Action::Allow,
                Some(Does::Deny(reason)) => Action::Deny { reason: reason.clone() },
                Some(Does::Hold(hold)) => Action::Hold(hold.clone()),
                Some(Does::Hide) | None => continue,
            };
            said.verdict = Some(Verdict { action, rule: rule.label.clone() });
            break;
        }
        said
    }
}

impl<'a> Known<'a> {
    /// What a condition is asked of.
    pub fn facts(&self) -> Facts<'a> {
        let Judgement { category, risk, .. } = *self.judgement;
        Facts { call: self.call, category, risk, doubt: self.doubt, zone: self.zone }
    }
}

impl Rule {
    /// Whether the tool and the server are those that it is about.
    fn is_about(&self, sought: &Sought<'_>) -> bool {
        self.tools.have(sought.tool, || sought.tool_globs())
            && self.servers.have(sought.server, || sought.server_globs())
    }

    /// The same without its condition.
    pub fn matches_but_for_when(&self, known: &Known<'_>) -> Match {
        let kind = self.kind_matches(known);
        if let Match::No(_) = kind {
            return kind;
        }
        let hints = self.hints_match(known);
        if let (Match::No(_), _) | (_, Match::Yes) = (&hints, &kind) { hints } else { kind }
    }

    /// Whether a call of a tool that it is about is one that it means.
    pub fn matches(&self, known: &Known<'_>) -> Match {
        let found = self.matches_but_for_when(known);
        if let Match::No(_) = found {
            return found;
        }
        let Some(when) = &self.when else {
            return found;
        };
        let facts = known.facts();
        let mut budget = known.budget.get();
        let holds = when.holds(&facts, &mut budget);
        known.budget.set(budget);
        match holds {
            Ok(true) => found,
            Ok(false) => Match::No(Miss::When),
            Err(failed) => self.in_doubt(failed),
        }
    }

    fn in_doubt(&self, why: Failed) -> Match {
        match self.action {
            Some(Does::Allow) => Match::No(Miss::InDoubt(why.to_string())),
            _ => Match::InDoubt(why.to_string()),
        }
    }

    /// Whether it is for what the call does.
    fn kind_matches(&self, known: &Known<'_>) -> Match {
        let Judgement { category, risk, .. } = *known.judgement;
        let doubt = known.doubt;
        let (categories, risks) = (!self.categories.is_empty(), !self.risks.is_empty());
        if categories && doubt.category.is_none() && !self.categories.contains(&category) {
            return Match::No(Miss::Category(category));
        }
        if risks && doubt.risk.is_none() && !self.risks.contains(&risk) {
            return Match::No(Miss::Risk(risk));
        }
        let doubt = doubt.category.filter(|_| categories).or(doubt.risk.filter(|_| risks));
        match doubt {
            Some(why) => self.in_doubt(Failed::Senseless(why.to_owned())),
            None => Match::Yes,
        }
    }

    fn hints_match(&self, known: &Known<'_>) -> Match {
        if self.hints.is_empty() {
            return Match::Yes;
        }
        // A claim that lets a call pass is worth what the server is.
        if self.action == Some(Does::Allow) && !known.trusted {
            return Match::No(Miss::Untrusted);
        }
        let Some(Tool { annotations, .. }) = known.call.definition.tool() else {
            return self
                .in_doubt(Failed::Senseless("the tool's definition is not known".to_owned()));
        };
        let missed = self.hints.iter().find(|(hint, wanted)| hint.of(annotations) != Some(*wanted));
        missed.map_or(Match::Yes, |(hint, _)| Match::No(Miss::Annotation(*hint)))
    }

    /// The words of its condition on what the call does.
    pub fn kinds(&self) -> (&[Category], &[Risk]) {
        (&self.categories, &self.risks)
    }

    /// What it does, in the document's words.
    pub fn does(&self) -> &'static str {
        match &self.action {
            Some(Does::Allow) => "allow",
            Some(Does::Deny(_)) => "deny",
            Some(Does::Hold(_)) => "require_approval",
            Some(Does::Hide) => "hide",
            None => "rate_limit",
        }
    }

    /// Whether this one decides wherever `later` would match, as far as conditions go:
    /// which tools and servers either is about is another question.
    pub fn stands_before(&self, later: &Rule) -> bool {
        let allows = self.action == Some(Does::Allow);
        let categories = self.categories.is_empty()
            || (!later.categories.is_empty()
                && later.categories.iter().all(|one| self.categories.contains(one)));
        let risks = self.risks.is_empty()
            || (!later.risks.is_empty() && later.risks.iter().all(|one| self.risks.contains(one)));
        // Where a condition has no answer, or the server is not trusted, one that allows
        // does not match, and another does.
        let hints = self.hints.is_empty()
            || (!allows && self.hints.iter().all(|hint| later.hints.contains(hint)));
        let source = |rule: &Rule| rule.when.as_ref().map(|when| when.source().to_owned());
        let when = self.when.is_none() || (!allows && source(self) == source(later));
        let decides = self.action.as_ref().is_some_and(|does| *does != Does::Hide);
        decides && later.action != Some(Does::Hide) && categories && risks && hints && when
    }
}

impl Hint {
    fn of(self, annotations: &Annotations) -> Option<bool> {
        match self {
            Hint::ReadOnly => annotations.read_only,
            Hint::Destructive => annotations.destructive,
        }
    }
}

impl fmt::Display for Hint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Hint::ReadOnly => "readOnlyHint",
            Hint::Destructive => "destructiveHint",
        })
    }
}
