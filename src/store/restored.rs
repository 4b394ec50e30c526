//! The first start from a copy: what was open when it was taken ends.
//!
//! Since then it may all have gone on elsewhere: what is pending in the copy may
//! have been decided, and an approval that is unused in it may have been used. So
//! nothing that was open is ever granted again; whoever still wants the call asks
//! anew, and people decide anew. Remembered denials stay.

use super::audit::{Entry, Kind};
use super::copy::{self, Mark};
use super::error::StoreError;
use super::tx::Tx;
use super::{ending, mail, row};
use crate::call::hex::hex;
use crate::call::ids::RequestId;
use crate::call::json::Json;
use crate::call::model::{Request, Status, Use};

/// Ids read at once. Bounds the memory; each request is loaded by itself.
const STEP: usize = 500;

/// What the first start from a copy ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Restored {
    /// The copy.
    pub mark: Mark,
    /// Requests that were pending.
    pub expired: u64,
    /// Approvals that were unused.
    pub lapsed: u64,
    /// Calls that ran, and whose outcome nobody knows now.
    pub unknown: u64,
}

/// Begins anew from a copy; does nothing in a database that is none.
///
/// After it returned nothing is pending, no approval is unused, no use has a
/// lease, no mail is queued but those about outcomes that nobody knows now, and the
/// database is no copy any more. It is one transition: after a crash in the middle
/// it begins from the start.
pub fn begin_anew(tx: &mut Tx<'_>) -> Result<Option<Restored>, StoreError> {
    let Some(mark) = copy::mark_of(tx.conn)? else { return Ok(None) };
    let why = format!("restored from a backup taken at {}", mark.at.rfc3339());
    // Nobody waits yet, and nobody listens: entries without events, which would
    // keep every request in memory until the commit.
    tx.nothing_is_pending();
    // First: what follows queues mails that are about the present.
    mail::all_pointless(tx)?;
    let expired = each(tx, "SELECT id FROM requests WHERE status = 1 LIMIT ?", |tx, request| {
        request.status = Status::Expired;
        request.ended = Some(tx.now);
        request.reach_by = None;
        record(tx, Kind::Expired, request, &why)
    })?;
    let lapsed = each(tx, "SELECT id FROM requests WHERE use = 1 LIMIT ?", |tx, request| {
        request.use_ = Use::Lapsed;
        request.lapses = None;
        record(tx, Kind::UseLapsed, request, &why)
    })?;
    let leased = "SELECT id FROM requests WHERE lease_until IS NOT NULL LIMIT ?";
    let unknown = each(tx, leased, |tx, request| {
        ending::outcome_unknown(tx, request, &why);
        mail::outcome_unknown(tx, request)?;
        record(tx, Kind::OutcomeUnknown, request, &why)
    })?;
    // Who has signed out since the copy was taken is not signed in again by it.
    tx.conn.execute("DELETE FROM sign_ins", [])?;
    tx.conn.execute("DELETE FROM meta WHERE key = 'copy'", [])?;
    let mut entry = Entry::new(Kind::Restored);
    entry.text("copy", &hex(&mark.id));
    entry.text("taken_at", &mark.at.rfc3339());
    entry.member("sequence", &Json::from(mark.sequence));
    entry.text("head", &hex(&mark.head));
    for (name, number) in [("expired", expired), ("lapsed", lapsed), ("unknown", unknown)] {
        entry.member(name, &Json::from(number));
    }
    tx.record(entry)?;
    Ok(Some(Restored { mark, expired, lapsed, unknown }))
}

/// Ends each request that a question finds; `end` makes it one that it does not
/// find again.
fn each(
    tx: &mut Tx<'_>,
    sql: &str,
    mut end: impl FnMut(&mut Tx<'_>, &mut Request) -> Result<(), StoreError>,
) -> Result<u64, StoreError> {
    let mut ended = 0;
    loop {
        let ids = {
            let mut statement = tx.conn.prepare_cached(sql)?;
            let id = |row: &rusqlite::Row<'_>| Ok(RequestId::from_bytes(row.get(0)?));
            statement.query_map([STEP as i64], id)?.collect::<Result<Vec<_>, _>>()?
        };
        if ids.is_empty() {
            return Ok(ended);
        }
        for id in ids {
            let missing = || StoreError::Corrupt(format!("request {id} is in an index only"));
            let mut request = row::load(tx.conn, id)?.ok_or_else(missing)?;
            end(tx, &mut request)?;
            row::update(tx.conn, &request)?;
            ended += 1;
        }
    }
}

fn record(tx: &mut Tx<'_>, kind: Kind, request: &Request, why: &str) -> Result<(), StoreError> {
    let mut entry = Entry::about(kind, request);
    entry.text("why", why);
    tx.record(entry)?;
    Ok(())
}
