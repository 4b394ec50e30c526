//! Where two calls' arguments differ: for who approved the one and is asked for the
//! other.
//!
//! Promises: every place where the shown arguments mean something else is told or
//! counted; the order of members and the spelling of numbers mean nothing. What is
//! hidden in both, a value or a member's name, cannot be compared: it is counted apart,
//! with its place. Must never: call two arguments the same that are only hidden alike.

use std::cell::Cell;
use std::collections::HashMap;

use super::json::Json;
use super::place::{self, Step};
use super::safe_text::SafeText;
use super::warnings::cut_line;

/// Changes that are told; more are counted. Beyond, the calls are not alike.
const TOLD: usize = 40;

/// Places of what is hidden on both sides that are told; more are counted.
const HIDDEN_TOLD: usize = 5;

/// Characters of a text that is shown whole, or of what differs in it.
const WHOLE: usize = 160;

/// Characters around what differs in a longer text.
const AROUND: usize = 30;

/// Where two arguments differ.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Difference {
    /// The first places.
    pub changes: Vec<Change>,
    /// How many places there are beside those.
    pub more: usize,
    /// At how many places a value or its name is hidden on both sides, alike as far as
    /// one sees.
    pub hidden: usize,
    /// Where the first of those stand.
    pub hidden_at: Vec<SafeText>,
}

/// One place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Where: `options › limit`.
    pub path: SafeText,
    /// What stood there before; `None`: nothing.
    pub before: Option<Side>,
    /// What stands there now.
    pub now: Option<Side>,
}

/// A value, or a text around the part of it that differs.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Side {
    /// The same on both sides.
    pub head: SafeText,
    /// What differs.
    pub part: SafeText,
    /// The same on both sides.
    pub tail: SafeText,
}

/// Values that are looked at, however often: what is nested deeply is looked at once
/// for each level above it, and arguments are an agent's. A long call takes some ten
/// thousand; these take milliseconds.
const LOOKS: usize = 200_000;

/// Bytes of a text or number that count as one more look.
const BYTES_A_LOOK: usize = 64;

/// Where `now` differs from `before`, both masked. `None`: to find that out is more
/// work than it is worth.
pub fn difference(before: &Json, now: &Json) -> Option<Difference> {
    let looks = Cell::new(LOOKS);
    let mut walk = Walk { found: Difference::default(), path: Vec::new(), looks: &looks };
    walk.compare(Some(before), Some(now));
    let found = walk.found;
    (looks.get() > 0).then_some(found)
}

struct Walk<'a> {
    found: Difference,
    path: Vec<Step<'a>>,
    /// How many are left; at none, nothing that was found means anything.
    looks: &'a Cell<usize>,
}

impl<'a> Walk<'a> {
    fn compare(&mut self, before: Option<&'a Json>, now: Option<&'a Json>) {
        match (before, now) {
            (Some(Json::Object(before)), Some(Json::Object(now))) => self.members(before, now),
            (Some(Json::Array(before)), Some(Json::Array(now))) => self.items(before, now),
            _ if self.looks.get() == 0 => {}
            (Some(before), Some(now)) if is_same(before, now, self.looks) => self.alike(now),
            (before, now) => self.tell(before, now),
        }
    }

    fn at(&mut self, step: Step<'a>, before: Option<&'a Json>, now: Option<&'a Json>) {
        self.path.push(step);
        self.compare(before, now);
        self.path.pop();
    }

    fn members(&mut self, before: &'a [(String, Json)], now: &'a [(String, Json)]) {
        let mut left: HashMap<&str, &Json> = by_name(before);
        for (name, value) in now {
            let other = left.remove(name.as_str());
            if other.is_some() {
                self.name(name);
            }
            self.at(Step::Member(name), other, Some(value));
        }
        for (name, value) in before.iter().filter(|(name, _)| left.contains_key(name.as_str())) {
            self.at(Step::Member(name), Some(value), None);
        }
    }

    /// What begins and ends alike is passed over, so that one item more is one change.
    fn items(&mut self, before: &'a [Json], now: &'a [Json]) {
        let shorter = before.len().min(now.len());
        let looks = self.looks;
        let same = |n: &usize| is_same(&before[*n], &now[*n], looks);
        let head = (0..shorter).take_while(same).count();
        let same =
            |n: &usize| is_same(&before[before.len() - 1 - n], &now[now.len() - 1 - n], looks);
        let tail = (0..shorter - head).take_while(same).count();
        let (end_before, end_now) = (before.len() - tail, now.len() - tail);
        for n in head..end_before.max(end_now) {
            let of = |items: &'a [Json], end: usize| items.get(n).filter(|_| n < end);
            self.at(Step::Item(n), of(before, end_before), of(now, end_now));
        }
        let alike = now.iter().enumerate().filter(|(n, _)| *n < head || *n >= end_now);
        for (n, item) in alike {
            self.path.push(Step::Item(n));
            self.alike(item);
            self.path.pop();
        }
    }

    /// Notes what is hidden in a value that looks the same on both sides.
    fn alike(&mut self, value: &'a Json) {
        match value {
            Json::Array(items) => {
                for (n, item) in items.iter().enumerate() {
                    self.path.push(Step::Item(n));
                    self.alike(item);
                    self.path.pop();
                }
            }
            Json::Object(members) => {
                for (name, value) in members {
                    self.name(name);
                    self.path.push(Step::Member(name));
                    self.alike(value);
                    self.path.pop();
                }
            }
            value if hides(value) && !self.is_named_hidden() => self.hidden(),
            _ => {}
        }
    }

