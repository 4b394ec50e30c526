//! Opening the database: pragmas, migrations, and refusing what is not ours.

use std::fs;
use std::path::Path;
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};

use super::error::StoreError;

/// `PRAGMA application_id`: "HOLD".
const APPLICATION_ID: i32 = 0x484F_4C44;

/// How long a connection waits for another program's lock. Our own daemon never
/// competes with itself for writing, so whoever holds it is a stranger (a backup,
/// someone's `sqlite3` shell) and seconds are plenty.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// Pages in the log after which it is folded into the file. Larger than SQLite's
/// 1000: a checkpoint stalls 2 to 3 ms, and a busy daemon fills 1000 pages in a
/// fraction of a second.
pub(super) const CHECKPOINT_PAGES: i32 = 4000;

/// One step per version, in order; never edited once released. To change the
/// schema, append a step.
const MIGRATIONS: &[&str] = &[
    include_str!("schema/0001.sql"),
    include_str!("schema/0002.sql"),
    include_str!("schema/0003.sql"),
    include_str!("schema/0004.sql"),
    include_str!("schema/0005.sql"),
    include_str!("schema/0006.sql"),
    include_str!("schema/0007.sql"),
    include_str!("schema/0008.sql"),
    include_str!("schema/0009.sql"),
    include_str!("schema/0010.sql"),
    include_str!("schema/0011.sql"),
];

/// Why the database cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// SQLite or the file system said no.
    #[error("cannot open the database {path}: {source}; {remedy}")]
    Open {
        /// Which file.
        path: String,
        /// SQLite's word.
        source: rusqlite::Error,
        /// What to do.
        remedy: &'static str,
    },
    /// Not one of ours.
    #[error(
        "{0} is an SQLite database of another program; point the state directory somewhere else"
    )]
    Foreign(String),
    /// Written by a newer Holdpoint.
    #[error(
        "the database {path} has schema version {found}, and this Holdpoint knows up to {known}; run the newer Holdpoint that wrote it, or restore a copy from before the upgrade"
    )]
    Newer {
        /// Which file.
        path: String,
        /// Its version.
        found: usize,
        /// Ours.
        known: usize,
    },
    /// It is ours, but not whole.
    #[error(
        "the database {path} is damaged: {what}; move it aside and restore a copy, or start with an empty state directory"
    )]
    Damaged {
        /// Which file.
        path: String,
        /// What is wrong.
        what: String,
    },
    /// A copy was put in place by hand.
    #[error(
        "{0} is not the database that {0}-wal was written for: a copy was put in its place by hand; move both aside and use `holdpoint restore FILE`"
    )]
    StrayLog(String),
    /// It is a copy, and what was open in it could not be ended.
    #[error(
        "the database {path} was restored from a backup, and what was open in it could not be ended: {source}; nothing was changed, start again once that is mended"
    )]
    BeginAnew {
        /// Which file.
        path: String,
        /// Why not.
        source: StoreError,
    },
}

pub(super) fn explain(path: &Path, source: rusqlite::Error) -> OpenError {
    use rusqlite::ErrorCode::{
        CannotOpen, DatabaseBusy, DatabaseCorrupt, DatabaseLocked, DiskFull, NotADatabase,
        PermissionDenied, ReadOnly,
    };
    let path = path.display().to_string();
    let code = source.sqlite_error_code();
    if matches!(code, Some(DatabaseCorrupt | NotADatabase)) {
        return OpenError::Damaged { path, what: source.to_string() };
    }
    let remedy = match code {
        Some(ReadOnly | PermissionDenied | CannotOpen) => {
            "check that the file and its folder belong to the daemon's user and are writable"
        }
        Some(DatabaseBusy | DatabaseLocked) => {
            "another program holds a lock on it: close that program (a backup, a sqlite3 shell)"
        }
        Some(DiskFull) => "free some space on its file system",
        _ => "see the message of SQLite",
    };
    OpenError::Open { path, source, remedy }
}

