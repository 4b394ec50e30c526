//! Between the contract's messages and the domain's values.

use std::time::Duration;

use tonic::Status;

use super::errors::bad_field;
use crate::call::handle::Handle;
use crate::call::ids::RequestId;
use crate::call::model::{Agent, Decision, Notice, Request, Status as CallStatus};
use crate::call::time::Time;
use crate::desk::intake::Incoming;
use crate::desk::people::{People, who_is_asked};
use crate::desk::{Answer, Desk, TIMEOUT};
use crate::proto;
use crate::store::mail::ListedMail;

/// Reads a full id.
pub fn request_id(field: &str, text: &str) -> Result<RequestId, Status> {
    text.parse().map_err(|e: crate::call::ids::NotARequestId| bad_field(field, &e.to_string()))
}

/// Reads a handle.
pub fn handle(text: &str) -> Result<Handle, Status> {
    Handle::new(text).map_err(|e| bad_field("handle", &e.to_string()))
}

/// Reads a duration that may be left out as 0.
pub fn wait(field: &str, ms: i64) -> Result<Option<Duration>, Status> {
    match u64::try_from(ms) {
        Ok(0) => Ok(None),
        Ok(ms) => Ok(Some(Duration::from_millis(ms))),
        Err(_) => Err(bad_field(field, "negative; milliseconds are expected, 0 for no limit")),
    }
}

/// Reads the time that people are to have.
pub fn timeout(ms: i64) -> Result<Option<Duration>, Status> {
    let asked = wait("timeout_ms", ms)?;
    if asked.is_some_and(|t| !TIMEOUT.contains(&t)) {
        let why = format!(
            "{ms} ms; {} to {} are taken, 0 for the default",
            TIMEOUT.start().as_millis(),
            TIMEOUT.end().as_millis()
        );
        return Err(bad_field("timeout_ms", &why));
    }
    Ok(asked)
}

/// A call as it came.
pub fn incoming(call: proto::Call) -> Incoming {
    let agent = call.agent.unwrap_or_default();
    Incoming {
        server: call.server,
        tool: call.tool,
        arguments: call.arguments,
        category: call.category,
        risk: call.risk,
        rule: call.rule,
        policy_revision: call.policy_revision,
        client: call.client,
        agent: Agent {
            name: agent.name,
            version: agent.version,
            session: agent.session,
            on_behalf_of: agent.on_behalf_of,
        },
        tool_definition_hash: call.tool_definition_hash,
        explanation: call.explanation,
        labels: call.labels.into_iter().collect(),
        input_responses: call.input_responses,
        request_state: call.request_state,
        not_covered: call.not_covered,
        evidence: call.evidence,
        definition_changed: call.definition_changed,
        also_route: call.also_route,
    }
}

fn time(at: Option<Time>) -> String {
    at.map(Time::rfc3339).unwrap_or_default()
}

fn millis(left: Duration) -> i64 {
    i64::try_from(left.as_millis()).unwrap_or(i64::MAX)
}

fn time_left(request: &Request, now: Time) -> i64 {
    if request.status == CallStatus::Pending { millis(request.deadline.left(now)) } else { 0 }
}

fn decisions(decisions: &[Decision]) -> Vec<proto::Decision> {
    let convert = |d: &Decision| proto::Decision {
        operator: d.operator.clone(),
        verdict: d.verdict.number(),
        reason: d.reason.clone(),
        decided_at: d.at.rfc3339(),
        digest: d.digest.to_string(),
        strength: d.strength.number(),
        own_call: d.own_call,
        on_screen_ms: d.on_screen.map(|shown| u64::try_from(shown.as_millis()).unwrap_or(u64::MAX)),
    };
    decisions.iter().map(convert).collect()
}

/// Who counts towards what, now.
fn clauses(request: &Request, people: &People) -> Vec<proto::Clause> {
    let counted = people.counted(request);
    let convert = |(clause, approved): (&crate::call::requirement::Clause, u32)| proto::Clause {
        route: clause.route.clone(),
        groups: clause.groups.iter().cloned().collect(),
        approvals: clause.approvals,
        approved,
        sign_in: clause.sign_in,
    };
    request.requirement.clauses.iter().zip(counted).map(convert).collect()
}

fn notice(notice: &Notice) -> proto::Notice {
    proto::Notice {
        operator: notice.operator.clone(),
        state: notice.state.clone(),
        detail: notice.detail.clone(),
        attempts: notice.attempts,
        at: time(notice.at),
        kind: notice.kind.word().to_owned(),
        in_summary: notice.in_summary,
        next_attempt_at: time(notice.next_attempt),
    }
}

/// A mail of the outbox.
pub fn mail(mail: &ListedMail) -> proto::Mail {
    proto::Mail {
        id: mail.id,
        notice: Some(notice(&mail.notice)),
        request_id: mail.request.map(|id| id.to_string()).unwrap_or_default(),
        gathers: mail.gathers,
    }
}

