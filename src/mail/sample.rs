//! A letter to try mail out with: like one about a real request, so that spam
//! filters and mail readers treat it alike, and plainly marked as a test.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::letter::{About, ComposeError, Letter, Matter, Recipient, compose};
use crate::call::digest::Digest;
use crate::call::ids::RequestId;
use crate::call::model::{Agent, Call, Category, Outcome, Request, Risk, Status, Use};
use crate::call::requirement::{Clause, Requirement};
use crate::call::time::Time;

/// How long the sample pretends to wait.
const WAITS: Duration = Duration::from_secs(15 * 60);

/// Writes the sample. Each has a `Message-ID` of its own.
pub fn letter(to: &Recipient, about: &About) -> Result<Letter, ComposeError> {
    compose(&Matter::Asked(&request(about.now)), to, about)
}

/// A call that nobody made. No daemon knows it, so deciding it does nothing.
fn request(now: Time) -> Request {
    let text = |s: &str| s.to_owned();
    let call = Call {
        caller: text("holdpoint mail test"),
        client: String::new(),
        agent: Agent::default(),
        server: text("holdpoint"),
        tool: text("this_is_a_test"),
        arguments: text("{\"test\":true,\"what to do\":\"nothing\"}"),
        hidden_values: 0,
        digest: Digest::from_bytes([0; 32]),
        category: Category::Read,
        risk: Risk::Low,
        rule: text("holdpoint mail test"),
        policy_revision: String::new(),
        tool_definition_hash: String::new(),
        explanation: text(
            "This is a test of Holdpoint's mail. No agent waits, and there is nothing to decide: \
             the commands below answer that there is no such request. A real request looks like \
             this.",
        ),
        labels: BTreeMap::new(),
        not_covered: Vec::new(),
    };
    let clauses = vec![Clause { route: text("test"), groups: BTreeSet::new(), approvals: 1 }];
    Request {
        id: RequestId::new(now.0),
        status: Status::Pending,
        call,
        requirement: Requirement { clauses },
        call_id: text("test"),
        created: now,
        deadline: now + WAITS,
        ended: None,
        decisions: Vec::new(),
        asked_again: 0,
        denial_lifted: false,
        resumed: 0,
        identical_to: None,
        may_have_run: Vec::new(),
        use_: Use::None,
        lapses: None,
        used: None,
        lease_until: None,
        outcome_expected: false,
        outcome: Outcome::None,
        outcome_detail: String::new(),
        outcome_at: None,
        looked: Vec::new(),
        reach_by: None,
        unreached: None,
        notices: Vec::new(),
    }
}
