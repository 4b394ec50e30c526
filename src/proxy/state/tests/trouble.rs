//! Files and folders with something wrong: each is said, and each call refused,
//! until it is mended. What fills a real disk or makes it read-only is in `tests/it`.

use std::fs;
use std::io::{Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::PermissionsExt as _;

use rusqlite::Connection;

use super::super::{FILE, sql};
use super::*;

fn refused(folder: &TempDir) -> String {
    let error = State::open(folder.path()).expect_err("refused").to_string();
    assert!(error.contains(folder.path().join(FILE).to_str().expect("text")), "{error}");
    error
}

fn permissions(path: &std::path::Path) -> u32 {
    fs::metadata(path).expect("there").permissions().mode() & 0o777
}

#[tokio::test]
async fn the_folder_and_its_files_are_for_this_user_alone() {
    let outer = tempfile::tempdir().expect("a folder");
    let folder = outer.path().join("a/b");
    let state = State::open(&folder).expect("opened");
    assert!(passes(&state, &Machine::new(), sliding("a", 1, HOUR)).await);
    assert_eq!(permissions(&folder), 0o700);
    let files: Vec<_> = fs::read_dir(&folder).expect("read").map(|f| f.expect("a file")).collect();
    assert_eq!(files.len(), 3, "{files:?}");
    files.iter().for_each(|file| assert_eq!(permissions(&file.path()), 0o600, "{file:?}"));
}

#[test]
fn a_folder_that_others_can_write_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o777)).expect("opened to all");
    let error = refused(&folder);
    assert!(error.contains("other users may write in it") && error.contains("0700"), "{error}");
}

#[test]
fn a_folder_that_cannot_be_made_is_named_with_what_to_do() {
    let folder = tempfile::NamedTempFile::new().expect("a file");
    let error = State::open(folder.path()).expect_err("not a folder").to_string();
    assert!(error.contains("HOLDPOINT_STATE_DIR"), "{error}");
    let error = State::open(std::path::Path::new("/proc/holdpoint")).expect_err("not there");
    assert!(matches!(error.why, Why::Folder(_)), "{error}");
}

#[test]
fn a_file_that_is_no_file_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    fs::create_dir(folder.path().join(FILE)).expect("made");
    let error = refused(&folder);
    assert!(error.contains("cannot be written"), "{error}");
}

#[test]
fn a_file_that_is_no_database_is_called_damaged() {
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join(FILE), b"not a database, but long enough".repeat(100)).expect("w");
    let error = refused(&folder);
    assert!(error.contains("damaged") && error.contains("move it aside"), "{error}");
}

#[test]
fn a_database_of_another_program_is_refused_and_left_alone() {
    let folder = tempfile::tempdir().expect("a folder");
    let conn = Connection::open(folder.path().join(FILE)).expect("made");
    conn.execute_batch("CREATE TABLE t (x)").expect("made");
    drop(conn);
    let before = fs::read(folder.path().join(FILE)).expect("read");
    assert!(refused(&folder).contains("another program"));
    assert_eq!(fs::read(folder.path().join(FILE)).expect("read"), before);
}

#[tokio::test]
async fn a_newer_version_is_refused_at_the_start_and_also_later() {
    let (folder, state) = fresh();
    let machine = Machine::new();
    assert!(passes(&state, &machine, sliding("a", 9, HOUR)).await);
    let newer = Connection::open(folder.path().join(FILE)).expect("opened");
    newer.pragma_update(None, "user_version", 2).expect("set");
    let error = refused(&folder);
    assert!(error.contains("version 2") && error.contains("newer Holdpoint"), "{error}");
    let error = take(&state, machine.clocks, vec![sliding("a", 9, HOUR)]).await;
    assert_eq!(error.expect_err("newer").why, Why::Newer { found: 2, known: 1 });
    newer.pragma_update(None, "user_version", 1).expect("set");
    assert!(passes(&state, &machine, sliding("a", 9, HOUR)).await);
}

