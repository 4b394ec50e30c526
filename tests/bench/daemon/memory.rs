//! What a held call costs in resident memory, whether that comes back when it is
//! released, and what many held calls cost the processor and a decision on another.

use std::time::{Duration, Instant};

use super::client::{self, Caller, Operator};
use super::latency::releases;
use super::server::{Kind, Running};
use super::table::Table;

/// Times that calls are held and released to see whether memory comes back.
const CYCLES: usize = 10;
/// How long nothing happens to see what that costs.
const IDLE: Duration = Duration::from_secs(5);

/// Resident memory after the first and the last of some cycles of hold and release.
async fn cycles(kind: Kind, many: usize) -> (f64, f64) {
    let server = Running::start(kind);
    let mut after = Vec::new();
    for _ in 0..CYCLES {
        client::hold_and_release(server.dir(), many).await;
        server.settled().await;
        after.push(server.resident_kib() / 1024.0);
    }
    (after[0], after[CYCLES - 1])
}

/// Thousandths of one core.
async fn idle(server: &Running) -> f64 {
    let before = (server.cpu_exact(), Instant::now());
    tokio::time::sleep(IDLE).await;
    (server.cpu_exact() - before.0).as_secs_f64() / before.1.elapsed().as_secs_f64() * 1000.0
}

async fn per_call(server: &Running, operator: &mut Operator, many: usize) -> f64 {
    let before = server.resident_kib();
    client::hold_many(server.dir(), operator, many).await;
    server.settled().await;
    (server.resident_kib() - before) / many as f64
}

pub async fn round(table: &mut Table, many: usize) {
    let tonic = Running::start(Kind::Tonic);
    let mut operator = Operator::watch(tonic.dir()).await;
    let bare = per_call(&tonic, &mut operator, many).await;
    let bare_idle = idle(&tonic).await;
    drop((operator, tonic));

    // The same daemon, first with none held, then with many.
    let daemon = Running::start(Kind::Daemon);
    let mut operator = Operator::watch(daemon.dir()).await;
    let caller = Caller::connect(daemon.dir()).await;
    let alone = releases(&caller, &mut operator, Duration::ZERO).await;
    daemon.settled().await;
    let ours = per_call(&daemon, &mut operator, many).await;
    let our_idle = idle(&daemon).await;
    let among_many = releases(&caller, &mut operator, Duration::ZERO).await;

    table.row(&format!("resident memory per held call, {many} on 4"), "KiB", bare, ours);
    let name = format!("decision to release, {many} held : none held");
    table.row(&format!("{name}, p50"), "us", alone.p50, among_many.p50);
    table.row(&format!("{name}, p99"), "us", alone.p99, among_many.p99);
    let name = format!("thousandths of a core while {many} wait and nothing happens");
    table.row(&name, "", bare_idle, our_idle);
    drop((operator, caller, daemon));

    for (what, kind) in [("bare tonic", Kind::Tonic), ("the daemon", Kind::Daemon)] {
        let (first, last) = cycles(kind, many).await;
        let name = format!("{what}, {many} held and released, cycle {CYCLES} : cycle 1");
        table.row(&name, "MiB", first, last);
    }
}
