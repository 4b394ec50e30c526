//! From the tree of a document to its rules, with every problem on the way.
//!
//! In two passes over the rules: first what each counts, then its conditions,
//! for a condition may look at a counter that stands further down, or at another
//! tool's.

use std::collections::HashMap;
use std::collections::hash_map::Entry as Slot;
use std::time::Duration;

use super::condition::Condition;
use super::counter::{Counter, Declared, EVERY_TOOL, State, rate, word_for};
use super::pattern::Patterns;
use super::rule::{Kind, Rule};
use super::{EVERY, Intercept, Listed};
use crate::call::safe_text::{SafeText, is_hidden};
use crate::config::names::shortened;
use crate::policy::patterns::{is_exact, like_a_regex};
use crate::policy::problem::{Place, Problems};
use crate::policy::values::{Map, cut_off, either, meant_word, part, span, unambiguous};
use crate::policy::yaml::{Entry, Node, Scalar, Value};

/// The longest name of a rule or message to an agent, in characters.
const LONGEST_TEXT: usize = 2_000;

/// What belongs to Holdpoint's own side of a document.
const OURS: [&str; 4] = ["rules", "servers", "timeout", "time_zone"];

const ACTIONS: [&str; 3] = ["evaluate", "deny", "require_approval"];

/// See [`Intercept::read`].
pub(super) fn document(top: &Map<'_>, problems: &mut Problems) -> Option<Intercept> {
    let stands = top.get("tools").is_some()
        || (top.get("version").is_some() && OURS.iter().all(|key| top.get(key).is_none()));
    version(top, problems);
    if let Some(entry) = top.get("description").filter(|entry| !is_nothing(&entry.node)) {
        message(entry, problems);
    }
    let mut intercept = Intercept { stands, denies: denies(top), ..Intercept::default() };
    for node in top.get("hide").map(|entry| items(entry, problems)).unwrap_or_default() {
        hide(node, &mut intercept, problems);
    }
    if let Some(entry) = top.get("tools") {
        tools(entry, standing_timeout(top), &mut intercept, problems);
    }
    (!problems.any()).then_some(intercept)
}

fn version(top: &Map<'_>, problems: &mut Problems) {
    let (found, place) = match (top.get("version"), top.get("tools")) {
        (Some(entry), _) => match &entry.node.value {
            Value::Scalar(scalar) if scalar.text == "1" => return,
            Value::Scalar(scalar) if !scalar.is_nothing() => {
                (format!("\"{}\"", shortened(&scalar.text)), entry.node.place)
            }
            Value::Refused => return,
            Value::Scalar(_) => ("empty".to_owned(), entry.node.place),
            Value::List(_) | Value::Map(_) => ("no single value".to_owned(), entry.node.place),
        },
        (None, Some(tools)) => ("missing".to_owned(), tools.place),
        (None, None) => return,
    };
    problems.add(place, format!("version must be \"1\", and is {found}"), "write version: \"1\"");
}

/// What people have where a rule does not say: `timeout:` of the document, whose
/// mistakes are for whoever reads the rest of it.
fn standing_timeout(top: &Map<'_>) -> Option<Duration> {
    span(top.get("timeout")?, &mut Problems::default())
}

/// The line of a default that denies.
fn denies(top: &Map<'_>) -> Option<usize> {
    let entry = top.get("default")?;
    matches!(&entry.node.value, Value::Scalar(Scalar { text, .. }) if text == "deny")
        .then_some(entry.place.line)
}

fn unknown_word(what: &str, word: &str, words: &[&str], place: Place, problems: &mut Problems) {
    let message = format!("{what} must be {}, and is \"{}\"", either(words), shortened(word));
    let remedy = match meant_word(word, words) {
        Some(word) => format!("did you mean {word}?"),
        None => format!("write {}", either(words)),
    };
    problems.add(place, message, remedy);
}

/// An item of `hide`.
fn hide(node: &Node, intercept: &mut Intercept, problems: &mut Problems) {
    let Value::Scalar(scalar) = &node.value else {
        return not(&node.value, "an entry of `hide`", "the name of a tool", node.place, problems);
    };
    if is_nothing(node) || scalar.text.trim().is_empty() {
        let remedy = "write the name of a tool, or take the entry away";
        return problems.add(node.place, "an entry of `hide` must not be empty", remedy);
    }
    if !unambiguous(scalar, node.place, problems) {
        return;
    }
    if scalar.text != EVERY && is_like_a_pattern(&scalar.text) {
        let shown = shortened(&scalar.text);
        let message = format!(
            "`hide` knows exact names and \"*\" alone, so \"{shown}\" hides only a tool of just this name"
        );
        let remedy = format!(
            "name each tool, or write a rule under `rules`: - {{tool: \"{shown}\", action: hide}}"
        );
        problems.doubt(node.place, message, remedy);
    }
    if let Some(first) = intercept.hidden.insert(scalar.text.clone(), node.place.line) {
        let shown = shortened(&scalar.text);
        let message = format!("hide has a duplicate entry \"{shown}\": first in line {first}");
        problems.add(node.place, message, "take one of the two away");
    }
}

