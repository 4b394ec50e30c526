//! The policy in force, read again when its file changes.
//!
//! Promises: what is in force was read whole and without a fault. A file that
//! becomes unreadable or wrong changes nothing, and that is said once.

use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use crate::config::file;
use crate::policy::{LONGEST, Policy, PolicyError};
use crate::proxy::locked;

/// What tells one state of a file from another: inode, length, time of change.
type Stamp = (u64, u64, i64, i64);

/// The policy in force.
#[derive(Debug)]
pub struct Policies {
    path: Option<PathBuf>,
    /// Servers that the proxy's own configuration trusts.
    trusted: Vec<String>,
    now: Mutex<(Option<Stamp>, Arc<Policy>)>,
}

/// Why there is no policy.
#[derive(Debug, thiserror::Error)]
pub enum NoPolicy {
    /// The file cannot be read.
    #[error("cannot read the policy {path}: {1}", path = .0.display())]
    Unreadable(PathBuf, io::Error),
    /// It says something that is not understood.
    #[error("the policy {path}: {1}", path = .0.display())]
    Wrong(PathBuf, PolicyError),
}

impl Policies {
    /// Reads the policy; without a path, everything is held.
    ///
    /// # Errors
    /// A file that cannot be read, or not understood.
    pub fn open(path: Option<PathBuf>, trusted: Vec<String>) -> Result<Policies, NoPolicy> {
        let (stamp, policy) = match &path {
            None => (None, Policy::without_file()),
            Some(path) => (stamp(path), read(path)?),
        };
        let policy = Arc::new(trusting(policy, &trusted));
        Ok(Policies { path, trusted, now: Mutex::new((stamp, policy)) })
    }

    /// The policy in force now.
    pub fn now(&self) -> Arc<Policy> {
        let mut now = locked(&self.now);
        if let Some(path) = &self.path {
            let stamp = stamp(path);
            if stamp != now.0 {
                now.0 = stamp;
                match read(path) {
                    Ok(policy) => {
                        now.1 = Arc::new(trusting(policy, &self.trusted));
                        tracing::info!(revision = now.1.revision(), "the policy was read again");
                    }
                    Err(error) => tracing::error!("{error}; the policy before stays in force"),
                }
            }
        }
        now.1.clone()
    }
}

fn trusting(policy: Policy, servers: &[String]) -> Policy {
    servers.iter().fold(policy, |policy, server| policy.trusting(server))
}

fn stamp(path: &Path) -> Option<Stamp> {
    let meta = std::fs::metadata(path).ok()?;
    Some((meta.ino(), meta.len(), meta.mtime(), meta.mtime_nsec()))
}

fn read(path: &Path) -> Result<Policy, NoPolicy> {
    let text = file::read(path, LONGEST as u64)
        .map_err(|error| NoPolicy::Unreadable(path.to_owned(), error))?;
    Policy::read(&text).map_err(|error| NoPolicy::Wrong(path.to_owned(), error))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_changed_file_is_read_again_and_a_wrong_one_changes_nothing() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("policy.yaml");
        fs::write(&path, "default: allow\n").expect("written");
        let policies = Policies::open(Some(path.clone()), Vec::new()).expect("read");
        let first = policies.now().revision().to_owned();
        fs::write(&path, "default: denny\n").expect("written");
        assert_eq!(policies.now().revision(), first);
        fs::remove_file(&path).expect("removed");
        assert_eq!(policies.now().revision(), first);
        fs::write(&path, "default: deny\n").expect("written");
        assert_ne!(policies.now().revision(), first);
        let missing = Policies::open(Some(folder.path().join("none")), Vec::new());
        assert!(missing.expect_err("missing").to_string().contains("cannot read the policy"));
    }
}
