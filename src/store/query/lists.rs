//! Sequence numbers that fit several filters at once, found from their indexes alone.
//!
//! Each filter has an index that lists the entries which fit it, in order. The lists
//! are walked together: whichever is behind leaps to where the furthest one stands,
//! so what is rare sets the pace, whichever filter that is, and entries that fit only
//! some of the filters are never read. Which is rare shows by how far each leaps, and
//! a frequent list is not asked before all rarer ones agree.
//!
//! Lists of words are different: in the index of words it is dear to begin at a place
//! (20 us for a rare word, half a millisecond for one in every entry of ten million),
//! and to go on is not (a twentieth of a microsecond). So each is walked entry by entry,
//! and begun again where the others are far ahead; a few times a page, since looking at
//! entries costs less than that.
//!
//! Promises: a leap costs a few look-ups, however long the lists are; of a word's list
//! at most [`WALKED`] entries a page are walked. Must never: walk a list past what
//! its caller asks for; the caller counts the steps.

use std::cmp::Reverse;
use std::collections::VecDeque;
use std::slice::IterMut;

use rusqlite::types::Value;
use rusqlite::{CachedStatement, Connection, Rows, params};

use super::Filter;
use crate::store::error::StoreError;
use crate::store::text_index;

#[cfg(test)]
mod tests;

/// Entries that are fetched at once from a list that is walked and not leapt in. One
/// costs a tenth of a microsecond then, and a microsecond or two alone.
const AHEAD: usize = 256;

/// Words whose lists are walked; entries are looked at for the others.
const WORDS: usize = 8;

/// Entries of a word that one step walks past, at most; further on it is begun again.
const STEP: usize = 200;

/// How often a page begins the list of a word.
const BEGUN: usize = 4;

/// Entries of a word that a page walks, at most: some half a millisecond. It ends then.
const WALKED: usize = 10_000;

/// Each of so many steps asks all lists, and puts those that leap the furthest first.
const SURVEY: usize = 32;

/// Where a walk goes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Range {
    /// First sequence number that counts.
    pub low: i64,
    /// Last one.
    pub high: i64,
    /// Up to here each counts; beyond, only those whose time is behind an earlier one's,
    /// since a clock was put back.
    pub settled: i64,
    /// From the first to the last, or the other way.
    pub ascending: bool,
}

impl Range {
    fn order(self) -> &'static str {
        if self.ascending { "ASC" } else { "DESC" }
    }

    fn begin(self) -> i64 {
        if self.ascending { self.low } else { self.high }
    }

    fn after(self, sequence: i64) -> i64 {
        if self.ascending { sequence + 1 } else { sequence - 1 }
    }

    fn before_it(self, sequence: i64) -> i64 {
        if self.ascending { sequence - 1 } else { sequence + 1 }
    }

    fn holds(self, sequence: i64) -> bool {
        self.low <= sequence && sequence <= self.high
    }

    /// Whether the one comes before the other on the way.
    fn before(self, one: i64, other: i64) -> bool {
        if self.ascending { one < other } else { one > other }
    }

    /// What is left of it from there on.
    fn rest(self, from: i64) -> (i64, i64) {
        if self.ascending { (from, self.high) } else { (self.low, from) }
    }
}

/// The entries that fit one filter.
struct List {
    sql: String,
    value: Value,
    /// The next ones, as far as they are fetched.
    ahead: VecDeque<i64>,
    /// How many to fetch next time.
    next: usize,
    /// Nothing comes behind what is fetched.
    whole: bool,
}

/// Where a list has its next entry.
enum Next {
    At(i64),
    /// It is not known: what others have is taken to fit, and looked at.
    Unknown,
    /// It is not known on this page, and it is cheaper to find out on the next one.
    Spent,
    End,
}

impl List {
    /// Of an index whose entries are `(value, seq)`.
    fn of(table: &str, index: &str, column: &str, value: impl Into<Value>, range: Range) -> List {
        let order = range.order();
        let sql = format!(
            "SELECT seq FROM {table} INDEXED BY {index} WHERE {column} ?1 AND seq BETWEEN ?2 AND ?3
             ORDER BY seq {order} LIMIT ?4"
        );
        List { sql, value: value.into(), ahead: VecDeque::new(), next: 1, whole: false }
    }

