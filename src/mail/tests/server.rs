//! A mail server that does what a test tells it.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use crate::config;
use crate::mail::transport::{MailConfig, Transport};

/// How long a step may take in tests. Long beside what this machine needs for
/// one while other tests run, short beside what a test may take.
pub const STEP: Duration = Duration::from_millis(300);

/// What the server does at a verb (`CONNECT`, `EHLO`, `AUTH`, `MAIL`, `RCPT`,
/// `DATA`, `.`, `RSET`, `QUIT`).
#[derive(Clone, Copy)]
pub enum Answer {
    Usual,
    Say(&'static str),
    /// The second to a command that holds the first, else the usual answer.
    SayTo(&'static str, &'static str),
    /// This and then the command as it came, but for so many last characters.
    Echo(&'static str, usize),
    /// The usual answer, after a while.
    After(Duration),
    /// Bytes as they are, then nothing more.
    Bytes(&'static [u8]),
    /// One line without an end.
    EndlessLine,
    /// One answer without an end.
    EndlessLines,
    Hang,
    Close,
    /// The usual answer, and then the end of the connection.
    UsualAndClose,
}

/// How the server protects what it hears.
#[derive(Clone)]
pub enum Security {
    Plain,
    StartTls(TlsAcceptor),
    Tls(TlsAcceptor),
}

/// The server and all that it was told.
pub struct Server {
    pub port: u16,
    pub security: Security,
    heard: Arc<Heard>,
}

#[derive(Default)]
struct Heard {
    said: Mutex<Vec<String>>,
    opened: AtomicUsize,
    open: AtomicUsize,
    most_open: AtomicUsize,
}

impl Heard {
    fn push(&self, text: String) {
        self.said.lock().expect("no test panics while it holds this").push(text);
    }
}

impl Server {
    pub async fn start(answer: impl Fn(&str) -> Answer + Send + Sync + 'static) -> Server {
        Server::start_with(Security::Plain, answer).await
    }

    pub async fn start_with(
        security: Security,
        answer: impl Fn(&str) -> Answer + Send + Sync + 'static,
    ) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("bound").port();
        let heard = Arc::new(Heard::default());
        let server = Server { port, security: security.clone(), heard: heard.clone() };
        let answer = Arc::new(answer);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (answer, heard, security) = (answer.clone(), heard.clone(), security.clone());
                tokio::spawn(async move {
                    heard.opened.fetch_add(1, Ordering::SeqCst);
                    let open = heard.open.fetch_add(1, Ordering::SeqCst) + 1;
                    heard.most_open.fetch_max(open, Ordering::SeqCst);
                    let _ = serve(stream, security, &*answer, &heard).await;
                    heard.open.fetch_sub(1, Ordering::SeqCst);
                });
            }
        });
        server
    }

    /// Every command line, and every letter as one text.
    pub fn said(&self) -> Vec<String> {
        self.heard.said.lock().expect("no test panics while it holds this").clone()
    }

    /// Only the letters.
    pub fn letters(&self) -> Vec<String> {
        let said = self.said();
        said.into_iter().filter(|text| text.starts_with("From: ")).collect()
    }

    /// How often a command that begins so was given.
    pub fn times(&self, verb: &str) -> usize {
        self.said().iter().filter(|line| line.starts_with(verb)).count()
    }

    /// How many connections there were.
    pub fn opened(&self) -> usize {
        self.heard.opened.load(Ordering::SeqCst)
    }

    /// How many there are.
    pub fn open(&self) -> usize {
        self.heard.open.load(Ordering::SeqCst)
    }

    /// How many there were at the same time.
    pub fn most_open(&self) -> usize {
        self.heard.most_open.load(Ordering::SeqCst)
    }

    /// The server as the configuration has it, by its name.
    pub fn smtp(&self, userinfo: &str) -> config::Smtp {
        let (scheme, host) = match self.security {
            Security::Plain => ("smtp", "127.0.0.1"),
            Security::StartTls(_) => ("smtp+starttls", "localhost"),
            Security::Tls(_) => ("smtps", "localhost"),
        };
        let url = format!("{scheme}://{userinfo}{host}:{}", self.port);
        config::Smtp::parse(&url).expect("a URL")
    }

    pub fn transport(&self, userinfo: &str) -> Transport {
        transport(self.smtp(userinfo), 8)
    }
}

/// Letters to a server that hangs, in haste.
pub fn transport(smtp: config::Smtp, connections: usize) -> Transport {
    transport_within(smtp, connections, STEP)
}

/// Letters to a server that answers, however busy this machine is.
pub fn patient(smtp: config::Smtp, connections: usize) -> Transport {
    transport_within(smtp, connections, 100 * STEP)
}

