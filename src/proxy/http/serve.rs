//! The HTTP door put together from its configuration, opened and closed.

use std::collections::HashMap;
use std::fs::{self, DirBuilder, Permissions};
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::Path;
use std::sync::Arc;

use tokio::net::{TcpListener, UnixListener, UnixStream};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::accept;
use super::body::Bodies;
use super::child::{Local, Processes, Room};
use super::door::{Behind, Door};
use super::remote::Remote;
use super::rules::Rules;
use super::seal::Sealer;
use super::sessions::Sessions;
use super::who::Clients;
use crate::config::printable;
use crate::doors::{CrowdLimits, DoorCounts, Doors, HTTP_1_1, Listener, Tls, TlsError, open_files};
use crate::proxy::config::{Listen, ProxyConfig, ServerKind};
use crate::proxy::gate::Gate;
use crate::proxy::upstream::url::{CannotAsk, UrlServer};

/// Connections at the same time. Each call that is held has one of its own.
const CONNECTIONS: usize = 4096;

/// And of those from one address.
const PER_ADDRESS: usize = 1024;

/// A door that is open.
#[derive(Debug)]
pub struct Serving {
    /// Where clients reach it, as they write it.
    pub address: String,
    gate: Arc<Gate>,
    stop: CancellationToken,
    serving: JoinHandle<()>,
    /// The servers that are commands.
    processes: Processes,
    /// Looks after the certificate as long as it lives.
    _tls: Option<Arc<Tls>>,
}

/// The door cannot be opened. Says why and what to do.
#[derive(Debug, thiserror::Error)]
pub enum CannotServe {
    /// TLS cannot be spoken.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// A server cannot be asked.
    #[error("the server \"{0}\": {1}")]
    Server(String, CannotAsk),
    /// The address cannot be had.
    #[error("cannot listen on {0}: {1}; choose another `listen`, or stop what uses it")]
    Listen(String, std::io::Error),
}

impl Serving {
    /// Opens the door. `secret` is the proxy's credential at the daemon.
    pub async fn start(
        config: &ProxyConfig,
        gate: Arc<Gate>,
        secret: &[u8],
    ) -> Result<Serving, CannotServe> {
        let room = Room::new(&config.limits);
        let servers = servers(config, &gate, &Sealer::new(secret), &room)?;
        let counts = Arc::new(DoorCounts::default());
        let tls = (config.tls.as_ref())
            .map(|files| Tls::start(files, HTTP_1_1, counts.clone()))
            .transpose()?;
        let failed = |error| CannotServe::Listen(config.listen.to_string(), error);
        let (listener, listen) = bind(&config.listen).await.map_err(failed)?;
        let door = Arc::new(Door {
            rules: Rules::new(&listen, tls.is_some(), &config.hosts, &config.origins),
            clients: Clients::new(config),
            bodies: Bodies::new(config.limits.message),
            servers,
        });
        let limits = CrowdLimits {
            connections: open_files::connections_allowed(CONNECTIONS),
            per_address: PER_ADDRESS,
        };
        let connections = Doors::new(limits, counts).open(listener, tls.clone());
        let stop = CancellationToken::new();
        let serving = tokio::spawn(accept::serve(door, connections, stop.clone()));
        let scheme = if tls.is_some() { "https" } else { "http" };
        let address = match &listen {
            Listen::Tcp(address) => format!("{scheme}://{address}"),
            Listen::Unix(_) => listen.to_string(),
        };
        Ok(Serving { address, gate, stop, serving, processes: Processes(room), _tls: tls })
    }

    /// Closes it, and ends what is under way within moments.
    pub async fn stop(self) {
        self.stop.cancel();
        // It ends by itself; a panic in it has nothing more to stop.
        let _ = self.serving.await;
        self.processes.stop().await;
        self.gate.finish().await;
    }
}

fn servers(
    config: &ProxyConfig,
    gate: &Arc<Gate>,
    sealer: &Sealer,
    room: &Arc<Room>,
) -> Result<HashMap<String, Behind>, CannotServe> {
    let mut servers = HashMap::new();
    for server in &config.servers {
        let name = server.name.clone();
        let upstream = match &server.kind {
            ServerKind::Url(url) => UrlServer::new(url),
            ServerKind::Child(child) => {
                let (gate, limits) = (gate.clone(), config.limits);
                let local = Local::new(&name, child.clone(), gate, limits, room.clone());
                servers.insert(name, Behind::Child(local));
                continue;
            }
        };
        let upstream = upstream.map_err(|error| CannotServe::Server(name.clone(), error))?;
        let remote = Remote {
            name: Arc::from(&*name),
            upstream: Arc::new(upstream),
            gate: gate.clone(),
            sealer: sealer.clone(),
            sessions: Sessions::new(name.clone(), config.limits.idle),
            longest: config.limits.message,
            answer: config.limits.answer,
        };
        servers.insert(name, Behind::Url(Box::new(remote)));
    }
    Ok(servers)
}

/// Binds, and says what was bound: the system may have chosen the port.
async fn bind(listen: &Listen) -> std::io::Result<(Listener, Listen)> {
    match listen {
        Listen::Tcp(address) => {
            let listener = TcpListener::bind(address).await?;
            let bound = Listen::Tcp(listener.local_addr()?);
            Ok((Listener::Tcp(listener), bound))
        }
        Listen::Unix(path) => Ok((Listener::Unix(bind_socket(path).await?), listen.clone())),
    }
}

/// Makes the socket, for this user alone from its first moment.
async fn bind_socket(path: &Path) -> std::io::Result<UnixListener> {
    if UnixStream::connect(path).await.is_ok() {
        let what = format!("somebody listens on {} already", printable(path));
        return Err(std::io::Error::new(std::io::ErrorKind::AddrInUse, what));
    }
    let folder = path.parent().unwrap_or(Path::new("."));
    DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    // Under another name until it is private; then it takes the place of one that
    // was left behind.
    let new = path.with_extension(format!("{}.new", std::process::id()));
    let _ = fs::remove_file(&new);
    let listener = UnixListener::bind(&new)?;
    fs::set_permissions(&new, Permissions::from_mode(0o600))?;
    fs::rename(&new, path)?;
    Ok(listener)
}
