//! Holding against a daemon that answers as a test says: lost answers cannot be
//! had from a real one at will.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::{Arc, Mutex};

use tokio::net::UnixListener;
use tokio_stream::wrappers::UnixListenerStream;
use tonic::{Request, Response, Status as Answer};
use tonic_types::{ErrorDetails, StatusExt};

use super::*;
use crate::call::digest::Covered;
use crate::call::json::Json;
use crate::call::model::Status;
use crate::cli::client::Role;
use crate::cli::state::Globals;
use crate::proto::caller_service_server::{CallerService, CallerServiceServer};
use crate::proto::operator_service_server::{OperatorService, OperatorServiceServer};
use crate::proto::*;

type Answers<T> = Arc<Mutex<VecDeque<Result<T, Answer>>>>;

/// Answers from two lists, and knows nothing else.
#[derive(Clone, Default)]
struct Fake {
    approvals: Answers<ApprovalAnswer>,
    takes: Answers<TakeUseResponse>,
}

fn next<T>(answers: &Answers<T>) -> Result<Response<T>, Answer> {
    let answer = answers.lock().expect("not poisoned").pop_front();
    answer.unwrap_or_else(|| Err(refusal("NOT_FOUND"))).map(Response::new)
}

fn refusal(reason: &str) -> Answer {
    let none = std::collections::HashMap::<String, String>::new();
    let details = ErrorDetails::with_error_info(reason, "holdpoint", none);
    Answer::with_error_details(tonic::Code::FailedPrecondition, reason, details)
}

