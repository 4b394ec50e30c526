//! Submit-and-decide pairs: 64 callers that ask again as soon as they are
//! answered, one operator who watches and approves what comes.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::bare::Rows;
use super::client::{Caller, Operator};
use super::server::{Kind, Running};
use super::table::Table;

const CALLERS: usize = 64;
const CONNECTIONS: usize = 4;
const WARM_UP: Duration = Duration::from_millis(300);
const MEASURED: Duration = Duration::from_millis(800);

struct Pairs {
    per_second: f64,
    /// Of the server alone.
    cpu_micros: f64,
}

async fn of(kind: Kind) -> Pairs {
    let server = Running::start(kind);
    let mut operator = Operator::watch(server.dir()).await;
    let (done, stop) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
    let mut tasks = tokio::task::JoinSet::new();
    let mut callers = Vec::new();
    for _ in 0..CONNECTIONS {
        callers.push(Caller::connect(server.dir()).await);
    }
    for n in 0..CALLERS {
        let (mut caller, done, stop) =
            (callers[n % CONNECTIONS].clone(), done.clone(), stop.clone());
        tasks.spawn(async move {
            while !stop.load(Ordering::Relaxed) {
                caller.hold().await.expect("approved");
                done.fetch_add(1, Ordering::Relaxed);
            }
        });
    }
    let deciding = tokio::spawn(async move {
        while let Some(request) = operator.next_pending().await {
            let mut deciding = operator.deciding.clone();
            // One that was shown twice, after the stream began again, is refused.
            tokio::spawn(async move { deciding.approve(request).await });
        }
    });
    tokio::time::sleep(WARM_UP).await;
    let before = (done.load(Ordering::Relaxed), server.cpu(), Instant::now());
    tokio::time::sleep(MEASURED).await;
    let after = (done.load(Ordering::Relaxed), server.cpu(), Instant::now());
    stop.store(true, Ordering::Relaxed);
    while let Some(ended) = tasks.join_next().await {
        ended.expect("every call was answered");
    }
    deciding.abort();
    let pairs = (after.0 - before.0) as f64;
    Pairs {
        per_second: pairs / (after.2 - before.2).as_secs_f64(),
        cpu_micros: (after.1 - before.1).as_secs_f64() * 1e6 / pairs,
    }
}

pub async fn round(table: &mut Table) {
    let few = of(Kind::Minimal(Rows::Few)).await;
    let ours = of(Kind::Daemon).await;
    let same = of(Kind::Minimal(Rows::Same)).await;
    let mailing = of(Kind::DaemonWithMail).await;
    let mut row = |what: &str, baseline: &Pairs, ours: &Pairs| {
        table.row(&format!("pairs, {what}"), "/s", baseline.per_second, ours.per_second);
    };
    row("64 callers : minimal path", &few, &ours);
    row("64 callers : minimal path, our rows", &same, &ours);
    row("64 callers, mail as files : minimal path", &few, &mailing);
    table.row("server CPU a pair : minimal path", "us", few.cpu_micros, ours.cpu_micros);
    table.row("server CPU a pair : minimal, our rows", "us", same.cpu_micros, ours.cpu_micros);
}
