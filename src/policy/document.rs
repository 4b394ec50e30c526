//! From the tree of a document to a [`Policy`], with every problem on the way.

use std::collections::BTreeSet;
use std::time::Duration;

use sha2::{Digest as _, Sha256};

use super::patterns::{Collected, Patterns};
use super::problem::{PolicyError, Problems};
use super::values::{ACTIONS, Map, either, list, reason, span, switch, texts, unambiguous, word};
use super::yaml::{self, Entry, Node};
use super::{Action, Hold, Line, Policy, Server, Trust, Verdict};
use crate::call::hex::hex;
use crate::call::safe_text::SafeText;
use crate::config::names::shortened;

/// The longest part of a rule's name, in bytes: two of them with the words
/// around stay below 200.
const LONGEST_PART: usize = 80;

/// What an agent is told where a default denies.
const DENIED_BY_DEFAULT: &str = "No rule of the policy allows this tool.";

/// See [`Policy::without_file`].
pub fn none() -> Policy {
    let rule = "no policy file".to_owned();
    Draft::default().policy(
        "none".to_owned(),
        Verdict { action: Action::Hold(Hold::default()), rule },
        (Patterns::default(), Patterns::default()),
    )
}

/// See [`Policy::read`].
pub fn read(text: &[u8]) -> Result<Policy, PolicyError> {
    let mut problems = Problems::default();
    let root = yaml::read(text, &mut problems);
    let policy = root.and_then(|root| whole(&root, text, &mut problems));
    problems.finish(policy)
}

fn whole(root: &Node, text: &[u8], problems: &mut Problems) -> Option<Policy> {
    let top = Map::of(root, "the document", EXAMPLE_LINE, problems)?;
    top.only(&["default", "timeout", "servers"], "at the top of the document", problems);
    let timeout = top.get("timeout").and_then(|entry| span(entry, problems));
    let mut draft = Draft { timeout, ..Draft::default() };
    let default = match top.get("default") {
        Some(entry) => draft.standing(entry, "", problems),
        None => Some(Verdict {
            action: Action::Hold(Hold { timeout, ..Hold::default() }),
            rule: "default".to_owned(),
        }),
    };
    if let Some(servers) = top.get("servers") {
        let remedy = "write the name of a server and a colon under it";
        if let Some(servers) = Map::of(&servers.node, "`servers`", remedy, problems) {
            for entry in servers.entries {
                draft.server(entry, problems);
            }
        }
    }
    let names = std::mem::take(&mut draft.names).compile(problems);
    let tools = std::mem::take(&mut draft.tools).compile(problems);
    Some(draft.policy(revision(text), default?, (names?, tools?)))
}

/// What the shortest document is.
const EXAMPLE_LINE: &str = "write at least: default: require_approval";

fn revision(text: &[u8]) -> String {
    let hash = Sha256::digest(text);
    format!("sha256:{}", hex(&hash[..8]))
}

/// The policy while its document is read.
#[derive(Default)]
struct Draft {
    timeout: Option<Duration>,
    servers: Vec<Server>,
    names: Collected,
    lines: Vec<Line>,
    tools: Collected,
    rules: usize,
}

impl Draft {
    fn policy(self, revision: String, default: Verdict, compiled: (Patterns, Patterns)) -> Policy {
        let (names, tools) = compiled;
        let Draft { servers, lines, rules, .. } = self;
        let trusted = BTreeSet::new();
        Policy { revision, default, servers, names, lines, tools, rules, trusted }
    }

    /// An entry under `servers`.
    fn server(&mut self, entry: &Entry, problems: &mut Problems) {
        let number = self.servers.len();
        let name = entry.key.text.as_str();
        if unambiguous(&entry.key, entry.place, problems) {
            self.names.add(name, entry.place, problems);
        }
        let shown = part(name);
        let what = format!("the server `{}`", shortened(name));
        let remedy = "write tools, default or trusted under it, further in than the name";
        let Some(map) = Map::of(&entry.node, &what, remedy, problems) else {
            return;
        };
        map.only(&["trusted", "default", "tools"], &format!("under {what}"), problems);
        let trusted = map.get("trusted").and_then(|entry| {
            let trusted = switch(entry, problems)?;
            let rule = format!("{shown}: trusted, read-only tool (line {})", entry.place.line);
            Some(Trust { trusted, rule })
        });
        let default = map
            .get("default")
            .and_then(|entry| self.standing(entry, &format!("{shown}: "), problems));
        self.servers.push(Server { trusted, default });
        if let Some(tools) = map.get("tools") {
            let remedy = "write a line `- match: NAME` and a line `action: ...` for each";
            for node in list(tools, remedy, problems) {
                self.rules += 1;
                self.rule(node, number, &shown, problems);
            }
        }
    }

