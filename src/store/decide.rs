//! An operator decides, or lifts a denial.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use super::audit::Kind;
use super::ending;
use super::error::{Refusal, StoreError};
use super::reach;
use super::row;
use super::tx::Tx;
use crate::call::ids::RequestId;
use crate::call::model::{Decision, Request, Status, Strength, Use, Verdict};
use crate::call::time::Time;

/// What somebody who may decide brings along.
#[derive(Debug, Clone, Default)]
pub struct Counts {
    /// Their groups, which clauses count.
    pub groups: BTreeSet<String>,
    /// They decide a call of their own: only the sole local operator may.
    pub own_call: bool,
}

/// Why somebody may not decide.
#[derive(Debug, Clone)]
pub struct NotEntitled {
    /// They may not even know of the request.
    pub hidden: bool,
    /// Because the call was made on their own behalf.
    pub own_call: bool,
    /// In words.
    pub why: String,
}

/// Who may decide is the desk's knowledge, and it may change until the instant
/// of the transition: people are removed, moved, reloaded.
pub trait Entitled {
    /// What an operator who may decide this request now brings along.
    fn counts(&self, operator: &str, request: &Request) -> Result<Counts, NotEntitled>;
}

/// An operator's decision.
#[derive(Debug, Clone)]
pub struct Decide {
    /// On which request.
    pub id: RequestId,
    /// By whom, as authenticated.
    pub operator: String,
    /// How they were authenticated.
    pub strength: Strength,
    /// Yes or no.
    pub verdict: Verdict,
    /// Why, secrets masked.
    pub reason: String,
    /// The beginning of the digest that was shown, at least 16 hex digits.
    pub shown: String,
    /// How long an approval stays usable.
    pub lapse_after: Duration,
    /// How long it had been on the operator's screen, where the door knows.
    pub on_screen: Option<Duration>,
}

/// Records a decision.
///
/// After it returned, the decision is on disk. A denial, or the last approval
/// that was needed, has ended the request; at that last approval everyone who is
/// counted was entitled still. The same operator's same decision again changes
/// nothing and is answered the same.
pub fn decide(
    tx: &mut Tx<'_>,
    input: &Decide,
    entitled: &dyn Entitled,
) -> Result<Arc<Request>, StoreError> {
    let mut request = row::load(tx.conn, input.id)?.ok_or(Refusal::NotFound)?;
    let counts = entitled.counts(&input.operator, &request).map_err(|no| refuse(input.id, no))?;
    if !request.call.digest.matches_prefix(&input.shown) {
        return Err(Refusal::DigestMismatch(input.id).into());
    }
    let mine = |d: &Decision| d.operator == input.operator;
    let repeated = request.decisions.iter().any(|d| mine(d) && d.verdict == input.verdict);
    if request.status != Status::Pending {
        let ended_so = match request.status {
            Status::Approved => input.verdict == Verdict::Approve,
            Status::Denied => input.verdict == Verdict::Deny,
            _ => false,
        };
        return if repeated && ended_so {
            Ok(Arc::new(request))
        } else {
            Err(not_pending(&request))
        };
    }
    if request.deadline <= tx.now {
        // Its time is up, although nobody has written that down yet. Leaving
        // that to the next tick keeps a refusal from changing anything.
        return Err(Refusal::NotPending {
            id: input.id,
            status: Status::Expired,
            how: format!("expired at {}", request.deadline.rfc3339()),
        }
        .into());
    }
    if repeated {
        let operator = input.operator.clone();
        return Err(Refusal::AlreadyDecided { id: input.id, operator }.into());
    }
    if input.strength == Strength::Link {
        may_decide_by_link(&request, &input.operator)?;
    }
    let decision = Decision {
        operator: input.operator.clone(),
        verdict: input.verdict,
        reason: input.reason.clone(),
        at: tx.now,
        digest: request.call.digest,
        strength: input.strength,
        own_call: counts.own_call,
        on_screen: input.on_screen,
    };
    row::insert_decision(tx.conn, input.id, request.decisions.len(), &decision)?;
    request.decisions.push(decision.clone());
    let mut not_mailed = Vec::new();
    let kind = match input.verdict {
        Verdict::Deny => {
            not_mailed = ending::end(tx, &mut request, Status::Denied)?;
            Kind::Denied
        }
        Verdict::Approve if satisfied(&request, entitled) => {
            request.use_ = Use::Unused;
            request.lapses = Some(tx.now + input.lapse_after);
            not_mailed = ending::end(tx, &mut request, Status::Approved)?;
            Kind::Approved
        }
        Verdict::Approve => Kind::ApprovalCounted,
    };
    // Whoever decides knows of it. An ending has settled that already.
    let found = if kind == Kind::ApprovalCounted { reach::found(tx, &mut request)? } else { false };
    let request = Arc::new(request);
    tx.record_shared(kind, &request, |entry| {
        entry.decision(&decision);
        entry.not_mailed(&not_mailed);
    })?;
    if found {
        reach::say_reached(tx, &request, &format!("{} decided", input.operator))?;
    }
    Ok(request)
}

