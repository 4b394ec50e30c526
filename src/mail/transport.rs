//! How a letter leaves: to an SMTP server, or as a file into a folder.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::letter::Letter;
use super::smtp::Smtp;
use crate::config;

/// How long each step with the server (connecting, TLS, each command) may take.
/// Servers that greylist or look up senders answer within seconds; one that is
/// silent for longer will not answer at all.
pub const STEP_TIMEOUT: Duration = Duration::from_secs(30);

/// What the daemon's configuration says about how mail leaves.
#[derive(Debug, Clone)]
pub struct MailConfig {
    /// The server; `None`: letters become files.
    pub server: Option<config::Smtp>,
    /// PEM certificates to trust beside the system's own.
    pub tls_ca_file: Option<PathBuf>,
    /// Where letters go as files while there is no server.
    pub folder: PathBuf,
    /// [`STEP_TIMEOUT`], except in tests.
    pub step_timeout: Duration,
}

/// Why mail cannot be set up as configured.
#[derive(Debug, thiserror::Error)]
pub enum BadMailConfig {
    /// Plain SMTP to another machine.
    #[error(
        "smtp:// sends mail unprotected and is only for this machine (localhost, 127.0.0.1, \
         [::1]); for {host}, write smtp+starttls:// (port 587) or smtps:// (port 465)"
    )]
    PlainBeyondLoopback {
        /// The configured server.
        host: String,
    },
    /// A user without a password.
    #[error("smtp_url names a user but there is no password; set smtp_password_file")]
    UserWithoutPassword,
    /// The file of certificates to trust.
    #[error("tls_ca_file {path}: {reason}; it must be a readable file of PEM certificates")]
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
    /// Any other letter would have met it too: the server was not there, or did
    /// not get as far as this letter's recipient.
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

/// Where letters go.
#[derive(Debug, Clone)]
pub enum Transport {
    /// To a mail server.
    Smtp(Box<Smtp>),
    /// Into a folder, one `.eml` file each.
    Folder(PathBuf),
}

impl Transport {
    /// Checks the configuration; connects to nothing.
    pub fn new(config: &MailConfig) -> Result<Self, BadMailConfig> {
        match &config.server {
            None => Ok(Transport::Folder(config.folder.clone())),
            Some(server) => {
                let (ca, timeout) = (config.tls_ca_file.as_deref(), config.step_timeout);
                Ok(Transport::Smtp(Box::new(Smtp::new(server, ca, timeout)?)))
            }
        }
    }

    /// Where letters go, for a person: no user, no password.
    pub fn describe(&self) -> String {
        match self {
            Transport::Smtp(smtp) => smtp.describe(),
            Transport::Folder(path) => format!("files in {}", path.display()),
        }
    }

    /// Hands the letter over. When this returns `Delivered`, the server has
    /// taken responsibility for it, or the file is on disk. Delivering the same
    /// letter twice leaves one file, and one `Message-ID` with the server.
    pub async fn deliver(&self, letter: &Letter) -> Result<Delivered, Failure> {
        match self {
            Transport::Smtp(smtp) => smtp.deliver(letter).await,
            Transport::Folder(folder) => {
                let (folder, name) = (folder.clone(), letter.file_name.clone());
                let bytes = letter.bytes.clone();
                let written = tokio::task::spawn_blocking(move || write(&folder, &name, &bytes));
                match written.await {
                    Ok(Ok(path)) => {
                        Ok(Delivered { answer: format!("written to {}", path.display()) })
                    }
                    Ok(Err(failure)) => Err(failure),
                    Err(_) => Err(Failure::passing("writing was interrupted")),
                }
            }
        }
    }
}

/// Writes under another name first, so that nobody ever reads half a letter.
fn write(folder: &Path, name: &str, bytes: &[u8]) -> Result<PathBuf, Failure> {
    let path = folder.join(name);
    let draft = folder.join(format!(".{name}.part"));
    let attempt = || -> io::Result<()> {
        DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        // A draft of an attempt that was killed is of no use to anyone.
        match std::fs::remove_file(&draft) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        std::fs::rename(&draft, &path)?;
        File::open(folder)?.sync_all()
    };
    match attempt() {
        Ok(()) => Ok(path),
        // A full or read-only disk is mended sooner or later.
        Err(error) => {
            let folder = folder.display();
            Err(Failure::passing(format!("cannot write a mail into {folder}: {error}")))
        }
    }
}
