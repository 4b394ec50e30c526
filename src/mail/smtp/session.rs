//! A conversation with a mail server: greeted, protected, logged in, and then
//! one letter after the other.

use std::net::IpAddr;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use tokio::time::Instant;

use super::line::{HIDDEN, Line, Listener, Reply, xoauth2};
use super::trouble::{Broken, Step, Trouble};
use super::{Protection, Server};
use crate::config::{Secret, SmtpAuth, read_password};
use crate::mail::letter::Letter;

/// How long a polite goodbye may take.
const QUIT_TIMEOUT: Duration = Duration::from_secs(2);

/// A connection that letters can be handed to.
pub(super) struct Session {
    line: Line,
    /// What the server said to EHLO, in capitals.
    offers: Vec<String>,
    /// How many letters it was given.
    pub letters: u32,
}

impl Session {
    /// Connects, protects the connection and logs in, all before the deadline.
    pub async fn open(
        server: &Server,
        deadline: Instant,
        listener: Option<Listener>,
    ) -> Result<Session, Broken> {
        let host = server.smtp.host.as_str();
        let place = (host, server.smtp.port);
        let mut line = Line::dial(place, server.step_limit, deadline, listener).await?;
        match &server.protection {
            Protection::Tls(tls) => line.secure(tls, host).await?,
            // A name may mean this machine and yet have another's address.
            Protection::None if !line.is_private() && !server.smtp.allow_unencrypted => {
                let lack = "its address is not of this machine, where mail would go unencrypted";
                return Err(Step::Connect.broke(Trouble::Lacks(lack.to_owned())));
            }
            Protection::None | Protection::StartTls(_) => {}
        }
        let greeting = line.greeting().await?;
        accepted(Step::Greeting, greeting)?;
        let mut session = Session { line, offers: Vec::new(), letters: 0 };
        session.hello().await?;
        if let Protection::StartTls(tls) = &server.protection {
            if !session.offers("STARTTLS") {
                let lack = "it offers no STARTTLS; if it speaks TLS from the first byte, write \
                            smtps:// in `smtp_url`; if it did offer it before, somebody on the \
                            way takes the offer away";
                return Err(Step::StartTls.broke(Trouble::Lacks(lack.to_owned())));
            }
            let reply = session.line.ask(Step::StartTls, "STARTTLS").await?;
            accepted(Step::StartTls, reply)?;
            session.line.secure(tls, host).await?;
            // What was said in clear is forgotten (RFC 3207, 4.2).
            session.hello().await?;
        }
        if let Some(user) = &server.smtp.user {
            session.log_in(server, user).await?;
        }
        Ok(session)
    }

    async fn hello(&mut self) -> Result<(), Broken> {
        let name = hello_name(self.line.local_address());
        let reply = self.line.ask(Step::Hello, &format!("EHLO {name}")).await?;
        let reply = accepted(Step::Hello, reply)?;
        self.offers = reply.lines.iter().skip(1).map(|line| line.to_uppercase()).collect();
        Ok(())
    }

    fn offers(&self, keyword: &str) -> bool {
        self.offers.iter().any(|offer| offer.split_whitespace().next() == Some(keyword))
    }

    /// The ways to log in that the server offers. `AUTH=` is how servers of the
    /// last century wrote it, and some still do.
    fn ways(&self) -> Vec<&str> {
        let lists = self.offers.iter().filter_map(|offer| offer.strip_prefix("AUTH"));
        lists.flat_map(|list| list.split([' ', '='])).filter(|way| !way.is_empty()).collect()
    }

    async fn log_in(&mut self, server: &Server, user: &str) -> Result<(), Broken> {
        let lacks = |what: String| Step::LogIn.broke(Trouble::Lacks(what));
        // The configuration allows no such thing; this is the last place to make sure.
        if !self.line.is_private() {
            let what = "the password would travel in clear to another machine, which is never done";
            return Err(lacks(what.to_owned()));
        }
        let ways = self.ways();
        let wanted = match server.smtp.auth {
            SmtpAuth::Auto => ["PLAIN", "LOGIN"].as_slice(),
            SmtpAuth::Plain => &["PLAIN"],
            SmtpAuth::Login => &["LOGIN"],
            SmtpAuth::XOAuth2 => &["XOAUTH2"],
        };
        let Some(way) = wanted.iter().find(|way| ways.contains(way)) else {
            let offered = match ways.is_empty() {
                true => "no log-in at all; does it want TLS first (smtp+starttls://)?".to_owned(),
                false => format!("{}; see `smtp_auth`", ways.join(", ")),
            };
            let wanted = wanted.join(" or ");
            return Err(lacks(format!("it does not offer to log in by {wanted}, but {offered}")));
        };
        let password = password(server).await.map_err(lacks)?;
        let password = password.expose();
        self.line.hide(user, password);
        let reply = match *way {
            "PLAIN" => self.auth("PLAIN", &format!("\0{user}\0{password}")).await?,
            "LOGIN" => self.auth_login(user, password).await?,
            _ => self.auth_xoauth2(user, password).await?,
        };
        accepted(Step::LogIn, reply).map(drop)
    }

