//! The daemon with a large history. With none, it is `holdpoint bench`.
//!
//!     cargo bench --bench history                    everything
//!     cargo bench --bench history -- audit verify    only these (and: growth, indexes, starts,
//!                                                    pages)
//!     cargo bench --bench history -- remove          removes what was generated
//!
//! The first use generates two histories, of a million and of ten million entries,
//! in `target/tmp`: some ten minutes, 13 GB. They are kept, and used again, until
//! `remove`. As in `holdpoint bench`, each round takes baseline and ours one after
//! the other, the table shows the median of the rounds and their extremes, and nothing
//! is asserted. Lines without a baseline have a goal that is a number.
//!
//! | variable | |
//! |---|---|
//! | `HOLDPOINT_BENCH_ROUNDS` | how many rounds; default 3 |
//! | `HOLDPOINT_BENCH_ENTRIES` | the large history; default 10000000. The small one has a tenth |
//! | `HOLDPOINT_BENCH_EVERY` | any value: a line for each combination of filters, too |
//! | `HOLDPOINT_BENCH_DIR` | a folder on the disk to measure; default in `target` |

mod generate;
mod growth;
mod indexes;
mod pages;
mod questions;
mod starts;
mod verify;

use std::path::{Path, PathBuf};
use std::time::Instant;

use holdpoint::bench::ground::Ground;
use holdpoint::bench::table::Table;

const SECTIONS: [&str; 6] = ["audit", "verify", "growth", "indexes", "starts", "pages"];

fn number(variable: &str, default: u64) -> u64 {
    std::env::var(variable).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// The folder for everything.
fn base() -> PathBuf {
    std::env::var_os("HOLDPOINT_BENCH_DIR")
        .map_or_else(|| PathBuf::from(env!("CARGO_TARGET_TMPDIR")), PathBuf::from)
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let asked = |word: &str| arguments.iter().any(|argument| argument == word);
    if !asked("--bench") {
        println!("this takes minutes and 13 GB of disk, and only `cargo bench` runs it");
        return;
    }
    if asked("remove") {
        return generate::remove(&base());
    }
    let chosen: Vec<&str> = SECTIONS.into_iter().filter(|section| asked(section)).collect();
    let chosen = if chosen.is_empty() { SECTIONS.to_vec() } else { chosen };
    let rounds = number("HOLDPOINT_BENCH_ROUNDS", 3);
    let large = number("HOLDPOINT_BENCH_ENTRIES", 10_000_000);
    let (small, base) = (large / 10, base());
    let program = Path::new(env!("CARGO_BIN_EXE_holdpoint")).to_owned();
    let ground = Ground::new(&base, program).expect("a folder");
    let runtime =
        tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    let mut table = Table::default();
    let start = Instant::now();
    for round in 1..=rounds {
        for section in &chosen {
            table.begin(section);
            match *section {
                "audit" => questions::round(&mut table, &base, [small, large]),
                "verify" => verify::round(&mut table, &base, small),
                "growth" => {
                    runtime.block_on(growth::round(&mut table, &ground, &base, [small, large]))
                }
                "indexes" => indexes::round(&mut table, &ground),
                "starts" => runtime.block_on(starts::round(&mut table, &ground, &base, large)),
                _ => runtime.block_on(pages::round(&mut table, &ground, &base, large)),
            }
        }
        eprintln!("round {round} of {rounds}, {:.0} s", start.elapsed().as_secs_f64());
    }
    table.note_load();
    println!("\n{}", table.text(rounds as usize));
}
