//! A state directory, and the daemon that runs on it.

use std::fs::{self, File};
use std::future::Future;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::{Duration, Instant};

use holdpoint::config::token::TokenHash;
use rustix::process::{Pid, Signal};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

use super::clients::{self, Clients};

/// Longer than anything here takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// Waits for the thing itself: asks until there is an answer.
pub async fn wait_for<T, F: Future<Output = Option<T>>>(what: &str, ask: impl FnMut() -> F) -> T {
    wait_at_most(PATIENCE, what, ask).await
}

async fn wait_at_most<T, F: Future<Output = Option<T>>>(
    most: Duration,
    what: &str,
    mut ask: impl FnMut() -> F,
) -> T {
    let began = Instant::now();
    loop {
        if let Some(found) = ask().await {
            return found;
        }
        assert!(began.elapsed() < most, "waited {most:?} in vain for {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// A state directory with what starts a daemon on it. Gone when dropped.
#[derive(Debug)]
pub struct Home {
    folder: tempfile::TempDir,
    /// The state directory.
    pub state: PathBuf,
    variables: Vec<(String, String)>,
    /// Given to `sh -c` before the daemon takes the shell's place.
    before: String,
}

impl Home {
    /// Local mode.
    pub fn new() -> Self {
        let folder = tempfile::Builder::new().prefix("hp").tempdir().expect("a folder");
        let state = folder.path().join("s");
        fs::create_dir(&state).expect("a state directory");
        Home { folder, state, variables: Vec::new(), before: String::new() }
    }

    /// With this configuration.
    pub fn with_config(text: &str) -> Self {
        let home = Home::new();
        home.configure(text);
        home
    }

    /// A team: each name is also its token, see [`identity`].
    pub fn team(callers: &[&str], operators: &[&str], more: &str) -> Self {
        let mut text = format!("{more}\n");
        callers.iter().for_each(|name| text += &identity("callers", name, ""));
        operators.iter().for_each(|name| text += &identity("operators", name, ""));
        text += &identity("operators", "auditor", "roles = [\"auditor\", \"admin\"]");
        Home::with_config(&text)
    }

    /// Writes the configuration anew; for the next start.
    pub fn configure(&self, text: &str) {
        fs::write(self.state.join("holdpoint.toml"), text).expect("configuration written");
    }

    /// Sets a variable of the daemon's environment, which is otherwise clean.
    pub fn set(&mut self, name: &str, value: &str) {
        self.variables.push((name.to_owned(), value.to_owned()));
    }

    /// Takes the variables back.
    #[cfg(feature = "faults")]
    pub fn unset(&mut self) {
        self.variables.clear();
    }

    /// A shell command that sets the stage in the daemon's own process.
    pub fn before(&mut self, shell: &str) {
        shell.clone_into(&mut self.before);
    }

    /// A file beside the state directory.
    pub fn beside(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The database.
    pub fn database(&self) -> PathBuf {
        self.state.join("holdpoint.db")
    }

    fn socket(&self) -> PathBuf {
        self.state.join("holdpoint.sock")
    }

    fn command(&self) -> Command {
        let program = env!("CARGO_BIN_EXE_holdpoint");
        let mut command = Command::new("sh");
        let script = format!("{}\nexec \"$0\" \"$@\"", self.before);
        command.args(["-c", &script, program, "serve"]);
        clean(&mut command, self);
        command.envs(self.variables.iter().map(|(k, v)| (k, v)));
        command.current_dir(self.folder.path());
        command
    }

    /// Starts the daemon and waits until it serves.
    pub async fn start(&self) -> Daemon<'_> {
        self.serves(self.spawn()).await
    }

    /// Waits until a daemon serves.
    pub async fn serves<'a>(&self, mut daemon: Daemon<'a>) -> Daemon<'a> {
        let ready = wait_for("the daemon to serve", || async {
            let exited = daemon.child.as_ref().is_some_and(has_exited);
            (exited || self.health().await == Some(ServingStatus::Serving)).then_some(!exited)
        });
        let ready = ready.await;
        assert!(ready, "the daemon ended: {:?}\n{}", daemon.exit(), self.log());
        daemon
    }

    /// Starts the daemon and waits for nothing.
    pub fn spawn(&self) -> Daemon<'_> {
        self.spawn_with(Stdio::null(), None)
    }

    /// The same with something else as its standard input, and output.
    pub fn spawn_with(&self, stdin: Stdio, stdout: Option<Stdio>) -> Daemon<'_> {
        let log =
            (File::options().create(true).append(true)).open(self.beside("log")).expect("a log");
        self.spawn_saying(stdin, stdout, log.into())
    }

    /// The same with its log going elsewhere.
    pub fn spawn_logging_to(&self, log: impl Into<OwnedFd>) -> Daemon<'_> {
        self.spawn_saying(Stdio::null(), None, log.into())
    }

    fn spawn_saying(&self, stdin: Stdio, stdout: Option<Stdio>, log: OwnedFd) -> Daemon<'_> {
        let child = self
            .command()
            .stdin(stdin)
            .stdout(stdout.unwrap_or_else(|| log.try_clone().expect("a second handle").into()))
            .stderr(log)
            .spawn()
            .expect("the daemon starts");
        Daemon { home: self, child: Some(child) }
    }

    /// Runs the daemon where it must not start; what it said.
    pub fn refusal(&self) -> Refusal {
        let mut daemon = self.spawn();
        let status = daemon.exit();
        Refusal { status, said: self.log() }
    }

    /// Everything that daemons wrote here so far.
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&fs::read(self.beside("log")).unwrap_or_default()).into_owned()
    }

    /// Starts the daemon and waits until it has also said where it serves.
    pub async fn start_and_tell(&self) -> Daemon<'_> {
        let daemon = self.start().await;
        wait_for("its address", || async { self.log().contains("\"serving\"").then_some(()) })
            .await;
        daemon
    }

    /// The TCP address at which the daemon serves: a scheme, an IP address and a port.
    pub fn tcp(&self) -> String {
        let log = self.log();
        let serving =
            log.lines().rev().find(|line| line.contains("\"serving\"")).expect("it serves");
        let from = serving.find("http").expect("a TCP address");
        serving[from..].split(['"', ' ']).next().expect("an address").to_owned()
    }

    /// What the daemon says of its health, if one is there.
    pub async fn health(&self) -> Option<ServingStatus> {
        let channel = clients::endpoint(&self.socket()).connect().await.ok()?;
        let mut health = HealthClient::new(channel);
        let answer = health.check(HealthCheckRequest::default()).await.ok()?.into_inner();
        ServingStatus::try_from(answer.status).ok()
    }

    /// Waits for the daemon's health to become this.
    pub async fn becomes(&self, wanted: ServingStatus) {
        let what = format!("health {wanted:?}");
        wait_for(&what, || async { (self.health().await? == wanted).then_some(()) }).await;
    }

    /// Clients over a connection of their own.
    pub fn clients(&self) -> Clients {
        Clients::new(&self.socket(), &self.state)
    }
}

