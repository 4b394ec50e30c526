//! An allowed call through the proxy, against directly and against a bare relay.
//!
//! Each round measures all ways one after the other. Server and relay are this
//! program started again (`parts`). A relay does what any process in between has
//! to do, and no more: over stdio it copies bytes, over HTTP it takes a request and
//! makes it again. What the proxy costs beyond that is its own.

pub mod held;
pub mod http;
pub(super) mod parts;
mod policies;
pub mod stage;
pub mod stdio;
mod wire;

use std::time::Duration;

use super::table::{Table, percentile};

/// Of which lines the sentences after the table are: over what, in which setting, what.
pub(super) const HTTP: &str = "http";
pub(super) const STDIO: &str = "stdio";
pub(super) const RULES: &str = "30 rules, record hash";
pub(super) const LIMIT: &str = "30 rules with a limit, hash";
pub(super) const ADDED: &str = "added p50";
pub(super) const RATE: &str = "64 at once";

/// How many calls are under way at once where rates are measured.
const AT_ONCE: [usize; 2] = [16, 64];

/// How a call gets to its server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// With nothing in between.
    Direct,
    /// Through the least that can be in between.
    Relay,
    /// Through `holdpoint proxy`, with a policy that allows it.
    Proxy(Setting),
}

/// What the proxy was told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Setting {
    /// As the table has it.
    name: &'static str,
    /// The policy's file.
    policy: &'static str,
    /// What the history is told of allowed calls; `hash` if nobody says.
    record: &'static str,
}

/// From the least to the most.
const SETTINGS: [Setting; 5] = [
    Setting { name: "allow all, record off", policy: stage::ALLOW_ALL, record: "off" },
    Setting { name: "allow all, record hash", policy: stage::ALLOW_ALL, record: "hash" },
    Setting { name: "30 rules, record off", policy: stage::THIRTY, record: "off" },
    Setting { name: RULES, policy: stage::THIRTY, record: "hash" },
    Setting { name: LIMIT, policy: stage::LIMITED, record: "hash" },
];

/// What one round of one way came to.
#[derive(Debug, Clone)]
struct Measured {
    /// How long each call took, one at a time; sorted.
    alone: Vec<Duration>,
    /// Calls in a second, by how many were under way at once.
    rates: [f64; AT_ONCE.len()],
    /// Processor time of what is in between, for each of those calls.
    cpu: Duration,
    /// And its resident memory after them.
    resident_mib: f64,
}

impl Measured {
    fn micros(&self, share: f64) -> f64 {
        percentile(&self.alone, share).as_secs_f64() * 1e6
    }
}

/// The lines of one round over `over`.
fn rows(
    table: &mut Table,
    over: &str,
    direct: &Measured,
    relay: &Measured,
    proxied: &[(Setting, Measured)],
) {
    table.baseline(&format!("{over}, directly: p50"), "us", direct.micros(0.50));
    table.baseline(&format!("{over}, directly: 64 at once"), "/s", direct.rates[1]);
    for (setting, ours) in proxied {
        let mut row = |what: &str, unit, baseline, ours| {
            table.row(&format!("{over}, {}: {what} : relay", setting.name), unit, baseline, ours);
        };
        for (name, share) in [("added p50", 0.50), ("added p99", 0.99)] {
            let added = |way: &Measured| way.micros(share) - direct.micros(share);
            row(name, "us", added(relay), added(ours));
        }
        for (n, at_once) in AT_ONCE.into_iter().enumerate() {
            row(&format!("{at_once} at once"), "/s", relay.rates[n], ours.rates[n]);
        }
        let micros = |way: &Measured| way.cpu.as_secs_f64() * 1e6;
        row("CPU a call", "us", micros(relay), micros(ours));
        row("resident memory", "MiB", relay.resident_mib, ours.resident_mib);
    }
}
