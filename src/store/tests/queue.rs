//! The outbox as those who look after it see it, and have it tried again.

use std::time::Duration;

use super::*;
use crate::call::model::Notice;
use crate::store::error::Refusal;
use crate::store::mail::{
    self, Begin, ListedMail, MailList, MailOutcome, MailQuestion, MailResult, retry,
};

impl Plain {
    fn hold(&mut self, n: u64) -> Request {
        let call_id = format!("c{n}");
        self.submit(&call_id, call("c", "s", n), &Waiting::default()).expect("held").request
    }

    /// One attempt at these, and how it went; the row that was tried.
    fn attempt(&mut self, begin: Begin, outcome: MailOutcome) -> i64 {
        let told = if let Begin::Gathered(all) = &begin { all.clone() } else { Vec::new() };
        let begun = self.run(|tx| mail::begin(tx, &[begin])).expect("begun");
        let id = begun.first().expect("it was due").id;
        let result = MailResult { id, outcome, message_id: String::new(), told };
        self.run(|tx| mail::result(tx, &result)).expect("written");
        id
    }

    fn retry(&mut self, id: i64) -> Result<(), StoreError> {
        self.run(|tx| retry(tx, id, "ada"))
    }

    fn list(&self, list: MailList) -> Vec<ListedMail> {
        let (mut all, mut after) = (Vec::new(), None);
        loop {
            // Two at a time, so that pages meet.
            let question = MailQuestion { list, operator: None, since: None, after, most: 2 };
            let (page, next) = mail::list(&self.conn, &question, None).expect("read");
            all.extend(page);
            after = next;
            if after.is_none() {
                return all;
            }
        }
    }

    fn notice(&self, id: RequestId) -> Notice {
        self.request(id).notices.remove(0)
    }
}

fn ids(mails: &[ListedMail]) -> Vec<i64> {
    mails.iter().map(|mail| mail.id).collect()
}

fn failed() -> MailOutcome {
    MailOutcome::Failed { error: "550 no such user".to_owned() }
}

fn later() -> MailOutcome {
    MailOutcome::Retry { error: "451 later".to_owned(), after: Duration::from_secs(40) }
}

