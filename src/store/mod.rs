//! The only place with SQL: requests, decisions, uses, mail and the audit chain
//! in one SQLite database.
//!
//! ```text
//!  desk ── transition ──> queue ──> writer thread ── BEGIN IMMEDIATE
//!                                     │                 SAVEPOINT, one transition, RELEASE   (each its own)
//!                                     │              COMMIT  (WAL, synchronous=FULL: on disk)
//!                                     ├── events ──> desk wakes waiters, feeds watchers
//!                                     └── answers ─> whoever asked
//!  desk ── read ───────────────────> a pool of read-only connections
//! ```
//!
//! Promises: an answer leaves only after its transition is on disk; a transition
//! that fails undoes itself and none of its neighbours; every transition writes
//! its audit entry in the same transaction. When a commit fails, everything in
//! that batch is answered *unknown* and the database is reopened before the next.
//!
//! Must never: know who is waiting, route, or decide who may do what. Those
//! questions come in as functions; see [`submit::Attach`] and [`decide::Entitled`].
//!
//! A transition is a plain function of a [`tx::Tx`] and its input, so tests can
//! drive millions of them without the thread.

pub mod aside;
pub mod audit;
pub mod chain;
pub mod change;
pub mod charts;
pub mod clock;
pub mod copy;
pub mod decide;
pub mod definitions;
pub mod earlier;
pub mod ending;
pub mod error;
pub mod export;
pub mod find;
mod handle;
pub mod mail;
pub mod pending;
mod place;
pub mod query;
pub mod reach;
pub mod read;
pub mod reader;
pub mod record;
pub mod restored;
pub mod retention;
mod row;
pub mod schema;
pub mod sign_ins;
pub mod submit;
pub mod text_index;
pub mod tx;
pub mod uses;
pub mod verify;
pub mod vitals;
pub mod whole;
mod writer;

#[cfg(test)]
pub(crate) mod tests;

pub use error::{Refusal, StoreError};
pub use handle::{Health, STUCK, Store, StoreOptions, Walk};
pub use tx::{Event, Tx};
