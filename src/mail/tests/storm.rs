//! Storms and outages, minute by minute, with the store's own transitions and the
//! schedule, and with time in our hands.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::call::ids::RequestId;
use crate::call::model::{MailKind, Verdict};
use crate::call::time::Time;
use crate::mail::breaker::Breaker;
use crate::mail::worker::AT_ONCE;
use crate::mail::{back_off, schedule};
use crate::store::mail::{self, Begin, DueMail, MailOutcome, MailResult};
use crate::store::submit::{PendingLimits, Submit, submit};
use crate::store::tests::{MINUTES, Plain, Waiting, call, mail_to, requirement, staff};

const PEOPLE: [&str; 3] = ["ann", "bob", "cay"];
const PER_MINUTE: u32 = 5;
const SECOND: Duration = Duration::from_secs(1);

/// A store and what its operators have received.
struct Post {
    plain: Plain,
    /// When whom was told of what, by how many letters.
    told: BTreeMap<(String, RequestId), Vec<Time>>,
    /// When who got a letter.
    letters: BTreeMap<String, Vec<Time>>,
    asked: BTreeMap<RequestId, Time>,
    breaker: Breaker,
    /// Whether the server is there.
    up: bool,
    attempts: usize,
}

impl Post {
    fn new() -> Post {
        Post {
            plain: Plain::new(),
            told: BTreeMap::new(),
            letters: BTreeMap::new(),
            asked: BTreeMap::new(),
            breaker: Breaker::default(),
            up: true,
            attempts: 0,
        }
    }

    fn ask(&mut self, timeout: Duration) -> RequestId {
        let (id, n) = (self.plain.id(), self.asked.len() as u64);
        let input = Submit {
            id,
            call_id: format!("c{n}"),
            handle: None,
            call: call("", "", n),
            requirement: requirement(&[], 1),
            mail_to: PEOPLE.map(mail_to).to_vec(),
            timeout,
            watch_reach: true,
            limits: PendingLimits { per_caller: 20_000, per_client: 20_000 },
        };
        self.plain.run(|tx| submit(tx, input, &Waiting::default())).expect("held");
        self.asked.insert(id, self.plain.now);
        id
    }

    fn ask_many(&mut self, count: usize, timeout: Duration) {
        for _ in 0..count {
            self.ask(timeout);
        }
    }

    /// Sends what may go now, each letter at once.
    fn send(&mut self) {
        loop {
            let now = self.plain.now;
            let room = self.breaker.room(now, AT_ONCE);
            if room == 0 {
                return;
            }
            let (none, most) = (BTreeSet::new(), schedule::LOOKED_AT);
            let queues = mail::queues(&self.plain.conn, now, &none, PER_MINUTE, most);
            let queues = queues.expect("queues");
            let mut plan: Vec<Begin> = queues
                .iter()
                .flat_map(|q| schedule::plan(q, now, PER_MINUTE, schedule::Gathering::On))
                .collect();
            plan.truncate(room);
            if plan.is_empty() {
                return;
            }
            for mail in self.plain.run(|tx| mail::begin(tx, &plan)).expect("begun") {
                self.deliver(mail);
            }
        }
    }

    fn deliver(&mut self, mail: DueMail) {
        self.attempts += 1;
        let now = self.plain.now;
        let members = match mail.kind {
            MailKind::Summary => mail::members(&self.plain.conn, mail.id).expect("members"),
            kind => {
                let request = self.plain.request(mail.request.expect("it is about one"));
                vec![(mail.id, kind, request)]
            }
        };
        let mut told = Vec::new();
        let outcome = if self.up {
            self.breaker.worked();
            self.letters.entry(mail.operator.clone()).or_default().push(now);
            for (row, kind, request) in members {
                told.push(row);
                if kind == MailKind::Asked {
                    let key = (mail.operator.clone(), request.id);
                    self.told.entry(key).or_default().push(now);
                }
            }
            MailOutcome::Sent { answer: "250 ok".to_owned() }
        } else {
            self.breaker.failed(self.breaker.mark(), now, None, back_off::JITTER_PERCENT);
            let after = back_off::delay(mail.attempts, back_off::JITTER_PERCENT);
            MailOutcome::Retry { error: "refused".to_owned(), after }
        };
        let result =
            MailResult { id: mail.id, outcome, message_id: format!("<{}@x>", mail.id), told };
        self.plain.run(|tx| mail::result(tx, &result)).expect("recorded");
    }

