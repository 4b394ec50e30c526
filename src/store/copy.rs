//! A copy of the whole database: taken from under a running daemon, marked as a
//! copy, and checked before anybody relies on it.
//!
//! A copy holds approvals that were unused when it was taken and may have been
//! used since. So it carries a mark, and the first start from it ends all that was
//! open ([`super::restored`]).
//!
//! Taken with `VACUUM INTO`, which reads one snapshot. The backup API in steps
//! begins again whenever another connection writes, and under load never ends
//! (measured: 1653 beginnings in 20 seconds); in one step, or within a
//! read transaction, it is twice as fast as this, but takes along free pages with
//! what was erased from them, and the file's write-ahead mode, in which a stray log
//! beside it would be read into it. Neither delays the writer; the log grows while
//! the copy is taken.
//!
//! Must never: write to the database that is copied, or leave a copy unmarked.

use std::path::{Path, PathBuf};

use rusqlite::{Connection, OpenFlags, OptionalExtension};

use super::audit;
use super::error::StoreError;
use super::export;
use super::schema::{self, OpenError};
use super::verify::verify;
use super::whole::Whole;
use crate::call::hex::{hex, unhex};
use crate::call::json::{Json, parse};
use crate::call::time::Time;

/// Why there is no copy, or none that can be used.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    /// It cannot be opened, or is not ours.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// No such file.
    #[error("there is no database at {0}")]
    Missing(String),
    /// The disk is too small.
    #[error("the copy needs {needed} bytes in {folder}, and {free} are free")]
    NoSpace {
        /// Where.
        folder: String,
        /// How many it needs at most.
        needed: u64,
        /// How many there are.
        free: u64,
    },
    /// Something that `SQLite` or the system said.
    #[error("{path}: {what}")]
    Failed {
        /// Which file.
        path: String,
        /// What was wrong.
        what: String,
    },
    /// It was read, and is not what it should be.
    #[error("{path} is damaged: {what}")]
    Damaged {
        /// Which file.
        path: String,
        /// What is wrong.
        what: String,
    },
}

/// Says of a database that it is a copy, and of what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mark {
    /// When it was taken.
    pub at: Time,
    /// Its newest entry.
    pub sequence: u64,
    /// Hash of that entry.
    pub head: [u8; 32],
    /// Random; tells copies apart.
    pub id: [u8; 16],
}

impl Mark {
    fn to_json(&self) -> Json {
        Json::object([
            ("at", Json::from(self.at.rfc3339())),
            ("sequence", Json::from(self.sequence)),
            ("head", Json::from(hex(&self.head))),
            ("id", Json::from(hex(&self.id))),
        ])
    }

    fn of_json(json: &Json) -> Option<Mark> {
        let text = |name| json.get(name).and_then(Json::as_str);
        Some(Mark {
            at: Time::parse(text("at")?)?,
            sequence: json.get("sequence")?.as_u64()?,
            head: unhex(text("head")?)?,
            id: unhex(text("id")?)?,
        })
    }
}

/// The mark of a database, if it is a copy.
pub(super) fn mark_of(conn: &Connection) -> Result<Option<Mark>, StoreError> {
    let bytes: Option<Vec<u8>> = conn
        .query_row("SELECT value FROM meta WHERE key = 'copy'", [], |row| row.get(0))
        .optional()?;
    let Some(bytes) = bytes else { return Ok(None) };
    let mark = parse(&bytes).ok().as_ref().and_then(Mark::of_json);
    // It is a copy all the same, and must not be taken for the original.
    mark.map(Some).ok_or_else(|| StoreError::Corrupt("the mark of a copy is not readable".into()))
}

/// Where a log stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// Random id of the log.
    pub log: [u8; 16],
    /// Its newest entry; 0 if there is none.
    pub sequence: u64,
    /// Hash of that entry.
    pub head: [u8; 32],
    /// Time of that entry.
    pub at: Time,
}

