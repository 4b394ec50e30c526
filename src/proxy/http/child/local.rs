//! A server that is a command, at its path: which process a request belongs to.
//!
//! | protocol | a process for each | begins with | ends with |
//! |---|---|---|---|
//! | up to 2025-11-25 | session | `initialize` | DELETE, idleness, its own end |
//! | 2026-07-28 | client | the first request | idleness, its own end |
//!
//! Promises: no two clients, and no two sessions, ever share a process; a session id
//! is of use to nobody but the client to whom it was given. Must never: tell whose a
//! session is, or that it is anybody's.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hyper::header::{self, HeaderMap, HeaderValue};
use hyper::{Method, StatusCode};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::first;
use super::own::{Own, Use};
use super::post::Post;
use super::process::Running;
use super::room::{NoRoom, Place, Room};
use crate::call::hex::hex;
use crate::proxy::answer;
use crate::proxy::config::{ChildConfig, ProxyLimits};
use crate::proxy::gate::{Gate, Party, Server};
use crate::proxy::http::door::Ask;
use crate::proxy::http::reply::{self, Reply};
use crate::proxy::http::sessions::Sessions;
use crate::proxy::http::who::Client;
use crate::proxy::http::{headers, held};
use crate::proxy::message::client::code;
use crate::proxy::message::{ClientMessage, Era, Id, Incoming, Refusal};

/// Random bytes of a session id: 192 bits, which nobody guesses.
const SESSION_BYTES: usize = 24;

/// Lines of a process that may wait to be looked at.
const UNASKED: usize = 64;

/// Versions of the older protocol that a request may say it speaks.
const LEGACY: [&str; 4] = ["2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25"];

/// When to try again where there is no room: about when somebody may have left.
const RETRY: HeaderValue = HeaderValue::from_static("30");

/// A server that is a command.
#[derive(Debug)]
pub struct Local {
    name: Arc<str>,
    config: ChildConfig,
    /// What calls pass through.
    pub(super) gate: Arc<Gate>,
    pub(super) limits: ProxyLimits,
    room: Arc<Room>,
    scopes: Arc<Sessions>,
    known: Mutex<Known>,
}

/// Whose processes run.
#[derive(Debug, Default)]
struct Known {
    sessions: HashMap<String, Arc<Own>>,
    clients: HashMap<Arc<str>, Arc<Own>>,
}

/// Why a request belongs to no session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
enum NoSession {
    #[error("send the header Mcp-Session-Id that the answer to initialize had")]
    NotNamed,
    /// It ended, never was, or is another client's: nobody is told which. Clients
    /// begin a new one (2025-11-25, "Session Management").
    #[error("there is no such session: initialize again")]
    Unknown,
    #[error("the header MCP-Protocol-Version names another version than was agreed on")]
    Version,
}

impl NoSession {
    fn answer(self, id: Option<&Id>) -> Reply {
        let status = match self {
            NoSession::NotNamed | NoSession::Version => StatusCode::BAD_REQUEST,
            NoSession::Unknown => StatusCode::NOT_FOUND,
        };
        reply::json(status, answer::error(id, code::INVALID_REQUEST, &self.to_string()))
    }
}

/// Why a process cannot be had.
#[derive(Debug, thiserror::Error)]
pub(super) enum NoProcess {
    #[error(transparent)]
    NoRoom(#[from] NoRoom),
    #[error(
        "the server \"{0}\" cannot be started: whoever runs the proxy finds the reason in its log"
    )]
    CannotStart(Arc<str>),
    #[error("the proxy is stopping")]
    Stopping,
}

impl NoProcess {
    fn answer(&self, message: &ClientMessage) -> Reply {
        let status = match self {
            NoProcess::NoRoom(NoRoom::Sessions(_)) => StatusCode::TOO_MANY_REQUESTS,
            NoProcess::NoRoom(NoRoom::Children) | NoProcess::Stopping => {
                StatusCode::SERVICE_UNAVAILABLE
            }
            NoProcess::CannotStart(_) => StatusCode::BAD_GATEWAY,
        };
        let error = answer::error(message.request_id(), code::INTERNAL, &self.to_string());
        let mut answer = reply::json(status, error);
        if !matches!(self, NoProcess::CannotStart(_)) {
            answer.headers_mut().insert(header::RETRY_AFTER, RETRY);
        }
        answer
    }
}

