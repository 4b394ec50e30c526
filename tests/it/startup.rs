//! How long the daemon takes from its start to its first connection, on a state
//! that has seen a million things and has a hundred thousand requests pending.
//!
//! Making that database takes minutes, so this runs only when it is asked for:
//!
//! ```text
//! cargo test --release --test it startup -- --ignored --nocapture
//! ```
//!
//! With `HOLDPOINT_LARGE_STATE` the database is made in that folder, or taken
//! from there if an earlier run made it.

use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use holdpoint::call::digest::Covered;
use holdpoint::call::ids::RequestId;
use holdpoint::call::json::parse;
use holdpoint::call::model::{Agent, Call, Category, Risk};
use holdpoint::call::requirement::{Clause, Requirement};
use holdpoint::call::wants::Wants;
use holdpoint::store::clock::SystemClock;
use holdpoint::store::mail::MailTo;
use holdpoint::store::record::{NotHeld, Recorded, record_calls};
use holdpoint::store::submit::{Attach, PendingLimits, Submit, submit};
use holdpoint::store::{Store, StoreOptions, ending};
use rustix::process::{Pid, Signal, kill_process};

const REQUESTS: usize = 200_000;
const PENDING: usize = 100_000;
const ENTRIES: usize = 1_000_000;
/// Transitions in one commit while the database is made.
const AT_ONCE: usize = 1000;

/// Starts that are measured; the middle one counts.
const STARTS: usize = 11;
const WITHIN: Duration = Duration::from_millis(100);

struct Nobody;

impl Attach for Nobody {
    fn claim(&self, _: RequestId) -> bool {
        true
    }
    fn join(&self, _: RequestId) {}
}

fn call(n: usize) -> Call {
    let words = "remove what is older than seven years ".repeat(10);
    let text = format!(r#"{{"n":{n},"path":"/srv/data/{n}","note":"{words}"}}"#);
    let arguments = parse(text.as_bytes()).expect("JSON");
    let (server, tool) = (format!("server-{}", n % 10), format!("tool-{}", n % 50));
    let covered = Covered {
        server: &server,
        tool: &tool,
        arguments: &arguments,
        input_responses: None,
        request_state: None,
    };
    Call {
        caller: format!("proxy-{}", n % 4),
        client: format!("client-{}", n % 100),
        agent: Agent { name: "agent".to_owned(), session: format!("s{n}"), ..Agent::default() },
        digest: covered.digest(),
        arguments: arguments.to_text(),
        server,
        tool,
        hidden_values: 0,
        category: Category::Write,
        risk: Risk::Low,
        rule: "writes".to_owned(),
        policy_revision: String::new(),
        tool_definition_hash: String::new(),
        explanation: String::new(),
        labels: Default::default(),
        not_covered: Vec::new(),
        evidence: Vec::new(),
        definition_changed: String::new(),
    }
}

/// One request by the store's own transitions; every second one ends at once.
fn one(tx: &mut holdpoint::store::Tx<'_>, n: usize) -> Result<(), holdpoint::store::StoreError> {
    let groups = ["ops".to_owned()].into();
    let clause = Clause { route: "writes".to_owned(), groups, approvals: 1, sign_in: false };
    let taken = submit(
        tx,
        Submit {
            id: RequestId::new(tx.now.0),
            call_id: format!("call-{n}"),
            handle: None,
            call: call(n),
            requirement: Requirement { clauses: vec![clause] },
            mail_to: vec![MailTo { operator: "alice".to_owned(), wants: Wants::default() }],
            watch_reach: true,
            timeout: Duration::from_secs(7 * 24 * 3600),
            limits: PendingLimits { per_caller: u32::MAX, per_client: u32::MAX },
        },
        &Nobody,
    )?;
    if n % (REQUESTS / PENDING) == 1 {
        let caller = taken.request.call.caller.clone();
        ending::withdraw(tx, &caller, taken.request.id, "enough")?;
    }
    Ok(())
}

async fn make(path: PathBuf) {
    let store = Store::open(StoreOptions {
        path,
        clock: Arc::new(SystemClock),
        on_commit: Box::new(|_| {}),
        before_commit: None,
        metrics: Arc::default(),
    });
    let store = store.expect("opened");
    for first in (0..REQUESTS).step_by(AT_ONCE) {
        let made = store.write(move |tx| (first..first + AT_ONCE).try_for_each(|n| one(tx, n)));
        made.await.expect("held");
    }
    let so_far = REQUESTS + PENDING;
    for first in (so_far..ENTRIES).step_by(AT_ONCE) {
        let recorded = |n| Recorded {
            call: call(n),
            verdict: NotHeld::Allowed,
            reason: String::new(),
            digest_only: false,
        };
        let calls: Vec<_> = (first..first + AT_ONCE).map(recorded).collect();
        store.write(move |tx| record_calls(tx, &calls)).await.expect("recorded");
    }
    store.close().await;
}

/// From the start of the process to the first connection.
fn start(state: &Path) -> Duration {
    let socket = state.join("holdpoint.sock");
    let began = Instant::now();
    let mut child = Command::new(env!("CARGO_BIN_EXE_holdpoint"))
        .args(["serve", "--state-dir"])
        .arg(state)
        .env_clear()
        .env("HOLDPOINT_LOG", "warn")
        .stderr(Stdio::null())
        .spawn()
        .expect("started");
    while UnixStream::connect(&socket).is_err() {
        assert!(began.elapsed() < Duration::from_secs(60), "it does not serve");
        std::thread::sleep(Duration::from_micros(200));
    }
    let took = began.elapsed();
    // As after a power cut: the write-ahead log is read again at the next start.
    kill_process(Pid::from_child(&child), Signal::KILL).expect("signal sent");
    child.wait().expect("ended");
    std::fs::remove_file(&socket).expect("the socket of the killed daemon");
    took
}

#[tokio::test]
#[ignore = "makes a database of a million entries"]
async fn a_daemon_on_a_large_database_serves_within_a_tenth_of_a_second() {
    let folder = tempfile::tempdir().expect("a folder");
    let kept = std::env::var_os("HOLDPOINT_LARGE_STATE").map(PathBuf::from);
    let state = kept.unwrap_or_else(|| folder.path().join("s"));
    let database = state.join("holdpoint.db");
    if !database.exists() {
        std::fs::create_dir_all(&state).expect("a state directory");
        std::fs::write(state.join("holdpoint.toml"), "").expect("a configuration");
        let began = Instant::now();
        make(database.clone()).await;
        println!("made in {:?}", began.elapsed());
    }
    let bytes = std::fs::metadata(&database).expect("there").len();
    let mut times: Vec<Duration> = (0..STARTS).map(|_| start(&state)).collect();
    println!("{} MB; starts: {times:?}", bytes >> 20);
    times.sort();
    let middle = times[STARTS / 2];
    assert!(middle < WITHIN, "{middle:?}");
}
