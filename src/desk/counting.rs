//! What was committed, as it is counted. Derived from the audit kinds alone, so
//! what is counted is what the history says.

use prometheus_client::metrics::counter::Counter;

use crate::call::model::{Outcome, Request};
use crate::metrics::Metrics;
use crate::store::Event;
use crate::store::audit::Kind;

/// Counts one event. Runs on the writer thread: additions and nothing else.
pub(super) fn count(metrics: &Metrics, event: &Event) {
    let request = &event.request;
    match event.kind {
        Kind::Requested => {
            count_one(&metrics.requests);
            metrics.call("held");
        }
        Kind::Resumed => count_one(&metrics.resumed),
        Kind::ApprovalCounted => decided(metrics, request),
        Kind::Approved | Kind::Denied => {
            decided(metrics, request);
            metrics.ended(request.status);
            let ended = request.ended.unwrap_or(request.created);
            metrics.decided_after(ended.left(request.created));
        }
        Kind::Expired | Kind::Withdrawn => metrics.ended(request.status),
        Kind::NobodyReached => count_one(&metrics.nobody_reached),
        Kind::DenialRepeated => count_one(&metrics.denials_repeated),
        Kind::UseGranted => count_one(&metrics.uses_granted),
        Kind::UseLapsed => count_one(&metrics.uses_lapsed),
        Kind::OutcomeReported => metrics.outcome(request.outcome),
        Kind::OutcomeUnknown => metrics.outcome(Outcome::Unknown),
        // Not about a request, or counted elsewhere.
        _ => {}
    }
}

fn count_one(counter: &Counter) {
    counter.inc();
}

/// The newest decision is the one that the event is about.
fn decided(metrics: &Metrics, request: &Request) {
    if let Some(decision) = request.decisions.last() {
        metrics.decided(decision.verdict, decision.strength);
    }
}
