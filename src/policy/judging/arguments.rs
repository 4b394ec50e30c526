//! What the arguments of one call say.
//!
//! They make a call look worse: the action that is chosen, a statement, a command, a
//! flag. In two cases they make it look better, because there the tool's name has left
//! it to them: one statement that certainly changes nothing, where the name says only
//! that a statement is run; and an action that the tool's own schema lists and that
//! only looks, where the name says only that something is managed. An HTTP method
//! `GET` and a GraphQL query make nothing better: what a URL does nobody can tell, and
//! what a server does with a query neither.
//!
//! Promises: looks at [`VALUES`] values and [`BYTES`] bytes of text, and says so where
//! there is more: then nothing is told. Must never: repeat a value, which may be a
//! secret, but for the words of a language that it found.

use super::keys::{self, Key};
use super::lexicon::{self, When};
use super::schema::Schema;
use super::{Evidence, Finding, Source, command, statement, words};
use crate::call::json::Json;
use crate::call::model::{Category, Risk};
use crate::call::safe_text::SafeText;

/// The most values that are looked at.
const VALUES: usize = 4096;

/// The most text that is looked at.
pub const BYTES: usize = 64 * 1024;

/// Of a command line only the first words choose.
const HEAD: usize = 200;

/// What one value says by itself.
pub struct Alone {
    /// What it does.
    pub finding: Finding,
    /// Where in it that stands.
    pub spot: Spot,
}

/// What of a text says what was found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Spot {
    /// The word, in lower case; empty for what is no text.
    pub word: String,
    /// The byte where it begins.
    pub at: usize,
}

/// What arguments say.
#[derive(Debug, Default)]
pub struct Arguments {
    /// That something is done.
    pub finding: Option<Finding>,
    /// Where in its text that is said.
    spot: Spot,
    /// That money is moved, if it is no read.
    pub money: Option<Finding>,
    /// The argument that is one statement that only reads; all statements are.
    pub statement: Option<String>,
    /// The argument that chooses an action that only looks; all that choose do.
    pub looks: Option<String>,
    /// There is more than was looked at.
    pub too_long: bool,
    /// A statement that may change something, or a choice that cannot be told.
    doubt: bool,
}

impl Arguments {
    /// Of a call, for a tool with this schema.
    pub fn of(arguments: &Json, schema: Option<&Schema>) -> Arguments {
        let mut said = Arguments::default();
        let (mut values, mut bytes) = (0, 0);
        // Each with the name of the member that it is in.
        let mut open: Vec<(&str, &Json, bool)> = vec![("", arguments, true)];
        while let Some((key, value, first)) = open.pop() {
            values += 1;
            if values > VALUES || bytes > BYTES {
                said.too_long = true;
                break;
            }
            match value {
                Json::Object(members) => {
                    let rest = VALUES.saturating_sub(values) + 1;
                    said.too_long |= members.len() > rest;
                    said.members(members);
                    open.extend(members.iter().take(rest).map(|(name, v)| (&**name, v, true)));
                }
                Json::Array(items) => {
                    let rest = VALUES.saturating_sub(values) + 1;
                    said.too_long |= items.len() > rest;
                    let items = items.iter().take(rest).enumerate();
                    open.extend(items.map(|(number, item)| (key, item, number == 0)));
                }
                Json::String(text) => {
                    bytes += text.len();
                    said.text(&Key::of(key), text, first, schema);
                }
                Json::Bool(true) => said.flag(key),
                _ => {}
            }
        }
        if said.doubt || said.too_long || said.finding.is_some() {
            (said.statement, said.looks) = (None, None);
        }
        said
    }

    /// The worst that one value says by itself, under the name that it goes by; of a
    /// container, what its members' names say together.
    pub fn alone(name: &str, value: &Json, first: bool) -> Option<Alone> {
        let mut said = Arguments::default();
        match value {
            Json::Object(members) => said.members(members),
            Json::String(text) => said.text(&Key::of(name), text, first, None),
            Json::Bool(true) => said.flag(name),
            _ => {}
        }
        let done = said.finding.map(|finding| Alone { finding, spot: said.spot });
        let paid = said.money.map(|finding| Alone { finding, spot: Spot::default() });
        let found = [done, paid].into_iter().flatten();
        found.max_by_key(|found| (found.finding.category, found.finding.risk))
    }

    /// What the names of an object's members say together.
    fn members(&mut self, members: &[(String, Json)]) {
        if self.money.is_none() {
            let names = members.iter().map(|(name, _)| name.as_str());
            self.money =
                keys::money(names).map(|found| finding(Category::Financial, Risk::High, found));
        }
        // An aggregation of MongoDB writes what it found with these.
        if members.iter().take(VALUES).any(|(name, _)| name == "$out" || name == "$merge") {
            let found = "a stage of an aggregation writes".to_owned();
            self.worse(finding(Category::Write, Risk::High, found), "", 0);
        }
    }

