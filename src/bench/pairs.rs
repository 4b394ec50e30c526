//! Submit-and-decide pairs: 64 callers that ask again as soon as they are
//! answered, one operator who watches and approves what comes.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::bare::Rows;
use super::client::{CONNECTIONS, Caller, Operator};
use super::ground::Ground;
use super::server::{Kind, Running};
use super::table::Table;
use super::trouble::{During as _, Trouble};

/// What stands for itself in the sentence after the table.
pub(super) const PAIRS: &str = "pairs, 64 callers : minimal path";

const CALLERS: usize = 64;
const WARM_UP: Duration = Duration::from_millis(300);
const MEASURED: Duration = Duration::from_millis(800);

struct Pairs {
    per_second: f64,
    /// Of the server alone.
    cpu_micros: f64,
}

async fn of(ground: &Ground, kind: Kind) -> Result<Pairs, Trouble> {
    let server = Running::start(ground, kind).await?;
    let mut operator = Operator::watch(server.dir()).await?;
    let (done, stop) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
    let mut tasks = tokio::task::JoinSet::new();
    let callers = Caller::some(server.dir())?;
    for n in 0..CALLERS {
        let (mut caller, done, stop) =
            (callers[n % CONNECTIONS].clone(), done.clone(), stop.clone());
        tasks.spawn(async move {
            while !stop.load(Ordering::Relaxed) {
                caller.hold().await?;
                done.fetch_add(1, Ordering::Relaxed);
            }
            Ok::<(), Trouble>(())
        });
    }
    let deciding = tokio::spawn(async move {
        while let Ok(request) = operator.next_pending().await {
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
        ended.during("holding calls")??;
    }
    deciding.abort();
    let pairs = (after.0 - before.0) as f64;
    Ok(Pairs {
        per_second: pairs / (after.2 - before.2).as_secs_f64(),
        cpu_micros: (after.1 - before.1).as_secs_f64() * 1e6 / pairs,
    })
}

pub(super) async fn round(ground: &Ground, table: &mut Table) -> Result<(), Trouble> {
    let few = of(ground, Kind::Minimal(Rows::Few)).await?;
    let ours = of(ground, Kind::Daemon).await?;
    let same = of(ground, Kind::Minimal(Rows::Same)).await?;
    let mailing = of(ground, Kind::DaemonWithMail).await?;
    let mut row = |what: &str, baseline: &Pairs, ours: &Pairs| {
        table.row(what, "/s", baseline.per_second, ours.per_second);
    };
    row(PAIRS, &few, &ours);
    row("pairs, 64 callers : minimal path, our rows", &same, &ours);
    row("pairs, 64 callers, mail as files : minimal path", &few, &mailing);
    table.row("server CPU a pair : minimal path", "us", few.cpu_micros, ours.cpu_micros);
    table.row("server CPU a pair : minimal, our rows", "us", same.cpu_micros, ours.cpu_micros);
    Ok(())
}
