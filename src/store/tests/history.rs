//! The history: append-only, answerable, and verifiable to the last byte.

use std::io::Cursor;

use super::*;
use crate::store::audit::{Entry, Kind};
use crate::store::clock::step;
use crate::store::export::{Exporter, verify_export};
use crate::store::query::{Filter, Question, Told, query};
use crate::store::read::{self, PendingAfter};
use crate::store::reader::Reader;
use crate::store::record::{NotHeld, Recorded, record_calls};
use crate::store::text_index;
use crate::store::verify::verify;

fn lived_in() -> Plain {
    let (mut plain, waiting) = (Plain::new(), Waiting::default());
    for n in 0..6 {
        let client = if n % 2 == 0 { "even" } else { "odd" };
        let call_id = format!("c{n}");
        let held = plain.submit(&call_id, call(client, "s", n), &waiting).expect("held").request;
        plain.pass(Duration::from_secs(10));
        let verdict = if n % 3 == 0 { Verdict::Deny } else { Verdict::Approve };
        let decided = plain.decide(held.id, "ann", verdict, &ann()).expect("decided");
        if verdict == Verdict::Approve {
            plain.take(&decided, &call_id).expect("granted");
            plain.report(&decided, &call_id, Outcome::Succeeded).expect("reported");
        }
        plain.pass(Duration::from_secs(10));
    }
    plain
}

pub(super) fn index_all(plain: &mut Plain) {
    while plain.run(text_index::catch_up).expect("indexed") {}
}

/// All pages of a question, walked by its tokens.
pub(super) fn all(plain: &Plain, filter: Filter, ascending: bool, most: usize) -> Vec<Told> {
    let mut question = Question { filter, ascending, most, after: None };
    let mut told = Vec::new();
    loop {
        let page = query(&plain.conn, &question, None).expect("page");
        told.extend(page.entries);
        let Some(next) = page.next else { return told };
        let token = question.token(next);
        question.after = Some(question.read_token(&token).expect("its own token"));
    }
}

#[test]
fn every_transition_writes_its_entry_and_the_chain_is_whole() {
    let plain = lived_in();
    plain.assert_chain_is_whole();
    let ids: Vec<RequestId> =
        all(&plain, Filter::default(), true, 500).iter().filter_map(|t| t.request).collect();
    assert_eq!(plain.kinds(ids[0]), ["requested", "denied"]);
    let approved = *ids.iter().find(|id| plain.kinds(**id).len() > 2).expect("one");
    let kinds = ["requested", "approved", "use_granted", "outcome_reported"];
    assert_eq!(plain.kinds(approved), kinds);
}

#[test]
fn nobody_updates_or_deletes_an_entry() {
    let plain = lived_in();
    for sql in [
        "UPDATE audit SET at = 0 WHERE seq = 1",
        "DELETE FROM audit WHERE seq = 1",
        "UPDATE audit_body SET payload = '{}' WHERE seq = 1",
        "DELETE FROM audit_body",
    ] {
        let error = plain.conn.execute(sql, []).expect_err("refused").to_string();
        assert!(error.contains("only appends"), "{error}");
    }
}

#[test]
fn a_change_past_the_triggers_is_found_and_placed() {
    for (table, change) in [
        ("audit", "UPDATE audit SET at = at + 1 WHERE seq = 5"),
        (
            "audit_body",
            "UPDATE audit_body SET payload = replace(payload, 'kv', 'vk') WHERE seq = 5",
        ),
        ("audit", "UPDATE audit SET kind = 'approved' WHERE seq = 5"),
        ("audit", "DELETE FROM audit WHERE seq = 5"),
    ] {
        let plain = lived_in();
        let triggers = format!(
            "DROP TRIGGER {table}_only_appends_update; DROP TRIGGER {table}_only_appends_delete"
        );
        plain.conn.execute_batch(&triggers).expect("dropped");
        plain.conn.execute(change, []).expect("changed");
        let broken = verify(&plain.conn, None).expect("read").expect_err(change);
        assert!((5..=6).contains(&broken.sequence), "{change}: {broken:?}");
    }
}

