//! What whoever runs the daemon sees of it: metrics, health, logs; and what
//! happens when they look slowly or not at all.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::time::{Duration, Instant};

use holdpoint::proto;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tonic_health::pb::health_check_response::ServingStatus;

use super::support::clients::{Caller, Operator, decide, entries, report, withdraw};
use super::support::daemon::token;
use super::support::pages::{self, Page, monitor};
use super::support::{
    Ask, Home, approve, call, deny, get, hold, reason_of, submit, take_use, wait_for,
};

/// A port of its own for each test.
const METRICS: &str = "metrics_listen = \"127.0.0.1:0\"\n";

fn numbered(n: usize) -> proto::Call {
    call("write", &format!(r#"{{"n":{n}}}"#))
}

/// One call, from its request to its outcome.
async fn live(caller: &mut Caller, operator: &mut Operator, call_id: &str, call: proto::Call) {
    let asked = submit(caller, call_id, call).await;
    approve(operator, &asked.id, &asked.digest).await.expect("approved");
    take_use(caller, &asked.id, call_id, &asked.digest).await.expect("granted");
    report(caller, &asked.id, call_id, proto::Outcome::Succeeded).await.expect("reported");
}

#[tokio::test]
async fn what_is_counted_is_what_the_history_says() {
    let home = Home::with_config(METRICS);
    let daemon = home.start().await;
    let at = monitor(&home).await;
    let clients = home.clients();
    let (mut caller, mut operator) = (clients.caller(), clients.operator());
    let expires = Ask::new("0", numbered(0)).briefly().timeout_ms(5000).send(&mut caller).await;
    let expires = expires.expect("held").id;
    live(&mut caller, &mut operator, "1", numbered(1)).await;
    let denied = submit(&mut caller, "2", numbered(2)).await;
    deny(&mut operator, &denied.id, &denied.digest).await.expect("denied");
    let again = Ask::new("2b", numbered(2)).briefly().send(&mut caller).await.expect("answered");
    assert_eq!(again.status(), proto::Status::Denied);
    let withdrawn = submit(&mut caller, "3", numbered(3)).await;
    withdraw(&mut caller, &withdrawn.id).await.expect("withdrawn");
    let lapsed = submit(&mut caller, "4", numbered(4)).await;
    approve(&mut operator, &lapsed.id, &lapsed.digest).await.expect("approved");
    withdraw(&mut caller, &lapsed.id).await.expect("given up");
    submit(&mut caller, "5", numbered(5)).await;
    submit(&mut caller, "5b", numbered(5)).await;
    let unknown = submit(&mut caller, "6", numbered(6)).await;
    approve(&mut operator, &unknown.id, &unknown.digest).await.expect("approved");
    take_use(&mut caller, &unknown.id, "6", &unknown.digest).await.expect("granted");
    report(&mut caller, &unknown.id, "6", proto::Outcome::Unknown).await.expect("reported");
    let refused = take_use(&mut caller, &unknown.id, "6", &unknown.digest).await;
    assert_eq!(reason_of(&refused.expect_err("once")), "OUTCOME_RECORDED");
    let (_, waiting) = hold(&caller, &mut operator, "7", numbered(7)).await;
    let watching = operator.watch_requests(proto::WatchRequestsRequest {}).await.expect("watched");
    let mut nobody = clients.operator_without_token();
    let refused = nobody.get_request(proto::GetRequestRequest::default()).await;
    assert_eq!(reason_of(&refused.expect_err("no token")), "NO_TOKEN");
    let bad = proto::RecordCallsRequest { calls: vec![proto::RecordedCall::default()] };
    let refused = caller.record_calls(bad).await.expect_err("nothing in it");
    assert_eq!(reason_of(&refused), "INVALID_FIELD");
    let also = &operator;
    wait_for("one to expire", || async {
        let found = get(&mut also.clone(), &expires).await;
        (found.status() == proto::Status::Expired).then_some(())
    })
    .await;
    // A commit can be read a moment before it is counted.
    let page = wait_for("the last of it to be counted", || async {
        let page = pages::get(&at, "/metrics").await;
        (page.value("holdpoint_requests_ended_total{status=\"expired\"}") > 0.0).then_some(page)
    })
    .await;

    assert!(page.head.contains("content-type: text/plain; version=0.0.4"), "{}", page.head);
    let mut kinds: BTreeMap<String, f64> = BTreeMap::new();
    let all = entries(&mut clients.history(), proto::AuditFilter::default(), 0).await;
    for entry in &all {
        *kinds.entry(entry.kind.clone()).or_default() += 1.0;
    }
    for (series, kind) in [
        ("holdpoint_requests_total", "requested"),
        ("holdpoint_requests_resumed_total", "resumed"),
        ("holdpoint_requests_ended_total{status=\"approved\"}", "approved"),
        ("holdpoint_requests_ended_total{status=\"denied\"}", "denied"),
        ("holdpoint_requests_ended_total{status=\"expired\"}", "expired"),
        ("holdpoint_requests_ended_total{status=\"withdrawn\"}", "withdrawn"),
        ("holdpoint_denials_repeated_total", "denial_repeated"),
        ("holdpoint_decisions_total{verdict=\"approve\",strength=\"local\"}", "approved"),
        ("holdpoint_decisions_total{verdict=\"deny\",strength=\"local\"}", "denied"),
        ("holdpoint_uses_granted_total", "use_granted"),
        ("holdpoint_uses_lapsed_total", "use_lapsed"),
        ("holdpoint_outcomes_total{outcome=\"succeeded\"}", "outcome_reported"),
        ("holdpoint_outcomes_total{outcome=\"unknown\"}", "outcome_unknown"),
    ] {
        let recorded = kinds.get(kind).copied().unwrap_or_default();
        assert!(recorded > 0.0, "nothing of {kind} happened here");
        assert_eq!(page.value(series), recorded, "{series}");
    }
    for (series, value) in [
        ("holdpoint_pending_requests", 2.0),
        ("holdpoint_held_calls", 1.0),
        ("holdpoint_watchers", 1.0),
        ("holdpoint_connections_known", 1.0),
        ("holdpoint_connections_closed_total{why=\"refused\"}", 0.0),
        ("holdpoint_time_to_decision_seconds_count", kinds["approved"] + kinds["denied"]),
        ("holdpoint_refusals_total{reason=\"OUTCOME_RECORDED\"}", 1.0),
        ("holdpoint_refusals_total{reason=\"NO_TOKEN\"}", 1.0),
        ("holdpoint_refusals_total{reason=\"INVALID_FIELD\"}", 1.0),
        ("holdpoint_refusals_total{reason=\"TRANSPORT\"}", 0.0),
        ("holdpoint_refusals_total{reason=\"NOT_FOUND\"}", 0.0),
        ("holdpoint_store_failing", 0.0),
        ("holdpoint_clock_in_doubt", 0.0),
        ("holdpoint_log_lines_dropped_total", 0.0),
    ] {
        assert_eq!(page.value(series), value, "{series}");
    }
    // Mails were sent between that page and these entries.
    wait_for("all of it to be counted", || async {
        let later = pages::get(&at, "/metrics").await;
        (later.value("holdpoint_audit_sequence") >= all.len() as f64).then_some(())
    })
    .await;
    assert!(page.value("holdpoint_store_commit_seconds_count") > 10.0);
    assert!(page.value("holdpoint_database_size_bytes") > 1000.0);
    assert!(page.value("process_open_fds") > 10.0);
    drop((watching, waiting));
    wait_for("the watcher's leaving to be seen", || async {
        (pages::get(&at, "/metrics").await.value("holdpoint_watchers") == 0.0).then_some(())
    })
    .await;
    daemon.stop().await;
}

#[tokio::test]
async fn mails_are_counted_and_the_queue_is_read_from_the_store() {
    let home = Home::with_config(METRICS);
    // A file where the folder of mails would be: none can be written.
    fs::write(home.state.join("mail"), "in its place").expect("written");
    let daemon = home.start().await;
    let at = monitor(&home).await;
    // A mail about it should go within the fifth part of this.
    let asking = Ask::new("1", numbered(1)).briefly().timeout_ms(20_000);
    asking.send(&mut home.clients().caller()).await.expect("held");
    let deferred = "holdpoint_mails_total{result=\"deferred\"}";
    let seen = |page: Page| {
        let queued = page.value("holdpoint_mail_queue") == 1.0;
        let late = page.value("holdpoint_mail_overdue_seconds") > 0.0;
        (queued && late && page.value(deferred) >= 1.0).then_some(())
    };
    wait_for("a mail to be late", || async { seen(pages::get(&at, "/metrics").await) }).await;
    fs::remove_file(home.state.join("mail")).expect("out of the way");
    wait_for("the mail to be sent", || async {
        let page = pages::get(&at, "/metrics").await;
        let sent = page.value("holdpoint_mails_total{result=\"sent\"}") == 1.0;
        (sent && page.value("holdpoint_mail_queue") == 0.0).then_some(())
    })
    .await;
    daemon.stop().await;
}

#[tokio::test]
async fn ready_only_while_the_store_writes_and_the_reason_is_told() {
    let home = Home::with_config(METRICS);
    let daemon = home.start().await;
    let at = monitor(&home).await;
    assert_eq!(pages::get(&at, "/readyz").await.status, 200);
    // Another program holds the database for longer than the daemon waits.
    let other = rusqlite::Connection::open(home.database()).expect("opened");
    other.execute_batch("BEGIN IMMEDIATE").expect("locked");
    let asking = Ask::new("1", numbered(1)).briefly();
    let refused = asking.send(&mut home.clients().caller()).await.expect_err("locked");
    assert_eq!(reason_of(&refused), "STORE_UNAVAILABLE", "{refused:?}");
    let page = pages::get(&at, "/readyz").await;
    assert_eq!(page.status, 503);
    assert!(page.body.contains("locked") && page.body.lines().count() == 1, "{page:?}");
    assert_eq!(pages::get(&at, "/livez").await.status, 200);
    let metrics = pages::get(&at, "/metrics").await;
    assert_eq!(metrics.value("holdpoint_store_failing"), 1.0);
    assert!(metrics.value("holdpoint_store_commit_failures_total") >= 1.0);
    drop(other);
    home.becomes(ServingStatus::Serving).await;
    assert_eq!(pages::get(&at, "/readyz").await.status, 200);
    assert_eq!(pages::get(&at, "/metrics").await.value("holdpoint_store_failing"), 0.0);
    let log = home.log();
    assert_eq!(log.matches("nothing runs until it can").count(), 1, "{log}");
    assert!(log.contains("the store writes again"), "{log}");
    daemon.stop().await;
}

#[tokio::test]
async fn readers_of_metrics_that_stall_hold_nothing_up() {
    let home = Home::with_config(METRICS);
    let daemon = home.start().await;
    let at = monitor(&home).await;
    let (mut caller, mut operator) = (home.clients().caller(), home.clients().operator());
    live(&mut caller, &mut operator, "first", numbered(0)).await;
    let before = pages::get(&at, "/metrics").await.value("process_open_fds");
    let mut stalled = Vec::new();
    for n in 0..100 {
        let mut stream = TcpStream::connect(&at).await.expect("connected");
        // Half a request, a whole one whose answer nobody reads, nothing at all.
        let said: &[u8] = match n % 3 {
            0 => b"GET /metrics HTTP/1.1\r\nhos",
            1 => b"GET /metrics HTTP/1.1\r\nhost: x\r\n\r\n",
            _ => b"",
        };
        // One that was sent away for a newer one may notice already.
        let _ = stream.write_all(said).await;
        stalled.push(stream);
    }
    for n in 0..20 {
        live(&mut caller, &mut operator, &format!("c{n}"), numbered(n + 1)).await;
    }
    let began = Instant::now();
    let page = pages::get(&at, "/metrics").await;
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    assert_eq!(page.value("holdpoint_uses_granted_total"), 21.0);
    let more = page.value("process_open_fds") - before;
    assert!(more <= 24.0, "{more} more descriptors are open");
    // And all of them end by themselves, the newest too.
    let last = stalled.last_mut().expect("there are some");
    let ended = tokio::time::timeout(Duration::from_secs(30), last.read(&mut [0; 64])).await;
    assert!(matches!(ended.expect("it ends"), Ok(0) | Err(_)));
    daemon.stop().await;
}

#[tokio::test]
async fn a_reader_of_the_log_that_stalls_holds_nothing_up() {
    let mut home = Home::with_config(METRICS);
    // Everything that there is to say, which fills a pipe in no time.
    home.set("HOLDPOINT_LOG", "trace");
    let (mut reader, writer) = std::io::pipe().expect("a pipe");
    let daemon = home.serves(home.spawn_logging_to(writer)).await;
    let mut begun = vec![0; 4096];
    let mut said = String::new();
    while !said.contains("/metrics\"") {
        let n = reader.read(&mut begun).expect("the log begins");
        said.push_str(&String::from_utf8_lossy(&begun[..n]));
    }
    let (_, address) = said.rsplit_once("\"metrics\":\"http://").expect("the address");
    let at = address.split_once("/metrics\"").expect("its end").0.to_owned();
    // From here on, nobody reads.
    let work = async {
        let (mut caller, mut operator) = (home.clients().caller(), home.clients().operator());
        let mut lives = 0;
        while pages::get(&at, "/metrics").await.value("holdpoint_log_lines_dropped_total") == 0.0 {
            live(&mut caller, &mut operator, &format!("c{lives}"), numbered(lives)).await;
            lives += 1;
        }
        // It is full now; all goes on.
        for n in lives..lives + 20 {
            live(&mut caller, &mut operator, &format!("c{n}"), numbered(n)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(120), work).await.expect("nothing hangs");
    let began = Instant::now();
    daemon.stop().await;
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    drop(reader);
}

/// Words that a person, an agent or a program sends, and that no log may hold.
const SECRETS: [&str; 9] = [
    "argument-marker",
    "explanation-marker",
    "label-marker",
    "approval-marker",
    "denial-marker",
    "withdrawal-marker",
    "outcome-marker",
    "hp_caller-one",
    "hp_alice",
];

#[tokio::test]
async fn no_argument_reason_or_token_is_in_the_log_at_any_level() {
    let mut home = Home::team(&["caller-one"], &["alice"], METRICS);
    // What the libraries say is in it too.
    home.set("HOLDPOINT_LOG", "trace");
    let daemon = home.start().await;
    let clients = home.clients();
    let (mut caller, mut operator) =
        (clients.caller_named("caller-one"), clients.operator_named("alice"));
    assert_eq!(token("alice"), "hp_alice");
    let call = |n: usize| proto::Call {
        explanation: "explanation-marker".to_owned(),
        labels: [("k".to_owned(), "label-marker".to_owned())].into(),
        tool: "tool\nwith a line end \u{202e}and more".to_owned(),
        ..numbered_marker(n)
    };
    let asked = submit(&mut caller, "1", call(1)).await;
    decide_with(&mut operator, &asked, proto::Verdict::Approve, "approval-marker").await;
    take_use(&mut caller, &asked.id, "1", &asked.digest).await.expect("granted");
    let outcome = proto::ReportOutcomeRequest {
        id: asked.id.clone(),
        call_id: "1".to_owned(),
        outcome: proto::Outcome::Failed.into(),
        detail: "outcome-marker".to_owned(),
    };
    caller.report_outcome(outcome).await.expect("reported");
    let denied = submit(&mut caller, "2", call(2)).await;
    decide_with(&mut operator, &denied, proto::Verdict::Deny, "denial-marker").await;
    Ask::new("2b", call(2)).briefly().send(&mut caller).await.expect("answered");
    let withdrawn = submit(&mut caller, "3", call(3)).await;
    let reason = "withdrawal-marker".to_owned();
    let back = proto::WithdrawApprovalRequest { id: withdrawn.id.clone(), reason };
    caller.withdraw_approval(back).await.expect("withdrawn");
    // What is refused is not told either.
    decide(&mut operator, &withdrawn.id, proto::Verdict::Approve, &withdrawn.digest)
        .await
        .expect_err("withdrawn");
    let duplicate =
        proto::Call { arguments: br#"{"a":"argument-marker","a":1}"#.to_vec(), ..call(4) };
    Ask::new("4", duplicate).briefly().send(&mut caller).await.expect_err("not one thing");
    daemon.stop().await;

    let log = home.log();
    for secret in SECRETS {
        assert!(!log.contains(secret), "{secret} is in the log:\n{log}");
    }
    // What should be there is: each step of a life, under its id, each on a line.
    for (id, word) in [
        (&asked.id, "\"held\""),
        (&asked.id, "\"approved\""),
        (&asked.id, "\"alice\""),
        (&asked.id, "use granted"),
        (&asked.id, "\"failed\""),
        (&denied.id, "\"denied\""),
        (&denied.id, "asked again"),
        (&withdrawn.id, "withdrawn"),
    ] {
        let told = log.lines().any(|line| line.contains(id.as_str()) && line.contains(word));
        assert!(told, "{word} is not told of {id}:\n{log}");
    }
    assert!(log.contains("tool⟨\\\\n⟩with a line end ⟨U+202E⟩and more"), "{log}");
}

fn numbered_marker(n: usize) -> proto::Call {
    call("write", &format!(r#"{{"n":{n},"to":"argument-marker"}}"#))
}

async fn decide_with(
    operator: &mut Operator,
    asked: &proto::ApprovalAnswer,
    verdict: proto::Verdict,
    reason: &str,
) {
    let decision = proto::DecideRequest {
        id: asked.id.clone(),
        verdict: verdict.into(),
        reason: reason.to_owned(),
        digest: asked.digest.clone(),
    };
    operator.decide(decision).await.expect("decided");
}
