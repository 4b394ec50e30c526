//! Whether people were reached: who looked, and what is told when nobody comes.

use std::net::TcpListener;
use std::process::Stdio;
use std::time::{Duration, Instant};

use holdpoint::proto::{self, watch_event::Event};

use super::support::clients::{Caller, History, Operator, entries, kinds};
use super::support::daemon::{cli_as, identity};
use super::support::{Ask, Home, approve, call, deny, get, reason_of, submit, wait_for};

/// A port on which nobody answers.
fn dead_port() -> u16 {
    let free = TcpListener::bind("127.0.0.1:0").expect("a port");
    free.local_addr().expect("its number").port()
}

/// alice and bob, who have addresses, on a mail server that is not there.
fn without_mail_server() -> Home {
    let mut text = format!(
        "smtp_url = \"smtp://127.0.0.1:{}\"\nfrom = \"holdpoint@example.com\"\n",
        dead_port()
    );
    text += &identity("callers", "proxy", "");
    for name in ["alice", "bob"] {
        text += &identity("operators", name, &format!("email = \"{name}@example.com\""));
    }
    text += &identity("operators", "auditor", "roles = [\"auditor\", \"admin\"]");
    Home::with_config(&text)
}

/// How the caller's request stands.
async fn glance(caller: &mut Caller, id: &str) -> proto::ApprovalAnswer {
    let asked = proto::AwaitApprovalRequest { id: id.to_owned(), max_wait_ms: 1 };
    caller.await_approval(asked).await.expect("an answer").into_inner()
}

/// Waits until this kind of thing has happened to a request; all that has.
async fn happened(history: &History, id: &str, kind: &str) -> Vec<String> {
    wait_for(kind, || async {
        let all = kinds(&mut history.clone(), id).await;
        all.iter().any(|one| one == kind).then_some(all)
    })
    .await
}

/// A request as the list has it: that is no look.
async fn listed(operator: &mut Operator) -> proto::Request {
    let page = operator.list_pending(proto::ListPendingRequest::default()).await;
    page.expect("a page").into_inner().requests.remove(0)
}

#[tokio::test]
async fn nobody_is_coming_is_said_to_everyone() {
    let home = without_mail_server();
    let _daemon = home.start().await;
    let clients = home.clients();
    let (mut caller, mut alice) = (clients.caller_named("proxy"), clients.operator_named("alice"));
    let history = clients.history_named("auditor");
    let mut watching =
        alice.watch_requests(proto::WatchRequestsRequest {}).await.expect("watching").into_inner();

    let request = ["request", "--server", "kv", "--tool", "write", "--timeout", "10s"];
    let mut asking = cli_as(&home, "proxy", &request);
    let asking = asking.stderr(Stdio::piped()).spawn().expect("the command runs");
    let began = Instant::now();
    let event = loop {
        let event = watching.message().await.expect("an event").expect("more of them");
        if event.kind == "nobody_reached" {
            break event;
        }
    };
    assert!(began.elapsed() >= Duration::from_secs(1), "not before a fifth of the time");
    let Some(Event::Request(told)) = event.event else { panic!("{event:?}") };
    assert!(!told.unreached_at.is_empty() && !told.unreached_why.is_empty(), "{told:?}");

    // To those who are asked, to the caller, to the history, to the log.
    assert_eq!(listed(&mut alice).await.unreached_why, told.unreached_why);
    let answer = glance(&mut caller, &told.id).await;
    assert!(answer.nobody_reached && answer.looked_count == 0, "{answer:?}");
    let filter = proto::AuditFilter { kind: "nobody_reached".to_owned(), ..Default::default() };
    let entry = entries(&mut history.clone(), filter, 0).await.remove(0);
    assert_eq!(entry.request_id, told.id);
    assert!(entry.payload.contains("\"detail\""), "{}", entry.payload);
    let log = home.log();
    let warned = |line: &&str| line.contains("could be reached") && line.contains(&told.id);
    let line = log.lines().find(warned).expect("a warning");
    assert!(line.contains("WARN"), "{line}");
    // The reason may name servers and addresses: not for callers.
    let own = caller.list_my_requests(proto::ListMyRequestsRequest::default()).await;
    let own = own.expect("a page").into_inner().requests.remove(0);
    assert!(own.unreached_why.is_empty() && !own.unreached_at.is_empty(), "{own:?}");

    let ended = asking.wait_with_output().expect("it ends");
    let said = String::from_utf8_lossy(&ended.stderr);
    assert!(said.contains("nobody could be reached by mail yet"), "{said}");
    assert_eq!(ended.status.code(), Some(11), "{said}");
    assert!(said.contains("expired: nobody answered in time; nobody could be reached"), "{said}");
    assert!(!get(&mut alice, &told.id).await.unreached_at.is_empty(), "why it expired is kept");
}

