//! Making room for another database: the present one is kept under another name.
//!
//! Promises: at no instant is there no database, or one without its write-ahead log,
//! or one beside the log of another that a daemon would read into it; nothing is
//! ever deleted that was not kept. Must only be called by who holds the daemon's lock.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, ErrorCode, OpenFlags};

use super::copy::write_ahead_log;
use super::schema;
use crate::call::time::Time;

/// Gives the database another name beside its own, which it still has: what comes
/// in its place is renamed over it, and then [`drop_log`] ends the change. `None` if
/// there is no database.
///
/// Refuses, and changes nothing, while another program reads it: what was
/// acknowledged last may stand in its log alone, which belongs to it then.
pub fn keep(database: &Path, now: Time) -> io::Result<Option<PathBuf>> {
    if !database.exists() {
        return Ok(None);
    }
    let log = write_ahead_log(database);
    let folded = fold(database)?;
    let aside = free_name(database, now);
    if !folded && log.exists() {
        fs::hard_link(&log, write_ahead_log(&aside))?;
    }
    fs::hard_link(database, &aside)?;
    sync_folder(database)?;
    if folded {
        // Empty; the file alone is the database.
        drop_log(database)?;
    }
    Ok(Some(aside))
}

/// Removes the log that is left of the database that was set aside, which has it
/// under its new name too. Until then the log keeps a daemon from starting on
/// what came in its place.
pub fn drop_log(database: &Path) -> io::Result<()> {
    for beside in [write_ahead_log(database), beside(database, "-shm")] {
        match fs::remove_file(&beside) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    sync_folder(database)
}

/// Writes the log of a database into it, so that it is one file and can be
/// replaced at one stroke. False if that can never be: it is damaged, or the log
/// is of another database.
fn fold(database: &Path) -> io::Result<bool> {
    if schema::has_stray_log(database) {
        return Ok(false);
    }
    let fold = || -> rusqlite::Result<bool> {
        let conn = Connection::open_with_flags(database, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
        // Looks at it: a file that cannot be read is left as it is.
        let looked = conn.query_row("SELECT count(*) FROM sqlite_master", [], |_| Ok(()));
        let folded = looked.and_then(|()| schema::try_fold_log(&conn));
        // To close it otherwise would remove the log of a file that cannot be read.
        schema::close_without_folding(conn);
        folded
    };
    let code = match fold() {
        Ok(true) => return Ok(true),
        Ok(false) => Some(ErrorCode::DatabaseBusy),
        Err(error) => error.sqlite_error_code(),
    };
    match code {
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Err(io::Error::other(
            "another program reads the database; close it, then run `holdpoint restore` again",
        )),
        _ => Ok(false),
    }
}

fn beside(database: &Path, suffix: &str) -> PathBuf {
    let mut name = database.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

fn free_name(database: &Path, now: Time) -> PathBuf {
    let day = now.utc().format(".replaced-%Y-%m-%dT%H%M%SZ").to_string();
    let name = |n: u32| match n {
        1 => beside(database, &day),
        n => beside(database, &format!("{day}-{n}")),
    };
    let taken = |path: &PathBuf| path.symlink_metadata().is_ok() || write_ahead_log(path).exists();
    (1..).map(name).find(|path| !taken(path)).unwrap_or_else(|| name(1))
}

/// Puts the names in the folder of `path` on disk.
pub(crate) fn sync_folder(path: &Path) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    fs::File::open(folder.unwrap_or(Path::new("."))).and_then(|folder| folder.sync_all())
}
