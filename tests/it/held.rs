//! A held call outlives its connection: callers that vanish, come back, ask
//! twice, at once, in a burst.

use std::collections::HashMap;
use std::time::Instant;

use holdpoint::proto::{self, Outcome, Status, Use, Verdict, watch_event::Event};
use tokio::task::JoinSet;

use super::support::clients::{self, Clients, deny, kinds, report, verify, waited_on, withdraw};
use super::support::{Ask, Home, approve, call, get, hold, reason_of, submit, take_use, wait_for};

#[tokio::test]
async fn a_caller_that_vanishes_while_waiting_leaves_its_request_and_resumes_it() {
    let home = Home::new();
    let _daemon = home.start().await;
    let mut operator = home.clients().operator();
    let lost = home.clients().caller();
    let (id, waiting) = hold(&lost, &mut operator, "one", call("write", "{}")).await;
    waiting.abort();
    drop(lost);
    waited_on(&mut operator, &id, false).await;
    assert_eq!(get(&mut operator, &id).await.status(), Status::Pending);
    let mut caller = home.clients().caller();
    let again = submit(&mut caller, "two", call("write", "{}")).await;
    assert_eq!((&again.id, again.resumed), (&id, true));
    let old = Ask::new("one", call("write", "{}")).briefly().send(&mut caller).await;
    assert_eq!(reason_of(&old.expect_err("its place was taken")), "USED");
    approve(&mut operator, &id, &again.digest).await.expect("approved");
    let old = take_use(&mut caller, &id, "one", &again.digest).await;
    assert_eq!(reason_of(&old.expect_err("not the holder")), "USED");
    take_use(&mut caller, &id, "two", &again.digest).await.expect("granted");
    assert_eq!(get(&mut operator, &id).await.resumed, 1);
}

#[tokio::test]
async fn a_caller_that_vanishes_between_approval_and_use_resumes_the_approval() {
    let home = Home::new();
    let _daemon = home.start().await;
    let (mut caller, mut operator) = (home.clients().caller(), home.clients().operator());
    let first = submit(&mut caller, "one", call("write", "{}")).await;
    approve(&mut operator, &first.id, &first.digest).await.expect("approved");
    let ask = Ask::new("two", call("write", "{}")).send(&mut caller).await;
    let again = ask.expect("answered at once");
    assert_eq!((&again.id, again.status()), (&first.id, Status::Approved));
    let old = take_use(&mut caller, &first.id, "one", &first.digest).await;
    assert_eq!(reason_of(&old.expect_err("not the holder")), "USED");
    take_use(&mut caller, &first.id, "two", &first.digest).await.expect("granted");
    let late = take_use(&mut caller, &first.id, "one", &first.digest).await;
    assert_eq!(reason_of(&late.expect_err("taken")), "USED");
}

#[tokio::test]
async fn a_caller_lost_between_use_and_outcome_leaves_it_unknown_and_the_next_one_is_told() {
    let home = Home::with_config("lease = \"1s\"\n");
    let _daemon = home.start().await;
    let (mut caller, mut operator) = (home.clients().caller(), home.clients().operator());
    let first = submit(&mut caller, "one", call("write", "{}")).await;
    approve(&mut operator, &first.id, &first.digest).await.expect("approved");
    take_use(&mut caller, &first.id, "one", &first.digest).await.expect("granted");
    let asking = operator.clone();
    wait_for("the outcome to become unknown", || async {
        let request = get(&mut asking.clone(), &first.id).await;
        (request.outcome() == Outcome::Unknown).then_some(())
    })
    .await;
    let renewal = proto::RenewUseRequest { id: first.id.clone(), call_id: "one".to_owned() };
    let lost = caller.renew_use(renewal).await.expect_err("the lease was lost");
    assert_eq!(reason_of(&lost), "OUTCOME_RECORDED");
    // It is a request of its own: the approval is not inherited, whatever became of it.
    let next = submit(&mut caller, "two", call("write", "{}")).await;
    assert_ne!(next.id, first.id);
    assert_eq!(get(&mut operator, &next.id).await.may_have_run, std::slice::from_ref(&first.id));
    report(&mut caller, &first.id, "one", Outcome::Succeeded).await.expect("late, and taken");
    assert_eq!(get(&mut operator, &first.id).await.outcome(), Outcome::Succeeded);
}

