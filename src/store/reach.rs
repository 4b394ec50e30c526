//! Whether those who are asked know of a request: who looked at it, and whether
//! anybody could be reached by mail at all.
//!
//! ```text
//! requested ── a fifth of the time, no mail sent, nobody looked ──> nobody_reached
//!     │                                                                  │
//!     └── a mail is sent, somebody looks or decides: settled             └── the same: reached
//! ```
//!
//! Promises: one look per operator and request, however often they read it; the
//! question whether somebody was reached costs a request one index entry, from
//! its submission until the first answer to it; an expired request keeps what was
//! found. Must never: change what happens to a request.
//!
//! Where mails are written into a folder the question is not asked: a file
//! reaches nobody by itself, and a warning about every request would be none.

use std::time::Duration;

use rusqlite::params;

use super::audit::Kind;
use super::decide::Entitled;
use super::error::StoreError;
use super::mail;
use super::row;
use super::tx::Tx;
use crate::call::ids::RequestId;
use crate::call::model::{Look, Request, Status, Unreached};
use crate::call::safe_text::SafeText;
use crate::call::time::Time;

/// Somebody should be reached within one such part of the time that people have:
/// late enough for a greylisting server, early enough to do something else.
const PART: u32 = 5;

/// Where no mail was tried yet, it is asked once more after this part. In a storm
/// they may wait for each other until the first (`mail::PART_TO_WAIT`): that they
/// are gathered does not mean that nobody can be reached.
const LATEST_PART: u32 = 4;

/// Columns of the reason that is kept: a server's answer may have many lines.
const LONGEST_WHY: usize = 300;

/// By when somebody should have been reached.
pub(super) fn by(created: Time, timeout: Duration) -> Time {
    created + timeout / PART
}

/// Somebody reads a request, whole. Returns whether that is news.
///
/// After it returned `true`, the look is on disk. It is `false`, and nothing has
/// changed, for a second look, for a request that is not pending any more, and
/// for somebody whose decision would not count.
pub fn look(
    tx: &mut Tx<'_>,
    id: RequestId,
    operator: &str,
    entitled: &dyn Entitled,
) -> Result<bool, StoreError> {
    let Some(mut request) = row::load(tx.conn, id)? else { return Ok(false) };
    let open = request.status == Status::Pending && request.deadline > tx.now;
    let again = request.looked.iter().any(|look| look.operator == operator);
    if !open || again || entitled.counts(operator, &request).is_err() {
        return Ok(false);
    }
    tx.conn
        .prepare_cached("INSERT INTO looks (request, operator, at) VALUES (?, ?, ?)")?
        .execute(params![id.as_bytes(), operator, tx.now.0])?;
    tx.conn
        .prepare_cached("UPDATE requests SET looks = looks + 1 WHERE id = ?")?
        .execute([id.as_bytes()])?;
    request.looked.push(Look { operator: operator.to_owned(), at: tx.now });
    let found = found(tx, &mut request)?;
    tx.record_request(Kind::Looked, &request, |entry| {
        entry.operator = Some(operator.to_owned());
    })?;
    if found {
        say_reached(tx, &request, &format!("{operator} looked"))?;
    }
    Ok(true)
}

/// A mail about this request was sent: somebody may know of it.
pub(super) fn mail_sent(
    tx: &mut Tx<'_>,
    request: &mut Request,
    operator: &str,
) -> Result<(), StoreError> {
    if request.status == Status::Pending && found(tx, request)? {
        say_reached(tx, request, &format!("a mail to {operator} was sent"))?;
    }
    Ok(())
}

/// Somebody knows of this pending request. Returns whether nobody did before,
/// and that had been said: then it is to be said that this is over.
pub(super) fn found(tx: &Tx<'_>, request: &mut Request) -> Result<bool, StoreError> {
    let said = request.unreached.take().is_some();
    if request.reach_by.take().is_some() || said {
        row::update(tx.conn, request)?;
    }
    Ok(said)
}

/// Puts the end of [`Kind::NobodyReached`] into the history.
pub(super) fn say_reached(tx: &mut Tx<'_>, request: &Request, how: &str) -> Result<(), StoreError> {
    tx.record_request(Kind::Reached, request, |entry| entry.text("detail", how))
}

/// The request has ended: nobody needs to be reached any more. One that ended
/// without an answer keeps what may be the cause of it.
pub(super) fn settle(request: &mut Request) {
    request.reach_by = None;
    if matches!(request.status, Status::Approved | Status::Denied) {
        request.unreached = None;
    }
}

/// The time in which somebody should have been reached is over.
pub(super) fn nobody_reached(tx: &mut Tx<'_>, request: &mut Request) -> Result<(), StoreError> {
    let timeout = request.deadline.left(request.created);
    let latest = request.created + timeout / LATEST_PART;
    let why = match mail::reached(tx.conn, request.id)? {
        mail::Reached::Somebody => None,
        mail::Reached::NotTried if tx.now < latest => {
            request.reach_by = Some(latest);
            return row::update(tx.conn, request);
        }
        mail::Reached::NotTried => Some("no mail about it was tried yet".to_owned()),
        mail::Reached::Nobody(why) => Some(SafeText::cut_line(&why, LONGEST_WHY).0.to_string()),
    };
    request.reach_by = None;
    let known = !request.looked.is_empty() || !request.decisions.is_empty();
    request.unreached = why.filter(|_| !known).map(|why| Unreached { since: tx.now, why });
    row::update(tx.conn, request)?;
    let Some(unreached) = request.unreached.clone() else { return Ok(()) };
    tx.record_request(Kind::NobodyReached, request, |entry| entry.text("detail", &unreached.why))
}
