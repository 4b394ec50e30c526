//! The operators' door.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio_stream::Stream;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Request, Response, Status};

use super::auth::{self, Door};
use super::convert;
use super::errors::{bad_field, refuse, status, wrong_role};
use crate::call::ids::RequestId;
use crate::call::model::{Request as HeldCall, Status as CallStatus, Verdict};
use crate::desk::intake::{Check, REASON};
use crate::desk::people::{Identity, Operator};
use crate::desk::watch::{Sight, Watch};
use crate::desk::{Desk, sees};
use crate::proto::{self, operator_service_server::OperatorService};
use crate::store::Health;
use crate::store::read::{self, PAGE_BYTES, PendingAfter};

/// Pending requests that are counted for the total.
const COUNTED: usize = 1000;
/// Pending requests read at once while a page is filled.
const READ_AT_ONCE: usize = 500;
/// Messages that a watcher's stream holds ready.
const STREAM: usize = 16;
/// A watcher that has not read for so long is not kept up with.
const STALLED: Duration = Duration::from_secs(2);

/// Serves operators.
#[derive(Debug, Clone)]
pub struct OperatorDoor(pub Door);

impl OperatorDoor {
    /// A page of what is routed to this person, behind a place in the order, the
    /// place where the next one begins, and how many there are in all.
    async fn routed(
        &self,
        operator: &Arc<Operator>,
        after: PendingAfter,
        most: usize,
    ) -> Result<(Vec<HeldCall>, Option<PendingAfter>, usize), Status> {
        let place = |at: &PendingAfter| (at.deadline, at.n);
        let (mut found, mut total, mut bytes, mut full) = (Vec::new(), 0, 0, false);
        let (mut from, mut end) = (PendingAfter::default(), after);
        loop {
            let read = move |conn: &_| read::pending(conn, from, READ_AT_ONCE);
            let read = self.0.desk.store().read(read).await;
            let (page, more) = read.map_err(|e| status(e.into()))?;
            if let Some((last, _)) = page.last() {
                from = *last;
            }
            for (at, request) in page {
                if !sees(operator, &request) {
                    continue;
                }
                total += 1;
                if full || place(&at) <= place(&after) {
                    continue;
                }
                full = found.len() == most || bytes >= PAGE_BYTES;
                if !full {
                    bytes += request.call.arguments.len();
                    end = at;
                    found.push(request);
                }
            }
            let counted = total >= COUNTED;
            if !more || (counted && full) {
                break;
            }
            if counted && place(&from) < place(&after) {
                from = after;
            }
        }
        Ok((found, full.then_some(end), total.min(COUNTED)))
    }

    /// Finds a request by its full id, or by a unique beginning or end of it.
    async fn find(&self, operator: &Arc<Operator>, text: &str) -> Result<HeldCall, Status> {
        if let Ok(id) = text.parse::<RequestId>() {
            return self.0.desk.visible(operator, id).await.map_err(status);
        }
        let hex: String = text.chars().filter(|c| *c != '-').collect();
        let whole = "the full id, or at least 4 hex digits of its beginning or end, are expected";
        if hex != "latest"
            && (!(4..=32).contains(&hex.len()) || !hex.bytes().all(|b| b.is_ascii_hexdigit()))
        {
            return Err(bad_field("id", whole));
        }
        let latest = hex == "latest";
        let found = self
            .0
            .desk
            .store()
            .read(
                move |conn| {
                    if latest { read::newest(conn, 200) } else { read::by_short_id(conn, &hex) }
                },
            )
            .await
            .map_err(|e| status(e.into()))?;
        let mut mine: Vec<HeldCall> =
            found.into_iter().filter(|request| sees(operator, request)).collect();
        if latest {
            mine.truncate(1);
        }
        match mine.as_slice() {
            [] => Err(status(crate::desk::error::DeskError::not_found())),
            [one] => self.0.desk.visible(operator, one.id).await.map_err(status),
            several => {
                let names: Vec<String> =
                    several.iter().take(5).map(|request| request.id.to_string()).collect();
                let why = format!(
                    "{} requests match, give more digits: {}",
                    several.len(),
                    names.join(", ")
                );
                Err(bad_field("id", &why))
            }
        }
    }
}

fn short(field: &str, text: &str) -> Result<(), Status> {
    let mut check = Check::default();
    check.text(field, text, REASON);
    check.finish().map_err(status)
}

fn page_token(after: PendingAfter) -> String {
    format!("{:x}.{:x}", after.deadline, after.n)
}

fn read_page_token(token: &str) -> Result<PendingAfter, Status> {
    if token.is_empty() {
        return Ok(PendingAfter::default());
    }
    let read = || {
        let (deadline, n) = token.split_once('.')?;
        let number = |text| i64::from_str_radix(text, 16).ok();
        Some(PendingAfter { deadline: number(deadline)?, n: number(n)? })
    };
    read().ok_or_else(super::bad_page_token)
}

