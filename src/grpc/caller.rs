//! The callers' door.

use std::pin::pin;

use tonic::{Request, Response, Status};
use tonic_types::StatusExt;

use super::auth::{self, Door};
use super::convert;
use super::errors::{self, bad_field, status};
use crate::call::model::{Outcome, Status as CallStatus};
use crate::desk::Question;
use crate::desk::intake::{Check, Intake, NAME, REASON};
use crate::desk::people::Caller;
use crate::proto::{self, caller_service_server::CallerService};
use crate::store::read;
use crate::store::record::{NotHeld, Recorded};

/// Calls in one `RecordCalls`.
const BATCH: usize = 1000;
/// Requests that one page of `ListMyRequests` looks at.
const EXAMINED: usize = 2000;

/// Serves callers.
#[derive(Debug, Clone)]
pub struct CallerDoor(pub Door);

fn call_id(text: &str) -> Result<(), Status> {
    let mut check = Check::default();
    check.required("call_id", text, NAME);
    check.finish().map_err(status)
}

/// What is asked. A function of its own, and its result in a box: whatever a method
/// has in hand while it waits is kept for each call that is held.
fn question(message: proto::RequestApprovalRequest) -> Result<Box<Question>, Status> {
    let proto::RequestApprovalRequest { call_id: id, call, timeout_ms, handle, .. } = message;
    call_id(&id)?;
    let timeout = convert::timeout(timeout_ms)?;
    let call = call.ok_or_else(|| bad_field("call", "required, and missing"))?;
    let handle = match handle.as_str() {
        "" => None,
        given => Some(convert::handle(given)?),
    };
    let incoming = convert::incoming(*call);
    Ok(Box::new(Question { call_id: id, handle, incoming, timeout }))
}

fn short(field: &str, text: &str) -> Result<(), Status> {
    let mut check = Check::default();
    check.text(field, text, REASON);
    check.finish().map_err(status)
}

#[tonic::async_trait]
impl CallerService for CallerDoor {
    async fn request_approval(
        &self,
        request: Request<proto::RequestApprovalRequest>,
    ) -> Result<Response<proto::ApprovalAnswer>, Status> {
        let caller = auth::caller(&request)?;
        let visitor = auth::noted(&request)?.clone();
        let max_wait = convert::wait("max_wait_ms", request.get_ref().max_wait_ms)?;
        let question = question(request.into_inner())?;
        let desk = &self.0.desk;
        let wait = pin!(desk.request_approval(&caller, question, max_wait));
        let answer = auth::while_valid(desk, visitor, wait).await?;
        Ok(Response::new(convert::answer(desk, &answer)))
    }

    async fn await_approval(
        &self,
        request: Request<proto::AwaitApprovalRequest>,
    ) -> Result<Response<proto::ApprovalAnswer>, Status> {
        let caller = auth::caller(&request)?;
        let visitor = auth::noted(&request)?.clone();
        let message = request.into_inner();
        let id = convert::request_id("id", &message.id)?;
        let max_wait = convert::wait("max_wait_ms", message.max_wait_ms)?;
        let desk = &self.0.desk;
        let wait = pin!(desk.await_approval(&caller, id, max_wait));
        let answer = auth::while_valid(desk, visitor, wait).await?;
        Ok(Response::new(convert::answer(desk, &answer)))
    }

    async fn find_request(
        &self,
        request: Request<proto::FindRequestRequest>,
    ) -> Result<Response<proto::FindRequestResponse>, Status> {
        let caller = auth::caller(&request)?;
        let message = request.into_inner();
        let handle = convert::handle(&message.handle)?;
        let mut check = Check::default();
        check.text("client", &message.client, NAME);
        check.finish().map_err(status)?;
        let desk = &self.0.desk;
        let (found, since) = desk.find(&caller, message.client, handle).await.map_err(status)?;
        Ok(Response::new(proto::FindRequestResponse {
            answer: Some(convert::answer(desk, &found)),
            handle_given_at: since.rfc3339(),
        }))
    }

    async fn take_use(
        &self,
        request: Request<proto::TakeUseRequest>,
    ) -> Result<Response<proto::TakeUseResponse>, Status> {
        let caller = auth::caller(&request)?;
        let message = request.into_inner();
        let id = convert::request_id("id", &message.id)?;
        call_id(&message.call_id)?;
        let digest = message.digest.parse().map_err(|_| {
            bad_field("digest", "64 lower-case hex digits are expected: the whole digest of the call that is about to run")
        })?;
        let expect = message.expect_outcome;
        let desk = &self.0.desk;
        let granted =
            desk.take_use(&caller, id, message.call_id, digest, expect).await.map_err(status)?;
        let lease = expect.then_some(desk.settings().lease);
        Ok(Response::new(convert::use_granted(&granted, lease)))
    }

    async fn renew_use(
        &self,
        request: Request<proto::RenewUseRequest>,
    ) -> Result<Response<proto::RenewUseResponse>, Status> {
        let caller = auth::caller(&request)?;
        let message = request.into_inner();
        let id = convert::request_id("id", &message.id)?;
        let lease = self.0.desk.renew_use(&caller, id, message.call_id).await.map_err(status)?;
        Ok(Response::new(convert::lease(lease)))
    }

