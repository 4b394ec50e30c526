//! The client's side: connections, a caller that holds calls, an operator that
//! watches and decides. The same for the daemon and for the baselines.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Streaming};

use super::call;
use super::trouble::{During as _, Trouble};
use crate::proto::caller_service_client::CallerServiceClient;
use crate::proto::operator_service_client::OperatorServiceClient;
use crate::proto::{self, watch_event::Event};

/// As the daemon's. At the defaults a mass release kills the client's connection.
pub(super) const CONNECTION_WINDOW: u32 = 64 * 1024 * 1024;
pub(super) const STREAM_WINDOW: u32 = 1024 * 1024;

/// The caller's.
pub const CALLER_TOKEN: &str = "hp_the_caller_of_the_benchmark";
/// The operator's.
pub const OPERATOR_TOKEN: &str = "hp_the_operator_of_the_benchmark";

/// Connections of those who hold many calls.
pub(super) const CONNECTIONS: usize = 4;
/// Calls that are on their way to being held at once, while many are held.
const ARRIVING: usize = 128;
/// How long a step may take that waits for no one.
const STEP: Duration = Duration::from_secs(60);

/// No two calls of a run are the same.
static NUMBER: AtomicU64 = AtomicU64::new(1);

/// The next call's.
pub fn number() -> u64 {
    NUMBER.fetch_add(1, Ordering::Relaxed)
}

/// The way to a server, which need not be there yet.
pub(super) fn channel(dir: &Path) -> Result<Channel, Trouble> {
    let address = format!("unix:{}", dir.join("holdpoint.sock").display());
    let endpoint = Endpoint::from_shared(address).during("naming a socket")?;
    Ok(endpoint
        .initial_connection_window_size(CONNECTION_WINDOW)
        .initial_stream_window_size(STREAM_WINDOW)
        .connect_lazy())
}

fn with<T>(message: T, token: &MetadataValue<Ascii>) -> Request<T> {
    let mut request = Request::new(message);
    request.metadata_mut().insert("authorization", token.clone());
    request
}

fn bearer(token: &str) -> Result<MetadataValue<Ascii>, Trouble> {
    crate::client::header(token).during("writing a token")
}

/// One that holds calls.
#[derive(Debug, Clone)]
pub struct Caller {
    client: CallerServiceClient<Channel>,
    token: MetadataValue<Ascii>,
}

impl Caller {
    /// On a connection of its own.
    pub fn connect(dir: &Path) -> Result<Caller, Trouble> {
        Caller::on(channel(dir)?)
    }

    /// On this connection.
    pub(super) fn on(channel: Channel) -> Result<Caller, Trouble> {
        Ok(Caller { client: CallerServiceClient::new(channel), token: bearer(CALLER_TOKEN)? })
    }

    /// Four, each on a connection of its own.
    pub(super) fn some(dir: &Path) -> Result<Vec<Caller>, Trouble> {
        (0..CONNECTIONS).map(|_| Caller::connect(dir)).collect()
    }

    /// Asks for approval, and waits until the call ends.
    pub(super) async fn ask(
        &mut self,
        message: proto::RequestApprovalRequest,
    ) -> Result<proto::Status, tonic::Status> {
        let request = with(message, &self.token);
        Ok(self.client.request_approval(request).await?.into_inner().status())
    }

    /// Holds a call until it is approved.
    pub async fn hold(&mut self) -> Result<(), Trouble> {
        match self.ask(call::message(number())).await.during("holding a call")? {
            proto::Status::Approved => Ok(()),
            other => Err(Trouble::new("holding a call", format!("it ended as {other:?}"))),
        }
    }

    /// Only a baseline answers this.
    pub(super) async fn echo(&mut self, payload: &str) -> Result<(), Trouble> {
        let message =
            proto::ListMyRequestsRequest { page_token: payload.to_owned(), ..Default::default() };
        let answer = self.client.list_my_requests(with(message, &self.token)).await;
        let echoed = answer.during("asking for an echo")?.into_inner().next_page_token;
        (echoed == payload).then_some(()).during("comparing an echo")
    }
}

