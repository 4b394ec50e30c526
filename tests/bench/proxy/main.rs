//! An allowed call through the proxy, against directly and against a bare relay.
//!
//!     cargo bench --bench proxy                  everything
//!     cargo bench --bench proxy -- stdio         only this (or: http)
//!
//! Each round measures the three ways one after the other, so that what else the
//! machine does meets all of them; a ratio is that of one round, and the table
//! shows the median of the rounds and their extremes. Nothing is asserted.
//!
//! Server and relay are this program started again ([`parts`]). The relay does
//! what any process in between has to do, and no more: over stdio it copies
//! bytes, over HTTP it takes a request and makes it again. What the proxy costs
//! beyond that is its own.
//!
//! | variable | |
//! |---|---|
//! | `HOLDPOINT_BENCH_ROUNDS` | how many rounds; default 7 |
//! | `HOLDPOINT_BENCH_CALLS` | calls of each kind in a round; default 3000 |

mod http;
mod parts;
mod place;
mod stdio;
mod table;

use std::time::{Duration, Instant};

use table::Table;

/// How many calls are under way at once where the rate is measured.
const AT_ONCE: usize = 16;

/// How a call gets to its server.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    /// With nothing in between.
    Direct,
    /// Through the least that can be in between.
    Relay,
    /// Through `holdpoint proxy`, with a policy that allows it.
    Proxy,
}

/// In the order of the table.
const WAYS: [Way; 3] = [Way::Direct, Way::Relay, Way::Proxy];

/// What one round of one way came to.
struct Measured {
    /// How long each call took, one at a time.
    alone: Vec<Duration>,
    /// How long as many took, [`AT_ONCE`] at a time.
    together: Duration,
    /// Resident memory of what is in between, in KiB.
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
        println!("this takes a minute, and only `cargo bench` runs it");
        return;
    }
    let named = |section: &str| arguments.iter().any(|argument| argument == section);
    let all = !named("stdio") && !named("http");
    let rounds = number("HOLDPOINT_BENCH_ROUNDS", 7);
    let calls = number("HOLDPOINT_BENCH_CALLS", 3000);
    let place = place::Place::new();
    let mut table = Table::default();
    let start = Instant::now();
    for round in 1..=rounds {
        for way in WAYS {
            if all || named("stdio") {
                table.add("stdio", way, stdio::measure(&place, way, calls));
            }
            if all || named("http") {
                table.add("http", way, http::measure(&place, way, calls));
            }
        }
        eprintln!("round {round} of {rounds}, {} s", start.elapsed().as_secs());
    }
    table.print(rounds, calls);
}
