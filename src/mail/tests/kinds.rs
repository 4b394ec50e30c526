//! One letter of every kind, as golden files and for other readers; and what
//! each kind has to say.

use std::time::Duration;

use chrono_tz::Tz;

use super::reading::{Read, read, text_of, value};
use super::*;
use crate::call::model::{Decision, Look, Strength, Verdict};
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
        on_screen: None,
    }
}

fn look(operator: &str) -> Look {
    Look { operator: operator.to_owned(), at: at("2026-11-22T13:55:00Z") }
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
    request.deadline = request.created + Duration::from_secs(60 * minutes);
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
fn flood() -> Summary {
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
        let about = About { now: at(now), ..about() };
        compose(&matter, to, &about).expect("a letter")
    };
    let asked = |r: &Request, to: &Recipient| compose(Matter::Asked(r), to, NOW);
    let mut letters = vec![
        ("full".to_owned(), asked(&request(), &to())),
        ("bare".to_owned(), asked(&bare(), &berlin())),
        ("long".to_owned(), asked(&long(), &to())),
    ];
    let mut half = request();
    half.looked = vec![look("sam")];
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
    for (name, summary) in [("summary", mixed()), ("ended", only_ended())] {
        letters.push((name.to_owned(), compose(Matter::Summary(&summary), &berlin(), NOW)));
    }
    letters.push(("test".to_owned(), sample(&berlin(), &about()).expect("a letter")));
    letters.extend(of_pages());
    letters
}

