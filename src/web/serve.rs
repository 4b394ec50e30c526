//! Connections of browsers: HTTP/1.1, each bounded in what it may leave undone.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::{Extension, Router};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::task::JoinSet;
use tokio_stream::{Stream, StreamExt as _};
use tokio_util::sync::CancellationToken;
use tonic::transport::server::Connected as _;

use super::{Pages, router};
use crate::doors::Connection;

/// How long the head of a request may take, and a connection may be idle.
const HEAD: Duration = Duration::from_secs(30);

/// Bytes of a request's head: a browser's own, a cookie, and a history's filters.
const HEAD_BYTES: usize = 32 * 1024;

/// How long a page under way may take once the daemon stops.
const CLOSING: Duration = Duration::from_millis(800);

/// Serves until `stop` ends, and then what is under way for a moment.
pub async fn serve(
    pages: Arc<Pages>,
    connections: impl Stream<Item = io::Result<Connection>>,
    stop: impl Future<Output = ()>,
) {
    let router = router(pages);
    let closing = CancellationToken::new();
    let mut open = JoinSet::new();
    tokio::pin!(connections, stop);
    loop {
        tokio::select! {
            () = &mut stop => break,
            next = connections.next() => match next {
                Some(Ok(connection)) => {
                    open.spawn(one(router.clone(), connection, closing.clone()));
                }
                Some(Err(_)) => {}
                None => break,
            },
            Some(_) = open.join_next() => {}
        }
    }
    closing.cancel();
    while open.join_next().await.is_some() {}
}

/// One connection, from its first byte to its end.
async fn one(router: Router, connection: Connection, closing: CancellationToken) {
    let router = router.layer(Extension(connection.connect_info()));
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD)
        .max_buf_size(HEAD_BYTES)
        .serve_connection(TokioIo::new(connection), TowerToHyperService::new(router));
    tokio::pin!(connection);
    // How it ended is its browser's business, and there is nothing to mend here.
    tokio::select! {
        _ = &mut connection => return,
        () = closing.cancelled() => {}
    }
    connection.as_mut().graceful_shutdown();
    let _ = tokio::time::timeout(CLOSING, connection).await;
}