#[test]
fn a_chain_that_was_cut_off_lacks_the_noted_head() {
    let plain = lived_in();
    let head = plain.state.head.hash;
    assert!(verify(&plain.conn, Some(head)).expect("read").is_ok());
    plain
        .conn
        .execute_batch(
            "DROP TRIGGER audit_only_appends_delete; DELETE FROM audit WHERE seq = (SELECT max(seq) FROM audit)",
        )
        .expect("cut");
    assert!(verify(&plain.conn, None).expect("read").is_ok(), "a cut alone does not show");
    assert!(verify(&plain.conn, Some(head)).expect("read").is_err());
}

fn export(plain: &Plain, first: u64, last: u64, piece: usize) -> Vec<u8> {
    let mut exporter = Exporter::new(&plain.conn, first, last).expect("exporter");
    let mut file = Vec::new();
    while let Some(bytes) = exporter.next(&plain.conn, piece).expect("piece") {
        file.extend(bytes);
    }
    file
}

#[test]
fn an_export_is_verified_offline_whole_or_in_part() {
    let plain = lived_in();
    let whole = export(&plain, 0, 0, 100);
    assert_eq!(whole, export(&plain, 0, 0, 1 << 20), "pieces do not matter");
    let verified = verify_export(Cursor::new(&whole), None).expect("io").expect("whole");
    assert_eq!(
        (verified.entries, verified.head),
        (plain.state.head.sequence, plain.state.head.hash)
    );
    let part = export(&plain, 3, 7, 100);
    let verified = verify_export(Cursor::new(&part), None).expect("io").expect("whole");
    assert_eq!(verified.entries, 5);
    assert!(verify_export(Cursor::new(&part), Some([7; 32])).expect("io").is_err());
}

#[test]
fn any_flipped_byte_of_an_export_is_found_and_placed() {
    let plain = lived_in();
    let file = export(&plain, 2, 4, 1 << 20);
    let line_of = |at: usize| 1 + file[..at].iter().filter(|b| **b == b'\n').count() as u64;
    for at in 0..file.len() {
        for bit in [0, 5] {
            let mut flipped = file.clone();
            flipped[at] ^= 1 << bit;
            let broken = verify_export(Cursor::new(&flipped), None)
                .expect("io")
                .expect_err(&format!("byte {at}, bit {bit}"));
            let line = line_of(at);
            let header = line == 1;
            // What the header says of the range shows where the range disagrees.
            assert!(
                header || broken.line == line || broken.line == line + 1,
                "byte {at} of line {line}: {broken:?}"
            );
        }
    }
    for cut in 0..file.len() {
        assert!(
            verify_export(Cursor::new(&file[..cut]), None).expect("io").is_err(),
            "cut at {cut}"
        );
    }
}

