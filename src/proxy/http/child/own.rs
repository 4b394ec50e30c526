//! One process, and the one client that has it for itself: a session of the older
//! protocol, or all requests of a client in the newer.
//!
//! Promises: a request goes to the process under an id of ours, and in the newer
//! protocol under a token of ours too, so that requests that chose the same stay
//! apart; what comes back has what the client chose. Nobody else's messages ever
//! come here.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio_util::sync::CancellationToken;

use super::mail::Mail;
use super::process::Few;
use crate::proxy::answer;
use crate::proxy::gate::{self, Party, Server};
use crate::proxy::message::client::code;
use crate::proxy::message::scan::{self, find};
use crate::proxy::message::{ClientMessage, Era, Id, Said, ServerMessage};
use crate::proxy::upstream::child::{Child, Unasked};
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

/// How a server says that its tools are others now.
const LIST_CHANGED: &str = "notifications/tools/list_changed";

/// Where a modern request names the token of its progress.
const TOKEN: [&str; 3] = ["params", "_meta", "progressToken"];
/// Where a notification names the request that listens for it.
const SUBSCRIPTION: [&str; 3] = ["params", "_meta", "io.modelcontextprotocol/subscriptionId"];
/// And where the answer to that request does.
const SUBSCRIBED: [&str; 3] = ["result", "_meta", "io.modelcontextprotocol/subscriptionId"];

/// A process and its client.
#[derive(Debug)]
pub struct Own {
    /// The process.
    pub upstream: Arc<Child>,
    /// What it is called, and what its tools are.
    pub server: Arc<Server>,
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
    used: Mutex<Used>,
    /// Cancelled when it is to end.
    stop: CancellationToken,
    /// How it ended, in words; then `ended` is cancelled.
    how: OnceLock<String>,
    ended: CancellationToken,
}

/// A request that is under way.
#[derive(Debug, Clone)]
struct Open {
    way: gate::Reply,
    /// Whether it wants to hear of news, or of what is logged.
    wants: Wants,
    /// Cancelled when the server ends it without an answer.
    over: CancellationToken,
}

/// What a modern request wants to hear besides its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wants {
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
            party,
            era,
            mail: Arc::new(Mail::new(longest)),
            version: OnceLock::new(),
            next: AtomicU64::new(0),
            open: Mutex::default(),
            room: Arc::new(Semaphore::new(longest.div_ceil(UNIT) * LONGEST_AT_ONCE)),
            used: Mutex::new(used),
            stop: CancellationToken::new(),
            how: OnceLock::new(),
            ended: CancellationToken::new(),
        })
    }

    fn used(&self) -> MutexGuard<'_, Used> {
        self.used.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn open(&self) -> MutexGuard<'_, HashMap<u64, Open>> {
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

    /// Passes on what the process says by itself, as long as it says anything.
    pub async fn hear(self: Arc<Own>, mut said: mpsc::Receiver<Unasked>) {
        let mut few = Few::default();
        while let Some(said) = said.recv().await {
            let message = match said {
                Unasked::Line(message) => message,
                // Only answers are told so, and those are waited for by others.
                Unasked::TooLong(_) => continue,
            };
            if message.said == Said::Notification(LIST_CHANGED.to_owned()) {
                self.server.definitions.forget();
            }
            let lost = match self.era {
                Era::Legacy => self.hear_legacy(message),
                Era::Modern => self.hear_modern(message),
            };
            if let Err(why) = lost
                && few.another(Instant::now(), &self.server.name)
            {
                let (server, client) = (&*self.server.name, &*self.party.client);
                tracing::warn!(server, client, "a message of the server went nowhere: {why}");
            }
        }
    }

    fn hear_legacy(self: &Arc<Own>, message: ServerMessage) -> Result<(), &'static str> {
        match &message.said {
            Said::Other => return Err("it is no message"),
            Said::Answer(_) => return Err("it answers what was not asked"),
            Said::Request(..) | Said::Notification(_) => {}
        }
        let taken = self.mail.take(message.bytes);
        if taken.is_err()
            && let Said::Request(id, _) = message.said
        {
            let own = self.clone();
            let said = "the client does not take what it is asked";
            let refused = answer::error(Some(&id), code::INTERNAL, said);
            tokio::spawn(async move { own.upstream.send(refused).await });
        }
        taken.map_err(|_| "too many wait for the client to take them")
    }

    fn hear_modern(&self, message: ServerMessage) -> Result<(), &'static str> {
        let Said::Notification(method) = &message.said else {
            return Err("it is no notification, and here servers ask nothing");
        };
        let ends = method == "notifications/cancelled";
        let path: &[&str] = if ends { &["params", "requestId"] } else { &SUBSCRIPTION };
        let open = self.open();
        let found = match (message.id_at(path), &**method) {
            (Some(id), _) => number_of(&id).and_then(|number| open.get(&number)),
            // Which request it belongs to is not said: the newest that wants any.
            (None, "notifications/message") => {
                let wanting = open.iter().filter(|(_, open)| open.wants == Wants::Logs);
                wanting.max_by_key(|(number, _)| **number).map(|(_, open)| open)
            }
            (None, _) => None,
        };
        let Some(found) = found else { return Err("nobody listens for it") };
        let message = match found.wants {
            Wants::News => message.with_id_at(path, &found.way.id),
            _ => message,
        };
        let sent = found.way.offer(message.bytes);
        if ends {
            found.over.cancel();
        }
        sent.map_err(|_| "the client reads too slowly")
    }
}

/// The number in an id of ours.
fn number_of(id: &Id) -> Option<u64> {
    id.as_str().strip_prefix(NUMBERED)?.strip_suffix('"')?.parse().ok()
}

/// How ids of forwarded requests begin.
const NUMBERED: &str = "\"holdpoint-n";

fn id_of(number: u64) -> Id {
    Id::ours(&format!("holdpoint-n{number}"))
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
                let answer = answered?.with_id_at(&["id"], &way.id);
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

async fn out_of(within: Option<Duration>) -> Duration {
    match within {
        Some(within) => {
            tokio::time::sleep(within).await;
            within
        }
        None => std::future::pending().await,
    }
}

fn lost(why: &str) -> NoAnswer {
    NoAnswer::Lost(why.to_owned())
}

impl Own {
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
        let (line, relay) = self.outgoing(request.bytes, &request.id, relay);
        Box::pin(self.upstream.request(request.id, line, relay, cancelled))
    }
}
