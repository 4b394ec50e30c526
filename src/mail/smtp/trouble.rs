//! What went wrong with a mail server, at which step; what it means for the
//! letter; and what to do.
//!
//! The letter's own faults (its recipient does not exist, its content is
//! refused) end it. Everything else is retried: what passes by itself, and what
//! somebody has to mend, because the letter is as good then as it is now.

use std::io;
use std::time::Duration;

use rustls::{CertificateError, Error as TlsError};

use super::line::Reply;
use super::{Server, tls};
use crate::config::{SmtpSecurity, printable};
use crate::mail::transport::{Failure, Fault};

/// How much of a server's words is kept, in characters. Servers send pages of
/// policy text; the first lines say what is wrong.
const LONGEST_ANSWER: usize = 300;

/// How long to wait at least when a server says that it was too much. Servers
/// count letters by the minute, and coming back sooner makes many count anew.
const SLOW_DOWN: Duration = Duration::from_secs(60);

/// Words by which servers say that it was too much.
const TOO_MUCH: [&str; 7] = [
    "rate limit",
    "too many",
    "limit exceeded",
    "throttl",
    "too fast",
    "slow down",
    "concurrent connections",
];

/// Words by which servers refuse, at the recipient, not the recipient but us.
const ABOUT_US: [&str; 4] = ["relay", "sender address", "authenticat", "log in"];

/// A step of a conversation, in their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Step {
    Resolve,
    Connect,
    Greeting,
    Hello,
    StartTls,
    Handshake,
    LogIn,
    Reset,
    Sender,
    Recipient,
    Data,
    Letter,
    End,
}

impl Step {
    pub fn broke(self, trouble: Trouble) -> Broken {
        Broken { step: self, trouble }
    }

    /// For the end of a sentence: "no answer within 30s at EHLO".
    fn words(self) -> &'static str {
        match self {
            Step::Resolve => "looking up its name",
            Step::Connect => "the connection",
            Step::Greeting => "its greeting",
            Step::Hello => "EHLO",
            Step::StartTls => "STARTTLS",
            Step::Handshake => "the TLS handshake",
            Step::LogIn => "the log-in (AUTH)",
            Step::Reset => "RSET",
            Step::Sender => "the sender's address (MAIL FROM)",
            Step::Recipient => "the recipient's address (RCPT TO)",
            Step::Data => "DATA",
            Step::Letter => "the letter",
            Step::End => "the end of the letter",
        }
    }
}

/// What went wrong.
#[derive(Debug)]
pub(super) enum Trouble {
    /// Nothing came within this time.
    Silent(Duration),
    /// The server closed the connection.
    Closed,
    /// The network, or TLS.
    Io(io::Error),
    /// What came is no SMTP, or no answer to what was asked.
    Garbage(String),
    /// TLS came where plain text was due.
    TlsInstead,
    /// The server said no.
    Refused(Reply),
    /// The server lacks what the configuration asks of it.
    Lacks(String),
    /// It cannot be said to this server, ever.
    Unspeakable(&'static str),
}

/// A conversation that did not come to its end.
#[derive(Debug)]
pub(super) struct Broken {
    pub step: Step,
    pub trouble: Trouble,
}

impl Broken {
    /// Whether the server said no and listens on.
    pub fn is_in_sync(&self) -> bool {
        matches!(&self.trouble, Trouble::Refused(reply) if reply.code != 421)
            || matches!(self.trouble, Trouble::Unspeakable(_))
    }

    /// Whether the connection was dead before it was used.
    pub fn is_stale(&self) -> bool {
        let gone = match &self.trouble {
            Trouble::Closed | Trouble::Io(_) => true,
            Trouble::Refused(reply) => reply.code == 421,
            _ => false,
        };
        gone && self.step == Step::Sender
    }

    /// Whether the server may have taken the letter.
    fn is_unknown_end(&self) -> bool {
        self.step == Step::End && !matches!(self.trouble, Trouble::Refused(_))
    }

    fn fault(&self) -> Fault {
        match &self.trouble {
            Trouble::Refused(reply) if reply.code < 500 => Fault::Passing,
            Trouble::Refused(reply) if self.step < Step::Recipient || is_about_us(reply) => {
                Fault::SetUp
            }
            Trouble::Refused(_) | Trouble::Unspeakable(_) => Fault::Letter,
            Trouble::TlsInstead | Trouble::Lacks(_) => Fault::SetUp,
            Trouble::Io(_) if self.step == Step::Resolve => Fault::SetUp,
            Trouble::Io(error) if tls_error(error).is_some() => Fault::SetUp,
            Trouble::Io(_) | Trouble::Silent(_) | Trouble::Closed | Trouble::Garbage(_) => {
                Fault::Passing
            }
        }
    }

