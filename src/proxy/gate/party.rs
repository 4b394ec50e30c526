//! Who calls, and which server: what a door knows of a client's session.

use std::sync::Mutex;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::definitions::Definitions;
use crate::proxy::locked;
use crate::proxy::message::ToolCall;

/// A client's session, as its door authenticated it.
#[derive(Debug)]
pub struct Party {
    /// The client's authenticated name; empty on stdio, where the session says
    /// who it is.
    pub client: String,
    /// On whose behalf it calls, as the proxy's configuration says; empty if it does
    /// not.
    pub user: String,
    /// What its calls are resumed in: see the design's *scope*.
    pub session: String,
    /// How long a client that offers nothing is kept waiting.
    pub hold: Duration,
    /// Cancelled when the client will not come back.
    over: CancellationToken,
    /// Name and version, as the client said at `initialize`.
    agent: Mutex<(String, String)>,
}

impl Party {
    /// A session of which nothing was said yet.
    pub fn new(client: String, session: String, hold: Duration) -> Party {
        let over = CancellationToken::new();
        Party { client, user: String::new(), session, hold, over, agent: Mutex::default() }
    }

    /// The same on behalf of this user.
    #[must_use]
    pub fn for_user(self, user: String) -> Party {
        Party { user, ..self }
    }

    /// The same for a client that will not come back once this is cancelled: what it
    /// would have to fetch is not run then.
    #[must_use]
    pub fn until(self, over: CancellationToken) -> Party {
        Party { over, ..self }
    }

    /// Cancelled when the client will not come back.
    pub fn over(&self) -> CancellationToken {
        self.over.clone()
    }

    /// Takes note of what the client says of itself.
    pub fn is(&self, name: &str, version: &str) {
        let agent = (cut(name), cut(version));
        *locked(&self.agent) = agent;
    }

    /// Name and version of the agent that makes this call.
    pub fn agent(&self, call: &ToolCall) -> (String, String) {
        match call.client_info() {
            Some((name, version)) => (cut(name), cut(version)),
            None => locked(&self.agent).clone(),
        }
    }
}

/// The daemon takes at most 200 bytes of each.
fn cut(text: &str) -> String {
    let end = (0..=text.len().min(200)).rev().find(|&end| text.is_char_boundary(end));
    text[..end.unwrap_or_default()].to_owned()
}

/// A server as one client's session sees it.
#[derive(Debug)]
pub struct Server {
    /// Its name in the configuration.
    pub name: String,
    /// What its tools are, as far as it was seen.
    pub definitions: Definitions,
}

impl Server {
    /// A server of which nothing was seen yet.
    pub fn new(name: impl Into<String>) -> Server {
        Server { name: name.into(), definitions: Definitions::default() }
    }
}
