//! From the tree of a document to a [`Policy`], with every problem on the way.

use std::collections::BTreeSet;

use chrono_tz::Tz;
use sha2::{Digest as _, Sha256};

use super::Policy;
use super::problem::{PolicyError, Problems};
use super::rules::{self, Rules};
use super::servers::{self, Servers};
use super::standing::{self, Default, Posture};
use super::tools::Intercept;
use super::values::{Map, span, text};
use super::yaml::{self, Entry, Node};
use crate::call::hex::hex;
use crate::config::names::shortened;
use crate::config::time_zone::near;

/// The keys at the top of a document.
const KEYS: [&str; 9] = [
    "version",
    "description",
    "default",
    "hide",
    "tools",
    "rules",
    "servers",
    "timeout",
    "time_zone",
];

/// What the shortest document is.
const SHORTEST: &str = "write at least: default: judge";

/// See [`Policy::without_file`].
pub fn none() -> Policy {
    Policy {
        revision: "none".to_owned(),
        default: Default { posture: Posture::Judge, place: None },
        intercept: Intercept::default(),
        file: false,
        timeout: None,
        zone: Tz::UTC,
        servers: Servers::default(),
        rules: Rules::default(),
        trusted: BTreeSet::new(),
        doubts: Vec::new(),
    }
}

/// See [`Policy::read`].
pub fn read(text: &[u8]) -> Result<Policy, PolicyError> {
    let mut problems = Problems::default();
    let root = yaml::read(text, &mut problems);
    let policy = root.and_then(|root| whole(&root, text, &mut problems));
    let doubts = problems.doubts();
    let policy = policy.map(|policy| Policy { doubts, ..policy });
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
    let intercept = Intercept::read(&top, problems);
    let default = match (top.get("default"), &intercept) {
        (Some(entry), _) => standing::read(entry, problems),
        // Intercept's own default.
        (None, Some(intercept)) if intercept.stands() => {
            Some(Default { posture: Posture::Allow, place: None })
        }
        (None, _) => Some(Default { posture: Posture::Judge, place: None }),
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
    let (intercept, default, zone) = (intercept?, default?, zone?);
    let (servers, rules) = (servers?, rules?);
    let (file, doubts) = (true, Vec::new());
    Some(Policy {
        revision,
        default,
        intercept,
        file,
        timeout,
        zone,
        servers,
        rules,
        trusted,
        doubts,
    })
}

fn revision(text: &[u8]) -> String {
    let hash = Sha256::digest(text);
    format!("sha256:{}", hex(&hash[..8]))
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
