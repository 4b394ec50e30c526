//! Why a measurement could not be made.

use std::fmt::Display;

/// What was being done, and what came in between.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{doing}: {why}")]
pub struct Trouble {
    doing: String,
    why: String,
}

impl Trouble {
    /// It was done, and this came of it.
    pub fn new(doing: impl Into<String>, why: impl Into<String>) -> Trouble {
        Trouble { doing: doing.into(), why: why.into() }
    }
}

/// Names what was being done when an error came.
pub trait During<T> {
    /// The same, with what was being done.
    fn during(self, doing: &str) -> Result<T, Trouble>;
}

impl<T, E: Display> During<T> for Result<T, E> {
    fn during(self, doing: &str) -> Result<T, Trouble> {
        self.map_err(|why| Trouble::new(doing, why.to_string()))
    }
}

impl<T> During<T> for Option<T> {
    fn during(self, doing: &str) -> Result<T, Trouble> {
        self.ok_or_else(|| Trouble::new(doing, "it ended before it was done"))
    }
}
