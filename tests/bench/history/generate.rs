//! A history of any size, written by the store's own transitions: calls that were
//! allowed, denied or limited, and calls that were held, decided, used and
//! reported, over ninety days. The chain is a real one; `holdpoint audit verify`
//! accepts it. The same number of entries gives the same questions' answers.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use holdpoint::bench::bare::{Everybody, Nobody};
use holdpoint::bench::call;
use holdpoint::call::ids::RequestId;
use holdpoint::call::model::{Call, Category, Outcome, Strength, Verdict};
use holdpoint::call::time::Time;
use holdpoint::store::decide::{self, Decide};
use holdpoint::store::record::{NotHeld, Recorded, record_calls};
use holdpoint::store::submit::{Submit, submit};
use holdpoint::store::tx::{Event, Head, State, Tx};
use holdpoint::store::uses::{ReportOutcome, TakeUse, report_outcome, take_use};
use holdpoint::store::{StoreError, ending, schema, text_index};
use rusqlite::Connection;

/// From the first entry to the last.
const SPAN: i64 = 90 * 24 * 3600 * 1000;

/// Transitions in one transaction.
const BATCH: u64 = 20_000;

/// Calls that were not held, recorded at once, as a proxy does.
const RECORDED: u64 = 6;

/// Calls of one session.
const SESSION: u64 = 60;

/// A state directory with so many entries, made at the first use and kept.
pub fn state_dir(base: &Path, entries: u64) -> PathBuf {
    let dir = base.join(format!("history-{entries}"));
    if dir.exists() {
        return dir;
    }
    let part = base.join(format!("history-{entries}.part"));
    let _ = fs::remove_dir_all(&part);
    fs::create_dir_all(&part).expect("a directory");
    let start = Instant::now();
    write(&part.join("holdpoint.db"), entries);
    fs::rename(&part, &dir).expect("renamed");
    eprintln!("{entries} entries were written in {:.0} s", start.elapsed().as_secs_f64());
    dir
}

/// Removes what was generated.
pub fn remove(base: &Path) {
    for found in fs::read_dir(base).into_iter().flatten().flatten() {
        if found.file_name().to_string_lossy().starts_with("history-") {
            fs::remove_dir_all(found.path()).expect("removed");
        }
    }
}

/// xorshift: the same at each run.
struct Dice(u64);

impl Dice {
    fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % n
    }

    /// Small numbers come more often than large ones.
    fn skewed(&mut self, n: u64) -> u64 {
        self.below(n).min(self.below(n))
    }
}

struct Scribe {
    conn: Connection,
    state: State,
    events: Vec<Event>,
    dice: Dice,
    now: Time,
    pattern: Submit,
    n: u64,
}

fn write(path: &Path, entries: u64) {
    let mut scribe = Scribe::begin(path);
    let first = scribe.now;
    while scribe.state.head.sequence < entries {
        scribe.conn.execute_batch("BEGIN IMMEDIATE").expect("begin");
        let until = (scribe.state.head.sequence + BATCH).min(entries);
        while scribe.state.head.sequence < until {
            let share = scribe.state.head.sequence as f64 / entries as f64;
            scribe.now = Time(first.0 + (SPAN as f64 * share) as i64);
            scribe.calls_that_were_not_held();
            scribe.call_that_was_held();
        }
        scribe.conn.execute_batch("COMMIT").expect("commit");
    }
    let all = scribe.run(ending::end_due).is_ok();
    assert!(all, "what is due ends");
    loop {
        scribe.conn.execute_batch("BEGIN IMMEDIATE").expect("begin");
        let mut more = true;
        for _ in 0..40 {
            more = more && scribe.run(text_index::catch_up).expect("indexed");
        }
        scribe.conn.execute_batch("COMMIT").expect("commit");
        if !more {
            break;
        }
    }
    scribe.conn.execute_batch("PRAGMA journal_mode = wal").expect("a log again");
}

impl Scribe {
    fn begin(path: &Path) -> Scribe {
        let conn = schema::open_writer(path).expect("a database");
        // Nobody is told of anything before all of it is there.
        conn.execute_batch(
            "PRAGMA journal_mode = off; PRAGMA synchronous = off; PRAGMA cache_size = -2000000;
             INSERT INTO meta (key, value) VALUES ('log_id', x'00112233445566778899aabbccddeeff')",
        )
        .expect("pragmas");
        let state = State {
            log_id: 0x0011_2233_4455_6677_8899_aabb_ccdd_eeff_u128.to_be_bytes(),
            head: Head { sequence: 0, hash: [0; 32], at: Time(0), high: Time(0) },
            pending: Default::default(),
            offset_ms: 0,
            clock_doubt: None,
        };
        let pattern = call::submit(0);
        let (events, dice) = (Vec::new(), Dice(0x9E37_79B9_7F4A_7C15));
        Scribe { conn, state, events, dice, now: Time(call::now_ms() - SPAN), pattern, n: 0 }
    }

