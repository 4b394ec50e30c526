//! From the tree of a document to a [`Policy`], with every problem on the way.

use std::collections::BTreeSet;

use chrono_tz::Tz;
use sha2::{Digest as _, Sha256};

use super::Policy;
use super::problem::{PolicyError, Problems};
use super::rules::{self, Rules};
use super::servers::{self, Servers};
use super::standing::{Default, Posture};
use super::values::{Map, span, text, word};
use super::yaml::{self, Entry, Node};
use crate::call::hex::hex;
use crate::config::names::shortened;
use crate::config::time_zone::near;

/// The keys at the top of a document.
const KEYS: [&str; 5] = ["default", "timeout", "time_zone", "servers", "rules"];

const POSTURES: [(&str, Posture); 4] = [
    ("allow", Posture::Allow),
    ("deny", Posture::Deny),
    ("require_approval", Posture::RequireApproval),
    ("judge", Posture::Judge),
];

/// What the shortest document is.
const SHORTEST: &str = "write at least: default: judge";

/// See [`Policy::without_file`].
pub fn none() -> Policy {
    Policy {
        revision: "none".to_owned(),
        default: Default { posture: Posture::Judge, line: None },
        file: false,
        timeout: None,
        zone: Tz::UTC,
        servers: Servers::default(),
        rules: Rules::default(),
        trusted: BTreeSet::new(),
    }
}

/// See [`Policy::read`].
pub fn read(text: &[u8]) -> Result<Policy, PolicyError> {
    let mut problems = Problems::default();
    let root = yaml::read(text, &mut problems);
    let policy = root.and_then(|root| whole(&root, text, &mut problems));
    problems.finish(policy)
}

fn whole(root: &Node, bytes: &[u8], problems: &mut Problems) -> Option<Policy> {
    let top = Map::of(root, "the document", SHORTEST, problems)?;
    top.only(&KEYS, "at the top of the document", problems);
    let timeout = top.get("timeout").and_then(|entry| span(entry, problems));
    let zone = match top.get("time_zone") {
        Some(entry) => time_zone(entry, problems),
        None => Some(Tz::UTC),
    };
    let default = match top.get("default") {
        Some(entry) => standing(entry, problems),
        None => Some(Default { posture: Posture::Judge, line: None }),
    };
    let servers = match top.get("servers") {
        Some(entry) => servers::read(entry, problems),
        None => Some(Servers::default()),
    };
    let rules = match top.get("rules") {
        Some(entry) => rules::read(entry, timeout, problems),
        None => Some(Rules::default()),
    };
    let (revision, trusted) = (revision(bytes), BTreeSet::new());
    let (default, zone, servers, rules) = (default?, zone?, servers?, rules?);
    Some(Policy { revision, default, file: true, timeout, zone, servers, rules, trusted })
}

fn revision(text: &[u8]) -> String {
    let hash = Sha256::digest(text);
    format!("sha256:{}", hex(&hash[..8]))
}

/// `default:`.
fn standing(entry: &Entry, problems: &mut Problems) -> Option<Default> {
    let known = POSTURES.map(|(word, _)| word);
    let found = word(entry, &known, "default", problems)?;
    let (_, posture) = POSTURES.into_iter().find(|(word, _)| *word == found)?;
    Some(Default { posture, line: Some(entry.place.line) })
}

fn time_zone(entry: &Entry, problems: &mut Problems) -> Option<Tz> {
    let remedy = "write a name such as \"Europe/Berlin\" or \"America/New_York\"";
    let name = text(entry, remedy, problems)?;
    let zone = name.parse().ok();
    if zone.is_none() {
        let message = format!("`time_zone` is \"{}\", not a time zone", shortened(name));
        let remedy = match near(name) {
            Some(zone) => format!("did you mean \"{}\"?", zone.name()),
            None => remedy.to_owned(),
        };
        problems.add(entry.node.place, message, remedy);
    }
    zone
}
