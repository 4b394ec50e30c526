//! The gate of the MCP proxy, against a real daemon, with a server in memory that
//! writes down each call that reaches it.

mod broken;
mod listing;
mod policy;
mod rounds;
mod tasks;
mod trouble;

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use bytes::Bytes;
use holdpoint::call::json::{Json, parse};
use holdpoint::client::Bearer;
use holdpoint::proto;
use holdpoint::proto::caller_service_client::CallerServiceClient;
use holdpoint::proxy::gate::{Gate, Judged, OnCancel, Party, Policies, Reply, Server, Settings};
use holdpoint::proxy::message::{ClientMessage, Incoming, ServerMessage, ToolCall, client};
use holdpoint::proxy::state::State;
use holdpoint::proxy::upstream::{Asking, Outgoing, Upstream};
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::support::clients::{Operator, endpoint, get};
use super::support::{Home, wait_for};

/// What a server does with a call.
#[derive(Debug, Clone)]
enum Script {
    /// Answers with this: `"result":...` or `"error":...`.
    Says(String),
    /// Never answers.
    Silent,
    /// Answers with this once it is told of a cancellation.
    Until(String),
}

/// A server in memory.
#[derive(Debug, Default)]
struct Memory(Mutex<Served>);

#[derive(Debug, Default)]
struct Served {
    /// What its tool says of itself.
    description: String,
    /// What stands in its list of tools in place of that tool.
    listed: Option<String>,
    /// What it does with the calls to come; then it succeeds.
    script: VecDeque<Script>,
    calls: Vec<Bytes>,
    /// How often it was asked for its tools.
    lists: usize,
    /// It does not list its tools.
    lists_nothing: bool,
    /// It lists its tools only once it is told so.
    slow: Option<Arc<Notify>>,
}

impl Memory {
    fn served(&self) -> MutexGuard<'_, Served> {
        self.0.lock().expect("a lock")
    }

    fn does(&self, script: Script) {
        self.served().script.push_back(script);
    }

    fn says(&self, said: &str) {
        self.does(Script::Says(said.to_owned()));
    }

    /// How many calls have reached it.
    fn ran(&self) -> usize {
        self.served().calls.len()
    }

    /// The parameters of the newest call that reached it.
    fn newest(&self) -> Json {
        let served = self.served();
        let call = parse(served.calls.last().expect("a call")).expect("JSON");
        call.get("params").expect("params").clone()
    }
}

/// What a server says that has done what it was asked.
const DONE: &str = r#""result":{"resultType":"complete","content":[],"n":1.0}"#;

