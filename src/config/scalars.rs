//! The settings that are one value each: their names, ranges and defaults.
//!
//! A value is text with a place, whether it came from the file or from an
//! environment variable, so both pass the same checks.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::document::Section;
use super::environment::Environment;
use super::error::{Place, Problems};
use super::names::shortened;
use super::{Limits, PublicUrl, TlsFiles, credential, duration, tls};

const DAY: u64 = 86_400;

/// What a setting's value is.
#[derive(Debug, Clone, Copy)]
enum Kind {
    Text,
    /// From so many seconds to so many.
    Span(u64, u64),
    /// From so many to so many.
    Count(u64, u64),
    /// True or false.
    Switch,
}

/// Name (with its section), kind, default.
type Setting = (&'static str, Kind, &'static str);

/// Every setting. `example.toml` documents them in this order.
const SETTINGS: [Setting; 28] = [
    ("listen", Kind::Text, ""),
    ("tls_cert_file", Kind::Text, ""),
    ("tls_key_file", Kind::Text, ""),
    ("tls_min_version", Kind::Text, "1.2"),
    ("tls_client_ca_file", Kind::Text, ""),
    ("metrics_listen", Kind::Text, ""),
    ("web_listen", Kind::Text, ""),
    ("public_url", Kind::Text, ""),
    ("smtp_url", Kind::Text, ""),
    ("smtp_password_file", Kind::Text, ""),
    ("smtp_auth", Kind::Text, "auto"),
    ("smtp_tls_ca_file", Kind::Text, ""),
    ("smtp_allow_unencrypted", Kind::Switch, "false"),
    ("smtp_connections", Kind::Count(1, 32), "4"),
    ("mail_folder_keep", Kind::Count(1, 1_000_000), "10000"),
    ("from", Kind::Text, ""),
    ("reply_to", Kind::Text, ""),
    ("mails_per_minute", Kind::Count(1, 1_000), "5"),
    ("default_timeout", Kind::Span(5, 7 * DAY), "15m"),
    ("lapse_after", Kind::Span(1, 7 * DAY), "15m"),
    ("lease", Kind::Span(1, DAY), "10m"),
    ("retention", Kind::Span(DAY, 3650 * DAY), ""),
    ("limits.max_arguments_bytes", Kind::Count(1_024, 1_048_576), "262144"),
    ("limits.max_pending_per_caller", Kind::Count(1, 1_000_000), "20000"),
    ("limits.max_pending_per_client", Kind::Count(1, 1_000_000), "2000"),
    ("limits.max_held", Kind::Count(1, 1_000_000), "150000"),
    // Fewer than 16 would leave no room for people beside a few programs.
    ("limits.max_connections", Kind::Count(16, 100_000), "4096"),
    ("limits.max_connections_per_address", Kind::Count(1, 100_000), "1024"),
];

/// The variable for a setting.
fn variable(name: &str) -> String {
    format!("HOLDPOINT_{}", name.replace('.', "_").to_uppercase())
}

/// All variables that are settings.
pub(super) fn variables() -> Vec<String> {
    SETTINGS.iter().map(|(name, ..)| variable(name)).collect()
}

/// The names of the settings of one section (empty: the top).
pub(super) fn names(section: &str) -> impl Iterator<Item = &'static str> + '_ {
    SETTINGS.iter().filter_map(move |(name, ..)| match name.split_once('.') {
        Some((within, key)) => (within == section).then_some(key),
        None => section.is_empty().then_some(*name),
    })
}

/// The longest and shortest time-out of a request.
pub(super) const TIMEOUT: (u64, u64) = (5, 7 * DAY);

