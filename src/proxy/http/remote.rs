//! A server behind a URL, at its path: what passes as it is, and what does not.
//!
//! ```text
//! POST ──┬── tools/call ──> gate ──┬── forward ──┐
//!        │                         ├── answer    │
//!        │                         └── hold      ├──> the server: bytes as they came,
//!        └── anything else ──────────────────────┤    its answer as it comes
//! GET, DELETE ───────────────────────────────────┘
//! ```
//!
//! Promises: a session id opens a session only for the client to whom it was given;
//! what is not ours to change passes unchanged, in both directions, and is never
//! gathered first. Must never: send a call on that the gate has not let pass.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http_body::Body as HttpBody;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use hyper::{Method, Response, StatusCode};
use tokio_util::sync::CancellationToken;

use super::door::Ask;
use super::passing::{Learn, Passing, TOO_LONG};
use super::reply::{self, BodyError, Reply};
use super::seal::Sealer;
use super::sessions::Sessions;
use super::visit::Visit;
use super::who::Client;
use super::{batch, headers, held, sse};
use crate::call::json::Json;
use crate::proxy::answer::{self, tasks};
use crate::proxy::gate::{self, Gate, Judged, Question, Ticket};
use crate::proxy::locked;
use crate::proxy::message::client::code;
use crate::proxy::message::{ClientMessage, Era, Incoming, LIST_CHANGED, Refusal, Said, ToolCall};
use crate::proxy::upstream::url::{Answer, UrlServer};

/// Requests whose answers stay open for as long as the client likes.
const LISTENS: &str = "subscriptions/listen";

/// What is said of a session that does not exist, whether it ended, never was, or
/// is another client's. Clients begin a new one (2025-11-25, "Session Management").
const NO_SESSION: &str = "there is no such session: initialize again";

/// A server behind a URL.
#[derive(Debug, Clone)]
pub struct Remote {
    /// Its name.
    pub name: Arc<str>,
    /// How it is reached.
    pub upstream: Arc<UrlServer>,
    /// What calls pass through.
    pub gate: Arc<Gate>,
    /// Seals session ids.
    pub sealer: Sealer,
    /// What is known of its sessions.
    pub sessions: Arc<Sessions>,
    /// The longest message that is kept.
    pub longest: usize,
    /// How long it may say nothing when it was asked something.
    pub answer: Duration,
}

/// Who sent a request, as far as its server is concerned.
#[derive(Debug, Clone)]
pub struct Caller {
    /// The client.
    pub client: Client,
    /// What its calls are resumed in.
    pub scope: String,
    /// What goes on with its messages.
    pub headers: HeaderMap,
    /// Whether it takes an answer as events.
    pub takes_events: bool,
}

impl Remote {
    /// Answers a request.
    pub async fn answer(&self, client: Client, headers: &HeaderMap, ask: Ask) -> Reply {
        let Some(caller) = self.caller(client, headers, &ask) else {
            return reply::refused(StatusCode::NOT_FOUND, NO_SESSION);
        };
        match ask {
            Ask::Get => self.pass(&caller, Method::GET, None).await,
            Ask::Delete => {
                let answer = self.pass(&caller, Method::DELETE, None).await;
                if answer.status().is_success() {
                    self.sessions.end(&caller.scope);
                }
                answer
            }
            Ask::Post(body, Incoming::One(message)) => match headers::agree(headers, &message) {
                Ok(()) => self.one(caller, body, message).await,
                Err(refusal) => reply::refusal(&refusal),
            },
            Ask::Post(_, Incoming::Batch(messages)) => {
                batch::answer(self.clone(), caller, messages).await
            }
        }
    }

    /// Who sent a request; `None` if it names a session that is not there for them.
    fn caller(&self, client: Client, headers: &HeaderMap, ask: &Ask) -> Option<Caller> {
        // The newer protocol has no sessions, and an id that is sent all the same
        // means nothing (2026-07-28, "Earlier Streamable HTTP Revisions").
        let modern = matches!(ask, Ask::Post(_, Incoming::One(one)) if one.era() == Era::Modern);
        let session = match self.session(&client, headers).filter(|_| !modern) {
            None => None,
            Some(Some(session)) => Some(session),
            Some(None) => return None,
        };
        let mut onward = headers::onward(headers);
        if let Some(Ok(session)) = session.map(HeaderValue::from_str) {
            onward.insert(headers::SESSION, session);
        }
        Some(Caller {
            scope: self.sessions.scope(&client, session),
            client,
            headers: onward,
            takes_events: headers::takes_events(headers),
        })
    }

