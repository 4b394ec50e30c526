//! The daemon put together: state directory, people, store, doors, mail; started
//! in an order in which nothing is served before it is safe, and stopped in one
//! in which nothing that was acknowledged is lost.

mod changes;
mod journal;
mod listeners;
mod outbox;
mod reload;
pub mod systemd;

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;

pub(crate) use outbox::mail_sender;

use crate::call::hex::{hex, unhex};
use crate::config::{Config, ConfigError, PublicUrl, StatePaths, token};
use crate::desk::links::Links;
use crate::desk::people::People;
use crate::desk::routes::Routes;
use crate::desk::seal::Seal;
use crate::desk::{Desk, Settings};
use crate::doors::{CrowdLimits, DoorCounts, Doors, H2, HTTP_1_1, Listener, Tls, open_files};
use crate::grpc::auth::Door;
use crate::grpc::server;
use crate::monitor;
use crate::store::clock::{self, SystemClock};
use crate::store::schema::DaemonLock;
use crate::telemetry::Dropped;
use crate::web::{self, Pages};
use journal::Journal;
use reload::Reloads;
use systemd::Sockets;

/// How long connections may take to end once the doors close. Everyone who waits
/// has been sent away by then, and what is under way takes milliseconds; but an
/// idle Python client does not look at its connection until it is used again.
const GRACE: Duration = Duration::from_secs(1);

/// How long those who wait have to hear why they are sent away, before their
/// connections are told to end as well. Told both at once, Python's gRPC client
/// was seen to take the end of the connection for the answer, without the reason.
const GOODBYE: Duration = Duration::from_millis(200);

/// How long a stop takes at most: less than the 10 seconds that a container gets.
/// Mail under way has 5 of them, long questions to the store 2. What is cut off
/// then was not acknowledged to anybody.
pub const STOP_WITHIN: Duration = Duration::from_secs(9);

/// Why the daemon does not start. Says what to do.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct CannotStart(String);

impl CannotStart {
    fn because(what: impl std::fmt::Display) -> Self {
        CannotStart(what.to_string())
    }
}

/// A daemon that serves.
#[derive(Debug)]
pub struct Daemon {
    desk: Arc<Desk>,
    paths: StatePaths,
    doors: JoinSet<Result<(), tonic::transport::Error>>,
    door_counts: Arc<DoorCounts>,
    tls: Option<Arc<Tls>>,
    /// The same certificate for the pages, which speak another protocol.
    pages_tls: Option<Arc<Tls>>,
    mail: Option<tokio::task::JoinHandle<()>>,
    journal: Option<Journal>,
    doors_close: watch::Sender<bool>,
    reloads: Reloads,
    /// Whether the socket in the state directory is ours: one that was passed
    /// stays when the daemon goes.
    own_socket: bool,
    /// Until the daemon ends: expiring tokens, the watchdog, metrics and health (one
    /// that stops still lives, and is not ready).
    beside: JoinSet<()>,
    /// Where it listens, in the form that clients take.
    pub addresses: Vec<String>,
    /// Where mails go, in words.
    pub mail_goes: String,
    /// Where metrics are, if they are anywhere.
    pub metrics_at: Option<String>,
    /// Where operators find their pages, if they are anywhere.
    pub pages_at: Option<String>,
    // Let go of last.
    _lock: DaemonLock,
}

