//! The configuration of `holdpoint proxy --config FILE`: one TOML file.
//!
//! It says where the proxy listens, who its clients are, and which servers stand
//! behind it. How it reaches the daemon is said as for every other caller, by
//! `HOLDPOINT_SERVER` and its like. Paths are relative to the file's folder, and a
//! path may be `credential:NAME`, a file that systemd passed. `example.toml`
//! beside this file shows every key.
//!
//! Promises: a mistake never opens a door. Unknown keys are errors; every problem
//! is reported at once, with its line, and with what to do; secrets appear neither
//! in messages nor in `Debug`. Must never: start something, write something, or
//! speak to anyone.

mod clients;
mod door;
mod limits;
mod servers;
#[cfg(test)]
mod tests;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use crate::call::time::Time;
use crate::config::document::{Document, Section};
use crate::config::{
    ConfigError, Environment, Place, Problems, TlsFiles, credential, file, identities, printable,
};

use crate::proxy::gate::{OnCancel, Record};

pub use clients::{ClientConfig, DEFAULT_HOLD};
pub use door::{HostName, Listen};
pub use limits::ProxyLimits;
pub use servers::{ChildConfig, ServerConfig, ServerKind, UrlConfig};

/// A file with every key, commented.
pub const EXAMPLE: &str = include_str!("example.toml");

/// A proxy's configuration that was read and checked.
#[derive(Debug, Clone, PartialEq)]
pub struct ProxyConfig {
    /// Where clients come in.
    pub listen: Listen,
    /// Where metrics can be read; `None`: nowhere.
    pub metrics_listen: Option<SocketAddr>,
    /// How it speaks TLS; `None`: not at all.
    pub tls: Option<TlsFiles>,
    /// Names by which clients reach it, besides those that are always right.
    pub hosts: Vec<HostName>,
    /// Pages whose scripts may call, as browsers write them in `Origin`.
    pub origins: Vec<String>,
    /// The policy document; `None`: what only reads passes, everything else is held.
    pub policy: Option<PathBuf>,
    /// What a cancelled hold becomes.
    pub on_cancel: OnCancel,
    /// What the history says of calls that are allowed.
    pub record: Record,
    /// The client that a request without a token is; `None`: it is nobody.
    pub without_token: Option<String>,
    /// How much the proxy takes on.
    pub limits: ProxyLimits,
    /// Who may call.
    pub clients: Vec<ClientConfig>,
    /// What stands behind it, at `/NAME/mcp`.
    pub servers: Vec<ServerConfig>,
}

impl ProxyConfig {
    /// Reads and checks a file. Also returns warnings, for a person to read.
    pub fn load(path: &Path) -> Result<(ProxyConfig, Vec<String>), ConfigError> {
        let text = file::read_text(path, file::LONGEST).map_err(|error| {
            let message = format!("the proxy's configuration cannot be read: {error}");
            let remedy = "name a file that this user can read with --config";
            ConfigError::one(Place::Path(path.to_owned()), message, remedy)
        })?;
        let now = Time(chrono::Utc::now().timestamp_millis());
        ProxyConfig::read(path, &text, &Environment::of_this_process(), now)
    }

    /// Reads and checks a text.
    fn read(
        path: &Path,
        text: &str,
        environment: &Environment,
        now: Time,
    ) -> Result<(ProxyConfig, Vec<String>), ConfigError> {
        let mut problems = Problems::default();
        let document = Document::new(path, text);
        let found = document.parse(&mut problems).map(|tree| {
            let folder = path.parent().unwrap_or(Path::new(""));
            let mut reader = Reader { folder, environment, problems: &mut problems };
            let config = reader.whole(&document.top(&tree));
            clients::check(&config, now, &mut problems);
            config
        });
        let warnings = problems.finish()?;
        Ok((found.expect("what is not TOML is a problem"), warnings))
    }
}

/// What reading needs at every step.
struct Reader<'a> {
    /// Where relative paths begin.
    folder: &'a Path,
    environment: &'a Environment,
    problems: &'a mut Problems,
}

/// The keys outside every section, and the sections.
const KEYS: [&str; 13] = [
    "listen",
    "metrics_listen",
    "tls_cert_file",
    "tls_key_file",
    "hosts",
    "origins",
    "policy",
    "on_cancel",
    "record",
    "without_token",
    "limits",
    "clients",
    "servers",
];

impl Reader<'_> {
    fn whole(&mut self, top: &Section<'_>) -> ProxyConfig {
        top.only(&KEYS, self.problems);
        let tls = self.tls(top);
        let listen = self.listen(top, tls.is_some());
        ProxyConfig {
            metrics_listen: self.metrics_listen(top, &listen),
            tls,
            hosts: self.hosts(top),
            origins: self.origins(top),
            policy: self.path(top, "policy", "name the policy, a YAML file").map(|(path, _)| path),
            on_cancel: self.on_cancel(top),
            record: self.record(top),
            without_token: self.without_token(top, &listen),
            limits: self.limits(top),
            clients: self.clients(top),
            servers: self.servers(top),
            listen,
        }
    }

    fn on_cancel(&mut self, top: &Section<'_>) -> OnCancel {
        match top.text("on_cancel", self.problems) {
            None | Some(("keep", _)) => OnCancel::Keep,
            Some(("withdraw", _)) => OnCancel::Withdraw,
            Some((word, place)) => {
                let known = ["keep", "withdraw"];
                identities::unknown_word("`on_cancel`", word, &known, &place, self.problems);
                OnCancel::Keep
            }
        }
    }

    fn record(&mut self, top: &Section<'_>) -> Record {
        match top.text("record", self.problems) {
            None | Some(("hash", _)) => Record::Hash,
            Some(("off", _)) => Record::Off,
            Some(("full", _)) => Record::Full,
            Some((word, place)) => {
                let known = ["off", "hash", "full"];
                identities::unknown_word("`record`", word, &known, &place, self.problems);
                Record::Full
            }
        }
    }

    /// The file that a key names, if it can be read.
    fn path(&mut self, section: &Section<'_>, key: &str, remedy: &str) -> Option<(PathBuf, Place)> {
        let (text, place) = section.text(key, self.problems)?;
        let path = self.file(key, text, &place)?;
        self.readable(key, &path, &place, remedy)?;
        Some((path, place))
    }

    /// The path that a text stands for; a problem was reported if there is none.
    fn file(&mut self, key: &str, text: &str, place: &Place) -> Option<PathBuf> {
        match credential::file(key, text, place, self.environment, self.problems) {
            Some(file) => Some(file.into()),
            None if text.starts_with(credential::CREDENTIAL) => None,
            None => Some(self.folder.join(text)),
        }
    }

    fn readable(&mut self, key: &str, path: &Path, place: &Place, remedy: &str) -> Option<()> {
        let error = file::read(path, file::LONGEST).err();
        if let Some(error) = &error {
            let message = format!("`{key}` {} cannot be read: {error}", printable(path));
            self.problems.error(place, message, remedy);
        }
        error.is_none().then_some(())
    }
}
