//! Servers as processes of their own: the daemon, and this program again as a
//! baseline. What a process costs is read from `/proc`.

use std::fs;
use std::io::Write as _;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use holdpoint::config::token::TokenHash;
use tempfile::TempDir;

use super::bare::Rows;
use super::client::{CALLER_TOKEN, OPERATOR_TOKEN};
use super::{call, minimal};

/// Set in a process that is to be a baseline.
const BASELINE: &str = "HOLDPOINT_BENCH_BASELINE";

/// Which server.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Bare tonic: echoes and holds, writes nothing.
    Tonic,
    /// Bare tonic and a bare group-commit writer.
    Minimal(Rows),
    /// The daemon. Its mail server takes connections and stays silent, so that
    /// after the first few letters no work is done for mail.
    Daemon,
    /// The daemon, writing each mail as a file.
    DaemonWithMail,
}

/// A server that runs in a directory of its own until it is dropped.
pub struct Running {
    child: Child,
    dir: TempDir,
    _silent: Option<TcpListener>,
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A directory on the disk that is measured.
pub fn fresh_dir() -> TempDir {
    let base = std::env::var_os("HOLDPOINT_BENCH_DIR")
        .map_or_else(|| PathBuf::from(env!("CARGO_TARGET_TMPDIR")), PathBuf::from);
    tempfile::tempdir_in(base).expect("a temporary directory")
}

/// Becomes a baseline, if this process was started as one.
pub fn baseline() -> bool {
    let Ok(which) = std::env::var(BASELINE) else {
        return false;
    };
    let dir = PathBuf::from(std::env::args().next_back().unwrap_or_default());
    let rows = match which.as_str() {
        "few" => Some(Rows::Few),
        "same" => Some(Rows::Same),
        _ => None,
    };
    minimal::serve(&dir, rows);
    true
}

impl Running {
    /// Starts it; clients wait for its socket by trying.
    pub fn start(kind: Kind) -> Running {
        let dir = fresh_dir();
        let silent = (kind == Kind::Daemon)
            .then(|| TcpListener::bind("127.0.0.1:0").expect("a port for the silent mail server"));
        let mut command = match kind {
            Kind::Daemon | Kind::DaemonWithMail => daemon(dir.path(), silent.as_ref()),
            Kind::Tonic | Kind::Minimal(_) => {
                let mut command = Command::new(std::env::current_exe().expect("this program"));
                let which = match kind {
                    Kind::Minimal(Rows::Few) => "few",
                    Kind::Minimal(Rows::Same) => "same",
                    _ => "none",
                };
                command.env(BASELINE, which).arg(dir.path());
                command
            }
        };
        let log = fs::File::create(dir.path().join("log")).expect("a log");
        let child = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("the server starts");
        Running { child, dir, _silent: silent }
    }

    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    fn proc(&self, file: &str) -> String {
        fs::read_to_string(format!("/proc/{}/{file}", self.child.id())).unwrap_or_default()
    }

    /// Resident memory.
    pub fn resident_kib(&self) -> f64 {
        let status = self.proc("status");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        line.and_then(|rest| rest.trim().trim_end_matches(" kB").parse().ok()).unwrap_or_default()
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

    /// Processor time used so far, exactly; dearer to ask than [`Running::cpu`].
    pub fn cpu_exact(&self) -> Duration {
        let tasks = fs::read_dir(format!("/proc/{}/task", self.child.id()));
        let of_task = |task: fs::DirEntry| -> Option<u64> {
            let spent = fs::read_to_string(task.path().join("schedstat")).ok()?;
            spent.split_whitespace().next()?.parse().ok()
        };
        let nanos = tasks.into_iter().flatten().flatten().filter_map(of_task).sum();
        Duration::from_nanos(nanos)
    }

    /// Waits until it does next to nothing, 5 s at most.
    pub async fn settled(&self) {
        let mut before = self.cpu();
        for _ in 0..50 {
            tokio::time::sleep(Duration::from_millis(100)).await;
            let now = self.cpu();
            if now == before {
                return;
            }
            before = now;
        }
    }
}

fn daemon(dir: &Path, silent: Option<&TcpListener>) -> Command {
    let mail = silent.map_or_else(String::new, |listener| {
        let address = listener.local_addr().expect("its address");
        format!("smtp_url = \"smtp://{address}\"\nfrom = \"holdpoint@example.com\"\n")
    });
    let config = format!(
        "{mail}\
         [limits]\n\
         max_pending_per_caller = 1000000\n\
         max_pending_per_client = 1000000\n\
         [[callers]]\n\
         name = \"{}\"\n\
         tokens = [{{ sha256 = \"{}\" }}]\n\
         [[operators]]\n\
         name = \"{}\"\n\
         email = \"alice@example.com\"\n\
         tokens = [{{ sha256 = \"{}\" }}]\n",
        call::CALLER,
        TokenHash::of(CALLER_TOKEN),
        call::OPERATOR,
        TokenHash::of(OPERATOR_TOKEN),
    );
    let path = dir.join("holdpoint.toml");
    let mut file = fs::File::create(&path).expect("a configuration");
    file.write_all(config.as_bytes()).expect("a configuration");
    let mut command = Command::new(env!("CARGO_BIN_EXE_holdpoint"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("HOLDPOINT_") {
            command.env_remove(name);
        }
    }
    command.arg("serve").arg("--state-dir").arg(dir).arg("--config").arg(path);
    command
}
