//! Which rules may match a call, without looking at the others.
//!
//! A rule that names its tools and servers exactly is found by both names together,
//! one that names only its tools or its servers by those, and the rest is looked at
//! for every call. All patterns are matched against a name in one pass, and only if a
//! rule that has one is in question.

use std::cell::OnceCell;
use std::collections::HashMap;

use super::Rule;
use crate::policy::patterns::{Collected, Patterns, is_exact};
use crate::policy::problem::{Place, Problems};

/// The names that a rule is about. Without any it is about all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Names {
    pub exact: Vec<String>,
    /// By their numbers in the index.
    globs: Vec<usize>,
    /// As they are written.
    pub written: Vec<String>,
}

impl Names {
    /// Whether this name is one of them. `globs` tells the patterns that match it.
    pub fn have<'g>(&self, name: &str, globs: impl FnOnce() -> &'g [usize]) -> bool {
        self.are_all()
            || self.exact.iter().any(|exact| exact == name)
            || (!self.globs.is_empty() && {
                let matching = globs();
                self.globs.iter().any(|glob| matching.binary_search(glob).is_ok())
            })
    }

    /// Whether it says nothing of names.
    pub fn are_all(&self) -> bool {
        self.written.is_empty()
    }

    /// Whether it has names, and none of them is a pattern.
    pub fn are_exact(&self) -> bool {
        !self.are_all() && self.globs.is_empty()
    }
}

/// Patterns while rules are read, each of which gets a number once.
#[derive(Debug, Default)]
pub struct Gathered {
    collected: Collected,
    numbers: HashMap<String, usize>,
}

impl Gathered {
    /// The names that are written so.
    pub fn names(&mut self, written: &[(&str, Place)], problems: &mut Problems) -> Names {
        let mut names = Names::default();
        for (pattern, place) in written {
            if is_exact(pattern) {
                names.exact.push((*pattern).to_owned());
            }
            let next = self.numbers.len();
            let number = *self.numbers.entry((*pattern).to_owned()).or_insert_with(|| {
                self.collected.add(pattern, *place, problems);
                next
            });
            if !is_exact(pattern) {
                names.globs.push(number);
            }
            names.written.push((*pattern).to_owned());
        }
        names
    }
}

/// Where rules are found.
#[derive(Debug, Clone, Default)]
pub struct Index {
    /// By server and tool, where a rule names both exactly.
    by_both: HashMap<String, HashMap<String, Vec<usize>>>,
    /// By tool, where it names only that exactly.
    by_tool: HashMap<String, Vec<usize>>,
    by_server: HashMap<String, Vec<usize>>,
    /// Looked at for every call.
    rest: Vec<usize>,
    servers: Patterns,
    tools: Patterns,
}

/// How many pairs of server and tool a rule is entered under. One with more is
/// entered under its tools, and its servers are looked at.
const MOST_PAIRS: usize = 64;

impl Index {
    /// Of these rules, whose patterns were gathered before.
    pub fn new(
        rules: &[Rule],
        servers: Gathered,
        tools: Gathered,
        problems: &mut Problems,
    ) -> Option<Index> {
        let servers = servers.collected.compile(problems);
        let tools = tools.collected.compile(problems);
        let mut index = Index { servers: servers?, tools: tools?, ..Index::default() };
        for (number, rule) in rules.iter().enumerate() {
            index.enter(number, rule);
        }
        Some(index)
    }

    fn enter(&mut self, number: usize, rule: &Rule) {
        let (servers, tools) = (&rule.servers, &rule.tools);
        let pairs = servers.exact.len() * tools.exact.len();
        if servers.are_exact() && tools.are_exact() && pairs <= MOST_PAIRS {
            for server in &servers.exact {
                let of_server = self.by_both.entry(server.clone()).or_default();
                for tool in &tools.exact {
                    push(of_server, tool, number);
                }
            }
        } else if tools.are_exact() {
            tools.exact.iter().for_each(|tool| push(&mut self.by_tool, tool, number));
        } else if servers.are_exact() {
            servers.exact.iter().for_each(|server| push(&mut self.by_server, server, number));
        } else {
            self.rest.push(number);
        }
    }

    /// These names, of which it is found out what matches them.
    pub fn sought<'a>(&'a self, server: &'a str, tool: &'a str) -> Sought<'a> {
        let (of_server, of_tool) = (OnceCell::new(), OnceCell::new());
        Sought { server, tool, index: self, of_server, of_tool }
    }

    /// The rules that are about this tool of this server, in order.
    pub fn about(&self, rules: &[Rule], server: &str, tool: &str) -> Vec<usize> {
        let sought = self.sought(server, tool);
        let both = self.by_both.get(server).and_then(|tools| tools.get(tool));
        let some = [both, self.by_tool.get(tool), self.by_server.get(server), Some(&self.rest)];
        let candidates = some.into_iter().flatten().flatten().copied();
        let mut about: Vec<usize> = candidates
            .filter(|number| rules.get(*number).is_some_and(|rule| rule.is_about(&sought)))
            .collect();
        about.sort_unstable();
        about
    }
}

fn push(map: &mut HashMap<String, Vec<usize>>, name: &str, number: usize) {
    let numbers = map.entry(name.to_owned()).or_default();
    // A name that a rule has twice.
    if numbers.last() != Some(&number) {
        numbers.push(number);
    }
}

/// The names of a call, with the patterns that match them once somebody asks.
pub struct Sought<'a> {
    pub server: &'a str,
    pub tool: &'a str,
    index: &'a Index,
    of_server: OnceCell<Vec<usize>>,
    of_tool: OnceCell<Vec<usize>>,
}

impl Sought<'_> {
    pub fn server_globs(&self) -> &[usize] {
        self.of_server.get_or_init(|| self.index.servers.matching(self.server))
    }

    pub fn tool_globs(&self) -> &[usize] {
        self.of_tool.get_or_init(|| self.index.tools.matching(self.tool))
    }
}