#[tokio::test]
async fn a_use_that_is_renewed_keeps_its_outcome_open() {
    let home = Home::with_config("lease = \"2s\"\n");
    let _daemon = home.start().await;
    let (mut caller, mut operator) = (home.clients().caller(), home.clients().operator());
    let first = submit(&mut caller, "one", call("write", "{}")).await;
    approve(&mut operator, &first.id, &first.digest).await.expect("approved");
    take_use(&mut caller, &first.id, "one", &first.digest).await.expect("granted");
    let began = Instant::now();
    while began.elapsed().as_millis() < 4_000 {
        let renewal = proto::RenewUseRequest { id: first.id.clone(), call_id: "one".to_owned() };
        let lease = caller.renew_use(renewal).await.expect("renewed").into_inner().lease_ms;
        assert!((1..=2_000).contains(&lease));
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    }
    assert_eq!(get(&mut operator, &first.id).await.outcome(), Outcome::Unspecified);
    report(&mut caller, &first.id, "one", Outcome::Failed).await.expect("reported");
}

#[tokio::test]
async fn the_same_call_id_twice_at_once_is_one_request_and_one_use() {
    let home = Home::new();
    let _daemon = home.start().await;
    let (caller, mut operator) = (home.clients().caller(), home.clients().operator());
    let mut asking = JoinSet::new();
    // No more than may wait on one request at a time.
    for _ in 0..8 {
        let mut caller = caller.clone();
        let ask = Ask::new("one", call("write", "{}"));
        asking.spawn(async move { ask.send(&mut caller).await.expect("an answer") });
    }
    let pending = wait_for("the request", || async {
        let asked = proto::ListPendingRequest::default();
        let pending = operator.clone().list_pending(asked).await.expect("a list").into_inner();
        (!pending.requests.is_empty()).then_some(pending)
    })
    .await;
    assert_eq!(pending.total, 1);
    let (id, digest) = (pending.requests[0].id.clone(), pending.requests[0].digest.clone());
    approve(&mut operator, &id, &digest).await.expect("approved");
    for answer in asking.join_all().await {
        assert_eq!((&answer.id, answer.status()), (&id, Status::Approved));
    }
    let mut taking = JoinSet::new();
    for _ in 0..50 {
        let (mut caller, id, digest) = (caller.clone(), id.clone(), digest.clone());
        taking.spawn(async move { take_use(&mut caller, &id, "one", &digest).await });
    }
    let answers = taking.join_all().await;
    assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 1);
    for refused in answers.into_iter().filter_map(Result::err) {
        assert_eq!(reason_of(&refused), "ALREADY_GRANTED");
    }
    let kinds = kinds(&mut home.clients().history(), &id).await;
    assert_eq!(kinds.iter().filter(|kind| *kind == "requested").count(), 1, "{kinds:?}");
}

