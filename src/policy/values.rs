//! What a value has to be, and what is said when it is something else.
//!
//! Text that other readers of YAML would take for a boolean, a number or
//! nothing is refused where it is a name, a pattern or a reason: two programs
//! should not read two things in one policy.

use std::time::Duration;

use super::problem::{Place, Problems};
use super::yaml::{Entry, Node, Scalar, Value};
use crate::call::safe_text::{SafeText, is_hidden};
use crate::config::duration;
use crate::config::names::{meant, shortened};

/// What people may have, in seconds, as in the daemon's configuration.
const TIMEOUT: (u64, u64) = (5, 7 * 86_400);

/// The longest reason, in characters: an agent reads it, and a person in a list.
const LONGEST_REASON: usize = 500;

/// The longest part of a rule's label, in bytes: with the words around, and with
/// another label beside it, it stays below 200.
const LONGEST_PART: usize = 60;

/// A mapping.
pub struct Map<'a> {
    pub place: Place,
    pub entries: &'a [Entry],
}

impl<'a> Map<'a> {
    /// The node as a mapping; if it is none, that is a problem.
    pub fn of(
        node: &'a Node,
        what: &str,
        remedy: &str,
        problems: &mut Problems,
    ) -> Option<Map<'a>> {
        match &node.value {
            Value::Map(entries) if !entries.is_empty() => Some(Map { place: node.place, entries }),
            value => {
                wrong(what, "a mapping", value, node.place, remedy, problems);
                None
            }
        }
    }

    pub fn get(&self, key: &str) -> Option<&'a Entry> {
        self.entries.iter().find(|entry| entry.key.text == key)
    }

    /// Every key that is not known is a problem.
    pub fn only(&self, known: &[&str], within: &str, problems: &mut Problems) {
        only(self.entries, known, within, problems);
    }
}

/// Every key that is not known is a problem.
pub fn only<'a>(
    entries: impl IntoIterator<Item = &'a Entry>,
    known: &[&str],
    within: &str,
    problems: &mut Problems,
) {
    for entry in entries.into_iter().filter(|entry| !known.contains(&entry.key.text.as_str())) {
        let key = &entry.key.text;
        // `{reason: No, never.}` has two keys, the second without a value.
        let nothing = matches!(&entry.node.value, Value::Scalar(scalar) if scalar.is_nothing());
        let remedy = match meant(key, known.iter().copied()) {
            Some(word) => format!("did you mean `{word}`?"),
            None if nothing => format!(
                "if it belongs to the text before it, put that in quotes: a comma between {{ }} ends \
                 it; known here: {}",
                known.join(", ")
            ),
            None => format!("known here: {}", known.join(", ")),
        };
        problems.add(entry.place, format!("unknown key `{}` {within}", shortened(key)), remedy);
    }
}

/// Reports a value of the wrong kind, unless it was reported already.
fn wrong(
    what: &str,
    expected: &str,
    value: &Value,
    place: Place,
    remedy: &str,
    problems: &mut Problems,
) {
    // `tool:x` is one text; a pair has a space behind the colon.
    if let (Value::Scalar(scalar), "a mapping") = (value, expected)
        && let Some((key, rest)) = scalar.text.split_once(':').filter(|_| scalar.plain)
    {
        let (key, rest) =
            (shortened(key), shortened(rest.split_whitespace().next().unwrap_or_default()));
        let message = format!("{what} must be {expected}, but is a single value");
        return problems.add(
            place,
            message,
            format!("write a space behind the colon: {key}: {rest}"),
        );
    }
    let found = match value {
        Value::Refused => return,
        Value::List(_) => "a list",
        Value::Map(entries) if entries.is_empty() => "empty",
        Value::Map(_) => "a mapping",
        Value::Scalar(scalar) if scalar.is_nothing() => "empty",
        Value::Scalar(_) => "a single value",
    };
    problems.add(place, format!("{what} must be {expected}, but is {found}"), remedy);
}

/// The text of a value, whatever other readers would take it for.
fn scalar<'a>(
    entry: &'a Entry,
    expected: &str,
    remedy: &str,
    problems: &mut Problems,
) -> Option<&'a Scalar> {
    match &entry.node.value {
        Value::Scalar(scalar) if !scalar.is_nothing() => Some(scalar),
        value => {
            let what = format!("`{}`", shortened(&entry.key.text));
            wrong(&what, expected, value, entry.node.place, remedy, problems);
            None
        }
    }
}

/// One of these words; `what` says what they are words for.
pub fn word<'k>(
    entry: &Entry,
    known: &[&'k str],
    what: &str,
    problems: &mut Problems,
) -> Option<&'k str> {
    let expected = either(known);
    let text = &scalar(entry, &expected, &format!("write {expected}"), problems)?.text;
    let found = known.iter().copied().find(|word| word == text);
    if found.is_none() {
        let remedy = match meant_word(text, known) {
            Some(word) => format!("did you mean {word}?"),
            None => format!("write {expected}"),
        };
        let message = format!("`{}` is no {what}: \"{}\"", entry.key.text, shortened(text));
        problems.add(entry.node.place, message, remedy);
    }
    found
}

