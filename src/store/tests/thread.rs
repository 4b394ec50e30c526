//! The writer thread: group commit, failing commits, and what becomes of neighbours.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use super::*;
use crate::store::audit::{Entry, Kind};
use crate::store::clock::SystemClock;
use crate::store::{Health, Store, StoreOptions};

struct Rig {
    store: Store,
    events: Arc<AtomicUsize>,
    fail: Arc<AtomicBool>,
    _dir: tempfile::TempDir,
}

fn rig() -> Rig {
    let dir = tempfile::tempdir().expect("temp dir");
    let (events, fail) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
    let (seen, failing) = (events.clone(), fail.clone());
    let store = Store::open(StoreOptions {
        path: dir.path().join("t.db"),
        clock: Arc::new(SystemClock),
        on_commit: Box::new(move |committed| {
            seen.fetch_add(committed.len(), Ordering::SeqCst);
        }),
        before_commit: Some(Box::new(move |_| {
            if failing.load(Ordering::SeqCst) { Err(rusqlite::Error::InvalidQuery) } else { Ok(()) }
        })),
        metrics: Arc::default(),
    })
    .expect("open");
    Rig { store, events, fail, _dir: dir }
}

struct Nobody;

impl Attach for Nobody {
    fn claim(&self, _: RequestId) -> bool {
        true
    }
    fn join(&self, _: RequestId) {}
}

fn hold(n: u64) -> Submit {
    let mut bytes = [9; 16];
    bytes[..8].copy_from_slice(&n.to_be_bytes());
    Submit {
        id: RequestId::from_bytes(bytes),
        call_id: format!("c{n}"),
        handle: None,
        call: call("", "", n),
        requirement: requirement(&[], 1),
        mail_to: Vec::new(),
        timeout: MINUTES(15),
        watch_reach: true,
        limits: PendingLimits { per_caller: 1000, per_client: 1000 },
    }
}

#[tokio::test]
async fn a_failing_transition_undoes_itself_and_none_of_its_neighbours() {
    let rig = rig();
    let good = rig.store.write(|tx| submit(tx, hold(1), &Nobody));
    let bad = rig.store.write(|tx| {
        submit(tx, hold(2), &Nobody)?;
        Err::<(), _>(StoreError::Overloaded)
    });
    let after = rig.store.write(|tx| submit(tx, hold(3), &Nobody));
    let (good, bad, after) = tokio::join!(good, bad, after);
    assert!(good.is_ok() && bad.is_err() && after.is_ok());
    let count = rig
        .store
        .read(|conn| {
            Ok(conn.query_row("SELECT count(*) FROM requests", [], |r| r.get::<_, i64>(0))?)
        })
        .await
        .expect("count");
    assert_eq!((count, rig.events.load(Ordering::SeqCst)), (2, 2));
    let whole = rig.store.read(|conn| crate::store::export::verify(conn, None)).await;
    assert!(whole.expect("read").is_ok());
}

#[tokio::test]
async fn a_refusal_without_a_savepoint_undoes_none_of_its_neighbours() {
    let rig = rig();
    let good = rig.store.write_checked(|tx| submit(tx, hold(1), &Nobody));
    let bad = rig.store.write_checked(|_| Err::<(), _>(StoreError::Overloaded));
    let after = rig.store.write_checked(|tx| submit(tx, hold(2), &Nobody));
    let (good, bad, after) = tokio::join!(good, bad, after);
    assert!(good.is_ok() && matches!(bad, Err(StoreError::Overloaded)) && after.is_ok());
    assert_eq!(rig.events.load(Ordering::SeqCst), 2);
    assert_eq!(*rig.store.health().borrow(), Health::Serving);
}

