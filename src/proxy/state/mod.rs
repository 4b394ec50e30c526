//! What a proxy remembers: what limits and counters have used up, which definition
//! each tool had when it was first seen, and who opened sessions. One SQLite file in
//! the state directory, shared by all proxies of the same user, over restarts.
//!
//! ```text
//!   gate ── count(judge) ──> turn (one at a time in this process)
//!                              │ BEGIN IMMEDIATE          one at a time of all processes
//!                              │   judge reads what was taken
//!                              │   all its takes fit: written; one does not: none
//!                              └ COMMIT
//! ```
//!
//! | part | what it is |
//! |---|---|
//! | `clocks` | pure: the file's own time, which no set clock can turn back |
//! | `count` | limits, counters and sessions |
//! | `pins` | definitions of tools |
//! | `file` | the folder and the file |
//! | `sql` | the SQL, all of it |
//!
//! The SQL stands here and not in `store`: the store is the daemon's, and a proxy
//! may run as another user, on another machine, and without a daemon that answers.
//!
//! Promises:
//! - Of two calls at a limit one passes, whichever processes they come from.
//! - What was taken stays taken when the process is killed. After a power cut the
//!   last moments may be missing, in which limits so give a little more: to be sure
//!   of each would cost a flush of the disk with each call.
//! - Whatever is wrong is an error that names the file and what to do, in seconds.
//!   The call is refused then. Nothing wrong is remembered: once the file is mended
//!   or moved aside, the next call finds it so.
//! - Everything is bounded: keys, places, pins, texts, and the file as a whole
//!   ([`MOST_KEYS`], [`MOST_PLACES`], [`MOST_PINS`], 1 GiB).
//!
//! Must never: open a limit because a clock was set or a file could not be read;
//! hold an argument of a call.

mod clocks;
mod count;
mod error;
mod file;
mod pins;
mod sql;
#[cfg(test)]
mod tests;

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rusqlite::Connection;
use tokio::runtime::{Handle, RuntimeFlavor};

pub use clocks::Clocks;
pub use count::{MOST_KEYS, MOST_PLACES, Taken};
pub use error::{StateError, Why};
pub use pins::{Changed, MOST_PINS, Pin, Pinned};

/// The file's name in the state directory.
pub const FILE: &str = "proxy.sqlite";

/// How long one call waits for the other calls of this process, and then again for
/// other processes. A transaction takes well under a millisecond, so whoever holds
/// the file for seconds has stopped, or is somebody's shell.
pub(crate) const LOCKED_FOR: Duration = Duration::from_secs(2);

/// What this proxy and its siblings remember. Clones are the same.
#[derive(Clone)]
pub struct State {
    shared: Arc<Shared>,
}

struct Shared {
    folder: PathBuf,
    file: PathBuf,
    /// Whose turn it is, and the connection; `None` after an error, and where the
    /// name stands for another file. Of tokio, because it is fair.
    turn: tokio::sync::Mutex<Option<Open>>,
    known: pins::Known,
}

struct Open {
    conn: Connection,
    is: file::Identity,
    /// Turns since the log was last folded into the file.
    turns: u32,
}

/// After so many turns the log is folded into the file, at some four pages a turn
/// before SQLite would do it in the middle of one: that may wait for a disk.
const TURNS: u32 = 200;

impl fmt::Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("State").field("file", &self.shared.file).finish_non_exhaustive()
    }
}

impl State {
    /// Opens the file in this folder; makes both where they are missing.
    ///
    /// # Errors
    /// It cannot be used: why, and what to do.
    pub fn open(folder: &Path) -> Result<State, StateError> {
        let file = folder.join(FILE);
        let open = Open::new(folder, &file, &Clocks::now()).map_err(|why| why.of(&file))?;
        let shared = Shared {
            folder: folder.to_owned(),
            file,
            turn: tokio::sync::Mutex::new(Some(open)),
            known: pins::Known::default(),
        };
        Ok(State { shared: Arc::new(shared) })
    }

    /// The file.
    pub fn file(&self) -> &Path {
        &self.shared.file
    }

    /// Works with the connection once it is our turn. What was begun is done, also
    /// if nobody waits for it any more.
    async fn turn<T>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, Why>,
    ) -> Result<T, StateError> {
        let Shared { folder, file, turn, .. } = &*self.shared;
        let turn = tokio::time::timeout(LOCKED_FOR, turn.lock()).await;
        let mut turn = turn.map_err(|_| Why::Locked.of(file))?;
        let open = match turn.take() {
            Some(open) if file::identity(file) == Some(open.is) => Ok(open),
            _ => blocking(|| Open::new(folder, file, &Clocks::now())),
        };
        let done = open.and_then(|mut open| {
            let done = if file::log_bytes(file) > sql::MOST_LOG_BYTES && !open.folded()? {
                Err(Why::LogTooLong)
            } else {
                work(&open.conn)
            };
            if !done.as_ref().is_err_and(Why::taints) {
                open.tidy();
                *turn = Some(open);
            }
            done
        });
        done.map_err(|why| why.of(file))
    }
}

impl Open {
    fn new(folder: &Path, file: &Path, clocks: &Clocks) -> Result<Open, Why> {
        file::make(folder, file)?;
        let conn = sql::open(file, clocks)?;
        let is = file::identity(file).ok_or_else(|| Why::Unwritable("it is gone".to_owned()))?;
        Ok(Open { conn, is, turns: 0 })
    }

    fn folded(&self) -> Result<bool, Why> {
        Ok(blocking(|| sql::fold(&self.conn))?)
    }

    /// Folds the log now and then.
    fn tidy(&mut self) {
        self.turns += 1;
        if self.turns >= TURNS {
            self.turns = 0;
            // Where it cannot be done now, SQLite does it later.
            let _ = blocking(|| sql::fold_some(&self.conn));
        }
    }
}

/// Does what may have to wait for a disk or a lock without keeping the runtime's
/// other tasks from running. To hand them over and to take them back costs more than
/// to take a place, some 50 us, which waits for neither: only what does is done so. A
/// runtime with one thread has nobody to hand its tasks to: there they wait.
fn blocking<T>(work: impl FnOnce() -> T) -> T {
    let flavor = Handle::try_current().map(|handle| handle.runtime_flavor());
    match flavor {
        Ok(RuntimeFlavor::MultiThread) => tokio::task::block_in_place(work),
        _ => work(),
    }
}
