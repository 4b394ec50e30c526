//! The line to a mail server: commands out, replies in.
//!
//! Promises: whatever the server sends, a reply costs at most
//! [`LONGEST_REPLY`] of memory and its step's time; what it repeats of a secret
//! is hidden before anyone sees it; a reply is never taken for the answer to
//! another command.

use std::collections::HashSet;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::Instant;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::tls;
use super::trouble::{Broken, Step, Trouble};

/// The longest line that is read, in bytes. RFC 5321 allows 512; some servers
/// put whole URLs with tokens into theirs.
pub(super) const LONGEST_LINE: usize = 4 * 1024;

/// The longest reply, all its lines together, in bytes. The longest that honest
/// servers send is the answer to EHLO, about 1 KiB.
pub(super) const LONGEST_REPLY: usize = 32 * 1024;

/// How many of a server's addresses are tried. They share the time of one step.
const MOST_ADDRESSES: usize = 4;

/// What is shown in place of a secret.
pub(super) const HIDDEN: &str = "(hidden)";

/// So many bytes in a row are of a secret, and not alike by chance.
const TELLING: usize = 12;

/// One thing said in a conversation, for who listens to it. Server lines are as
/// they came, but for secrets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Said {
    /// A line of ours.
    Client(String),
    /// A line of the server.
    Server(String),
    /// What happened beside the lines: connected, encrypted.
    Note(String),
}

/// Who listens to a conversation.
pub type Listener = Arc<dyn Fn(Said) + Send + Sync>;

/// What a server answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    pub code: u16,
    pub lines: Vec<String>,
}

impl Reply {
    /// The reply in one line.
    pub fn text(&self) -> String {
        format!("{} {}", self.code, self.lines.join(" "))
    }

    /// The enhanced status (RFC 3463) that it begins with, `4.7.1`.
    pub fn enhanced(&self) -> Option<[u16; 3]> {
        let word = self.lines.first()?.split_whitespace().next()?;
        let numbers: Vec<u16> = word.split('.').map(str::parse).collect::<Result<_, _>>().ok()?;
        numbers.try_into().ok()
    }
}

enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
    /// Between the two, or after a handshake that failed.
    None,
}

/// A connection to a server.
pub(super) struct Line {
    stream: Stream,
    peer: SocketAddr,
    /// What came and was not read yet.
    unread: Vec<u8>,
    step_limit: Duration,
    /// When all of this has to be done.
    deadline: Instant,
    listener: Option<Listener>,
    secrets: Vec<String>,
    /// Every run of [`TELLING`] bytes in them.
    runs: HashSet<[u8; TELLING]>,
}

impl Line {
    /// Finds the server and connects to it, by the first of its addresses that
    /// takes a connection.
    pub async fn dial(
        (host, port): (&str, u16),
        step_limit: Duration,
        deadline: Instant,
        listener: Option<Listener>,
    ) -> Result<Line, Broken> {
        let found = within(step_limit, deadline, tokio::net::lookup_host((host, port))).await;
        let found: Vec<SocketAddr> =
            found.map_err(|trouble| Step::Resolve.broke(trouble))?.take(MOST_ADDRESSES).collect();
        let share = step_limit / found.len().max(1) as u32;
        let mut last = Trouble::Io(io::Error::other("the name has no address"));
        for address in found {
            match within(share, deadline, TcpStream::connect(address)).await {
                Ok(stream) => {
                    // Commands are short and each waits for its answer.
                    let _ = stream.set_nodelay(true);
                    let line = Line {
                        stream: Stream::Plain(stream),
                        peer: address,
                        unread: Vec::new(),
                        step_limit,
                        deadline,
                        listener,
                        secrets: Vec::new(),
                        runs: HashSet::new(),
                    };
                    line.say(Said::Note(format!("connected to {address}")));
                    return Ok(line);
                }
                Err(trouble) => last = trouble,
            }
        }
        Err(Step::Connect.broke(last))
    }

