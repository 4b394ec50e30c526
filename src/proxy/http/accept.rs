//! Connections of the HTTP door, each in a task of its own.
//!
//! [`crate::doors`] bounds how many there are, and sends away who is silent or
//! takes nothing. HTTP/1.1 alone is spoken: MCP clients do, and one connection
//! then carries one call, so that its end is the end of that call.

use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::task::JoinSet;
use tokio_stream::{Stream, StreamExt as _};
use tokio_util::sync::CancellationToken;
use tonic::transport::server::Connected as _;

use super::again::Again;
use super::door::Door;
use crate::doors::Connection;

/// How long the head of the next request may take on a connection that is known;
/// whoever is not known yet has less, see [`crate::doors`]. Clients keep idle
/// connections for 4 s (Node), 5 s (Python) or 90 s (Rust).
const HEAD: Duration = Duration::from_secs(120);

/// Bytes that a request's head may have: arguments may stand in `Mcp-Param-*`.
const HEAD_BYTES: usize = 64 * 1024;

/// How long calls that are under way may take to end once the door closes.
const CLOSING: Duration = Duration::from_secs(3);

/// Serves connections until `stop`, and then until they have ended.
pub async fn serve(
    door: Arc<Door>,
    connections: impl Stream<Item = std::io::Result<Connection>>,
    stop: CancellationToken,
) {
    let mut open = JoinSet::new();
    tokio::pin!(connections);
    loop {
        tokio::select! {
            () = stop.cancelled() => break,
            next = connections.next() => match next {
                Some(Ok(connection)) => {
                    open.spawn(one(door.clone(), connection, stop.clone()));
                }
                Some(Err(_)) => {}
                None => break,
            },
            Some(_) = open.join_next() => {}
        }
    }
    while open.join_next().await.is_some() {}
}

/// One connection, from its first byte to its end.
async fn one(door: Arc<Door>, connection: Connection, stop: CancellationToken) {
    let peer = connection.connect_info();
    let service = service_fn(|request| {
        let (door, peer) = (door.clone(), peer.clone());
        async move { Ok::<_, std::convert::Infallible>(door.answer(&peer, request).await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD)
        .max_buf_size(HEAD_BYTES)
        .serve_connection(TokioIo::new(connection), service);
    let mut connection = Again::new(Box::pin(connection));
    // How it ended is its client's business, and there is nothing to mend here.
    tokio::select! {
        _ = &mut connection => return,
        () = stop.cancelled() => {}
    }
    connection.inner().as_mut().graceful_shutdown();
    let _ = tokio::time::timeout(CLOSING, connection).await;
}
