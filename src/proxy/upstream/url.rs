//! A server behind a URL, spoken to in Streamable HTTP.
//!
//! Promises: it is asked directly, whatever proxies the environment names; a
//! redirect is not followed, since what runs elsewhere is not what was approved;
//! its answers are read as they come and never gathered whole. Must never: tell
//! its URL or what we show to it.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{self, HeaderMap, HeaderValue};
use hyper::service::Service as _;
use hyper::{Method, Request, Response, Uri};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::service::TowerToHyperService;
use rustls::pki_types::ServerName;
use tokio_rustls::TlsConnector;
use url::{Host, Url};

pub use super::connection::Answer;
use super::connection::{Connection, Stream, Unanswered};
use super::idle::Idle;
use crate::proxy::config::UrlConfig;
use crate::trust::{self, NoTrust};

/// How long it may take until a connection is made.
const CONNECT: Duration = Duration::from_secs(10);

/// After which silence a connection is asked whether it still is one.
const KEEPALIVE: Duration = Duration::from_secs(30);

/// How long what was sent may stay unacknowledged: a connection that died while nobody
/// used it (a laptop slept, a router forgot it) is found out by the first request over it.
#[cfg(target_os = "linux")]
const UNACKNOWLEDGED: Duration = Duration::from_secs(30);

/// A server behind a URL.
pub struct UrlServer {
    /// Connects to all addresses that its name has, until one answers.
    tcp: TowerToHyperService<HttpConnector>,
    /// The name that its certificate is for; `None`: it is spoken to in clear.
    tls: Option<(TlsConnector, ServerName<'static>)>,
    /// Its URL.
    whole: Uri,
    /// The path and query in it, and its host: what a request says of it.
    path: Uri,
    host: HeaderValue,
    idle: Arc<Idle>,
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
    /// No request can be made of the URL, which is not shown.
    #[error("no HTTP request can be made of the URL: {0}")]
    Url(&'static str),
}

/// Why a request got no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Away {
    /// There was no connection: nothing was sent.
    #[error("the server cannot be reached: {0}")]
    Unreachable(String),
    /// The connection broke: the server may have read the request.
    #[error("the server broke off: {0}")]
    Broken(String),
}

impl UrlServer {
    /// For a server that is configured.
    pub fn new(config: &UrlConfig) -> Result<UrlServer, CannotAsk> {
        let url = &config.url;
        let client = || trust::client(config.tls_ca_file.as_deref());
        let tls = match url.scheme() {
            "https" => Some((TlsConnector::from(Arc::new(client()?)), server_name(url)?)),
            // A file of certificates that cannot be used is a mistake here, too.
            _ if config.tls_ca_file.is_some() => client().map(|_| None)?,
            _ => None,
        };
        let mut tcp = HttpConnector::new();
        // This is also what TLS is spoken over.
        tcp.enforce_http(false);
        tcp.set_connect_timeout(Some(CONNECT));
        tcp.set_keepalive(Some(KEEPALIVE));
        #[cfg(target_os = "linux")]
        tcp.set_tcp_user_timeout(Some(UNACKNOWLEDGED));
        tcp.set_nodelay(true);
        let uri = |text: &str| {
            Uri::try_from(text).map_err(|_| {
                CannotAsk::Url("it is too long, or has characters that no request can have")
            })
        };
        Ok(UrlServer {
            tcp: TowerToHyperService::new(tcp),
            tls,
            whole: uri(url.as_str())?,
            path: uri(&url[url::Position::BeforePath..url::Position::AfterQuery])?,
            host: HeaderValue::from_str(&url[url::Position::BeforeHost..url::Position::AfterPort])
                .map_err(|_| CannotAsk::Url("its host is no text"))?,
            idle: Arc::default(),
            own: config.headers.iter().cloned().collect(),
        })
    }

    /// Sends a request and returns when its answer begins. It is sent once: over another
    /// connection only where the first turns out to be closed before anything was sent.
    pub async fn send(
        &self,
        method: Method,
        mut headers: HeaderMap,
        body: Option<Bytes>,
    ) -> Result<Response<Answer>, Away> {
        for (name, value) in &self.own {
            headers.insert(name, value.clone());
        }
        headers.insert(header::HOST, self.host.clone());
        headers.entry(header::ACCEPT).or_insert(HeaderValue::from_static("*/*"));
        let mut request = Request::new(Full::new(body.unwrap_or_default()));
        (*request.method_mut(), *request.uri_mut()) = (method, self.path.clone());
        *request.headers_mut() = headers;
        loop {
            let kept = self.idle.take();
            let is_new = kept.is_none();
            let connection = match kept {
                Some(connection) => connection,
                // In a box: most calls find one, and need no room for this.
                None => Box::pin(self.connect()).await?,
            };
            match connection.ask(request, &self.idle).await {
                Ok(answer) => return Ok(answer),
                Err(Unanswered::Unsent(unsent)) if !is_new => request = *unsent,
                Err(Unanswered::Unsent(_)) => {
                    let why = "it closes each connection at once";
                    return Err(Away::Unreachable(why.to_owned()));
                }
                Err(Unanswered::Broken(error)) => return Err(Away::Broken(cause(&error))),
            }
        }
    }

    async fn connect(&self) -> Result<Box<Connection>, Away> {
        let connecting = async {
            let socket = self.tcp.call(self.whole.clone()).await.map_err(|error| cause(&error))?;
            let socket = socket.into_inner();
            let stream = match &self.tls {
                None => Stream::Plain(socket),
                Some((tls, name)) => {
                    let stream = tls.connect(name.clone(), socket).await;
                    Stream::Tls(Box::new(stream.map_err(|error| cause(&error))?))
                }
            };
            Connection::over(stream).await.map_err(|error| cause(&error))
        };
        let connected = tokio::time::timeout(CONNECT, connecting).await;
        let connected = connected.unwrap_or_else(|_| {
            Err(format!("there was no connection within {} s", CONNECT.as_secs()))
        });
        connected.map_err(Away::Unreachable)
    }
}

/// The name that a certificate has to be for.
fn server_name(url: &Url) -> Result<ServerName<'static>, CannotAsk> {
    let none = CannotAsk::Url("its host is no name that a certificate can have");
    match url.host() {
        Some(Host::Domain(name)) => ServerName::try_from(name.to_owned()).map_err(|_| none),
        Some(Host::Ipv4(ip)) => Ok(std::net::IpAddr::from(ip).into()),
        Some(Host::Ipv6(ip)) => Ok(std::net::IpAddr::from(ip).into()),
        None => Err(none),
    }
}

/// The innermost cause, which names neither URL nor headers.
pub fn cause(error: &(dyn std::error::Error + 'static)) -> String {
    let mut inner = error;
    while let Some(source) = inner.source() {
        inner = source;
    }
    inner.to_string()
}
