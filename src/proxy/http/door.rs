//! From a request to the server that it is for.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use hyper::body::{Body as _, Incoming};
use hyper::header::{self, HeaderMap, HeaderValue};
use hyper::{Method, Request, StatusCode};

use super::body::Bodies;
use super::child::Local;
use super::remote::Remote;
use super::reply::{self, Reply};
use super::rules::{self, Rules};
use super::who::{Client, Clients};
use crate::call::time::Time;
use crate::doors::Peer;
use crate::proxy::message::client;

/// Where it is said that the proxy serves.
const HEALTH: &str = "/healthz";

/// Where clients look for somebody who gives out tokens. Here nobody does, and to
/// say so is better than to ask for a token.
const WELL_KNOWN: &str = "/.well-known/";

/// The last part of a server's path.
const ENDPOINT: &str = "mcp";

/// Everything behind the door.
#[derive(Debug)]
pub struct Door {
    /// By which names and from which pages it is reached.
    pub rules: Rules,
    /// Who may call.
    pub clients: Clients,
    /// Reads what they send.
    pub bodies: Bodies,
    /// What stands behind it.
    pub servers: HashMap<String, Behind>,
}

/// What stands behind a path.
#[derive(Debug)]
pub enum Behind {
    /// A server behind a URL.
    Url(Box<Remote>),
    /// A server that is a command.
    Child(Arc<Local>),
}

impl Behind {
    async fn answer(&self, client: Client, headers: &HeaderMap, ask: Ask) -> Reply {
        match self {
            Behind::Url(remote) => remote.answer(client, headers, ask).await,
            Behind::Child(local) => local.answer(client, headers, ask).await,
        }
    }
}

/// A request of a client, as a server's part of the proxy gets it.
#[derive(Debug)]
pub enum Ask {
    /// One or several messages, and the body that they came in.
    Post(Bytes, client::Incoming),
    /// A stream of what the server has to say.
    Get,
    /// The end of a session.
    Delete,
}

impl Door {
    /// Answers one request, whatever it is.
    pub async fn answer(&self, peer: &Peer, request: Request<Incoming>) -> Reply {
        let (head, body) = request.into_parts();
        let page = match self.rules.admit(&head.uri, &head.headers) {
            Ok(page) => page,
            Err(stranger) => {
                peer.refused();
                return closing(reply::refused(stranger.status(), &stranger.to_string()));
            }
        };
        let mut answer = match &page {
            Some(_) if rules::is_preflight(&head.method, &head.headers) => {
                let mut answer = reply::empty(StatusCode::NO_CONTENT);
                answer.headers_mut().extend(rules::for_preflight(&head.headers));
                answer
            }
            _ => self.inside(peer, &head.method, head.uri.path(), &head.headers, body).await,
        };
        if let Some(page) = &page {
            rules::for_page(page, answer.headers_mut());
        }
        answer
    }

    async fn inside(
        &self,
        peer: &Peer,
        method: &Method,
        path: &str,
        headers: &HeaderMap,
        body: Incoming,
    ) -> Reply {
        let unread = !body.is_end_stream();
        if path == HEALTH || path.starts_with(WELL_KNOWN) {
            // Held until it is answered, so that nobody asks for ever.
            let greeting = peer.greets();
            let answer = match (greeting.is_some(), path == HEALTH) {
                (false, _) => reply::empty(StatusCode::TOO_MANY_REQUESTS),
                (true, true) => reply::text(StatusCode::OK, "ok"),
                (true, false) => reply::empty(StatusCode::NOT_FOUND),
            };
            return if unread { closing(answer) } else { answer };
        }
        let now = Time(chrono::Utc::now().timestamp_millis());
        let client = match self.clients.of(headers, now) {
            Ok(client) => client.clone(),
            Err(unknown) => {
                peer.refused();
                let mut answer = reply::refused(StatusCode::UNAUTHORIZED, &unknown.to_string());
                answer
                    .headers_mut()
                    .insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
                return if unread { closing(answer) } else { answer };
            }
        };
        peer.vouched();
        let Some(server) = name_in(path).and_then(|name| self.servers.get(name)) else {
            let why = "there is no server at this path: it is /NAME/mcp";
            let answer = reply::refused(StatusCode::NOT_FOUND, why);
            return if unread { closing(answer) } else { answer };
        };
        match self.ask(method, headers, body).await {
            Ok(ask) => server.answer(client, headers, ask).await,
            Err(refused) => refused,
        }
    }

    /// What is asked, once it is read.
    async fn ask(
        &self,
        method: &Method,
        headers: &HeaderMap,
        body: Incoming,
    ) -> Result<Ask, Reply> {
        match *method {
            Method::GET => Ok(Ask::Get),
            Method::DELETE => Ok(Ask::Delete),
            Method::POST => {
                let bytes = self.bodies.read(headers, body).await.map_err(|untaken| {
                    closing(reply::refused(untaken.status(), &untaken.to_string()))
                })?;
                let read = client::read(bytes.clone());
                read.map(|read| Ask::Post(bytes, read)).map_err(|refusal| reply::refusal(&refusal))
            }
            _ => {
                let mut answer = reply::empty(StatusCode::METHOD_NOT_ALLOWED);
                let allowed = HeaderValue::from_static("GET, POST, DELETE");
                answer.headers_mut().insert(header::ALLOW, allowed);
                Err(closing(answer))
            }
        }
    }
}

/// An answer after which nothing more is read from this connection: there is more
/// of the request, or whoever sent it should not go on.
fn closing(mut answer: Reply) -> Reply {
    answer.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    answer
}

/// The name in `/NAME/mcp`.
fn name_in(path: &str) -> Option<&str> {
    let (name, rest) = path.strip_prefix('/')?.split_once('/')?;
    (rest == ENDPOINT).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_s_path_is_its_name_and_mcp_and_nothing_else() {
        assert_eq!(name_in("/files/mcp"), Some("files"));
        for path in ["/files", "/files/", "/files/mcp/", "/a/b/mcp", "files/mcp", "//mcp/mcp", "/"]
        {
            assert_eq!(name_in(path).filter(|name| !name.is_empty()), None, "{path}");
        }
    }
}