#[tokio::test]
async fn somebody_who_looks_after_all_ends_it_and_is_counted_for_the_caller() {
    let home = without_mail_server();
    let _daemon = home.start().await;
    let clients = home.clients();
    let (mut caller, mut alice) = (clients.caller_named("proxy"), clients.operator_named("alice"));
    let (mut auditor, history) =
        (clients.operator_named("auditor"), clients.history_named("auditor"));
    let ask = Ask::new("one", call("write", "{}")).timeout_ms(300_000).briefly();
    let slow = ask.send(&mut caller).await.expect("held");
    let ask = Ask::new("two", call("write", "{\"n\":2}")).timeout_ms(5_000).briefly();
    let quick = ask.send(&mut caller).await.expect("held");
    happened(&history, &quick.id, "nobody_reached").await;
    get(&mut auditor, &quick.id).await;
    get(&mut alice, &quick.id).await;
    let all = happened(&history, &quick.id, "reached").await;
    assert!(all.ends_with(&["nobody_reached", "looked", "reached"].map(str::to_owned)), "{all:?}");
    let answer = glance(&mut caller, &quick.id).await;
    assert_eq!((answer.nobody_reached, answer.looked_count), (false, 1));
    let answer = glance(&mut caller, &slow.id).await;
    assert_eq!((answer.nobody_reached, answer.looked_count), (false, 0), "its time is longer");
}

#[tokio::test]
async fn a_look_is_recorded_once_and_an_auditors_is_none() {
    let home = Home::team(&["proxy"], &["alice", "bob"], "");
    let _daemon = home.start().await;
    let clients = home.clients();
    let (mut caller, mut alice) = (clients.caller_named("proxy"), clients.operator_named("alice"));
    let (mut bob, mut auditor) = (clients.operator_named("bob"), clients.operator_named("auditor"));
    let history = clients.history_named("auditor");
    let held = submit(&mut caller, "one", call("write", "{}")).await;
    assert!(listed(&mut alice).await.looked.is_empty());
    for _ in 0..3 {
        get(&mut auditor, &held.id).await;
        get(&mut alice, &held.id).await;
    }
    get(&mut bob, &held.id).await;
    let looked = wait_for("two looks", || async {
        let looked = listed(&mut alice.clone()).await.looked;
        (looked.len() == 2).then_some(looked)
    });
    let names: Vec<String> = looked.await.into_iter().map(|look| look.operator).collect();
    assert_eq!(names, ["alice", "bob"]);
    let own = caller.list_my_requests(proto::ListMyRequestsRequest::default()).await;
    let own = own.expect("a page").into_inner().requests.remove(0);
    assert!(own.looked.is_empty(), "callers are told a number only: {own:?}");
    assert_eq!(glance(&mut caller, &held.id).await.looked_count, 2);
    deny(&mut alice, &held.id, &held.digest).await.expect("denied");
    get(&mut bob, &held.id).await;
    // Behind everything that was queued before.
    let other = submit(&mut caller, "two", call("write", "{\"n\":2}")).await;
    approve(&mut alice, &other.id, &other.digest).await.expect("approved");
    let all = kinds(&mut history.clone(), &held.id).await;
    assert_eq!(all.iter().filter(|kind| *kind == "looked").count(), 2, "{all:?}");
}