fn transport_within(smtp: config::Smtp, connections: usize, step_timeout: Duration) -> Transport {
    Transport::new(&MailConfig {
        server: Some(smtp),
        connections,
        folder: std::path::PathBuf::new(),
        folder_keep: 1,
        step_timeout,
    })
    .expect("a transport")
}

trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

async fn serve(
    stream: tokio::net::TcpStream,
    security: Security,
    answer: &(impl Fn(&str) -> Answer + ?Sized),
    heard: &Heard,
) -> std::io::Result<()> {
    let mut stream: BufReader<Box<dyn Stream>> = match &security {
        Security::Tls(acceptor) => BufReader::new(Box::new(acceptor.accept(stream).await?)),
        _ => BufReader::new(Box::new(stream)),
    };
    let mut verb = "CONNECT".to_owned();
    loop {
        converse(&mut stream, &mut verb, answer, heard, &security).await?;
        let Security::StartTls(acceptor) = &security else {
            return Ok(());
        };
        if verb != "STARTTLS" {
            return Ok(());
        }
        stream = BufReader::new(Box::new(acceptor.accept(stream.into_inner()).await?));
        verb = "NOTHING".to_owned();
    }
}

/// Until the end, or until TLS has to begin.
async fn converse(
    stream: &mut BufReader<Box<dyn Stream>>,
    verb: &mut String,
    answer: &(impl Fn(&str) -> Answer + ?Sized),
    heard: &Heard,
    security: &Security,
) -> std::io::Result<()> {
    let mut command = String::new();
    loop {
        let usual = match verb.as_str() {
            "CONNECT" => "220 test ESMTP",
            "EHLO" if matches!(security, Security::StartTls(_)) => {
                "250-test\r\n250-STARTTLS\r\n250 AUTH PLAIN LOGIN XOAUTH2"
            }
            "EHLO" => "250-test\r\n250 AUTH PLAIN LOGIN XOAUTH2",
            "AUTH" => "235 welcome",
            "DATA" => "354 go on",
            "." => "250 2.0.0 queued as 4711",
            "QUIT" => "221 bye",
            _ => "250 fine",
        };
        let echo;
        let does = if verb == "NOTHING" { Answer::Say("") } else { answer(verb) };
        let reply = match does {
            Answer::Usual | Answer::UsualAndClose => usual,
            Answer::After(while_) => {
                tokio::time::sleep(while_).await;
                usual
            }
            Answer::Say(reply) => reply,
            Answer::SayTo(who, reply) if command.contains(who) => reply,
            Answer::SayTo(..) => usual,
            Answer::Echo(reply, less) => {
                echo = format!("{reply}{}", &command[..command.len() - less]);
                &echo
            }
            Answer::Bytes(bytes) => {
                stream.write_all(bytes).await?;
                stream.flush().await?;
                return until_gone(stream).await;
            }
            Answer::EndlessLine => loop {
                stream.write_all(&[b'2'; 4096]).await?;
            },
            Answer::EndlessLines => loop {
                stream.write_all(b"250-and another line of the same answer\r\n").await?;
            },
            Answer::Hang => return until_gone(stream).await,
            Answer::Close => return Ok(()),
        };
        if !reply.is_empty() {
            stream.write_all(format!("{reply}\r\n").as_bytes()).await?;
            stream.flush().await?;
        }
        if matches!(does, Answer::UsualAndClose) || verb == "QUIT" || verb == "STARTTLS" {
            return Ok(());
        }
        if verb == "DATA" && reply.starts_with('3') {
            heard.push(letter(stream).await?);
            *verb = ".".to_owned();
            continue;
        }
        let mut line = String::new();
        if stream.read_line(&mut line).await? == 0 {
            return Ok(());
        }
        let line = line.trim_end();
        // What follows a challenge is no verb.
        *verb = match verb.as_str() {
            "AUTH" if reply.starts_with("334") => "AUTH".to_owned(),
            _ => line.split(' ').next().unwrap_or_default().to_owned(),
        };
        command = line.to_owned();
        heard.push(line.to_owned());
    }
}

async fn until_gone(stream: &mut BufReader<Box<dyn Stream>>) -> std::io::Result<()> {
    let mut sink = [0; 1024];
    while stream.read(&mut sink).await? > 0 {}
    Ok(())
}

/// A letter up to its end; an error if the client goes before.
async fn letter(stream: &mut BufReader<Box<dyn Stream>>) -> std::io::Result<String> {
    let mut letter = String::new();
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).await? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        if line == ".\r\n" {
            return Ok(letter);
        }
        letter.push_str(line.strip_prefix('.').unwrap_or(&line));
    }
}
