//! What goes wrong around the daemon: disk, database, files, clock, a second daemon.
//!
//! In all of it nothing that was acknowledged is lost, nothing runs that was not
//! approved, and whoever asks is told what is the matter.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use holdpoint::proto::{self, Status};
use rusqlite::Connection;
use tonic::Code;
use tonic_health::pb::health_check_response::ServingStatus::{NotServing, Serving};

use super::support::clients::{self, verify};
use super::support::daemon::SmallDisk;
use super::support::{
    Ask, Home, approve, call, cli, get, hold, left_out, reason_of, submit, take_use, wait_for,
};

/// Asks until the daemon refuses, then gives that refusal.
async fn until_refused(
    caller: &mut clients::Caller,
    arguments: &str,
) -> (Vec<String>, tonic::Status) {
    let mut taken = Vec::new();
    for n in 0..10_000 {
        let ask = Ask::new(&format!("{n}"), call(&format!("t{n}"), arguments)).briefly();
        match ask.send(caller).await {
            Ok(answer) => taken.push(answer.id),
            Err(refused) => return (taken, refused),
        }
    }
    panic!("it was never refused");
}

#[tokio::test]
async fn a_locked_database_is_said_to_be_unavailable_and_recovers_by_itself() {
    let home = Home::new();
    let daemon = home.start().await;
    let (mut caller, mut operator) = (home.clients().caller(), home.clients().operator());
    let (before, waiting) = hold(&caller, &mut operator, "before", call("write", "{}")).await;
    let other = Connection::open(home.database()).expect("opened");
    other.execute_batch("BEGIN EXCLUSIVE").expect("locked");
    let ask = || Ask::new("during", call("write", r#"{"n":1}"#)).briefly();
    let refused = ask().send(&mut caller).await.expect_err("locked");
    assert_eq!(refused.code(), Code::Unavailable);
    assert_eq!(reason_of(&refused), "STORE_UNAVAILABLE", "{refused:?}");
    assert!(refused.message().contains("locked"), "{refused:?}");
    home.becomes(NotServing).await;
    // What is there can still be read, and whoever waits still waits.
    assert_eq!(get(&mut operator, &before).await.status(), Status::Pending);
    other.execute_batch("ROLLBACK").expect("unlocked");
    home.becomes(Serving).await;
    ask().send(&mut caller).await.expect("taken, with the same call id");
    let digest = get(&mut operator, &before).await.digest;
    approve(&mut operator, &before, &digest).await.expect("approved");
    let answer = waiting.await.expect("the task").expect("an answer");
    assert_eq!(answer.status(), Status::Approved);
    verify(&mut home.clients().history()).await;
    daemon.stop().await;
}

#[tokio::test]
async fn a_full_disk_loses_nothing_and_recovers_when_there_is_space() {
    let home = Home::new();
    let Some(_disk) = SmallDisk::on(&home.state, "4m") else { return };
    let ballast = home.state.join("ballast");
    fs::write(&ballast, vec![0u8; 1 << 20]).expect("ballast");
    let daemon = home.start().await;
    let (mut caller, mut operator) = (home.clients().caller(), home.clients().operator());
    let long = format!(r#"{{"text":"{}"}}"#, "word ".repeat(20_000));
    let (taken, refused) = until_refused(&mut caller, &long).await;
    assert_eq!(refused.code(), Code::Unavailable, "{refused:?}");
    let reason = reason_of(&refused);
    assert!(["STORE_UNAVAILABLE", "UNKNOWN_COMMIT"].contains(&reason.as_str()), "{refused:?}");
    assert!(refused.message().contains("full"), "{refused:?}");
    home.becomes(NotServing).await;
    for id in &taken {
        assert_eq!(get(&mut operator, id).await.status(), Status::Pending);
    }
    fs::remove_file(&ballast).expect("space");
    home.becomes(Serving).await;
    let n = taken.len();
    let again = Ask::new(&format!("{n}"), call(&format!("t{n}"), &long)).briefly();
    let answer = again.send(&mut caller).await.expect("taken, with the same call id");
    let decided = approve(&mut operator, &answer.id, &answer.digest).await.expect("approved");
    assert_eq!(decided.status(), Status::Approved);
    let kinds = clients::kinds(&mut home.clients().history(), &answer.id).await;
    assert_eq!(kinds.iter().filter(|kind| *kind == "requested").count(), 1, "{kinds:?}");
    verify(&mut home.clients().history()).await;
    println!("{n} requests were taken before the disk was full");
    daemon.kill();
}

#[tokio::test]
async fn a_state_directory_that_is_read_only_is_refused_at_the_start() {
    let home = Home::new();
    let Some(disk) = SmallDisk::on(&home.state, "4m") else { return };
    home.start().await.stop().await;
    assert!(disk.read_only());
    home.refusal().says(&["Read-only file system", "check its owner and mode"]);
}

/// Nobody may write this file, root included. Needs a file system that knows how.
struct Immutable<'a>(&'a Path);

impl<'a> Immutable<'a> {
    fn make(path: &'a Path) -> Option<Self> {
        let done = chattr("+i", path);
        if !done {
            left_out("this user or file system cannot make a file immutable (chattr +i)");
        }
        done.then_some(Immutable(path))
    }
}

impl Drop for Immutable<'_> {
    fn drop(&mut self) {
        chattr("-i", self.0);
    }
}

fn chattr(flag: &str, path: &Path) -> bool {
    let done = Command::new("chattr").arg(flag).arg(path).output();
    done.is_ok_and(|output| output.status.success())
}

#[tokio::test]
async fn a_database_that_becomes_read_only_is_unavailable_until_it_is_not() {
    let home = Home::new();
    let daemon = home.start().await;
    let (mut caller, mut operator) = (home.clients().caller(), home.clients().operator());
    let before = submit(&mut caller, "before", call("write", "{}")).await;
    let log = home.state.join("holdpoint.db-wal");
    let Some(immutable) = Immutable::make(&log) else { return };
    let ask = || Ask::new("during", call("write", r#"{"n":1}"#)).briefly();
    let refused = ask().send(&mut caller).await.expect_err("read-only");
    assert_eq!(refused.code(), Code::Unavailable, "{refused:?}");
    home.becomes(NotServing).await;
    assert_eq!(get(&mut operator, &before.id).await.status(), Status::Pending);
    drop(immutable);
    home.becomes(Serving).await;
    ask().send(&mut caller).await.expect("taken, with the same call id");
    verify(&mut home.clients().history()).await;
    daemon.stop().await;
}

/// A state directory that was used, and its database's bytes after this was done to it.
async fn spoilt(spoil: impl FnOnce(&Path)) -> (Home, Vec<u8>) {
    let home = Home::new();
    let daemon = home.start().await;
    submit(&mut home.clients().caller(), "one", call("write", "{}")).await;
    daemon.stop().await;
    assert!(!home.state.join("holdpoint.db-wal").exists(), "all of it is in one file");
    spoil(&home.database());
    let bytes = fs::read(home.database()).expect("read");
    (home, bytes)
}

fn untouched(home: &Home, bytes: &[u8]) {
    assert!(fs::read(home.database()).expect("read") == bytes, "the database was changed");
}

#[tokio::test]
async fn a_database_of_a_newer_version_is_refused_and_left_alone() {
    let newer = |path: &Path| {
        let conn = Connection::open(path).expect("opened");
        conn.pragma_update(None, "user_version", 999).expect("set");
    };
    let (home, bytes) = spoilt(newer).await;
    home.refusal().says(&["999", "newer Holdpoint"]);
    untouched(&home, &bytes);
}

#[tokio::test]
async fn a_database_that_is_none_is_refused_and_left_alone() {
    let garbage =
        |path: &Path| fs::write(path, b"no database at all; ".repeat(1000)).expect("written");
    let (home, bytes) = spoilt(garbage).await;
    home.refusal().says(&["damaged", "restore a copy"]);
    untouched(&home, &bytes);
}

#[tokio::test]
async fn a_database_that_was_cut_short_is_refused_and_left_alone() {
    let cut = |path: &Path| {
        let half = fs::metadata(path).expect("metadata").len() / 2 / 4096 * 4096;
        fs::File::options().write(true).open(path).and_then(|f| f.set_len(half)).expect("cut");
    };
    let (home, bytes) = spoilt(cut).await;
    home.refusal().says(&["damaged", "restore a copy"]);
    untouched(&home, &bytes);
}

#[tokio::test]
async fn a_database_with_pages_overwritten_is_refused_and_left_alone() {
    let overwrite = |path: &Path| {
        let mut bytes = fs::read(path).expect("read");
        bytes[4096..].fill(0xa5);
        fs::write(path, bytes).expect("written");
    };
    let (home, bytes) = spoilt(overwrite).await;
    home.refusal().says(&["damaged", "restore a copy"]);
    untouched(&home, &bytes);
}

#[tokio::test]
async fn an_entry_that_somebody_changed_in_the_database_is_found_and_placed() {
    let home = Home::new();
    let daemon = home.start().await;
    submit(&mut home.clients().caller(), "one", call("write", "{}")).await;
    // Under a running daemon it would be noticed at once.
    daemon.stop().await;
    let conn = Connection::open(home.database()).expect("opened");
    for statement in ["DELETE FROM audit WHERE seq = 2", "UPDATE audit_body SET payload = '{}'"] {
        let refused = conn.execute_batch(statement).expect_err(statement).to_string();
        assert!(refused.contains("only appends"), "{refused}");
    }
    conn.execute_batch(
        "DROP TRIGGER audit_body_only_appends_update;
         UPDATE audit_body SET payload = '{}' WHERE seq = 2",
    )
    .expect("who can write the file can do that");
    drop(conn);
    let daemon = home.start().await;
    let asked = proto::VerifyAuditRequest::default();
    let verified = home.clients().history().verify_audit(asked).await.expect("an answer");
    let verified = verified.into_inner();
    assert!(!verified.whole && verified.broken_at == 2, "{verified:?}");
    daemon.stop().await;
}

#[tokio::test]
async fn a_socket_left_by_a_killed_daemon_is_replaced() {
    let home = Home::new();
    home.start().await.kill();
    assert!(home.state.join("holdpoint.sock").exists());
    let daemon = home.start().await;
    submit(&mut home.clients().caller(), "one", call("write", "{}")).await;
    daemon.stop().await;
    assert!(!home.state.join("holdpoint.sock").exists());
}

#[test]
fn a_state_path_too_long_for_a_socket_is_refused_with_the_remedy() {
    let mut home = Home::new();
    let long = home.beside(&"d".repeat(100)).display().to_string();
    home.set("HOLDPOINT_STATE_DIR", &long);
    home.refusal().says(&["107", "--state-dir"]);
    assert!(!Path::new(&long).exists());
}

#[tokio::test]
async fn a_folder_of_others_is_not_closed_to_them_but_one_with_a_configuration_is() {
    let mode = |home: &Home| fs::metadata(&home.state).expect("metadata").permissions().mode();
    let home = Home::new();
    fs::set_permissions(&home.state, fs::Permissions::from_mode(0o755)).expect("open to others");
    fs::write(home.state.join("notes.txt"), "somebody's").expect("written");
    home.refusal().says(&["open to other users", "--state-dir"]);
    assert_eq!(mode(&home) & 0o777, 0o755);
    let home = Home::with_config("lease = \"1m\"\n");
    fs::set_permissions(&home.state, fs::Permissions::from_mode(0o755)).expect("open to others");
    let daemon = home.start().await;
    assert_eq!(mode(&home) & 0o777, 0o700);
    daemon.stop().await;
}

#[tokio::test]
async fn a_second_daemon_on_the_same_state_is_refused_and_the_first_serves_on() {
    let home = Home::new();
    let daemon = home.start().await;
    home.refusal().says(&["another holdpoint daemon", "--state-dir"]);
    submit(&mut home.clients().caller(), "one", call("write", "{}")).await;
    daemon.stop().await;
}

#[tokio::test]
async fn requests_go_on_without_the_mail_folder() {
    let home = Home::new();
    let daemon = home.start().await;
    let folder = home.state.join("mail");
    let _ = fs::remove_dir_all(&folder);
    fs::write(&folder, "in its place").expect("a file in its place");
    let (mut caller, mut operator) = (home.clients().caller(), home.clients().operator());
    let asked = submit(&mut caller, "one", call("write", "{}")).await;
    let id = &asked.id;
    let operator_again = operator.clone();
    wait_for("the failed attempt to be told", || async {
        let notices = get(&mut operator_again.clone(), id).await.notices;
        let failed =
            |n: &proto::Notice| n.attempts > 0 && !n.detail.is_empty() && n.state != "sent";
        notices.iter().any(failed).then_some(())
    })
    .await;
    approve(&mut operator, id, &asked.digest).await.expect("approved");
    take_use(&mut caller, id, "one", &asked.digest).await.expect("granted");
    daemon.stop().await;
}

#[tokio::test]
async fn a_mail_file_system_that_is_full_puts_mails_off_and_loses_none() {
    let home = Home::new();
    let folder = home.state.join("mail");
    fs::create_dir_all(&folder).expect("made");
    fs::set_permissions(&home.state, fs::Permissions::from_mode(0o700)).expect("ours");
    let Some(_disk) = SmallDisk::on(&folder, "256k") else { return };
    let filler = folder.join("filler");
    // As much as there is room for, whatever the file system's blocks are.
    let mut file = fs::File::create(&filler).expect("made");
    while file.write_all(&[0; 4096]).is_ok() {}
    drop(file);
    let daemon = home.start().await;
    let (caller, mut operator) = (home.clients().caller(), home.clients().operator());
    let (id, waiting) = hold(&caller, &mut operator, "c1", call("write", "{}")).await;
    let becomes = async |operator: &mut clients::Operator, state: &str| {
        wait_for("the mail's state", || async {
            let request = get(&mut operator.clone(), &id).await;
            let notice = request.notices.first()?;
            (notice.state == state).then(|| notice.detail.clone())
        })
        .await
    };
    let why = becomes(&mut operator, "deferred").await;
    assert!(why.contains("No space left"), "{why}");
    let letters = || {
        let files = fs::read_dir(&folder).expect("listed").filter_map(Result::ok);
        files.filter(|file| file.path().extension().is_some_and(|e| e == "eml")).count()
    };
    assert_eq!(letters(), 0);
    fs::remove_file(&filler).expect("removed");
    becomes(&mut operator, "sent").await;
    assert_eq!(letters(), 1);
    let digest = get(&mut operator, &id).await.digest;
    approve(&mut operator, &id, &digest).await.expect("approved");
    let answer = waiting.await.expect("the task").expect("an answer");
    assert_eq!(answer.status(), Status::Approved);
    daemon.stop().await;
}

#[tokio::test]
async fn a_daemon_that_stops_sends_waiters_away_and_they_resume() {
    let home = Home::new();
    let daemon = home.start().await;
    let (caller, mut operator) = (home.clients().caller(), home.clients().operator());
    let (id, waiting) = hold(&caller, &mut operator, "one", call("write", "{}")).await;
    daemon.stop().await;
    let sent_away = waiting.await.expect("the task").expect_err("stopped");
    assert_eq!(sent_away.code(), Code::Unavailable);
    assert_eq!(reason_of(&sent_away), "SHUTTING_DOWN");
    let daemon = home.start().await;
    let (caller, mut operator) = (home.clients().caller(), home.clients().operator());
    let (again, waiting) = hold(&caller, &mut operator, "one", call("write", "{}")).await;
    assert_eq!(again, id);
    let digest = get(&mut operator, &id).await.digest;
    approve(&mut operator, &id, &digest).await.expect("approved");
    let answer = waiting.await.expect("the task").expect("an answer");
    // The same attempt goes on: nobody took it over.
    assert_eq!((answer.id, answer.resumed), (id, false));
    daemon.stop().await;
}

/// Makes the next daemon see another wall clock. The boot-time clock stays: the
/// daemon reads that past the C library.
pub(super) fn shift_clock(home: &mut Home, by: &str) -> bool {
    let folders = std::fs::read_dir("/usr/lib").expect("/usr/lib").filter_map(Result::ok);
    let libraries = folders.map(|folder| folder.path().join("faketime/libfaketime.so.1"));
    let Some(library) = libraries.into_iter().find(|library| library.exists()) else {
        left_out("faketime is not installed");
        return false;
    };
    let library = library.to_str().expect("a plain path");
    home.set("LD_PRELOAD", library);
    home.set("FAKETIME", by);
    home.set("FAKETIME_DONT_FAKE_MONOTONIC", "1");
    true
}

#[tokio::test]
async fn a_clock_put_back_an_hour_over_a_restart_grants_nothing_until_it_is_confirmed() {
    let mut home = Home::new();
    let daemon = home.start().await;
    let (mut caller, mut operator) = (home.clients().caller(), home.clients().operator());
    let asked = submit(&mut caller, "one", call("write", "{}")).await;
    approve(&mut operator, &asked.id, &asked.digest).await.expect("approved");
    daemon.stop().await;
    if !shift_clock(&mut home, "-1h") {
        return;
    }
    let daemon = home.start().await;
    let (mut caller, mut operator) = (home.clients().caller(), home.clients().operator());
    let refused = take_use(&mut caller, &asked.id, "one", &asked.digest).await.expect_err("doubt");
    assert_eq!(reason_of(&refused), "CLOCK_IN_DOUBT", "{refused:?}");
    operator.confirm_clock(proto::ConfirmClockRequest {}).await.expect("confirmed");
    take_use(&mut caller, &asked.id, "one", &asked.digest).await.expect("granted");
    verify(&mut home.clients().history()).await;
    daemon.stop().await;
}

#[tokio::test]
async fn a_clock_put_forward_an_hour_over_a_restart_ends_what_is_due() {
    let mut home = Home::new();
    let daemon = home.start().await;
    let (mut caller, mut operator) = (home.clients().caller(), home.clients().operator());
    let pending = submit(&mut caller, "one", call("write", "{}")).await;
    let approved = submit(&mut caller, "two", call("write", r#"{"n":2}"#)).await;
    approve(&mut operator, &approved.id, &approved.digest).await.expect("approved");
    daemon.stop().await;
    if !shift_clock(&mut home, "+1h") {
        return;
    }
    let daemon = home.start().await;
    let (mut caller, operator) = (home.clients().caller(), home.clients().operator());
    let refused = take_use(&mut caller, &approved.id, "two", &approved.digest).await;
    assert_eq!(reason_of(&refused.expect_err("an hour later")), "LAPSED");
    wait_for("the pending one to expire", || async {
        let now = get(&mut operator.clone(), &pending.id).await;
        (now.status() == Status::Expired).then_some(())
    })
    .await;
    daemon.stop().await;
}

#[tokio::test]
async fn the_command_line_says_when_the_daemon_is_away() {
    let home = Home::new();
    let daemon = home.start().await;
    daemon.kill();
    let output = cli(&home, &["pending"]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(13), "{said}");
    assert!(said.contains("holdpoint serve"), "{said}");
}
