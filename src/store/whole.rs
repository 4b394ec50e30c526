//! Whether a chain is whole: what must hold from one entry to the next.
//!
//! A chain can be walked in one go, or in pieces that are walked apart, on several
//! threads say, and joined in their order. Each entry says which hash it follows, so
//! a piece needs nothing of the ones before it but the hash and the number that the
//! last entry there claims; if that claim is false, the piece before is the one that
//! is broken. So the first place that is broken, in the order of the pieces, is the
//! one that a single walk finds, with the same words.

use std::collections::BTreeMap;

use super::audit::{Kind, body_hash, entry_hash};
use crate::call::json::parse_envelope;
use crate::call::time::Time;

/// The chain is whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Whole {
    /// How many entries were checked.
    pub entries: u64,
    /// Hash of the last one.
    pub head: [u8; 32],
    /// How many of them have no payload any more.
    pub erased: u64,
    /// And of how many of these no entry that was checked says that it was erased.
    /// Only in an export, whose range may end before the entry that says it.
    pub unrecorded: u64,
}

/// The chain is not whole.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what}")]
pub struct Broken {
    /// Sequence number of the entry where it shows; 0 if it is none of them.
    pub sequence: u64,
    /// The line of the export file, from 1; 0 for the database.
    pub line: u64,
    /// What is wrong.
    pub what: String,
}

/// What is checked of an entry.
pub(super) struct Checked<'a> {
    pub(super) sequence: u64,
    pub(super) at: Time,
    pub(super) kind: &'a str,
    pub(super) previous: [u8; 32],
    pub(super) body: [u8; 32],
    pub(super) hash: [u8; 32],
    /// Salt and payload; `None` where they are erased.
    pub(super) said: Option<(&'a [u8], &'a str)>,
}

/// Walks the chain, or a piece of it.
pub(super) struct Walk {
    log_id: [u8; 16],
    /// The sequence number that comes next.
    pub(super) next: u64,
    /// Hash of the entry before that.
    pub(super) hash: [u8; 32],
    wanted: Option<[u8; 32]>,
    found: bool,
    pub(super) entries: u64,
    erased: u64,
    /// First to last, without a payload and without a record of that so far.
    missing: BTreeMap<u64, u64>,
    /// First to last, as entries recorded that they were erased: one for each time that
    /// retention did its work. Pieces before this one may have such entries.
    recorded: Vec<(u64, u64)>,
}

impl Walk {
    pub(super) fn new(
        log_id: [u8; 16],
        first: u64,
        previous: [u8; 32],
        wanted: Option<[u8; 32]>,
    ) -> Self {
        let found = wanted == Some(previous);
        Walk {
            log_id,
            next: first,
            hash: previous,
            wanted,
            found,
            entries: 0,
            erased: 0,
            missing: BTreeMap::new(),
            recorded: Vec::new(),
        }
    }

    /// A walk of a piece behind this one, which follows an entry of that hash.
    pub(super) fn piece(&self, next: u64, hash: [u8; 32]) -> Walk {
        Walk::new(self.log_id, next, hash, self.wanted)
    }

    pub(super) fn step(&mut self, entry: &Checked<'_>) -> Result<(), String> {
        if entry.sequence != self.next {
            return Err(format!(
                "entry {} is missing; {} comes instead",
                self.next, entry.sequence
            ));
        }
        let n = entry.sequence;
        if entry.previous != self.hash {
            return Err(format!(
                "entry {n} does not follow the one before it: its previous hash differs"
            ));
        }
        match entry.said {
            Some((salt, payload)) => {
                if body_hash(salt, payload) != entry.body {
                    return Err(format!("entry {n}: its payload was changed"));
                }
                if entry.kind == Kind::Erased.word() {
                    self.recorded(payload);
                }
            }
            None => {
                self.erased += 1;
                self.lacks(n, n);
            }
        }
        let hash = entry_hash(&self.log_id, n, &entry.previous, entry.at, entry.kind, &entry.body);
        if hash != entry.hash {
            return Err(format!("entry {n} was changed: its hash does not fit"));
        }
        self.found |= self.wanted == Some(hash);
        self.hash = hash;
        self.next += 1;
        self.entries += 1;
        Ok(())
    }

    /// These come behind all that are known to be missing.
    fn lacks(&mut self, first: u64, last: u64) {
        match self.missing.last_entry() {
            Some(mut before) if *before.get() + 1 == first => *before.get_mut() = last,
            _ => {
                self.missing.insert(first, last);
            }
        }
    }

    /// An entry says that the payloads of a range were erased.
    fn recorded(&mut self, payload: &str) {
        let said = parse_envelope(payload.as_bytes()).ok();
        let number = |name| said.as_ref()?.get(name)?.as_u64();
        let (Some(first), Some(last)) = (number("first"), number("last")) else { return };
        self.recorded.push((first, last));
        self.lacks_no_more(first, last);
    }

    fn lacks_no_more(&mut self, first: u64, last: u64) {
        let touched: Vec<(u64, u64)> = (self.missing.range(..=last).rev())
            .take_while(|(_, end)| **end >= first)
            .map(|(from, to)| (*from, *to))
            .collect();
        for (from, to) in touched {
            self.missing.remove(&from);
            if from < first {
                self.missing.insert(from, first - 1);
            }
            if to > last {
                self.missing.insert(last + 1, to);
            }
        }
    }

    /// Goes on behind a piece that was walked apart, from where this one stands.
    pub(super) fn join(&mut self, piece: Walk) {
        self.next = piece.next;
        self.hash = piece.hash;
        self.found |= piece.found;
        self.entries += piece.entries;
        self.erased += piece.erased;
        for (first, last) in piece.recorded {
            self.lacks_no_more(first, last);
        }
        for (first, last) in piece.missing {
            self.lacks(first, last);
        }
    }

    /// The first entry without a payload of which none says that it was erased.
    pub(super) fn unrecorded(&self) -> Option<u64> {
        self.missing.keys().next().copied()
    }

    pub(super) fn finish(self) -> Result<Whole, String> {
        if self.wanted.is_some() && !self.found {
            return Err("the chain does not contain the given head: entries were cut off or rewritten, or the head is of another log".to_owned());
        }
        let unrecorded = self.missing.iter().map(|(from, to)| to - from + 1).sum();
        Ok(Whole { entries: self.entries, head: self.hash, erased: self.erased, unrecorded })
    }
}
