//! Operators who want no summaries: what would be gathered for them goes one by one.
//!
//! Promises: nothing that asks is dropped by it, a storm only takes longer to be told;
//! what one person turned off holds for their address alone, so that whoever is
//! given their name later gets summaries; each change is in the history.

use rusqlite::{Connection, OptionalExtension as _, params};
use sha2::{Digest as _, Sha256};

use crate::call::time::Time;
use crate::store::audit::{Entry, Kind};
use crate::store::error::StoreError;
use crate::store::tx::Tx;

/// SHA-256 of an address: nobody's lies in the database.
pub type AddressHash = [u8; 32];

/// What is kept of an address.
pub fn address_hash(address: &str) -> AddressHash {
    Sha256::digest(address.to_ascii_lowercase().as_bytes()).into()
}

/// Turns summaries off or on; says whether that changed anything.
///
/// After it returned with them off, a summary that waits to be tried again is taken
/// apart, unless it may have left us before.
pub fn turn_summaries(
    tx: &mut Tx<'_>,
    operator: &str,
    address: &str,
    on: bool,
) -> Result<bool, StoreError> {
    let address = address_hash(address);
    let is_on = summaries_off(tx.conn, operator, &address)?.is_none();
    if is_on == on {
        return Ok(false);
    }
    if on {
        tx.conn.execute("DELETE FROM summaries_off WHERE operator = ?", [operator])?;
    } else {
        tx.conn.execute(
            "INSERT OR REPLACE INTO summaries_off (operator, address, at) VALUES (?, ?, ?)",
            params![operator, address, tx.now.0],
        )?;
        take_apart(tx, operator)?;
    }
    let mut entry = Entry::new(if on { Kind::SummariesOn } else { Kind::SummariesOff });
    entry.operator = Some(operator.to_owned());
    tx.record(entry)?;
    Ok(true)
}

fn take_apart(tx: &Tx<'_>, operator: &str) -> Result<(), StoreError> {
    let mut waiting = tx.conn.prepare_cached(
        "UPDATE outbox SET state = 3
         WHERE kind = 8 AND operator = ? AND state = 0 AND begun = 0 AND unknown_ends = 0
         RETURNING n",
    )?;
    let waiting = waiting.query_map([operator], |row| row.get(0))?;
    let waiting = waiting.collect::<Result<Vec<i64>, _>>()?;
    let mut free = tx
        .conn
        .prepare_cached("UPDATE outbox SET summary = NULL WHERE summary = ? AND state = 0")?;
    for summary in waiting {
        free.execute([summary])?;
    }
    Ok(())
}

/// Since when this operator, at this address, gets no summaries.
pub fn summaries_off(
    conn: &Connection,
    operator: &str,
    address: &AddressHash,
) -> Result<Option<Time>, StoreError> {
    let off: Option<i64> = conn
        .prepare_cached("SELECT at FROM summaries_off WHERE operator = ? AND address = ?")?
        .query_row(params![operator, address], |row| row.get(0))
        .optional()?;
    Ok(off.map(Time))
}

/// Everyone who turned summaries off, and for which address.
pub fn all_summaries_off(conn: &Connection) -> Result<Vec<(String, AddressHash)>, StoreError> {
    let mut statement = conn.prepare_cached("SELECT operator, address FROM summaries_off")?;
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// For which address of this operator's there are no summaries.
pub(super) fn off_for(
    conn: &Connection,
    operator: &str,
) -> Result<Option<AddressHash>, StoreError> {
    let found = conn
        .prepare_cached("SELECT address FROM summaries_off WHERE operator = ?")?
        .query_row([operator], |row| row.get(0))
        .optional()?;
    Ok(found)
}
