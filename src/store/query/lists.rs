//! Sequence numbers that fit several filters at once, found from their indexes alone.
//!
//! Each filter has an index that lists the entries which fit it, in order. The lists
//! are walked together: whichever is behind leaps to where the furthest one stands,
//! so what is rare sets the pace, whichever filter that is, and entries that fit only
//! some of the filters are never read.
//!
//! Promises: a leap costs a few look-ups, however long the lists are. Must never:
//! walk a list past what its caller asks for; the caller counts the steps.

use std::collections::VecDeque;

use rusqlite::types::Value;
use rusqlite::{Connection, params};

use super::{EXAMINED, Filter};
use crate::store::error::StoreError;
use crate::store::text_index;

/// Entries that are fetched at once from a list that is walked and not leapt in. One
/// costs a tenth of a microsecond then, and a microsecond or two alone.
const AHEAD: usize = 256;

/// Words whose lists are walked; entries are looked at for the others.
const WORDS: usize = 8;

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
    /// How many may be fetched yet; beyond, everything is taken to fit, and the
    /// entries themselves are looked at.
    left: usize,
    /// Nothing comes behind what is fetched.
    whole: bool,
}

/// Where a list has its next entry.
enum Next {
    At(i64),
    /// It is not known beyond this.
    Unknown,
    End,
}

impl List {
    /// Of an index whose entries are `(value, seq)`.
    fn of(table: &str, index: &str, column: &str, value: impl Into<Value>, range: Range) -> List {
        let key = if index.is_empty() { "rowid" } else { "seq" };
        let by = if index.is_empty() { String::new() } else { format!("INDEXED BY {index}") };
        let order = if range.ascending { "ASC" } else { "DESC" };
        let sql = format!(
            "SELECT {key} FROM {table} {by} WHERE {column} ?1 AND {key} BETWEEN ?2 AND ?3
             ORDER BY {key} {order} LIMIT ?4"
        );
        let (value, ahead) = (value.into(), VecDeque::new());
        List { sql, value, ahead, next: 1, left: usize::MAX, whole: false }
    }

    fn of_word(word: &str, range: Range) -> List {
        let query = text_index::query(word);
        let list = List::of("audit_text", "", "audit_text MATCH", query, range);
        // All that a page may look at, at once: to begin at a place is dear in the index of
        // words (some 10 ms at ten million entries), and to go on is not.
        List { next: EXAMINED, left: EXAMINED, ..list }
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
        if self.left == 0 {
            return Ok(Next::Unknown);
        }
        // Who walks needs the next ones too; who leaps does not.
        self.next = match passed {
            0 => self.next,
            1 => (self.next * 2).min(AHEAD),
            _ => (self.next / 2).max(1),
        };
        let fetch = self.next.min(self.left);
        let (low, high) = range.rest(from);
        let mut statement = conn.prepare_cached(&self.sql)?;
        let mut rows = statement.query(params![self.value, low, high, fetch as i64])?;
        while let Some(row) = rows.next()? {
            self.ahead.push_back(row.get(0)?);
        }
        self.left -= fetch;
        self.whole = self.ahead.len() < fetch;
        Ok(self.ahead.front().map_or(Next::End, |next| Next::At(*next)))
    }
}

/// All the lists of a question, walked together.
pub(super) struct Lists {
    lists: Vec<List>,
    /// Entries whose time is behind an earlier one's; few, if any.
    behind: Option<List>,
    range: Range,
    /// From where on the next entry is sought.
    from: i64,
}

/// What a step along the lists came upon.
pub(super) enum Step {
    /// This entry is in all of them, as far as they are known.
    Fits(i64),
    /// One of them has none where another has one.
    Passed,
    /// What follows is not known any more: the lists of words are used up for now.
    Unknown,
    /// None is any more.
    End,
}

impl Lists {
    pub(super) fn of(filter: &Filter, range: Range) -> Lists {
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
        if let Some(text) = &filter.text {
            // Long words are rarer than short ones.
            let mut words: Vec<String> = text_index::words(text).collect();
            words.sort_by_key(|word| std::cmp::Reverse(word.len()));
            words.dedup();
            lists.extend(words.iter().take(WORDS).map(|word| List::of_word(word, range)));
        }
        let behind = (range.high > range.settled).then(|| {
            List::of("audit", "audit_behind", "at < high AND NULL IS", Value::Null, range)
        });
        Lists { lists, behind, range, from: range.begin() }
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

    /// One look into each list.
    pub(super) fn step(&mut self, conn: &Connection) -> Result<Step, StoreError> {
        let (from, range) = (self.from, self.range);
        if !range.holds(from) {
            return Ok(Step::End);
        }
        let Some(from) = self.in_time(conn, from)? else { return Ok(Step::End) };
        let (mut furthest, mut known) = (from, self.lists.is_empty());
        for list in &mut self.lists {
            match list.next_from(conn, range, furthest)? {
                Next::At(next) if range.before(furthest, next) => (furthest, known) = (next, true),
                Next::At(_) => known = true,
                Next::Unknown => {}
                Next::End => return Ok(Step::End),
            }
        }
        if !known {
            return Ok(Step::Unknown);
        }
        // The first list was asked before the furthest was known.
        for list in &mut self.lists {
            if let Next::At(next) = list.next_from(conn, range, furthest)?
                && next != furthest
            {
                self.from = next;
                return Ok(Step::Passed);
            }
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