    /// Whether any other letter would have met it too. From the recipient on, none
    /// can tell: a server that refuses one address, in whatever words, or hangs up
    /// on it, may take all others.
    fn meets_all(&self) -> bool {
        self.step < Step::Recipient && self.fault() != Fault::Letter
    }

    /// How long to wait at least, if the server wants us to be slower.
    fn wait(&self) -> Option<Duration> {
        let Trouble::Refused(reply) = &self.trouble else {
            return None;
        };
        let words = reply.text().to_lowercase();
        let too_much = reply.code == 452
            || matches!(reply.enhanced(), Some([4, 7, _]))
            || TOO_MUCH.iter().any(|phrase| words.contains(phrase));
        (too_much && reply.code < 500).then_some(SLOW_DOWN)
    }

    /// The failure of the letter, in words.
    pub fn failure(self, server: &Server) -> Failure {
        let (what, remedy) = self.words(server);
        let mut text =
            format!("mail server {} port {}: {what}", server.smtp.host, server.smtp.port);
        if !remedy.is_empty() {
            text.push_str("; ");
            text.push_str(&remedy);
        }
        let (unknown_end, wait, meets_all) = (self.is_unknown_end(), self.wait(), self.meets_all());
        Failure { fault: self.fault(), text, unknown_end, wait, meets_all }
    }

    /// What happened, and what to do about it.
    fn words(&self, server: &Server) -> (String, String) {
        let at = self.step.words();
        let nothing = String::new;
        match &self.trouble {
            Trouble::Silent(limit) => {
                (format!("no answer within {limit:?} at {at}"), self.silence(server))
            }
            Trouble::Closed if self.step == Step::Handshake => (
                "it closed the connection during the TLS handshake".to_owned(),
                "does it speak TLS on this port?".to_owned(),
            ),
            Trouble::Closed => (format!("it closed the connection at {at}"), nothing()),
            Trouble::Garbage(what) => (
                format!("what it says at {at} is not SMTP: {}", one_line(what)),
                "is this the port of a mail server?".to_owned(),
            ),
            Trouble::TlsInstead => (
                format!("it speaks TLS at {at}, where plain text was due"),
                "write smtps:// in `smtp_url`".to_owned(),
            ),
            Trouble::Lacks(what) => (one_line(what), nothing()),
            Trouble::Unspeakable(what) => ((*what).to_owned(), nothing()),
            Trouble::Refused(reply) => self.refusal(reply, server),
            Trouble::Io(error) => match tls_error(error) {
                Some(error) => certificate(error, server),
                None => self.network(error),
            },
        }
    }

    /// Why a server may be silent.
    fn silence(&self, server: &Server) -> String {
        let plain = server.smtp.security != SmtpSecurity::Tls;
        match self.step {
            // Who waits for TLS says nothing first, and we wait for a greeting.
            Step::Greeting if plain => {
                "if it speaks TLS from the first byte, as on port 465, write smtps:// in `smtp_url`"
                    .to_owned()
            }
            Step::Connect => "does a firewall keep this machine from it?".to_owned(),
            Step::End => "it may have taken the letter".to_owned(),
            _ => String::new(),
        }
    }

    fn network(&self, error: &io::Error) -> (String, String) {
        let at = self.step.words();
        match (self.step, error.kind()) {
            (Step::Resolve, _) => (
                format!("its name cannot be looked up: {error}"),
                "is it spelled right in `smtp_url`, and does DNS work on this machine?".to_owned(),
            ),
            (Step::Connect, io::ErrorKind::ConnectionRefused) => (
                "it refuses the connection".to_owned(),
                "is the server up, and the port right in `smtp_url`?".to_owned(),
            ),
            _ => (format!("{error} at {at}"), String::new()),
        }
    }

