//! The history's door.

use std::pin::Pin;

use tokio_stream::wrappers::ReceiverStream;
use tokio_stream::{Stream, StreamExt as _};
use tonic::{Request, Response, Status};

use super::auth::{self, Door};
use super::convert;
use super::errors::{bad_field, status};
use super::operator::{auditor, not_an_auditor};
use crate::call::hex::{hex, unhex};
use crate::call::model::{Category, Status as CallStatus};
use crate::call::time::Time;
use crate::desk::history::{ExportEnded, Right, text_fault};
use crate::proto::{self, history_service_server::HistoryService};
use crate::store::audit::Kind;
use crate::store::query::{Filter, Question, Told};

/// Serves the history.
#[derive(Debug, Clone)]
pub struct HistoryDoor(pub Door);

pub(super) fn time(field: &str, text: &str) -> Result<Option<Time>, Status> {
    if text.is_empty() {
        return Ok(None);
    }
    let read = Time::parse(text);
    read.map(Some)
        .ok_or_else(|| bad_field(field, "not an RFC 3339 time such as 2026-11-22T13:05:00Z"))
}

fn filter(message: proto::AuditFilter) -> Result<Filter, Status> {
    let given = |text: String| (!text.is_empty()).then_some(text);
    let text = given(message.text);
    if let Some(why) = text.as_deref().and_then(text_fault) {
        return Err(bad_field("filter.text", &why));
    }
    let category = match message.category {
        0 => None,
        n => Some(Category::from_number(n).ok_or_else(|| bad_field("filter.category", "unknown"))?),
    };
    let status = match message.status {
        0 => None,
        n => Some(CallStatus::from_number(n).ok_or_else(|| bad_field("filter.status", "unknown"))?),
    };
    let kind = given(message.kind);
    if let Some(kind) = &kind
        && !Kind::ALL.iter().any(|known| known.word() == kind)
    {
        let known: Vec<&str> = Kind::ALL.iter().map(|kind| kind.word()).collect();
        let why = format!("unknown; one of {} is expected", known.join(", "));
        return Err(bad_field("filter.kind", &why));
    }
    let request = match given(message.request_id) {
        None => None,
        Some(id) => Some(convert::request_id("filter.request_id", &id)?),
    };
    Ok(Filter {
        since: time("filter.since", &message.since)?,
        until: time("filter.until", &message.until)?,
        caller: given(message.caller),
        client: given(message.client),
        agent: given(message.agent),
        session: given(message.session),
        server: given(message.server),
        tool: given(message.tool),
        category,
        status,
        operator: given(message.operator),
        text,
        request,
        kind,
    })
}

fn entry(told: Told) -> proto::AuditEntry {
    proto::AuditEntry {
        sequence: told.sequence,
        at: told.at.rfc3339(),
        kind: told.kind,
        request_id: told.request.map(|id| id.to_string()).unwrap_or_default(),
        caller: told.caller,
        client: told.client,
        agent: told.agent,
        session: told.session,
        server: told.server,
        tool: told.tool,
        category: told.category.map(Category::number).unwrap_or_default(),
        status: told.status.map(CallStatus::number).unwrap_or_default(),
        operator: told.operator,
        payload: told.payload,
        hash: hex(&told.hash),
        previous_hash: hex(&told.previous),
    }
}

fn broke_off(why: ExportEnded) -> Status {
    match why {
        ExportEnded::NotKnown(why) => auth::not_known(&why),
        // Of sign-ins, which this door does not have.
        ExportEnded::SignedOut | ExportEnded::NotAnAuditor => not_an_auditor(),
        ExportEnded::Store(error) => status(error.into()),
    }
}

#[tonic::async_trait]
impl HistoryService for HistoryDoor {
    async fn query_audit(
        &self,
        request: Request<proto::QueryAuditRequest>,
    ) -> Result<Response<proto::QueryAuditResponse>, Status> {
        let desk = &self.0.desk;
        let operator = auth::operator(&request)?;
        let message = request.into_inner();
        let mut question = Question {
            filter: filter(message.filter.unwrap_or_default())?,
            ascending: message.ascending,
            most: super::page_size(message.page_size)?,
            after: None,
        };
        if !message.page_token.is_empty() {
            let after = question.read_token(&message.page_token);
            question.after = Some(after.ok_or_else(super::bad_page_token)?);
        }
        let page = desk.history(&operator, question.clone()).await.map_err(status)?;
        Ok(Response::new(proto::QueryAuditResponse {
            entries: page.entries.into_iter().map(entry).collect(),
            next_page_token: page.next.map(|n| question.token(n)).unwrap_or_default(),
            examined: u32::try_from(page.examined).unwrap_or(u32::MAX),
            searched_to: page.reached.map(Time::rfc3339).unwrap_or_default(),
        }))
    }

    type ExportAuditStream =
        Pin<Box<dyn Stream<Item = Result<proto::ExportAuditChunk, Status>> + Send + 'static>>;

    async fn export_audit(
        &self,
        request: Request<proto::ExportAuditRequest>,
    ) -> Result<Response<Self::ExportAuditStream>, Status> {
        let desk = &self.0.desk;
        auditor(&request)?;
        let visitor = auth::noted(&request)?.clone();
        let message = request.into_inner();
        if message.last != 0 && message.last < message.first {
            return Err(bad_field("last", "before the first"));
        }
        let begun = desk.export(Right::Visitor(visitor), message.first, message.last).await;
        let pieces = ReceiverStream::new(begun.map_err(broke_off)?.pieces);
        let pieces = pieces.map(|piece| match piece {
            Ok(data) => Ok(proto::ExportAuditChunk { data }),
            Err(why) => Err(broke_off(why)),
        });
        Ok(Response::new(Box::pin(pieces)))
    }

    async fn verify_audit(
        &self,
        request: Request<proto::VerifyAuditRequest>,
    ) -> Result<Response<proto::VerifyAuditResponse>, Status> {
        let desk = &self.0.desk;
        auditor(&request)?;
        let head = request.into_inner().head;
        let wanted = match head.as_str() {
            "" => None,
            text => Some(
                unhex::<32>(text)
                    .ok_or_else(|| bad_field("head", "64 lower-case hex digits are expected"))?,
            ),
        };
        let verified = desk.verify(wanted).await.map_err(status)?;
        Ok(Response::new(match verified {
            Ok(whole) => proto::VerifyAuditResponse {
                whole: true,
                entries: whole.entries,
                head: hex(&whole.head),
                erased: whole.erased,
                ..proto::VerifyAuditResponse::default()
            },
            Err(broken) => proto::VerifyAuditResponse {
                whole: false,
                problem: broken.what,
                broken_at: broken.sequence,
                ..proto::VerifyAuditResponse::default()
            },
        }))
    }
}