    fn run<T>(
        &mut self,
        transition: impl FnOnce(&mut Tx<'_>) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        self.events.clear();
        Tx::run(&self.conn, self.now, &mut self.state, &mut self.events, transition)
    }

    /// A client has two servers of its own among twelve: pairs of names that never
    /// meet are questions whose parts are frequent and whose answer is empty.
    fn call(&mut self) -> Call {
        self.n += 1;
        let n = self.n;
        let dice = &mut self.dice;
        let client = dice.skewed(40);
        let server = (client * 2 + dice.below(2)) % 12;
        // One call in 20,000 is of a tool that is hardly ever used.
        let tool = if dice.below(20_000) == 0 { 99 } else { dice.skewed(8) };
        let category = Category::ALL[1 + dice.skewed(Category::ALL.len() as u64 - 1) as usize];
        let mut call = self.pattern.call.clone();
        call.caller = format!("proxy-{}", client % 4);
        call.client = format!("client-{client:02}");
        call.agent.name = format!("agent-{}", dice.skewed(6));
        call.agent.session = format!("session-{:06}-{client:02}", n / (SESSION * 20));
        call.agent.on_behalf_of = format!("person-{}", dice.below(100));
        call.server = format!("server-{server:02}");
        call.tool = format!("tool_{tool}");
        call.category = category;
        let word = dice.skewed(5000);
        let second = dice.below(200);
        call.arguments = format!(
            r#"{{"key":"session:{n:012}","text":"an agent keeps word{word} for topic{second} and waits","ttl":3600}}"#
        );
        call.explanation = format!("The user asked for topic{second}.");
        call.digest = format!("{n:064x}").parse().expect("64 hex digits");
        call
    }

    fn calls_that_were_not_held(&mut self) {
        let calls: Vec<Recorded> = (0..RECORDED)
            .map(|_| {
                let call = self.call();
                let verdict = match self.dice.below(100) {
                    0..4 => NotHeld::Denied,
                    4..5 => NotHeld::Limited,
                    _ => NotHeld::Allowed,
                };
                Recorded { call, verdict, reason: "by a rule".to_owned(), digest_only: false }
            })
            .collect();
        self.run(|tx| record_calls(tx, &calls)).expect("recorded");
    }

    /// Held, and decided before the next; one in twelve expires.
    fn call_that_was_held(&mut self) {
        let call = self.call();
        let (id, digest) = (RequestId::new(self.now.0), call.digest);
        let (caller, call_id) = (call.caller.clone(), call::call_id(self.n));
        let input = Submit {
            id,
            call_id: call_id.clone(),
            call,
            handle: None,
            requirement: self.pattern.requirement.clone(),
            mail_to: Vec::new(),
            ..self.pattern
        };
        self.run(|tx| submit(tx, input, &Nobody)).expect("held");
        let dice = self.dice.below(12);
        if dice == 0 {
            // At its deadline, with those after it.
            if self.dice.below(8) == 0 {
                self.run(ending::end_due).expect("ended");
            }
            return;
        }
        let decision = Decide {
            id,
            operator: format!("operator-{}", self.dice.skewed(8)),
            strength: Strength::Token,
            verdict: if dice == 1 { Verdict::Deny } else { Verdict::Approve },
            reason: "seen and fine".to_owned(),
            shown: digest.to_string(),
            lapse_after: Duration::from_secs(900),
            on_screen: (dice > 6).then(|| Duration::from_millis(1000 + self.n % 60_000)),
        };
        self.run(|tx| decide::decide(tx, &decision, &Everybody)).expect("decided");
        if dice == 1 {
            return;
        }
        let lease = Some(Duration::from_secs(600));
        let take = TakeUse { caller: caller.clone(), id, call_id: call_id.clone(), digest, lease };
        self.run(|tx| take_use(tx, &take)).expect("granted");
        let outcome = if dice == 2 { Outcome::Failed } else { Outcome::Succeeded };
        let report =
            ReportOutcome { caller, id, call_id, outcome, detail: "as it went".to_owned() };
        self.run(|tx| report_outcome(tx, &report)).expect("reported");
    }
}
