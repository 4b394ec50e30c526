//! Servers that are commands: each client, or each session of one, has a process
//! of its own, spoken to by lines and served over Streamable HTTP.
//!
//! ```text
//! POST ──> local: whose process ──> post ──┬── tools/call ──> gate ──┐
//!                    │                     └── anything else ────────┴──> own ──> process
//! GET ───────────────┴──> mail: what the server says by itself <───────────┘
//! ```
//!
//! | part | what it is |
//! |---|---|
//! | `local` | a server at its path: sessions and clients, and their processes |
//! | `room` | how many processes there may be, and that all of them end |
//! | `process` | one process: started, its standard error logged, ended |
//! | `own` | one process and its one client: ids and tokens, what belongs to whom |
//! | `hear` | what a process says that is no answer |
//! | `mail` | what a server of the older protocol says by itself |
//! | `params` | arguments that stand in headers too |
//! | `post` | what a client posts, and how it is answered |
//! | `first` | how an answer begins: JSON or events, and its status |
//!
//! Promises: ids, environment and state of one client are never seen by another.
//! Must never: leave a process behind.

mod first;
mod hear;
mod local;
mod mail;
mod own;
mod params;
mod post;
pub(in crate::proxy) mod process;
mod room;

pub use local::Local;
pub use room::{Processes, Room};
