//! From an item under `rules` to a rule, with every problem on the way.

use std::collections::HashMap;
use std::time::Duration;

use super::index::{Gathered, Index};
use super::limit::{Limit, Per, named, unnamed};
use super::when::When;
use super::{Does, Hint, Rule, Rules};
use crate::call::model::{Category, Risk};
use crate::call::safe_text::is_hidden;
use crate::config::duration;
use crate::config::names::{name_fault, shortened};
use crate::policy::call::Hold;
use crate::policy::problem::{Place, Problems};
use crate::policy::values::{
    self, Map, cut_off, either, list, meant_word, one_line, part, span, switch, text, texts, whole,
};
use crate::policy::yaml::{Entry, Node, Value};

const KEYS: [&str; 13] = [
    "name",
    "server",
    "tool",
    "category",
    "risk",
    "annotation",
    "when",
    "action",
    "reason",
    "timeout",
    "labels",
    "route",
    "rate_limit",
];

const ACTIONS: [&str; 4] = ["allow", "deny", "require_approval", "hide"];

/// The longest name of a rule, in bytes.
const LONGEST_NAME: usize = 100;

/// How many labels a request may have, and how long a name and a value may be, as the
/// daemon has it.
const MOST_LABELS: usize = 32;
const LONGEST_LABEL: (usize, usize) = (64, 256);

/// How many calls a limit may allow, and within how many seconds.
const MAX: (u64, u64) = (1, 10_000);
const WINDOW: (u64, u64) = (1, 86_400);

/// What of the whole document a rule needs.
pub struct Reading {
    servers: Gathered,
    tools: Gathered,
    /// The lines of the limits, by what tells them apart.
    limits: HashMap<String, usize>,
    timeout: Option<Duration>,
}

/// Reads `rules:`.
pub fn read(entry: &Entry, timeout: Option<Duration>, problems: &mut Problems) -> Option<Rules> {
    let mut reading = Reading {
        servers: Gathered::default(),
        tools: Gathered::default(),
        limits: HashMap::new(),
        timeout,
    };
    let remedy =
        "write a line that begins with a hyphen for each: - {tool: \"get_*\", action: allow}";
    let nodes = list(entry, remedy, problems);
    let rules: Vec<Option<Rule>> = nodes
        .iter()
        .enumerate()
        .map(|(number, node)| reading.rule(number, node, problems))
        .collect();
    // Of one that has a problem the document is refused; the others are looked at.
    let rules: Vec<Rule> = rules.into_iter().flatten().collect();
    let index = Index::new(&rules, reading.servers, reading.tools, problems)?;
    let hiding = rules.iter().any(|rule| rule.action == Some(Does::Hide));
    Some(Rules { rules, index, hiding })
}

impl Reading {
    fn rule(&mut self, number: usize, node: &Node, problems: &mut Problems) -> Option<Rule> {
        let remedy = "write what it matches and what happens: - {tool: \"get_*\", action: allow}";
        let map = Map::of(node, "a rule", remedy, problems)?;
        old_keys(&map, problems);
        let name = map.get("name").and_then(|entry| name(entry, problems));
        let label = label(number, name.as_deref(), node.place);
        let servers = self.names(&map, "server", problems);
        let tools = self.names(&map, "tool", problems);
        let categories = words(&map, "category", problems, |word| {
            Category::from_word(word).filter(|category| *category != Category::Unspecified)
        });
        let risks = words(&map, "risk", problems, |word| {
            Risk::from_word(word).filter(|risk| *risk != Risk::Unspecified)
        });
        let hints = map.get("annotation").map(|entry| hints(entry, problems)).unwrap_or_default();
        let when = map.get("when").and_then(|entry| When::read(entry, problems));
        let limit = map.get("rate_limit").and_then(|entry| limit(entry, problems));
        let action = self.action(&map, problems);
        let rule = Rule {
            label,
            place: node.place,
            name,
            servers: match servers {
                Some(entry) => self.servers.names(&entry, problems),
                None => Default::default(),
            },
            tools: match tools {
                Some(entry) => self.tools.names(&entry, problems),
                None => Default::default(),
            },
            categories,
            risks,
            hints,
            when,
            action: action?,
            limit: None,
        };
        self.limited(rule, limit, &map, problems)
    }

