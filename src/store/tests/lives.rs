//! The lives of requests: each invariant and each mistake that others made.

use std::time::Duration;

use super::*;
use crate::call::model::{Status, Use};
use crate::store::decide::{Lift, lift_denial};
use crate::store::ending::{end_due, withdraw};
use crate::store::error::Refusal;
use crate::store::submit::Taken;
use crate::store::uses::renew_use;

fn refusal<T: std::fmt::Debug>(result: Result<T, StoreError>) -> Refusal {
    match result {
        Err(StoreError::Refused(refusal)) => refusal,
        other => panic!("a refusal was expected, not {other:?}"),
    }
}

fn approved(plain: &mut Plain, waiting: &Waiting) -> Arc<Request> {
    let request = plain.submit("c1", call("cl", "s", 1), waiting).expect("held").request;
    plain.decide(request.id, "ann", Verdict::Approve, &ann()).expect("approved")
}

#[test]
fn an_approval_is_used_once() {
    let (mut plain, waiting) = (Plain::new(), Waiting::default());
    let request = approved(&mut plain, &waiting);
    plain.take(&request, "c1").expect("granted");
    assert_eq!(refusal(plain.take(&request, "c1")), Refusal::AlreadyGranted(request.id));
    assert_eq!(refusal(plain.take(&request, "other")), Refusal::Used(request.id));
    let grants = plain.kinds(request.id).iter().filter(|k| *k == "use_granted").count();
    assert_eq!(grants, 1);
}

#[test]
fn nothing_but_an_approval_is_used() {
    let (mut plain, waiting) = (Plain::new(), Waiting::default());
    let pending = plain.submit("c1", call("cl", "s", 1), &waiting).expect("held").request;
    assert!(matches!(refusal(plain.take(&pending, "c1")), Refusal::NotApproved { .. }));
    let denied = plain.decide(pending.id, "ann", Verdict::Deny, &ann()).expect("denied");
    assert!(matches!(refusal(plain.take(&denied, "c1")), Refusal::NotApproved { .. }));
}

#[test]
fn a_use_names_the_digest_that_was_approved() {
    let (mut plain, waiting) = (Plain::new(), Waiting::default());
    let mut request = (*approved(&mut plain, &waiting)).clone();
    request.call.digest = call("cl", "s", 2).digest;
    assert_eq!(refusal(plain.take(&request, "c1")), Refusal::DigestMismatch(request.id));
}

#[test]
fn a_decision_on_another_digest_is_refused() {
    let (mut plain, waiting) = (Plain::new(), Waiting::default());
    let request = plain.submit("c1", call("cl", "s", 1), &waiting).expect("held").request;
    let other = call("cl", "s", 2).digest;
    let result = plain.decide_seen(request.id, "ann", Verdict::Approve, &ann(), other);
    assert_eq!(refusal(result), Refusal::DigestMismatch(request.id));
    assert_eq!(plain.request(request.id).status, Status::Pending);
}

#[test]
fn of_two_operators_one_wins_and_the_other_is_told_who() {
    let (mut plain, waiting) = (Plain::new(), Waiting::default());
    let request = plain.submit("c1", call("cl", "s", 1), &waiting).expect("held").request;
    plain.decide(request.id, "ann", Verdict::Deny, &ann()).expect("denied");
    let lost = refusal(plain.decide(request.id, "bob", Verdict::Approve, &ann()));
    let Refusal::NotPending { status: Status::Denied, how, .. } = lost else { panic!("{lost:?}") };
    assert!(how.contains("denied by ann") && how.contains("because"), "{how}");
    assert_eq!(plain.request(request.id).status, Status::Denied);
}

#[test]
fn the_same_decision_twice_changes_nothing() {
    let (mut plain, waiting) = (Plain::new(), Waiting::default());
    let request = approved(&mut plain, &waiting);
    let entries = plain.state.head.sequence;
    plain.decide(request.id, "ann", Verdict::Approve, &ann()).expect("the same again");
    assert_eq!(plain.state.head.sequence, entries);
}

#[test]
fn an_expired_request_is_not_approved_even_before_it_is_written_down() {
    let (mut plain, waiting) = (Plain::new(), Waiting::default());
    let request = plain.submit("c1", call("cl", "s", 1), &waiting).expect("held").request;
    plain.pass(MINUTES(15));
    let late = refusal(plain.decide(request.id, "ann", Verdict::Approve, &ann()));
    assert!(matches!(late, Refusal::NotPending { status: Status::Expired, .. }));
    plain.run(end_due).expect("ended");
    assert_eq!(plain.request(request.id).status, Status::Expired);
    assert_eq!(plain.kinds(request.id), ["requested", "expired"]);
    // It never comes back.
    plain.run(end_due).expect("nothing");
    assert_eq!(plain.kinds(request.id), ["requested", "expired"]);
}

