//! Times and durations in words: "12 min", "in 12 min, 14:05 CET".

use std::time::Duration;

use chrono::Datelike;

use super::zone::Zone;
use crate::call::time::Time;
pub use crate::client::boot;

/// A duration as a person says it: its largest unit, or two where that matters.
pub fn duration(length: Duration) -> String {
    let s = length.as_secs();
    match s {
        0..=59 => format!("{s} s"),
        // Whole minutes, rounded up: "1 min left" is truer than "0 min left".
        60..=7_199 => format!("{} min", s.div_ceil(60)),
        7_200..=172_799 => match (s / 3600, s % 3600 / 60) {
            (hours, 0) => format!("{hours} h"),
            (hours, minutes) => format!("{hours} h {minutes} min"),
        },
        _ => match (s / 86_400, s % 86_400 / 3600) {
            (days, 0) => format!("{days} days"),
            (days, hours) => format!("{days} days {hours} h"),
        },
    }
}

/// "in 12 min, 14:05 CET", or "4 min ago, 13:49 CET"; another day is named.
pub fn relative(at: Time, now: Time, zone: &Zone) -> String {
    let clock = clock(at, now, zone);
    if at >= now {
        format!("in {}, {clock}", duration(at.left(now)))
    } else {
        format!("{} ago, {clock}", duration(now.left(at)))
    }
}

/// "14:05 CET", or "25 Nov 14:05 CET" on another day.
pub fn clock(at: Time, now: Time, zone: &Zone) -> String {
    let (local, today) = (zone.at(at.utc()), zone.at(now.utc()));
    let name = zone.name(&local);
    if local.date_naive() == today.date_naive() {
        format!("{} {name}", local.format("%H:%M"))
    } else if local.year() == today.year() {
        format!("{} {name}", local.format("%-d %b %H:%M"))
    } else {
        format!("{} {name}", local.format("%-d %b %Y %H:%M"))
    }
}

/// [`relative`] for a time as the contract has it; empty stays empty.
pub fn relative_text(rfc3339: &str, now: Time, zone: &Zone) -> String {
    Time::parse(rfc3339).map(|at| relative(at, now, zone)).unwrap_or_default()
}

/// [`clock`] for a time as the contract has it; empty stays empty.
pub fn clock_text(rfc3339: &str, now: Time, zone: &Zone) -> String {
    Time::parse(rfc3339).map(|at| clock(at, now, zone)).unwrap_or_default()
}

/// The midnight with which a day begins here. `None` where clocks skip it.
pub fn midnight(day: chrono::NaiveDate) -> Option<Time> {
    let midnight = day.and_time(chrono::NaiveTime::MIN).and_local_timezone(chrono::Local);
    midnight.earliest().map(|at| Time(at.timestamp_millis()))
}

/// The wall clock.
pub fn now() -> Time {
    Time(chrono::Utc::now().timestamp_millis())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_is_said_in_its_largest_units() {
        let said = |s| duration(Duration::from_secs(s));
        assert_eq!(said(5), "5 s");
        assert_eq!(said(61), "2 min");
        assert_eq!(said(840), "14 min");
        assert_eq!(said(7_200), "2 h");
        assert_eq!(said(9_000), "2 h 30 min");
        assert_eq!(said(200_000), "2 days 7 h");
    }

    #[test]
    fn a_time_is_said_with_its_zone_and_another_day_with_its_date() {
        let zone = Zone::fixed(3600, "CET");
        let now = Time::parse("2026-11-22T12:53:00Z").expect("valid");
        let at = |text| relative_text(text, now, &zone);
        assert_eq!(at("2026-11-22T13:05:00Z"), "in 12 min, 14:05 CET");
        assert_eq!(at("2026-11-22T12:49:00Z"), "4 min ago, 13:49 CET");
        assert_eq!(at("2026-11-25T13:05:00Z"), "in 3 days, 25 Nov 14:05 CET");
        assert_eq!(at("2025-11-22T12:53:00Z"), "365 days ago, 22 Nov 2025 13:53 CET");
        assert_eq!(at(""), "");
    }
}
