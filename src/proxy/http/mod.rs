//! The HTTP door: many clients, many servers, each at `/NAME/mcp`.
//!
//! ```text
//! connection ──> rules: Host, Origin ──> who: token ──> path ──> body ──> server
//!                    │ no: 403             │ no: 401     │ 404    │ 413
//! ```
//!
//! | part | what it is |
//! |---|---|
//! | [`rules`] | pure: by which names and from which pages the proxy may be reached |
//! | [`who`] | which client a request comes from |
//! | [`body`] | what is read of a request, within bounds |
//! | [`seal`] | session ids that only the client can use to whom they were given |
//! | [`reply`] | what the door answers itself |
//!
//! Promises: whoever is not known learns nothing, not even which servers there
//! are; nobody who is slow, silent or many keeps somebody else from being served.
//! Must never: pass on what a client showed to us.

pub mod accept;
mod batch;
pub mod body;
pub mod door;
pub mod headers;
mod held;
mod passing;
pub mod remote;
pub mod reply;
pub mod rules;
pub mod seal;
pub mod sessions;
pub mod sse;
mod visit;
pub mod who;
