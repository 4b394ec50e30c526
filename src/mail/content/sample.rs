//! A test letter: what a real one will look like.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::{Body, Clock, Content, Section, Tone, asked, ours};
use crate::call::digest::Digest;
use crate::call::ids::RequestId;
use crate::call::model::{Agent, Call, Category, Request, Risk};
use crate::call::requirement::{Clause, Requirement};
use crate::call::time::Time;
use crate::mail::letter::{About, Recipient};

/// How long the made-up request would wait.
const TIMEOUT: Duration = Duration::from_secs(15 * 60);

pub(super) fn sample(about: &About, to: &Recipient, clock: &Clock) -> Content {
    let mut content = asked::asked(&made_up(clock.now), about, to, clock);
    let words = std::iter::once(content.headline).chain(content.under).collect();
    let begins = Section {
        heading: "A real one begins like this",
        note: "The call is made up; its commands find no such request.".to_owned(),
        body: Body::Words(words),
    };
    content.sections.insert(0, begins);
    let headline = "This is a test: mail from Holdpoint reaches you, and nothing waits";
    Content {
        title: "A test of Holdpoint's mail",
        tone: Tone::Over,
        headline: ours(headline),
        marks: Vec::new(),
        asked_by: None,
        under: vec![ours(
            "When a call waits for you, a mail such as the rest of this one says so.",
        )],
        ..content
    }
}

/// A call that nobody made, under an id that no request has.
fn made_up(now: Time) -> Request {
    let text = str::to_owned;
    let call = Call {
        caller: text("gateway"),
        client: text("laptop-jane"),
        agent: Agent {
            name: text("sample-agent"),
            version: text("1.0"),
            session: String::new(),
            on_behalf_of: text("jane@example.com"),
        },
        server: text("sample-db"),
        tool: text("delete_table"),
        arguments: text("{\"table\":\"customers_old\",\"backup\":true}"),
        hidden_values: 0,
        digest: Digest::from_bytes([0; 32]),
        category: Category::Destructive,
        risk: Risk::High,
        rule: text("hold-destructive"),
        policy_revision: String::new(),
        tool_definition_hash: String::new(),
        explanation: text("The table was moved last week and is no longer read."),
        labels: BTreeMap::new(),
        not_covered: Vec::new(),
        evidence: Vec::new(),
        definition_changed: String::new(),
    };
    let clause =
        Clause { route: text("sample"), groups: BTreeSet::new(), approvals: 1, sign_in: false };
    let requirement = Requirement { clauses: vec![clause] };
    Request::pending(RequestId::from_bytes([0; 16]), String::new(), call, requirement, now, TIMEOUT)
}
