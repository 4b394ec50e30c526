//! The daemon's configuration: one TOML file, environment variables over it.
//!
//! The file is `--config`, else `HOLDPOINT_CONFIG`, else `holdpoint.toml` in
//! the state directory, where it may be absent. Every setting that is one value
//! has a variable too, which wins: `HOLDPOINT_` and the key in capitals, a dot
//! as `_` (`limits.max_held` is `HOLDPOINT_LIMITS_MAX_HELD`). Paths in the file
//! are relative to its folder, paths in variables to the working directory.
//! A `*_file` may also be `credential:NAME`: a file that systemd passed to its
//! service. `example.toml` beside this file shows every key.
//!
//! Promises: a mistake never opens a gate. Unknown keys are errors, unknown
//! variables warnings; every problem is reported at once, with its line, and
//! with what to do; secrets appear neither in messages nor in `Debug`.
//! Must never: start something, write something, or speak to anyone.

mod check;
pub(crate) mod credential;
pub(crate) mod document;
pub mod duration;
mod environment;
mod error;
pub(crate) mod file;
pub(crate) mod identities;
mod mail;
mod mail_wishes;
pub mod names;
mod paths;
mod public_url;
mod routing;
pub(crate) mod scalars;
mod settings;
mod smtp;
#[cfg(test)]
mod tests;
pub(crate) mod time_zone;
mod tls;
pub mod token;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use lettre::message::Mailbox;

use crate::call::time::Time;

pub use environment::Environment;
pub(crate) use error::printable;
pub use error::{ConfigError, Place, Problem};
pub use identities::{CallerConfig, OperatorConfig, Roles, TokenConfig};
pub use mail_wishes::QuietHours;
pub use paths::{ConfigFile, StatePaths};
pub use public_url::PublicUrl;
pub use routing::{BUILT_IN, RouteConfig};
pub use settings::Setting;
pub(crate) use settings::quoted;
pub use smtp::{Secret, Smtp, SmtpAuth, SmtpSecurity, read_password};
pub use tls::{TlsFiles, TlsVersion};

use document::{Document, Section};
pub(crate) use error::Problems;

/// A file with every key, commented, that loads as it is.
pub const EXAMPLE: &str = include_str!("example.toml");

/// What the command line says about where things are. It wins over everything.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Overrides {
    /// `--config`.
    pub config: Option<PathBuf>,
    /// `--state-dir`.
    pub state_dir: Option<PathBuf>,
}

/// A configuration that was read and checked.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// A TCP address for gRPC, besides the Unix socket.
    pub listen: Option<SocketAddr>,
    /// How it speaks TLS; `None`: not at all.
    pub tls: Option<TlsFiles>,
    /// A TCP address for metrics and health.
    pub metrics_listen: Option<SocketAddr>,
    /// A TCP address for the operators' pages.
    pub web_listen: Option<SocketAddr>,
    /// Where operators find the pages; `None`: at `web_listen`.
    pub public_url: Option<PublicUrl>,
    /// The mail server; `None`: mails become files in the state directory.
    pub smtp: Option<Smtp>,
    /// How many connections to it at most. 1 to 32.
    pub smtp_connections: usize,
    /// How many mails stay in the folder while there is no mail server. 1 to 1,000,000.
    pub mail_folder_keep: usize,
    /// The sender of mails; always there when `smtp` is.
    pub from: Option<Mailbox>,
    /// Where answers to mails go; `None`: to `from`.
    pub reply_to: Option<Mailbox>,
    /// How many mails one operator gets in a minute before they are gathered. 1 to 1,000.
    pub mails_per_minute: u32,
    /// How long people have when neither caller nor route says.
    pub default_timeout: Duration,
    /// How long an approval may stay unused.
    pub lapse_after: Duration,
    /// How long a use runs before it has to be renewed.
    pub lease: Duration,
    /// How long history and ended requests are kept; `None`: for ever.
    pub retention: Option<Duration>,
    /// What one caller, one client, and all together may have.
    pub limits: Limits,
    /// Programs that may ask.
    pub callers: Vec<CallerConfig>,
    /// People who may decide, see or administer.
    pub operators: Vec<OperatorConfig>,
    /// Who decides what.
    pub routes: Vec<RouteConfig>,
    /// The file that was read, if there was one.
    pub file: Option<PathBuf>,
    /// Where each setting that is not a default was made.
    pub sources: BTreeMap<&'static str, Place>,
    /// The state directory; absolute.
    pub state_dir: PathBuf,
}

/// How much the daemon takes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Arguments of one call, in bytes of JSON. 1 KiB to 1 MiB.
    pub max_arguments_bytes: usize,
    /// Pending requests of one caller. 1 to 1,000,000.
    pub max_pending_per_caller: usize,
    /// Pending requests of one client of a caller. 1 to 1,000,000.
    pub max_pending_per_client: usize,
    /// Calls that wait at the same time. 1 to 1,000,000.
    pub max_held: usize,
    /// Connections at the same time, over all doors. 16 to 100,000.
    pub max_connections: usize,
    /// Connections from one address over TCP. 1 to 100,000.
    pub max_connections_per_address: usize,
}

impl Default for Limits {
    fn default() -> Limits {
        scalars::Given::default().limits(&mut Problems::default())
    }
}