    fn names<'a>(
        &self,
        map: &Map<'a>,
        key: &str,
        problems: &mut Problems,
    ) -> Option<Vec<(&'a str, Place)>> {
        map.get(key).map(|entry| texts(entry, problems))
    }

    /// The rule with its limit, which has to be told from others.
    fn limited(
        &mut self,
        mut rule: Rule,
        limit: Option<Limit>,
        map: &Map<'_>,
        problems: &mut Problems,
    ) -> Option<Rule> {
        let Some(mut limit) = limit else {
            return Some(rule);
        };
        if matches!(rule.action, Some(Does::Deny(_) | Does::Hide)) {
            let message = "`rate_limit` stands in a rule that lets nothing pass";
            problems.add(map.place, message, "take one of the two away");
            return None;
        }
        if !matches!(rule.action, Some(Does::Hold(_))) {
            limit.reason = map.get("reason").and_then(|entry| values::reason(entry, problems));
        }
        limit.id = match &rule.name {
            Some(name) => named(name),
            None => unnamed(&format!(
                "{:?}",
                (
                    &rule.servers.written,
                    &rule.tools.written,
                    &rule.categories,
                    &rule.risks,
                    &rule.hints,
                    rule.when.as_ref().map(When::source),
                    limit.window,
                    limit.per,
                )
            )),
        };
        if let Some(first) = self.limits.insert(limit.id.clone(), rule.place.line) {
            let message = format!(
                "this rule would count together with the one in line {first}: they have the same {}",
                if rule.name.is_some() { "name" } else { "matches and window" }
            );
            problems.add(map.place, message, "give each a `name` of its own");
        }
        rule.limit = Some(limit);
        Some(rule)
    }

    /// What it does; `Some(None)`: it only limits.
    fn action(&self, map: &Map<'_>, problems: &mut Problems) -> Option<Option<Does>> {
        let limited = map.get("rate_limit").is_some();
        let word = match map.get("action") {
            None if limited => "",
            None => {
                let remedy = format!("add one: {}; or a rate_limit", either(&ACTIONS));
                problems.add(map.place, "this rule has no `action`", remedy);
                return None;
            }
            Some(entry) => values::word(entry, &ACTIONS, "action", problems)?,
        };
        for key in ["timeout", "labels", "route"] {
            if let Some(entry) = map.get(key).filter(|_| word != "require_approval") {
                let message = format!("`{key}` goes with require_approval, {}", and_here(word));
                problems.add(entry.place, message, "take it away");
            }
        }
        if let Some(entry) = map.get("reason")
            && (word == "hide" || (word == "allow" && !limited))
        {
            let message = format!(
                "`reason` goes with deny, require_approval and rate_limit, {}",
                and_here(word)
            );
            problems.add(entry.place, message, "take it away, or make it a comment");
        }
        let reason = map.get("reason").map(|entry| values::reason(entry, problems));
        Some(Some(match word {
            "allow" => Does::Allow,
            "deny" => match reason {
                Some(reason) => Does::Deny(reason?),
                None => {
                    let remedy = "add what the agent is told, such as reason: \"Open a ticket.\"";
                    problems.add(map.place, "deny needs a `reason`", remedy);
                    return None;
                }
            },
            "hide" => {
                if let Some(entry) = map.get("when") {
                    let message =
                        "`when` looks at calls, and what is hidden is hidden before any call";
                    problems.add(entry.place, message, "take it away, or write action: deny");
                    return None;
                }
                Does::Hide
            }
            "require_approval" => {
                let told = match reason {
                    Some(reason) => Some(reason?),
                    None => None,
                };
                Does::Hold(self.hold(map, told, problems)?)
            }
            _ => return Some(None),
        }))
    }

    fn hold(&self, map: &Map<'_>, told: Option<String>, problems: &mut Problems) -> Option<Hold> {
        let timeout = match map.get("timeout") {
            Some(entry) => Some(span(entry, problems)?),
            None => self.timeout,
        };
        let labels = match map.get("labels") {
            Some(entry) => labels(entry, problems)?,
            None => Vec::new(),
        };
        let route = match map.get("route") {
            Some(entry) => Some(route(entry, problems)?),
            None => None,
        };
        Some(Hold { timeout, told, labels, route })
    }
}