/// Whether a name was probably meant for more than one tool.
fn is_like_a_pattern(name: &str) -> bool {
    !is_exact(name) || like_a_regex(name).is_some()
}

fn tools(
    entry: &Entry,
    timeout: Option<Duration>,
    intercept: &mut Intercept,
    problems: &mut Problems,
) {
    let mut declared = Declared::default();
    let mut drafts = Vec::new();
    for entry in entries(entry, "`tools`", problems) {
        let tool = entry.key.text.as_str();
        if !unambiguous(&entry.key, entry.place, problems) {
            continue;
        }
        if tool == EVERY_TOOL {
            let message = "`_global` is the scope of the counters of \"*\", and no tool";
            problems.add(entry.place, message, "write rules for every tool under \"*\"");
            continue;
        }
        if tool != EVERY && is_like_a_pattern(tool) {
            let shown = shortened(tool);
            let message = format!(
                "`tools` knows exact names and \"*\" alone, so \"{shown}\" is only for a tool of just this name"
            );
            let remedy = "name each tool, write under \"*\" what is for all, or a rule under \
                          `rules`, where `tool` may be a pattern";
            problems.doubt(entry.place, message, remedy);
        }
        drafts.push((entry, rules(entry, &mut declared, problems)));
    }
    let mut patterns = Patterns::default();
    for (entry, drafts) in drafts {
        let rules =
            drafts.into_iter().filter_map(|draft| draft.rule(&declared, &mut patterns, problems));
        let mut rules: Vec<Rule> = rules.collect();
        for rule in &mut rules {
            if let Kind::Hold { timeout: own } = &mut rule.kind {
                *own = own.or(timeout);
            }
        }
        let tool = entry.key.text.clone();
        if tool == EVERY {
            intercept.every = rules;
        } else {
            let label = format!("tools.{} (line {})", part(&tool), entry.place.line);
            intercept.tools.insert(tool, Listed { label, rules });
        }
    }
}

/// The rules of a tool as far as the first pass reads them.
fn rules<'a>(entry: &'a Entry, declared: &mut Declared, problems: &mut Problems) -> Vec<Draft<'a>> {
    let tool = entry.key.text.as_str();
    let scope = if tool == EVERY { EVERY_TOOL } else { tool };
    let what = format!("the tool `{}`", shortened(tool));
    let map = Map { place: entry.node.place, entries: entries(entry, &what, problems) };
    map.only(&["rules"], &format!("under {what}"), problems);
    let nodes = map.get("rules").map(|entry| items(entry, problems)).unwrap_or_default();
    let mut drafts = Vec::with_capacity(nodes.len());
    let mut counters: HashMap<String, usize> = HashMap::new();
    for (index, node) in nodes.iter().enumerate() {
        let Some(draft) = Draft::read(node, index, tool, scope, problems) else {
            continue;
        };
        if let Some(State { counter, .. }) = &draft.state {
            declared.add(counter);
            match counters.entry(counter.name.clone()) {
                Slot::Vacant(slot) => {
                    slot.insert(index);
                }
                Slot::Occupied(slot) => {
                    let message = format!(
                        "duplicate state counter \"{}\" (also used by rules[{}])",
                        shortened(&counter.name),
                        slot.get()
                    );
                    let remedy = "use another counter name or window, or make one rule of the two";
                    problems.add(node.place, message, remedy);
                }
            }
        }
        drafts.push(draft);
    }
    drafts
}

/// A rule without its conditions.
struct Draft<'a> {
    place: Place,
    label: String,
    name: String,
    kind: Kind,
    on_deny: Option<String>,
    conditions: &'a [Node],
    state: Option<State>,
    /// Whether it is a `rate_limit`, and so needs no conditions.
    rated: bool,
}

const RULE_KEYS: [&str; 7] =
    ["name", "action", "rate_limit", "conditions", "on_deny", "state", "approval_timeout"];

