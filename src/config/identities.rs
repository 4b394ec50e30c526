//! `[[callers]]` and `[[operators]]`: who may ask, and who may decide.

use std::collections::BTreeSet;

use chrono_tz::Tz;

use crate::call::time::Time;
use crate::call::wants::Wants;

use super::document::{Item, Section};
use super::error::{Place, Problems};
use super::mail_wishes::{self, QuietHours};
use super::names::{alias_fault, certificate_name_fault, meant, name_fault, shortened};
use super::time_zone::time_zone;
use super::token::{self, TokenHash};

/// A program that may hold calls here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallerConfig {
    /// Unique among callers and operators.
    pub name: String,
    /// One, or two while they are exchanged; none where certificates are enough.
    pub tokens: Vec<TokenConfig>,
    /// Names in client certificates that stand for it.
    pub certificate_names: Vec<String>,
    /// On whose behalf it may act; empty: anyone's.
    pub acts_for: Vec<String>,
    /// Where it stands.
    pub place: Place,
}

/// A person who may decide, or see, or administer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OperatorConfig {
    /// Unique among callers and operators.
    pub name: String,
    /// Where mails for this person go.
    pub email: Option<String>,
    /// Their clock, beside UTC, in mails.
    pub time_zone: Option<Tz>,
    /// Other names of the same person, for telling that a call is their own.
    pub aliases: Vec<String>,
    /// Groups that routes can ask.
    pub groups: BTreeSet<String>,
    /// What this person may do.
    pub roles: Roles,
    /// Which mails they want beside those that ask: `follow_ups`, `reminders`.
    pub wants: Wants,
    /// When they want no reminders, in their time zone.
    pub quiet_hours: Option<QuietHours>,
    /// One, or two while they are exchanged; none where certificates are enough.
    pub tokens: Vec<TokenConfig>,
    /// Names in client certificates that stand for this person.
    pub certificate_names: Vec<String>,
    /// Where it stands.
    pub place: Place,
}

/// A bearer token, as far as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenConfig {
    /// SHA-256 of the token.
    pub sha256: TokenHash,
    /// From then on it is refused.
    pub expires: Option<Time>,
    /// Where it stands.
    pub place: Place,
}

/// What a person may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Roles {
    /// Decide what is routed to them.
    pub operator: bool,
    /// See everything.
    pub auditor: bool,
    /// See everything and confirm the clock.
    pub admin: bool,
}

impl Roles {
    /// The words for them, in a fixed order.
    pub fn words(self) -> Vec<&'static str> {
        let all = [(self.operator, "operator"), (self.auditor, "auditor"), (self.admin, "admin")];
        all.into_iter().filter_map(|(has, word)| has.then_some(word)).collect()
    }
}

pub(super) fn caller(section: &Section<'_>, problems: &mut Problems) -> Option<CallerConfig> {
    section.only(&["name", "tokens", "certificate_names", "acts_for"], problems);
    let acts_for = section.texts("acts_for", problems);
    for (who, place) in &acts_for {
        check_alias("acts_for", who, place, problems);
    }
    let certificate_names = certificate_names(section, problems);
    let tokens = tokens(section, problems);
    let name = name(section, "name = \"proxy-1\"", problems)?;
    Some(CallerConfig {
        name,
        tokens,
        certificate_names,
        acts_for: acts_for.into_iter().map(|(who, _)| who.to_owned()).collect(),
        place: section.place.clone(),
    })
}

/// What stands in `[[operators]]`.
const OPERATOR_KEYS: &[&str] = &[
    "name",
    "email",
    "time_zone",
    "aliases",
    "groups",
    "roles",
    "follow_ups",
    "reminders",
    "quiet_hours",
    "tokens",
    "certificate_names",
];

pub(super) fn operator(section: &Section<'_>, problems: &mut Problems) -> Option<OperatorConfig> {
    section.only(OPERATOR_KEYS, problems);
    let email = section.text("email", problems);
    if let Some((text, place)) = &email {
        check_email(text, place, problems);
    }
    let time_zone = time_zone(section, problems);
    let aliases = section.texts("aliases", problems);
    for (alias, place) in &aliases {
        check_alias("aliases", alias, place, problems);
    }
    let groups = group_names("groups", section, problems);
    let roles = roles(section, problems);
    let certificate_names = certificate_names(section, problems);
    let (wants, quiet_hours) = mail_wishes::read(section, problems);
    let tokens = tokens(section, problems);
    let name = name(section, "name = \"alice\"", problems)?;
    Some(OperatorConfig {
        name,
        email: email.map(|(text, _)| text.to_owned()),
        time_zone,
        aliases: aliases.into_iter().map(|(alias, _)| alias.to_owned()).collect(),
        groups,
        roles,
        wants,
        quiet_hours,
        tokens,
        certificate_names,
        place: section.place.clone(),
    })
}

/// The `name` of a section.
pub(crate) fn name(
    section: &Section<'_>,
    example: &str,
    problems: &mut Problems,
) -> Option<String> {
    let item = section.required("name", example, problems)?;
    let text = item.text(problems)?;
    if let Some(fault) = name_fault(text) {
        let message = format!("the name \"{}\" {fault}", shortened(text));
        problems.error(&item.place(), message, format!("choose another, for example {example}"));
        return None;
    }
    Some(text.to_owned())
}

