//! An admin wants a mail to be tried again now.

use rusqlite::{OptionalExtension, params};

use super::{FAILED, POINTLESS, QUEUED, SENT, kind_of, request_of};
use crate::call::ids::RequestId;
use crate::call::json::Json;
use crate::call::model::{MailKind, Status};
use crate::store::audit::{Entry, Kind};
use crate::store::error::{Refusal, StoreError};
use crate::store::row;
use crate::store::tx::Tx;

struct Mail {
    kind: MailKind,
    request: Option<RequestId>,
    operator: String,
    state: i64,
    attempts: u32,
    due: i64,
    underway: bool,
    summary: Option<i64>,
}

/// Makes a deferred or failed mail due now; its attempts are kept.
///
/// After it returned, the mail is due, and for a summary so is all it still has
/// to tell. What is due anyway stays as it is. A mail that asks is not tried again
/// once its request has ended.
pub fn retry(tx: &mut Tx<'_>, id: i64, admin: &str) -> Result<(), StoreError> {
    let mail = load(tx, id)?.ok_or(Refusal::NoSuchMail(id))?;
    let refuse = |why: &str| Err(Refusal::MailNotRetryable { id, why: why.to_owned() }.into());
    if let Some(summary) = mail.summary {
        return refuse(&format!("it goes within the summary {summary}; retry that one"));
    }
    match mail.state {
        QUEUED if mail.underway || mail.due <= tx.now.0 => return Ok(()),
        QUEUED => {}
        SENT => return refuse("it was sent"),
        FAILED if mail.kind == MailKind::Summary => {
            if again_within(tx, id)? == 0 {
                return refuse("everything in it has ended meanwhile");
            }
        }
        FAILED if !still_wanted(tx, mail.kind, mail.request)? => {
            return refuse("its request has ended, so nobody has to be asked any more");
        }
        FAILED => {}
        POINTLESS => return refuse("nobody needs it any more"),
        _ => return Err(StoreError::Corrupt("outbox.state".to_owned())),
    }
    tx.conn
        .prepare_cached("UPDATE outbox SET state = 0, due = ? WHERE n = ?")?
        .execute(params![tx.now.0, id])?;
    let about = match mail.request {
        Some(request) => row::load(tx.conn, request)?,
        None => None,
    };
    let mut entry = Entry::about_any(Kind::MailRetried, about.as_ref());
    entry.operator = Some(admin.to_owned());
    entry.text("to", &mail.operator);
    entry.text("mail", mail.kind.word());
    entry.member("attempts", &Json::from(u64::from(mail.attempts)));
    tx.record(entry)?;
    Ok(())
}

fn load(tx: &Tx<'_>, id: i64) -> Result<Option<Mail>, StoreError> {
    let mail = tx
        .conn
        .prepare_cached(
            "SELECT kind, request, operator, state, attempts, due, begun, summary
             FROM outbox WHERE n = ?",
        )?
        .query_row([id], |row| {
            Ok(Mail {
                kind: kind_of(row, 0)?,
                request: request_of(row, 1)?,
                operator: row.get(2)?,
                state: row.get(3)?,
                attempts: row.get(4)?,
                due: row.get(5)?,
                underway: row.get::<_, i64>(6)? > 0,
                summary: row.get(7)?,
            })
        })
        .optional()?;
    Ok(mail)
}

/// A mail that asks is wanted while its request is pending; one that tells, always.
fn still_wanted(
    tx: &Tx<'_>,
    kind: MailKind,
    request: Option<RequestId>,
) -> Result<bool, StoreError> {
    let Some(id) = request.filter(|_| kind.asks()) else { return Ok(true) };
    let request = row::load(tx.conn, id)?;
    Ok(request.is_some_and(|r| r.status == Status::Pending && r.deadline > tx.now))
}

/// Queues what a failed summary still has to tell; how much that is.
fn again_within(tx: &Tx<'_>, summary: i64) -> Result<usize, StoreError> {
    let mut statement = tx
        .conn
        .prepare_cached("SELECT n, kind, request FROM outbox WHERE summary = ? AND state = 2")?;
    let rows = statement.query_map([summary], |row| {
        Ok((row.get::<_, i64>(0)?, kind_of(row, 1)?, request_of(row, 2)?))
    })?;
    let mut wanted = Vec::new();
    for row in rows {
        let (id, kind, request) = row?;
        if still_wanted(tx, kind, request)? {
            wanted.push(id);
        }
    }
    let mut again = tx.conn.prepare_cached("UPDATE outbox SET state = 0 WHERE n = ?")?;
    for id in &wanted {
        again.execute([id])?;
    }
    Ok(wanted.len())
}
