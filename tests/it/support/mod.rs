//! What every test needs: a daemon in a state directory of its own, and clients.

pub mod browser;
pub mod certificates;
pub mod clients;
pub mod daemon;
pub mod pages;
pub mod tcp;

pub use clients::{Ask, approve, call, deny, get, hold, reason_of, submit, take_use};
pub use daemon::{Home, cli, wait_for};

/// What a test needs is not here. That is said, and with `HOLDPOINT_TESTS_WHOLE`
/// set, as `tests/run` does for root, it is a failure.
pub fn left_out(why: &str) {
    assert!(std::env::var_os("HOLDPOINT_TESTS_WHOLE").is_none(), "not run: {why}");
    eprintln!("not run: {why}");
}
