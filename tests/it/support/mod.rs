//! What every test needs: a daemon in a state directory of its own, and clients.

pub mod clients;
pub mod daemon;

pub use clients::{Ask, approve, call, deny, get, hold, reason_of, submit, take_use};
pub use daemon::{Home, cli, wait_for};
