//! Durations as people write them: `90s`, `15m`, `1h30m`, `7d`.

use std::time::Duration;

const UNITS: [(char, u64); 4] = [('d', 86_400), ('h', 3_600), ('m', 60), ('s', 1)];

/// The text is not a duration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a duration: write whole numbers with a unit, for example 90s, 15m, 2h, 1h30m or 7d")]
pub struct NotADuration;

/// Reads a duration: numbers with the units d, h, m, s, each at most once and
/// from the largest to the smallest.
///
/// A bare number is refused, because nobody can tell seconds from minutes.
pub fn parse(text: &str) -> Result<Duration, NotADuration> {
    let mut rest = text.trim();
    let mut units = UNITS.iter();
    let mut seconds: u64 = 0;
    if rest.is_empty() {
        return Err(NotADuration);
    }
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let (number, after) = rest.split_at(digits);
        let letter = after.chars().next().ok_or(NotADuration)?;
        let (_, factor) = units.find(|(unit, _)| *unit == letter).ok_or(NotADuration)?;
        let number: u64 = number.parse().map_err(|_| NotADuration)?;
        let part = number.checked_mul(*factor).ok_or(NotADuration)?;
        seconds = seconds.checked_add(part).ok_or(NotADuration)?;
        rest = &after[letter.len_utf8()..];
    }
    // What chrono and the store can add to any time of ours: 1,000 years.
    if seconds > 1_000 * 365 * 86_400 {
        return Err(NotADuration);
    }
    Ok(Duration::from_secs(seconds))
}

/// Writes a duration so that [`parse`] reads it; parts of a second are dropped.
pub fn text(duration: Duration) -> String {
    let mut seconds = duration.as_secs();
    let mut text = String::new();
    for (unit, factor) in UNITS {
        if seconds >= factor {
            text.push_str(&format!("{}{unit}", seconds / factor));
            seconds %= factor;
        }
    }
    if text.is_empty() { "0s".to_owned() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_written_with_units() {
        let seconds = |text| parse(text).map(|d| d.as_secs());
        assert_eq!(seconds("90s"), Ok(90));
        assert_eq!(seconds("15m"), Ok(900));
        assert_eq!(seconds("1h30m"), Ok(5_400));
        assert_eq!(seconds(" 7d "), Ok(604_800));
        assert_eq!(seconds("0s"), Ok(0));
    }

    #[test]
    fn what_could_mean_two_things_is_no_duration() {
        for text in
            ["", "15", "m", "15 m", "-5m", "1.5h", "5m5m", "5s5m", "15min", "１５m", "5µ", "١s"]
        {
            assert_eq!(parse(text), Err(NotADuration), "{text:?}");
        }
        for text in ["99999999999999999999s", "18446744073709551615d", "2000000d"] {
            assert_eq!(parse(text), Err(NotADuration), "{text:?}");
        }
    }

    #[test]
    fn a_duration_is_read_as_it_is_written() {
        for seconds in [0, 1, 59, 60, 90, 3_600, 5_400, 86_399, 86_400, 694_861] {
            let duration = Duration::from_secs(seconds);
            assert_eq!(parse(&text(duration)), Ok(duration));
        }
        assert_eq!(text(Duration::from_millis(900)), "0s");
        assert_eq!(text(Duration::from_secs(5_400)), "1h30m");
    }
}
