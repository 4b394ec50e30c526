//! Taking connections in, before any of them has said a word of gRPC or MCP.
//!
//! ```text
//! listener ── accept ──> crowd: room? ──> TLS handshake ──> connection ──> tonic, hyper
//!                          │ no: the oldest that has not    (each in a task
//!                          │ authenticated goes, or this one)    of its own)
//! ```
//!
//! Promises: nobody who is slow, silent or many keeps somebody else from being
//! served; a certificate is exchanged without losing a connection; who showed a
//! client certificate that was verified is known by its names on every request.
//! Must never: decide who that is. That is asked anew for each call, see
//! [`crate::grpc::auth`].

mod certificate;
mod connection;
mod counts;
mod crowd;
pub mod open_files;
mod tls;

use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::CertificateDer;
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_rustls::TlsAcceptor;
use tokio_stream::wrappers::ReceiverStream;

pub use connection::{Connection, GREETINGS_AT_MOST, Greeting, Peer};
pub use counts::DoorCounts;
pub use crowd::CrowdLimits;
pub use tls::{H2, HTTP_1_1, Tls, TlsError};

use certificate::Certificate;
use connection::Io;
use crowd::{Crowd, Place};

use crate::desk::Desk;

/// How long a TLS handshake may take. Two round trips and a signature.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// How often is looked who is still known when nothing has changed: a call that
/// came in just before a change may have made its connection known just after.
const REVIEW_EVERY: Duration = Duration::from_secs(60);

/// Connections that wait to be served; serving begins at once.
const READY: usize = 64;

/// How long to wait when the system has no file descriptor or memory left for a
/// connection: without, the loop would spin, for the connection stays in its queue.
const RECOVER: Duration = Duration::from_millis(100);

/// The same, when somebody was sent away and will be gone at once.
const RECOVER_DISPLACED: Duration = Duration::from_millis(5);

/// How often that is said in the log while it lasts.
const SAY_EVERY: Duration = Duration::from_secs(60);

/// Where connections come from. Already bound, by us or by who started us.
#[derive(Debug)]
pub enum Listener {
    /// This machine's own.
    Unix(UnixListener),
    /// Anybody's.
    Tcp(TcpListener),
}

enum Accepted {
    Unix(UnixStream),
    Tcp(TcpStream, IpAddr),
}

/// What all doors share.
#[derive(Debug, Clone)]
pub struct Doors {
    crowd: Arc<Crowd>,
    counts: Arc<DoorCounts>,
}

impl Doors {
    /// No door yet, and nobody inside.
    pub fn new(limits: CrowdLimits, counts: Arc<DoorCounts>) -> Self {
        Doors { crowd: Crowd::new(limits, counts.clone()), counts }
    }

    /// Takes the seats of those back who are not known any more; until the end.
    pub async fn review(self, desk: Arc<Desk>) {
        let mut changes = desk.changes();
        loop {
            // The desk is there, so this ends with a change or with the time.
            let _ = tokio::time::timeout(REVIEW_EVERY, changes.changed()).await;
            self.crowd.review(|who| desk.still(who).is_ok());
        }
    }

    /// Takes connections in until what is returned is dropped. TLS is for TCP.
    pub fn open(
        &self,
        listener: Listener,
        tls: Option<Arc<Tls>>,
    ) -> impl tokio_stream::Stream<Item = io::Result<Connection>> + use<> {
        let (ready, connections) = mpsc::channel(READY);
        let door = OneDoor { doors: self.clone(), tls, ready };
        tokio::spawn(door.take_in(listener));
        ReceiverStream::new(connections)
    }
}

impl Listener {
    async fn accept(&self) -> io::Result<Accepted> {
        match self {
            Listener::Unix(listener) => Ok(Accepted::Unix(listener.accept().await?.0)),
            Listener::Tcp(listener) => {
                let (stream, from) = listener.accept().await?;
                // Messages are small, and somebody waits for each.
                stream.set_nodelay(true)?;
                Ok(Accepted::Tcp(stream, from.ip()))
            }
        }
    }
}

struct OneDoor {
    doors: Doors,
    tls: Option<Arc<Tls>>,
    ready: mpsc::Sender<io::Result<Connection>>,
}

