//! The server that answers at once, and the relay that only carries.

use std::convert::Infallible;
use std::io::{BufRead as _, Read, Write};
use std::net::SocketAddr;
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};

use axum::body::Body;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::routing::post;
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;

use super::wire::{Connection, authority, path};
use crate::bench::part::Part;
use crate::bench::trouble::{During as _, Trouble};

/// What the server's answer to a call has in it.
pub(super) const DONE: &str = r#""text":"done""#;

/// The answer to one message, if it wants one.
fn answer(message: &[u8]) -> Option<Vec<u8>> {
    let id = between(message, b"\"id\":")?;
    let has = |text: &str| message.windows(text.len()).any(|window| window == text.as_bytes());
    let result = if has("\"initialize\"") {
        r#"{"protocolVersion":"2025-11-25","capabilities":{"tools":{}},"serverInfo":{"name":"bench","version":"1"}}"#
    } else if has("\"tools/list\"") {
        r#"{"resultType":"complete","ttlMs":0,"cacheScope":"private","tools":[{"name":"echo","inputSchema":{"type":"object"}}]}"#
    } else {
        r#"{"resultType":"complete","content":[{"type":"text","text":"done"}],"isError":false}"#
    };
    let id = String::from_utf8_lossy(id);
    Some(format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{result}}}"#).into_bytes())
}

/// What stands after `name`, up to the member's end: good for the ids that are
/// sent here, numbers and plain strings.
fn between<'a>(message: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let start = message.windows(name.len()).position(|window| window == name)? + name.len();
    let rest = &message[start..];
    let end = rest.iter().position(|byte| matches!(byte, b',' | b'}'))?;
    Some(&rest[..end])
}

/// Answers each line of stdin on stdout, until that ends.
pub fn stdio_server() -> Result<(), Trouble> {
    let mut out = std::io::stdout().lock();
    for line in std::io::stdin().lock().split(b'\n') {
        if let Some(mut answer) = answer(&line.during("reading a line")?) {
            answer.push(b'\n');
            out.write_all(&answer).and_then(|()| out.flush()).during("writing a line")?;
        }
    }
    Ok(())
}

/// Starts the server, and carries bytes both ways until one side ends.
pub fn stdio_relay() -> Result<(), Trouble> {
    let program = std::env::current_exe().during("looking for this program")?;
    let mut command = Part::StdioServer.command(&program, "");
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut server = command.spawn().during("starting the server")?;
    let (Some(to), Some(from)) = (server.stdin.take(), server.stdout.take()) else {
        return Err(Trouble::new("starting the server", "it has no pipes"));
    };
    let up = std::thread::spawn(move || carry(std::io::stdin(), to));
    carry(from, std::io::stdout());
    let _ = up.join();
    let _ = server.wait();
    Ok(())
}

/// Copies bytes as they come, and keeps none back.
fn carry(mut from: impl Read, mut to: impl Write) {
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(read) = from.read(&mut buffer) {
        if read == 0 || to.write_all(&buffer[..read]).and_then(|()| to.flush()).is_err() {
            return;
        }
    }
}

/// A port, said on stdout as a URL.
async fn listen() -> Result<TcpListener, Trouble> {
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    let listener = TcpListener::bind(any).await.during("opening a port")?;
    let address = listener.local_addr().during("opening a port")?;
    let mut out = std::io::stdout().lock();
    writeln!(out, "http://{address}/mcp").and_then(|()| out.flush()).during("saying where")?;
    Ok(listener)
}

/// Answers each request itself.
pub async fn http_server() -> Result<(), Trouble> {
    let listener = listen().await?;
    loop {
        let Ok((stream, _)) = listener.accept().await else { continue };
        let _ = stream.set_nodelay(true);
        let http = hyper::server::conn::http1::Builder::new();
        tokio::spawn(http.serve_connection(TokioIo::new(stream), service_fn(served)));
    }
}

async fn served(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let body = request.into_body().collect().await.map(|body| body.to_bytes()).unwrap_or_default();
    let answer = answer(&body);
    let status = if answer.is_some() { 200 } else { 202 };
    let mut response = Response::new(Full::from(answer.unwrap_or_default()));
    *response.status_mut() = hyper::StatusCode::from_u16(status).unwrap_or_default();
    let json = hyper::header::HeaderValue::from_static("application/json");
    response.headers_mut().insert("content-type", json);
    Ok(response)
}

/// Connections to the server that are not in use, and its URL.
struct Upstream {
    url: String,
    idle: Mutex<Vec<Connection>>,
}

impl Upstream {
    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<Connection>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn ask(&self, headers: HeaderMap, body: Bytes) -> Result<Response<Bytes>, Trouble> {
        let kept = self.idle().pop();
        let mut connection = match kept {
            Some(connection) => connection,
            None => Connection::open(&self.url).await?,
        };
        let mut request = Request::post(path(&self.url)).body(Full::new(body));
        if let Ok(request) = &mut request {
            *request.headers_mut() = headers;
        }
        let answer = connection.ask(request.during("making a request")?).await?;
        self.idle().push(connection);
        Ok(answer)
    }
}

/// Makes each request again at `url`: axum before, hyper behind, bytes only.
pub async fn http_relay(url: String) -> Result<(), Trouble> {
    let upstream = Arc::new(Upstream { url, idle: Mutex::default() });
    let relay = axum::Router::new().route("/mcp", post(relayed)).with_state(upstream);
    let listener = listen().await?;
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
    State(upstream): State<Arc<Upstream>>,
    mut headers: HeaderMap,
    body: Bytes,
) -> Response<Body> {
    headers.remove("content-length");
    if let Ok(host) = authority(&upstream.url).parse() {
        headers.insert("host", host);
    }
    let Ok(answer) = upstream.ask(headers, body).await else {
        let mut refused = Response::new(Body::empty());
        *refused.status_mut() = hyper::StatusCode::BAD_GATEWAY;
        return refused;
    };
    let mut response = answer.map(Body::from);
    response.headers_mut().remove("connection");
    response
}
