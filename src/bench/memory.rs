//! What a held call costs in resident memory, whether that comes back when it is
//! released, and what many held calls cost the processor and a decision on another.

use std::time::{Duration, Instant};

use super::client::{Caller, Held, Operator};
use super::ground::Ground;
use super::latency::releases;
use super::process::Process;
use super::server::{Kind, Running};
use super::table::Table;
use super::trouble::Trouble;

/// What stands for itself in the sentence after the table.
pub(super) const HELD: &str = "resident memory per held call";
pub(super) const TOTAL: &str = "resident memory while they are held";

/// Times that calls are held and released to see whether memory comes back.
const CYCLES: usize = 10;
/// How long nothing happens to see what that costs.
pub(super) const IDLE: Duration = Duration::from_secs(5);

/// Resident memory after the first and the last of some cycles of hold and release.
async fn cycles(ground: &Ground, kind: Kind, many: usize) -> Result<(f64, f64), Trouble> {
    let server = Running::start(ground, kind).await?;
    let (mut first, mut last) = (None, 0.0);
    for _ in 0..CYCLES {
        let mut operator = Operator::watch(server.dir()).await?;
        let held = Held::many(server.dir(), &mut operator, many).await?;
        // Nobody watches while they are released: it is not the stream that is measured.
        let deciding = operator.deciding.clone();
        drop(operator);
        held.release(&deciding).await?;
        server.settled().await;
        last = server.resident_mib();
        first = first.or(Some(last));
    }
    Ok((first.unwrap_or(last), last))
}

/// Percent of one core that it uses while nothing happens.
pub(super) async fn idle(server: &Process) -> f64 {
    let before = (server.cpu_exact(), Instant::now());
    tokio::time::sleep(IDLE).await;
    // A thread that ended meanwhile takes its time with it.
    let spent = server.cpu_exact().saturating_sub(before.0);
    spent.as_secs_f64() / before.1.elapsed().as_secs_f64() * 100.0
}

/// What a server takes while calls are held.
struct Taken {
    each_kib: f64,
    all_mib: f64,
}

async fn taken(
    server: &Running,
    operator: &mut Operator,
    many: usize,
) -> Result<(Taken, Held), Trouble> {
    let before = server.resident_kib();
    let held = Held::many(server.dir(), operator, many).await?;
    server.settled().await;
    let after = server.resident_kib();
    Ok((Taken { each_kib: (after - before) / many as f64, all_mib: after / 1024.0 }, held))
}

pub(super) async fn round(ground: &Ground, table: &mut Table, many: usize) -> Result<(), Trouble> {
    let tonic = Running::start(ground, Kind::Tonic).await?;
    let mut operator = Operator::watch(tonic.dir()).await?;
    let (bare, held) = taken(&tonic, &mut operator, many).await?;
    let bare_idle = idle(&tonic).await;
    drop((operator, held, tonic));

    // The same daemon, first with none held, then with many.
    let daemon = Running::start(ground, Kind::Daemon).await?;
    let mut operator = Operator::watch(daemon.dir()).await?;
    let caller = Caller::connect(daemon.dir())?;
    let alone = releases(&caller, &mut operator, Duration::ZERO).await?;
    daemon.settled().await;
    let (ours, held) = taken(&daemon, &mut operator, many).await?;
    let our_idle = idle(&daemon).await;
    let among_many = releases(&caller, &mut operator, Duration::ZERO).await?;
    drop((operator, caller, held, daemon));

    table.row(&format!("{HELD}, {many} on 4 : bare tonic"), "KiB", bare.each_kib, ours.each_kib);
    table.row(&format!("{TOTAL}, {many} on 4 : bare tonic"), "MiB", bare.all_mib, ours.all_mib);
    let name = format!("decision to release, {many} held : none held");
    table.row(&format!("{name}, p50"), "us", alone.p50, among_many.p50);
    table.row(&format!("{name}, p99"), "us", alone.p99, among_many.p99);
    let name = format!("CPU while {many} wait and nothing happens : bare tonic");
    table.row(&name, "% of a core", bare_idle, our_idle);

    for (what, kind) in [("bare tonic", Kind::Tonic), ("the daemon", Kind::Daemon)] {
        let (first, last) = cycles(ground, kind, many).await?;
        let name = format!("{what}, {many} held and released, cycle {CYCLES} : cycle 1");
        table.row(&name, "MiB", first, last);
    }
    Ok(())
}
