//! What a page tells somebody who does not see everything of the entries they do not
//! see: as little as bounded work allows.
//!
//! Promises: a full page says that there is more only if another entry that they may
//! see fits, or if that could not be found out within what a page may look at; and it
//! ends at an entry of theirs. A page that ended before it was full ends at an entry of
//! theirs too, or at a place so coarse that it does not show where a hidden entry lies.
//! What hidden entries hold is not read, and does not count as read.
//!
//! What remains: hidden entries count as looked at, so who meets more than a page may
//! look at learns that so many places were passed, and about where. Must never: name
//! the place or the time of a hidden entry, or end a page because of a single one.

use rusqlite::{Connection, OptionalExtension};

use super::{Question, time_of};
use crate::call::ids::RequestId;
use crate::call::json;
use crate::call::time::Time;
use crate::store::error::StoreError;
use crate::store::reader::Reader;

/// A place among hidden entries is told to so many. A page that ends at one has passed
/// [`super::EXAMINED`] entries, so the next page still begins further on, and does at
/// most a quarter of its work again.
const PLACES: u64 = 500;

/// And its time to so many milliseconds: an hour.
const TIMES: i64 = 3_600_000;

/// Whether a reader is told of an entry.
pub(super) fn is_told(
    conn: &Connection,
    reader: &mut Reader<'_>,
    sequence: i64,
) -> Result<bool, StoreError> {
    let about = conn
        .prepare_cached(
            "SELECT b.request, CASE WHEN a.kind GLOB 'mail_*' THEN b.payload END
             FROM audit a JOIN audit_body b ON b.seq = a.seq WHERE a.seq = ?",
        )?
        .query_row([sequence], |row| {
            let request = row.get::<_, Option<[u8; 16]>>(0)?.map(RequestId::from_bytes);
            Ok((request, row.get::<_, Option<String>>(1)?))
        })
        .optional()?;
    let Some((request, mail)) = about else { return Ok(false) };
    reader.is_told(conn, request, mail.as_deref().and_then(addressee).as_deref())
}

/// To whom the mail went that an entry is about.
fn addressee(payload: &str) -> Option<String> {
    let payload = json::parse_envelope(payload.as_bytes()).ok()?;
    Some(payload.get("to")?.as_str()?.to_owned())
}

/// Where the page behind one that is not full begins, and how far that one looked:
/// `seen` is the last entry that its reader may see, `passed` the last one that there is.
pub(super) fn end(
    conn: &Connection,
    question: &Question,
    seen: Option<u64>,
    passed: u64,
) -> Result<(u64, Option<Time>), StoreError> {
    let coarse = match question.ascending {
        true => passed / PLACES * PLACES,
        false => passed.div_ceil(PLACES) * PLACES,
    };
    let is_further =
        |seen: &u64| if question.ascending { *seen >= coarse } else { *seen <= coarse };
    match seen.filter(is_further) {
        Some(seen) => Ok((seen, time_of(conn, seen)?)),
        None => Ok((coarse, time_of(conn, coarse)?.map(|at| hour(question, at)))),
    }
}

/// A time that was certainly searched up to, without the minute.
fn hour(question: &Question, at: Time) -> Time {
    let before = at.0.div_euclid(TIMES) * TIMES;
    match question.ascending {
        true => Time(before).max(question.filter.since.unwrap_or(Time(before))),
        false => {
            let behind = if before == at.0 { before } else { before + TIMES };
            Time(behind).min(question.filter.until.unwrap_or(Time(behind)))
        }
    }
}
