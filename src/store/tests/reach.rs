//! Looks, and whether anybody was reached.

use std::time::Duration;

use super::*;
use crate::store::audit::Kind;
use crate::store::ending::{end_due, withdraw};
use crate::store::mail::{self, Begin, MailOutcome, MailResult};
use crate::store::{clock, reach, read};

impl Plain {
    fn look(&mut self, id: RequestId, operator: &str, people: &Staff) -> bool {
        self.run(|tx| reach::look(tx, id, operator, people)).expect("looked")
    }

    /// How the first mail about a request went.
    fn mailed(&mut self, id: RequestId, outcome: MailOutcome) {
        let mails: Result<Vec<i64>, _> = self
            .conn
            .prepare("SELECT n FROM outbox WHERE request = ?")
            .and_then(|mut all| all.query_map([id.as_bytes()], |row| row.get(0))?.collect());
        let id = *mails.expect("read").first().expect("a mail");
        let (message_id, told) = ("<1@test>".to_owned(), Vec::new());
        let result = MailResult { id, outcome, message_id, told };
        self.run(|tx| mail::begin(tx, &[Begin::One(id)])).expect("begun");
        self.run(|tx| mail::result(tx, &result)).expect("written");
    }

    fn end_due(&mut self) {
        self.run(end_due).expect("ended");
    }

    /// Whether the request's time to be reached in is still open.
    fn open(&self, id: RequestId) -> bool {
        self.request(id).reach_by.is_some()
    }
}

fn refused() -> MailOutcome {
    let error = "connection refused\r\nby 127.0.0.1".to_owned();
    MailOutcome::Retry { error, after: Duration::from_secs(5) }
}

fn sent() -> MailOutcome {
    MailOutcome::Sent { answer: "250 ok".to_owned() }
}

/// One request whose mail was refused, three minutes and a bit after it came.
fn unreached() -> (Plain, RequestId) {
    let mut plain = Plain::new();
    let id = plain.submit("c1", call("c", "s", 1), &Waiting::default()).expect("held").request.id;
    plain.mailed(id, refused());
    plain.pass(MINUTES(3));
    plain.end_due();
    (plain, id)
}

#[test]
fn a_look_is_recorded_once_for_each_who_may_decide() {
    let mut plain = Plain::new();
    let id = plain.submit("c1", call("c", "s", 1), &Waiting::default()).expect("held").request.id;
    assert!(plain.look(id, "ann", &ann()) && !plain.look(id, "ann", &ann()));
    plain.pass(MINUTES(1));
    assert!(plain.look(id, "bob", &ann()));
    assert!(!plain.look(id, "eve", &ann()), "she may not decide");
    let request = plain.request(id);
    let names: Vec<&str> = request.looked.iter().map(|look| look.operator.as_str()).collect();
    assert_eq!(names, ["ann", "bob"]);
    assert_eq!(request.looked[1].at, plain.now);
    assert_eq!(plain.kinds(id), ["requested", "looked", "looked"]);
    let last = plain.events.last().expect("an event");
    assert!(last.kind == Kind::Looked && last.request.looked.len() == 2);
    let (page, _) = read::pending(&plain.conn, Default::default(), 10).expect("read");
    assert_eq!(page[0].1.looked, request.looked, "lists say it too");
    plain.assert_chain_is_whole();
}

#[test]
fn nobody_looks_at_what_has_ended() {
    let mut plain = Plain::new();
    let id = plain.submit("c1", call("c", "s", 1), &Waiting::default()).expect("held").request.id;
    plain.pass(MINUTES(15));
    assert!(!plain.look(id, "ann", &ann()), "its time is up, though nobody wrote that down yet");
    plain.end_due();
    assert!(!plain.look(id, "ann", &ann()));
    assert!(!plain.kinds(id).contains(&"looked".to_owned()));
    let stranger = plain.id();
    assert!(!plain.look(stranger, "ann", &ann()));
}