impl Daemon {
    /// Starts everything; when this returns, clients can connect.
    pub async fn start(
        config: &Config,
        sockets: Sockets,
        dropped: Dropped,
    ) -> Result<Self, CannotStart> {
        // Socket, database, tokens and mails: for this user only.
        rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o077));
        let paths = config.paths().map_err(CannotStart::because)?;
        state_dir(&paths.dir)?;
        let lock = DaemonLock::take(&paths.lock).map_err(CannotStart::because)?;
        let people = people(config, &paths)?;
        let routes = Routes::new(&config.routes, config.default_timeout);
        let door_counts = Arc::new(DoorCounts::default());
        let tls = config.tls.as_ref().map(|files| Tls::start(files, H2, door_counts.clone()));
        let tls = tls.transpose().map_err(CannotStart::because)?;
        let desk = Desk::open(
            paths.database.clone(),
            Arc::new(SystemClock),
            people,
            routes,
            Settings::of(config),
        )
        .map_err(CannotStart::because)?;
        desk.store().write(clock::daemon_started).await.map_err(CannotStart::because)?;
        let journal = Journal::begin(&desk);
        let seal = seal(&paths.seal)?;
        let pages = listeners::pages(config).await?;
        let links = pages.as_ref().map(|(_, url)| Links::new(seal.clone(), url.clone()));
        let (mail, mail_goes) = outbox::start(&desk, config, &paths, links)?;
        let door = Door { desk: desk.clone(), mail: mail_goes.as_str().into() };
        let mut daemon = Daemon {
            desk,
            paths,
            doors: JoinSet::new(),
            door_counts,
            tls,
            pages_tls: None,
            mail: Some(mail),
            journal: Some(journal),
            doors_close: watch::Sender::new(false),
            reloads: Reloads::new(config),
            own_socket: false,
            beside: JoinSet::new(),
            addresses: Vec::new(),
            mail_goes,
            metrics_at: None,
            pages_at: None,
            _lock: lock,
        };
        daemon.open_monitor(config, dropped).await?;
        let doors = daemon.open_doors(config, sockets, &door).await?;
        if let Some((listener, url)) = pages {
            daemon.open_pages(config, &doors, seal, listener, url)?;
        }
        systemd::ready(daemon.status()).await;
        daemon.beside.spawn(systemd::watchdog(daemon.desk.clone()));
        daemon.beside.spawn(daemon.desk.clone().watch_expiry());
        Ok(daemon)
    }

    async fn open_doors(
        &mut self,
        config: &Config,
        sockets: Sockets,
        door: &Door,
    ) -> Result<Doors, CannotStart> {
        let limits = CrowdLimits {
            connections: open_files::connections_allowed(config.limits.max_connections),
            per_address: config.limits.max_connections_per_address,
        };
        let doors = Doors::new(limits, self.door_counts.clone());
        self.beside.spawn(doors.clone().review(self.desk.clone()));
        self.own_socket = sockets.unix.is_empty();
        for socket in listeners::unix(&self.paths.socket, sockets.unix)? {
            let address = listeners::unix_address(&socket);
            self.open_door(&doors, door, Listener::Unix(socket), address).await?;
        }
        for listener in listeners::tcp(config, sockets.tcp).await? {
            let address = listener.local_addr().map_err(CannotStart::because)?;
            let scheme = if self.tls.is_some() { "https" } else { "http" };
            let address = format!("{scheme}://{address}");
            self.open_door(&doors, door, Listener::Tcp(listener), address).await?;
        }
        Ok(doors)
    }

    /// The operators' pages, until the doors close.
    fn open_pages(
        &mut self,
        config: &Config,
        doors: &Doors,
        seal: Seal,
        listener: TcpListener,
        url: PublicUrl,
    ) -> Result<(), CannotStart> {
        let files = config.tls.as_ref();
        let tls = files.map(|files| Tls::start(files, HTTP_1_1, self.door_counts.clone()));
        self.pages_tls = tls.transpose().map_err(CannotStart::because)?;
        self.pages_at = Some(format!("{url}/"));
        let pages = Pages::new(self.desk.clone(), seal, url, self.mail_goes.as_str().into());
        let connections = doors.open(Listener::Tcp(listener), self.pages_tls.clone());
        let mut close = self.doors_close.subscribe();
        let stop = async move {
            let _ = close.wait_for(|close| *close).await;
        };
        self.doors.spawn(async move {
            web::serve(pages, connections, stop).await;
            Ok(())
        });
        Ok(())
    }

    /// Serves what comes from one listener, until the doors close.
    async fn open_door(
        &mut self,
        doors: &Doors,
        door: &Door,
        listener: Listener,
        address: String,
    ) -> Result<(), CannotStart> {
        let router = server::router(door).await.map_err(CannotStart::because)?;
        let connections = doors.open(listener, self.tls.clone());
        let mut close = self.doors_close.subscribe();
        let stop = async move {
            let _ = close.wait_for(|close| *close).await;
        };
        self.doors.spawn(server::serve(router, connections, stop));
        self.addresses.push(address);
        Ok(())
    }

    /// Metrics and health, on an address of their own.
    async fn open_monitor(&mut self, config: &Config, dropped: Dropped) -> Result<(), CannotStart> {
        let Some(address) = config.metrics_listen else { return Ok(()) };
        let listener = server::bind_tcp("metrics_listen", address).await;
        let listener = listener.map_err(CannotStart::because)?;
        let address = listener.local_addr().unwrap_or(address);
        self.metrics_at = Some(format!("http://{address}/metrics"));
        let (desk, doors) = (self.desk.clone(), self.door_counts.clone());
        self.beside.spawn(monitor::serve(desk, doors, dropped, listener));
        Ok(())
    }

    /// What the doors have counted so far.
    pub fn door_counts(&self) -> &Arc<DoorCounts> {
        &self.door_counts
    }

    /// What it does, for systemd.
    fn status(&self) -> String {
        format!("serving on {}", self.addresses.join(" "))
    }

    /// Everything behind the doors.
    pub fn desk(&self) -> &Arc<Desk> {
        &self.desk
    }

    /// Reads the configuration again by `read` and takes it over. See `reload`.
    pub async fn reload_by(
        &mut self,
        read: impl FnOnce() -> Result<(Config, Vec<String>), ConfigError> + Send + 'static,
    ) {
        systemd::reloading().await;
        let said = match tokio::task::spawn_blocking(read).await {
            Ok(read) => self.reload(read).await,
            Err(error) => Err(format!("the configuration could not be read: {error}")),
        };
        let (Ok(said) | Err(said)) = said;
        systemd::ready(format!("{}; {said}", self.status())).await;
    }

    /// Stops: everyone who waits is told to come back, what is queued is
    /// committed, the socket goes. Takes at most [`STOP_WITHIN`]; false if that was
    /// not enough. Even then all that was acknowledged is on disk.
    pub async fn stop(mut self) -> bool {
        let in_time = tokio::time::timeout(STOP_WITHIN, self.stop_in_order()).await.is_ok();
        if self.own_socket {
            // Whoever connects now is told at once that nobody is there.
            let _ = fs::remove_file(&self.paths.socket);
        }
        in_time
    }

    async fn stop_in_order(&mut self) {
        systemd::stopping().await;
        self.reloads.stop();
        self.desk.start_closing();
        tokio::time::sleep(GOODBYE).await;
        let sent_away = async {
            while self.desk.held() > 0 {
                tokio::time::sleep(GOODBYE).await;
            }
        };
        if tokio::time::timeout(GRACE, sent_away).await.is_err() {
            tracing::warn!(held = self.desk.held(), "some who wait could not be told in time");
        }
        self.doors_close.send_replace(true);
        let ended = async { while self.doors.join_next().await.is_some() {} };
        if tokio::time::timeout(GRACE, ended).await.is_err() {
            tracing::warn!("some connections did not end in time and are cut");
            self.doors.abort_all();
        }
        if let Some(mail) = self.mail.take() {
            let _ = mail.await;
        }
        self.desk.close().await;
        if let Some(journal) = self.journal.take() {
            journal.finish().await;
        }
    }
}

