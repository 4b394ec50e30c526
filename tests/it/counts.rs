//! The proxy's state file on disks that are full or cannot be written.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::time::Duration;

use holdpoint::policy::{Counters, LimitKey, Take};
use holdpoint::proxy::state::{Clocks, State, StateError, Why};

use super::support::daemon::SmallDisk;
use super::support::left_out;

/// Takes the only place of a limit, if it is free; whether it was.
async fn take(state: &State, name: &str) -> Result<bool, StateError> {
    let (key, max, window) = (LimitKey(name.to_owned()), 1, Duration::from_secs(3600));
    let judge = |counters: &dyn Counters| {
        let free = counters.recent(&key, max, window).is_ok_and(|r| r.free_in.is_zero());
        let takes = free.then(|| Take::Sliding { key: key.clone(), max, window });
        ((), takes.into_iter().collect())
    };
    Ok(state.count(Clocks::now(), true, judge).await?.1.is_some())
}

#[tokio::test]
async fn a_full_disk_refuses_calls_and_forgets_none_that_passed() {
    let folder = tempfile::tempdir().expect("a folder");
    let Some(_disk) = SmallDisk::on(folder.path(), "2m") else { return };
    let ballast = folder.path().join("ballast");
    fs::write(&ballast, vec![0; 1 << 20]).expect("ballast");
    let state = State::open(folder.path()).expect("opened");
    let name = |n| format!("{n} {}", "x".repeat(1000));
    let mut passed = 0;
    let error = loop {
        match take(&state, &name(passed)).await {
            Ok(taken) => passed += i32::from(taken),
            Err(error) => break error,
        }
        assert!(passed < 10_000, "it never filled up");
    };
    assert!(passed > 10 && error.why == Why::Full, "{passed}: {error}");
    assert!(error.to_string().contains("proxy.sqlite: it cannot grow"), "{error}");
    // Also a proxy that starts now, and this one's next calls.
    for n in 0..3 {
        take(&state, &name(passed + n)).await.expect_err("still full");
    }
    let _ = State::open(folder.path()).map_err(|error| assert!(error.why == Why::Full, "{error}"));
    fs::remove_file(ballast).expect("space");
    assert!(take(&state, &name(passed)).await.expect("space"));
    for n in 0..=passed {
        assert!(!take(&state, &name(n)).await.expect("read"), "{n} was forgotten");
    }
}

#[tokio::test]
async fn a_disk_without_any_space_is_said_at_the_start() {
    let folder = tempfile::tempdir().expect("a folder");
    let Some(_disk) = SmallDisk::on(folder.path(), "64k") else { return };
    fs::write(folder.path().join("ballast"), vec![0; 128 << 10]).expect_err("full");
    let error = State::open(folder.path()).expect_err("full").to_string();
    assert!(error.contains("proxy.sqlite") && error.contains("disk"), "{error}");
}

#[tokio::test]
async fn a_folder_that_cannot_be_written_is_said_at_the_start() {
    let folder = tempfile::tempdir().expect("a folder");
    let Some(disk) = SmallDisk::on(folder.path(), "4m") else { return };
    assert!(take(&State::open(folder.path()).expect("opened"), "a").await.expect("counted"));
    assert!(disk.read_only());
    let error = State::open(folder.path()).expect_err("read-only").to_string();
    assert!(error.contains("cannot be written") && error.contains("--state-dir"), "{error}");
    fs::remove_file(folder.path().join("proxy.sqlite")).expect_err("read-only");
}

#[tokio::test]
async fn a_folder_of_another_user_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o700)).expect("ours");
    const NOBODY: u32 = 65534;
    if chown(folder.path(), Some(NOBODY), None).is_err() {
        return left_out("this user may not give a folder away");
    }
    let error = State::open(folder.path()).expect_err("another's").to_string();
    assert!(error.contains("it belongs to another user"), "{error}");
}
