//! `servers:`, facts about servers: which are trusted, and the operator's word on what
//! their tools do.
//!
//! Promises: a `trusted: false` anywhere that matches wins. Of several words on a tool
//! the one for its exact name stands before patterns, and then the first in the
//! document; category and risk each by itself.

use super::judging::Word;
use super::patterns::{Collected, Patterns, is_exact};
use super::problem::Problems;
use super::values::{Map, only, switch, unambiguous, word};
use super::yaml::{Entry, Value};
use crate::call::model::{Category, Risk};
use crate::config::names::shortened;

/// What a document says of servers.
#[derive(Debug, Clone, Default)]
pub struct Servers {
    /// The entries' names.
    names: Patterns,
    /// What each says of trust, in the order of the document.
    trusted: Vec<Option<bool>>,
    /// The patterns of tools, under all the servers.
    tools: Patterns,
    /// What each of these says, in the order of the document.
    words: Vec<Said>,
}

/// The operator's word on the tools of one pattern.
#[derive(Debug, Clone)]
struct Said {
    /// The number of the entry that it stands under.
    server: usize,
    exact: bool,
    word: Word,
}

const WORDS: [&str; 2] = ["category", "risk"];
const CATEGORIES: [&str; 5] = ["read", "write", "execute", "destructive", "financial"];
const RISKS: [&str; 4] = ["low", "medium", "high", "critical"];

impl Servers {
    /// How many entries there are.
    pub fn len(&self) -> usize {
        self.trusted.len()
    }

    /// How many entries say that they are trusted.
    pub fn trusting(&self) -> usize {
        self.trusted.iter().filter(|trusted| **trusted == Some(true)).count()
    }

    /// The entries' names, where they are no patterns.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.names.exact()
    }

    /// The names of tools of which something is said, where they are no patterns.
    pub fn tools(&self) -> impl Iterator<Item = &str> {
        self.tools.exact()
    }

    /// Whether an entry is about this server.
    pub fn name(&self, server: &str) -> bool {
        !self.names.matching(server).is_empty()
    }

    /// Whether a server is trusted, if something is said of that.
    pub fn trust(&self, server: &str) -> Option<bool> {
        let entries = self.names.matching(server);
        let said = entries.iter().filter_map(|entry| *self.trusted.get(*entry)?);
        said.reduce(|all, trusted| all && trusted)
    }

    /// The operator's word on a tool.
    pub fn word(&self, server: &str, tool: &str) -> Word {
        if self.words.is_empty() {
            return Word::default();
        }
        let entries = self.names.matching(server);
        let numbers = self.tools.matching(tool);
        let said = numbers.iter().filter_map(|number| self.words.get(*number));
        let said: Vec<&Said> =
            said.filter(|said| entries.binary_search(&said.server).is_ok()).collect();
        let (exact, rest): (Vec<&Said>, Vec<&Said>) = said.iter().partition(|said| said.exact);
        let mut word = Word::default();
        for said in exact.into_iter().chain(rest) {
            word.category = word.category.or(said.word.category);
            word.risk = word.risk.or(said.word.risk);
        }
        word
    }
}

/// The entries while they are read.
#[derive(Default)]
struct Reading {
    names: Collected,
    trusted: Vec<Option<bool>>,
    tools: Collected,
    words: Vec<Said>,
}

/// Reads `servers:`.
pub fn read(entry: &Entry, problems: &mut Problems) -> Option<Servers> {
    let remedy = "write the name of a server and a colon under it";
    let map = Map::of(&entry.node, "`servers`", remedy, problems)?;
    let mut reading = Reading::default();
    for entry in map.entries {
        reading.server(entry, problems);
    }
    let Reading { names, trusted, tools, words } = reading;
    let (names, tools) = (names.compile(problems), tools.compile(problems));
    Some(Servers { names: names?, trusted, tools: tools?, words })
}

impl Reading {
    fn server(&mut self, entry: &Entry, problems: &mut Problems) {
        let name = entry.key.text.as_str();
        if unambiguous(&entry.key, entry.place, problems) {
            self.names.add(name, entry.place, problems);
        }
        let what = format!("the server `{}`", shortened(name));
        let remedy = "write trusted or tools under it, further in than the name";
        let Some(map) = Map::of(&entry.node, &what, remedy, problems) else {
            return;
        };
        let number = self.trusted.len();
        self.trusted.push(map.get("trusted").and_then(|entry| switch(entry, problems)));
        let shown = shortened(name);
        if let Some(entry) = map.get("default") {
            let message = format!("{what} has a `default`, and only the document has one");
            let remedy =
                format!("write a last rule under `rules`: - {{server: \"{shown}\", action: ...}}");
            problems.add(entry.place, message, remedy);
        }
        if let Some(entry) = map.get("tools") {
            match &entry.node.value {
                Value::List(_) => {
                    let message = "what happens to calls stands under `rules`, not under a server";
                    let remedy =
                        format!("write there: - {{server: \"{shown}\", tool: ..., action: ...}}");
                    problems.add(entry.place, message, remedy);
                }
                _ => self.tools(number, entry, problems),
            }
        }
        let rest = map.entries.iter().filter(|entry| entry.key.text != "default");
        only(rest, &["trusted", "tools"], &format!("under {what}"), problems);
    }

    fn tools(&mut self, server: usize, entry: &Entry, problems: &mut Problems) {
        let remedy = "write a tool and what it does: get_user: {category: read, risk: low}";
        let Some(map) = Map::of(&entry.node, "`tools`", remedy, problems) else {
            return;
        };
        for entry in map.entries {
            let name = entry.key.text.as_str();
            if unambiguous(&entry.key, entry.place, problems) {
                self.tools.add(name, entry.place, problems);
            }
            let what = format!("the tool `{}`", shortened(name));
            let word = Map::of(&entry.node, &what, remedy, problems).map(|map| {
                map.only(&WORDS, &format!("under {what}"), problems);
                said(&map, problems)
            });
            let word = word.unwrap_or_default();
            self.words.push(Said { server, exact: is_exact(name), word });
        }
    }
}

fn said(map: &Map<'_>, problems: &mut Problems) -> Word {
    let category =
        map.get("category").and_then(|entry| word(entry, &CATEGORIES, "category", problems));
    let risk = map.get("risk").and_then(|entry| word(entry, &RISKS, "risk", problems));
    Word { category: category.and_then(Category::from_word), risk: risk.and_then(Risk::from_word) }
}
