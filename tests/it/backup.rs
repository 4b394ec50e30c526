//! Copies of a database that is at work, and databases put in place: what was open
//! in a copy is never granted again, and nothing that was acknowledged is missing.

use std::fs;
use std::path::Path;
use std::process::Output;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use holdpoint::proto::{AuditFilter, Status};
use tonic::Code;
use tonic_health::pb::health_check_response::ServingStatus::NotServing;

use super::support::clients::{self, Clients, Operator, verify};
use super::support::daemon::SmallDisk;
use super::support::{Ask, Home, approve, call, cli, get, reason_of, submit, take_use, wait_for};

/// Callers that work while copies are taken.
const CALLERS: usize = 6;

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn done(output: Output) -> String {
    assert!(output.status.success(), "{output:?}");
    text(&output.stdout)
}

fn refused(output: &Output, words: &[&str]) {
    let said = text(&output.stderr);
    assert!(!output.status.success(), "{output:?}");
    for word in words {
        assert!(said.contains(word), "{word:?} is missing in: {said}");
    }
}

fn path(path: &Path) -> &str {
    path.to_str().expect("UTF-8")
}

/// What one caller was told.
#[derive(Debug, Clone)]
struct Acknowledged {
    id: String,
    call_id: String,
    digest: String,
    status: Status,
}