#[tokio::test]
async fn a_request_is_shown_at_once_while_nothing_can_be_written() {
    let home = Home::team(&["proxy"], &["alice"], "");
    let _daemon = home.start().await;
    let clients = home.clients();
    let (mut caller, mut alice) = (clients.caller_named("proxy"), clients.operator_named("alice"));
    let held = submit(&mut caller, "one", call("write", "{}")).await;
    let stranger = rusqlite::Connection::open(home.database()).expect("opened");
    stranger.execute_batch("BEGIN IMMEDIATE").expect("locked");
    let began = Instant::now();
    for _ in 0..3 {
        assert_eq!(get(&mut alice, &held.id).await.digest, held.digest);
    }
    // The daemon waits five seconds for the lock; nobody waits with it.
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
    assert!(listed(&mut alice).await.looked.is_empty());
    stranger.execute_batch("ROLLBACK").expect("unlocked");
    wait_for("the look to be written", || async {
        (listed(&mut alice.clone()).await.looked.len() == 1).then_some(())
    })
    .await;
}

async fn mails(operator: &mut Operator, state: &str) -> Vec<proto::Mail> {
    let asked = proto::ListMailRequest { state: state.to_owned(), ..Default::default() };
    operator.list_mail(asked).await.expect("a page").into_inner().mails
}

#[tokio::test]
async fn the_mail_queue_says_what_waits_and_an_admin_has_it_tried_again() {
    let home = without_mail_server();
    let _daemon = home.start().await;
    let clients = home.clients();
    let (mut caller, mut alice) = (clients.caller_named("proxy"), clients.operator_named("alice"));
    let (mut admin, history) =
        (clients.operator_named("auditor"), clients.history_named("auditor"));
    let held = submit(&mut caller, "one", call("write", "{}")).await;
    let deferred = wait_for("both mails to be deferred", || async {
        let all = mails(&mut admin.clone(), "waiting").await;
        let notice = |mail: &proto::Mail| mail.notice.clone().unwrap_or_default();
        let done = |mail: &proto::Mail| notice(mail).state == "deferred";
        (all.len() == 2 && all.iter().all(done)).then_some(all)
    })
    .await;
    for mail in &deferred {
        let notice = mail.notice.clone().expect("how it went");
        assert_eq!((&mail.request_id, notice.kind.as_str()), (&held.id, "asked"));
        assert!(!notice.detail.is_empty() && !notice.next_attempt_at.is_empty(), "{notice:?}");
    }
    // Operators see their own.
    let own = mails(&mut alice, "waiting").await;
    assert!(own.len() == 1 && own[0].notice.as_ref().is_some_and(|n| n.operator == "alice"));
    let others = proto::ListMailRequest { operator: "bob".to_owned(), ..Default::default() };
    let refused = alice.list_mail(others).await.expect_err("bob's");
    assert_eq!(reason_of(&refused), "WRONG_ROLE");
    let retry = |id| proto::RetryMailRequest { id };
    let refused = alice.retry_mail(retry(own[0].id)).await.expect_err("no admin");
    assert_eq!(reason_of(&refused), "WRONG_ROLE");
    let refused = admin.retry_mail(retry(4711)).await.expect_err("none");
    assert_eq!(reason_of(&refused), "NOT_FOUND");

    let told = cli_as(&home, "auditor", &["mail", "retry", &own[0].id.to_string()]).output();
    let told = told.expect("the command runs");
    let said = String::from_utf8_lossy(&told.stderr).into_owned();
    assert!(told.status.success() && said.contains("to alice is tried again now"), "{said}");
    happened(&history, &held.id, "mail_retried").await;
    let attempts = wait_for("another attempt", || async {
        let own = mails(&mut alice.clone(), "waiting").await.pop()?.notice?;
        (own.attempts >= 2).then_some(own.attempts)
    });
    assert!(attempts.await >= 2, "attempts are kept");
    let listed = cli_as(&home, "alice", &["mail", "queue", "--json"]).output().expect("runs");
    let listed = String::from_utf8_lossy(&listed.stdout).into_owned();
    assert!(listed.lines().count() == 1 && listed.contains("\"operator\":\"alice\""), "{listed}");

    deny(&mut alice, &held.id, &held.digest).await.expect("denied");
    let refused = admin.retry_mail(retry(own[0].id)).await.expect_err("pointless");
    assert_eq!(reason_of(&refused), "MAIL_NOT_RETRYABLE");
}
