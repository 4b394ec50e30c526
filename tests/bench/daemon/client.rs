//! The client's side: connections, a caller that holds calls, an operator that
//! watches and decides. The same for the daemon and for the baselines.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use holdpoint::proto::caller_service_client::CallerServiceClient;
use holdpoint::proto::operator_service_client::OperatorServiceClient;
use holdpoint::proto::{self, watch_event::Event};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Status, Streaming};

use super::call;

/// As the daemon's. At the defaults a mass release kills the client's connection.
pub const CONNECTION_WINDOW: u32 = 64 * 1024 * 1024;
pub const STREAM_WINDOW: u32 = 1024 * 1024;

pub const CALLER_TOKEN: &str = "hp_the_caller_of_the_benchmark";
pub const OPERATOR_TOKEN: &str = "hp_the_operator_of_the_benchmark";

/// Calls that are on their way to being held at once, while many are held.
const ARRIVING: usize = 128;

/// No two calls of a run are the same.
static NUMBER: AtomicU64 = AtomicU64::new(1);

pub fn number() -> u64 {
    NUMBER.fetch_add(1, Ordering::Relaxed)
}

/// Connects; the server may need a moment until it listens.
pub async fn connect(dir: &Path) -> Channel {
    let address = format!("unix:{}", dir.join("holdpoint.sock").display());
    let endpoint = Endpoint::from_shared(address)
        .expect("a path")
        .initial_connection_window_size(CONNECTION_WINDOW)
        .initial_stream_window_size(STREAM_WINDOW);
    let mut tries = 0;
    loop {
        match endpoint.connect().await {
            Ok(channel) => return channel,
            Err(error) if tries > 1000 => panic!("nobody listens: {error}"),
            Err(_) => tries += 1,
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

fn with<T>(message: T, token: &MetadataValue<Ascii>) -> Request<T> {
    let mut request = Request::new(message);
    request.metadata_mut().insert("authorization", token.clone());
    request
}

fn bearer(token: &str) -> MetadataValue<Ascii> {
    format!("Bearer {token}").parse().expect("plain letters")
}

/// One that holds calls.
#[derive(Clone)]
pub struct Caller {
    client: CallerServiceClient<Channel>,
    token: MetadataValue<Ascii>,
}

impl Caller {
    pub async fn connect(dir: &Path) -> Caller {
        let client = CallerServiceClient::new(connect(dir).await);
        Caller { client, token: bearer(CALLER_TOKEN) }
    }

    /// Holds a call until it is decided.
    pub async fn hold(&mut self) -> Result<proto::ApprovalAnswer, Status> {
        let request = with(call::message(number()), &self.token);
        let answer = self.client.request_approval(request).await?.into_inner();
        if answer.status() != proto::Status::Approved {
            return Err(Status::internal(format!("{:?}", answer.status())));
        }
        Ok(answer)
    }

    /// Only a baseline answers this.
    pub async fn echo(&mut self, payload: &str) {
        let message =
            proto::ListMyRequestsRequest { page_token: payload.to_owned(), ..Default::default() };
        let answer = self.client.list_my_requests(with(message, &self.token)).await;
        assert_eq!(answer.expect("an echo").into_inner().next_page_token.len(), payload.len());
    }
}

/// One that watches and decides.
pub struct Operator {
    pub deciding: Deciding,
    stream: Streaming<proto::WatchEvent>,
}

impl Operator {
    /// Connects, and has seen all that is pending.
    pub async fn watch(dir: &Path) -> Operator {
        let mut client = OperatorServiceClient::new(connect(dir).await);
        let token = bearer(OPERATOR_TOKEN);
        let watch = client.watch_requests(with(proto::WatchRequestsRequest {}, &token)).await;
        let mut stream = watch.expect("a watcher's stream").into_inner();
        while let Some(event) = stream.message().await.expect("the beginning") {
            if matches!(event.event, Some(Event::Ready(_))) {
                break;
            }
        }
        Operator { deciding: Deciding { client, token }, stream }
    }

    /// The next request that waits.
    pub async fn next_pending(&mut self) -> Option<proto::Request> {
        loop {
            let event = self.stream.message().await.ok()??;
            if let Some(Event::Request(request)) = event.event
                && request.status() == proto::Status::Pending
            {
                return Some(request);
            }
        }
    }
}

/// The deciding half of an operator.
#[derive(Clone)]
pub struct Deciding {
    client: OperatorServiceClient<Channel>,
    token: MetadataValue<Ascii>,
}

impl Deciding {
    pub async fn approve(&mut self, request: proto::Request) -> Result<(), Status> {
        let message = proto::DecideRequest {
            id: request.id,
            verdict: proto::Verdict::Approve.into(),
            reason: call::REASON.to_owned(),
            digest: request.digest,
        };
        self.client.decide(with(message, &self.token)).await?;
        Ok(())
    }
}

/// Holds this many calls over four connections, and approves them all once an
/// operator has seen them all; returns when every caller has its answer.
pub async fn hold_and_release(dir: &Path, many: usize) {
    let mut operator = Operator::watch(dir).await;
    let arriving = Arc::new(Semaphore::new(ARRIVING));
    let mut callers = Vec::new();
    for _ in 0..4 {
        callers.push(Caller::connect(dir).await);
    }
    let room = arriving.clone();
    let send = tokio::spawn(async move {
        let mut held = JoinSet::new();
        for n in 0..many {
            room.acquire().await.expect("open").forget();
            let mut caller = callers[n % callers.len()].clone();
            held.spawn(async move { caller.hold().await });
        }
        held
    });
    let mut seen = Vec::with_capacity(many);
    for _ in 0..many {
        // The arguments are not needed to decide, and take this program's memory only.
        let proto::Request { id, digest, .. } =
            operator.next_pending().await.expect("the watcher's stream");
        seen.push(proto::Request { id, digest, ..Default::default() });
        arriving.add_permits(1);
    }
    let mut held = send.await.expect("sent");
    let Operator { deciding: decides, stream } = operator;
    drop(stream);
    let mut deciding = JoinSet::new();
    for request in seen {
        if deciding.len() >= ARRIVING {
            deciding.join_next().await;
        }
        let mut decides = decides.clone();
        deciding.spawn(async move { decides.approve(request).await.expect("decided") });
    }
    while let Some(answer) = held.join_next().await {
        answer.expect("the caller").expect("approved");
    }
}

/// Holds this many calls over four connections, some at a time, and returns when
/// an operator has seen them all. They stay held until the server is gone.
pub async fn hold_many(dir: &Path, operator: &mut Operator, many: usize) {
    let arriving = Arc::new(Semaphore::new(ARRIVING));
    let mut callers = Vec::new();
    for _ in 0..4 {
        callers.push(Caller::connect(dir).await);
    }
    let room = arriving.clone();
    let send = tokio::spawn(async move {
        for n in 0..many {
            room.acquire().await.expect("open").forget();
            let mut caller = callers[n % callers.len()].clone();
            tokio::spawn(async move { caller.hold().await });
        }
    });
    for _ in 0..many {
        operator.next_pending().await.expect("the watcher's stream");
        arriving.add_permits(1);
    }
    send.await.expect("sent");
}