fn and_here(word: &str) -> String {
    match word {
        "" => "and this rule only limits".to_owned(),
        word => format!("and here the action is {word}"),
    }
}

/// Keys that are not known; of those of other languages, what to write.
fn old_keys(map: &Map<'_>, problems: &mut Problems) {
    let other = |key: &str| match key {
        "match" => Some("write `tool` for the tool's name, and `server` for its server's"),
        "on_deny" => Some("write `reason`; on_deny belongs to the rules under `tools`"),
        "conditions" => Some(
            "write `when` and a condition in CEL; conditions belong to the rules under `tools`",
        ),
        "approval_timeout" => Some("write `timeout`"),
        "state" => Some("write `rate_limit`; state belongs to the rules under `tools`"),
        _ => None,
    };
    for entry in map.entries {
        if let Some(remedy) = other(&entry.key.text) {
            let message = format!("unknown key `{}` in a rule", entry.key.text);
            problems.add(entry.place, message, remedy);
        }
    }
    let rest: Vec<&Entry> = map.entries.iter().filter(|e| other(&e.key.text).is_none()).collect();
    values::only(rest, &KEYS, "in a rule", problems);
}

/// `rules[3] "no deletes" (line 12)`.
fn label(number: usize, name: Option<&str>, place: Place) -> String {
    let name = name.map(|name| format!(" \"{}\"", part(name))).unwrap_or_default();
    format!("rules[{number}]{name} (line {})", place.line)
}

fn name(entry: &Entry, problems: &mut Problems) -> Option<String> {
    let remedy = format!("write 1 to {LONGEST_NAME} characters in double quotes");
    let name = text(entry, &remedy, problems)?;
    cut_off(entry, problems);
    let fault = if name.trim().is_empty() {
        "is empty"
    } else if name.len() > LONGEST_NAME {
        "is too long"
    } else if name.contains(is_hidden) || name.contains('\n') {
        "has characters that cannot be seen"
    } else {
        return Some(name.to_owned());
    };
    problems.add(entry.node.place, format!("`name` {fault}"), remedy);
    None
}

/// A word or a list of words.
fn words<T: Copy + 'static>(
    map: &Map<'_>,
    key: &str,
    problems: &mut Problems,
    read: impl Fn(&str) -> Option<T>,
) -> Vec<T> {
    let Some(entry) = map.get(key) else {
        return Vec::new();
    };
    let known: &[&str] = match key {
        "category" => &["read", "write", "execute", "destructive", "financial"],
        _ => &["low", "medium", "high", "critical"],
    };
    let mut found = Vec::new();
    for (word, place) in texts(entry, problems) {
        match read(word) {
            Some(value) => found.push(value),
            None => {
                let remedy = match meant_word(word, known) {
                    Some(word) => format!("did you mean {word}?"),
                    None => format!("write {}", either(known)),
                };
                problems.add(
                    place,
                    format!("`{key}` is no {key}: \"{}\"", shortened(word)),
                    remedy,
                );
            }
        }
    }
    found
}

fn hints(entry: &Entry, problems: &mut Problems) -> Vec<(Hint, bool)> {
    let remedy = "write for example annotation: {destructiveHint: true}";
    let Some(map) = Map::of(&entry.node, "`annotation`", remedy, problems) else {
        return Vec::new();
    };
    map.only(&["readOnlyHint", "destructiveHint"], "under `annotation`", problems);
    let hint = |name: &str, hint: Hint, problems: &mut Problems| {
        map.get(name).and_then(|entry| switch(entry, problems)).map(|value| (hint, value))
    };
    let read_only = hint("readOnlyHint", Hint::ReadOnly, problems);
    let destructive = hint("destructiveHint", Hint::Destructive, problems);
    read_only.into_iter().chain(destructive).collect()
}