/// A database that was checked from end to end.
#[derive(Debug, Clone)]
pub struct Checked {
    /// The mark, if it is a copy.
    pub mark: Option<Mark>,
    /// Where its log stands.
    pub standing: Standing,
    /// What of the chain was checked.
    pub whole: Whole,
    /// Requests that wait for a decision.
    pub pending: u64,
    /// Approvals that nobody has used.
    pub unused: u64,
    /// Calls that ran when it was taken, and whose outcome was not reported.
    pub running: u64,
    /// Bytes of the file.
    pub bytes: u64,
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}

fn failed(path: &Path) -> impl Fn(rusqlite::Error) -> CopyError + '_ {
    |error| match schema::explain(path, error) {
        OpenError::Damaged { path, what } => CopyError::Damaged { path, what },
        open => CopyError::Open(open),
    }
}

fn of_store(path: &Path) -> impl Fn(StoreError) -> CopyError + '_ {
    |error| match error {
        StoreError::Corrupt(what) => CopyError::Damaged { path: shown(path), what },
        // What SQLite said of a read.
        StoreError::Unavailable(what) => CopyError::Failed { path: shown(path), what },
        other => CopyError::Failed { path: shown(path), what: other.to_string() },
    }
}

/// The log beside a database file.
pub fn write_ahead_log(database: &Path) -> PathBuf {
    let mut name = database.as_os_str().to_owned();
    name.push("-wal");
    name.into()
}

/// Opens a database that a daemon may be writing to.
pub fn open_live(path: &Path) -> Result<Connection, CopyError> {
    if !path.is_file() {
        return Err(CopyError::Missing(shown(path)));
    }
    let conn = schema::open_reader(path).map_err(failed(path))?;
    known(conn, path)
}

/// Opens a database that nobody writes to. Makes no files beside it, unless there
/// is a log that belongs to it.
pub fn open_still(path: &Path) -> Result<Connection, CopyError> {
    if write_ahead_log(path).exists() {
        return open_live(path);
    }
    if !path.is_file() {
        return Err(CopyError::Missing(shown(path)));
    }
    // In a URI these mean something; a path is bytes and has no other such.
    let escaped =
        path.to_str().map(|p| p.replace('%', "%25").replace('?', "%3f").replace('#', "%23"));
    let Some(escaped) = escaped else {
        return Err(CopyError::Failed { path: shown(path), what: "its name is not UTF-8".into() });
    };
    let conn = Connection::open_with_flags(
        format!("file:{escaped}?immutable=1"),
        OpenFlags::SQLITE_OPEN_READ_ONLY
            | OpenFlags::SQLITE_OPEN_URI
            | OpenFlags::SQLITE_OPEN_NO_MUTEX,
    );
    known(conn.map_err(failed(path))?, path)
}

fn known(conn: Connection, path: &Path) -> Result<Connection, CopyError> {
    if schema::version(&conn, path)? == 0 {
        return Err(OpenError::Foreign(shown(path)).into());
    }
    Ok(conn)
}

/// Where the log of a database stands.
pub fn standing(conn: &Connection, path: &Path) -> Result<Standing, CopyError> {
    let read = || -> Result<Standing, StoreError> {
        let head = audit::head(conn)?;
        Ok(Standing {
            log: export::log_id(conn)?,
            sequence: head.sequence,
            head: head.hash,
            at: head.at,
        })
    };
    read().map_err(of_store(path))
}

/// Whether a database says that it is a copy, readable or not.
pub fn is_marked(conn: &Connection) -> bool {
    !matches!(mark_of(conn), Ok(None))
}

/// The hash of one entry, if there is that entry.
pub fn hash_at(conn: &Connection, sequence: u64) -> Option<[u8; 32]> {
    let sequence = i64::try_from(sequence).ok()?;
    let found = conn.query_row("SELECT hash FROM audit WHERE seq = ?", [sequence], |r| r.get(0));
    found.ok()
}

