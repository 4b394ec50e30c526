//! Handles: names that a caller gives its requests, to find them again when all it
//! has left is what its client shows.
//!
//! Promises: a handle stands for one request of its caller, from the transition that
//! took the call on until the request is erased. A handle changes nothing of what a
//! request is or may do, so the history does not speak of it.

use rusqlite::{Connection, OptionalExtension, params};

use super::error::{Refusal, StoreError};
use super::row;
use super::tx::Tx;
use crate::call::handle::Handle;
use crate::call::ids::RequestId;
use crate::call::model::Request;
use crate::call::time::Time;

/// Handles of one request; beyond, the oldest is forgotten. A call that is asked
/// again every minute for an hour brings as many.
pub(super) const ON_ONE: i64 = 64;

/// Gives a request a handle.
///
/// After it returned, the handle finds this request. Giving it again changes
/// nothing; one that stands for another request is refused.
pub(super) fn give(tx: &Tx<'_>, request: &Request, handle: Handle) -> Result<(), StoreError> {
    let caller = &request.call.caller;
    match stands_for(tx.conn, caller, handle)? {
        Some((id, _)) if id == request.id => return Ok(()),
        Some((id, _)) => return Err(Refusal::HandleReused(id).into()),
        None => {}
    }
    let newest: i64 = tx
        .conn
        .prepare_cached("SELECT coalesce(max(n), 0) FROM handles WHERE request = ?")?
        .query_row([request.id.as_bytes()], |row| row.get(0))?;
    tx.conn
        .prepare_cached(
            "INSERT INTO handles (caller, handle, request, n, at) VALUES (?, ?, ?, ?, ?)",
        )?
        .execute(params![caller, handle.as_bytes(), request.id.as_bytes(), newest + 1, tx.now.0])?;
    if newest >= ON_ONE {
        tx.conn
            .prepare_cached("DELETE FROM handles WHERE request = ? AND n <= ?")?
            .execute(params![request.id.as_bytes(), newest + 1 - ON_ONE])?;
    }
    Ok(())
}

/// The request that a handle stands for, and since when; `None` also where the
/// request is another client's, so that nobody learns which.
pub fn by_handle(
    conn: &Connection,
    caller: &str,
    client: &str,
    handle: Handle,
) -> Result<Option<(Request, Time)>, StoreError> {
    let Some((id, at)) = stands_for(conn, caller, handle)? else { return Ok(None) };
    let request = row::load(conn, id)?.filter(|request| request.call.client == client);
    Ok(request.map(|request| (request, at)))
}

fn stands_for(
    conn: &Connection,
    caller: &str,
    handle: Handle,
) -> Result<Option<(RequestId, Time)>, StoreError> {
    let found = conn
        .prepare_cached("SELECT request, at FROM handles WHERE caller = ? AND handle = ?")?
        .query_row(params![caller, handle.as_bytes()], |row| {
            Ok((RequestId::from_bytes(row.get(0)?), Time(row.get(1)?)))
        })
        .optional()?;
    Ok(found)
}