impl<'a> Draft<'a> {
    fn read(
        node: &'a Node,
        index: usize,
        tool: &str,
        scope: &str,
        problems: &mut Problems,
    ) -> Option<Draft<'a>> {
        let remedy = "write `name: ...` and below it what the rule says";
        let map = match &node.value {
            Value::Map(entries) => Map { place: node.place, entries },
            _ if is_nothing(node) => Map { place: node.place, entries: &[] },
            _ => Map::of(node, "a rule", remedy, problems)?,
        };
        map.only(&RULE_KEYS, "in a rule", problems);
        let said = |key| map.get(key).filter(|entry| !is_nothing(&entry.node));
        let name = match map.get("name") {
            Some(entry) => text(entry, problems),
            None => Some(""),
        };
        if name.is_some_and(|name| name.trim().is_empty()) {
            problems.add(map.place, "a rule must have a name", "add `name: \"...\"`");
        }
        let kind = match map.get("action") {
            Some(entry) => action(entry, said("approval_timeout"), problems),
            None => Some(Kind::Evaluate),
        };
        if let (Some(Kind::Evaluate | Kind::Deny), Some(entry)) =
            (kind, map.get("approval_timeout"))
        {
            let message = "`approval_timeout` goes with action require_approval";
            problems.add(entry.place, message, "take it away");
        }
        let conditions =
            map.get("conditions").map(|entry| items(entry, problems)).unwrap_or_default();
        let mut on_deny = said("on_deny").and_then(|entry| message(entry, problems));
        let mut state = said("state").and_then(|entry| State::read(entry, scope, problems));
        let limit = said("rate_limit");
        if let Some(entry) = limit {
            let whole = conditions.is_empty() && said("state").is_none();
            if !whole {
                let message = "`rate_limit` cannot be combined with conditions or state";
                let remedy = "make two rules of it, or write conditions and state in full";
                problems.add(entry.place, message, remedy);
            }
            if let Some(Kind::Deny | Kind::Hold { .. }) = kind {
                let word = if kind == Some(Kind::Deny) { "deny" } else { "require_approval" };
                let message = format!("`rate_limit` cannot be used with action {word}");
                let remedy = "take one of the two away, or make two rules of it";
                problems.add(entry.place, message, remedy);
            }
            let rate = rate(entry, problems);
            if let Some((count, window)) = rate.filter(|_| whole && kind == Some(Kind::Evaluate)) {
                let word = word_for(window);
                let counter =
                    Counter { scope: scope.to_owned(), name: format!("_rate_{word}"), window };
                state = Some(State::rate(counter, count));
                on_deny.get_or_insert_with(|| {
                    format!("Rate limit of {count} per {word} reached. Try again later.")
                });
            }
        }
        // The document is refused where any of these is missing; what else is wrong
        // with the rule is still worth a word.
        let name = SafeText::line(name.unwrap_or_default()).as_str().to_owned();
        let (shown, line) = (part(&name), node.place.line);
        let label = format!("tools.{}.rules[{index}] \"{shown}\" (line {line})", part(tool));
        let kind = kind.unwrap_or(Kind::Hold { timeout: None });
        let rated = limit.is_some();
        Some(Draft { place: node.place, label, name, kind, on_deny, conditions, state, rated })
    }

    /// The rule with its conditions.
    fn rule(
        self,
        declared: &Declared,
        patterns: &mut Patterns,
        problems: &mut Problems,
    ) -> Option<Rule> {
        let Draft { place, label, name, kind, on_deny, mut state, .. } = self;
        match kind {
            Kind::Deny if !self.conditions.is_empty() => {
                let remedy =
                    "take the conditions away, or turn them round and let the action be evaluate";
                problems.add(place, "deny rules must not have conditions", remedy);
            }
            Kind::Evaluate if self.conditions.is_empty() && !self.rated => {
                let message = "evaluate rules must have at least one condition";
                problems.add(place, message, "add `conditions:`, or a `rate_limit`");
            }
            _ => {}
        }
        let conditions = self.conditions.iter();
        let conditions: Vec<_> =
            conditions.map(|node| Condition::read(node, declared, patterns, problems)).collect();
        let conditions: Vec<Condition> = conditions.into_iter().collect::<Option<_>>()?;
        if let (Some(state), Kind::Evaluate) = (&mut state, kind) {
            let limits = conditions.iter().filter_map(|c| c.limit_of(&state.counter));
            state.limit = limits.chain(state.limit).min();
        }
        Some(Rule { label, name, kind, on_deny, conditions, state })
    }
}

