//! A browser without a script, by hand: it keeps its cookie, and sends the forms that
//! it was given.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::daemon::{Home, token, wait_for};
use super::pages::Page;

/// What a browser sends that is not always the same.
#[derive(Debug, Clone)]
pub struct Headers {
    pub host: String,
    pub origin: String,
}

/// One person's.
#[derive(Debug, Clone)]
pub struct Browser {
    address: String,
    cookie: String,
}

impl Browser {
    /// Nobody is signed in yet.
    pub async fn new(home: &Home) -> Self {
        let address = wait_for("the address of the pages", || async {
            let log = home.log();
            let (_, after) = log.rsplit_once("\"pages\":\"http://")?;
            Some(after.split_once('/')?.0.to_owned())
        });
        Browser { address: address.await, cookie: String::new() }
    }

    /// An operator, signed in by the token of [`super::daemon::identity`].
    pub async fn signed_in(home: &Home, name: &str) -> Self {
        let mut browser = Browser::new(home).await;
        browser.sign_in(name).await;
        browser
    }

    /// Signs in, whoever is signed in already.
    pub async fn sign_in(&mut self, name: &str) {
        let answer = self.post("/sign-in", &[("token", &token(name)), ("next", "/")]).await;
        assert_eq!(answer.status, 303, "{answer:?}");
        let cookie = answer.head.lines().find_map(|line| line.strip_prefix("set-cookie: "));
        let cookie = cookie.and_then(|line| line.split(';').next()).expect("a cookie");
        cookie.clone_into(&mut self.cookie);
    }

    /// Host and port of the pages.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// What it sends if nobody meddles.
    pub fn headers(&self) -> Headers {
        Headers { host: self.address.clone(), origin: format!("http://{}", self.address) }
    }

    pub async fn get(&self, path: &str) -> Page {
        self.send("GET", path, &self.headers(), "").await
    }

    pub async fn post(&self, path: &str, fields: &[(&str, &str)]) -> Page {
        self.post_with(path, fields, &self.headers()).await
    }

    pub async fn post_with(&self, path: &str, fields: &[(&str, &str)], headers: &Headers) -> Page {
        let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        self.send("POST", path, headers, &body).await
    }

    async fn send(&self, method: &str, path: &str, headers: &Headers, body: &str) -> Page {
        let Headers { host, origin } = headers;
        let form =
            [("origin", origin.as_str()), ("content-type", "application/x-www-form-urlencoded")];
        let more: &[_] = if method == "POST" { &form } else { &[] };
        self.exchange(method, path, &[&[("host", host.as_str())], more].concat(), body).await
    }

    /// Sends these very bytes and the cookie behind them, byte by byte if it must be; the
    /// connection.
    pub async fn raw(&self, head: &str) -> TcpStream {
        let mut stream = TcpStream::connect(&self.address).await.expect("connected");
        let request = format!("{head}\r\ncookie: {}\r\n\r\n", self.cookie);
        stream.write_all(request.as_bytes()).await.expect("sent");
        stream
    }

    /// Follows changes, once the first word has come.
    pub async fn follow(&self) -> TcpStream {
        let mut stream = self.raw(&format!("GET /live HTTP/1.1\r\nhost: {}", self.address)).await;
        assert!(until(&mut stream, "event: here").await.contains(" 200 "));
        stream
    }

