//! What the client on standard input says, and what becomes of it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::call::json::Json;
use crate::proxy::answer;
use crate::proxy::gate::{Gate, Judged, Party, Passed, Question, Reply, Server, Ticket};
use crate::proxy::locked;
use crate::proxy::message::client::code;
use crate::proxy::message::{
    ClientMessage, Era, Id, Incoming, Kind, LIST_CHANGED, Refusal, Said, ServerMessage, ToolCall,
    client,
};
use crate::proxy::upstream::Upstream;
use crate::proxy::upstream::child::{Child, Unasked};

/// The most calls that one client may have waiting at once.
const MAX_HELD: usize = 256;
/// The most requests of the client that have no answer yet. Those that it cancelled
/// are among them: a server may answer them all the same. Of ids of 1 KiB, 4 MiB.
const MAX_UNDERWAY: usize = 4096;
/// The most questions about tasks that are answered at once. The daemon may have
/// to be asked, and may be away: then the client is read more slowly.
const MAX_ASKED: usize = 64;

/// One client, from its first line to its last.
#[derive(Debug)]
pub struct Session {
    gate: Arc<Gate>,
    party: Arc<Party>,
    server: Arc<Server>,
    upstream: Arc<Child>,
    out: mpsc::Sender<Bytes>,
    closed: CancellationToken,
    /// Calls that are with the gate, by their id.
    held: Mutex<HashMap<Id, Waiting>>,
    /// Requests that are underway by the ids that the client gave them. Each id stands
    /// for one of them: under whose id an answer comes decides what we make of it.
    watched: Mutex<HashMap<Id, Watched>>,
    /// Places for questions about tasks.
    asked: Arc<Semaphore>,
    tasks: Mutex<JoinSet<()>>,
}

#[derive(Debug)]
struct Waiting {
    reply: Reply,
    cancelled: CancellationToken,
    /// Nobody waits any more for its approval, and not because of the client.
    ended: CancellationToken,
    era: Era,
}

/// Why an answer is looked at.
#[derive(Debug)]
enum Watched {
    /// It is not: only to know that it comes.
    Passing,
    /// It lists tools.
    Tools,
    /// It decides whether a call keeps what it took from counters.
    Call(Ticket),
    /// It says what the server can do, to which we add.
    Discover,
}

impl Session {
    /// A client that has said nothing yet.
    pub fn new(
        gate: Arc<Gate>,
        party: Party,
        server: Server,
        upstream: Arc<Child>,
        out: mpsc::Sender<Bytes>,
        closed: CancellationToken,
    ) -> Session {
        Session {
            gate,
            party: Arc::new(party),
            server: Arc::new(server),
            upstream,
            out,
            closed,
            held: Mutex::default(),
            watched: Mutex::default(),
            asked: Arc::new(Semaphore::new(MAX_ASKED)),
            tasks: Mutex::default(),
        }
    }

    /// One line came.
    pub async fn received(self: &Arc<Self>, line: Bytes) {
        match client::read(line) {
            Ok(Incoming::One(message)) => self.message(message).await,
            Ok(Incoming::Batch(messages)) => {
                for message in messages {
                    match message {
                        Ok(message) => self.message(message).await,
                        Err(refusal) => self.refuse(&refusal).await,
                    }
                }
            }
            Err(refusal) => self.refuse(&refusal).await,
        }
    }

    /// Tells the client that a message goes no further.
    pub async fn refuse(&self, refusal: &Refusal) {
        let _ = self.out.send(answer::refusal(refusal)).await;
    }

    async fn message(self: &Arc<Self>, message: ClientMessage) {
        if let Some(id) = message.request_id()
            && let Err(why) = self.begins(id)
        {
            return self.refuse(&Refusal::new(code::INVALID_REQUEST, why).of(id)).await;
        }
        if ToolCall::is_one(&message) {
            let id = message.request_id().cloned();
            return match ToolCall::read(message) {
                Ok(call) => self.call(call).await,
                Err(refusal) => {
                    id.inspect(|id| self.is_over(id));
                    self.refuse(&refusal).await;
                }
            };
        }
        if let Some(id) = message.cancels()
            && let Some(waiting) = locked(&self.held).get(&id)
        {
            // The server knows it by another id, if at all: the gate tells it.
            return waiting.cancelled.cancel();
        }
        if let Kind::Request { id, method } = &message.kind {
            match method.as_str() {
                "initialize" => self.introduced(&message),
                "tools/list" => self.watch(id, Watched::Tools),
                "server/discover" if self.gate.offers_tasks() => self.watch(id, Watched::Discover),
                _ => {}
            }
        }
        if let Some(asked) = self.gate.task_request(&message) {
            let Ok(place) = self.asked.clone().acquire_owned().await else { return };
            let (session, id) = (self.clone(), message.request_id().cloned());
            return self.spawn(async move {
                let _place = place;
                let answering = session.gate.answer_task(asked, &session.party, &session.server);
                let answer = answering.await;
                id.inspect(|id| session.is_over(id));
                let _ = session.out.send(answer).await;
            });
        }
        self.upstream.send(message.bytes).await;
    }

    fn introduced(&self, message: &ClientMessage) {
        let info = message.params().and_then(|params| params.get("clientInfo"));
        let text = |name| info.and_then(|info| info.get(name)).and_then(Json::as_str);
        self.party.is(text("name").unwrap_or_default(), text("version").unwrap_or_default());
    }

