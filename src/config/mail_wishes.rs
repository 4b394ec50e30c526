//! Which mails an operator wants, and when not: `follow_ups`, `reminders`,
//! `quiet_hours` of `[[operators]]`.

use std::fmt;

use chrono::{Days, MappedLocalTime, NaiveDateTime, NaiveTime, TimeZone, Timelike};

use crate::call::model::MailKind;
use crate::call::time::Time;
use crate::call::wants::Wants;

use super::document::Section;
use super::error::Problems;
use super::identities::unknown_word;
use super::names::shortened;

/// A part of each day, by the clock on somebody's wall; never all of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QuietHours {
    from: NaiveTime,
    until: NaiveTime,
}

impl QuietHours {
    /// Reads `22:00-07:00`.
    pub fn parse(text: &str) -> Option<Self> {
        let (from, until) = text.split_once('-')?;
        let time = |text: &str| {
            let two_digits = text.len() == 5 && text.is_ascii();
            two_digits.then(|| NaiveTime::parse_from_str(text, "%H:%M").ok()).flatten()
        };
        let hours = QuietHours { from: time(from.trim())?, until: time(until.trim())? };
        (hours.from != hours.until).then_some(hours)
    }

    /// When they end, if `now` is within them.
    pub fn end<Z: TimeZone>(&self, now: Time, zone: &Z) -> Option<Time> {
        let local = now.utc().with_timezone(zone).naive_local();
        let over_midnight = self.until < self.from;
        let (after, before) = (local.time() >= self.from, local.time() < self.until);
        let end = match (over_midnight, after, before) {
            (false, true, true) | (true, false, true) => local.date().and_time(self.until),
            (true, true, _) => local.date().checked_add_days(Days::new(1))?.and_time(self.until),
            _ => return None,
        };
        Some(moment(end, zone)).filter(|end| *end > now)
    }
}

/// A local time as a moment. Where clocks are put back it comes twice, and the
/// later one is taken; where they are put forward it may not come at all, and the
/// next hour that does is.
fn moment<Z: TimeZone>(mut local: NaiveDateTime, zone: &Z) -> Time {
    // No zone ever left out more than a day.
    for _ in 0..=24 {
        match zone.from_local_datetime(&local) {
            MappedLocalTime::Single(at) | MappedLocalTime::Ambiguous(_, at) => {
                return Time(at.timestamp_millis());
            }
            MappedLocalTime::None => local += chrono::TimeDelta::hours(1),
        }
    }
    Time(local.and_utc().timestamp_millis())
}

impl fmt::Display for QuietHours {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [from, until] = [self.from, self.until].map(|t| (t.hour(), t.minute()));
        write!(f, "{:02}:{:02}-{:02}:{:02}", from.0, from.1, until.0, until.1)
    }
}

/// Reads the three keys.
pub(super) fn read(section: &Section<'_>, problems: &mut Problems) -> (Wants, Option<QuietHours>) {
    let known = |kind: &&MailKind| **kind != MailKind::Reminder;
    let kinds: Vec<MailKind> = Wants::ALL.iter().filter(known).copied().collect();
    let mut wants = Wants::NONE;
    match section.item("follow_ups") {
        None => wants = kinds.iter().copied().fold(wants, Wants::and),
        Some(item) => {
            for (word, place) in item.texts(problems) {
                match kinds.iter().find(|kind| kind.word() == word) {
                    Some(kind) => wants = wants.and(*kind),
                    None => {
                        let words: Vec<&str> = kinds.iter().map(|kind| kind.word()).collect();
                        unknown_word("follow-up", word, &words, &place, problems);
                    }
                }
            }
        }
    }
    let reminders = section.item("reminders").and_then(|item| item.switch(problems));
    if reminders != Some("false") {
        wants = wants.and(MailKind::Reminder);
    }
    let quiet = section.text("quiet_hours", problems).and_then(|(text, place)| {
        let hours = QuietHours::parse(text);
        if hours.is_none() {
            let message = format!("`quiet_hours` is \"{}\", not two times", shortened(text));
            let remedy =
                "write for example \"22:00-07:00\"; they are in the operator's `time_zone`";
            problems.error(&place, message, remedy);
        }
        hours
    });
    (wants, quiet)
}

#[cfg(test)]
mod tests {
    use chrono::{FixedOffset, Utc};

    use super::*;

    fn at(text: &str) -> Time {
        Time::parse(text).expect("a time")
    }

    #[test]
    fn quiet_hours_are_two_different_times_of_day() {
        for good in ["22:00-07:00", "00:00-23:59", "09:30 - 10:00"] {
            assert!(QuietHours::parse(good).is_some(), "{good}");
        }
        for bad in ["", "22-7", "22:00", "24:00-07:00", "7:00-8:00", "07:00-07:00", "a-b", "-"] {
            assert_eq!(QuietHours::parse(bad), None, "{bad}");
        }
        assert_eq!(
            QuietHours::parse("09:30 - 10:00").map(|h| h.to_string()),
            Some("09:30-10:00".to_owned())
        );
    }

    #[test]
    fn quiet_hours_end_on_the_wall_clock_of_who_sleeps() {
        let night = QuietHours::parse("22:00-07:00").expect("hours");
        let noon = QuietHours::parse("12:00-13:00").expect("hours");
        let berlin = FixedOffset::east_opt(3600).expect("a zone");
        let cases = [
            (night, "2026-11-22T21:59:59Z", None),
            (night, "2026-11-22T22:00:00Z", Some("2026-11-23T07:00:00Z")),
            (night, "2026-11-23T06:59:59Z", Some("2026-11-23T07:00:00Z")),
            (night, "2026-11-23T07:00:00Z", None),
            (noon, "2026-11-22T12:30:00Z", Some("2026-11-22T13:00:00Z")),
            (noon, "2026-11-22T13:00:00Z", None),
        ];
        for (hours, now, end) in cases {
            assert_eq!(hours.end(at(now), &Utc), end.map(at), "{now}");
        }
        assert_eq!(
            night.end(at("2026-11-22T21:00:00Z"), &berlin),
            Some(at("2026-11-23T06:00:00Z"))
        );
        assert_eq!(night.end(at("2026-11-22T06:00:00Z"), &berlin), None);
    }
}