/// The word of `known` that was probably meant, by its letters or by its sense.
pub fn meant_word<'k>(wrong: &str, known: &[&'k str]) -> Option<&'k str> {
    let is_known = |word: &str| known.iter().copied().find(|known| *known == word);
    let lower = wrong.to_lowercase().replace('-', "_");
    let sense = SENSES.iter().find(|(_, others)| others.contains(&lower.as_str()));
    let by_letters = || meant(wrong, known.iter().copied());
    sense.and_then(|(word, _)| is_known(word)).or_else(by_letters)
}

/// What people write who do not know our word for it.
const SENSES: [(&str, &[&str]); 9] = [
    ("allow", &["permit", "pass", "accept", "grant", "yes", "ok", "true"]),
    ("deny", &["block", "reject", "refuse", "forbid", "disallow", "drop", "no", "false"]),
    (
        "require_approval",
        &["ask", "hold", "approve", "approval", "review", "confirm", "prompt", "human", "wait"],
    ),
    ("judge", &["auto", "automatic", "smart", "guess"]),
    ("destructive", &["delete", "destroy", "remove", "dangerous"]),
    ("execute", &["exec", "run", "shell", "command"]),
    ("financial", &["money", "payment", "pay", "finance"]),
    ("read", &["readonly", "read_only", "get", "list"]),
    ("critical", &["severe", "highest", "extreme"]),
];

/// A text that means text.
pub fn text<'a>(entry: &'a Entry, remedy: &str, problems: &mut Problems) -> Option<&'a str> {
    let scalar = scalar(entry, "text", remedy, problems)?;
    unambiguous(scalar, entry.node.place, problems).then_some(scalar.text.as_str())
}

/// A whole number within these limits.
pub fn whole(
    entry: &Entry,
    least: u64,
    most: u64,
    remedy: Option<&str>,
    problems: &mut Problems,
) -> Option<u64> {
    let remedy = remedy.unwrap_or("write it in digits, without quotes");
    let scalar = scalar(entry, "a whole number", remedy, problems)?;
    let digits = scalar.plain && scalar.text.chars().all(|c| c.is_ascii_digit());
    // A leading zero is octal to some readers.
    let plain = digits && (scalar.text.len() == 1 || !scalar.text.starts_with('0'));
    let number = scalar.text.parse().ok().filter(|number| plain && (least..=most).contains(number));
    if number.is_none() {
        let shown = shortened(&scalar.text);
        let message =
            format!("`{}` is no whole number from {least} to {most}: \"{shown}\"", entry.key.text);
        problems.add(entry.node.place, message, remedy);
    }
    number
}

/// A name or pattern as part of a rule's label: safe, and cut in bytes.
pub fn part(text: &str) -> String {
    (0..=LONGEST_PART)
        .rev()
        .map(|columns| SafeText::cut_line(text, columns))
        .find(|(shown, _)| shown.as_str().len() <= LONGEST_PART)
        .map(|(shown, cut)| format!("{shown}{}", if cut > 0 { "…" } else { "" }))
        .unwrap_or_default()
}

pub fn either(words: &[&str]) -> String {
    match words {
        [first @ .., last] => format!("{} or {last}", first.join(", ")),
        [] => String::new(),
    }
}

/// A yes or no. YAML knows many words for each, of which two are clear.
pub fn switch(entry: &Entry, problems: &mut Problems) -> Option<bool> {
    let remedy = "write true or false, without quotes";
    let scalar = scalar(entry, "true or false", remedy, problems)?;
    match scalar.text.as_str() {
        "true" if scalar.plain => Some(true),
        "false" if scalar.plain => Some(false),
        text => {
            let quotes = if scalar.plain { "`" } else { "\"" };
            let shown = shortened(text);
            let message = format!(
                "`{}` must be true or false, but is {quotes}{shown}{quotes}",
                entry.key.text
            );
            problems.add(entry.node.place, message, remedy);
            None
        }
    }
}

/// A duration within the limits.
pub fn span(entry: &Entry, problems: &mut Problems) -> Option<Duration> {
    let remedy = "write a number and a unit (s, m, h, d), for example 90s, 15m, 2h; from 5s to 7d";
    let text = &scalar(entry, "a duration", remedy, problems)?.text;
    let within = TIMEOUT.0..=TIMEOUT.1;
    match duration::parse(text) {
        Ok(span) if within.contains(&span.as_secs()) => return Some(span),
        Ok(_) => {
            let key = &entry.key.text;
            let message = format!("`{key}` is {}, which is out of range", shortened(text));
            problems.add(entry.node.place, message, remedy);
        }
        Err(_) => {
            let key = &entry.key.text;
            let message = format!("`{key}` is no duration: \"{}\"", shortened(text));
            problems.add(entry.node.place, message, remedy);
        }
    }
    None
}

