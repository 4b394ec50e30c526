//! The history's door.

use std::pin::Pin;

use tokio_stream::Stream;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status};

use super::auth::{self, Door};
use super::convert;
use super::errors::{bad_field, status};
use super::operator::{auditor, not_an_auditor};
use crate::call::hex::{hex, unhex};
use crate::call::model::{Category, Request as HeldCall, Status as CallStatus};
use crate::call::time::Time;
use crate::desk::sees;
use crate::proto::{self, history_service_server::HistoryService};
use crate::store::audit::Kind;
use crate::store::export::{self, Exporter};
use crate::store::query::{self, Filter, Question, Told};
use crate::store::text_index;

/// Bytes of one piece of an export.
const PIECE: usize = 64 * 1024;
/// Longest text to look for, in bytes.
const TEXT: usize = 200;

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
    if let Some(text) = &text {
        if text.len() > TEXT {
            let why = format!("{} bytes; at most {TEXT} are taken", text.len());
            return Err(bad_field("filter.text", &why));
        }
        if !text_index::has_words(text) {
            return Err(bad_field(
                "filter.text",
                "no word in it: letters or digits are looked for",
            ));
        }
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
        if question.filter.text.is_some() {
            desk.store().catch_up_text().await.map_err(|e| status(e.into()))?;
        }
        let asked = question.clone();
        let all = operator.sees_all();
        let page = desk
            .store()
            .read(move |conn| {
                let visible = |request: &HeldCall| sees(&operator, request);
                query::query(conn, &asked, (!all).then_some(&visible as &dyn Fn(&HeldCall) -> bool))
            })
            .await
            .map_err(|e| status(e.into()))?;
        // How many entries have a word in them is itself an answer: it is given
        // only for what this person may see.
        let examined = if all { page.examined } else { page.entries.len() };
        Ok(Response::new(proto::QueryAuditResponse {
            entries: page.entries.into_iter().map(entry).collect(),
            next_page_token: page.next.map(|n| question.token(n)).unwrap_or_default(),
            examined: u32::try_from(examined).unwrap_or(u32::MAX),
        }))
    }

    type ExportAuditStream =
        Pin<Box<dyn Stream<Item = Result<proto::ExportAuditChunk, Status>> + Send + 'static>>;

    async fn export_audit(
        &self,
        request: Request<proto::ExportAuditRequest>,
    ) -> Result<Response<Self::ExportAuditStream>, Status> {
        let desk = self.0.desk.clone();
        auditor(&request)?;
        let visitor = auth::noted(&request)?.clone();
        let message = request.into_inner();
        if message.last != 0 && message.last < message.first {
            return Err(bad_field("last", "before the first"));
        }
        let (first, last) = (message.first, message.last);
        let store = desk.store().clone();
        let still_auditor = move || {
            let operator = auth::still_operator(&desk, &visitor)?;
            if operator.sees_all() { Ok(()) } else { Err(not_an_auditor()) }
        };
        let mut exporter = store
            .read(move |conn| Exporter::new(conn, first, last))
            .await
            .map_err(|e| status(e.into()))?;
        let (sender, receiver) = tokio::sync::mpsc::channel(2);
        tokio::spawn(async move {
            loop {
                if let Err(refused) = still_auditor() {
                    let _ = sender.send(Err(refused)).await;
                    return;
                }
                let read = store
                    .read(move |conn| {
                        let piece = exporter.next(conn, PIECE)?;
                        Ok((exporter, piece))
                    })
                    .await;
                let item = match read {
                    Ok((_, None)) => return,
                    Ok((back, Some(data))) => {
                        exporter = back;
                        Ok(proto::ExportAuditChunk { data })
                    }
                    Err(error) => {
                        let _ = sender.send(Err(status(error.into()))).await;
                        return;
                    }
                };
                if sender.send(item).await.is_err() {
                    return;
                }
            }
        });
        Ok(Response::new(Box::pin(ReceiverStream::new(receiver))))
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
        let verified = desk
            .store()
            .walk(move |conn| export::verify(conn, wanted))
            .await
            .map_err(|e| status(e.into()))?;
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