impl OneDoor {
    async fn take_in(self, listener: Listener) {
        // Handshakes end with the door: the set aborts them when it is dropped.
        let mut handshakes = JoinSet::new();
        let mut trouble = Trouble::default();
        loop {
            tokio::select! {
                () = self.ready.closed() => return,
                accepted = listener.accept() => match accepted {
                    Ok(accepted) => self.one(accepted, &mut handshakes),
                    Err(error) => self.without(&error, &mut trouble).await,
                },
                Some(_) = handshakes.join_next() => {}
            }
        }
    }

    /// Finds a place for one connection, or closes it.
    fn one(&self, accepted: Accepted, handshakes: &mut JoinSet<()>) {
        let address = match &accepted {
            Accepted::Unix(_) => None,
            Accepted::Tcp(_, address) => Some(*address),
        };
        let Some((place, cut)) = self.doors.crowd.enter(address) else { return };
        let (tls, ready) = (self.tls.clone(), self.ready.clone());
        let counts = self.doors.counts.clone();
        handshakes.spawn(async move {
            if let Some(connection) = connect(accepted, tls, place, cut, &counts).await {
                // Nobody takes it any more: the door closes.
                let _ = ready.send(Ok(connection)).await;
            }
        });
    }

    /// The system could not hand a connection over.
    async fn without(&self, error: &io::Error, trouble: &mut Trouble) {
        DoorCounts::add(&self.doors.counts.accept_errors);
        // The one that came is gone; the next may be fine.
        let gone = [
            io::ErrorKind::ConnectionAborted,
            io::ErrorKind::ConnectionReset,
            io::ErrorKind::Interrupted,
            io::ErrorKind::NotConnected,
            io::ErrorKind::InvalidInput,
        ];
        if gone.contains(&error.kind()) {
            return;
        }
        trouble.say(error);
        let displaced = self.doors.crowd.displace_one();
        tokio::time::sleep(if displaced { RECOVER_DISPLACED } else { RECOVER }).await;
    }
}

/// That connections cannot be taken in, and when it was last said.
#[derive(Default)]
struct Trouble(Option<Instant>);

impl Trouble {
    fn say(&mut self, error: &io::Error) {
        if self.0.is_none_or(|said| said.elapsed() >= SAY_EVERY) {
            tracing::error!(
                %error,
                "the system cannot hand over connections; raise the limit of open files (LimitNOFILE, ulimit -n)"
            );
            self.0 = Some(Instant::now());
        }
    }
}

/// Makes a connection of what was accepted; `None` if nothing comes of it.
async fn connect(
    accepted: Accepted,
    tls: Option<Arc<Tls>>,
    place: Place,
    mut cut: oneshot::Receiver<()>,
    counts: &DoorCounts,
) -> Option<Connection> {
    let (stream, tls) = match (accepted, tls) {
        (Accepted::Unix(stream), _) => {
            return Some(Connection::new(Io::Unix(stream), Peer::new(place, None), cut));
        }
        (Accepted::Tcp(stream, _), None) => {
            return Some(Connection::new(Io::Tcp(stream), Peer::new(place, None), cut));
        }
        (Accepted::Tcp(stream, _), Some(tls)) => (stream, tls),
    };
    let handshake = TlsAcceptor::from(tls.current()).accept(stream);
    let made = tokio::select! {
        made = tokio::time::timeout(HANDSHAKE, handshake) => made,
        // Displaced by a newer one.
        _ = &mut cut => return None,
    };
    let failed = match made {
        Ok(Ok(stream)) => match shown(stream.get_ref().1.peer_certificates()) {
            Ok(certificate) => {
                if let Some(certificate) = &certificate {
                    place.ends(certificate.ends);
                }
                let peer =
                    Peer::new(place, certificate.map(|certificate| certificate.names.into()));
                return Some(Connection::new(Io::Tls(Box::new(stream)), peer, cut));
            }
            Err(error) => error.to_string(),
        },
        Ok(Err(error)) => error.to_string(),
        Err(_) => "it took too long".to_owned(),
    };
    DoorCounts::add(&counts.handshake_failures);
    tracing::debug!(error = failed, "a TLS handshake failed");
    None
}

/// What the client's certificate says, if it showed one; it was verified in the handshake.
fn shown(
    chain: Option<&[CertificateDer<'_>]>,
) -> Result<Option<Certificate>, certificate::Unreadable> {
    chain.and_then(<[_]>::first).map(|leaf| Certificate::read(leaf)).transpose()
}
