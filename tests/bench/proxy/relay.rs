//! This program started again, as the relay that only carries.

use std::net::SocketAddr;
use std::process::Command;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, Response};
use axum::routing::post;
use bytes::Bytes;
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;

/// Set to the server's URL in a process that is to be the relay.
const RELAY: &str = "BENCH_RELAY";

/// This program, to be the relay in front of `url`.
pub fn command(url: &str) -> Command {
    let program = std::env::current_exe().expect("this program");
    let mut command = holdpoint::bench::process::command(&program);
    command.env(RELAY, url);
    command
}

/// The URL, if this process is to be the relay.
pub fn asked() -> Option<String> {
    std::env::var(RELAY).ok()
}

/// Serves on a port that it says on stdout.
pub async fn serve(url: String) {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = reqwest::Client::builder().no_proxy().tcp_nodelay(true).build();
    let upstream = Arc::new((client.expect("a client"), url));
    let relay = Router::new().route("/mcp", post(relayed)).with_state(upstream);
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    let listener = TcpListener::bind(any).await.expect("a port");
    println!("http://{}/mcp", listener.local_addr().expect("its address"));
    loop {
        let Ok((stream, _)) = listener.accept().await else { continue };
        let _ = stream.set_nodelay(true);
        let http = hyper::server::conn::http1::Builder::new();
        let service = TowerToHyperService::new(relay.clone());
        tokio::spawn(http.serve_connection(TokioIo::new(stream), service));
    }
}

/// What the client said goes to the server, and what that answers goes back: each
/// whole, and with the headers but for those of a connection.
async fn relayed(
    State(to): State<Arc<(reqwest::Client, String)>>,
    mut headers: HeaderMap,
    body: Bytes,
) -> Response<Body> {
    let (client, upstream) = &*to;
    headers.remove("host");
    headers.remove("content-length");
    let answered = client.post(upstream).headers(headers).body(body).send().await;
    let Ok(mut answered) = answered else {
        return Response::builder().status(502).body(Body::empty()).expect("a response");
    };
    let (status, headers) = (answered.status(), std::mem::take(answered.headers_mut()));
    let mut response = Response::new(Body::from(answered.bytes().await.unwrap_or_default()));
    (*response.status_mut(), *response.headers_mut()) = (status, headers);
    response.headers_mut().remove("connection");
    response
}
