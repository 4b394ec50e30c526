//! A daemon, and the files that the proxy is given.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use super::policies;
use crate::bench::ground::{Folder, Ground};
use crate::bench::process::command;
use crate::bench::server::{Kind, Running};
use crate::bench::trouble::{During as _, Trouble};

/// The policies' files.
pub(super) const ALLOW_ALL: &str = "allow.yaml";
/// See [`policies::HOLD_ALL`].
pub(super) const HOLD_ALL: &str = "hold.yaml";
/// See [`policies::thirty_rules`].
pub(super) const THIRTY: &str = "thirty.yaml";
/// The same with a limit.
pub(super) const LIMITED: &str = "limited.yaml";

/// A daemon in local mode, and a folder for what belongs to the proxy.
#[derive(Debug)]
pub struct Stage<'a> {
    pub(super) ground: &'a Ground,
    daemon: Running,
    folder: Folder,
}

impl Stage<'_> {
    /// Starts the daemon, and writes the policies.
    pub async fn new(ground: &Ground) -> Result<Stage<'_>, Trouble> {
        let folder = ground.fresh()?;
        let policies = [
            (ALLOW_ALL, policies::ALLOW_ALL.to_owned()),
            (HOLD_ALL, policies::HOLD_ALL.to_owned()),
            (THIRTY, policies::thirty_rules(false)),
            (LIMITED, policies::thirty_rules(true)),
        ];
        for (name, text) in policies {
            fs::write(folder.path().join(name), text).during("writing a policy")?;
        }
        Ok(Stage { ground, daemon: Running::start(ground, Kind::Local).await?, folder })
    }

    /// A file in its folder.
    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// `holdpoint proxy` on this daemon.
    pub(super) fn proxy(&self) -> Command {
        let mut command = command(self.ground.program());
        command.arg("proxy").env("HOLDPOINT_STATE_DIR", self.daemon.dir());
        command
    }
}
