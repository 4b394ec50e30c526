//! Points in time, as the store keeps them and the contract prints them.

use std::fmt;
use std::ops::{Add, Sub};
use std::time::Duration;

use chrono::{DateTime, SecondsFormat, Utc};

/// Wall time: milliseconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Time(pub i64);

impl Time {
    /// RFC 3339 in UTC with milliseconds: `2026-11-22T13:05:00.000Z`.
    pub fn rfc3339(self) -> String {
        self.utc().to_rfc3339_opts(SecondsFormat::Millis, true)
    }

    /// As chrono has it. Beyond chrono's range: the epoch, which no clock of ours reaches.
    pub fn utc(self) -> DateTime<Utc> {
        DateTime::from_timestamp_millis(self.0).unwrap_or_default()
    }

    /// Reads any RFC 3339 time.
    pub fn parse(text: &str) -> Option<Self> {
        let at = DateTime::parse_from_rfc3339(text).ok()?;
        Some(Time(at.timestamp_millis()))
    }

    /// How long from `now` until this; zero once it has passed.
    pub fn left(self, now: Time) -> Duration {
        Duration::from_millis(self.0.saturating_sub(now.0).max(0) as u64)
    }
}

impl Add<Duration> for Time {
    type Output = Time;
    fn add(self, by: Duration) -> Time {
        let ms = i64::try_from(by.as_millis()).unwrap_or(i64::MAX);
        Time(self.0.saturating_add(ms))
    }
}

impl Sub<Duration> for Time {
    type Output = Time;
    fn sub(self, by: Duration) -> Time {
        let ms = i64::try_from(by.as_millis()).unwrap_or(i64::MAX);
        Time(self.0.saturating_sub(ms))
    }
}

impl fmt::Debug for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.rfc3339())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_printed_as_it_is_read() {
        let text = "2026-11-22T13:05:00.250Z";
        let time = Time::parse(text).expect("valid");
        assert_eq!(time.rfc3339(), text);
        assert_eq!(Time::parse("2026-11-22T14:05:00.250+01:00"), Some(time));
        assert_eq!(Time::parse("yesterday"), None);
    }
}