#[test]
fn several_approvals_count_distinct_people_who_are_still_entitled() {
    let (mut plain, waiting) = (Plain::new(), Waiting::default());
    let two = requirement(&["ops"], 2);
    let all = staff(&[("ann", &["ops"]), ("bob", &["ops"]), ("cay", &["ops"])]);
    let without_ann = staff(&[("bob", &["ops"]), ("cay", &["ops"])]);
    let held = plain.submit_under("c1", call("cl", "s", 1), two, &waiting).expect("held").request;
    let first = plain.decide(held.id, "ann", Verdict::Approve, &all).expect("counted");
    assert_eq!(first.status, Status::Pending);
    let again = refusal(plain.decide(held.id, "ann", Verdict::Approve, &all));
    assert!(matches!(again, Refusal::AlreadyDecided { .. }));
    // Ann is removed before Bob decides: hers does not count any more.
    let second = plain.decide(held.id, "bob", Verdict::Approve, &without_ann).expect("counted");
    assert_eq!(second.status, Status::Pending);
    let third = plain.decide(held.id, "cay", Verdict::Approve, &without_ann).expect("approved");
    assert_eq!(third.status, Status::Approved);
}

#[test]
fn an_operator_who_was_removed_does_not_decide() {
    let (mut plain, waiting) = (Plain::new(), Waiting::default());
    let request = plain.submit("c1", call("cl", "s", 1), &waiting).expect("held").request;
    let nobody = staff(&[]);
    let result = refusal(plain.decide(request.id, "ann", Verdict::Approve, &nobody));
    assert!(matches!(result, Refusal::NotEntitled { own_call: false, .. }));
}

#[test]
fn the_same_call_id_is_the_same_request_and_other_arguments_are_refused() {
    let (mut plain, waiting) = (Plain::new(), Waiting::default());
    let first = plain.submit("c1", call("cl", "s", 1), &waiting).expect("held");
    let again = plain.submit("c1", call("cl", "s", 1), &waiting).expect("attached");
    assert_eq!((again.taken, again.request.id), (Taken::Repeated, first.request.id));
    let other = refusal(plain.submit("c1", call("cl", "s", 2), &waiting));
    assert_eq!(other, Refusal::CallIdReused(first.request.id));
    let elsewhere = refusal(plain.submit("c1", call("cl", "s2", 1), &waiting));
    assert_eq!(elsewhere, Refusal::CallIdReused(first.request.id));
}

#[test]
fn a_request_that_nobody_waits_on_is_resumed_by_a_new_call_id() {
    let (mut plain, waiting) = (Plain::new(), Waiting::default());
    let first = plain.submit("c1", call("cl", "s", 1), &waiting).expect("held").request;
    let resumed = plain.submit("c2", call("cl", "s", 1), &waiting).expect("resumed");
    assert_eq!((resumed.taken, resumed.request.id), (Taken::Resumed, first.id));
    plain.decide(first.id, "ann", Verdict::Approve, &ann()).expect("approved");
    // The old call id lost its place.
    assert_eq!(refusal(plain.take(&first, "c1")), Refusal::Used(first.id));
    assert_eq!(refusal(plain.submit("c1", call("cl", "s", 1), &waiting)), Refusal::Used(first.id));
    plain.take(&first, "c2").expect("granted to the new one");
}

#[test]
fn two_live_identical_calls_are_two_requests_and_the_second_says_so() {
    let (mut plain, waiting) = (Plain::new(), Waiting::default());
    let first = plain.submit("c1", call("cl", "s", 1), &waiting).expect("held").request;
    waiting.join(first.id);
    let second = plain.submit("c2", call("cl", "s", 1), &waiting).expect("held");
    assert_eq!(second.taken, Taken::New);
    assert_eq!(second.request.identical_to, Some(first.id));
}

