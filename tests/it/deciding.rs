//! Who may decide, what a decision binds to, and what happens when two do.

use holdpoint::proto::{self, Status, Verdict};
use tonic::Code;

use super::support::clients::{self, kinds};
use super::support::daemon::identity;
use super::support::{Ask, Home, approve, call, deny, get, reason_of, submit, take_use, wait_for};

#[tokio::test]
async fn of_two_operators_at_once_one_wins_and_the_other_is_told_who() {
    let home = Home::team(&["proxy"], &["alice", "bob"], "");
    let _daemon = home.start().await;
    let clients = home.clients();
    let mut caller = clients.caller_named("proxy");
    for n in 0..30 {
        let asked =
            submit(&mut caller, &format!("{n}"), call("write", &format!(r#"{{"n":{n}}}"#))).await;
        let (mut alice, mut bob) = (clients.operator_named("alice"), clients.operator_named("bob"));
        let (yes, no) = tokio::join!(
            approve(&mut alice, &asked.id, &asked.digest),
            deny(&mut bob, &asked.id, &asked.digest)
        );
        let (winner, ending, loser) = match (yes, no) {
            (Ok(_), Err(loser)) => ("alice", Status::Approved, loser),
            (Err(loser), Ok(_)) => ("bob", Status::Denied, loser),
            both => panic!("{both:?}"),
        };
        assert_eq!(reason_of(&loser), "NOT_PENDING");
        assert!(loser.message().contains(winner), "{loser:?}");
        let request = get(&mut alice, &asked.id).await;
        assert_eq!((request.status(), request.decisions.len()), (ending, 1));
        let answer = Ask::new(&format!("{n}"), call("write", &format!(r#"{{"n":{n}}}"#)));
        assert_eq!(answer.send(&mut caller).await.expect("an answer").status(), ending);
    }
}

#[tokio::test]
async fn an_operator_removed_between_opening_and_deciding_does_not_decide() {
    let two = "[[routes]]\nname = \"two\"\ntools = [\"transfer\"]\napprovals = 2\n";
    let with = |operators: &[&str]| {
        let mut text = format!("{}{}", two, identity("callers", "proxy", ""));
        operators.iter().for_each(|name| text += &identity("operators", name, ""));
        text
    };
    let home = Home::with_config(&with(&["alice", "bob", "carol"]));
    let daemon = home.start().await;
    let mut caller = home.clients().caller_named("proxy");
    let opened = submit(&mut caller, "one", call("write", "{}")).await;
    let counted = submit(&mut caller, "two", call("transfer", "{}")).await;
    let mut alice = home.clients().operator_named("alice");
    get(&mut alice, &opened.id).await;
    approve(&mut alice, &counted.id, &counted.digest).await.expect("counted");
    daemon.stop().await;
    home.configure(&with(&["bob", "carol"]));
    let _daemon = home.start().await;
    let clients = home.clients();
    let refused = approve(&mut clients.operator_named("alice"), &opened.id, &opened.digest).await;
    assert_eq!(reason_of(&refused.expect_err("removed")), "BAD_TOKEN");
    // Her approval does not count any more at the last one.
    let mut bob = clients.operator_named("bob");
    let after = approve(&mut bob, &counted.id, &counted.digest).await.expect("counted");
    assert_eq!(after.status(), Status::Pending, "{after:?}");
    let mut carol = clients.operator_named("carol");
    let after = approve(&mut carol, &counted.id, &counted.digest).await.expect("the second");
    assert_eq!(after.status(), Status::Approved);
}

#[tokio::test]
async fn a_quorum_counts_distinct_people() {
    let route = "[[routes]]\nname = \"two\"\napprovals = 2\n";
    let home = Home::team(&["proxy"], &["alice", "bob", "carol"], route);
    let _daemon = home.start().await;
    let clients = home.clients();
    let mut caller = clients.caller_named("proxy");
    let mut alice = clients.operator_named("alice");
    let asked = submit(&mut caller, "one", call("write", "{}")).await;
    let first = approve(&mut alice, &asked.id, &asked.digest).await.expect("counted");
    assert_eq!(first.status(), Status::Pending);
    let twice = approve(&mut alice, &asked.id, &asked.digest).await.expect_err("once is enough");
    assert_eq!(reason_of(&twice), "ALREADY_DECIDED");
    let refused = take_use(&mut caller, &asked.id, "one", &asked.digest).await;
    assert_eq!(reason_of(&refused.expect_err("half approved")), "NOT_APPROVED");
    let mut bob = clients.operator_named("bob");
    let second = approve(&mut bob, &asked.id, &asked.digest).await.expect("counted");
    assert_eq!((second.status(), second.decisions.len()), (Status::Approved, 2));

    // One denial ends it, whoever approved before.
    let other = submit(&mut caller, "two", call("write", r#"{"n":2}"#)).await;
    approve(&mut alice, &other.id, &other.digest).await.expect("counted");
    let ended = deny(&mut bob, &other.id, &other.digest).await.expect("denied");
    assert_eq!((ended.status(), ended.decisions.len()), (Status::Denied, 2));
}

#[tokio::test]
async fn nobody_decides_a_call_on_their_own_behalf() {
    let text = [
        identity("callers", "proxy", ""),
        identity("operators", "alice", "email = \"Alice@Example.com\"\naliases = [\"al\"]"),
        identity("operators", "bob", ""),
    ];
    let home = Home::with_config(&text.concat());
    let _daemon = home.start().await;
    let clients = home.clients();
    let mut caller = clients.caller_named("proxy");
    let (mut alice, mut bob) = (clients.operator_named("alice"), clients.operator_named("bob"));
    for (n, who) in ["alice", "ALICE", "alice@example.com", "AL"].into_iter().enumerate() {
        let mut own = call("write", &format!(r#"{{"n":{n}}}"#));
        own.agent.as_mut().expect("an agent").on_behalf_of = who.to_owned();
        let asked = submit(&mut caller, &format!("{n}"), own).await;
        for verdict in [Verdict::Approve, Verdict::Deny] {
            let refused = clients::decide(&mut alice, &asked.id, verdict, &asked.digest).await;
            assert_eq!(reason_of(&refused.expect_err("her own")), "OWN_CALL", "{who}");
        }
        approve(&mut bob, &asked.id, &asked.digest).await.expect("somebody else's");
    }
}

#[tokio::test]
async fn the_only_local_person_may_decide_their_own_call_and_it_is_recorded_as_such() {
    let home = Home::new();
    let _daemon = home.start().await;
    let (mut caller, mut operator) = (home.clients().caller(), home.clients().operator());
    let mut own = call("write", "{}");
    own.agent.as_mut().expect("an agent").on_behalf_of = "olga".to_owned();
    let asked = submit(&mut caller, "one", own).await;
    let decided = approve(&mut operator, &asked.id, &asked.digest).await.expect("alone");
    assert!(decided.decisions[0].own_call, "{decided:?}");
    assert_eq!(decided.decisions[0].strength(), proto::Strength::Local);
}

#[tokio::test]
async fn a_callers_token_cannot_decide_and_an_operators_cannot_ask() {
    let home = Home::team(&["proxy"], &["alice"], "");
    let _daemon = home.start().await;
    let clients = home.clients();
    let asked = submit(&mut clients.caller_named("proxy"), "one", call("write", "{}")).await;
    // Each with the other's token.
    let mut operator = clients.operator_named("proxy");
    let decided = approve(&mut operator, &asked.id, &asked.digest).await.expect_err("a caller");
    assert_eq!(
        (decided.code(), reason_of(&decided)),
        (Code::PermissionDenied, "WRONG_ROLE".into())
    );
    let listed = operator.list_pending(proto::ListPendingRequest::default()).await;
    assert_eq!(reason_of(&listed.expect_err("a caller")), "WRONG_ROLE");
    let read =
        clients.history_named("proxy").query_audit(proto::QueryAuditRequest::default()).await;
    assert_eq!(reason_of(&read.expect_err("a caller")), "WRONG_ROLE");
    let mut caller = clients.caller_named("alice");
    let held = Ask::new("two", call("write", "{}")).briefly().send(&mut caller).await;
    assert_eq!(reason_of(&held.expect_err("an operator")), "WRONG_ROLE");
    let taken = take_use(&mut caller, &asked.id, "one", &asked.digest).await;
    assert_eq!(reason_of(&taken.expect_err("an operator")), "WRONG_ROLE");
    // An auditor looks and does not decide.
    let mut auditor = clients.operator_named("auditor");
    get(&mut auditor, &asked.id).await;
    let decided = approve(&mut auditor, &asked.id, &asked.digest).await.expect_err("an auditor");
    assert_eq!(decided.code(), Code::PermissionDenied, "{decided:?}");
}

#[tokio::test]
async fn a_token_that_is_unknown_expired_or_missing_opens_nothing() {
    let expired = identity("callers", "late", "")
        .replace("\" }]", "\", expires = \"2020-01-01T00:00:00Z\" }]");
    let home = Home::team(&["proxy"], &["alice"], &expired);
    let _daemon = home.start().await;
    let clients = home.clients();
    for name in ["late", "nobody", "", "prox"] {
        let held = Ask::new("one", call("write", "{}")).briefly();
        let refused = held.send(&mut clients.caller_named(name)).await.expect_err(name);
        let expected = (Code::Unauthenticated, "BAD_TOKEN".to_owned());
        assert_eq!((refused.code(), reason_of(&refused)), expected, "{name:?}");
    }
    let mut nobody = clients.operator_without_token();
    let refused = nobody.list_pending(proto::ListPendingRequest::default()).await;
    assert_eq!(reason_of(&refused.expect_err("no token")), "NO_TOKEN");
}

#[tokio::test]
async fn a_decision_binds_to_the_digest_that_was_shown() {
    let home = Home::new();
    let _daemon = home.start().await;
    let (mut caller, mut operator) = (home.clients().caller(), home.clients().operator());
    let asked = submit(&mut caller, "one", call("write", "{}")).await;
    let other = submit(&mut caller, "two", call("write", r#"{"n":2}"#)).await;
    let wrong = approve(&mut operator, &asked.id, &other.digest).await.expect_err("another's");
    assert_eq!(reason_of(&wrong), "DIGEST_MISMATCH");
    for short in ["", &asked.digest[..15]] {
        let refused = approve(&mut operator, &asked.id, short).await.expect_err("too short");
        assert_eq!(reason_of(&refused), "INVALID_FIELD", "{short:?}");
    }
    let partial = &asked.id[..asked.id.len() - 4];
    let refused = approve(&mut operator, partial, &asked.digest).await.expect_err("not whole");
    assert_eq!(reason_of(&refused), "INVALID_FIELD");
    assert_eq!(get(&mut operator, &asked.id).await.status(), Status::Pending);
    approve(&mut operator, &asked.id, &asked.digest[..16]).await.expect("16 digits are enough");
}

#[tokio::test]
async fn an_ended_request_is_never_re_armed() {
    let home = Home::new();
    let _daemon = home.start().await;
    let (mut caller, mut operator) = (home.clients().caller(), home.clients().operator());
    let denied = submit(&mut caller, "one", call("write", "{}")).await;
    deny(&mut operator, &denied.id, &denied.digest).await.expect("denied");
    let turned = approve(&mut operator, &denied.id, &denied.digest).await.expect_err("ended");
    assert_eq!(reason_of(&turned), "NOT_PENDING");
    let taken = take_use(&mut caller, &denied.id, "one", &denied.digest).await;
    assert_eq!(reason_of(&taken.expect_err("denied")), "NOT_APPROVED");

    let used = submit(&mut caller, "two", call("write", r#"{"n":2}"#)).await;
    approve(&mut operator, &used.id, &used.digest).await.expect("approved");
    take_use(&mut caller, &used.id, "two", &used.digest).await.expect("granted");
    let again = approve(&mut operator, &used.id, &used.digest).await.expect("the same is fine");
    assert_eq!((again.r#use(), again.decisions.len()), (proto::Use::Taken, 1));
    let taken = take_use(&mut caller, &used.id, "two", &used.digest).await;
    assert_eq!(reason_of(&taken.expect_err("used")), "ALREADY_GRANTED");
}

#[tokio::test]
async fn a_denial_is_remembered_counted_and_can_be_lifted() {
    let home = Home::new();
    let _daemon = home.start().await;
    let (mut caller, mut operator) = (home.clients().caller(), home.clients().operator());
    let first = submit(&mut caller, "one", call("write", "{}")).await;
    deny(&mut operator, &first.id, &first.digest).await.expect("denied");
    let mails = get(&mut operator, &first.id).await.notices.len();
    for n in 0..3 {
        let ask = Ask::new(&format!("again {n}"), call("write", "{}"));
        let answer = ask.send(&mut caller).await.expect("at once");
        assert_eq!((&answer.id, answer.status()), (&first.id, Status::Denied));
        assert!(answer.remembered);
        assert_eq!(answer.decisions.last().map(|d| d.reason.as_str()), Some("because"));
    }
    let request = get(&mut operator, &first.id).await;
    assert_eq!((request.asked_again, request.notices.len()), (3, mails));
    // Another call, and another scope, are not denied with it.
    submit(&mut caller, "other call", call("write", r#"{"n":2}"#)).await;
    let mut elsewhere = call("write", "{}");
    elsewhere.agent.as_mut().expect("an agent").session = "another".to_owned();
    submit(&mut caller, "elsewhere", elsewhere).await;

    let lift = proto::LiftDenialRequest { id: first.id.clone(), reason: "now it may".to_owned() };
    operator.lift_denial(lift.clone()).await.expect("lifted");
    let refused = operator.lift_denial(lift).await.expect_err("there is none any more");
    assert_eq!(reason_of(&refused), "NOT_DENIED");
    let anew = submit(&mut caller, "after", call("write", "{}")).await;
    assert_ne!(anew.id, first.id);
    let told = kinds(&mut home.clients().history(), &first.id).await;
    let count = |kind: &str| told.iter().filter(|told| *told == kind).count();
    assert_eq!((count("denial_repeated"), count("denial_lifted")), (3, 1), "{told:?}");
}

#[tokio::test]
async fn an_operator_sees_and_decides_only_what_is_routed_to_them() {
    let text = [
        "[[routes]]\nname = \"money\"\ntools = [\"transfer\"]\nask = [\"finance\"]\n".to_owned(),
        identity("callers", "proxy", ""),
        identity("operators", "alice", "groups = [\"finance\"]"),
        identity("operators", "bob", "groups = [\"ops\"]"),
    ];
    let home = Home::with_config(&text.concat());
    let _daemon = home.start().await;
    let clients = home.clients();
    let mut bob = clients.operator_named("bob");
    let asked = submit(&mut clients.caller_named("proxy"), "one", call("transfer", "{}")).await;
    let sees = |found: Result<tonic::Response<proto::ListPendingResponse>, tonic::Status>| {
        found.expect("a list").into_inner().requests.len()
    };
    assert_eq!(sees(bob.list_pending(proto::ListPendingRequest::default()).await), 0);
    let refused = approve(&mut bob, &asked.id, &asked.digest).await.expect_err("not his");
    assert_eq!(reason_of(&refused), "NOT_FOUND");
    let filter = proto::AuditFilter { request_id: asked.id.clone(), ..Default::default() };
    let mut history = clients.history_named("bob");
    assert!(clients::entries(&mut history, filter, 0).await.is_empty());
    let mut alice = clients.operator_named("alice");
    assert_eq!(sees(alice.list_pending(proto::ListPendingRequest::default()).await), 1);
    approve(&mut alice, &asked.id, &asked.digest).await.expect("hers");
}

#[tokio::test]
async fn a_call_that_nobody_could_approve_is_refused_at_once() {
    let route = "[[routes]]\nname = \"two\"\ntools = [\"transfer\"]\napprovals = 2\n";
    let home = Home::team(&["proxy"], &["alice", "bob"], route);
    let _daemon = home.start().await;
    let mut caller = home.clients().caller_named("proxy");
    let mut own = call("transfer", "{}");
    own.agent.as_mut().expect("an agent").on_behalf_of = "alice".to_owned();
    let refused = Ask::new("one", own).send(&mut caller).await.expect_err("only bob is left");
    assert_eq!(reason_of(&refused), "NOT_ENOUGH_OPERATORS");
    assert!(refused.message().contains("two"), "{refused:?}");
}

#[tokio::test]
async fn every_operator_gets_every_mail() {
    let home = Home::team(&["proxy"], &["alice", "bob"], "");
    let _daemon = home.start().await;
    let clients = home.clients();
    let mut caller = clients.caller_named("proxy");
    let mut ids = Vec::new();
    for n in 0..5 {
        let asked =
            submit(&mut caller, &format!("{n}"), call("write", &format!(r#"{{"n":{n}}}"#))).await;
        ids.push(asked.id);
    }
    let auditor = clients.operator_named("auditor");
    for id in &ids {
        wait_for("both mails to be sent", || async {
            let notices = get(&mut auditor.clone(), id).await.notices;
            let sent = notices.iter().filter(|notice| notice.state == "sent").count();
            (sent == 2).then_some(())
        })
        .await;
    }
}
