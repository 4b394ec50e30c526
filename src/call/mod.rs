//! What a call, a request and a decision are: values and pure functions on them.
//!
//! Promises: no I/O, no async, no clock of its own (time is an argument), so
//! that property tests and fuzzers reach all of it. Must never: print, log, or
//! keep an unmasked argument in anything that outlives the caller's question.

pub mod amounts;
pub mod breadth;
pub mod canonical;
pub mod clock;
pub mod definition;
pub mod difference;
pub mod digest;
pub mod handle;
pub mod hex;
#[cfg(test)]
pub(crate) mod hostile;
pub mod ids;
pub mod json;
pub mod model;
pub mod place;
pub mod present;
pub mod redact;
pub mod requirement;
pub mod safe_text;
pub mod thousands;
pub mod time;
pub mod wants;
pub mod warnings;
pub(crate) mod words;
