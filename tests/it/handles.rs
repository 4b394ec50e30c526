//! Handles: a caller that has lost everything finds its request again by what its
//! client shows. And calls that were not held, in the history.

use holdpoint::proto::{self, Outcome, RecordedVerdict, Status, Use};

use super::support::clients::{Caller, deny, entries, kinds, report, withdraw};
use super::support::{Ask, Home, approve, call, cli, hold, reason_of, submit, take_use};

async fn find(
    caller: &mut Caller,
    client: &str,
    handle: &str,
) -> Result<proto::FindRequestResponse, tonic::Status> {
    let asked = proto::FindRequestRequest { handle: handle.to_owned(), client: client.to_owned() };
    caller.find_request(asked).await.map(tonic::Response::into_inner)
}

async fn found(caller: &mut Caller, handle: &str) -> proto::ApprovalAnswer {
    find(caller, "claude", handle).await.expect("found").answer.expect("an answer")
}

/// A call that this caller's client "claude" makes.
fn clients_call(tool: &str) -> proto::Call {
    proto::Call { client: "claude".to_owned(), ..call(tool, "{}") }
}

async fn ask(
    caller: &mut Caller,
    handle: &str,
    call_id: &str,
    call: proto::Call,
) -> Result<proto::ApprovalAnswer, tonic::Status> {
    Ask::new(call_id, call).briefly().handle(handle).send(caller).await
}