#[tokio::test]
async fn a_call_id_stands_for_one_call() {
    let home = Home::new();
    let _daemon = home.start().await;
    let mut caller = home.clients().caller();
    let first = submit(&mut caller, "one", call("write", r#"{"n":1}"#)).await;
    // Written otherwise, but the same call.
    let same = submit(&mut caller, "one", call("write", r#"{ "n" : 1.0 }"#)).await;
    assert_eq!(same.id, first.id);
    let mut elsewhere = call("write", r#"{"n":1}"#);
    elsewhere.agent.as_mut().expect("an agent").session = "another".to_owned();
    for other in [call("write", r#"{"n":2}"#), call("read", r#"{"n":1}"#), elsewhere] {
        let refused = Ask::new("one", other).briefly().send(&mut caller).await;
        assert_eq!(reason_of(&refused.expect_err("another call")), "CALL_ID_REUSED");
    }
}

#[tokio::test]
async fn an_approval_is_for_these_arguments_and_for_once() {
    let home = Home::new();
    let _daemon = home.start().await;
    let (mut caller, mut operator) = (home.clients().caller(), home.clients().operator());
    let first = submit(&mut caller, "one", call("refund", r#"{"euro":5}"#)).await;
    approve(&mut operator, &first.id, &first.digest).await.expect("approved");
    // Other arguments of the same tool are another call.
    let dearer = submit(&mut caller, "two", call("refund", r#"{"euro":5000}"#)).await;
    assert_ne!(dearer.id, first.id);
    let swapped = take_use(&mut caller, &first.id, "one", &dearer.digest).await;
    assert_eq!(reason_of(&swapped.expect_err("not what was approved")), "DIGEST_MISMATCH");
    let unapproved = take_use(&mut caller, &dearer.id, "two", &dearer.digest).await;
    assert_eq!(reason_of(&unapproved.expect_err("pending")), "NOT_APPROVED");
    take_use(&mut caller, &first.id, "one", &first.digest).await.expect("granted");
    report(&mut caller, &first.id, "one", Outcome::Failed).await.expect("reported");
    // A failure does not give the approval back, and the second refund is asked anew.
    let again = take_use(&mut caller, &first.id, "one", &first.digest).await;
    assert_eq!(reason_of(&again.expect_err("it ran")), "OUTCOME_RECORDED");
    let second = submit(&mut caller, "three", call("refund", r#"{"euro":5}"#)).await;
    assert_ne!(second.id, first.id);
}

#[tokio::test]
async fn two_live_identical_calls_are_two_requests_and_the_second_says_so() {
    let home = Home::new();
    let _daemon = home.start().await;
    let (caller, mut operator) = (home.clients().caller(), home.clients().operator());
    let (first, _waiting) = hold(&caller, &mut operator, "one", call("write", "{}")).await;
    let second = submit(&mut caller.clone(), "two", call("write", "{}")).await;
    assert_ne!(second.id, first);
    assert_eq!(get(&mut operator, &second.id).await.identical_to, first);
}

#[tokio::test]
async fn another_callers_request_does_not_exist() {
    let home = Home::team(&["mine", "theirs"], &["alice"], "");
    let _daemon = home.start().await;
    let clients = home.clients();
    let (mut mine, mut theirs) = (clients.caller_named("mine"), clients.caller_named("theirs"));
    let asked = submit(&mut mine, "one", call("write", "{}")).await;
    let id = &asked.id;
    let awaited = proto::AwaitApprovalRequest { id: id.clone(), max_wait_ms: 1 };
    let renewal = proto::RenewUseRequest { id: id.clone(), call_id: "one".to_owned() };
    let refusals = [
        theirs.await_approval(awaited).await.map(drop),
        take_use(&mut theirs, id, "one", &asked.digest).await.map(drop),
        theirs.renew_use(renewal).await.map(drop),
        report(&mut theirs, id, "one", Outcome::Succeeded).await,
        withdraw(&mut theirs, id).await.map(drop),
    ];
    for refused in refusals {
        assert_eq!(reason_of(&refused.expect_err("not theirs")), "NOT_FOUND");
    }
    let listed = theirs.list_my_requests(proto::ListMyRequestsRequest::default()).await;
    assert!(listed.expect("a list").into_inner().requests.is_empty());
    // Its call ids are its own, too.
    let other = submit(&mut theirs, "one", call("read", "{}")).await;
    assert_ne!(&other.id, id);
}

#[tokio::test]
async fn max_wait_answers_pending_with_the_time_left() {
    let home = Home::new();
    let _daemon = home.start().await;
    let mut caller = home.clients().caller();
    let began = Instant::now();
    let mut ask = Ask::new("one", call("write", "{}")).timeout_ms(60_000);
    ask.0.max_wait_ms = 300;
    let answer = ask.send(&mut caller).await.expect("an answer");
    assert!(began.elapsed().as_millis() >= 300);
    assert_eq!((answer.status(), answer.digest.len()), (Status::Pending, 64));
    assert!((1..60_000).contains(&answer.time_left_ms), "{answer:?}");
    assert!(!answer.id.is_empty() && !answer.deadline.is_empty() && answer.asked_count == 1);
}

#[tokio::test]
async fn what_nobody_answers_expires_and_is_not_called_a_denial() {
    let home = Home::new();
    let _daemon = home.start().await;
    let (mut caller, mut operator) = (home.clients().caller(), home.clients().operator());
    let ask = Ask::new("one", call("write", "{}")).timeout_ms(5_000);
    let answer = ask.send(&mut caller).await.expect("an answer");
    assert_eq!((answer.status(), answer.decisions.len()), (Status::Expired, 0));
    let late = approve(&mut operator, &answer.id, &answer.digest).await.expect_err("too late");
    assert_eq!(reason_of(&late), "NOT_PENDING");
    assert!(late.message().contains("expired"), "{late:?}");
    let refused = take_use(&mut caller, &answer.id, "one", &answer.digest).await;
    assert_eq!(reason_of(&refused.expect_err("expired")), "NOT_APPROVED");
    // Nobody said no, so asking again is a new question.
    let again = submit(&mut caller, "two", call("write", "{}")).await;
    assert_ne!(again.id, answer.id);
}

#[tokio::test]
async fn a_withdrawn_request_can_neither_be_decided_nor_used() {
    let home = Home::new();
    let _daemon = home.start().await;
    let (mut caller, mut operator) = (home.clients().caller(), home.clients().operator());
    let (id, waiting) = hold(&caller, &mut operator, "one", call("write", "{}")).await;
    assert_eq!(withdraw(&mut caller, &id).await.expect("withdrawn"), Status::Withdrawn);
    let answer = waiting.await.expect("the task").expect("an answer");
    assert_eq!(answer.status(), Status::Withdrawn);
    let late = approve(&mut operator, &id, &answer.digest).await.expect_err("withdrawn");
    assert_eq!(reason_of(&late), "NOT_PENDING");
    assert_eq!(withdraw(&mut caller, &id).await.expect("twice is fine"), Status::Withdrawn);

    let approved = submit(&mut caller, "two", call("write", r#"{"n":2}"#)).await;
    approve(&mut operator, &approved.id, &approved.digest).await.expect("approved");
    withdraw(&mut caller, &approved.id).await.expect("given up");
    let refused = take_use(&mut caller, &approved.id, "two", &approved.digest).await;
    assert_eq!(reason_of(&refused.expect_err("given up")), "LAPSED");
    assert_eq!(get(&mut operator, &approved.id).await.r#use(), Use::Lapsed);
}

#[tokio::test]
async fn an_approval_that_nobody_uses_lapses() {
    let home = Home::with_config("lapse_after = \"1s\"\n");
    let _daemon = home.start().await;
    let (mut caller, mut operator) = (home.clients().caller(), home.clients().operator());
    let asked = submit(&mut caller, "one", call("write", "{}")).await;
    approve(&mut operator, &asked.id, &asked.digest).await.expect("approved");
    let asking = operator.clone();
    wait_for("the approval to lapse", || async {
        let request = get(&mut asking.clone(), &asked.id).await;
        (request.r#use() == Use::Lapsed).then_some(())
    })
    .await;
    let refused = take_use(&mut caller, &asked.id, "one", &asked.digest).await;
    assert_eq!(reason_of(&refused.expect_err("lapsed")), "LAPSED");
    let again = submit(&mut caller, "two", call("write", "{}")).await;
    assert_ne!(again.id, asked.id);
}

#[tokio::test]
async fn a_request_is_resumed_only_while_its_route_is_no_stricter() {
    let stricter = "[[routes]]\nname = \"two\"\ntools = [\"write\"]\napprovals = 2\n";
    let home = Home::team(&["proxy"], &["alice", "bob"], "");
    let daemon = home.start().await;
    let mut caller = home.clients().caller_named("proxy");
    let first = submit(&mut caller, "one", call("write", "{}")).await;
    let same = submit(&mut caller, "two", call("write", "{}")).await;
    assert_eq!((&same.id, same.resumed), (&first.id, true));
    daemon.stop().await;
    let text = std::fs::read_to_string(home.state.join("holdpoint.toml")).expect("read");
    home.configure(&format!("{text}\n{stricter}"));
    let _daemon = home.start().await;
    let mut caller = home.clients().caller_named("proxy");
    let anew = submit(&mut caller, "three", call("write", "{}")).await;
    assert_ne!(anew.id, first.id);
    let mut auditor = home.clients().operator_named("auditor");
    assert_eq!(get(&mut auditor, &anew.id).await.clauses[0].approvals, 2);
}

#[tokio::test]
async fn nothing_is_resumed_or_remembered_without_a_session_or_a_client() {
    let home = Home::new();
    let _daemon = home.start().await;
    let (mut caller, mut operator) = (home.clients().caller(), home.clients().operator());
    let mut nobody = call("write", "{}");
    nobody.agent = None;
    let first = submit(&mut caller, "one", nobody.clone()).await;
    let second = submit(&mut caller, "two", nobody.clone()).await;
    assert_ne!(first.id, second.id);
    deny(&mut operator, &first.id, &first.digest).await.expect("denied");
    submit(&mut caller, "three", nobody).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_decision_as_fast_as_the_event_is_never_lost() {
    let home = Home::new();
    let _daemon = home.start().await;
    let clients = home.clients();
    let operator = clients.operator();
    let mut events = watch(&clients).await;
    let deciding = tokio::spawn(async move {
        for _ in 0..200 {
            let request = next_requested(&mut events).await;
            let mut operator = operator.clone();
            approve(&mut operator, &request.id, &request.digest).await.expect("approved");
        }
    });
    let mut caller = clients.caller();
    for n in 0..200 {
        let ask = Ask::new(&format!("{n}"), call("write", &format!(r#"{{"n":{n}}}"#)));
        let answer = ask.send(&mut caller).await.expect("an answer");
        assert_eq!(answer.status(), Status::Approved);
    }
    deciding.await.expect("all decided");
}

async fn watch(clients: &Clients) -> tonic::Streaming<proto::WatchEvent> {
    let mut operator = clients.operator();
    let asked = proto::WatchRequestsRequest {};
    operator.watch_requests(asked).await.expect("a stream").into_inner()
}

async fn next_requested(events: &mut tonic::Streaming<proto::WatchEvent>) -> proto::Request {
    loop {
        let event = events.message().await.expect("an event").expect("the stream goes on");
        match event.event {
            Some(Event::Request(request)) if ["", "requested"].contains(&event.kind.as_str()) => {
                return request;
            }
            Some(Event::Reset(_)) => panic!("the watcher was too slow"),
            _ => {}
        }
    }
}

/// How many call at once, and over how many connections.
const BURST: usize = 10_000;
const CONNECTIONS: usize = 4;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_callers_in_a_burst_are_each_answered_rightly() {
    let mut home = Home::team(&["proxy"], &["alice"], "");
    home.set("HOLDPOINT_LOG", "error");
    let daemon = home.start().await;
    let idle = daemon.memory_kib();
    let watcher = home.clients();
    let alice = watcher.operator_named("alice");
    let connections: Vec<Clients> = (0..CONNECTIONS).map(|_| home.clients()).collect();
    let began = Instant::now();
    let mut waiting = JoinSet::new();
    for n in 0..BURST {
        let mut caller = connections[n % CONNECTIONS].caller_named("proxy");
        let ask = Ask::new(&format!("{n}"), call("write", &format!(r#"{{"n":{n}}}"#)));
        waiting.spawn(async move { (n, ask.send(&mut caller).await) });
    }
    let mut history = watcher.history_named("auditor");
    let requested = proto::AuditFilter { kind: "requested".to_owned(), ..Default::default() };
    let mut pending: HashMap<usize, (String, String)> = HashMap::new();
    let mut operator = watcher.operator_named("alice");
    wait_for("all of them to be held", || async {
        let found = clients::entries(&mut history.clone(), requested.clone(), 0).await.len();
        (found == BURST).then_some(())
    })
    .await;
    let held = began.elapsed();
    let memory = daemon.memory_kib();
    let mut page_token = String::new();
    loop {
        let asked = proto::ListPendingRequest { page_size: 500, page_token };
        let page = operator.list_pending(asked).await.expect("a page").into_inner();
        for request in page.requests {
            let digits: String = request.arguments.chars().filter(char::is_ascii_digit).collect();
            pending.insert(digits.parse().expect("a number"), (request.id, request.digest));
        }
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    assert_eq!(pending.len(), BURST);
    let began = Instant::now();
    let mut deciding = JoinSet::new();
    for (n, (id, digest)) in pending.clone() {
        let mut alice = alice.clone();
        let verdict = if n % 3 == 0 { Verdict::Deny } else { Verdict::Approve };
        deciding.spawn(async move {
            clients::decide(&mut alice, &id, verdict, &digest).await.expect("decided");
        });
    }
    deciding.join_all().await;
    for (n, answer) in waiting.join_all().await {
        let answer = answer.expect("an answer");
        let wanted = if n % 3 == 0 { Status::Denied } else { Status::Approved };
        assert_eq!((&answer.id, answer.status()), (&pending[&n].0, wanted), "caller {n}");
    }
    println!(
        "{BURST} held in {held:?}, decided and answered in {:?}; memory {idle} KiB idle, \
         {memory} KiB with all held, {} KiB after",
        began.elapsed(),
        daemon.memory_kib()
    );
    verify(&mut history).await;
    daemon.kill();
}