#[test]
fn after_a_fifth_of_the_time_without_a_mail_that_went_nobody_is_coming() {
    let mut plain = Plain::new();
    let id = plain.submit("c1", call("c", "s", 1), &Waiting::default()).expect("held").request.id;
    plain.mailed(id, refused());
    plain.pass(MINUTES(3) - Duration::from_millis(1));
    assert_eq!(
        read::next_due(&plain.conn).expect("read"),
        Some(plain.now + Duration::from_millis(1))
    );
    plain.end_due();
    assert_eq!(plain.request(id).unreached, None);
    plain.pass(Duration::from_millis(1));
    plain.end_due();
    let request = plain.request(id);
    let unreached = request.unreached.expect("unreached");
    assert_eq!((unreached.since, request.reach_by), (plain.now, None));
    // One line, and none of the server's.
    assert!(unreached.why.starts_with("connection refused") && !unreached.why.contains('\n'));
    let event = plain.events.last().expect("an event");
    assert!(event.kind == Kind::NobodyReached && event.request.unreached.is_some());
    // Said once.
    plain.pass(MINUTES(1));
    plain.end_due();
    assert_eq!(plain.kinds(id), ["requested", "mail_deferred", "nobody_reached"]);
    assert_eq!(read::next_due(&plain.conn).expect("read"), Some(request.deadline));
    plain.assert_chain_is_whole();
}

#[test]
fn whoever_knows_of_it_settles_whether_somebody_was_reached() {
    type Settles<'a> = &'a dyn Fn(&mut Plain, RequestId);
    let settle: [Settles<'_>; 5] = [
        &|plain, id| plain.mailed(id, sent()),
        &|plain, id| assert!(plain.look(id, "ann", &ann())),
        &|plain, id| drop(plain.decide(id, "ann", Verdict::Approve, &ann()).expect("counted")),
        &|plain, id| drop(plain.decide(id, "ann", Verdict::Deny, &ann()).expect("denied")),
        &|plain, id| drop(plain.run(|tx| withdraw(tx, "proxy", id, "")).expect("withdrawn")),
    ];
    for (n, settle) in settle.into_iter().enumerate() {
        let mut plain = Plain::new();
        let (call, two) = (call("c", "s", 1), requirement(&[], 2));
        let held = plain.submit_under("c1", call, two, &Waiting::default()).expect("held");
        let id = held.request.id;
        assert!(plain.open(id));
        settle(&mut plain, id);
        assert!(!plain.open(id), "{n}");
        plain.pass(MINUTES(4));
        plain.end_due();
        assert!(!plain.kinds(id).contains(&"nobody_reached".to_owned()), "{n}");
    }
}

#[test]
fn somebody_who_is_reached_after_all_is_in_the_history_too() {
    let (mut plain, id) = unreached();
    plain.mailed(id, sent());
    assert_eq!(plain.request(id).unreached, None);
    assert_eq!(
        plain.kinds(id),
        ["requested", "mail_deferred", "nobody_reached", "mail_sent", "reached"]
    );

    let (mut plain, id) = unreached();
    assert!(plain.look(id, "bob", &ann()));
    assert_eq!(plain.request(id).unreached, None);
    assert_eq!(
        plain.kinds(id),
        ["requested", "mail_deferred", "nobody_reached", "looked", "reached"]
    );
    assert!(plain.events.iter().rev().take(2).all(|event| event.request.unreached.is_none()));

    let (mut plain, id) = unreached();
    plain.decide(id, "ann", Verdict::Deny, &ann()).expect("denied");
    assert_eq!(plain.request(id).unreached, None);
    assert_eq!(plain.kinds(id), ["requested", "mail_deferred", "nobody_reached", "denied"]);
}

#[test]
fn mails_that_wait_to_be_gathered_have_until_a_quarter_of_the_time() {
    let mut plain = Plain::new();
    let id = plain.submit("c1", call("c", "s", 1), &Waiting::default()).expect("held").request.id;
    plain.pass(MINUTES(3));
    plain.end_due();
    assert!(plain.open(id) && plain.request(id).unreached.is_none());
    plain.pass(Duration::from_secs(45));
    plain.end_due();
    let why = plain.request(id).unreached.expect("unreached").why;
    assert_eq!(why, "no mail about it was tried yet");
}

