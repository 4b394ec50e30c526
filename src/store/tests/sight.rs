//! What pages tell somebody who does not see everything of what they do not see.

use super::history::{allowed, index_all};
use super::*;
use crate::store::mail::{self, Begin, MailList, MailOutcome, MailQuestion, MailResult};
use crate::store::query::{EXAMINED, Filter, Page, Question, query};
use crate::store::reader::Reader;

const HOUR: i64 = 3_600_000;

/// Bob's page: he may see what was held, and not what was allowed.
fn page(plain: &Plain, question: &Question) -> Page {
    query(&plain.conn, question, Some(&mut Reader::new("bob", &|_| true))).expect("page")
}

/// What bob is told on all pages, but for the hashes and ids of what he sees.
fn told(plain: &Plain, mut question: Question) -> Vec<String> {
    let mut pages = Vec::new();
    loop {
        let page = page(plain, &question);
        let entries: Vec<_> =
            page.entries.iter().map(|told| (told.sequence, told.at, &told.kind)).collect();
        pages.push(format!("{entries:?} {:?} {:?}", page.next, page.reached));
        let Some(next) = page.next else { return pages };
        question.after = Some(next);
    }
}

fn with_heron(ascending: bool, most: usize) -> Question {
    let filter = Filter { text: Some("heron".to_owned()), ..Filter::default() };
    Question { filter, ascending, most, after: None }
}

fn held(plain: &mut Plain, n: u64) {
    let mut call = call("c", "s", n);
    call.explanation = "a heron".to_owned();
    plain.submit(&format!("c{n}"), call, &Waiting::default()).expect("held");
}

/// Some that bob sees with a word that he looks for, and hidden ones around them.
fn seen_among(hidden: &str) -> Plain {
    let mut plain = Plain::new();
    for n in 0..3 {
        allowed(&mut plain, 2, |_, call| call.explanation = hidden.to_owned());
        plain.pass(MINUTES(7));
        held(&mut plain, n);
        plain.pass(MINUTES(7));
    }
    allowed(&mut plain, 2, |_, call| call.explanation = hidden.to_owned());
    index_all(&mut plain);
    plain
}

#[test]
fn pages_are_the_same_whether_or_not_a_hidden_entry_has_the_word() {
    let (with, without) = (seen_among("heron"), seen_among("stork"));
    for ascending in [false, true] {
        for most in [1, 2, 3, 50] {
            let question = with_heron(ascending, most);
            let pages = told(&with, question.clone());
            assert_eq!(pages, told(&without, question), "{ascending} {most}");
            assert_eq!(pages.len(), 3_usize.div_ceil(most), "none is empty: {pages:?}");
        }
    }
}

#[test]
fn a_time_range_does_not_close_in_on_a_hidden_entry() {
    let (with, without) = (seen_among("heron"), seen_among("stork"));
    let first = with.now.0 - 42 * 60_000;
    for minute in 0..45 {
        for ascending in [false, true] {
            let mut question = with_heron(ascending, 1);
            question.filter.since = Some(Time(first + minute * 60_000));
            assert_eq!(told(&with, question.clone()), told(&without, question), "{minute}");
        }
    }
}

