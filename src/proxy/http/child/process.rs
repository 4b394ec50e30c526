//! The process of a server: started in its own environment, listened to on its
//! standard error, and ended by all means.
//!
//! Promises: it gets nothing of ours that was not configured; it and what it
//! started itself end when this does, whatever ends this. Must never: let what it
//! writes fill the log, or anything else.

use std::io;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::process::ChildStderr;
use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::call::safe_text::SafeText;
use crate::proxy::config::ChildConfig;
use crate::proxy::lines::{Line, Lines};
use crate::proxy::upstream::child::{Child, Unasked, ended};

/// How long a process may take to end once its input is closed. Those that heed
/// it need milliseconds, those that still work on a call some seconds.
const AFTER_CLOSE: Duration = Duration::from_secs(3);

/// And once it was told to end by a signal, before it is ended by force.
const AFTER_TERM: Duration = Duration::from_secs(3);

/// How much of a line of its standard error is logged.
const LINE: usize = 1024;

/// Lines of one process that are logged in one [`WINDOW`].
const LINES: u32 = 50;
/// See [`LINES`].
const WINDOW: Duration = Duration::from_secs(5);

/// A process that runs.
#[derive(Debug)]
pub struct Running {
    process: tokio::process::Child,
    group: Arc<Group>,
}

/// The processes of one server: the one that we started leads a group of its own,
/// and what it starts is in it too. Empty once that has ended.
#[derive(Debug)]
pub struct Group(Mutex<Option<Pid>>);

impl Group {
    fn leader(&self) -> MutexGuard<'_, Option<Pid>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends all of them a signal.
    pub fn signal(&self, signal: Signal) {
        if let Some(leader) = *self.leader() {
            // Nobody may be left in it.
            let _ = kill_process_group(leader, signal);
        }
    }
}

impl Running {
    /// Starts a server for this client.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn start(
        config: &ChildConfig,
        server: &Arc<str>,
        client: &Arc<str>,
        longest: usize,
        unasked: mpsc::Sender<Unasked>,
    ) -> io::Result<(Arc<Child>, Running)> {
        let (program, arguments) = config.command.split_first().ok_or(io::ErrorKind::NotFound)?;
        let mut command = Command::new(program);
        command
            .args(arguments)
            .env_clear()
            .envs(config.environment(std::env::vars_os()))
            .stderr(Stdio::piped());
        let (child, mut running) = Running::leading(command, longest, unasked)?;
        if let Some(stderr) = running.process.stderr.take() {
            tokio::spawn(log_lines(stderr, server.clone(), client.clone()));
        }
        let pid = running.process.id();
        tracing::info!(server = &**server, client = &**client, pid, "a server runs");
        Ok((child, running))
    }

    /// Starts a command at the head of a group of its own.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn leading(
        mut command: Command,
        longest: usize,
        unasked: mpsc::Sender<Unasked>,
    ) -> io::Result<(Arc<Child>, Running)> {
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        let (child, process) = Child::start(command, longest, unasked)?;
        let leader = process.id().and_then(|id| Pid::from_raw(id.cast_signed()));
        let group = Arc::new(Group(Mutex::new(leader)));
        Ok((child, Running { process, group }))
    }

    /// All that belongs to it.
    pub fn group(&self) -> &Arc<Group> {
        &self.group
    }

    /// Waits until it ends by itself.
    pub async fn exit(&mut self) {
        // An error means that there is nothing to wait for.
        let _ = self.process.wait().await;
    }

    /// Ends it, if it has not ended yet; how it ended, in words.
    pub async fn end(mut self, child: &Child) -> String {
        child.close();
        for (patience, signal) in [(AFTER_CLOSE, Signal::TERM), (AFTER_TERM, Signal::KILL)] {
            if timeout(patience, self.process.wait()).await.is_ok() {
                break;
            }
            self.group.signal(signal);
        }
        let how = match self.process.wait().await {
            Ok(status) => ended(status),
            Err(error) => error.to_string(),
        };
        // What it left behind would keep its output open. Its id is not given to
        // another group while one of these lives, nor within moments after that.
        self.group.signal(Signal::KILL);
        *self.group.leader() = None;
        how
    }
}

/// By force, where nothing else was done.
impl Drop for Running {
    fn drop(&mut self) {
        self.group.signal(Signal::KILL);
    }
}

/// Logs what a process says on its standard error, as long as it does.
async fn log_lines(stderr: ChildStderr, server: Arc<str>, client: Arc<str>) {
    let mut lines = Lines::new(stderr, LINE);
    let mut few = Few::default();
    while let Ok(Some(line)) = lines.next().await {
        if !few.another(Instant::now(), &server) {
            continue;
        }
        let (said, cut) = match &line {
            Line::Whole(said) => (said, ""),
            Line::TooLong(said) => (said, "..."),
        };
        let said = String::from_utf8_lossy(said);
        let said = SafeText::line(said.trim_end());
        tracing::info!(server = &*server, client = &*client, "stderr: {said}{cut}");
    }
    few.tell(&server);
}

/// Counts lines, so that few of many are logged.
#[derive(Debug, Default)]
pub struct Few {
    window: Option<Instant>,
    seen: u32,
}

impl Few {
    /// Whether another line may be logged now.
    pub fn another(&mut self, now: Instant, server: &str) -> bool {
        if self.window.is_none_or(|began| now - began >= WINDOW) {
            self.tell(server);
            *self = Few { window: Some(now), seen: 0 };
        }
        self.seen = self.seen.saturating_add(1);
        self.seen <= LINES
    }

    /// Says how many were not.
    fn tell(&self, server: &str) {
        if let Some(lines) = self.seen.checked_sub(LINES).filter(|lines| *lines > 0) {
            tracing::warn!(server, lines, "a server says so much that lines were left out");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_many_lines_few_are_logged_and_then_some_again() {
        let (mut few, began) = (Few::default(), Instant::now());
        let logged = (0..1000).filter(|_| few.another(began, "s")).count();
        assert_eq!(logged, LINES as usize);
        assert!(few.another(began + WINDOW, "s"));
    }
}
