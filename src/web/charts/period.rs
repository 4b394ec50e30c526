//! The stretch of time that the charts are about, and its parts.

use chrono::{Days, Timelike as _};
use chrono_tz::Tz;

use crate::call::clock::Clock;
use crate::call::time::Time;
use crate::web::history::filter::on;

/// Which.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Period {
    /// By the hour.
    Day,
    /// By the day, as those that follow.
    Week,
    /// Thirty days.
    Month,
    /// Ninety days.
    Quarter,
}

impl Period {
    /// All of them.
    pub const ALL: [Period; 4] = [Period::Day, Period::Week, Period::Month, Period::Quarter];

    /// As an address has it.
    pub fn word(self) -> &'static str {
        match self {
            Period::Day => "24h",
            Period::Week => "7d",
            Period::Month => "30d",
            Period::Quarter => "90d",
        }
    }

    /// Reads it; a week where it is none of them.
    pub fn of(word: &str) -> Period {
        Period::ALL.into_iter().find(|period| period.word() == word).unwrap_or(Period::Week)
    }

    /// In words.
    pub fn words(self) -> &'static str {
        match self {
            Period::Day => "24 hours",
            Period::Week => "7 days",
            Period::Month => "30 days",
            Period::Quarter => "90 days",
        }
    }

    /// What one part is.
    pub fn part(self) -> &'static str {
        if self == Period::Day { "hour" } else { "day" }
    }

    fn parts(self) -> u32 {
        match self {
            Period::Day => 24,
            Period::Week => 7,
            Period::Month => 30,
            Period::Quarter => 90,
        }
    }

    /// Where the parts begin, on the reader's clock, and the end of the last one, in
    /// which we are. A day on which clocks are put forward has 23 hours.
    pub fn edges(self, clock: &Clock) -> Vec<Time> {
        let zone = clock.zone.unwrap_or(Tz::UTC);
        let here = clock.now.utc().with_timezone(&zone);
        let parts = self.parts();
        if self == Period::Day {
            let (minutes, seconds) = (i64::from(here.minute()), i64::from(here.second()));
            let into = (minutes * 60 + seconds) * 1000 + clock.now.0.rem_euclid(1000);
            let hour = |n: u32| {
                Time(clock.now.0 - into + (i64::from(n) + 1 - i64::from(parts)) * 3_600_000)
            };
            return (0..=parts).map(hour).collect();
        }
        let day = |n: u32| {
            let days = Days::new(u64::from(parts));
            let first = here.date_naive().checked_sub_days(days)?;
            on((first + Days::new(u64::from(n) + 1)).and_time(chrono::NaiveTime::MIN), zone)
        };
        (0..=parts).filter_map(day).collect()
    }

    /// A part by where it begins: `22 November`, `14:00`.
    pub fn label(self, clock: &Clock, begins: Time) -> String {
        let local = begins.utc().with_timezone(&clock.zone.unwrap_or(Tz::UTC));
        local.format(if self == Period::Day { "%H:%M" } else { "%-d %b" }).to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clock(now: &str, zone: Tz) -> Clock {
        Clock { now: Time::parse(now).expect("a time"), zone: Some(zone) }
    }

    #[test]
    fn the_parts_of_a_period_are_the_readers_own_days_and_hours() {
        // Clocks there were put forward on 29 March 2026.
        let berlin = clock("2026-03-30T10:20:30.456Z", Tz::Europe__Berlin);
        for (period, parts) in
            [(Period::Day, 24), (Period::Week, 7), (Period::Month, 30), (Period::Quarter, 90)]
        {
            let edges = period.edges(&berlin);
            assert_eq!(edges.len(), parts + 1);
            assert!(
                edges.is_sorted() && edges[parts] > berlin.now && edges[parts - 1] <= berlin.now
            );
        }
        let days = Period::Week.edges(&berlin);
        let hours: Vec<i64> = days.windows(2).map(|d| (d[1].0 - d[0].0) / 3_600_000).collect();
        assert_eq!(hours, [24, 24, 24, 24, 24, 23, 24]);
        assert_eq!(days[0].rfc3339(), "2026-03-23T23:00:00.000Z");
        assert_eq!(Period::Week.label(&berlin, days[0]), "24 Mar");
        let kolkata = clock("2026-03-30T10:20:30Z", Tz::Asia__Kolkata);
        let hours = Period::Day.edges(&kolkata);
        assert_eq!(Period::Day.label(&kolkata, hours[23]), "15:00");
        assert_eq!(hours[23].rfc3339(), "2026-03-30T09:30:00.000Z");
    }

    #[test]
    fn a_period_comes_back_from_its_address() {
        assert!(Period::ALL.iter().all(|period| Period::of(period.word()) == *period));
        assert_eq!(Period::of("for ever"), Period::Week);
    }
}