/// It said that it refuses before it writes, and failed after it wrote: nothing of
/// its batch may stay, and it must not take the next batch along as well.
#[tokio::test]
async fn a_transition_that_fails_halfway_without_a_savepoint_leaves_nothing() {
    let rig = rig();
    let halfway = |tx: &mut Tx<'_>| {
        submit(tx, hold(1), &Nobody)?;
        Err::<(), _>(StoreError::Overloaded)
    };
    let first = rig.store.write_checked(halfway).await;
    assert!(matches!(first, Err(StoreError::Unavailable(_))), "{first:?}");
    let neighbour = rig.store.write_checked(|tx| submit(tx, hold(2), &Nobody));
    let (again, neighbour) = tokio::join!(rig.store.write_checked(halfway), neighbour);
    assert!(matches!(again, Err(StoreError::Overloaded)), "{again:?}");
    neighbour.expect("held");
    assert_eq!(rig.events.load(Ordering::SeqCst), 1);
    let pending =
        rig.store.write(|tx| Ok(tx.pending(&call("", "", 1).scope()).0)).await.expect("counted");
    assert_eq!(pending, 1);
    let whole = rig.store.read(|conn| crate::store::export::verify(conn, None)).await;
    assert_eq!(whole.expect("read").expect("whole").entries, 1);
}

#[tokio::test]
async fn a_failing_commit_answers_unknown_to_all_and_nothing_of_it_is_believed() {
    let rig = rig();
    rig.store.write(|tx| submit(tx, hold(1), &Nobody)).await.expect("held");
    rig.fail.store(true, Ordering::SeqCst);
    let (a, b) = tokio::join!(
        rig.store.write(|tx| submit(tx, hold(2), &Nobody)),
        rig.store.write(|tx| submit(tx, hold(3), &Nobody)),
    );
    for result in [a, b] {
        assert!(matches!(result, Err(StoreError::UnknownCommit(_))), "{result:?}");
    }
    assert!(matches!(*rig.store.health().borrow(), Health::Failing(_)));
    assert_eq!(rig.events.load(Ordering::SeqCst), 1, "nobody was told of what failed");
    rig.fail.store(false, Ordering::SeqCst);
    // Asking again with the same call id is the remedy that the answer names.
    let again = rig.store.write(|tx| submit(tx, hold(2), &Nobody)).await.expect("held");
    assert_eq!(again.taken, crate::store::submit::Taken::New);
    assert_eq!(*rig.store.health().borrow(), Health::Serving);
    let pending =
        rig.store.write(|tx| Ok(tx.pending(&call("", "", 1).scope()).0)).await.expect("counted");
    assert_eq!(pending, 2);
    let whole = rig.store.read(|conn| crate::store::export::verify(conn, None)).await;
    assert_eq!(whole.expect("read").expect("whole").entries, 2);
}

#[tokio::test]
async fn when_sqlite_gives_up_a_transaction_nothing_of_its_batch_is_half_there() {
    let rig = rig();
    let (begun, started) = std::sync::mpsc::channel::<()>();
    let (go, held) = std::sync::mpsc::channel::<()>();
    // While this one is run, by itself, the others queue up and become one batch.
    let store = rig.store.clone();
    let first = tokio::spawn(async move {
        let first = store.write(move |_| {
            let _ = begun.send(());
            let _ = held.recv();
            Ok(())
        });
        first.await
    });
    tokio::task::spawn_blocking(move || started.recv()).await.expect("waited").expect("begun");
    let before = rig.store.write(|tx| submit(tx, hold(1), &Nobody));
    // As SQLite does by itself when the disk is full.
    let gone = rig.store.write(|tx| {
        tx.conn.execute_batch("ROLLBACK")?;
        Err::<(), _>(StoreError::Unavailable("the disk is full".to_owned()))
    });
    let after = rig.store.write(|tx| submit(tx, hold(2), &Nobody));
    let release = async move { go.send(()).expect("it waits") };
    let (_, before, gone, after, ()) = tokio::join!(first, before, gone, after, release);
    for answer in [before.map(drop), gone, after.map(drop)] {
        assert!(matches!(answer, Err(StoreError::Unavailable(_))), "{answer:?}");
    }
    assert_eq!(rig.events.load(Ordering::SeqCst), 0);
    rig.store.write(|tx| submit(tx, hold(3), &Nobody)).await.expect("held");
    let whole = rig.store.read(|conn| crate::store::export::verify(conn, None)).await;
    assert_eq!(whole.expect("read").expect("whole").entries, 1);
}