#[tokio::test]
async fn a_handle_finds_its_request_through_restarts_until_it_has_run() {
    let home = Home::new();
    let daemon = home.start().await;
    let mut caller = home.clients().caller();
    let asked = ask(&mut caller, "task-1", "one", clients_call("write")).await.expect("held");
    let given = find(&mut caller, "claude", "task-1").await.expect("found");
    let answer = given.answer.expect("an answer");
    assert_eq!(
        (answer.status(), &answer.id, &answer.digest),
        (Status::Pending, &asked.id, &asked.digest)
    );
    assert!(answer.time_left_ms > 0 && given.handle_given_at.ends_with('Z'), "{answer:?}");
    daemon.kill();
    let daemon = home.start().await;
    let (mut caller, mut operator) = (home.clients().caller(), home.clients().operator());
    let again = find(&mut caller, "claude", "task-1").await.expect("found");
    assert_eq!(again.handle_given_at, given.handle_given_at);
    assert_eq!(again.answer.expect("an answer").status(), Status::Pending);
    approve(&mut operator, &asked.id, &asked.digest).await.expect("approved");
    let answer = found(&mut caller, "task-1").await;
    assert_eq!(
        (answer.status(), answer.r#use(), answer.decisions.len()),
        (Status::Approved, Use::Unused, 1)
    );
    take_use(&mut caller, &asked.id, "one", &asked.digest).await.expect("granted");
    let answer = found(&mut caller, "task-1").await;
    assert_eq!((answer.r#use(), answer.outcome()), (Use::Taken, Outcome::Unspecified));
    report(&mut caller, &asked.id, "one", Outcome::Failed).await.expect("reported");
    daemon.kill();
    let _daemon = home.start().await;
    let mut caller = home.clients().caller();
    let answer = found(&mut caller, "task-1").await;
    assert_eq!((answer.outcome(), answer.outcome_detail.as_str()), (Outcome::Failed, "done"));
    // The same by its id, and in what the call id is told.
    let awaited = proto::AwaitApprovalRequest { id: asked.id.clone(), max_wait_ms: 1 };
    let awaited = caller.await_approval(awaited).await.expect("an answer").into_inner();
    let repeated = ask(&mut caller, "task-1", "one", clients_call("write")).await.expect("told");
    for told in [awaited, repeated] {
        assert_eq!((told.id, told.outcome), (answer.id.clone(), answer.outcome));
    }
    let mut told = kinds(&mut home.clients().history(), &asked.id).await;
    told.retain(|kind| !kind.starts_with("mail_"));
    let steps = ["requested", "approved", "use_granted", "outcome_reported"];
    assert_eq!(told, steps, "to find changes nothing");
}

#[tokio::test]
async fn nobody_learns_whether_a_handle_of_others_exists() {
    let home = Home::team(&["mine", "theirs"], &["alice"], "");
    let _daemon = home.start().await;
    let (mut mine, mut theirs) =
        (home.clients().caller_named("mine"), home.clients().caller_named("theirs"));
    ask(&mut mine, "task-1", "one", clients_call("write")).await.expect("held");
    let unknown = find(&mut mine, "claude", "task-2").await.expect_err("unknown");
    assert_eq!(reason_of(&unknown), "NOT_FOUND");
    for refused in [
        find(&mut mine, "another", "task-1").await,
        find(&mut mine, "", "task-1").await,
        find(&mut theirs, "claude", "task-1").await,
    ] {
        let refused = refused.expect_err("not theirs");
        assert_eq!(refused.details(), unknown.details());
        assert_eq!((refused.code(), refused.message()), (unknown.code(), unknown.message()));
    }
    let operator = proto::FindRequestRequest { handle: "task-1".to_owned(), client: String::new() };
    let alice = home.clients().caller_named("alice").find_request(operator).await;
    assert_eq!(reason_of(&alice.expect_err("no caller")), "WRONG_ROLE");
}

#[tokio::test]
async fn a_handle_stands_for_one_request_whoever_continues_it() {
    let home = Home::new();
    let _daemon = home.start().await;
    let (mut caller, mut operator) = (home.clients().caller(), home.clients().operator());
    let first = ask(&mut caller, "h1", "one", clients_call("write")).await.expect("held");
    let other = ask(&mut caller, "h2", "two", clients_call("other")).await.expect("held");
    // Twice is fine; another's is not, for a new call nor for one that is known.
    ask(&mut caller, "h1", "one", clients_call("write")).await.expect("the same");
    for (call_id, tool) in [("three", "third"), ("three", "other"), ("two", "other")] {
        let reused = ask(&mut caller, "h1", call_id, clients_call(tool)).await;
        let reused = reused.expect_err("another request's");
        assert_eq!(reason_of(&reused), "HANDLE_REUSED");
        assert!(!reused.message().contains("h1"), "{reused:?}");
    }
    let held = proto::ListPendingRequest::default();
    let held = operator.list_pending(held).await.expect("a list").into_inner();
    assert_eq!(held.total, 2, "what was refused was not held");
    let resumed = ask(&mut caller, "h3", "four", clients_call("write")).await.expect("resumed");
    assert_eq!((&resumed.id, resumed.resumed), (&first.id, true));
    deny(&mut operator, &first.id, &first.digest).await.expect("denied");
    let told = ask(&mut caller, "h4", "five", clients_call("write")).await.expect("told");
    assert_eq!((&told.id, told.remembered), (&first.id, true));
    for handle in ["h1", "h3", "h4"] {
        let answer = found(&mut caller, handle).await;
        assert_eq!((&answer.id, answer.status()), (&first.id, Status::Denied), "{handle}");
        assert_eq!(answer.decisions[0].reason, "because");
    }
    assert_eq!(found(&mut caller, "h2").await.id, other.id);
    withdraw(&mut caller, &other.id).await.expect("withdrawn");
    assert_eq!(found(&mut caller, "h2").await.status(), Status::Withdrawn);
}

#[tokio::test]
async fn a_handle_that_is_none_is_refused_and_never_repeated() {
    let home = Home::new();
    let _daemon = home.start().await;
    let mut caller = home.clients().caller();
    let long = "h".repeat(201);
    for bad in ["with space", "zeile\n", "h\u{e4}ndel", long.as_str()] {
        let asked = ask(&mut caller, bad, "one", clients_call("write")).await;
        let sought = find(&mut caller, "claude", bad).await.map(drop);
        for refused in [asked.map(drop), sought] {
            let refused = refused.expect_err("no handle");
            assert_eq!(reason_of(&refused), "INVALID_FIELD");
            assert!(refused.message().contains("handle: 1 to 200 bytes"), "{refused:?}");
        }
    }
    let empty = find(&mut caller, "claude", "").await.expect_err("required");
    assert_eq!(reason_of(&empty), "INVALID_FIELD");
    let client = find(&mut caller, &"c".repeat(201), "h").await.expect_err("too long");
    assert!(client.message().contains("client"), "{client:?}");
    let longest = "~".repeat(200);
    ask(&mut caller, &longest, "one", clients_call("write")).await.expect("held");
    found(&mut caller, &longest).await;
}

#[tokio::test]
async fn a_handle_given_while_its_call_waits_is_found_at_once() {
    let home = Home::new();
    let _daemon = home.start().await;
    let (mut caller, mut operator) = (home.clients().caller(), home.clients().operator());
    let (id, waiting) = hold(&caller, &mut operator, "one", clients_call("write")).await;
    // The first question gave none; a later one of the same call id may.
    ask(&mut caller, "task", "one", clients_call("write")).await.expect("the same");
    assert_eq!(found(&mut caller, "task").await.id, id);
    withdraw(&mut caller, &id).await.expect("withdrawn");
    assert_eq!(waiting.await.expect("the task").expect("told").status(), Status::Withdrawn);
}

#[tokio::test]
async fn what_a_dry_run_let_pass_is_in_the_history_by_its_own_kind() {
    let home = Home::new();
    let _daemon = home.start().await;
    let (mut caller, mut history) = (home.clients().caller(), home.clients().history());
    let recorded = |verdict: RecordedVerdict, reason: &str| proto::RecordedCall {
        call: Some(clients_call("write")),
        verdict: verdict.into(),
        reason: reason.to_owned(),
        digest_only: false,
    };
    let calls = vec![
        recorded(RecordedVerdict::WouldHold, "rule zebra"),
        recorded(RecordedVerdict::Allowed, ""),
        recorded(RecordedVerdict::Denied, "rule lion"),
    ];
    let asked = proto::RecordCallsRequest { calls };
    assert_eq!(caller.record_calls(asked).await.expect("recorded").into_inner().recorded, 3);
    let kind = "call_would_be_held";
    for filter in [
        proto::AuditFilter { kind: kind.to_owned(), ..Default::default() },
        proto::AuditFilter { text: "zebra".to_owned(), ..Default::default() },
    ] {
        let told = entries(&mut history, filter, 0).await;
        assert_eq!(told.iter().map(|entry| entry.kind.as_str()).collect::<Vec<_>>(), [kind]);
        assert!(told[0].payload.contains(r#""reason":"rule zebra""#), "{}", told[0].payload);
        assert_eq!((told[0].client.as_str(), told[0].tool.as_str()), ("claude", "write"));
    }
    let printed = cli(&home, &["audit", "--kind", kind, "--json"]);
    let printed = String::from_utf8_lossy(&printed.stdout);
    assert!(printed.contains(kind) && printed.lines().count() == 1, "{printed}");
    let bad = vec![recorded(RecordedVerdict::Unspecified, "")];
    let refused = caller.record_calls(proto::RecordCallsRequest { calls: bad }).await;
    let refused = refused.expect_err("no verdict");
    assert!(refused.message().contains("would hold"), "{refused:?}");
    assert_eq!(submit(&mut caller, "one", clients_call("write")).await.status(), Status::Pending);
}