    /// Encrypts the line from here on.
    pub async fn secure(&mut self, config: &Arc<ClientConfig>, host: &str) -> Result<(), Broken> {
        let broke = |trouble| Step::Handshake.broke(trouble);
        // What stands here came in clear, and perhaps not from the server.
        if !self.unread.is_empty() {
            return Err(broke(Trouble::Garbage("more than one answer to STARTTLS".to_owned())));
        }
        let name = ServerName::try_from(host.to_owned()).map_err(|_| {
            broke(Trouble::Io(io::Error::other("this name cannot stand in a certificate")))
        })?;
        let Stream::Plain(stream) = std::mem::replace(&mut self.stream, Stream::None) else {
            return Err(broke(Trouble::Closed));
        };
        let connecting = TlsConnector::from(config.clone()).connect(name, stream);
        let stream = within(self.step_limit, self.deadline, connecting).await.map_err(broke)?;
        if self.listener.is_some() {
            for note in tls::described(stream.get_ref().1) {
                self.say(Said::Note(note));
            }
        }
        self.stream = Stream::Tls(Box::new(stream));
        Ok(())
    }

    /// Whether nobody but this machine hears what is said in clear.
    pub fn is_private(&self) -> bool {
        matches!(self.stream, Stream::Tls(_)) || self.peer.ip().to_canonical().is_loopback()
    }

    /// This machine's address on the line.
    pub fn local_address(&self) -> Option<IpAddr> {
        let stream = match &self.stream {
            Stream::Plain(stream) => stream,
            Stream::Tls(stream) => stream.get_ref().0,
            Stream::None => return None,
        };
        Some(stream.local_addr().ok()?.ip())
    }

    /// Sets by when the next steps have to be done.
    pub fn set_deadline(&mut self, deadline: Instant) {
        self.deadline = deadline;
    }

    /// From now on these are hidden wherever the server repeats them.
    pub fn hide(&mut self, user: &str, password: &str) {
        self.secrets = [
            BASE64.encode(format!("\0{user}\0{password}")),
            BASE64.encode(xoauth2(user, password)),
            BASE64.encode(password),
            password.to_owned(),
        ]
        .into();
        self.runs = self.secrets.iter().flat_map(|secret| runs(secret)).collect();
    }

    /// Sends a command and reads the answer, whatever it is.
    pub async fn ask(&mut self, step: Step, command: &str) -> Result<Reply, Broken> {
        self.ask_shown(step, command, command).await
    }

    /// The same with a command that holds a secret: `shown` is what a listener
    /// hears of it.
    pub async fn ask_shown(
        &mut self,
        step: Step,
        command: &str,
        shown: &str,
    ) -> Result<Reply, Broken> {
        // An answer to nothing would be taken for the answer to this.
        if let Some(first) = self.unread.first().copied() {
            let what = format!("an answer that nobody asked for, {:?}", char::from(first));
            return Err(step.broke(Trouble::Garbage(what)));
        }
        // Addresses cannot hold line ends; if one did, it would be a command.
        if command.contains(['\r', '\n']) {
            return Err(step.broke(Trouble::Io(io::Error::other("a line end in a command"))));
        }
        self.say(Said::Client(shown.to_owned()));
        self.send(step, format!("{command}\r\n").as_bytes()).await?;
        self.reply(step, self.step_limit, self.deadline).await
    }

    /// The greeting, which comes unasked.
    pub async fn greeting(&mut self) -> Result<Reply, Broken> {
        self.reply(Step::Greeting, self.step_limit, self.deadline).await
    }

    /// Sends a letter without its end. `bytes` are lines that end in CR LF.
    pub async fn letter(&mut self, bytes: &[u8]) -> Result<(), Broken> {
        self.say(Said::Client(format!("(the letter, {} bytes)", bytes.len())));
        self.send(Step::Letter, &stuffed(bytes)).await
    }

    /// Sends the end of a letter and reads the answer. Everything that goes
    /// wrong here leaves open whether the server has taken it.
    pub async fn end(&mut self, limit: Duration) -> Result<Reply, Broken> {
        self.say(Said::Client(".".to_owned()));
        let deadline = Instant::now() + limit;
        self.set_deadline(deadline);
        self.send(Step::End, b".\r\n").await?;
        self.reply(Step::End, limit, deadline).await
    }

