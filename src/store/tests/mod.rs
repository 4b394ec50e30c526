//! Tests of the transitions as plain functions, without the writer thread.

mod charts;
mod clock;
mod copies;
mod definitions;
mod earlier;
mod find;
mod history;
mod lives;
mod outbox;
mod queue;
mod reach;
mod retention;
mod seeds;
mod sight;
mod thread;
mod verify;
mod words;

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use rusqlite::Connection;

use super::decide::{self, Counts, Decide, Entitled, NotEntitled};
use super::error::StoreError;
use super::mail::MailTo;
use super::schema;
use super::submit::{Attach, PendingLimits, Submit, Submitted, submit};
use super::tx::{Event, State, Tx};
use super::uses::{ReportOutcome, TakeUse, report_outcome, take_use};
use super::writer::rebuild;
use crate::call::digest::{Covered, Digest};
use crate::call::handle::Handle;
use crate::call::ids::RequestId;
use crate::call::json::parse;
use crate::call::model::{Agent, Call, Category, Outcome, Request, Risk, Strength, Verdict};
use crate::call::requirement::{Clause, Requirement};
use crate::call::time::Time;
use crate::call::wants::Wants;

/// A database, its time in our hands.
pub struct Plain {
    pub conn: Connection,
    pub state: State,
    pub now: Time,
    pub events: Vec<Event>,
    dir: tempfile::TempDir,
    next: u64,
}

impl Plain {
    pub fn new() -> Self {
        let dir = tempfile::tempdir().expect("temp dir");
        let now = Time(1_800_000_000_000);
        let conn = schema::open_writer(&dir.path().join("t.db")).expect("open");
        // What is tested here is logic, not durability.
        conn.pragma_update(None, "synchronous", "off").expect("pragma");
        let state = rebuild(&conn, 0, now).expect("rebuild");
        Plain { conn, state, now, events: Vec::new(), dir, next: 0 }
    }

    /// As after a restart: everything in memory is forgotten.
    pub fn restart(&mut self, wall: Time) {
        self.now = wall;
        self.conn = schema::open_writer(&self.dir.path().join("t.db")).expect("open");
        self.conn.pragma_update(None, "synchronous", "off").expect("pragma");
        self.state = rebuild(&self.conn, 0, wall).expect("rebuild");
    }

    pub fn run<T>(
        &mut self,
        transition: impl FnOnce(&mut Tx<'_>) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        self.conn.execute_batch("BEGIN IMMEDIATE").expect("begin");
        let result = Tx::run(&self.conn, self.now, &mut self.state, &mut self.events, transition);
        self.conn.execute_batch("COMMIT").expect("commit");
        result
    }

    pub fn pass(&mut self, time: Duration) {
        self.now = self.now + time;
    }

    pub fn id(&mut self) -> RequestId {
        self.next += 1;
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&self.next.to_be_bytes());
        RequestId::from_bytes(bytes)
    }

    pub fn submit(
        &mut self,
        call_id: &str,
        call: Call,
        waiting: &Waiting,
    ) -> Result<Submitted, StoreError> {
        self.submit_under(call_id, call, requirement(&[], 1), waiting)
    }

    pub fn submit_under(
        &mut self,
        call_id: &str,
        call: Call,
        requirement: Requirement,
        waiting: &Waiting,
    ) -> Result<Submitted, StoreError> {
        let input = Submit { requirement, ..self.input(call_id, call) };
        self.run(|tx| submit(tx, input, waiting))
    }

    /// Asks under a handle.
    pub fn submit_as(
        &mut self,
        handle: &str,
        call_id: &str,
        call: Call,
        waiting: &Waiting,
    ) -> Result<Submitted, StoreError> {
        let handle = Some(Handle::new(handle).expect("a handle"));
        let input = Submit { handle, ..self.input(call_id, call) };
        self.run(|tx| submit(tx, input, waiting))
    }

    fn input(&mut self, call_id: &str, call: Call) -> Submit {
        Submit {
            id: self.id(),
            call_id: call_id.to_owned(),
            handle: None,
            call,
            requirement: requirement(&[], 1),
            mail_to: vec![mail_to("ann")],
            timeout: MINUTES(15),
            watch_reach: true,
            limits: PendingLimits { per_caller: 100, per_client: 50 },
        }
    }

    pub fn decide(
        &mut self,
        id: RequestId,
        operator: &str,
        verdict: Verdict,
        people: &Staff,
    ) -> Result<Arc<Request>, StoreError> {
        let digest = self.request(id).call.digest;
        self.decide_seen(id, operator, verdict, people, digest)
    }

    pub fn decide_seen(
        &mut self,
        id: RequestId,
        operator: &str,
        verdict: Verdict,
        people: &Staff,
        seen: Digest,
    ) -> Result<Arc<Request>, StoreError> {
        let input = Decide {
            id,
            operator: operator.to_owned(),
            strength: Strength::Token,
            verdict,
            reason: "because".to_owned(),
            shown: seen.short(),
            lapse_after: MINUTES(15),
            on_screen: None,
        };
        self.run(|tx| decide::decide(tx, &input, people))
    }

