//! The policies in force, read again when their files change: one for all servers,
//! and those that single servers have of their own.
//!
//! Promises: what is in force was read whole and without a fault. A file that
//! becomes unreadable or wrong changes nothing, and that is said once, loudly. A
//! file that was just written is not read before it has settled: the first half of a
//! policy may allow what its second half denies.

use std::collections::HashMap;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use crate::config::{file, printable};
use crate::policy::{LONGEST, Policy, PolicyError};
use crate::proxy::locked;

/// How long a file has to stay as it is before it is read.
const SETTLES: Duration = Duration::from_millis(200);
/// How often a file is looked at until it has settled.
const LOOKS: Duration = Duration::from_millis(25);
/// How long that is waited for. Until then the policy before stays in force.
const PATIENCE: Duration = Duration::from_secs(1);

/// What tells one state of a file from another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    inode: u64,
    length: u64,
    changed: (i64, i64),
    /// Of its contents or its properties: nobody can set it.
    touched: (i64, i64),
}

/// The policies in force.
#[derive(Debug)]
pub struct Policies {
    all: One,
    /// By the server's name.
    own: HashMap<String, One>,
}

/// One policy, and its file.
#[derive(Debug)]
struct One {
    path: Option<PathBuf>,
    /// Servers that the proxy's own configuration trusts.
    trusted: Vec<String>,
    now: Mutex<Now>,
}

#[derive(Debug)]
struct Now {
    /// Of the file as it was last looked at; `None`: it was not there.
    stamp: Option<Stamp>,
    policy: Arc<Policy>,
}

/// What a look at the file says.
enum Look {
    /// This is in force.
    Settled(Arc<Policy>),
    /// The file is being written; until it has settled, this is in force.
    Unsettled(Arc<Policy>),
}

/// Why there is no policy.
#[derive(Debug, thiserror::Error)]
pub enum NoPolicy {
    /// The file cannot be read.
    #[error("cannot read the policy {}: {why}", printable(.path))]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why not.
        why: io::Error,
    },
    /// It says something that is not understood.
    #[error("the policy {}: {problems}", printable(.path))]
    Wrong {
        /// The file.
        path: PathBuf,
        /// All that is wrong.
        problems: PolicyError,
    },
}

impl Policies {
    /// Reads the policy; without a path, what only reads passes and the rest is held.
    ///
    /// # Errors
    /// A file that cannot be read, or not understood.
    pub fn open(path: Option<PathBuf>, trusted: Vec<String>) -> Result<Policies, NoPolicy> {
        Ok(Policies { all: One::open(path, trusted)?, own: HashMap::new() })
    }

    /// The same with a policy of its own for this server.
    ///
    /// # Errors
    /// As for [`Policies::open`].
    pub fn with_own(mut self, server: &str, path: PathBuf) -> Result<Policies, NoPolicy> {
        let own = One::open(Some(path), self.all.trusted.clone())?;
        self.own.insert(server.to_owned(), own);
        Ok(self)
    }

    /// The policy in force now for calls of this server; `None`: its file is being
    /// written, see [`Policies::settled`].
    pub fn at_once(&self, server: &str) -> Option<Arc<Policy>> {
        match self.of(server).look() {
            Look::Settled(policy) => Some(policy),
            Look::Unsettled(_) => None,
        }
    }

    /// The policy in force now, whether its file is being written or not.
    pub fn now(&self, server: &str) -> Arc<Policy> {
        match self.of(server).look() {
            Look::Settled(policy) | Look::Unsettled(policy) => policy,
        }
    }

    /// The policy in force for calls of this server, once its file has settled.
    pub async fn settled(&self, server: &str) -> Arc<Policy> {
        let settling = async {
            loop {
                match self.of(server).look() {
                    Look::Settled(policy) => return policy,
                    Look::Unsettled(_) => tokio::time::sleep(LOOKS).await,
                }
            }
        };
        match tokio::time::timeout(PATIENCE, settling).await {
            Ok(policy) => policy,
            Err(_) => locked(&self.of(server).now).policy.clone(),
        }
    }