/// Whether the log beside a database is another one's. SQLite would read it into
/// the file all the same: pages of two databases, mixed. Our databases are in
/// write-ahead mode from their first start on, and copies are not; a raw copy of
/// the file alone cannot be told from the file itself.
pub(super) fn has_stray_log(path: &Path) -> bool {
    use std::io::Read;
    let log = fs::metadata(super::copy::write_ahead_log(path)).is_ok_and(|m| m.len() > 0);
    // The format's versions for writing and reading; 1: no write-ahead log, 2: one.
    let mut header = [0; 20];
    let read = fs::File::open(path).and_then(|mut file| file.read_exact(&mut header));
    log && read.is_ok() && header[18..] == [1, 1]
}

/// Opens the one connection that writes, creating or migrating the database.
pub fn open_writer(path: &Path) -> Result<Connection, OpenError> {
    let open = || -> rusqlite::Result<Connection> {
        let conn = Connection::open_with_flags(
            path,
            OpenFlags::SQLITE_OPEN_READ_WRITE
                | OpenFlags::SQLITE_OPEN_CREATE
                | OpenFlags::SQLITE_OPEN_NO_MUTEX,
        )?;
        conn.busy_timeout(BUSY_TIMEOUT)?;
        keep_statements(&conn)?;
        // Acknowledged means durable: FULL syncs the WAL at every commit.
        conn.pragma_update(None, "journal_mode", "wal")?;
        conn.pragma_update(None, "synchronous", "full")?;
        conn.pragma_update(None, "foreign_keys", true)?;
        conn.pragma_update(None, "wal_autocheckpoint", CHECKPOINT_PAGES)?;
        conn.pragma_update(None, "cache_size", -32_000)?;
        // What is deleted is overwritten: retention erases, and does not only hide.
        conn.pragma_update(None, "secure_delete", true)?;
        conn.pragma_update(None, "temp_store", "memory")?;
        Ok(conn)
    };
    if has_stray_log(path) {
        return Err(OpenError::StrayLog(path.display().to_string()));
    }
    let conn = open().map_err(|e| explain(path, e))?;
    let mode: String = conn
        .pragma_query_value(None, "journal_mode", |row| row.get(0))
        .map_err(|e| explain(path, e))?;
    if mode != "wal" {
        return Err(OpenError::Damaged {
            path: path.display().to_string(),
            what: format!("journal mode is {mode}, and write-ahead logging cannot be switched on"),
        });
    }
    migrate(&conn, path)?;
    Ok(conn)
}

/// Opens a connection that can only read.
pub fn open_reader(path: &Path) -> rusqlite::Result<Connection> {
    let conn = Connection::open_with_flags(
        path,
        OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX,
    )?;
    conn.busy_timeout(BUSY_TIMEOUT)?;
    keep_statements(&conn)?;
    conn.pragma_update(None, "cache_size", -8_000)?;
    Ok(conn)
}

/// Statements are prepared once. Without the stability guarantee SQLite looks at
/// the bound values while it plans, and so plans nearly every statement anew each
/// time it is bound; there are no statistics (`ANALYZE`) that this would serve.
fn keep_statements(conn: &Connection) -> rusqlite::Result<()> {
    conn.set_prepared_statement_cache_capacity(64);
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    Ok(())
}

/// The schema version of a database that this Holdpoint can use; 0: it is empty.
pub(super) fn version(conn: &Connection, path: &Path) -> Result<usize, OpenError> {
    let explain = |e| explain(path, e);
    let pragma = |name| conn.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
    let application = pragma("application_id").map_err(explain)?;
    let found = pragma("user_version").map_err(explain)? as usize;
    let tables: i64 = conn
        .query_row("SELECT count(*) FROM sqlite_master", [], |row| row.get(0))
        .map_err(explain)?;
    let empty = tables == 0 && application == 0 && found == 0;
    if !empty && application != i64::from(APPLICATION_ID) {
        return Err(OpenError::Foreign(path.display().to_string()));
    }
    if found > MIGRATIONS.len() {
        return Err(OpenError::Newer {
            path: path.display().to_string(),
            found,
            known: MIGRATIONS.len(),
        });
    }
    Ok(found)
}

