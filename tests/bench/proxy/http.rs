//! Calls over Streamable HTTP, in the modern era: one POST each, on connections
//! that stay open.

use std::io::{BufRead as _, BufReader};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::parts::Part;
use super::place::{Place, resident, until};
use super::{AT_ONCE, Measured, Way};

const VERSION: &str = "2026-07-28";

/// A process that ends with its value.
struct Running(Child);

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
    let (_server, url) = said(Part::HttpServer.command());
    let (between, url) = match way {
        Way::Direct => (None, url),
        Way::Relay => {
            let mut relay = Part::HttpRelay.command();
            relay.arg(&url);
            let (relay, url) = said(relay);
            (Some(relay), url)
        }
        Way::Proxy => {
            let (proxy, url) = proxy(place, &url);
            (Some(proxy), url)
        }
    };
    let runtime =
        tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    let client = client();
    let (alone, together) = runtime.block_on(async {
        together(&client, &url, AT_ONCE * 4).await;
        let mut alone = Vec::with_capacity(calls);
        for id in 0..calls {
            let start = Instant::now();
            post(&client, &url, id).await;
            alone.push(start.elapsed());
        }
        (alone, together(&client, &url, calls).await)
    });
    let resident = between.as_ref().and_then(|between| resident(&between.0));
    Measured { alone, together, resident }
}

/// So many calls, [`AT_ONCE`] at a time.
async fn together(client: &reqwest::Client, url: &str, calls: usize) -> Duration {
    let start = Instant::now();
    let each = (0..AT_ONCE).map(|first| {
        let (client, url) = (client.clone(), url.to_owned());
        tokio::spawn(async move {
            for id in (first..calls).step_by(AT_ONCE) {
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
    let about = format!(
        r#","_meta":{{"io.modelcontextprotocol/protocolVersion":"{VERSION}","io.modelcontextprotocol/clientCapabilities":{{}}}}"#
    );
    let response = client
        .post(url)
        .header("content-type", "application/json")
        .header("accept", "application/json, text/event-stream")
        .header("mcp-protocol-version", VERSION)
        .header("mcp-method", "tools/call")
        .header("mcp-name", "echo")
        .body(call(id, &about))
        .send()
        .await
        .expect("an answer");
    let answer = response.text().await.expect("an answer");
    assert!(answer.contains(r#""result""#), "{answer}");
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

fn proxy(place: &Place, url: &str) -> (Running, String) {
    let free = TcpListener::bind("127.0.0.1:0").and_then(|it| it.local_addr()).expect("a port");
    let config = format!(
        "listen = \"{free}\"\npolicy = {:?}\nwithout_token = \"bench\"\n[servers.bench]\nurl = \"{url}\"\n",
        place.path("policy.yaml")
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
