//! Sign-ins that fail, counted, so that nobody tries tokens for ever.
//!
//! A token has 192 random bits, so nobody guesses one however often they try; what
//! this bounds is the noise. Who shows a good token is let in whatever others at
//! the same address did: a flood keeps nobody out.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// The time over which failures are counted.
pub const WINDOW: Duration = Duration::from_secs(60);

/// Failures within it, over all addresses: behind a proxy there is only one.
const MOST: usize = 30;

/// The latest failures.
#[derive(Debug, Default)]
pub struct Attempts(Mutex<VecDeque<Instant>>);

impl Attempts {
    /// Counts a failure. `Err`: too many, with the time until the next counts.
    pub fn failed(&self, now: Instant) -> Result<(), Duration> {
        let mut failures = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        while failures.front().is_some_and(|first| now.duration_since(*first) >= WINDOW) {
            failures.pop_front();
        }
        match failures.front() {
            Some(first) if failures.len() >= MOST => Err(WINDOW - now.duration_since(*first)),
            _ => {
                failures.push_back(now);
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn too_many_failures_are_told_to_wait_and_it_passes() {
        let (attempts, now) = (Attempts::default(), Instant::now());
        for _ in 0..MOST {
            attempts.failed(now).expect("counted");
        }
        let wait = attempts.failed(now).expect_err("too many");
        assert_eq!(wait, WINDOW);
        attempts.failed(now + wait).expect("counted again");
    }
}