/// A request, as the contract shows it.
pub fn request(desk: &Desk, request: &Request) -> proto::Request {
    let people = desk.people();
    let call = &request.call;
    let asked = people.asked(&request.requirement, &call.agent.on_behalf_of);
    proto::Request {
        id: request.id.to_string(),
        status: request.status.number(),
        digest: call.digest.to_string(),
        caller: call.caller.clone(),
        client: call.client.clone(),
        agent: Some(proto::Agent {
            name: call.agent.name.clone(),
            version: call.agent.version.clone(),
            session: call.agent.session.clone(),
            on_behalf_of: call.agent.on_behalf_of.clone(),
        }),
        server: call.server.clone(),
        tool: call.tool.clone(),
        arguments: call.arguments.clone(),
        hidden_values: call.hidden_values,
        category: call.category.number(),
        risk: call.risk.number(),
        rule: call.rule.clone(),
        policy_revision: call.policy_revision.clone(),
        tool_definition_hash: call.tool_definition_hash.clone(),
        explanation: call.explanation.clone(),
        labels: call.labels.clone().into_iter().collect(),
        not_covered: call.not_covered.clone(),
        evidence: call.evidence.clone(),
        definition_changed: call.definition_changed.clone(),
        created_at: request.created.rfc3339(),
        deadline: request.deadline.rfc3339(),
        time_left_ms: time_left(request, desk.store().now()),
        ended_at: time(request.ended),
        decisions: decisions(&request.decisions),
        clauses: clauses(request, &people),
        asked: asked.iter().map(|operator| operator.name.clone()).collect(),
        asked_again: request.asked_again,
        denial_lifted: request.denial_lifted,
        resumed: request.resumed,
        identical_to: request.identical_to.map(|id| id.to_string()).unwrap_or_default(),
        may_have_run: request.may_have_run.iter().map(ToString::to_string).collect(),
        waited_on: desk.waited_on(request.id),
        r#use: request.use_.number(),
        lapses_at: time(request.lapses),
        used_at: time(request.used),
        outcome_expected: request.outcome_expected,
        outcome: request.outcome.number(),
        outcome_detail: request.outcome_detail.clone(),
        outcome_at: time(request.outcome_at),
        looked: request
            .looked
            .iter()
            .map(|look| proto::Look { operator: look.operator.clone(), at: look.at.rfc3339() })
            .collect(),
        unreached_at: time(request.unreached.as_ref().map(|unreached| unreached.since)),
        unreached_why: request.unreached.as_ref().map(|u| u.why.clone()).unwrap_or_default(),
        notices: request.notices.iter().map(notice).collect(),
    }
}

/// A request as its caller may see it: not who looked, nor what servers said.
pub fn own_request(desk: &Desk, own: &Request) -> proto::Request {
    let (looked, unreached_why) = Default::default();
    proto::Request { looked, unreached_why, ..request(desk, own) }
}

/// What a caller is told.
pub fn answer(desk: &Desk, answer: &Answer) -> proto::ApprovalAnswer {
    let request = &answer.request;
    let now = desk.store().now();
    let people = desk.people();
    let on_behalf_of = &request.call.agent.on_behalf_of;
    let asked = people.asked(&request.requirement, on_behalf_of);
    let clauses: Vec<String> = request.requirement.clauses.iter().map(who_is_asked).collect();
    proto::ApprovalAnswer {
        id: request.id.to_string(),
        status: request.status.number(),
        digest: request.call.digest.to_string(),
        deadline: request.deadline.rfc3339(),
        time_left_ms: time_left(request, now),
        decisions: decisions(&request.decisions),
        r#use: request.use_.number(),
        lapses_in_ms: request.lapses.map(|at| millis(at.left(now))).unwrap_or_default(),
        asked_count: u32::try_from(asked.len()).unwrap_or(u32::MAX),
        asked: clauses.join(" and "),
        resumed: request.resumed > 0,
        remembered: answer.remembered,
        looked_count: u32::try_from(request.looked.len()).unwrap_or(u32::MAX),
        nobody_reached: request.unreached.is_some(),
        outcome: request.outcome.number(),
        outcome_detail: request.outcome_detail.clone(),
        may_have_run_count: u32::try_from(request.may_have_run.len()).unwrap_or(u32::MAX),
    }
}

/// The answer's decisions, for the answer to a use.
pub fn use_granted(request: &Request, lease: Option<Duration>) -> proto::TakeUseResponse {
    proto::TakeUseResponse {
        id: request.id.to_string(),
        lease_ms: lease.map(millis).unwrap_or_default(),
        decisions: decisions(&request.decisions),
    }
}

/// A lease that was renewed.
pub fn lease(lease: Duration) -> proto::RenewUseResponse {
    proto::RenewUseResponse { lease_ms: millis(lease) }
}
