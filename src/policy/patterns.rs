//! Globs over names, many at once.
//!
//! Promises: what a name matches is found in one pass over the name, however
//! many patterns there are, and exact names cost a look in a table. Every
//! pattern is compiled when the policy is read, or refused then; none fails or
//! runs away later.

use std::collections::HashMap;

use globset::{Glob, GlobBuilder};
use regex::bytes::{RegexSet, RegexSetBuilder};

use super::problem::{Place, Problems};
use crate::call::safe_text::is_hidden;
use crate::config::names::shortened;

/// As in the daemon's routes: names have at most 200 bytes, and it bounds what
/// a pattern can cost.
const LONGEST: usize = 400;

/// What the compiled patterns of a policy may take: ten thousand with several
/// wildcards each fit.
const COMPILED: usize = 16 * 1024 * 1024;

/// What stands for more than itself in a glob.
const SPECIAL: [char; 7] = ['*', '?', '[', ']', '{', '}', '\\'];

/// Whether a pattern stands for itself alone.
pub fn is_exact(pattern: &str) -> bool {
    !pattern.contains(SPECIAL)
}

/// Patterns by number, in the order in which they were added.
#[derive(Debug, Clone, Default)]
pub struct Patterns {
    exact: HashMap<String, Vec<usize>>,
    globs: RegexSet,
    /// The numbers that share each glob: the same one often stands under many servers.
    shared: Vec<Vec<usize>>,
}

impl Patterns {
    /// Those that stand for themselves alone.
    pub fn exact(&self) -> impl Iterator<Item = &str> {
        self.exact.keys().map(String::as_str)
    }

    /// The numbers of those that match, in order.
    pub fn matching(&self, name: &str) -> Vec<usize> {
        let mut found = self.exact.get(name).cloned().unwrap_or_default();
        for glob in self.globs.matches(name.as_bytes()) {
            found.extend(self.shared.get(glob).into_iter().flatten());
        }
        found.sort_unstable();
        found
    }
}

/// Collects patterns.
#[derive(Debug, Default)]
pub struct Collected {
    exact: HashMap<String, Vec<usize>>,
    /// The numbers, and the place of the first.
    globs: HashMap<String, (usize, Place)>,
    regexes: Vec<String>,
    shared: Vec<Vec<usize>>,
    count: usize,
}

impl Collected {
    /// Adds a pattern as the next number. Of one that cannot be used, says why.
    pub fn add(&mut self, pattern: &str, place: Place, problems: &mut Problems) {
        let number = self.count;
        self.count += 1;
        if let Some((fault, remedy)) = fault(pattern) {
            let shown = shortened(pattern);
            return problems.add(place, format!("the pattern \"{shown}\" {fault}"), remedy);
        }
        if let Some((what, remedy)) = like_a_regex(pattern) {
            let message = format!(
                "the pattern \"{}\" is a glob and no regular expression: {what} stands for itself",
                shortened(pattern)
            );
            problems.doubt(place, message, remedy);
        }
        if is_exact(pattern) {
            self.exact.entry(pattern.to_owned()).or_default().push(number);
        } else if let Some((index, _)) = self.globs.get(pattern) {
            self.shared[*index].push(number);
        } else {
            match glob(pattern) {
                Ok(glob) => {
                    self.globs.insert(pattern.to_owned(), (self.shared.len(), place));
                    self.regexes.push(glob.regex().to_owned());
                    self.shared.push(vec![number]);
                }
                Err(error) => {
                    let why = shortened(&error.kind().to_string());
                    let message =
                        format!("the pattern \"{}\" is not valid: {why}", shortened(pattern));
                    problems.add(place, message, HOW);
                }
            }
        }
    }

    /// Compiles them. One pattern is short enough for that; all of them may not be.
    pub fn compile(self, problems: &mut Problems) -> Option<Patterns> {
        match compiled(&self.regexes) {
            Ok(globs) => Some(Patterns { exact: self.exact, globs, shared: self.shared }),
            Err(_) => {
                let first = self.globs.values().map(|(_, place)| *place).min();
                let message = "the patterns from here on take too much memory together";
                let remedy = "write exact names, or fewer patterns that stand for more";
                problems.add(first.unwrap_or(Place::START), message, remedy);
                None
            }
        }
    }
}

const HOW: &str = "* stands for any text, ? for one byte, [abc] for one of these, {a,b} for either; \
                   \\ takes the next character as it is";

/// `*` passes over `/` too: names are no paths. `{,x}` is with or without x.
fn glob(pattern: &str) -> Result<Glob, globset::Error> {
    GlobBuilder::new(pattern)
        .literal_separator(false)
        .backslash_escape(true)
        .empty_alternates(true)
        .build()
}

/// What of a pattern would mean something in a regular expression, or in a list, and
/// means nothing here; and what to write.
pub fn like_a_regex(pattern: &str) -> Option<(String, &'static str)> {
    const WHOLE: &str = "take it away: a pattern is for the whole name; * stands for any text";
    const EITHER: &str = "write {a,b} for either, or a list: [\"a\", \"b\"]";
    const LIST: &str = "write a list: [\"a\", \"b\"]";
    const CLASS: &str = "write [0-9] for a digit, [a-z] for a letter, * for any text";
    let (mut before, mut braces, mut brackets) = (' ', 0_usize, false);
    let mut letters = pattern.chars();
    while let Some(c) = letters.next() {
        let remedy = match c {
            '\\' => match letters.next() {
                Some(class) if "dDwWsSbB".contains(class) => {
                    return Some((format!("\\{class}"), CLASS));
                }
                _ => None,
            },
            ']' => {
                brackets = false;
                None
            }
            _ if brackets => None,
            '[' => {
                brackets = true;
                None
            }
            '{' => {
                braces += 1;
                None
            }
            '}' => {
                braces = braces.saturating_sub(1);
                None
            }
            '^' | '$' => Some(WHOLE),
            '|' | '(' | ')' => Some(EITHER),
            ',' if braces == 0 => Some(LIST),
            '+' if ".])".contains(before) => Some("write *, which stands for any text"),
            '*' if before == '.' && pattern.starts_with(".*") => {
                return Some(("the dot".to_owned(), "write *, which stands for any text"));
            }
            _ => None,
        };
        if let Some(remedy) = remedy {
            return Some((c.to_string(), remedy));
        }
        before = c;
    }
    None
}

/// As globset compiles its own: what a glob says of bytes, anchored at both ends.
fn compiled(regexes: &[String]) -> Result<RegexSet, regex::Error> {
    RegexSetBuilder::new(regexes)
        .dot_matches_new_line(true)
        .size_limit(COMPILED)
        .dfa_size_limit(COMPILED)
        .build()
}

/// What is wrong with a pattern as text, and what to do.
fn fault(pattern: &str) -> Option<(&'static str, String)> {
    if pattern.is_empty() {
        Some(("is empty", "write a name, or \"*\" for all".to_owned()))
    } else if pattern.len() > LONGEST {
        Some(("is too long", format!("write at most {LONGEST} bytes")))
    } else if pattern.trim() != pattern {
        Some(("begins or ends with space, and no name does", "take the space away".to_owned()))
    } else if pattern.contains(is_hidden) {
        Some(("has characters that cannot be seen", "write * in their place".to_owned()))
    } else if !pattern.is_ascii() && pattern.contains('[') {
        // In brackets a glob knows bytes, of which such a letter has several.
        Some(("has brackets beside letters beyond ASCII", "write {a,b} instead of [ab]".to_owned()))
    } else {
        None
    }
}
