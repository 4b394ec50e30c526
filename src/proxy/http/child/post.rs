//! What a client posts to a server that is a child: each message to the gate or to
//! the process, and its answer back.
//!
//! Promises: every request is answered, also when the process ends, and then it is
//! told whether it may have run. Must never: send a call on that the gate has not
//! let pass.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use hyper::StatusCode;
use hyper::header::{self, HeaderMap, HeaderValue};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::first::{self, Begin};
use super::local::Local;
use super::own::{Asked, Own, Use};
use crate::call::json::Json;
use crate::proxy::answer::{self, words};
use crate::proxy::gate::{self, Judged, Passed, Question};
use crate::proxy::http::held;
use crate::proxy::http::reply::{self, Reply};
use crate::proxy::http::who::Client;
use crate::proxy::message::client::code;
use crate::proxy::message::server::Ended;
use crate::proxy::message::{ClientMessage, Era, Kind, Refusal, ServerMessage, ToolCall};
use crate::proxy::upstream::{Asking, NoAnswer, Outgoing, Upstream};

/// Requests whose answers stay open for as long as the client likes.
const LISTENS: &str = "subscriptions/listen";

/// When to try again what there was no room for.
const SOON: HeaderValue = HeaderValue::from_static("5");

/// How a client asks whether a server speaks the newer protocol.
const DISCOVER: &str = "server/discover";

/// How long a server may take to answer that: some that do not speak it never do.
/// Clients that ask wait for a minute, and then try the older one.
const DISCOVERED_WITHIN: Duration = Duration::from_secs(30);

/// How messages are handled.
#[derive(Debug, Clone)]
pub struct Post {
    /// Where they go.
    pub local: Arc<Local>,
    /// Who sends them.
    pub client: Client,
    /// With what.
    pub headers: HeaderMap,
    /// Whether the client takes an answer as events.
    pub takes_events: bool,
}

/// What is said to a client that has too much under way.
const TOO_MANY: &str =
    "too many requests of this client are under way: make it again when some of them have ended";

impl Post {
    /// Answers one message, which came by itself.
    pub async fn one(self, own: Use, message: ClientMessage) -> Reply {
        if message.request_id().is_none() {
            return match self.tell(&own, message).await {
                Ok(()) => reply::empty(StatusCode::ACCEPTED),
                Err(refusal) => refused(&refusal),
            };
        }
        let gone = CancellationToken::new();
        let begin = Begin::new(&message);
        let (out, messages) = mpsc::channel(first::WAITING);
        let takes_events = self.takes_events;
        let line = Line { post: self, out, gone: gone.clone(), begun: begin.begun.clone() };
        match line.request(own, message) {
            Ok(work) => tokio::spawn(work),
            Err(refusal) => return refused(&refusal),
        };
        first::answer(begin, messages, gone, takes_events).await
    }

    /// Answers several, as clients up to 2025-03-26 send them.
    pub async fn several(self, own: Use, all: Vec<Result<ClientMessage, Refusal>>) -> Reply {
        let gone = CancellationToken::new();
        let (out, messages) = mpsc::channel(first::WAITING);
        let takes_events = self.takes_events;
        let begun = CancellationToken::new();
        let line = Line { post: self, out, gone: gone.clone(), begun };
        let mut awaited = false;
        let mut refused = Vec::new();
        for message in all {
            let taken = match message {
                Ok(message) if message.method() == Some("initialize") => {
                    Err(Refusal::new(code::INVALID_REQUEST, "initialize is not part of a batch"))
                }
                Ok(message) if message.request_id().is_none() => {
                    line.post.tell(&own, message).await
                }
                Ok(message) => {
                    awaited = true;
                    own.enter().ok_or_else(ending).and_then(|own| {
                        tokio::spawn(line.clone().request(own, message)?);
                        Ok(())
                    })
                }
                Err(refusal) => Err(refusal),
            };
            refused.extend(taken.err().map(|refusal| answer::refusal(&refusal)));
        }
        awaited |= !refused.is_empty();
        tokio::spawn(async move {
            for refusal in refused {
                line.say(refusal).await;
            }
        });
        match (awaited, takes_events) {
            (false, _) => reply::empty(StatusCode::ACCEPTED),
            (true, true) => held::events(None, messages, gone),
            (true, false) => held::answers(messages, gone).await,
        }
    }

