//! A file that takes its name only when it is whole, and goes if it never is.
//!
//! Readable by its owner alone: what is written so says who did what. Must never
//! leave half a file under a name that somebody relies on.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use super::errors::{Done, Failure};
use super::text::safe;
use crate::store::aside::sync_folder;

/// The file while it is written, beside where it will stand.
#[derive(Debug)]
pub struct Part {
    path: PathBuf,
    /// Its name until it is whole.
    pub temporary: PathBuf,
}

impl Part {
    /// An empty file beside `path`.
    pub fn create(path: &Path) -> Done<(Self, File)> {
        let mut name = path.file_name().unwrap_or_default().to_owned();
        name.push(format!(".{}.part", std::process::id()));
        let temporary = path.with_file_name(name);
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary);
        let file = file.map_err(|error| cannot_write(path, &error))?;
        Ok((Part { path: path.to_owned(), temporary }, file))
    }

    /// It is whole: puts it on disk, and then under its name, in place of whatever
    /// had that name.
    pub fn finish(self) -> Done {
        let finished = File::open(&self.temporary).and_then(|file| file.sync_all());
        let finished = finished.and_then(|()| fs::rename(&self.temporary, &self.path));
        let finished = finished.and_then(|()| sync_folder(&self.path));
        finished.map_err(|error| cannot_write(&self.path, &error))
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        // After the rename there is nothing of that name.
        let _ = fs::remove_file(&self.temporary);
    }
}

/// Refuses a name that something has already, unless that was asked for.
pub fn may_replace(path: &Path, force: bool) -> Done {
    if !force && path.symlink_metadata().is_ok_and(|m| !m.is_dir()) {
        return Err(Failure::usage(
            format!("{} is there already", safe(&path.to_string_lossy())),
            "Choose another name, or replace it with --force.",
        ));
    }
    Ok(())
}

/// Why there is no such file.
pub fn cannot_write(path: &Path, error: &io::Error) -> Failure {
    Failure::new(
        format!("cannot write {}: {error}", safe(&path.to_string_lossy())),
        "Choose a folder that can be written, with room.",
    )
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_file_that_breaks_off_leaves_nothing_behind() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("audit.jsonl");
        let (part, mut file) = Part::create(&path).expect("created");
        file.write_all(b"half").expect("written");
        drop(part);
        assert_eq!(fs::read_dir(folder.path()).expect("listed").count(), 0);
        let (part, mut file) = Part::create(&path).expect("created");
        file.write_all(b"whole").expect("written");
        part.finish().expect("finished");
        assert_eq!(fs::read(&path).expect("there"), b"whole");
        assert_eq!(fs::read_dir(folder.path()).expect("listed").count(), 1);
        assert_eq!(fs::metadata(&path).expect("there").permissions().mode() & 0o777, 0o600);
        let refused = may_replace(&path, false).expect_err("there already").to_string();
        assert!(refused.contains("--force"), "{refused}");
        may_replace(&path, true).expect("asked for");
    }
}
