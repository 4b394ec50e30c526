//! The daemon with a large history, and with many calls that wait.
//!
//!     cargo bench --bench history                    everything
//!     cargo bench --bench history -- audit verify    only these (and: growth, indexes, starts,
//!                                                    many, pages)
//!     cargo bench --bench history -- remove          removes what was generated
//!
//! The first use generates two histories, of a million and of ten million entries,
//! in `target/tmp`: some ten minutes, 13 GB. They are kept, and used again, until
//! `remove`. Like the benchmark `daemon`, each round takes baseline and ours one after
//! the other, the table shows the median of the rounds and their extremes, and nothing
//! is asserted. Lines without a baseline have a goal that is a number.
//!
//! | variable | |
//! |---|---|
//! | `HOLDPOINT_BENCH_ROUNDS` | how many rounds; default 3 |
//! | `HOLDPOINT_BENCH_ENTRIES` | the large history; default 10000000. The small one has a tenth |
//! | `HOLDPOINT_BENCH_MANY` | how many calls wait in `many`; default 100000 |
//! | `HOLDPOINT_BENCH_EVERY` | any value: a line for each combination of filters, too |
//! | `HOLDPOINT_BENCH_DIR` | a folder on the disk to measure; default in `target` |

// Shared with the benchmark `daemon`, which uses all of it.
#[allow(dead_code)]
#[path = "../daemon/bare.rs"]
mod bare;
#[allow(dead_code)]
#[path = "../daemon/call.rs"]
mod call;
#[allow(dead_code)]
#[path = "../daemon/client.rs"]
mod client;
#[allow(dead_code)]
#[path = "../daemon/table.rs"]
mod table;

mod daemon;
mod generate;
mod growth;
mod indexes;
mod many;
mod pages;
mod place;
mod questions;
mod starts;
mod verify;

use std::time::Instant;

use table::Table;

const SECTIONS: [&str; 7] = ["audit", "verify", "growth", "indexes", "starts", "many", "pages"];

fn number(variable: &str, default: u64) -> u64 {
    std::env::var(variable).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let asked = |word: &str| arguments.iter().any(|argument| argument == word);
    if !asked("--bench") {
        println!("this takes minutes and 13 GB of disk, and only `cargo bench` runs it");
        return;
    }
    if asked("remove") {
        return generate::remove(&place::base());
    }
    let chosen: Vec<&str> = SECTIONS.into_iter().filter(|section| asked(section)).collect();
    let chosen = if chosen.is_empty() { SECTIONS.to_vec() } else { chosen };
    let rounds = number("HOLDPOINT_BENCH_ROUNDS", 3);
    let large = number("HOLDPOINT_BENCH_ENTRIES", 10_000_000);
    let (small, base) = (large / 10, place::base());
    let many = number("HOLDPOINT_BENCH_MANY", 100_000);
    let runtime =
        tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    let mut table = Table::default();
    let start = Instant::now();
    for round in 1..=rounds {
        table.note_load();
        for section in &chosen {
            match *section {
                "audit" => questions::round(&mut table, &base, [small, large]),
                "verify" => verify::round(&mut table, &base, small),
                "growth" => runtime.block_on(growth::round(&mut table, &base, [small, large])),
                "indexes" => indexes::round(&mut table),
                "starts" => runtime.block_on(starts::round(&mut table, &base, large)),
                "many" => runtime.block_on(many::round(&mut table, many as usize)),
                _ => runtime.block_on(pages::round(&mut table, &base, large)),
            }
        }
        eprintln!("round {round} of {rounds}, {:.0} s", start.elapsed().as_secs_f64());
    }
    table.note_load();
    table.print(rounds as usize);
}
