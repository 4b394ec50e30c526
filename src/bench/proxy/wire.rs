//! HTTP/1.1 over one connection that stays open, and nothing more: hyper's own
//! client, without a pool, redirects or settings of the environment.

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use crate::bench::trouble::{During as _, Trouble};

/// A connection; its requests go one after the other.
#[derive(Debug)]
pub struct Connection(SendRequest<Full<Bytes>>);

impl Connection {
    /// To the host of this URL.
    pub async fn open(url: &str) -> Result<Connection, Trouble> {
        let stream = TcpStream::connect(authority(url)).await.during("connecting")?;
        let _ = stream.set_nodelay(true);
        let (sender, connection) = handshake(TokioIo::new(stream)).await.during("connecting")?;
        tokio::spawn(connection);
        Ok(Connection(sender))
    }

    /// Sends, and returns with the head of the answer.
    pub async fn send(
        &mut self,
        request: Request<Full<Bytes>>,
    ) -> Result<Response<Incoming>, Trouble> {
        self.0.ready().await.during("sending a request")?;
        self.0.send_request(request).await.during("sending a request")
    }

    /// Sends, and returns with the whole answer.
    pub async fn ask(&mut self, request: Request<Full<Bytes>>) -> Result<Response<Bytes>, Trouble> {
        let (head, body) = self.send(request).await?.into_parts();
        let body = body.collect().await.during("reading an answer")?.to_bytes();
        Ok(Response::from_parts(head, body))
    }
}

/// Host and port of a plain URL.
pub fn authority(url: &str) -> &str {
    url.trim_start_matches("http://").split('/').next().unwrap_or_default()
}

/// From the first slash after the host.
pub fn path(url: &str) -> &str {
    let rest = url.trim_start_matches("http://");
    rest.find('/').map_or("/", |at| &rest[at..])
}
