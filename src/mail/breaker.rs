//! Whether mail goes out at all. While it does not, one letter at a time finds
//! out; thousands that wait do not each pay for an attempt.
//!
//! ```text
//!            a failure that meets all
//!   closed ────────────────────────────> open, for 5 s to 5 min
//!     ^                                    │ then one letter is tried
//!     └──────── any letter got through <───┴───> failed: open for longer
//! ```

use std::time::Duration;

use super::back_off;
use crate::call::time::Time;

/// Open or closed. Time comes in, so that it keeps to the store's clock.
#[derive(Debug, Default)]
pub struct Breaker {
    /// While it is open: until when nothing is tried.
    until: Option<Time>,
    /// Failures in a row.
    failures: u32,
}

/// What has changed, for the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// Mail does not go out any more.
    Broke,
    /// It does again.
    Mended,
}

impl Breaker {
    /// How many letters may be under way now, out of `most`.
    pub fn room(&self, now: Time, most: usize) -> usize {
        match self.until {
            None => most,
            Some(until) => usize::from(until <= now),
        }
    }

    /// What tells a letter that begins now from those that began before the
    /// newest failure: they say nothing new when they fail too.
    pub fn mark(&self) -> u32 {
        self.failures
    }

    /// A letter that began at `mark` met what meets all. `wait` is how long to
    /// wait where that is known, `roll` any random number.
    pub fn failed(
        &mut self,
        mark: u32,
        now: Time,
        wait: Option<Duration>,
        roll: u32,
    ) -> Option<Change> {
        if mark != self.failures {
            return None;
        }
        self.failures = self.failures.saturating_add(1);
        let broke = self.until.is_none();
        self.until = Some(now + wait.unwrap_or_else(|| back_off::delay(self.failures, roll)));
        broke.then_some(Change::Broke)
    }

    /// A letter got as far as its recipient.
    pub fn worked(&mut self) -> Option<Change> {
        self.failures = 0;
        self.until.take().map(|_| Change::Mended)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Time = Time(1_800_000_000_000);
    /// In the middle of the jitter.
    const ROLL: u32 = back_off::JITTER_PERCENT;

    #[test]
    fn an_hour_without_a_server_costs_few_attempts_and_all_flows_afterwards() {
        let (mut breaker, mut now, mut attempts) = (Breaker::default(), START, 0);
        assert_eq!(breaker.room(now, 8), 8);
        let marks = [breaker.mark(); 8];
        let changes: Vec<_> =
            marks.into_iter().filter_map(|m| breaker.failed(m, now, None, ROLL)).collect();
        assert_eq!(changes, [Change::Broke], "eight that failed at once are one failure");
        while now < START + Duration::from_secs(3600) {
            now = now + Duration::from_secs(1);
            if breaker.room(now, 8) > 0 {
                assert_eq!(breaker.room(now, 8), 1);
                attempts += 1;
                assert_eq!(
                    breaker.failed(breaker.mark(), now, None, ROLL),
                    None,
                    "it is said once"
                );
            }
        }
        assert!((12..=20).contains(&attempts), "{attempts}");
        assert_eq!(breaker.worked(), Some(Change::Mended));
        assert_eq!((breaker.worked(), breaker.room(now, 8)), (None, 8));
    }
}
