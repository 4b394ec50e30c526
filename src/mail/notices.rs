//! What the log says of whether mail goes out: each thing at most once a minute,
//! however often a server comes and goes.
//!
//! Promises: what was held back is said later if it is still so; what was over
//! before it was said never is.

use std::time::Duration;

use tokio::time::Instant;

use super::breaker::Change;

/// How long the same is not said again. Who watches the log needs to know that it
/// is so, not each time.
const QUIET_FOR: Duration = Duration::from_secs(60);

/// What was said when, and what was not said yet.
#[derive(Debug, Default)]
pub struct Notices {
    broke: Option<Instant>,
    mended: Option<Instant>,
    one: Option<Instant>,
    unsaid: Option<Change>,
}

impl Notices {
    /// A letter came to its end, with this change or none. Returns what to say now.
    pub fn changed(&mut self, change: Option<Change>, now: Instant) -> Option<Change> {
        if change.is_some() {
            // The opposite of what nobody was told takes them where they are.
            self.unsaid = if self.unsaid.is_some() { None } else { change };
        }
        let last = match self.unsaid? {
            Change::Broke => &mut self.broke,
            Change::Mended => &mut self.mended,
        };
        if due(last, now) { self.unsaid.take() } else { None }
    }

    /// One letter met what somebody has to mend. Returns whether to say it now.
    pub fn one(&mut self, now: Instant) -> bool {
        due(&mut self.one, now)
    }
}

/// Whether it is time again, and if so, from when it counts.
fn due(last: &mut Option<Instant>, now: Instant) -> bool {
    let due = last.is_none_or(|last| now.duration_since(last) >= QUIET_FOR);
    if due {
        *last = Some(now);
    }
    due
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_that_comes_and_goes_is_said_once_a_minute_each_and_the_last_word_is_true() {
        let (mut notices, start) = (Notices::default(), Instant::now());
        let at = |seconds| start + Duration::from_secs(seconds);
        let (broke, mended) = (Some(Change::Broke), Some(Change::Mended));
        assert_eq!(notices.changed(broke, at(0)), broke);
        assert_eq!(notices.changed(mended, at(1)), mended);
        for second in 1..15 {
            assert_eq!(notices.changed(broke, at(2 * second)), None);
            assert_eq!(notices.changed(mended, at(2 * second + 1)), None);
        }
        assert_eq!(notices.changed(None, at(59)), None, "it goes, as was said");
        assert_eq!(notices.changed(broke, at(59)), None);
        assert_eq!(notices.changed(None, at(60)), broke, "it still does not go");
        assert_eq!(notices.changed(None, at(200)), None);
        assert_eq!(notices.changed(mended, at(201)), mended);
    }

    #[test]
    fn what_one_letter_meets_is_said_once_a_minute() {
        let (mut notices, start) = (Notices::default(), Instant::now());
        let said = (0..180).filter(|s| notices.one(start + Duration::from_secs(*s))).count();
        assert_eq!(said, 3);
    }
}
