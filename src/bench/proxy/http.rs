//! Calls over Streamable HTTP, in the modern era: one POST each, on connections
//! that stay open.

use std::io::{BufRead as _, BufReader};
use std::net::TcpListener;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::Full;
use hyper::Request;
use tokio::net::TcpStream;

use super::stage::Stage;
use super::wire::{Connection, authority, path};
use super::{AT_ONCE, Measured, SETTINGS, Setting, Way, parts, rows};
use crate::bench::part::Part;
use crate::bench::process::Process;
use crate::bench::table::Table;
use crate::bench::trouble::{During as _, Trouble};
use crate::config::token::TokenHash;

const VERSION: &str = "2026-07-28";

/// Clients of the proxy, each with its token. Those of the calls take turns.
const CLIENTS: usize = 16;

/// Until a proxy has to serve.
const STARTS_WITHIN: Duration = Duration::from_secs(20);

fn token(client: usize) -> String {
    format!("hp_bench-{client:032}")
}

/// A `tools/call` of 200 bytes of arguments.
pub(super) fn call(id: usize, about: &str) -> String {
    let text = "x".repeat(180);
    format!(
        r#"{{"jsonrpc":"2.0","id":{id},"method":"tools/call","params":{{"name":"echo","arguments":{{"n":{id},"text":"{text}"}}{about}}}}}"#
    )
}

/// What the round needs to know of its relay: how it is started in front of a URL.
/// Its first line on stdout is its own.
pub type Relay<'a> = &'a (dyn Fn(&str) -> Command + Send + Sync);

/// The relay that is this program again: axum and hyper.
pub(in crate::bench) fn bare_relay(program: std::path::PathBuf) -> impl Fn(&str) -> Command {
    move |url| Part::HttpRelay.command(&program, url)
}

/// One round of all ways.
pub async fn round(
    stage: &Stage<'_>,
    table: &mut Table,
    calls: usize,
    relay: Relay<'_>,
) -> Result<(), Trouble> {
    let direct = measure(stage, Way::Direct, calls, relay).await?;
    let relayed = measure(stage, Way::Relay, calls, relay).await?;
    let mut proxied = Vec::new();
    for setting in SETTINGS {
        proxied.push((setting, measure(stage, Way::Proxy(setting), calls, relay).await?));
    }
    rows(table, super::HTTP, &direct, &relayed, &proxied);
    Ok(())
}

/// One way.
async fn measure(
    stage: &Stage<'_>,
    way: Way,
    calls: usize,
    relay: Relay<'_>,
) -> Result<Measured, Trouble> {
    let (server, server_url) = server(stage).await?;
    let (between, url) = match way {
        Way::Direct => (None, server_url),
        Way::Relay => {
            let (relay, url) = said(stage, relay(&server_url)).await?;
            (Some(relay), url)
        }
        Way::Proxy(setting) => {
            let (proxy, url) = proxy(stage, &server_url, setting).await?;
            (Some(proxy), url)
        }
    };
    let process = between.as_ref().unwrap_or(&server);
    for at_once in AT_ONCE {
        together(&url, at_once * 4, at_once).await?;
    }
    let before = process.cpu_exact();
    let mut connection = Connection::open(&url).await?;
    let mut alone = Vec::with_capacity(calls);
    for id in 0..calls {
        let start = Instant::now();
        post(&mut connection, &url, id).await?;
        alone.push(start.elapsed());
    }
    alone.sort();
    let mut rates = [0.0; AT_ONCE.len()];
    for (rate, at_once) in rates.iter_mut().zip(AT_ONCE) {
        *rate = calls as f64 / together(&url, calls, at_once).await?.as_secs_f64();
    }
    let made = u32::try_from(calls * (1 + AT_ONCE.len())).unwrap_or(u32::MAX);
    let cpu = process.cpu_exact().saturating_sub(before) / made;
    Ok(Measured { alone, rates, cpu, resident_mib: process.resident_mib() })
}

