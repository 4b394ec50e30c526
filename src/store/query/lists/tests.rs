//! Lists of words and of names walked together, against looking at every number.

use super::*;
use crate::store::query::EXAMINED;
use crate::store::schema;

const ENTRIES: i64 = 9_000;

/// A word or a name, and in which entries it is.
type Somewhere = (&'static str, fn(i64) -> bool);

const WORDS_OF: [Somewhere; 6] = [
    ("everywhere", |_| true),
    ("even", |n| n % 2 == 0),
    ("odd", |n| n % 2 == 1),
    ("tenth", |n| n % 10 == 3),
    ("seldom", |n| n % 3000 == 11),
    ("nowhere", |_| false),
];

const CLIENTS: [Somewhere; 2] = [
    ("rare", |n| n % 3000 == 11 || n % 4000 == 12),
    ("often", |n| n % 3000 != 11 && n % 4000 != 12),
];

fn database() -> (tempfile::TempDir, Connection) {
    let dir = tempfile::tempdir().expect("temp dir");
    let conn = schema::open_writer(&dir.path().join("t.db")).expect("open");
    conn.execute_batch(&format!(
        "PRAGMA synchronous = off; BEGIN;
         WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < {ENTRIES})
         INSERT INTO audit_text (rowid, words) SELECT n, 'everywhere '
           || iif(n % 2 = 0, 'even ', 'odd ') || iif(n % 10 = 3, 'tenth ', '')
           || iif(n % 3000 = 11, 'seldom', '') FROM numbers;
         WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < {ENTRIES})
         INSERT INTO audit_body (seq, salt, payload, client) SELECT n, x'', '',
           iif(n % 3000 = 11 OR n % 4000 = 12, 'rare', 'often') FROM numbers; COMMIT;"
    ))
    .expect("written");
    (dir, conn)
}

/// All that is taken to fit, page by page, and how many pages.
fn walked(conn: &Connection, filter: &Filter, mut range: Range) -> (Vec<i64>, usize) {
    let (mut fits, mut pages) = (Vec::new(), 0);
    loop {
        pages += 1;
        let mut words = Words::of(conn, filter, range).expect("words");
        let mut lists = Lists::of(filter, range, &mut words);
        for _ in 0..EXAMINED {
            match lists.step(conn).expect("a step") {
                Step::Fits(n) => fits.push(n),
                Step::Passed => {}
                Step::Unknown => break,
                Step::End => return (fits, pages),
            }
        }
        let passed = lists.passed().cast_signed();
        let before = range;
        match range.ascending {
            true => range.low = passed + 1,
            false => range.high = passed - 1,
        }
        assert!(range.high - range.low < before.high - before.low, "{filter:?}: a page goes on");
    }
}

#[test]
fn whatever_is_in_all_lists_is_met_and_in_order() {
    let (_dir, conn) = database();
    let none: Somewhere = ("", |_| true);
    let words: Vec<_> = WORDS_OF.into_iter().chain([none]).collect();
    for (n, (one, has_one)) in words.iter().enumerate() {
        for (other, has_other) in &words[n..] {
            for (client, is_client) in CLIENTS.into_iter().chain([none]) {
                for (low, high) in [(1, ENTRIES), (777, ENTRIES / 2), (9, 8)] {
                    for ascending in [false, true] {
                        let range = Range { low, high, settled: high, ascending };
                        let filter = Filter {
                            text: Some(format!("{one} {other}")),
                            client: (!client.is_empty()).then(|| client.to_owned()),
                            ..Filter::default()
                        };
                        let (mut fits, pages) = walked(&conn, &filter, range);
                        if !ascending {
                            fits.reverse();
                        }
                        let what = || format!("{filter:?} {range:?}");
                        assert!(fits.is_sorted_by(|a, b| a < b), "{}", what());
                        let is = |n: &i64| has_one(*n) && has_other(*n) && is_client(*n);
                        let right = (low..=high).filter(is);
                        let met = fits.iter().copied().filter(is);
                        assert!(met.eq(right), "{}", what());
                        // No entry is more than a step.
                        assert!(
                            pages <= 2 + ENTRIES as usize / EXAMINED,
                            "{}: {pages} pages",
                            what()
                        );
                    }
                }
            }
        }
    }
}

#[test]
fn a_frequent_word_is_not_walked_to_what_is_rare() {
    let (_dir, conn) = database();
    for ascending in [false, true] {
        let range = Range { low: 1, high: ENTRIES, settled: ENTRIES, ascending };
        let filter = Filter {
            client: Some("rare".to_owned()),
            text: Some("even".to_owned()),
            ..Filter::default()
        };
        let mut words = Words::of(&conn, &filter, range).expect("words");
        let mut lists = Lists::of(&filter, range, &mut words);
        let mut steps = 0;
        while !matches!(lists.step(&conn).expect("a step"), Step::End) {
            steps += 1;
        }
        let left = lists.asked.iter().find_map(|asked| match &asked.source {
            Source::Word(word) => Some(word.left),
            Source::Index(_) => None,
        });
        let walked = WALKED - left.expect("a word");
        assert!(steps < 20 && walked <= 20 * STEP, "{steps} steps, {walked} walked");
    }
}
