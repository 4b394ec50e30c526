//! What the desk refuses, in its own words; doors map them to their codes.

use crate::desk::people::NotOnBehalf;
use crate::store::{Refusal, StoreError};

/// One field of what came in that cannot be taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadField {
    /// Its path in the contract, for example `call.agent.name`.
    pub field: String,
    /// What is wrong, and what would be right. Never repeats the value.
    pub why: String,
}

/// Why the desk did not do what it was asked.
#[derive(Debug, Clone, thiserror::Error)]
pub enum DeskError {
    /// Fields to mend.
    #[error("{}", in_words(.0))]
    BadFields(Vec<BadField>),
    /// The arguments do not mean exactly one thing.
    #[error("{field}: {why}")]
    BadArguments {
        /// `call.arguments` or `call.input_responses`.
        field: &'static str,
        /// What is wrong and where.
        why: String,
    },
    /// The caller may not act for that person.
    #[error(transparent)]
    NotOnBehalf(#[from] NotOnBehalf),
    /// It names a route that there is not.
    #[error(
        "the policy asks that the people of route \"{0}\" agree too, and the daemon has no route of that name; the call was not held"
    )]
    NoSuchRoute(String),
    /// Nobody could approve it.
    #[error("nobody could approve this call: {0}; the call was not held")]
    NotEnoughOperators(String),
    /// As many calls wait as may wait.
    #[error(
        "{0} calls are held, which is the limit (limits.max_held); try again when some have ended"
    )]
    TooManyHeld(usize),
    /// The daemon stops.
    #[error("the daemon is stopping; your request stays as it is: ask again with the same call id")]
    ShuttingDown,
    /// The store said no, or failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl DeskError {
    /// No such request, or not yours: nobody learns which.
    pub fn not_found() -> Self {
        DeskError::Store(StoreError::Refused(Refusal::NotFound))
    }

    /// One field is wrong.
    pub fn field(field: impl Into<String>, why: impl Into<String>) -> Self {
        DeskError::BadFields(vec![BadField { field: field.into(), why: why.into() }])
    }
}

fn in_words(fields: &[BadField]) -> String {
    let said: Vec<String> = fields.iter().map(|f| format!("{}: {}", f.field, f.why)).collect();
    said.join("; ")
}
