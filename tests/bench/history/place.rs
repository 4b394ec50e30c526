//! Where things are written: on the disk that is measured.

use std::path::PathBuf;

use tempfile::TempDir;

/// The folder for everything.
pub fn base() -> PathBuf {
    std::env::var_os("HOLDPOINT_BENCH_DIR")
        .map_or_else(|| PathBuf::from(env!("CARGO_TARGET_TMPDIR")), PathBuf::from)
}

/// A directory of its own, gone when it is dropped.
pub fn fresh_dir() -> TempDir {
    tempfile::tempdir_in(base()).expect("a temporary directory")
}
