//! Questions with words, against looking at every entry.

use super::history::{all, allowed, index_all};
use super::*;
use crate::store::query::{Filter, Question, Told, query};
use crate::store::reader::Reader;

const ENTRIES: u64 = 300;

/// xorshift: the same at each run.
struct Dice(u64);

impl Dice {
    fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % n
    }
}

/// Words that are in most entries, in some, in few, and in none.
const WORDS: [(&str, u64); 7] = [
    ("most", 80),
    ("half", 50),
    ("some", 10),
    ("few", 4),
    ("Ärger", 20),
    ("rare_1", 1),
    ("none", 0),
];

fn history(dice: &mut Dice) -> Plain {
    let mut plain = Plain::new();
    let said: Vec<String> = (0..ENTRIES)
        .map(|_| {
            let words = WORDS.iter().filter(|(_, share)| dice.below(100) < *share);
            words.map(|(word, _)| *word).collect::<Vec<_>>().join(" ")
        })
        .collect();
    for part in 0..3 {
        // Time goes on, and once back.
        plain.pass(Duration::from_secs(10));
        allowed(&mut plain, ENTRIES / 3, |n, call| {
            let n = part * (ENTRIES / 3) + n;
            call.client = if n.is_multiple_of(40) { "rare" } else { "often" }.to_owned();
            call.explanation = said[n as usize].clone();
        });
    }
    plain.now = Time(plain.now.0 - 15_000);
    allowed(&mut plain, 30, |_, call| call.explanation = "most half".to_owned());
    index_all(&mut plain);
    plain
}

/// By the words of what it says, however they are found.
fn has(told: &Told, words: &str) -> bool {
    let lower = told.payload.to_lowercase();
    let there: Vec<&str> =
        lower.split(|c: char| !c.is_alphanumeric()).filter(|w| !w.is_empty()).collect();
    words.to_lowercase().split([' ', '_']).all(|word| there.contains(&word))
}

#[test]
fn questions_with_words_give_what_looking_at_everything_gives() {
    let mut dice = Dice(0x9E37_79B9_7F4A_7C15);
    let plain = history(&mut dice);
    let everything = all(&plain, Filter::default(), true, 500);
    let times = (everything[0].at.0, plain.now.0 + 30_000);
    for n in 0..60 {
        let words: Vec<&str> =
            (0..1 + dice.below(3)).map(|_| WORDS[dice.below(7) as usize].0).collect();
        let mut time = || Time(times.0 + dice.below((times.1 - times.0) as u64) as i64);
        let filter = Filter {
            since: (n % 3 == 0).then(&mut time),
            until: (n % 5 == 0).then(&mut time),
            client: (n % 4 == 0).then(|| ["rare", "often"][n / 4 % 2].to_owned()),
            text: Some(words.join(" ")),
            ..Filter::default()
        };
        let holds = |told: &&Told| {
            filter.since.is_none_or(|t| told.at >= t)
                && filter.until.is_none_or(|t| told.at < t)
                && filter.client.as_ref().is_none_or(|c| *c == told.client)
                && has(told, &words.join(" "))
        };
        let expected: Vec<&Told> = everything.iter().filter(holds).collect();
        let most = 3 + dice.below(60) as usize;
        for ascending in [true, false] {
            let mut told = all(&plain, filter.clone(), ascending, most);
            if !ascending {
                told.reverse();
            }
            assert_eq!(told.iter().collect::<Vec<_>>(), expected, "{filter:?} by {most}");
        }
    }
}

#[test]
fn a_page_reads_a_bounded_number_of_entries_that_do_not_fit() {
    let mut plain = Plain::new();
    // Lists of eight words are walked; that the ninth is missing shows in the entry.
    let words = "words1 words2 words3 words4 words5 words6 words7 words8";
    allowed(&mut plain, 1000, |_, call| call.explanation = words.to_owned());
    index_all(&mut plain);
    let (mut pages, mut after) = (0, None);
    loop {
        let filter = Filter { text: Some(format!("{words} nine")), ..Filter::default() };
        let question = Question { filter, most: 50, after, ..Question::default() };
        let page = query(&plain.conn, &question, None).expect("page");
        assert!(page.entries.is_empty() && page.examined <= 300, "{}", page.examined);
        assert_eq!(page.next.is_some(), page.reached.is_some());
        pages += 1;
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    assert_eq!(pages, 4);
    // What somebody may not see is not read, and is not one of those.
    let filter = Filter { text: Some(format!("{words} nine")), ..Filter::default() };
    let question = Question { filter, most: 50, ..Question::default() };
    let page = query(&plain.conn, &question, Some(&mut Reader::new("ann", &|_| true)));
    assert_eq!(page.expect("page").examined, 1000);
}