#[test]
fn arguments_as_deep_as_allowed_are_found_exported_and_verified() {
    let (mut plain, waiting) = (Plain::new(), Waiting::default());
    let depth = crate::call::json::MAX_DEPTH;
    let mut deep = call("cl", "s", 1);
    deep.arguments = format!(r#"{}"abyss"{}"#, r#"{"a":"#.repeat(depth), "}".repeat(depth));
    assert!(parse(deep.arguments.as_bytes()).is_ok());
    plain.submit("c1", deep, &waiting).expect("held");
    index_all(&mut plain);
    let filter = Filter { text: Some("abyss".to_owned()), ..Filter::default() };
    assert_eq!(all(&plain, filter, true, 10).len(), 1);
    let file = export(&plain, 0, 0, 1 << 20);
    assert!(verify_export(Cursor::new(&file), None).expect("io").is_ok());
}

/// What both ask for; where both name the same thing, the first.
fn both(one: &Filter, other: &Filter) -> Filter {
    let (one, other) = (one.clone(), other.clone());
    Filter {
        since: one.since.or(other.since),
        until: one.until.or(other.until),
        caller: one.caller.or(other.caller),
        client: one.client.or(other.client),
        agent: one.agent.or(other.agent),
        session: one.session.or(other.session),
        server: one.server.or(other.server),
        tool: one.tool.or(other.tool),
        category: one.category.or(other.category),
        status: one.status.or(other.status),
        operator: one.operator.or(other.operator),
        text: one.text.or(other.text),
        request: one.request.or(other.request),
        kind: one.kind.or(other.kind),
    }
}

#[test]
fn each_filter_gives_what_looking_at_everything_gives() {
    let mut plain = lived_in();
    index_all(&mut plain);
    let everything = all(&plain, Filter::default(), true, 500);
    let some = everything[4].clone();
    let word = |s: &str| Some(s.to_owned());
    let filters = [
        Filter { caller: word("proxy"), ..Filter::default() },
        Filter { client: word("odd"), ..Filter::default() },
        Filter { agent: word("agent"), ..Filter::default() },
        Filter { session: word("s"), ..Filter::default() },
        Filter { server: word("kv"), ..Filter::default() },
        Filter { tool: word("set"), ..Filter::default() },
        Filter { tool: word("nothing"), ..Filter::default() },
        Filter { category: Some(Category::Write), ..Filter::default() },
        Filter { status: some.status, ..Filter::default() },
        Filter { operator: word("ann"), client: word("odd"), ..Filter::default() },
        Filter { request: some.request, ..Filter::default() },
        Filter { kind: word("denied"), ..Filter::default() },
        Filter { text: word("zebra3"), ..Filter::default() },
        Filter { text: word("ZEBRA3 set"), client: word("odd"), ..Filter::default() },
        Filter { since: Some(some.at), ..Filter::default() },
        Filter { until: Some(some.at), ..Filter::default() },
        Filter { since: Some(some.at), until: Some(Time(some.at.0 + 20_000)), ..Filter::default() },
    ];
    // Each alone, and each with each.
    let pairs = (0..filters.len()).flat_map(|n| (0..n).map(move |m| (n, m)));
    let pairs: Vec<Filter> = pairs.map(|(n, m)| both(&filters[n], &filters[m])).collect();
    for filter in filters.into_iter().chain(pairs) {
        let holds = |told: &&Told| {
            let same =
                |wanted: &Option<String>, has: &str| wanted.as_ref().is_none_or(|w| w == has);
            same(&filter.caller, &told.caller)
                && same(&filter.client, &told.client)
                && same(&filter.agent, &told.agent)
                && same(&filter.session, &told.session)
                && same(&filter.server, &told.server)
                && same(&filter.tool, &told.tool)
                && same(&filter.operator, &told.operator)
                && same(&filter.kind, &told.kind)
                && filter.category.is_none_or(|c| told.category == Some(c))
                && filter.status.is_none_or(|s| told.status == Some(s))
                && filter.request.is_none_or(|r| told.request == Some(r))
                && filter.since.is_none_or(|t| told.at >= t)
                && filter.until.is_none_or(|t| told.at < t)
                && filter.text.as_ref().is_none_or(|t| {
                    t.to_lowercase().split(' ').all(|w| told.payload.contains(&format!("\"{w}\"")))
                })
        };
        let expected: Vec<Told> = everything.iter().filter(holds).cloned().collect();
        assert_eq!(all(&plain, filter.clone(), true, 2), expected, "{filter:?}");
        let mut descending = all(&plain, filter.clone(), false, 3);
        descending.reverse();
        assert_eq!(descending, expected, "{filter:?}");
    }
}

#[test]
fn time_ranges_hold_after_the_clock_was_put_back() {
    let mut plain = lived_in();
    let before = plain.now;
    plain.run(|tx| step(tx, -60_000)).expect("step");
    plain.now = Time(plain.now.0 - 60_000);
    let waiting = Waiting::default();
    for n in 20..26 {
        plain.submit(&format!("d{n}"), call("late", "s", n), &waiting).expect("held");
        plain.pass(Duration::from_secs(20));
    }
    let everything = all(&plain, Filter::default(), true, 500);
    for at in [before.0 - 90_000, before.0 - 40_000, before.0 - 5_000, before.0 + 30_000] {
        let (since, until) = (Some(Time(at)), Some(Time(at + 25_000)));
        let expected: Vec<&Told> =
            everything.iter().filter(|t| t.at.0 >= at && t.at.0 < at + 25_000).collect();
        let told = all(&plain, Filter { since, until, ..Filter::default() }, true, 2);
        assert_eq!(told.iter().collect::<Vec<_>>(), expected, "at {at}");
    }
}

#[test]
fn a_page_examines_a_bounded_number_and_still_carries_a_token() {
    let mut plain = Plain::new();
    for _ in 0..5000 {
        plain.run(|tx| tx.record(Entry::new(Kind::DaemonStarted)).map(drop)).expect("recorded");
    }
    let filter =
        Filter { since: Some(Time(0)), server: None, until: Some(Time(1)), ..Filter::default() };
    let question = Question { filter, ascending: false, most: 50, after: None };
    let page = query(&plain.conn, &question, None).expect("page");
    assert!(page.entries.is_empty() && page.examined <= 2000);
    // The session filter has an index that knows at once that there is none.
    let none = Filter { session: Some("x".to_owned()), ..Filter::default() };
    let question = Question { filter: none, ascending: false, most: 50, after: None };
    let page = query(&plain.conn, &question, None).expect("page");
    assert_eq!((page.examined, page.next), (0, None));
    // Entries about the daemon are nobody's who sees only what is routed to them.
    let question = Question { most: 50, ..Question::default() };
    let page =
        query(&plain.conn, &question, Some(&mut Reader::new("ann", &|_| true))).expect("page");
    assert!(page.entries.is_empty() && page.examined == 2000 && page.next.is_some());
}

/// Entries of calls that were allowed: what each is, by its number.
pub(super) fn allowed(plain: &mut Plain, count: u64, told: impl Fn(u64, &mut Call)) {
    let calls: Vec<Recorded> = (0..count)
        .map(|n| {
            let mut call = call("c", "s", n);
            told(n, &mut call);
            let (verdict, reason) = (NotHeld::Allowed, String::new());
            Recorded { call, verdict, reason, digest_only: false }
        })
        .collect();
    plain.run(|tx| record_calls(tx, &calls)).expect("recorded");
}

#[test]
fn whatever_is_rare_sets_the_pace_of_a_page() {
    let mut plain = Plain::new();
    allowed(&mut plain, 6000, |n, call| {
        call.agent.name = "often".to_owned();
        call.tool = if n % 2000 == 7 { "seldom" } else { "often" }.to_owned();
        call.explanation = format!("always {}", if n % 2000 == 7 { "rarely" } else { "" });
    });
    index_all(&mut plain);
    let word = |s: &str| Some(s.to_owned());
    let frequent = Filter {
        caller: word("proxy"),
        kind: word("call_allowed"),
        ..both(
            &Filter { agent: word("often"), ..Filter::default() },
            &Filter { text: word("always"), ..Filter::default() },
        )
    };
    for rare in [
        Filter { tool: word("seldom"), ..Filter::default() },
        Filter { text: word("rarely"), ..Filter::default() },
        Filter { text: word("always rarely"), ..Filter::default() },
    ] {
        for ascending in [false, true] {
            let filter = both(&rare, &frequent);
            let question = Question { filter, ascending, most: 50, after: None };
            let page = query(&plain.conn, &question, None).expect("page");
            let found: Vec<u64> = page.entries.iter().map(|told| told.sequence % 2000).collect();
            assert_eq!((found, page.next), (vec![8; 3], None), "{rare:?}");
            assert!(page.examined < 50, "{rare:?}: {}", page.examined);
        }
    }
}

#[test]
fn filters_that_never_meet_end_each_page_and_say_how_far_it_looked() {
    let mut plain = Plain::new();
    allowed(&mut plain, 5000, |n, call| {
        let (one, other) = if n % 2 == 0 { ("left", "tail") } else { ("right", "head") };
        (call.agent.name, call.tool) = (one.to_owned(), other.to_owned());
        call.explanation = format!("{one} shoe");
    });
    index_all(&mut plain);
    let word = |s: &str| Some(s.to_owned());
    for filter in [
        Filter { agent: word("left"), tool: word("head"), ..Filter::default() },
        Filter { text: word("left right"), ..Filter::default() },
        Filter { text: word("shoe left"), tool: word("head"), ..Filter::default() },
    ] {
        for ascending in [false, true] {
            let mut question =
                Question { filter: filter.clone(), ascending, most: 50, after: None };
            let mut pages = 0;
            loop {
                let page = query(&plain.conn, &question, None).expect("page");
                assert!(page.entries.is_empty() && page.examined <= 2000, "{filter:?}");
                pages += 1;
                assert_eq!(page.next.is_some(), page.reached.is_some());
                let Some(next) = page.next else { break };
                if let Some(before) = question.after {
                    assert!(if ascending { next > before } else { next < before }, "{filter:?}");
                }
                question.after = Some(next);
            }
            assert!((2..20).contains(&pages), "{filter:?}: {pages}");
        }
    }
}

#[test]
fn an_entry_behind_its_time_does_not_make_what_is_before_a_time_far_away() {
    let mut plain = Plain::new();
    allowed(&mut plain, 50, |_, _| {});
    let then = plain.now + MINUTES(1);
    plain.pass(MINUTES(2));
    allowed(&mut plain, 9000, |_, _| {});
    // A clock that is slewed goes back by so little every now and then.
    plain.now = Time(plain.now.0 - 1);
    allowed(&mut plain, 10, |_, _| {});
    plain.now = Time(then.0 - 5);
    allowed(&mut plain, 1, |_, _| {});
    for (ascending, expected) in [(false, (9061, 1)), (true, (1, 9061))] {
        let filter = Filter { until: Some(then), ..Filter::default() };
        let question = Question { filter, ascending, most: 100, after: None };
        let page = query(&plain.conn, &question, None).expect("page");
        let told: Vec<u64> = page.entries.iter().map(|told| told.sequence).collect();
        assert_eq!((told.len(), page.next), (51, None));
        assert_eq!((told[0], told[50]), expected);
        assert!(page.examined < 100, "{}", page.examined);
    }
}

#[test]
fn large_entries_that_do_not_fit_end_a_page_by_their_bytes() {
    let mut plain = Plain::new();
    // Lists of eight words are walked; that the ninth is missing shows in the entry.
    let words = "words1 words2 words3 words4 words5 words6 words7 words8";
    allowed(&mut plain, 60, |_, call| {
        call.arguments = format!(r#"{{"a":"{}"}}"#, "x".repeat(250 * 1024));
        call.explanation = words.to_owned();
    });
    index_all(&mut plain);
    let filter = Filter { text: Some(format!("{words} nine")), ..Filter::default() };
    let question = Question { filter, most: 50, ..Question::default() };
    let page = query(&plain.conn, &question, None).expect("page");
    assert!(page.entries.is_empty() && page.next.is_some(), "none has the ninth word");
    assert!((20..40).contains(&page.examined), "{}", page.examined);
}

#[test]
fn a_token_of_another_question_is_refused() {
    let one = Question { most: 1, ..Question::default() };
    let other = Question { ascending: true, ..one.clone() };
    let token = one.token(7);
    assert_eq!(one.read_token(&token), Some(7));
    assert_eq!(other.read_token(&token), None);
    assert_eq!(one.read_token("zzz"), None);
}

#[test]
fn words_that_look_like_operators_of_the_index_are_only_words() {
    let mut plain = lived_in();
    index_all(&mut plain);
    for text in
        ["zebra3\" OR \"zebra4", "zebra3 NEAR zebra4", "rowid:1", "a* AND", "'; DROP TABLE audit"]
    {
        let filter = Filter { text: Some(text.to_owned()), ..Filter::default() };
        let told = all(&plain, filter, true, 10);
        assert!(told.is_empty(), "{text}: {told:?}");
    }
}

#[test]
fn a_token_beyond_all_entries_is_refused_and_overflows_nothing() {
    let plain = lived_in();
    for ascending in [false, true] {
        let mut question = Question { ascending, most: 5, ..Question::default() };
        let last = i64::MAX.unsigned_abs();
        assert_eq!(question.read_token(&question.token(u64::MAX)), None);
        assert_eq!(question.read_token(&question.token(last + 1)), None);
        for after in [last, 0] {
            question.after = question.read_token(&question.token(after));
            assert_eq!(question.after, Some(after));
            query(&plain.conn, &question, None).expect("a page");
        }
    }
}

#[test]
fn arguments_nested_as_deep_as_they_may_be_are_found_and_verified() {
    let mut plain = Plain::new();
    let arguments = format!("{}\"zebra\"{}", r#"{"a":"#.repeat(64), "}".repeat(64));
    let deep = Call { arguments, ..call("even", "s", 1) };
    plain.submit("deep", deep, &Waiting::default()).expect("held");
    index_all(&mut plain);
    let filter = Filter { text: Some("zebra".to_owned()), ..Filter::default() };
    assert_eq!(all(&plain, filter, true, 10).len(), 1);
    let file = export(&plain, 0, 0, 100);
    let verified = verify_export(Cursor::new(&file), None).expect("io");
    assert!(verified.is_ok(), "{verified:?}");
}

#[test]
fn a_page_of_large_entries_ends_early_and_misses_none() {
    let mut plain = Plain::new();
    for n in 0..5 {
        let arguments = format!(r#"{{"a":"{}"}}"#, "x".repeat(400 * 1024));
        let large = Call { arguments, ..call("even", "s", n) };
        plain.submit(&format!("l{n}"), large, &Waiting::default()).expect("held");
    }
    let question = Question { most: 500, ..Question::default() };
    let page = query(&plain.conn, &question, None).expect("page");
    assert!(page.entries.len() == 2 && page.next.is_some(), "{}", page.entries.len());
    assert_eq!(all(&plain, Filter::default(), true, 500).len(), 5);
    let (mut after, mut found) = (PendingAfter::default(), 0);
    loop {
        let (page, more) = read::pending(&plain.conn, after, 2).expect("page");
        found += page.len();
        let Some((last, _)) = page.last() else { break };
        after = *last;
        if !more {
            break;
        }
    }
    assert_eq!(found, 5);
    let (mut before, mut mine) = (i64::MAX, 0);
    loop {
        let caller = &call("even", "s", 0).caller;
        let page = read::of_caller(&plain.conn, caller, &[], before, 500, 2000).expect("page");
        mine += page.0.len();
        assert!(page.0.len() <= 2);
        let Some(next) = page.1 else { break };
        before = next;
    }
    assert_eq!(mine, 5);
    // Words are looked up in steps that a decision can wait for.
    assert!(plain.run(text_index::catch_up).expect("indexed"), "more is left");
}

#[test]
fn an_export_that_claims_to_end_at_the_end_of_all_numbers_is_refused() {
    let header = format!(
        r#"{{"holdpoint_audit_export":1,"log":"{}","first":1,"last":{},"previous":"{}"}}"#,
        "0".repeat(32),
        u64::MAX,
        "0".repeat(64)
    );
    let file = format!("{header}\n{{\"end\":true\n");
    let broken = verify_export(Cursor::new(file), None).expect("io").expect_err("broken");
    assert!(broken.what.contains("header"), "{broken}");
}
