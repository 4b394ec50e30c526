//! The operators' pages, as a browser without a script asks for them, each on a
//! connection of its own.

use std::path::Path;
use std::time::{Duration, Instant};

use holdpoint::bench::client::{Caller, Held, OPERATOR_TOKEN, Operator};
use holdpoint::bench::ground::Ground;
use holdpoint::bench::server::{Kind, Running};
use holdpoint::bench::table::{Table, percentile};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;

use super::generate;

/// Each page so often in a round.
const REPEATED: usize = 15;

/// Requests that wait while the queue is looked at.
const PENDING: usize = 1000;

struct Browser {
    address: String,
    cookie: String,
}

impl Browser {
    async fn signed_in(daemon: &Running) -> Browser {
        let address = daemon.address("pages").await.expect("its pages");
        let mut browser = Browser { address, cookie: String::new() };
        let body = format!("token={OPERATOR_TOKEN}&next=%2F");
        let form = format!(
            "content-type: application/x-www-form-urlencoded\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        let answer = browser.ask("POST /sign-in", &form).await;
        let cookie = answer.lines().find_map(|line| line.strip_prefix("set-cookie: "));
        cookie
            .and_then(|line| line.split(';').next())
            .expect("a cookie")
            .clone_into(&mut browser.cookie);
        browser
    }

    async fn open(&self, line: &str, rest: &str) -> TcpStream {
        let mut stream = TcpStream::connect(&self.address).await.expect("connected");
        let request = format!(
            "{line} HTTP/1.1\r\nhost: {}\r\nconnection: close\r\ncookie: {}\r\n{rest}",
            self.address, self.cookie
        );
        stream.write_all(request.as_bytes()).await.expect("sent");
        stream
    }

    async fn ask(&self, line: &str, rest: &str) -> String {
        let mut answer = String::new();
        self.open(line, rest).await.read_to_string(&mut answer).await.expect("an answer");
        answer
    }

    /// What a page takes, half of the times and the slowest.
    async fn takes(&self, path: &str) -> [f64; 2] {
        let mut took = Vec::new();
        for _ in 0..REPEATED {
            let start = Instant::now();
            let answer = self.ask(&format!("GET {path}"), "\r\n").await;
            took.push(start.elapsed());
            assert!(answer.starts_with("HTTP/1.1 200"), "{path}: {answer}");
        }
        took.sort();
        [0.5, 1.0].map(|share| percentile(&took, share).as_secs_f64() * 1e3)
    }
}

async fn rows(table: &mut Table, browser: &Browser, pages: &[(&str, &str)]) {
    for (name, path) in pages {
        let [p50, slowest] = browser.takes(path).await;
        table.alone(&format!("{name}, p50"), "ms", p50);
        table.alone(&format!("{name}, slowest"), "ms", slowest);
    }
}

/// From a submit's acknowledgement, as far as its caller can know it, to the message
/// in the stream of an open page.
async fn update(browser: &Browser, daemon: &Running) -> Duration {
    let mut operator = Operator::watch(daemon.dir()).await.expect("a watcher");
    let stream = browser.open("GET /live", "accept: text/event-stream\r\n\r\n").await;
    let mut lines = BufReader::new(stream).lines();
    let mut until = async |word: &str| {
        while let Some(line) = lines.next_line().await.expect("the stream") {
            if line.contains(word) {
                return;
            }
        }
        panic!("the stream ended");
    };
    until("event: here").await;
    let mut caller = Caller::connect(daemon.dir()).expect("a caller");
    let held = tokio::spawn(async move { caller.hold().await });
    let request = operator.next_pending().await.expect("it is held");
    let start = Instant::now();
    until("event: changed").await;
    let took = start.elapsed();
    operator.deciding.approve(request).await.expect("decided");
    held.await.expect("a caller").expect("approved");
    took
}

pub async fn round(table: &mut Table, ground: &Ground, base: &Path, entries: u64) {
    let dir = generate::state_dir(base, entries);
    let daemon = Running::on(ground.program(), &dir, Kind::DaemonWithPages).await;
    let daemon = daemon.expect("a daemon");
    let browser = Browser::signed_in(&daemon).await;
    let named = |name: &str| format!("{name}, {entries} entries");
    let pages = [
        ("history page", "/history"),
        ("history page by tool and status", "/history?tool=tool_1&status=denied"),
        ("history page that finds nothing", "/history?client=client-02&server=server-01"),
        ("history page by words that never meet", "/history?text=topic7+topic8"),
        ("charts of a week", "/history/charts?period=7d"),
        ("charts of 90 days", "/history/charts?period=90d"),
    ];
    let pages = pages.map(|(name, path)| (named(name), path));
    let pages: Vec<(&str, &str)> =
        pages.iter().map(|(name, path)| (name.as_str(), *path)).collect();
    let before = daemon.resident_mib();
    rows(table, &browser, &pages).await;
    table.row("memory, all these pages asked for : before", "MiB", before, daemon.resident_mib());
    let took = update(&browser, &daemon).await;
    table.alone("commit to an open page", "ms", took.as_secs_f64() * 1e3);
    daemon.end();

    let daemon = Running::start(ground, Kind::DaemonWithPages).await.expect("a daemon");
    let browser = Browser::signed_in(&daemon).await;
    let mut operator = Operator::watch(daemon.dir()).await.expect("a watcher");
    let held = Held::many(daemon.dir(), &mut operator, PENDING).await;
    let _held = held.expect("many calls wait");
    rows(table, &browser, &[(&format!("queue page, {PENDING} pending"), "/")]).await;
}
