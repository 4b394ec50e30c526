//! Arguments that take in more than they name: `*`, `all`, an empty filter.
//!
//! Only what plainly is one counts: the whole value, or a filter that filters
//! nothing. Must never: tell from what is hidden.

use super::json::Json;
use super::place::{self, Step};
use super::safe_text::SafeText;
use super::warnings::fitting;
use super::words;

/// Whole values that stand for everything there is.
const EVERYTHING: &[&str] = &[
    "*",
    "**",
    "%",
    "all",
    "everything",
    "*.*",
    ".*",
    "^.*$",
    "/",
    "/*",
    "/**",
    "**/*",
    "*:*",
    "*/*",
    "./*",
    "0.0.0.0/0",
    "::/0",
];

/// Last words of names of what selects. Empty, it selects all.
const FILTERS: &[&str] = &[
    "filter",
    "filters",
    "where",
    "selector",
    "condition",
    "conditions",
    "criteria",
    "predicate",
    "match",
];

/// Texts of filters that filter nothing, without spaces.
const FILTERS_NOTHING: &[&str] = &["", "{}", "[]", "[{}]", "1=1", "1", "true"];

/// Columns of a pattern. What is longer is a text that has a `*` in it.
const PATTERN: usize = 120;

/// Columns of it where it is told.
const SHOWN: usize = 60;

/// An argument that takes in more than it names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Broad {
    /// Where it stands and what it is: `keys › item 1: *`.
    pub told: SafeText,
    /// Whether it is all there is; else a pattern, which may be more than one thing.
    pub everything: bool,
}

impl Broad {
    /// As a warning.
    pub fn warning(&self) -> SafeText {
        let mut text = SafeText::default();
        text.push_ours(if self.everything {
            "may take in everything by its argument "
        } else {
            "may take in many by its argument "
        });
        text.push(&self.told);
        text
    }
}

/// The first `most` of them, those before the others that take in everything, and how
/// many there are beside. Only what is given is told: a place may be long.
pub fn broad(masked: &Json, most: usize) -> (Vec<Broad>, usize) {
    let (mut all, mut patterns, mut found) = (Vec::new(), Vec::new(), 0);
    place::walk(masked, |steps, value| {
        let everything = is_everything(steps, value);
        if everything || value.as_str().is_some_and(is_pattern) {
            found += 1;
            let kept = if everything { &mut all } else { &mut patterns };
            if kept.len() < most {
                kept.push((steps.to_vec(), value, everything));
            }
        }
        true
    });
    let told = |(steps, value, everything): (Vec<Step<'_>>, &Json, bool)| {
        let mut told = place::told(&steps);
        told.push_ours(": ");
        told.push(&fitting(&shown(value), SHOWN));
        Broad { told, everything }
    };
    let broad: Vec<Broad> = all.into_iter().chain(patterns).take(most).map(told).collect();
    let more = found - broad.len();
    (broad, more)
}

/// Whether any argument takes in everything.
pub fn takes_in_everything(masked: &Json) -> bool {
    any(masked, is_everything)
}

/// Whether any argument is a pattern, which may take in many.
pub fn takes_in_many(masked: &Json) -> bool {
    any(masked, |_, value| value.as_str().is_some_and(is_pattern))
}

fn any(masked: &Json, is_so: impl Fn(&[Step<'_>], &Json) -> bool) -> bool {
    let mut found = false;
    place::walk(masked, |steps, value| {
        found = found || is_so(steps, value);
        !found
    });
    found
}

fn is_everything(steps: &[Step<'_>], value: &Json) -> bool {
    let is_empty = match value {
        Json::String(text) => {
            let text = text.trim();
            if EVERYTHING.iter().any(|all| text.eq_ignore_ascii_case(all)) {
                return true;
            }
            text.len() <= PATTERN
                && FILTERS_NOTHING.contains(&text.replace(' ', "").to_ascii_lowercase().as_str())
        }
        Json::Object(members) => members.is_empty(),
        Json::Array(items) => {
            items.iter().all(|item| item.as_object().is_some_and(<[_]>::is_empty))
        }
        Json::Bool(set) => {
            let name = words::start(place::name(steps), words::LONGEST);
            return *set && words::of(name).iter().any(|w| w == "all");
        }
        Json::Null => true,
        Json::Number(_) => false,
    };
    // Of a filter itself, not of one of several in it.
    is_empty && matches!(steps.last(), Some(Step::Member(name)) if is_a_filter(name))
}

fn is_a_filter(name: &str) -> bool {
    words::of(words::start(name, words::LONGEST))
        .last()
        .is_some_and(|last| FILTERS.contains(&last.as_str()))
}

/// `customers/*`, `user:*`: one word with a star.
fn is_pattern(text: &str) -> bool {
    text.contains('*') && text.len() <= PATTERN && !text.contains(char::is_whitespace)
}

fn shown(value: &Json) -> String {
    match value {
        Json::String(text) if !text.is_empty() => text.clone(),
        Json::String(_) => "(empty)".to_owned(),
        value => value.to_text(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::call::json::parse;

    fn told(text: &str) -> Vec<(String, bool)> {
        let (found, _) = broad(&parse(text.as_bytes()).expect(text), usize::MAX);
        found.into_iter().map(|broad| (broad.told.to_string(), broad.everything)).collect()
    }

    #[test]
    fn what_takes_in_everything_is_told_with_its_place() {
        for (arguments, place) in [
            (r#"{"target":"all"}"#, "target: all"),
            (r#"{"keys":["a"," * "]}"#, "keys › item 2:  * "),
            (r#"{"like":"%"}"#, "like: %"),
            (r#"{"options":{"filter":{}}}"#, "options › filter: {}"),
            (r#"{"where":""}"#, "where: (empty)"),
            (r#"{"userFilter":null}"#, "userFilter: null"),
            (r#"{"delete_all":true}"#, "delete_all: true"),
            (r#"{"cidr":"0.0.0.0/0"}"#, "cidr: 0.0.0.0/0"),
        ] {
            assert_eq!(told(arguments), [(place.to_owned(), true)], "{arguments}");
            assert!(takes_in_everything(&parse(arguments.as_bytes()).expect("JSON")));
        }
        let patterns = told(r#"{"path":"customers/*","key":"user:*","all":"*"}"#);
        assert_eq!(patterns.iter().map(|(_, all)| *all).collect::<Vec<_>>(), [true, false, false]);
    }

    #[test]
    fn only_those_that_are_shown_are_told_and_the_rest_is_counted() {
        for n in [100, 400] {
            let items = r#""a*","*","#.repeat(n);
            let json = parse(format!(r#"{{"a":[{items}1]}}"#).as_bytes()).expect("JSON");
            let (found, more) = broad(&json, 2);
            let told: Vec<_> = found.iter().map(|broad| broad.told.as_str()).collect();
            assert_eq!((told, more), (vec!["a › item 2: *", "a › item 4: *"], 2 * n - 2));
        }
    }

    #[test]
    fn what_names_one_thing_does_not() {
        for arguments in [
            r#"{"key":"user:1","text":"all of it * is here","share":"50%"}"#,
            r#"{"tags":{},"list":[],"note":"","all":false,"install":true,"filter":{"a":1}}"#,
        ] {
            assert_eq!(told(arguments), []);
        }
    }
}
