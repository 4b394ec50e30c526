//! What each index costs a submit and its decision: the same calls go to a database
//! with all indexes and to one that lacks one of them, a few at a time, in turn.
//! Nothing is flushed, so that what is seen is the work and not the disk.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use holdpoint::call::model::{Request, Strength, Verdict};
use holdpoint::call::time::Time;
use holdpoint::store::decide::{self, Counts, Decide, Entitled, NotEntitled};
use holdpoint::store::schema;
use holdpoint::store::submit::{Submit, submit};
use holdpoint::store::tx::{Head, State, Tx};
use rusqlite::Connection;
use tempfile::TempDir;

use super::bare::Nobody;
use super::place::fresh_dir;
use super::table::Table;
use super::{call, client};

/// Pairs in one transaction, and transactions that are measured.
const AT_ONCE: usize = 200;
const TURNS: usize = 25;

/// What is there before.
const BEFORE: usize = 50;

/// Those that a submit or a decision writes to and that answer questions.
const INDEXES: [&str; 14] = [
    "requests_by_tool",
    "requests_ended",
    "decisions_shown",
    "audit_by_kind",
    "audit_by_request",
    "audit_by_caller",
    "audit_by_client",
    "audit_by_agent",
    "audit_by_session",
    "audit_by_server",
    "audit_by_tool",
    "audit_by_category",
    "audit_by_status",
    "audit_by_operator",
];

struct Everybody;

impl Entitled for Everybody {
    fn counts(&self, _: &str, _: &Request) -> Result<Counts, NotEntitled> {
        Ok(Counts { groups: BTreeSet::new(), own_call: false })
    }
}

struct Plain {
    conn: Connection,
    state: State,
    pattern: Submit,
    _dir: TempDir,
}

impl Plain {
    fn without(index: Option<&str>) -> Plain {
        let dir = fresh_dir();
        let conn = schema::open_writer(&dir.path().join("holdpoint.db")).expect("a database");
        conn.execute_batch("PRAGMA synchronous = off").expect("no flush");
        if let Some(index) = index {
            conn.execute_batch(&format!("DROP INDEX {index}")).expect("dropped");
        }
        let state = State {
            log_id: [7; 16],
            head: Head { sequence: 0, hash: [0; 32], at: Time(0), high: Time(0) },
            pending: Default::default(),
            offset_ms: 0,
            clock_doubt: None,
        };
        let mut plain = Plain { conn, state, pattern: call::submit(0), _dir: dir };
        for _ in 0..BEFORE {
            plain.pairs();
        }
        plain
    }

    /// Names and values are spread, as those of many agents are.
    fn fresh(&self) -> Submit {
        let n = client::number();
        let mut input = call::like(&self.pattern, n);
        input.call.client = format!("client-{:02}", n * 7 % 40);
        input.call.agent.name = format!("agent-{}", n * 5 % 6);
        input.call.agent.session = format!("session-{:05}", n / 60 * 7 + n % 7);
        input.call.server = format!("server-{:02}", n * 11 % 12);
        input.call.tool = format!("tool_{}", n * 13 % 50);
        input
    }

    fn pairs(&mut self) -> Duration {
        let inputs: Vec<Submit> = (0..AT_ONCE).map(|_| self.fresh()).collect();
        let (now, mut events) = (Time(call::now_ms()), Vec::new());
        let start = Instant::now();
        self.conn.execute_batch("BEGIN IMMEDIATE").expect("begin");
        for input in inputs {
            let (id, shown) = (input.id, input.call.digest.to_string());
            let (conn, state) = (&self.conn, &mut self.state);
            Tx::run(conn, now, state, &mut events, |tx| submit(tx, input, &Nobody)).expect("held");
            let decision = Decide {
                id,
                operator: call::OPERATOR.to_owned(),
                strength: Strength::Token,
                verdict: Verdict::Approve,
                reason: call::REASON.to_owned(),
                shown,
                lapse_after: Duration::from_secs(900),
                on_screen: Some(Duration::from_secs(3)),
            };
            Tx::run(conn, now, state, &mut events, |tx| decide::decide(tx, &decision, &Everybody))
                .expect("decided");
        }
        self.conn.execute_batch("COMMIT").expect("commit");
        start.elapsed()
    }
}

fn median(mut took: Vec<Duration>) -> f64 {
    took.sort();
    took[took.len() / 2].as_secs_f64() * 1e6 / AT_ONCE as f64
}

pub fn round(table: &mut Table) {
    for index in INDEXES {
        // Both new: what is there already makes the next one dearer.
        let mut whole = Plain::without(None);
        let mut less = Plain::without(Some(index));
        let (mut with, mut lacking) = (Vec::new(), Vec::new());
        for _ in 0..TURNS {
            with.push(whole.pairs());
            lacking.push(less.pairs());
        }
        let name = format!("submit and decision : without {index}");
        table.row(&name, "us", median(lacking), median(with));
    }
}