/// The groups that a key lists.
pub(super) fn group_names(
    key: &str,
    section: &Section<'_>,
    problems: &mut Problems,
) -> BTreeSet<String> {
    let mut groups = BTreeSet::new();
    for (group, place) in section.texts(key, problems) {
        match name_fault(group) {
            None => {
                groups.insert(group.to_owned());
            }
            Some(fault) => {
                let message = format!("the group \"{}\" {fault}", shortened(group));
                problems.error(&place, message, "choose another name, for example ops");
            }
        }
    }
    groups
}

fn check_alias(key: &str, alias: &str, place: &Place, problems: &mut Problems) {
    if let Some(fault) = alias_fault(alias) {
        let message = format!("\"{}\" in `{key}` {fault}", shortened(alias));
        problems.error(place, message, "write a name or a mail address");
    }
}

fn check_email(text: &str, place: &Place, problems: &mut Problems) {
    // lettre parses quoted local parts; a control character within one would
    // still be a line break to somebody's mail server.
    let plain = !text.chars().any(char::is_control) && text.len() <= 254;
    if !plain || text.parse::<lettre::Address>().is_err() {
        let message = format!("`email` is \"{}\", not a mail address", shortened(text));
        problems.error(place, message, "write only the address, for example alice@example.com");
    }
}

fn roles(section: &Section<'_>, problems: &mut Problems) -> Roles {
    let Some(item) = section.item("roles") else {
        return Roles { operator: true, ..Roles::default() };
    };
    let listed = item.texts(problems);
    let mut roles = Roles::default();
    for (word, place) in &listed {
        match *word {
            "operator" => roles.operator = true,
            "auditor" => roles.auditor = true,
            "admin" => roles.admin = true,
            _ => unknown_word("role", word, &["operator", "auditor", "admin"], place, problems),
        }
    }
    if listed.is_empty() {
        let remedy = "list operator, auditor or admin, or take `roles` away for operator alone";
        problems.error(&item.place(), "`roles` lists nothing", remedy);
    }
    roles
}

/// Reports a word that is none of a few.
pub(crate) fn unknown_word(
    what: &str,
    word: &str,
    known: &[&str],
    place: &Place,
    problems: &mut Problems,
) {
    let remedy = match meant(word, known.iter().copied()) {
        Some(near) => format!("did you mean \"{near}\"?"),
        None => format!("known: {}", known.join(", ")),
    };
    problems.error(place, format!("unknown {what} \"{}\"", shortened(word)), remedy);
}

/// The names in client certificates that stand for an identity.
fn certificate_names(section: &Section<'_>, problems: &mut Problems) -> Vec<String> {
    let listed = section.texts("certificate_names", problems);
    for (name, place) in &listed {
        if let Some(fault) = certificate_name_fault(name) {
            let message = format!("\"{}\" in `certificate_names` {fault}", shortened(name));
            let remedy = "write one of the certificate's alternative names as it stands there, \
                          for example proxy-1.example.com, spiffe://corp/proxy-1 or ops@example.com";
            problems.error(place, message, remedy);
        }
    }
    listed.into_iter().map(|(name, _)| name.to_owned()).collect()
}

/// Required unless the identity can be known by a certificate.
fn tokens(section: &Section<'_>, problems: &mut Problems) -> Vec<TokenConfig> {
    let certified = section.item("certificate_names").is_some_and(|names| !names.is_empty_list());
    if section.item("tokens").is_none() && certified {
        return Vec::new();
    }
    needed_tokens(section, problems)
}

/// The tokens of an identity that is known by nothing else.
pub(crate) fn needed_tokens(section: &Section<'_>, problems: &mut Problems) -> Vec<TokenConfig> {
    let example = "tokens = [{ sha256 = \"...\" }], which `holdpoint token new NAME` prints";
    let Some(item) = section.required("tokens", example, problems) else {
        return Vec::new();
    };
    let items = item.list(&format!("write {example}"), problems);
    if items.is_empty() || items.len() > 2 {
        let message = format!("`tokens` has {} entries", items.len());
        let remedy = "give one token, or two while the old one is being replaced";
        problems.error(&item.place(), message, remedy);
    }
    items.iter().filter_map(|item| one_token(item, problems)).collect()
}

/// Never quotes `sha256`: people paste the token itself there.
fn one_token(item: &Item<'_>, problems: &mut Problems) -> Option<TokenConfig> {
    let Some(section) = item.section("tokens") else {
        item.wrong("a table", "write { sha256 = \"...\" }", problems);
        return None;
    };
    section.only(&["sha256", "expires"], problems);
    let expires = section.item("expires").and_then(|item| expiry(&item, problems));
    let item = section.required("sha256", "sha256 = \"64 hex digits\"", problems)?;
    let text = item.text(problems)?;
    let Some(sha256) = TokenHash::parse(text) else {
        let place = item.place();
        if text.starts_with(token::PREFIX) {
            problems.error(
                &place,
                "this is a token (not shown), and its hash belongs here",
                "a token that stood in a file is no secret any more: make another with \
                 `holdpoint token new NAME` and paste the line that it prints",
            );
        } else {
            problems.error(
                &place,
                "`sha256` (not shown) is not 64 hex digits",
                "`holdpoint token hash` reads a token from its input and prints them",
            );
        }
        return None;
    };
    Some(TokenConfig { sha256, expires, place: section.place })
}

fn expiry(item: &Item<'_>, problems: &mut Problems) -> Option<Time> {
    let text = item.time_text(problems)?;
    let time = Time::parse(&text);
    if time.is_none() {
        let message = format!("`expires` is \"{}\", not a time with a zone", shortened(&text));
        problems.error(&item.place(), message, "write for example 2027-01-01T00:00:00Z");
    }
    time
}
