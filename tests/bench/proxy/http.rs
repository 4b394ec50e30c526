//! Calls over Streamable HTTP, in the modern era: one POST each, on connections
//! that stay open.

use std::io::{BufRead as _, BufReader};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use sha2::{Digest as _, Sha256};

use super::parts::Part;
use super::place::{Place, cpu, resident, until};
use super::{AT_ONCE, Measured, Setting, Way};

const VERSION: &str = "2026-07-28";

/// Clients of the proxy, each with its token. Those of the calls take turns.
const CLIENTS: usize = 16;

fn token(client: usize) -> String {
    format!("hp_bench-{client:032}")
}

/// A process that ends with its value.
pub struct Running(pub Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A `tools/call` of 200 bytes of arguments.
pub fn call(id: usize, about: &str) -> String {
    let text = "x".repeat(180);
    format!(
        r#"{{"jsonrpc":"2.0","id":{id},"method":"tools/call","params":{{"name":"echo","arguments":{{"n":{id},"text":"{text}"}}{about}}}}}"#
    )
}

/// A client that takes no one's proxy settings.
pub fn client() -> reqwest::Client {
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder().no_proxy().tcp_nodelay(true).build().expect("a client")
}

/// One round of one way.
pub fn measure(place: &Place, way: Way, calls: usize) -> Measured {
    let (_server, url) = server();
    let (between, url) = match way {
        Way::Direct => (None, url),
        Way::Relay => {
            let mut relay = Part::HttpRelay.command();
            relay.arg(&url);
            let (relay, url) = said(relay);
            (Some(relay), url)
        }
        Way::Proxy(setting) => {
            let (proxy, url) = proxy(place, &url, setting);
            (Some(proxy), url)
        }
    };
    let spent = || between.as_ref().and_then(|between| cpu(&between.0));
    let runtime =
        tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    let client = client();
    runtime.block_on(async {
        for at_once in AT_ONCE {
            together(&client, &url, at_once * 4, at_once).await;
        }
        let before = spent();
        let mut alone = Vec::with_capacity(calls);
        for id in 0..calls {
            let start = Instant::now();
            post(&client, &url, id).await;
            alone.push(start.elapsed());
        }
        let mut rates = [0.0; AT_ONCE.len()];
        for (rate, at_once) in rates.iter_mut().zip(AT_ONCE) {
            *rate = calls as f64 / together(&client, &url, calls, at_once).await.as_secs_f64();
        }
        let made = u32::try_from(calls * (1 + AT_ONCE.len())).unwrap_or(u32::MAX);
        let cpu = spent().zip(before).map(|(after, before)| (after - before) / made);
        let resident = between.as_ref().and_then(|between| resident(&between.0));
        Measured { alone, rates, cpu, resident }
    })
}

/// So many calls, so many at a time.
async fn together(client: &reqwest::Client, url: &str, calls: usize, at_once: usize) -> Duration {
    let start = Instant::now();
    let each = (0..at_once).map(|first| {
        let (client, url) = (client.clone(), url.to_owned());
        tokio::spawn(async move {
            for id in (first..calls).step_by(at_once) {
                post(&client, &url, id).await;
            }
        })
    });
    for task in each.collect::<Vec<_>>() {
        task.await.expect("calls");
    }
    start.elapsed()
}

async fn post(client: &reqwest::Client, url: &str, id: usize) {
    let response = request(client, url, id).send().await.expect("an answer");
    let answer = response.text().await.expect("an answer");
    assert!(answer.contains(super::parts::DONE), "{answer}");
}

/// One call, to be sent.
pub fn request(client: &reqwest::Client, url: &str, id: usize) -> reqwest::RequestBuilder {
    let about = format!(
        r#","_meta":{{"io.modelcontextprotocol/protocolVersion":"{VERSION}","io.modelcontextprotocol/clientCapabilities":{{}}}}"#
    );
    client
        .post(url)
        .header("authorization", format!("Bearer {}", token(id % CLIENTS)))
        .header("content-type", "application/json")
        .header("accept", "application/json, text/event-stream")
        .header("mcp-protocol-version", VERSION)
        .header("mcp-method", "tools/call")
        .header("mcp-name", "echo")
        .body(call(id, &about))
}

/// The server, and its URL.
pub fn server() -> (Running, String) {
    said(Part::HttpServer.command())
}

/// Starts one of our own parts: the first line that it says is its URL.
fn said(mut command: Command) -> (Running, String) {
    let mut process =
        command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().expect("it starts");
    let mut url = String::new();
    let stdout = process.stdout.take().expect("its stdout");
    BufReader::new(stdout).read_line(&mut url).expect("its URL");
    (Running(process), url.trim().to_owned())
}

/// `holdpoint proxy` in front of this server, and its URL.
pub fn proxy(place: &Place, url: &str, setting: Setting) -> (Running, String) {
    let free = TcpListener::bind("127.0.0.1:0").and_then(|it| it.local_addr()).expect("a port");
    let clients: String = (0..CLIENTS)
        .map(|n| {
            let hash = Sha256::digest(token(n));
            let hash: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
            format!("[[clients]]\nname = \"c-{n}\"\ntokens = [{{ sha256 = \"{hash}\" }}]\n")
        })
        .collect();
    let config = format!(
        "listen = \"{free}\"\npolicy = {:?}\nrecord = {:?}\n{clients}[servers.bench]\nurl = \"{url}\"\n",
        place.path(setting.policy),
        setting.record,
    );
    let path = place.path("proxy.toml");
    std::fs::write(&path, config).expect("a configuration");
    let process = place
        .proxy()
        .arg("--config")
        .arg(path)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("the proxy starts");
    until("the proxy", || TcpStream::connect(free).is_ok());
    (Running(process), format!("http://{free}/bench/mcp"))
}
