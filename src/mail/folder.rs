//! Letters as `.eml` files in a folder, while no mail server is configured.
//!
//! Promises: nobody ever reads half a letter; there are never more of our files
//! than configured, the oldest go first; a file that is not ours is not touched.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use super::letter::Letter;
use super::transport::{Delivered, Failure};

/// Which part of the files goes at once when there are too many: the folder is
/// listed once for each sixteenth of it, and not for each letter.
const PART_REMOVED: usize = 16;

/// A folder of letters. Clones share the count of its files.
#[derive(Debug, Clone)]
pub struct Folder {
    path: PathBuf,
    keep: usize,
    /// How many letters there are; `None` until the first one is written. Held
    /// while a letter is written.
    count: Arc<Mutex<Option<usize>>>,
}

impl Folder {
    /// A folder that is made when it is needed, for at most `keep` letters.
    pub fn new(path: PathBuf, keep: usize) -> Folder {
        Folder { path, keep: keep.max(1), count: Arc::default() }
    }

    pub(super) fn describe(&self) -> String {
        format!("files in {}", self.path.display())
    }

    pub(super) async fn deliver(&self, letter: &Letter) -> Result<Delivered, Failure> {
        let (folder, name, bytes) = (self.clone(), letter.file_name.clone(), letter.bytes.clone());
        let written = tokio::task::spawn_blocking(move || folder.keep(&name, &bytes)).await;
        match written {
            Ok(Ok(path)) => Ok(Delivered { answer: format!("written to {}", path.display()) }),
            Ok(Err(error)) => Err(self.failure(&error)),
            Err(_) => Err(Failure::passing("writing was interrupted")),
        }
    }

    /// A full or read-only disk is mended sooner or later.
    fn failure(&self, error: &io::Error) -> Failure {
        let remedy = match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                "; the mail waits, and is written once there is room"
            }
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
                "; let this user write there"
            }
            _ => "",
        };
        let path = self.path.display();
        Failure::passing(format!("cannot write a mail into {path}: {error}{remedy}"))
    }

    /// Writes a letter, and removes the oldest where there are too many now.
    fn keep(&self, name: &str, bytes: &[u8]) -> io::Result<PathBuf> {
        let mut count = self.count.lock().unwrap_or_else(PoisonError::into_inner);
        DirBuilder::new().recursive(true).mode(0o700).create(&self.path)?;
        let known = match *count {
            Some(known) => known,
            None => self.names()?.len(),
        };
        let path = self.path.join(name);
        let is_new = !path.exists();
        *count = Some(known);
        // Room first: a bound that holds only most of the time is none.
        if is_new && known >= self.keep {
            *count = Some(self.make_room()?);
        }
        write(&self.path, &path, name, bytes)?;
        if is_new {
            *count = count.map(|known| known + 1);
        }
        Ok(path)
    }

    /// Removes the oldest until there is room for one more, and some over.
    /// Returns how many are left.
    fn make_room(&self) -> io::Result<usize> {
        let mut names = self.names()?;
        let wanted = (self.keep - self.keep / PART_REMOVED).min(self.keep - 1);
        let surplus = names.len().saturating_sub(wanted);
        if surplus > 0 {
            // Names begin with the time.
            names.select_nth_unstable(surplus - 1);
        }
        for name in &names[..surplus] {
            match std::fs::remove_file(self.path.join(name)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        Ok(names.len() - surplus)
    }

    /// The letters in the folder.
    fn names(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in std::fs::read_dir(&self.path)? {
            names.extend(entry?.file_name().into_string().ok().filter(|name| is_ours(name)));
        }
        Ok(names)
    }
}

/// Whether a file is a letter of ours by its name, which begins with a time:
/// `20261122T130500Z-1a2b3c4d-jane.eml`.
fn is_ours(name: &str) -> bool {
    const TIME: &[u8] = b"00000000T000000Z-";
    let alike = |(kind, byte): (&u8, u8)| match kind {
        b'0' => byte.is_ascii_digit(),
        literal => *literal == byte,
    };
    name.ends_with(".eml") && name.len() > TIME.len() && TIME.iter().zip(name.bytes()).all(alike)
}

/// Writes under another name first, so that nobody ever reads half a letter.
fn write(folder: &Path, path: &Path, name: &str, bytes: &[u8]) -> io::Result<()> {
    let draft = folder.join(format!(".{name}.part"));
    // A draft of an attempt that was killed is of no use to anyone.
    match std::fs::remove_file(&draft) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft)?;
    let written = file.write_all(bytes).and_then(|()| file.sync_all());
    if written.is_err() {
        // Half a letter would take room on a disk that has none.
        let _ = std::fs::remove_file(&draft);
    }
    written?;
    std::fs::rename(&draft, path)?;
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let entries = std::fs::read_dir(folder).expect("there");
        let name = |entry: io::Result<std::fs::DirEntry>| {
            entry.expect("read").file_name().into_string().expect("UTF-8")
        };
        let mut names: Vec<String> = entries.map(name).collect();
        names.sort();
        names
    }

    fn name(second: usize) -> String {
        format!("20261122T{second:06}Z-1a2b3c4d-jane.eml")
    }

    #[test]
    fn the_folder_never_holds_more_than_configured_and_the_oldest_go() {
        let outside = tempfile::tempdir().expect("a folder");
        let path = outside.path().join("mail");
        for (keep, after_41) in [(1, 1), (5, 5), (40, 39)] {
            let folder = Folder::new(path.clone(), keep);
            for second in 0..=40 {
                folder.keep(&name(second), b"letter").expect("written");
                assert!(names(&path).len() <= keep, "{second} of {keep}");
            }
            let left = names(&path);
            assert_eq!(left.len(), after_41);
            assert_eq!(left.last(), Some(&name(40)));
        }
    }

    #[test]
    fn letters_that_were_there_count_and_other_files_stay() {
        let outside = tempfile::tempdir().expect("a folder");
        let path = outside.path().to_owned();
        let others = ["20261122T000000Z-1a2b3c4d-jane.txt", "kept.eml", "notes", "20261122T.eml"];
        for file in others {
            std::fs::write(path.join(file), "").expect("written");
        }
        for second in 0..10 {
            std::fs::write(path.join(name(second)), "").expect("written");
        }
        let folder = Folder::new(path.clone(), 3);
        folder.keep(&name(10), b"letter").expect("written");
        let mut expected: Vec<String> = [8, 9, 10].map(name).into();
        expected.extend(others.map(str::to_owned));
        expected.sort();
        assert_eq!(names(&path), expected);
        // The same letter once more takes nobody's place.
        folder.keep(&name(10), b"again").expect("written");
        assert_eq!(names(&path), expected);
    }

    /// `/dev/full` takes nothing: as a disk without room.
    #[test]
    fn a_full_disk_says_that_the_mail_waits() {
        let full = File::options()
            .write(true)
            .open("/dev/full")
            .and_then(|mut file| file.write_all(b"letter"));
        let failure = Folder::new(PathBuf::from("/m"), 1).failure(&full.expect_err("full"));
        assert_eq!(failure.fault, super::super::transport::Fault::Passing);
        assert!(failure.text.contains("into /m: No space left"), "{}", failure.text);
        assert!(failure.text.contains("once there is room"), "{}", failure.text);
    }
}