#[test]
fn an_approved_and_unused_one_is_resumed_before_a_pending_one() {
    let (mut plain, waiting) = (Plain::new(), Waiting::default());
    let pending = plain.submit("c1", call("cl", "s", 1), &waiting).expect("held").request;
    waiting.join(pending.id);
    let approved = plain.submit("c2", call("cl", "s", 1), &waiting).expect("held").request;
    plain.decide(approved.id, "ann", Verdict::Approve, &ann()).expect("approved");
    waiting.0.borrow_mut().clear();
    let resumed = plain.submit("c3", call("cl", "s", 1), &waiting).expect("resumed");
    assert_eq!(resumed.request.id, approved.id);
    let next = plain.submit("c4", call("cl", "s", 1), &waiting).expect("resumed");
    assert_eq!(next.request.id, pending.id);
}

#[test]
fn a_used_approval_is_never_inherited() {
    let (mut plain, waiting) = (Plain::new(), Waiting::default());
    let request = approved(&mut plain, &waiting);
    plain.take(&request, "c1").expect("granted");
    plain.report(&request, "c1", Outcome::Succeeded).expect("reported");
    waiting.0.borrow_mut().clear();
    let second = plain.submit("c2", call("cl", "s", 1), &waiting).expect("held");
    assert_eq!((second.taken, second.request.status), (Taken::New, Status::Pending));
}

#[test]
fn only_a_denial_is_told_as_a_remembered_denial() {
    let (mut plain, waiting) = (Plain::new(), Waiting::default());
    let first = plain.submit("c1", call("cl", "s", 1), &waiting).expect("held").request;
    waiting.0.borrow_mut().clear();
    plain.submit("c2", call("cl", "s", 1), &waiting).expect("resumed");
    plain.run(|tx| withdraw(tx, &first.call.caller, first.id, "")).expect("withdrawn");
    let again = plain.submit("c1", call("cl", "s", 1), &waiting).expect("told");
    assert_eq!((again.taken, again.request.status), (Taken::Repeated, Status::Withdrawn));
}

#[test]
fn an_approval_is_not_resumed_for_a_tool_that_was_defined_anew() {
    let (mut plain, waiting) = (Plain::new(), Waiting::default());
    let shown = Call { tool_definition_hash: "aa".to_owned(), ..call("cl", "s", 1) };
    let first = plain.submit("c1", shown.clone(), &waiting).expect("held").request;
    let approved = plain.decide(first.id, "ann", Verdict::Approve, &ann()).expect("approved");
    waiting.0.borrow_mut().clear();
    let anew = Call { tool_definition_hash: "bb".to_owned(), ..shown.clone() };
    let other = Call { not_covered: vec!["its input".to_owned()], ..shown.clone() };
    for (call_id, call) in [("c2", anew), ("c3", other)] {
        let asked = plain.submit(call_id, call, &waiting).expect("held");
        assert_eq!(asked.taken, Taken::New, "{call_id}");
        assert_ne!(asked.request.id, approved.id);
        assert_eq!(asked.request.identical_to, Some(approved.id), "people are told");
    }
    assert_eq!(plain.submit("c4", shown, &waiting).expect("held").request.id, approved.id);
}

#[test]
fn nothing_is_resumed_in_another_scope_or_without_one() {
    let (mut plain, waiting) = (Plain::new(), Waiting::default());
    plain.submit("c1", call("cl", "s", 1), &waiting).expect("held");
    for (n, (client, session)) in [("cl", "s2"), ("cl2", "s"), ("", "s")].into_iter().enumerate() {
        let other = plain.submit(&format!("d{n}"), call(client, session, 1), &waiting);
        assert_eq!(other.expect("held").taken, Taken::New);
    }
    plain.submit("e1", call("", "", 1), &waiting).expect("held");
    let again = plain.submit("e2", call("", "", 1), &waiting).expect("held");
    assert_eq!(again.taken, Taken::New);
    let mut for_ann = call("cl", "s", 1);
    for_ann.agent.on_behalf_of = "ann".to_owned();
    assert_eq!(plain.submit("f1", for_ann, &waiting).expect("held").taken, Taken::New);
    let mut elsewhere = call("cl", "s", 1);
    elsewhere.caller = "another".to_owned();
    assert_eq!(plain.submit("c1", elsewhere, &waiting).expect("held").taken, Taken::New);
}

#[test]
fn a_route_that_became_stricter_is_not_bypassed_by_resuming() {
    let (mut plain, waiting) = (Plain::new(), Waiting::default());
    let first = approved(&mut plain, &waiting);
    let stricter = requirement(&["sec"], 1);
    let second = plain.submit_under("c2", call("cl", "s", 1), stricter, &waiting).expect("held");
    assert_eq!(second.taken, Taken::New);
    assert_ne!(second.request.id, first.id);
}