    /// Passes on what wants no answer.
    async fn tell(&self, own: &Use, message: ClientMessage) -> Result<(), Refusal> {
        if ToolCall::is_one(&message) {
            ToolCall::read(message)?;
            return Ok(());
        }
        if let Some(id) = message.cancels() {
            // The process knows the request by another id: it is told by that.
            own.cancel(&id);
            return Ok(());
        }
        if matches!(message.kind, Kind::Response { .. }) && own.era == Era::Modern {
            let why = "in this protocol servers ask nothing, so nothing is answered";
            return Err(Refusal::new(code::INVALID_REQUEST, why));
        }
        let Some(_room) = own.room(&message) else {
            return Err(Refusal::new(code::INTERNAL, TOO_MANY));
        };
        if own.upstream.send(message.bytes).await { Ok(()) } else { Err(ending()) }
    }
}

/// A refusal of a message that came by itself.
fn refused(refusal: &Refusal) -> Reply {
    if refusal.message != TOO_MANY {
        return reply::refusal(refusal);
    }
    let mut answer = reply::json(StatusCode::TOO_MANY_REQUESTS, answer::refusal(refusal));
    answer.headers_mut().insert(header::RETRY_AFTER, SOON);
    answer
}

fn ending() -> Refusal {
    Refusal::new(code::INTERNAL, "the server has ended")
}

/// The way back that the messages of one POST share.
#[derive(Debug, Clone)]
struct Line {
    post: Post,
    out: mpsc::Sender<Bytes>,
    /// Cancelled when the client is not there any more.
    gone: CancellationToken,
    /// Cancelled when the answer is to begin, before there is anything to say.
    begun: CancellationToken,
}

impl Line {
    /// Takes a request on. What is returned does the work.
    fn request(
        self,
        own: Use,
        message: ClientMessage,
    ) -> Result<impl Future<Output = ()> + Send + use<>, Refusal> {
        let Kind::Request { id, .. } = &message.kind else { return Err(ending()) };
        let id = id.clone();
        // In the newer protocol to go away is to cancel.
        let (cancelled, closed) = match own.era {
            Era::Modern => (self.gone.clone(), CancellationToken::new()),
            Era::Legacy => (CancellationToken::new(), self.gone.clone()),
        };
        let way = gate::Reply::into(id.clone(), self.out.clone(), cancelled, closed);
        let call = ToolCall::is_one(&message).then(|| ToolCall::read(message.clone()));
        let call = call.transpose()?;
        if let Some(call) = &call
            && own.era == Era::Modern
        {
            own.params.agree(&self.post.headers, call)?;
        }
        let asked = own.begin(&message, way.clone(), self.post.takes_events);
        let Some(asked) = asked else {
            return Err(Refusal::new(code::INTERNAL, TOO_MANY).of(&id));
        };
        Ok(async move {
            match call {
                Some(call) => self.call(&asked, call, way).await,
                None => self.ask(&asked, message, way).await,
            }
        })
    }

    async fn say(&self, message: Bytes) {
        // Nobody may be there any more.
        let _ = self.out.send(message).await;
    }

    /// A request that is no call.
    async fn ask(&self, asked: &Asked, message: ClientMessage, way: gate::Reply) {
        let (own, gate) = (asked.own(), &self.post.local.gate);
        let said = match gate.task_request(&message) {
            Some(task) => gate.answer_task(task, &own.party, &own.server).await,
            None => self.ask_server(asked, &message, &way).await,
        };
        asked.forget();
        way.send(said).await;
    }

    async fn ask_server(&self, asked: &Asked, message: &ClientMessage, way: &gate::Reply) -> Bytes {
        let own = asked.own();
        let method = message.method().unwrap_or_default();
        let longest = self.post.local.limits.answer;
        let within = match method {
            LISTENS => None,
            DISCOVER => Some(longest.min(DISCOVERED_WITHIN)),
            _ => Some(longest),
        };
        let answered = asked.forward(message, way, within).await;
        match (&answered, method) {
            (Ok(answer), "tools/list") => {
                own.server.definitions.learn(answer);
                own.params.learn(answer);
                return self.post.local.gate.shown(&own.server, &answer.bytes);
            }
            (Ok(answer), "initialize") => introduced(own, message, answer),
            (Err(_), "initialize") => own.end(),
            (Ok(answer), DISCOVER) if speaks_modern(answer) => {
                let tasks = self.post.local.gate.offers_tasks();
                let announced = tasks.then(|| answer::tasks::announced(&answer.bytes));
                return announced.unwrap_or_else(|| answer.bytes.clone());
            }
            // It is of no use to clients of the newer protocol.
            (_, DISCOVER) => own.end_unless_shared(),
            _ => {}
        }
        match answered {
            Ok(answer) => answer.bytes,
            Err(why) => {
                let why = format!("the server \"{}\" does not answer: {why}", own.server.name);
                answer::error(Some(&way.id), code::INTERNAL, &why)
            }
        }
    }