/// Makes the state directory, or sees to it that it is ours alone.
pub(crate) fn state_dir(dir: &Path) -> Result<(), CannotStart> {
    let fail = |e: std::io::Error| {
        CannotStart::because(format!(
            "cannot use the state directory {}: {e}; choose another with --state-dir, or mend its owner and mode",
            dir.display()
        ))
    };
    let existed = dir.is_dir();
    fs::DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(fail)?;
    if !existed {
        return Ok(());
    }
    let metadata = fs::metadata(dir).map_err(fail)?;
    if metadata.uid() != rustix::process::geteuid().as_raw() {
        // Whoever owns it can put tokens of their own into it.
        return Err(fail(std::io::Error::other("it belongs to another user")));
    }
    let mode = metadata.permissions().mode();
    if mode & 0o077 != 0 {
        // It holds tokens, and the socket: what others can enter, others can use.
        // But somebody else's folder, /tmp perhaps, is not ours to close.
        let mut inside = fs::read_dir(dir).map_err(fail)?;
        // A configuration may have been put there before the first start.
        let ours = ["lock", "holdpoint.toml"].iter().any(|name| dir.join(name).exists());
        if !ours && inside.next().is_some() {
            return Err(CannotStart::because(format!(
                "the state directory {} is open to other users and holds files of something else; choose another with --state-dir, or, if it is Holdpoint's alone, chmod 0700 it",
                dir.display()
            )));
        }
        fs::set_permissions(dir, fs::Permissions::from_mode(0o700)).map_err(fail)?;
        tracing::warn!(dir = %dir.display(), "the state directory was open to others; it is 0700 now");
    }
    Ok(())
}

