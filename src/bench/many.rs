//! Many calls that wait: what they cost while nothing happens, the daemon killed and
//! started again under them, and all of them expiring at the same instant.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tonic::Code;

use super::client::{CONNECTIONS, Caller, Operator};
use super::ground::Ground;
use super::memory::idle;
use super::server::{Kind, Running};
use super::table::Table;
use super::trouble::{During as _, Trouble};
use super::{call, client};
use crate::proto::{self, RequestApprovalRequest};

/// What stand for themselves in the sentence after the table.
pub(super) const SERVING: &str = "serving after a kill";
pub(super) const RESUMED: &str = "every caller waits again after a kill";
pub(super) const EXPIRED: &str = "all answered";

/// Calls that arrive at once.
const ARRIVING: usize = 512;

/// How long all have until they expire: long enough that they are there, killed
/// and there again, on a slow machine too.
const ALLOWED: Duration = Duration::from_secs(15);
const ALLOWED_EACH: Duration = Duration::from_micros(2500);

/// Between two attempts of a caller whose daemon is away.
const AGAIN: Duration = Duration::from_millis(200);

/// Until all that expired have to be answered.
const ANSWERED_WITHIN: Duration = Duration::from_secs(60);

/// What became of the calls.
#[derive(Default)]
struct Fates {
    expired: AtomicU64,
    other: AtomicU64,
    /// Answers that never came, for which the same call was asked again.
    lost: AtomicU64,
}

impl Fates {
    fn of(count: &AtomicU64) -> u64 {
        count.load(Ordering::Relaxed)
    }
}

/// Holds a call until it ends, as a proxy does: asks again with the same call id
/// where the daemon went away.
async fn held(mut caller: Caller, message: RequestApprovalRequest, fates: Arc<Fates>) {
    loop {
        let count = match caller.ask(message.clone()).await {
            Ok(proto::Status::Expired) => &fates.expired,
            Err(status) if is_passing(status.code()) => {
                fates.lost.fetch_add(1, Ordering::Relaxed);
                tokio::time::sleep(AGAIN).await;
                continue;
            }
            Ok(_) | Err(_) => &fates.other,
        };
        count.fetch_add(1, Ordering::Relaxed);
        return;
    }
}

/// As from a daemon that goes away or is not there yet.
fn is_passing(code: Code) -> bool {
    matches!(
        code,
        Code::Unavailable
            | Code::Unknown
            | Code::Cancelled
            | Code::Internal
            | Code::ResourceExhausted
    )
}

/// Starts so many calls, all of which expire at the same instant, and returns when
/// an operator has seen each.
async fn hold(
    dir: &Path,
    many: usize,
    until_ms: i64,
    fates: &Arc<Fates>,
) -> Result<JoinSet<()>, Trouble> {
    let mut operator = Operator::watch(dir).await?;
    let callers = Caller::some(dir)?;
    let room = Arc::new(Semaphore::new(ARRIVING));
    let seen = {
        let room = room.clone();
        tokio::spawn(async move {
            for _ in 0..many {
                if let Err(trouble) = operator.next_pending().await {
                    room.close();
                    return Err(trouble);
                }
                room.add_permits(1);
            }
            Ok(())
        })
    };
    let mut calls = JoinSet::new();
    for n in 0..many {
        let Ok(permit) = room.acquire().await else { break };
        permit.forget();
        let message = RequestApprovalRequest {
            timeout_ms: until_ms - call::now_ms(),
            ..call::message(client::number())
        };
        calls.spawn(held(callers[n % CONNECTIONS].clone(), message, fates.clone()));
    }
    seen.await.during("watching calls")??;
    Ok(calls)
}

