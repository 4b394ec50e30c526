//! From the start of the process until it says that it serves; what it keeps in
//! memory when it is idle; how large the program is.

use std::path::Path;
use std::time::Duration;

use super::daemon::Daemon;
use super::table::Table;
use super::{generate, place};

/// Until allocations of the start are given back and nothing is left to do.
const SETTLED: Duration = Duration::from_secs(2);

pub async fn round(table: &mut Table, base: &Path, entries: u64) {
    let empty = place::fresh_dir();
    let daemon = Daemon::start(empty.path()).await;
    let (first, idle) = (daemon.served_after, resident(&daemon).await);
    drop(daemon);
    let daemon = Daemon::start(&generate::state_dir(base, entries)).await;
    let (large, large_idle) = (daemon.served_after, resident(&daemon).await);
    drop(daemon);
    let ms = |took: Duration| took.as_secs_f64() * 1e3;
    let name = format!("serving after its start, {entries} entries : empty");
    table.row(&name, "ms", ms(first), ms(large));
    let name = format!("idle memory, {entries} entries : empty");
    table.row(&name, "MiB", idle, large_idle);
    let program = std::fs::metadata(env!("CARGO_BIN_EXE_holdpoint")).expect("the program");
    table.baseline("size of the program", "MiB", program.len() as f64 / 1024.0 / 1024.0);
}

async fn resident(daemon: &Daemon) -> f64 {
    tokio::time::sleep(SETTLED).await;
    daemon.resident_mib()
}
