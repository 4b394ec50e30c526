//! What a server of the older protocol says by itself, until a stream takes it:
//! what it asks of the client, what it logs, what has changed.
//!
//! On standard output nothing tells to which request such a message belongs. It
//! goes to the stream that the client opened for this by GET, else to the newest
//! of its requests that is still answered, else it waits.
//!
//! Promises: each message goes to one stream, in the order in which they came. What
//! waits is bounded; what has no room is left out, and the server is told where it
//! waits for an answer.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use tokio::sync::{Notify, mpsc};
use tokio_util::sync::CancellationToken;

use crate::proxy::gate;

/// Messages that may wait for a stream. A server that starts says a few.
const MESSAGES: usize = 256;

/// The way for what a server says by itself.
#[derive(Debug)]
pub struct Mail {
    state: Mutex<State>,
    /// Bytes that may wait.
    most: usize,
    came: Notify,
}

#[derive(Debug, Default)]
struct State {
    waiting: VecDeque<Bytes>,
    bytes: usize,
    /// A stream is open for just this.
    listens: bool,
    /// Requests that are being answered by streams, the newest last.
    streams: BTreeMap<u64, gate::Reply>,
}

/// There is no room.
#[derive(Debug, PartialEq, Eq)]
pub struct Full;

impl Mail {
    /// Where so many bytes may wait.
    pub fn new(most: usize) -> Mail {
        Mail { state: Mutex::default(), most, came: Notify::new() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a message to wherever it can go now or later.
    ///
    /// # Errors
    /// It was left out.
    pub fn take(&self, message: Bytes) -> Result<(), Full> {
        let mut state = self.state();
        let room = state.waiting.len() < MESSAGES
            && (state.waiting.is_empty() || state.bytes + message.len() <= self.most);
        if !room {
            return Err(Full);
        }
        state.bytes += message.len();
        state.waiting.push_back(message);
        self.go_on(&mut state);
        Ok(())
    }

    fn go_on(&self, state: &mut State) {
        if state.listens {
            self.came.notify_one();
            return;
        }
        while let Some((_, newest)) = state.streams.last_key_value() {
            let newest = newest.clone();
            let Some(message) = state.next() else { return };
            if let Err(back) = newest.offer(message) {
                state.bytes += back.len();
                state.waiting.push_front(back);
                return;
            }
        }
    }

    /// A request is answered by a stream from now on.
    pub fn opened(&self, number: u64, stream: gate::Reply) {
        let mut state = self.state();
        state.streams.insert(number, stream);
        self.go_on(&mut state);
    }

    /// And now not any more.
    pub fn closed(&self, number: u64) {
        self.state().streams.remove(&number);
    }

    /// Begins to listen, if nobody does yet.
    pub fn listen(self: &Arc<Mail>) -> Option<Listening> {
        let mut state = self.state();
        (!std::mem::replace(&mut state.listens, true)).then(|| Listening(self.clone()))
    }
}

impl State {
    fn next(&mut self) -> Option<Bytes> {
        let message = self.waiting.pop_front()?;
        self.bytes -= message.len();
        Some(message)
    }
}

/// The one who listens.
#[derive(Debug)]
pub struct Listening(Arc<Mail>);

impl Listening {
    /// Passes on all that comes, until `gone`.
    pub async fn pass(self, to: mpsc::Sender<Bytes>, gone: &CancellationToken) {
        loop {
            // Only what there is room for is taken: the rest waits for the next.
            let room = tokio::select! {
                room = to.reserve() => room,
                () = gone.cancelled() => return,
            };
            let Ok(room) = room else { return };
            let message = loop {
                let next = self.0.state().next();
                match next {
                    Some(message) => break message,
                    None => tokio::select! {
                        () = self.0.came.notified() => {}
                        () = gone.cancelled() => return,
                        () = to.closed() => return,
                    },
                }
            };
            room.send(message);
        }
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.listens = false;
        self.0.go_on(&mut state);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proxy::message::Id;

    fn stream() -> (gate::Reply, mpsc::Receiver<Bytes>) {
        let id = Id::read(b"1").expect("an id");
        gate::Reply::new(id, CancellationToken::new(), CancellationToken::new())
    }

    fn all(from: &mut mpsc::Receiver<Bytes>) -> Vec<Bytes> {
        std::iter::from_fn(|| from.try_recv().ok()).collect()
    }

    #[test]
    fn what_comes_before_a_stream_waits_for_it_and_goes_to_the_newest() {
        let mail = Arc::new(Mail::new(1000));
        mail.take(Bytes::from("a")).expect("room");
        let ((first, mut of_first), (second, mut of_second)) = (stream(), stream());
        mail.opened(1, first);
        mail.opened(2, second);
        mail.take(Bytes::from("b")).expect("room");
        mail.closed(2);
        mail.take(Bytes::from("c")).expect("room");
        assert_eq!(all(&mut of_first), ["a", "c"]);
        assert_eq!(all(&mut of_second), ["b"]);
    }

    #[tokio::test]
    async fn who_listens_gets_everything_and_is_alone() {
        let mail = Arc::new(Mail::new(1000));
        let listening = mail.listen().expect("the first");
        assert!(mail.listen().is_none());
        let (reply, mut of_request) = stream();
        mail.opened(1, reply);
        mail.take(Bytes::from("a")).expect("room");
        let (to, mut from) = mpsc::channel(1);
        let gone = CancellationToken::new();
        let passing = tokio::spawn({
            let gone = gone.clone();
            async move { listening.pass(to, &gone).await }
        });
        assert_eq!(from.recv().await.expect("passed"), "a");
        assert_eq!(all(&mut of_request), Vec::<Bytes>::new());
        gone.cancel();
        passing.await.expect("ended");
        mail.take(Bytes::from("b")).expect("room");
        assert_eq!(all(&mut of_request), ["b"]);
        assert!(mail.listen().is_some());
    }

    #[test]
    fn what_waits_is_bounded_in_number_and_in_bytes() {
        let mail = Mail::new(10);
        mail.take(Bytes::from("longer than all that may wait")).expect("one always may");
        assert_eq!(mail.take(Bytes::from("x")), Err(Full));
        let mail = Mail::new(10_000);
        let taken = (0..1000).filter(|_| mail.take(Bytes::from("x")).is_ok()).count();
        assert_eq!(taken, MESSAGES);
    }
}
