//! The outbox: what is queued when, what is begun, and what follows from its end.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::{MINUTES, Plain, Waiting, ann, call, mail_to, requirement, staff};
use crate::call::ids::RequestId;
use crate::call::model::{MailKind, Outcome, Request, Verdict};
use crate::call::time::Time;
use crate::call::wants::Wants;
use crate::store::ending::{end_due, withdraw};
use crate::store::mail::{
    self, Begin, DueMail, MailOutcome, MailResult, MailTo, any_reminder, begin, members, queues,
    remind, result,
};
use crate::store::submit::{PendingLimits, Submit, submit};

/// Submits a call about which these people are mailed.
fn ask(plain: &mut Plain, n: u64, people: Vec<MailTo>, approvals: u32) -> Arc<Request> {
    let input = Submit {
        id: plain.id(),
        call_id: format!("c{n}"),
        handle: None,
        call: call("cl", &format!("s{n}"), n),
        requirement: requirement(&[], approvals),
        mail_to: people,
        timeout: MINUTES(15),
        watch_reach: true,
        limits: PendingLimits { per_caller: 5000, per_client: 5000 },
    };
    plain.run(|tx| submit(tx, input, &Waiting::default())).expect("held").request
}

fn everyone() -> Vec<MailTo> {
    ["ann", "bob", "cay"].map(mail_to).to_vec()
}

/// Every row in order, as `kind operator state`.
fn rows(plain: &Plain) -> Vec<String> {
    let mut statement = plain
        .conn
        .prepare("SELECT kind, operator, state FROM outbox ORDER BY n")
        .expect("prepared");
    let row = |row: &rusqlite::Row<'_>| {
        let kind = MailKind::from_number(row.get(0)?).expect("a kind");
        let state = ["queued", "sent", "failed", "pointless"][row.get::<_, u8>(2)? as usize];
        Ok(format!("{kind} {} {state}", row.get::<_, String>(1)?))
    };
    let rows = statement.query_map([], row).expect("rows");
    rows.collect::<Result<_, _>>().expect("rows")
}

/// The newest row of this kind to this operator.
fn row(plain: &Plain, kind: MailKind, operator: &str) -> i64 {
    let sql = "SELECT max(n) FROM outbox WHERE kind = ? AND operator = ?";
    let found = plain.conn.query_row(sql, (kind.number(), operator), |row| row.get(0));
    found.expect("there is one")
}

fn begun(plain: &mut Plain, wanted: &[Begin]) -> Vec<DueMail> {
    plain.run(|tx| begin(tx, wanted)).expect("begun")
}

fn ends(plain: &mut Plain, id: i64, told: Vec<i64>, outcome: MailOutcome) {
    let message_id = format!("<{id}@example.com>");
    plain.run(|tx| result(tx, &MailResult { id, outcome, message_id, told })).expect("recorded");
}

fn sent() -> MailOutcome {
    MailOutcome::Sent { answer: "250 ok".to_owned() }
}

fn later(error: &str) -> MailOutcome {
    MailOutcome::Retry { error: error.to_owned(), after: MINUTES(1) }
}

fn unknown() -> MailOutcome {
    MailOutcome::Unknown { error: "the line went dead".to_owned(), after: MINUTES(1) }
}

/// Sends a mail.
fn send(plain: &mut Plain, kind: MailKind, operator: &str) {
    let id = row(plain, kind, operator);
    assert_eq!(begun(plain, &[Begin::One(id)]).len(), 1);
    ends(plain, id, Vec::new(), sent());
}

fn gathered(plain: &mut Plain, operator: &str, requests: usize) -> DueMail {
    let sql = "SELECT n FROM outbox WHERE operator = ? AND state = 0 ORDER BY n";
    let ids: Vec<i64> = {
        let mut statement = plain.conn.prepare(sql).expect("prepared");
        let rows = statement.query_map([operator], |row| row.get(0)).expect("rows");
        rows.collect::<Result<_, _>>().expect("rows")
    };
    assert_eq!(ids.len(), requests);
    begun(plain, &[Begin::Gathered(ids)]).pop().expect("a summary")
}

