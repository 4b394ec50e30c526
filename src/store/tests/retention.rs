//! Erasing by age: what goes, what stays, and that it is gone.

use std::io::Cursor;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use super::*;
use crate::call::model::Status;
use crate::store::audit::{Entry, Kind};
use crate::store::clock::{Clock, SystemClock};
use crate::store::export::{Exporter, verify_export};
use crate::store::query::{Filter, Question, query};
use crate::store::submit::Taken;
use crate::store::verify::verify;
use crate::store::{Store, StoreOptions, ending, read, retention, text_index};

const DAY: Duration = Duration::from_secs(86_400);

/// Erases what is older than `keep`, to the end; how many steps that took.
fn erase(plain: &mut Plain, keep: Duration) -> u32 {
    let mut steps = 0;
    let mut run = plain.run(|tx| retention::begin(tx, keep)).expect("begun");
    while let Some(now) = run {
        run = plain.run(|tx| retention::step(tx, now)).expect("a step");
        steps += 1;
    }
    steps
}

fn index_all(plain: &mut Plain) {
    while plain.run(text_index::catch_up).expect("indexed") {}
}

fn matching(plain: &Plain, filter: Filter) -> Vec<u64> {
    let question = Question { filter, ascending: true, most: 500, after: None };
    let page = query(&plain.conn, &question, None).expect("page");
    page.entries.iter().map(|told| told.sequence).collect()
}

fn with_word(plain: &Plain, word: &str) -> usize {
    matching(plain, Filter { text: Some(word.to_owned()), ..Filter::default() }).len()
}

fn exists(plain: &Plain, request: &Request) -> bool {
    read::request(&plain.conn, request.id).expect("read").is_some()
}

fn decided(plain: &mut Plain, name: &str, n: u64, verdict: Verdict) -> Arc<Request> {
    let waiting = Waiting::default();
    let held = plain.submit(name, call("client", "s", n), &waiting).expect("held").request;
    plain.decide(held.id, "ann", verdict, &ann()).expect("decided")
}

#[test]
fn what_is_old_is_erased_and_the_chain_stays_whole() {
    let mut plain = Plain::new();
    let old = decided(&mut plain, "old", 1, Verdict::Approve);
    plain.take(&old, "old").expect("granted");
    plain.report(&old, "old", Outcome::Succeeded).expect("reported");
    plain.pass(DAY * 3);
    let new = decided(&mut plain, "new", 2, Verdict::Deny);
    index_all(&mut plain);
    assert_eq!((with_word(&plain, "zebra1"), with_word(&plain, "zebra2")), (1, 1));
    let head = plain.state.head.hash;
    erase(&mut plain, DAY * 2);
    assert!(!exists(&plain, &old) && exists(&plain, &new));
    assert_eq!((with_word(&plain, "zebra1"), with_word(&plain, "zebra2")), (0, 1));
    assert_eq!(matching(&plain, Filter::default()), [5, 6, 7]);
    let of_kind = |kind: &str| Filter { kind: Some(kind.to_owned()), ..Filter::default() };
    assert_eq!(matching(&plain, of_kind("requested")), [5]);
    assert_eq!(matching(&plain, of_kind("erased")), [7]);
    let whole = verify(&plain.conn, Some(head)).expect("read").expect("whole");
    assert_eq!((whole.entries, whole.erased, whole.unrecorded), (7, 4, 0));
    // Nothing is left to do, and nothing is written about that.
    assert_eq!(erase(&mut plain, DAY * 2), 0);
    assert_eq!(plain.state.head.sequence, 7);
    let tables = ["decisions", "former_call_ids", "outbox", "requests", "audit_body", "audit"];
    let rows = tables.map(|table| {
        let sql = format!("SELECT count(*) FROM {table}");
        plain.conn.query_row(&sql, [], |row| row.get::<_, i64>(0)).expect("count")
    });
    assert_eq!(rows, [1, 0, 1, 1, 3, 7]);
}

/// A proxy that only records what it let pass never asks for anything.
#[test]
fn a_history_without_any_request_is_erased_too() {
    let mut plain = Plain::new();
    let calls = [crate::store::record::Recorded {
        call: call("client", "s", 1),
        verdict: crate::store::record::NotHeld::Allowed,
        reason: String::new(),
        digest_only: false,
    }];
    plain.run(|tx| crate::store::record::record_calls(tx, &calls)).expect("recorded");
    index_all(&mut plain);
    plain.pass(DAY * 3);
    erase(&mut plain, DAY);
    let left = "SELECT count(*) FROM audit_body JOIN audit USING (seq) WHERE kind = 'call_allowed'";
    let left: i64 = plain.conn.query_row(left, [], |row| row.get(0)).expect("counted");
    assert_eq!(left, 0);
    plain.assert_chain_is_whole();
}

