//! From the start of the process until it says that it serves, on a large history;
//! what it keeps in memory when it is idle.

use std::path::Path;

use holdpoint::bench::ground::Ground;
use holdpoint::bench::server::{Kind, Running};
use holdpoint::bench::starts::SETTLED;
use holdpoint::bench::table::Table;

use super::generate;

pub async fn round(table: &mut Table, ground: &Ground, base: &Path, entries: u64) {
    let dir = generate::state_dir(base, entries);
    let empty = Running::start(ground, Kind::DaemonWithPages).await.expect("a daemon");
    let large = Running::on(ground.program(), &dir, Kind::DaemonWithPages).await;
    let large = large.expect("a daemon");
    let ms = |server: &Running| server.served_after.as_secs_f64() * 1e3;
    let name = format!("serving after its start, {entries} entries : empty");
    table.row(&name, "ms", ms(&empty), ms(&large));
    tokio::time::sleep(SETTLED).await;
    let name = format!("idle memory, {entries} entries : empty");
    table.row(&name, "MiB", empty.resident_mib(), large.resident_mib());
    large.end();
}
