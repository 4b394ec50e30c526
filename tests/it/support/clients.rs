//! Typed clients, and the few calls that most tests make.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use holdpoint::proto;
use holdpoint::proto::caller_service_client::CallerServiceClient;
use holdpoint::proto::history_service_client::HistoryServiceClient;
use holdpoint::proto::operator_service_client::OperatorServiceClient;
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Status};
use tonic_types::StatusExt;

use super::daemon::{token, wait_for};

pub type Caller = CallerServiceClient<InterceptedService<Channel, Bearer>>;
pub type Operator = OperatorServiceClient<InterceptedService<Channel, Bearer>>;
pub type History = HistoryServiceClient<InterceptedService<Channel, Bearer>>;

/// Sends a token with every call, or none.
#[derive(Debug, Clone)]
pub struct Bearer(Option<String>);

impl Interceptor for Bearer {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        if let Some(token) = &self.0 {
            let value = format!("Bearer {token}").parse().expect("a header");
            request.metadata_mut().insert("authorization", value);
        }
        Ok(request)
    }
}

/// A socket to connect to. Windows are large because a mass release sends
/// thousands of small answers at once, for which h2 closes a connection whose
/// window is small.
pub fn endpoint(socket: &Path) -> Endpoint {
    Endpoint::from_shared(format!("unix:{}", socket.display()))
        .expect("an address")
        .initial_connection_window_size(64 << 20)
        .initial_stream_window_size(1 << 20)
        .connect_timeout(Duration::from_secs(10))
}

/// Clients that share one connection, which is made again when it breaks.
#[derive(Debug, Clone)]
pub struct Clients {
    channel: Channel,
    state: PathBuf,
}

impl Clients {
    pub fn new(socket: &Path, state: &Path) -> Self {
        Clients { channel: endpoint(socket).connect_lazy(), state: state.to_owned() }
    }

    fn local(&self, file: &str) -> Bearer {
        let token = fs::read_to_string(self.state.join(file)).expect("local mode's token");
        Bearer(Some(token.trim().to_owned()))
    }

    fn named(name: &str) -> Bearer {
        Bearer(Some(token(name)))
    }

    /// Over a connection that was made otherwise.
    pub fn over(channel: Channel, state: &Path) -> Self {
        Clients { channel, state: state.to_owned() }
    }

    /// A caller that sends no token.
    pub fn caller_without_token(&self) -> Caller {
        CallerServiceClient::with_interceptor(self.channel.clone(), Bearer(None))
    }

    /// An operator who sends no token, and is known otherwise.
    pub fn operator_certified(&self) -> Operator {
        OperatorServiceClient::with_interceptor(self.channel.clone(), Bearer(None))
    }

    /// Local mode's caller.
    pub fn caller(&self) -> Caller {
        CallerServiceClient::with_interceptor(self.channel.clone(), self.local("caller.token"))
    }

    /// Local mode's person.
    pub fn operator(&self) -> Operator {
        OperatorServiceClient::with_interceptor(self.channel.clone(), self.local("operator.token"))
    }

    /// The history, as local mode's person.
    pub fn history(&self) -> History {
        HistoryServiceClient::with_interceptor(self.channel.clone(), self.local("operator.token"))
    }

    /// A configured caller.
    pub fn caller_named(&self, name: &str) -> Caller {
        CallerServiceClient::with_interceptor(self.channel.clone(), Self::named(name))
    }

    /// A configured operator.
    pub fn operator_named(&self, name: &str) -> Operator {
        OperatorServiceClient::with_interceptor(self.channel.clone(), Self::named(name))
            .max_decoding_message_size(32 << 20)
    }

    /// Somebody who sends no token.
    pub fn operator_without_token(&self) -> OperatorServiceClient<Channel> {
        OperatorServiceClient::new(self.channel.clone())
    }

    /// The history, as a configured person.
    pub fn history_named(&self, name: &str) -> History {
        HistoryServiceClient::with_interceptor(self.channel.clone(), Self::named(name))
            .max_decoding_message_size(64 << 20)
    }
}

/// The machine-readable reason of a refusal; `?` and the code where there is none.
pub fn reason_of(status: &Status) -> String {
    match status.get_details_error_info() {
        Some(info) => info.reason,
        None => format!("?{:?}: {}", status.code(), status.message()),
    }
}

/// A call of the session "session" with these arguments.
pub fn call(tool: &str, arguments: &str) -> proto::Call {
    proto::Call {
        server: "kv".to_owned(),
        tool: tool.to_owned(),
        arguments: arguments.as_bytes().to_vec(),
        agent: Some(proto::Agent {
            name: "agent".to_owned(),
            session: "session".to_owned(),
            ..proto::Agent::default()
        }),
        ..proto::Call::default()
    }
}

/// One question of a caller.
#[derive(Debug, Clone)]
pub struct Ask(pub proto::RequestApprovalRequest);

impl Ask {
    pub fn new(call_id: &str, call: proto::Call) -> Self {
        Ask(proto::RequestApprovalRequest {
            call_id: call_id.to_owned(),
            call: Some(Box::new(call)),
            ..proto::RequestApprovalRequest::default()
        })
    }

    /// Do not wait for people.
    pub fn briefly(mut self) -> Self {
        self.0.max_wait_ms = 1;
        self
    }

    pub fn handle(mut self, handle: &str) -> Self {
        self.0.handle = handle.to_owned();
        self
    }

