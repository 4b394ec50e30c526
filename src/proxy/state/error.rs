//! What can be wrong with the state file, and what to do about it. Whatever it is,
//! the call that needed an answer is refused.

use std::path::{Path, PathBuf};

use rusqlite::ErrorCode;

/// Why something could not be counted, pinned or read.
#[derive(Debug, thiserror::Error)]
#[error("the proxy's state file {}: {why}", .file.display())]
pub struct StateError {
    /// Which file.
    pub file: PathBuf,
    /// What is wrong with it.
    pub why: Why,
}

/// What is wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Why {
    /// Its folder cannot be made, or is somebody else's.
    #[error(
        "its folder cannot be used: {0}; mend its owner and mode (0700), or name another with --state-dir or HOLDPOINT_STATE_DIR"
    )]
    Folder(String),
    /// It cannot be opened or written.
    #[error(
        "it cannot be written: {0}; mend the owner and mode of the file and its folder, or name another with --state-dir or HOLDPOINT_STATE_DIR"
    )]
    Unwritable(String),
    /// Somebody holds it.
    #[error("another program has kept it locked for {} s; end that program (`fuser FILE` names it), or try again", super::LOCKED_FOR.as_secs())]
    Locked,
    /// The log cannot be folded into the file.
    #[error("its log (the file with -wal at its end) has reached {} MiB, because another program reads the file without an end; end that program (`fuser FILE` names it)", super::sql::MOST_LOG_BYTES >> 20)]
    LogTooLong,
    /// No space.
    #[error("it cannot grow: the disk is full, or the file has reached {} MiB; make space, or stop the proxies and move it aside (limits and counters begin again, and tools are pinned anew)", super::sql::MOST_BYTES >> 20)]
    Full,
    /// It is ours, but not whole.
    #[error(
        "it is damaged ({0}); stop the proxies and move it aside, with the files of its name that end in -wal and -shm (limits and counters begin again, and tools are pinned anew)"
    )]
    Damaged(String),
    /// Written by a newer Holdpoint.
    #[error(
        "it has version {found}, and this Holdpoint knows up to {known}; run the newer Holdpoint that wrote it, or name another folder with --state-dir or HOLDPOINT_STATE_DIR"
    )]
    Newer {
        /// Its version.
        found: i64,
        /// Ours.
        known: i64,
    },
    /// Not ours.
    #[error(
        "it is a database of another program; name another folder with --state-dir or HOLDPOINT_STATE_DIR"
    )]
    Foreign,
    /// A bound is reached.
    #[error("there are {most} {what} in it, which is the most that are kept; {remedy}")]
    TooMany {
        /// What there are too many of.
        what: &'static str,
        /// How many are kept.
        most: u32,
        /// What to do.
        remedy: &'static str,
    },
    /// A name that is longer than any of ours.
    #[error("a name of {bytes} bytes is not kept in it: {} are possible", super::sql::LONGEST_KEY)]
    TooLong {
        /// How long it is.
        bytes: usize,
    },
    /// A counter would leave the numbers that it can hold.
    #[error(
        "the counter {0} cannot be changed by so much: it would leave the range of 64-bit integers"
    )]
    Overflow(String),
    /// The judge let pass what does not fit.
    #[error(
        "what a call was to take does not fit its limits, though the policy let it pass; nothing was taken. This is a fault in Holdpoint: report it"
    )]
    DoesNotFit,
    /// Anything else.
    #[error("{0}; look at the disk and at the system's log")]
    Failed(String),
}

impl Why {
    pub(super) fn of(self, file: &Path) -> StateError {
        StateError { file: file.to_owned(), why: self }
    }

    /// Whether the connection may be at fault, so that the next asker needs a new one.
    pub(super) fn taints(&self) -> bool {
        !matches!(
            self,
            Why::Locked
                | Why::TooMany { .. }
                | Why::TooLong { .. }
                | Why::Overflow(_)
                | Why::DoesNotFit
        )
    }
}

impl From<rusqlite::Error> for Why {
    fn from(error: rusqlite::Error) -> Why {
        let text = error.to_string();
        match error.sqlite_error_code() {
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Why::Locked,
            Some(ErrorCode::DiskFull) => Why::Full,
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => Why::Damaged(text),
            Some(ErrorCode::ReadOnly | ErrorCode::CannotOpen | ErrorCode::PermissionDenied) => {
                Why::Unwritable(text)
            }
            Some(_) => Why::Failed(text),
            // A row that does not have the shape in which it is written.
            None => Why::Damaged(text),
        }
    }
}