impl Upstream for Memory {
    fn ask<'a>(
        &'a self,
        request: Outgoing,
        _relay: Option<&'a Reply>,
        cancelled: CancellationToken,
    ) -> Asking<'a> {
        Box::pin(async move {
            let answer = |said: &str| {
                let text = format!(r#"{{"jsonrpc":"2.0","id":{},{said}}}"#, request.id);
                Ok(ServerMessage::read(Bytes::from(text)))
            };
            if request.method == "tools/list" {
                let slow = {
                    let mut served = self.served();
                    served.lists += 1;
                    served.slow.clone()
                };
                if let Some(slow) = slow {
                    slow.notified().await;
                }
                if self.served().lists_nothing {
                    return answer(r#""error":{"code":-32603,"message":"busy"}"#);
                }
                let served = self.served();
                let about = Json::from(served.description.clone()).to_text();
                let tool = || format!(r#"{{"name":"write","description":{about}}}"#);
                let tools = served.listed.clone().unwrap_or_else(tool);
                return answer(&format!(r#""result":{{"tools":[{tools}]}}"#));
            }
            let script = {
                let mut served = self.served();
                served.calls.push(request.bytes.clone());
                served.script.pop_front()
            };
            match script {
                None => answer(DONE),
                Some(Script::Says(said)) => answer(&said),
                Some(Script::Silent) => std::future::pending().await,
                Some(Script::Until(said)) => {
                    cancelled.cancelled().await;
                    answer(&said)
                }
            }
        })
    }
}

/// A proxy without doors.
struct Proxy {
    gate: Arc<Gate>,
    policy: PathBuf,
}

impl Proxy {
    /// A gate before this daemon, with a policy that holds everything.
    fn new(home: &Home, settings: Settings) -> Proxy {
        let policy = home.beside(&format!("policy-{}.yaml", uuid()));
        std::fs::write(&policy, "default: require_approval\n").expect("a policy");
        let channel = endpoint(&home.state.join("holdpoint.sock")).connect_lazy();
        let bearer = Bearer::Awaited(home.state.join("caller.token"));
        let service = CallerServiceClient::with_interceptor(channel, bearer);
        let policies = Policies::open(Some(policy.clone()), Vec::new()).expect("read");
        let state = State::open(&home.state).expect("the proxy's state");
        Proxy { gate: Gate::new(service, policies, state, settings), policy }
    }

    fn holding(home: &Home) -> Proxy {
        Proxy::new(home, Settings::default())
    }

    fn withdrawing(home: &Home) -> Proxy {
        Proxy::new(home, Settings { on_cancel: OnCancel::Withdraw, ..Settings::default() })
    }

    /// A client of this proxy that takes up to `hold` for an answer.
    fn client(&self, name: &str, hold: Duration) -> Agent {
        Agent {
            gate: self.gate.clone(),
            party: Arc::new(Party::new(name.to_owned(), format!("session of {name}"), hold)),
            server: Arc::new(Server::new("db")),
            upstream: Arc::default(),
        }
    }
}

/// One client of a proxy, and its server.
#[derive(Clone)]
struct Agent {
    gate: Arc<Gate>,
    party: Arc<Party>,
    server: Arc<Server>,
    upstream: Arc<Memory>,
}

/// A call on its way.
struct Call {
    messages: mpsc::Receiver<Bytes>,
    cancelled: CancellationToken,
    closed: CancellationToken,
    held: JoinHandle<()>,
}

impl Call {
    /// Its answer, as JSON.
    async fn answer(mut self) -> Json {
        let answer = self.messages.recv().await.expect("an answer");
        parse(&answer).expect("JSON")
    }

    /// The result in its answer.
    async fn result(self) -> Json {
        let answer = self.answer().await;
        answer.get("result").unwrap_or_else(|| panic!("no result: {answer}")).clone()
    }
}

impl Agent {
    /// A client with the same name and server, at another gate.
    fn at(&self, proxy: &Proxy) -> Agent {
        Agent { gate: proxy.gate.clone(), ..self.clone() }
    }

    /// Makes a call that has to be held.
    async fn call(&self, params: &str, tasks: bool) -> Call {
        let (out, messages) = mpsc::channel(16);
        self.call_into(out, messages, params, tasks).await
    }

    /// The same, with the answer on this way.
    async fn call_into(
        &self,
        out: mpsc::Sender<Bytes>,
        messages: mpsc::Receiver<Bytes>,
        params: &str,
        tasks: bool,
    ) -> Call {
        let message = message("tools/call", params, tasks);
        let call = ToolCall::read(message).expect("a call");
        let judged = match self.gate.judge_at_once(call, &self.party, &self.server) {
            Ok(judged) => judged,
            Err(question) => self.gate.judge(*question, &*self.upstream).await,
        };
        let Judged::Hold(question) = judged else { panic!("not held: {judged:?}") };
        let (cancelled, closed) = (CancellationToken::new(), CancellationToken::new());
        let id = question.call.id.clone();
        let reply = Reply::into(id, out, cancelled.clone(), closed.clone());
        let (gate, upstream) = (self.gate.clone(), self.upstream.clone());
        let held = tokio::spawn(async move { gate.hold(*question, reply, upstream).await });
        Call { messages, cancelled, closed, held }
    }

    /// Makes a call and gets a task for it: its id.
    async fn task(&self, params: &str) -> String {
        let created = self.call(params, true).await.result().await;
        assert_eq!(text(&created, "resultType"), "task", "{created}");
        text(&created, "taskId").to_owned()
    }

    /// What the gate answers to a request about a task.
    async fn about(&self, method: &str, task: &str, more: &str) -> Json {
        let message = message(method, &format!(r#"{{"taskId":"{task}"{more}}}"#), true);
        let asked = self.gate.task_request(&message).expect("ours");
        let answer = self.gate.answer_task(asked, &self.party, &self.server).await;
        parse(&answer).expect("JSON")
    }

    /// How a task stands.
    async fn get(&self, task: &str) -> Json {
        let answer = self.about("tasks/get", task, "").await;
        answer.get("result").unwrap_or_else(|| panic!("no result: {answer}")).clone()
    }

    /// A task once it has this status.
    async fn becomes(&self, task: &str, status: &str) -> Json {
        wait_for(&format!("the task to be {status}"), || async {
            let now = self.get(task).await;
            (text(&now, "status") == status).then_some(now)
        })
        .await
    }
}

/// A modern client's message.
fn message(method: &str, params: &str, tasks: bool) -> ClientMessage {
    let extensions = if tasks { r#"{"io.modelcontextprotocol/tasks":{}}"# } else { "{}" };
    let meta = format!(
        r#"{{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{{"extensions":{extensions}}}}}"#
    );
    let params = params.strip_suffix('}').expect("an object");
    let text = format!(
        r#"{{"jsonrpc":"2.0","id":"{}","method":"{method}","params":{params},"_meta":{meta}}}}}"#,
        uuid()
    );
    match client::read(Bytes::from(text)) {
        Ok(Incoming::One(message)) => message,
        other => panic!("no message: {other:?}"),
    }
}

fn uuid() -> String {
    let n: [u8; 8] = std::array::from_fn(|_| rand_byte());
    n.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn rand_byte() -> u8 {
    use std::hash::{BuildHasher as _, RandomState};
    RandomState::new().hash_one(0).to_le_bytes()[0]
}

/// A member that is text.
fn text<'a>(json: &'a Json, name: &str) -> &'a str {
    json.get(name).and_then(Json::as_str).unwrap_or_else(|| panic!("no {name} in {json}"))
}

/// What an agent reads in a result that says the call did not succeed.
fn said(result: &Json) -> &str {
    assert_eq!(result.get("isError").and_then(Json::as_bool), Some(true), "{result}");
    text(&result.get("content").and_then(Json::as_array).expect("content")[0], "text")
}

/// Whether this is what the server of these tests says when it has done it.
fn is_done(result: &Json) -> bool {
    result.get("n").is_some_and(|n| n.to_text() == "1.0")
}

/// The requests that are pending.
async fn pending(operator: &mut Operator) -> Vec<proto::Request> {
    let asked = proto::ListPendingRequest::default();
    let listed = operator.list_pending(asked).await.expect("a list").into_inner();
    listed.requests
}

/// The one request that is pending, once it is.
async fn the_pending(operator: &mut Operator) -> proto::Request {
    let operator = &*operator;
    wait_for("a pending request", || async {
        let mut listed = pending(&mut operator.clone()).await;
        assert!(listed.len() < 2, "two requests for one call: {listed:?}");
        listed.pop()
    })
    .await
}

/// Approves the one request that is pending; its id.
async fn approve_it(operator: &mut Operator) -> String {
    let request = the_pending(operator).await;
    let approved = super::support::approve(operator, &request.id, &request.digest).await;
    approved.expect("approved").id
}

/// A request once its outcome is known.
async fn told(operator: &mut Operator, id: &str) -> (proto::Outcome, String) {
    let operator = &*operator;
    wait_for("an outcome", || async {
        let request = get(&mut operator.clone(), id).await;
        let known = request.outcome() != proto::Outcome::Unspecified;
        known.then(|| (request.outcome(), request.outcome_detail.clone()))
    })
    .await
}

/// Time enough.
const LONG: Duration = Duration::from_secs(60);
