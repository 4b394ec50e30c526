//! What waits, per operator, and what they were sent lately: all that is needed
//! to say what goes next. Read-only.

use std::collections::BTreeSet;
use std::time::Duration;

use rusqlite::{Connection, OptionalExtension, params};

use super::summaries::{AddressHash, off_for};
use super::{QUEUED, kind_of};
use crate::call::model::MailKind;
use crate::call::time::Time;
use crate::store::error::StoreError;

/// The window in which mails to one operator are counted.
pub const MINUTE: Duration = Duration::from_secs(60);

/// One mail that may go now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Waiting {
    /// Its row.
    pub id: i64,
    /// What it is.
    pub kind: MailKind,
    /// It should not wait for others longer than this.
    pub go_by: Time,
    /// It may have left us before, so it goes in no other letter.
    pub perhaps_sent: bool,
}

/// What waits for one operator. Nothing that is under way is in it, except in
/// the counts.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Queue {
    /// Whom it is for.
    pub operator: String,
    /// How many mails were tried within the last minute.
    pub tried: u32,
    /// When the newest of them was.
    pub newest: Option<Time>,
    /// When the newest summary was tried.
    pub newest_summary: Option<Time>,
    /// At this address they want no summaries.
    pub summaries_off: Option<AddressHash>,
    /// Mails that are among those tried: to try them again makes no more of them.
    pub again: Vec<Waiting>,
    /// The other ones that are due, most urgent first, as many as were asked for.
    pub waiting: Vec<Waiting>,
}

/// Every operator's queue in which something is due, by name after `after`.
///
/// `per_minute` is how many mails one operator gets in a minute, `most` how many
/// of what waits are read where that many are not used up yet; where they are,
/// only what cannot wait longer is.
pub fn queues(
    conn: &Connection,
    now: Time,
    underway: &BTreeSet<i64>,
    per_minute: u32,
    most: usize,
) -> Result<Vec<Queue>, StoreError> {
    let mut queues = Vec::new();
    let mut after = None;
    while let Some(operator) = next_operator(conn, after.as_deref())? {
        let mut queue = lately(conn, now, underway, &operator)?;
        let least = if queue.tried < per_minute { most } else { 1 };
        queue.waiting = waiting(conn, now, underway, &operator, least)?;
        if queue.waiting.first().is_some_and(|first| first.go_by <= now) && least < most {
            queue.waiting = waiting(conn, now, underway, &operator, most)?;
        }
        if !queue.waiting.is_empty() || !queue.again.is_empty() {
            queue.newest_summary = newest_summary(conn, now, &operator)?;
            queue.summaries_off = off_for(conn, &operator)?;
            queues.push(queue);
        }
        after = Some(operator);
    }
    Ok(queues)
}

/// Operators are found one by one in the index, not by reading what is queued.
fn next_operator(conn: &Connection, after: Option<&str>) -> Result<Option<String>, StoreError> {
    let mut statement = conn.prepare_cached(
        "SELECT operator FROM outbox INDEXED BY outbox_queued
         WHERE state = 0 AND summary IS NULL AND operator > ? ORDER BY operator LIMIT 1",
    )?;
    let mut first = conn.prepare_cached(
        "SELECT operator FROM outbox INDEXED BY outbox_queued
         WHERE state = 0 AND summary IS NULL ORDER BY operator LIMIT 1",
    )?;
    let found = match after {
        Some(after) => statement.query_row([after], |row| row.get(0)).optional()?,
        None => first.query_row([], |row| row.get(0)).optional()?,
    };
    Ok(found)
}

/// What was tried within the last minute. A clock that was put back must not
/// make anyone wait, so what lies ahead of it does not count.
fn lately(
    conn: &Connection,
    now: Time,
    underway: &BTreeSet<i64>,
    operator: &str,
) -> Result<Queue, StoreError> {
    let mut queue = Queue { operator: operator.to_owned(), ..Queue::default() };
    let mut statement = conn.prepare_cached(
        "SELECT n, kind, go_by, begun + unknown_ends, at, state, due
         FROM outbox INDEXED BY outbox_tried
         WHERE operator = ? AND at IS NOT NULL AND summary IS NULL AND at > ? AND at <= ?
         ORDER BY at",
    )?;
    let mut rows = statement.query(params![operator, (now - MINUTE).0, now.0])?;
    while let Some(row) = rows.next()? {
        queue.tried += 1;
        queue.newest = Some(Time(row.get(4)?));
        let due = row.get::<_, i64>(5)? == QUEUED && row.get::<_, i64>(6)? <= now.0;
        let one = one(row)?;
        if due && !underway.contains(&one.id) {
            queue.again.push(one);
        }
    }
    Ok(queue)
}

/// What is due and was not tried within the last minute, most urgent first.
fn waiting(
    conn: &Connection,
    now: Time,
    underway: &BTreeSet<i64>,
    operator: &str,
    most: usize,
) -> Result<Vec<Waiting>, StoreError> {
    let mut statement = conn.prepare_cached(
        "SELECT n, kind, go_by, begun + unknown_ends FROM outbox INDEXED BY outbox_queued
         WHERE state = 0 AND summary IS NULL AND operator = ?1 AND due <= ?2
           AND (at IS NULL OR at <= ?3 OR at > ?2)
         ORDER BY go_by, n LIMIT ?4",
    )?;
    let most = most.saturating_add(underway.len());
    let rows = statement.query_map(params![operator, now.0, (now - MINUTE).0, most as i64], one)?;
    let mut waiting = rows.collect::<Result<Vec<_>, _>>()?;
    waiting.retain(|one| !underway.contains(&one.id));
    Ok(waiting)
}

fn newest_summary(
    conn: &Connection,
    now: Time,
    operator: &str,
) -> Result<Option<Time>, StoreError> {
    let newest: Option<i64> = conn
        .prepare_cached(
            "SELECT max(at) FROM outbox INDEXED BY outbox_summaries
             WHERE kind = 8 AND at IS NOT NULL AND operator = ? AND at <= ?",
        )?
        .query_row(params![operator, now.0], |row| row.get(0))?;
    Ok(newest.map(Time))
}

/// Reads a row that begins with its number, kind, time to go by and doubts.
fn one(row: &rusqlite::Row<'_>) -> rusqlite::Result<Waiting> {
    Ok(Waiting {
        id: row.get(0)?,
        kind: kind_of(row, 1)?,
        go_by: Time(row.get(2)?),
        perhaps_sent: row.get::<_, i64>(3)? > 0,
    })
}
