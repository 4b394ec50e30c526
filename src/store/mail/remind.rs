//! Half of the time has passed, and somebody who was mailed has done nothing.

use std::time::Duration;

use rusqlite::{Connection, params};

use super::queue::{PART_TO_WAIT, insert, timeout};
use super::request_of;
use crate::call::ids::RequestId;
use crate::call::model::{MailKind, Request, Status};
use crate::call::time::Time;
use crate::call::wants::Wants;
use crate::store::error::StoreError;
use crate::store::row;
use crate::store::tx::Tx;

/// Half of the time must be at least this long: sooner after the first mail, a
/// second one only disturbs.
pub const SHORTEST_HALF: Duration = Duration::from_secs(60);

/// Reminders queued in one transaction, so that decisions fit in between.
const AT_ONCE: usize = 200;

/// When somebody who is mailed about this request now is to be reminded.
pub(super) fn time(request: &Request, now: Time) -> Option<Time> {
    let half = timeout(request) / 2;
    let at = request.created + half;
    (half >= SHORTEST_HALF && at > now).then_some(at)
}

/// Whether anybody may have to be reminded.
pub fn any_reminder(conn: &Connection, now: Time) -> Result<bool, StoreError> {
    let next: Option<i64> = conn
        .prepare_cached("SELECT min(remind_at) FROM outbox WHERE remind_at IS NOT NULL")?
        .query_row([], |row| row.get(0))?;
    Ok(next.is_some_and(|at| at <= now.0))
}

/// Reminds whoever has neither decided nor looked, once; `quiet_until` says until
/// when an operator does not want to be disturbed, if that is so now. Says
/// whether there may be more to do.
pub fn remind(tx: &Tx<'_>, quiet_until: &dyn Fn(&str) -> Option<Time>) -> Result<bool, StoreError> {
    let due = due(tx)?;
    let mut put_off = tx.conn.prepare_cached("UPDATE outbox SET remind_at = ? WHERE n = ?")?;
    for (asked, id, operator) in &due {
        let open = |r: &Request| r.status == Status::Pending && r.deadline > tx.now;
        let request = row::load(tx.conn, *id)?.filter(|r| open(r) && !knows(r, operator));
        let later = request.as_ref().and_then(|_| quiet_until(operator));
        put_off.execute(params![later.map(|at| at.0), asked])?;
        if let (Some(request), None) = (request, later) {
            let go_by = tx.now + timeout(&request) / PART_TO_WAIT;
            insert(tx, MailKind::Reminder, &request, operator, go_by, Wants::NONE)?;
        }
    }
    Ok(due.len() == AT_ONCE)
}

/// The mails after which a reminder is due: row, request, operator.
fn due(tx: &Tx<'_>) -> Result<Vec<(i64, RequestId, String)>, StoreError> {
    let mut statement = tx.conn.prepare_cached(
        "SELECT n, request, operator FROM outbox
         WHERE remind_at IS NOT NULL AND remind_at <= ? ORDER BY remind_at LIMIT ?",
    )?;
    let rows = statement.query_map(params![tx.now.0, AT_ONCE as i64], |row| {
        Ok((row.get(0)?, request_of(row, 1)?, row.get(2)?))
    })?;
    let rows = rows.collect::<Result<Vec<_>, _>>()?;
    Ok(rows.into_iter().filter_map(|(n, id, operator)| Some((n, id?, operator))).collect())
}

/// Whether an operator has shown to know of a request.
pub fn knows(request: &Request, operator: &str) -> bool {
    request.decisions.iter().any(|decision| decision.operator == operator)
        || request.looked.iter().any(|look| look.operator == operator)
}
