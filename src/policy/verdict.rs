//! The strictest of all that is said of a call.
//!
//! In this order: arguments that are no object, tools that are hidden, then both sides
//! of the document: Intercept's (`tools:`) and ours (`rules:`), of which the stricter
//! stands; where neither speaks, the default. What would pass under a name that may
//! look like another is held.

use std::cell::Cell;
use std::time::Duration;

use super::budget::Budget;
use super::call::{Action, Call, Counters, Definition, Hold, Ruling, Take};
use super::judging::{self, Judgement, Tool};
use super::rules::{Doubt, Known, Rule, Rules};
use super::standing::{Default, Posture};
use super::{From, Policy, tools};
use crate::call::json::Json;
use crate::call::model::Category;
use crate::call::safe_text::SafeText;

/// How much of a tool's name an agent is told again, in columns.
const SHOWN: usize = 80;

/// The longest name of a rule, in bytes. Two are told together where both fit.
const LONGEST_RULE: usize = 200;

/// What an agent is told where the default denies.
const DENIED_BY_DEFAULT: &str = "No rule of the policy allows this tool.";

/// What one side says, or both.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    pub action: Action,
    pub rule: String,
}

/// A call with all that can be said of it but what was counted: nothing that its
/// arguments cost has to be paid again, or while others wait for the counters.
#[derive(Debug)]
pub struct Weighed<'a> {
    policy: &'a Policy,
    call: &'a Call<'a>,
    judgement: Judgement,
    found: Found<'a>,
}

#[derive(Debug)]
enum Found<'a> {
    /// Counters do not matter.
    Settled(Verdict),
    /// What matches on our side, and what Intercept's rules saw.
    Sides { ours: Vec<&'a Rule>, theirs: Option<tools::Weighed<'a>> },
}

impl Policy {
    /// What happens to a call, as far as can be told from what was counted so far.
    pub fn judge(&self, call: &Call<'_>, counters: &dyn Counters) -> Ruling {
        self.weigh(call).ruling(counters)
    }

    /// Everything that can be said of a call without what was counted.
    pub fn weigh<'a>(&'a self, call: &'a Call<'a>) -> Weighed<'a> {
        let judgement = self.judgement(call, Some(call.arguments));
        let found = self.found(call, &judgement);
        Weighed { policy: self, call, judgement, found }
    }

    /// Whether any tool may be hidden.
    pub fn hides_any(&self) -> bool {
        self.rules.hide() || self.intercept.hides_any()
    }

    /// Whether an agent is not to see this tool, nor to call it.
    pub fn hides(&self, server: &str, tool: &str, definition: Option<&Tool>) -> bool {
        if self.intercept.hides(tool) {
            return true;
        }
        if !self.rules.hide() {
            return false;
        }
        let nothing = Json::Object(Vec::new());
        let (from, at) = (From::default(), chrono::DateTime::UNIX_EPOCH);
        let definition = definition.map_or(Definition::NotListed, Definition::Is);
        let call = Call { server, tool, definition, arguments: &nothing, from, at };
        self.hidden_by(&call).is_some()
    }

    /// Whether what was counted so far may matter to calls of this tool.
    pub fn counts(&self, server: &str, tool: &str) -> bool {
        self.rules.counts(server, tool) || (self.intercept.stands() && self.intercept.counts(tool))
    }

    pub(super) fn judgement(&self, call: &Call<'_>, arguments: Option<&Json>) -> Judgement {
        let word = self.servers.word(call.server, call.tool);
        let trusted = self.trusts(call.server);
        judging::judge(call.tool, call.definition.tool(), word, trusted, arguments)
    }

    pub(super) fn known<'a>(
        &self,
        call: &'a Call<'a>,
        judgement: &'a Judgement,
        budget: &'a Cell<Budget>,
    ) -> Known<'a> {
        let (trusted, doubt) = (self.trusts(call.server), self.doubt(call, judgement));
        Known { call, judgement, trusted, doubt, zone: self.zone, budget }
    }

    /// Why it cannot be told what a call does. What the operator says of a tool is not
    /// in doubt.
    fn doubt(&self, call: &Call<'_>, judgement: &Judgement) -> Doubt {
        let why = match call.definition {
            Definition::Is(_) => None,
            // Where it would be judged by its name in any case, it is judged by that.
            Definition::NotListed if judgement.told => None,
            Definition::NotListed => Some("the server does not list the tool"),
            Definition::Unknown => Some("the server's list of tools cannot be had"),
        };
        let word = self.servers.word(call.server, call.tool);
        let risk_is_said = word.risk.is_some() || word.category == Some(Category::Read);
        Doubt {
            category: why.filter(|_| word.category.is_none()),
            risk: why.filter(|_| !risk_is_said),
        }
    }

    fn found<'a>(&'a self, call: &'a Call<'a>, judgement: &Judgement) -> Found<'a> {
        if call.arguments.as_object().is_none() {
            let reason = "The arguments must be an object.".to_owned();
            let rule = "arguments".to_owned();
            return Found::Settled(Verdict { action: Action::Deny { reason }, rule });
        }
        if let Some(rule) = self.hidden_by(call) {
            let (tool, _) = SafeText::cut_line(call.tool, SHOWN);
            let reason = format!("Tool \"{tool}\" is hidden by policy");
            return Found::Settled(Verdict { action: Action::Deny { reason }, rule });
        }
        let budget = Cell::default();
        let ours = self.rules.matching(&self.known(call, judgement, &budget));
        let theirs = self.intercept.stands() || self.intercept.hides(call.tool);
        let theirs = theirs.then(|| self.intercept.weigh(call, &mut budget.get()));
        Found::Sides { ours, theirs }
    }

    /// The rule that hides a call's tool. What the call does with it does not matter:
    /// a tool is hidden in lists too, where there are no arguments.
    fn hidden_by(&self, call: &Call<'_>) -> Option<String> {
        if !self.rules.hide() {
            return None;
        }
        let judgement = self.judgement(call, None);
        let budget = Cell::default();
        self.rules.hidden_by(&self.known(call, &judgement, &budget)).map(|rule| rule.label.clone())
    }

    /// What the default says.
    fn standing(&self, call: &Call<'_>, judgement: &Judgement) -> Verdict {
        let Default { posture, place } = self.default;
        let known = judgement.told && self.doubt(call, judgement).category.is_none();
        let reads = known && judgement.category == Category::Read;
        let action = match posture {
            Posture::Allow => Action::Allow,
            Posture::Deny => Action::Deny { reason: DENIED_BY_DEFAULT.to_owned() },
            Posture::Judge if reads => Action::Allow,
            Posture::RequireApproval | Posture::Judge => {
                Action::Hold(Hold { timeout: self.timeout, ..Hold::default() })
            }
        };
        let place = match (place, self.file) {
            (Some(place), _) => format!("line {}", place.line),
            (None, true) => "not in the document".to_owned(),
            (None, false) => "no policy file".to_owned(),
        };
        Verdict { action, rule: format!("default: {} ({place})", posture.word()) }
    }
}

