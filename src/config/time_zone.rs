//! `time_zone`: where an operator's clock hangs.

use chrono_tz::{TZ_VARIANTS, Tz};

use super::document::Section;
use super::error::Problems;
use super::names::{meant, shortened};

/// Longer than any name of a zone, in bytes.
const LONGEST: usize = 64;

/// Reads the `time_zone` of a section, an IANA name.
pub(super) fn time_zone(section: &Section<'_>, problems: &mut Problems) -> Option<Tz> {
    let (text, place) = section.text("time_zone", problems)?;
    let zone = text.parse().ok();
    if zone.is_none() {
        let message = format!("`time_zone` is \"{}\", not a time zone", shortened(text));
        let remedy = match near(text) {
            Some(zone) => format!("did you mean \"{}\"?", zone.name()),
            None => "write a name such as \"Europe/Berlin\" or \"America/New_York\"; \
                     `timedatectl list-timezones` prints them"
                .to_owned(),
        };
        problems.error(&place, message, remedy);
    }
    zone
}

/// The zone that was probably meant: people write the city alone, or spaces,
/// and offsets and abbreviations, for which there is no one zone.
pub(crate) fn near(text: &str) -> Option<Tz> {
    if text.len() > LONGEST {
        return None;
    }
    let wanted = text.trim().to_lowercase().replace([' ', '-'], "_");
    let city = |zone: &&Tz| {
        let name = zone.name().to_lowercase();
        name.rsplit('/').next() == Some(wanted.as_str()) && name.contains('/')
    };
    if let Some(zone) = TZ_VARIANTS.iter().find(city) {
        return Some(*zone);
    }
    let names: Vec<String> = TZ_VARIANTS.iter().map(|zone| zone.name().to_lowercase()).collect();
    let found = meant(&wanted, names.iter().map(String::as_str).filter(|n| n.contains('/')))?;
    let at = names.iter().position(|name| name == found)?;
    Some(TZ_VARIANTS[at])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_zone_that_was_meant_is_suggested() {
        let near = |text| near(text).map(|zone| zone.name());
        assert_eq!(near("Berlin"), Some("Europe/Berlin"));
        assert_eq!(near("europe/berlin"), Some("Europe/Berlin"));
        assert_eq!(near("Europe/Berln"), Some("Europe/Berlin"));
        assert_eq!(near("new york"), Some("America/New_York"));
        assert_eq!(near("America/New York"), Some("America/New_York"));
        assert_eq!(near("+02:00"), None);
        assert_eq!(near(""), None);
        assert_eq!(near(&"x".repeat(10_000)), None);
    }
}
