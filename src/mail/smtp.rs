//! One letter to an SMTP server: connect, protect, log in, hand over.
//!
//! The commands are sent one by one, each with its own time limit, because
//! lettre's transport limits only the connecting: a server that falls silent
//! after its greeting would hold a delivery for ever. One connection serves one
//! letter; a connection that was abandoned half way is never used again.

use std::path::Path;
use std::time::Duration;

use lettre::transport::smtp::Error;
use lettre::transport::smtp::authentication::{Credentials, DEFAULT_MECHANISMS};
use lettre::transport::smtp::client::{AsyncSmtpConnection, Certificate, TlsParameters};
use lettre::transport::smtp::commands::{Data, Mail, Quit, Rcpt};
use lettre::transport::smtp::extension::{ClientId, Extension, MailParameter};
use lettre::transport::smtp::response::Response;

use super::letter::Letter;
use super::transport::{BadMailConfig, Delivered, Failure, Fault};
use crate::config::{self, SmtpSecurity};

/// How long an answer or an error is kept at most, in characters. Servers send
/// pages of policy text; the first lines say what is wrong.
const LONGEST_ANSWER: usize = 300;

/// How long a polite goodbye may take once the letter is accepted.
const QUIT_TIMEOUT: Duration = Duration::from_secs(2);

/// How the connection is protected.
#[derive(Clone)]
enum Protection {
    /// Not at all: the server is this machine.
    None,
    /// TLS after a plain greeting, or no mail.
    StartTls(TlsParameters),
    /// TLS from the first byte.
    Tls(TlsParameters),
}

/// A mail server, ready to be spoken to.
#[derive(Clone)]
pub struct Smtp {
    server: config::Smtp,
    protection: Protection,
    login: Option<(String, String)>,
    step_timeout: Duration,
}

/// Without credentials.
impl std::fmt::Debug for Smtp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Smtp").field(&self.describe()).finish()
    }
}

impl Smtp {
    pub(super) fn new(
        server: &config::Smtp,
        ca_file: Option<&Path>,
        step_timeout: Duration,
    ) -> Result<Self, BadMailConfig> {
        let host = &server.host;
        let protection = match server.security {
            SmtpSecurity::Opportunistic if server.is_plain_beyond_this_machine() => {
                return Err(BadMailConfig::PlainBeyondLoopback { host: host.clone() });
            }
            SmtpSecurity::Opportunistic => Protection::None,
            SmtpSecurity::StartTls => Protection::StartTls(tls_parameters(host, ca_file)?),
            SmtpSecurity::Tls => Protection::Tls(tls_parameters(host, ca_file)?),
        };
        let login = match (&server.user, &server.password) {
            (None, _) => None,
            (Some(user), Some(password)) => Some((user.clone(), password.expose().to_owned())),
            (Some(_), None) => return Err(BadMailConfig::UserWithoutPassword),
        };
        Ok(Smtp { server: server.clone(), protection, login, step_timeout })
    }

    pub(super) fn describe(&self) -> String {
        let how = match self.protection {
            Protection::None => "without TLS",
            Protection::StartTls(_) => "with STARTTLS",
            Protection::Tls(_) => "with TLS",
        };
        format!("{} port {}, {how}", self.server.host, self.server.port)
    }

    pub(super) async fn deliver(&self, letter: &Letter) -> Result<Delivered, Failure> {
        let mut connection = self.connect().await?;
        let mut options = Vec::new();
        let mut addresses = letter.envelope.from().into_iter().chain(letter.envelope.to());
        if !addresses.all(|address| AsRef::<str>::as_ref(address).is_ascii()) {
            if !connection.server_info().supports_feature(Extension::SmtpUtfEight) {
                let text = "the mail server takes no addresses with letters outside ASCII";
                let failure = Failure::passing(text);
                return Err(Failure { fault: Fault::Letter, meets_all: false, ..failure });
            }
            options.push(MailParameter::SmtpUtfEight);
        }
        let from = letter.envelope.from().cloned();
        self.step("the sender's address", connection.command(Mail::new(from, options))).await?;
        for to in letter.envelope.to() {
            let rcpt = Rcpt::new(to.clone(), vec![]);
            self.step("the recipient's address", connection.command(rcpt)).await?;
        }
        self.step("the start of the letter", connection.command(Data)).await?;
        // lettre ends what it sends with a line end of its own.
        let content = letter.bytes.strip_suffix(b"\r\n").unwrap_or(&letter.bytes);
        let response = self.step("the letter", connection.message(content)).await?;
        // It is delivered; how the goodbye goes changes nothing.
        let _ = tokio::time::timeout(QUIT_TIMEOUT, connection.command(Quit)).await;
        Ok(Delivered { answer: self.one_line(&answer(&response)) })
    }