    async fn call(&self, asked: &Asked, call: ToolCall, way: gate::Reply) {
        // What cannot be told is not asked for, by the server neither.
        let call = if self.post.takes_events { call } else { call.without_progress() };
        let (own, gate) = (asked.own(), &self.post.local.gate);
        let judged = match gate.judge_at_once(call, &own.party, &own.server) {
            Ok(judged) => judged,
            Err(unjudged) => gate.judge(*unjudged, &**own).await,
        };
        let said = match judged {
            Judged::Forward(passed) => self.forward(asked, passed, &way).await,
            Judged::Answer(answer) => answer,
            Judged::Hold(question) => {
                self.begun.cancel();
                return self.hold(asked, *question, way).await;
            }
        };
        asked.forget();
        way.send(said).await;
    }

    async fn forward(&self, asked: &Asked, passed: Passed, way: &gate::Reply) -> Bytes {
        let Passed { call, ticket } = passed;
        let answered = asked.forward(&call.message, way, Some(self.post.local.limits.answer)).await;
        if let Some(ticket) = ticket {
            ticket.ended(&answered);
        }
        let said = match answered {
            Ok(answer) => return answer.bytes,
            Err(NoAnswer::NotSent(why)) => words::did_not_run(&why),
            Err(NoAnswer::Lost(why)) => words::may_have_run(&why),
        };
        answer::result(&call.id, &answer::tool_error(call.era, &said))
    }

    /// Holds a call, as long as the process lives.
    async fn hold(&self, asked: &Asked, question: Question, way: gate::Reply) {
        let own = asked.own();
        let (id, era) = (question.call.id.clone(), question.call.era);
        // Closed when the process ends, so that the gate lets go of what only waits.
        let closed = self.gone.child_token();
        let held = gate::Reply::into(id.clone(), self.out.clone(), way.cancelled(), closed.clone());
        let ran = Arc::new(Ran {
            own: own.clone(),
            post: self.post.clone(),
            began: AtomicBool::new(false),
        });
        let holding = self.post.local.gate.hold(question, held, ran.clone());
        tokio::pin!(holding);
        let how = tokio::select! {
            () = &mut holding => return,
            how = own.ended() => how,
        };
        if ran.began() {
            // What was sent is told of by the gate.
            return holding.await;
        }
        closed.cancel();
        holding.await;
        let said = match (ran.began(), era) {
            (true, _) => words::unknown("the server ended just as the call was sent"),
            (false, Era::Modern) => words::server_ended(how),
            (false, Era::Legacy) => words::session_ended(how),
        };
        asked.forget();
        way.send(answer::result(&id, &answer::tool_error(era, &said))).await;
    }
}

/// A session begins, or does not.
fn introduced(own: &Own, message: &ClientMessage, answer: &ServerMessage) {
    if let Ended::Failed(Some(_)) = answer.ended() {
        return own.end();
    }
    let info = message.params().and_then(|params| params.get("clientInfo"));
    let text = |name| info.and_then(|info| info.get(name)).and_then(Json::as_str);
    own.party.is(text("name").unwrap_or_default(), text("version").unwrap_or_default());
    if let Some(version) = answer.text_at(&["result", "protocolVersion"]) {
        // Only the first handshake counts.
        let _ = own.version.set(version);
    }
}

/// Whether an answer to [`DISCOVER`] is one of the newer protocol, be it a refusal.
fn speaks_modern(answer: &ServerMessage) -> bool {
    match answer.ended() {
        Ended::Failed(error) => error.is_some_and(|error| (-32022..=-32020).contains(&error)),
        _ => true,
    }
}

/// The way of a held call to its server, and whether it was taken.
///
/// In the newer protocol a task may outlive the process that was there when it
/// began: then it runs in the client's next one.
struct Ran {
    own: Arc<Own>,
    post: Post,
    began: AtomicBool,
}

impl Ran {
    fn began(&self) -> bool {
        self.began.load(Ordering::SeqCst)
    }

    fn now(&self) -> Result<Use, NoAnswer> {
        let own = match (self.own.enter(), self.own.era) {
            (Some(own), _) => return Ok(own),
            (None, Era::Legacy) => Err("the server has ended".to_owned()),
            (None, Era::Modern) => {
                self.post.local.of_client(&self.post.client).map_err(|none| none.to_string())
            }
        };
        own.map_err(NoAnswer::NotSent)
    }
}

impl Upstream for Ran {
    fn ask<'a>(
        &'a self,
        request: Outgoing,
        relay: Option<&'a gate::Reply>,
        cancelled: CancellationToken,
    ) -> Asking<'a> {
        Box::pin(async move {
            let own = self.now()?;
            if request.tool.is_some() {
                self.began.store(true, Ordering::SeqCst);
            }
            own.ask(request, relay, cancelled).await
        })
    }
}