fn action(entry: &Entry, timeout: Option<&Entry>, problems: &mut Problems) -> Option<Kind> {
    let timeout = timeout.map(|entry| span(entry, problems));
    match text(entry, problems)? {
        "evaluate" => Some(Kind::Evaluate),
        "deny" => Some(Kind::Deny),
        "require_approval" => Some(Kind::Hold { timeout: timeout.flatten() }),
        word => {
            unknown_word("action", word, &ACTIONS, entry.node.place, problems);
            None
        }
    }
}

/// Whether nothing stands there: for a list or mapping that is an empty one.
fn is_nothing(node: &Node) -> bool {
    matches!(&node.value, Value::Scalar(Scalar { text, plain: true, .. })
        if ["", "~", "null", "Null", "NULL"].contains(&text.as_str()))
}

fn items<'a>(entry: &'a Entry, problems: &mut Problems) -> &'a [Node] {
    match &entry.node.value {
        Value::List(nodes) => return nodes,
        _ if is_nothing(&entry.node) => {}
        value => {
            let what = format!("`{}`", shortened(&entry.key.text));
            not(value, &what, "a list", entry.node.place, problems);
        }
    }
    &[]
}

fn entries<'a>(entry: &'a Entry, what: &str, problems: &mut Problems) -> &'a [Entry] {
    match &entry.node.value {
        Value::Map(entries) => return entries,
        _ if is_nothing(&entry.node) => {}
        value => not(value, what, "a mapping", entry.node.place, problems),
    }
    &[]
}

/// How a part of this side is written, by what it is called in messages.
fn written(what: &str) -> &'static str {
    match what {
        "`hide`" => "write a list of names: hide: [delete_repository, transfer_repository]",
        "an entry of `hide`" => "write a name: hide: [delete_repository]",
        "`tools`" => "write each tool and a colon on a line: create_issue: {rules: [...]}",
        "`rules`" => {
            "write each rule behind a hyphen: - {name: hourly, rate_limit: 5/hour}, or [] for none"
        }
        "`conditions`" => {
            "write each condition behind a hyphen: - {path: args.amount, op: lte, value: 50000}"
        }
        "`state`" => "write state: {counter: spent, window: day, increment_from: args.amount}",
        _ if what.starts_with("the tool") => {
            "write its rules below it: rules: [{name: hourly, rate_limit: 5/hour}]; {} is for none"
        }
        _ => "write one text, in double quotes",
    }
}

/// Reports a value of the wrong kind, unless it was reported already.
fn not(value: &Value, what: &str, expected: &str, place: Place, problems: &mut Problems) {
    let found = match value {
        Value::Refused => return,
        Value::Scalar(_) => "a single value",
        Value::List(_) => "a list",
        Value::Map(_) => "a mapping",
    };
    problems.add(place, format!("{what} must be {expected}, and is {found}"), written(what));
}

/// A word or name; empty where nothing stands.
pub(super) fn text<'a>(entry: &'a Entry, problems: &mut Problems) -> Option<&'a str> {
    match &entry.node.value {
        _ if is_nothing(&entry.node) => Some(""),
        Value::Scalar(scalar) => {
            readable(entry, &scalar.text, problems)?;
            unambiguous(scalar, entry.node.place, problems).then_some(&scalar.text)
        }
        value => {
            let what = format!("`{}`", shortened(&entry.key.text));
            not(value, &what, "text", entry.node.place, problems);
            None
        }
    }
}

/// What an agent or a reader of the document is told, on one line.
fn message(entry: &Entry, problems: &mut Problems) -> Option<String> {
    let Value::Scalar(scalar) = &entry.node.value else {
        let what = format!("`{}`", shortened(&entry.key.text));
        not(&entry.node.value, &what, "text", entry.node.place, problems);
        return None;
    };
    cut_off(entry, problems);
    let lines = scalar.text.split(['\n', '\r']).map(str::trim).filter(|line| !line.is_empty());
    let text = lines.collect::<Vec<_>>().join(" ");
    readable(entry, &text, problems)?;
    (!text.is_empty()).then_some(text)
}

fn readable(entry: &Entry, text: &str, problems: &mut Problems) -> Option<()> {
    let fault = if text.chars().count() > LONGEST_TEXT {
        format!("has more than {LONGEST_TEXT} characters")
    } else if text.contains(is_hidden) {
        "has characters that cannot be seen".to_owned()
    } else {
        return Some(());
    };
    let message = format!("`{}` {fault}", shortened(&entry.key.text));
    problems.add(entry.node.place, message, "write plain text, and no more than is needed");
    None
}
