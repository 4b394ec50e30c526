//! One letter of every kind, as golden files and for other readers; and what
//! each kind has to say.

use chrono_tz::Tz;

use super::reading::{Read, read, text_of, value};
use super::*;
use crate::call::model::{Decision, Strength, Verdict};
use crate::mail::letter::{FollowUp, Item, Summary, What, message_id, sample};

/// A reader in Berlin.
fn berlin() -> Recipient {
    Recipient { time_zone: Some(Tz::Europe__Berlin), ..to() }
}

fn decided(operator: &str, verdict: Verdict, reason: &str) -> Decision {
    Decision {
        operator: operator.to_owned(),
        verdict,
        reason: reason.to_owned(),
        at: at("2026-11-22T13:57:00Z"),
        digest: Digest::from_bytes([0xa5; 32]),
        strength: Strength::Token,
        own_call: false,
    }
}

/// A request that has ended as `how` says.
pub fn ended(how: FollowUp) -> Request {
    let mut request = request();
    request.ended = Some(at("2026-11-22T13:57:00Z"));
    let approve = |who: &str, why: &str| decided(who, Verdict::Approve, why);
    match how {
        FollowUp::Approved => {
            request.status = Status::Approved;
            request.use_ = Use::Unused;
            request.decisions = vec![approve("alice", "checked with Jane"), approve("sam", "")];
        }
        FollowUp::Denied => {
            request.status = Status::Denied;
            request.decisions = vec![decided("bob", Verdict::Deny, "too risky")];
        }
        FollowUp::Expired => {
            request.status = Status::Expired;
            request.ended = Some(request.deadline);
        }
        FollowUp::Withdrawn => request.status = Status::Withdrawn,
        FollowUp::OutcomeUnknown => {
            request.status = Status::Approved;
            request.use_ = Use::Taken;
            request.used = Some(at("2026-11-22T13:57:05Z"));
            request.outcome = Outcome::Unknown;
            request.outcome_at = Some(at("2026-11-22T14:07:05Z"));
            request.outcome_detail = "connection reset by peer while waiting".to_owned();
            request.decisions = vec![approve("alice", ""), approve("sam", "")];
        }
    }
    request
}

pub const FOLLOW_UPS: [FollowUp; 5] = [
    FollowUp::Approved,
    FollowUp::Denied,
    FollowUp::Expired,
    FollowUp::Withdrawn,
    FollowUp::OutcomeUnknown,
];

/// A different call by somebody else, that many minutes to live.
fn other(n: u8, minutes: u64) -> Request {
    let mut request = request();
    request.id = id(n);
    request.call.digest = Digest::from_bytes([n; 32]);
    request.call.tool = format!("restart_queue_{n}");
    request.call.arguments = format!("{{\"queue\":\"orders-{n}\"}}");
    request.call.hidden_values = 0;
    request.call.category = Category::Execute;
    request.call.risk = Risk::Medium;
    request.call.agent.on_behalf_of = String::new();
    request.call.client = format!("runner-{n}");
    request.requirement.clauses[0].approvals = 1;
    request.deadline = request.created + std::time::Duration::from_secs(60 * minutes);
    request
}

fn asked(request: Request) -> Item {
    Item { request, what: What::Asked }
}

/// Twelve that wait, seven of them the same, and three that have ended.
pub fn mixed() -> Summary {
    let mut items = vec![asked(other(1, 40))];
    items.extend((0x10..0x17).map(|n| {
        let mut request = other(2, 20);
        request.id = id(n);
        asked(request)
    }));
    items.extend([
        asked(request()),
        asked(other(4, 60)),
        asked(Request { id: id(0x6e), ..bare() }),
    ]);
    items.push(Item { request: other(5, 30), what: What::Reminder });
    for (n, how) in [(0x31, FollowUp::Denied), (0x32, FollowUp::OutcomeUnknown)] {
        let request = Request { id: id(n), ..ended(how) };
        items.push(Item { request, what: What::FollowUp(how) });
    }
    // Asked about while it waited, and over by now.
    items.push(asked(Request { id: id(0x33), ..ended(FollowUp::Approved) }));
    Summary { id: 17, items, more: 0 }
}

/// 48 that wait, 41 of one agent.
pub fn flood() -> Summary {
    let mut items: Vec<Item> = (0..7).map(|n| asked(other(n, 30))).collect();
    items.extend((0x40..0x40 + 41).map(|n| {
        let mut request = other(n, 20);
        request.call.client = "runner".to_owned();
        asked(request)
    }));
    Summary { id: 18, items, more: 0 }
}

/// What only tells of endings.
fn only_ended() -> Summary {
    let item =
        |(how, n)| Item { request: Request { id: id(n), ..ended(how) }, what: What::FollowUp(how) };
    let items = FOLLOW_UPS.into_iter().zip(0x50..).map(item).collect();
    Summary { id: 19, items, more: 0 }
}

/// A letter of every kind, by the name of its golden files.
pub fn letters() -> Vec<(String, Letter)> {
    let compose = |matter: Matter<'_>, to: &Recipient, now: &str| {
        let mut about = About { now: at(now), ..about() };
        about.looked = vec!["sam".to_owned()];
        compose(&matter, to, &about).expect("a letter")
    };
    let asked = |r: &Request, to: &Recipient| compose(Matter::Asked(r), to, NOW);
    let mut letters = vec![
        ("full".to_owned(), asked(&request(), &to())),
        ("bare".to_owned(), asked(&bare(), &berlin())),
        ("long".to_owned(), asked(&long(), &to())),
    ];
    let mut half = request();
    half.decisions = vec![decided("alice", Verdict::Approve, "")];
    let reminder = compose(Matter::Reminder(&half), &berlin(), "2026-11-22T13:58:00Z");
    letters.push(("reminder".to_owned(), reminder));
    for how in FOLLOW_UPS {
        let letter = compose(Matter::FollowUp(how, &ended(how)), &berlin(), "2026-11-22T14:08:00Z");
        letters.push((how.word().to_owned(), letter));
    }
    let mut long = ended(FollowUp::Denied);
    long.decisions = vec![
        decided("alice", Verdict::Approve, "fine with me"),
        decided(
            "bob",
            Verdict::Deny,
            "Not before the audit.\nSee ticket 4711.\n\nAsk me on Monday.",
        ),
    ];
    let denied = compose(Matter::FollowUp(FollowUp::Denied, &long), &to(), NOW);
    letters.push(("denied-long".to_owned(), denied));
    for (name, summary) in [("summary", mixed()), ("flood", flood()), ("ended", only_ended())] {
        letters.push((name.to_owned(), compose(Matter::Summary(&summary), &berlin(), NOW)));
    }
    letters.push(("test".to_owned(), sample(&berlin(), &about()).expect("a letter")));
    letters
}

#[test]
fn letters_read_as_the_golden_files_do() {
    for (name, letter) in letters() {
        let read = read(&letter.bytes);
        let headers: String = read.headers.iter().map(|(n, v)| format!("{n}: {v}\n")).collect();
        golden(&format!("{name}.headers.txt"), &headers);
        golden(&format!("{name}.plain.txt"), &read.plain);
        golden(&format!("{name}.html.txt"), &text_of(&read.html));
        let whole = String::from_utf8(letter.bytes).expect("ASCII").replace("\r\n", "\n");
        golden(&format!("{name}.eml"), &whole);
    }
}
