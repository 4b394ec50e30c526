//! The daemon's gRPC doors: three services, reflection and health.
//!
//! Promises: every method knows who is calling from the credential alone; every error
//! carries a machine-readable reason. Must never: decide anything itself.

pub mod auth;
mod caller;
pub(crate) mod convert;
mod counted;
mod definitions;
pub mod errors;
mod for_all;
mod history;
mod operator;
mod outbox;
pub mod server;
#[cfg(test)]
mod tests;

use tonic::{Code, Status};

use errors::{bad_field, refuse};

/// Entries on a page, when nobody says.
const PAGE: usize = 50;
/// And at most.
const LARGEST_PAGE: u32 = 500;

fn page_size(asked: u32) -> Result<usize, Status> {
    match asked {
        0 => Ok(PAGE),
        1..=LARGEST_PAGE => Ok(asked as usize),
        _ => Err(bad_field(
            "page_size",
            &format!("{asked}; 1 to {LARGEST_PAGE} are taken, 0 for {PAGE}"),
        )),
    }
}

fn bad_page_token() -> Status {
    refuse(
        Code::InvalidArgument,
        "BAD_PAGE_TOKEN",
        "this page token belongs to another question; use the token of the page before with the same filters",
    )
}