fn labels(entry: &Entry, problems: &mut Problems) -> Option<Vec<(String, String)>> {
    let remedy = "write names and values: labels: {team: platform}";
    let map = Map::of(&entry.node, "`labels`", remedy, problems)?;
    if map.entries.len() > MOST_LABELS {
        let message = format!("`labels` has more than {MOST_LABELS}");
        problems.add(entry.place, message, "a request has no more than that");
        return None;
    }
    let mut labels = Vec::with_capacity(map.entries.len());
    for entry in map.entries {
        let name = &entry.key.text;
        let value = one_line(entry, LONGEST_LABEL.1, problems)?;
        if name.len() > LONGEST_LABEL.0 || name.is_empty() || name.contains(is_hidden) {
            let message = format!("`{}` is no name of a label", shortened(name));
            let remedy = format!("write 1 to {} letters, digits, - or _", LONGEST_LABEL.0);
            problems.add(entry.place, message, remedy);
            return None;
        }
        labels.push((name.clone(), value));
    }
    Some(labels)
}

fn route(entry: &Entry, problems: &mut Problems) -> Option<String> {
    let remedy = "write the name of a route in the daemon's configuration";
    let name = text(entry, remedy, problems)?;
    if let Some(fault) = name_fault(name) {
        problems.add(entry.node.place, format!("`route` {fault}"), remedy);
        return None;
    }
    Some(name.to_owned())
}

/// What to write for a `rate_limit` in the form that it has under `tools`: `5/hour`.
fn written_as_rate(entry: &Entry) -> Option<String> {
    let Value::Scalar(scalar) = &entry.node.value else { return None };
    let (max, window) = scalar.text.split_once('/')?;
    let max: u32 = max.trim().parse().ok()?;
    let seconds = [("minute", 60), ("hour", 3_600), ("day", 86_400)];
    let (_, window) = seconds.into_iter().find(|(word, _)| window.trim().starts_with(word))?;
    Some(format!("under `rules` write rate_limit: {{max: {max}, window: {window}}}"))
}

/// What to write for a `window` with a unit: `1m`.
fn in_seconds(entry: &Entry) -> Option<String> {
    let Value::Scalar(scalar) = &entry.node.value else { return None };
    let span = duration::parse(&scalar.text).ok().filter(|_| entry.key.text == "window")?;
    Some(format!("write the window in seconds: window: {}", span.as_secs()))
}

fn limit(entry: &Entry, problems: &mut Problems) -> Option<Limit> {
    let remedy = "write for example rate_limit: {max: 10, window: 60}: ten calls in sixty seconds";
    let as_rate = written_as_rate(entry);
    let remedy = as_rate.as_deref().unwrap_or(remedy);
    let map = Map::of(&entry.node, "`rate_limit`", remedy, problems)?;
    map.only(&["max", "window", "per"], "under `rate_limit`", problems);
    let mut number = |key: &str, (least, most): (u64, u64)| match map.get(key) {
        Some(entry) => whole(entry, least, most, in_seconds(entry).as_deref(), problems),
        None => {
            problems.add(map.place, format!("`rate_limit` has no `{key}`"), remedy);
            None
        }
    };
    let max = number("max", MAX);
    let window = number("window", WINDOW);
    let known: Vec<&str> = Per::ALL.iter().map(|(word, _)| *word).collect();
    let per = match map.get("per") {
        None => Some(Per::Session),
        Some(entry) => {
            let word = values::word(entry, &known, "identity that has a limit", problems);
            word.and_then(|word| Per::ALL.iter().find(|(w, _)| *w == word)).map(|(_, per)| *per)
        }
    };
    Some(Limit {
        max: max?.try_into().ok()?,
        window: Duration::from_secs(window?),
        per: per?,
        reason: None,
        id: String::new(),
    })
}
