//! What else was near: the rules that were looked at for a call, and why they did not
//! decide.

use std::cell::Cell;

use super::Policy;
use super::call::{Action, Call, Counters, Ruling};
use super::rules::{Does, Known, Match, Miss, Rule};
use crate::call::json::Json;

/// How many rules are told of.
const MOST: usize = 12;

/// A ruling with what was near.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explanation {
    /// What happens.
    pub ruling: Ruling,
    /// Why the rule that decides matches, where that is because something cannot be
    /// evaluated: safe text on one line.
    pub doubt: Option<String>,
    /// Whether the server is trusted.
    pub trusted: bool,
    /// The rules that are about this tool, or nearly so, in the order of the document.
    pub near: Vec<Near>,
}

/// A rule that did not decide.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Near {
    /// What it is called.
    pub rule: String,
    /// What it would do, in the document's words.
    pub does: &'static str,
    /// Why it did not decide: safe text on one line.
    pub why: String,
}

impl Policy {
    /// What happens to a call, and what was near.
    pub fn explain(&self, call: &Call<'_>, counters: &dyn Counters) -> Explanation {
        let ruling = self.judge(call, counters);
        let budget = Cell::default();
        let known = self.known(call, &ruling.judgement, &budget);
        let (mut near, doubt) = self.near_in_rules(&known, &ruling);
        if self.intercept.stands() {
            let each = self.intercept.each(call, counters, &mut budget.get());
            near.extend(each.into_iter().filter(|(rule, _)| *rule != ruling.rule).map(
                |(rule, action)| Near {
                    rule,
                    does: action.word(),
                    why: match action {
                        Action::Allow => "does not object".to_owned(),
                        _ => "something stricter stands".to_owned(),
                    },
                },
            ));
        }
        if self.intercept.stands() && !self.intercept.lists(call.tool) {
            near.push(Near {
                rule: "tools".to_owned(),
                does: self.default.posture.word(),
                why: "this tool is not listed there, so the default is for it".to_owned(),
            });
        }
        near.truncate(MOST);
        Explanation { trusted: known.trusted, doubt, ruling, near }
    }

    fn near_in_rules(&self, known: &Known<'_>, ruling: &Ruling) -> (Vec<Near>, Option<String>) {
        let call = known.call;
        let nothing = Json::Object(Vec::new());
        let shown = Call { arguments: &nothing, ..*call };
        let judgement = self.judgement(&shown, None);
        let (mut decided, mut doubt) = (false, None);
        let mut near = Vec::new();
        for rule in self.rules.about(call.server, call.tool) {
            // What is hidden is hidden by what the tool is, and not the call.
            let hides = rule.action == Some(Does::Hide);
            let known = if hides { self.known(&shown, &judgement, known.budget) } else { *known };
            let found = rule.matches(&known);
            if rule.label == ruling.rule || ruling.rule.starts_with(&format!("{};", rule.label)) {
                decided = true;
                if let Match::InDoubt(why) = found {
                    doubt = Some(format!("its condition cannot be evaluated: {why}"));
                }
                continue;
            }
            near.push(Near {
                rule: rule.label.clone(),
                does: rule.does(),
                why: why(rule, &known, found, decided),
            });
        }
        let others = self.rules.all().iter().filter(|rule| {
            !rule.tools.are_all()
                && rule.tools.exact.iter().any(|tool| tool == call.tool)
                && !self.rules.is_about(rule, call.server, call.tool)
        });
        near.extend(others.map(|rule| Near {
            rule: rule.label.clone(),
            does: rule.does(),
            why: format!("is about the server {}", listed(&rule.servers.written)),
        }));
        (near, doubt)
    }
}

/// Why a rule about this tool did not decide.
fn why(rule: &Rule, known: &Known<'_>, found: Match, decided: bool) -> String {
    match found {
        Match::Yes | Match::InDoubt(_) if decided => "would match, and comes after".to_owned(),
        Match::Yes if rule.action.is_none() => "limits, and has room".to_owned(),
        Match::Yes => "matches, and something stricter stands".to_owned(),
        Match::InDoubt(why) => format!("matches, because it cannot be evaluated: {why}"),
        Match::No(miss) => missed(rule, known, miss),
    }
}

fn missed(rule: &Rule, known: &Known<'_>, miss: Miss) -> String {
    let (categories, risks) = rule.kinds();
    match miss {
        Miss::Category(is) => {
            let words: Vec<_> = categories.iter().map(|category| category.word()).collect();
            format!("is for category {}, and this is {is}", words.join(", "))
        }
        Miss::Risk(is) => {
            let words: Vec<_> = risks.iter().map(|risk| risk.word()).collect();
            format!("is for risk {}, and this is {is}", words.join(", "))
        }
        Miss::Annotation(hint) => format!("is for another {hint} than the tool states"),
        Miss::Untrusted => "allows by what the tool says, and the server is not trusted".to_owned(),
        Miss::When => format!("its condition does not hold{}", values(rule, known)),
        Miss::InDoubt(why) => {
            format!("its condition cannot be evaluated: {why}{}", values(rule, known))
        }
    }
}

/// What a condition saw of the arguments.
fn values(rule: &Rule, known: &Known<'_>) -> String {
    let Some(when) = &rule.when else {
        return String::new();
    };
    let seen = when.looked_at(&known.facts());
    let seen: Vec<_> = seen.into_iter().map(|(name, value)| format!("{name} = {value}")).collect();
    if seen.is_empty() { String::new() } else { format!(" ({})", seen.join(", ")) }
}

fn listed(names: &[String]) -> String {
    let shown: Vec<_> = names.iter().take(3).map(|name| super::values::part(name)).collect();
    shown.join(", ")
}
