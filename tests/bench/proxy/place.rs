//! A state directory with a daemon, and the files that the proxy is given.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::policies;

/// The policies' files.
pub const ALLOW_ALL: &str = "allow.yaml";
/// See [`policies::HOLD_ALL`].
pub const HOLD_ALL: &str = "hold.yaml";
/// See [`policies::thirty_rules`].
pub const THIRTY: &str = "thirty.yaml";
/// The same with a limit.
pub const LIMITED: &str = "limited.yaml";
/// The daemon's own folder within.
const STATE: &str = "s";
/// How long anything may take to start.
const PATIENCE: Duration = Duration::from_secs(20);

/// Where everything of a benchmark lies, until it is dropped.
pub struct Place {
    dir: TempDir,
    daemon: Child,
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = self.daemon.kill();
        let _ = self.daemon.wait();
    }
}

/// A program without what the caller's environment says of Holdpoint.
pub fn command(program: &Path) -> Command {
    let mut command = Command::new(program);
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("HOLDPOINT_") {
            command.env_remove(name);
        }
    }
    command
}

/// Waits for something to be there.
pub fn until(what: &str, there: impl Fn() -> bool) {
    let start = Instant::now();
    while !there() {
        assert!(start.elapsed() < PATIENCE, "{what} does not serve");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// How many cores there are.
pub fn cores() -> usize {
    std::thread::available_parallelism().map_or(0, usize::from)
}

/// What runs or wants to run on this machine, over the last minute.
pub fn load() -> String {
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    load.split(' ').next().unwrap_or_default().to_owned()
}

/// The processor time that a process has taken so far: that of its threads that
/// still run, to the nanosecond.
pub fn cpu(process: &Child) -> Option<Duration> {
    let threads = fs::read_dir(format!("/proc/{}/task", process.id())).ok()?;
    let of = |thread: std::io::Result<fs::DirEntry>| -> Option<u64> {
        let stat = fs::read_to_string(thread.ok()?.path().join("schedstat")).ok()?;
        stat.split(' ').next()?.parse().ok()
    };
    Some(Duration::from_nanos(threads.filter_map(of).sum()))
}

/// The resident memory of a process, in KiB.
pub fn resident(process: &Child) -> Option<f64> {
    let status = fs::read_to_string(format!("/proc/{}/status", process.id())).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().trim_end_matches(" kB").parse().ok()
}

impl Place {
    /// Starts a daemon in local mode.
    pub fn new() -> Place {
        // Short: a Unix socket's path has at most 107 bytes.
        let dir = tempfile::tempdir().expect("a temporary directory");
        let policies = [
            (ALLOW_ALL, policies::ALLOW_ALL.to_owned()),
            (HOLD_ALL, policies::HOLD_ALL.to_owned()),
            (THIRTY, policies::thirty_rules(false)),
            (LIMITED, policies::thirty_rules(true)),
        ];
        for (name, text) in policies {
            fs::write(dir.path().join(name), text).expect("a policy");
        }
        let log = fs::File::create(dir.path().join("log")).expect("a log");
        let daemon = command(Path::new(env!("CARGO_BIN_EXE_holdpoint")))
            .args(["serve", "--state-dir"])
            .arg(dir.path().join(STATE))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("the daemon starts");
        let place = Place { dir, daemon };
        until("the daemon", || place.path(STATE).join("holdpoint.sock").exists());
        place
    }

    /// A file in it.
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// `holdpoint proxy` on this daemon.
    pub fn proxy(&self) -> Command {
        let mut command = command(Path::new(env!("CARGO_BIN_EXE_holdpoint")));
        command.arg("proxy").env("HOLDPOINT_STATE_DIR", self.path(STATE));
        command
    }
}
