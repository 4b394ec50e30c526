//! `[[routes]]`: who decides which requests, how many of them, within which time.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use globset::{Glob, GlobBuilder};

use crate::call::model::{Category, Risk};

use super::document::Section;
use super::error::{Place, Problems};
use super::identities::{group_names, name, unknown_word};
use super::names::shortened;
use super::scalars::{TIMEOUT, span_within};

/// The name of the route for calls that no route matches.
pub const BUILT_IN: &str = "built-in";

/// Globs longer than this are refused: names of servers and tools have at most
/// 200 bytes, and it bounds what a pattern can cost.
const GLOB_MAX: usize = 400;

/// The longest name of a label that a call can have, in bytes.
const LABEL_MAX: usize = 64;

/// One line of who decides what. An empty filter matches everything.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RouteConfig {
    /// Unique among routes.
    pub name: String,
    /// Patterns for the server's name; any of them.
    pub servers: Vec<Glob>,
    /// Patterns for the tool's name; any of them.
    pub tools: Vec<Glob>,
    /// Any of these categories, or an unsaid one.
    pub categories: Vec<Category>,
    /// Any of these risks, or an unsaid one.
    pub risks: Vec<Risk>,
    /// Labels that the call has to have, each with a pattern for its value.
    pub labels: BTreeMap<String, Glob>,
    /// Members of any of these groups are asked; empty: every operator.
    pub ask: BTreeSet<String>,
    /// How many distinct people must approve.
    pub approvals: u32,
    /// How long they have; `None`: the route does not say.
    pub timeout: Option<Duration>,
    /// The link of a mail does not decide: people have to sign in.
    pub require_sign_in: bool,
    /// Where it stands.
    pub place: Place,
}

pub(super) fn route(section: &Section<'_>, problems: &mut Problems) -> Option<RouteConfig> {
    let known = [
        "name",
        "servers",
        "tools",
        "categories",
        "risks",
        "labels",
        "ask",
        "approvals",
        "timeout",
        "require_sign_in",
    ];
    section.only(&known, problems);
    for key in ["servers", "tools", "categories", "risks"] {
        not_empty(key, section, problems);
    }
    let timeout = section
        .text("timeout", problems)
        .and_then(|(text, place)| span_within("timeout", text, &place, TIMEOUT, problems));
    let approvals = section.item("approvals").map(|item| item.number(1..=100, problems));
    let switch = section.item("require_sign_in").and_then(|item| item.switch(problems));
    let servers = globs("servers", section, problems);
    let tools = globs("tools", section, problems);
    let categories = categories(section, problems);
    let risks = risks(section, problems);
    let labels = labels(section, problems);
    let ask = group_names("ask", section, problems);
    let name = name(section, "name = \"deletes\"", problems)?;
    if name.to_lowercase() == BUILT_IN {
        let message = format!("the name \"{name}\" belongs to the route for all other calls");
        problems.error(&section.place, message, "choose another name for this route");
    }
    Some(RouteConfig {
        name,
        servers,
        tools,
        categories,
        risks,
        labels,
        ask,
        approvals: approvals.flatten().unwrap_or(1),
        timeout,
        require_sign_in: switch == Some("true"),
        place: section.place.clone(),
    })
}

/// An empty filter could be meant as "none" or as "all": neither is guessed.
fn not_empty(key: &str, section: &Section<'_>, problems: &mut Problems) {
    let Some(item) = section.item(key) else {
        return;
    };
    if item.is_empty_list() {
        let message = format!("`{key}` lists nothing");
        problems.error(&item.place(), message, format!("take `{key}` away to match all of them"));
    }
}

fn globs(key: &str, section: &Section<'_>, problems: &mut Problems) -> Vec<Glob> {
    let texts = section.texts(key, problems);
    texts.into_iter().filter_map(|(text, place)| glob(key, text, &place, problems)).collect()
}

fn glob(key: &str, text: &str, place: &Place, problems: &mut Problems) -> Option<Glob> {
    let shown = shortened(text);
    if text.is_empty() || text.len() > GLOB_MAX {
        let message = format!("the pattern \"{shown}\" in `{key}` is empty or too long");
        let remedy = format!("write 1 to {GLOB_MAX} bytes, such as \"*delete*\"");
        problems.error(place, message, remedy);
        return None;
    }
    match GlobBuilder::new(text).literal_separator(false).build() {
        Ok(glob) => Some(glob),
        Err(error) => {
            // Its text quotes characters of the pattern.
            let fault = shortened(&error.kind().to_string());
            let message = format!("the pattern \"{shown}\" in `{key}` is not valid: {fault}");
            let remedy = "* stands for any text, ? for one byte, [abc] for one of these, \
                          {a,b} for either; \\ takes the next character as it is";
            problems.error(place, message, remedy);
            None
        }
    }
}

/// `labels = { team = "platform", env = "prod-*" }`
fn labels(section: &Section<'_>, problems: &mut Problems) -> BTreeMap<String, Glob> {
    let Some(table) = section.section("labels", "labels = { team = \"platform\" }", problems)
    else {
        return BTreeMap::new();
    };
    let mut labels = BTreeMap::new();
    for item in table.entries() {
        if item.key().is_empty() || item.key().len() > LABEL_MAX {
            let message = format!("the label \"{}\" is empty or too long", shortened(item.key()));
            problems.error(&item.place(), message, format!("names have 1 to {LABEL_MAX} bytes"));
            continue;
        }
        let text = item.text(problems);
        let glob = text.and_then(|text| glob("labels", text, &item.place(), problems));
        labels.extend(glob.map(|glob| (item.key().to_owned(), glob)));
    }
    if table.entries().next().is_none() {
        let remedy = "take `labels` away to match all of them";
        problems.error(&table.place, "`labels` lists nothing".to_owned(), remedy);
    }
    labels
}

fn categories(section: &Section<'_>, problems: &mut Problems) -> Vec<Category> {
    let known: Vec<&str> = Category::ALL.iter().skip(1).map(|c| c.word()).collect();
    words("category", "categories", section, &known, Category::from_word, problems)
}

fn risks(section: &Section<'_>, problems: &mut Problems) -> Vec<Risk> {
    let known: Vec<&str> = Risk::ALL.iter().skip(1).map(|r| r.word()).collect();
    words("risk", "risks", section, &known, Risk::from_word, problems)
}

fn words<T>(
    what: &str,
    key: &str,
    section: &Section<'_>,
    known: &[&str],
    read: impl Fn(&str) -> Option<T>,
    problems: &mut Problems,
) -> Vec<T> {
    let mut found = Vec::new();
    for (word, place) in section.texts(key, problems) {
        // "unspecified" is a word too, but a filter for it would be misread:
        // what is unsaid matches every filter anyway.
        match read(word).filter(|_| known.contains(&word)) {
            Some(value) => found.push(value),
            None => unknown_word(what, word, known, &place, problems),
        }
    }
    found
}