fn people(config: &Config, paths: &StatePaths) -> Result<People, CannotStart> {
    if !config.local_mode() {
        return Ok(People::new(&config.callers, &config.operators));
    }
    let caller = local_token(&paths.caller_token)?;
    let operator = local_token(&paths.operator_token)?;
    Ok(People::local(&caller, &operator, &user_name()))
}

/// The token in a file of the state directory, made on first use.
fn local_token(path: &Path) -> Result<String, CannotStart> {
    secret(path, || token::generate().map_err(CannotStart::because))
}

/// What links and forms are sealed with.
fn seal(path: &Path) -> Result<Seal, CannotStart> {
    let text = secret(path, || {
        let mut bytes = [0; 32];
        getrandom::fill(&mut bytes).map_err(CannotStart::because)?;
        Ok(hex(&bytes))
    })?;
    let bytes = unhex(&text).ok_or_else(|| {
        CannotStart::because(format!(
            "{} does not hold 64 hex digits; remove it to get a new one (links in mails that were sent become void)",
            path.display()
        ))
    })?;
    Ok(Seal::new(bytes))
}

/// A secret in a file of the state directory, made on first use.
fn secret(
    path: &Path,
    make: impl FnOnce() -> Result<String, CannotStart>,
) -> Result<String, CannotStart> {
    let fail = |e: std::io::Error| {
        CannotStart::because(format!(
            "cannot use {}: {e}; mend its owner and mode, or remove it to get a new one",
            path.display()
        ))
    };
    match fs::symlink_metadata(path) {
        Ok(metadata) if is_only_ours(&metadata) => {
            let text = fs::read_to_string(path).map_err(fail)?;
            if !text.trim().is_empty() {
                return Ok(text.trim().to_owned());
            }
            fs::remove_file(path).map_err(fail)?;
        }
        Ok(_) => {
            fs::remove_file(path).map_err(fail)?;
            tracing::warn!(file = %path.display(), "others could read or choose this secret; a new one is made");
        }
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {}
        Err(e) => return Err(fail(e)),
    }
    let secret = make()?;
    let mut file = (fs::OpenOptions::new().write(true).create_new(true).mode(0o600))
        .open(path)
        .map_err(fail)?;
    file.write_all(secret.as_bytes()).and_then(|()| file.sync_all()).map_err(fail)?;
    Ok(secret)
}

/// Whether nobody else can have read or written a file: one of ours, for us alone.
fn is_only_ours(metadata: &fs::Metadata) -> bool {
    metadata.is_file()
        && metadata.uid() == rustix::process::geteuid().as_raw()
        && metadata.permissions().mode() & 0o077 == 0
}

/// What the system calls the person whose daemon this is.
fn user_name() -> String {
    let named = |key| std::env::var(key).ok().filter(|name| !name.is_empty());
    named("USER").or_else(|| named("LOGNAME")).unwrap_or_else(|| "local-operator".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_that_others_could_read_or_choose_is_made_anew() {
        let folder = tempfile::tempdir().expect("a folder");
        let (path, other) = (folder.path().join("operator.token"), folder.path().join("theirs"));
        let first = local_token(&path).expect("made");
        assert_eq!(local_token(&path).expect("kept"), first);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).expect("mode");
        let second = local_token(&path).expect("made anew");
        assert_ne!(second, first);
        assert_eq!(fs::metadata(&path).expect("there").permissions().mode() & 0o777, 0o600);
        fs::rename(&path, &other).expect("moved");
        std::os::unix::fs::symlink(&other, &path).expect("linked");
        assert_ne!(local_token(&path).expect("made anew"), second);
        assert_eq!(fs::read_to_string(&other).expect("left alone"), second);
    }
}
