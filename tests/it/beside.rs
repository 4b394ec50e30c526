//! Several questions about one request at once on one connection, as a proxy asks
//! them: one that blocks, one that only glances, one that is broken off.

use std::time::{Duration, Instant};

use holdpoint::proto::{self, Status};
use tokio::task::JoinSet;

use super::support::clients::{Clients, Operator, waited_on};
use super::support::{Ask, Home, approve, call, get, hold, reason_of, submit, take_use, wait_for};

/// As many as a busy proxy holds.
const MANY: usize = 64;

fn nth(n: usize) -> proto::Call {
    call("write", &format!(r#"{{"n":{n}}}"#))
}

async fn pending(operator: &mut Operator) -> Vec<proto::Request> {
    let asked = proto::ListPendingRequest { page_size: 500, ..Default::default() };
    operator.list_pending(asked).await.expect("a list").into_inner().requests
}

/// Each call asked twice in parallel: in earnest, and for a glance.
async fn ask_twice(
    clients: &Clients,
) -> (JoinSet<proto::ApprovalAnswer>, Vec<proto::ApprovalAnswer>) {
    let (mut earnest, mut glances) = (JoinSet::new(), JoinSet::new());
    for n in 0..MANY {
        let (mut one, mut two) = (clients.caller(), clients.caller());
        let ask = Ask::new(&format!("c{n}"), nth(n)).handle(&format!("h{n}"));
        let glance = ask.clone().briefly();
        earnest.spawn(async move { ask.send(&mut one).await.expect("an answer") });
        glances.spawn(async move { glance.send(&mut two).await.expect("an answer") });
    }
    (earnest, glances.join_all().await)
}

#[tokio::test]
async fn a_call_that_is_asked_and_glanced_at_in_parallel_is_one_request() {
    let home = Home::new();
    let _daemon = home.start().await;
    let clients = home.clients();
    let mut operator = clients.operator();
    let (earnest, glances) = ask_twice(&clients).await;
    assert!(glances.iter().all(|glance| glance.status() == Status::Pending));
    let held = wait_for("all of them to wait", || async {
        let held = pending(&mut operator.clone()).await;
        (held.len() >= MANY && held.iter().all(|request| request.waited_on)).then_some(held)
    })
    .await;
    assert_eq!(held.len(), MANY);
    for request in &held {
        assert!(
            glances.iter().any(|glance| glance.id == request.id && glance.digest == request.digest)
        );
        assert_eq!((request.resumed, request.identical_to.as_str()), (0, ""));
        approve(&mut operator, &request.id, &request.digest).await.expect("approved");
    }
    let answers = earnest.join_all().await;
    assert_eq!(answers.len(), MANY);
    for answer in answers {
        assert_eq!((answer.status(), answer.resumed), (Status::Approved, false));
        assert!(held.iter().any(|request| request.id == answer.id));
    }
}

#[tokio::test]
async fn waits_that_are_broken_off_leave_requests_that_are_resumed() {
    let home = Home::new();
    let _daemon = home.start().await;
    let clients = home.clients();
    let mut operator = clients.operator();
    let (earnest, glances) = ask_twice(&clients).await;
    for glance in &glances {
        waited_on(&mut operator, &glance.id, true).await;
    }
    drop(earnest);
    for glance in &glances {
        waited_on(&mut operator, &glance.id, false).await;
    }
    let mut caller = clients.caller();
    for n in 0..MANY {
        let again = submit(&mut caller, &format!("d{n}"), nth(n)).await;
        assert!(again.resumed && glances.iter().any(|glance| glance.id == again.id), "{again:?}");
    }
    assert_eq!(pending(&mut operator).await.len(), MANY);
}

/// The same call id needs nobody's leave: it continues at whatever moment.
#[tokio::test]
async fn a_wait_that_is_broken_off_is_continued_at_once_by_its_own_call_id() {
    let home = Home::new();
    let _daemon = home.start().await;
    let clients = home.clients();
    let mut operator = clients.operator();
    for n in 0..MANY {
        let call_id = format!("c{n}");
        let (id, waiting) = hold(&clients.caller(), &mut operator, &call_id, nth(n)).await;
        waiting.abort();
        let again = submit(&mut clients.caller(), &call_id, nth(n)).await;
        assert_eq!((&again.id, again.resumed), (&id, false));
    }
}

#[tokio::test]
async fn who_looks_on_hears_the_end_and_is_in_nobodys_way() {
    let home = Home::new();
    let _daemon = home.start().await;
    let (mut caller, mut operator) = (home.clients().caller(), home.clients().operator());
    let first = submit(&mut caller, "one", call("write", "{}")).await;
    waited_on(&mut operator, &first.id, false).await;
    let mut looking = caller.clone();
    let looks = proto::AwaitApprovalRequest { id: first.id.clone(), max_wait_ms: 0 };
    let onlooker = tokio::spawn(async move { looking.await_approval(looks).await });
    // Operators see that somebody is there.
    waited_on(&mut operator, &first.id, true).await;
    let (id, waiting) = hold(&caller, &mut operator, "two", call("write", "{}")).await;
    assert_eq!(id, first.id);
    let another = submit(&mut caller, "three", call("write", "{}")).await;
    assert_ne!(another.id, first.id, "now somebody waits");
    approve(&mut operator, &first.id, &first.digest).await.expect("approved");
    let heard = onlooker.await.expect("the task").expect("an answer").into_inner();
    let told = waiting.await.expect("the task").expect("an answer");
    assert_eq!((heard.status(), told.status()), (Status::Approved, Status::Approved));
    let old = take_use(&mut caller, &id, "one", &first.digest).await;
    assert_eq!(reason_of(&old.expect_err("its place was taken")), "USED");
    take_use(&mut caller, &id, "two", &first.digest).await.expect("granted");
    assert_eq!(get(&mut operator, &id).await.resumed, 1);
}

/// What a proxy does for each progress notification, beside the wait.
#[tokio::test]
async fn glances_beside_a_wait_neither_end_it_nor_take_long() {
    let home = Home::new();
    let _daemon = home.start().await;
    let (caller, mut operator) = (home.clients().caller(), home.clients().operator());
    let (id, waiting) = hold(&caller, &mut operator, "one", call("write", "{}")).await;
    let began = Instant::now();
    for _ in 0..3 * MANY {
        let glance = proto::AwaitApprovalRequest { id: id.clone(), max_wait_ms: 1 };
        let answer = caller.clone().await_approval(glance).await.expect("an answer").into_inner();
        assert_eq!(answer.status(), Status::Pending);
    }
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
    assert!(!waiting.is_finished(), "more glances than may wait at once, one after the other");
    let digest = get(&mut operator, &id).await.digest;
    approve(&mut operator, &id, &digest).await.expect("approved");
    assert_eq!(waiting.await.expect("the task").expect("told").status(), Status::Approved);
}