/// Waits until so many wait at the daemon, by its metrics.
async fn all_wait(daemon: &Running, many: usize, until_ms: i64) -> Result<(), Trouble> {
    while daemon.metric("holdpoint_held_calls").await? < many as f64 {
        if call::now_ms() >= until_ms {
            return Err(Trouble::new("waiting for all callers", "they expired before they came"));
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok(())
}

pub(super) async fn round(ground: &Ground, table: &mut Table, many: usize) -> Result<(), Trouble> {
    let home = ground.fresh()?;
    let start = || Running::on(ground.program(), home.path(), Kind::DaemonWithPages);
    let daemon = start().await?;
    let fates = Arc::new(Fates::default());
    let allowed = ALLOWED + ALLOWED_EACH * u32::try_from(many).unwrap_or(u32::MAX);
    let until_ms = call::now_ms() + i64::try_from(allowed.as_millis()).unwrap_or(i64::MAX / 2);
    let began = Instant::now();
    let mut calls = hold(home.path(), many, until_ms, &fates).await?;
    let ms = |since: Instant| since.elapsed().as_secs_f64() * 1e3;
    table.alone(&format!("all held, {many} come at once"), "ms", ms(began));
    daemon.settled().await;
    table.alone(&format!("CPU of the daemon, {many} wait"), "% of a core", idle(&daemon).await);
    let memory = daemon.resident_mib();
    table.alone(&format!("memory of the daemon, {many} wait"), "MiB", memory);
    none(&fates.lost, "calls were lost before anything happened")?;

    daemon.kill();
    let began = Instant::now();
    let daemon = start().await?;
    let serving = daemon.served_after.as_secs_f64() * 1e3;
    table.alone(&format!("{SERVING}, {many} pending"), "ms", serving);
    all_wait(&daemon, many, until_ms).await?;
    table.alone(&format!("{RESUMED}, {many} pending"), "ms", ms(began));
    let lost = Fates::of(&fates.lost);

    let left = (until_ms - call::now_ms()).max(0).unsigned_abs();
    let mut operator = Operator::watch(home.path()).await?;
    tokio::time::sleep(Duration::from_millis(left)).await;
    let began = Instant::now();
    let caller = Caller::connect(home.path())?;
    let slowest = decisions_until(&fates, many, &caller, &mut operator).await?;
    table.alone(&format!("{EXPIRED}, {many} expire at once"), "ms", ms(began));
    while calls.join_next().await.is_some() {}
    none(&fates.other, "calls ended otherwise than by expiring")?;
    if Fates::of(&fates.lost) != lost {
        return Err(Trouble::new("letting calls expire", "a connection was lost"));
    }
    let name = format!("slowest decision meanwhile, {many} expire at once");
    table.alone(&name, "ms", slowest.as_secs_f64() * 1e3);
    Ok(())
}

/// Fresh calls are decided until all others are answered; the slowest of those.
async fn decisions_until(
    fates: &Fates,
    many: usize,
    caller: &Caller,
    operator: &mut Operator,
) -> Result<Duration, Trouble> {
    let (start, mut slowest) = (Instant::now(), Duration::ZERO);
    while Fates::of(&fates.expired) + Fates::of(&fates.other) < many as u64 {
        if start.elapsed() > ANSWERED_WITHIN {
            return Err(Trouble::new("letting calls expire", "they were not answered"));
        }
        let mut caller = caller.clone();
        let fresh = tokio::spawn(async move { caller.hold().await });
        let request = loop {
            // A watcher who fell behind is shown all that is not written down yet as
            // expired; its time is up all the same.
            let shown = operator.next_pending().await?;
            if shown.time_left_ms > 0 {
                break shown;
            }
        };
        let deciding = Instant::now();
        operator.deciding.approve(request).await?;
        fresh.await.during("holding a call")??;
        slowest = slowest.max(deciding.elapsed());
    }
    Ok(slowest)
}

fn none(count: &AtomicU64, what: &str) -> Result<(), Trouble> {
    match Fates::of(count) {
        0 => Ok(()),
        some => Err(Trouble::new("holding many calls", format!("{some} {what}"))),
    }
}
