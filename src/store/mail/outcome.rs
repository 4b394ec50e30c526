//! How an attempt went, and what follows from it.

use std::time::Duration;

use rusqlite::{OptionalExtension, params};

use super::queue::follow_up;
use super::{FAILED, POINTLESS, QUEUED, SENT, kind_of, remind, request_of};
use crate::call::ids::RequestId;
use crate::call::json::Json;
use crate::call::model::{MailKind, Request};
use crate::call::wants::Wants;
use crate::store::audit::{Entry, Kind};
use crate::store::error::StoreError;
use crate::store::tx::Tx;
use crate::store::{reach, row};

/// After so many attempts of which the end is not known, a mail counts as sent:
/// one duplicate, which its `Message-ID` reveals, is better than none at all, and
/// a second one is not.
const MOST_UNKNOWN_ENDS: u32 = 2;

/// How the detail of a mail begins that counts as sent though nobody knows it. It
/// has reached nobody, as far as anybody can say.
pub(super) const PERHAPS: &str = "perhaps: ";

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
    /// The server may have taken it: the connection was lost before it said so.
    Unknown {
        /// What went wrong.
        error: String,
        /// How long to wait before it is tried once more.
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
    /// The letter's `Message-ID`; empty if there was no letter.
    pub message_id: String,
    /// Of a summary: the rows of those it told.
    pub told: Vec<i64>,
}

/// A row, as far as its result concerns it.
struct Mail {
    id: i64,
    kind: MailKind,
    request: Option<RequestId>,
    operator: String,
    state: i64,
    attempts: u32,
    unknown_ends: u32,
    detail: String,
    wants: Wants,
}

/// What becomes of a row.
struct Becomes<'a> {
    state: i64,
    detail: &'a str,
    after: Duration,
}

/// Writes down how an attempt went. A mail that was sent stays sent, whatever
/// became of its request meanwhile; who is told then that it ended is queued now.
pub fn result(tx: &mut Tx<'_>, result: &MailResult) -> Result<(), StoreError> {
    let Some(mail) = load(tx, result.id)? else { return Ok(()) };
    if mail.state == SENT || mail.state == FAILED {
        return Ok(());
    }
    let unknown = u32::from(matches!(result.outcome, MailOutcome::Unknown { .. }));
    let unknown_ends = mail.unknown_ends + unknown;
    // Nothing is sent twice to tell what nobody needs to know any more.
    let perhaps = unknown_ends >= MOST_UNKNOWN_ENDS || mail.state == POINTLESS;
    let perhaps_sent;
    let now = Duration::ZERO;
    let becomes = match &result.outcome {
        MailOutcome::Sent { answer } => Becomes { state: SENT, detail: answer, after: now },
        MailOutcome::Unknown { error, .. } if perhaps => {
            perhaps_sent = format!("{PERHAPS}{error}");
            Becomes { state: SENT, detail: &perhaps_sent, after: now }
        }
        // If its request ended meanwhile, it is pointless by now and stays so.
        MailOutcome::Retry { error, after } | MailOutcome::Unknown { error, after } => {
            Becomes { state: mail.state, detail: error, after: *after }
        }
        MailOutcome::Failed { error } => Becomes { state: FAILED, detail: error, after: now },
        MailOutcome::Pointless => Becomes { state: POINTLESS, detail: "", after: now },
    };
    let due = tx.now + becomes.after;
    tx.conn
        .prepare_cached(
            "UPDATE outbox SET state = ?, detail = ?, due = ?, unknown_ends = ?, begun = 0
             WHERE n = ?",
        )?
        .execute(params![becomes.state, becomes.detail, due.0, unknown_ends, mail.id])?;
    if mail.kind == MailKind::Summary {
        return summary(tx, &mail, &becomes, result);
    }
    follows(tx, &mail, &becomes, result, None)
}

fn load(tx: &Tx<'_>, id: i64) -> Result<Option<Mail>, StoreError> {
    let mail = tx
        .conn
        .prepare_cached(
            "SELECT kind, request, operator, state, attempts, unknown_ends, detail, wants
             FROM outbox WHERE n = ?",
        )?
        .query_row([id], |row| {
            Ok(Mail {
                id,
                kind: kind_of(row, 0)?,
                request: request_of(row, 1)?,
                operator: row.get(2)?,
                state: row.get(3)?,
                attempts: row.get(4)?,
                unknown_ends: row.get(5)?,
                detail: row.get(6)?,
                wants: Wants::from_bits(row.get(7)?),
            })
        })
        .optional()?;
    Ok(mail)
}

