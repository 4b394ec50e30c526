//! An allowed call through the proxy, against directly and against a bare relay.
//!
//!     cargo bench --bench proxy                  everything
//!     cargo bench --bench proxy -- http          only this (or: stdio, memory)
//!
//! Each round measures all ways one after the other, so that what else the
//! machine does meets all of them; a ratio is that of one round, and the table
//! shows the median of the rounds and their extremes. Nothing is asserted.
//!
//! Server and relay are this program started again ([`parts`]), built as the proxy
//! is. The relay does what any process in between has to do, and no more: over
//! stdio it copies bytes, over HTTP it takes a request (axum) and makes it again
//! (reqwest). What the proxy costs beyond that is its own.
//!
//! | variable | |
//! |---|---|
//! | `HOLDPOINT_BENCH_ROUNDS` | how many rounds; default 7 |
//! | `HOLDPOINT_BENCH_CALLS` | calls of each kind in a round; default 3000 |
//! | `HOLDPOINT_BENCH_HELD` | calls that are held where memory is measured; default 900 |

mod http;
mod memory;
mod parts;
mod place;
mod policies;
mod stdio;
mod table;

use std::time::Duration;

use table::Table;

/// How many calls are under way at once where rates are measured.
const AT_ONCE: [usize; 2] = [16, 64];

/// How a call gets to its server.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    /// With nothing in between.
    Direct,
    /// Through the least that can be in between.
    Relay,
    /// Through `holdpoint proxy`, with a policy that allows it.
    Proxy(Setting),
}

/// What the proxy was told.
#[derive(Clone, Copy, PartialEq, Eq)]
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
    Setting { name: "allow all, record off", policy: place::ALLOW_ALL, record: "off" },
    Setting { name: "allow all, record hash", policy: place::ALLOW_ALL, record: "hash" },
    Setting { name: "30 rules, record off", policy: place::THIRTY, record: "off" },
    Setting { name: "30 rules, record hash", policy: place::THIRTY, record: "hash" },
    Setting { name: "30 rules with a limit, hash", policy: place::LIMITED, record: "hash" },
];

/// In the order of a round.
fn ways() -> impl Iterator<Item = Way> {
    [Way::Direct, Way::Relay].into_iter().chain(SETTINGS.map(Way::Proxy))
}

/// What one round of one way came to.
struct Measured {
    /// How long each call took, one at a time.
    alone: Vec<Duration>,
    /// Calls in a second, by how many were under way at once.
    rates: [f64; AT_ONCE.len()],
    /// What is in between: processor time for each of those calls.
    cpu: Option<Duration>,
    /// And its resident memory after them, in KiB.
    resident: Option<f64>,
}

fn number(variable: &str, default: usize) -> usize {
    std::env::var(variable).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

fn main() {
    if parts::play() {
        return;
    }
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if !arguments.iter().any(|argument| argument == "--bench") {
        println!("this takes minutes, and only `cargo bench` runs it");
        return;
    }
    let named = |section: &str| arguments.iter().any(|argument| argument == section);
    let all = !["stdio", "http", "memory"].into_iter().any(named);
    let rounds = number("HOLDPOINT_BENCH_ROUNDS", 7);
    let calls = number("HOLDPOINT_BENCH_CALLS", 3000);
    let place = place::Place::new();
    if all || named("http") {
        compare("http", rounds, calls, |way| http::measure(&place, way, calls));
    }
    if all || named("stdio") {
        compare("stdio", rounds, calls, |way| stdio::measure(&place, way, calls));
    }
    if all || named("memory") {
        memory::print(&place, number("HOLDPOINT_BENCH_HELD", 900));
    }
}

fn compare(over: &str, rounds: usize, calls: usize, measure: impl Fn(Way) -> Measured) {
    let mut table = Table::default();
    let mut loads = Vec::new();
    for round in 1..=rounds {
        for way in ways() {
            table.add(way, measure(way));
        }
        loads.push(place::load());
        eprintln!("{over}: round {round} of {rounds}, load {}", place::load());
    }
    println!("\n{over}: median of {rounds} rounds of {calls} calls (least to most)");
    println!("load after each round, of {} cores: {}\n", place::cores(), loads.join(", "));
    table.print();
}
