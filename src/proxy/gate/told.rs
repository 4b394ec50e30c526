//! What a client was told of a server's tools, in the lists that passed to it.
//!
//! A server may tell its client one thing and us another, who ask it for its tools
//! just before a call: so what the client was told is kept too, and has to be as
//! pinned like what we were told.
//!
//! Promises: what a list said of a tool is remembered until it was compared with the
//! tool's pin and found to be the same, or until the client is told something else in
//! a later list; news that the tools are others now changes nothing. What the client
//! may have been told and we could not read is remembered as such. Must never: grow
//! beyond [`MAX_TOOLS`] tools.

use std::collections::{HashMap, HashSet};

use super::Definition;
use super::definitions::MAX_TOOLS;

/// The most definitions of one tool in one list. A server that has more of them is
/// playing.
const MOST_OF_ONE: usize = 4;

/// What a client was told.
#[derive(Debug, Default)]
pub struct Told {
    tools: HashMap<String, Vec<Seen>>,
    /// The names in the list that has begun and has not ended: one that comes again in
    /// it is one more definition of the tool, and not a newer.
    listing: HashSet<String>,
    /// Whether a list passed that we could not read to its end.
    unread: bool,
}

/// A definition that a client was told.
#[derive(Debug)]
struct Seen {
    definition: Definition,
    /// Whether it was as pinned when it was compared.
    settled: bool,
}

impl Told {
    /// Takes note of a page of a list that passes by; `last`: none follows.
    pub fn page(&mut self, listed: &[(String, Definition)], last: bool) {
        for (name, definition) in listed {
            let known = self.tools.len();
            let Some(seen) = self.tools.get_mut(name).filter(|_| self.listing.contains(name))
            else {
                if known >= MAX_TOOLS && !self.tools.contains_key(name) {
                    self.unread = true;
                    continue;
                }
                let first = Seen { definition: definition.clone(), settled: false };
                self.tools.insert(name.clone(), vec![first]);
                self.listing.insert(name.clone());
                continue;
            };
            if seen.iter().any(|seen| seen.definition.hash == definition.hash) {
                continue;
            }
            if seen.len() >= MOST_OF_ONE {
                self.unread = true;
                continue;
            }
            seen.push(Seen { definition: definition.clone(), settled: false });
        }
        if last {
            self.listing.clear();
        }
    }

    /// Takes note of a list that cannot be read.
    pub fn not_read(&mut self) {
        self.unread = true;
    }

    /// Whether a list passed that cannot be read: what stood in it nobody knows.
    pub fn is_unread(&self) -> bool {
        self.unread
    }

    /// What the client was told of this tool that has not been found to be as pinned.
    pub fn doubtful(&self, tool: &str) -> Vec<Definition> {
        let seen = self.tools.get(tool).into_iter().flatten();
        seen.filter(|seen| !seen.settled).map(|seen| seen.definition.clone()).collect()
    }

    /// Whether nothing of this tool has to be compared but a definition of this hash.
    pub fn agrees(&self, tool: &str, hash: &str) -> bool {
        let mut seen = self.tools.get(tool).into_iter().flatten();
        !self.unread && seen.all(|seen| seen.settled || seen.definition.hash == hash)
    }

    /// This definition of the tool is as pinned.
    pub fn settle(&mut self, tool: &str, hash: &str) {
        let seen = self.tools.get_mut(tool).into_iter().flatten();
        seen.filter(|seen| seen.definition.hash == hash).for_each(|seen| seen.settled = true);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proxy::gate::definitions::tool_of;

    fn tool(name: &str, description: &str) -> (String, Definition) {
        let text = format!(r#"{{"name":"{name}","description":"{description}"}}"#);
        tool_of(text.as_bytes()).expect("a tool")
    }

    fn doubtful(told: &Told, name: &str) -> usize {
        told.doubtful(name).len()
    }

    #[test]
    fn the_last_whole_list_counts_and_a_name_that_comes_twice_in_one_counts_twice() {
        let mut told = Told::default();
        let (good, bad) = (tool("a", "good"), tool("a", "bad"));
        told.page(std::slice::from_ref(&good), true);
        told.settle("a", &good.1.hash);
        assert!(told.agrees("a", "any"));
        told.page(std::slice::from_ref(&bad), true);
        assert_eq!(told.doubtful("a"), std::slice::from_ref(&bad.1));
        assert!(told.agrees("a", &bad.1.hash) && !told.agrees("a", &good.1.hash));
        told.page(std::slice::from_ref(&good), true);
        assert_eq!(told.doubtful("a"), std::slice::from_ref(&good.1), "it is compared anew");
        // On two pages of one list.
        told.page(std::slice::from_ref(&bad), false);
        told.page(&[good.clone(), bad], true);
        assert_eq!(doubtful(&told, "a"), 2);
        told.page(&[good], true);
        assert_eq!(doubtful(&told, "a"), 1);
        assert_eq!(doubtful(&told, "b"), 0);
    }

    #[test]
    fn what_is_beyond_all_bounds_is_known_to_be_unread() {
        let mut told = Told::default();
        let many: Vec<_> = (0..=MOST_OF_ONE).map(|n| tool("a", &n.to_string())).collect();
        told.page(&many[1..], true);
        assert!(!told.is_unread());
        told.page(&many, true);
        assert!(told.is_unread() && !told.agrees("b", "any"));
        let mut told = Told::default();
        let many: Vec<_> = (0..MAX_TOOLS).map(|n| tool(&n.to_string(), "x")).collect();
        told.page(&many, false);
        assert!(!told.is_unread());
        told.page(&[tool("one more", "x")], true);
        assert!(told.is_unread());
    }
}