    async fn connect(&self) -> Result<AsyncSmtpConnection, Failure> {
        let place = (self.server.host.as_str(), self.server.port);
        let (hello, limit) = (ClientId::default(), Some(self.step_timeout));
        let at_once = match &self.protection {
            Protection::Tls(tls) => Some(tls.clone()),
            Protection::None | Protection::StartTls(_) => None,
        };
        let connecting = AsyncSmtpConnection::connect_tokio1(place, limit, &hello, at_once, None);
        let mut connection = self.step("the connection", connecting).await?;
        if let Protection::StartTls(tls) = &self.protection {
            self.step("STARTTLS", connection.starttls(tls.clone(), &hello)).await?;
        }
        if let Some((user, password)) = &self.login {
            let credentials = Credentials::new(user.clone(), password.clone());
            self.step("the login", connection.auth(DEFAULT_MECHANISMS, &credentials)).await?;
        }
        Ok(connection)
    }

    /// One step, with its time limit and with a name for when it fails.
    async fn step<T>(
        &self,
        what: &str,
        doing: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Failure> {
        let server = format!("{}:{}", self.server.host, self.server.port);
        match tokio::time::timeout(self.step_timeout, doing).await {
            Ok(Ok(done)) => Ok(done),
            Ok(Err(error)) => {
                let text = format!("mail server {server}, at {what}: {}", cause(&error));
                let early = !["the recipient's address", "the letter"].contains(&what);
                let fault = match (error.is_permanent(), early) {
                    (true, true) => Fault::SetUp,
                    (true, false) => Fault::Letter,
                    (false, _) => Fault::Passing,
                };
                let answered = error.status().is_some();
                Err(Failure {
                    fault,
                    unknown_end: what == "the letter" && !answered,
                    meets_all: early || !answered,
                    ..Failure::passing(self.one_line(&text))
                })
            }
            Err(_) => Err(Failure {
                unknown_end: what == "the letter",
                ..Failure::passing(format!(
                    "mail server {server}, at {what}: no answer within {:?}",
                    self.step_timeout
                ))
            }),
        }
    }

    /// Servers are not ours: their words are cut, put on one line, and freed of
    /// our password in case they repeat it or the command that carried it.
    fn one_line(&self, text: &str) -> String {
        let mut text = text.to_owned();
        if let Some((user, password)) = &self.login {
            let plain = base64(format!("\0{user}\0{password}").as_bytes());
            let login = base64(password.as_bytes());
            for secret in [plain.as_str(), login.as_str(), password.as_str()] {
                text = text.replace(secret, "«hidden»");
            }
        }
        let line: Vec<&str> = text.split(|c: char| c.is_whitespace() || c.is_control()).collect();
        let line = line.into_iter().filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ");
        if line.chars().count() <= LONGEST_ANSWER {
            return line;
        }
        line.chars().take(LONGEST_ANSWER).chain("…".chars()).collect()
    }
}

/// What the server said, with its code, or what is at the bottom of the error:
/// lettre's own words around it say the same once more.
fn cause(error: &Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    match error.status() {
        Some(code) => format!("{code} {cause}"),
        None => cause.to_string(),
    }
}

fn answer(response: &Response) -> String {
    let lines: Vec<&str> = response.message().collect();
    format!("{} {}", response.code(), lines.join(" "))
}

fn tls_parameters(host: &str, ca_file: Option<&Path>) -> Result<TlsParameters, BadMailConfig> {
    let mut builder = TlsParameters::builder(host.to_owned());
    if let Some(path) = ca_file {
        let bad =
            |reason: String| BadMailConfig::CaFile { path: path.display().to_string(), reason };
        let pem = std::fs::read(path).map_err(|error| bad(error.to_string()))?;
        if !pem.windows(11).any(|at| at == b"-----BEGIN ") {
            return Err(bad("no certificate in it".to_owned()));
        }
        let certificates = Certificate::from_pem(&pem).map_err(|error| bad(error.to_string()))?;
        builder = builder.add_root_certificate(certificates);
    }
    builder.build().map_err(|error| BadMailConfig::Tls(error.to_string()))
}

/// As the commands that log in are encoded.
fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::new();
    for three in bytes.chunks(3) {
        let at = |i: usize| u32::from(three.get(i).copied().unwrap_or_default());
        let bits = at(0) << 16 | at(1) << 8 | at(2);
        for i in 0..4 {
            let letter = char::from(LETTERS[(bits >> (18 - 6 * i)) as usize & 63]);
            out.push(if i <= three.len() { letter } else { '=' });
        }
    }
    out
}
