//! The daemon's door for monitoring, spoken to by hand.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::daemon::{Home, wait_for};

/// What a page answered.
#[derive(Debug)]
pub struct Page {
    pub status: u16,
    pub head: String,
    pub body: String,
}

impl Page {
    /// The value of a series, named with its labels as the page names it.
    pub fn value(&self, series: &str) -> f64 {
        self.found(series).unwrap_or_else(|| panic!("{series} is not in\n{}", self.body))
    }

    fn found(&self, series: &str) -> Option<f64> {
        let lines = self.body.lines().filter(|line| !line.starts_with('#'));
        let mut samples = lines.filter_map(|line| line.rsplit_once(' '));
        let (_, value) = samples.find(|(name, _)| *name == series)?;
        value.parse().ok()
    }
}

/// Where the daemon says that its metrics are.
pub async fn monitor(home: &Home) -> String {
    wait_for("the address of the metrics", || async {
        let log = home.log();
        let (_, after) = log.rsplit_once("\"metrics\":\"http://")?;
        Some(after.split_once("/metrics\"")?.0.to_owned())
    })
    .await
}

/// Asks for a page, as curl would.
pub async fn get(address: &str, path: &str) -> Page {
    let ask = async {
        let mut stream = TcpStream::connect(address).await.expect("connected");
        let request = format!("GET {path} HTTP/1.1\r\nhost: {address}\r\n\r\n");
        stream.write_all(request.as_bytes()).await.expect("sent");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.expect("an answer");
        answer
    };
    let answer = tokio::time::timeout(Duration::from_secs(30), ask).await.expect("in time");
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
    let status = head.split(' ').nth(1).and_then(|code| code.parse().ok()).expect("a status");
    Page { status, head: head.to_owned(), body: body.to_owned() }
}
