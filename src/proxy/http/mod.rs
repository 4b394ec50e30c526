//! The HTTP door: many clients, many servers, each at `/NAME/mcp`.
//!
//! ```text
//! connection ──> rules: Host, Origin ──> who: token ──> path ──> body ──> remote ──> server
//!                    │ no: 403             │ no: 401     │ 404    │ 413     └── gate
//! ```
//!
//! | part | what it is |
//! |---|---|
//! | [`serve`] | all of it put together, opened and closed |
//! | [`accept`], `again` | connections, each in a task of its own; how that is not woken for nothing |
//! | [`door`] | from a request to the server that it is for |
//! | [`rules`] | pure: by which names and from which pages the proxy may be reached |
//! | [`who`] | which client a request comes from |
//! | [`body`] | what is read of a request, within bounds |
//! | [`remote`] | a server behind a URL: what passes as it is, and what does not |
//! | [`child`] | a server that is a command: processes, each for one client alone |
//! | [`headers`] | pure: which headers pass, and what they have to say |
//! | [`seal`], [`sessions`] | session ids that only their client can use; what is known of sessions |
//! | [`sse`] | pure: events, written and read |
//! | [`reply`] | what the door answers itself |
//!
//! Promises: whoever is not known learns nothing, not even which servers there
//! are; nobody who is slow, silent or many keeps somebody else from being served;
//! what a server says passes as it comes. Must never: pass on what a client showed
//! to us.

pub mod accept;
mod again;
mod batch;
pub mod body;
pub mod child;
pub mod door;
pub mod headers;
mod held;
mod passing;
pub mod remote;
pub mod reply;
pub mod rules;
pub mod seal;
pub mod serve;
pub mod sessions;
pub mod sse;
mod visit;
pub mod who;
