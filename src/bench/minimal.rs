//! The minimal path: bare tonic that speaks as much of the contract as is
//! measured, knows nobody, checks nothing, and puts a bare group-commit writer
//! (or none) behind it.
//!
//! Its four methods are tonic's own server and codec put together by hand: the
//! generated services would bring thirty more that nobody calls.

use std::collections::HashMap;
use std::convert::Infallible;
use std::future::Future;
use std::marker::PhantomData;
use std::path::Path;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use sha2::{Digest as _, Sha256};
use tokio::net::UnixListener;
use tokio::sync::{broadcast, mpsc, oneshot};
use tokio_stream::wrappers::{ReceiverStream, UnixListenerStream};
use tokio_stream::{Stream, StreamExt};
use tonic::body::Body;
use tonic::codegen::{Service, http};
use tonic::server::{Grpc, NamedService, ServerStreamingService, UnaryService};
use tonic::transport::Server;
use tonic::{Request, Response, Status};
use tonic_prost::ProstCodec;

use super::bare::{Bare, Row, Rows, Write, Writer};
use super::client::{CONNECTION_WINDOW, STREAM_WINDOW};
use super::trouble::{During as _, Trouble};
use crate::call::ids::RequestId;
use crate::proto::{self, caller_service_server, operator_service_server, watch_event::Event};

/// Events that a watcher may be behind.
const EVENTS: usize = 65_536;
/// Calls held on one connection, as the daemon has it.
const STREAMS: u32 = 65_536;

type Answer<T> = Result<Response<T>, Status>;
type Boxed<T> = Pin<Box<dyn Future<Output = Answer<T>> + Send>>;

struct Minimal {
    writer: Option<Writer>,
    waiting: Mutex<HashMap<[u8; 16], oneshot::Sender<()>>>,
    events: broadcast::Sender<Arc<proto::Request>>,
}

/// Serves until killed.
pub(super) async fn serve(dir: &Path, rows: Option<Rows>) -> Result<(), Trouble> {
    let writer = rows.map(|rows| Bare::open(dir, rows).map(Writer::start)).transpose()?;
    let minimal = Arc::new(Minimal {
        writer,
        waiting: Mutex::default(),
        events: broadcast::channel(EVENTS).0,
    });
    let (_reporter, health) = tonic_health::server::health_reporter();
    let socket = UnixListener::bind(dir.join("holdpoint.sock")).during("opening a socket")?;
    let server = Server::builder()
        .max_concurrent_streams(STREAMS)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .initial_stream_window_size(STREAM_WINDOW)
        .add_service(health)
        .add_service(Door::<CALLERS>(minimal.clone()))
        .add_service(Door::<OPERATORS>(minimal));
    server.serve_with_incoming(UnixListenerStream::new(socket)).await.during("serving")
}

/// One of the two services, as generated code has it: no more stands between a call
/// and its method than in the daemon.
#[derive(Clone)]
struct Door<const WHOSE: bool>(Arc<Minimal>);

const CALLERS: bool = false;
const OPERATORS: bool = true;

impl<const WHOSE: bool> NamedService for Door<WHOSE> {
    const NAME: &'static str = if WHOSE == OPERATORS {
        operator_service_server::SERVICE_NAME
    } else {
        caller_service_server::SERVICE_NAME
    };
}

impl<const WHOSE: bool> Service<http::Request<Body>> for Door<WHOSE> {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let minimal = self.0.clone();
        match request.uri().path().rsplit('/').next() {
            Some("RequestApproval") => unary::<Hold>(minimal, request),
            Some("ListMyRequests") => unary::<Echo>(minimal, request),
            Some("Decide") => unary::<Decide>(minimal, request),
            Some("WatchRequests") => Box::pin(async move {
                let mut grpc = Grpc::new(ProstCodec::default());
                Ok(grpc.server_streaming(Watch(minimal), request).await)
            }),
            _ => Box::pin(std::future::ready(Ok(
                Status::unimplemented("not on the minimal path").into_http()
            ))),
        }
    }
}

fn unary<M: Method>(
    minimal: Arc<Minimal>,
    request: http::Request<Body>,
) -> <Door<CALLERS> as Service<http::Request<Body>>>::Future {
    Box::pin(async move {
        let mut grpc = Grpc::new(ProstCodec::<M::Answered, M::Asked>::default());
        Ok(grpc.unary(Call::<M>(minimal, PhantomData), request).await)
    })
}

/// A method that answers once.
trait Method: Send + 'static {
    type Asked: prost::Message + Default + Send + 'static;
    type Answered: prost::Message + Send + 'static;

    fn answer(
        minimal: Arc<Minimal>,
        asked: Self::Asked,
    ) -> impl Future<Output = Answer<Self::Answered>> + Send + 'static;
}

