//! How a letter leaves: to an SMTP server, or as a file into a folder.

use std::path::PathBuf;
use std::time::Duration;

use super::folder::Folder;
use super::letter::Letter;
use super::smtp::Smtp;
pub use super::smtp::{Listener, Said};
use crate::config::{self, Config, StatePaths};

/// How long each step with the server (connecting, TLS, each command) may take.
/// Servers that greylist or look up senders answer within seconds; one that is
/// silent for longer will not answer at all.
pub const STEP_TIMEOUT: Duration = Duration::from_secs(30);

/// What the daemon's configuration says about how mail leaves.
#[derive(Debug, Clone)]
pub struct MailConfig {
    /// The server; `None`: letters become files.
    pub server: Option<config::Smtp>,
    /// How many connections to it at most; at least one.
    pub connections: usize,
    /// Where letters go as files while there is no server.
    pub folder: PathBuf,
    /// How many of them stay there; at least one.
    pub folder_keep: usize,
    /// [`STEP_TIMEOUT`], except in tests.
    pub step_timeout: Duration,
}

impl MailConfig {
    /// As the configuration says.
    pub fn new(config: &Config, paths: &StatePaths) -> MailConfig {
        MailConfig {
            server: config.smtp.clone(),
            connections: config.smtp_connections,
            folder: paths.mail.clone(),
            folder_keep: config.mail_folder_keep,
            step_timeout: STEP_TIMEOUT,
        }
    }
}

/// Why mail cannot be set up as configured.
#[derive(Debug, thiserror::Error)]
pub enum BadMailConfig {
    /// Plain SMTP to another machine.
    #[error(
        "smtp:// sends mail unprotected and is only for this machine (localhost, 127.0.0.1, \
         [::1]); for {host}, write smtp+starttls:// (port 587) or smtps:// (port 465), or say \
         smtp_allow_unencrypted = true"
    )]
    PlainBeyondLoopback {
        /// The configured server.
        host: String,
    },
    /// A user without a password.
    #[error("smtp_url names a user but there is no password; set smtp_password_file")]
    UserWithoutPassword,
    /// The file of certificates to trust.
    #[error("smtp_tls_ca_file {path}: {reason}; it must be a readable file of PEM certificates")]
    CaFile {
        /// The configured path.
        path: String,
        /// What is wrong with it.
        reason: String,
    },
    /// TLS itself.
    #[error(
        "TLS for the mail server cannot be set up: {0}; are the system's CA certificates installed?"
    )]
    Tls(String),
}

/// The letter is with the server or on disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivered {
    /// The server's last answer, or where the file is.
    pub answer: String,
}

/// Whose fault it is that a letter is not delivered, and so whether it is tried
/// again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// It passes by itself: the network, a busy or greylisting server, a full
    /// disk. The letter is tried again.
    Passing,
    /// The letter's: its recipient does not exist, its content is refused.
    /// Trying again is pointless.
    Letter,
    /// The configuration's or the server's: a refused log-in, a bad certificate,
    /// a refused sender. The letter is tried again, since it is good once
    /// somebody has mended that; but somebody has to.
    SetUp,
}

/// The letter is not delivered, as far as we know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// Whose fault it is.
    pub fault: Fault,
    /// What went wrong and, where we know, what to do. No secrets, one line.
    pub text: String,
    /// The connection ended between the end of the letter and the server's
    /// answer: the server may have taken it. Who tries such a letter again may
    /// deliver it twice (under one `Message-ID`); who does so each time, any
    /// number of times.
    pub unknown_end: bool,
    /// How long to wait at least before the next attempt, where that is known:
    /// the server asked us to be slower, or cannot be used for now.
    pub wait: Option<Duration>,
    /// Any other letter would have met it too: it was not about this letter or
    /// its recipient.
    pub meets_all: bool,
}

impl Failure {
    /// A failure that passes by itself, left the letter where it was, and would
    /// have met any other letter too.
    pub fn passing(text: impl Into<String>) -> Failure {
        let (fault, text) = (Fault::Passing, text.into());
        Failure { fault, text, unknown_end: false, wait: None, meets_all: true }
    }
}

/// Where letters go. Clones share connections.
#[derive(Debug, Clone)]
pub enum Transport {
    /// To a mail server.
    Smtp(Box<Smtp>),
    /// Into a folder, one `.eml` file each.
    Folder(Folder),
}

impl Transport {
    /// Checks the configuration; connects to nothing.
    pub fn new(config: &MailConfig) -> Result<Self, BadMailConfig> {
        match &config.server {
            None => Ok(Transport::Folder(Folder::new(config.folder.clone(), config.folder_keep))),
            Some(server) => Ok(Transport::Smtp(Box::new(Smtp::new(server, config)?))),
        }
    }

    /// Where letters go, for a person: no user, no password.
    pub fn describe(&self) -> String {
        match self {
            Transport::Smtp(smtp) => smtp.describe(),
            Transport::Folder(folder) => folder.describe(),
        }
    }

    /// Hands the letter over. When this returns `Delivered`, the server has
    /// taken responsibility for it, or the file is on disk. Delivering the same
    /// letter twice leaves one file, and one `Message-ID` with the server.
    /// Takes at most five minutes, and as long again for each `connections` of
    /// letters that were there before.
    pub async fn deliver(&self, letter: &Letter) -> Result<Delivered, Failure> {
        match self {
            Transport::Smtp(smtp) => smtp.deliver(letter).await,
            Transport::Folder(folder) => folder.deliver(letter).await,
        }
    }

    /// The same by a connection of its own, for a person who listens to the
    /// conversation. Does not wait where [`Transport::deliver`] would.
    pub async fn try_out(&self, letter: &Letter, listener: Listener) -> Result<Delivered, Failure> {
        match self {
            Transport::Smtp(smtp) => smtp.try_out(letter, listener).await,
            Transport::Folder(folder) => folder.deliver(letter).await,
        }
    }

    /// Says goodbye to the mail server where connections are open and unused.
    pub async fn close(&self) {
        if let Transport::Smtp(smtp) = self {
            smtp.close().await;
        }
    }
}