    fn refusal(&self, reply: &Reply, server: &Server) -> (String, String) {
        let said = one_line(&reply.text());
        let at = self.step.words();
        let user = server.smtp.user.as_deref().unwrap_or_default();
        let remedy = match (self.step, reply.code) {
            (Step::LogIn, 500..) => {
                let what = format!("it refuses the log-in of {user:?}: {said}");
                return (what, refused_log_in(server));
            }
            (_, 530 | 538) if server.smtp.security == SmtpSecurity::Plain => {
                "it wants TLS or a log-in: write smtp+starttls://USER@HOST in `smtp_url`"
            }
            (_, 530) => "it wants a log-in: write the user into `smtp_url`",
            (Step::Sender, 500..) => "it does not let us send as `from`",
            (_, 500..) if self.step >= Step::Recipient && is_about_us(reply) => {
                "it does not take our mail for others: does it want a log-in, or another `from`?"
            }
            _ => "",
        };
        (format!("it answers {at} with {said}"), remedy.to_owned())
    }
}

/// Whether a refusal is about who we are and not about the letter: Postfix
/// judges the client and the sender only once it has the recipient.
fn is_about_us(reply: &Reply) -> bool {
    let words = reply.text().to_lowercase();
    matches!(reply.code, 530 | 534 | 535 | 538)
        || matches!(reply.enhanced(), Some([5, 1, 7 | 8]))
        || (reply.code >= 500 && ABOUT_US.iter().any(|phrase| words.contains(phrase)))
}

fn refused_log_in(server: &Server) -> String {
    let file = server.smtp.password_file.as_deref().map(printable);
    match (server.smtp.auth, file) {
        (crate::config::SmtpAuth::XOAuth2, Some(file)) => format!(
            "the access token in `smtp_password_file` {file} has expired or is for another \
             mailbox; what writes that file has to renew it"
        ),
        (_, Some(file)) => {
            format!("mend the user in `smtp_url` or the password in `smtp_password_file` {file}")
        }
        (_, None) => "mend the user or the password in `smtp_url`".to_owned(),
    }
}

/// The error of TLS within an error of the network.
fn tls_error(error: &io::Error) -> Option<&TlsError> {
    error.get_ref()?.downcast_ref()
}

/// What is wrong with TLS, and what to do.
fn certificate(error: &TlsError, server: &Server) -> (String, String) {
    use CertificateError as Bad;
    let host = &server.smtp.host;
    let error = match error {
        TlsError::InvalidCertificate(error) => error,
        TlsError::InvalidMessage(_) => {
            return (
                "it does not speak TLS here but plain text".to_owned(),
                "write smtp+starttls:// in `smtp_url`, or the port that speaks TLS (465)"
                    .to_owned(),
            );
        }
        TlsError::AlertReceived(alert) => {
            return (
                format!("it broke off the TLS handshake ({alert:?})"),
                "it must speak TLS 1.2 or 1.3".to_owned(),
            );
        }
        other => {
            return (format!("TLS: {other}"), "it must speak TLS 1.2 or 1.3".to_owned());
        }
    };
    match error {
        Bad::ExpiredContext { time, not_after } => (
            format!("its certificate expired at {}", unix(*not_after)),
            format!(
                "it has to be renewed there, unless this machine's clock ({}) is wrong",
                unix(*time)
            ),
        ),
        Bad::NotValidYetContext { time, not_before } => (
            format!("its certificate is not valid before {}", unix(*not_before)),
            format!("is this machine's clock ({}) right?", unix(*time)),
        ),
        Bad::NotValidForNameContext { presented, .. } => {
            let names: Vec<String> = presented.iter().map(|name| bare_name(name)).collect();
            let names = if names.is_empty() { "no name".to_owned() } else { names.join(", ") };
            let what = format!("its certificate is for {}, not for {host}", one_line(&names));
            (what, "write the name that the certificate has into `smtp_url`".to_owned())
        }
        Bad::UnknownIssuer => (
            "its certificate is from an authority that this machine does not know".to_owned(),
            authority(server),
        ),
        // A new authority under the name of the old one, as on a machine set up anew.
        Bad::BadSignature => (
            "its certificate names an authority that this machine knows, but is signed by another"
                .to_owned(),
            authority(server),
        ),
        // Only the text tells it from others: its type is one of a crate below.
        Bad::Other(error) if format!("{error:?}").contains("CaUsedAsEndEntity") => (
            "what it shows as its certificate is an authority's (CA:TRUE)".to_owned(),
            "give the server a certificate that is not an authority's; where it signs itself, \
             make it with basicConstraints=CA:FALSE"
                .to_owned(),
        ),
        other => (format!("its certificate is not accepted: {other}"), String::new()),
    }
}

/// How an authority becomes known.
fn authority(server: &Server) -> String {
    match &server.smtp.tls_ca_file {
        None => "if the authority is your own, name its certificate (PEM) with `smtp_tls_ca_file`"
            .to_owned(),
        Some(path) => {
            let path = printable(path);
            format!("`smtp_tls_ca_file` {path} does not hold that authority's certificate")
        }
    }
}

fn unix(time: rustls::pki_types::UnixTime) -> String {
    tls::day(i64::try_from(time.as_secs()).unwrap_or(i64::MAX))
}

/// `DnsName("mail.example.com")` as `mail.example.com`.
fn bare_name(name: &str) -> String {
    name.split('"').nth(1).unwrap_or(name).to_owned()
}

/// Servers are not ours: their words are cut and put on one line.
pub(super) fn one_line(text: &str) -> String {
    let words = text.split(|c: char| c.is_whitespace() || c.is_control());
    let line = words.filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ");
    if line.chars().count() <= LONGEST_ANSWER {
        return line;
    }
    line.chars().take(LONGEST_ANSWER).chain("…".chars()).collect()
}
