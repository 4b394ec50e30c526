//! `[[clients]]`: who may call, by which tokens.
//!
//! Tokens are those of the daemon's identities: `holdpoint token new NAME` makes
//! one, and only its hash stands in the file.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::call::time::Time;
use crate::config::document::Section;
use crate::config::names::{fold, name_fault, shortened};
use crate::config::scalars::span_within;
use crate::config::{Place, Problems, TokenConfig, identities};

use super::{ProxyConfig, Reader};

/// How long a call is held for a client that cannot be kept waiting: many give up
/// after 60 s.
pub const DEFAULT_HOLD: Duration = Duration::from_secs(50);

/// A program that may call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientConfig {
    /// Unique among clients; the daemon's operators see it.
    pub name: String,
    /// One, or two while they are exchanged; none for the client without a token.
    pub tokens: Vec<TokenConfig>,
    /// On whose behalf it calls; `None`: nobody's in particular.
    pub user: Option<String>,
    /// How long one attempt is held when the client offers nothing that keeps it
    /// waiting. 1 s to 1 d.
    pub hold: Duration,
    /// Where it stands.
    pub place: Place,
}

impl Reader<'_> {
    pub(super) fn clients(&mut self, top: &Section<'_>) -> Vec<ClientConfig> {
        let unnamed = top.item("without_token").and_then(|item| item.text(self.problems));
        let sections = top.sections("clients", "[[clients]]", self.problems);
        let read = |section| self.client(section, unnamed);
        sections.iter().filter_map(read).collect()
    }

    fn client(&mut self, section: &Section<'_>, unnamed: Option<&str>) -> Option<ClientConfig> {
        section.only(&["name", "tokens", "hold", "user"], self.problems);
        let name = identities::name(section, "name = \"laptop\"", self.problems);
        let needs_none = unnamed.is_some() && name.as_deref() == unnamed;
        let tokens = match section.item("tokens") {
            None if needs_none => Vec::new(),
            _ => identities::needed_tokens(section, self.problems),
        };
        let hold = section.text("hold", self.problems).and_then(|(text, place)| {
            span_within("hold", text, &place, (1, 86_400), self.problems)
        });
        let user = section.text("user", self.problems).and_then(|(text, place)| {
            let Some(fault) = name_fault(text) else { return Some(text.to_owned()) };
            let message = format!("`user` {fault}: \"{}\"", shortened(text));
            self.problems.error(&place, message, "name the person, as the daemon's operators are");
            None
        });
        Some(ClientConfig {
            name: name?,
            tokens,
            user,
            hold: hold.unwrap_or(DEFAULT_HOLD),
            place: section.place.clone(),
        })
    }
}

/// What can only be seen with all of them in view.
pub(super) fn check(config: &ProxyConfig, now: Time, problems: &mut Problems) {
    let mut names = BTreeMap::new();
    let mut tokens: BTreeMap<[u8; 32], &str> = BTreeMap::new();
    for client in &config.clients {
        if let Some(first) = names.insert(fold(&client.name), &client.place) {
            let message = format!("a second client has the name \"{}\"", client.name);
            problems.error(&client.place, message, format!("rename it; the first is at {first}"));
        }
        for token in &client.tokens {
            let Some(other) = tokens.insert(*token.sha256.as_bytes(), &client.name) else {
                continue;
            };
            let message = format!("\"{}\" and \"{other}\" have the same token", client.name);
            let remedy =
                "give every client tokens of its own: `holdpoint token new NAME` makes one";
            problems.error(&token.place, message, remedy);
        }
        expired(client, now, problems);
    }
    if config.clients.is_empty() && config.without_token.is_none() && !problems.any_error() {
        let remedy = "add [[clients]] (`holdpoint token new NAME` makes a token), or, on this \
                      machine, set `without_token` to a name";
        problems.error(&Place::Default, "nobody could call: there are no clients", remedy);
    }
}

fn expired(client: &ClientConfig, now: Time, problems: &mut Problems) {
    let past = |token: &&TokenConfig| token.expires.is_some_and(|at| at <= now);
    let message = match client.tokens.iter().filter(past).count() {
        0 => return,
        n if n == client.tokens.len() => {
            format!("no token of \"{}\" is valid any more", client.name)
        }
        _ => format!("a token of \"{}\" has expired", client.name),
    };
    let remedy = format!("remove it; `holdpoint token new {}` makes another", client.name);
    problems.warning(&client.place, message, remedy);
}
