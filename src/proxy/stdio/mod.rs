//! The stdio door: one client on our own standard input and output, one server as
//! a child, in place of the server's own command.
//!
//! Promises: what is not a call of a tool passes in its order, as the bytes it
//! was; the server's environment, standard error, signals and exit code are its
//! own. Must never: end before the client or the server does.

mod client;
mod streams;

use std::process::ExitStatus;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncWriteExt as _, BufWriter};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::answer::words;
use super::gate::{Gate, Party, Server};
use super::lines::{Line, Lines};
use super::message::Refusal;
use super::message::client::code;
use super::upstream::child::{self, Child, Unasked};
use client::Session;
use streams::{Input, Output, standard_streams};

/// The longest message in either direction. The protocol sets no limit, and
/// clients read files of some megabytes through it.
pub const LONGEST: usize = 64 << 20;
/// Messages that may wait for a client that reads slowly.
const QUEUE: usize = 64;
/// How long held calls may take to hear that the server has ended.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// What the proxy stands between.
#[derive(Debug)]
pub struct Between {
    /// The server's command.
    pub command: std::process::Command,
    /// Its name.
    pub server: String,
    /// The session that its client's calls are resumed in.
    pub session: String,
    /// On whose behalf its client calls; empty: nobody's in particular.
    pub user: String,
    /// How long a client that offers nothing is kept waiting.
    pub hold: Duration,
}

/// How it ended.
#[derive(Debug)]
pub enum Ended {
    /// The server could not be started.
    CannotStart(std::io::Error),
    /// The server ended so.
    Exit(ExitStatus),
}

/// Runs the server until it ends; `signals` passes ours on to it meanwhile.
pub async fn run<S, F>(gate: Arc<Gate>, between: Between, signals: S) -> Ended
where
    S: FnOnce(tokio::process::Child) -> F,
    F: Future<Output = std::io::Result<ExitStatus>>,
{
    // Put back once all is said.
    let (stdin, stdout, _sockets) = match standard_streams() {
        Ok(streams) => streams,
        Err(error) => return Ended::CannotStart(error),
    };
    let (out, to_client) = mpsc::channel(QUEUE);
    let (unasked, said) = mpsc::channel(QUEUE);
    let started = Child::start(between.command, LONGEST, unasked);
    let (upstream, process) = match started {
        Ok(started) => started,
        Err(error) => return Ended::CannotStart(error),
    };
    let closed = CancellationToken::new();
    let party = Party::new(String::new(), between.session, between.hold)
        .for_user(between.user)
        .until(closed.clone());
    let session = Arc::new(Session::new(
        gate.clone(),
        party,
        Server::new(between.server),
        upstream.clone(),
        out.clone(),
        closed.clone(),
    ));
    let writer = tokio::spawn(write_all(stdout, to_client, closed.clone()));
    let reading = read_client(stdin, session.clone(), upstream.clone(), closed.clone());
    let reader = tokio::spawn(reading);
    let relay = tokio::spawn(pass_on(session.clone(), said));

    let status = signals(process).await;
    // What it said before it ended is still passed on.
    upstream.over().await;
    let _ = relay.await;
    let how = status.as_ref().map_or_else(|error| error.to_string(), |s| child::ended(*s));
    let said = words::server_ended(&how);
    let _ = tokio::time::timeout(LAST_WORDS, session.server_ended(&said)).await;
    closed.cancel();
    reader.abort();
    drop((session, out));
    gate.finish().await;
    let _ = tokio::time::timeout(LAST_WORDS, writer).await;
    match status {
        Ok(status) => Ended::Exit(status),
        Err(error) => Ended::CannotStart(error),
    }
}

/// Reads what the client sends until it closes its end; then the server's is closed.
async fn read_client(
    stdin: Input,
    session: Arc<Session>,
    upstream: Arc<Child>,
    closed: CancellationToken,
) {
    let mut lines = Lines::new(stdin, LONGEST);
    loop {
        let line = tokio::select! {
            line = lines.next() => line,
            () = closed.cancelled() => break,
        };
        match line {
            Ok(Some(Line::Whole(line))) if line.trim_ascii().is_empty() => {}
            Ok(Some(Line::Whole(line))) => session.received(line).await,
            Ok(Some(Line::TooLong(_))) => {
                let why = format!("a message is longer than {} MiB", LONGEST >> 20);
                session.refuse(&Refusal::new(code::INVALID_REQUEST, why)).await;
            }
            Ok(None) => break,
            Err(error) => {
                tracing::warn!(%error, "the client cannot be read");
                break;
            }
        }
    }
    // Nobody is there to hear how a held call ends.
    closed.cancel();
    upstream.close();
}

/// Passes on what the server says by itself.
async fn pass_on(session: Arc<Session>, mut said: mpsc::Receiver<Unasked>) {
    while let Some(said) = said.recv().await {
        session.said(said).await;
    }
}

async fn write_all(to: Output, mut messages: mpsc::Receiver<Bytes>, closed: CancellationToken) {
    let mut to = BufWriter::new(to);
    while let Some(message) = messages.recv().await {
        let written = async {
            to.write_all(&message).await?;
            to.write_all(b"\n").await?;
            if messages.is_empty() { to.flush().await } else { Ok(()) }
        };
        if written.await.is_err() {
            // The client is gone, and so is whoever would hear of a held call.
            closed.cancel();
            return;
        }
    }
    let _ = to.flush().await;
}
