//! How much work one call may be.
//!
//! All conditions on the arguments of a call share one budget, on both sides of the
//! document: a call that would be costly under each of many rules is not to be so under
//! all of them. Where the budget has run out, a condition cannot be evaluated.

/// How many steps the conditions on one call may take: some milliseconds.
const STEPS: u64 = 200_000;

/// How many bytes of text are looked at or copied for the price of a step.
const BYTES: usize = 64;

/// What is left of the steps of one call.
#[derive(Debug, Clone, Copy)]
pub struct Budget(u64);

/// Nothing is left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Spent;

impl Default for Budget {
    fn default() -> Budget {
        Budget(STEPS)
    }
}

impl Budget {
    /// Pays for so many steps.
    pub fn steps(&mut self, steps: u64) -> Result<(), Spent> {
        match self.0.checked_sub(steps) {
            Some(rest) => {
                self.0 = rest;
                Ok(())
            }
            None => {
                self.0 = 0;
                Err(Spent)
            }
        }
    }

    /// Pays for a text of so many bytes.
    pub fn bytes(&mut self, bytes: usize) -> Result<(), Spent> {
        self.steps((bytes / BYTES) as u64)
    }
}
