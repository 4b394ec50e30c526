//! An allowed call through the proxy over HTTP, against a relay as most people
//! would write it: axum before, reqwest behind, bytes only. For the rest, and for a
//! relay without reqwest: `holdpoint bench http stdio proxied`.
//!
//!     cargo bench --bench proxy
//!
//! | variable | |
//! |---|---|
//! | `HOLDPOINT_BENCH_ROUNDS` | how many rounds; default 7 |
//! | `HOLDPOINT_BENCH_CALLS` | calls of each kind in a round; default 3000 |

mod relay;

use std::path::Path;

use holdpoint::bench::ground::Ground;
use holdpoint::bench::proxy::http;
use holdpoint::bench::proxy::stage::Stage;
use holdpoint::bench::table::Table;

fn number(variable: &str, default: usize) -> usize {
    std::env::var(variable).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

fn main() {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    if let Some(url) = relay::asked() {
        runtime.block_on(relay::serve(url));
        return;
    }
    if !std::env::args().any(|argument| argument == "--bench") {
        println!("this takes minutes, and only `cargo bench` runs it");
        return;
    }
    let rounds = number("HOLDPOINT_BENCH_ROUNDS", 7);
    let calls = number("HOLDPOINT_BENCH_CALLS", 3000);
    let program = Path::new(env!("CARGO_BIN_EXE_holdpoint")).to_owned();
    // Short: a Unix socket's path has at most 107 bytes.
    let ground = Ground::new(&std::env::temp_dir(), program).expect("a folder");
    let mut table = Table::default();
    runtime.block_on(async {
        for round in 1..=rounds {
            eprintln!("round {round} of {rounds}");
            table.begin("http");
            let stage = Stage::new(&ground).await.expect("a daemon");
            let done = http::round(&stage, &mut table, calls, &relay::command).await;
            done.expect("a round");
        }
    });
    table.note_load();
    println!("\n{}", table.text(rounds));
}