#[tokio::test]
async fn a_transition_that_panics_ends_neither_the_thread_nor_what_was_there() {
    let rig = rig();
    rig.store.write(|tx| submit(tx, hold(1), &Nobody)).await.expect("held");
    let panics = rig.store.write(|tx| {
        submit(tx, hold(2), &Nobody)?;
        if tx.now.0 > 0 {
            panic!("a defect, planted");
        }
        Ok(())
    });
    let failed = panics.await;
    assert!(matches!(failed, Err(StoreError::Unavailable(_))), "{failed:?}");
    rig.store.write(|tx| submit(tx, hold(3), &Nobody)).await.expect("held");
    let whole = rig.store.read(|conn| crate::store::export::verify(conn, None)).await;
    assert_eq!(whole.expect("read").expect("whole").entries, 2);
}

#[tokio::test]
async fn a_failing_store_recovers_without_being_asked() {
    let rig = rig();
    rig.fail.store(true, Ordering::SeqCst);
    rig.store.write(|tx| submit(tx, hold(1), &Nobody)).await.expect_err("fails");
    let mut health = rig.store.health();
    rig.fail.store(false, Ordering::SeqCst);
    let recovered = health.wait_for(|health| *health == Health::Serving);
    tokio::time::timeout(Duration::from_secs(10), recovered).await.expect("in time").expect("up");
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_come_after_the_commit_in_which_they_are() {
    // Each transition, once answered, is seen by a connection of its own.
    let rig = rig();
    let path = rig._dir.path().join("t.db");
    let misses = Arc::new(Mutex::new(Vec::new()));
    let mut tasks = tokio::task::JoinSet::new();
    for n in 0..200 {
        let (store, path, misses) = (rig.store.clone(), path.clone(), misses.clone());
        tasks.spawn(async move {
            let held = store.write(move |tx| submit(tx, hold(n), &Nobody)).await.expect("held");
            let conn = schema::open_reader(&path).expect("reader");
            let found = crate::store::read::request(&conn, held.request.id).expect("read");
            if found.is_none() {
                misses.lock().expect("lock").push(n);
            }
        });
    }
    tasks.join_all().await;
    assert!(misses.lock().expect("lock").is_empty());
}

#[tokio::test]
async fn words_are_found_as_soon_as_their_entry_is_committed() {
    let rig = rig();
    rig.store.write(|tx| submit(tx, hold(7), &Nobody)).await.expect("held");
    rig.store.catch_up_text().await.expect("caught up");
    let found = rig
        .store
        .read(|conn| {
            let filter = crate::store::query::Filter {
                text: Some("zebra7".to_owned()),
                ..Default::default()
            };
            let question = crate::store::query::Question { filter, most: 10, ..Default::default() };
            crate::store::query::query(conn, &question, None)
        })
        .await
        .expect("page");
    assert_eq!(found.entries.len(), 1);
}

#[tokio::test]
async fn closing_finishes_what_is_queued_and_records_the_stop() {
    let rig = rig();
    let held = tokio::spawn({
        let store = rig.store.clone();
        async move { store.write(|tx| submit(tx, hold(1), &Nobody)).await }
    });
    held.await.expect("joined").expect("held");
    rig.store.close().await;
    let conn = schema::open_reader(&rig._dir.path().join("t.db")).expect("reader");
    let last: String = conn
        .query_row("SELECT kind FROM audit ORDER BY seq DESC LIMIT 1", [], |row| row.get(0))
        .expect("entry");
    assert_eq!(last, "daemon_stopped");
    let refused = rig.store.write(|tx| tx.record(Entry::new(Kind::DaemonStarted))).await;
    assert!(matches!(refused, Err(StoreError::Stopped)), "{refused:?}");
}

#[tokio::test]
async fn a_writer_that_is_stuck_is_silent_and_one_that_cannot_write_is_not() {
    let rig = rig();
    let (go, held) = std::sync::mpsc::channel::<()>();
    let stuck = rig.store.write(move |_| {
        let _ = held.recv();
        Ok(())
    });
    let longer = Duration::from_millis(2500);
    let notice = async {
        while rig.store.silent_for() < longer {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        go.send(()).expect("it waits");
    };
    let (done, ()) = tokio::join!(stuck, notice);
    done.expect("done");
    // It has a turn every second, also while every commit fails.
    rig.fail.store(true, Ordering::SeqCst);
    for _ in 0..5 {
        rig.store.write(|_| Ok(())).await.expect_err("cannot commit");
        assert!(rig.store.silent_for() < longer);
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    rig.store.close().await;
}
