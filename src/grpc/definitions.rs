//! Changed definitions of tools: one method of the callers' door, two of the
//! operators'.
//!
//! What comes in is masked here, once, before anything keeps it.

use tonic::{Response, Status};

use super::errors::status;
use crate::call::definition::{self, LONGEST};
use crate::call::hex::{hex, unhex};
use crate::desk::Desk;
use crate::desk::intake::{Check, NAME, REASON};
use crate::desk::people::{Caller, Operator};
use crate::proto;
use crate::store::definitions::{Change, Question, Report, Shown, Whose};

/// Answers `ReportDefinition`.
pub(super) async fn report(
    desk: &Desk,
    caller: &Caller,
    message: proto::ReportDefinitionRequest,
) -> Result<Response<proto::ReportDefinitionResponse>, Status> {
    let mut check = Check::default();
    check.required("server", &message.server, NAME);
    check.required("tool", &message.tool, NAME);
    let before = hash(&mut check, "hash_before", &message.hash_before);
    let now = hash(&mut check, "hash_now", &message.hash_now);
    if message.hash_before == message.hash_now {
        check.bad("hash_now", "the same as before: nothing changed");
    }
    let old = &message.definition_before;
    if !old.is_empty() {
        is_whole(&mut check, "definition_before", old, message.before_cut, &message.hash_before);
    }
    let new = &message.definition_now;
    is_whole(&mut check, "definition_now", new, message.now_cut, &message.hash_now);
    check.finish().map_err(status)?;
    let report = Report {
        whose: Whose { caller: caller.name.clone(), server: message.server, tool: message.tool },
        hashes: (before, now),
        changed: match old.as_slice() {
            [] => Vec::new(),
            old => definition::changed(old, new),
        },
        before: shown(old, message.before_cut),
        now: shown(new, message.now_cut),
    };
    let change = desk.report_definition(report).await.map_err(status)?;
    Ok(Response::new(proto::ReportDefinitionResponse {
        status: change.status.number(),
        accepted_at: change.accepted.map(|at| at.rfc3339()).unwrap_or_default(),
        accepted_by: change.accepted_by,
        reported_at: change.reported.rfc3339(),
    }))
}

fn hash(check: &mut Check, field: &str, text: &str) -> [u8; 32] {
    unhex::<32>(text).unwrap_or_else(|| {
        check.bad(field, "64 lower-case hex digits are expected");
        Default::default()
    })
}

/// What operators are shown has to be what the hash stands for.
fn is_whole(check: &mut Check, field: &str, definition: &[u8], cut: bool, hash: &str) {
    if definition.is_empty() {
        check.bad(field, "required, and empty");
    } else if definition.len() > LONGEST {
        let why = format!("{} bytes; at most {LONGEST} are taken: cut it", definition.len());
        check.bad(field, why);
    } else if !cut && definition::hash(definition) != hash {
        check.bad(field, "it has another hash than the one that is given beside it");
    }
}

fn shown(definition: &[u8], cut: bool) -> Shown {
    if definition.is_empty() {
        return Shown::default();
    }
    let (text, more) = definition::masked(definition);
    Shown { text, cut: cut || more }
}

/// Answers `ListDefinitionChanges`.
pub(super) async fn list(
    desk: &Desk,
    operator: &Operator,
    message: proto::ListDefinitionChangesRequest,
) -> Result<Response<proto::ListDefinitionChangesResponse>, Status> {
    let given = |text: String| (!text.is_empty()).then_some(text);
    let mut question = Question {
        all: message.all,
        caller: given(message.caller),
        server: given(message.server),
        tool: given(message.tool),
        after: None,
        most: super::page_size(message.page_size)?,
    };
    question.after = place(&question, &message.page_token)?;
    let asked = question.clone();
    let (found, next) = desk.definition_changes(operator, question).await.map_err(status)?;
    let convert = |change: Change| {
        let may_accept = desk.may_accept(operator, &change.whose);
        proto::DefinitionChange { may_accept, ..converted(change) }
    };
    Ok(Response::new(proto::ListDefinitionChangesResponse {
        changes: found.into_iter().map(convert).collect(),
        next_page_token: next.map(|n| token(&asked, n)).unwrap_or_default(),
    }))
}

/// Answers `AcceptDefinition`.
pub(super) async fn accept(
    desk: &Desk,
    operator: &Operator,
    message: proto::AcceptDefinitionRequest,
) -> Result<Response<proto::AcceptDefinitionResponse>, Status> {
    let mut check = Check::default();
    check.required("caller", &message.caller, NAME);
    check.required("server", &message.server, NAME);
    check.required("tool", &message.tool, NAME);
    check.text("reason", &message.reason, REASON);
    let hash = hash(&mut check, "hash", &message.hash);
    check.finish().map_err(status)?;
    let whose = Whose { caller: message.caller, server: message.server, tool: message.tool };
    let accepted = desk.accept_definition(operator, whose, hash, &message.reason).await;
    let change = accepted.map_err(status)?;
    let change = proto::DefinitionChange { may_accept: true, ..converted(change) };
    Ok(Response::new(proto::AcceptDefinitionResponse { change: Some(change) }))
}

fn converted(change: Change) -> proto::DefinitionChange {
    let Whose { caller, server, tool } = change.whose;
    proto::DefinitionChange {
        caller,
        server,
        tool,
        hash_before: hex(&change.hashes.0),
        hash_now: hex(&change.hashes.1),
        definition_before: change.before.text,
        definition_now: change.now.text,
        before_cut: change.before.cut,
        now_cut: change.now.cut,
        changed: change.changed,
        status: change.status.number(),
        reported_at: change.reported.rfc3339(),
        accepted_by: change.accepted_by,
        accepted_at: change.accepted.map(|at| at.rfc3339()).unwrap_or_default(),
        reason: change.reason,
        not_written: change.not_written,
        may_accept: false,
    }
}

/// What a token begins with: filters with another meaning have another one.
fn fingerprint(question: &Question) -> String {
    let Question { all, caller, server, tool, .. } = question;
    let said = format!("{:?}", (all, caller, server, tool));
    definition::hash(said.as_bytes())[..16].to_owned()
}

fn token(question: &Question, n: i64) -> String {
    format!("{}{n:x}", fingerprint(question))
}

fn place(question: &Question, token: &str) -> Result<Option<i64>, Status> {
    if token.is_empty() {
        return Ok(None);
    }
    let digits = token.strip_prefix(&fingerprint(question));
    let n = digits.and_then(|digits| i64::from_str_radix(digits, 16).ok());
    n.map(Some).ok_or_else(super::bad_page_token)
}