#[test]
fn a_denial_is_remembered_in_its_scope_until_the_deadline() {
    let (mut plain, waiting) = (Plain::new(), Waiting::default());
    let request = plain.submit("c1", call("cl", "s", 1), &waiting).expect("held").request;
    plain.decide(request.id, "ann", Verdict::Deny, &ann()).expect("denied");
    let mails = |plain: &Plain| -> i64 {
        let count = "SELECT count(*) FROM outbox";
        plain.conn.query_row(count, [], |row| row.get(0)).expect("count")
    };
    let before = mails(&plain);
    for n in 2..4 {
        let again = plain.submit(&format!("c{n}"), call("cl", "s", 1), &waiting).expect("told");
        assert_eq!((again.taken, again.request.id), (Taken::Remembered, request.id));
    }
    // The same call id once more is told the same and counted once.
    let retry = plain.submit("c3", call("cl", "s", 1), &waiting).expect("told");
    assert_eq!(retry.taken, Taken::Remembered);
    assert_eq!(plain.request(request.id).asked_again, 2);
    assert_eq!(mails(&plain), before);
    let other = plain.submit("d", call("cl", "s2", 1), &waiting).expect("held");
    assert_eq!(other.taken, Taken::New);
    plain.pass(MINUTES(15));
    let later = plain.submit("c9", call("cl", "s", 1), &waiting).expect("held");
    assert_eq!(later.taken, Taken::New);
}

#[test]
fn a_lifted_denial_is_forgotten() {
    let (mut plain, waiting) = (Plain::new(), Waiting::default());
    let request = plain.submit("c1", call("cl", "s", 1), &waiting).expect("held").request;
    let lift = Lift { id: request.id, operator: "bob".to_owned(), reason: String::new() };
    let early = plain.run(|tx| lift_denial(tx, &lift, &ann()));
    assert_eq!(refusal(early), Refusal::NotDenied(request.id));
    plain.decide(request.id, "ann", Verdict::Deny, &ann()).expect("denied");
    plain.run(|tx| lift_denial(tx, &lift, &ann())).expect("lifted");
    let again = plain.submit("c2", call("cl", "s", 1), &waiting).expect("held");
    assert_eq!(again.taken, Taken::New);
}

#[test]
fn an_approval_that_is_not_used_in_time_lapses() {
    let (mut plain, waiting) = (Plain::new(), Waiting::default());
    let request = approved(&mut plain, &waiting);
    plain.pass(MINUTES(15));
    assert_eq!(refusal(plain.take(&request, "c1")), Refusal::Lapsed(request.id));
    plain.run(end_due).expect("ended");
    assert_eq!(plain.request(request.id).use_, Use::Lapsed);
    assert_eq!(refusal(plain.take(&request, "c1")), Refusal::Lapsed(request.id));
    waiting.0.borrow_mut().clear();
    let again = plain.submit("c2", call("cl", "s", 1), &waiting).expect("held");
    assert_eq!(again.taken, Taken::New);
}

#[test]
fn a_lost_caller_leaves_an_unknown_outcome_that_the_next_identical_request_names() {
    let (mut plain, waiting) = (Plain::new(), Waiting::default());
    let request = approved(&mut plain, &waiting);
    plain.take(&request, "c1").expect("granted");
    plain.pass(MINUTES(9));
    let lease = MINUTES(10);
    plain.run(|tx| renew_use(tx, "proxy", request.id, "c1", lease)).expect("renewed");
    plain.pass(MINUTES(9));
    plain.run(end_due).expect("nothing");
    assert_eq!(plain.request(request.id).outcome, Outcome::None);
    plain.pass(MINUTES(1));
    plain.run(end_due).expect("ended");
    assert_eq!(plain.request(request.id).outcome, Outcome::Unknown);
    waiting.0.borrow_mut().clear();
    let next = plain.submit("c2", call("cl", "s", 1), &waiting).expect("held").request;
    assert_eq!(next.may_have_run, [request.id]);
    assert_eq!(next.identical_to, None);
    // A late report is worth more than none, and is recorded as late.
    plain.report(&request, "c1", Outcome::Succeeded).expect("late");
    assert_eq!(plain.request(request.id).outcome, Outcome::Succeeded);
    let contrary = refusal(plain.report(&request, "c1", Outcome::Failed));
    assert!(matches!(contrary, Refusal::OutcomeRecorded { .. }));
    plain.report(&request, "c1", Outcome::Succeeded).expect("the same again");
}

