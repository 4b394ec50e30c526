//! A server behind a URL, spoken to in Streamable HTTP.
//!
//! Promises: it is asked directly, whatever proxies the environment names; a
//! redirect is not followed, since what runs elsewhere is not what was approved;
//! its answers are read as they come and never gathered whole. Must never: tell
//! its URL or what we show to it.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use hyper::header::HeaderMap;
use hyper::{Method, Response};
use reqwest::Url;

use crate::proxy::config::UrlConfig;
use crate::trust::{self, NoTrust};

/// How long it may take until a connection is made.
const CONNECT: Duration = Duration::from_secs(10);

/// After which silence a connection is asked whether it still is one.
const KEEPALIVE: Duration = Duration::from_secs(30);

/// How long a connection that nobody uses is kept: servers close theirs after 5 s
/// (Node) to 75 s (nginx), and a request on one that is just being closed is lost.
const POOLED: Duration = Duration::from_secs(4);

/// A server behind a URL.
pub struct UrlServer {
    http: reqwest::Client,
    url: Url,
    /// Sent with every request, in place of what the client may have sent.
    own: HeaderMap,
}

impl fmt::Debug for UrlServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UrlServer").finish_non_exhaustive()
    }
}

/// Why a server cannot be asked at all.
#[derive(Debug, thiserror::Error)]
pub enum CannotAsk {
    /// TLS cannot be spoken.
    #[error(transparent)]
    Trust(#[from] NoTrust),
    /// The HTTP client does not start.
    #[error("cannot speak HTTP: {0}")]
    Http(String),
}

/// Why a request got no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Away {
    /// No connection was made: nothing was sent.
    #[error("the server cannot be reached: {0}")]
    Unreachable(String),
    /// The connection broke: the server may have read the request.
    #[error("the server broke off: {0}")]
    Broken(String),
}

impl UrlServer {
    /// For a server that is configured.
    pub fn new(config: &UrlConfig) -> Result<UrlServer, CannotAsk> {
        let mut builder = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            // A call is made once. What may be tried again, the gate decides.
            .retry(reqwest::retry::never())
            .referer(false)
            .connect_timeout(CONNECT)
            .tcp_keepalive(KEEPALIVE)
            .tcp_nodelay(true)
            .pool_idle_timeout(POOLED);
        builder = builder.tls_backend_preconfigured(trust::client(config.tls_ca_file.as_deref())?);
        let http = builder.build().map_err(|error| CannotAsk::Http(cause(&error)))?;
        let own = config.headers.iter().cloned().collect();
        Ok(UrlServer { http, url: config.url.clone(), own })
    }

    /// Sends a request and returns when its answer begins.
    pub async fn send(
        &self,
        method: Method,
        mut headers: HeaderMap,
        body: Option<Bytes>,
    ) -> Result<Response<reqwest::Body>, Away> {
        for (name, value) in &self.own {
            headers.insert(name, value.clone());
        }
        let mut request = self.http.request(method, self.url.clone()).headers(headers);
        if let Some(body) = body {
            request = request.body(body);
        }
        match request.send().await {
            Ok(response) => Ok(response.into()),
            Err(error) if error.is_connect() => Err(Away::Unreachable(cause(&error))),
            Err(error) => Err(Away::Broken(cause(&error))),
        }
    }
}

/// The innermost cause, which names neither URL nor headers.
pub fn cause(error: &(dyn std::error::Error + 'static)) -> String {
    let mut inner = error;
    while let Some(source) = inner.source() {
        inner = source;
    }
    if std::ptr::eq(inner, error) { "no answer".to_owned() } else { inner.to_string() }
}
