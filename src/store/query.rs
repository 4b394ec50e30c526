//! Questions about the history: filters, pages, and a bound on what a page examines.
//!
//! Each filter has an index that lists the entries which fit it. The lists are walked
//! together, newest (or oldest) first, in at most [`EXAMINED`] steps a page; entries
//! that are in all of them are read. So a page costs the same at ten million entries
//! as at ten thousand, and a filter that matches nothing answers short pages, each
//! with how far back it looked and a token, instead of scanning for seconds. Where a
//! page ends must not tell its reader of entries that they may not see: see `sight`.

mod lists;
mod sight;

use rusqlite::{Connection, OptionalExtension, Row};
use sha2::{Digest as _, Sha256};

use self::lists::{Lists, Range, Step, Words};
use super::error::StoreError;
use super::read::PAGE_BYTES;
use super::reader::Reader;
use super::{retention, text_index};
use crate::call::hex::hex;
use crate::call::ids::RequestId;
use crate::call::model::{Category, Status};
use crate::call::time::Time;

/// How many entries one page looks at, at most, in the indexes or whole. One costs a
/// few microseconds, so a page that matches nothing still answers within some 20 ms.
pub const EXAMINED: usize = 2000;

/// Entries that are read whole, by who may see them, and then do not fit. One costs 10
/// microseconds, and there are any only where words are too frequent for their lists.
const MISFITS: usize = 300;

/// Bytes of payloads after which a page ends, those that do not fit included: one may
/// have a quarter of a megabyte.
const READ_BYTES: usize = 8 * 1024 * 1024;

/// What to look for; everything given must hold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// At or after.
    pub since: Option<Time>,
    /// Before.
    pub until: Option<Time>,
    /// The caller's name.
    pub caller: Option<String>,
    /// The client's name.
    pub client: Option<String>,
    /// The agent's name.
    pub agent: Option<String>,
    /// The session.
    pub session: Option<String>,
    /// The server.
    pub server: Option<String>,
    /// The tool.
    pub tool: Option<String>,
    /// The category.
    pub category: Option<Category>,
    /// The request's status after the entry.
    pub status: Option<Status>,
    /// Who decided.
    pub operator: Option<String>,
    /// Words that must all occur.
    pub text: Option<String>,
    /// The request.
    pub request: Option<RequestId>,
    /// What happened.
    pub kind: Option<String>,
}

/// An entry as the history tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    /// From 1, without gaps.
    pub sequence: u64,
    /// When.
    pub at: Time,
    /// What happened.
    pub kind: String,
    /// About which request.
    pub request: Option<RequestId>,
    /// The columns, empty where the entry has none.
    pub caller: String,
    /// See `caller`.
    pub client: String,
    /// See `caller`.
    pub agent: String,
    /// See `caller`.
    pub session: String,
    /// See `caller`.
    pub server: String,
    /// See `caller`.
    pub tool: String,
    /// See `caller`.
    pub operator: String,
    /// The call's category.
    pub category: Option<Category>,
    /// The request's status after the entry.
    pub status: Option<Status>,
    /// Everything the entry says: a JSON object.
    pub payload: String,
    /// Its hash.
    pub hash: [u8; 32],
    /// The hash before.
    pub previous: [u8; 32],
}

/// A page of the history.
#[derive(Debug, Clone, Default)]
pub struct Page {
    /// What matched.
    pub entries: Vec<Told>,
    /// Where the next page begins; `None` at the end.
    pub next: Option<u64>,
    /// Where there is a next page: how far this one looked.
    pub reached: Option<Time>,
    /// How many were looked at.
    pub examined: usize,
}

/// One question.
#[derive(Debug, Clone, Default)]
pub struct Question {
    /// What to look for.
    pub filter: Filter,
    /// Oldest first.
    pub ascending: bool,
    /// At most this many entries.
    pub most: usize,
    /// Begin behind this sequence number (from a page before).
    pub after: Option<u64>,
}