    fn pass(&mut self, seconds: u64) {
        for _ in 0..seconds {
            self.plain.pass(SECOND);
            self.send();
        }
    }

    /// Each request told to each operator once, within this time.
    fn assert_all_told(&self, within: Duration) {
        for (id, asked) in &self.asked {
            for operator in PEOPLE {
                let told = self.told.get(&(operator.to_owned(), *id));
                let told = told.unwrap_or_else(|| panic!("{operator} never heard of {id}"));
                assert_eq!(told.len(), 1, "{operator} heard of {id} twice");
                assert!(told[0] <= *asked + within, "{operator} heard late of {id}");
            }
        }
    }

    /// No more letters to one operator in any minute than agreed, and urgent ones.
    fn assert_no_flood(&self, most: usize) {
        for (operator, times) in &self.letters {
            for (n, at) in times.iter().enumerate() {
                let minute = times[n..].iter().take_while(|t| **t < *at + mail::MINUTE).count();
                assert!(minute <= most, "{operator} got {minute} within a minute");
            }
        }
    }
}

#[test]
fn a_thousand_requests_in_a_minute_are_told_to_each_operator_once() {
    let mut post = Post::new();
    for second in 0..60 {
        post.ask_many(if second % 3 == 0 { 16 } else { 17 }, MINUTES(15));
        post.send();
        post.pass(1);
    }
    assert_eq!(post.asked.len(), 1000);
    post.pass(4 * 60);
    // A fifth of the time, and what then goes every ten seconds.
    post.assert_all_told(MINUTES(4));
    post.assert_no_flood(PER_MINUTE as usize + 6);
    for times in post.letters.values() {
        assert!(times.len() <= 25, "{} letters for a thousand requests", times.len());
    }
    post.plain.assert_chain_is_whole();
}

#[test]
fn nothing_waits_longer_than_a_fifth_of_its_time() {
    let mut post = Post::new();
    for _ in 0..30 {
        post.ask_many(4, MINUTES(1));
        post.send();
        post.pass(1);
    }
    post.pass(30);
    post.assert_all_told(Duration::from_secs(12 + 10 + 1));
    post.assert_no_flood(PER_MINUTE as usize + 6);
}

#[test]
fn a_restart_in_a_storm_forgets_neither_the_limit_nor_a_mail() {
    let mut post = Post::new();
    post.ask_many(40, MINUTES(15));
    post.send();
    assert_eq!(post.letters["ann"].len(), 5);
    post.ask_many(40, MINUTES(15));
    let now = post.plain.now;
    post.plain.restart(now + SECOND);
    post.breaker = Breaker::default();
    post.send();
    assert_eq!(post.letters["ann"].len(), 5, "the minute is not over");
    post.pass(60);
    post.assert_all_told(MINUTES(2));
}

#[test]
fn what_was_decided_before_its_mail_went_is_not_mailed() {
    let mut post = Post::new();
    let ids: Vec<RequestId> = (0..50).map(|_| post.ask(MINUTES(15))).collect();
    post.send();
    let later: Vec<RequestId> = (0..50).map(|_| post.ask(MINUTES(15))).collect();
    let dee = staff(&[("dee", &["ops"])]);
    for id in &later {
        post.plain.decide(*id, "dee", Verdict::Approve, &dee).expect("approved");
        post.asked.remove(id);
    }
    let before = post.letters["ann"].len();
    post.pass(300);
    post.assert_all_told(MINUTES(2));
    assert_eq!(post.told.len(), ids.len() * PEOPLE.len());
    assert_eq!(post.letters["ann"].len(), before, "nobody heard of them, so nothing follows");
}

/// The server is away for an hour; two thousand mails of a day's time-out wait.
#[test]
fn a_server_that_was_down_for_an_hour_gets_everything_once_and_was_asked_rarely() {
    let mut post = Post::new();
    post.up = false;
    post.ask_many(700, MINUTES(24 * 60));
    post.send();
    post.pass(3600);
    assert!(post.attempts <= AT_ONCE + 20, "{} attempts", post.attempts);
    assert!(post.told.is_empty());
    post.up = true;
    // Until the next attempt, then a minute's letters for each, and a second minute's.
    post.pass(5 * 60 + 2 * 60);
    post.assert_all_told(MINUTES(60 + 8));
    post.assert_no_flood(PER_MINUTE as usize);
}