    pub fn timeout_ms(mut self, ms: i64) -> Self {
        self.0.timeout_ms = ms;
        self
    }

    pub async fn send(self, caller: &mut Caller) -> Result<proto::ApprovalAnswer, Status> {
        caller.request_approval(self.0).await.map(tonic::Response::into_inner)
    }
}

/// Asks without waiting for people; the request is pending.
pub async fn submit(
    caller: &mut Caller,
    call_id: &str,
    call: proto::Call,
) -> proto::ApprovalAnswer {
    let answer = Ask::new(call_id, call).briefly().send(caller).await.expect("submitted");
    assert_eq!(answer.status(), proto::Status::Pending, "{answer:?}");
    answer
}

/// Asks and waits in a task of its own; returns once the daemon says that
/// somebody waits, with the id.
pub async fn hold(
    caller: &Caller,
    operator: &mut Operator,
    call_id: &str,
    call: proto::Call,
) -> (String, tokio::task::JoinHandle<Result<proto::ApprovalAnswer, Status>>) {
    let first = submit(&mut caller.clone(), call_id, call.clone()).await;
    let mut waiting = caller.clone();
    let ask = Ask::new(call_id, call);
    let task = tokio::spawn(async move { ask.send(&mut waiting).await });
    waited_on(operator, &first.id, true).await;
    (first.id, task)
}

/// Waits until the daemon knows that somebody waits on a request, or nobody.
pub async fn waited_on(operator: &mut Operator, id: &str, wanted: bool) {
    let what = if wanted { "somebody to wait" } else { "nobody to wait" };
    let operator = &*operator;
    wait_for(what, || async {
        (get(&mut operator.clone(), id).await.waited_on == wanted).then_some(())
    })
    .await;
}

pub async fn get(operator: &mut Operator, id: &str) -> proto::Request {
    let asked = proto::GetRequestRequest { id: id.to_owned() };
    let answer = operator.get_request(asked).await.expect("the request").into_inner();
    answer.request.expect("a request")
}

pub async fn decide(
    operator: &mut Operator,
    id: &str,
    verdict: proto::Verdict,
    digest: &str,
) -> Result<proto::Request, Status> {
    let decision = proto::DecideRequest {
        id: id.to_owned(),
        verdict: verdict.into(),
        reason: "because".to_owned(),
        digest: digest.to_owned(),
    };
    let answer = operator.decide(decision).await?.into_inner();
    Ok(answer.request.expect("a request"))
}

pub async fn approve(
    operator: &mut Operator,
    id: &str,
    digest: &str,
) -> Result<proto::Request, Status> {
    decide(operator, id, proto::Verdict::Approve, digest).await
}

pub async fn deny(
    operator: &mut Operator,
    id: &str,
    digest: &str,
) -> Result<proto::Request, Status> {
    decide(operator, id, proto::Verdict::Deny, digest).await
}

pub async fn take_use(
    caller: &mut Caller,
    id: &str,
    call_id: &str,
    digest: &str,
) -> Result<proto::TakeUseResponse, Status> {
    let taken = proto::TakeUseRequest {
        id: id.to_owned(),
        call_id: call_id.to_owned(),
        digest: digest.to_owned(),
        expect_outcome: true,
    };
    caller.take_use(taken).await.map(tonic::Response::into_inner)
}

pub async fn report(
    caller: &mut Caller,
    id: &str,
    call_id: &str,
    outcome: proto::Outcome,
) -> Result<(), Status> {
    let report = proto::ReportOutcomeRequest {
        id: id.to_owned(),
        call_id: call_id.to_owned(),
        outcome: outcome.into(),
        detail: "done".to_owned(),
    };
    caller.report_outcome(report).await.map(drop)
}

pub async fn withdraw(caller: &mut Caller, id: &str) -> Result<proto::Status, Status> {
    let asked = proto::WithdrawApprovalRequest { id: id.to_owned(), reason: "enough".to_owned() };
    Ok(caller.withdraw_approval(asked).await?.into_inner().status())
}

/// Everything that the history says, oldest first, after this sequence number.
pub async fn entries(
    history: &mut History,
    filter: proto::AuditFilter,
    after: u64,
) -> Vec<proto::AuditEntry> {
    let (mut found, mut page_token) = (Vec::new(), String::new());
    // Newest first, so that only what is new has to be read.
    loop {
        let asked = proto::QueryAuditRequest {
            filter: Some(filter.clone()),
            ascending: false,
            page_size: 500,
            page_token,
        };
        let page = history.query_audit(asked).await.expect("a page").into_inner();
        let reached = page.entries.iter().any(|entry| entry.sequence <= after);
        found.extend(page.entries.into_iter().filter(|entry| entry.sequence > after));
        page_token = page.next_page_token;
        if reached || page_token.is_empty() {
            found.reverse();
            return found;
        }
    }
}

/// The kinds of what happened to one request, oldest first.
pub async fn kinds(history: &mut History, id: &str) -> Vec<String> {
    let filter = proto::AuditFilter { request_id: id.to_owned(), ..proto::AuditFilter::default() };
    entries(history, filter, 0).await.into_iter().map(|entry| entry.kind).collect()
}

/// Recomputes the chain; it must be whole.
pub async fn verify(history: &mut History) -> proto::VerifyAuditResponse {
    let verified = history.verify_audit(proto::VerifyAuditRequest::default()).await;
    let verified = verified.expect("an answer").into_inner();
    assert!(verified.whole, "{verified:?}");
    verified
}
