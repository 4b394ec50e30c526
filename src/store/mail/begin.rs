//! An attempt begins: on disk before anything leaves.

use std::collections::BTreeMap;

use rusqlite::{Connection, OptionalExtension, params};

use super::{DueMail, kind_of, request_of};
use crate::call::ids::RequestId;
use crate::call::model::{MailKind, Request};
use crate::call::time::Time;
use crate::store::error::StoreError;
use crate::store::row;
use crate::store::tx::Tx;

/// Bytes of arguments that the requests of one summary have together at most,
/// unless one alone has more: they are in memory at once when it is composed.
const SUMMARY_BYTES: i64 = 2 * 1024 * 1024;

/// What is to be tried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Begin {
    /// This mail as it is.
    One(i64),
    /// These, to the same operator, as one summary.
    Gathered(Vec<i64>),
}

/// Begins attempts; returns those that are still wanted.
///
/// After it returned, each is on disk as begun, and a summary has the members
/// that it will have at every attempt. Mails that cannot be gathered any more
/// are left for another time.
pub fn begin(tx: &mut Tx<'_>, wanted: &[Begin]) -> Result<Vec<DueMail>, StoreError> {
    let mut begun = Vec::with_capacity(wanted.len());
    for one in wanted {
        let id = match one {
            Begin::One(id) => Some(*id),
            Begin::Gathered(members) => gather(tx, members)?,
        };
        if let Some(id) = id {
            begun.extend(start(tx, id)?);
        }
    }
    Ok(begun)
}

fn start(tx: &Tx<'_>, id: i64) -> Result<Option<DueMail>, StoreError> {
    let started = tx
        .conn
        .prepare_cached(
            "UPDATE outbox SET begun = 1, attempts = attempts + 1, at = ?
             WHERE n = ? AND state = 0 AND summary IS NULL
             RETURNING kind, request, operator, attempts, go_by, detail, letter",
        )?
        .query_row(params![tx.now.0, id], |row| {
            Ok(DueMail {
                id,
                kind: kind_of(row, 0)?,
                request: request_of(row, 1)?,
                operator: row.get(2)?,
                attempts: row.get(3)?,
                go_by: Time(row.get(4)?),
                detail: row.get(5)?,
                letter: row.get(6)?,
            })
        })
        .optional()?;
    let Some(mut mail) = started else { return Ok(None) };
    if let Some(request) = mail.request.filter(|_| mail.kind != MailKind::Asked) {
        mail.letter = told_by(tx.conn, request, &mail.operator)?;
    }
    Ok(Some(mail))
}

/// The summary that told an operator of a request, if it was one.
fn told_by(
    conn: &Connection,
    request: RequestId,
    operator: &str,
) -> Result<Option<i64>, StoreError> {
    let letter = conn
        .prepare_cached(
            "SELECT s.letter FROM outbox o JOIN outbox s ON s.n = o.summary
             WHERE o.request = ? AND o.operator = ? AND o.kind = 1",
        )?
        .query_row(params![request.as_bytes(), operator], |row| row.get(0))
        .optional()?;
    Ok(letter.flatten())
}

/// Makes a summary of those that are still queued and surely never left us.
/// One alone needs none.
fn gather(tx: &Tx<'_>, wanted: &[i64]) -> Result<Option<i64>, StoreError> {
    let mut load = tx.conn.prepare_cached(
        "SELECT o.operator, o.go_by, length(r.arguments)
         FROM outbox o JOIN requests r ON r.id = o.request
         WHERE o.n = ? AND o.state = 0 AND o.summary IS NULL AND o.begun = 0 AND o.unknown_ends = 0",
    )?;
    let (mut members, mut bytes) = (Vec::new(), 0);
    let mut of: Option<(String, i64)> = None;
    for id in wanted {
        let found = load
            .query_row([id], |row| {
                Ok((row.get::<_, String>(0)?, row.get::<_, i64>(1)?, row.get::<_, i64>(2)?))
            })
            .optional()?;
        let Some((operator, go_by, size)) = found else { continue };
        bytes += size.max(0);
        if bytes > SUMMARY_BYTES && !members.is_empty() {
            break;
        }
        of = match of {
            None => Some((operator, go_by)),
            Some((first, soonest)) if first == operator => Some((first, soonest.min(go_by))),
            // Never mixed, whatever was asked for.
            other => {
                of = other;
                continue;
            }
        };
        members.push(*id);
    }
    let Some((operator, go_by)) = of else { return Ok(None) };
    if let [only] = members[..] {
        return Ok(Some(only));
    }
    let letter = random()?;
    tx.conn
        .prepare_cached(
            "INSERT INTO outbox (kind, operator, state, due, go_by, letter)
             VALUES (?, ?, 0, ?, ?, ?)",
        )?
        .execute(params![MailKind::Summary.number(), operator, tx.now.0, go_by, letter])?;
    let summary = tx.conn.last_insert_rowid();
    let mut join = tx.conn.prepare_cached("UPDATE outbox SET summary = ? WHERE n = ?")?;
    for id in members {
        join.execute(params![summary, id])?;
    }
    Ok(Some(summary))
}

/// Row numbers may come again, after what was erased or in a copy that was
/// restored, and mail readers drop a letter whose `Message-ID` they know.
fn random() -> Result<i64, StoreError> {
    let random =
        getrandom::u64().map_err(|e| StoreError::Unavailable(format!("no random numbers: {e}")))?;
    // Not negative: it is written into the letter's name.
    Ok((random >> 1) as i64)
}

/// What is still to be told by a summary: rows, kinds and requests in order of
/// arrival. Members whose request has ended meanwhile are not among them.
pub fn members(
    conn: &Connection,
    summary: i64,
) -> Result<Vec<(i64, MailKind, Request)>, StoreError> {
    let mut statement = conn.prepare_cached(
        "SELECT n, kind, request FROM outbox WHERE summary = ? AND state = 0 ORDER BY n",
    )?;
    let rows = statement.query_map([summary], |row| {
        Ok((row.get::<_, i64>(0)?, kind_of(row, 1)?, request_of(row, 2)?))
    })?;
    let mut members = Vec::new();
    // One request may be in it twice: asked, and how it ended.
    let mut known: BTreeMap<_, Option<Request>> = BTreeMap::new();
    for row in rows {
        let (n, kind, Some(id)) = row? else { continue };
        let request = match known.get(&id) {
            Some(request) => request.clone(),
            None => known.entry(id).or_insert(row::load(conn, id)?).clone(),
        };
        members.extend(request.map(|request| (n, kind, request)));
    }
    Ok(members)
}