    /// An item under `tools`.
    fn rule(&mut self, node: &Node, server: usize, shown: &str, problems: &mut Problems) {
        let remedy = "write `match: NAME`, and `action: ...` below it";
        let Some(map) = Map::of(node, "an item of `tools`", remedy, problems) else {
            return;
        };
        map.only(&["match", "action", "reason", "timeout"], "in an item of `tools`", problems);
        let patterns = match map.get("match") {
            Some(entry) => texts(entry, problems),
            None => {
                problems.add(
                    node.place,
                    "this item has no `match`",
                    "add for example match: \"get_*\"",
                );
                Vec::new()
            }
        };
        // Read in any case: its own mistakes are reported too.
        let action = self.action(&map, problems);
        for (pattern, place) in patterns {
            self.tools.add(pattern, place, problems);
            // One that has a problem is in nobody's way: the document is refused.
            let action = action.clone().unwrap_or(Action::Hold(Hold::default()));
            let rule = format!("{shown}: {} (line {})", part(pattern), place.line);
            self.lines.push(Line { server, verdict: Verdict { action, rule } });
        }
    }

    fn action(&self, map: &Map<'_>, problems: &mut Problems) -> Option<Action> {
        let reason = map.get("reason").map(|entry| (entry, reason(entry, problems)));
        let timeout = map.get("timeout").map(|entry| (entry, span(entry, problems)));
        let Some(entry) = map.get("action") else {
            let remedy = format!("add one: {}", either(&ACTIONS));
            problems.add(map.place, "this item has no `action`", remedy);
            return None;
        };
        let word = word(entry, problems)?;
        if let Some((entry, _)) = reason.as_ref().filter(|_| word != "deny") {
            let message = format!("`reason` goes with deny, and here the action is {word}");
            problems.add(entry.place, message, "take it away, or make it a comment");
        }
        if let Some((entry, _)) = timeout.as_ref().filter(|_| word != "require_approval") {
            let message =
                format!("`timeout` goes with require_approval, and here the action is {word}");
            problems.add(entry.place, message, "take it away");
        }
        match word {
            "allow" => Some(Action::Allow),
            "deny" => {
                if reason.is_none() {
                    let remedy = "add what the agent is told, such as reason: \"Open a ticket.\"";
                    problems.add(entry.place, "deny needs a `reason`", remedy);
                }
                Some(Action::Deny { reason: reason?.1? })
            }
            _ => {
                let own = timeout.and_then(|(_, timeout)| timeout);
                Some(Action::Hold(Hold { timeout: own.or(self.timeout), ..Hold::default() }))
            }
        }
    }

    /// `default:`, of the document or of an entry.
    fn standing(&self, entry: &Entry, whose: &str, problems: &mut Problems) -> Option<Verdict> {
        let action = match word(entry, problems)? {
            "allow" => Action::Allow,
            "deny" => Action::Deny { reason: DENIED_BY_DEFAULT.to_owned() },
            _ => Action::Hold(Hold { timeout: self.timeout, ..Hold::default() }),
        };
        Some(Verdict { action, rule: format!("{whose}default (line {})", entry.place.line) })
    }
}

/// A name or pattern as part of a rule's: safe, and cut in bytes.
fn part(text: &str) -> String {
    (0..=LONGEST_PART)
        .rev()
        .map(|columns| SafeText::cut_line(text, columns))
        .find(|(shown, _)| shown.as_str().len() <= LONGEST_PART)
        .map(|(shown, cut)| format!("{shown}{}", if cut > 0 { "…" } else { "" }))
        .unwrap_or_default()
}