/// One that watches and decides.
#[derive(Debug)]
pub struct Operator {
    /// The deciding half.
    pub deciding: Deciding,
    stream: Streaming<proto::WatchEvent>,
}

impl Operator {
    /// Connects, and has seen all that is pending.
    pub async fn watch(dir: &Path) -> Result<Operator, Trouble> {
        let mut client = OperatorServiceClient::new(channel(dir)?);
        let token = bearer(OPERATOR_TOKEN)?;
        let watch = client.watch_requests(with(proto::WatchRequestsRequest {}, &token)).await;
        let mut stream = watch.during("watching")?.into_inner();
        while let Some(event) = stream.message().await.during("watching")? {
            if matches!(event.event, Some(Event::Ready(_))) {
                break;
            }
        }
        Ok(Operator { deciding: Deciding { client, token }, stream })
    }

    /// The next request that waits.
    pub async fn next_pending(&mut self) -> Result<proto::Request, Trouble> {
        let next = async {
            loop {
                let event = self.stream.message().await.during("watching")?.during("watching")?;
                if let Some(Event::Request(request)) = event.event
                    && request.status() == proto::Status::Pending
                {
                    return Ok(request);
                }
            }
        };
        tokio::time::timeout(STEP, next).await.during("waiting for a call to be shown")?
    }
}

/// The deciding half of an operator.
#[derive(Debug, Clone)]
pub struct Deciding {
    client: OperatorServiceClient<Channel>,
    token: MetadataValue<Ascii>,
}

impl Deciding {
    /// Says yes to what was shown.
    pub async fn approve(&mut self, request: proto::Request) -> Result<(), Trouble> {
        let message = proto::DecideRequest {
            id: request.id,
            verdict: proto::Verdict::Approve.into(),
            reason: call::REASON.to_owned(),
            digest: request.digest,
        };
        self.client.decide(with(message, &self.token)).await.during("approving a call")?;
        Ok(())
    }
}

/// Calls that wait, on four connections. They end when it is dropped.
#[derive(Debug)]
pub struct Held {
    calls: JoinSet<Result<(), Trouble>>,
    /// What is needed to decide each.
    seen: Vec<proto::Request>,
}

impl Held {
    /// Holds this many, some at a time, and returns when an operator has seen them all.
    pub async fn many(dir: &Path, operator: &mut Operator, many: usize) -> Result<Held, Trouble> {
        let arriving = Arc::new(Semaphore::new(ARRIVING));
        let (callers, room) = (Caller::some(dir)?, arriving.clone());
        let send = tokio::spawn(async move {
            let mut calls = JoinSet::new();
            for n in 0..many {
                let Ok(permit) = room.acquire().await else { break };
                permit.forget();
                let mut caller = callers[n % CONNECTIONS].clone();
                calls.spawn(async move { caller.hold().await });
            }
            calls
        });
        let mut seen = Vec::with_capacity(many);
        for _ in 0..many {
            // The arguments are not needed to decide, and take this program's memory only.
            let proto::Request { id, digest, .. } = operator.next_pending().await?;
            seen.push(proto::Request { id, digest, ..Default::default() });
            arriving.add_permits(1);
        }
        Ok(Held { calls: send.await.during("sending calls")?, seen })
    }

    /// Approves them all; returns when every caller has its answer.
    pub async fn release(mut self, decides: &Deciding) -> Result<(), Trouble> {
        let mut deciding = JoinSet::new();
        for request in self.seen {
            if deciding.len() >= ARRIVING {
                decided(&mut deciding).await?;
            }
            let mut decides = decides.clone();
            deciding.spawn(async move { decides.approve(request).await });
        }
        while !deciding.is_empty() {
            decided(&mut deciding).await?;
        }
        while let Some(answer) = self.calls.join_next().await {
            answer.during("holding a call")??;
        }
        Ok(())
    }
}

async fn decided(deciding: &mut JoinSet<Result<(), Trouble>>) -> Result<(), Trouble> {
    deciding.join_next().await.unwrap_or(Ok(Ok(()))).during("approving a call")?
}
