//! The daemon against what its parts can do bare, side by side.
//!
//!     cargo bench --bench daemon                    everything
//!     cargo bench --bench daemon -- latency pairs   only these (and: memory, submits)
//!
//! Each round runs baseline and daemon one after the other, so that what else
//! the machine does meets both; a ratio is that of one round, and the table
//! shows the median of the rounds and their extremes. Nothing is asserted.
//!
//! Every server is a process of its own, reached through a Unix socket: the
//! daemon is the real program in a fresh state directory, the baselines are this
//! program started again (`minimal`).
//!
//! | variable | |
//! |---|---|
//! | `HOLDPOINT_BENCH_ROUNDS` | how many rounds; default 7 |
//! | `HOLDPOINT_BENCH_HELD` | how many calls are held for memory; default 10000 |
//! | `HOLDPOINT_BENCH_DIR` | a folder on the disk to measure, with a short path; default in `target` |

mod bare;
mod call;
mod client;
mod latency;
mod memory;
mod minimal;
mod pairs;
mod server;
mod submits;
mod table;

use std::time::Instant;

use table::Table;

const SECTIONS: [&str; 4] = ["latency", "memory", "pairs", "submits"];

fn number(variable: &str, default: usize) -> usize {
    std::env::var(variable).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

fn main() {
    if server::baseline() {
        return;
    }
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if !arguments.iter().any(|argument| argument == "--bench") {
        println!("this takes minutes, and only `cargo bench` runs it");
        return;
    }
    let chosen: Vec<&str> = SECTIONS
        .into_iter()
        .filter(|section| arguments.iter().any(|argument| argument == section))
        .collect();
    let chosen = if chosen.is_empty() { SECTIONS.to_vec() } else { chosen };
    let rounds = number("HOLDPOINT_BENCH_ROUNDS", 7);
    let held = number("HOLDPOINT_BENCH_HELD", 10_000);
    let runtime =
        tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    let mut table = Table::default();
    let start = Instant::now();
    runtime.block_on(async {
        for round in 1..=rounds {
            table.note_load();
            for section in &chosen {
                match *section {
                    "latency" => latency::round(&mut table).await,
                    "memory" => memory::round(&mut table, held).await,
                    "pairs" => pairs::round(&mut table).await,
                    _ => submits::round(&mut table).await,
                }
            }
            eprintln!("round {round} of {rounds}, {:.0} s", start.elapsed().as_secs_f64());
        }
    });
    table.note_load();
    table.print(rounds);
}