/// Also one that is cut short, as by a copy that broke off.
#[tokio::test]
async fn a_file_that_is_damaged_under_a_running_proxy_refuses_calls_until_it_is_moved_aside() {
    let (folder, state) = fresh();
    let machine = Machine::new();
    assert!(passes(&state, &machine, sliding("a", 1, HOUR)).await);
    assert!(state.turn(|conn| Ok(sql::fold(conn)?)).await.expect("folded"));
    let path = folder.path().join(FILE);
    let mut file = fs::OpenOptions::new().write(true).open(&path).expect("opened");
    file.seek(SeekFrom::Start(4096)).expect("there");
    file.write_all(&[0xa5; 20 * 4096]).expect("written over");
    drop(file);
    // A second proxy, and this one as soon as it has to read what is on the disk.
    assert!(refused(&folder).contains("damaged"));
    drop(state.shared.turn.lock().await.take());
    for _ in 0..2 {
        let error = take(&state, machine.clocks, vec![sliding("a", 1, HOUR)]).await;
        let error = error.expect_err("damaged");
        assert!(matches!(error.why, Why::Damaged(_)), "{error}");
    }
    fs::rename(&path, folder.path().join("aside")).expect("moved");
    assert!(passes(&state, &machine, sliding("a", 1, HOUR)).await, "without a restart");
    assert!(!passes(&state, &machine, sliding("a", 1, HOUR)).await);
}

#[tokio::test]
async fn proxies_follow_when_the_file_is_replaced() {
    let (folder, state) = fresh();
    let other = State::open(folder.path()).expect("a second connection");
    let machine = Machine::new();
    assert!(passes(&state, &machine, sliding("a", 1, HOUR)).await);
    for name in [FILE, "proxy.sqlite-wal", "proxy.sqlite-shm"] {
        fs::remove_file(folder.path().join(name)).expect("removed");
    }
    assert!(passes(&state, &machine, sliding("a", 1, HOUR)).await);
    assert!(!passes(&other, &machine, sliding("a", 1, HOUR)).await, "one file for both");
}

