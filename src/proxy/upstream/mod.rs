//! The server behind the proxy, as the gate sees it: something that takes one
//! request and answers it, or does not.

pub mod child;
mod connection;
mod idle;
#[cfg(test)]
mod tests;
pub mod url;

use std::pin::Pin;

use bytes::Bytes;
use tokio_util::sync::CancellationToken;

use super::gate::Reply;
use super::message::{Era, Id, ServerMessage};

/// A request that goes to a server under an id of ours.
#[derive(Debug, Clone)]
pub struct Outgoing {
    /// Its id, which no other request to this server has.
    pub id: Id,
    /// The whole message.
    pub bytes: Bytes,
    /// Its method.
    pub method: &'static str,
    /// The tool that it calls, if it does.
    pub tool: Option<String>,
    /// Which protocol it belongs to.
    pub era: Era,
    /// The token under which the server may tell of its progress.
    pub progress_token: Option<Id>,
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoAnswer {
    /// Not one byte of it reached the server: it did not run.
    #[error("{0}")]
    NotSent(String),
    /// The server may have read it.
    #[error("{0}")]
    Lost(String),
}

/// What [`Upstream::ask`] returns.
pub type Asking<'a> = Pin<Box<dyn Future<Output = Result<ServerMessage, NoAnswer>> + Send + 'a>>;

/// A server, for one client's session.
pub trait Upstream: Send + Sync {
    /// Sends a request and waits for its answer, which comes under the request's
    /// own id. What the server says about the request before that goes to
    /// `relay`. When `cancelled` is, the server is told, and the answer may still
    /// come.
    ///
    /// # Errors
    /// [`NoAnswer::NotSent`] only where that is certain.
    fn ask<'a>(
        &'a self,
        request: Outgoing,
        relay: Option<&'a Reply>,
        cancelled: CancellationToken,
    ) -> Asking<'a>;
}