    /// Sends anything, as somebody who is no browser may.
    pub async fn exchange(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Page {
        let path = path.split('#').next().unwrap_or_default();
        let mut request = format!("{method} {path} HTTP/1.1\r\n");
        if !headers.iter().any(|(name, _)| *name == "host") {
            request += &format!("host: {}\r\n", self.address);
        }
        request += &format!("connection: close\r\ncookie: {}\r\n", self.cookie);
        if !body.is_empty() {
            request += &format!("content-length: {}\r\n", body.len());
        }
        headers.iter().for_each(|(name, value)| request += &format!("{name}: {value}\r\n"));
        let exchange = async {
            let mut stream = TcpStream::connect(&self.address).await.expect("connected");
            stream.write_all(format!("{request}\r\n{body}").as_bytes()).await.expect("sent");
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await.expect("an answer");
            answer
        };
        let answer = tokio::time::timeout(Duration::from_secs(60), exchange).await;
        let answer = answer.expect("in time");
        let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
        let status = head.split(' ').nth(1).and_then(|code| code.parse().ok()).expect("a status");
        Page { status, head: head.to_owned(), body: body.to_owned() }
    }
}

/// What comes up to these words, or to the end.
pub async fn until(stream: &mut TcpStream, words: &str) -> String {
    let read = async {
        let mut said = Vec::new();
        loop {
            let mut some = [0; 4096];
            match stream.read(&mut some).await {
                Ok(0) | Err(_) => break,
                Ok(n) => said.extend(&some[..n]),
            }
            if !words.is_empty() && String::from_utf8_lossy(&said).contains(words) {
                break;
            }
        }
        String::from_utf8_lossy(&said).into_owned()
    };
    tokio::time::timeout(Duration::from_secs(60), read).await.expect("in time")
}

impl Page {
    /// A header's value.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut lines = self.head.lines().skip(1).filter_map(|line| line.split_once(": "));
        lines.find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    /// Its status, and words that it has.
    pub fn says(&self, status: u16, words: &[&str]) {
        assert_eq!(self.status, status, "{}\n{}", self.head, self.body);
        for word in words {
            assert!(self.body.contains(word), "{word:?} is missing in\n{}", self.body);
        }
    }

    /// The value of the first field of this name.
    pub fn field(&self, name: &str) -> &str {
        let (_, after) =
            self.body.split_once(&format!("name=\"{name}\" value=\"")).unwrap_or_else(|| {
                panic!("no field {name} in {}", self.body);
            });
        after.split('"').next().expect("a value")
    }

    /// Where the first link goes whose text begins so.
    pub fn link(&self, text: &str) -> String {
        let at = self.body.find(&format!("\">{text}")).unwrap_or_else(|| {
            panic!("no link {text} in {}", self.body);
        });
        let start = self.body[..at].rfind("href=\"").expect("a link") + "href=\"".len();
        self.body[start..at].replace("&amp;", "&")
    }

    /// Whether there is a button with this verdict.
    pub fn offers(&self, verdict: &str) -> bool {
        self.body.contains(&format!("value=\"{verdict}\">"))
    }

    /// The tags of a page that is nothing but what the daemon wrote: every `<` begins a
    /// well-formed tag, each with its attributes. Anything else is a panic.
    pub fn tags(&self) -> Vec<(String, Vec<(String, String)>)> {
        let mut tags = Vec::new();
        for piece in self.body.split('<').skip(1) {
            let end = closing(piece).unwrap_or_else(|| panic!("no end of a tag in <{piece}"));
            let inside = &piece[..end];
            if inside.starts_with('/') || inside == "!DOCTYPE html" {
                continue;
            }
            let (name, attributes) = inside.split_once(' ').unwrap_or((inside, ""));
            let plain = name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
            assert!(plain, "<{inside}> is no tag of ours");
            tags.push((name.to_owned(), read(attributes)));
        }
        tags
    }
}

/// Where a tag ends: its first `>` outside of quotes.
fn closing(piece: &str) -> Option<usize> {
    let mut quoted = false;
    piece.char_indices().find_map(|(at, c)| {
        quoted ^= c == '"';
        (c == '>' && !quoted).then_some(at)
    })
}

/// `a="1" b`
fn read(attributes: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut rest = attributes.trim();
    while !rest.is_empty() {
        let end = rest.find(['=', ' ']).unwrap_or(rest.len());
        let (name, after) = rest.split_at(end);
        assert!(name.bytes().all(|b| b.is_ascii_alphabetic() || b == b'-'), "attribute {name:?}");
        let (value, after) = match after.strip_prefix("=\"") {
            Some(value) => value.split_once('"').expect("an end of quotes"),
            None => ("", after),
        };
        found.push((name.to_owned(), value.to_owned()));
        rest = after.trim_start();
    }
    found
}
