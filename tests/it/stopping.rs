//! The daemon is told to stop while it is busy.
//!
//! It ends within the time that it states, those who wait hear that they should
//! come back, and everything that was acknowledged is there after the restart.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use holdpoint::daemon::STOP_WITHIN;
use holdpoint::proto::{self, Status};
use rusqlite::Connection;
use tokio::task::JoinSet;
use tonic::Code;

use super::support::clients::{self, verify};
use super::support::daemon::Daemon;
use super::support::{Ask, Home, approve, call, get, hold, reason_of, submit, wait_for};

/// For the process to begin and end on a busy machine.
const SLACK: Duration = Duration::from_secs(3);

/// Asks it to stop and waits; it has to end in its time.
async fn stop_in_time(daemon: Daemon<'_>) -> (std::process::ExitStatus, Duration) {
    daemon.terminate();
    let began = Instant::now();
    let status = daemon.ended().await;
    let took = began.elapsed();
    assert!(took < STOP_WITHIN + SLACK, "it took {took:?}");
    (status, took)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stop_during_ten_thousand_holds() {
    const HELD: usize = 10_000;
    let mut home = Home::team(&["proxy"], &["alice"], "");
    home.set("HOLDPOINT_LOG", "warn");
    let daemon = home.start().await;
    let connections: Vec<_> = (0..4).map(|_| home.clients()).collect();
    let ask = |n: usize| Ask::new(&format!("{n}"), call("write", &format!(r#"{{"n":{n}}}"#)));
    let mut waiting = JoinSet::new();
    for n in 0..HELD {
        let mut caller = connections[n % connections.len()].caller_named("proxy");
        let ask = ask(n);
        waiting.spawn(async move { ask.send(&mut caller).await });
    }
    let requested = proto::AuditFilter { kind: "requested".to_owned(), ..Default::default() };
    let history = home.clients().history_named("auditor");
    let before: BTreeMap<String, String> = wait_for("all of them to be held", || async {
        let found = clients::entries(&mut history.clone(), requested.clone(), 0).await;
        let named = |entry: proto::AuditEntry| (entry.payload, entry.request_id);
        (found.len() == HELD).then(|| found.into_iter().map(named).collect())
    })
    .await;
    let (status, took) = stop_in_time(daemon).await;
    assert!(status.success(), "{status:?}\n{}", home.log());
    for answer in waiting.join_all().await {
        let sent_away = answer.expect_err("stopped");
        let told = (sent_away.code(), reason_of(&sent_away));
        let expected = (Code::Unavailable, "SHUTTING_DOWN".to_owned());
        assert_eq!(told, expected, "it ended within {took:?}; {sent_away:?}\n{}", home.log());
    }
    println!("{HELD} were sent away, and the daemon ended, in {took:?}");
    let daemon = home.start().await;
    let mut caller = home.clients().caller_named("proxy");
    let mut history = home.clients().history_named("auditor");
    let after = clients::entries(&mut history, requested, 0).await;
    assert!(after.iter().all(|entry| before.get(&entry.payload) == Some(&entry.request_id)));
    assert_eq!(after.len(), HELD);
    for n in (0..HELD).step_by(97) {
        let again = ask(n).briefly().send(&mut caller).await.expect("taken");
        assert_eq!(again.status(), Status::Pending);
        assert!(before.values().any(|id| *id == again.id), "a new request for {n}");
    }
    verify(&mut history).await;
    daemon.stop().await;
}

/// Submits one after the other until the daemon does not take any more; what was acknowledged.
async fn submit_until_it_stops(mut caller: clients::Caller, of: usize) -> Vec<(String, String)> {
    let mut taken = Vec::new();
    loop {
        let call_id = format!("{of}-{}", taken.len());
        let ask = Ask::new(&call_id, call("write", &format!(r#"{{"n":"{call_id}"}}"#))).briefly();
        match ask.send(&mut caller).await {
            Ok(answer) => taken.push((call_id, answer.id)),
            Err(_) => return taken,
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stop_during_commits_loses_nothing_that_was_acknowledged() {
    let home = Home::new();
    let daemon = home.start().await;
    let mut asking = JoinSet::new();
    for of in 0..32 {
        asking.spawn(submit_until_it_stops(home.clients().caller(), of));
    }
    let history = home.clients().history();
    wait_for("commits to be under way", || async {
        let asked = proto::AuditFilter { kind: "requested".to_owned(), ..Default::default() };
        (clients::entries(&mut history.clone(), asked, 0).await.len() > 200).then_some(())
    })
    .await;
    let (status, _) = stop_in_time(daemon).await;
    assert!(status.success(), "{status:?}\n{}", home.log());
    let taken: Vec<_> = asking.join_all().await.into_iter().flatten().collect();
    let daemon = home.start().await;
    let (mut caller, mut operator) = (home.clients().caller(), home.clients().operator());
    for (call_id, id) in &taken {
        assert_eq!(get(&mut operator, id).await.status(), Status::Pending);
        let ask = Ask::new(call_id, call("write", &format!(r#"{{"n":"{call_id}"}}"#))).briefly();
        let again = ask.send(&mut caller).await.expect("the same call id resumes");
        assert_eq!(again.id, *id);
    }
    verify(&mut home.clients().history()).await;
    println!("{} were acknowledged before the daemon stopped", taken.len());
    daemon.stop().await;
}

#[tokio::test]
async fn stop_while_no_commit_is_possible_ends_in_its_time_all_the_same() {
    let home = Home::new();
    let daemon = home.start().await;
    let mut caller = home.clients().caller();
    let before = submit(&mut caller, "before", call("write", "{}")).await;
    let other = Connection::open(home.database()).expect("opened");
    other.execute_batch("BEGIN EXCLUSIVE").expect("locked");
    let mut asking = caller.clone();
    let during = tokio::spawn(async move {
        Ask::new("during", call("write", r#"{"n":1}"#)).send(&mut asking).await
    });
    // The commit has begun when somebody waits for the database's lock.
    tokio::time::sleep(Duration::from_millis(300)).await;
    let (status, took) = stop_in_time(daemon).await;
    println!("{status:?} after {took:?}\n{}", home.log());
    let refused = during.await.expect("the task").expect_err("not taken");
    let told = (refused.code(), reason_of(&refused));
    assert_eq!(told, (Code::Unavailable, "SHUTTING_DOWN".to_owned()), "{refused:?}");
    other.execute_batch("ROLLBACK").expect("unlocked");
    let daemon = home.start().await;
    let (mut caller, mut operator) = (home.clients().caller(), home.clients().operator());
    assert_eq!(get(&mut operator, &before.id).await.status(), Status::Pending);
    submit(&mut caller, "during", call("write", r#"{"n":1}"#)).await;
    verify(&mut home.clients().history()).await;
    daemon.stop().await;
}

/// A mail server that takes a letter up to DATA, and then says nothing more.
fn hangs_at_data() -> (SocketAddr, std::sync::mpsc::Receiver<TcpStream>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("bound");
    let address = listener.local_addr().expect("an address");
    let (reached, hangs) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let reached = reached.clone();
            std::thread::spawn(move || talk(stream, &reached));
        }
    });
    (address, hangs)
}

fn talk(stream: TcpStream, reached: &std::sync::mpsc::Sender<TcpStream>) {
    let mut answer = stream.try_clone().expect("a second handle");
    let _ = answer.write_all(b"220 mail\r\n");
    for line in BufReader::new(&stream).lines().map_while(Result::ok) {
        if line.starts_with("DATA") {
            let _ = reached.send(stream.try_clone().expect("a handle"));
            // Until the other side gives up.
            let _ = std::io::copy(&mut &stream, &mut std::io::sink());
            return;
        }
        let said: &[u8] = if line.starts_with("QUIT") { b"221 bye\r\n" } else { b"250 ok\r\n" };
        let _ = answer.write_all(said);
    }
}

fn with_mail(server: SocketAddr) -> String {
    use super::support::daemon::identity;
    format!("smtp_url = \"smtp://{server}\"\nfrom = \"h@example.com\"\n")
        + &identity("callers", "proxy", "")
        + &identity("operators", "alice", "email = \"alice@example.com\"")
        + &identity("operators", "auditor", "roles = [\"auditor\"]")
}

/// A daemon in the middle of a mail that does not get on.
async fn in_a_mail(
    home: &Home,
    hangs: std::sync::mpsc::Receiver<TcpStream>,
) -> (Daemon<'_>, String) {
    let daemon = home.start().await;
    let mut alice = home.clients().operator_named("alice");
    let caller = home.clients().caller_named("proxy");
    let (id, waiting) = hold(&caller, &mut alice, "one", call("write", "{}")).await;
    let reached = tokio::task::spawn_blocking(move || hangs.recv_timeout(Duration::from_secs(30)));
    reached.await.expect("the task").expect("a mail is under way");
    drop(waiting);
    (daemon, id)
}

#[tokio::test]
async fn stop_during_a_mail_ends_in_its_time_and_the_mail_goes_out_later() {
    let (server, hangs) = hangs_at_data();
    let home = Home::with_config(&with_mail(server));
    let (daemon, id) = in_a_mail(&home, hangs).await;
    let (status, took) = stop_in_time(daemon).await;
    assert!(status.success(), "{status:?} after {took:?}\n{}", home.log());
    // Without a server mails become files, and the letter is still to be sent.
    let files = with_mail(server).split_once("\n[[").map(|(_, rest)| format!("[[{rest}"));
    home.configure(&files.expect("identities"));
    let daemon = home.start().await;
    let mut alice = home.clients().operator_named("alice");
    let asked = alice.clone();
    wait_for("the mail to go out", || async {
        let notices = get(&mut asked.clone(), &id).await.notices;
        notices.iter().any(|notice| notice.state == "sent").then_some(())
    })
    .await;
    let caller = home.clients().caller_named("proxy");
    let (again, waiting) = hold(&caller, &mut alice, "one", call("write", "{}")).await;
    assert_eq!(again, id);
    let digest = get(&mut alice, &id).await.digest;
    approve(&mut alice, &id, &digest).await.expect("approved");
    assert_eq!(waiting.await.expect("the task").expect("an answer").status(), Status::Approved);
    daemon.stop().await;
}

#[tokio::test]
async fn a_second_signal_ends_the_daemon_at_once() {
    let (server, hangs) = hangs_at_data();
    let home = Home::with_config(&with_mail(server));
    let (daemon, id) = in_a_mail(&home, hangs).await;
    daemon.terminate();
    wait_for("the first one to be heard", || async {
        home.log().contains("stopping: those who wait").then_some(())
    })
    .await;
    daemon.terminate();
    let began = Instant::now();
    let status = daemon.ended().await;
    // The mail would have had five seconds.
    assert!(began.elapsed() < Duration::from_secs(4), "{:?}", began.elapsed());
    assert_eq!(status.code(), Some(1));
    assert!(home.log().contains("second signal"), "{}", home.log());
    let daemon = home.start().await;
    let mut alice = home.clients().operator_named("alice");
    assert_eq!(get(&mut alice, &id).await.status(), Status::Pending);
    daemon.kill();
}
