//! What was held before a request, of the same tool by the same client: whoever
//! decides wants to know what is unusual.
//!
//! Promises: one walk over an index, of at most [`LOOKED_AT`] rows, however many
//! requests there are. Must never: say that there was nothing earlier where the
//! walk only ended.

use rusqlite::{Connection, params};

use super::error::StoreError;
use super::row;
use crate::call::ids::RequestId;
use crate::call::model::{Request, Status};

/// How many earlier requests are looked at, newest first. One costs microseconds;
/// what is further back is no news.
pub const LOOKED_AT: usize = 200;

/// What there was before.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Earlier {
    /// Whether any call of this tool by this client was held before.
    pub any: bool,
    /// The newest with the same digest, if it is not too far back.
    pub identical: Option<Request>,
    /// The newest that was approved, if it is not too far back.
    pub approved: Option<Request>,
    /// How many would have been one of those, had they been visible.
    pub hidden: usize,
}

/// What was held before this request, among those that `visible` lets pass.
pub fn than(
    conn: &Connection,
    request: &Request,
    visible: impl Fn(&Request) -> bool,
) -> Result<Earlier, StoreError> {
    let call = &request.call;
    let mut statement = conn.prepare_cached(
        "SELECT id, status, digest FROM requests INDEXED BY requests_by_tool
         WHERE caller = ? AND client = ? AND server = ? AND tool = ?
           AND n < (SELECT n FROM requests WHERE id = ?) ORDER BY n DESC LIMIT ?",
    )?;
    let mut rows = statement.query(params![
        call.caller,
        call.client,
        call.server,
        call.tool,
        request.id.as_bytes(),
        LOOKED_AT as i64,
    ])?;
    let mut earlier = Earlier::default();
    while let Some(row) = rows.next()? {
        earlier.any = true;
        let identical =
            earlier.identical.is_none() && row.get::<_, [u8; 32]>(2)? == *call.digest.as_bytes();
        let approved =
            earlier.approved.is_none() && row.get::<_, i32>(1)? == Status::Approved.number();
        if !identical && !approved {
            continue;
        }
        let found = row::load(conn, RequestId::from_bytes(row.get(0)?))?;
        let Some(found) = found.filter(&visible) else {
            earlier.hidden += 1;
            continue;
        };
        if identical {
            earlier.identical = Some(found.clone());
        }
        if approved {
            earlier.approved = Some(found);
        }
        if earlier.identical.is_some() && earlier.approved.is_some() {
            break;
        }
    }
    Ok(earlier)
}
