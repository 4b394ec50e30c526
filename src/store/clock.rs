//! The store's time: wall time that runs on the boot-time clock.
//!
//! The writer's *now* is boot time plus an offset, so a stepped wall clock
//! neither shortens nor stretches what is running. A step is noticed at the next
//! tick and becomes one transition: it is recorded, and every running deadline
//! is moved along with the wall clock. So stored deadlines are right in wall
//! time after a restart, when the wall clock rules again.

use std::fmt;

use rusqlite::{OptionalExtension, params};

use super::audit::{Entry, Kind};
use super::error::StoreError;
use super::tx::Tx;
use crate::call::json::Json;
use crate::call::time::Time;

/// Between two ticks the wall clock may drift this far from the boot-time clock
/// without being called a step: time daemons slew by half a millisecond a second.
const SLEW_MS: i64 = 500;

/// How far the wall clock may stand before the newest audit entry at a start.
/// More, and no use is granted until it catches up or an admin confirms it.
pub const DOUBT_MS: i64 = 30_000;

/// Where time comes from; tests put their own here.
pub trait Clock: Send + Sync + fmt::Debug {
    /// Milliseconds since boot, suspend included.
    fn boot_ms(&self) -> i64;
    /// The wall clock.
    fn wall(&self) -> Time;
}

/// The machine's clocks.
#[derive(Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn boot_ms(&self) -> i64 {
        let now = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
        now.tv_sec * 1000 + now.tv_nsec / 1_000_000
    }

    fn wall(&self) -> Time {
        Time(chrono::Utc::now().timestamp_millis())
    }
}

/// What the wall clock did since the last look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Drift {
    /// Nothing worth a word; the offset may follow silently.
    Slewed(i64),
    /// It was stepped by this many milliseconds.
    Stepped(i64),
}

/// Compares the wall clock with where it should be.
pub fn drift(clock: &dyn Clock, offset_ms: i64) -> Drift {
    let by = clock.wall().0 - (clock.boot_ms() + offset_ms);
    if by.abs() <= SLEW_MS { Drift::Slewed(by) } else { Drift::Stepped(by) }
}

/// The wall clock was stepped: running deadlines move along, and it is recorded.
pub fn step(tx: &mut Tx<'_>, by_ms: i64) -> Result<(), StoreError> {
    let before = tx.now;
    tx.conn.execute("UPDATE requests SET deadline = deadline + ? WHERE status = 1", [by_ms])?;
    tx.conn.execute("UPDATE requests SET lapses = lapses + ? WHERE use = 1", [by_ms])?;
    tx.conn.execute(
        "UPDATE requests SET lease_until = lease_until + ? WHERE lease_until IS NOT NULL",
        [by_ms],
    )?;
    tx.conn.execute(
        "UPDATE requests SET reach_by = reach_by + ? WHERE reach_by IS NOT NULL",
        [by_ms],
    )?;
    // A remembered denial lasts until its request's deadline.
    tx.conn.execute(
        "UPDATE requests SET deadline = deadline + ?1 WHERE status = 3 AND deadline > ?2",
        params![by_ms, before.0],
    )?;
    tx.conn
        .execute("UPDATE outbox SET due = due + ?1, go_by = go_by + ?1 WHERE state = 0", [by_ms])?;
    tx.conn.execute(
        "UPDATE outbox SET remind_at = remind_at + ? WHERE remind_at IS NOT NULL",
        [by_ms],
    )?;
    tx.shift_clock(by_ms);
    let mut entry = Entry::new(Kind::ClockStepped);
    entry.text("from", &before.rfc3339());
    entry.text("to", &tx.now.rfc3339());
    let magnitude = Json::from(by_ms.unsigned_abs());
    entry.member(if by_ms < 0 { "back_ms" } else { "forward_ms" }, &magnitude);
    tx.record(entry)?;
    Ok(())
}

/// An admin vouches for the wall clock: uses are granted again.
pub fn confirm(tx: &mut Tx<'_>, admin: &str) -> Result<Time, StoreError> {
    let doubted = tx.state().clock_doubt;
    save_doubt(tx, None)?;
    tx.clear_doubt();
    let mut entry = Entry::new(Kind::ClockConfirmed);
    entry.operator = Some(admin.to_owned());
    if let Some(until) = doubted {
        entry.text("was_in_doubt_until", &until.rfc3339());
    }
    tx.record(entry)?;
    Ok(tx.now)
}

/// The daemon begins to serve. Says since when the clock is in doubt, if it is;
/// that outlives further restarts.
pub fn daemon_started(tx: &mut Tx<'_>) -> Result<(), StoreError> {
    let mut entry = Entry::new(Kind::DaemonStarted);
    entry.text("version", env!("CARGO_PKG_VERSION"));
    let doubt = tx.state().clock_doubt;
    if let Some(until) = doubt {
        entry.text("clock_in_doubt_until", &until.rfc3339());
    }
    save_doubt(tx, doubt)?;
    tx.record(entry)?;
    Ok(())
}

/// The daemon stops in good order.
pub fn daemon_stopped(tx: &mut Tx<'_>) -> Result<(), StoreError> {
    tx.record(Entry::new(Kind::DaemonStopped))?;
    Ok(())
}

fn save_doubt(tx: &Tx<'_>, until: Option<Time>) -> Result<(), StoreError> {
    tx.conn.execute(
        "INSERT INTO meta (key, value) VALUES ('clock_doubt', ?)
         ON CONFLICT (key) DO UPDATE SET value = excluded.value",
        [until.map(|t| t.0.to_be_bytes())],
    )?;
    Ok(())
}

/// Until when the clock is in doubt at a start: it stands too far before the
/// newest entry, or it did at an earlier start and has not caught up since.
pub(super) fn doubt_at_start(
    conn: &rusqlite::Connection,
    newest: Time,
    now: Time,
) -> rusqlite::Result<Option<Time>> {
    let saved: Option<Option<[u8; 8]>> = conn
        .query_row("SELECT value FROM meta WHERE key = 'clock_doubt'", [], |row| row.get(0))
        .optional()?;
    let saved = saved.flatten().map(|bytes| Time(i64::from_be_bytes(bytes)));
    let behind = (now.0 < newest.0 - DOUBT_MS).then_some(newest);
    Ok(saved.filter(|until| now < *until).max(behind))
}
