//! What of a policy that can be used is probably not what was meant.

use std::collections::{BTreeSet, HashMap};

use super::Policy;
use super::cover::Shape;
use super::problem::{MOST_WARNINGS, Warning};
use super::rules::{Does, Per, Rule};
use super::standing::Posture;
use super::values::part;
use crate::config::duration;
use crate::config::names::distance;

/// How many rules that match by patterns each rule is compared with, how many that name
/// the same tool, and how many names and patterns of one rule are looked at.
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
        let why = match (self.default.place, self.intercept.stands()) {
            (Some(place), _) => format!("line {}", place.line),
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
        let mut warnings = self.doubts.clone();
        let conditions = self.rules.all().iter().filter_map(|rule| rule.when.as_ref());
        warnings.extend(conditions.flat_map(|when| when.doubts()).take(MOST_WARNINGS));
        self.left_out(&mut warnings);
        self.sessions(&mut warnings);
        self.unreachable(&mut warnings);
        self.typos(&mut warnings);
        warnings.sort();
        warnings.truncate(MOST_WARNINGS);
        warnings
    }

    fn left_out(&self, warnings: &mut Vec<Warning>) {
        let stands = self.intercept.stands();
        if stands && self.default.place.is_none() {
            warnings.push(Warning {
                place: None,
                message: "there is no `default`, and beside `tools` it is then allow: every tool \
                          that is not listed passes"
                    .to_owned(),
                remedy: "write default: deny, or default: judge".to_owned(),
            });
        }
        let allows = self.rules.all().iter().find(|rule| rule.action == Some(Does::Allow));
        if let Some(rule) = allows.filter(|_| stands) {
            warnings.push(Warning {
                place: Some(rule.place),
                message: "beside `tools`, a rule that allows only ends the search among `rules`: \
                          what `tools` or the default refuses stays refused"
                    .to_owned(),
                remedy: "list the tool under `tools`".to_owned(),
            });
        }
        if self.default.posture == Posture::Allow && !stands && self.rules.len() == 0 {
            warnings.push(Warning {
                place: self.default.place,
                message: "every call passes".to_owned(),
                remedy: "write default: judge, and rules".to_owned(),
            });
        }
    }

    fn sessions(&self, warnings: &mut Vec<Warning>) {
        let by_session = |rule: &&Rule| rule.limit.as_ref().is_some_and(|l| l.per == Per::Session);
        for rule in self.rules.all().iter().filter(by_session) {
            warnings.push(Warning {
                place: Some(rule.place),
                message: "this limit is per session: a client that may open sessions has as many \
                          of it"
                    .to_owned(),
                remedy: "write per: client".to_owned(),
            });
        }
    }

    fn unreachable(&self, warnings: &mut Vec<Warning>) {
        let mut before = Before::default();
        for rule in self.rules.all() {
            let about = About::of(rule);
            if let Some(mut earlier) = before.decide(&about) {
                earlier.sort_by_key(|rule| rule.place);
                earlier.dedup_by_key(|rule| rule.place);
                let labels: Vec<&str> = earlier.iter().map(|rule| &*rule.label).collect();
                let (first, more) = labels.split_at(labels.len().min(3));
                let more = if more.is_empty() { "" } else { " and others" };
                let verb = if labels.len() == 1 { "matches" } else { "match" };
                warnings.push(Warning {
                    place: Some(rule.place),
                    message: format!(
                        "this rule is never reached: {}{more} {verb} all that it matches",
                        first.join(", ")
                    ),
                    remedy: "put it in front, or take it away".to_owned(),
                });
            }
            before.add(about);
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

/// What a rule is about: shapes of names. Without any it is about all.
struct About<'a> {
    rule: &'a Rule,
    servers: Vec<Option<Shape>>,
    tools: Vec<Option<Shape>>,
}

impl<'a> About<'a> {
    fn of(rule: &'a Rule) -> About<'a> {
        let shapes = |written: &[String]| match written {
            [] => vec![Shape::of("*")],
            written => written.iter().map(|name| Shape::of(name)).collect(),
        };
        let (servers, tools) = (shapes(&rule.servers.written), shapes(&rule.tools.written));
        About { rule, servers, tools }
    }

    /// The one server and tool that it names, each exactly: nearly all do where there
    /// are thousands.
    fn exact(&self) -> Option<(&'a str, &'a str)> {
        let (servers, tools) = (&self.rule.servers, &self.rule.tools);
        match (servers.are_exact() && tools.are_exact(), &*servers.exact, &*tools.exact) {
            (true, [server], [tool]) => Some((server, tool)),
            _ => None,
        }
    }

    /// Whether it decides for this tool wherever `later` would.
    fn decides(&self, later: &About<'_>, tool: &Shape) -> bool {
        let all = |wide: &[Option<Shape>], narrow: &Shape| {
            wide.iter().flatten().any(|wide| wide.covers(narrow))
        };
        let of_server = |server: &Option<Shape>| {
            server.as_ref().is_some_and(|server| all(&self.servers, server))
        };
        all(&self.tools, tool)
            && later.servers.iter().all(of_server)
            && self.rule.stands_before(later.rule)
    }
}

/// The rules in front of one.
#[derive(Default)]
struct Before<'a> {
    exact: HashMap<(&'a str, &'a str), Vec<About<'a>>>,
    wide: Vec<About<'a>>,
}

impl<'a> Before<'a> {
    fn add(&mut self, about: About<'a>) {
        let list = match about.exact() {
            Some(names) => self.exact.entry(names).or_default(),
            None => &mut self.wide,
        };
        if list.len() < MOST_COMPARED {
            list.push(about);
        }
    }

    /// Those that decide for all that a rule is about; `None`: it is reached.
    fn decide(&self, later: &About<'_>) -> Option<Vec<&'a Rule>> {
        if later.tools.len() > MOST_COMPARED || later.servers.len() > MOST_COMPARED {
            return None;
        }
        let named = later.rule.tools.exact.iter().flat_map(|tool| {
            let servers = later.rule.servers.exact.iter();
            servers.filter_map(|server| self.exact.get(&(server.as_str(), tool.as_str())))
        });
        let named: Vec<&About<'_>> = named.flatten().take(MOST_COMPARED).collect();
        let mut found = Vec::new();
        for tool in &later.tools {
            let tool = tool.as_ref()?;
            let mut earlier = self.wide.iter().chain(named.iter().copied());
            found.push(earlier.find(|earlier| earlier.decides(later, tool))?.rule);
        }
        Some(found)
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
                    place: None,
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