/// The values that were given. Not `Debug`: one of them may hold a password.
#[derive(Default)]
pub(super) struct Given(BTreeMap<&'static str, (String, Place)>);

impl Given {
    /// Reads the settings of one section of the file.
    pub fn read_file(&mut self, section: &Section<'_>, within: &str, problems: &mut Problems) {
        for (name, kind, _) in SETTINGS {
            let (inside, key) = name.split_once('.').unwrap_or(("", name));
            let Some(item) = section.item(key).filter(|_| inside == within) else {
                continue;
            };
            let text = match kind {
                Kind::Count(..) => item.digits(problems),
                Kind::Switch => item.switch(problems).map(str::to_owned),
                Kind::Text | Kind::Span(..) => item.text(problems).map(str::to_owned),
            };
            if let Some(text) = text {
                self.0.insert(name, (text, item.place()));
            }
        }
    }

    /// Reads the variables, which win over the file.
    pub fn read_environment(&mut self, environment: &Environment, problems: &mut Problems) {
        for (name, ..) in SETTINGS {
            let variable = variable(name);
            if let Some(text) = environment.text(&variable, problems) {
                self.0.insert(name, (text.to_owned(), Place::Variable(variable)));
            }
        }
    }

    /// Puts the file that systemd passed in place of each `credential:NAME`.
    pub fn find_credentials(&mut self, environment: &Environment, problems: &mut Problems) {
        for (key, (text, place)) in &mut self.0 {
            if key.ends_with("_file")
                && let Some(file) = credential::file(key, text, place, environment, problems)
            {
                *text = file;
            }
        }
    }

    /// Where each setting that was given stands.
    pub fn places(&self) -> BTreeMap<&'static str, Place> {
        self.0.iter().map(|(name, (_, place))| (*name, place.clone())).collect()
    }

    pub(super) fn text(&self, name: &str) -> Option<(&str, &Place)> {
        self.0.get(name).map(|(text, place)| (text.as_str(), place))
    }

    fn span(&self, name: &str, problems: &mut Problems) -> Duration {
        let (_, _, default) = SETTINGS.iter().find(|(n, ..)| *n == name).expect("a setting");
        let default = duration::parse(default).expect("the defaults are durations");
        self.span_if_given(name, problems).unwrap_or(default)
    }

    fn span_if_given(&self, name: &str, problems: &mut Problems) -> Option<Duration> {
        let found = SETTINGS.iter().find(|(n, ..)| *n == name);
        let Some((_, Kind::Span(least, most), _)) = found else {
            unreachable!("{name} is a span in SETTINGS")
        };
        let (text, place) = self.text(name)?;
        span_within(name, text, place, (*least, *most), problems)
    }

    pub(super) fn count(&self, name: &str, problems: &mut Problems) -> usize {
        let found = SETTINGS.iter().find(|(n, ..)| *n == name);
        let Some((_, Kind::Count(least, most), default)) = found else {
            unreachable!("{name} is a count in SETTINGS")
        };
        let default: usize = default.parse().expect("the defaults are numbers");
        let Some((text, place)) = self.text(name) else {
            return default;
        };
        match text.parse::<u64>() {
            Ok(number) if (*least..=*most).contains(&number) => number as usize,
            _ => {
                let message = format!("`{name}` is \"{}\", out of range", shortened(text));
                let remedy = format!("write a whole number from {least} to {most}");
                problems.error(place, message, remedy);
                default
            }
        }
    }

    pub(super) fn switch(&self, name: &str, problems: &mut Problems) -> bool {
        match self.text(name) {
            None | Some(("false", _)) => false,
            Some(("true", _)) => true,
            Some((text, place)) => {
                let message = format!("`{name}` is \"{}\"", shortened(text));
                problems.error(place, message, "write true or false");
                false
            }
        }
    }

    /// A path; in the file it is relative to the file's folder.
    pub(super) fn path(&self, name: &str) -> Option<(PathBuf, &Place)> {
        let (text, place) = self.text(name)?;
        let folder = match place {
            Place::File { path, .. } => path.parent(),
            _ => None,
        };
        Some((folder.unwrap_or(Path::new("")).join(text), place))
    }

    /// How long people have by default.
    pub fn default_timeout(&self, problems: &mut Problems) -> Duration {
        self.span("default_timeout", problems)
    }

    /// How long an approval may stay unused.
    pub fn lapse_after(&self, problems: &mut Problems) -> Duration {
        self.span("lapse_after", problems)
    }

    /// How long a use runs before it has to be renewed.
    pub fn lease(&self, problems: &mut Problems) -> Duration {
        self.span("lease", problems)
    }

    /// How long history and ended requests are kept.
    pub fn retention(&self, problems: &mut Problems) -> Option<Duration> {
        self.span_if_given("retention", problems)
    }

    /// How many mails one operator gets in a minute.
    pub fn mails_per_minute(&self, problems: &mut Problems) -> u32 {
        self.count("mails_per_minute", problems) as u32
    }

    /// The limits.
    pub fn limits(&self, problems: &mut Problems) -> Limits {
        Limits {
            max_arguments_bytes: self.count("limits.max_arguments_bytes", problems),
            max_pending_per_caller: self.count("limits.max_pending_per_caller", problems),
            max_pending_per_client: self.count("limits.max_pending_per_client", problems),
            max_held: self.count("limits.max_held", problems),
            max_connections: self.count("limits.max_connections", problems),
            max_connections_per_address: self.count("limits.max_connections_per_address", problems),
        }
    }

    /// The TCP address.
    pub fn listen(&self, problems: &mut Problems) -> Option<SocketAddr> {
        self.address("listen", "4653", problems)
    }

    /// The address for monitoring.
    pub fn metrics_listen(&self, problems: &mut Problems) -> Option<SocketAddr> {
        self.address("metrics_listen", "4656", problems)
    }

    /// The address for the operators' pages.
    pub fn web_listen(&self, problems: &mut Problems) -> Option<SocketAddr> {
        self.address("web_listen", "4654", problems)
    }

    /// Where operators find the pages.
    pub fn public_url(&self, problems: &mut Problems) -> Option<PublicUrl> {
        let (text, place) = self.text("public_url")?;
        match PublicUrl::parse(text) {
            Ok(url) => Some(url),
            Err(why) => {
                let message = format!("`public_url` is \"{}\": {why}", shortened(text));
                let remedy = "write scheme and host, for example https://approve.example.com";
                problems.error(place, message, remedy);
                None
            }
        }
    }

    fn address(&self, name: &str, port: &str, problems: &mut Problems) -> Option<SocketAddr> {
        let (text, place) = self.text(name)?;
        let address = text.parse();
        if address.is_err() {
            let message = format!("`{name}` is \"{}\", not an address", shortened(text));
            let remedy = format!(
                "write an IP address and a port, for example 127.0.0.1:{port} or [::]:{port}"
            );
            problems.error(place, message, remedy);
        }
        address.ok()
    }

    /// Certificate, key and what clients have to bring.
    pub fn tls(&self, problems: &mut Problems) -> Option<TlsFiles> {
        tls::read(self, problems)
    }
}

/// Reads a duration and checks its range (in seconds).
pub(crate) fn span_within(
    name: &str,
    text: &str,
    place: &Place,
    (least, most): (u64, u64),
    problems: &mut Problems,
) -> Option<Duration> {
    let shown = shortened(text);
    let limits = [least, most].map(|seconds| duration::text(Duration::from_secs(seconds)));
    let remedy = format!(
        "write a number and a unit (s, m, h, d), for example 90s, 15m, 2h; from {} to {}",
        limits[0], limits[1]
    );
    match duration::parse(text) {
        Ok(found) if (least..=most).contains(&found.as_secs()) => return Some(found),
        Ok(_) => problems.error(place, format!("`{name}` is \"{shown}\", out of range"), remedy),
        Err(_) => problems.error(place, format!("`{name}` is \"{shown}\", not a duration"), remedy),
    }
    None
}