/// Writes the log into the database file and empties it, if no reader is in the way.
/// Does not wait for one. Returns whether that was done.
pub(super) fn fold_log(conn: &Connection) -> bool {
    try_fold_log(conn).unwrap_or(false)
}

/// As [`fold_log`], and says why it failed if no reader was in the way.
pub(super) fn try_fold_log(conn: &Connection) -> rusqlite::Result<bool> {
    conn.busy_timeout(Duration::ZERO)?;
    let busy = conn.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get::<_, i64>(0));
    conn.busy_timeout(BUSY_TIMEOUT)?;
    Ok(busy? == 0)
}

/// Closes a connection whose file is not in its place any more: the last one to
/// close would otherwise fold its log into whatever is there, and delete it.
pub(super) fn close_without_folding(conn: Connection) {
    let _ = conn.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true);
    drop(conn);
}

fn migrate(conn: &Connection, path: &Path) -> Result<(), OpenError> {
    // One transaction with its version: half a step cannot be met later.
    let carry_out = |steps: &str, version: usize| {
        conn.execute_batch(&format!(
            "BEGIN IMMEDIATE; {steps} PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {version}; COMMIT;"
        ))
        .map_err(|e| {
            let _ = conn.execute_batch("ROLLBACK");
            explain(path, e)
        })
    };
    match version(conn, path)? {
        // Nothing is there to be kept if a later step fails, so one flush is enough.
        0 => carry_out(&MIGRATIONS.join("\n"), MIGRATIONS.len()),
        found => (MIGRATIONS.iter().zip(1..).skip(found))
            .try_for_each(|(step, version)| carry_out(step, version)),
    }
}

/// Refuses a second live daemon on the same state. Held until dropped; the
/// kernel lets go of it when the process dies, however it dies.
#[derive(Debug)]
pub struct DaemonLock {
    _file: fs::File,
}

