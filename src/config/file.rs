//! How the files that a configuration consists of are read.
//!
//! They are named by a person and read again while the daemon runs, so a name
//! may have come to stand for anything: a pipe that nobody writes to, a device
//! without an end, a file that is still growing. Promises: whatever is there is
//! read in bounded time and memory, or is an error that says why not. Must
//! never: wait for somebody who writes.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use rustix::fs::OFlags;

/// The longest configuration, and the longest PEM file. Thousands of callers and
/// routes fit, and so do the authorities that a whole system trusts.
pub(crate) const LONGEST: u64 = 1024 * 1024;

/// What a regular file, or one that a link leads to, holds; an error if that is
/// longer than so many bytes.
pub(crate) fn read(path: &Path, longest: u64) -> io::Result<Vec<u8>> {
    let file = open(path)?;
    let mut bytes = Vec::new();
    // One more than is allowed: the size that a file states may be out of date.
    file.take(longest + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > longest {
        let why = format!("it is longer than {} KiB", longest / 1024);
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, why));
    }
    Ok(bytes)
}

/// The same for text.
pub(crate) fn read_text(path: &Path, longest: u64) -> io::Result<String> {
    String::from_utf8(read(path, longest)?)
        // What is not text may be a secret all the same: it is not quoted.
        .map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "it is not UTF-8"))
}

fn open(path: &Path) -> io::Result<File> {
    // Opening a pipe waits for a writer, and opening a terminal may make it ours,
    // unless one says otherwise.
    let flags = (OFlags::NONBLOCK | OFlags::NOCTTY).bits().cast_signed();
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not a regular file"));
    }
    Ok(file)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn refused(path: &Path) -> String {
        read(path, 8 * 1024).expect_err("refused").to_string()
    }

    #[test]
    fn what_is_no_regular_file_is_refused_at_once() {
        let folder = tempfile::tempdir().expect("a folder");
        let pipe = folder.path().join("pipe");
        let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
        rustix::fs::mkfifoat(rustix::fs::CWD, &pipe, mode).expect("a pipe");
        let endless = folder.path().join("endless");
        symlink("/dev/zero", &endless).expect("a link");
        for path in [&pipe, &endless, folder.path()] {
            assert_eq!(refused(path), "it is not a regular file", "{}", path.display());
        }
    }

    #[test]
    fn a_file_is_read_through_links_up_to_the_limit_and_no_further() {
        let folder = tempfile::tempdir().expect("a folder");
        let (path, link) = (folder.path().join("file"), folder.path().join("link"));
        symlink(&path, &link).expect("a link");
        std::fs::write(&path, vec![b'x'; 8 * 1024]).expect("written");
        assert_eq!(read_text(&link, 8 * 1024).expect("read").len(), 8 * 1024);
        std::fs::write(&path, vec![b'x'; 8 * 1024 + 1]).expect("written");
        assert_eq!(refused(&link), "it is longer than 8 KiB");
        // Sparse: it states more than this machine has memory.
        File::create(&path).and_then(|file| file.set_len(1 << 42)).expect("sparse");
        assert_eq!(refused(&link), "it is longer than 8 KiB");
    }

    #[test]
    fn what_is_not_text_is_not_quoted() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("file");
        std::fs::write(&path, b"s3cret\xff").expect("written");
        let error = read_text(&path, LONGEST).expect_err("not text");
        assert_eq!(error.to_string(), "it is not UTF-8");
    }
}