/// A daemon that did not start.
#[derive(Debug)]
pub struct Refusal {
    pub status: ExitStatus,
    pub said: String,
}

impl Refusal {
    /// It ended with an error, and said all of this.
    pub fn says(&self, words: &[&str]) {
        assert!(!self.status.success(), "{self:?}");
        assert!(self.status.code().is_some(), "ended by a signal: {self:?}");
        for word in words {
            assert!(self.said.contains(word), "{word:?} is missing in: {}", self.said);
        }
        assert!(!self.said.contains("panicked"), "{}", self.said);
    }
}

/// The configuration of one identity. Its token is `hp_` and its name.
pub fn identity(kind: &str, name: &str, more: &str) -> String {
    let hash = TokenHash::of(&token(name));
    format!("[[{kind}]]\nname = \"{name}\"\ntokens = [{{ sha256 = \"{hash}\" }}]\n{more}\n")
}

/// The token of a name in [`identity`].
pub fn token(name: &str) -> String {
    format!("hp_{name}")
}

fn has_exited(child: &Child) -> bool {
    // Not `try_wait`: that needs it mutable. A zombie still has its stat.
    let stat = fs::read_to_string(format!("/proc/{}/stat", child.id())).unwrap_or_default();
    stat.rsplit_once(") ").is_none_or(|(_, rest)| rest.starts_with('Z'))
}

fn clean(command: &mut Command, home: &Home) {
    command
        .env_clear()
        .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
        .env("HOME", home.folder.path())
        .env("USER", "olga")
        .env("TZ", "UTC")
        .env("HOLDPOINT_STATE_DIR", &home.state);
}