    /// Notes a name that both have if it is hidden: they may be two names.
    fn name(&mut self, name: &'a str) {
        if is_hidden(name) {
            self.path.push(Step::Member(name));
            self.hidden();
            self.path.pop();
        }
    }

    /// Whether this place is noted already, for its name.
    fn is_named_hidden(&self) -> bool {
        matches!(self.path.last(), Some(Step::Member(name)) if is_hidden(name))
    }

    /// Notes that something of this place is hidden on both sides.
    fn hidden(&mut self) {
        self.found.hidden += 1;
        if self.found.hidden_at.len() < HIDDEN_TOLD {
            self.found.hidden_at.push(place::told(&self.path));
        }
    }

    fn tell(&mut self, before: Option<&Json>, now: Option<&Json>) {
        if self.found.changes.len() == TOLD {
            self.found.more += 1;
            return;
        }
        let (before, now) = match (before, now) {
            (Some(Json::String(before)), Some(Json::String(now))) => {
                let (before, now) = texts(before, now);
                (Some(before), Some(now))
            }
            (before, now) => (before.map(whole), now.map(whole)),
        };
        self.found.changes.push(Change { path: place::told(&self.path), before, now });
    }
}

fn by_name(members: &[(String, Json)]) -> HashMap<&str, &Json> {
    members.iter().map(|(name, value)| (name.as_str(), value)).collect()
}

/// Whether both mean the same as far as one sees; false once there are no looks left.
fn is_same(a: &Json, b: &Json, looks: &Cell<usize>) -> bool {
    let size = match a {
        Json::String(text) => text.len(),
        Json::Number(number) => number.as_str().len(),
        _ => 0,
    };
    looks.set(looks.get().saturating_sub(1 + size / BYTES_A_LOOK));
    if looks.get() == 0 {
        return false;
    }
    match (a, b) {
        (Json::Number(a), Json::Number(b)) => a.canonical() == b.canonical(),
        (Json::Array(a), Json::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| is_same(a, b, looks))
        }
        (Json::Object(a), Json::Object(b)) => {
            let others = by_name(b);
            let same = |(name, a): &(String, Json)| {
                others.get(name.as_str()).is_some_and(|b| is_same(a, b, looks))
            };
            a.len() == b.len() && a.iter().all(same)
        }
        (a, b) => a == b,
    }
}

/// Whether a text or name is hidden, wholly or in part: only our markers have
/// guillemets.
fn is_hidden(text: &str) -> bool {
    text.contains("«hidden: ")
}

/// Whether a value that holds no others is.
fn hides(value: &Json) -> bool {
    value.as_str().is_some_and(is_hidden)
}

/// Whether a value is, or anything in it, names too.
pub(super) fn holds_hidden(value: &Json) -> bool {
    match value {
        Json::Array(items) => items.iter().any(holds_hidden),
        Json::Object(members) => {
            members.iter().any(|(name, value)| is_hidden(name) || holds_hidden(value))
        }
        value => hides(value),
    }
}

fn whole(value: &Json) -> Side {
    let text = match value {
        Json::String(text) => quoted(text),
        value => value.to_text(),
    };
    Side { part: super::warnings::fitting(&text, WHOLE), ..Side::default() }
}

/// As JSON has it, and for readers: what is invisible is left to [`SafeText`].
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

/// Two texts around what differs.
fn texts(before: &str, now: &str) -> (Side, Side) {
    let (a, b): (Vec<char>, Vec<char>) = (before.chars().collect(), now.chars().collect());
    let shorter = a.len().min(b.len());
    let head = (0..shorter).take_while(|n| a[*n] == b[*n]).count();
    let same = |n: &usize| a[a.len() - 1 - n] == b[b.len() - 1 - n];
    let tail = (0..shorter - head).take_while(same).count();
    (around(&a, head, tail), around(&b, head, tail))
}

fn around(text: &[char], head: usize, tail: usize) -> Side {
    let end = text.len() - tail;
    let (from, to) = match text.len() <= WHOLE {
        true => (0, text.len()),
        false => (head.saturating_sub(AROUND), text.len().min(end + AROUND)),
    };
    let of = |from: usize, to: usize| text[from..to].iter().collect::<String>();
    let mut part = of(head, end);
    if part.is_empty() && (from, to) == (0, text.len()) && text.is_empty() {
        part = "\"\"".to_owned();
    }
    let (shown, cut) = cut_line(&part, WHOLE);
    let mut side = Side {
        head: SafeText::line(&of(from, head)),
        part: shown,
        tail: SafeText::line(&of(end, to)),
    };
    if from > 0 {
        side.head = SafeText::join([&ours("…"), &side.head], "");
    }
    if cut > 0 {
        side.part.push(&SafeText::line(&format!("… ({cut} more characters)")));
    }
    if to < text.len() {
        side.tail.push_ours("…");
    }
    side
}

fn ours(words: &'static str) -> SafeText {
    let mut text = SafeText::default();
    text.push_ours(words);
    text
}

#[cfg(test)]
mod tests;