    /// A log-in with everything in its first line.
    async fn auth(&mut self, way: &str, first: &str) -> Result<Reply, Broken> {
        let (command, shown) =
            (format!("AUTH {way} {}", BASE64.encode(first)), format!("AUTH {way} {HIDDEN}"));
        self.line.ask_shown(Step::LogIn, &command, &shown).await
    }

    /// The name and then the password, whatever the server calls them.
    async fn auth_login(&mut self, user: &str, password: &str) -> Result<Reply, Broken> {
        let mut reply = self.line.ask(Step::LogIn, "AUTH LOGIN").await?;
        for part in [user, password] {
            if reply.code != 334 {
                return Ok(reply);
            }
            reply = self.line.ask_shown(Step::LogIn, &BASE64.encode(part), HIDDEN).await?;
        }
        Ok(reply)
    }

    /// A refusal comes in two parts: why, as a challenge, and once that is
    /// answered with nothing, the code.
    async fn auth_xoauth2(&mut self, user: &str, token: &str) -> Result<Reply, Broken> {
        let reply = self.auth("XOAUTH2", &xoauth2(user, token)).await?;
        if reply.code != 334 {
            return Ok(reply);
        }
        self.line.ask(Step::LogIn, "").await
    }

    /// Asks whether the connection still lives, within a time.
    pub async fn lives(&mut self, limit: Duration) -> bool {
        let reset = tokio::time::timeout(limit, self.line.ask(Step::Reset, "RSET")).await;
        matches!(reset, Ok(Ok(reply)) if reply.code == 250)
    }

    /// Sets by when everything before the end of a letter has to be done.
    pub fn set_deadline(&mut self, deadline: Instant) {
        self.line.set_deadline(deadline);
    }

    /// Hands a letter over. `Ok`: the server has taken it.
    pub async fn hand_over(
        &mut self,
        letter: &Letter,
        end_limit: Duration,
    ) -> Result<Reply, Broken> {
        let addresses = || letter.envelope.from().into_iter().chain(letter.envelope.to());
        let ascii = addresses().all(|address| AsRef::<str>::as_ref(address).is_ascii());
        if !ascii && !self.offers("SMTPUTF8") {
            let what = "it takes no addresses with letters outside ASCII";
            return Err(Step::Sender.broke(Trouble::Unspeakable(what)));
        }
        self.letters += 1;
        let from = letter.envelope.from().map(ToString::to_string).unwrap_or_default();
        let more = if ascii { "" } else { " SMTPUTF8" };
        let reply = self.line.ask(Step::Sender, &format!("MAIL FROM:<{from}>{more}")).await?;
        accepted(Step::Sender, reply)?;
        for to in letter.envelope.to() {
            let reply = self.line.ask(Step::Recipient, &format!("RCPT TO:<{to}>")).await?;
            accepted(Step::Recipient, reply)?;
        }
        let reply = self.line.ask(Step::Data, "DATA").await?;
        answered(Step::Data, reply, 354..=354)?;
        self.line.letter(&letter.bytes).await?;
        let reply = self.line.end(end_limit).await?;
        accepted(Step::End, reply)
    }

    /// Says goodbye. How that goes changes nothing.
    pub async fn quit(mut self) {
        self.line.set_deadline(Instant::now() + QUIT_TIMEOUT);
        let _ = self.line.ask(Step::Reset, "QUIT").await;
    }
}

/// Who we say that we are: this host, or its address where its name is no
/// domain, which many servers refuse (RFC 5321, 4.1.3).
fn hello_name(address: Option<IpAddr>) -> String {
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let of_a_domain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.');
    if host.contains('.') && host.chars().all(of_a_domain) {
        return host;
    }
    match address.map(|address| address.to_canonical()) {
        Some(IpAddr::V6(address)) => format!("[IPv6:{address}]"),
        Some(IpAddr::V4(address)) => format!("[{address}]"),
        None => "[127.0.0.1]".to_owned(),
    }
}

fn accepted(step: Step, reply: Reply) -> Result<Reply, Broken> {
    answered(step, reply, 200..=299)
}

fn answered(
    step: Step,
    reply: Reply,
    good: std::ops::RangeInclusive<u16>,
) -> Result<Reply, Broken> {
    match reply.code {
        code if good.contains(&code) => Ok(reply),
        400.. => Err(step.broke(Trouble::Refused(reply))),
        _ => Err(step.broke(Trouble::Garbage(format!("\"{}\"", reply.text())))),
    }
}

/// The password as the file holds it now. A file that cannot be read now leaves
/// what was read at the start; an access token of then would be of no use.
async fn password(server: &Server) -> Result<Secret, String> {
    let first = server.smtp.password.clone();
    let Some(path) = server.smtp.password_file.clone() else {
        return first.ok_or_else(|| "there is no password".to_owned());
    };
    let shown = crate::config::printable(&path);
    let read = tokio::task::spawn_blocking(move || read_password(&path)).await;
    match (read, first) {
        (Ok(Ok(password)), _) => Ok(password),
        (_, Some(first)) if server.smtp.auth != SmtpAuth::XOAuth2 => Ok(first),
        (Ok(Err(fault)), _) => Err(format!("`smtp_password_file` {shown} {fault}")),
        (Err(_), _) => Err(format!("reading `smtp_password_file` {shown} was interrupted")),
    }
}
