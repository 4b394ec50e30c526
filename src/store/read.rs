//! Questions about requests. Each runs on a read-only connection.

use rusqlite::{Connection, params};

use super::error::StoreError;
use super::row;
use crate::call::ids::RequestId;
use crate::call::model::{Request, Status};
use crate::call::time::Time;

/// One request with its decisions and notices.
pub fn request(conn: &Connection, id: RequestId) -> Result<Option<Request>, StoreError> {
    let Some(mut request) = row::load(conn, id)? else { return Ok(None) };
    request.notices = row::notices(conn, id)?;
    Ok(Some(request))
}

/// How many matches of a short id are looked at before it is called ambiguous.
const SHORT_MATCHES: usize = 200;

/// Requests whose id begins or ends with these hex digits, newest first.
pub fn by_short_id(conn: &Connection, hex: &str) -> Result<Vec<Request>, StoreError> {
    // Ids are ordered by time, so a prefix is a range; a suffix is a scan of the
    // newest ones, which is where the one that somebody types will be.
    let pattern = hex.to_ascii_lowercase();
    let mut statement = conn.prepare_cached(
        "SELECT id FROM (SELECT n, id, lower(hex(id)) AS text FROM requests ORDER BY n DESC LIMIT 200000)
         WHERE text LIKE ?1 || '%' OR text LIKE '%' || ?1 ORDER BY n DESC LIMIT ?2",
    )?;
    let ids = statement
        .query_map(params![pattern, SHORT_MATCHES as i64], |row| {
            Ok(RequestId::from_bytes(row.get(0)?))
        })?
        .collect::<Result<Vec<_>, _>>()?;
    load_all(conn, ids)
}

/// The newest requests, for `latest`.
pub fn newest(conn: &Connection, most: usize) -> Result<Vec<Request>, StoreError> {
    let mut statement = conn.prepare_cached("SELECT id FROM requests ORDER BY n DESC LIMIT ?")?;
    let ids = statement
        .query_map([most as i64], |row| Ok(RequestId::from_bytes(row.get(0)?)))?
        .collect::<Result<Vec<_>, _>>()?;
    load_all(conn, ids)
}

fn load_all(conn: &Connection, ids: Vec<RequestId>) -> Result<Vec<Request>, StoreError> {
    let mut requests = Vec::with_capacity(ids.len());
    for id in ids {
        requests.extend(row::load(conn, id)?);
    }
    Ok(requests)
}

/// Where a page of pending requests begins: after this deadline and row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PendingAfter {
    /// Deadline of the last one seen, ms.
    pub deadline: i64,
    /// Its row.
    pub n: i64,
}

/// Bytes of arguments or payloads on one page: with the one that goes beyond, a
/// page stays below the 4 MiB that common clients take.
pub const PAGE_BYTES: usize = 768 * 1024;

/// Bytes of arguments read at once by [`pending`].
const PENDING_BYTES: usize = 4 * 1024 * 1024;

/// Pending requests by deadline, up to `most` and some megabytes, each with where
/// the next page begins, and whether there are more.
pub fn pending(
    conn: &Connection,
    after: PendingAfter,
    most: usize,
) -> Result<(Vec<(PendingAfter, Request)>, bool), StoreError> {
    let mut statement = conn.prepare_cached(&format!(
        "SELECT {}, n FROM requests INDEXED BY requests_pending
         WHERE status = 1 AND (deadline, n) > (?, ?) ORDER BY deadline, n LIMIT ?",
        row::COLUMNS
    ))?;
    let n_column = row::COLUMNS.split(',').count();
    let mut rows = statement.query(params![after.deadline, after.n, most as i64 + 1])?;
    let (mut page, mut bytes) = (Vec::new(), 0);
    while let Some(row) = rows.next()? {
        if page.len() == most || bytes >= PENDING_BYTES {
            return Ok((page, true));
        }
        let n = row.get(n_column)?;
        let request = row::whole(conn, row)?;
        bytes += request.call.arguments.len();
        page.push((PendingAfter { deadline: request.deadline.0, n }, request));
    }
    Ok((page, false))
}

/// A caller's own requests, newest first, before row `before`.
pub fn of_caller(
    conn: &Connection,
    caller: &str,
    statuses: &[Status],
    before: i64,
    most: usize,
    examine: usize,
) -> Result<(Vec<Request>, Option<i64>), StoreError> {
    let mut statement = conn.prepare_cached(
        "SELECT n, id, status FROM requests WHERE caller = ? AND n < ? ORDER BY n DESC LIMIT ?",
    )?;
    let mut rows = statement.query(params![caller, before, examine as i64])?;
    let (mut requests, mut examined, mut last) = (Vec::new(), 0, None);
    let mut bytes = 0;
    while let Some(row) = rows.next()? {
        examined += 1;
        last = Some(row.get(0)?);
        let status = row.get::<_, i32>(2)?;
        if !statuses.is_empty() && !statuses.iter().any(|s| s.number() == status) {
            continue;
        }
        let request = row::load(conn, RequestId::from_bytes(row.get(1)?))?;
        bytes += request.as_ref().map_or(0, |request| request.call.arguments.len());
        requests.extend(request);
        if requests.len() == most || bytes >= PAGE_BYTES {
            return Ok((requests, last));
        }
    }
    Ok((requests, last.filter(|_| examined == examine)))
}

/// When the next request, approval or lease ends by itself, or somebody should
/// have been reached.
pub fn next_due(conn: &Connection) -> Result<Option<Time>, StoreError> {
    let next: Option<i64> = conn
        .prepare_cached(
            "SELECT min(at) FROM (
               SELECT min(deadline) AS at FROM requests WHERE status = 1
               UNION ALL SELECT min(lapses) FROM requests WHERE use = 1
               UNION ALL SELECT min(lease_until) FROM requests WHERE lease_until IS NOT NULL
               UNION ALL SELECT min(reach_by) FROM requests WHERE reach_by IS NOT NULL)",
        )?
        .query_row([], |row| row.get(0))?;
    Ok(next.map(Time))
}