/// Asks; has every second call approved; takes every second approval. So some of
/// everything is always open.
async fn work(clients: Clients, number: usize, over: Arc<AtomicBool>, log: Log) {
    let (mut caller, mut operator) = (clients.caller(), clients.operator());
    for n in 0.. {
        if over.load(Ordering::SeqCst) {
            return;
        }
        let call_id = format!("c{number}-{n}");
        let asked = call("write", &format!(r#"{{"caller":{number},"n":{n}}}"#));
        let answer = submit(&mut caller, &call_id, asked).await;
        let (id, digest) = (answer.id, answer.digest);
        let mut told = Acknowledged { id, call_id, digest, status: Status::Pending };
        log.lock().expect("a log").push(told.clone());
        if n % 2 == 0 {
            continue;
        }
        approve(&mut operator, &told.id, &told.digest).await.expect("approved");
        told.status = Status::Approved;
        log.lock().expect("a log").push(told.clone());
        if n % 4 == 1 {
            take_use(&mut caller, &told.id, &told.call_id, &told.digest).await.expect("granted");
        }
    }
}

type Log = Arc<Mutex<Vec<Acknowledged>>>;

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_under_load_restores_with_no_usable_approval() {
    let home = Home::new();
    let daemon = home.start().await;
    let (over, log) = (Arc::new(AtomicBool::new(false)), Log::default());
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..CALLERS {
        tasks.spawn(work(home.clients(), number, over.clone(), log.clone()));
    }
    let so_far = || log.lock().expect("a log").len();
    let busy = |more: usize| {
        let from = so_far();
        async move { wait_for("work", || async { (so_far() >= from + more).then_some(()) }).await }
    };
    busy(150).await;
    let (first, second) = (home.beside("first.db"), home.beside("second.db"));
    done(cli(&home, &["backup", path(&first)]));
    busy(100).await;
    let before: Vec<Acknowledged> = log.lock().expect("a log").clone();
    let said = done(cli(&home, &["backup", path(&second), "--json"]));
    let while_copying = so_far() - before.len();
    busy(50).await;
    over.store(true, Ordering::SeqCst);
    tasks.join_all().await;
    daemon.stop().await;
    println!("{} steps before the copy, {while_copying} during it: {said}", before.len());

    // Somewhere else, where nothing was before.
    let other = Home::new();
    let told = done(cli(&other, &["restore", path(&second)]));
    assert!(told.contains("will lapse") && told.contains("nothing was there"), "{told}");
    let daemon = other.start().await;
    let clients = other.clients();
    let (mut caller, mut operator) = (clients.caller(), clients.operator());
    assert!(other.log().contains("restored from a backup"), "{}", other.log());
    verify(&mut clients.history()).await;
    // Nothing that was acknowledged before is missing, and none of it is granted.
    for told in &before {
        let request = get(&mut operator, &told.id).await;
        let expected: &[Status] = match told.status {
            Status::Approved => &[Status::Approved],
            // Approved only after this was noted, perhaps.
            _ => &[Status::Expired, Status::Approved],
        };
        assert!(expected.contains(&request.status()), "{told:?}: {request:?}");
        let no = take_use(&mut caller, &told.id, &told.call_id, &told.digest).await;
        let reason = reason_of(&no.expect_err("nothing is granted from a copy"));
        let fits = match (request.status(), request.r#use()) {
            (Status::Expired, _) => reason == "NOT_APPROVED",
            (_, holdpoint::proto::Use::Lapsed) => reason == "LAPSED",
            // Its caller had taken it, and was lost.
            (_, holdpoint::proto::Use::Taken) => reason == "OUTCOME_RECORDED",
            _ => false,
        };
        assert!(fits, "{reason}: {request:?}");
    }
    let kind = |kind: &str| AuditFilter { kind: kind.to_owned(), ..AuditFilter::default() };
    let restored = clients::entries(&mut clients.history(), kind("restored"), 0).await;
    let [entry] = &restored[..] else { panic!("one entry: {restored:?}") };
    assert!(entry.payload.contains("taken_at"), "{entry:?}");
    let expired = clients::entries(&mut clients.history(), kind("expired"), 0).await;
    assert!(!expired.is_empty());
    for entry in &expired {
        assert!(entry.payload.contains("restored from a backup taken at"), "{entry:?}");
    }
    // It serves as any daemon does.
    let asked = submit(&mut caller, "fresh", call("write", r#"{"fresh":1}"#)).await;
    approve(&mut operator, &asked.id, &asked.digest).await.expect("approved");
    take_use(&mut caller, &asked.id, "fresh", &asked.digest).await.expect("granted");
    daemon.stop().await;
}

async fn unavailable(home: &Home, operator: &mut Operator) {
    home.becomes(NotServing).await;
    let ask = Ask::new("late", call("write", r#"{"late":1}"#)).briefly();
    let status = ask.send(&mut home.clients().caller()).await.expect_err("not acknowledged");
    assert_eq!(
        (status.code(), reason_of(&status).as_str()),
        (Code::Unavailable, "STORE_UNAVAILABLE")
    );
    assert!(status.message().contains("holdpoint restore"), "{status:?}");
    let asked = holdpoint::proto::WhoAmIRequest {};
    let me = operator.who_am_i(asked).await.expect("it answers").into_inner();
    assert!(me.server_state.contains("holdpoint restore"), "{me:?}");
    assert!(home.log().contains("while the daemon runs"), "{}", home.log());
}

#[tokio::test]
async fn restore_over_a_running_daemon() {
    type Spoil = fn(&Path, &Path);
    let by_mv: Spoil = |copy, database| fs::rename(copy, database).expect("moved");
    let by_cp: Spoil = |copy, database| {
        // The same file with other content, as `cp` leaves it.
        fs::write(database, fs::read(copy).expect("read")).expect("written");
    };
    for spoil in [by_mv, by_cp] {
        let home = Home::new();
        let daemon = home.start().await;
        let (mut caller, mut operator) = (home.clients().caller(), home.clients().operator());
        let asked = submit(&mut caller, "one", call("write", "{}")).await;
        approve(&mut operator, &asked.id, &asked.digest).await.expect("approved");
        let copy = home.beside("copy.db");
        done(cli(&home, &["backup", path(&copy)]));
        take_use(&mut caller, &asked.id, "one", &asked.digest).await.expect("granted, once");
        // Properly, it is refused, and changes nothing.
        refused(&cli(&home, &["restore", path(&copy)]), &["another holdpoint daemon runs"]);
        let plan = done(cli(&home, &["restore", "--dry-run", path(&copy)]));
        assert!(plan.contains("1 unused approval will lapse"), "{plan}");
        assert!(plan.contains("not in the copy: entries"), "{plan}");
        assert!(plan.contains("holdpoint audit export --first"), "{plan}");
        assert_eq!(get(&mut operator, &asked.id).await.status(), Status::Approved);
        // By hand, it is noticed.
        spoil(&copy, &home.database());
        unavailable(&home, &mut operator).await;
        daemon.stop().await;
        // What is in place now is a copy, and what was used stays used.
        let daemon = home.start().await;
        let refused = take_use(&mut home.clients().caller(), &asked.id, "one", &asked.digest).await;
        assert_eq!(reason_of(&refused.expect_err("not again")), "LAPSED");
        verify(&mut home.clients().history()).await;
        daemon.stop().await;
    }
}

#[tokio::test]
async fn a_restored_database_takes_the_place_of_the_one_that_was_there() {
    let home = Home::new();
    let daemon = home.start().await;
    let mut caller = home.clients().caller();
    let first = submit(&mut caller, "one", call("write", r#"{"n":1}"#)).await;
    let copy = home.beside("copy.db");
    done(cli(&home, &["backup", path(&copy)]));
    let second = submit(&mut caller, "two", call("write", r#"{"n":2}"#)).await;
    daemon.kill();
    refused(&cli(&home, &["backup", path(&copy)]), &["is there already", "--force"]);
    refused(&cli(&home, &["backup", "-"]), &["standard output"]);
    refused(&cli(&home, &["backup", path(&home.database()), "--force"]), &["own database"]);
    // Raw copies, damaged files and others are told apart.
    let raw = home.beside("raw.db");
    done(cli(&home, &["backup", "--force", path(&copy)]));
    fs::copy(&copy, &raw).expect("copied");
    let mut bytes = fs::read(&raw).expect("read");
    let half = bytes.len() / 2;
    bytes[half..half + 4000].fill(1);
    fs::write(&raw, bytes).expect("written");
    refused(&cli(&home, &["restore", path(&raw)]), &["damaged", "older copy"]);
    fs::write(&raw, "no database").expect("written");
    refused(&cli(&home, &["restore", path(&raw)]), &["raw.db"]);
    refused(&cli(&home, &["restore", path(&home.beside("none"))]), &["there is no database"]);
    refused(&cli(&home, &["restore", path(&home.database())]), &["own database"]);
    assert_eq!(leftovers(&home), [] as [String; 0]);

    let told = done(cli(&home, &["restore", path(&copy)]));
    assert!(told.contains("2 pending requests will expire"), "{told}");
    let kept = told.split("is kept as ").nth(1).expect("a name").trim().to_owned();
    refused(&cli(&home, &["restore", &kept]), &["not marked as a copy", "--unmarked"]);
    let daemon = home.start().await;
    let mut operator = home.clients().operator();
    for asked in [&first, &second] {
        assert_eq!(get(&mut operator, &asked.id).await.status(), Status::Expired);
    }
    daemon.stop().await;
    let told = done(cli(&home, &["restore", "--unmarked", &kept]));
    assert!(told.contains("2 pending requests will expire"), "{told}");
    let daemon = home.start().await;
    assert_eq!(get(&mut home.clients().operator(), &second.id).await.status(), Status::Expired);
    verify(&mut home.clients().history()).await;
    daemon.stop().await;
}

#[tokio::test]
async fn what_is_older_than_retention_is_erased_and_every_reader_verifies() {
    let mut home = Home::new();
    let daemon = home.start().await;
    let mut caller = home.clients().caller();
    let asked = submit(&mut caller, "old", call("write", r#"{"word":"zebrafish"}"#)).await;
    clients::withdraw(&mut caller, &asked.id).await.expect("withdrawn");
    daemon.stop().await;
    home.set("HOLDPOINT_RETENTION", "2d");
    if !super::trouble::shift_clock(&mut home, "+3d") {
        return;
    }
    let daemon = home.start().await;
    submit(&mut home.clients().caller(), "new", call("write", "{}")).await;
    let erased = || AuditFilter { kind: "erased".to_owned(), ..AuditFilter::default() };
    wait_for("old entries to be erased", || async {
        let mut history = home.clients().history();
        let recorded = !clients::entries(&mut history, erased(), 0).await.is_empty();
        let database = [home.database(), home.state.join("holdpoint.db-wal")];
        let gone = database.iter().all(|file| {
            let bytes = fs::read(file).unwrap_or_default();
            !bytes.windows(9).any(|word| word == b"zebrafish")
        });
        (recorded && gone).then_some(())
    })
    .await;
    let whole = verify(&mut home.clients().history()).await;
    assert!(whole.erased >= 4, "{whole:?}");
    let file = home.beside("history.jsonl");
    done(cli(&home, &["audit", "export", path(&file)]));
    let said = done(cli(&home, &["audit", "verify", path(&file)]));
    assert!(said.contains("of them erased by age"), "{said}");
    // By code that knows only the documented format.
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/foreign");
    let script = "import sys, chain\nfound = chain.verify(open(sys.argv[1], 'rb').read())\n\
                  assert not chain.unrecorded(found)\n\
                  print(sum(payload is None for _, _, payload in found))";
    let python = std::process::Command::new("python3")
        .args(["-c", script, path(&file)])
        .current_dir(folder)
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .output()
        .expect("python3 runs");
    assert_eq!(done(python).trim(), whole.erased.to_string());
    daemon.stop().await;
}

/// Half files that somebody could take for whole ones.
fn leftovers(home: &Home) -> Vec<String> {
    let names = |folder: &Path| -> Vec<String> {
        let entries = fs::read_dir(folder).expect("listed");
        entries.map(|e| e.expect("an entry").file_name().to_string_lossy().into_owned()).collect()
    };
    let beside = home.beside("x");
    let mut all = names(&home.state);
    all.extend(names(beside.parent().expect("a folder")));
    all.retain(|name| name.ends_with(".part"));
    all
}

#[tokio::test]
async fn a_full_disk_leaves_no_half_copy() {
    let home = Home::new();
    let daemon = home.start().await;
    let mut caller = home.clients().caller();
    let long = format!(r#"{{"text":"{}"}}"#, "word ".repeat(40_000));
    for n in 0..8 {
        submit(&mut caller, &format!("{n}"), call(&format!("t{n}"), &long)).await;
    }
    let folder = home.beside("small");
    fs::create_dir(&folder).expect("a folder");
    let Some(_disk) = SmallDisk::on(&folder, "1m") else { return };
    let copy = folder.join("copy.db");
    refused(&cli(&home, &["backup", path(&copy)]), &["are free", "another disk"]);
    assert_eq!(fs::read_dir(&folder).expect("listed").count(), 0);
    daemon.stop().await;
}
