//! This program started again: as the server that answers at once, or as the
//! relay that only carries.

use std::convert::Infallible;
use std::io::{BufRead as _, Read, Write};
use std::net::SocketAddr;
use std::process::{Command, Stdio};
use std::sync::Arc;

use axum::Router;
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

/// Set in a process that is to be one of the parts.
const PART: &str = "BENCH_PART";

/// What the server's answer to a call has in it.
pub const DONE: &str = r#""text":"done""#;

/// Which part.
#[derive(Clone, Copy)]
pub enum Part {
    /// A server on stdin and stdout.
    StdioServer,
    /// A server over HTTP.
    HttpServer,
    /// Carries lines between its stdin and stdout and the server it starts.
    StdioRelay,
    /// Makes each request again at the address in its argument.
    HttpRelay,
}

impl Part {
    fn name(self) -> &'static str {
        match self {
            Part::StdioServer => "stdio-server",
            Part::HttpServer => "http-server",
            Part::StdioRelay => "stdio-relay",
            Part::HttpRelay => "http-relay",
        }
    }

    /// This program, to be this part.
    pub fn command(self) -> Command {
        let program = std::env::current_exe().expect("this program");
        let mut command = super::place::command(&program);
        command.env(PART, self.name());
        command
    }

    /// The words that start it from somewhere else.
    pub fn words(self) -> Vec<String> {
        let program = std::env::current_exe().expect("this program");
        let set = format!("{PART}={}", self.name());
        vec!["/usr/bin/env".to_owned(), set, program.display().to_string()]
    }
}

/// Becomes a part, if this process was started as one.
pub fn play() -> bool {
    match std::env::var(PART).as_deref() {
        Ok("stdio-server") => stdio_server(),
        Ok("stdio-relay") => stdio_relay(),
        Ok("http-server") => http(None),
        Ok("http-relay") => http(std::env::args().nth(1)),
        _ => return false,
    }
    true
}

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

fn stdio_server() {
    let mut out = std::io::stdout().lock();
    for line in std::io::stdin().lock().split(b'\n') {
        let Ok(line) = line else { return };
        if let Some(mut answer) = answer(&line) {
            answer.push(b'\n');
            if out.write_all(&answer).and_then(|()| out.flush()).is_err() {
                return;
            }
        }
    }
}

fn stdio_relay() {
    let mut server = Part::StdioServer
        .command()
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the server starts");
    let (to, from) = (server.stdin.take(), server.stdout.take());
    let up = std::thread::spawn(move || carry(std::io::stdin(), to.expect("its stdin")));
    carry(from.expect("its stdout"), std::io::stdout());
    let _ = up.join();
    let _ = server.wait();
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

/// Serves on a port that it says on stdout: answers itself, or asks `upstream`.
fn http(upstream: Option<String>) {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async move {
        let listener =
            TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).await.expect("a port");
        println!("http://{}/mcp", listener.local_addr().expect("its address"));
        let relay = upstream.map(|upstream| {
            let to = Arc::new((super::http::client(), upstream));
            Router::new().route("/mcp", post(relayed)).with_state(to)
        });
        loop {
            let Ok((stream, _)) = listener.accept().await else { continue };
            let _ = stream.set_nodelay(true);
            let (stream, relay) = (TokioIo::new(stream), relay.clone());
            tokio::spawn(async move {
                let http = hyper::server::conn::http1::Builder::new();
                let _ = match relay {
                    Some(relay) => {
                        http.serve_connection(stream, TowerToHyperService::new(relay)).await
                    }
                    None => http.serve_connection(stream, service_fn(served)).await,
                };
            });
        }
    });
}

async fn served(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let body = request.into_body().collect().await.map(|body| body.to_bytes()).unwrap_or_default();
    let answer = answer(&body);
    let status = if answer.is_some() { 200 } else { 202 };
    Ok(Response::builder()
        .status(status)
        .header("content-type", "application/json")
        .body(Full::from(answer.unwrap_or_default()))
        .expect("a response"))
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