    fn text(&mut self, key: &Key<'_>, text: &str, first: bool, schema: Option<&Schema>) {
        if text.len() > BYTES {
            self.too_long = true;
            return;
        }
        let is_statement = key.is_a_statement();
        if is_statement || text.len() > 6 {
            let sure = key.is_sql();
            if let Some(does) = statement::acts(text, sure) {
                let found = format!("{} is {}", quoted(key.name), does.word);
                self.worse(finding(does.category, does.risk, found), does.word, does.at);
            }
        }
        if is_statement {
            match statement::only_reads(text) {
                true if self.statement.is_none() => self.statement = Some(key.start().to_owned()),
                _ => self.doubt = true,
            }
        }
        // Code beside a statement may do anything.
        self.doubt |= key.takes_code() && !is_statement;
        // Of a command in pieces only the first chooses; the others are what it is given.
        if key.chooses() && (first || !key.may_be_a_command()) {
            self.choice(key, text, schema);
        } else if key.may_be_a_command() {
            self.command(key, text);
        }
    }

    /// The value of an argument that chooses what is done.
    fn choice(&mut self, key: &Key<'_>, text: &str, schema: Option<&Schema>) {
        let head = words::start(text, HEAD);
        let line = key.may_be_a_command();
        match keys::chosen(key, head) {
            Some((Category::Read, _)) => {
                let listed = schema.is_some_and(|schema| {
                    schema.reads.iter().any(|(name, value)| name == key.name && value == text)
                });
                match listed {
                    true => self.looks = Some(key.start().to_owned()),
                    false => self.doubt = true,
                }
            }
            Some((category, risk)) => {
                let known = words_of_choice(head);
                let found = format!("{} chooses {}", quoted(key.name), quoted(&known.join(" ")));
                let word = known.last().map_or("", String::as_str);
                let at = head.to_ascii_lowercase().find(word).unwrap_or(0);
                self.worse(finding(category, risk, found), word, at);
            }
            None => self.doubt = true,
        }
        if line && !(keys::is_of_a_store(head) || is_one_word_that_looks(key, head)) {
            self.command(key, text);
        }
    }

    /// A command line: it runs something, and may destroy.
    fn command(&mut self, key: &Key<'_>, text: &str) {
        if text.trim().is_empty() {
            return;
        }
        if let Some((category, risk, word, at)) = command::destroys(text) {
            let found = format!("{} has {}", quoted(key.name), quoted(&word));
            self.worse(finding(category, risk, found), &word, at);
        } else if !keys::is_of_a_store(words::start(text, HEAD)) {
            let found = format!("{} is run", quoted(key.name));
            self.worse(finding(Category::Execute, Risk::High, found), "", 0);
        }
    }

    /// `overwrite: true`, `create_if_missing: true`, `force: true`.
    fn flag(&mut self, key: &str) {
        let words = words::of(words::start(key, words::LONGEST));
        let named = words.first().and_then(|word| lexicon::verb_as_it_stands(word));
        let acts = named.filter(|verb| {
            verb.category != Category::Read
                && (verb.when == When::Always || (words.len() == 1 && verb.when == When::Leading))
        });
        if let Some(verb) = acts {
            let found = finding(verb.category, verb.risk, format!("{} is set", quoted(key)));
            self.worse(found, &words[0], 0);
        }
    }

    fn worse(&mut self, found: Finding, word: &str, at: usize) {
        let rank = |f: &Finding| (f.category, f.risk);
        if self.finding.as_ref().is_none_or(|known| rank(&found) > rank(known)) {
            self.finding = Some(found);
            self.spot = Spot { word: word.to_ascii_lowercase(), at };
        }
    }
}

/// `list`, and not `list; rm x`.
fn is_one_word_that_looks(key: &Key<'_>, text: &str) -> bool {
    let plain = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte));
    plain && matches!(keys::chosen(key, text), Some((Category::Read, _)))
}

/// The words of ours that a choice has: never the value itself.
fn words_of_choice(text: &str) -> Vec<String> {
    let known = |word: &String| keys::chosen(&Key::of("command"), word).is_some();
    words::of(text).into_iter().take(3).filter(known).collect()
}

/// Of a name that may be the name of many values: no more of it than tells.
fn quoted(text: &str) -> String {
    format!("\"{}\"", SafeText::cut_line(words::start(text, words::LONGEST), 40).0)
}

fn finding(category: Category, risk: Risk, found: String) -> Finding {
    let evidence = Evidence { source: Source::Arguments, found, says: Some(category) };
    Finding { category, risk, evidence }
}
