//! Copies, the first start from one, and a database that somebody replaces.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::*;
use crate::call::model::{MailKind, Status, Use};
use crate::store::clock::{Clock, SystemClock};
use crate::store::copy::{self, CopyError};
use crate::store::error::Refusal;
use crate::store::{Health, Store, StoreOptions, aside, read, verify};

fn database(plain: &Plain) -> PathBuf {
    PathBuf::from(plain.conn.path().expect("a file"))
}

/// A marked copy of a database in `to`.
fn copied(from: &Path, to: &Path, at: Time) -> copy::Mark {
    fs::write(to, b"").expect("created");
    copy::take(&copy::open_live(from).expect("opened"), from, to, at).expect("copied")
}

/// Something of everything that can be open: pending, half approved, approved and
/// unused, taken with and without a lease, denied.
fn open_ends(plain: &mut Plain) -> Vec<(Arc<Request>, &'static str)> {
    let waiting = Waiting::default();
    let held = |plain: &mut Plain, name: &'static str, n: u64| {
        let request = plain.submit(name, call("client", "s", n), &waiting).expect("held").request;
        (request, name)
    };
    let all: Vec<_> = ["pending", "unused", "taken", "done", "denied"]
        .into_iter()
        .zip(1..)
        .map(|(name, n)| held(plain, name, n))
        .collect();
    for (request, name) in &all[1..4] {
        let decided = plain.decide(request.id, "ann", Verdict::Approve, &ann()).expect("approved");
        if *name != "unused" {
            plain.take(&decided, name).expect("granted");
        }
    }
    plain.report(&all[3].0, "done", Outcome::Succeeded).expect("reported");
    plain.decide(all[4].0.id, "ann", Verdict::Deny, &ann()).expect("denied");
    all
}

fn store_on(path: &Path, now: Time) -> Store {
    #[derive(Debug)]
    struct At(Time);
    impl Clock for At {
        fn boot_ms(&self) -> i64 {
            SystemClock.boot_ms()
        }
        fn wall(&self) -> Time {
            Time(self.0.0 + SystemClock.boot_ms())
        }
    }
    Store::open(StoreOptions {
        path: path.to_owned(),
        clock: Arc::new(At(Time(now.0 - SystemClock.boot_ms()))),
        on_commit: Box::new(|_| {}),
        before_commit: None,
        metrics: Arc::default(),
    })
    .expect("opened")
}

