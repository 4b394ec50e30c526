//! One connection to a server, driven by whoever waits for its answer.
//!
//! hyper gives a connection out as two halves: one that sends, and one that does the
//! work and is meant for a task of its own. Here the task of the call polls both: a
//! request is written and its answer read without waking another task, which costs
//! more than both (a wake-up is a system call, and often another processor's).
//!
//! Promises: a request comes back to who sent it if not one byte of it left. Must
//! never: send a request twice.

use std::fmt;
use std::future::poll_fn;
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::task::unconstrained;
use tokio_rustls::client::TlsStream;

use super::idle::Idle;

/// A request as it is sent.
pub type Outbound = Request<Full<Bytes>>;

/// A connection.
pub struct Connection {
    send: http1::SendRequest<Full<Bytes>>,
    /// `None` once it has ended.
    work: Option<http1::Connection<TokioIo<Stream>, Full<Bytes>>>,
}

/// Why a request got no answer.
#[derive(Debug)]
pub enum Unanswered {
    /// Not one byte of it left: here it is.
    Unsent(Box<Outbound>),
    /// The server may have read it.
    Broken(hyper::Error),
}

impl Connection {
    /// Speaks HTTP/1.1 over this stream.
    ///
    /// # Errors
    /// It cannot be begun; nothing was sent.
    pub async fn over(stream: Stream) -> Result<Box<Connection>, hyper::Error> {
        let (send, work) = http1::handshake(TokioIo::new(stream)).await?;
        Ok(Box::new(Connection { send, work: Some(work) }))
    }

    /// Sends a request and returns when its answer begins. Of a connection that was
    /// idle, what the server did meanwhile is looked at before anything is sent.
    ///
    /// # Errors
    /// There is none.
    pub async fn ask(
        mut self: Box<Self>,
        request: Outbound,
        idle: &Arc<Idle>,
    ) -> Result<Response<Answer>, Unanswered> {
        // It is completed by what was just done, or not yet: it has nobody to wake. So it
        // must not be put off either, as tokio does where a task did much in one go.
        let mut sending = pin!(unconstrained(self.send.try_send_request(request)));
        let answered = poll_fn(|cx| {
            drive(&mut self.work, cx);
            sending.as_mut().poll(&mut Context::from_waker(Waker::noop()))
        });
        match answered.await {
            Ok(response) => Ok(response.map(|body| Answer::new(body, self, idle.clone()))),
            Err(mut failed) => Err(match failed.take_message() {
                Some(request) => Unanswered::Unsent(Box::new(request)),
                None => Unanswered::Broken(failed.into_error()),
            }),
        }
    }

    /// Whether its last answer is read to the end, and it takes another request.
    fn is_free(&self) -> bool {
        self.work.is_some() && self.send.is_ready()
    }

    /// Makes it forget the task that drove it last, so that this is not woken when
    /// another uses it.
    fn rest(&mut self) {
        drive(&mut self.work, &mut Context::from_waker(Waker::noop()));
    }
}

/// Lets a connection do what it can just now. What goes wrong with it hears who waits
/// for the answer or reads it.
fn drive<W: Future + Unpin>(work: &mut Option<W>, cx: &mut Context<'_>) {
    if work.as_mut().is_some_and(|work| Pin::new(work).poll(cx).is_ready()) {
        *work = None;
    }
}

/// The body of an answer, as it comes, with the connection over which it does.
pub struct Answer {
    body: Incoming,
    /// Where the connection goes once all has come; `None`: it has gone.
    from: Option<(Box<Connection>, Arc<Idle>)>,
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Answer").finish_non_exhaustive()
    }
}

impl Answer {
    fn new(body: Incoming, connection: Box<Connection>, idle: Arc<Idle>) -> Answer {
        let mut answer = Answer { body, from: Some((connection, idle)) };
        answer.let_go();
        answer
    }

    /// Gives the connection to the next call as soon as all has come, whether that was
    /// read or not: what has come is here.
    fn let_go(&mut self) {
        let Some((mut connection, idle)) = self.from.take_if(|(one, _)| one.is_free()) else {
            return;
        };
        connection.rest();
        if connection.is_free() {
            idle.put(connection);
        }
    }
}

impl HttpBody for Answer {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let this = &mut *self;
        let frame = Pin::new(&mut this.body).poll_frame(cx);
        let Some((connection, _)) = this.from.as_mut().filter(|_| frame.is_pending()) else {
            return frame;
        };
        drive(&mut connection.work, cx);
        this.let_go();
        Pin::new(&mut this.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// What carries the bytes.
pub enum Stream {
    /// In clear.
    Plain(TcpStream),
    /// With TLS.
    Tls(Box<TlsStream<TcpStream>>),
}

/// The same for both kinds.
macro_rules! on {
    ($stream:expr, $socket:ident => $do:expr) => {
        match $stream {
            Stream::Plain($socket) => $do,
            Stream::Tls($socket) => $do,
        }
    };
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        on!(&mut *self, socket => Pin::new(socket).poll_read(cx, buffer))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        on!(&mut *self, socket => Pin::new(socket).poll_write(cx, bytes))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        on!(&mut *self, socket => Pin::new(socket).poll_write_vectored(cx, bytes))
    }

    fn is_write_vectored(&self) -> bool {
        on!(self, socket => socket.is_write_vectored())
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        on!(&mut *self, socket => Pin::new(socket).poll_flush(cx))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        on!(&mut *self, socket => Pin::new(socket).poll_shutdown(cx))
    }
}
