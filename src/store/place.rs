//! Whether the database file is still the one that was opened.
//!
//! Somebody may put another file in its place under a running daemon, or take it
//! away. What is written then goes into a file that nobody will find again, or
//! into pages of two databases mixed. So the writer looks before it begins, and
//! again before it acknowledges: another file under the name, or a file that was
//! written by somebody else, means that nothing is acknowledged until a restart.
//! The log grows with each commit of ours: who else wrote it is seen before the next.
//! A look is two calls of `stat`, some microseconds.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use rusqlite::Connection;
use rusqlite::hooks::Wal;

use super::copy::write_ahead_log;
use super::schema::CHECKPOINT_PAGES;
use crate::call::time::Time;

/// A file by what a name cannot fake.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct FileId {
    device: u64,
    inode: u64,
}

/// The file system's word on a file's content. Only a checkpoint of ours changes
/// the database's; commits write to the log. Not the time of the last change of
/// owner, mode or name, which is no word on the content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Content {
    bytes: u64,
    modified: Option<SystemTime>,
}

/// What is wrong with the place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lost {
    /// The name is gone, or stands for another file. Ours is whole, elsewhere.
    Moved,
    /// The log beside it is gone, or another one.
    LogMoved,
    /// Our own file was written over.
    Overwritten,
    /// The log beside it is ours, and somebody wrote or truncated it.
    LogOverwritten,
}

impl Lost {
    /// In words, with what to do.
    pub(super) fn explain(self, database: &Path) -> String {
        let what = match self {
            Lost::Moved => "was replaced or removed",
            Lost::LogMoved => "lost its write-ahead log (the file with -wal at its end)",
            Lost::Overwritten => "was written over by another program",
            Lost::LogOverwritten => {
                "had its write-ahead log (the file with -wal at its end) changed by another program"
            }
        };
        format!(
            "the database file {} {what} while the daemon runs, and nothing is recorded any \
             more; stop the daemon, put the right file in place with `holdpoint restore FILE`, \
             and start it again",
            database.display()
        )
    }
}

/// The database file and its log, as they were last seen.
#[derive(Debug)]
pub(super) struct Place {
    database: PathBuf,
    log: PathBuf,
    file: FileId,
    log_file: FileId,
    content: Content,
    log_content: Content,
}

/// The place behind its lock; what it guards is replaced as a whole.
pub(super) fn lock(place: &Mutex<Place>) -> MutexGuard<'_, Place> {
    place.lock().unwrap_or_else(PoisonError::into_inner)
}

fn look(path: &Path) -> io::Result<(FileId, Content)> {
    let metadata = fs::metadata(path)?;
    let file = FileId { device: metadata.dev(), inode: metadata.ino() };
    Ok((file, Content { bytes: metadata.len(), modified: metadata.modified().ok() }))
}

impl Place {
    /// As it is now that a connection has opened it.
    pub(super) fn opened(database: &Path) -> io::Result<Self> {
        let log = write_ahead_log(database);
        let (file, content) = look(database)?;
        let (log_file, log_content) = look(&log)?;
        Ok(Place { database: database.to_owned(), log, file, log_file, content, log_content })
    }

    /// Nobody else touched it since the last look. Only between transactions: one
    /// that is under way may have written to the log.
    pub(super) fn untouched(&self) -> Result<(), Lost> {
        match self.in_place()? {
            log if log == self.log_content => Ok(()),
            _ => Err(Lost::LogOverwritten),
        }
    }

    /// The database and the log are the files they were, nobody wrote the database,
    /// and the log is no shorter: a transaction only makes it longer. Returns what
    /// the log is now.
    pub(super) fn in_place(&self) -> Result<Content, Lost> {
        match self.ours()? {
            (content, _) if content != self.content => Err(Lost::Overwritten),
            (_, log) if log.bytes < self.log_content.bytes => Err(Lost::LogOverwritten),
            (_, log) => Ok(log),
        }
    }

    /// After a commit of ours, which wrote to the log.
    pub(super) fn committed(&mut self) -> Result<(), Lost> {
        self.log_content = self.in_place()?;
        Ok(())
    }

    /// After a checkpoint of ours, which may have written to both.
    pub(super) fn written(&mut self) -> Result<(), Lost> {
        (self.content, self.log_content) = self.ours()?;
        Ok(())
    }

    fn ours(&self) -> Result<(Content, Content), Lost> {
        let (file, content) = look(&self.database).map_err(|_| Lost::Moved)?;
        if file != self.file {
            return Err(Lost::Moved);
        }
        match look(&self.log) {
            Ok((log, log_content)) if log == self.log_file => Ok((content, log_content)),
            _ => Err(Lost::LogMoved),
        }
    }

    /// Lets a connection fold its log into the file once that is due, if it is still
    /// the file: never into another's content.
    pub(super) fn guard(place: &Arc<Mutex<Place>>, conn: &mut Connection) -> rusqlite::Result<()> {
        let place = place.clone();
        conn.wal_hook(Some(move |log: &mut Wal, pages| {
            if pages >= CHECKPOINT_PAGES {
                let mut place = lock(&place);
                if place.in_place().is_ok() {
                    // One that fails is tried again after the next commit.
                    let _ = log.checkpoint();
                    let _ = place.written();
                }
            }
            Ok(())
        }))
    }

    /// Our file was written over: its log must not be read into what is there now.
    pub(super) fn set_log_aside(&self, now: Time) {
        let mut name = self.log.as_os_str().to_owned();
        name.push(now.utc().format(".replaced-%Y-%m-%dT%H%M%SZ").to_string());
        if let Err(error) = fs::rename(&self.log, name) {
            let log = self.log.display();
            tracing::error!(%error, "{log} belongs to what was written over; move it aside before the next start");
        }
    }

    /// Whether a connection that was opened again has the same file.
    pub(super) fn same_file(&self, other: &Place) -> bool {
        self.file == other.file
    }
}
