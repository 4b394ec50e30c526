//! Listening: the Unix socket, and TCP where it is configured.

use std::future::Future;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use tokio::net::{TcpListener, UnixListener};
use tokio_stream::Stream;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Server, server::Router};
use tonic_health::ServingStatus;
use tonic_health::server::HealthReporter;

use super::auth::{self, Door};
use super::caller::CallerDoor;
use super::counted::Counted;
use super::for_all::ForAll;
use super::history::HistoryDoor;
use super::operator::OperatorDoor;
use crate::doors::Connection;
use crate::proto::caller_service_server::CallerServiceServer;
use crate::proto::history_service_server::HistoryServiceServer;
use crate::proto::operator_service_server::OperatorServiceServer;
use crate::store::Health;

/// Largest message taken. Arguments may be 256 KiB, 1 MiB if so configured; a
/// batch of recorded calls may be larger.
const LARGEST_MESSAGE: usize = 8 * 1024 * 1024;

/// Largest message of somebody who need not say who they are.
const LARGEST_OF_NOBODY: usize = 4 * 1024;

/// Calls held on one connection. A proxy holds thousands on one; a client that
/// wants more opens another.
const STREAMS: u32 = 65_536;

/// HTTP/2 windows. A small connection window makes a burst of calls split into
/// tiny frames, for which h2 closes the connection (and with it every call that
/// it holds): at the default, 50,000 at once did. 16 MiB carried them.
const CONNECTION_WINDOW: u32 = 64 * 1024 * 1024;
const STREAM_WINDOW: u32 = 1024 * 1024;

/// Headers of one call. The largest of ours is a token.
const LARGEST_HEADERS: u32 = 16 * 1024;

/// Calls that may be taken back before the daemon has looked at them, until the
/// connection is closed ("rapid reset"). h2's own 20 would end a connection, and
/// thousands of calls with it, when a proxy gives up a few dozen at a busy moment;
/// with 1024 a flood kept others waiting six times as long as with this (2.4 s
/// against 0.4 s, debug build).
const RESET_UNSEEN: usize = 128;

/// Streams of one connection that the daemon may end because they break the
/// protocol, until the connection is closed.
const ERRORS_OF_ONE: usize = 256;

/// A caller that is gone without a word is noticed within these two, and so
/// within 20 s also on a busy machine.
const KEEPALIVE_EVERY: Duration = Duration::from_secs(10);
const KEEPALIVE_ANSWER: Duration = Duration::from_secs(8);

/// The services, ready to listen.
pub async fn router(door: &Door) -> Result<Router, Box<dyn std::error::Error + Send + Sync>> {
    let mut server = Server::builder()
        .max_concurrent_streams(STREAMS)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .initial_stream_window_size(STREAM_WINDOW)
        .http2_keepalive_interval(Some(KEEPALIVE_EVERY))
        .http2_keepalive_timeout(Some(KEEPALIVE_ANSWER))
        .http2_max_header_list_size(LARGEST_HEADERS)
        .http2_max_pending_accept_reset_streams(Some(RESET_UNSEEN))
        .http2_max_local_error_reset_streams(Some(ERRORS_OF_ONE));
    let (reporter, health) = tonic_health::server::health_reporter();
    follow_health(door, reporter).await;
    // Python's reflection client asks for v1alpha, grpcurl for v1.
    let reflection = || {
        tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(crate::proto::DESCRIPTORS)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
    };
    let health = health.max_decoding_message_size(LARGEST_OF_NOBODY);
    let v1 = reflection().build_v1()?.max_decoding_message_size(LARGEST_OF_NOBODY);
    let v1alpha = reflection().build_v1alpha()?.max_decoding_message_size(LARGEST_OF_NOBODY);
    let callers = CallerServiceServer::new(CallerDoor(door.clone()))
        .max_decoding_message_size(LARGEST_MESSAGE);
    let operators = OperatorServiceServer::new(OperatorDoor(door.clone()))
        .max_decoding_message_size(LARGEST_MESSAGE);
    let history = HistoryServiceServer::new(HistoryDoor(door.clone()))
        .max_decoding_message_size(LARGEST_MESSAGE);
    Ok(server
        .add_service(ForAll(health))
        .add_service(ForAll(v1))
        .add_service(ForAll(v1alpha))
        .add_service(Counted::new(
            InterceptedService::new(callers, auth::known(&door.desk)),
            &door.desk,
        ))
        .add_service(Counted::new(
            InterceptedService::new(operators, auth::known(&door.desk)),
            &door.desk,
        ))
        .add_service(Counted::new(
            InterceptedService::new(history, auth::known(&door.desk)),
            &door.desk,
        )))
}

/// SERVING only while the store can write, for the whole and for each service.
async fn follow_health(door: &Door, reporter: HealthReporter) {
    const NAMES: [&str; 4] = [
        "",
        "holdpoint.v1.CallerService",
        "holdpoint.v1.OperatorService",
        "holdpoint.v1.HistoryService",
    ];
    let mut health = door.desk.store().health();
    let mut closing = door.desk.closing();
    // Awaited apart, so that no guard of the channel lives across an await.
    let stopping = async move { closing.wait_for(|closing| *closing).await.map(drop) };
    let tell = async move |serving: bool| {
        let status = if serving { ServingStatus::Serving } else { ServingStatus::NotServing };
        for name in NAMES {
            reporter.set_service_status(name, status).await;
        }
    };
    let serving = *health.borrow_and_update() == Health::Serving;
    tell(serving).await;
    tokio::spawn(async move {
        let mut stopping = std::pin::pin!(stopping);
        loop {
            tokio::select! {
                changed = health.changed() => if changed.is_err() { return },
                _ = &mut stopping => {
                    tell(false).await;
                    return;
                }
            }
            let serving = *health.borrow_and_update() == Health::Serving;
            tell(serving).await;
        }
    });
}

/// Takes the socket's place. The daemon's lock is held already, so a socket that
/// is there was left behind by one that was killed.
pub fn bind_socket(path: &Path) -> Result<UnixListener, String> {
    let say = |what: &str, e: std::io::Error| {
        format!(
            "cannot {what} the socket {}: {e}; check the state directory's owner and mode",
            path.display()
        )
    };
    match std::fs::remove_file(path) {
        Ok(()) => {}
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {}
        Err(e) => return Err(say("replace", e)),
    }
    UnixListener::bind(path).map_err(|e| say("bind", e))
}

/// Binds the TCP address that a key of the configuration names.
pub async fn bind_tcp(key: &str, address: SocketAddr) -> Result<TcpListener, String> {
    TcpListener::bind(address).await.map_err(|e| {
        format!("cannot listen on {address}: {e}; choose another `{key}`, or stop what uses it")
    })
}

/// Serves connections until `stop`.
pub async fn serve(
    router: Router,
    connections: impl Stream<Item = std::io::Result<Connection>>,
    stop: impl Future<Output = ()>,
) -> Result<(), tonic::transport::Error> {
    router.serve_with_incoming_shutdown(connections, stop).await
}