impl Weighed<'_> {
    /// What happens to the call, as far as can be told from what was counted so far.
    pub fn ruling(&self, counters: &dyn Counters) -> Ruling {
        let (Verdict { action, rule }, takes) = self.verdict(counters);
        // What does not run takes nothing.
        let takes = match action {
            Action::Allow | Action::Hold(_) => takes,
            Action::Deny { .. } | Action::Limited { .. } => Vec::new(),
        };
        Ruling { action, rule, judgement: self.judgement.clone(), takes }
    }

    fn verdict(&self, counters: &dyn Counters) -> (Verdict, Vec<Take>) {
        let (ours, theirs) = match &self.found {
            Found::Settled(verdict) => return (verdict.clone(), Vec::new()),
            Found::Sides { ours, theirs } => (ours, theirs),
        };
        let ours = Rules::said(ours, self.call, counters);
        let mut takes = ours.takes;
        let verdict = match (theirs, ours.verdict) {
            (None, None) => self.standing(),
            (None, Some(ours)) => ours,
            (Some(theirs), ours) => {
                let said = theirs.said(self.call, counters);
                takes.extend(said.takes);
                let theirs = Verdict { action: said.action, rule: said.rule };
                // The rules for every tool are meant for it too; the default may say more.
                let theirs = if said.unlisted { theirs.and(self.standing()) } else { theirs };
                match ours {
                    Some(ours) => theirs.and(ours),
                    None => theirs,
                }
            }
        };
        (verdict.under(self.call.tool), takes)
    }

    fn standing(&self) -> Verdict {
        self.policy.standing(self.call, &self.judgement)
    }
}

impl Verdict {
    /// Both together: the stricter, and of two that are equally strict what both ask for.
    fn and(self, other: Verdict) -> Verdict {
        if self.action.is_stricter_than(&other.action) {
            return self;
        }
        if other.action.is_stricter_than(&self.action) {
            return other;
        }
        match (self.action, other.action) {
            (Action::Hold(mine), Action::Hold(other_hold)) => Verdict {
                rule: both(&self.rule, &other.rule),
                action: Action::Hold(held(mine, other_hold)),
            },
            // Both must have room again, so the longer wait counts.
            (mine @ Action::Limited { .. }, theirs) => {
                if waits(&theirs) > waits(&mine) {
                    Verdict { action: theirs, rule: other.rule }
                } else {
                    Verdict { action: mine, rule: self.rule }
                }
            }
            // Both let it pass: the rule that was written for it says more.
            (Action::Allow, action) => Verdict { action, rule: other.rule },
            (action, _) => Verdict { action, rule: self.rule },
        }
    }

    /// A tool whose name has characters that MCP does not allow never passes unseen.
    fn under(self, tool: &str) -> Verdict {
        match self.action {
            Action::Allow if !is_plain(tool) => Verdict {
                action: Action::Hold(Hold::default()),
                rule: both("unusual characters in the tool's name", &self.rule),
            },
            _ => self,
        }
    }
}

/// What both ask for: the shorter time, the labels of both.
fn held(mine: Hold, other: Hold) -> Hold {
    let timeout = match (mine.timeout, other.timeout) {
        (Some(mine), Some(other)) => Some(mine.min(other)),
        (mine, other) => mine.or(other),
    };
    let mut labels = mine.labels;
    for (name, value) in other.labels {
        if labels.iter().all(|(known, _)| *known != name) {
            labels.push((name, value));
        }
    }
    let (told, route) = (mine.told.or(other.told), mine.route.or(other.route));
    Hold { timeout, told, labels, route }
}

/// How long until a limit has room; the longest where that is not known.
fn waits(action: &Action) -> Duration {
    match action {
        Action::Limited { again_in, .. } => again_in.unwrap_or(Duration::MAX),
        _ => Duration::ZERO,
    }
}

/// The names of two rules that say the same.
fn both(first: &str, second: &str) -> String {
    let both = format!("{first}; {second}");
    if both.len() <= LONGEST_RULE { both } else { first.to_owned() }
}

/// Whether a tool's name has only characters that MCP allows in one. Others may look
/// like these, and so one tool like another.
fn is_plain(tool: &str) -> bool {
    !tool.is_empty() && tool.chars().all(|c| c.is_ascii_alphanumeric() || "_-./".contains(c))
}
