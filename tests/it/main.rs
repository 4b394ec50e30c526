//! The program from outside: the real `holdpoint` as a process of its own,
//! spoken to through its real doors.
//!
//! | module | what it tries |
//! |---|---|
//! | [`crash`] | kill -9 under load, the client's log against the history |
//! | [`steps`] | kill at each named step of a commit (feature `faults`) |
//! | [`trouble`] | disk, database, clock, files, a second daemon |
//! | [`held`] | callers that vanish, come back, ask twice, in a burst |
//! | [`deciding`] | who may decide, and what happens when two do |
//! | [`hostile`] | arguments and names that mean harm |

mod crash;
mod deciding;
mod held;
mod hostile;
mod model;
#[cfg(feature = "faults")]
mod steps;
mod support;
mod trouble;