/// What an agent is told: on one line, for it may end up in a log or a list.
pub fn reason(entry: &Entry, problems: &mut Problems) -> Option<String> {
    one_line(entry, LONGEST_REASON, problems)
}

/// A text on one line, however it is written.
pub fn one_line(entry: &Entry, longest: usize, problems: &mut Problems) -> Option<String> {
    let remedy = format!("write 1 to {longest} characters in double quotes");
    let written = text(entry, &remedy, problems)?;
    cut_off(entry, problems);
    let lines = written.split(['\n', '\r']).map(str::trim).filter(|line| !line.is_empty());
    let text = lines.collect::<Vec<_>>().join(" ");
    let fault = if text.is_empty() {
        "is empty".to_owned()
    } else if text.chars().count() > longest {
        format!("has more than {longest} characters")
    } else if text.contains(is_hidden) {
        "has characters that cannot be seen".to_owned()
    } else {
        return Some(text);
    };
    let what = shortened(&entry.key.text);
    problems.add(entry.node.place, format!("`{what}` {fault}"), remedy);
    None
}

/// Says so where a text ends with what YAML takes for a comment: `Ask #ops`.
pub fn cut_off(entry: &Entry, problems: &mut Problems) {
    if let Value::Scalar(Scalar { text, cut_off: Some(comment), .. }) = &entry.node.value {
        let key = shortened(&entry.key.text);
        let message = format!(
            "`{key}` ends before \"{}\": a # behind a space begins a comment in YAML",
            shortened(comment)
        );
        let remedy = format!(
            "put all of it in quotes: {key}: \"{}\"",
            shortened(&format!("{text} {comment}"))
        );
        problems.doubt(entry.node.place, message, remedy);
    }
}

/// Refuses what another reader of YAML would not take for text: `no`, `1e3`.
pub fn unambiguous(scalar: &Scalar, place: Place, problems: &mut Problems) -> bool {
    let Some(other) = scalar.plain.then(|| not_text(&scalar.text)).flatten() else {
        return true;
    };
    if scalar.is_nothing() {
        problems.add(place, "there is nothing here", "write text, in quotes if it is empty or ~");
        return false;
    }
    let shown = shortened(&scalar.text);
    let message = format!("`{shown}` may be taken for {other}, and not for text");
    problems.add(place, message, format!("put it in quotes: \"{shown}\""));
    false
}

/// What a plain scalar is, or was in older versions of YAML, if not text.
fn not_text(text: &str) -> Option<&'static str> {
    let lower = text.to_ascii_lowercase();
    let unsigned = lower.trim_start_matches(['+', '-']);
    // Also 0x1f, 1_000, 12:30 and 2026-11-22; a little too much rather than too little.
    let number = |c: char| c.is_ascii_hexdigit() || "xo_.:+-".contains(c);
    match lower.as_str() {
        "" | "~" | "null" => Some("nothing"),
        "true" | "false" | "yes" | "no" | "on" | "off" | "y" | "n" => Some("true or false"),
        "<<" | "=" => Some("an instruction to YAML"),
        _ if [".inf", ".nan"].contains(&unsigned) => Some("a number"),
        _ => {
            let digit = unsigned.trim_start_matches('.').starts_with(|c: char| c.is_ascii_digit());
            (digit && unsigned.chars().all(number)).then_some("a number")
        }
    }
}

/// The items of a list.
pub fn list<'a>(entry: &'a Entry, remedy: &str, problems: &mut Problems) -> &'a [Node] {
    match &entry.node.value {
        Value::List(nodes) => nodes,
        value => {
            let what = format!("`{}`", shortened(&entry.key.text));
            wrong(&what, "a list", value, entry.node.place, remedy, problems);
            &[]
        }
    }
}

/// One text, or a list of them.
pub fn texts<'a>(entry: &'a Entry, problems: &mut Problems) -> Vec<(&'a str, Place)> {
    let what = format!("`{}`", shortened(&entry.key.text));
    let remedy =
        "write a name or a pattern in double quotes, or a list of them: [\"get_*\", \"list_*\"]";
    let nodes = match &entry.node.value {
        Value::List(nodes) if nodes.is_empty() => {
            problems.add(entry.node.place, format!("{what} lists nothing"), remedy);
            return Vec::new();
        }
        Value::List(nodes) => nodes.as_slice(),
        _ => std::slice::from_ref(&entry.node),
    };
    let mut found = Vec::with_capacity(nodes.len());
    for node in nodes {
        match &node.value {
            Value::Scalar(scalar) => {
                if unambiguous(scalar, node.place, problems) {
                    found.push((scalar.text.as_str(), node.place));
                }
            }
            value => wrong(&what, "text or a list of texts", value, node.place, remedy, problems),
        }
    }
    found
}
