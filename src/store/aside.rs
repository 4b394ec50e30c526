//! Making room for another database: the present one is kept under another name.
//!
//! Promises: at no instant is there no database, or one beside the write-ahead log
//! of another, which SQLite would read into it; nothing is ever deleted that was
//! not kept. Must only be called by who holds the daemon's lock.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, OpenFlags};

use super::copy::write_ahead_log;
use super::schema;
use crate::call::time::Time;

/// Gives the database another name beside its own, which it still has: what comes
/// in its place is renamed over it. `None` if there is none.
pub fn keep(database: &Path, now: Time) -> io::Result<Option<PathBuf>> {
    if !database.exists() {
        return Ok(None);
    }
    let log = write_ahead_log(database);
    let folded = fold(database);
    let aside = free_name(database, now);
    fs::hard_link(database, &aside)?;
    if !folded && log.exists() {
        fs::hard_link(&log, write_ahead_log(&aside))?;
    }
    sync_folder(database)?;
    // What is in them is kept by now, in the file or beside it.
    for beside in [log, beside(database, "-shm")] {
        match fs::remove_file(&beside) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    sync_folder(database)?;
    Ok(Some(aside))
}

/// Writes the log of a database into it, so that it is one file and can be
/// replaced at one stroke. False if that cannot be: it is damaged, or the log is
/// of another database.
fn fold(database: &Path) -> bool {
    if schema::has_stray_log(database) {
        return false;
    }
    let fold = || -> rusqlite::Result<bool> {
        let conn = Connection::open_with_flags(database, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
        // Looks at it: a file that cannot be read is left as it is.
        conn.query_row("SELECT count(*) FROM sqlite_master", [], |_| Ok(()))?;
        Ok(schema::fold_log(&conn))
    };
    fold().unwrap_or(false)
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

fn sync_folder(path: &Path) -> io::Result<()> {
    fs::File::open(path.parent().unwrap_or(Path::new("/")))?.sync_all()
}