/// What the payloads of the newest entries of a kind say, oldest first.
fn said(plain: &Plain, kind: &str) -> Vec<String> {
    let sql = "SELECT payload FROM audit JOIN audit_body USING (seq) WHERE kind = ? ORDER BY seq";
    let mut statement = plain.conn.prepare(sql).expect("prepared");
    let rows = statement.query_map([kind], |row| row.get(0)).expect("rows");
    rows.collect::<Result<_, _>>().expect("rows")
}

#[test]
fn who_was_mailed_is_told_how_it_ended_except_who_ended_it() {
    let mut plain = Plain::new();
    let request = ask(&mut plain, 1, everyone(), 1);
    send(&mut plain, MailKind::Asked, "ann");
    send(&mut plain, MailKind::Asked, "bob");
    plain.decide(request.id, "ann", Verdict::Deny, &ann()).expect("denied");
    assert_eq!(
        rows(&plain),
        ["asked ann sent", "asked bob sent", "asked cay pointless", "denied bob queued"]
    );
    let entry = said(&plain, "denied").pop().expect("an entry");
    assert!(entry.contains(r#""mail_not_needed":["cay"]"#), "{entry}");
    plain.assert_chain_is_whole();
}

#[test]
fn every_ending_is_told_to_who_wants_it_and_only_to_them() {
    let wanting = |operator: &str, kinds: &[MailKind]| MailTo {
        operator: operator.to_owned(),
        wants: kinds.iter().copied().fold(Wants::NONE, Wants::and),
    };
    for (kind, end) in [
        (MailKind::Approved, Some(Verdict::Approve)),
        (MailKind::Denied, Some(Verdict::Deny)),
        (MailKind::Expired, None),
        (MailKind::Withdrawn, None),
    ] {
        let mut plain = Plain::new();
        let others: Vec<MailKind> = Wants::ALL.iter().copied().filter(|k| *k != kind).collect();
        let people = vec![wanting("ann", &[kind]), wanting("bob", &others), wanting("cay", &[])];
        let request = ask(&mut plain, 1, people, 1);
        for operator in ["ann", "bob", "cay"] {
            send(&mut plain, MailKind::Asked, operator);
        }
        match (kind, end) {
            (_, Some(verdict)) => {
                let dee = staff(&[("dee", &["ops"])]);
                plain.decide(request.id, "dee", verdict, &dee).expect("decided");
            }
            (MailKind::Withdrawn, None) => {
                plain.run(|tx| withdraw(tx, "proxy", request.id, "")).expect("withdrawn");
            }
            _ => {
                plain.pass(MINUTES(15));
                plain.run(end_due).expect("expired");
            }
        }
        assert_eq!(rows(&plain)[3..], [format!("{kind} ann queued")]);
    }
}

#[test]
fn a_mail_that_was_on_its_way_while_its_request_ended_is_followed_up() {
    let mut plain = Plain::new();
    let request = ask(&mut plain, 1, everyone(), 1);
    let ids = ["ann", "bob", "cay"].map(|operator| row(&plain, MailKind::Asked, operator));
    begun(&mut plain, &ids.map(Begin::One));
    plain.decide(request.id, "ann", Verdict::Approve, &ann()).expect("approved");
    // Ann decided, bob's arrived, and what became of cay's nobody knows.
    ends(&mut plain, ids[0], Vec::new(), sent());
    ends(&mut plain, ids[1], Vec::new(), sent());
    ends(&mut plain, ids[2], Vec::new(), unknown());
    assert_eq!(
        rows(&plain),
        [
            "asked ann sent",
            "asked bob sent",
            "asked cay sent",
            "approved bob queued",
            "approved cay queued"
        ]
    );
    let failed = ask(&mut plain, 2, vec![mail_to("ann")], 1);
    let id = row(&plain, MailKind::Asked, "ann");
    begun(&mut plain, &[Begin::One(id)]);
    plain.run(|tx| withdraw(tx, "proxy", failed.id, "")).expect("withdrawn");
    ends(&mut plain, id, Vec::new(), later("450 later"));
    assert_eq!(rows(&plain)[5..], ["asked ann pointless"], "who heard nothing is told nothing");
}

#[test]
fn an_unknown_outcome_is_told_to_everyone_who_was_asked_or_approved() {
    let mut plain = Plain::new();
    let quiet = MailTo { operator: "cay".to_owned(), wants: Wants::NONE };
    let request = ask(&mut plain, 1, vec![mail_to("ann"), mail_to("bob"), quiet], 2);
    send(&mut plain, MailKind::Asked, "bob");
    let people = staff(&[("ann", &["ops"]), ("dee", &["ops"])]);
    for operator in ["ann", "dee"] {
        plain.decide(request.id, operator, Verdict::Approve, &people).expect("approved");
    }
    plain.take(&request, "c1").expect("granted");
    let before = rows(&plain).len();
    plain.pass(MINUTES(10));
    plain.run(end_due).expect("lost");
    let told = ["ann", "bob", "dee"].map(|who| format!("outcome_unknown {who} queued"));
    assert_eq!(rows(&plain)[before..], told);
    // The same from a caller that says so itself.
    let request = ask(&mut plain, 2, vec![mail_to("bob")], 1);
    plain.decide(request.id, "ann", Verdict::Approve, &people).expect("approved");
    plain.take(&request, "c2").expect("granted");
    let before = rows(&plain).len();
    plain.report(&request, "c2", Outcome::Unknown).expect("reported");
    assert_eq!(
        rows(&plain)[before..],
        ["outcome_unknown bob queued", "outcome_unknown ann queued"]
    );
}

#[test]
fn a_summary_keeps_its_members_and_they_share_its_end() {
    let mut plain = Plain::new();
    let asked: Vec<_> = (0..4).map(|n| ask(&mut plain, n, vec![mail_to("ann")], 1)).collect();
    let summary = gathered(&mut plain, "ann", 4);
    assert_eq!((summary.kind, summary.request, summary.attempts), (MailKind::Summary, None, 1));
    ends(&mut plain, summary.id, Vec::new(), later("450 later"));
    // What waits within it is shown with what happened to it.
    let notice = plain.request(asked[0].id).notices.remove(0);
    assert_eq!(
        (notice.state.as_str(), notice.detail.as_str(), notice.in_summary),
        ("deferred", "450 later", true)
    );
    plain.run(|tx| withdraw(tx, "proxy", asked[1].id, "")).expect("withdrawn");
    ask(&mut plain, 9, vec![mail_to("ann")], 1);
    plain.pass(MINUTES(1));
    let again = begun(&mut plain, &[Begin::One(summary.id)]).remove(0);
    assert_eq!((again.letter, again.attempts), (summary.letter, 2), "the same letter");
    let told = members(&plain.conn, summary.id).expect("members");
    let ids: Vec<RequestId> = told.iter().map(|(_, _, request)| request.id).collect();
    assert_eq!(ids, [asked[0].id, asked[2].id, asked[3].id]);
    // One more ends while the letter is on its way.
    plain.decide(asked[2].id, "bob", Verdict::Deny, &ann()).expect("denied");
    let told = told.iter().map(|(row, ..)| *row).collect();
    ends(&mut plain, summary.id, told, sent());
    assert_eq!(
        rows(&plain),
        [
            "asked ann sent",
            "asked ann pointless",
            "asked ann sent",
            "asked ann sent",
            "summary ann sent",
            "asked ann queued",
            "denied ann queued",
        ]
    );
    let entries = said(&plain, "mail_sent");
    assert_eq!(entries.len(), 4, "one of the summary, and one of each request in it");
    assert!(
        entries[0].contains(r#""mail":"summary","told":3,"message_id":"<5@example.com>""#),
        "{}",
        entries[0]
    );
    assert!(
        entries[1].contains(r#""mail":"asked""#) && entries[1].contains(r#""in_summary":5"#),
        "{}",
        entries[1]
    );
    // What follows continues the summary's thread.
    let id = row(&plain, MailKind::Denied, "ann");
    assert_eq!(begun(&mut plain, &[Begin::One(id)])[0].letter, summary.letter);
}

#[test]
fn a_summary_that_cannot_be_delivered_fails_all_that_is_in_it() {
    let mut plain = Plain::new();
    (0..3).for_each(|n| drop(ask(&mut plain, n, vec![mail_to("ann")], 1)));
    let summary = gathered(&mut plain, "ann", 3);
    let told = members(&plain.conn, summary.id).expect("members");
    let error = "550 no such user".to_owned();
    ends(
        &mut plain,
        summary.id,
        told.iter().map(|(n, ..)| *n).collect(),
        MailOutcome::Failed { error },
    );
    assert!(rows(&plain).iter().all(|row| row.ends_with("failed")), "{:?}", rows(&plain));
    assert_eq!(said(&plain, "mail_failed").len(), 4);
}

#[test]
fn a_summary_lets_go_of_what_it_did_not_tell() {
    let mut plain = Plain::new();
    (0..3).for_each(|n| drop(ask(&mut plain, n, vec![mail_to("ann")], 1)));
    let summary = gathered(&mut plain, "ann", 3);
    let told = members(&plain.conn, summary.id).expect("members");
    ends(&mut plain, summary.id, vec![told[0].0], sent());
    let queue = due(&plain).remove(0);
    assert_eq!(queue.waiting.len(), 2, "they wait again");
}

#[test]
fn who_turns_summaries_off_gets_what_one_would_have_told_unless_it_may_have_left() {
    let mut plain = Plain::new();
    let turn = |plain: &mut Plain, address: &'static str, on| {
        plain.run(move |tx| mail::turn_summaries(tx, "ann", address, on)).expect("turned")
    };
    // One that waits to be tried again, one that perhaps arrived, and one under way.
    let two = |plain: &mut Plain, n| {
        let ids = [n, n + 1].map(|n| {
            ask(plain, n, vec![mail_to("ann")], 1);
            row(plain, MailKind::Asked, "ann")
        });
        begun(plain, &[Begin::Gathered(ids.to_vec())]).pop().expect("a summary")
    };
    let waits = two(&mut plain, 0);
    ends(&mut plain, waits.id, Vec::new(), later("busy"));
    let perhaps = two(&mut plain, 2);
    ends(&mut plain, perhaps.id, Vec::new(), unknown());
    let underway = two(&mut plain, 4);
    assert!(turn(&mut plain, "Ann@example.com", false));
    let states = |plain: &Plain, id: i64| -> (i64, i64) {
        let sql = "SELECT state, (SELECT count(*) FROM outbox m WHERE m.summary = o.n)
                   FROM outbox o WHERE n = ?";
        plain.conn.query_row(sql, [id], |row| Ok((row.get(0)?, row.get(1)?))).expect("a row")
    };
    assert_eq!(states(&plain, waits.id), (3, 0), "taken apart");
    assert_eq!(states(&plain, perhaps.id), (0, 2));
    assert_eq!(states(&plain, underway.id), (0, 2));
    plain.pass(MINUTES(2));
    let queue = due(&plain).into_iter().find(|queue| queue.operator == "ann").expect("hers");
    assert_eq!(queue.summaries_off, Some(mail::address_hash("ann@example.com")));
    let count = |kind| queue.waiting.iter().filter(|one| one.kind == kind).count();
    // `due` looks after a crash: what was under way is to be tried again too.
    assert_eq!((count(MailKind::Asked), count(MailKind::Summary)), (2, 2));
    // Each change is said, once; another person at another address has not left.
    assert!(!turn(&mut plain, "ann@example.com", false));
    let off = |plain: &Plain, address: &str| {
        let address = mail::address_hash(address);
        mail::summaries_off(&plain.conn, "ann", &address).expect("readable").is_some()
    };
    assert!(off(&plain, "ann@example.com") && !off(&plain, "other@example.com"));
    assert!(turn(&mut plain, "ann@example.com", true));
    assert!(!off(&plain, "ann@example.com"));
    assert_eq!((said(&plain, "summaries_off").len(), said(&plain, "summaries_on").len()), (1, 1));
}

#[test]
fn nothing_is_gathered_for_two_people_or_after_it_may_have_left() {
    let mut plain = Plain::new();
    ask(&mut plain, 1, everyone(), 1);
    ask(&mut plain, 2, vec![mail_to("ann")], 1);
    ask(&mut plain, 3, vec![mail_to("ann")], 1);
    // The first to ann began before the daemon was killed, bob's is unknown.
    let ids: Vec<i64> = (1..=5).collect();
    begun(&mut plain, &[Begin::One(1), Begin::One(2)]);
    ends(&mut plain, 2, Vec::new(), unknown());
    plain.pass(MINUTES(2));
    let queues = due(&plain);
    let doubted = |q: &mail::Queue| {
        q.waiting.iter().filter(|w| w.perhaps_sent).map(|w| w.id).collect::<Vec<_>>()
    };
    assert_eq!(queues.iter().map(doubted).collect::<Vec<_>>(), [vec![1], vec![2], vec![]]);
    let summary = begun(&mut plain, &[Begin::Gathered(ids)]);
    // Cay's came first among those that could be gathered, and is alone.
    assert_eq!((summary[0].id, summary[0].operator.as_str()), (3, "cay"));
}

fn due(plain: &Plain) -> Vec<mail::Queue> {
    queues(&plain.conn, plain.now, &BTreeSet::new(), 5, 1000).expect("queues")
}

#[test]
fn an_end_that_nobody_knows_is_tried_once_more_and_then_called_sent() {
    let mut plain = Plain::new();
    ask(&mut plain, 1, vec![mail_to("ann")], 1);
    begun(&mut plain, &[Begin::One(1)]);
    ends(&mut plain, 1, Vec::new(), unknown());
    assert_eq!(rows(&plain), ["asked ann queued"]);
    assert!(due(&plain).is_empty(), "it waits out its back-off");
    plain.pass(MINUTES(1));
    assert_eq!(due(&plain)[0].waiting.len(), 1);
    begun(&mut plain, &[Begin::One(1)]);
    ends(&mut plain, 1, Vec::new(), unknown());
    assert_eq!(rows(&plain), ["asked ann sent"]);
    let entry = said(&plain, "mail_sent").pop().expect("an entry");
    assert!(entry.contains(r#""answer":"perhaps: the line went dead""#), "{entry}");
    assert!(entry.contains(r#""message_id":"<1@example.com>""#), "{entry}");
}

#[test]
fn a_crash_any_number_of_times_loses_no_mail() {
    let mut plain = Plain::new();
    ask(&mut plain, 1, vec![mail_to("ann")], 1);
    for _ in 0..5 {
        assert_eq!(begun(&mut plain, &[Begin::One(1)]).len(), 1);
        let now = plain.now;
        plain.restart(now);
        let queue = due(&plain).remove(0);
        assert_eq!((queue.tried, queue.again.len()), (1, 1), "it is one of those of this minute");
    }
    begun(&mut plain, &[Begin::One(1)]);
    ends(&mut plain, 1, Vec::new(), sent());
    assert_eq!(rows(&plain), ["asked ann sent"]);
    assert_eq!(
        plain
            .request(RequestId::from_bytes([0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0]))
            .notices[0]
            .attempts,
        6
    );
}

#[test]
fn the_first_deferral_is_recorded_and_no_other() {
    let mut plain = Plain::new();
    let request = ask(&mut plain, 1, vec![mail_to("ann")], 1);
    for _ in 0..3 {
        begun(&mut plain, &[Begin::One(1)]);
        ends(&mut plain, 1, Vec::new(), later("450 greylisted"));
    }
    begun(&mut plain, &[Begin::One(1)]);
    ends(&mut plain, 1, Vec::new(), sent());
    // Whatever comes late changes nothing.
    ends(&mut plain, 1, Vec::new(), later("450 greylisted"));
    assert_eq!(plain.kinds(request.id), ["requested", "mail_deferred", "mail_sent"]);
    assert_eq!(rows(&plain), ["asked ann sent"]);
}

/// Nobody sleeps, or everybody does until then.
fn reminded(plain: &mut Plain, quiet_until: Option<Time>) -> bool {
    plain.run(|tx| remind(tx, &|_| quiet_until)).expect("reminded");
    any_reminder(&plain.conn, plain.now).expect("read")
}

#[test]
fn who_was_mailed_and_has_done_nothing_is_reminded_once_at_half_the_time() {
    let mut plain = Plain::new();
    let request = ask(&mut plain, 1, everyone(), 2);
    for operator in ["ann", "bob"] {
        send(&mut plain, MailKind::Asked, operator);
    }
    plain.decide(request.id, "ann", Verdict::Approve, &ann()).expect("counted");
    plain.pass(MINUTES(7));
    assert!(!any_reminder(&plain.conn, plain.now).expect("read"));
    plain.pass(MINUTES(1));
    assert!(any_reminder(&plain.conn, plain.now).expect("read"));
    assert!(!reminded(&mut plain, None));
    assert!(!reminded(&mut plain, None));
    // Ann has decided, and cay was never mailed.
    assert_eq!(rows(&plain)[3..], ["reminder bob queued"]);
    plain.decide(request.id, "bob", Verdict::Approve, &ann()).expect("approved");
    assert!(rows(&plain).contains(&"reminder bob pointless".to_owned()));
}

#[test]
fn a_reminder_waits_for_the_end_of_quiet_hours_and_is_pointless_after_an_ending() {
    let mut plain = Plain::new();
    let request = ask(&mut plain, 1, vec![mail_to("ann")], 1);
    send(&mut plain, MailKind::Asked, "ann");
    plain.pass(MINUTES(8));
    let morning = plain.now + MINUTES(3);
    assert!(!reminded(&mut plain, Some(morning)));
    assert_eq!(rows(&plain).len(), 1);
    plain.pass(MINUTES(3));
    assert!(!reminded(&mut plain, None));
    assert_eq!(rows(&plain)[1..], ["reminder ann queued"]);
    let other = ask(&mut plain, 2, vec![mail_to("ann")], 1);
    send(&mut plain, MailKind::Asked, "ann");
    for id in [request.id, other.id] {
        plain.run(|tx| withdraw(tx, "proxy", id, "")).expect("withdrawn");
    }
    plain.pass(MINUTES(8));
    assert!(!any_reminder(&plain.conn, plain.now).expect("read"), "nothing is left to remind of");
}

#[test]
fn nobody_is_reminded_who_does_not_want_it_or_has_too_little_time() {
    let mut plain = Plain::new();
    let silent = MailTo { operator: "ann".to_owned(), wants: Wants::NONE };
    ask(&mut plain, 1, vec![silent], 1);
    send(&mut plain, MailKind::Asked, "ann");
    // Mailed when half of the time was over.
    ask(&mut plain, 2, vec![mail_to("bob")], 1);
    plain.pass(MINUTES(8));
    send(&mut plain, MailKind::Asked, "bob");
    let short = Submit {
        id: plain.id(),
        call_id: "short".to_owned(),
        handle: None,
        call: call("cl", "s", 7),
        requirement: requirement(&[], 1),
        mail_to: vec![mail_to("cay")],
        timeout: std::time::Duration::from_secs(119),
        watch_reach: true,
        limits: PendingLimits { per_caller: 50, per_client: 50 },
    };
    plain.run(|tx| submit(tx, short, &Waiting::default())).expect("held");
    send(&mut plain, MailKind::Asked, "cay");
    plain.pass(MINUTES(5));
    assert!(!any_reminder(&plain.conn, plain.now).expect("read"));
}

#[test]
fn a_stepped_clock_moves_what_waits_along() {
    let mut plain = Plain::new();
    ask(&mut plain, 1, vec![mail_to("ann"), mail_to("bob")], 1);
    send(&mut plain, MailKind::Asked, "bob");
    for by in [-3_600_000, 7_200_000] {
        plain.run(|tx| crate::store::clock::step(tx, by)).expect("stepped");
        plain.now = Time(plain.now.0 + by);
        let queue = due(&plain).remove(0);
        assert_eq!((queue.operator.as_str(), queue.waiting.len()), ("ann", 1));
        assert_eq!(queue.waiting[0].go_by, plain.now + MINUTES(3));
        plain.pass(MINUTES(8));
        assert!(any_reminder(&plain.conn, plain.now).expect("read"));
        plain.now = plain.now - MINUTES(8);
        assert!(!any_reminder(&plain.conn, plain.now).expect("read"));
    }
}