    fn of(&self, server: &str) -> &One {
        self.own.get(server).unwrap_or(&self.all)
    }
}

impl One {
    fn open(path: Option<PathBuf>, trusted: Vec<String>) -> Result<One, NoPolicy> {
        let (stamp, policy) = match &path {
            None => (None, Policy::without_file()),
            Some(path) => (stamp(path), read(path)?),
        };
        let policy = Arc::new(trusting(policy, &trusted));
        Ok(One { path, trusted, now: Mutex::new(Now { stamp, policy }) })
    }

    fn look(&self) -> Look {
        let Some(path) = &self.path else { return Look::Settled(locked(&self.now).policy.clone()) };
        // Every call looks: not one after the other.
        let found = stamp(path);
        let mut now = locked(&self.now);
        if found == now.stamp {
            return Look::Settled(now.policy.clone());
        }
        // Others may have come first, and what was found be older than what they read.
        let found = stamp(path);
        if found == now.stamp {
            return Look::Settled(now.policy.clone());
        }
        if found.is_some_and(|found| !found.has_settled()) {
            return Look::Unsettled(now.policy.clone());
        }
        let read = read(path);
        if stamp(path) != found {
            return Look::Unsettled(now.policy.clone());
        }
        now.stamp = found;
        match read {
            Ok(policy) => {
                now.policy = Arc::new(trusting(policy, &self.trusted));
                let revision = now.policy.revision();
                // Who heard of a mistake wants to hear that it is mended.
                tracing::warn!(file = printable(path), revision, "the policy was read again");
            }
            Err(error) => {
                let revision = now.policy.revision();
                tracing::error!(revision, "the policy before stays in force: {error}");
            }
        }
        Look::Settled(now.policy.clone())
    }
}

impl Stamp {
    /// Whether its last change is some time ago, by the clock that stamps files. One
    /// that was changed in the future is taken as it is.
    fn has_settled(&self) -> bool {
        let (secs, nanos) = self.changed;
        let since = Duration::new(secs.max(0).cast_unsigned(), u32::try_from(nanos).unwrap_or(0));
        match SystemTime::now().duration_since(SystemTime::UNIX_EPOCH + since) {
            Ok(ago) => ago >= SETTLES,
            Err(ahead) => ahead.duration() >= SETTLES,
        }
    }
}

fn trusting(policy: Policy, servers: &[String]) -> Policy {
    servers.iter().fold(policy, |policy, server| policy.trusting(server))
}

fn stamp(path: &Path) -> Option<Stamp> {
    let meta = std::fs::metadata(path).ok()?;
    let changed = (meta.mtime(), meta.mtime_nsec());
    let touched = (meta.ctime(), meta.ctime_nsec());
    Some(Stamp { inode: meta.ino(), length: meta.len(), changed, touched })
}

