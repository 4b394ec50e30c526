//! Retention: erases what is older than people want to keep.
//!
//! Erased are what audit entries say (the payloads), their words in the text index,
//! requests that ended, with decisions, mails, former call ids and handles, and changes
//! of tools' definitions, accepted or not (who reports one again, asks again). What
//! stays of an entry is its place in the chain, its time and kind, and the salted hash of
//! what it said: so the chain verifies as before. Kept are requests that are pending,
//! approved and unused or running, denials that are remembered, and the entries
//! that record erasures.
//!
//! A run is one transition that records what goes, from when on nobody is shown it
//! any more, and then many small steps that carry it out between other work; after
//! a crash they go on where they were. Erased bytes are overwritten with zeros
//! (`secure_delete`), and the log is emptied at the end. The file does not shrink:
//! its free pages are used again. A copy that `holdpoint backup` makes has none.
//!
//! An entry is as old as the latest time up to it in the history, so a clock that
//! ran ahead delays erasing, and never hastens it.

use std::time::Duration;

use rusqlite::{Connection, OptionalExtension, params};

use super::audit::{self, Entry, Kind};
use super::error::StoreError;
use super::tx::Tx;
use super::{definitions, mail, query, text_index};
use crate::call::ids::RequestId;
use crate::call::json::Json;
use crate::call::time::Time;

/// Requests that one step erases at most. A decision that comes meanwhile waits for
/// it, for some 4 ms.
const REQUESTS: i64 = 16;

/// Changes of definitions that one step erases at most. Each has up to 32 KiB.
const DEFINITIONS: i64 = 16;

/// Payloads that one step erases at most, and bytes of them after which it ends. To
/// take a payload of 1 KB out of the text index, word by word, is half a millisecond.
const PAYLOADS: i64 = 8;
const PAYLOAD_BYTES: usize = 32 * 1024;

/// Whether a request may go: ended, used or lapsed, and no denial that is remembered.
/// `?1` is the age, `?2` now.
const MAY_GO: &str = "status <> 1 AND use <> 1 AND lease_until IS NULL AND ended < ?1
    AND coalesce(outcome_at, 0) < ?1
    AND NOT (status = 3 AND denial_lifted = 0 AND deadline > ?2)";

/// What is being erased, and how far that is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Run {
    before: Time,
    last_request: i64,
    last_entry: i64,
    request: i64,
    entry: i64,
}

/// Up to which entry payloads are erased, or about to be.
pub(super) fn erased_up_to(conn: &Connection) -> Result<i64, StoreError> {
    Ok(conn.prepare_cached("SELECT up_to FROM erased")?.query_row([], |row| row.get(0))?)
}

/// Records what is older than `keep`; [`step`] erases it. `None` if nothing is.
pub fn begin(tx: &mut Tx<'_>, keep: Duration) -> Result<Option<Run>, StoreError> {
    let before = tx.now - keep;
    let done = erased_up_to(tx.conn)?;
    let newest = audit::newest_sequence(tx.conn)?.cast_signed();
    // What is not in the text index yet could not be taken out of it.
    let indexed = text_index::indexed_up_to(tx.conn)?;
    let last = (query::first_at_least(tx.conn, before, newest)? - 1).min(indexed).max(done);
    let kept: i64 = tx
        .conn
        .prepare_cached(
            "SELECT count(*) FROM audit INDEXED BY audit_by_kind
             WHERE kind = 'erased' AND seq > ? AND seq <= ?",
        )?
        .query_row([done, last], |row| row.get(0))?;
    let last_request = requests_before(tx.conn, before)?;
    let any = tx
        .conn
        .prepare_cached(&format!(
            "SELECT 1 FROM requests WHERE n <= ?3 AND {MAY_GO} ORDER BY n LIMIT 1"
        ))?
        .query_row(params![before.0, tx.now.0, last_request], |_| Ok(()))
        .optional()?;
    let payloads = last - done - kept;
    let left = left_over(tx.conn, done)?;
    let any = any.is_some() || definitions::is_any_older(tx.conn, before)?;
    if payloads == 0 && !any && !left {
        return Ok(None);
    }
    if payloads > 0 || any {
        let mut entry = Entry::new(Kind::Erased);
        if payloads > 0 {
            entry.member("first", &Json::from(done + 1));
            entry.member("last", &Json::from(last));
        }
        entry.member("payloads", &Json::from(payloads));
        entry.text("older_than", &before.rfc3339());
        tx.record(entry)?;
        tx.conn.prepare_cached("UPDATE erased SET up_to = ?")?.execute([last])?;
    }
    Ok(Some(Run { before, last_request, last_entry: last, request: 0, entry: 0 }))
}