/// So many calls, so many at a time, each on a connection of its own.
async fn together(url: &str, calls: usize, at_once: usize) -> Result<Duration, Trouble> {
    let mut connections = Vec::with_capacity(at_once);
    for _ in 0..at_once {
        connections.push(Connection::open(url).await?);
    }
    let start = Instant::now();
    let mut tasks = tokio::task::JoinSet::new();
    for (first, mut connection) in connections.into_iter().enumerate() {
        let url = url.to_owned();
        tasks.spawn(async move {
            for id in (first..calls).step_by(at_once) {
                post(&mut connection, &url, id).await?;
            }
            Ok::<(), Trouble>(())
        });
    }
    while let Some(ended) = tasks.join_next().await {
        ended.during("calling")??;
    }
    Ok(start.elapsed())
}

async fn post(connection: &mut Connection, url: &str, id: usize) -> Result<(), Trouble> {
    let answer = connection.ask(request(url, id)?).await?;
    let body = String::from_utf8_lossy(answer.body());
    if body.contains(parts::DONE) {
        return Ok(());
    }
    Err(Trouble::new("calling", format!("answered with {}: {body}", answer.status())))
}

/// One call, to be sent.
pub(super) fn request(url: &str, id: usize) -> Result<Request<Full<Bytes>>, Trouble> {
    let about = format!(
        r#","_meta":{{"io.modelcontextprotocol/protocolVersion":"{VERSION}","io.modelcontextprotocol/clientCapabilities":{{}}}}"#
    );
    Request::post(path(url))
        .header("host", authority(url))
        .header("authorization", format!("Bearer {}", token(id % CLIENTS)))
        .header("content-type", "application/json")
        .header("accept", "application/json, text/event-stream")
        .header("mcp-protocol-version", VERSION)
        .header("mcp-method", "tools/call")
        .header("mcp-name", "echo")
        .body(Full::from(call(id, &about)))
        .during("making a request")
}

/// The server, and its URL.
pub(super) async fn server(stage: &Stage<'_>) -> Result<(Process, String), Trouble> {
    said(stage, Part::HttpServer.command(stage.ground.program(), "")).await
}

/// Starts what says its URL first.
async fn said(stage: &Stage<'_>, mut command: Command) -> Result<(Process, String), Trouble> {
    command.stdout(Stdio::piped());
    let mut process = Process::start(command, &stage.path("part.log"))?;
    let stdout = process.child().stdout.take().during("reading its URL")?;
    let first = tokio::task::spawn_blocking(move || {
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line).map(|_| line)
    });
    let url = first.await.during("reading its URL")?.during("reading its URL")?;
    if url.trim().is_empty() {
        return Err(Trouble::new("starting a server", process.last_words()));
    }
    Ok((process, url.trim().to_owned()))
}

/// `holdpoint proxy` in front of this server, and its URL.
pub(super) async fn proxy(
    stage: &Stage<'_>,
    url: &str,
    setting: Setting,
) -> Result<(Process, String), Trouble> {
    let free = TcpListener::bind("127.0.0.1:0").and_then(|it| it.local_addr());
    let free = free.during("looking for a free port")?;
    let clients: String = (0..CLIENTS)
        .map(|n| {
            let hash = TokenHash::of(&token(n));
            format!("[[clients]]\nname = \"c-{n}\"\ntokens = [{{ sha256 = \"{hash}\" }}]\n")
        })
        .collect();
    let config = format!(
        "listen = \"{free}\"\npolicy = {:?}\nrecord = {:?}\n{clients}[servers.bench]\nurl = \"{url}\"\n",
        stage.path(setting.policy),
        setting.record,
    );
    let path = stage.path("proxy.toml");
    std::fs::write(&path, config).during("writing a configuration")?;
    let mut command = stage.proxy();
    command.arg("--config").arg(path);
    let mut process = Process::start(command, &stage.path("proxy.log"))?;
    let start = Instant::now();
    while TcpStream::connect(free).await.is_err() {
        if start.elapsed() > STARTS_WITHIN || process.ended() {
            return Err(Trouble::new("starting the proxy", process.last_words()));
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    Ok((process, format!("http://{free}/bench/mcp")))
}