    /// From now on this id stands for this request; why not, if it cannot.
    fn begins(&self, id: &Id) -> Result<(), &'static str> {
        let mut watched = locked(&self.watched);
        if watched.contains_key(id) {
            // Two answers would come under it, and which is which nobody could tell.
            return Err("this id is still in use: give each request its own");
        }
        // A call that came to be held meanwhile is there before it is gone from here.
        if locked(&self.held).contains_key(id) {
            return Err("another call with this id still waits: give each its own");
        }
        if watched.len() >= MAX_UNDERWAY {
            return Err("too many requests are under way: ask again when some have ended");
        }
        watched.insert(id.clone(), Watched::Passing);
        Ok(())
    }

    /// Its answer will be looked at.
    fn watch(&self, id: &Id, why: Watched) {
        locked(&self.watched).insert(id.clone(), why);
    }

    /// This id stands for nothing any more that the server is asked.
    fn is_over(&self, id: &Id) {
        locked(&self.watched).remove(id);
    }

    async fn call(self: &Arc<Self>, call: ToolCall) {
        let id = call.id.clone();
        match self.gate.judge_at_once(call, &self.party, &self.server) {
            Ok(judged) => self.judged(&id, judged).await,
            Err(_) if self.busy() => {
                let why = "too many calls are under way: make it again when some have ended";
                let refusal = Refusal::new(code::INVALID_REQUEST, why);
                self.is_over(&id);
                self.refuse(&refusal.of(&id)).await;
            }
            Err(unjudged) => {
                let session = self.clone();
                self.spawn(async move {
                    let judged = session.gate.judge(*unjudged, &*session.upstream).await;
                    session.judged(&id, judged).await;
                });
            }
        }
    }

    async fn judged(self: &Arc<Self>, id: &Id, judged: Judged) {
        match judged {
            Judged::Forward(Passed { call, ticket }) => {
                if let Some(ticket) = ticket {
                    self.watch(id, Watched::Call(ticket));
                }
                self.upstream.send(call.message.bytes).await;
            }
            Judged::Answer(answer) => {
                self.is_over(id);
                let _ = self.out.send(answer).await;
            }
            Judged::Hold(question) => self.hold(*question).await,
        }
    }

    async fn hold(self: &Arc<Self>, question: Question) {
        let id = question.call.id.clone();
        let (cancelled, ended) = (CancellationToken::new(), self.closed.child_token());
        let reply = Reply::into(id.clone(), self.out.clone(), cancelled.clone(), ended.clone());
        let room = {
            let mut held = locked(&self.held);
            let room = held.len() < MAX_HELD;
            if room {
                let (reply, era) = (reply.clone(), question.call.era);
                held.insert(id.clone(), Waiting { reply, cancelled, ended, era });
            }
            room
        };
        // From here on its id is among those that are held, or free.
        self.is_over(&id);
        if !room {
            let why = "too many calls wait already: make it again when some of them have ended";
            return self.refuse(&Refusal::new(code::INVALID_REQUEST, why).of(&id)).await;
        }
        let session = self.clone();
        self.spawn(async move {
            let upstream: Arc<dyn Upstream> = session.upstream.clone();
            session.gate.hold(question, reply, upstream).await;
            locked(&session.held).remove(&id);
        });
    }

    fn busy(&self) -> bool {
        locked(&self.tasks).len() >= MAX_HELD + MAX_ASKED
    }

    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let mut tasks = locked(&self.tasks);
        while tasks.try_join_next().is_some() {}
        tasks.spawn(task);
    }

    /// The server said something that nobody here asked for.
    pub async fn said(&self, said: Unasked) {
        let message = match said {
            Unasked::Line(message) => message,
            Unasked::TooLong(id) => {
                self.is_over(&id);
                let why = "the server's answer is too long and was dropped; whether it did what was asked is not known";
                return self.refuse(&Refusal::new(code::INTERNAL, why).of(&id)).await;
            }
        };
        // The server never got a call that is held under the client's id: it cannot
        // answer it.
        if let Said::Answer(id) = &message.said
            && locked(&self.held).contains_key(id)
        {
            return tracing::warn!("the server answered a call that it did not get");
        }
        let _ = self.out.send(self.looked_at(message)).await;
    }

    /// What the client gets of what the server said.
    fn looked_at(&self, message: ServerMessage) -> Bytes {
        let watched = match &message.said {
            Said::Answer(id) => locked(&self.watched).remove(id),
            Said::Notification(method) if method == LIST_CHANGED => {
                self.server.definitions.forget();
                None
            }
            // Perhaps several answers in one.
            Said::Other if self.waits_for_tools() => {
                self.server.definitions.learn_several(&message.bytes);
                None
            }
            _ => None,
        };
        match watched {
            Some(Watched::Tools) => {
                self.server.definitions.learn(&message);
                return self.gate.shown(&self.server, &message.bytes);
            }
            Some(Watched::Call(ticket)) => ticket.answered(&message),
            Some(Watched::Discover) => return answer::tasks::announced(&message.bytes),
            Some(Watched::Passing) | None => {}
        }
        message.bytes
    }

    fn waits_for_tools(&self) -> bool {
        locked(&self.watched).values().any(|watched| matches!(watched, Watched::Tools))
    }

    /// The server has ended: whoever still waits for people is told. What was sent
    /// to it is the gate's to tell of; returns when that is done too.
    pub async fn server_ended(&self, said: &str) {
        let held: Vec<_> = locked(&self.held).drain().collect();
        for (id, waiting) in held {
            if waiting.reply.claim() {
                // Its own wait is to say nothing more.
                waiting.ended.cancel();
                let result = answer::tool_error(waiting.era, said);
                let _ = self.out.send(answer::result(&id, &result)).await;
            }
        }
        let mut tasks = std::mem::take(&mut *locked(&self.tasks));
        while tasks.join_next().await.is_some() {}
    }
}
