//! A call arrives: it continues a request, hears a remembered denial, or
//! becomes a request of its own.

use std::sync::Arc;
use std::time::Duration;

use rusqlite::{OptionalExtension, params};

use super::audit::Kind;
use super::error::{Refusal, StoreError};
use super::find;
use super::mail::{self, MailTo};
use super::reach;
use super::row;
use super::tx::Tx;
use crate::call::handle::Handle;
use crate::call::ids::RequestId;
use crate::call::model::{Call, Outcome, Request, Scope, Status, Use};
use crate::call::requirement::Requirement;

/// How many identical requests of one scope are looked at. An agent that asks
/// the same thing over and over must not make each submit dearer.
const IDENTICAL_LOOKED_AT: u32 = 64;

/// Who waits on what is the desk's knowledge; the answer has to come, and the
/// claim has to be made, at the instant of the transition.
pub trait Attach {
    /// If nobody waits on this request, this call waits on it from now on.
    fn claim(&self, id: RequestId) -> bool;
    /// This call waits on it too.
    fn join(&self, id: RequestId);
}

/// How many requests may be pending.
#[derive(Debug, Clone, Copy)]
pub struct PendingLimits {
    /// Per caller.
    pub per_caller: u32,
    /// Per client of a caller.
    pub per_client: u32,
}

/// A call to hold.
#[derive(Debug)]
pub struct Submit {
    /// Its id, if it becomes a request of its own.
    pub id: RequestId,
    /// The caller's idempotency key.
    pub call_id: String,
    /// Under which the caller finds the request again.
    pub handle: Option<Handle>,
    /// Checked, digested, masked.
    pub call: Call,
    /// Who has to agree, by today's routes.
    pub requirement: Requirement,
    /// Who gets a mail.
    pub mail_to: Vec<MailTo>,
    /// Whether to notice that nobody could be reached: mails go to a server.
    pub watch_reach: bool,
    /// How long people have.
    pub timeout: Duration,
    /// How many may be pending.
    pub limits: PendingLimits,
}

/// How a submitted call was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taken {
    /// As a request of its own.
    New,
    /// The same call id again: the request it stands for.
    Repeated,
    /// It took over a request that nobody waited on.
    Resumed,
    /// It was denied before, and that is remembered.
    Remembered,
}

/// The request that a submitted call belongs to.
#[derive(Debug, Clone)]
pub struct Submitted {
    /// As it stands now.
    pub request: Arc<Request>,
    /// How it came to be the one.
    pub taken: Taken,
}

/// Takes a call in.
///
/// After it returned, the call id stands for this call, and the request it
/// belongs to is on disk with one queued mail for each operator who is told.
/// Asked twice with the same call id, it gives the same request and changes nothing
/// (but takes note of a handle that is new).
pub fn submit(
    tx: &mut Tx<'_>,
    input: Submit,
    attach: &dyn Attach,
) -> Result<Submitted, StoreError> {
    let handle = input.handle;
    let submitted = take_in(tx, input, attach)?;
    if let Some(handle) = handle {
        // Whichever request the call belongs to; refused, all of it is undone.
        find::give(tx, &submitted.request, handle)?;
    }
    Ok(submitted)
}

fn take_in(tx: &mut Tx<'_>, input: Submit, attach: &dyn Attach) -> Result<Submitted, StoreError> {
    let scope = input.call.scope();
    if let Some(submitted) = same_call_id(tx, &input, &scope, attach)? {
        return Ok(submitted);
    }
    let mut identical = if scope.tells_agents_apart() {
        identical_in_scope(tx, &input.call, &scope)?
    } else {
        Vec::new()
    };
    let now = tx.now;
    let remembered =
        |r: &&mut Request| r.status == Status::Denied && !r.denial_lifted && r.deadline > now;
    if let Some(denied) = identical.iter_mut().find(remembered) {
        return remember(tx, denied.clone(), &input);
    }
    // First an approved and unused one, then a pending one; oldest first.
    let resumable = |r: &&Request, status| {
        let open = match status {
            Status::Approved => r.use_ == Use::Unused && r.lapses.is_none_or(|at| at > now),
            _ => r.deadline > now,
        };
        r.status == status
            && open
            && !r.requirement.is_weaker_than(&input.requirement)
            && was_shown_the_same(&r.call, &input.call)
    };
    for status in [Status::Approved, Status::Pending] {
        for request in identical.iter().filter(|r| resumable(r, status)) {
            if attach.claim(request.id) {
                return resume(tx, request.clone(), &input);
            }
        }
    }
    create(tx, input, &scope, &identical)
}

