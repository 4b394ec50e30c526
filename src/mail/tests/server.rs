//! A mail server that does what a test tells it.

use std::sync::{Arc, Mutex};

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

use crate::config;
use crate::mail::transport::{MailConfig, Transport};

/// What the server does at a verb (`CONNECT`, `EHLO`, `AUTH`, `MAIL`, `RCPT`,
/// `DATA`, `.`).
#[derive(Clone, Copy)]
pub enum Answer {
    Usual,
    Say(&'static str),
    Hang,
    Close,
}

/// The server and all that it was told.
pub struct Server {
    pub port: u16,
    said: Arc<Mutex<Vec<String>>>,
}

impl Server {
    pub async fn start(answer: impl Fn(&str) -> Answer + Send + Sync + 'static) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("bound").port();
        let said = Arc::new(Mutex::new(Vec::new()));
        let (answer, heard) = (Arc::new(answer), said.clone());
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (answer, heard) = (answer.clone(), heard.clone());
                tokio::spawn(async move {
                    let _ = converse(stream, &*answer, &heard).await;
                });
            }
        });
        Server { port, said }
    }

    /// Every command line, and every letter as one text.
    pub fn said(&self) -> Vec<String> {
        self.said.lock().expect("no test panics while it holds this").clone()
    }

    /// Only the letters.
    pub fn letters(&self) -> Vec<String> {
        let said = self.said();
        said.into_iter().filter(|text| text.starts_with("From: ")).collect()
    }

    pub fn transport(&self, userinfo: &str) -> Transport {
        let url = format!("smtp://{userinfo}127.0.0.1:{}", self.port);
        let step_timeout = std::time::Duration::from_millis(300);
        let server = Some(config::Smtp::parse(&url).expect("a URL"));
        let folder = std::path::PathBuf::new();
        let config = MailConfig { server, tls_ca_file: None, folder, step_timeout };
        Transport::new(&config).expect("a transport")
    }
}

async fn converse(
    stream: TcpStream,
    answer: &(impl Fn(&str) -> Answer + ?Sized),
    heard: &Mutex<Vec<String>>,
) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    let mut verb = "CONNECT".to_owned();
    loop {
        let usual = match verb.as_str() {
            "CONNECT" => "220 test ESMTP",
            "EHLO" => "250-test\r\n250 AUTH PLAIN LOGIN",
            "AUTH" => "235 welcome",
            "DATA" => "354 go on",
            "." => "250 2.0.0 queued as 4711",
            "QUIT" => "221 bye",
            _ => "250 fine",
        };
        let reply = match answer(&verb) {
            Answer::Usual => usual,
            Answer::Say(reply) => reply,
            Answer::Hang => {
                // Until the client gives up.
                let mut nothing = [0];
                let _ = stream.read(&mut nothing).await;
                return Ok(());
            }
            Answer::Close => return Ok(()),
        };
        stream.write_all(format!("{reply}\r\n").as_bytes()).await?;
        if verb == "DATA" && reply.starts_with('3') {
            let letter = letter(&mut stream).await?;
            heard.lock().expect("no test panics while it holds this").push(letter);
            verb = ".".to_owned();
            continue;
        }
        let mut line = String::new();
        if stream.read_line(&mut line).await? == 0 {
            return Ok(());
        }
        verb = line.trim_end().split(' ').next().unwrap_or_default().to_owned();
        heard.lock().expect("no test panics while it holds this").push(line.trim_end().to_owned());
    }
}

async fn letter(stream: &mut BufReader<TcpStream>) -> std::io::Result<String> {
    let mut letter = String::new();
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).await? == 0 || line == ".\r\n" {
            return Ok(letter);
        }
        letter.push_str(line.strip_prefix('.').unwrap_or(&line));
    }
}