#[tonic::async_trait]
impl OperatorService for OperatorDoor {
    async fn list_pending(
        &self,
        request: Request<proto::ListPendingRequest>,
    ) -> Result<Response<proto::ListPendingResponse>, Status> {
        let operator = auth::operator(&request)?;
        let message = request.into_inner();
        let most = super::page_size(message.page_size)?;
        let after = read_page_token(&message.page_token)?;
        let (found, next, total) = self.routed(&operator, after, most).await?;
        let total = u32::try_from(total).unwrap_or(u32::MAX);
        let next_page_token = next.map(page_token).unwrap_or_default();
        let desk = &self.0.desk;
        let requests = found.iter().map(|request| convert::request(desk, request)).collect();
        Ok(Response::new(proto::ListPendingResponse { requests, next_page_token, total }))
    }

    async fn get_request(
        &self,
        request: Request<proto::GetRequestRequest>,
    ) -> Result<Response<proto::GetRequestResponse>, Status> {
        let operator = auth::operator(&request)?;
        let found = self.find(&operator, &request.into_inner().id).await?;
        let desk = &self.0.desk;
        let entitled = desk.people().entitled(
            &operator.name,
            &found.requirement,
            &found.call.agent.on_behalf_of,
        );
        let why = match entitled {
            _ if found.status != CallStatus::Pending => crate::store::decide::how_it_ended(&found),
            Err(no) => no.to_string(),
            Ok(()) => {
                desk.looked(&operator, &found);
                String::new()
            }
        };
        Ok(Response::new(proto::GetRequestResponse {
            request: Some(convert::request(desk, &found)),
            may_decide: why.is_empty(),
            may_not_decide_because: why,
        }))
    }

    async fn decide(
        &self,
        request: Request<proto::DecideRequest>,
    ) -> Result<Response<proto::DecideResponse>, Status> {
        let operator = auth::operator(&request)?;
        let message = request.into_inner();
        let id = convert::request_id("id", &message.id)?;
        short("reason", &message.reason)?;
        let verdict = Verdict::from_number(message.verdict)
            .ok_or_else(|| bad_field("verdict", "required: approve or deny"))?;
        if verdict == Verdict::Deny && message.reason.trim().is_empty() {
            return Err(bad_field("reason", "required to deny: the agent is told why"));
        }
        let digits = message.digest.len();
        let hex = message.digest.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        if !(16..=64).contains(&digits) || !hex {
            return Err(bad_field(
                "digest",
                "the first 16 to 64 lower-case hex digits of the digest that was shown are expected",
            ));
        }
        let decided = self
            .0
            .desk
            .decide(&operator, id, verdict, &message.reason, message.digest, None)
            .await
            .map_err(status)?;
        let request = Some(convert::request(&self.0.desk, &decided));
        Ok(Response::new(proto::DecideResponse { request }))
    }

    async fn lift_denial(
        &self,
        request: Request<proto::LiftDenialRequest>,
    ) -> Result<Response<proto::LiftDenialResponse>, Status> {
        let operator = auth::operator(&request)?;
        let message = request.into_inner();
        let id = convert::request_id("id", &message.id)?;
        short("reason", &message.reason)?;
        let lifted =
            self.0.desk.lift_denial(&operator, id, &message.reason).await.map_err(status)?;
        let request = Some(convert::request(&self.0.desk, &lifted));
        Ok(Response::new(proto::LiftDenialResponse { request }))
    }

    type WatchRequestsStream =
        Pin<Box<dyn Stream<Item = Result<proto::WatchEvent, Status>> + Send + 'static>>;

    async fn watch_requests(
        &self,
        request: Request<proto::WatchRequestsRequest>,
    ) -> Result<Response<Self::WatchRequestsStream>, Status> {
        let operator = auth::operator(&request)?;
        let visitor = auth::noted(&request)?.clone();
        let desk = self.0.desk.clone();
        // Subscribed first, looked at second: no exchange in between is missed.
        let mut changes = desk.changes();
        changes.mark_changed();
        let mut watch = Watch::begin(desk.clone(), operator).await.map_err(status)?;
        let (sender, receiver) = tokio::sync::mpsc::channel(STREAM);
        tokio::spawn(async move {
            let mut closing = desk.closing();
            loop {
                // A slow reader blocks only its own task; when it has fallen too
                // far behind, the watch starts over.
                let item = tokio::select! {
                    // Whoever may not watch any more is shown nothing more.
                    biased;
                    _ = changes.changed() => match auth::still_operator(&desk, &visitor) {
                        Ok(operator) => {
                            if operator != *watch.operator() {
                                watch.became(operator);
                            }
                            continue;
                        }
                        Err(refused) => Err(refused),
                    },
                    () = sender.closed() => return,
                    _ = closing.wait_for(|closing| *closing) => {
                        Err(status(crate::desk::error::DeskError::ShuttingDown))
                    }
                    item = watch.next() => item.map_err(status),
                };
                let (item, last) = match item {
                    Ok(Some(sight)) => (Ok(event(&desk, sight)), false),
                    Ok(None) => return,
                    Err(error) => (Err(error), true),
                };
                match tokio::time::timeout(STALLED, sender.reserve()).await {
                    Ok(Ok(place)) => place.send(item),
                    Ok(Err(_)) => return,
                    Err(_) => {
                        // What waits is let go of; when it is read again, all comes again.
                        watch.let_go();
                        let place = tokio::select! {
                            place = sender.reserve() => place,
                            _ = desk.revoked(&visitor) => return,
                        };
                        let Ok(place) = place else { return };
                        if last {
                            place.send(item);
                        }
                    }
                }
                if last {
                    return;
                }
            }
        });
        Ok(Response::new(Box::pin(ReceiverStream::new(receiver))))
    }