/// Whether what people saw beside the digest, and what decides what the call
/// does, still stands: a tool that was defined anew is another tool.
fn was_shown_the_same(shown: &Call, asked: &Call) -> bool {
    shown.tool_definition_hash == asked.tool_definition_hash
        && shown.not_covered == asked.not_covered
}

/// The call id is known: it must stand for this very call.
fn same_call_id(
    tx: &mut Tx<'_>,
    input: &Submit,
    scope: &Scope,
    attach: &dyn Attach,
) -> Result<Option<Submitted>, StoreError> {
    let Some((id, holds)) = by_call_id(tx, &scope.caller, &input.call_id)? else { return Ok(None) };
    let Some(request) = row::load(tx.conn, id)?.map(Arc::new) else { return Ok(None) };
    if request.call.digest != input.call.digest || request.call.scope() != *scope {
        return Err(Refusal::CallIdReused(id).into());
    }
    if holds {
        attach.join(id);
        return Ok(Some(Submitted { request, taken: Taken::Repeated }));
    }
    match request.status {
        // Somebody else continues this call now; two must not run it.
        Status::Pending | Status::Approved => Err(Refusal::Used(id).into()),
        // It asked after a remembered denial, and asks once more.
        Status::Denied => Ok(Some(Submitted { request, taken: Taken::Remembered })),
        Status::Expired | Status::Withdrawn => {
            Ok(Some(Submitted { request, taken: Taken::Repeated }))
        }
    }
}

/// The request that a call id stands for, and whether it still holds it.
pub(super) fn by_call_id(
    tx: &Tx<'_>,
    caller: &str,
    call_id: &str,
) -> Result<Option<(RequestId, bool)>, StoreError> {
    let id = |row: &rusqlite::Row<'_>| Ok(RequestId::from_bytes(row.get(0)?));
    let held = tx
        .conn
        .prepare_cached("SELECT id FROM requests WHERE caller = ? AND call_id = ?")?
        .query_row([caller, call_id], id)
        .optional()?;
    if let Some(id) = held {
        return Ok(Some((id, true)));
    }
    let former = tx
        .conn
        .prepare_cached("SELECT request FROM former_call_ids WHERE caller = ? AND call_id = ?")?
        .query_row([caller, call_id], id)
        .optional()?;
    Ok(former.map(|id| (id, false)))
}

fn identical_in_scope(tx: &Tx<'_>, call: &Call, scope: &Scope) -> Result<Vec<Request>, StoreError> {
    // Newest ones are looked at, and then told oldest first.
    let mut statement = tx.conn.prepare_cached(
        "SELECT id FROM requests INDEXED BY requests_by_scope
         WHERE digest = ? AND caller = ? AND client = ? AND session = ? AND on_behalf_of = ?
         ORDER BY n DESC LIMIT ?",
    )?;
    let ids = statement
        .query_map(
            params![
                call.digest.as_bytes(),
                scope.caller,
                scope.client,
                scope.session,
                scope.on_behalf_of,
                IDENTICAL_LOOKED_AT
            ],
            |row| Ok(RequestId::from_bytes(row.get(0)?)),
        )?
        .collect::<Result<Vec<_>, _>>()?;
    let mut requests = Vec::with_capacity(ids.len());
    for id in ids.into_iter().rev() {
        requests.extend(row::load(tx.conn, id)?);
    }
    Ok(requests)
}