#[test]
fn what_is_open_or_remembered_is_never_erased() {
    let mut plain = Plain::new();
    let waiting = Waiting::default();
    let week = |plain: &mut Plain, name: &str, n: u64| {
        let id = plain.id();
        let input = Submit {
            id,
            call_id: name.to_owned(),
            handle: None,
            call: call("client", "s", n),
            requirement: requirement(&[], 1),
            mail_to: Vec::new(),
            timeout: DAY * 7,
            watch_reach: true,
            limits: PendingLimits { per_caller: 100, per_client: 100 },
        };
        plain.run(|tx| submit(tx, input, &waiting)).expect("held").request
    };
    let pending = week(&mut plain, "pending", 1);
    let denied = week(&mut plain, "denied", 2);
    plain.decide(denied.id, "ann", Verdict::Deny, &ann()).expect("denied");
    let unused = week(&mut plain, "unused", 3);
    plain.decide(unused.id, "ann", Verdict::Approve, &ann()).expect("approved");
    let running = week(&mut plain, "running", 4);
    let running = plain.decide(running.id, "ann", Verdict::Approve, &ann()).expect("approved");
    plain.take(&running, "running").expect("granted");
    let gone = week(&mut plain, "gone", 5);
    plain.run(|tx| ending::withdraw(tx, "proxy", gone.id, "")).expect("withdrawn");
    index_all(&mut plain);
    plain.pass(DAY * 3);
    erase(&mut plain, DAY);
    assert!([&pending, &denied, &unused, &running].iter().all(|r| exists(&plain, r)));
    assert!(!exists(&plain, &gone));
    let again = plain.submit("again", denied.call.clone(), &waiting).expect("told");
    assert_eq!(again.taken, Taken::Remembered);
    assert_eq!(plain.request(pending.id).status, Status::Pending);
    // All of it ends by itself, and then it goes, although nothing else happens.
    plain.pass(DAY * 5);
    while plain.run(ending::end_due).expect("ended") {}
    index_all(&mut plain);
    plain.pass(DAY * 3);
    erase(&mut plain, DAY);
    assert!(![&pending, &denied, &unused, &running].iter().any(|r| exists(&plain, r)));
    plain.assert_chain_is_whole();
}