/// Copies a database into `to`, an empty file, and marks the copy. Everything that
/// was acknowledged before the call is in it.
pub fn take(from: &Connection, path: &Path, to: &Path, at: Time) -> Result<Mark, CopyError> {
    enough_space(from, path, to)?;
    let name = to.to_str().ok_or_else(|| CopyError::Failed {
        path: shown(to),
        what: "its name is not UTF-8".into(),
    })?;
    from.execute("VACUUM INTO ?", [name]).map_err(|error| {
        // What is wrong may be wrong with either.
        let full = error.sqlite_error_code() == Some(rusqlite::ErrorCode::DiskFull);
        failed(if full { to } else { path })(error)
    })?;
    let mut id = [0; 16];
    getrandom::fill(&mut id).map_err(|e| CopyError::Failed {
        path: shown(to),
        what: format!("no random numbers: {e}"),
    })?;
    let copy = Connection::open_with_flags(to, OpenFlags::SQLITE_OPEN_READ_WRITE);
    let copy = copy.map_err(failed(to))?;
    // Nothing beside it, whatever happens: it has no name yet that anybody uses.
    copy.pragma_update(None, "journal_mode", "memory").map_err(failed(to))?;
    let Standing { sequence, head, .. } = standing(&copy, to)?;
    let mark = Mark { at, sequence, head, id };
    copy.execute(
        "INSERT INTO meta (key, value) VALUES ('copy', ?)
         ON CONFLICT (key) DO UPDATE SET value = excluded.value",
        [mark.to_json().to_text().into_bytes()],
    )
    .map_err(failed(to))?;
    Ok(mark)
}

fn enough_space(from: &Connection, path: &Path, to: &Path) -> Result<(), CopyError> {
    let number = |name| from.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
    let pages = number("page_count").map_err(failed(path))?;
    let needed = pages.saturating_mul(number("page_size").map_err(failed(path))?);
    let (needed, folder) = (needed.unsigned_abs(), to.parent().unwrap_or(Path::new("/")));
    // Where this cannot be told, a full disk tells it later.
    if let Ok(disk) = rustix::fs::statvfs(folder) {
        let free = disk.f_bavail.saturating_mul(disk.f_frsize);
        if free < needed {
            return Err(CopyError::NoSpace { folder: shown(folder), needed, free });
        }
    }
    Ok(())
}

/// Checks a database from end to end: every page and index, the whole chain, and
/// that the mark, if it has one, is of this very log.
pub fn check(path: &Path) -> Result<Checked, CopyError> {
    let conn = open_still(path)?;
    let damaged = |what: String| CopyError::Damaged { path: shown(path), what };
    let found: String =
        conn.query_row("PRAGMA integrity_check(1)", [], |row| row.get(0)).map_err(failed(path))?;
    if found != "ok" {
        return Err(damaged(found.lines().next().unwrap_or_default().to_owned()));
    }
    let standing = standing(&conn, path)?;
    let mark = mark_of(&conn).map_err(of_store(path))?;
    if mark.as_ref().is_some_and(|m| (m.sequence, m.head) != (standing.sequence, standing.head)) {
        return Err(damaged(
            "its mark is of another state: it was changed after it was taken".into(),
        ));
    }
    let whole = verify(&conn, None).map_err(of_store(path))?;
    let whole = whole.map_err(|broken| damaged(broken.what))?;
    let count = |sql: &str| {
        conn.query_row(sql, [], |row| row.get::<_, i64>(0))
            .map(i64::unsigned_abs)
            .map_err(failed(path))
    };
    Ok(Checked {
        mark,
        standing,
        whole,
        pending: count("SELECT count(*) FROM requests WHERE status = 1")?,
        unused: count("SELECT count(*) FROM requests WHERE use = 1")?,
        running: count("SELECT count(*) FROM requests WHERE lease_until IS NOT NULL")?,
        bytes: std::fs::metadata(path).map(|m| m.len()).unwrap_or_default(),
    })
}