#[tokio::test]
async fn a_file_that_somebody_keeps_locked_refuses_calls_in_seconds_and_not_for_longer() {
    let (folder, state) = fresh();
    let machine = Machine::new();
    let shell = Connection::open(folder.path().join(FILE)).expect("opened");
    shell.execute_batch("BEGIN IMMEDIATE").expect("locked");
    let since = std::time::Instant::now();
    let call = take(&state, machine.clocks, vec![sliding("a", 1, HOUR)]);
    let error = call.await.expect_err("locked");
    assert_eq!(error.why, Why::Locked);
    assert!(error.to_string().contains("locked for 2 s"), "{error}");
    assert!(since.elapsed() < 4 * SECOND);
    // Who only looks needs no lock.
    assert_eq!(recent(&state, &machine, "a", 1, HOUR).await.count, 0);
    shell.execute_batch("ROLLBACK").expect("unlocked");
    assert!(passes(&state, &machine, sliding("a", 1, HOUR)).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_that_queue_behind_a_lock_do_not_wait_one_after_the_other() {
    let (folder, state) = fresh();
    let shell = Connection::open(folder.path().join(FILE)).expect("opened");
    shell.execute_batch("BEGIN IMMEDIATE").expect("locked");
    let since = std::time::Instant::now();
    let call = |_| {
        let state = state.clone();
        tokio::spawn(async move {
            take(&state, Machine::new().clocks, vec![sliding("a", 1, HOUR)]).await
        })
    };
    for call in (0..20).map(call).collect::<Vec<_>>() {
        assert_eq!(call.await.expect("no panic").expect_err("locked").why, Why::Locked);
    }
    assert!(since.elapsed() < 8 * SECOND, "{:?}", since.elapsed());
}

#[tokio::test]
async fn a_file_that_cannot_grow_refuses_calls_and_takes_nothing_by_halves() {
    let (_folder, state) = fresh();
    let machine = Machine::new();
    add(&state, &machine, Window::Day, 1).await;
    let small = |conn: &Connection| {
        let pages: i64 = conn.query_row("PRAGMA page_count", [], |row| row.get(0))?;
        Ok(conn.pragma_update(None, "max_page_count", pages)?)
    };
    state.turn(small).await.expect("set");
    let mut had = 0;
    let error = loop {
        let key = format!("{had} {}", "x".repeat(900));
        let takes = vec![amount(Window::Day, 1, None), sliding(&key, 1, HOUR)];
        match take(&state, machine.clocks, takes).await {
            Ok(taken) => had += i64::from(taken.is_some()),
            Err(error) => break error,
        }
        assert!(had < 10_000, "it never filled up");
    };
    assert_eq!(error.why, Why::Full);
    assert!(error.to_string().contains("make space"), "{error}");
    assert_eq!(value(&state, &machine, Window::Day).await, 1 + had);
}

#[tokio::test]
async fn a_judge_that_passes_over_what_it_could_not_read_is_not_believed() {
    let (_folder, state) = fresh();
    let machine = Machine::new();
    assert!(passes(&state, &machine, sliding("a", 1, HOUR)).await);
    state.turn(|conn| Ok(conn.execute_batch("DROP TABLE places")?)).await.expect("dropped");
    let judge = |counters: &dyn Counters| {
        assert!(counters.recent(&key("a"), 1, HOUR).is_err());
        ("allowed", Vec::new())
    };
    for take in [true, false] {
        let error = state.count(machine.clocks, take, judge).await.expect_err("refused");
        assert!(error.to_string().contains("no such table"), "{error}");
    }
}

#[tokio::test]
async fn a_judge_that_panics_leaves_nothing_behind() {
    let (_folder, state) = fresh();
    let machine = Machine::new();
    let panicking = state.clone();
    let call = tokio::spawn(async move {
        let judge = |_: &dyn Counters| -> ((), Vec<Take>) { panic!("on purpose") };
        panicking.count(machine.clocks, true, judge).await
    });
    assert!(call.await.expect_err("panicked").is_panic());
    assert!(passes(&state, &machine, sliding("a", 1, HOUR)).await);
}

/// As a backup that hangs does.
#[tokio::test]
async fn somebody_who_reads_without_an_end_does_not_let_the_log_grow_without_one() {
    let (folder, state) = fresh();
    let machine = Machine::new();
    assert!(passes(&state, &machine, sliding("a", 1, HOUR)).await);
    let shell = Connection::open(folder.path().join(FILE)).expect("opened");
    shell.execute_batch("BEGIN; SELECT count(*) FROM limits").expect("reading");
    let grow = |conn: &Connection| {
        Ok(conn.execute_batch(
            "INSERT INTO pins (server, tool, hash, text, at) VALUES ('s', 't', 'h', '', 0);
             UPDATE pins SET text = printf('%.*c', 70000000, 'x')",
        )?)
    };
    state.turn(grow).await.expect("written");
    let error = take(&state, machine.clocks, vec![sliding("b", 1, HOUR)]).await;
    let error = error.expect_err("too long");
    assert_eq!(error.why, Why::LogTooLong);
    assert!(error.to_string().contains("64 MiB"), "{error}");
    shell.execute_batch("ROLLBACK").expect("ended");
    assert!(passes(&state, &machine, sliding("b", 1, HOUR)).await);
    assert!(!passes(&state, &machine, sliding("a", 1, HOUR)).await);
}

/// A file that another process was just making was once taken for another program's.
#[test]
fn a_file_that_is_being_made_is_empty_or_ours_at_each_moment() {
    for _ in 0..30 {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join(FILE);
        fs::write(&path, "").expect("an empty file");
        let looking = || {
            let conn = Connection::open(&path).expect("opened");
            conn.busy_timeout(SECOND).expect("patient");
            while sql::look(&conn).expect("empty or ours") == 0 {}
        };
        std::thread::scope(|scope| {
            let looking = scope.spawn(looking);
            State::open(folder.path()).expect("made");
            looking.join().expect("never another program's");
        });
    }
}