fn why(refused: Result<(), StoreError>) -> String {
    match refused {
        Err(StoreError::Refused(Refusal::MailNotRetryable { why, .. })) => why,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_mail_says_whether_it_is_queued_deferred_or_done() {
    let mut plain = Plain::new();
    let request = plain.hold(1);
    let before = plain.notice(request.id);
    assert_eq!((before.state.as_str(), before.next_attempt), ("queued", None));
    plain.run(|tx| mail::begin(tx, &[Begin::One(1)])).expect("begun");
    assert_eq!(plain.notice(request.id).state, "queued", "under way");
    plain.attempt(Begin::One(1), later());
    let deferred = plain.notice(request.id);
    assert_eq!((deferred.state.as_str(), deferred.detail.as_str()), ("deferred", "451 later"));
    assert_eq!(deferred.next_attempt, Some(plain.now + Duration::from_secs(40)));
    plain.attempt(Begin::One(1), MailOutcome::Sent { answer: "250 ok".to_owned() });
    let sent = plain.notice(request.id);
    assert_eq!((sent.state.as_str(), sent.next_attempt), ("sent", None));
}

#[test]
fn lists_are_complete_in_order_and_of_what_was_asked() {
    let mut plain = Plain::new();
    (1..=7).for_each(|n| drop(plain.hold(n)));
    plain.attempt(Begin::One(2), failed());
    plain.pass(MINUTES(1));
    plain.attempt(Begin::One(1), failed());
    plain.attempt(Begin::One(3), later());
    plain.attempt(Begin::One(4), MailOutcome::Sent { answer: "250 ok".to_owned() });
    let summary = plain.attempt(Begin::Gathered(vec![5, 6]), later());
    assert_eq!(ids(&plain.list(MailList::All)), [8, 7, 6, 5, 4, 3, 2, 1]);
    assert_eq!(ids(&plain.list(MailList::Failed)), [1, 2]);
    let waiting = plain.list(MailList::Waiting);
    assert_eq!(ids(&waiting), [3, 7, summary].map(|id| id), "{waiting:?}");
    assert_eq!((waiting[2].gathers, waiting[2].request), (2, None));

    let newer = MailQuestion {
        list: MailList::Failed,
        operator: None,
        since: Some(plain.now),
        after: None,
        most: 10,
    };
    let ask =
        |question: &MailQuestion| ids(&mail::list(&plain.conn, question, None).expect("read").0);
    assert_eq!(ask(&newer), [1]);
    for list in [MailList::All, MailList::Waiting, MailList::Failed] {
        let of =
            |name: &str| MailQuestion { operator: Some(name.to_owned()), list, ..newer.clone() };
        assert!(ask(&of("bob")).is_empty() && !ask(&of("ann")).is_empty(), "{list:?}");
    }
}

#[test]
fn a_deferred_or_failed_mail_is_due_at_once_when_an_admin_says_so() {
    for outcome in [later(), failed()] {
        let mut plain = Plain::new();
        let request = plain.hold(1);
        plain.attempt(Begin::One(1), outcome);
        plain.retry(1).expect("due again");
        let notice = plain.notice(request.id);
        assert_eq!((notice.state.as_str(), notice.attempts), ("deferred", 1));
        assert_eq!(notice.next_attempt, Some(plain.now));
        plain.retry(1).expect("due already");
        let kinds = plain.kinds(request.id);
        assert_eq!(kinds.iter().filter(|kind| *kind == "mail_retried").count(), 1, "{kinds:?}");
        plain.attempt(Begin::One(1), MailOutcome::Sent { answer: "250 ok".to_owned() });
        assert_eq!(plain.notice(request.id).state, "sent");
        plain.assert_chain_is_whole();
    }
}

#[test]
fn what_would_help_nobody_is_not_tried_again_and_that_is_said() {
    let mut plain = Plain::new();
    let missing = plain.retry(99);
    assert!(matches!(missing, Err(StoreError::Refused(Refusal::NoSuchMail(99)))), "{missing:?}");

    let request = plain.hold(1);
    plain.attempt(Begin::One(1), failed());
    plain.hold(2);
    plain.attempt(Begin::One(2), MailOutcome::Sent { answer: "250 ok".to_owned() });
    plain.decide(request.id, "bob", Verdict::Deny, &ann()).expect("denied");
    assert!(why(plain.retry(1)).contains("has ended"));
    assert!(why(plain.retry(2)).contains("was sent"));

    let request = plain.hold(3);
    plain.decide(request.id, "bob", Verdict::Deny, &ann()).expect("denied");
    let pointless = plain.request(request.id).notices;
    assert_eq!(pointless[0].state, "pointless");
    assert!(why(plain.retry(3)).contains("nobody needs it"));
}

#[test]
fn a_failed_mail_that_only_tells_can_be_tried_again_after_the_end() {
    let mut plain = Plain::new();
    let request = plain.hold(1);
    plain.attempt(Begin::One(1), MailOutcome::Sent { answer: "250 ok".to_owned() });
    plain.decide(request.id, "bob", Verdict::Deny, &ann()).expect("denied");
    assert_eq!(plain.attempt(Begin::One(2), failed()), 2, "ann is told that bob denied it");
    plain.retry(2).expect("due again");
    assert_eq!(ids(&plain.list(MailList::Waiting)), [2]);
}

#[test]
fn a_failed_summary_is_tried_again_with_what_still_waits() {
    let mut plain = Plain::new();
    let (one, two) = (plain.hold(1), plain.hold(2));
    let summary = plain.attempt(Begin::Gathered(vec![1, 2]), failed());
    assert_eq!(ids(&plain.list(MailList::Failed)), [summary], "not each of what is in it");
    assert!(why(plain.retry(1)).contains(&format!("summary {summary}")));
    plain.decide(one.id, "bob", Verdict::Deny, &ann()).expect("denied");
    plain.retry(summary).expect("due again");
    let members = mail::members(&plain.conn, summary).expect("read");
    assert_eq!(members.iter().map(|(n, ..)| *n).collect::<Vec<_>>(), [2]);
    assert_eq!(plain.notice(two.id).state, "deferred");
    assert_eq!(plain.notice(one.id).state, "failed");
}
