//! What of a policy that can be used is probably not what was meant.

use std::collections::BTreeSet;

use super::Policy;
use super::rules::{Does, Per, Rule};
use super::standing::Posture;
use super::values::part;
use crate::config::duration;
use crate::config::names::distance;

/// Something to look at.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Warning {
    /// The line it is about; `None`: the whole document.
    pub line: Option<usize>,
    /// What was found: safe text on one line.
    pub message: String,
    /// What to do if it is not meant.
    pub remedy: String,
}

/// How many warnings are told: whoever has more has one cause for most.
const MOST: usize = 50;

/// How many rules that match by patterns each rule is compared with.
const MOST_COMPARED: usize = 200;

/// How many names are compared with each other, and how short one may be: among short
/// ones many are alike.
const MOST_NAMES: usize = 500;
const SHORTEST_NAME: usize = 5;

impl Policy {
    /// What is in it: a word for each thing, and what it is, as safe text on one line.
    pub fn contents(&self) -> Vec<(&'static str, String)> {
        let count = |number: usize, one: &str| {
            format!("{number} {one}{}", if number == 1 { "" } else { "s" })
        };
        let why = match (self.default.line, self.intercept.stands()) {
            (Some(line), _) => format!("line {line}"),
            (None, true) => "left out, beside `tools`".to_owned(),
            (None, false) => "left out".to_owned(),
        };
        let means = match self.default.posture {
            Posture::Allow => "what no rule is meant for passes",
            Posture::Deny => "what no rule is meant for is denied",
            Posture::RequireApproval => "what no rule is meant for waits for a person",
            Posture::Judge => "what is known to read only passes, and the rest waits for a person",
        };
        let mut contents =
            vec![("default", format!("{} ({why}): {means}", self.default.posture.word()))];
        let rules = self.rules.all();
        if !rules.is_empty() {
            let words = ["allow", "require_approval", "deny", "hide", "rate_limit"];
            let of = |word: &str| rules.iter().filter(|rule| rule.does() == word).count();
            let each = words.map(|word| (word, of(word)));
            let each = each.iter().filter(|(_, number)| *number > 0);
            let each: Vec<_> = each.map(|(word, number)| format!("{number} {word}")).collect();
            contents
                .push(("rules", format!("{} ({})", count(rules.len(), "rule"), each.join(", "))));
        }
        if self.intercept.stands() {
            let tools = count(self.intercept.tools(), "tool");
            contents.push(("tools", format!("{tools}, {}", count(self.intercept.rules(), "rule"))));
        }
        if self.servers.len() > 0 {
            let (servers, trusted) = (count(self.servers.len(), "entry"), self.servers.trusting());
            let servers = servers.replace("entrys", "entries");
            contents.push(("servers", format!("{servers}, {trusted} trusted")));
        }
        if let Some(timeout) = self.timeout {
            contents.push(("timeout", duration::text(timeout)));
        }
        contents.push(("revision", self.revision.clone()));
        contents
    }

    /// What may not be meant, in the order of the document.
    pub fn warnings(&self) -> Vec<Warning> {
        let mut warnings = Vec::new();
        self.left_out(&mut warnings);
        self.sessions(&mut warnings);
        self.unreachable(&mut warnings);
        self.typos(&mut warnings);
        warnings.sort();
        warnings.truncate(MOST);
        warnings
    }

    fn left_out(&self, warnings: &mut Vec<Warning>) {
        let stands = self.intercept.stands();
        if stands && self.default.line.is_none() {
            warnings.push(Warning {
                line: None,
                message: "there is no `default`, and beside `tools` it is then allow: every tool \
                          that is not listed passes"
                    .to_owned(),
                remedy: "write default: deny, or default: judge".to_owned(),
            });
        }
        let allows = self.rules.all().iter().find(|rule| rule.action == Some(Does::Allow));
        if let Some(rule) = allows.filter(|_| stands) {
            warnings.push(Warning {
                line: Some(rule.line),
                message: "beside `tools`, a rule that allows only ends the search among `rules`: \
                          what `tools` or the default refuses stays refused"
                    .to_owned(),
                remedy: "list the tool under `tools`".to_owned(),
            });
        }
        if self.default.posture == Posture::Allow && !stands && self.rules.len() == 0 {
            warnings.push(Warning {
                line: self.default.line,
                message: "every call passes".to_owned(),
                remedy: "write default: judge, and rules".to_owned(),
            });
        }
    }

    fn sessions(&self, warnings: &mut Vec<Warning>) {
        let by_session = |rule: &&Rule| rule.limit.as_ref().is_some_and(|l| l.per == Per::Session);
        for rule in self.rules.all().iter().filter(by_session) {
            warnings.push(Warning {
                line: Some(rule.line),
                message: "this limit is per session: a client that may open sessions has as many \
                          of it"
                    .to_owned(),
                remedy: "write per: client".to_owned(),
            });
        }
    }

    fn unreachable(&self, warnings: &mut Vec<Warning>) {
        let rules = self.rules.all();
        let index = self.rules.index();
        let mut wide: Vec<&Rule> = Vec::new();
        for rule in rules {
            let named = match (rule.servers.exact.first(), rule.tools.exact.first()) {
                (Some(server), Some(tool)) => self.rules.about(server, tool).collect(),
                _ => Vec::new(),
            };
            let before = named.into_iter().filter(|earlier| earlier.line < rule.line);
            let first = before.chain(wide.iter().copied()).find(|r| r.stands_before(rule, index));
            if let Some(earlier) = first {
                warnings.push(Warning {
                    line: Some(rule.line),
                    message: format!(
                        "this rule is never reached: {} matches all that it matches",
                        earlier.label
                    ),
                    remedy: "put it in front of that one, or take it away".to_owned(),
                });
            }
            let exact = !rule.servers.are_all() && !rule.tools.are_all();
            let exact = exact && rule.servers.are_exact() && rule.tools.are_exact();
            if !exact && wide.len() < MOST_COMPARED {
                wide.push(rule);
            }
        }
    }

    fn typos(&self, warnings: &mut Vec<Warning>) {
        let rules = self.rules.all().iter();
        let in_rules = rules.flat_map(|rule| rule.tools.exact.iter().map(String::as_str));
        let tools = in_rules.chain(self.intercept.names()).chain(self.servers.tools());
        alike("tool", tools, warnings);
        let rules = self.rules.all().iter();
        let in_rules = rules.flat_map(|rule| rule.servers.exact.iter().map(String::as_str));
        alike("server", in_rules.chain(self.servers.names()), warnings);
    }
}

/// Names that differ in one letter.
fn alike<'a>(what: &str, names: impl Iterator<Item = &'a str>, warnings: &mut Vec<Warning>) {
    let names: BTreeSet<&str> = names.filter(|name| name.len() >= SHORTEST_NAME).collect();
    let names: Vec<&str> = names.into_iter().take(MOST_NAMES).collect();
    // Numbers are counted on purpose, and many a word has an s more.
    let letters = |name: &str| name.replace(|c: char| c.is_ascii_digit(), "");
    for (number, first) in names.iter().enumerate() {
        for second in names.iter().skip(number + 1) {
            let differ = letters(first) != letters(second);
            let plural = second.strip_prefix(first) == Some("s");
            if differ && !plural && distance(first, second) == 1 {
                warnings.push(Warning {
                    line: None,
                    message: format!(
                        "the {what}s \"{}\" and \"{}\" differ in one letter",
                        part(first),
                        part(second)
                    ),
                    remedy: "if that is a typo, mend it".to_owned(),
                });
            }
        }
    }
}
