//! Handles: what they find, what they never find, and how long.

use super::*;
use crate::call::model::Status;
use crate::store::ending::withdraw;
use crate::store::error::Refusal;
use crate::store::find::{ON_ONE, by_handle};
use crate::store::submit::Taken;
use crate::store::{retention, text_index};

fn found_by(plain: &Plain, caller: &str, client: &str, handle: &str) -> Option<Request> {
    let handle = Handle::new(handle).expect("a handle");
    let found = by_handle(&plain.conn, caller, client, handle).expect("read");
    found.map(|(request, _)| request)
}

/// What the client "cl" of the caller "proxy" finds.
fn found(plain: &Plain, handle: &str) -> Option<RequestId> {
    found_by(plain, "proxy", "cl", handle).map(|request| request.id)
}

fn handles(plain: &Plain) -> i64 {
    let count = "SELECT count(*) FROM handles";
    plain.conn.query_row(count, [], |row| row.get(0)).expect("count")
}

#[test]
fn a_handle_finds_the_request_that_its_call_belongs_to() {
    let (mut plain, waiting) = (Plain::new(), Waiting::default());
    let given = plain.now;
    let first = plain.submit_as("h1", "c1", call("cl", "s", 1), &waiting).expect("held").request;
    plain.pass(MINUTES(1));
    let again = plain.submit_as("h1", "c1", call("cl", "s", 1), &waiting).expect("the same");
    assert_eq!((again.taken, handles(&plain)), (Taken::Repeated, 1));
    waiting.0.borrow_mut().clear();
    let resumed = plain.submit_as("h2", "c2", call("cl", "s", 1), &waiting).expect("resumed");
    assert_eq!(resumed.taken, Taken::Resumed);
    let denied = plain.decide(first.id, "ann", Verdict::Deny, &ann()).expect("denied");
    let told = plain.submit_as("h3", "c3", call("cl", "s", 1), &waiting).expect("told");
    assert_eq!(told.taken, Taken::Remembered);
    let (now, entries) = (plain.now, plain.state.head.sequence);
    plain.restart(now);
    for handle in ["h1", "h2", "h3"] {
        let request = found_by(&plain, "proxy", "cl", handle).expect("found");
        assert_eq!((request.id, request.status), (denied.id, Status::Denied), "{handle}");
        assert_eq!(request.decisions.len(), 1);
    }
    let handle = Handle::new("h1").expect("a handle");
    let (_, since) = by_handle(&plain.conn, "proxy", "cl", handle).expect("read").expect("found");
    assert_eq!(since, given, "since it was first given");
    assert_eq!(plain.state.head.sequence, entries, "to find changes nothing");
}

#[test]
fn a_handle_finds_nothing_for_another_client_or_caller() {
    let (mut plain, waiting) = (Plain::new(), Waiting::default());
    let mine = plain.submit_as("h", "c1", call("cl", "s", 1), &waiting).expect("held").request;
    assert_eq!(found(&plain, "h"), Some(mine.id));
    for (caller, client, handle) in [
        ("proxy", "cl2", "h"),
        ("proxy", "", "h"),
        ("another", "cl", "h"),
        ("proxy", "cl", "H"),
        ("proxy", "cl", "c1"),
    ] {
        let nobodys = found_by(&plain, caller, client, handle);
        assert!(nobodys.is_none(), "{caller} {client} {handle}");
    }
    // Another caller's handle of the same name is its own.
    let theirs = Call { caller: "another".to_owned(), ..call("cl", "s", 1) };
    let theirs = plain.submit_as("h", "c1", theirs, &waiting).expect("held").request;
    assert_eq!(found(&plain, "h"), Some(mine.id));
    let other = found_by(&plain, "another", "cl", "h").expect("found");
    assert_eq!(other.id, theirs.id);
}

