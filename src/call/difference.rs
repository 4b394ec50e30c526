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
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::call::json::parse;
    use crate::call::json::tests::any_json;
    use crate::call::redact::mask;

    fn json(text: &str) -> Json {
        parse(text.as_bytes()).expect(text)
    }

    fn told(before: &str, now: &str) -> Vec<String> {
        let side = |side: &Option<Side>| match side {
            Some(Side { head, part, tail }) => format!("{head}[{part}]{tail}"),
            None => "-".to_owned(),
        };
        let found = difference(&json(before), &json(now)).expect("little");
        let changes = found.changes.iter();
        changes.map(|c| format!("{}: {} > {}", c.path, side(&c.before), side(&c.now))).collect()
    }

    #[test]
    fn what_differs_is_told_with_its_place() {
        assert_eq!(told(r#"{"a":1,"b":[1,2]}"#, r#"{"b":[1.0,2],"a":1e0}"#), [""; 0]);
        assert_eq!(
            told(
                r#"{"key":"user:1","n":{"max":1,"old":null},"list":["a","c"]}"#,
                r#"{"key":"user:2","n":{"max":"1"},"list":["a","b","c"],"force":true}"#
            ),
            [
                "key: user:[1] > user:[2]",
                "n › max: [1] > [\"1\"]",
                "n › old: [null] > -",
                "list › item 2: - > [\"b\"]",
                "force: - > [true]",
            ]
        );
        assert_eq!(told(r#"{"a":""}"#, r#"{"a":"x"}"#), ["a: [\"\"] > [x]"]);
    }

    #[test]
    fn a_small_change_in_a_long_text_is_shown_with_what_is_around_it() {
        let long =
            |middle: &str| format!(r#"{{"sql":"{}{middle}{}"}}"#, "a".repeat(500), "b".repeat(500));
        let told = told(&long("x"), &long("y; drop"));
        let (a, b) = ("a".repeat(AROUND), "b".repeat(AROUND));
        assert_eq!(told, [format!("sql: …{a}[x]{b}… > …{a}[y; drop]{b}…")]);
    }

    #[test]
    fn what_is_large_and_nested_deeply_is_given_up_on() {
        let of = |last: u32, depth: usize, items: usize| {
            let inner = format!("[{}{last}]", "1,".repeat(items));
            json(&format!(r#"{{"a":{}{inner}{}}}"#, "[".repeat(depth), "]".repeat(depth)))
        };
        let found = difference(&of(2, 1, 20_000), &of(3, 1, 20_000)).expect("one level");
        assert_eq!(found.changes.len(), 1);
        assert_eq!(difference(&of(2, 50, 20_000), &of(3, 50, 20_000)), None);
        // However long one value is.
        let long = |end: &str| json(&format!(r#"{{"a":"{}{end}"}}"#, "a".repeat(1 << 20)));
        assert!(difference(&long("x"), &long("y")).is_some());
    }

    #[test]
    fn what_is_hidden_on_both_sides_is_not_called_the_same() {
        let masked = |text: &str| mask(&json(text)).value;
        let before = masked(r#"{"password":"correct","list":[{"token":"abcdefgh"}],"a":1}"#);
        let now = masked(r#"{"password":"another","list":[{"token":"hgfedcba"}],"a":1}"#);
        let found = difference(&before, &now).expect("little");
        assert_eq!((found.changes.len(), found.hidden), (0, 2));
        assert_eq!(places(&found), ["password", "list › item 1 › token"]);
    }

    fn places(found: &Difference) -> Vec<&str> {
        found.hidden_at.iter().map(SafeText::as_str).collect()
    }

    #[test]
    fn names_hidden_on_both_sides_are_not_called_the_same_and_their_places_are_told() {
        let of = |a: &str, value: &str| {
            let key = format!("ghp_{}", a.repeat(36));
            let text = format!(r#"{{"map":{{"{key}":"{value}"}},"list":[1,[{{"{key}":2}}],3]}}"#);
            mask(&json(&text)).value
        };
        let (map, item) = (
            "map › «hidden: text of 40 characters»",
            "list › item 2 › item 1 › «hidden: text of 40 characters»",
        );
        let found = difference(&of("A", "admin"), &of("B", "admin")).expect("little");
        assert_eq!((found.changes.len(), found.hidden), (0, 2));
        assert_eq!(places(&found), [map, item]);
        // One place is told once, whatever of it is hidden.
        let both = mask(&json(&format!(r#"{{"ghp_{0}":"ghp_{0}"}}"#, "A".repeat(36)))).value;
        assert_eq!(difference(&both, &both).expect("little").hidden, 1);
        // What stands under them is compared, which says no more of the names.
        let found = difference(&of("A", "admin"), &of("B", "guest")).expect("little");
        assert_eq!((found.changes.len(), found.hidden), (1, 2));
        assert_eq!(found.changes[0].path.as_str(), map);
    }

    #[test]
    fn a_name_hidden_on_one_side_alone_is_a_difference() {
        let of =
            |length: usize| mask(&json(&format!(r#"{{"ghp_{}":1}}"#, "A".repeat(length)))).value;
        let found = difference(&of(36), &of(40)).expect("little");
        assert_eq!((found.changes.len(), found.hidden), (2, 0));
    }

    #[test]
    fn of_much_that_is_hidden_the_first_places_are_told_and_all_are_counted() {
        let all = (0..1000).map(|n| format!(r#"{{"password":"{n} correct"}}"#));
        let all = format!("[{}]", all.collect::<Vec<_>>().join(","));
        let masked = mask(&json(&all)).value;
        let found = difference(&masked, &masked).expect("little");
        assert_eq!((found.hidden, found.hidden_at.len()), (1000, HIDDEN_TOLD));
    }

    #[test]
    fn more_changes_than_anybody_reads_are_counted() {
        let of = |value: &str| {
            let members = (0..1000).map(|n| (n.to_string(), Json::from(value)));
            Json::object(members)
        };
        let found = difference(&of("a"), &of("b")).expect("little");
        assert_eq!((found.changes.len(), found.more), (TOLD, 1000 - TOLD));
    }

    proptest! {
        #[test]
        fn nothing_differs_exactly_where_both_mean_the_same(a in any_json(), b in any_json()) {
            let same = a.canonical() == b.canonical();
            prop_assert_eq!(difference(&a, &b).expect("little").changes.is_empty(), same);
            prop_assert!(difference(&a, &a).expect("little").changes.is_empty());
        }
    }
}
