//! Mail to the operators: what it says, how it travels, and when it is tried.
//!
//! A letter is composed from a request each time it is sent, so that the time
//! left is true, but always with the same `Message-ID`. It goes to an SMTP
//! server or, where none is configured, as an `.eml` file into a folder.
//!
//! Promises: what an agent wrote is only text, in the headers, the plain part
//! and the HTML part alike, and cannot pass for ours; a letter is bounded and
//! says what it leaves out; a failing server costs bounded memory and time.
//! Must never: be a gate (nothing waits for a mail), put a password into a log
//! or an error, decide what happens to a request.

mod back_off;
mod breaker;
mod content;
mod folder;
mod html;
mod limits;
mod notices;
mod plain;
mod prepare;
mod schedule;
mod smtp;
mod subject;
mod thread;

pub mod letter;
pub mod transport;
pub mod worker;

#[cfg(test)]
mod tests;
