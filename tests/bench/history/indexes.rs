//! What each index costs a submit and its decision: the same calls go to a database
//! with all indexes and to one that lacks one of them, a few at a time, in turn.
//! Nothing is flushed, so that what is seen is the work and not the disk.

use std::time::{Duration, Instant};

use holdpoint::bench::bare::{Everybody, Nobody};
use holdpoint::bench::ground::{Folder, Ground};
use holdpoint::bench::table::Table;
use holdpoint::bench::{call, client};
use holdpoint::call::time::Time;
use holdpoint::store::decide::{self, Decide};
use holdpoint::store::schema;
use holdpoint::store::submit::{Submit, submit};
use holdpoint::store::tx::{Head, State, Tx};
use rusqlite::Connection;

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

struct Plain {
    conn: Connection,
    state: State,
    pattern: Submit,
    _folder: Folder,
}

impl Plain {
    fn without(ground: &Ground, index: Option<&str>) -> Plain {
        let folder = ground.fresh().expect("a folder");
        let conn = schema::open_writer(&folder.path().join("holdpoint.db")).expect("a database");
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
        let mut plain = Plain { conn, state, pattern: call::submit(0), _folder: folder };
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
            let on_screen = Some(Duration::from_secs(3));
            let decision = Decide { on_screen, ..call::approval(id, shown) };
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

pub fn round(table: &mut Table, ground: &Ground) {
    for index in INDEXES {
        // Both new: what is there already makes the next one dearer.
        let mut whole = Plain::without(ground, None);
        let mut less = Plain::without(ground, Some(index));
        let (mut with, mut lacking) = (Vec::new(), Vec::new());
        for _ in 0..TURNS {
            with.push(whole.pairs());
            lacking.push(less.pairs());
        }
        let name = format!("submit and decision : without {index}");
        table.row(&name, "us", median(lacking), median(with));
    }
}