/// Tells a remembered denial again. Counted; no mail.
fn remember(
    tx: &mut Tx<'_>,
    mut request: Request,
    input: &Submit,
) -> Result<Submitted, StoreError> {
    request.asked_again += 1;
    row::update(tx.conn, &request)?;
    former(tx, &request.call.caller, &input.call_id, request.id)?;
    let request = Arc::new(request);
    tx.record_shared(Kind::DenialRepeated, &request, |entry| {
        entry.text("call_id", &input.call_id);
    })?;
    Ok(Submitted { request, taken: Taken::Remembered })
}

/// The new call id takes the old one's place.
fn resume(tx: &mut Tx<'_>, mut request: Request, input: &Submit) -> Result<Submitted, StoreError> {
    let before = std::mem::replace(&mut request.call_id, input.call_id.clone());
    former(tx, &request.call.caller, &before, request.id)?;
    request.resumed += 1;
    row::update(tx.conn, &request)?;
    row::update_call_id(tx.conn, &request)?;
    let request = Arc::new(request);
    tx.record_shared(Kind::Resumed, &request, |entry| {
        entry.text("call_id", &input.call_id);
        entry.text("former_call_id", &before);
    })?;
    Ok(Submitted { request, taken: Taken::Resumed })
}

fn former(tx: &Tx<'_>, caller: &str, call_id: &str, id: RequestId) -> Result<(), StoreError> {
    tx.conn
        .prepare_cached(
            "INSERT OR IGNORE INTO former_call_ids (caller, call_id, request) VALUES (?, ?, ?)",
        )?
        .execute(params![caller, call_id, id.as_bytes()])?;
    Ok(())
}

fn create(
    tx: &mut Tx<'_>,
    input: Submit,
    scope: &Scope,
    identical: &[Request],
) -> Result<Submitted, StoreError> {
    within_limits(tx, scope, input.limits)?;
    let live = |r: &&Request| {
        r.status == Status::Pending || (r.status == Status::Approved && r.use_ == Use::Unused)
    };
    // One that was taken and not reported on yet: its caller may be running it, or
    // may have died before or after. Until that is known, people are told.
    let may_have_run = |r: &&Request| {
        let awaited = r.outcome == Outcome::None && r.outcome_expected;
        r.use_ == Use::Taken && (r.outcome == Outcome::Unknown || awaited)
    };
    let Submit { id, call_id, call, requirement, timeout, .. } = input;
    let request = Request {
        identical_to: identical.iter().find(live).map(|r| r.id),
        may_have_run: identical.iter().filter(may_have_run).map(|r| r.id).collect(),
        reach_by: input.watch_reach.then(|| reach::by(tx.now, timeout)),
        ..Request::pending(id, call_id, call, requirement, tx.now, timeout)
    };
    row::insert(tx.conn, &request)?;
    mail::queue(tx, &request, &input.mail_to)?;
    tx.status_changed(scope, None, Status::Pending);
    let request = Arc::new(request);
    tx.record_shared(Kind::Requested, &request, |entry| {
        entry.text("call_id", &request.call_id);
        entry.text("deadline", &request.deadline.rfc3339());
        entry.whole_call(&request.call, true);
    })?;
    Ok(Submitted { request, taken: Taken::New })
}

fn within_limits(tx: &Tx<'_>, scope: &Scope, limits: PendingLimits) -> Result<(), StoreError> {
    let (of_caller, of_client) = tx.pending(scope);
    let refuse = |who: String, limit, key| Err(Refusal::TooManyPending { who, limit, key }.into());
    if of_caller >= limits.per_caller {
        let who = format!("caller {}", scope.caller);
        return refuse(who, limits.per_caller, "limits.max_pending_per_caller");
    }
    if of_client >= limits.per_client {
        let who = format!("client {} of caller {}", scope.client, scope.caller);
        return refuse(who, limits.per_client, "limits.max_pending_per_client");
    }
    Ok(())
}
