//! One process, and the one client that has it for itself: a session of the older
//! protocol, or all requests of a client in the newer.
//!
//! Promises: a request goes to the process under an id of ours, and in the newer
//! protocol under a token of ours too, so that requests that chose the same stay
//! apart; what comes back has what the client chose. Our own questions are numbered
//! with the client's, so that nothing in them says who asks. Nobody else's messages
//! ever come here.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio_util::sync::CancellationToken;

use super::mail::Mail;
use super::params::Params;
use crate::proxy::gate::{self, Party, Server};
use crate::proxy::message::scan::{self, find};
use crate::proxy::message::{ClientMessage, Era, Id, ServerMessage};
use crate::proxy::out_of;
use crate::proxy::upstream::child::Child;
use crate::proxy::upstream::{Asking, NoAnswer, Outgoing, Upstream};

/// Requests of one client that may be under way. In the older protocol they are
/// while the server works on them, whether or not the client is still there.
const REQUESTS: usize = 256;

/// How many of the longest messages of one client may be on their way at once. A
/// server that does not read leaves them here.
const LONGEST_AT_ONCE: usize = 4;

/// What those are counted in. Counted in bytes, they would be more than a semaphore
/// can count.
const UNIT: usize = 1024;

/// How long a server that was told of a cancellation may still answer.
const AFTER_CANCEL: Duration = Duration::from_secs(10);

/// Where a modern request names the token of its progress.
const TOKEN: [&str; 3] = ["params", "_meta", "progressToken"];
/// Where the answer to a request that listens names it.
const SUBSCRIBED: [&str; 3] = ["result", "_meta", "io.modelcontextprotocol/subscriptionId"];

/// A process and its client.
#[derive(Debug)]
pub struct Own {
    /// The process.
    pub upstream: Arc<Child>,
    /// What it is called, and what its tools are.
    pub server: Arc<Server>,
    /// Which arguments of them stand in headers.
    pub params: Params,
    /// Who the client is.
    pub party: Arc<Party>,
    /// Which protocol is spoken.
    pub era: Era,
    /// For what the server says by itself.
    pub mail: Arc<Mail>,
    /// The protocol's version, once both sides have agreed on one (older protocol).
    pub version: OnceLock<String>,
    next: AtomicU64,
    open: Mutex<HashMap<u64, Open>>,
    /// Room for what is on its way.
    room: Arc<Semaphore>,
    /// How much of what the process says by itself has gone where it goes.
    pub(super) heard: watch::Sender<u64>,
    used: Mutex<Used>,
    /// Cancelled when it is to end.
    stop: CancellationToken,
    /// How it ended, in words; then `ended` is cancelled.
    how: OnceLock<String>,
    ended: CancellationToken,
}

/// A request that is under way.
#[derive(Debug, Clone)]
pub(super) struct Open {
    pub(super) way: gate::Reply,
    /// Whether it wants to hear of news, or of what is logged.
    pub(super) wants: Wants,
    /// Cancelled when the server ends it without an answer.
    pub(super) over: CancellationToken,
}

/// What a modern request wants to hear besides its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wants {
    Nothing,
    News,
    Logs,
}

#[derive(Debug)]
struct Used {
    /// How many use it now.
    by: usize,
    /// Since when that is so.
    since: Instant,
    /// Nobody may begin to use it any more.
    ending: bool,
}

/// A use of a process: as long as it lasts, the process is not idle.
#[derive(Debug)]
pub struct Use(Arc<Own>);

impl std::ops::Deref for Use {
    type Target = Arc<Own>;

    fn deref(&self) -> &Arc<Own> {
        &self.0
    }
}

impl Drop for Use {
    fn drop(&mut self) {
        let mut used = self.0.used();
        used.by -= 1;
        used.since = Instant::now();
    }
}

/// A request that is under way, until this is dropped.
#[derive(Debug)]
pub struct Asked {
    own: Use,
    number: u64,
    over: CancellationToken,
    _room: OwnedSemaphorePermit,
}

impl Drop for Asked {
    fn drop(&mut self) {
        self.forget();
    }
}