    pub fn take(&mut self, request: &Request, call_id: &str) -> Result<Request, StoreError> {
        let input = TakeUse {
            caller: request.call.caller.clone(),
            id: request.id,
            call_id: call_id.to_owned(),
            digest: request.call.digest,
            lease: Some(MINUTES(10)),
        };
        self.run(|tx| take_use(tx, &input))
    }

    pub fn report(
        &mut self,
        request: &Request,
        call_id: &str,
        outcome: Outcome,
    ) -> Result<Request, StoreError> {
        let input = ReportOutcome {
            caller: request.call.caller.clone(),
            id: request.id,
            call_id: call_id.to_owned(),
            outcome,
            detail: "as it went".to_owned(),
        };
        self.run(|tx| report_outcome(tx, &input))
    }

    pub fn request(&self, id: RequestId) -> Request {
        super::read::request(&self.conn, id).expect("read").expect("there")
    }

    /// Kinds of all entries about a request, oldest first.
    pub fn kinds(&self, id: RequestId) -> Vec<String> {
        let mut statement = self
            .conn
            .prepare(
                "SELECT kind FROM audit JOIN audit_body USING (seq) WHERE request = ? ORDER BY seq",
            )
            .expect("prepare");
        let rows = statement.query_map([id.as_bytes()], |row| row.get(0)).expect("query");
        rows.collect::<Result<_, _>>().expect("rows")
    }

    pub fn assert_chain_is_whole(&self) {
        let verified = super::verify::verify(&self.conn, None).expect("read");
        assert!(verified.is_ok(), "{verified:?}");
    }
}

/// One who wants to hear all there is.
pub fn mail_to(operator: &str) -> MailTo {
    MailTo { operator: operator.to_owned(), wants: Wants::default() }
}

#[allow(non_snake_case)]
pub fn MINUTES(n: u64) -> Duration {
    Duration::from_secs(n * 60)
}

/// Who waits, as the desk would know it.
#[derive(Default)]
pub struct Waiting(pub RefCell<BTreeSet<RequestId>>);

impl Attach for Waiting {
    fn claim(&self, id: RequestId) -> bool {
        self.0.borrow_mut().insert(id)
    }

    fn join(&self, id: RequestId) {
        self.0.borrow_mut().insert(id);
    }
}

/// Operators and their groups.
pub struct Staff(pub BTreeMap<String, BTreeSet<String>>);

impl Entitled for Staff {
    fn counts(&self, operator: &str, _: &Request) -> Result<Counts, NotEntitled> {
        let counts = |groups: &BTreeSet<String>| Counts { groups: groups.clone(), own_call: false };
        self.0.get(operator).map(counts).ok_or_else(|| NotEntitled {
            hidden: false,
            own_call: false,
            why: "not configured".to_owned(),
        })
    }
}

pub fn staff(names: &[(&str, &[&str])]) -> Staff {
    let groups = |groups: &[&str]| groups.iter().map(|g| (*g).to_owned()).collect();
    Staff(names.iter().map(|(name, g)| ((*name).to_owned(), groups(g))).collect())
}

pub fn ann() -> Staff {
    staff(&[("ann", &["ops"]), ("bob", &["ops"])])
}

pub fn requirement(groups: &[&str], approvals: u32) -> Requirement {
    let groups = groups.iter().map(|g| (*g).to_owned()).collect();
    Requirement {
        clauses: vec![Clause { route: "r".to_owned(), groups, approvals, sign_in: false }],
    }
}

/// A call of `client` in `session`, distinguished by `n`.
pub fn call(client: &str, session: &str, n: u64) -> Call {
    let arguments = format!(r#"{{"n":{n},"word":"zebra{n}"}}"#);
    let parsed = parse(arguments.as_bytes()).expect("json");
    let covered = Covered {
        server: "kv",
        tool: "set",
        arguments: &parsed,
        input_responses: None,
        request_state: None,
    };
    Call {
        caller: "proxy".to_owned(),
        client: client.to_owned(),
        agent: Agent {
            name: "agent".to_owned(),
            version: "1".to_owned(),
            session: session.to_owned(),
            on_behalf_of: String::new(),
        },
        server: "kv".to_owned(),
        tool: "set".to_owned(),
        digest: covered.digest(),
        arguments,
        hidden_values: 0,
        category: Category::Write,
        risk: Risk::Low,
        rule: String::new(),
        policy_revision: String::new(),
        tool_definition_hash: String::new(),
        explanation: String::new(),
        labels: BTreeMap::new(),
        not_covered: Vec::new(),
        evidence: Vec::new(),
        definition_changed: String::new(),
    }
}

#[test]
fn a_start_counts_what_is_pending_from_the_index_alone() {
    let plain = Plain::new();
    let plan: String = plain
        .conn
        .query_row(&format!("EXPLAIN QUERY PLAN {}", super::writer::PENDING), [], |row| row.get(3))
        .expect("a plan");
    assert!(plan.contains("USING COVERING INDEX requests_pending"), "{plan}");
}