impl Question {
    /// Opaque token for the page that begins behind `sequence`. It names the
    /// filter, so that it cannot be used with another.
    pub fn token(&self, sequence: u64) -> String {
        format!("{}{sequence:016x}", self.fingerprint())
    }

    /// Reads a token; `None` if it belongs to another question.
    pub fn read_token(&self, token: &str) -> Option<u64> {
        let digits = token.strip_prefix(&self.fingerprint())?;
        let sequence = (digits.len() == 16).then(|| u64::from_str_radix(digits, 16).ok())?;
        sequence.filter(|n| i64::try_from(*n).is_ok())
    }

    fn fingerprint(&self) -> String {
        let said = format!("{:?}{}", self.filter, self.ascending);
        let hash: [u8; 32] = Sha256::digest(said.as_bytes()).into();
        hex(&hash[..8])
    }
}

/// Answers a question for this reader; without one, for who sees everything.
pub fn query(
    conn: &Connection,
    question: &Question,
    mut reader: Option<&mut Reader<'_>>,
) -> Result<Page, StoreError> {
    let filter = &question.filter;
    let mut range = bounds(conn, question)?;
    match (question.after.map(|after| after as i64), question.ascending) {
        (Some(after), true) => range.low = range.low.max(after.saturating_add(1)),
        (Some(after), false) => range.high = range.high.min(after.saturating_sub(1)),
        (None, _) => {}
    }
    let mut words = Words::of(conn, filter, range)?;
    let mut lists = Lists::of(filter, range, &mut words);
    let (mut page, mut bytes, mut read, mut misfits) = (Page::default(), 0, 0, 0);
    // The last entry of this page that a reader with restricted sight may see.
    let mut seen = None;
    loop {
        let passed = lists.passed();
        let step = lists.step(conn)?;
        let full = page.entries.len() == question.most || bytes >= PAGE_BYTES;
        let spent = read >= READ_BYTES || page.examined == EXAMINED || misfits == MISFITS;
        // To who sees everything, whatever fits is more; others must be able to see it.
        let enough = spent || (full && reader.is_none());
        let sequence = match step {
            Step::End => return Ok(page),
            Step::Fits(sequence) if !enough => sequence,
            Step::Passed if !enough => {
                page.examined += 1;
                continue;
            }
            Step::Fits(_) | Step::Passed | Step::Unknown => {
                let (next, reached) = match seen {
                    _ if reader.is_none() => (passed, time_of(conn, passed)?),
                    Some(seen) if full => (seen, time_of(conn, seen)?),
                    seen => sight::end(conn, question, seen, passed)?,
                };
                return Ok(Page { next: Some(next), reached, ..page });
            }
        };
        page.examined += 1;
        if let Some(reader) = &mut reader
            && !sight::is_told(conn, reader, sequence)?
        {
            continue;
        }
        let Some(told) = entry(conn, sequence)? else { continue };
        read += told.payload.len();
        let fits = matches(filter, &told);
        if full && fits {
            page.next = seen;
            page.reached = seen.map_or(Ok(None), |seen| time_of(conn, seen))?;
            return Ok(page);
        }
        if !full {
            seen = Some(told.sequence);
        }
        if fits {
            bytes += told.payload.len();
            page.entries.push(told);
        } else {
            misfits += 1;
        }
    }
}

fn time_of(conn: &Connection, sequence: u64) -> Result<Option<Time>, StoreError> {
    let at = conn
        .prepare_cached("SELECT at FROM audit WHERE seq = ?")?
        .query_row([sequence as i64], |row| row.get(0))
        .optional()?;
    Ok(at.map(Time))
}