impl Own {
    /// For a process that was just started.
    pub fn new(
        upstream: Arc<Child>,
        server: Server,
        party: Arc<Party>,
        era: Era,
        longest: usize,
    ) -> Arc<Own> {
        let used = Used { by: 0, since: Instant::now(), ending: false };
        Arc::new(Own {
            upstream,
            server: Arc::new(server),
            params: Params::default(),
            party,
            era,
            mail: Arc::new(Mail::new(longest)),
            version: OnceLock::new(),
            next: AtomicU64::new(0),
            open: Mutex::default(),
            room: Arc::new(Semaphore::new(longest.div_ceil(UNIT) * LONGEST_AT_ONCE)),
            heard: watch::Sender::new(0),
            used: Mutex::new(used),
            stop: CancellationToken::new(),
            how: OnceLock::new(),
            ended: CancellationToken::new(),
        })
    }

    fn used(&self) -> MutexGuard<'_, Used> {
        self.used.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn open(&self) -> MutexGuard<'_, HashMap<u64, Open>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins to use it; `None` if it is ending.
    pub fn enter(self: &Arc<Own>) -> Option<Use> {
        let mut used = self.used();
        if used.ending {
            return None;
        }
        used.by += 1;
        Some(Use(self.clone()))
    }

    /// Room for a message as long as it is on its way; `None` if there is none.
    pub fn room(&self, message: &ClientMessage) -> Option<OwnedSemaphorePermit> {
        let units = u32::try_from(message.bytes.len().div_ceil(UNIT)).ok()?;
        self.room.clone().try_acquire_many_owned(units).ok()
    }

    /// Ends it. Nobody can begin to use it from now on.
    pub fn end(&self) {
        self.used().ending = true;
        self.stop.cancel();
    }

    /// Ends it where only one uses it.
    pub fn end_unless_shared(&self) {
        if self.used().by <= 1 {
            self.end();
        }
    }

    /// Whether it is ending, or has ended.
    pub fn is_ending(&self) -> bool {
        self.used().ending
    }

    /// Ends when it is to end: it was told to, it ended by itself, or nobody has
    /// used it for so long.
    pub async fn ending(&self, idle: Duration) {
        let unused = async {
            loop {
                let left = {
                    let mut used = self.used();
                    let left = match used.by {
                        0 => idle.saturating_sub(used.since.elapsed()),
                        _ => idle,
                    };
                    used.ending |= left.is_zero();
                    left
                };
                if left.is_zero() {
                    return;
                }
                tokio::time::sleep(left).await;
            }
        };
        tokio::select! {
            () = unused => {}
            () = self.stop.cancelled() => {}
            () = self.upstream.over() => self.end(),
        }
    }

    /// It has ended: whoever still waits hears how.
    pub fn has_ended(&self, how: String) {
        self.used().ending = true;
        let _ = self.how.set(how);
        self.ended.cancel();
    }

    /// Ends once it has ended; how, in words.
    pub async fn ended(&self) -> &str {
        self.ended.cancelled().await;
        self.how.get().map_or("", String::as_str)
    }

    /// Cancels the client's requests of this id.
    pub fn cancel(&self, id: &Id) {
        let open = self.open();
        open.values().filter(|open| open.way.id == *id).for_each(|open| {
            open.way.cancelled().cancel();
        });
    }
}

/// The number in an id of ours.
pub(super) fn number_of(id: &Id) -> Option<u64> {
    id.minted_name()?.strip_prefix('n')?.parse().ok()
}

fn id_of(number: u64) -> Id {
    Id::minted(&format!("n{number}"))
}

impl Use {
    /// A request begins, whose messages go this way; `None`: too many are under
    /// way. `streams`: whether other messages than its answer can go there.
    pub fn begin(self, message: &ClientMessage, way: gate::Reply, streams: bool) -> Option<Asked> {
        let meta = |name: &str| message.params().and_then(|p| p.get("_meta")?.get(name));
        let wants = match message.method() {
            Some("subscriptions/listen") => Wants::News,
            _ if streams && meta("io.modelcontextprotocol/logLevel").is_some() => Wants::Logs,
            _ => Wants::Nothing,
        };
        let room = self.room(message)?;
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let over = CancellationToken::new();
        {
            let mut open = self.open();
            if open.len() >= REQUESTS {
                return None;
            }
            open.insert(number, Open { way: way.clone(), wants, over: over.clone() });
        }
        if streams && self.era == Era::Legacy {
            self.mail.opened(number, way);
        }
        Some(Asked { own: self, number, over, _room: room })
    }
}