/// What tonic calls for it.
struct Call<M>(Arc<Minimal>, PhantomData<M>);

impl<M: Method> UnaryService<M::Asked> for Call<M> {
    type Response = M::Answered;
    type Future = Boxed<M::Answered>;

    fn call(&mut self, request: Request<M::Asked>) -> Self::Future {
        Box::pin(M::answer(self.0.clone(), request.into_inner()))
    }
}

/// Holds a call until somebody decides.
struct Hold;

impl Method for Hold {
    type Asked = proto::RequestApprovalRequest;
    type Answered = proto::ApprovalAnswer;

    async fn answer(minimal: Arc<Minimal>, asked: Self::Asked) -> Answer<Self::Answered> {
        // What is not named here is dropped at once: nothing that is not needed
        // is kept while the call is held.
        let proto::RequestApprovalRequest { call_id, call, .. } = asked;
        let proto::Call { server, tool, arguments, .. } = *call.unwrap_or_default();
        let id = super::call::fresh_id();
        let arguments = String::from_utf8(arguments).unwrap_or_default();
        let digest: [u8; 32] = Sha256::digest(&arguments).into();
        let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        let (wake, ended) = oneshot::channel();
        minimal.waiting().insert(*id.as_bytes(), wake);
        let shown = arguments.clone();
        let row = Row { id: *id.as_bytes(), call_id, digest, arguments };
        minimal.write(|| Write::Submit(Box::new(row))).await?;
        let _ = minimal.events.send(Arc::new(proto::Request {
            id: id.to_string(),
            status: proto::Status::Pending.into(),
            digest: hex.clone(),
            server,
            tool,
            arguments: shown,
            ..proto::Request::default()
        }));
        let _ = ended.await;
        Ok(Response::new(proto::ApprovalAnswer {
            id: id.to_string(),
            status: proto::Status::Approved.into(),
            digest: hex,
            ..proto::ApprovalAnswer::default()
        }))
    }
}

/// The page token comes back.
struct Echo;

impl Method for Echo {
    type Asked = proto::ListMyRequestsRequest;
    type Answered = proto::ListMyRequestsResponse;

    async fn answer(_: Arc<Minimal>, asked: Self::Asked) -> Answer<Self::Answered> {
        let next_page_token = asked.page_token;
        Ok(Response::new(proto::ListMyRequestsResponse { next_page_token, ..Default::default() }))
    }
}

/// Releases a held call.
struct Decide;

impl Method for Decide {
    type Asked = proto::DecideRequest;
    type Answered = proto::DecideResponse;

    async fn answer(minimal: Arc<Minimal>, asked: Self::Asked) -> Answer<Self::Answered> {
        let id: RequestId = asked.id.parse().map_err(|_| Status::invalid_argument("id"))?;
        minimal.write(|| Write::Decide(*id.as_bytes())).await?;
        if let Some(wake) = minimal.waiting().remove(id.as_bytes()) {
            let _ = wake.send(());
        }
        Ok(Response::new(proto::DecideResponse::default()))
    }
}

impl Minimal {
    fn waiting(&self) -> std::sync::MutexGuard<'_, HashMap<[u8; 16], oneshot::Sender<()>>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn write(&self, write: impl FnOnce() -> Write) -> Result<(), Status> {
        match &self.writer {
            Some(writer) => {
                writer.write(write()).await.map_err(|e| Status::internal(e.to_string()))
            }
            None => Ok(()),
        }
    }
}

/// A watcher's stream: ready, then each call that comes.
struct Watch(Arc<Minimal>);

impl ServerStreamingService<proto::WatchRequestsRequest> for Watch {
    type Response = proto::WatchEvent;
    type ResponseStream = Pin<Box<dyn Stream<Item = Result<proto::WatchEvent, Status>> + Send>>;
    type Future = Boxed<Self::ResponseStream>;

    fn call(&mut self, _: Request<proto::WatchRequestsRequest>) -> Self::Future {
        let mut events = self.0.events.subscribe();
        let (sender, receiver) = mpsc::channel(16);
        tokio::spawn(async move {
            let say = |event, kind: &str| proto::WatchEvent {
                event: Some(event),
                kind: kind.to_owned(),
                sequence: 0,
            };
            let ready = say(Event::Ready(proto::watch_event::Ready {}), "");
            if sender.send(ready).await.is_err() {
                return;
            }
            while let Ok(request) = events.recv().await {
                let event = say(Event::Request((*request).clone()), "requested");
                if sender.send(event).await.is_err() {
                    return;
                }
            }
        });
        let stream: Self::ResponseStream = Box::pin(ReceiverStream::new(receiver).map(Ok));
        Box::pin(std::future::ready(Ok(Response::new(stream))))
    }
}
