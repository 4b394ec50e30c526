//! Whether the mails about a request have reached anybody.

use rusqlite::Connection;

use super::SENT;
use super::outcome::PERHAPS;
use crate::call::ids::RequestId;
use crate::store::error::StoreError;

/// What became of the mails that ask for a decision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::store) enum Reached {
    /// At least one was surely sent, by itself or in a summary.
    Somebody,
    /// None was sent, and none of them was tried: they wait for their turn.
    NotTried,
    /// None was sent, and what stands in the way.
    Nobody(String),
}

/// Looks at the mails that ask somebody to decide this request.
pub(in crate::store) fn reached(conn: &Connection, id: RequestId) -> Result<Reached, StoreError> {
    // What was tried last comes first. An attempt in a summary is the summary's.
    let mut statement = conn.prepare_cached(
        "SELECT o.state, coalesce(s.attempts, o.attempts),
           CASE WHEN o.detail = '' THEN coalesce(s.detail, '') ELSE o.detail END
         FROM outbox o LEFT JOIN outbox s ON s.n = o.summary
         WHERE o.request = ? AND o.kind IN (1, 2)
         ORDER BY coalesce(s.at, o.at, 0) DESC, o.n",
    )?;
    let mut rows = statement.query([id.as_bytes()])?;
    let mut found = None;
    while let Some(row) = rows.next()? {
        let (attempts, mut error): (u32, String) = (row.get(1)?, row.get(2)?);
        if row.get::<_, i64>(0)? == SENT {
            let Some(unknown) = error.strip_prefix(PERHAPS) else { return Ok(Reached::Somebody) };
            error = format!("nobody knows whether a mail arrived: {unknown}");
        }
        found = found.or(Some(match (attempts, error.as_str()) {
            (0, "") => Reached::NotTried,
            (_, "") => Reached::Nobody("the mail server has not answered yet".to_owned()),
            _ => Reached::Nobody(error),
        }));
    }
    Ok(found.unwrap_or_else(|| Reached::Nobody("nobody who is asked is told by mail".to_owned())))
}