    /// Its first entry that does not come before `from`.
    fn next_from(
        &mut self,
        conn: &Connection,
        range: Range,
        from: i64,
    ) -> Result<Next, StoreError> {
        let mut passed = 0;
        while let Some(next) = self.ahead.front() {
            if !range.before(*next, from) {
                return Ok(Next::At(*next));
            }
            self.ahead.pop_front();
            passed += 1;
        }
        if self.whole {
            return Ok(Next::End);
        }
        // Who walks needs the next ones too; who leaps does not.
        self.next = match passed {
            0 => self.next,
            1 => (self.next * 2).min(AHEAD),
            _ => (self.next / 2).max(1),
        };
        let (low, high) = range.rest(from);
        let mut statement = conn.prepare_cached(&self.sql)?;
        let mut rows = statement.query(params![self.value, low, high, self.next as i64])?;
        while let Some(row) = rows.next()? {
            self.ahead.push_back(row.get(0)?);
        }
        self.whole = self.ahead.len() < self.next;
        Ok(self.ahead.front().map_or(Next::End, |next| Next::At(*next)))
    }
}

/// The words that a filter's lists are walked for, with the statements that walk them,
/// which stay in use as long as a page is sought.
pub(super) struct Words<'c>(Vec<(String, Vec<CachedStatement<'c>>)>);

impl<'c> Words<'c> {
    pub(super) fn of(
        conn: &'c Connection,
        filter: &Filter,
        range: Range,
    ) -> rusqlite::Result<Self> {
        let texts = filter.text.iter();
        let mut words: Vec<String> = texts.flat_map(|text| text_index::words(text)).collect();
        // Long words are rarer than short ones.
        words.sort_by(|one, other| other.len().cmp(&one.len()).then_with(|| one.cmp(other)));
        words.dedup();
        words.truncate(WORDS);
        let order = range.order();
        // The numbers make each a statement of its own, so that all are kept.
        let prepared = |n: usize| {
            (0..BEGUN).map(move |time| {
                conn.prepare_cached(&format!(
                    "SELECT rowid FROM audit_text
                     WHERE audit_text MATCH ?1 AND rowid BETWEEN ?2 AND ?3
                     ORDER BY rowid {order} /* {n} {time} */"
                ))
            })
        };
        let words = words.into_iter().enumerate();
        let words = words.map(|(n, word)| Ok((word, prepared(n).collect::<Result<_, _>>()?)));
        Ok(Words(words.collect::<rusqlite::Result<_>>()?))
    }
}

/// The entries that have a word.
struct Word<'w, 'c> {
    query: String,
    /// To begin it once more with.
    statements: IterMut<'w, CachedStatement<'c>>,
    /// None before it is begun.
    rows: Option<Rows<'w>>,
    /// The one that it stands at.
    at: Option<i64>,
    /// How many may be walked yet.
    left: usize,
}

impl Word<'_, '_> {
    /// Its first entry that does not come before `from`.
    fn next_from(&mut self, range: Range, from: i64) -> Result<Next, StoreError> {
        for _ in 0..STEP {
            match (&mut self.rows, self.at) {
                (None, _) => break,
                (_, Some(at)) if !range.before(at, from) => return Ok(Next::At(at)),
                _ if self.left == 0 => return Ok(Next::Spent),
                (Some(rows), _) => match rows.next()? {
                    Some(row) => self.at = Some(row.get(0)?),
                    None => return Ok(Next::End),
                },
            }
            self.left -= 1;
        }
        let Some(statement) = self.statements.next() else { return Ok(Next::Unknown) };
        let (low, high) = range.rest(from);
        let rows = self.rows.insert(statement.query(params![self.query, low, high])?);
        self.at = rows.next()?.map(|row| row.get(0)).transpose()?;
        Ok(self.at.map_or(Next::End, Next::At))
    }
}

enum Source<'w, 'c> {
    Index(List),
    Word(Word<'w, 'c>),
}

/// One of the lists of a question.
struct Asked<'w, 'c> {
    source: Source<'w, 'c>,
    /// How often it was asked, and how far it was from there to its next entry, in all.
    times: u64,
    gaps: u64,
}

impl Asked<'_, '_> {
    fn next_from(
        &mut self,
        conn: &Connection,
        range: Range,
        from: i64,
    ) -> Result<Next, StoreError> {
        let next = match &mut self.source {
            Source::Index(list) => list.next_from(conn, range, from)?,
            Source::Word(word) => word.next_from(range, from)?,
        };
        if let Next::At(next) = next {
            self.times += 1;
            self.gaps += from.abs_diff(next);
        }
        Ok(next)
    }

    fn gap(&self) -> u64 {
        self.gaps / self.times.max(1)
    }
}