#[test]
fn a_summary_that_was_sent_reaches_somebody_for_all_that_it_told() {
    for (outcome, settled) in [(sent(), true), (refused(), false)] {
        let mut plain = Plain::new();
        let mut hold = |n| {
            let call_id = format!("c{n}");
            plain.submit(&call_id, call("c", "s", n), &Waiting::default()).expect("held").request.id
        };
        let (one, two) = (hold(1), hold(2));
        let begun = plain.run(|tx| mail::begin(tx, &[Begin::Gathered(vec![1, 2])]));
        let id = begun.expect("begun").remove(0).id;
        let (message_id, told) = ("<1@test>".to_owned(), vec![1, 2]);
        let result = MailResult { id, outcome, message_id, told };
        plain.run(|tx| mail::result(tx, &result)).expect("written");
        plain.pass(MINUTES(3));
        plain.end_due();
        for id in [one, two] {
            let unreached = plain.request(id).unreached;
            assert_eq!(unreached.is_none(), settled, "{unreached:?}");
            let refused = |why: &str| why.starts_with("connection refused");
            assert!(settled || unreached.is_some_and(|unreached| refused(&unreached.why)));
        }
    }
}

#[test]
fn a_mail_that_was_perhaps_sent_has_reached_nobody() {
    let lost = || {
        let error = "it closed the connection at the end of the letter".to_owned();
        MailOutcome::Unknown { error, after: Duration::from_secs(5) }
    };
    let mut plain = Plain::new();
    let id = plain.submit("c1", call("c", "s", 1), &Waiting::default()).expect("held").request.id;
    plain.mailed(id, lost());
    plain.mailed(id, lost());
    assert_eq!(plain.request(id).notices[0].state, "sent", "there is no third time");
    assert!(plain.open(id));
    plain.pass(MINUTES(3));
    plain.end_due();
    let why = plain.request(id).unreached.expect("unreached").why;
    assert!(why.starts_with("nobody knows whether a mail arrived: it closed"), "{why}");

    // The same within a summary.
    let mut plain = Plain::new();
    let one = plain.submit("c1", call("c", "s", 1), &Waiting::default()).expect("held").request.id;
    plain.submit("c2", call("c", "s", 2), &Waiting::default()).expect("held");
    let begun = plain.run(|tx| mail::begin(tx, &[Begin::Gathered(vec![1, 2])])).expect("begun");
    let summary = begun[0].id;
    for _ in 0..2 {
        let (message_id, told) = ("<1@test>".to_owned(), vec![1, 2]);
        let result = MailResult { id: summary, outcome: lost(), message_id, told };
        plain.run(|tx| mail::result(tx, &result)).expect("written");
    }
    assert_eq!(plain.request(one).notices[0].state, "sent");
    plain.pass(MINUTES(3));
    plain.end_due();
    assert!(plain.request(one).unreached.is_some());

    // Where another's was surely sent, somebody was reached; and one that is lost once
    // and sent then was sent.
    let mut plain = Plain::new();
    let id = plain.submit("c1", call("c", "s", 1), &Waiting::default()).expect("held").request.id;
    plain.mailed(id, lost());
    plain.mailed(id, sent());
    assert!(!plain.open(id));
}

#[test]
fn a_request_that_expires_keeps_why_nobody_came() {
    let (mut plain, id) = unreached();
    plain.pass(MINUTES(12));
    plain.end_due();
    let request = plain.request(id);
    assert!(request.ended.is_some() && request.unreached.is_some());
    // A mail that went out late changes nothing any more.
    plain.mailed(id, sent());
    assert!(plain.request(id).unreached.is_some());
}

#[test]
fn time_to_be_reached_in_moves_with_a_stepped_clock() {
    let mut plain = Plain::new();
    let id = plain.submit("c1", call("c", "s", 1), &Waiting::default()).expect("held").request.id;
    plain.run(|tx| clock::step(tx, 3_600_000)).expect("stepped");
    plain.now = Time(plain.now.0 + 3_600_000);
    plain.end_due();
    assert!(plain.open(id), "an hour passed on the wall only");
    plain.mailed(id, refused());
    plain.pass(MINUTES(3));
    plain.end_due();
    assert!(plain.request(id).unreached.is_some());
}

#[test]
fn a_restart_forgets_neither_who_looked_nor_that_nobody_came() {
    let (mut plain, id) = unreached();
    let other = plain.submit("c2", call("c", "s", 2), &Waiting::default()).expect("held");
    assert!(plain.look(other.request.id, "ann", &ann()));
    let before = (plain.request(id), plain.request(other.request.id));
    assert!(before.0.unreached.is_some() && before.1.looked.len() == 1);
    plain.restart(plain.now + MINUTES(1));
    assert_eq!((plain.request(id), plain.request(other.request.id)), before);
}