/// Methods that a test does not use. (Spelled as `async_trait` would: it does
/// not see into macros.)
macro_rules! refuses {
    ($($name:ident($question:ty) -> $answer:ty;)*) => {
        $(fn $name<'a, 'b>(&'a self, _: Request<$question>) -> Later<'b, $answer>
        where
            'a: 'b,
            Self: 'b,
        {
            Box::pin(async { Err(Answer::unimplemented("not in this test")) })
        })*
    };
}

type Later<'b, T> = Pin<Box<dyn Future<Output = Result<Response<T>, Answer>> + Send + 'b>>;

#[tonic::async_trait]
impl CallerService for Fake {
    async fn request_approval(
        &self,
        question: Request<RequestApprovalRequest>,
    ) -> Result<Response<ApprovalAnswer>, Answer> {
        if question.get_ref().max_wait_ms > 0 {
            // The glance: what is asked in earnest answers.
            return Err(Answer::unavailable("not now"));
        }
        next(&self.approvals)
    }

    async fn take_use(
        &self,
        _: Request<TakeUseRequest>,
    ) -> Result<Response<TakeUseResponse>, Answer> {
        next(&self.takes)
    }

    refuses! {
        await_approval(AwaitApprovalRequest) -> ApprovalAnswer;
        find_request(FindRequestRequest) -> FindRequestResponse;
        renew_use(RenewUseRequest) -> RenewUseResponse;
        report_outcome(ReportOutcomeRequest) -> ReportOutcomeResponse;
        withdraw_approval(WithdrawApprovalRequest) -> WithdrawApprovalResponse;
        list_my_requests(ListMyRequestsRequest) -> ListMyRequestsResponse;
        record_calls(RecordCallsRequest) -> RecordCallsResponse;
        report_definition(ReportDefinitionRequest) -> ReportDefinitionResponse;
    }
}

#[tonic::async_trait]
impl OperatorService for Fake {
    type WatchRequestsStream = tokio_stream::Empty<Result<WatchEvent, Answer>>;

    async fn who_am_i(
        &self,
        _: Request<WhoAmIRequest>,
    ) -> Result<Response<WhoAmIResponse>, Answer> {
        Ok(Response::new(WhoAmIResponse::default()))
    }

    refuses! {
        list_pending(ListPendingRequest) -> ListPendingResponse;
        get_request(GetRequestRequest) -> GetRequestResponse;
        decide(DecideRequest) -> DecideResponse;
        lift_denial(LiftDenialRequest) -> LiftDenialResponse;
        watch_requests(WatchRequestsRequest) -> Self::WatchRequestsStream;
        list_mail(ListMailRequest) -> ListMailResponse;
        retry_mail(RetryMailRequest) -> RetryMailResponse;
        confirm_clock(ConfirmClockRequest) -> ConfirmClockResponse;
        list_definition_changes(ListDefinitionChangesRequest) -> ListDefinitionChangesResponse;
        accept_definition(AcceptDefinitionRequest) -> AcceptDefinitionResponse;
    }
}

fn digest() -> Digest {
    let arguments = Json::Object(Vec::new());
    Covered {
        server: "fs",
        tool: "rm",
        arguments: &arguments,
        input_responses: None,
        request_state: None,
    }
    .digest()
}

fn answer(status: i32, digest: &str) -> ApprovalAnswer {
    let id = "019ac5a2-7d5c-7cc3-98a5-3f1c2b4d5e6f".to_owned();
    ApprovalAnswer { id, status, digest: digest.to_owned(), ..Default::default() }
}

/// Holds one call against this daemon: how waiting ended, and, where that was
/// with an approval, whether the use was had.
async fn held(fake: &Fake) -> (Ending, Option<Result<Duration, Ending>>) {
    let folder = tempfile::tempdir().expect("a folder");
    let socket = folder.path().join("s");
    let listener = UnixListener::bind(&socket).expect("bound");
    let server = tonic::transport::Server::builder()
        .add_service(CallerServiceServer::new(fake.clone()))
        .add_service(OperatorServiceServer::new(fake.clone()))
        .serve_with_incoming(UnixListenerStream::new(listener));
    let server = tokio::spawn(server);
    let globals = Globals {
        connect: Some(format!("unix:{}", socket.display())),
        state_dir: Some(folder.path().to_owned()),
        config: None,
    };
    let client = Client::new(&globals, Role::Caller).expect("an address");
    let call = Call { server: "fs".to_owned(), tool: "rm".to_owned(), ..Default::default() };
    let mut hold = Hold::new(client, call, digest(), Some(Duration::from_secs(60)));
    let mut stop = Stop::listen().expect("signals");
    let ending = hold.wait(&mut stop).await;
    let taken = match ending {
        Ending::Approved => Some(hold.take(true, &mut stop).await),
        _ => None,
    };
    server.abort();
    (ending, taken)
}

async fn taking(
    takes: impl IntoIterator<Item = Result<TakeUseResponse, Answer>>,
) -> Result<Duration, Ending> {
    let fake = Fake::default();
    let approved = answer(Status::Approved.number(), &digest().to_string());
    fake.approvals.lock().expect("not poisoned").push_back(Ok(approved));
    fake.takes.lock().expect("not poisoned").extend(takes);
    held(&fake).await.1.expect("it was approved")
}

fn granted(lease_ms: i64) -> Result<TakeUseResponse, Answer> {
    Ok(TakeUseResponse { lease_ms, ..Default::default() })
}

#[tokio::test]
async fn a_use_is_had_when_the_daemon_says_so() {
    let taken = taking([granted(600_000)]).await;
    assert_eq!(taken.ok(), Some(Duration::from_secs(600)));
}

#[tokio::test]
async fn already_granted_counts_after_an_answer_that_was_lost() {
    let lost = Err(Answer::unavailable("connection reset"));
    assert!(taking([lost, Err(refusal("ALREADY_GRANTED"))]).await.is_ok());
    let unknown = Err(refusal("UNKNOWN_COMMIT"));
    assert!(taking([unknown, Err(refusal("ALREADY_GRANTED"))]).await.is_ok());
}

#[tokio::test]
async fn already_granted_is_a_refusal_when_no_answer_of_ours_was_lost() {
    let refused = |taken| matches!(taken, Err(Ending::Refused(_)));
    assert!(refused(taking([Err(refusal("ALREADY_GRANTED"))]).await));
    // This one says that nothing was done: then it was not us.
    let not_done = Err(refusal("STORE_UNAVAILABLE"));
    assert!(refused(taking([not_done, Err(refusal("ALREADY_GRANTED"))]).await));
}

#[tokio::test]
async fn every_other_answer_to_the_taking_means_do_not_run() {
    for reason in [
        "USED",
        "LAPSED",
        "NOT_APPROVED",
        "DIGEST_MISMATCH",
        "NOT_FOUND",
        "CLOCK_IN_DOUBT",
        "NEW_REASON",
    ] {
        let lost = Err(Answer::unavailable("connection reset"));
        let taken = taking([lost, Err(refusal(reason))]).await;
        assert!(matches!(taken, Err(Ending::Refused(_))), "{reason}");
    }
}

#[tokio::test]
async fn an_answer_for_another_digest_or_with_an_unknown_status_is_refused() {
    for strange in
        [answer(Status::Approved.number(), &"0".repeat(64)), answer(9, &digest().to_string())]
    {
        let fake = Fake::default();
        fake.approvals.lock().expect("not poisoned").push_back(Ok(strange));
        let (ending, taken) = held(&fake).await;
        assert!(matches!(ending, Ending::Refused(_)) && taken.is_none(), "{ending:?}");
    }
}

#[tokio::test]
async fn a_connection_that_breaks_while_waiting_is_asked_again() {
    let fake = Fake::default();
    let approved = answer(Status::Denied.number(), &digest().to_string());
    let broken = Err(Answer::unavailable("connection reset"));
    fake.approvals.lock().expect("not poisoned").extend([broken, Ok(approved)]);
    assert!(matches!(held(&fake).await.0, Ending::Denied));
}