/// Runs a command of the command line as the person of local mode.
pub fn cli(home: &Home, arguments: &[&str]) -> Output {
    cli_with(home, &[], arguments)
}

/// The same, with more in its environment.
pub fn cli_with(home: &Home, variables: &[(&str, &str)], arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_holdpoint"));
    clean(&mut command, home);
    command.envs(variables.iter().copied());
    command.args(arguments).stdin(Stdio::null()).output().expect("the command runs")
}

/// A command of the command line as a configured identity.
pub fn cli_as(home: &Home, name: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_holdpoint"));
    clean(&mut command, home);
    command.env("HOLDPOINT_TOKEN", token(name)).args(arguments).stdin(Stdio::null());
    command
}

/// A daemon's process. Killed when dropped.
#[derive(Debug)]
pub struct Daemon<'a> {
    home: &'a Home,
    child: Option<Child>,
}

impl Daemon<'_> {
    /// Its process.
    pub fn pid(&self) -> Pid {
        Pid::from_child(self.child.as_ref().expect("it was not waited for yet"))
    }

    /// Has this configuration read, and waits until it is in force.
    pub async fn reload(&self, text: &str) {
        let before = self.home.log().len();
        self.home.configure(text);
        rustix::process::kill_process(self.pid(), Signal::HUP).expect("signal sent");
        wait_for("the reload", || async {
            self.home.log().split_off(before).contains("was reloaded").then_some(())
        })
        .await;
    }

    /// SIGKILL, and then it is gone.
    pub fn kill(mut self) {
        self.kill_now();
    }

    fn kill_now(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Asks it to stop.
    pub fn terminate(&self) {
        rustix::process::kill_process(self.pid(), Signal::TERM).expect("signal sent");
    }

    /// Asks it to stop, and waits until it has.
    pub async fn stop(self) {
        self.terminate();
        let status = self.ended().await;
        assert!(status.success(), "{status:?}\n{}", "the daemon did not stop well");
    }

    /// Waits until it has ended by itself.
    pub async fn ended(mut self) -> ExitStatus {
        let child = self.child.take().expect("it was not waited for yet");
        wait_for("the daemon to end", || async { has_exited(&child).then_some(()) }).await;
        let mut child = child;
        child.wait().expect("its status")
    }

    /// Waits until it has ended by itself, in a test without a runtime.
    pub fn exit(&mut self) -> ExitStatus {
        let mut child = self.child.take().expect("it was not waited for yet");
        let began = Instant::now();
        loop {
            if let Some(status) = child.try_wait().expect("its status") {
                return status;
            }
            if began.elapsed() > PATIENCE {
                let _ = child.kill();
                let _ = child.wait();
                panic!("the daemon did not end\n{}", self.home.log());
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Resident memory, in KiB.
    pub fn memory_kib(&self) -> u64 {
        let pid = self.pid().as_raw_nonzero();
        let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("its status");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("VmRSS");
        line.trim().trim_end_matches("kB").trim().parse().expect("a number")
    }
}

impl Drop for Daemon<'_> {
    fn drop(&mut self) {
        self.kill_now();
        if std::thread::panicking() {
            eprintln!("the daemon's log:\n{}", self.home.log());
        }
    }
}

/// A small file system of memory on a folder, for disks that fill up.
/// Needs to be allowed to mount; where it is not, there is none.
#[derive(Debug)]
pub struct SmallDisk {
    at: PathBuf,
}

impl SmallDisk {
    pub fn on(at: &Path, size: &str) -> Option<Self> {
        let options = format!("size={size},mode=0700");
        let mounted = mount(&["-t", "tmpfs", "-o", &options, "tmpfs"], at);
        if !mounted {
            super::left_out("this user may not mount a file system");
        }
        mounted.then(|| SmallDisk { at: at.to_owned() })
    }

    pub fn read_only(&self) -> bool {
        mount(&["-o", "remount,ro"], &self.at)
    }
}

fn mount(arguments: &[&str], at: &Path) -> bool {
    let done = Command::new("mount").args(arguments).arg(at).stderr(Stdio::null()).status();
    done.is_ok_and(|status| status.success())
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily: a daemon that is being dropped may hold a file open.
        let _ = Command::new("umount").arg("-l").arg(&self.at).status();
    }
}