#[test]
fn an_export_says_what_is_erased_and_verifies() {
    let mut plain = Plain::new();
    for n in 0..4 {
        decided(&mut plain, &format!("c{n}"), n, Verdict::Deny);
    }
    plain.pass(DAY * 3);
    decided(&mut plain, "new", 9, Verdict::Deny);
    index_all(&mut plain);
    erase(&mut plain, DAY * 2);
    let export = |first, last| {
        let mut exporter = Exporter::new(&plain.conn, first, last).expect("exporter");
        let mut file = Vec::new();
        while let Some(bytes) = exporter.next(&plain.conn, 100).expect("piece") {
            file.extend(bytes);
        }
        file
    };
    let all = export(0, 0);
    assert_eq!(String::from_utf8_lossy(&all).matches(r#","erased":true}"#).count(), 8);
    let whole = verify_export(Cursor::new(&all), None).expect("io").expect("whole");
    assert_eq!((whole.entries, whole.erased, whole.unrecorded), (11, 8, 0));
    let part = verify_export(Cursor::new(export(3, 9)), None).expect("io").expect("whole");
    assert_eq!((part.entries, part.erased, part.unrecorded), (7, 6, 6));
    for at in (0..all.len()).step_by(7) {
        let mut changed = all.clone();
        changed[at] ^= 1;
        let broken = verify_export(Cursor::new(changed), None).expect("io");
        assert!(broken.is_err(), "byte {at}: {broken:?}");
    }
}

#[test]
fn a_payload_that_was_taken_out_without_a_record_is_found() {
    let mut plain = Plain::new();
    for n in 0..4 {
        decided(&mut plain, &format!("c{n}"), n, Verdict::Deny);
        plain.pass(DAY);
    }
    index_all(&mut plain);
    erase(&mut plain, DAY * 2 + DAY / 2);
    let delete =
        |sequence: i64| plain.conn.execute("DELETE FROM audit_body WHERE seq = ?", [sequence]);
    for kept in [6, 9] {
        let refused = delete(kept).expect_err("kept").to_string();
        assert!(refused.contains("only appends"), "{refused}");
    }
    plain.assert_chain_is_whole();
    plain.conn.execute_batch("DROP TRIGGER audit_body_only_appends_delete").expect("dropped");
    delete(6).expect("deleted");
    let broken = verify(&plain.conn, None).expect("read").expect_err("missing");
    assert!(broken.sequence == 6 && broken.what.contains("no entry says"), "{broken:?}");
}

#[test]
fn a_run_that_broke_off_goes_on_after_a_restart_and_shows_nothing_meanwhile() {
    let mut plain = Plain::new();
    for n in 0..40 {
        decided(&mut plain, &format!("c{n}"), n, Verdict::Deny);
    }
    index_all(&mut plain);
    plain.pass(DAY * 3);
    let run = plain.run(|tx| retention::begin(tx, DAY)).expect("begun").expect("a run");
    plain.run(|tx| retention::step(tx, run)).expect("a step");
    assert_eq!(matching(&plain, Filter::default()), [81]);
    assert_eq!(with_word(&plain, "zebra39"), 0);
    let now = plain.now;
    plain.restart(now);
    plain.assert_chain_is_whole();
    assert!(erase(&mut plain, DAY) > 3);
    let left: i64 = plain
        .conn
        .query_row(
            "SELECT (SELECT count(*) FROM audit_body) + (SELECT count(*) FROM requests)",
            [],
            |row| row.get(0),
        )
        .expect("count");
    assert_eq!(
        left,
        matching(&plain, Filter { kind: Some("erased".to_owned()), ..Filter::default() }).len()
            as i64
    );
    let whole = verify(&plain.conn, None).expect("read").expect("whole");
    assert_eq!(whole.erased, 80);
}

/// A clock that a test puts forward; its wall and boot-time clocks go together.
#[derive(Debug, Clone, Default)]
struct Forward(Arc<AtomicI64>);

impl Clock for Forward {
    fn boot_ms(&self) -> i64 {
        SystemClock.boot_ms() + self.0.load(Ordering::SeqCst)
    }
    fn wall(&self) -> Time {
        Time(SystemClock.wall().0 + self.0.load(Ordering::SeqCst))
    }
}

#[tokio::test]
async fn no_file_of_the_store_has_an_erased_word() {
    let dir = tempfile::tempdir().expect("a folder");
    let clock = Forward::default();
    let open = || {
        Store::open(StoreOptions {
            path: dir.path().join("t.db"),
            clock: Arc::new(clock.clone()),
            on_commit: Box::new(|_| {}),
            before_commit: None,
            metrics: Arc::default(),
        })
        .expect("opened")
    };
    let store = open();
    // Words of all kinds: in the middle of the index, and at the ends of its pages.
    let marker = |n: u64| format!("marker{:x}", n.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let many = 1500;
    let held = move |n: u64| {
        let text = format!("{} {}", marker(n), "filler ".repeat(n as usize % 90));
        let mut id = [9; 16];
        id[..8].copy_from_slice(&n.to_be_bytes());
        Submit {
            id: RequestId::from_bytes(id),
            call_id: marker(n + 2 * many),
            handle: None,
            call: Call {
                arguments: format!(r#"{{"text":"{text}"}}"#),
                explanation: marker(n + many),
                ..call("client", "s", n)
            },
            requirement: requirement(&[], 1),
            mail_to: vec![mail_to("ann")],
            timeout: MINUTES(15),
            watch_reach: true,
            limits: PendingLimits { per_caller: 10_000, per_client: 10_000 },
        }
    };
    for hundred in 0..many / 100 {
        let all = move |tx: &mut Tx<'_>| {
            for n in hundred * 100..(hundred + 1) * 100 {
                let taken = submit(tx, held(n), &Waiting::default())?.request;
                ending::withdraw(tx, "proxy", taken.id, &marker(n + 3 * many))?;
            }
            Ok(())
        };
        store.write(all).await.expect("written");
    }
    store.catch_up_text().await.expect("indexed");
    clock.0.fetch_add(3 * 86_400_000, Ordering::SeqCst);
    store.keep_for(Some(DAY));
    store.write(|tx| tx.record(Entry::new(Kind::DaemonStarted))).await.expect("recorded");
    let remaining = || {
        let files = std::fs::read_dir(dir.path()).expect("listed");
        let found = files.map(|file| {
            let bytes = std::fs::read(file.expect("a file").path()).expect("read");
            bytes.windows(6).filter(|word| *word == b"marker").count()
        });
        found.sum::<usize>()
    };
    assert!(remaining() > 4000);
    let began = std::time::Instant::now();
    while remaining() > 0 {
        assert!(began.elapsed() < Duration::from_secs(120), "{} are left", remaining());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    println!("erased in {:?}", began.elapsed());
    let whole = store.read(|conn| verify(conn, None)).await.expect("read").expect("whole");
    assert_eq!(whole.erased, 2 * many);
    store.close().await;
}
