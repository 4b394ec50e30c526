//! A server as a process of ours: lines to its input, lines from its output.
//!
//! Answers to what was asked through [`Child::ask`] go to whoever asked; all else
//! that it says comes out of one channel, in its order, for the door to pass on.
//!
//! Promises: no line is longer than the limit, whatever the process writes; an
//! answer that comes twice, or to nothing that was asked under an id of ours, goes
//! nowhere. Must never: say that a line was not sent when a byte of it was.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::ops::Range;
use std::process::{ExitStatus, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use tokio::io::AsyncWriteExt as _;
use tokio::process::{ChildStdin, ChildStdout, Command};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use super::{Asking, NoAnswer, Outgoing, Upstream};
use crate::faults;
use crate::proxy::answer;
use crate::proxy::gate::Reply;
use crate::proxy::lines::{Line, Lines};
use crate::proxy::locked;
use crate::proxy::message::scan::head_id;
use crate::proxy::message::{Id, Said, ServerMessage};

/// Lines that may wait for the process to read them.
const QUEUE: usize = 64;

/// Lines that wait are written together, up to about so many bytes: each write wakes
/// the process up, and so may cost it more than the call that the line makes.
const GATHERED: usize = 64 * 1024;

/// Of so many requests an answer that comes twice or late is known to be nobody's.
const GIVEN_UP: usize = 256;

/// A running server.
#[derive(Debug)]
pub struct Child {
    input: Mutex<Option<mpsc::Sender<Write>>>,
    waiting: Mutex<HashMap<Id, Waiting>>,
    /// The newest ids of ours that look like a client's, once nobody waits for their
    /// answers any more.
    given_up: Mutex<VecDeque<Id>>,
    /// How much it has said that nobody asked for.
    said: AtomicU64,
    /// Cancelled once nothing more comes from it.
    over: CancellationToken,
}

/// One line for the process.
#[derive(Debug)]
struct Write {
    line: Bytes,
    /// Told whether every byte of it was written, or some, or none.
    done: Option<oneshot::Sender<Written>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Written {
    All,
    Some,
    None,
}

impl Written {
    /// What became of the line at this place, of a text of which so many bytes went.
    fn of(line: &Range<usize>, sent: usize) -> Written {
        match sent {
            _ if line.end <= sent => Written::All,
            _ if line.start < sent => Written::Some,
            _ => Written::None,
        }
    }
}

/// Who waits for an answer.
#[derive(Debug)]
struct Waiting {
    answer: oneshot::Sender<ServerMessage>,
    relay: Option<(Id, Reply)>,
}

/// What a process says that nobody asked for through us.
#[derive(Debug)]
pub enum Unasked {
    /// A message, or a line that is none.
    Line(ServerMessage),
    /// The answer to this request is longer than allowed, and was dropped.
    TooLong(Id),
}

impl Child {
    /// Starts the process. Its standard error is as `command` has it. Returns
    /// the process too, for its signals and its exit.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn start(
        command: std::process::Command,
        longest: usize,
        unasked: mpsc::Sender<Unasked>,
    ) -> io::Result<(Arc<Child>, tokio::process::Child)> {
        let mut command = Command::from(command);
        let mut process = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let pipes = process.stdin.take().zip(process.stdout.take());
        let (stdin, stdout) = pipes.ok_or_else(|| io::Error::other("no pipes to the process"))?;
        let (input, lines) = mpsc::channel(QUEUE);
        let child = Arc::new(Child {
            input: Mutex::new(Some(input)),
            waiting: Mutex::default(),
            given_up: Mutex::default(),
            said: AtomicU64::new(0),
            over: CancellationToken::new(),
        });
        tokio::spawn(write_lines(stdin, lines));
        tokio::spawn(child.clone().read_lines(stdout, longest, unasked));
        Ok((child, process))
    }

    /// Passes a line on as it is. False: it reads no more.
    pub async fn send(&self, line: Bytes) -> bool {
        let input = locked(&self.input).clone();
        match input {
            Some(input) => input.send(Write { line, done: None }).await.is_ok(),
            None => false,
        }
    }

    /// How much it has said until now that nobody asked for through us.
    pub fn said(&self) -> u64 {
        self.said.load(Ordering::SeqCst)
    }

    /// Closes its input: a server ends then.
    pub fn close(&self) {
        locked(&self.input).take();
    }

    /// Ends when nothing more comes from it.
    pub async fn over(&self) {
        self.over.cancelled().await;
    }

    /// Sends a request under an id of ours and waits for its answer. What the
    /// process says of its progress under `relay`'s token goes there. When
    /// `cancelled` is, the process is told, and the answer may still come.
    ///
    /// # Errors
    /// See [`Upstream::ask`].
    pub async fn request(
        &self,
        id: Id,
        line: Bytes,
        relay: Option<(Id, Reply)>,
        cancelled: CancellationToken,
    ) -> Result<ServerMessage, NoAnswer> {
        let Some(input) = locked(&self.input).clone() else {
            return Err(NoAnswer::NotSent("the server has ended".to_owned()));
        };
        let (answer, answered) = oneshot::channel();
        locked(&self.waiting).insert(id.clone(), Waiting { answer, relay });
        let _forget = Forget { child: self, id: &id };
        let (done, written) = oneshot::channel();
        let write = Write { line, done: Some(done) };
        if input.send(write).await.is_err() {
            return Err(NoAnswer::NotSent("the server has ended".to_owned()));
        }
        // Not kept while the call runs: its input is closed when the client's is, and
        // a server ends by that.
        drop(input);
        match written.await {
            Ok(Written::All) => {}
            Ok(Written::None) => {
                return Err(NoAnswer::NotSent("the server reads no more".to_owned()));
            }
            Ok(Written::Some) | Err(_) => {
                return Err(NoAnswer::Lost("the server ended while the call was sent".to_owned()));
            }
        }
        let lost = || {
            NoAnswer::Lost(
                "the server ended, or its answer was too long, before it could be read".to_owned(),
            )
        };
        tokio::pin!(answered);
        tokio::select! {
            answer = &mut answered => return answer.map_err(|_| lost()),
            () = cancelled.cancelled() => {}
        }
        self.send(answer::cancelled(&id, "cancelled by the client")).await;
        answered.await.map_err(|_| lost())
    }

    async fn read_lines(
        self: Arc<Self>,
        stdout: ChildStdout,
        longest: usize,
        unasked: mpsc::Sender<Unasked>,
    ) {
        let mut lines = Lines::new(stdout, longest);
        loop {
            let line = match lines.next().await {
                Ok(Some(line)) => line,
                Ok(None) => break,
                Err(error) => {
                    tracing::warn!(%error, "the server's output cannot be read");
                    break;
                }
            };
            let said = match line {
                Line::Whole(line) => self.heard(ServerMessage::read(line)).await,
                Line::TooLong(head) => self.too_long(&head),
            };
            match said {
                Ok(Some(said)) => {
                    self.said.fetch_add(1, Ordering::SeqCst);
                    if unasked.send(said).await.is_err() {
                        break;
                    }
                }
                Ok(None) => {}
                Err(TooLong) => {
                    tracing::error!(
                        longest,
                        "the server wrote a line that is too long, and not whose answer it is"
                    );
                    break;
                }
            }
        }
        self.over.cancel();
        // Whoever still waits hears that no answer comes.
        locked(&self.waiting).clear();
        self.close();
    }

    async fn heard(&self, message: ServerMessage) -> Result<Option<Unasked>, TooLong> {
        if let Said::Answer(id) = &message.said {
            if let Some(waiting) = locked(&self.waiting).remove(id) {
                let _ = waiting.answer.send(message);
                return Ok(None);
            }
            if id.minted_name().is_some() || locked(&self.given_up).contains(id) {
                tracing::warn!("the server answered what was not asked, or twice");
                return Ok(None);
            }
        }
        if let Some(token) = message.progress_token() {
            let relay = locked(&self.waiting).values().find_map(|waiting| {
                waiting
                    .relay
                    .as_ref()
                    .filter(|(of, _)| *of == token)
                    .map(|(_, reply)| reply.clone())
            });
            if let Some(reply) = relay {
                reply.offer_progress(message);
                return Ok(None);
            }
        }
        Ok(Some(Unasked::Line(message)))
    }

    fn too_long(&self, head: &[u8]) -> Result<Option<Unasked>, TooLong> {
        let id = head_id(head).and_then(|place| Id::read(&head[place])).ok_or(TooLong)?;
        // Dropping who waits tells that the answer is lost.
        let waited_for = locked(&self.waiting).remove(&id).is_some();
        Ok((!waited_for).then_some(Unasked::TooLong(id)))
    }
}

/// A line is too long, and nobody can be told.
struct TooLong;

impl Upstream for Child {
    fn ask<'a>(
        &'a self,
        request: Outgoing,
        relay: Option<&'a Reply>,
        cancelled: CancellationToken,
    ) -> Asking<'a> {
        let relay = request.progress_token.zip(relay.cloned());
        Box::pin(self.request(request.id, request.bytes, relay, cancelled))
    }
}

