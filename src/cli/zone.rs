//! Local time with the name of its zone ("14:05 CET"), which chrono does not know.
//!
//! chrono knows the offset that holds at an instant; the names of a zone's
//! offsets stand in the last line of its tzfile (RFC 8536, "footer"), for
//! example `CET-1CEST,M3.5.0,M10.5.0/3`. The name whose offset is the one that
//! chrono found is the one to print. Without such a line, the offset itself is
//! printed: `14:05 +01:00`.

use std::fs;
use std::path::Path;

use chrono::{DateTime, FixedOffset, Local, Utc};

/// How instants are shown to a person.
#[derive(Debug, Clone)]
pub struct Zone {
    kind: Kind,
    /// (seconds east of UTC, name), at most two.
    names: Vec<(i32, String)>,
}

#[derive(Debug, Clone)]
enum Kind {
    /// The zone of this machine or of `TZ`.
    Local,
    /// One offset, whatever the instant: for golden files.
    #[cfg_attr(not(test), allow(dead_code))]
    Fixed(FixedOffset),
}

impl Zone {
    /// The zone of `TZ`, else of this machine.
    pub fn local() -> Self {
        let names = footer().map(|footer| names(&footer)).unwrap_or_default();
        Zone { kind: Kind::Local, names }
    }

    /// Always this offset, under this name.
    #[cfg(test)]
    pub fn fixed(east_seconds: i32, name: &str) -> Self {
        let offset = FixedOffset::east_opt(east_seconds).expect("an offset within a day");
        Zone { kind: Kind::Fixed(offset), names: vec![(east_seconds, name.to_owned())] }
    }

    /// The instant as this zone's clocks show it.
    pub fn at(&self, instant: DateTime<Utc>) -> DateTime<FixedOffset> {
        match self.kind {
            Kind::Local => instant.with_timezone(&Local).fixed_offset(),
            Kind::Fixed(offset) => instant.with_timezone(&offset),
        }
    }

    /// What the zone is called at that instant: `CET`, or `+01:00`.
    pub fn name(&self, at: &DateTime<FixedOffset>) -> String {
        let east = at.offset().local_minus_utc();
        let known = self.names.iter().find(|(offset, _)| *offset == east);
        match known {
            Some((_, name)) => name.clone(),
            None if east == 0 => "UTC".to_owned(),
            None => at.format("%:z").to_string(),
        }
    }
}

/// The last line of the tzfile in use, or `TZ` itself where it is such a line.
fn footer() -> Option<String> {
    let from_file = |path: &Path| -> Option<String> {
        let bytes = fs::read(path).ok().filter(|bytes| bytes.starts_with(b"TZif"))?;
        let text = bytes.strip_suffix(b"\n")?;
        let start = text.iter().rposition(|byte| *byte == b'\n')? + 1;
        String::from_utf8(text[start..].to_vec()).ok()
    };
    match std::env::var("TZ") {
        Ok(tz) => {
            let name = tz.strip_prefix(':').unwrap_or(&tz);
            if name.is_empty() {
                return None;
            }
            // An absolute name replaces the folder, which is how TZ is meant.
            from_file(&Path::new("/usr/share/zoneinfo").join(name)).or(Some(name.to_owned()))
        }
        Err(_) => from_file(Path::new("/etc/localtime")),
    }
}

/// Offsets and names of a POSIX TZ string: `std offset [dst [offset]] [,rules]`.
fn names(posix: &str) -> Vec<(i32, String)> {
    let zones = posix.split(',').next().unwrap_or_default();
    let Some((standard, rest)) = name(zones) else {
        return Vec::new();
    };
    let Some((west, rest)) = offset(rest) else {
        return Vec::new();
    };
    let mut found = vec![(-west, standard)];
    if let Some((summer, rest)) = name(rest) {
        // One hour ahead, unless it says otherwise.
        let west = offset(rest).map_or(west - 3600, |(west, _)| west);
        found.push((-west, summer));
    }
    found
}

/// `CET` or `<+03>`, and what follows.
fn name(text: &str) -> Option<(String, &str)> {
    if let Some(quoted) = text.strip_prefix('<') {
        let (name, rest) = quoted.split_once('>')?;
        let plain = name.chars().all(|c| c.is_ascii_alphanumeric() || "+-".contains(c));
        return plain.then(|| (name.to_owned(), rest));
    }
    let end = text.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(text.len());
    (end >= 3).then(|| (text[..end].to_owned(), &text[end..]))
}

/// `[+-]hh[:mm[:ss]]` in seconds, and what follows.
fn offset(text: &str) -> Option<(i32, &str)> {
    let end = text.find(|c: char| !(c.is_ascii_digit() || "+-:".contains(c)));
    let (number, rest) = text.split_at(end.unwrap_or(text.len()));
    let (sign, digits) = match number.strip_prefix('-') {
        Some(digits) => (-1, digits),
        None => (1, number.strip_prefix('+').unwrap_or(number)),
    };
    let mut seconds = 0;
    for (part, unit) in digits.split(':').zip([3600, 60, 1]) {
        seconds += part.parse::<i32>().ok().filter(|n| *n < 168)? * unit;
    }
    Some((sign * seconds, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_names_of_a_zone_are_read_from_its_footer() {
        let named = |posix| names(posix);
        assert_eq!(
            named("CET-1CEST,M3.5.0,M10.5.0/3"),
            [(3600, "CET".to_owned()), (7200, "CEST".to_owned())]
        );
        assert_eq!(named("<+0330>-3:30"), [(12_600, "+0330".to_owned())]);
        assert_eq!(named("UTC0"), [(0, "UTC".to_owned())]);
        assert_eq!(named("EST5EDT"), [(-18_000, "EST".to_owned()), (-14_400, "EDT".to_owned())]);
        assert_eq!(named("\u{1b}[31m"), []);
        assert_eq!(named("<\u{1b}[31m>0"), []);
    }

    #[test]
    fn an_unknown_name_leaves_the_offset() {
        let zone = Zone { names: Vec::new(), ..Zone::fixed(3600, "CET") };
        let at = zone.at(DateTime::from_timestamp(1_700_000_000, 0).expect("in range"));
        assert_eq!(zone.name(&at), "+01:00");
    }
}
