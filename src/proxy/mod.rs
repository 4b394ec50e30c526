//! The MCP policy proxy: between a client and a server, each call of a tool is
//! allowed, denied, or held until a person has answered.
//!
//! ```text
//!   client ──> door ──> message (read strictly) ──┬── anything else ──────────> upstream
//!            stdio│http                           └── tools/call ──> gate ──┬──> upstream
//!                                                       policy, daemon ─────┘
//! ```
//!
//! | part | what it is |
//! |---|---|
//! | [`message`] | pure: one JSON-RPC message, read strictly; where its parts lie |
//! | [`stdio`] | door: our own standard input and output |
//! | [`http`] | door: many clients and servers, over Streamable HTTP |
//! | [`gate`] | the engine: judge, hold, run once, report; knows no transport |
//! | [`upstream`] | the server: a child process, or a URL |
//! | [`state`] | what it remembers over restarts: limits, counters, definitions of tools |
//! | [`config`] | the proxy's TOML file, for the HTTP door |
//! | [`answer`] | pure: what we answer ourselves, per era, and its words |
//! | [`listing`] | a server's tools, asked for by ourselves |
//!
//! Promises: what is not a call of a tool passes as the bytes it was; a call runs
//! only if the policy allows it, or with a use that was taken, once. Must never:
//! let a message through that it could not read in exactly one way.

pub mod answer;
pub mod config;
pub mod gate;
pub mod http;
pub mod lines;
pub mod listing;
pub mod message;
pub mod state;
pub mod stdio;
pub mod upstream;

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// A lock that somebody who panicked held is as good as another: what it guards is
/// changed in one step.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Ends when so much time has passed, and says how much; without a limit, never.
async fn out_of(within: Option<Duration>) -> Duration {
    match within {
        Some(within) => {
            tokio::time::sleep(within).await;
            within
        }
        None => std::future::pending().await,
    }
}
