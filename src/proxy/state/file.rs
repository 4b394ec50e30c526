//! The file and its folder: made so that nobody else can change what was counted,
//! and looked at again before each use.

use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

use super::error::Why;

/// A file by what a name cannot fake.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Identity {
    device: u64,
    inode: u64,
}

/// What the name stands for now; `None`: nothing.
pub(super) fn identity(file: &Path) -> Option<Identity> {
    let metadata = fs::metadata(file).ok()?;
    Some(Identity { device: metadata.dev(), inode: metadata.ino() })
}

/// Makes the folder and the file where they are missing, for this user alone.
pub(super) fn make(folder: &Path, file: &Path) -> Result<(), Why> {
    let unusable = |error: io::Error| Why::Folder(error.to_string());
    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(unusable)?;
    let metadata = fs::metadata(folder).map_err(unusable)?;
    if metadata.uid() != rustix::process::geteuid().as_raw() {
        // Whoever owns it can put another file in the place of ours.
        return Err(Why::Folder("it belongs to another user".to_owned()));
    }
    if metadata.permissions().mode() & 0o022 != 0 {
        return Err(Why::Folder("other users may write in it".to_owned()));
    }
    let made =
        fs::OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(file);
    match made {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            Err(Why::Unwritable(error.to_string()))
        }
        _ => Ok(()),
    }
}

/// How long its write-ahead log is.
pub(super) fn log_bytes(file: &Path) -> u64 {
    let mut log = file.as_os_str().to_owned();
    log.push("-wal");
    fs::metadata(log).map_or(0, |metadata| metadata.len())
}
