//! One JSON-RPC message: read, and rewritten in one place where it has to be.
//!
//! What a client sends decides what runs, so it is read strictly, once, and
//! whatever could mean two things to two readers is refused ([`client`]). What a
//! server answers is for the client to judge: of that we look only for the parts
//! that we need ([`server`]), and pass the rest on whatever it is.
//!
//! Promises: bytes that need no change stay the bytes they were. Must never:
//! build a message anew from what was read of it.

pub mod call;
pub mod client;
pub mod id;
pub mod scan;
pub mod server;

use crate::call::json::Json;

pub use call::ToolCall;
pub use client::{ClientMessage, Incoming, Kind, Refusal};
pub use id::Id;
pub use server::{Said, ServerMessage};

/// The extension by which a client says that it can wait for a task.
pub const TASKS: &str = "io.modelcontextprotocol/tasks";
/// Where a modern request says which protocol it speaks.
pub const PROTOCOL_VERSION: &str = "io.modelcontextprotocol/protocolVersion";
/// Where a modern request says what its client can do.
pub const CLIENT_CAPABILITIES: &str = "io.modelcontextprotocol/clientCapabilities";
/// Where a modern request says what its client is.
pub const CLIENT_INFO: &str = "io.modelcontextprotocol/clientInfo";

/// How a server says that its tools are others now.
pub const LIST_CHANGED: &str = "notifications/tools/list_changed";

/// Which protocol a request belongs to: what shapes its answer may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Era {
    /// Up to 2025-11-25: a handshake, then a session.
    Legacy,
    /// 2026-07-28 and later: each request says what it needs.
    Modern,
}

impl Era {
    /// The era of a request with these parameters.
    pub fn of(params: Option<&Json>) -> Era {
        let version = params.and_then(|p| p.get("_meta")).and_then(|m| m.get(PROTOCOL_VERSION));
        if version.is_some() { Era::Modern } else { Era::Legacy }
    }
}
