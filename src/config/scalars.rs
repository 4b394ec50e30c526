//! The settings that are one value each: their names, ranges and defaults.
//!
//! A value is text with a place, whether it came from the file or from an
//! environment variable, so both pass the same checks.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use lettre::message::Mailbox;

use super::document::Section;
use super::environment::Environment;
use super::error::{Place, Problems, printable};
use super::names::shortened;
use super::smtp::{Secret, Smtp};
use super::{Limits, TlsFiles, duration};

const DAY: u64 = 86_400;

/// What a setting's value is.
#[derive(Debug, Clone, Copy)]
enum Kind {
    Text,
    /// From so many seconds to so many.
    Span(u64, u64),
    /// From so many to so many.
    Count(u64, u64),
}

/// Name (with its section), kind, default.
type Setting = (&'static str, Kind, &'static str);

/// Every setting. `example.toml` documents them in this order.
const SETTINGS: [Setting; 14] = [
    ("listen", Kind::Text, ""),
    ("tls_cert_file", Kind::Text, ""),
    ("tls_key_file", Kind::Text, ""),
    ("smtp_url", Kind::Text, ""),
    ("smtp_password_file", Kind::Text, ""),
    ("from", Kind::Text, ""),
    ("reply_to", Kind::Text, ""),
    ("default_timeout", Kind::Span(5, 7 * DAY), "15m"),
    ("lapse_after", Kind::Span(1, 7 * DAY), "15m"),
    ("lease", Kind::Span(1, DAY), "10m"),
    ("limits.max_arguments_bytes", Kind::Count(1_024, 1_048_576), "262144"),
    ("limits.max_pending_per_caller", Kind::Count(1, 1_000_000), "20000"),
    ("limits.max_pending_per_client", Kind::Count(1, 1_000_000), "2000"),
    ("limits.max_held", Kind::Count(1, 1_000_000), "150000"),
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

/// How a mail server is written.
const SMTP_FORMS: &str = "write smtps://USER@HOST, smtp+starttls://USER@HOST or smtp://localhost, \
                          with %40 for an @ in the user, and the password into a file that \
                          `smtp_password_file` names";

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

    /// Where each setting that was given stands.
    pub fn places(&self) -> BTreeMap<&'static str, Place> {
        self.0.iter().map(|(name, (_, place))| (*name, place.clone())).collect()
    }

    fn text(&self, name: &str) -> Option<(&str, &Place)> {
        self.0.get(name).map(|(text, place)| (text.as_str(), place))
    }

    fn span(&self, name: &str, problems: &mut Problems) -> Duration {
        let found = SETTINGS.iter().find(|(n, ..)| *n == name);
        let Some((_, Kind::Span(least, most), default)) = found else {
            unreachable!("{name} is a span in SETTINGS")
        };
        let default = duration::parse(default).expect("the defaults are durations");
        match self.text(name) {
            Some((text, place)) => {
                span_within(name, text, place, (*least, *most), problems).unwrap_or(default)
            }
            None => default,
        }
    }

    fn count(&self, name: &str, problems: &mut Problems) -> usize {
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

    /// A path; in the file it is relative to the file's folder.
    fn path(&self, name: &str) -> Option<(PathBuf, &Place)> {
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

    /// The limits.
    pub fn limits(&self, problems: &mut Problems) -> Limits {
        Limits {
            max_arguments_bytes: self.count("limits.max_arguments_bytes", problems),
            max_pending_per_caller: self.count("limits.max_pending_per_caller", problems),
            max_pending_per_client: self.count("limits.max_pending_per_client", problems),
            max_held: self.count("limits.max_held", problems),
        }
    }

    /// The TCP address.
    pub fn listen(&self, problems: &mut Problems) -> Option<SocketAddr> {
        let (text, place) = self.text("listen")?;
        let address = text.parse();
        if address.is_err() {
            let message = format!("`listen` is \"{}\", not an address", shortened(text));
            let remedy = "write an IP address and a port, for example 127.0.0.1:4653 or [::]:4653";
            problems.error(place, message, remedy);
        }
        address.ok()
    }

    /// Certificate and key: both or neither, and both readable.
    pub fn tls(&self, problems: &mut Problems) -> Option<TlsFiles> {
        let (cert, key) = (self.path("tls_cert_file"), self.path("tls_key_file"));
        for (name, other, alone) in [
            ("tls_cert_file", "tls_key_file", cert.as_ref().filter(|_| key.is_none())),
            ("tls_key_file", "tls_cert_file", key.as_ref().filter(|_| cert.is_none())),
        ] {
            if let Some((_, place)) = alone {
                let message = format!("`{name}` is set, but `{other}` is not");
                problems.error(place, message, format!("set `{other}`, or take `{name}` away"));
            }
        }
        for (name, file) in [("tls_cert_file", &cert), ("tls_key_file", &key)] {
            let Some((path, place)) = file else { continue };
            if let Err(error) = std::fs::read(path) {
                let message = format!("`{name}` {} cannot be read: {error}", printable(path));
                problems.error(place, message, "name a PEM file that this user can read");
            }
        }
        Some(TlsFiles { cert_file: cert?.0, key_file: key?.0 })
    }

    /// The mail server, with its password from wherever it is.
    pub fn smtp(&self, problems: &mut Problems) -> Option<Smtp> {
        let file = self.path("smtp_password_file");
        let Some((url, place)) = self.text("smtp_url") else {
            if let Some((_, place)) = file {
                let message = "`smtp_password_file` is set, but `smtp_url` is not";
                problems.error(place, message, "set `smtp_url`, or take the password file away");
            }
            return None;
        };
        if self.text("from").is_none() {
            let message = "`smtp_url` is set, but `from` is not";
            let remedy = "add from = \"Holdpoint <holdpoint@example.com>\", with an address that \
                          the server accepts";
            problems.error(place, message, remedy);
        }
        let mut smtp = match Smtp::parse(url) {
            Ok(smtp) => smtp,
            Err(fault) => {
                let message = format!("`smtp_url` (not shown, it may hold a password): {fault}");
                problems.error(place, message, SMTP_FORMS);
                return None;
            }
        };
        if smtp.is_plain_beyond_this_machine() {
            let message = "`smtp_url` would send mail unprotected to another machine";
            let remedy = "use smtps:// (port 465) or smtp+starttls:// (port 587)";
            problems.error(place, message, remedy);
        }
        match (&smtp.user, &smtp.password, file) {
            (_, Some(_), Some((_, place))) => problems.error(
                place,
                "the password stands in `smtp_url` and in `smtp_password_file`",
                "keep one of the two, best the file",
            ),
            (None, _, Some((_, place))) => problems.error(
                place,
                "`smtp_password_file` is set, but `smtp_url` names no user",
                "write the user into the URL: smtps://USER@HOST",
            ),
            (Some(_), None, None) => problems.error(
                place,
                "`smtp_url` names a user, but there is no password",
                "write the password into a file and name it with `smtp_password_file`",
            ),
            (Some(_), None, Some((path, place))) => {
                smtp.password = password(&path, place, problems).map(Secret::new);
            }
            (_, _, None) => {}
        }
        Some(smtp)
    }

    /// The file that holds the mail server's password.
    pub fn smtp_password_file(&self) -> Option<PathBuf> {
        Some(self.path("smtp_password_file")?.0)
    }

    /// The sender of mails, or where answers to them go.
    pub fn mailbox(&self, name: &str, problems: &mut Problems) -> Option<Mailbox> {
        let (text, place) = self.text(name)?;
        let mailbox: Option<Mailbox> =
            text.parse().ok().filter(|_| !text.chars().any(char::is_control));
        if mailbox.is_none() {
            let message = format!("`{name}` is \"{}\", not a mail address", shortened(text));
            let remedy = "write for example Holdpoint <holdpoint@example.com>";
            problems.error(place, message, remedy);
        }
        mailbox
    }
}

/// Reads a duration and checks its range (in seconds).
pub(super) fn span_within(
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

/// The password in a file, if it can be one.
fn password(path: &Path, place: &Place, problems: &mut Problems) -> Option<String> {
    let shown = printable(path);
    let text = std::fs::read_to_string(path).map_err(|error| {
        let message = format!("`smtp_password_file` {shown} cannot be read: {error}");
        problems.error(place, message, "name a file that this user can read");
    });
    let text = text.ok()?;
    let line = text.strip_suffix('\n').unwrap_or(&text);
    let line = line.strip_suffix('\r').unwrap_or(line);
    if line.is_empty() || line.chars().any(char::is_control) {
        let message = format!("`smtp_password_file` {shown} is not one line of text");
        problems.error(place, message, "let it hold the password and nothing else");
        return None;
    }
    Some(line.to_owned())
}
