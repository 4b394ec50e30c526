//! The daemon as a process of its own, on a state directory that is there already.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use holdpoint::config::token::TokenHash;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tonic::transport::Endpoint;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

use super::call;
use super::client::{CALLER_TOKEN, OPERATOR_TOKEN};

/// Runs until it is dropped.
pub struct Daemon {
    child: Child,
    dir: PathBuf,
    /// From its start until it said that it serves.
    pub served_after: Duration,
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // In good order, so that the log is folded into the database.
        let _ = Command::new("kill").arg(self.child.id().to_string()).status();
        let _ = self.child.wait();
    }
}

impl Daemon {
    pub async fn start(dir: &Path) -> Daemon {
        let config = configured(dir);
        let mut command = Command::new(env!("CARGO_BIN_EXE_holdpoint"));
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("HOLDPOINT_") {
                command.env_remove(name);
            }
        }
        command.arg("serve").arg("--state-dir").arg(dir).arg("--config").arg(config);
        let log = fs::File::create(dir.join("log")).expect("a log");
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        let start = Instant::now();
        let child = command.spawn().expect("the daemon starts");
        let mut daemon = Daemon { child, dir: dir.to_owned(), served_after: Duration::ZERO };
        daemon.serves(start).await;
        daemon.served_after = start.elapsed();
        daemon
    }

    async fn serves(&mut self, start: Instant) {
        let address = format!("unix:{}", self.dir.join("holdpoint.sock").display());
        let endpoint = Endpoint::from_shared(address).expect("a path");
        loop {
            if let Ok(channel) = endpoint.connect().await {
                let asked = HealthClient::new(channel).check(HealthCheckRequest::default()).await;
                if asked.is_ok_and(|answer| answer.get_ref().status() == ServingStatus::Serving) {
                    return;
                }
            }
            assert!(start.elapsed() < Duration::from_secs(60), "it does not serve");
            let ended = self.child.try_wait().expect("a child");
            assert!(ended.is_none(), "it ended; see {}", self.dir.join("log").display());
            tokio::time::sleep(Duration::from_micros(500)).await;
        }
    }

    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// As by a crash: no good order.
    pub fn kill(mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    fn proc(&self, file: &str) -> String {
        fs::read_to_string(format!("/proc/{}/{file}", self.child.id())).unwrap_or_default()
    }

    /// Resident memory.
    pub fn resident_mib(&self) -> f64 {
        let status = self.proc("status");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib: f64 = line
            .and_then(|rest| rest.trim().trim_end_matches(" kB").parse().ok())
            .unwrap_or_default();
        kib / 1024.0
    }

    /// Processor time used so far; the kernel counts it in steps of 10 ms.
    pub fn cpu(&self) -> Duration {
        let stat = self.proc("stat");
        let after_name = stat.rsplit(')').next().unwrap_or_default();
        let ticks: u64 = after_name
            .split_whitespace()
            .skip(11)
            .take(2)
            .filter_map(|ticks| ticks.parse::<u64>().ok())
            .sum();
        Duration::from_millis(ticks * 10)
    }

    /// Where its pages or its metrics are, as its log says, which is written a little
    /// after it serves.
    pub async fn address(&self, of: &str) -> String {
        let start = Instant::now();
        loop {
            let log = fs::read_to_string(self.dir.join("log")).unwrap_or_default();
            let after = log.split(&format!("\"{of}\":\"http://")).nth(1);
            if let Some(address) = after.and_then(|after| after.split(['/', '"']).next()) {
                return address.to_owned();
            }
            assert!(start.elapsed() < Duration::from_secs(10), "no {of} in the log: {log}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// A number that it counts.
    pub async fn metric(&self, name: &str) -> f64 {
        let address = self.address("metrics").await;
        let mut stream = TcpStream::connect(&address).await.expect("connected");
        let request =
            format!("GET /metrics HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.expect("sent");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.expect("an answer");
        let line = answer.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.and_then(|value| value.parse().ok()).unwrap_or_default()
    }
}

/// One caller, one operator who is an auditor too, no mail server.
fn configured(dir: &Path) -> PathBuf {
    let config = format!(
        "web_listen = \"127.0.0.1:0\"\n\
         metrics_listen = \"127.0.0.1:0\"\n\
         [limits]\n\
         max_pending_per_caller = 1000000\n\
         max_pending_per_client = 1000000\n\
         [[callers]]\n\
         name = \"{}\"\n\
         tokens = [{{ sha256 = \"{}\" }}]\n\
         [[operators]]\n\
         name = \"{}\"\n\
         roles = [\"operator\", \"auditor\"]\n\
         tokens = [{{ sha256 = \"{}\" }}]\n",
        call::CALLER,
        TokenHash::of(CALLER_TOKEN),
        call::OPERATOR,
        TokenHash::of(OPERATOR_TOKEN),
    );
    let path = dir.join("holdpoint.toml");
    fs::write(&path, config).expect("a configuration");
    path
}