fn matches(filter: &Filter, told: &Told) -> bool {
    let same = |wanted: &Option<String>, value: &str| wanted.as_deref().is_none_or(|w| w == value);
    filter.since.is_none_or(|since| told.at >= since)
        && filter.until.is_none_or(|until| told.at < until)
        && same(&filter.caller, &told.caller)
        && same(&filter.client, &told.client)
        && same(&filter.agent, &told.agent)
        && same(&filter.session, &told.session)
        && same(&filter.server, &told.server)
        && same(&filter.tool, &told.tool)
        && same(&filter.operator, &told.operator)
        && same(&filter.kind, &told.kind)
        && filter.category.is_none_or(|category| told.category == Some(category))
        && filter.status.is_none_or(|status| told.status == Some(status))
        && filter.request.is_none_or(|request| told.request == Some(request))
        && filter.text.as_deref().is_none_or(|words| text_index::occurs(words, &told.payload))
}

fn entry(conn: &Connection, sequence: i64) -> Result<Option<Told>, StoreError> {
    let told = conn
        .prepare_cached(
            "SELECT a.seq, a.at, a.kind, a.hash, a.previous, b.request, b.caller, b.client, b.agent,
               b.session, b.server, b.tool, b.operator, b.category, b.status, b.payload
             FROM audit a JOIN audit_body b ON b.seq = a.seq WHERE a.seq = ?",
        )?
        .query_row([sequence], told_of)
        .optional()?;
    Ok(told)
}

fn told_of(row: &Row<'_>) -> rusqlite::Result<Told> {
    let text = |column: usize| {
        Ok::<_, rusqlite::Error>(row.get::<_, Option<String>>(column)?.unwrap_or_default())
    };
    Ok(Told {
        sequence: row.get::<_, i64>(0)? as u64,
        at: Time(row.get(1)?),
        kind: row.get(2)?,
        hash: row.get(3)?,
        previous: row.get(4)?,
        request: row.get::<_, Option<[u8; 16]>>(5)?.map(RequestId::from_bytes),
        caller: text(6)?,
        client: text(7)?,
        agent: text(8)?,
        session: text(9)?,
        server: text(10)?,
        tool: text(11)?,
        operator: text(12)?,
        category: row.get::<_, Option<i32>>(13)?.and_then(Category::from_number),
        status: row.get::<_, Option<i32>>(14)?.and_then(Status::from_number),
        payload: text(15)?,
    })
}

/// The sequence numbers that a time range can touch.
///
/// Times rise with sequence numbers except after a clock was put back, so the
/// latest time so far (`high`), which never falls, is what is searched.
fn bounds(conn: &Connection, question: &Question) -> Result<Range, StoreError> {
    let (filter, ascending) = (&question.filter, question.ascending);
    let newest: i64 = conn
        .prepare_cached("SELECT coalesce(max(seq), 0) FROM audit")?
        .query_row([], |row| row.get(0))?;
    // What is erased has nothing to tell, but for what records the erasing.
    let told_from = match filter.kind.as_deref() {
        Some("erased") => 1,
        _ => retention::erased_up_to(conn)? + 1,
    };
    let low = match filter.since {
        // Whatever is at or after `since` raises `high` to at least that.
        Some(since) => first_at_least(conn, since, newest)?.max(told_from),
        None => told_from,
    };
    let Some(until) = filter.until else {
        return Ok(Range { low, high: newest, settled: newest, ascending });
    };
    let settled = first_at_least(conn, until, newest)? - 1;
    let behind: i64 = conn
        .prepare_cached(
            "SELECT coalesce(max(seq), 0) FROM audit INDEXED BY audit_behind WHERE at < high",
        )?
        .query_row([], |row| row.get(0))?;
    Ok(Range { low, high: settled.max(behind), settled, ascending })
}

/// The first sequence number whose `high` is at least `time`; past the end if none.
pub(super) fn first_at_least(
    conn: &Connection,
    time: Time,
    newest: i64,
) -> Result<i64, StoreError> {
    let mut high = conn.prepare_cached("SELECT high FROM audit WHERE seq = ?")?;
    let (mut low, mut past) = (1, newest + 1);
    while low < past {
        let middle = low + (past - low) / 2;
        if high.query_row([middle], |row| row.get::<_, i64>(0))? >= time.0 {
            past = middle;
        } else {
            low = middle + 1;
        }
    }
    Ok(low)
}
