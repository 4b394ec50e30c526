//! Numbers for the charts: how requests ended, how long that took, and how long each
//! decision had been on a screen.
//!
//! Promises: a question reads at most so many rows, newest first, from indexes that
//! hold nothing else, and says when there were more. Must never: be asked by somebody
//! who does not see every request; these are counts over all of them.

use std::time::Duration;

use rusqlite::{Connection, params};

use super::error::StoreError;
use crate::call::ids::RequestId;
use crate::call::model::{Category, Status, Verdict};
use crate::call::time::Time;

/// Requests that one question counts: some 120 ms of reading.
pub const MOST_REQUESTS: usize = 200_000;

/// Pending requests among them, which have to be read one by one.
const MOST_PENDING: usize = 10_000;

/// Decisions of which it is looked at how long they were on a screen; what the call
/// was is read from its request, one by one.
pub const MOST_DECISIONS: usize = 20_000;

/// A stretch of time in which requests were made.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Span {
    counts: [u32; Status::ALL.len()],
    /// How long each that was decided took, in milliseconds, in order.
    decided: Vec<i64>,
}

/// A decision that was made on a page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shown {
    /// Of which request.
    pub request: RequestId,
    /// By whom.
    pub operator: String,
    /// What they decided.
    pub verdict: Verdict,
    /// How long what they decided had been before them.
    pub on_screen: Duration,
    /// What the call would do.
    pub category: Category,
    /// On which server.
    pub server: String,
    /// By which tool.
    pub tool: String,
}

/// The answer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Numbers {
    /// One for each stretch of time.
    pub spans: Vec<Span>,
    /// Where more requests were made than are counted: from when on they are.
    pub counted_from: Option<Time>,
    /// Decisions on pages, newest first.
    pub shown: Vec<Shown>,
    /// Where there are more of them: from when on they are there.
    pub shown_from: Option<Time>,
}

impl Span {
    /// How many requests of this stretch stand so.
    pub fn count(&self, status: Status) -> u32 {
        Status::ALL.iter().zip(self.counts).find(|(s, _)| **s == status).map_or(0, |(_, n)| n)
    }

    /// How many there are.
    pub fn all(&self) -> u32 {
        self.counts.iter().sum()
    }

    /// How many of them were decided, by people.
    pub fn decided(&self) -> usize {
        self.decided.len()
    }

    /// In which time half of those that were decided were.
    pub fn median(&self) -> Option<Duration> {
        let (middle, odd) = (self.decided.len() / 2, self.decided.len() % 2 == 1);
        let upper = *self.decided.get(middle)?;
        let ms = if odd { upper } else { i64::midpoint(self.decided[middle - 1], upper) };
        Some(Duration::from_millis(ms.unsigned_abs()))
    }

    /// Of how many per hundred that ended nobody decided in time.
    pub fn expired_share(&self) -> Option<f64> {
        let ended = self.all() - self.count(Status::Pending);
        (ended > 0).then(|| f64::from(self.count(Status::Expired)) * 100.0 / f64::from(ended))
    }

    /// Several stretches as one.
    pub fn together<'a>(spans: impl IntoIterator<Item = &'a Span>) -> Span {
        let mut all = Span::default();
        for span in spans {
            all.counts.iter_mut().zip(span.counts).for_each(|(sum, n)| *sum += n);
            all.decided.extend(&span.decided);
        }
        all.decided.sort_unstable();
        all
    }

    fn add(&mut self, created: i64, status: i32, ended: Option<i64>) {
        let status = Status::from_number(status);
        let place = Status::ALL.iter().position(|known| Some(*known) == status);
        let Some(count) = place.and_then(|place| self.counts.get_mut(place)) else { return };
        *count += 1;
        let by_people = matches!(status, Some(Status::Approved | Status::Denied));
        if let Some(ended) = ended.filter(|_| by_people) {
            // A clock that was put back in between makes it no time at all.
            self.decided.push((ended - created).max(0));
        }
    }
}

