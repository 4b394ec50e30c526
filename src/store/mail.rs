//! The outbox: one row per mail, written in the transaction of what it is about.

use std::time::Duration;

use rusqlite::{Connection, OptionalExtension, params};

use super::audit::{Entry, Kind};
use super::error::StoreError;
use super::reach;
use super::row;
use super::tx::Tx;
use crate::call::ids::RequestId;
use crate::call::json::Json;
use crate::call::time::Time;

const QUEUED: i64 = 0;
const SENT: i64 = 1;
const FAILED: i64 = 2;
const POINTLESS: i64 = 3;

/// The word for a mail's state.
pub(super) fn state_word(state: i64) -> &'static str {
    match state {
        QUEUED => "queued",
        SENT => "sent",
        FAILED => "failed",
        _ => "pointless",
    }
}

/// A mail that is due.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DueMail {
    /// Its row.
    pub id: i64,
    /// What it is about.
    pub request: RequestId,
    /// Whom it tells.
    pub operator: String,
    /// How often it was tried.
    pub attempts: u32,
}

/// How an attempt went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MailOutcome {
    /// The server took it, with this answer.
    Sent {
        /// The server's answer.
        answer: String,
    },
    /// Not now; try again after this long.
    Retry {
        /// What went wrong.
        error: String,
        /// How long to wait.
        after: Duration,
    },
    /// Never.
    Failed {
        /// What went wrong.
        error: String,
    },
    /// Nobody needs it any more.
    Pointless,
}

/// The result of one attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MailResult {
    /// Which row.
    pub id: i64,
    /// How it went.
    pub outcome: MailOutcome,
}

/// Queues one mail to each operator, due at once.
pub(super) fn queue(tx: &Tx<'_>, id: RequestId, operators: &[String]) -> Result<(), StoreError> {
    let mut insert = tx
        .conn
        .prepare_cached("INSERT INTO outbox (request, operator, state, due) VALUES (?, ?, 0, ?)")?;
    for operator in operators {
        insert.execute(params![id.as_bytes(), operator, tx.now.0])?;
    }
    Ok(())
}

/// A request has ended: what is still queued about it helps nobody.
pub(super) fn pointless(tx: &Tx<'_>, id: RequestId) -> Result<(), StoreError> {
    tx.conn
        .prepare_cached("UPDATE outbox SET state = 3 WHERE request = ? AND state = 0")?
        .execute([id.as_bytes()])?;
    Ok(())
}

/// What is due, oldest first.
pub fn due(conn: &Connection, now: Time, most: usize) -> Result<Vec<DueMail>, StoreError> {
    let mut statement = conn.prepare_cached(
        "SELECT n, request, operator, attempts FROM outbox
         WHERE state = 0 AND due <= ? ORDER BY due, n LIMIT ?",
    )?;
    let rows = statement.query_map(params![now.0, most as i64], |row| {
        Ok(DueMail {
            id: row.get(0)?,
            request: RequestId::from_bytes(row.get(1)?),
            operator: row.get(2)?,
            attempts: row.get(3)?,
        })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Writes down how an attempt went. A mail that was sent stays sent, whatever
/// became of its request meanwhile.
pub fn result(tx: &mut Tx<'_>, result: &MailResult) -> Result<(), StoreError> {
    let found = tx
        .conn
        .prepare_cached("SELECT request, operator, state, attempts FROM outbox WHERE n = ?")?
        .query_row([result.id], |row| {
            let request = RequestId::from_bytes(row.get(0)?);
            Ok((request, row.get::<_, String>(1)?, row.get::<_, i64>(2)?, row.get::<_, u32>(3)?))
        })
        .optional()?;
    let Some((request, operator, state, attempts)) = found else { return Ok(()) };
    if state == SENT || state == FAILED {
        return Ok(());
    }
    let attempts = attempts + u32::from(result.outcome != MailOutcome::Pointless);
    let (state, detail, due) = match &result.outcome {
        MailOutcome::Sent { answer } => (SENT, answer.as_str(), tx.now),
        // If its request ended meanwhile, it is pointless by now and stays so.
        MailOutcome::Retry { error, after } => (state, error.as_str(), tx.now + *after),
        MailOutcome::Failed { error } => (FAILED, error.as_str(), tx.now),
        MailOutcome::Pointless => (POINTLESS, "", tx.now),
    };
    tx.conn
        .prepare_cached(
            "UPDATE outbox SET state = ?, detail = ?, due = ?, attempts = ?, at = ? WHERE n = ?",
        )?
        .execute(params![state, detail, due.0, attempts, tx.now.0, result.id])?;
    let kind = match state {
        SENT => Kind::MailSent,
        FAILED => Kind::MailFailed,
        _ => return Ok(()),
    };
    let about = row::load(tx.conn, request)?;
    let mut entry = match &about {
        Some(request) => Entry::about(kind, request),
        None => Entry::new(kind),
    };
    entry.text("to", &operator);
    entry.text("answer", detail);
    entry.member("attempts", &Json::from(u64::from(attempts)));
    tx.record(entry)?;
    match about {
        Some(mut request) if state == SENT => reach::mail_sent(tx, &mut request, &operator),
        _ => Ok(()),
    }
}

/// Whether a request's mails have reached anybody.
pub(super) enum Reached {
    /// One that asks was sent.
    Somebody,
    /// None was, and what stands in the way.
    Nobody(String),
}

/// Looks at the mails that ask for a decision.
pub(super) fn reached(conn: &Connection, id: RequestId) -> Result<Reached, StoreError> {
    let mut statement = conn.prepare_cached(
        "SELECT state, detail FROM outbox WHERE request = ? ORDER BY coalesce(at, 0) DESC",
    )?;
    let mut rows = statement.query([id.as_bytes()])?;
    let mut why = "nobody who is asked is told by mail".to_owned();
    let mut first = true;
    while let Some(row) = rows.next()? {
        if row.get::<_, i64>(0)? == SENT {
            return Ok(Reached::Somebody);
        }
        if std::mem::take(&mut first) {
            why = match row.get::<_, String>(1)? {
                error if error.is_empty() => "no mail about it has been tried yet".to_owned(),
                error => error,
            };
        }
    }
    Ok(Reached::Nobody(why))
}
