//! A process that is measured: what it costs is read from `/proc`.
//!
//! Promises: it ends when its value is dropped. Must never: know anything of
//! the user's own Holdpoint.

use std::fs::{self, File};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use super::trouble::{During as _, Trouble};

/// Until a process is taken to be idle.
const SETTLES_WITHIN: Duration = Duration::from_secs(5);
/// Between looks at whether it is; the kernel counts in steps of 10 ms.
const LOOK: Duration = Duration::from_millis(100);
/// Lines of a log that are shown where something failed.
const LAST_WORDS: usize = 5;

/// A program without what the environment says of Holdpoint.
pub fn command(program: &Path) -> Command {
    let mut command = Command::new(program);
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("HOLDPOINT_") {
            command.env_remove(name);
        }
    }
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    // A group of its own: a Ctrl-C is the benchmark's, which ends it.
    command.process_group(0);
    command
}

/// Runs until it is dropped.
#[derive(Debug)]
pub struct Process {
    child: Child,
    log: PathBuf,
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Process {
    /// Starts it; what it says on standard error is kept in `log`.
    pub fn start(mut command: Command, log: &Path) -> Result<Process, Trouble> {
        let doing = format!("starting {}", command.get_program().to_string_lossy());
        let file = File::create(log).during(&format!("making {}", log.display()))?;
        let child = command.stderr(file).spawn().during(&doing)?;
        Ok(Process { child, log: log.to_owned() })
    }

    /// The process itself, for its pipes.
    pub fn child(&mut self) -> &mut Child {
        &mut self.child
    }

    /// Ends it in good order, and waits for that.
    pub fn end(mut self) {
        if let Some(id) = Pid::from_raw(self.child.id().cast_signed()) {
            let _ = kill_process(id, Signal::TERM);
            let _ = self.child.wait();
        }
    }

    /// Whether it has ended by itself.
    pub fn ended(&mut self) -> bool {
        !matches!(self.child.try_wait(), Ok(None))
    }

    /// All that it said.
    pub fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// What it said last.
    pub fn last_words(&self) -> String {
        let log = self.log();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(LAST_WORDS)..].join("\n")
    }

    fn proc(&self, file: &str) -> String {
        fs::read_to_string(format!("/proc/{}/{file}", self.child.id())).unwrap_or_default()
    }

    /// Files that it has open.
    pub fn files(&self) -> usize {
        fs::read_dir(format!("/proc/{}/fd", self.child.id())).map_or(0, Iterator::count)
    }

    /// Resident memory.
    pub fn resident_kib(&self) -> f64 {
        let status = self.proc("status");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        line.and_then(|rest| rest.trim().trim_end_matches(" kB").parse().ok()).unwrap_or_default()
    }

    /// The same in MiB.
    pub fn resident_mib(&self) -> f64 {
        self.resident_kib() / 1024.0
    }

    /// Processor time used so far; the kernel counts it in steps of 10 ms.
    pub fn cpu(&self) -> Duration {
        let stat = self.proc("stat");
        let after_name = stat.rsplit(')').next().unwrap_or_default();
        let times = after_name.split_whitespace().skip(11).take(2);
        let ticks: u64 = times.filter_map(|ticks| ticks.parse::<u64>().ok()).sum();
        Duration::from_millis(ticks * 10)
    }

    /// Processor time that its threads which still run have used, to the
    /// nanosecond; dearer to ask than [`Process::cpu`].
    pub fn cpu_exact(&self) -> Duration {
        let tasks = fs::read_dir(format!("/proc/{}/task", self.child.id()));
        let of_task = |task: fs::DirEntry| -> Option<u64> {
            let spent = fs::read_to_string(task.path().join("schedstat")).ok()?;
            spent.split_whitespace().next()?.parse().ok()
        };
        let nanos = tasks.into_iter().flatten().flatten().filter_map(of_task).sum();
        Duration::from_nanos(nanos)
    }

    /// Waits until it does next to nothing, but not for ever.
    pub async fn settled(&self) {
        let mut before = self.cpu();
        for _ in 0..SETTLES_WITHIN.as_millis() / LOOK.as_millis() {
            tokio::time::sleep(LOOK).await;
            let now = self.cpu();
            if now == before {
                return;
            }
            before = now;
        }
    }
}