#[test]
fn a_handle_of_another_request_is_refused_and_nothing_changes() {
    let (mut plain, waiting) = (Plain::new(), Waiting::default());
    let first = plain.submit_as("h1", "c1", call("cl", "s", 1), &waiting).expect("held").request;
    let second = plain.submit_as("h2", "c2", call("cl", "s", 2), &waiting).expect("held").request;
    let (head, told) = (plain.state.head, plain.events.len());
    // For a new call, for one that would resume, for the same one, for another client.
    for (call_id, call) in [
        ("c3", call("cl", "s", 3)),
        ("c3", call("cl", "s", 2)),
        ("c2", call("cl", "s", 2)),
        ("c3", call("cl2", "s", 1)),
    ] {
        waiting.0.borrow_mut().clear();
        let refused = plain.submit_as("h1", call_id, call, &waiting).expect_err("another's");
        let StoreError::Refused(refusal) = refused else { panic!("{refused:?}") };
        assert_eq!(refusal, Refusal::HandleReused(first.id));
    }
    assert_eq!((plain.state.head, plain.events.len()), (head, told));
    assert_eq!(plain.request(second.id).call_id, "c2");
    assert_eq!((plain.state.pending.all(), handles(&plain)), (2, 2));
    assert_eq!(found(&plain, "h1"), Some(first.id));
}

#[test]
fn the_oldest_handle_of_a_request_is_forgotten_when_it_has_too_many() {
    let (mut plain, waiting) = (Plain::new(), Waiting::default());
    let ask = |plain: &mut Plain, n: i64| {
        waiting.0.borrow_mut().clear();
        let (handle, call_id) = (format!("h{n}"), format!("c{n}"));
        plain.submit_as(&handle, &call_id, call("cl", "s", 1), &waiting).expect("held").request.id
    };
    let other = plain.submit_as("other", "other", call("cl", "s", 2), &waiting).expect("held");
    let id = ask(&mut plain, 1);
    for n in 2..=ON_ONE {
        assert_eq!(ask(&mut plain, n), id);
    }
    assert_eq!((found(&plain, "h1"), handles(&plain)), (Some(id), ON_ONE + 1));
    for n in ON_ONE + 1..=ON_ONE + 3 {
        ask(&mut plain, n);
        assert_eq!(handles(&plain), ON_ONE + 1);
    }
    assert_eq!(["h1", "h2", "h3"].map(|handle| found(&plain, handle)), [None; 3]);
    assert!((4..=ON_ONE + 3).all(|n| found(&plain, &format!("h{n}")) == Some(id)));
    assert_eq!(found(&plain, "other"), Some(other.request.id));
}

#[test]
fn handles_are_erased_with_their_request() {
    let (mut plain, waiting) = (Plain::new(), Waiting::default());
    let old = plain.submit_as("old", "c1", call("cl", "s", 1), &waiting).expect("held").request;
    plain.run(|tx| withdraw(tx, "proxy", old.id, "")).expect("withdrawn");
    let open = Submit { timeout: MINUTES(7 * 24 * 60), ..plain.input("c2", call("cl", "s", 2)) };
    let open = Submit { handle: Some(Handle::new("open").expect("a handle")), ..open };
    let open = plain.run(|tx| submit(tx, open, &waiting)).expect("held").request;
    while plain.run(text_index::catch_up).expect("indexed") {}
    plain.pass(MINUTES(3 * 24 * 60));
    let mut run = plain.run(|tx| retention::begin(tx, MINUTES(24 * 60))).expect("begun");
    while let Some(now) = run {
        run = plain.run(|tx| retention::step(tx, now)).expect("a step");
    }
    assert_eq!((found(&plain, "old"), found(&plain, "open")), (None, Some(open.id)));
    assert_eq!(handles(&plain), 1);
    // The name is free again.
    let new = plain.submit_as("old", "c3", call("cl", "s", 3), &waiting).expect("held").request;
    assert_eq!(found(&plain, "old"), Some(new.id));
}

#[test]
fn no_question_about_handles_walks_through_all_of_them() {
    let plain = Plain::new();
    for (sql, index) in [
        ("SELECT request, at FROM handles WHERE caller = ? AND handle = ?", "PRIMARY KEY"),
        ("SELECT coalesce(max(n), 0) FROM handles WHERE request = ?", "handles_by_request"),
        ("DELETE FROM handles WHERE request = ? AND n <= ?", "handles_by_request"),
    ] {
        let mut statement =
            plain.conn.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).expect("a plan");
        let arguments = vec![0; statement.parameter_count()];
        let plan: String = statement
            .query_row(rusqlite::params_from_iter(arguments), |row| row.get(3))
            .expect("a step");
        assert!(plan.starts_with("SEARCH") && plan.contains(index), "{sql}: {plan}");
    }
}
