//! What is queued, and when: as a request is submitted, ends, or is lost sight of.

use std::time::Duration;

use rusqlite::params;

use super::{MailTo, POINTLESS, SENT, kind_of};
use crate::call::ids::RequestId;
use crate::call::model::{MailKind, Request, Status, Verdict};
use crate::call::time::Time;
use crate::call::wants::Wants;
use crate::store::error::StoreError;
use crate::store::tx::Tx;

/// A mail that asks should not wait for others beyond this part of the time that
/// people have: four fifths are left to decide in.
pub const PART_TO_WAIT: u32 = 5;

/// How long a mail that only tells may wait for others: nobody has to act on it.
pub const FOLLOW_UP_WAITS: Duration = Duration::from_secs(15 * 60);

/// How much time people have for a request.
pub(super) fn timeout(request: &Request) -> Duration {
    request.deadline.left(request.created)
}

/// Queues one mail to each who is asked, due at once.
pub(in crate::store) fn queue(
    tx: &Tx<'_>,
    request: &Request,
    mail_to: &[MailTo],
) -> Result<(), StoreError> {
    let go_by = tx.now + timeout(request) / PART_TO_WAIT;
    for to in mail_to {
        insert(tx, MailKind::Asked, request, &to.operator, go_by, to.wants)?;
    }
    Ok(())
}

pub(super) fn insert(
    tx: &Tx<'_>,
    kind: MailKind,
    request: &Request,
    operator: &str,
    go_by: Time,
    wants: Wants,
) -> Result<(), StoreError> {
    let id = request.id.as_bytes();
    tx.conn
        .prepare_cached(
            "INSERT INTO outbox (kind, request, operator, state, due, go_by, wants)
             VALUES (?, ?, ?, 0, ?, ?, ?)",
        )?
        .execute(params![kind.number(), id, operator, tx.now.0, go_by.0, wants.bits()])?;
    Ok(())
}

/// A request has ended: what is still queued about it helps nobody, and who was
/// mailed about it is told, if they want to be. Returns who did not need to be
/// mailed any more.
pub(in crate::store) fn ended(tx: &Tx<'_>, request: &Request) -> Result<Vec<String>, StoreError> {
    let Some(kind) = MailKind::of_ending(request.status) else { return Ok(Vec::new()) };
    let (mut not_needed, mut told) = (Vec::new(), Vec::new());
    // On the path of every decision: one look where nobody is mailed, and else one
    // statement more.
    let mut mailed = tx.conn.prepare_cached("SELECT 1 FROM outbox WHERE request = ? LIMIT 1")?;
    if !mailed.exists([request.id.as_bytes()])? {
        return Ok(not_needed);
    }
    let mut statement = tx.conn.prepare_cached(
        "UPDATE outbox SET remind_at = NULL, state = CASE state WHEN 0 THEN 3 ELSE state END
         WHERE request = ? AND (state = 0 OR wants <> 0 OR remind_at IS NOT NULL)
         RETURNING kind, operator, state, wants",
    )?;
    let mut rows = statement.query([request.id.as_bytes()])?;
    while let Some(row) = rows.next()? {
        if kind_of(row, 0)? != MailKind::Asked {
            continue;
        }
        let operator: String = row.get(1)?;
        match row.get::<_, i64>(2)? {
            POINTLESS => not_needed.push(operator),
            SENT if Wants::from_bits(row.get(3)?).has(kind) => told.push(operator),
            _ => {}
        }
    }
    for operator in told {
        follow_up(tx, kind, request, &operator)?;
    }
    Ok(not_needed)
}

/// Tells one operator how a request ended, unless it was they who ended it.
pub(super) fn follow_up(
    tx: &Tx<'_>,
    kind: MailKind,
    request: &Request,
    operator: &str,
) -> Result<(), StoreError> {
    let decided = matches!(request.status, Status::Approved | Status::Denied);
    let by = request.decisions.last().filter(|_| decided && kind != MailKind::OutcomeUnknown);
    if by.is_some_and(|decision| decision.operator == operator) {
        return Ok(());
    }
    insert(tx, kind, request, operator, tx.now + FOLLOW_UP_WAITS, Wants::NONE)
}

/// Nobody knows whether an approved call ran. Everyone who was asked is told,
/// whether or not that mail ever went out, and everyone who approved: somebody
/// has to look.
pub(in crate::store) fn outcome_unknown(tx: &Tx<'_>, request: &Request) -> Result<(), StoreError> {
    let kind = MailKind::OutcomeUnknown;
    let asked = {
        let mut statement = tx
            .conn
            .prepare_cached("SELECT operator, wants FROM outbox WHERE request = ? AND kind = 1")?;
        let rows = statement.query_map([request.id.as_bytes()], |row| {
            Ok((row.get::<_, String>(0)?, Wants::from_bits(row.get(1)?)))
        })?;
        rows.collect::<Result<Vec<_>, _>>()?
    };
    for (operator, _) in asked.iter().filter(|(_, wants)| wants.has(kind)) {
        follow_up(tx, kind, request, operator)?;
    }
    // An approver who was not asked by mail has said nothing against it.
    let approved = request.decisions.iter().filter(|d| d.verdict == Verdict::Approve);
    for decision in approved {
        if !asked.iter().any(|(operator, _)| *operator == decision.operator) {
            follow_up(tx, kind, request, &decision.operator)?;
        }
    }
    Ok(())
}

/// The daemon begins from a copy: what is queued in it was sent long ago, or is
/// about what has ended.
pub(in crate::store) fn all_pointless(tx: &Tx<'_>) -> Result<(), StoreError> {
    tx.conn.execute("UPDATE outbox SET state = 3 WHERE state = 0", [])?;
    tx.conn.execute("UPDATE outbox SET remind_at = NULL WHERE remind_at IS NOT NULL", [])?;
    Ok(())
}

/// A request is erased: so are its mails, and summaries that are about nothing else.
pub(in crate::store) fn erase(tx: &Tx<'_>, id: RequestId) -> Result<(), StoreError> {
    let summaries = tx
        .conn
        .prepare_cached(
            "SELECT DISTINCT summary FROM outbox WHERE request = ? AND summary IS NOT NULL",
        )?
        .query_map([id.as_bytes()], |row| row.get(0))?
        .collect::<Result<Vec<i64>, _>>()?;
    tx.conn.prepare_cached("DELETE FROM outbox WHERE request = ?")?.execute([id.as_bytes()])?;
    let mut empty = tx.conn.prepare_cached(
        "DELETE FROM outbox WHERE n = ?1 AND NOT EXISTS (SELECT 1 FROM outbox WHERE summary = ?1)",
    )?;
    for summary in summaries {
        empty.execute([summary])?;
    }
    Ok(())
}
