//! What a held call costs in resident memory, and what many held calls cost a
//! decision on another.

use std::time::Duration;

use super::client::{self, Caller, Operator};
use super::latency::releases;
use super::server::{Kind, Running};
use super::table::Table;

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
    drop((operator, tonic));

    // The same daemon, first with none held, then with many.
    let daemon = Running::start(Kind::Daemon);
    let mut operator = Operator::watch(daemon.dir()).await;
    let caller = Caller::connect(daemon.dir()).await;
    let alone = releases(&caller, &mut operator, Duration::ZERO).await;
    daemon.settled().await;
    let ours = per_call(&daemon, &mut operator, many).await;
    let among_many = releases(&caller, &mut operator, Duration::ZERO).await;

    table.row(&format!("resident memory per held call, {many} on 4"), "KiB", bare, ours);
    let name = format!("decision to release, {many} held : none held");
    table.row(&format!("{name}, p50"), "us", alone.p50, among_many.p50);
    table.row(&format!("{name}, p99"), "us", alone.p99, among_many.p99);
}