    async fn confirm_clock(
        &self,
        request: Request<proto::ConfirmClockRequest>,
    ) -> Result<Response<proto::ConfirmClockResponse>, Status> {
        let operator = auth::operator(&request)?;
        if !operator.roles.admin {
            return Err(wrong_role("only an admin confirms the clock"));
        }
        let now = self.0.desk.confirm_clock(&operator).await.map_err(status)?;
        Ok(Response::new(proto::ConfirmClockResponse { now: now.rfc3339() }))
    }

    async fn list_mail(
        &self,
        request: Request<proto::ListMailRequest>,
    ) -> Result<Response<proto::ListMailResponse>, Status> {
        let operator = auth::operator(&request)?;
        super::outbox::list(&self.0.desk, &operator, request.into_inner()).await
    }

    async fn retry_mail(
        &self,
        request: Request<proto::RetryMailRequest>,
    ) -> Result<Response<proto::RetryMailResponse>, Status> {
        let operator = auth::operator(&request)?;
        super::outbox::retry(&self.0.desk, &operator, request.into_inner()).await
    }

    async fn list_definition_changes(
        &self,
        request: Request<proto::ListDefinitionChangesRequest>,
    ) -> Result<Response<proto::ListDefinitionChangesResponse>, Status> {
        let operator = auth::operator(&request)?;
        super::definitions::list(&self.0.desk, &operator, request.into_inner()).await
    }

    async fn accept_definition(
        &self,
        request: Request<proto::AcceptDefinitionRequest>,
    ) -> Result<Response<proto::AcceptDefinitionResponse>, Status> {
        let operator = auth::operator(&request)?;
        super::definitions::accept(&self.0.desk, &operator, request.into_inner()).await
    }

    async fn who_am_i(
        &self,
        request: Request<proto::WhoAmIRequest>,
    ) -> Result<Response<proto::WhoAmIResponse>, Status> {
        let state = match &*self.0.desk.store().health().borrow() {
            Health::Serving => "serving".to_owned(),
            Health::Failing(why) => format!("cannot write: {why}"),
        };
        let mut answer = proto::WhoAmIResponse {
            server_version: env!("CARGO_PKG_VERSION").to_owned(),
            server_state: state,
            mail: self.0.mail.to_string(),
            ..proto::WhoAmIResponse::default()
        };
        match &auth::noted(&request)?.identity {
            Identity::Caller(caller) => {
                answer.name.clone_from(&caller.name);
                answer.roles = vec!["caller".to_owned()];
                answer.strength = caller.strength.number();
            }
            Identity::Operator(operator) => {
                answer.name.clone_from(&operator.name);
                answer.roles = operator.roles.words().into_iter().map(str::to_owned).collect();
                answer.groups = operator.groups.iter().cloned().collect();
                answer.strength = operator.strength.number();
            }
        }
        Ok(Response::new(answer))
    }
}

fn event(desk: &Desk, sight: Sight) -> proto::WatchEvent {
    use proto::watch_event::{Event, Ready, Reset};
    let (event, kind, sequence) = match sight {
        Sight::Pending(request) => (Event::Request(convert::request(desk, &request)), "", 0),
        Sight::Ready => (Event::Ready(Ready {}), "", 0),
        Sight::Reset => (Event::Reset(Reset {}), "", 0),
        Sight::Changed(event) => (
            Event::Request(convert::request(desk, &event.request)),
            event.kind.word(),
            event.sequence,
        ),
    };
    proto::WatchEvent { event: Some(event), kind: kind.to_owned(), sequence }
}

/// For methods that only auditors and admins may call.
pub(super) fn auditor<T>(request: &Request<T>) -> Result<Arc<Operator>, Status> {
    let operator = auth::operator(request)?;
    if operator.sees_all() {
        return Ok(operator);
    }
    Err(not_an_auditor())
}

pub(super) fn not_an_auditor() -> Status {
    refuse(
        Code::PermissionDenied,
        "WRONG_ROLE",
        "only auditors and admins may do this; use `audit` queries for what is routed to you",
    )
}
