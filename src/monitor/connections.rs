//! Connections of the door for monitoring, each of them bounded.
//!
//! A page is made and sent in milliseconds, so a connection lives for seconds,
//! whatever it does or leaves undone: send half a request, read nothing, say
//! nothing; and it carries one request. When there are too many, the oldest goes:
//! who stalls cannot keep a liveness probe out.

use std::collections::VecDeque;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{AbortHandle, JoinSet};

/// Connections at once: a Prometheus or two, the probes, and somebody with curl.
const MOST: usize = 16;

/// How long a connection may live: longer than a scrape takes on a busy machine.
const LIFE: Duration = Duration::from_secs(10);

/// How long the head of a request may take.
const HEAD: Duration = Duration::from_secs(3);

/// Bytes that a request's head may have. hyper takes no less.
const HEAD_BYTES: usize = 8192;

/// How long to wait when no connection can be accepted, for want of descriptors
/// most likely.
const NO_ROOM: Duration = Duration::from_millis(200);

/// Serves until it is dropped, and what is open with it.
pub async fn serve(router: Router, listener: TcpListener) {
    let mut open = JoinSet::new();
    // Oldest first; those that have ended are still in it.
    let mut order: VecDeque<AbortHandle> = VecDeque::with_capacity(MOST);
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(NO_ROOM).await;
            continue;
        };
        while open.try_join_next().is_some() {}
        order.retain(|connection| !connection.is_finished());
        if order.len() >= MOST
            && let Some(oldest) = order.pop_front()
        {
            oldest.abort();
        }
        order.push_back(open.spawn(one(router.clone(), stream)));
    }
}

/// One connection, from its first byte to its end.
async fn one(router: Router, stream: TcpStream) {
    let service = TowerToHyperService::new(router);
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD)
        .keep_alive(false)
        .max_buf_size(HEAD_BYTES)
        .serve_connection(TokioIo::new(stream), service);
    // How it ended is its client's business, and there is nothing to mend here.
    let _ = tokio::time::timeout(LIFE, connection).await;
}