/// Those that differ where there are pages.
fn of_pages() -> Vec<(String, Letter)> {
    let mut signed_in = request();
    signed_in.requirement.clauses[0].sign_in = true;
    let (denied, mixed) = (ended(FollowUp::Denied), mixed());
    let matters = [
        ("asked", Matter::Asked(&request())),
        ("sign-in", Matter::Asked(&signed_in)),
        ("reminder", Matter::Reminder(&request())),
        ("denied", Matter::FollowUp(FollowUp::Denied, &denied)),
        ("summary", Matter::Summary(&mixed)),
    ]
    .map(|(name, matter)| {
        let letter = compose(&matter, &berlin(), &with_pages()).expect("a letter");
        (format!("pages-{name}"), letter)
    });
    matters.into()
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

fn written(matter: Matter<'_>) -> Read {
    read(&compose(&matter, &to(), &about()).expect("a letter").bytes)
}

#[test]
fn letters_about_one_request_are_one_thread() {
    let request = request();
    let mut ids = BTreeSet::new();
    let first = compose(&Matter::Asked(&request), &to(), &about()).expect("a letter");
    let topic = value(&read(&first.bytes).headers, "Thread-Topic").to_owned();
    let asked = read(&first.bytes).headers;
    assert_eq!(value(&asked, "Subject"), format!("[Approve?] {topic}"));
    assert!(!asked.iter().any(|(name, _)| name == "References" || name == "In-Reply-To"));
    ids.insert(first.message_id.clone());
    let later = FOLLOW_UPS.map(|how| Matter::FollowUp(how, &request));
    for matter in std::iter::once(Matter::Reminder(&request)).chain(later) {
        let letter = compose(&matter, &to(), &about()).expect("a letter");
        let headers = read(&letter.bytes).headers;
        for header in ["In-Reply-To", "References"] {
            assert_eq!(value(&headers, header), first.message_id, "{matter:?}");
        }
        let subject = value(&headers, "Subject");
        assert!(subject.starts_with("Re: [") && subject.ends_with(&format!("] {topic}")));
        assert_eq!(value(&headers, "Thread-Topic"), topic);
        // Outlook believes the first of the two.
        let place = |name| headers.iter().position(|(n, _)| n == name);
        assert!(place("Thread-Topic") < place("Subject"));
        assert_eq!(letter.message_id, message_id(&matter, &to(), &about().host));
        assert!(ids.insert(letter.message_id), "another letter has this id: {matter:?}");
    }
    let other = Recipient { name: "sam".to_owned(), ..to() };
    let letter = compose(&Matter::Reminder(&request), &other, &about()).expect("a letter");
    let mut headers = read(&letter.bytes).headers.into_iter();
    let (_, parent) = headers.find(|(name, _)| name == "References").expect("there");
    assert_eq!(parent, message_id(&Matter::Asked(&request), &other, &about().host));
}

#[test]
fn what_a_summary_told_of_first_continues_the_summary() {
    let (summary, request) = (mixed(), request());
    let id = message_id(&Matter::Summary(&summary), &to(), "mail.example.com");
    let mut about = About { thread: Some(id.clone()), ..about() };
    let references = |about: &About| {
        let letter = compose(&Matter::Reminder(&request), &to(), about).expect("a letter");
        value(&read(&letter.bytes).headers, "References").to_owned()
    };
    assert_eq!(references(&about), id);
    for broken in ["", "x@y", "<x>", "<x@y>\r\nBcc: <a@b>", "<x@y> <z@w>", "<x@\u{e9}>"] {
        about.thread = Some(broken.to_owned());
        assert!(references(&about).contains(".asked."), "{broken:?}");
    }
}

#[test]
fn a_follow_up_says_who_when_and_why_first() {
    for (how, subject, first) in [
        (FollowUp::Approved, "Re: [Approved by alice and sam] ", "Approved by alice and sam\n"),
        (FollowUp::Denied, "Re: [Denied by bob] ", "Denied by bob: \"too risky\"\n"),
        (
            FollowUp::Expired,
            "Re: [Expired, did not run] ",
            "Expired: nobody answered in time; it did not run\n",
        ),
        (FollowUp::Withdrawn, "Re: [Withdrawn] ", "Withdrawn by its caller; it did not run\n"),
        (
            FollowUp::OutcomeUnknown,
            "Re: [Outcome unknown, please look] ",
            "Outcome unknown, please look: nobody knows whether delete_broker on amazon-mq\n  ran\n",
        ),
    ] {
        let read = written(Matter::FollowUp(how, &ended(how)));
        assert!(value(&read.headers, "Subject").starts_with(subject), "{how:?}");
        assert!(read.plain.starts_with(first), "{}", read.plain);
        assert!(
            read.plain
                .lines()
                .nth(if how == FollowUp::OutcomeUnknown { 2 } else { 1 })
                .is_some_and(|line| line.starts_with("At ") && line.contains(" UTC")),
            "{}",
            read.plain
        );
        assert!(read.plain.contains(&format!("holdpoint show {}\n", id(0x6f))));
        assert_eq!(value(&read.headers, "X-Holdpoint-Kind"), how.word());
        assert_eq!(value(&read.headers, "X-Holdpoint-Request"), id(0x6f).to_string());
    }
}

#[test]
fn a_follow_up_never_asks_for_a_decision() {
    for how in FOLLOW_UPS {
        let Read { headers, plain, html } = written(Matter::FollowUp(how, &ended(how)));
        for text in [value(&headers, "Subject").to_owned(), plain, text_of(&html)] {
            for word in
                ["Approve?", "holdpoint approve", "holdpoint deny", "left to decide", "DECIDE"]
            {
                assert!(!text.contains(word), "{how:?}: {word} in\n{text}");
            }
        }
    }
}

#[test]
fn a_partial_approval_that_expired_is_said() {
    let mut request = ended(FollowUp::Expired);
    request.decisions = vec![decided("alice", Verdict::Approve, "")];
    let plain = written(Matter::FollowUp(FollowUp::Expired, &request)).plain;
    assert!(plain.starts_with("Expired: only alice approved in time; it did not run\n"), "{plain}");
}

#[test]
fn a_reminder_says_what_is_left_and_who_has_done_what() {
    let mut request = request();
    request.decisions = vec![decided("alice", Verdict::Approve, "")];
    request.looked = vec![look("sam")];
    let later = About { now: at("2026-11-22T13:58:00Z"), ..about() };
    let letter = compose(&Matter::Reminder(&request), &berlin(), &later).expect("a letter");
    let Read { headers, plain, .. } = read(&letter.bytes);
    assert!(value(&headers, "Subject").starts_with("Re: [Still waiting, until 15:05 Berlin] "));
    let lines = plain.replace("\n  ", " ");
    for words in [
        "Reminder: 7 min left when this was sent, until 14:05 UTC, 15:05 Berlin.\n",
        "Needs 2 people; approved so far by alice.\n",
        "Looked        sam",
        "Approved by   alice",
    ] {
        assert!(lines.contains(words), "{words:?} is not in\n{plain}");
    }
    let asked = written(Matter::Asked(&request)).plain;
    let commands = |plain: &str| -> Vec<String> {
        let lines = plain.replace(" \\\n  ", " ");
        lines.lines().filter(|line| line.starts_with("holdpoint ")).map(str::to_owned).collect()
    };
    assert_eq!(commands(&plain), commands(&asked));
}

#[test]
fn a_summary_has_the_most_urgent_first_and_a_command_for_each() {
    let summary = mixed();
    let Read { headers, plain, html } = written(Matter::Summary(&summary));
    assert_eq!(
        value(&headers, "Subject"),
        "12 calls wait for you, first until 14:05 UTC: delete_broker on amazon-mq"
    );
    assert!(plain.starts_with("12 calls wait for you, the first until 14:05 UTC\n"), "{plain}");
    let waits = |item: &&Item| item.what != What::Asked || item.request.status == Status::Pending;
    let waits = summary.items.iter().filter(waits).filter(|i| !matches!(i.what, What::FollowUp(_)));
    for text in [plain.replace(" \\\n  ", " "), text_of(&html)] {
        let mut found = 0;
        for Item { request, .. } in waits.clone() {
            let digest = request.call.digest;
            let approve = format!("holdpoint approve {} --digest {digest}\n", request.id);
            assert_eq!(text.matches(&approve).count(), 1, "{approve} in\n{text}");
            found += 1;
        }
        assert_eq!((found, text.matches("holdpoint approve").count()), (12, 12));
        assert_eq!(text.matches("7 identical calls").count(), 1);
        let places =
            ["1. 15 min left", "2. 7 identical", "3. 30 min left", "4. 40 min", "6. 2 days"];
        let places = places.map(|words| text.find(words).unwrap_or_else(|| panic!("{words}")));
        assert!(places.is_sorted(), "{places:?}");
    }
    // What ended is no question, even if it was to be one.
    let (_, over) = plain.split_once("ENDED MEANWHILE\n").expect("the section");
    let lines: Vec<&str> = over.lines().filter(|line| line.starts_with("  [")).collect();
    assert_eq!(
        lines,
        [
            "  [2b4d5e32]    delete_broker on amazon-mq: Outcome unknown, please look",
            "  [2b4d5e31]    delete_broker on amazon-mq: Denied by bob: \"too risky\"",
            "  [2b4d5e33]    delete_broker on amazon-mq: Approved by alice and sam",
        ]
    );
}

/// What an agent, a client or a caller floods with, and how it is named.
#[test]
fn who_floods_is_named_first() {
    let named = |summary: &Summary| {
        let plain = written(Matter::Summary(summary)).plain;
        let line = plain.lines().find(|line| line.starts_with("! ")).map(str::to_owned);
        line.filter(|_| plain.lines().position(|line| line.starts_with("! ")) < Some(4))
    };
    let mut summary = flood();
    let agent = "! 41 of 48 come from agent claude-code (client runner) of caller gateway-eu";
    assert_eq!(named(&summary).as_deref(), Some(agent));
    for item in &mut summary.items {
        item.request.call.agent.name = item.request.id.to_string();
    }
    let client = "! 41 of 48 come from client runner of caller gateway-eu";
    assert_eq!(named(&summary).as_deref(), Some(client));
    for item in &mut summary.items {
        item.request.call.client = item.request.id.to_string();
    }
    assert_eq!(named(&summary).as_deref(), Some("! 48 of 48 come from caller gateway-eu"));
    for item in &mut summary.items {
        item.request.call.caller = item.request.id.to_string();
    }
    assert_eq!(named(&summary), None);
    // Nine are no flood.
    let few = Summary { items: flood().items.split_off(39), ..flood() };
    assert_eq!((few.items.len(), named(&few)), (9, None));
}

#[test]
fn a_summary_of_many_is_bounded_and_counts_what_it_leaves_out() {
    let long = |n: u16| {
        let mut request = other((n % 251) as u8, 30);
        let mut bytes = *request.id.as_bytes();
        bytes[..2].copy_from_slice(&n.to_be_bytes());
        request.id = RequestId::from_bytes(bytes);
        bytes[15] = 0;
        request.call.digest = Digest::from_bytes([bytes, bytes].concat().try_into().expect("32"));
        request
    };
    let items: Vec<Item> = (0..200).map(|n| asked(long(n))).collect();
    let summary = Summary { id: 20, items, more: 800 };
    let letter = compose(&Matter::Summary(&summary), &to(), &about()).expect("a letter");
    let Read { headers, plain, html } = read(&letter.bytes);
    assert!(
        value(&headers, "Subject").starts_with("1000 calls wait for you, first until 14:20 UTC")
    );
    assert!(letter.bytes.len() < 200 * 1024, "{}", letter.bytes.len());
    assert!(html.len() < 102_000, "{}", html.len());
    let shown = plain.matches("holdpoint approve").count();
    assert!(shown >= 75, "{shown}");
    for text in [&plain, &text_of(&html)] {
        let rest = format!("{} calls wait for you beyond these.\n", 1000 - shown);
        assert!(text.contains(&rest), "{rest} is not in\n{text}");
        assert!(text.contains("\nholdpoint pending\n"), "{text}");
    }
}

#[test]
fn a_group_of_identical_calls_is_bounded() {
    let items = (0..100).map(|n| asked(Request { id: id(n), ..other(9, 20) })).collect();
    let plain = written(Matter::Summary(&Summary { id: 21, items, more: 0 })).plain;
    assert!(plain.contains("1. 100 identical calls: 20 min left for the first"), "{plain}");
    assert_eq!(plain.matches("holdpoint approve").count(), 10);
    assert!(
        plain.contains("90 more of these do not fit; to see all that wait:\nholdpoint pending\n")
    );
}

#[test]
fn a_summary_of_nothing_that_waits_asks_nothing() {
    let Read { headers, plain, .. } = written(Matter::Summary(&only_ended()));
    assert_eq!(value(&headers, "Subject"), "5 requests ended");
    assert!(plain.starts_with("5 requests ended\n\n! nobody knows whether 1 call ran"), "{plain}");
    assert!(!plain.contains("approve"), "{plain}");
    let nothing = Summary { id: 22, items: Vec::new(), more: 0 };
    assert!(written(Matter::Summary(&nothing)).plain.starts_with("0 requests ended\n"));
    let left_out = Summary { id: 23, items: Vec::new(), more: 5 };
    let read = written(Matter::Summary(&left_out));
    assert_eq!(value(&read.headers, "Subject"), "5 calls wait for you");
}

#[test]
fn a_test_letter_is_marked_as_one_and_looks_like_a_real_one() {
    let letter = sample(&to(), &about()).expect("a letter");
    let Read { headers, plain, .. } = read(&letter.bytes);
    assert_eq!(value(&headers, "Subject"), "Test: mail from Holdpoint reaches you, nothing waits");
    assert_eq!(value(&headers, "X-Holdpoint-Kind"), "test");
    assert!(plain.starts_with("This is a test: "), "{plain}");
    let real = written(Matter::Asked(&request())).plain;
    let headings = |plain: &str| -> Vec<String> {
        let is_heading = |line: &&str| line.len() > 2 && *line == line.to_uppercase();
        plain.lines().filter(is_heading).map(str::to_owned).collect()
    };
    assert_eq!(headings(&plain)[1..], headings(&real));
    let later = About { now: at("2026-11-22T13:50:01Z"), ..about() };
    let second = sample(&to(), &later).expect("a letter");
    assert_ne!((letter.message_id, letter.file_name), (second.message_id, second.file_name));
}

#[test]
fn answers_go_where_they_are_configured_to_go() {
    let reply_to = |about: &About| {
        let letter = compose(&Matter::Asked(&request()), &to(), about).expect("a letter");
        value(&read(&letter.bytes).headers, "Reply-To").to_owned()
    };
    assert_eq!(reply_to(&about()), "Holdpoint <holdpoint@example.com>");
    let team = "platform@example.com".parse().ok();
    assert_eq!(reply_to(&About { reply_to: team, ..about() }), "platform@example.com");
}