    async fn send(&mut self, step: Step, bytes: &[u8]) -> Result<(), Broken> {
        let (limit, deadline) = (self.step_limit, self.deadline);
        let stream = &mut self.stream;
        let sending = async {
            match stream {
                Stream::Plain(stream) => {
                    stream.write_all(bytes).await?;
                    stream.flush().await
                }
                Stream::Tls(stream) => {
                    stream.write_all(bytes).await?;
                    stream.flush().await
                }
                Stream::None => Err(io::ErrorKind::NotConnected.into()),
            }
        };
        within(limit, deadline, sending).await.map_err(|trouble| step.broke(trouble))
    }

    async fn reply(
        &mut self,
        step: Step,
        limit: Duration,
        deadline: Instant,
    ) -> Result<Reply, Broken> {
        let until = deadline.min(Instant::now() + limit);
        match tokio::time::timeout_at(until, self.whole_reply()).await {
            Ok(read) => read.map_err(|trouble| step.broke(trouble)),
            Err(_) => Err(step.broke(Trouble::Silent(limit))),
        }
    }

    async fn whole_reply(&mut self) -> Result<Reply, Trouble> {
        let (mut reply, mut size) = (Reply { code: 0, lines: Vec::new() }, 0);
        loop {
            let line = self.read_line().await?;
            size += line.len();
            if size > LONGEST_REPLY {
                return Err(Trouble::Garbage(format!("more than {LONGEST_REPLY} bytes of answer")));
            }
            let line = self.without_secrets(&String::from_utf8_lossy(&line));
            self.say(Said::Server(line.clone()));
            let (code, last, text) =
                parsed(&line).ok_or_else(|| Trouble::Garbage(format!("\"{line}\"")))?;
            if !reply.lines.is_empty() && reply.code != code {
                return Err(Trouble::Garbage(format!("{} and {code} in one answer", reply.code)));
            }
            reply.code = code;
            reply.lines.push(text.to_owned());
            if last {
                return Ok(reply);
            }
        }
    }

    /// One line without its end.
    async fn read_line(&mut self) -> Result<Vec<u8>, Trouble> {
        loop {
            if let Some(at) = self.unread.iter().position(|b| *b == b'\n') {
                let mut line: Vec<u8> = self.unread.drain(..=at).collect();
                line.pop();
                line.pop_if(|last| *last == b'\r');
                return Ok(line);
            }
            // What is no reply may have no lines to wait for.
            match self.unread.as_slice() {
                [0x15 | 0x16, 3, ..] => return Err(Trouble::TlsInstead),
                [first, ..] if !first.is_ascii_digit() => {
                    // Cut only then: half a secret is none that could be found.
                    let start = self.without_secrets(&String::from_utf8_lossy(&self.unread));
                    let start: String = start.chars().take(80).collect();
                    self.say(Said::Server(start.clone()));
                    return Err(Trouble::Garbage(format!("\"{start}\"")));
                }
                long if long.len() > LONGEST_LINE => {
                    let what = format!("a line of more than {LONGEST_LINE} bytes");
                    return Err(Trouble::Garbage(what));
                }
                _ => {}
            }
            let mut chunk = [0; 2048];
            let read = match &mut self.stream {
                Stream::Plain(stream) => stream.read(&mut chunk).await,
                Stream::Tls(stream) => stream.read(&mut chunk).await,
                Stream::None => Ok(0),
            };
            match read {
                // TLS without a farewell reads as an error; it is an end all the same.
                Ok(0) => return Err(Trouble::Closed),
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                    return Err(Trouble::Closed);
                }
                Ok(read) => self.unread.extend(&chunk[..read]),
                Err(error) => return Err(Trouble::Io(error)),
            }
        }
    }

    fn say(&self, said: Said) {
        if let Some(listener) = &self.listener {
            listener(said);
        }
    }

    fn without_secrets(&self, text: &str) -> String {
        let hide = |text: String, secret: &String| text.replace(secret.as_str(), HIDDEN);
        without_runs(&self.secrets.iter().fold(text.to_owned(), hide), &self.runs)
    }
}

/// What XOAUTH2 sends, before its base64.
pub(super) fn xoauth2(user: &str, token: &str) -> String {
    format!("user={user}\x01auth=Bearer {token}\x01\x01")
}

/// Every run of [`TELLING`] bytes, in order.
fn runs(text: &str) -> impl Iterator<Item = [u8; TELLING]> {
    text.as_bytes().windows(TELLING).filter_map(|run| run.try_into().ok())
}