impl Config {
    /// Reads and checks the configuration of this process. Also returns
    /// warnings, for a person to read.
    pub fn load(overrides: Overrides) -> Result<(Config, Vec<String>), ConfigError> {
        Config::load_with(&overrides, &Environment::of_this_process())
    }

    /// The same with a given environment.
    pub fn load_with(
        overrides: &Overrides,
        environment: &Environment,
    ) -> Result<(Config, Vec<String>), ConfigError> {
        let state_dir = paths::state_dir(overrides, environment)?;
        let file = ConfigFile::find(overrides, environment)?;
        let text = read(&file)?;
        let path = text.is_some().then_some(file.path);
        let now = Time(chrono::Utc::now().timestamp_millis());
        let text = text.as_deref().unwrap_or_default();
        Config::read(path, text, state_dir, environment, now)
    }

    /// Without any identity the daemon serves only its own user.
    pub fn local_mode(&self) -> bool {
        self.callers.is_empty() && self.operators.is_empty()
    }

    /// The files of the state directory.
    pub fn paths(&self) -> Result<StatePaths, ConfigError> {
        StatePaths::of(&self.state_dir)
    }

    /// Where browsers find the pages that are served at this address.
    pub fn pages_url(&self, listening: SocketAddr) -> PublicUrl {
        let own = || PublicUrl::of_listener(self.tls.is_some(), listening);
        self.public_url.clone().unwrap_or_else(own)
    }

    /// Reads and checks a text.
    fn read(
        file: Option<PathBuf>,
        text: &str,
        state_dir: PathBuf,
        environment: &Environment,
        now: Time,
    ) -> Result<(Config, Vec<String>), ConfigError> {
        let mut problems = Problems::default();
        let document = Document::new(file.as_deref().unwrap_or(Path::new("")), text);
        let tree = document.parse(&mut problems);
        let mut parts = Parts::default();
        if let Some(tree) = &tree {
            parts = Parts::read(&document.top(tree), &mut problems);
        }
        parts.given.read_environment(environment, &mut problems);
        parts.given.find_credentials(environment, &mut problems);
        environment.warn_of_unknown(&scalars::variables(), &mut problems);
        let given = &parts.given;
        let config = Config {
            listen: given.listen(&mut problems),
            tls: given.tls(&mut problems),
            metrics_listen: given.metrics_listen(&mut problems),
            web_listen: given.web_listen(&mut problems),
            public_url: given.public_url(&mut problems),
            smtp: given.smtp(&mut problems),
            smtp_connections: given.smtp_connections(&mut problems),
            mail_folder_keep: given.mail_folder_keep(&mut problems),
            from: given.mailbox("from", &mut problems),
            reply_to: given.mailbox("reply_to", &mut problems),
            mails_per_minute: given.mails_per_minute(&mut problems),
            default_timeout: given.default_timeout(&mut problems),
            lapse_after: given.lapse_after(&mut problems),
            lease: given.lease(&mut problems),
            retention: given.retention(&mut problems),
            limits: given.limits(&mut problems),
            sources: given.places(),
            callers: parts.callers,
            operators: parts.operators,
            routes: parts.routes,
            file,
            state_dir,
        };
        // An identity or route that could not be read is missing here, and who
        // could decide what would be misjudged.
        check::always(&config, &mut problems);
        if !problems.any_error() {
            check::whole(&config, now, &mut problems);
        }
        let warnings = problems.finish()?;
        Ok((config, warnings))
    }
}

/// What a file holds, before it is checked as a whole.
#[derive(Default)]
struct Parts {
    given: scalars::Given,
    callers: Vec<CallerConfig>,
    operators: Vec<OperatorConfig>,
    routes: Vec<RouteConfig>,
}

impl Parts {
    fn read(top: &Section<'_>, problems: &mut Problems) -> Parts {
        let sections = ["limits", "callers", "operators", "routes"];
        let known: Vec<&str> = scalars::names("").chain(sections).collect();
        top.only(&known, problems);
        let mut parts = Parts::default();
        parts.given.read_file(top, "", problems);
        if let Some(limits) = top.section("limits", "[limits]", problems) {
            let known: Vec<&str> = scalars::names("limits").collect();
            limits.only(&known, problems);
            parts.given.read_file(&limits, "limits", problems);
        }
        for section in top.sections("callers", "[[callers]]", problems) {
            parts.callers.extend(identities::caller(&section, problems));
        }
        for section in top.sections("operators", "[[operators]]", problems) {
            parts.operators.extend(identities::operator(&section, problems));
        }
        for section in top.sections("routes", "[[routes]]", problems) {
            parts.routes.extend(routing::route(&section, problems));
        }
        parts
    }
}

/// The file's text; `None` if it may be absent and is.
fn read(file: &ConfigFile) -> Result<Option<String>, ConfigError> {
    match file::read_text(&file.path, file::LONGEST) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound && file.named_by.is_none() => {
            Ok(None)
        }
        Err(error) => {
            let named = file.named_by.map(|by| format!(", named by {by},")).unwrap_or_default();
            Err(ConfigError::one(
                Place::Path(file.path.clone()),
                format!("the configuration file{named} cannot be read: {error}"),
                "name a file that this user can read, or make one with `holdpoint config init`",
            ))
        }
    }
}