fn read(path: &Path) -> Result<Policy, NoPolicy> {
    let at = || path.to_owned();
    let text =
        file::read(path, LONGEST as u64).map_err(|why| NoPolicy::Unreadable { path: at(), why })?;
    Policy::read(&text).map_err(|problems| NoPolicy::Wrong { path: at(), problems })
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    const ALLOWS: &str = "default: allow\n";
    const DENIES: &str = "default: deny\n";

    struct File {
        _folder: tempfile::TempDir,
        path: PathBuf,
        policies: Policies,
    }

    impl File {
        fn new(text: &str) -> File {
            let folder = tempfile::tempdir().expect("a folder");
            let path = folder.path().join("policy.yaml");
            fs::write(&path, text).expect("written");
            let policies = Policies::open(Some(path.clone()), Vec::new()).expect("read");
            File { _folder: folder, path, policies }
        }

        fn write(&self, text: &str) {
            fs::write(&self.path, text).expect("written");
        }

        fn replace(&self, text: &str) {
            let new = self.path.with_extension("new");
            fs::write(&new, text).expect("written");
            fs::rename(new, &self.path).expect("renamed");
        }

        async fn revision(&self) -> String {
            self.policies.settled("s").await.revision().to_owned()
        }
    }

    #[tokio::test]
    async fn a_changed_file_is_read_again_and_a_wrong_one_changes_nothing() {
        let file = File::new(ALLOWS);
        let first = file.revision().await;
        file.write("default: denny\n");
        assert_eq!(file.revision().await, first);
        file.write(DENIES);
        assert_ne!(file.revision().await, first);
        let missing = Policies::open(Some(file.path.with_extension("none")), Vec::new());
        assert!(missing.expect_err("missing").to_string().contains("cannot read the policy"));
    }

    #[tokio::test]
    async fn a_file_that_is_deleted_or_unreadable_changes_nothing() {
        let file = File::new(DENIES);
        let first = file.revision().await;
        fs::remove_file(&file.path).expect("removed");
        assert_eq!(file.revision().await, first);
        fs::create_dir(&file.path).expect("a folder in its place");
        assert_eq!(file.revision().await, first);
        fs::remove_dir(&file.path).expect("removed");
        file.write(ALLOWS);
        fs::set_permissions(&file.path, fs::Permissions::from_mode(0o0)).expect("closed");
        // (Root reads it all the same.)
        let closed = fs::read(&file.path).is_err();
        assert_eq!(file.revision().await == first, closed);
        fs::set_permissions(&file.path, fs::Permissions::from_mode(0o600)).expect("open");
        file.write("default: require_approval\n");
        assert_ne!(file.revision().await, first);
    }

    #[tokio::test]
    async fn a_file_in_the_middle_of_being_written_is_not_in_force() {
        let whole = "default: allow\nrules:\n  - {tool: drop, action: deny, reason: never}\n";
        let file = File::new("default: deny\n");
        let before = file.revision().await;
        // The first line of the new one is a policy by itself, which allows everything.
        let (half, rest) = whole.split_at(whole.find('\n').expect("lines") + 1);
        file.write(half);
        assert!(file.policies.at_once("s").is_none(), "it has not settled");
        let asking = file.policies.settled("s");
        tokio::pin!(asking);
        let early = tokio::time::timeout(SETTLES / 2, &mut asking).await;
        assert!(early.is_err(), "it is not read before it has settled");
        file.write(&(half.to_owned() + rest));
        let then = asking.await;
        assert_ne!(then.revision(), before);
        assert_eq!(then.revision(), Policy::read(whole.as_bytes()).expect("right").revision());
    }

    #[tokio::test]
    async fn a_file_that_is_written_without_end_leaves_the_old_one_in_force() {
        let file = File::new(DENIES);
        let before = file.revision().await;
        let writing = async {
            loop {
                file.write(ALLOWS);
                tokio::time::sleep(LOOKS).await;
            }
        };
        let asked = tokio::select! {
            () = writing => unreachable!("it never ends"),
            revision = file.revision() => revision,
        };
        assert_eq!(asked, before);
    }

    #[tokio::test]
    async fn a_file_that_is_replaced_is_in_force_for_the_next_call() {
        let file = File::new(DENIES);
        let before = file.revision().await;
        file.replace(ALLOWS);
        assert_ne!(file.revision().await, before);
    }

    #[tokio::test]
    async fn a_file_that_is_removed_and_written_anew_is_not_in_force_by_half() {
        let file = File::new(DENIES);
        fs::remove_file(&file.path).expect("removed");
        file.write(ALLOWS);
        assert!(file.policies.at_once("s").is_none(), "it has not settled");
    }

    #[tokio::test]
    async fn a_server_may_have_a_policy_of_its_own() {
        let file = File::new(DENIES);
        let own = file.path.with_extension("own");
        fs::write(&own, ALLOWS).expect("written");
        let policies = Policies::open(Some(file.path.clone()), Vec::new()).expect("read");
        let policies = policies.with_own("db", own).expect("read");
        let revision = async |server| policies.settled(server).await.revision().to_owned();
        assert_ne!(revision("db").await, revision("s").await);
        assert_eq!(revision("s").await, file.revision().await);
    }
}