#[test]
fn a_call_that_may_be_running_is_named_by_the_next_identical_request() {
    let (mut plain, waiting) = (Plain::new(), Waiting::default());
    let request = approved(&mut plain, &waiting);
    plain.take(&request, "c1").expect("granted");
    waiting.0.borrow_mut().clear();
    let next = plain.submit("c2", call("cl", "s", 1), &waiting).expect("held").request;
    assert_eq!(next.may_have_run, [request.id]);
    plain.report(&request, "c1", Outcome::Succeeded).expect("reported");
    let third = plain.submit("c3", call("cl", "s", 1), &Waiting::default()).expect("held");
    assert_eq!(third.request.id, next.id, "it continues the one that nobody waits on");
    let (mut plain, waiting) = (Plain::new(), Waiting::default());
    let request = approved(&mut plain, &waiting);
    plain.take(&request, "c1").expect("granted");
    plain.report(&request, "c1", Outcome::Succeeded).expect("reported");
    let next = plain.submit("c2", call("cl", "s", 1), &waiting).expect("held").request;
    assert_eq!(next.may_have_run, []);
}

#[test]
fn what_is_withdrawn_is_never_used() {
    let (mut plain, waiting) = (Plain::new(), Waiting::default());
    let pending = plain.submit("c1", call("cl", "s", 1), &waiting).expect("held").request;
    let ended = plain.run(|tx| withdraw(tx, "proxy", pending.id, "")).expect("withdrawn");
    assert_eq!(ended.status, Status::Withdrawn);
    plain.run(|tx| withdraw(tx, "proxy", pending.id, "")).expect("the same again");
    let late = refusal(plain.decide(pending.id, "ann", Verdict::Approve, &ann()));
    assert!(matches!(late, Refusal::NotPending { status: Status::Withdrawn, .. }));
    waiting.0.borrow_mut().clear();
    let approved = plain.submit("c2", call("cl", "s", 1), &waiting).expect("held").request;
    plain.decide(approved.id, "ann", Verdict::Approve, &ann()).expect("approved");
    plain.run(|tx| withdraw(tx, "proxy", approved.id, "")).expect("given up");
    assert_eq!(refusal(plain.take(&approved, "c2")), Refusal::Lapsed(approved.id));
}

#[test]
fn another_callers_request_does_not_exist() {
    let (mut plain, waiting) = (Plain::new(), Waiting::default());
    let mut request = (*approved(&mut plain, &waiting)).clone();
    "another".clone_into(&mut request.call.caller);
    assert_eq!(refusal(plain.take(&request, "c1")), Refusal::NotFound);
    let withdrawn = plain.run(|tx| withdraw(tx, "another", request.id, ""));
    assert_eq!(refusal(withdrawn), Refusal::NotFound);
}

#[test]
fn limits_on_pending_requests_are_kept_and_given_back() {
    let (mut plain, waiting) = (Plain::new(), Waiting::default());
    let mut last = None;
    for n in 0..50 {
        let held = plain.submit(&format!("c{n}"), call("cl", "s", n), &waiting).expect("held");
        last = Some(held.request.id);
    }
    let full = refusal(plain.submit("c50", call("cl", "s", 50), &waiting));
    assert!(matches!(full, Refusal::TooManyPending { limit: 50, .. }), "{full:?}");
    plain.submit("d", call("cl2", "s", 1), &waiting).expect("another client has its own");
    plain.decide(last.expect("some"), "ann", Verdict::Deny, &ann()).expect("denied");
    plain.submit("c51", call("cl", "s", 51), &waiting).expect("room again");
    // Counted the same from the database.
    let counted = plain.state.pending.clone();
    let now = plain.now;
    plain.restart(now);
    assert_eq!(plain.state.pending, counted);
}

#[test]
fn a_thousand_expire_a_few_at_a_time() {
    let (mut plain, waiting) = (Plain::new(), Waiting::default());
    for n in 0..90 {
        let mut one = call("", "", n);
        one.caller = format!("caller {}", n % 9);
        for k in 0..10 {
            plain.submit(&format!("c{n}.{k}"), one.clone(), &waiting).expect("held");
        }
    }
    plain.pass(Duration::from_secs(3600));
    assert!(plain.run(end_due).expect("some"), "more is left");
    assert!(!plain.run(end_due).expect("the rest"));
    assert_eq!(plain.state.pending.all(), 0);
    plain.assert_chain_is_whole();
}
