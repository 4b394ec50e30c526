//! How a request ends without a decision: its time is up, or its caller takes it back.
//! Also what follows an ending: approvals that lapse, uses whose caller was lost.

use std::sync::Arc;

use rusqlite::params;

use super::audit::Kind;
use super::decide::not_pending;
use super::error::{Refusal, StoreError};
use super::mail;
use super::reach;
use super::row;
use super::tx::Tx;
use crate::call::ids::RequestId;
use crate::call::model::{Outcome, Request, Status, Use};

/// How many requests one tick ends at most, so that a mass expiry leaves room
/// for decisions in between.
pub const DUE_PER_TICK: usize = 500;

/// Moves a pending request to its one final status, drops its queued mail, and
/// queues what is told of the end.
///
/// Returns, for the history, who was not mailed and need not be any more.
pub(super) fn end(
    tx: &mut Tx<'_>,
    request: &mut Request,
    to: Status,
) -> Result<Vec<String>, StoreError> {
    debug_assert_eq!(request.status, Status::Pending);
    tx.status_changed(&request.call.scope(), Some(request.status), to);
    request.status = to;
    request.ended = Some(tx.now);
    reach::settle(request);
    row::update(tx.conn, request)?;
    mail::ended(tx, request)
}

fn due(tx: &Tx<'_>, sql: &str, most: usize) -> Result<Vec<RequestId>, StoreError> {
    let mut statement = tx.conn.prepare_cached(sql)?;
    let ids = statement
        .query_map(params![tx.now.0, most as i64], |row| Ok(RequestId::from_bytes(row.get(0)?)))?;
    Ok(ids.collect::<Result<_, _>>()?)
}

/// Ends what is due: pending past the deadline, approvals unused in time, uses
/// whose lease was lost. Notes where nobody was reached in time. Returns whether more may be due.
pub fn end_due(tx: &mut Tx<'_>) -> Result<bool, StoreError> {
    let expired = due(
        tx,
        "SELECT id FROM requests WHERE status = 1 AND deadline <= ? ORDER BY deadline LIMIT ?",
        DUE_PER_TICK,
    )?;
    let lapsed =
        due(tx, "SELECT id FROM requests WHERE use = 1 AND lapses <= ? LIMIT ?", DUE_PER_TICK)?;
    let lost = due(
        tx,
        "SELECT id FROM requests WHERE lease_until IS NOT NULL AND lease_until <= ? LIMIT ?",
        DUE_PER_TICK,
    )?;
    let unreached = due(
        tx,
        "SELECT id FROM requests WHERE reach_by IS NOT NULL AND reach_by <= ?
         ORDER BY reach_by LIMIT ?",
        DUE_PER_TICK,
    )?;
    let more = [&expired, &lapsed, &lost, &unreached].iter().any(|ids| ids.len() == DUE_PER_TICK);
    for id in expired {
        if let Some(mut request) = row::load(tx.conn, id)? {
            let not_mailed = end(tx, &mut request, Status::Expired)?;
            tx.record_shared(Kind::Expired, &Arc::new(request), |entry| {
                entry.not_mailed(&not_mailed);
            })?;
        }
    }
    for id in lapsed {
        if let Some(mut request) = row::load(tx.conn, id)? {
            lapse(tx, &mut request)?;
        }
    }
    for id in lost {
        if let Some(mut request) = row::load(tx.conn, id)? {
            outcome_unknown(tx, &mut request, "its caller was lost while it ran");
            row::update(tx.conn, &request)?;
            mail::outcome_unknown(tx, &request)?;
            tx.record_request(Kind::OutcomeUnknown, &request, |entry| {
                entry.text("detail", &request.outcome_detail);
            })?;
        }
    }
    for id in unreached {
        // Read again: it may have expired a moment ago.
        if let Some(mut request) = row::load(tx.conn, id)?
            && request.reach_by.is_some()
        {
            reach::nobody_reached(tx, &mut request)?;
        }
    }
    Ok(more)
}

/// Nobody can tell any more how a call ended.
pub(super) fn outcome_unknown(tx: &Tx<'_>, request: &mut Request, why: &str) {
    request.lease_until = None;
    request.outcome = Outcome::Unknown;
    request.outcome_at = Some(tx.now);
    why.clone_into(&mut request.outcome_detail);
}

/// An approval that was not used in time never will be.
pub(super) fn lapse(tx: &mut Tx<'_>, request: &mut Request) -> Result<(), StoreError> {
    request.use_ = Use::Lapsed;
    request.lapses = None;
    row::update(tx.conn, request)?;
    tx.record_request(Kind::UseLapsed, request, |_| {})
}

/// The caller takes a pending request back, or gives up an unused approval.
///
/// After it returned, no use of it will ever be granted. Withdrawing what is
/// withdrawn changes nothing.
pub fn withdraw(
    tx: &mut Tx<'_>,
    caller: &str,
    id: RequestId,
    reason: &str,
) -> Result<Request, StoreError> {
    let mut request = owned(tx, caller, id)?;
    let mut not_mailed = Vec::new();
    match (request.status, request.use_) {
        (Status::Pending, _) => not_mailed = end(tx, &mut request, Status::Withdrawn)?,
        // The approval stays what it is; its use is given up.
        (Status::Approved, Use::Unused) => {
            request.use_ = Use::Lapsed;
            request.lapses = None;
            row::update(tx.conn, &request)?;
        }
        (Status::Withdrawn, _) | (Status::Approved, Use::Lapsed) => return Ok(request),
        _ => return Err(not_pending(&request)),
    }
    let kind = if request.use_ == Use::Lapsed { Kind::UseLapsed } else { Kind::Withdrawn };
    tx.record_request(kind, &request, |entry| {
        entry.text("reason", reason);
        entry.not_mailed(&not_mailed);
    })?;
    Ok(request)
}

/// A caller's own request; anything else does not exist for it.
pub(super) fn owned(tx: &Tx<'_>, caller: &str, id: RequestId) -> Result<Request, StoreError> {
    match row::load(tx.conn, id)? {
        Some(request) if request.call.caller == caller => Ok(request),
        _ => Err(Refusal::NotFound.into()),
    }
}