/// Counts what was asked from the first of these times up to the last, in stretches
/// from each to the next; they rise. Decisions are those made in that time.
pub fn numbers(
    conn: &Connection,
    edges: &[Time],
    most_requests: usize,
) -> Result<Numbers, StoreError> {
    let (Some(first), Some(last)) = (edges.first(), edges.last()) else {
        return Ok(Numbers::default());
    };
    let mut numbers = Numbers {
        spans: vec![Span::default(); edges.len().saturating_sub(1)],
        ..Numbers::default()
    };
    let mut add = |created: i64, status: i32, ended: Option<i64>| {
        let place = edges.partition_point(|edge| edge.0 <= created);
        if let Some(span) = place.checked_sub(1).and_then(|place| numbers.spans.get_mut(place)) {
            span.add(created, status, ended);
        }
    };
    let counted_from = ended(conn, *first, *last, most_requests, &mut add)?;
    let pending_cut = pending(conn, &mut add)?;
    numbers.counted_from = [counted_from, pending_cut].into_iter().flatten().max();
    for span in &mut numbers.spans {
        span.decided.sort_unstable();
    }
    (numbers.shown, numbers.shown_from) = shown(conn, *first, *last)?;
    Ok(numbers)
}

fn ended(
    conn: &Connection,
    first: Time,
    last: Time,
    most: usize,
    add: &mut impl FnMut(i64, i32, Option<i64>),
) -> Result<Option<Time>, StoreError> {
    let mut statement = conn.prepare_cached(ENDED)?;
    let mut rows = statement.query(params![first.0, last.0, most as i64 + 1])?;
    let (mut counted, mut oldest) = (0, last);
    while let Some(row) = rows.next()? {
        if counted == most {
            return Ok(Some(oldest));
        }
        counted += 1;
        oldest = Time(row.get(0)?);
        add(oldest.0, row.get(1)?, row.get(2)?);
    }
    Ok(None)
}

pub(super) const ENDED: &str =
    "SELECT created, status, ended FROM requests INDEXED BY requests_ended
     WHERE status <> 1 AND created >= ? AND created < ? ORDER BY created DESC LIMIT ?";

/// Those whose time is up last are the newest, roughly.
fn pending(
    conn: &Connection,
    add: &mut impl FnMut(i64, i32, Option<i64>),
) -> Result<Option<Time>, StoreError> {
    let mut statement = conn.prepare_cached(
        "SELECT created FROM requests INDEXED BY requests_pending
         WHERE status = 1 ORDER BY deadline DESC, n DESC LIMIT ?",
    )?;
    let mut rows = statement.query([MOST_PENDING as i64 + 1])?;
    let (mut counted, mut newest) = (0, i64::MIN);
    while let Some(row) = rows.next()? {
        let created = row.get(0)?;
        newest = newest.max(created);
        if counted == MOST_PENDING {
            return Ok(Some(Time(newest)));
        }
        counted += 1;
        add(created, Status::Pending.number(), None);
    }
    Ok(None)
}

fn shown(
    conn: &Connection,
    first: Time,
    last: Time,
) -> Result<(Vec<Shown>, Option<Time>), StoreError> {
    let mut statement = conn.prepare_cached(SHOWN)?;
    let mut rows = statement.query(params![first.0, last.0, MOST_DECISIONS as i64 + 1])?;
    let (mut shown, mut oldest) = (Vec::new(), last);
    while let Some(row) = rows.next()? {
        if shown.len() == MOST_DECISIONS {
            return Ok((shown, Some(oldest)));
        }
        oldest = Time(row.get(0)?);
        let category = Category::from_number(row.get(5)?);
        shown.push(Shown {
            request: RequestId::from_bytes(row.get(2)?),
            operator: row.get(3)?,
            verdict: Verdict::from_number(row.get(4)?)
                .ok_or_else(|| StoreError::Corrupt("decisions.verdict".to_owned()))?,
            on_screen: Duration::from_millis(row.get::<_, i64>(1)?.unsigned_abs()),
            category: category.unwrap_or(Category::Unspecified),
            server: row.get(6)?,
            tool: row.get(7)?,
        });
    }
    Ok((shown, None))
}

pub(super) const SHOWN: &str = "SELECT d.at, d.on_screen, d.request, d.operator, d.verdict,
       r.category, r.server, r.tool
     FROM decisions d INDEXED BY decisions_shown JOIN requests r ON r.id = d.request
     WHERE d.on_screen IS NOT NULL AND d.at >= ? AND d.at < ? ORDER BY d.at DESC LIMIT ?";