/// Hides each word that holds part of a run; servers repeat commands cut and quoted.
/// The code that a reply begins with stays.
fn without_runs(text: &str, runs: &HashSet<[u8; TELLING]>) -> String {
    let (code, rest) = match parsed(text) {
        Some(_) => text.split_at_checked(4).unwrap_or((text, "")),
        None => ("", text),
    };
    let mut hidden = vec![false; rest.len()];
    for (at, run) in self::runs(rest).enumerate() {
        if runs.contains(&run) {
            hidden[at..at + TELLING].fill(true);
        }
    }
    let (mut out, mut at) = (code.to_owned(), 0);
    for word in rest.split_inclusive(char::is_whitespace) {
        let bare = word.trim_end();
        if hidden[at..at + bare.len()].contains(&true) {
            out.push_str(HIDDEN);
            out.push_str(&word[bare.len()..]);
        } else {
            out.push_str(word);
        }
        at += word.len();
    }
    out
}

/// `250-text` and `250 text`: the code, whether the line is the last, the text.
fn parsed(line: &str) -> Option<(u16, bool, &str)> {
    let (code, rest) = line.split_at_checked(3)?;
    let code = code.bytes().all(|b| b.is_ascii_digit()).then_some(code)?.parse().ok()?;
    let (last, text) = match rest.as_bytes().first() {
        None => (true, ""),
        Some(b' ') => (true, &rest[1..]),
        Some(b'-') => (false, &rest[1..]),
        Some(_) => return None,
    };
    (200..600).contains(&code).then_some((code, last, text))
}

/// Doubles the dot at the start of a line: one alone would end the letter.
fn stuffed(letter: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(letter.len() + 64);
    let mut at_start = true;
    for byte in letter {
        if at_start && *byte == b'.' {
            out.push(b'.');
        }
        out.push(*byte);
        at_start = *byte == b'\n';
    }
    if !at_start {
        out.extend(b"\r\n");
    }
    out
}

/// Does something within a time, and before the deadline of the whole.
async fn within<T>(
    limit: Duration,
    deadline: Instant,
    doing: impl Future<Output = io::Result<T>>,
) -> Result<T, Trouble> {
    match tokio::time::timeout_at(deadline.min(Instant::now() + limit), doing).await {
        Ok(done) => done.map_err(Trouble::Io),
        Err(_) => Err(Trouble::Silent(limit)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reply_line_is_a_code_and_a_text() {
        assert_eq!(parsed("250-SIZE 1"), Some((250, false, "SIZE 1")));
        assert_eq!(parsed("250 ok"), Some((250, true, "ok")));
        assert_eq!(parsed("250"), Some((250, true, "")));
        for garbage in ["", "25", "2500 x", "999 x", "100 x", "abc d", "25\u{e9}", "+50 x"] {
            assert_eq!(parsed(garbage), None, "{garbage}");
        }
    }

    #[test]
    fn a_line_that_begins_with_a_dot_does_not_end_the_letter() {
        assert_eq!(stuffed(b".a\r\n.\r\nb.\r\n"), b"..a\r\n..\r\nb.\r\n");
        assert_eq!(stuffed(b"a"), b"a\r\n");
    }

    #[test]
    fn part_of_a_secret_is_hidden_with_its_word() {
        let runs: HashSet<_> = runs("AHVzZXIAc2VjcmV0LXRva2Vu").collect();
        let shown = |text| without_runs(text, &runs);
        assert_eq!(shown("535-AHVzZXIAc2VjcmV0LXR"), "535-(hidden)");
        assert_eq!(shown("535 5.7.8 \"c2VjcmV0LXRva2Vu\"? no"), "535 5.7.8 (hidden) no");
        assert_eq!(shown("xxAHVzZXIAc2Vjxx"), "(hidden)");
        for same in ["535 5.7.8 authentication failed", "535", "", "535 AHVzZXIAc2V é"] {
            assert_eq!(shown(same), same);
        }
    }

    #[test]
    fn an_enhanced_status_is_three_numbers() {
        let of = |text: &str| Reply { code: 450, lines: vec![text.to_owned()] }.enhanced();
        assert_eq!(of("4.7.1 wait"), Some([4, 7, 1]));
        assert_eq!(of("127.0.0.1 wait"), None);
        assert_eq!(of("wait"), None);
    }
}