impl Asked {
    /// The process.
    pub fn own(&self) -> &Arc<Own> {
        &self.own
    }

    /// Nothing more goes to its stream but its answer.
    pub fn forget(&self) {
        self.own.mail.closed(self.number);
        self.own.open().remove(&self.number);
    }

    /// Sends the request to the process and waits for its answer, which comes
    /// under the client's id.
    ///
    /// # Errors
    /// There is none.
    pub async fn forward(
        &self,
        message: &ClientMessage,
        way: &gate::Reply,
        within: Option<Duration>,
    ) -> Result<ServerMessage, NoAnswer> {
        let id = id_of(self.number);
        let (line, relay) = self.own.outgoing(message.under(&id), &id, Some(way));
        let cancelled = way.cancelled();
        let told = cancelled.child_token();
        let asking = self.own.upstream.request(id, line, relay, told.clone());
        tokio::pin!(asking);
        let why = tokio::select! {
            answered = &mut asking => {
                let answer = answered?;
                self.own.settled().await;
                let answer = answer.with_id_at(&["id"], &way.id);
                return Ok(answer.with_id_at(&SUBSCRIBED, &way.id));
            }
            () = cancelled.cancelled() => "it was cancelled".to_owned(),
            () = self.over.cancelled() => return Err(lost("the server ended it")),
            within = out_of(within) => {
                format!("the server did not answer within {} s", within.as_secs())
            }
        };
        told.cancel();
        // What it still says is for nobody, but that it ended with this is known.
        let _ = tokio::time::timeout(AFTER_CANCEL, asking).await;
        Err(NoAnswer::Lost(why))
    }
}

fn lost(why: &str) -> NoAnswer {
    NoAnswer::Lost(why.to_owned())
}

impl Own {
    /// Ends when what the process said until now has gone where it goes: what came
    /// before an answer is passed on before it.
    async fn settled(&self) {
        let until = self.upstream.said();
        // It lives as long as this.
        let _ = self.heard.subscribe().wait_for(|heard| *heard >= until).await;
    }

    /// A request as the process gets it, and where its progress goes.
    fn outgoing(
        &self,
        line: Bytes,
        id: &Id,
        way: Option<&gate::Reply>,
    ) -> (Bytes, Option<(Id, gate::Reply)>) {
        let Some(place) = find(&line, &TOKEN) else { return (line, None) };
        let Some(token) = Id::read(&line[place.clone()]) else { return (line, None) };
        match (self.era, way) {
            // A session is one client's, whose tokens are its own affair; one may
            // be used beyond the answer, by a task.
            (Era::Legacy, way) => (line, way.map(|way| (token, way.clone()))),
            (Era::Modern, None) => (line, None),
            (Era::Modern, Some(way)) => {
                let line = scan::replaced(&line, &[(place, id.as_str().as_bytes())]);
                (line, Some((id.clone(), way.knowing(token))))
            }
        }
    }
}

impl Upstream for Own {
    fn ask<'a>(
        &'a self,
        request: Outgoing,
        relay: Option<&'a gate::Reply>,
        cancelled: CancellationToken,
    ) -> Asking<'a> {
        if request.tool.is_none() {
            let id = id_of(self.next.fetch_add(1, Ordering::Relaxed));
            let line = ServerMessage::read(request.bytes).under(&id);
            return Box::pin(async move {
                let answered = self.upstream.request(id, line, None, cancelled).await;
                self.settled().await;
                answered.map(|answer| answer.with_id_at(&["id"], &request.id))
            });
        }
        let (line, relay) = self.outgoing(request.bytes, &request.id, relay);
        Box::pin(async move {
            let answered = self.upstream.request(request.id, line, relay, cancelled).await;
            self.settled().await;
            answered
        })
    }
}