/// Whether a run broke off before it had erased what it recorded.
fn left_over(conn: &Connection, up_to: i64) -> Result<bool, StoreError> {
    let found = conn
        .prepare_cached(
            "SELECT 1 FROM audit_body b JOIN audit a USING (seq)
             WHERE b.seq <= ? AND a.kind <> 'erased' ORDER BY b.seq LIMIT 1",
        )?
        .query_row([up_to], |_| Ok(()))
        .optional()?;
    Ok(found.is_some())
}

/// The last request that was made before; they are numbered as they come.
fn requests_before(conn: &Connection, before: Time) -> Result<i64, StoreError> {
    let newest: Option<i64> =
        conn.prepare_cached("SELECT max(n) FROM requests")?.query_row([], |row| row.get(0))?;
    let Some(newest) = newest else { return Ok(0) };
    let mut from =
        conn.prepare_cached("SELECT created FROM requests WHERE n >= ? ORDER BY n LIMIT 1")?;
    let (mut low, mut past) = (0, newest + 1);
    while low < past {
        let middle = low + (past - low) / 2;
        if from.query_row([middle], |row| row.get::<_, i64>(0))? >= before.0 {
            past = middle;
        } else {
            low = middle + 1;
        }
    }
    Ok(low - 1)
}

/// Erases a little of what was recorded. `None` once all of it is gone.
pub fn step(tx: &mut Tx<'_>, run: Run) -> Result<Option<Run>, StoreError> {
    if run.request < run.last_request {
        return requests(tx, run).map(Some);
    }
    if definitions::erase(tx.conn, run.before, DEFINITIONS)? > 0 {
        return Ok(Some(run));
    }
    payloads(tx, run)
}

fn requests(tx: &Tx<'_>, run: Run) -> Result<Run, StoreError> {
    let sql = format!(
        "SELECT n, id, {MAY_GO} FROM requests WHERE n > ?3 AND n <= ?4 ORDER BY n LIMIT ?5"
    );
    let found = tx
        .conn
        .prepare_cached(&sql)?
        .query_map(
            params![run.before.0, tx.now.0, run.request, run.last_request, REQUESTS],
            |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)),
        )?
        .collect::<Result<Vec<(i64, [u8; 16], bool)>, _>>()?;
    let request = found.last().map_or(run.last_request, |(n, ..)| *n);
    for (_, id, _) in found.iter().filter(|(.., may_go)| *may_go) {
        mail::erase(tx, RequestId::from_bytes(*id))?;
        for sql in [
            "DELETE FROM decisions WHERE request = ?",
            "DELETE FROM looks WHERE request = ?",
            "DELETE FROM former_call_ids WHERE request = ?",
            "DELETE FROM handles WHERE request = ?",
            "DELETE FROM requests WHERE id = ?",
        ] {
            tx.conn.prepare_cached(sql)?.execute([id])?;
        }
    }
    Ok(Run { request, ..run })
}

fn payloads(tx: &Tx<'_>, mut run: Run) -> Result<Option<Run>, StoreError> {
    let mut find = tx.conn.prepare_cached(
        "SELECT b.seq, b.payload, a.kind = 'erased' FROM audit_body b JOIN audit a USING (seq)
         WHERE b.seq > ? AND b.seq <= ? ORDER BY b.seq LIMIT ?",
    )?;
    let mut erase = tx.conn.prepare_cached("DELETE FROM audit_body WHERE seq = ?")?;
    let mut rows = find.query([run.entry, run.last_entry, PAYLOADS])?;
    let (mut gone, mut bytes) = (Vec::new(), 0);
    let mut found = 0;
    while bytes < PAYLOAD_BYTES
        && let Some(row) = rows.next()?
    {
        found += 1;
        run.entry = row.get(0)?;
        if row.get(2)? {
            continue;
        }
        let payload = row.get_ref(1)?.as_str().unwrap_or_default();
        bytes += payload.len();
        text_index::take_out(tx.conn, run.entry, payload)?;
        gone.push(run.entry);
    }
    drop(rows);
    for sequence in gone {
        erase.execute([sequence])?;
    }
    Ok((found > 0).then_some(run))
}
