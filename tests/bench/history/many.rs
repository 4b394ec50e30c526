//! Many calls that wait: what they cost while nothing happens, the daemon killed and
//! started again under them, and all of them expiring at the same instant.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use holdpoint::proto::caller_service_client::CallerServiceClient;
use holdpoint::proto::{self, RequestApprovalRequest};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request};

use super::client::{CALLER_TOKEN, CONNECTION_WINDOW, Operator, STREAM_WINDOW};
use super::daemon::Daemon;
use super::place::fresh_dir;
use super::table::Table;
use super::{call, client};

const CONNECTIONS: usize = 4;

/// Calls that arrive at once.
const ARRIVING: usize = 512;

/// Looked at while nothing happens.
const IDLE: Duration = Duration::from_secs(10);

/// Between two attempts of a caller whose daemon is away.
const AGAIN: Duration = Duration::from_millis(200);

/// What became of the calls.
#[derive(Default)]
struct Fates {
    expired: AtomicU64,
    other: AtomicU64,
    /// Answers that never came, for which the same call was asked again.
    lost: AtomicU64,
}

fn channel(dir: &Path) -> Channel {
    let address = format!("unix:{}", dir.join("holdpoint.sock").display());
    Endpoint::from_shared(address)
        .expect("a path")
        .initial_connection_window_size(CONNECTION_WINDOW)
        .initial_stream_window_size(STREAM_WINDOW)
        .connect_lazy()
}

fn authorized<T>(message: T) -> Request<T> {
    let mut request = Request::new(message);
    let token = format!("Bearer {CALLER_TOKEN}").parse().expect("plain letters");
    request.metadata_mut().insert("authorization", token);
    request
}

/// Holds a call until it ends, as a proxy does: asks again with the same call id
/// where the daemon went away.
async fn held(channel: Channel, message: RequestApprovalRequest, fates: Arc<Fates>) {
    let mut client = CallerServiceClient::new(channel);
    loop {
        match client.request_approval(authorized(message.clone())).await {
            Ok(answer) if answer.get_ref().status() == proto::Status::Expired => {
                fates.expired.fetch_add(1, Ordering::Relaxed);
                return;
            }
            Ok(_) => {
                fates.other.fetch_add(1, Ordering::Relaxed);
                return;
            }
            Err(status) => {
                fates.lost.fetch_add(1, Ordering::Relaxed);
                let again = matches!(
                    status.code(),
                    Code::Unavailable
                        | Code::Unknown
                        | Code::Cancelled
                        | Code::Internal
                        | Code::ResourceExhausted
                );
                assert!(again, "{status}");
                tokio::time::sleep(AGAIN).await;
            }
        }
    }
}

/// Starts so many calls, all of which expire at the same instant, and returns when
/// an operator has seen each.
async fn hold(dir: &Path, many: usize, until_ms: i64, fates: &Arc<Fates>) -> JoinSet<()> {
    let mut operator = Operator::watch(dir).await;
    let channels: Vec<Channel> = (0..CONNECTIONS).map(|_| channel(dir)).collect();
    let room = Arc::new(Semaphore::new(ARRIVING));
    let seen = {
        let room = room.clone();
        tokio::spawn(async move {
            for _ in 0..many {
                operator.next_pending().await.expect("the watcher's stream");
                room.add_permits(1);
            }
        })
    };
    let mut calls = JoinSet::new();
    for n in 0..many {
        room.acquire().await.expect("open").forget();
        let message = RequestApprovalRequest {
            timeout_ms: until_ms - call::now_ms(),
            ..call::message(client::number())
        };
        calls.spawn(held(channels[n % CONNECTIONS].clone(), message, fates.clone()));
    }
    seen.await.expect("all were seen");
    calls
}

/// How many calls wait at the daemon now, by its metrics.
async fn held_now(daemon: &Daemon) -> f64 {
    daemon.metric("holdpoint_held_calls").await
}

pub async fn round(table: &mut Table, many: usize) {
    let home = fresh_dir();
    let daemon = Daemon::start(home.path()).await;
    let fates = Arc::new(Fates::default());
    // Long enough that all are there, killed, and there again before it.
    let allow = 60_000 + many as i64 * 2;
    let until_ms = call::now_ms() + allow;
    let mut calls = hold(home.path(), many, until_ms, &fates).await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    let before = daemon.cpu();
    tokio::time::sleep(IDLE).await;
    let share = (daemon.cpu() - before).as_secs_f64() / IDLE.as_secs_f64() * 100.0;
    table.baseline(&format!("CPU while {many} calls wait"), "%", share);
    assert_eq!(fates.lost.load(Ordering::Relaxed), 0, "calls were lost before anything happened");

    daemon.kill();
    let start = Instant::now();
    let daemon = Daemon::start(home.path()).await;
    let serving = daemon.served_after.as_secs_f64() * 1e3;
    table.baseline(&format!("serving after a kill with {many} pending"), "ms", serving);
    while held_now(&daemon).await < many as f64 {
        assert!(call::now_ms() < until_ms, "not all came back in time");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let resumed = start.elapsed().as_secs_f64() * 1e3;
    table.baseline(&format!("every one of {many} callers waits again"), "ms", resumed);
    let lost = fates.lost.load(Ordering::Relaxed);

    let mut operator = Operator::watch(home.path()).await;
    let left = (until_ms - call::now_ms()).max(0).unsigned_abs();
    tokio::time::sleep(Duration::from_millis(left)).await;
    let start = Instant::now();
    let mut slowest = Duration::ZERO;
    let caller = client::Caller::connect(home.path()).await;
    // Fresh decisions while they are answered.
    while fates.expired.load(Ordering::Relaxed) < many as u64 {
        assert!(start.elapsed() < Duration::from_secs(60), "they are not answered");
        let mut caller = caller.clone();
        let fresh = tokio::spawn(async move { caller.hold().await });
        let request = operator.next_pending().await.expect("it is shown");
        let deciding = Instant::now();
        operator.deciding.approve(request).await.expect("decided");
        fresh.await.expect("a caller").expect("approved");
        slowest = slowest.max(deciding.elapsed());
    }
    let took = start.elapsed().as_secs_f64() * 1e3;
    while calls.join_next().await.is_some() {}
    assert_eq!(fates.other.load(Ordering::Relaxed), 0, "each expired");
    assert_eq!(fates.lost.load(Ordering::Relaxed), lost, "a connection was lost");
    table.baseline(&format!("{many} that expire at once: all answered"), "ms", took);
    let name = format!("{many} that expire at once: the slowest decision meanwhile");
    table.baseline(&name, "ms", slowest.as_secs_f64() * 1e3);
}
