//! Where a benchmark works: a folder of its own on the disk that is asked about,
//! and the program that is measured.
//!
//! Promises: whatever was made within goes when the ground does. Must never:
//! touch anything else on that disk.

use std::fs::{self, DirBuilder};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use super::trouble::{During as _, Trouble};
use crate::config::StatePaths;

/// A thread of a baseline may make a file once more while its folder goes.
const TRIES: usize = 20;
/// Between two tries.
const AGAIN: Duration = Duration::from_millis(10);

/// A folder that goes with all that is in it when it is dropped.
#[derive(Debug)]
pub struct Folder(PathBuf);

impl Folder {
    fn make(path: PathBuf) -> Result<Folder, Trouble> {
        let made = DirBuilder::new().mode(0o700).create(&path);
        made.during(&format!("making the folder {}", path.display()))?;
        Ok(Folder(path))
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        for _ in 0..TRIES {
            if fs::remove_dir_all(&self.0).is_ok() || !self.0.exists() {
                return;
            }
            std::thread::sleep(AGAIN);
        }
    }
}

/// The folder and the program.
#[derive(Debug)]
pub struct Ground {
    root: Folder,
    program: PathBuf,
    made: AtomicUsize,
}

impl Ground {
    /// Makes the folder, in `on`.
    pub fn new(on: &Path, program: PathBuf) -> Result<Ground, Trouble> {
        let on = fs::canonicalize(on).during(&format!("looking for {}", on.display()))?;
        let name = &uuid::Uuid::new_v4().simple().to_string()[..8];
        let root = on.join(format!("holdpoint-bench-{name}"));
        // Here, and not where the first daemon fails.
        StatePaths::of(&root.join("1000/state")).during("looking for room for a socket")?;
        Ok(Ground { root: Folder::make(root)?, program, made: AtomicUsize::new(0) })
    }

    /// What is measured.
    pub fn program(&self) -> &Path {
        &self.program
    }

    /// A new folder within.
    pub fn fresh(&self) -> Result<Folder, Trouble> {
        let number = self.made.fetch_add(1, Ordering::Relaxed);
        Folder::make(self.root.path().join(number.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ground_leaves_nothing_behind() {
        let disk = tempfile::tempdir().expect("a folder");
        let ground = Ground::new(disk.path(), PathBuf::new()).expect("a ground");
        let (kept, dropped) = (ground.fresh().expect("a folder"), ground.fresh().expect("another"));
        fs::write(kept.path().join("file"), "text").expect("written");
        let gone = dropped.path().to_owned();
        drop(dropped);
        assert!(!gone.exists() && kept.path().exists());
        std::mem::forget(kept);
        drop(ground);
        assert_eq!(fs::read_dir(disk.path()).expect("read").count(), 0);
    }

    #[test]
    fn a_folder_whose_path_is_too_long_for_a_socket_is_refused_at_once() {
        let disk = tempfile::tempdir().expect("a folder");
        let long = disk.path().join("x".repeat(90));
        fs::create_dir(&long).expect("a long one");
        let error = Ground::new(&long, PathBuf::new()).expect_err("refused").to_string();
        assert!(error.contains("shorter"), "{error}");
        assert_eq!(fs::read_dir(&long).expect("read").count(), 0);
    }
}
