//! One connection: a socket with or without TLS, which knows its place in the
//! crowd and can be closed from there.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio::sync::oneshot;
use tokio::time::Sleep;
use tokio_rustls::server::TlsStream;
use tonic::transport::server::Connected;

use super::crowd::{Place, Standing};
use crate::desk::visitor::Visitor;

/// A peer that takes nothing for so long is gone, or might as well be: what it
/// does not read stays in memory here. Keepalive alone does not see it, because
/// its last word, the end of the connection, would wait behind all the rest.
const TAKES_NOTHING: Duration = Duration::from_secs(15);

/// Calls without a good credential since the last with one, on a connection that
/// is not known (a gateway that is known holds other callers' calls, too). A
/// program whose token has expired asks again some times; one that tries tokens,
/// or only means to keep the daemon busy, has to connect anew for each hundred.
const REFUSED_AT_MOST: u32 = 100;

/// Questions without an identity that one connection may have open: a client
/// watches the health of a service or two, and reads the contract.
pub const GREETINGS_AT_MOST: u32 = 8;

/// What carries the bytes.
#[derive(Debug)]
pub(super) enum Io {
    Unix(UnixStream),
    Tcp(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

/// A connection that may make calls.
#[derive(Debug)]
pub struct Connection {
    io: Io,
    peer: Peer,
    /// Ends it; gone once nobody can.
    cut: Option<oneshot::Receiver<()>>,
    /// Since when nothing could be written, as the time when that is enough.
    stalled: Option<Pin<Box<Sleep>>>,
}

/// The other side, as every request finds it among its extensions.
#[derive(Debug, Clone)]
pub struct Peer(Arc<Other>);

#[derive(Debug)]
struct Other {
    /// The names in the verified client certificate, if it showed one.
    names: Option<Arc<[String]>>,
    place: Place,
    /// So that only the first call of a connection has to go to the crowd, and
    /// the first after each review.
    greeted: AtomicBool,
    known_at: AtomicU64,
    /// Questions that need no identity and are not answered yet.
    greetings: AtomicU32,
    /// Calls that were refused for want of an identity since the last that was not.
    refused: AtomicU32,
}

/// A question that needs no identity, until it is answered.
#[derive(Debug)]
pub struct Greeting(Peer);

impl Drop for Greeting {
    fn drop(&mut self) {
        self.0.0.greetings.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Peer {
    pub(super) fn new(place: Place, names: Option<Arc<[String]>>) -> Self {
        Peer(Arc::new(Other {
            names,
            place,
            greeted: AtomicBool::new(false),
            known_at: AtomicU64::new(0),
            greetings: AtomicU32::new(0),
            refused: AtomicU32::new(0),
        }))
    }

    /// The names in its certificate, which its CA has vouched for; `None` if it
    /// showed no certificate.
    pub fn names(&self) -> Option<&Arc<[String]>> {
        self.0.names.as_ref()
    }

    /// It asks something that needs no identity. What is returned is held until
    /// that is answered; `None` if too many of its questions are open already.
    pub fn greets(&self) -> Option<Greeting> {
        if !self.0.greeted.swap(true, Ordering::Relaxed) {
            self.0.place.rise(Standing::Greeted);
        }
        let greeting = Greeting(self.clone());
        let open = self.0.greetings.fetch_add(1, Ordering::Relaxed);
        (open < GREETINGS_AT_MOST).then_some(greeting)
    }

    /// It made a call as somebody who is known.
    pub fn known(&self, who: &Visitor) {
        self.0.refused.store(0, Ordering::Relaxed);
        let reviews = self.0.place.reviews();
        if self.0.known_at.load(Ordering::Relaxed) != reviews {
            self.0.place.known(who);
            self.0.known_at.store(reviews, Ordering::Relaxed);
        }
    }

    /// It made a call with a credential that nothing takes back while this runs.
    pub fn vouched(&self) {
        self.0.refused.store(0, Ordering::Relaxed);
        if self.0.known_at.swap(u64::MAX, Ordering::Relaxed) != u64::MAX {
            self.0.place.rise(Standing::Known);
        }
    }

    /// A call of its was refused because nobody here is known by its credential.
    /// Who shows no good one, or none any more, does not go on for ever.
    pub fn refused(&self) {
        let refused = self.0.refused.fetch_add(1, Ordering::Relaxed) + 1;
        if refused >= REFUSED_AT_MOST && !self.0.place.is_known() {
            self.0.place.give_up();
        }
    }
}

impl Connection {
    pub(super) fn new(io: Io, peer: Peer, cut: oneshot::Receiver<()>) -> Self {
        Connection { io, peer, cut: Some(cut), stalled: None }
    }

    fn is_tls(&self) -> bool {
        matches!(self.io, Io::Tls(_))
    }

    /// An error once the connection was ended from here.
    fn poll_cut(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        let Some(cut) = &mut self.cut else { return Ok(()) };
        match Pin::new(cut).poll(cx) {
            Poll::Pending => Ok(()),
            Poll::Ready(Ok(())) => Err(closed("closed from this side")),
            Poll::Ready(Err(_)) => {
                self.cut = None;
                Ok(())
            }
        }
    }

    /// Watches that what is written leaves this process. TLS takes some of it
    /// into a buffer of its own: there only a flush says that it left.
    fn poll_written<T>(
        &mut self,
        cx: &mut Context<'_>,
        written: Poll<io::Result<T>>,
        left: bool,
    ) -> Poll<io::Result<T>> {
        if written.is_ready() {
            if left {
                self.stalled = None;
            }
            return written;
        }
        self.poll_cut(cx)?;
        let stalled =
            self.stalled.get_or_insert_with(|| Box::pin(tokio::time::sleep(TAKES_NOTHING)));
        match stalled.as_mut().poll(cx) {
            Poll::Ready(()) => Poll::Ready(Err(closed("the other side takes nothing"))),
            Poll::Pending => Poll::Pending,
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        // Requests that are being ended still hold the peer; its place is free now.
        self.peer.0.place.leave();
    }
}

fn closed(why: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::ConnectionAborted, why)
}

impl Connected for Connection {
    type ConnectInfo = Peer;

    fn connect_info(&self) -> Peer {
        self.peer.clone()
    }
}

/// The same for each kind of socket.
macro_rules! on {
    ($io:expr, $socket:ident => $do:expr) => {
        match $io {
            Io::Unix($socket) => $do,
            Io::Tcp($socket) => $do,
            Io::Tls($socket) => $do,
        }
    };
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.poll_cut(cx)?;
        on!(&mut self.io, socket => Pin::new(socket).poll_read(cx, buffer))
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = on!(&mut self.io, socket => Pin::new(socket).poll_write(cx, bytes));
        let left = !self.is_tls();
        self.poll_written(cx, written, left)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = on!(&mut self.io, socket => Pin::new(socket).poll_write_vectored(cx, bytes));
        let left = !self.is_tls();
        self.poll_written(cx, written, left)
    }

    fn is_write_vectored(&self) -> bool {
        on!(&self.io, socket => socket.is_write_vectored())
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = on!(&mut self.io, socket => Pin::new(socket).poll_flush(cx));
        self.poll_written(cx, flushed, true)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let shut = on!(&mut self.io, socket => Pin::new(socket).poll_shutdown(cx));
        self.poll_written(cx, shut, true)
    }
}
