//! The way back to a client for one of its requests, while it is there.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::proxy::message::{Id, ServerMessage};

/// How many messages may wait for a client that reads slowly. Few, so that it
/// is the server that waits, as it would without us.
const WAITING: usize = 16;

/// The way back for one request.
///
/// What is sent is the client's JSON-RPC message, one at a time; the door makes
/// a line or an event of it.
#[derive(Debug, Clone)]
pub struct Reply {
    /// The request's id.
    pub id: Id,
    out: mpsc::Sender<Bytes>,
    /// The client said that it does not want the answer any more.
    cancelled: CancellationToken,
    /// The client is not there any more.
    closed: CancellationToken,
    /// The last number of our own notifications of progress: the server's go on
    /// from there, since each has to be higher than the one before.
    progressed: u64,
    /// The wait for people is over, and somebody has taken on to answer.
    claimed: Arc<AtomicBool>,
    /// The client's token for progress, where the server has another.
    token: Option<Id>,
}

impl Reply {
    /// A way back, and its other end for the door. The door cancels `cancelled`
    /// when the client cancels this request, `closed` when the answer cannot be
    /// delivered any more.
    pub fn new(
        id: Id,
        cancelled: CancellationToken,
        closed: CancellationToken,
    ) -> (Reply, mpsc::Receiver<Bytes>) {
        let (out, taken) = mpsc::channel(WAITING);
        (Reply::into(id, out, cancelled, closed), taken)
    }

    /// A way back whose messages go where those of other requests go too.
    pub fn into(
        id: Id,
        out: mpsc::Sender<Bytes>,
        cancelled: CancellationToken,
        closed: CancellationToken,
    ) -> Reply {
        let claimed = Arc::default();
        Reply { id, out, cancelled, closed, progressed: 0, claimed, token: None }
    }

    /// Whether an answer can still be delivered.
    pub fn is_open(&self) -> bool {
        !self.cancelled.is_cancelled() && !self.closed.is_cancelled() && !self.out.is_closed()
    }

    /// Whether the client itself said that it does not want the answer.
    pub fn is_cancelled(&self) -> bool {
        self.cancelled.is_cancelled()
    }

    /// Cancelled with it.
    pub fn cancelled(&self) -> CancellationToken {
        self.cancelled.clone()
    }

    /// Takes on to answer, now that the wait for people is over; false if that was
    /// done before. A wait that the gate has ended may become a call that runs,
    /// and then only the gate knows what to say of it; one that the door has
    /// ended never runs.
    pub fn claim(&self) -> bool {
        !self.claimed.swap(true, Ordering::AcqRel)
    }

    /// Ends when no answer can be delivered any more.
    pub async fn gone(&self) {
        tokio::select! {
            () = self.cancelled.cancelled() => {}
            () = self.closed.cancelled() => {}
            () = self.out.closed() => {}
        }
    }

    /// Passes on what a server says of a call's progress, if there is room: it is
    /// worth less than what comes after it.
    pub fn offer_progress(&self, message: ServerMessage) {
        if self.is_open() {
            let message = match &self.token {
                Some(token) => message.with_id_at(&["params", "progressToken"], token),
                None => message,
            };
            let _ = self.out.try_send(message.with_progress_after(self.progressed));
        }
    }

    /// Sends one message if there is room at once.
    ///
    /// # Errors
    /// The message: there is no room, or nobody any more.
    pub fn offer(&self, message: Bytes) -> Result<(), Bytes> {
        if !self.is_open() {
            return Err(message);
        }
        self.out.try_send(message).map_err(mpsc::error::TrySendError::into_inner)
    }

    /// The same way back, after so many notifications of progress of our own.
    pub fn after(&self, progressed: u64) -> Reply {
        Reply { progressed, ..self.clone() }
    }

    /// The same way back for a client that knows the progress by this token.
    pub fn knowing(&self, token: Id) -> Reply {
        Reply { token: Some(token), ..self.clone() }
    }

    /// Sends one message, if the client is still there.
    pub async fn send(&self, message: Bytes) -> bool {
        if !self.is_open() {
            return false;
        }
        tokio::select! {
            sent = self.out.send(message) => sent.is_ok(),
            () = self.gone() => false,
        }
    }
}
