//! When a letter that could not be delivered is tried again.

use std::time::Duration;

/// The wait after the first failure: long enough for a server that restarts,
/// short beside the fifteen minutes that people usually have to decide.
pub const FIRST_DELAY: Duration = Duration::from_secs(5);

/// The longest wait. A server that comes back after an hour finds the letters
/// of requests that still wait within five minutes.
pub const LONGEST_DELAY: Duration = Duration::from_secs(300);

/// By how much a wait differs from the schedule, up or down, in percent, so
/// that the letters of one burst do not return as one burst.
pub const JITTER_PERCENT: u32 = 20;

/// How long to wait after so many attempts (the first failure is 1). `roll` is
/// any random number; it chooses the place within the jitter.
pub fn delay(attempts: u32, roll: u32) -> Duration {
    // 2^6 * 5 s is beyond the longest delay already.
    let doublings = attempts.saturating_sub(1).min(6);
    let scheduled = (FIRST_DELAY * (1 << doublings)).min(LONGEST_DELAY);
    let percent = 100 - JITTER_PERCENT + roll % (2 * JITTER_PERCENT + 1);
    (scheduled * percent / 100).min(LONGEST_DELAY)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_from_five_seconds_to_five_minutes() {
        let middle = |attempts| delay(attempts, JITTER_PERCENT).as_secs();
        let waits: Vec<u64> = (0..10).map(middle).collect();
        assert_eq!(waits, [5, 5, 10, 20, 40, 80, 160, 300, 300, 300]);
        assert_eq!(middle(u32::MAX), 300);
    }

    #[test]
    fn jitter_stays_within_a_fifth_and_below_the_longest_wait() {
        let all = |attempts| (0..1000u32).map(move |roll| delay(attempts, roll * 7919));
        assert_eq!(all(1).min(), Some(Duration::from_secs(4)));
        assert_eq!(all(1).max(), Some(Duration::from_secs(6)));
        assert_eq!(all(20).min(), Some(Duration::from_secs(240)));
        assert_eq!(all(20).max(), Some(LONGEST_DELAY));
    }
}
