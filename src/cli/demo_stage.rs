//! The demo's stage: a fresh folder, and processes of our own program in it.
//!
//! Promises: nothing of the environment's Holdpoint settings reaches them, and
//! when the demo ends, however it ends, so do they, and the folder goes. Must
//! never: end a process that it did not start.

use std::fs::{self, DirBuilder, File};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group, test_kill_process_group};
use tokio::process::{Child, Command};
use tokio::time::{sleep, timeout};

use super::errors::{Done, Failure};
use super::text::{safe, shell_word};
use crate::config::StatePaths;

/// How long one step that waits for nobody may take.
pub const STEP: Duration = Duration::from_secs(20);
/// How long a process may take to end by itself.
const FAREWELL: Duration = Duration::from_secs(5);

/// The folder and the processes that run on after they were started.
#[derive(Debug)]
pub struct Stage {
    /// The program, with its whole path.
    program: PathBuf,
    /// The state directory, fresh.
    pub paths: StatePaths,
    /// Where the key-value store is.
    pub store: PathBuf,
    /// The daemon and the agent, in the order in which they were started.
    running: Vec<Child>,
}

impl Stage {
    /// Makes the folder.
    pub fn new() -> Done<Self> {
        let failed = |error: std::io::Error| {
            Failure::new(
                format!("cannot make a folder for the demo: {error}"),
                "Set TMPDIR to a folder that can be written.",
            )
        };
        let program = std::env::current_exe().map_err(failed)?;
        let name = format!("holdpoint-demo-{}", &uuid::Uuid::new_v4().simple().to_string()[..8]);
        // A Unix socket's path is short; some systems' temporary folders are not.
        let usual = std::env::temp_dir().join(&name);
        let folder = match StatePaths::of(&usual.join("state")) {
            Ok(_) => usual,
            Err(_) => Path::new("/tmp").join(&name),
        };
        let paths = StatePaths::of(&folder.join("state"))?;
        DirBuilder::new().mode(0o700).create(&folder).map_err(failed)?;
        let store = folder.join("store.json");
        Ok(Stage { program, paths, store, running: Vec::new() })
    }

    fn folder(&self) -> &Path {
        self.store.parent().unwrap_or(Path::new("/nonexistent"))
    }

    /// The daemon's log, for when something fails.
    fn log(&self) -> PathBuf {
        self.folder().join("log")
    }

    /// What stands before a command in another terminal: nothing there may lead
    /// it to another daemon or give it another token.
    pub fn typed(&self, command: &str) -> String {
        let mut others: Vec<String> =
            settings().filter(|name| name != "HOLDPOINT_STATE_DIR").collect();
        others.sort();
        let unset: String = others.iter().map(|name| format!(" -u {name}")).collect();
        let before = if unset.is_empty() { String::new() } else { format!("env{unset} ") };
        let state = shell_word(&self.paths.dir.to_string_lossy());
        let program = shell_word(&self.program.to_string_lossy());
        format!("{before}HOLDPOINT_STATE_DIR={state} {program} {command}")
    }

    fn clean(&self, mut command: Command) -> Command {
        for name in settings() {
            command.env_remove(name);
        }
        command.env("HOLDPOINT_STATE_DIR", &self.paths.dir);
        command.current_dir(self.folder()).stdin(Stdio::null());
        // A group of its own: a Ctrl-C is ours, and we end it in good order.
        command.process_group(0).kill_on_drop(true);
        command
    }

    /// Starts the daemon.
    pub fn start_daemon(&mut self) -> Done {
        let log = File::create(self.log()).map_err(cannot_start)?;
        let errors = log.try_clone().map_err(cannot_start)?;
        let mut command = self.clean(Command::new(&self.program));
        // Pages on a port that is free.
        command.env("HOLDPOINT_WEB_LISTEN", "127.0.0.1:0");
        command.arg("serve").stdout(log).stderr(errors);
        self.running.push(command.spawn().map_err(cannot_start)?);
        Ok(())
    }

    /// Starts a shell script; `$0` in it is our program.
    pub fn start_script(&mut self, script: &str) -> Done {
        let mut command = self.clean(Command::new("sh"));
        command.args(["-c", script]).arg(&self.program);
        command.stdout(Stdio::null()).stderr(Stdio::null());
        self.running.push(command.spawn().map_err(cannot_start)?);
        Ok(())
    }

    /// Waits for the script that was started last; its exit code.
    pub async fn script_ended(&mut self, within: Duration) -> Done<i32> {
        // It stays in the list while it is waited for: a demo that is interrupted
        // here ends it like everything else.
        let Some(script) = self.running.last_mut() else {
            return Ok(0);
        };
        match timeout(within, script.wait()).await {
            Ok(Ok(status)) => {
                self.running.pop();
                Ok(status.code().unwrap_or(-1))
            }
            Ok(Err(error)) => Err(cannot_start(error)),
            Err(_) => Err(Failure::new("the agent does not end", "Please report this.")),
        }
    }

    /// Runs our program with these arguments to its end.
    pub async fn run(&self, args: &[&str]) -> Done<Output> {
        let mut command = self.clean(Command::new(&self.program));
        command.args(args).stdout(Stdio::piped()).stderr(Stdio::piped());
        let child = command.spawn().map_err(cannot_start)?;
        match timeout(STEP, child.wait_with_output()).await {
            Ok(output) => output.map_err(cannot_start),
            Err(_) => Err(Failure::new(
                format!("`holdpoint {}` does not end", args.join(" ")),
                "Please report this.",
            )),
        }
    }

    /// The same, and its standard output; a failure is a failure of the demo.
    pub async fn text(&self, args: &[&str]) -> Done<String> {
        let output = self.run(args).await?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
            let what = format!("`holdpoint {}` failed: {}", args.join(" "), safe(&said));
            return Err(Failure::new(what, "Please report this."));
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// The last lines of the daemon's log.
    pub fn log_end(&self) -> String {
        let log = fs::read_to_string(self.log()).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        let last = &lines[lines.len().saturating_sub(8)..];
        last.iter().map(|line| format!("  {}\n", safe(line))).collect()
    }

    /// Ends what still runs, the newest first, and removes the folder.
    pub async fn end(mut self) {
        while let Some(mut child) = self.running.pop() {
            // No id: it ended and was waited for.
            let Some(group) = child.id().and_then(|id| Pid::from_raw(id.cast_signed())) else {
                continue;
            };
            // The group is what a child started too: the script's own commands.
            let _ = kill_process_group(group, Signal::TERM);
            let gone = async {
                let _ = child.wait().await;
                while test_kill_process_group(group).is_ok() {
                    sleep(Duration::from_millis(20)).await;
                }
            };
            if timeout(FAREWELL, gone).await.is_err() {
                let _ = kill_process_group(group, Signal::KILL);
                let _ = timeout(FAREWELL, child.wait()).await;
            }
        }
        // What is left of a temporary folder harms nobody.
        let _ = fs::remove_dir_all(self.folder());
    }
}

/// Holdpoint's own variables in our environment.
fn settings() -> impl Iterator<Item = String> {
    let names = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
    names.filter(|name| name.starts_with("HOLDPOINT_"))
}

fn cannot_start(error: std::io::Error) -> Failure {
    Failure::new(
        format!("cannot start a part of the demo: {error}"),
        "See whether this machine is out of processes or memory.",
    )
}