#[tokio::test]
async fn the_first_start_from_a_copy_ends_what_was_open_and_no_more() {
    let mut plain = Plain::new();
    let all = open_ends(&mut plain);
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("copy.db");
    let mark = copied(&database(&plain), &path, plain.now);
    let checked = copy::check(&path).expect("whole");
    assert_eq!((checked.pending, checked.unused, checked.running), (1, 1, 1));
    assert_eq!(checked.mark, Some(mark.clone()));
    // The copy goes its way; the original goes on.
    plain.take(&all[1].0, "unused").expect("granted by the original");

    let store = store_on(&path, plain.now + MINUTES(1));
    let of = |n: usize| {
        let (store, id) = (store.clone(), all[n].0.id);
        async move {
            store.read(move |conn| read::request(conn, id)).await.expect("read").expect("there")
        }
    };
    assert_eq!(of(0).await.status, Status::Expired);
    let unused = of(1).await;
    assert_eq!((unused.status, unused.use_), (Status::Approved, Use::Lapsed));
    let (taken, why) =
        (of(2).await, format!("restored from a backup taken at {}", mark.at.rfc3339()));
    assert_eq!(
        (taken.outcome, taken.lease_until, &taken.outcome_detail),
        (Outcome::Unknown, None, &why)
    );
    assert_eq!(of(3).await.outcome, Outcome::Succeeded);
    assert_eq!(of(4).await.status, Status::Denied);
    let input = TakeUse {
        caller: "proxy".to_owned(),
        id: all[1].0.id,
        call_id: "unused".to_owned(),
        digest: all[1].0.call.digest,
        lease: None,
    };
    let refused = store.write(move |tx| take_use(tx, &input)).await.expect_err("lapsed");
    assert!(matches!(refused, StoreError::Refused(Refusal::Lapsed(_))), "{refused:?}");
    // The denial is remembered still; a call id stands for what it stood for.
    let again = Submit { call_id: "again".to_owned(), ..hold_again(&all[4].0) };
    let told = store.write(move |tx| submit(tx, again, &Waiting::default())).await.expect("told");
    assert_eq!(told.taken, crate::store::submit::Taken::Remembered);
    let (queued, pending, entry, whole) = store
        .read(|conn| {
            let mut queued =
                conn.prepare("SELECT kind, operator, request FROM outbox WHERE state = 0")?;
            let queued = queued.query_map([], |row| {
                let (kind, operator) = (row.get::<_, u8>(0)?, row.get::<_, String>(1)?);
                Ok((kind, operator, RequestId::from_bytes(row.get(2)?)))
            })?;
            let queued = queued.collect::<Result<Vec<_>, _>>()?;
            let pending = read::pending(conn, read::PendingAfter::default(), 10)?.0.len();
            let entry: String = conn.query_row(
                "SELECT payload FROM audit_body JOIN audit USING (seq) WHERE kind = 'restored'",
                [],
                |row| row.get(0),
            )?;
            Ok((queued, pending, entry, verify::verify(conn, None)?))
        })
        .await
        .expect("read");
    // Somebody has to look how the call ended; all other mails are about what is over.
    let unknown = MailKind::OutcomeUnknown.number() as u8;
    assert_eq!(queued, [(unknown, "ann".to_owned(), all[2].0.id)]);
    assert!(pending == 0 && whole.is_ok(), "{whole:?}");
    assert!(entry.contains(r#""expired":1,"lapsed":1,"unknown":1"#), "{entry}");
    store.close().await;
    // It is no copy any more, and its second start ends nothing.
    let checked = copy::check(&path).expect("whole");
    assert_eq!((checked.mark, checked.unused), (None, 0));
}

fn hold_again(request: &Request) -> Submit {
    Submit {
        id: RequestId::from_bytes([7; 16]),
        call_id: String::new(),
        handle: None,
        call: request.call.clone(),
        requirement: requirement(&[], 1),
        mail_to: Vec::new(),
        timeout: MINUTES(15),
        watch_reach: true,
        limits: PendingLimits { per_caller: 1000, per_client: 1000 },
    }
}

#[test]
fn a_first_start_that_breaks_off_leaves_the_copy_marked() {
    let mut plain = Plain::new();
    open_ends(&mut plain);
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("copy.db");
    copied(&database(&plain), &path, plain.now);
    let (conn, mut events) = (schema::open_writer(&path).expect("opened"), Vec::new());
    let mut state = rebuild(&conn, 0, plain.now).expect("rebuilt");
    let before = state.pending.clone();
    conn.execute_batch("BEGIN IMMEDIATE").expect("begin");
    let broken = Tx::run(&conn, plain.now, &mut state, &mut events, |tx| {
        super::super::restored::begin_anew(tx)?;
        Err::<(), _>(StoreError::Overloaded)
    });
    conn.execute_batch("COMMIT").expect("commit");
    assert!(broken.is_err() && state.pending == before);
    drop(conn);
    let checked = copy::check(&path).expect("whole");
    assert!(checked.mark.is_some() && checked.pending == 1 && checked.unused == 1, "{checked:?}");
}

#[test]
fn a_copy_that_was_changed_is_found() {
    let mut plain = Plain::new();
    open_ends(&mut plain);
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("copy.db");
    let copy_and = |change: &str| {
        copied(&database(&plain), &path, plain.now);
        let conn = Connection::open(&path).expect("opened");
        conn.execute_batch(change).expect("changed");
        drop(conn);
        copy::check(&path)
    };
    for change in [
        "DROP TRIGGER audit_body_only_appends_update;
         UPDATE audit_body SET payload = replace(payload, 'kv', 'vk') WHERE seq = 2",
        "DROP TRIGGER audit_only_appends_delete;
         DELETE FROM audit WHERE seq = (SELECT max(seq) FROM audit)",
    ] {
        let broken = copy_and(change);
        assert!(matches!(broken, Err(CopyError::Damaged { .. })), "{change}: {broken:?}");
    }
    assert!(matches!(copy_and("PRAGMA application_id = 7"), Err(CopyError::Open(_))));
    assert!(matches!(copy_and("PRAGMA user_version = 999"), Err(CopyError::Open(_))));
    copy_and("SELECT 1").expect("whole");
    let mut bytes = fs::read(&path).expect("read");
    let middle = bytes.len() / 2;
    bytes[middle..middle + 3000].fill(0x5a);
    fs::write(&path, &bytes).expect("written");
    let broken = copy::check(&path);
    assert!(matches!(broken, Err(CopyError::Damaged { .. })), "{broken:?}");
    assert!(matches!(copy::check(&dir.path().join("none")), Err(CopyError::Missing(_))));
}

#[test]
fn a_copy_beside_the_log_of_another_database_is_refused_and_kept_apart() {
    let mut plain = Plain::new();
    open_ends(&mut plain);
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("copy.db");
    copied(&database(&plain), &path, plain.now);
    let log = copy::write_ahead_log(&path);
    fs::copy(copy::write_ahead_log(&database(&plain)), &log).expect("put there");
    let refused = schema::open_writer(&path).expect_err("a stray log").to_string();
    assert!(refused.contains("holdpoint restore"), "{refused}");
    let kept = aside::keep(&path, plain.now).expect("kept").expect("there was one");
    assert!(log.exists() && copy::write_ahead_log(&kept).exists());
    aside::drop_log(&path).expect("dropped");
    assert!(!log.exists() && copy::write_ahead_log(&kept).exists());
    schema::open_writer(&path).expect("without the log it is a copy like any other");
}

#[test]
fn what_stands_only_in_the_log_is_kept_when_a_database_is_set_aside() {
    let mut plain = Plain::new();
    let all = open_ends(&mut plain);
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("holdpoint.db");
    // As after kill -9.
    fs::copy(database(&plain), &path).expect("copied");
    let log = copy::write_ahead_log(&path);
    fs::copy(copy::write_ahead_log(&database(&plain)), &log).expect("copied");
    let kept = aside::keep(&path, plain.now).expect("kept").expect("there was one");
    assert!(!log.exists() && !copy::write_ahead_log(&kept).exists());
    let conn = copy::open_still(&kept).expect("opened");
    assert!(read::request(&conn, all[4].0.id).expect("read").is_some());
    assert_ne!(kept, aside::keep(&path, plain.now).expect("kept").expect("there was one"));
}

/// Without its log the old database would be one without what was acknowledged last.
#[test]
fn a_database_that_another_program_reads_is_not_set_aside_and_stays_as_it_was() {
    let mut plain = Plain::new();
    let first = plain.submit("1", call("", "", 1), &Waiting::default()).expect("held").request;
    let reader = copy::open_live(&database(&plain)).expect("opened");
    reader.execute_batch("BEGIN; SELECT count(*) FROM requests").expect("reads");
    let second = plain.submit("2", call("", "", 2), &Waiting::default()).expect("held").request;
    let path = database(&plain);
    let now = plain.now;
    schema::close_without_folding(std::mem::replace(
        &mut plain.conn,
        Connection::open_in_memory().expect("memory"),
    ));
    let names = |path: &Path| {
        let names = fs::read_dir(path.parent().expect("a folder")).expect("listed");
        let mut names: Vec<_> = names.map(|entry| entry.expect("read").file_name()).collect();
        names.sort();
        names
    };
    let before = names(&path);
    let refused = aside::keep(&path, now).expect_err("read by another").to_string();
    assert!(refused.contains("another program reads the database"), "{refused}");
    assert_eq!(names(&path), before);
    drop(reader);
    let kept = aside::keep(&path, now).expect("kept").expect("there was one");
    for database in [&kept, &path] {
        let conn = copy::open_still(database).expect("opened");
        for id in [first.id, second.id] {
            assert!(read::request(&conn, id).expect("read").is_some());
        }
    }
}

#[test]
fn a_damaged_database_keeps_its_log_until_another_stands_in_its_place() {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("holdpoint.db");
    let log = copy::write_ahead_log(&path);
    fs::write(&path, "not a database ".repeat(1000)).expect("written");
    fs::write(&log, "its log ".repeat(1000)).expect("written");
    let kept = aside::keep(&path, Time(1_800_000_000_000)).expect("kept").expect("there was one");
    assert!(log.exists(), "a crash here finds both");
    aside::drop_log(&path).expect("dropped");
    assert!(!log.exists());
    assert_eq!(fs::read(&kept).expect("kept"), fs::read(&path).expect("there"));
    let log = fs::read(copy::write_ahead_log(&kept)).expect("kept");
    assert_eq!(log, "its log ".repeat(1000).as_bytes());
}

/// What somebody does to the files under a running daemon.
async fn under_a_running_store(spoil: impl FnOnce(&Path, &Path)) -> (tempfile::TempDir, PathBuf) {
    let mut plain = Plain::new();
    open_ends(&mut plain);
    let dir = tempfile::tempdir().expect("a folder");
    let (path, other) = (dir.path().join("holdpoint.db"), dir.path().join("copy.db"));
    copied(&database(&plain), &other, plain.now);
    let store = store_on(&path, plain.now);
    let held = |n: u64| Submit { call: call("", "", n), ..hold_again(&hold_first()) };
    store.write(move |tx| submit(tx, held(1), &Waiting::default())).await.expect("held");
    store.catch_up_text().await.expect("nothing more is written by itself");
    spoil(&path, &other);
    let next = store.write(move |tx| {
        tx.record(crate::store::audit::Entry::new(crate::store::audit::Kind::ClockConfirmed))
    });
    let refused = next.await.expect_err("nothing is acknowledged");
    assert!(matches!(refused, StoreError::Unavailable(_)), "{refused:?}");
    assert!(refused.to_string().contains("holdpoint restore"), "{refused}");
    assert!(matches!(*store.health().borrow(), Health::Failing(_)));
    let read = store.read(|conn| read::newest(conn, 1)).await;
    assert!(matches!(read, Err(StoreError::Unavailable(_))), "{read:?}");
    store.close().await;
    (dir, path)
}

fn hold_first() -> Arc<Request> {
    let mut plain = Plain::new();
    plain.submit("c", call("", "", 1), &Waiting::default()).expect("held").request
}

#[tokio::test]
async fn a_database_that_is_replaced_is_not_written_and_what_was_acknowledged_is_in_the_old_one() {
    let (dir, path) = under_a_running_store(|path, other| {
        fs::rename(path, path.with_extension("old")).expect("moved");
        fs::rename(other, path).expect("moved");
    })
    .await;
    let old = copy::check(&dir.path().join("holdpoint.old")).expect("whole");
    assert_eq!((old.pending, old.whole.entries), (1, 1));
    assert!(copy::check(&path).expect("whole").mark.is_some(), "nothing came into the other");
    store_on(&path, Time(1_800_000_000_000)).close().await;
}

#[tokio::test]
async fn a_database_that_is_written_over_is_not_mixed_with_its_old_log() {
    let (_dir, path) = under_a_running_store(|path, other| {
        // As `cp` does: the same file, other content.
        fs::write(path, fs::read(other).expect("read")).expect("written");
    })
    .await;
    assert!(!copy::write_ahead_log(&path).exists());
    let there = copy::check(&path).expect("whole");
    assert!(there.mark.is_some() && there.pending == 1, "{there:?}");
    store_on(&path, Time(1_800_000_000_000)).close().await;
}

#[tokio::test]
async fn a_database_that_is_removed_is_not_made_anew() {
    let (_dir, path) =
        under_a_running_store(|path, _| fs::remove_file(path).expect("removed")).await;
    assert!(!path.exists());
}

#[tokio::test]
async fn a_log_that_is_removed_loses_nothing_that_was_acknowledged() {
    let (_dir, path) = under_a_running_store(|path, _| {
        fs::remove_file(copy::write_ahead_log(path)).expect("removed");
    })
    .await;
    assert_eq!(copy::check(&path).expect("whole").pending, 1);
}

#[tokio::test]
async fn a_log_that_is_truncated_in_place_is_noticed() {
    under_a_running_store(|path, _| {
        let log = fs::OpenOptions::new().write(true).open(copy::write_ahead_log(path));
        log.expect("opened").set_len(0).expect("truncated");
    })
    .await;
}

#[tokio::test]
async fn an_older_log_that_is_put_back_in_place_is_noticed_and_not_folded() {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("holdpoint.db");
    let log = copy::write_ahead_log(&path);
    let store = store_on(&path, Time(1_800_000_000_000));
    let write = || {
        store.write(|tx| {
            tx.record(crate::store::audit::Entry::new(crate::store::audit::Kind::ClockConfirmed))
        })
    };
    write().await.expect("recorded");
    let file = fs::read(&path).expect("read");
    let modified = fs::metadata(&log).and_then(|m| m.modified()).expect("a time");
    let older = fs::read(&log).expect("read");
    write().await.expect("recorded");
    // As `cp -a` does: the same file, the older one's time.
    fs::write(&log, &older).expect("written");
    let put = fs::OpenOptions::new().write(true).open(&log).expect("opened");
    put.set_modified(modified).expect("set");
    let refused = write().await.expect_err("nothing is acknowledged");
    assert!(refused.to_string().contains("write-ahead log"), "{refused}");
    store.close().await;
    assert_eq!(fs::read(&path).expect("read"), file);
    assert_eq!(fs::read(&log).expect("read"), older);
}

/// What the store itself does to its files is not taken for another's.
#[tokio::test]
async fn rollbacks_readers_and_copies_are_not_taken_for_somebody_else() {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("holdpoint.db");
    let failing = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let planted = failing.clone();
    let store = Store::open(StoreOptions {
        path: path.clone(),
        clock: Arc::new(SystemClock),
        on_commit: Box::new(|_| {}),
        before_commit: Some(Box::new(move |conn| {
            if planted.swap(false, std::sync::atomic::Ordering::SeqCst) {
                // More than the cache holds: it spills into the log and is rolled back.
                conn.execute_batch(
                    "PRAGMA cache_size = 10; CREATE TABLE big (x);
                     INSERT INTO big WITH RECURSIVE n(x) AS
                     (SELECT 1 UNION ALL SELECT x + 1 FROM n WHERE x < 20)
                     SELECT randomblob(100000) FROM n",
                )?;
                return Err(rusqlite::Error::InvalidQuery);
            }
            Ok(())
        })),
        metrics: Arc::default(),
    })
    .expect("opened");
    let write = || {
        store.write(|tx| {
            tx.record(crate::store::audit::Entry::new(crate::store::audit::Kind::ClockConfirmed))
        })
    };
    for n in 0..3 {
        write().await.expect("recorded");
        // A reader keeps the log alive while the writer opens anew.
        store.read(|conn| read::newest(conn, 1)).await.expect("read");
        copied(&path, &dir.path().join(format!("copy{n}.db")), Time(1_800_000_000_000));
        failing.store(true, std::sync::atomic::Ordering::SeqCst);
        write().await.expect_err("planted");
    }
    write().await.expect("recorded");
    store.close().await;
}

#[tokio::test]
async fn an_idle_store_notices_that_its_database_is_gone() {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("holdpoint.db");
    let store = store_on(&path, Time(1_800_000_000_000));
    let mut health = store.health();
    fs::remove_file(&path).expect("removed");
    let failing = health.wait_for(|health| matches!(health, Health::Failing(_)));
    tokio::time::timeout(Duration::from_secs(10), failing).await.expect("in time").expect("up");
}
