//! The one use of an approved request: taken, renewed, reported on.

use std::time::Duration;

use super::audit::Kind;
use super::ending::owned;
use super::error::{Refusal, StoreError};
use super::mail;
use super::row;
use super::tx::Tx;
use crate::call::digest::Digest;
use crate::call::ids::RequestId;
use crate::call::model::{Outcome, Request, Status, Use};

/// A caller is about to run the call.
#[derive(Debug, Clone)]
pub struct TakeUse {
    /// Who, as authenticated.
    pub caller: String,
    /// Which request.
    pub id: RequestId,
    /// The call id that holds it.
    pub call_id: String,
    /// Digest of what is about to run.
    pub digest: Digest,
    /// How long the caller may be silent; `None`: no outcome is expected.
    pub lease: Option<Duration>,
}

/// Hands over the one use. `Ok` is the permission, and it is given once, ever.
pub fn take_use(tx: &mut Tx<'_>, input: &TakeUse) -> Result<Request, StoreError> {
    let mut request = owned(tx, &input.caller, input.id)?;
    let id = request.id;
    if request.call.digest != input.digest {
        return Err(Refusal::DigestMismatch(id).into());
    }
    let holds = request.call_id == input.call_id;
    match request.use_ {
        Use::Unused if !holds => return Err(Refusal::Used(id).into()),
        Use::Taken if holds && request.outcome != Outcome::None => {
            let recorded = request.outcome.word();
            return Err(Refusal::OutcomeRecorded { id, recorded }.into());
        }
        Use::Taken if holds => return Err(Refusal::AlreadyGranted(id).into()),
        Use::Taken => return Err(Refusal::Used(id).into()),
        Use::Lapsed => return Err(Refusal::Lapsed(id).into()),
        Use::Unused if request.status == Status::Approved => {}
        Use::None | Use::Unused => {
            return Err(Refusal::NotApproved { id, status: request.status }.into());
        }
    }
    if request.lapses.is_none_or(|at| at <= tx.now) {
        // Its time is up, although no tick has written that down yet.
        return Err(Refusal::Lapsed(id).into());
    }
    if let Some(until) = tx.state().clock_doubt
        && tx.now < until
    {
        return Err(Refusal::ClockInDoubt(until).into());
    }
    request.use_ = Use::Taken;
    request.used = Some(tx.now);
    request.lapses = None;
    request.outcome_expected = input.lease.is_some();
    request.lease_until = input.lease.map(|lease| tx.now + lease);
    row::update(tx.conn, &request)?;
    tx.record_request(Kind::UseGranted, &request, |entry| {
        entry.text("call_id", &input.call_id);
        entry.text("digest", &input.digest.to_string());
        entry.text("outcome", if input.lease.is_some() { "expected" } else { "not expected" });
    })?;
    Ok(request)
}

/// A caller says that the call still runs.
pub fn renew_use(
    tx: &mut Tx<'_>,
    caller: &str,
    id: RequestId,
    call_id: &str,
    lease: Duration,
) -> Result<(), StoreError> {
    let mut request = taken(tx, caller, id, call_id)?;
    if request.outcome != Outcome::None || !request.outcome_expected {
        let recorded = request.outcome.word();
        return Err(Refusal::OutcomeRecorded { id, recorded }.into());
    }
    request.lease_until = Some(tx.now + lease);
    // No audit entry: nothing about the request changes for anyone but its caller.
    row::update(tx.conn, &request)
}

/// What the caller says of the call after it ran.
#[derive(Debug, Clone)]
pub struct ReportOutcome {
    /// Who, as authenticated.
    pub caller: String,
    /// Which request.
    pub id: RequestId,
    /// The call id that took the use.
    pub call_id: String,
    /// How it ended.
    pub outcome: Outcome,
    /// In the caller's words, secrets masked.
    pub detail: String,
}

/// Records how a call ended. The same report again changes nothing; one that
/// comes after the lease was lost replaces "unknown" and is recorded as late.
pub fn report_outcome(tx: &mut Tx<'_>, input: &ReportOutcome) -> Result<Request, StoreError> {
    let mut request = taken(tx, &input.caller, input.id, &input.call_id)?;
    let late = request.outcome == Outcome::Unknown && input.outcome != Outcome::Unknown;
    if request.outcome == input.outcome {
        return Ok(request);
    }
    if request.outcome != Outcome::None && !late {
        let recorded = request.outcome.word();
        return Err(Refusal::OutcomeRecorded { id: input.id, recorded }.into());
    }
    request.outcome = input.outcome;
    request.outcome_detail.clone_from(&input.detail);
    request.outcome_at = Some(tx.now);
    request.lease_until = None;
    row::update(tx.conn, &request)?;
    let kind = match input.outcome {
        Outcome::Unknown => Kind::OutcomeUnknown,
        _ => Kind::OutcomeReported,
    };
    if kind == Kind::OutcomeUnknown {
        mail::outcome_unknown(tx, &request)?;
    }
    tx.record_request(kind, &request, |entry| {
        entry.text("outcome", input.outcome.word());
        entry.text("detail", &input.detail);
        if late {
            entry.text("late", "reported after its caller was thought lost");
        }
    })?;
    Ok(request)
}

fn taken(tx: &Tx<'_>, caller: &str, id: RequestId, call_id: &str) -> Result<Request, StoreError> {
    let request = owned(tx, caller, id)?;
    if request.use_ != Use::Taken {
        return Err(Refusal::NotTaken { id, use_: request.use_ }.into());
    }
    if request.call_id != call_id {
        return Err(Refusal::Used(id).into());
    }
    Ok(request)
}
