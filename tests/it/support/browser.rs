//! A browser's part of HTTP, by hand: pages, forms, a cookie, no script.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::daemon::{Home, token, wait_for};

/// Somebody at a browser.
#[derive(Debug, Clone)]
pub struct Browser {
    /// Host and port of the pages.
    pub host: String,
    cookie: Option<String>,
}

/// What the pages answered.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: String,
}

impl Answer {
    /// Where it sends the browser.
    pub fn location(&self) -> &str {
        self.header("location").unwrap_or_default()
    }

    /// A header's value.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut lines = self.head.lines().skip(1).filter_map(|line| line.split_once(": "));
        lines.find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    /// What the forms of the page would bring back by themselves.
    pub fn hidden(&self) -> Vec<(String, String)> {
        let mut fields: Vec<(String, String)> = Vec::new();
        for input in self.body.split("<input type=\"hidden\" ").skip(1) {
            let value = |name: &str| {
                let (_, from) = input.split_once(&format!("{name}=\"")).expect("an attribute");
                from.split('"').next().expect("it ends").to_owned()
            };
            let field = (value("name"), value("value"));
            if !fields.contains(&field) {
                fields.push(field);
            }
        }
        fields
    }

    /// The status, and words that the page has.
    pub fn says(&self, status: u16, words: &[&str]) {
        assert_eq!(self.status, status, "{}\n{}", self.head, self.body);
        for word in words {
            assert!(self.body.contains(word), "{word:?} is missing in\n{}", self.body);
        }
    }
}

impl Browser {
    /// One that knows where the pages of this daemon are, signed in as nobody.
    pub async fn at(home: &Home) -> Browser {
        let host = wait_for("the address of the pages", || async {
            let log = home.log();
            let (_, after) = log.rsplit_once("\"pages\":\"http://")?;
            Some(after.split_once("/\"")?.0.to_owned())
        });
        Browser { host: host.await, cookie: None }
    }

    /// The same, signed in.
    pub async fn signed_in(&self, name: &str) -> Browser {
        let answer = self.post("/sign-in", &[("token", &token(name))]).await;
        assert_eq!(answer.status, 303, "{}", answer.body);
        let cookie = answer.header("set-cookie").expect("a cookie");
        let cookie = cookie.split(';').next().map(str::to_owned);
        Browser { cookie, ..self.clone() }
    }

    /// Opens a page.
    pub async fn get(&self, path: &str) -> Answer {
        self.send("GET", path, &[], "").await
    }

    /// Sends a form of ours.
    pub async fn post(&self, path: &str, fields: &[(&str, &str)]) -> Answer {
        let origin = format!("http://{}", self.host);
        self.post_from(path, fields, &[("origin", &origin), ("sec-fetch-site", "same-origin")])
            .await
    }

    /// Sends a form that comes from somewhere, as these headers say.
    pub async fn post_from(
        &self,
        path: &str,
        fields: &[(&str, &str)],
        headers: &[(&str, &str)],
    ) -> Answer {
        let mut form = form_urlencoded::Serializer::new(String::new());
        let body = form.extend_pairs(fields).finish();
        let kind = [("content-type", "application/x-www-form-urlencoded")];
        self.send("POST", path, &[headers, &kind].concat(), &body).await
    }

    /// Sends anything.
    pub async fn send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Answer {
        let mut request = format!("{method} {path} HTTP/1.1\r\nhost: {}\r\n", self.host);
        request += &format!("connection: close\r\ncontent-length: {}\r\n", body.len());
        if let Some(cookie) = &self.cookie {
            request += &format!("cookie: {cookie}\r\n");
        }
        headers.iter().for_each(|(name, value)| request += &format!("{name}: {value}\r\n"));
        request += &format!("\r\n{body}");
        let ask = async {
            let mut stream = TcpStream::connect(&self.host).await.expect("connected");
            stream.write_all(request.as_bytes()).await.expect("sent");
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await.expect("an answer");
            answer
        };
        let answer = tokio::time::timeout(Duration::from_secs(30), ask).await.expect("in time");
        let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
        let status = head.split(' ').nth(1).and_then(|code| code.parse().ok()).expect("a status");
        Answer { status, head: head.to_owned(), body: body.to_owned() }
    }
}