/// An answer that nobody waits for any more is not kept for anybody.
struct Forget<'a> {
    child: &'a Child,
    id: &'a Id,
}

impl Drop for Forget<'_> {
    fn drop(&mut self) {
        locked(&self.child.waiting).remove(self.id);
        // Those that we minted are told by how they begin.
        if self.id.minted_name().is_none() {
            let mut given_up = locked(&self.child.given_up);
            if given_up.len() >= GIVEN_UP {
                given_up.pop_front();
            }
            given_up.push_back(self.id.clone());
        }
    }
}

async fn write_lines(mut stdin: ChildStdin, mut lines: mpsc::Receiver<Write>) {
    let mut text = Vec::new();
    let mut batch = Vec::new();
    while let Some(first) = lines.recv().await {
        let mut next = Some(first);
        while let Some(Write { line, done }) = next {
            let begins = text.len();
            text.extend_from_slice(&line);
            text.push(b'\n');
            batch.push((begins..text.len(), line, done));
            next = if text.len() < GATHERED { lines.try_recv().ok() } else { None };
        }
        let sent = write_text(&mut stdin, &text).await;
        for (place, line, done) in batch.drain(..) {
            let written = Written::of(&place, sent);
            if written == Written::All {
                faults::wrote(&line);
            }
            if let Some(done) = done {
                let _ = done.send(written);
            }
        }
        if sent < text.len() {
            return;
        }
        text.clear();
        text.shrink_to(GATHERED);
    }
}

/// Writes it; how many bytes of it went.
async fn write_text(stdin: &mut ChildStdin, text: &[u8]) -> usize {
    let mut sent = 0;
    while sent < text.len() {
        match stdin.write(&text[sent..]).await {
            Ok(n) if n > 0 => sent += n,
            _ => break,
        }
    }
    sent
}

/// How a process ended, in words.
pub fn ended(status: ExitStatus) -> String {
    use std::os::unix::process::ExitStatusExt as _;
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit code {code}"),
        (None, signal) => format!("signal {}", signal.unwrap_or_default()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_lines_written_together_none_of_which_a_byte_went_is_said_to_be_unsent() {
        // "a\n", "bc\n", "d\n", of which the process took four bytes.
        let lines = [0..2, 2..5, 5..7];
        let became = lines.clone().map(|line| Written::of(&line, 4));
        assert_eq!(became, [Written::All, Written::Some, Written::None]);
        assert_eq!(lines.clone().map(|line| Written::of(&line, 0)), [Written::None; 3]);
        assert_eq!(lines.map(|line| Written::of(&line, 7)), [Written::All; 3]);
    }
}