#[test]
fn what_hidden_entries_hold_does_not_end_a_page_by_its_bytes() {
    let mut plain = Plain::new();
    held(&mut plain, 1);
    allowed(&mut plain, 60, |_, call| {
        call.arguments = format!(r#"{{"a":"{}"}}"#, "x".repeat(250 * 1024));
    });
    held(&mut plain, 2);
    let page = page(&plain, &Question { most: 50, ..Question::default() });
    assert_eq!((page.entries.len(), page.next), (2, None));
}

#[test]
fn places_among_many_hidden_entries_are_coarse_and_lead_on_to_what_is_visible() {
    let mut plain = Plain::new();
    held(&mut plain, 1);
    plain.pass(MINUTES(7));
    for _ in 0..5 {
        allowed(&mut plain, 1111, |_, call| call.explanation = "heron".to_owned());
        plain.pass(MINUTES(17));
    }
    held(&mut plain, 2);
    index_all(&mut plain);
    let own = query(&plain.conn, &Question { most: 50, ..with_heron(false, 50) }, None);
    let newest = own.expect("page").entries.remove(0);
    for (ascending, text) in [(false, true), (true, true), (false, false), (true, false)] {
        let mut question = with_heron(ascending, 1);
        question.filter.text = question.filter.text.filter(|_| text);
        let (mut found, mut pages) = (Vec::new(), 0);
        loop {
            let page = page(&plain, &question);
            assert!(page.examined <= EXAMINED);
            pages += 1;
            found.extend(page.entries.iter().map(|told| told.sequence));
            let (Some(next), Some(reached)) = (page.next, page.reached) else { break };
            if let Some(last) = page.entries.last() {
                assert_eq!((next, reached), (last.sequence, last.at), "where they see one");
            } else {
                assert_eq!((next % 500, reached.0 % HOUR), (0, 0), "{next} {reached:?}");
                let sql = "SELECT at FROM audit WHERE seq = ?";
                let at: i64 =
                    plain.conn.query_row(sql, [next as i64], |row| row.get(0)).expect("one");
                let short = if ascending { at - reached.0 } else { reached.0 - at };
                assert!((0..HOUR).contains(&short), "no further than it looked: {short}");
            }
            let before = question.after.replace(next);
            assert!(before.is_none_or(|b| if ascending { next > b } else { next < b }));
        }
        let mut expected = vec![1, newest.sequence];
        if !ascending {
            expected.reverse();
        }
        assert_eq!(found, expected);
        assert!((4..8).contains(&pages), "{pages}");
    }
}

#[test]
fn of_a_mail_is_told_who_it_went_to_whatever_it_is_about() {
    let mut plain = Plain::new();
    held(&mut plain, 1);
    let sql = "SELECT n, operator FROM outbox ORDER BY n LIMIT 1";
    let row = plain.conn.query_row(sql, [], |row| Ok((row.get(0)?, row.get(1)?)));
    let (id, to): (i64, String) = row.expect("a mail");
    plain.run(|tx| mail::begin(tx, &[Begin::One(id)])).expect("begun");
    let outcome = MailOutcome::Failed { error: "550 no such user".to_owned() };
    let result = MailResult { id, outcome, message_id: String::new(), told: Vec::new() };
    plain.run(|tx| mail::result(tx, &result)).expect("written");
    let question = Question { most: 50, ..Question::default() };
    let kinds = |name: &str| -> Vec<String> {
        let page = query(&plain.conn, &question, Some(&mut Reader::new(name, &|_| false)));
        page.expect("page").entries.into_iter().map(|told| told.kind).collect()
    };
    assert_eq!((kinds(&to), kinds("nobody")), (vec!["mail_failed".to_owned()], vec![]));
}

#[test]
fn a_place_in_the_queue_does_not_name_to_whom_a_hidden_mail_goes() {
    let plain = Plain::new();
    let insert = "WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < 4500)
        INSERT INTO outbox (n, kind, operator, state, attempts, due, go_by, at)
        SELECT n, 8, CASE WHEN n IN (9, 4000) THEN 'bob' WHEN n % 2 THEN 'abigail' ELSE 'carla' END,
          ?, 0, 0, n, n FROM c";
    for (list, state) in [(MailList::Waiting, 0), (MailList::Failed, 2), (MailList::All, 1)] {
        plain.conn.execute("DELETE FROM outbox", []).expect("empty");
        plain.conn.execute(insert, [state]).expect("queued");
        for most in [1, 50] {
            let (mut after, mut found, mut pages) = (None, Vec::new(), 0);
            loop {
                let question = MailQuestion { list, operator: None, since: None, after, most };
                let mut bob = Reader::new("bob", &|_| true);
                let (mails, next) =
                    mail::list(&plain.conn, &question, Some(&mut bob)).expect("page");
                pages += 1;
                found.extend(mails.iter().map(|mail| mail.id));
                let Some(place) = next else { break };
                assert!(["", "bob"].contains(&place.operator.as_str()), "{place:?}");
                if let Some(last) = mails.last() {
                    assert_eq!(place.n, last.id, "{list:?}");
                }
                assert!(pages < 9, "{list:?} leads on");
                after = Some(place);
            }
            found.sort_unstable();
            assert_eq!(found, [9, 4000], "{list:?}");
        }
    }
}