/// What follows from the end of an attempt: history, a reminder, a follow-up.
fn follows(
    tx: &mut Tx<'_>,
    mail: &Mail,
    becomes: &Becomes<'_>,
    result: &MailResult,
    within: Option<&Mail>,
) -> Result<(), StoreError> {
    let kind = match becomes.state {
        SENT => Kind::MailSent,
        FAILED => Kind::MailFailed,
        // The first time only: a server that is away for an hour fills no history.
        QUEUED if mail.detail.is_empty() => Kind::MailDeferred,
        _ => return Ok(()),
    };
    let request = match mail.request {
        Some(id) => row::load(tx.conn, id)?,
        None => None,
    };
    record(tx, kind, mail, becomes, result, request.as_ref(), within)?;
    let Some(mut request) = request.filter(|_| becomes.state == SENT) else { return Ok(()) };
    if mail.kind.asks() && !becomes.detail.starts_with(PERHAPS) {
        reach::mail_sent(tx, &mut request, &mail.operator)?;
    }
    if mail.kind == MailKind::Asked { asked(tx, mail, &request) } else { Ok(()) }
}

fn record(
    tx: &mut Tx<'_>,
    kind: Kind,
    mail: &Mail,
    becomes: &Becomes<'_>,
    result: &MailResult,
    request: Option<&Request>,
    within: Option<&Mail>,
) -> Result<(), StoreError> {
    let mut entry = Entry::about_any(kind, request);
    entry.text("to", &mail.operator);
    entry.text("mail", mail.kind.word());
    if mail.kind == MailKind::Summary {
        entry.member("told", &Json::from(result.told.len() as u64));
    }
    entry.text("message_id", &result.message_id);
    if let Some(summary) = within {
        entry.member("in_summary", &Json::from(summary.id as u64));
    }
    entry.text("answer", becomes.detail);
    entry.member("attempts", &Json::from(u64::from(within.unwrap_or(mail).attempts)));
    tx.record(entry)?;
    Ok(())
}

/// An operator was asked: they may have to be reminded or, if the request has
/// ended while the mail was on its way, told.
fn asked(tx: &mut Tx<'_>, mail: &Mail, request: &Request) -> Result<(), StoreError> {
    if let Some(kind) = MailKind::of_ending(request.status) {
        if mail.wants.has(kind) {
            follow_up(tx, kind, request, &mail.operator)?;
        }
        return Ok(());
    }
    let remind_at = remind::time(request, tx.now).filter(|_| mail.wants.has(MailKind::Reminder));
    if let Some(at) = remind_at {
        tx.conn
            .prepare_cached("UPDATE outbox SET remind_at = ? WHERE n = ?")?
            .execute(params![at.0, mail.id])?;
    }
    Ok(())
}

/// The end of a summary is that of everything it told. What it did not tell,
/// because it ended meanwhile or was found too late, is let go.
fn summary(
    tx: &mut Tx<'_>,
    mail: &Mail,
    becomes: &Becomes<'_>,
    result: &MailResult,
) -> Result<(), StoreError> {
    follows(tx, mail, becomes, result, None)?;
    if becomes.state == QUEUED {
        return Ok(());
    }
    let ended = if becomes.state == FAILED { members(tx, mail.id)? } else { result.told.clone() };
    for id in ended {
        let Some(member) = load(tx, id)? else { continue };
        if member.state == SENT || member.state == FAILED {
            continue;
        }
        tx.conn
            .prepare_cached("UPDATE outbox SET state = ?, detail = ?, at = ? WHERE n = ?")?
            .execute(params![becomes.state, becomes.detail, tx.now.0, id])?;
        follows(tx, &member, becomes, result, Some(mail))?;
    }
    tx.conn
        .prepare_cached("UPDATE outbox SET summary = NULL WHERE summary = ? AND state = 0")?
        .execute([mail.id])?;
    Ok(())
}

fn members(tx: &Tx<'_>, summary: i64) -> Result<Vec<i64>, StoreError> {
    let mut statement =
        tx.conn.prepare_cached("SELECT n FROM outbox WHERE summary = ? AND state = 0")?;
    let rows = statement.query_map([summary], |row| row.get(0))?;
    Ok(rows.collect::<Result<_, _>>()?)
}
