//! Where the chain stands, as far as that is known without walking it.

use rusqlite::Connection;

use super::error::StoreError;
use super::{audit, retention};
use crate::call::time::Time;

/// The chain's state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chain {
    /// How many entries there are: the newest one's sequence number.
    pub entries: u64,
    /// Hash of the newest entry.
    pub head: [u8; 32],
    /// When that was written.
    pub newest: Time,
    /// Up to which entry payloads are erased by their age; 0: none.
    pub erased_up_to: u64,
}

/// Reads it.
pub fn chain(conn: &Connection) -> Result<Chain, StoreError> {
    let head = audit::head(conn)?;
    let erased_up_to = u64::try_from(retention::erased_up_to(conn)?).unwrap_or_default();
    Ok(Chain { entries: head.sequence, head: head.hash, newest: head.at, erased_up_to })
}