/// All the lists of a question, walked together.
pub(super) struct Lists<'w, 'c> {
    /// The rarest first, as far as that is known.
    asked: Vec<Asked<'w, 'c>>,
    /// Entries whose time is behind an earlier one's; few, if any.
    behind: Option<List>,
    range: Range,
    /// From where on the next entry is sought.
    from: i64,
    steps: usize,
}

/// What a step along the lists came upon.
pub(super) enum Step {
    /// This entry is in all of them, as far as they are known.
    Fits(i64),
    /// One of them has none where another has one.
    Passed,
    /// What follows is not known any more: a list of a word is used up for now.
    Unknown,
    /// None is any more.
    End,
}

impl<'w, 'c> Lists<'w, 'c> {
    pub(super) fn of(filter: &Filter, range: Range, words: &'w mut Words<'c>) -> Self {
        let mut lists = Vec::new();
        macro_rules! names {
            ($($column:ident),+) => {
                $(if let Some(value) = &filter.$column {
                    let index = concat!("audit_by_", stringify!($column));
                    let column = concat!(stringify!($column), " =");
                    lists.push(List::of("audit_body", index, column, value.clone(), range));
                })+
            };
        }
        if let Some(id) = filter.request {
            let id = id.as_bytes().to_vec();
            lists.push(List::of("audit_body", "audit_by_request", "request =", id, range));
        }
        names!(session, operator, client, agent, tool, server, caller);
        if let Some(kind) = &filter.kind {
            lists.push(List::of("audit", "audit_by_kind", "kind =", kind.clone(), range));
        }
        if let Some(status) = filter.status {
            let status = i64::from(status.number());
            lists.push(List::of("audit_body", "audit_by_status", "status =", status, range));
        }
        if let Some(category) = filter.category {
            let category = i64::from(category.number());
            lists.push(List::of("audit_body", "audit_by_category", "category =", category, range));
        }
        let behind = (range.high > range.settled).then(|| {
            List::of("audit", "audit_behind", "at < high AND NULL IS", Value::Null, range)
        });
        let words = words.0.iter_mut().map(|(word, statements)| {
            let (query, statements) = (text_index::query(word), statements.iter_mut());
            Source::Word(Word { query, statements, rows: None, at: None, left: WALKED })
        });
        let asked = lists.into_iter().map(Source::Index).chain(words);
        let asked = asked.map(|source| Asked { source, times: 0, gaps: 0 }).collect();
        Lists { asked, behind, range, from: range.begin(), steps: 0 }
    }

    /// The first place from there on where an entry's time may be one that counts.
    fn in_time(&mut self, conn: &Connection, from: i64) -> Result<Option<i64>, StoreError> {
        let (range, settled) = (self.range, self.range.settled);
        let Some(behind) = self.behind.as_mut().filter(|_| from > settled) else {
            return Ok(Some(from));
        };
        match behind.next_from(conn, range, from)? {
            Next::At(next) if next > settled => Ok(Some(next)),
            _ if range.ascending => Ok(None),
            _ => Ok(Some(settled)),
        }
    }

    /// Up to where all is said: what follows begins behind it.
    pub(super) fn passed(&self) -> u64 {
        self.range.before_it(self.from).max(0).unsigned_abs()
    }

    /// One look into the lists.
    pub(super) fn step(&mut self, conn: &Connection) -> Result<Step, StoreError> {
        let (from, range) = (self.from, self.range);
        if !range.holds(from) {
            return Ok(Step::End);
        }
        let Some(from) = self.in_time(conn, from)? else { return Ok(Step::End) };
        let survey = self.steps.is_multiple_of(SURVEY);
        self.steps += 1;
        let (mut furthest, mut known, mut apart) = (from, self.asked.is_empty(), false);
        for asked in &mut self.asked {
            match asked.next_from(conn, range, furthest)? {
                Next::At(next) => {
                    apart |= known && next != furthest;
                    (furthest, known) = (next, true);
                }
                Next::Unknown => {}
                Next::Spent => return Ok(Step::Unknown),
                Next::End => return Ok(Step::End),
            }
            if apart && !survey {
                break;
            }
        }
        if survey {
            self.asked.sort_by_key(|asked| Reverse(asked.gap()));
        }
        if !known {
            return Ok(Step::Unknown);
        }
        if apart {
            self.from = furthest;
            return Ok(Step::Passed);
        }
        match self.in_time(conn, furthest)? {
            Some(next) if next == furthest => {}
            Some(next) => {
                self.from = next;
                return Ok(Step::Passed);
            }
            None => return Ok(Step::End),
        }
        self.from = range.after(furthest);
        Ok(Step::Fits(furthest))
    }
}