    async fn report_outcome(
        &self,
        request: Request<proto::ReportOutcomeRequest>,
    ) -> Result<Response<proto::ReportOutcomeResponse>, Status> {
        let caller = auth::caller(&request)?;
        let message = request.into_inner();
        let id = convert::request_id("id", &message.id)?;
        short("detail", &message.detail)?;
        let outcome = match Outcome::from_number(message.outcome) {
            None | Some(Outcome::None) => {
                return Err(bad_field("outcome", "required: succeeded, failed or unknown"));
            }
            Some(outcome) => outcome,
        };
        self.0
            .desk
            .report_outcome(&caller, id, message.call_id, outcome, &message.detail)
            .await
            .map_err(status)?;
        Ok(Response::new(proto::ReportOutcomeResponse {}))
    }

    async fn withdraw_approval(
        &self,
        request: Request<proto::WithdrawApprovalRequest>,
    ) -> Result<Response<proto::WithdrawApprovalResponse>, Status> {
        let caller = auth::caller(&request)?;
        let message = request.into_inner();
        let id = convert::request_id("id", &message.id)?;
        short("reason", &message.reason)?;
        let ended = self.0.desk.withdraw(&caller, id, &message.reason).await.map_err(status)?;
        Ok(Response::new(proto::WithdrawApprovalResponse { status: ended.status.number() }))
    }

    async fn list_my_requests(
        &self,
        request: Request<proto::ListMyRequestsRequest>,
    ) -> Result<Response<proto::ListMyRequestsResponse>, Status> {
        let caller = auth::caller(&request)?;
        let message = request.into_inner();
        let statuses: Option<Vec<CallStatus>> =
            message.statuses.iter().map(|n| CallStatus::from_number(*n)).collect();
        let statuses = statuses.ok_or_else(|| {
            bad_field("statuses", "one of them is no status that can be asked for")
        })?;
        let most = super::page_size(message.page_size)?;
        let before = match message.page_token.as_str() {
            "" => i64::MAX,
            token => i64::from_str_radix(token, 16).map_err(|_| super::bad_page_token())?,
        };
        let desk = &self.0.desk;
        let name = caller.name.clone();
        let (found, next) = desk
            .store()
            .read(move |conn| read::of_caller(conn, &name, &statuses, before, most, EXAMINED))
            .await
            .map_err(|e| status(e.into()))?;
        Ok(Response::new(proto::ListMyRequestsResponse {
            requests: found.iter().map(|request| convert::own_request(desk, request)).collect(),
            next_page_token: next.map(|n| format!("{n:x}")).unwrap_or_default(),
        }))
    }

    async fn record_calls(
        &self,
        request: Request<proto::RecordCallsRequest>,
    ) -> Result<Response<proto::RecordCallsResponse>, Status> {
        let caller = auth::caller(&request)?;
        let message = request.into_inner();
        if message.calls.is_empty() || message.calls.len() > BATCH {
            let why = format!("{} calls; 1 to {BATCH} are taken", message.calls.len());
            return Err(bad_field("calls", &why));
        }
        let desk = &self.0.desk;
        let intake = Intake { max_arguments: desk.settings().max_arguments };
        let mut calls = Vec::with_capacity(message.calls.len());
        for (n, recorded) in message.calls.into_iter().enumerate() {
            let taken = taken(&intake, &caller, recorded);
            calls.push(taken.map_err(|error| within(&format!("calls[{n}]"), &error))?);
        }
        let recorded = u32::try_from(calls.len()).unwrap_or(u32::MAX);
        desk.record_calls(calls).await.map_err(status)?;
        Ok(Response::new(proto::RecordCallsResponse { recorded }))
    }

    async fn report_definition(
        &self,
        request: Request<proto::ReportDefinitionRequest>,
    ) -> Result<Response<proto::ReportDefinitionResponse>, Status> {
        let caller = auth::caller(&request)?;
        super::definitions::report(&self.0.desk, &caller, request.into_inner()).await
    }
}

fn taken(
    intake: &Intake,
    caller: &Caller,
    recorded: proto::RecordedCall,
) -> Result<Recorded, Status> {
    use proto::RecordedVerdict;
    short("reason", &recorded.reason)?;
    let verdict = match RecordedVerdict::try_from(recorded.verdict) {
        Ok(RecordedVerdict::Allowed) => NotHeld::Allowed,
        Ok(RecordedVerdict::Denied) => NotHeld::Denied,
        Ok(RecordedVerdict::Limited) => NotHeld::Limited,
        Ok(RecordedVerdict::WouldHold) => NotHeld::WouldBeHeld,
        Ok(RecordedVerdict::Unspecified) | Err(_) => {
            return Err(bad_field("verdict", "required: allowed, denied, limited or would hold"));
        }
    };
    let call = recorded.call.ok_or_else(|| bad_field("call", "required, and missing"))?;
    let call = intake.take(caller, convert::incoming(call)).map_err(status)?;
    let reason = crate::call::redact::mask_text(&recorded.reason).0;
    Ok(Recorded { call, verdict, reason, digest_only: recorded.digest_only })
}

/// The same error, saying which of a thousand calls it is about, in its message
/// and in its fields. The message stands twice on the wire, and clients refuse
/// to read details in which it differs.
fn within(place: &str, error: &Status) -> Status {
    let mut details = error.get_error_details();
    let violations = details.bad_request().map(|bad| bad.field_violations.clone());
    if let Some(violations) = violations {
        let named = violations.into_iter().map(|mut one| {
            one.field = format!("{place}.{}", one.field);
            one
        });
        details.set_bad_request(named.collect::<Vec<_>>());
    }
    let reason = errors::reason(error).unwrap_or_default();
    let message = format!("{place}: {}", error.message());
    errors::with_details(error.code(), reason, &message, details)
}