/// The links of all mails to one operator about one request are one authority, which
/// is used up by one decision: that this is so is what the decision itself says.
fn may_decide_by_link(request: &Request, operator: &str) -> Result<(), Refusal> {
    let id = request.id;
    if let Some(route) = request.requirement.sign_in_for() {
        return Err(Refusal::SignInNeeded { id, route: route.to_owned() });
    }
    let used = |d: &Decision| d.operator == operator && d.strength == Strength::Link;
    if request.decisions.iter().any(used) { Err(Refusal::LinkUsed(id)) } else { Ok(()) }
}

/// Whether the approvals of those who are still entitled are enough.
fn satisfied(request: &Request, entitled: &dyn Entitled) -> bool {
    let approvers: BTreeSet<&str> = request
        .decisions
        .iter()
        .filter(|d| d.verdict == Verdict::Approve)
        .map(|d| d.operator.as_str())
        .collect();
    let counted: Vec<Counts> =
        approvers.iter().filter_map(|name| entitled.counts(name, request).ok()).collect();
    request.requirement.satisfied_by(counted.iter().map(|counts| &counts.groups))
}

fn refuse(id: RequestId, no: NotEntitled) -> Refusal {
    if no.hidden {
        return Refusal::NotFound;
    }
    Refusal::NotEntitled { id, own_call: no.own_call, why: no.why }
}

/// How a request ended, in words that tell the loser of a race who won.
pub fn how_it_ended(request: &Request) -> String {
    how_it_ended_at(request, Time::rfc3339)
}

/// The same, with times as somebody reads them.
pub fn how_it_ended_at(request: &Request, time: impl Fn(Time) -> String) -> String {
    let at = time(request.ended.unwrap_or(request.deadline));
    let by = |verdict| request.decisions.iter().rev().find(|d| d.verdict == verdict);
    let decided = |verb: &str, decision: Option<&Decision>| match decision {
        Some(d) if d.reason.is_empty() => format!("{verb} by {} at {at}", d.operator),
        Some(d) => format!("{verb} by {} at {at} ({})", d.operator, d.reason),
        None => format!("{verb} at {at}"),
    };
    match request.status {
        Status::Pending => "pending".to_owned(),
        Status::Approved => decided("approved", by(Verdict::Approve)),
        Status::Denied => decided("denied", by(Verdict::Deny)),
        Status::Expired if request.ended.is_some_and(|at| at < request.deadline) => {
            format!("expired at {at}: the daemon began from a backup, which ends what was open")
        }
        Status::Expired => format!("expired at {at}: nobody decided in time"),
        Status::Withdrawn => format!("withdrawn by its caller at {at}"),
    }
}

pub(super) fn not_pending(request: &Request) -> StoreError {
    let how = how_it_ended(request);
    Refusal::NotPending { id: request.id, status: request.status, how }.into()
}

/// An operator lifts a remembered denial.
#[derive(Debug, Clone)]
pub struct Lift {
    /// Of which request.
    pub id: RequestId,
    /// By whom.
    pub operator: String,
    /// Why, secrets masked.
    pub reason: String,
}

/// Forgets a denial: the same call may be asked again. Asked twice, it refuses
/// the second time, since there is none to lift any more.
pub fn lift_denial(
    tx: &mut Tx<'_>,
    input: &Lift,
    entitled: &dyn Entitled,
) -> Result<Request, StoreError> {
    let mut request = row::load(tx.conn, input.id)?.ok_or(Refusal::NotFound)?;
    entitled.counts(&input.operator, &request).map_err(|no| refuse(input.id, no))?;
    if request.status != Status::Denied || request.denial_lifted || request.deadline <= tx.now {
        return Err(Refusal::NotDenied(input.id).into());
    }
    request.denial_lifted = true;
    row::update(tx.conn, &request)?;
    tx.record_request(Kind::DenialLifted, &request, |entry| {
        entry.operator = Some(input.operator.clone());
        entry.text("reason", &input.reason);
    })?;
    Ok(request)
}