impl DaemonLock {
    /// Takes the lock, or says that somebody else has it.
    pub fn take(path: &Path) -> Result<Self, String> {
        let file =
            (fs::OpenOptions::new().create(true).truncate(false).write(true)).open(path).map_err(
                |e| format!("cannot open {}: {e}; check its owner and mode", path.display()),
            )?;
        match file.try_lock() {
            Ok(()) => Ok(DaemonLock { _file: file }),
            Err(fs::TryLockError::WouldBlock) => Err(format!(
                "another holdpoint daemon runs on this state directory ({} is locked); stop it, or give this one another --state-dir",
                path.display()
            )),
            Err(fs::TryLockError::Error(e)) => Err(format!(
                "cannot lock {}: {e}; the state directory must be on a file system with locks",
                path.display()
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_database_from_a_newer_version_is_refused_and_left_alone() {
        let dir = tempfile::tempdir().expect("temp dir");
        let path = dir.path().join("holdpoint.db");
        let conn = open_writer(&path).expect("fresh");
        conn.pragma_update(None, "user_version", 999).expect("set");
        drop(conn);
        let before = fs::read(&path).expect("read");
        let error = open_writer(&path).expect_err("newer").to_string();
        assert!(error.contains("999") && error.contains("newer Holdpoint"), "{error}");
        assert_eq!(before, fs::read(&path).expect("read"));
    }

    /// Mails of the first version keep their rows and their states, and go on.
    #[test]
    fn a_database_of_the_first_version_keeps_its_mails() {
        let dir = tempfile::tempdir().expect("temp dir");
        let path = dir.path().join("holdpoint.db");
        let conn = Connection::open(&path).expect("open");
        conn.execute_batch(&format!(
            "{} PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = 1;
             INSERT INTO outbox (n, request, operator, state, attempts, due, at, detail) VALUES
               (7, x'01', 'ann', 0, 0, 5000, NULL, ''), (8, x'01', 'bob', 1, 2, 5000, 6000, '250 ok');",
            MIGRATIONS[0]
        ))
        .expect("the first version");
        drop(conn);
        let conn = open_writer(&path).expect("migrated");
        let mut rows = conn
            .prepare(
                "SELECT n, kind, operator, state, attempts, due, go_by, at, detail FROM outbox",
            )
            .expect("the new columns");
        let rows = rows.query_map([], |row| {
            let numbers =
                [row.get(0)?, row.get(1)?, row.get(3)?, row.get(4)?, row.get(5)?, row.get(6)?];
            let (operator, detail): (String, String) = (row.get(2)?, row.get(8)?);
            Ok((numbers, operator, detail, row.get::<_, Option<i64>>(7)?))
        });
        let rows = rows.and_then(Iterator::collect::<Result<Vec<_>, _>>).expect("rows");
        let said = |text: &str| text.to_owned();
        assert_eq!(
            rows,
            [
                ([7_i64, 1, 0, 0, 5000, 5000], said("ann"), said(""), None),
                ([8, 1, 1, 2, 5000, 5000], said("bob"), said("250 ok"), Some(6000)),
            ]
        );
        let version: i64 =
            conn.pragma_query_value(None, "user_version", |row| row.get(0)).expect("version");
        assert_eq!(version as usize, MIGRATIONS.len());
    }

    #[test]
    fn a_fresh_database_is_as_one_that_took_each_step() {
        let dir = tempfile::tempdir().expect("temp dir");
        let (fresh, old) = (dir.path().join("fresh.db"), dir.path().join("old.db"));
        let first = Connection::open(&old).expect("open");
        let version = "PRAGMA user_version = 1";
        first
            .execute_batch(&format!(
                "{} PRAGMA application_id = {APPLICATION_ID}; {version};",
                MIGRATIONS[0]
            ))
            .expect("the first version");
        drop(first);
        let [fresh, old] = [fresh, old].map(|path| {
            let conn = open_writer(&path).expect("opened");
            let pragma = |name| conn.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
            let numbers = ["application_id", "user_version"].map(|name| pragma(name).expect(name));
            let mut said = conn
                .prepare("SELECT type, name, tbl_name, sql FROM sqlite_master ORDER BY type, name")
                .expect("prepared");
            let said = said.query_map([], |row| {
                let text = |n| row.get::<_, Option<String>>(n);
                Ok((text(0)?, text(1)?, text(2)?, text(3)?))
            });
            (numbers, said.and_then(Iterator::collect::<Result<Vec<_>, _>>).expect("rows"))
        });
        assert_eq!(fresh, old);
        assert_eq!(fresh.0, [i64::from(APPLICATION_ID), MIGRATIONS.len() as i64]);
    }

    #[test]
    fn a_database_of_another_program_is_refused() {
        let dir = tempfile::tempdir().expect("temp dir");
        let path = dir.path().join("other.db");
        let conn = Connection::open(&path).expect("open");
        conn.execute_batch("CREATE TABLE t (x)").expect("create");
        drop(conn);
        assert!(matches!(open_writer(&path), Err(OpenError::Foreign(_))));
    }

    #[test]
    fn a_corrupted_database_is_named_as_damaged() {
        let dir = tempfile::tempdir().expect("temp dir");
        let path = dir.path().join("holdpoint.db");
        fs::write(&path, b"this is not a database, but it is long enough to look".repeat(100))
            .expect("write");
        let error = open_writer(&path).expect_err("damaged").to_string();
        assert!(error.contains("damaged") && error.contains("restore"), "{error}");
    }

    #[test]
    fn a_second_daemon_is_refused_until_the_first_is_gone() {
        let dir = tempfile::tempdir().expect("temp dir");
        let path = dir.path().join("lock");
        let first = DaemonLock::take(&path).expect("first");
        assert!(DaemonLock::take(&path).expect_err("second").contains("another holdpoint daemon"));
        drop(first);
        DaemonLock::take(&path).expect("after the first is gone");
    }
}