    /// The session that a request names: none, one that is this client's, or one
    /// that does not exist for it.
    fn session<'a>(&self, client: &Client, headers: &'a HeaderMap) -> Option<Option<&'a str>> {
        let mut named = headers.get_all(headers::SESSION).iter();
        let (named, more) = (named.next()?, named.next());
        let sealed = named.to_str().ok().filter(|_| more.is_none());
        Some(sealed.and_then(|sealed| self.sealer.open(&self.name, &client.name, sealed)))
    }

    /// One message, which came by itself in this body.
    async fn one(&self, caller: Caller, body: Bytes, message: ClientMessage) -> Reply {
        if ToolCall::is_one(&message) {
            return match ToolCall::read(message) {
                Ok(call) => self.call(caller, body, call).await,
                Err(refusal) => reply::refusal(&refusal),
            };
        }
        if self.cancels_held(&caller, &message) {
            return reply::empty(StatusCode::ACCEPTED);
        }
        if let Some(asked) = self.gate.task_request(&message) {
            let party = self.sessions.party(&caller.client, &caller.scope);
            let server = self.sessions.server(&caller.client);
            return reply::answered(self.gate.answer_task(asked, &party, &server).await);
        }
        match message.method() {
            Some("server/discover") if self.gate.offers_tasks() => {
                self.discover(&caller, body).await
            }
            Some("initialize") => self.initialize(&caller, body, &message).await,
            Some("tools/list") => self.list(&caller, body).await,
            Some(LISTENS) => {
                match self.send(caller.headers.clone(), Method::POST, Some(body)).await {
                    Ok(response) => self.back(&caller, response, Look::News, None),
                    Err(away) => away,
                }
            }
            _ => self.pass(&caller, Method::POST, Some(body)).await,
        }
    }

    /// Whether a message cancels a call that is held here. The server does not know
    /// that call, or knows it by another id.
    pub fn cancels_held(&self, caller: &Caller, message: &ClientMessage) -> bool {
        message.cancels().is_some_and(|id| self.sessions.cancel(&caller.scope, &id))
    }

    /// What takes note of a list of tools that passes by, and of the news that it is
    /// another now.
    pub fn learn(&self, caller: &Caller, is_list: bool) -> Learn {
        let server = self.sessions.server(&caller.client);
        Box::new(move |message| match &message.said {
            Said::Answer(_) if is_list => server.definitions.learn(message),
            // Several answers in one, or what was too long to be looked at.
            Said::Other if is_list && message.bytes.trim_ascii_start().starts_with(b"[") => {
                server.definitions.learn_several(&message.bytes);
            }
            Said::Other if is_list && message.bytes == TOO_LONG => server.definitions.not_read(),
            Said::Notification(told) if told == LIST_CHANGED => server.definitions.forget(),
            _ => {}
        })
    }

    /// What settles, when a call's answer passes, what it took from counters.
    fn settle(&self, caller: &Caller, ticket: Ticket) -> Learn {
        let (learn, ticket) = (self.learn(caller, false), Mutex::new(Some(ticket)));
        Box::new(move |message| {
            learn(message);
            if let Said::Answer(_) = &message.said
                && let Some(ticket) = locked(&ticket).take()
            {
                ticket.answered(message);
            }
        })
    }

    /// The way that requests of ours take for this caller.
    pub fn visit(&self, caller: &Caller) -> Visit {
        Visit {
            upstream: self.upstream.clone(),
            headers: caller.headers.clone(),
            longest: self.longest,
            heard: self.learn(caller, false),
        }
    }

    async fn call(&self, mut caller: Caller, body: Bytes, call: ToolCall) -> Reply {
        // What cannot be told is not asked for, by the server neither.
        let call = if caller.takes_events { call } else { call.without_progress() };
        match self.judge(&caller, call).await {
            Judged::Forward(passed) => {
                let look = passed.ticket.map_or(Look::News, Look::Call);
                match self.send(std::mem::take(&mut caller.headers), Method::POST, Some(body)).await
                {
                    Ok(response) => self.back(&caller, response, look, Some(self.answer)),
                    Err(away) => away,
                }
            }
            Judged::Answer(answer) => reply::json(StatusCode::OK, answer),
            Judged::Hold(question) => self.hold(caller, *question).await,
        }
    }

    /// What the policy says of a call.
    pub async fn judge(&self, caller: &Caller, call: ToolCall) -> Judged {
        let party = self.sessions.party(&caller.client, &caller.scope);
        let server = self.sessions.server(&caller.client);
        match self.gate.judge_at_once(call, &party, &server) {
            Ok(judged) => judged,
            Err(unjudged) => self.gate.judge(*unjudged, &self.visit(caller)).await,
        }
    }

    /// Holds a call, beside this request: in the older protocol a client that goes
    /// away has not cancelled, and what was sent by then is still to be answered.
    async fn hold(&self, caller: Caller, question: Question) -> Reply {
        let (cancelled, gone) = (CancellationToken::new(), CancellationToken::new());
        // In the newer one it has.
        let leaves = if question.call.era == Era::Modern { &cancelled } else { &gone };
        let id = question.call.id.clone();
        let (way, messages) = gate::Reply::new(id.clone(), cancelled.clone(), gone.clone());
        let held = self.sessions.hold(&caller.scope, &id, cancelled.clone());
        let (gate, visit) = (self.gate.clone(), Arc::new(self.visit(&caller)));
        tokio::spawn(async move {
            gate.hold(question, way, visit).await;
            drop(held);
        });
        match caller.takes_events {
            true => held::events(None, messages, leaves.clone()),
            false => held::answer(messages, leaves.clone()).await,
        }
    }

    /// The beginning of a session: who says what of itself.
    async fn initialize(&self, caller: &Caller, body: Bytes, message: &ClientMessage) -> Reply {
        if let Err(why) = self.gate.may_open_session(&caller.client.name).await {
            let refusal = Refusal::new(code::INVALID_REQUEST, &why);
            let refusal = Refusal { id: message.request_id().cloned(), ..refusal };
            return reply::json(StatusCode::TOO_MANY_REQUESTS, answer::refusal(&refusal));
        }
        let response = match self.send(caller.headers.clone(), Method::POST, Some(body)).await {
            Ok(response) => response,
            Err(away) => return away,
        };
        let session = response.headers().get(headers::SESSION).and_then(|id| id.to_str().ok());
        let info = message.params().and_then(|params| params.get("clientInfo"));
        if let Some(info) = info.filter(|_| response.status().is_success()) {
            let text = |name| info.get(name).and_then(Json::as_str).unwrap_or_default();
            let scope = self.sessions.scope(&caller.client, session);
            self.sessions.party(&caller.client, &scope).is(text("name"), text("version"));
        }
        self.back(caller, response, Look::News, Some(self.answer))
    }

    /// What the server can do, and what we add: calls may become tasks of ours.
    async fn discover(&self, caller: &Caller, body: Bytes) -> Reply {
        self.gathered(caller, body, Look::News, tasks::announced).await
    }

    /// The server's tools, but those that the policy hides.
    async fn list(&self, caller: &Caller, body: Bytes) -> Reply {
        let server = self.sessions.server(&caller.client);
        if self.gate.hides_any(&server) {
            let shown = |list: &Bytes| self.gate.shown(&server, list);
            return self.gathered(caller, body, Look::List, shown).await;
        }
        match self.send(caller.headers.clone(), Method::POST, Some(body)).await {
            Ok(response) => self.back(caller, response, Look::List, Some(self.answer)),
            Err(away) => away,
        }
    }

    /// A list of tools as the caller gets it.
    pub fn shown(&self, caller: &Caller, list: &Bytes) -> Bytes {
        self.gate.shown(&self.sessions.server(&caller.client), list)
    }

    /// An answer that is gathered before it passes, and then is as `change` has it.
    async fn gathered(
        &self,
        caller: &Caller,
        body: Bytes,
        look: Look,
        change: impl Fn(&Bytes) -> Bytes,
    ) -> Reply {
        let response = match self.send(caller.headers.clone(), Method::POST, Some(body)).await {
            Ok(response) => response,
            Err(away) => return away,
        };
        let kind = headers::kind(response.headers());
        if !response.status().is_success() || !["application/json", sse::KIND].contains(&&*kind) {
            return self.back(caller, response, Look::News, Some(self.answer));
        }
        let (head, body) = response.into_parts();
        let whole = Limited::new(body, self.longest).collect();
        let whole = match tokio::time::timeout(self.answer, whole).await {
            Ok(Ok(whole)) => whole.to_bytes(),
            Ok(Err(_)) | Err(_) => {
                let why = "the server's answer is too long, or broke off";
                return reply::refused(StatusCode::BAD_GATEWAY, why);
            }
        };
        let whole = match kind == sse::KIND {
            true => sse::rewritten(&whole, change),
            false => change(&whole),
        };
        self.back(caller, Response::from_parts(head, Full::new(whole)), look, None)
    }

    /// Passes a request on, and its answer back.
    pub async fn pass(&self, caller: &Caller, method: Method, body: Option<Bytes>) -> Reply {
        // A stream that is there to be told of news may be silent; one that is taken up
        // again brings answers too, perhaps that to a list.
        let (patience, look) = match method {
            Method::GET => (None, Look::List),
            _ => (Some(self.answer), Look::News),
        };
        match self.send(caller.headers.clone(), method, body).await {
            Ok(response) => self.back(caller, response, look, patience),
            Err(away) => away,
        }
    }

    async fn send(
        &self,
        mut onward: HeaderMap,
        method: Method,
        body: Option<Bytes>,
    ) -> Result<Response<Answer>, Reply> {
        if body.is_some() {
            onward.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        }
        let sent = tokio::time::timeout(self.answer, self.upstream.send(method, onward, body));
        let away = match sent.await {
            Ok(Ok(response)) => return Ok(response),
            Ok(Err(away)) => (StatusCode::BAD_GATEWAY, away.to_string()),
            Err(_) => (StatusCode::GATEWAY_TIMEOUT, "the server does not answer".to_owned()),
        };
        tracing::warn!(server = &*self.name, why = away.1, "a server is away");
        Err(reply::refused(away.0, &away.1))
    }

    /// A server's answer as the client gets it.
    fn back<B>(
        &self,
        caller: &Caller,
        response: Response<B>,
        look: Look,
        patience: Option<Duration>,
    ) -> Reply
    where
        B: HttpBody<Data = Bytes, Error: Into<BodyError>> + Send + Unpin + 'static,
    {
        let (head, body) = response.into_parts();
        if let Some(why) = not_for_clients(head.status) {
            tracing::warn!(server = &*self.name, status = head.status.as_u16(), why);
            return reply::refused(StatusCode::BAD_GATEWAY, why);
        }
        let kind = headers::kind(&head.headers);
        let is_events = kind == sse::KIND;
        let learn = match look {
            // Among events may be news; a piece of JSON is what was asked for.
            Look::News => is_events.then(|| self.learn(caller, false)),
            Look::List => Some(self.learn(caller, true)),
            Look::Call(ticket) => Some(self.settle(caller, ticket)),
        };
        let body = Passing::new(body, is_events, learn, self.longest, patience);
        let mut answer = Response::new(body.boxed_unsync());
        *answer.status_mut() = head.status;
        *answer.headers_mut() = headers::back(&head.headers);
        let to = answer.headers_mut();
        if let Some(id) = head.headers.get(headers::SESSION).and_then(|id| id.to_str().ok()) {
            let sealed = self.sealer.seal(&self.name, &caller.client.name, id);
            to.extend(HeaderValue::from_str(&sealed).map(|sealed| (headers::SESSION, sealed)));
        }
        if is_events {
            to.entry(held::NO_BUFFERING).or_insert(HeaderValue::from_static("no"));
        }
        answer
    }
}

/// What an answer is looked at for.
enum Look {
    /// For what the server says beside it.
    News,
    /// It lists tools.
    List,
    /// It decides whether a call keeps what it took from counters.
    Call(Ticket),
}

/// Why an answer is no client's business: it is about us, or would lead past us.
fn not_for_clients(status: StatusCode) -> Option<&'static str> {
    match status {
        StatusCode::UNAUTHORIZED | StatusCode::PROXY_AUTHENTICATION_REQUIRED => {
            Some("the server does not let the proxy in: its `headers` are to be mended")
        }
        status if status.is_redirection() => {
            Some("the server has moved, and redirects are not followed: its `url` is to be mended")
        }
        status if status.is_informational() => Some("the server switches protocols"),
        _ => None,
    }
}
