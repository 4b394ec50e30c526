//! Times as an operator reads them: in UTC, and on their own clock beside it.

use chrono::{Datelike, NaiveDate};
use chrono_tz::Tz;

use crate::call::time::Time;

/// What is compared when a time is said.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    /// Now.
    pub now: Time,
    /// The reader's own, if it is known.
    pub zone: Option<Tz>,
}

impl Clock {
    /// `14:05 UTC, 16:05 Berlin`, with a date where it is not today there:
    /// `10:00 UTC, 12:00 Berlin on 25 November`,
    /// `23:30 UTC today, 01:30 Berlin on 23 November`.
    pub fn at(&self, time: Time) -> String {
        let (utc, now) = (time.utc(), self.now.utc());
        let utc_day = self.day(utc.date_naive(), now.date_naive());
        let on = |day: &Option<String>| match day {
            Some(day) => format!(" on {day}"),
            None => String::new(),
        };
        let utc = utc.format("%H:%M UTC");
        let Some(zone) = self.zone.filter(|zone| !is_utc(*zone)) else {
            return format!("{utc}{}", on(&utc_day));
        };
        let local = time.utc().with_timezone(&zone);
        let day = self.day(local.date_naive(), now.with_timezone(&zone).date_naive());
        let local = format!("{} {}", local.format("%H:%M"), city(zone));
        if utc_day == day {
            return format!("{utc}, {local}{}", on(&day));
        }
        // One date for both would be wrong for one of them.
        let own = |day: &Option<String>| match day {
            Some(_) => on(day),
            None => " today".to_owned(),
        };
        format!("{utc}{}, {local}{}", own(&utc_day), own(&day))
    }

    /// `14:05 UTC`, for a subject: the reader's own clock if it is known, and no
    /// date, since the mail has one.
    pub fn short(&self, time: Time) -> String {
        match self.zone.filter(|zone| !is_utc(*zone)) {
            None => time.utc().format("%H:%M UTC").to_string(),
            Some(zone) => {
                let local = time.utc().with_timezone(&zone);
                format!("{} {}", local.format("%H:%M"), city(zone))
            }
        }
    }

    /// How long until a deadline, in the unit in which people plan.
    pub fn left(&self, deadline: Time) -> String {
        let seconds = (deadline.left(self.now).as_millis() as u64).div_ceil(1000);
        // Minutes are rounded to the nearest: a letter written 40 ms after the call
        // says 15 min, not 14.
        let minutes = (seconds + 30) / 60;
        match seconds {
            0..120 => format!("{seconds} s"),
            120..5400 => format!("{minutes} min"),
            5400..172_800 => format!("{} h {} min", minutes / 60, minutes % 60),
            _ => format!("{} days {} h", minutes / 1440, minutes % 1440 / 60),
        }
    }

    /// The day, unless it is today.
    fn day(&self, day: NaiveDate, today: NaiveDate) -> Option<String> {
        match (day == today, day.year() == today.year()) {
            (true, _) => None,
            (false, true) => Some(day.format("%-d %B").to_string()),
            (false, false) => Some(day.format("%-d %B %Y").to_string()),
        }
    }
}

/// `Europe/Berlin`'s clocks hang in Berlin.
fn city(zone: Tz) -> String {
    let name = zone.name();
    name.rsplit('/').next().unwrap_or(name).replace('_', " ")
}

/// Whether the zone is UTC itself, which is said anyway.
fn is_utc(zone: Tz) -> bool {
    matches!(zone, Tz::UTC | Tz::Etc__UTC | Tz::Etc__Universal | Tz::Etc__Zulu | Tz::Zulu)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clock(now: &str, zone: Option<Tz>) -> Clock {
        Clock { now: time(now), zone }
    }

    fn time(text: &str) -> Time {
        Time::parse(text).expect("a time")
    }

    #[test]
    fn time_left_is_said_in_the_unit_in_which_people_plan() {
        let clock = Clock { now: Time(1_000_000), zone: None };
        let left = |ms: i64| clock.left(Time(1_000_000 + ms));
        assert_eq!(left(-5), "0 s");
        assert_eq!(left(45_000), "45 s");
        assert_eq!(left(15 * 60_000 - 40), "15 min");
        assert_eq!(left(3 * 3_600_000 + 20 * 60_000), "3 h 20 min");
        assert_eq!(left(7 * 86_400_000), "7 days 0 h");
    }

    #[test]
    fn a_time_is_said_in_utc_and_on_the_readers_own_clock() {
        let summer = "2026-07-22T13:50:00Z";
        let at = |zone, text| clock(summer, zone).at(time(text));
        assert_eq!(at(None, "2026-07-22T14:05:00Z"), "14:05 UTC");
        assert_eq!(at(Some(Tz::UTC), "2026-07-22T14:05:00Z"), "14:05 UTC");
        let berlin = Some(Tz::Europe__Berlin);
        assert_eq!(at(berlin, "2026-07-22T14:05:00Z"), "14:05 UTC, 16:05 Berlin");
        // The offset is that of the time itself, not of now.
        assert_eq!(at(berlin, "2026-12-22T14:05:00Z"), "14:05 UTC, 15:05 Berlin on 22 December");
        let kathmandu = Some(Tz::Asia__Kathmandu);
        assert_eq!(at(kathmandu, "2026-07-22T14:05:00Z"), "14:05 UTC, 19:50 Kathmandu");
        let far = Some(Tz::America__Argentina__Buenos_Aires);
        assert_eq!(at(far, "2026-07-22T14:05:00Z"), "14:05 UTC, 11:05 Buenos Aires");
    }

    #[test]
    fn a_date_is_said_where_it_is_not_today() {
        let evening = "2026-07-22T21:50:00Z";
        let at = |zone, text| clock(evening, zone).at(time(text));
        assert_eq!(at(None, "2026-07-25T10:00:00Z"), "10:00 UTC on 25 July");
        assert_eq!(at(None, "2027-01-01T10:00:00Z"), "10:00 UTC on 1 January 2027");
        let berlin = Some(Tz::Europe__Berlin);
        assert_eq!(at(berlin, "2026-07-25T10:00:00Z"), "10:00 UTC, 12:00 Berlin on 25 July");
        assert_eq!(at(berlin, "2026-07-22T22:10:00Z"), "22:10 UTC today, 00:10 Berlin on 23 July");
        assert_eq!(
            at(berlin, "2026-07-24T23:00:00Z"),
            "23:00 UTC on 24 July, 01:00 Berlin on 25 July"
        );
        // It is the next day there already.
        let tokyo = Some(Tz::Asia__Tokyo);
        assert_eq!(at(tokyo, "2026-07-23T01:00:00Z"), "01:00 UTC on 23 July, 10:00 Tokyo today");
        assert_eq!(clock(evening, tokyo).short(time("2026-07-23T01:00:00Z")), "10:00 Tokyo");
    }
}