impl Local {
    /// A server of this name; nothing runs yet.
    pub fn new(
        name: &str,
        config: ChildConfig,
        gate: Arc<Gate>,
        limits: ProxyLimits,
        room: Arc<Room>,
    ) -> Arc<Local> {
        Arc::new(Local {
            name: Arc::from(name),
            config,
            gate,
            limits,
            room,
            scopes: Sessions::new(name.to_owned(), limits.idle),
            known: Mutex::default(),
        })
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Answers a request.
    pub async fn answer(self: &Arc<Self>, client: Client, headers: &HeaderMap, ask: Ask) -> Reply {
        match ask {
            Ask::Post(_, Incoming::One(message)) => {
                if let Err(refusal) = headers::agree(headers, &message) {
                    return reply::refusal(&refusal);
                }
                match message.era() {
                    Era::Modern => self.modern(&client, headers, message).await,
                    Era::Legacy => self.legacy(&client, headers, message).await,
                }
            }
            Ask::Post(_, Incoming::Batch(messages)) => match self.session(&client, headers) {
                Ok(own) => self.post(&client, headers).several(own, messages).await,
                Err(none) => none.answer(None),
            },
            Ask::Get | Ask::Delete if is_modern(headers) => not_allowed(&[Method::POST]),
            Ask::Get => match self.session(&client, headers) {
                Ok(own) => self.listen(own, headers),
                Err(none) => none.answer(None),
            },
            Ask::Delete => match self.session(&client, headers) {
                Ok(own) => {
                    own.end();
                    reply::empty(StatusCode::OK)
                }
                Err(none) => none.answer(None),
            },
        }
    }

    fn post(self: &Arc<Self>, client: &Client, headers: &HeaderMap) -> Post {
        Post {
            local: self.clone(),
            client: client.clone(),
            headers: headers.clone(),
            takes_events: headers::takes_events(headers),
        }
    }

    /// A message of the newer protocol.
    async fn modern(
        self: &Arc<Self>,
        client: &Client,
        headers: &HeaderMap,
        message: ClientMessage,
    ) -> Reply {
        if let Some(id) = message.request_id().filter(|_| begins(&message)) {
            // It would make a process that many requests share one of the older protocol.
            let error = answer::error(Some(id), code::METHOD_NOT_FOUND, "there is no initialize");
            return reply::json(StatusCode::NOT_FOUND, error);
        }
        match self.of_client(client) {
            Ok(own) => self.post(client, headers).one(own, message).await,
            Err(none) => none.answer(&message),
        }
    }

    /// A message of the older one.
    async fn legacy(
        self: &Arc<Self>,
        client: &Client,
        headers: &HeaderMap,
        message: ClientMessage,
    ) -> Reply {
        let named = headers.contains_key(headers::SESSION);
        if is_modern(headers) && !named {
            let why = "params._meta lacks io.modelcontextprotocol/protocolVersion";
            let refusal = Refusal::new(code::INVALID_PARAMS, why);
            return reply::refusal(&Refusal { id: message.request_id().cloned(), ..refusal });
        }
        if named || !begins(&message) {
            return match self.session(client, headers) {
                Ok(own) => self.post(client, headers).one(own, message).await,
                Err(none) => none.answer(message.request_id()),
            };
        }
        if let Err(why) = self.gate.may_open_session(&client.name).await {
            let refusal = Refusal::new(code::INVALID_REQUEST, &why);
            let refusal = Refusal { id: message.request_id().cloned(), ..refusal };
            return reply::json(StatusCode::TOO_MANY_REQUESTS, answer::refusal(&refusal));
        }
        let (id, own) = match self.new_session(client) {
            Ok(session) => session,
            Err(none) => return none.answer(&message),
        };
        let session = own.clone();
        let mut answer = self.post(client, headers).one(own, message).await;
        // Where the server refused, there is none.
        if !session.is_ending() {
            answer
                .headers_mut()
                .extend(HeaderValue::from_str(&id).map(|id| (headers::SESSION, id)));
        }
        answer
    }

    /// The session that a request names, if it is this client's.
    fn session(&self, client: &Client, headers: &HeaderMap) -> Result<Use, NoSession> {
        let mut named = headers.get_all(headers::SESSION).iter();
        let (named, more) = (named.next().ok_or(NoSession::NotNamed)?, named.next());
        let id = named.to_str().ok().filter(|_| more.is_none());
        let own = id.and_then(|id| self.known().sessions.get(id).cloned());
        let own = own.filter(|own| own.party.client == *client.name).and_then(|own| own.enter());
        let own = own.ok_or(NoSession::Unknown)?;
        if speaks(&own, headers) { Ok(own) } else { Err(NoSession::Version) }
    }

    /// The stream of what the server says by itself.
    fn listen(&self, own: Use, headers: &HeaderMap) -> Reply {
        if !headers::takes_events(headers) {
            let why = "send Accept: text/event-stream";
            return reply::refused(StatusCode::NOT_ACCEPTABLE, why);
        }
        let Some(listening) = own.mail.listen() else {
            let why = "this session has such a stream already";
            return reply::refused(StatusCode::CONFLICT, why);
        };
        let gone = CancellationToken::new();
        let (to, messages) = mpsc::channel(first::WAITING);
        let stream = held::events(None, messages, gone.clone());
        tokio::spawn(async move {
            tokio::select! {
                () = listening.pass(to, &gone) => {}
                _ = own.ended() => {}
            }
        });
        stream
    }

    /// The process of a client, which runs already or is started.
    pub(super) fn of_client(self: &Arc<Self>, client: &Client) -> Result<Use, NoProcess> {
        let mut known = self.known();
        if let Some(own) = known.clients.get(&client.name).and_then(Own::enter) {
            return Ok(own);
        }
        let place = self.room.for_client()?;
        let scope = self.scopes.scope(client, None);
        let own = self.start(client, scope, Era::Modern, place)?;
        known.clients.insert(client.name.clone(), own.clone());
        own.enter().ok_or(NoProcess::Stopping)
    }

    /// A process for a session that begins, and the session's id.
    fn new_session(self: &Arc<Self>, client: &Client) -> Result<(String, Use), NoProcess> {
        let place = self.room.for_session(&client.name)?;
        let mut random = [0; SESSION_BYTES];
        getrandom::fill(&mut random).map_err(|error| {
            tracing::error!(%error, "there are no random bytes");
            NoProcess::CannotStart(self.name.clone())
        })?;
        let id = hex(&random);
        let scope = self.scopes.scope(client, Some(&id));
        let mut known = self.known();
        let own = self.start(client, scope, Era::Legacy, place)?;
        known.sessions.insert(id.clone(), own.clone());
        own.enter().map(|own| (id, own)).ok_or(NoProcess::Stopping)
    }

    fn start(
        self: &Arc<Self>,
        client: &Client,
        scope: String,
        era: Era,
        place: Place,
    ) -> Result<Arc<Own>, NoProcess> {
        let (unasked, said) = mpsc::channel(UNASKED);
        let longest = self.limits.message;
        let started = Running::start(&self.config, &self.name, &client.name, longest, unasked);
        let (upstream, running) = started.map_err(|error| {
            let (server, client) = (&*self.name, &*client.name);
            tracing::error!(server, client, %error, "a server cannot be started");
            NoProcess::CannotStart(self.name.clone())
        })?;
        let party = Party::new(client.name.to_string(), scope, client.hold);
        let party = Arc::new(party.for_user(client.user.to_string()));
        let own = Own::new(upstream, Server::new(&*self.name), party, era, longest);
        tokio::spawn(own.clone().hear(said));
        let group = running.group().clone();
        self.room.keep(&group, self.clone().keep(own.clone(), running, place));
        Ok(own)
    }

    /// Keeps a process until it is to end, and sees to it that it does.
    async fn keep(self: Arc<Self>, own: Arc<Own>, mut running: Running, place: Place) {
        let stopping = self.room.stopping();
        tokio::select! {
            () = own.ending(self.limits.idle) => {}
            () = running.exit() => {}
            () = stopping.cancelled() => {}
        }
        own.end();
        self.forget(&own);
        let how = running.end(&own.upstream).await;
        // What it said last is still passed on.
        let _ = tokio::time::timeout(LAST_WORDS, own.upstream.over()).await;
        let (server, client) = (&*self.name, &*own.party.client);
        tracing::info!(server, client, how, "a server has ended");
        own.has_ended(how);
        drop(place);
    }

    fn forget(&self, own: &Arc<Own>) {
        let mut known = self.known();
        known.sessions.retain(|_, kept| !Arc::ptr_eq(kept, own));
        known.clients.retain(|_, kept| !Arc::ptr_eq(kept, own));
    }
}

/// How long what a process said before it ended may take to be read.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// Whether a message begins a session.
fn begins(message: &ClientMessage) -> bool {
    message.method() == Some("initialize") && message.request_id().is_some()
}

/// Whether the headers of a request are of the newer protocol.
fn is_modern(headers: &HeaderMap) -> bool {
    let version = headers.get(headers::VERSION).and_then(|version| version.to_str().ok());
    // Versions are dates, and sort as such.
    version.is_some_and(|version| version >= "2026-07-28")
}

/// Whether a request says no version, or one that is spoken in its session.
fn speaks(own: &Own, headers: &HeaderMap) -> bool {
    let Some(said) = headers.get(headers::VERSION) else { return true };
    said.to_str().is_ok_and(|said| {
        LEGACY.contains(&said) || own.version.get().is_some_and(|version| version == said)
    })
}

fn not_allowed(methods: &[Method]) -> Reply {
    let allowed = methods.iter().map(Method::as_str).collect::<Vec<_>>().join(", ");
    let mut answer = reply::empty(StatusCode::METHOD_NOT_ALLOWED);
    answer.headers_mut().extend(HeaderValue::from_str(&allowed).map(|all| (header::ALLOW, all)));
    answer
}
