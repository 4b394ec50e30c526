//! Reads a TOML document and remembers where everything stands.
//!
//! The tree is walked by hand instead of through serde's derive: that reports
//! one error and then stops, and a person who mends a file wants all of them,
//! each with its line. Nothing here quotes a value, so secrets cannot leak.

use std::ops::{Range, RangeInclusive};
use std::path::Path;
use std::sync::Arc;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::error::{Place, Problems};
use super::names::{meant, shortened};

/// One file's text, with an index of its lines.
pub(crate) struct Document<'a> {
    path: Arc<Path>,
    text: &'a str,
    /// Where each line begins. A file may hold thousands of places to name.
    lines: Vec<usize>,
}

impl<'a> Document<'a> {
    pub fn new(path: &Path, text: &'a str) -> Document<'a> {
        let starts = text.match_indices('\n').map(|(at, _)| at + 1);
        Document { path: path.into(), text, lines: [0].into_iter().chain(starts).collect() }
    }

    /// Where a byte of the text stands.
    fn place(&self, span: Range<usize>) -> Place {
        let line = self.lines.partition_point(|start| *start <= span.start);
        let start = self.lines.get(line - 1).copied().unwrap_or_default();
        let before = self.text.get(start..span.start).unwrap_or_default();
        Place::File { path: self.path.clone(), line, column: before.chars().count() + 1 }
    }

    /// The document's top table, or `None` when it is not TOML. A tree with
    /// holes is not looked at: it would only yield misleading errors.
    pub fn parse(&self, problems: &mut Problems) -> Option<Spanned<DeTable<'a>>> {
        let (tree, errors) = DeTable::parse_recoverable(self.text);
        for error in &errors {
            let place = self.place(error.span().unwrap_or(0..0));
            problems.error(
                &place,
                format!("this is not valid TOML: {}", shortened(error.message())),
                "strings stand in double quotes, a list of tables begins with [[name]]",
            );
        }
        errors.is_empty().then_some(tree)
    }

    /// The keys outside every section.
    pub fn top<'d>(&'d self, tree: &'d Spanned<DeTable<'d>>) -> Section<'d> {
        let place = self.place(tree.span());
        Section { document: self, title: "", place, table: tree.get_ref() }
    }
}

/// A table of the document.
pub(crate) struct Section<'d> {
    document: &'d Document<'d>,
    /// As it is written in the file, `[[routes]]` for example; empty at the top.
    pub title: &'static str,
    pub place: Place,
    table: &'d DeTable<'d>,
}

impl<'d> Section<'d> {
    /// Every key that is not known is an error.
    pub fn only(&self, known: &[&str], problems: &mut Problems) {
        for key in self.table.keys().filter(|key| !known.contains(&key.get_ref().as_ref())) {
            let name = shortened(key.get_ref());
            let within = match self.title {
                "" => "at the top of the file".to_owned(),
                title => format!("in {title}"),
            };
            let remedy = match meant(key.get_ref(), known.iter().copied()) {
                Some(word) => format!("did you mean `{word}`?"),
                None => format!("known here: {}", known.join(", ")),
            };
            let place = self.document.place(key.span());
            problems.error(&place, format!("unknown key `{name}` {within}"), remedy);
        }
    }

    /// Every key with its value, where the keys are names that somebody chose.
    pub fn entries(&self) -> impl Iterator<Item = Item<'d>> + '_ {
        self.table.iter().map(|(key, value)| Item {
            document: self.document,
            key: key.get_ref().to_string(),
            value,
        })
    }

    /// The value of a key.
    pub fn item(&self, key: &str) -> Option<Item<'d>> {
        let (_, value) = self.table.iter().find(|(k, _)| k.get_ref() == key)?;
        Some(Item { document: self.document, key: key.to_owned(), value })
    }

    /// The value of a key that has to be there.
    pub fn required(&self, key: &str, example: &str, problems: &mut Problems) -> Option<Item<'d>> {
        let item = self.item(key);
        if item.is_none() {
            let message = format!("{} has no `{key}`", self.title);
            problems.error(&self.place, message, format!("add for example {example}"));
        }
        item
    }

    /// The text of a key, if it is there and is text.
    pub fn text(&self, key: &str, problems: &mut Problems) -> Option<(&'d str, Place)> {
        let item = self.item(key)?;
        Some((item.text(problems)?, item.place()))
    }

    /// The texts of a list; empty if the key is not there.
    pub fn texts(&self, key: &str, problems: &mut Problems) -> Vec<(&'d str, Place)> {
        self.item(key).map(|item| item.texts(problems)).unwrap_or_default()
    }

    /// The table under a key.
    pub fn section(
        &self,
        key: &str,
        title: &'static str,
        problems: &mut Problems,
    ) -> Option<Section<'d>> {
        let item = self.item(key)?;
        let section = item.section(title);
        if section.is_none() {
            item.wrong("a table", &format!("write it as {title}"), problems);
        }
        section
    }

    /// The tables under a key, written `[[key]]`.
    pub fn sections(
        &self,
        key: &str,
        title: &'static str,
        problems: &mut Problems,
    ) -> Vec<Section<'d>> {
        let Some(item) = self.item(key) else {
            return Vec::new();
        };
        let remedy = format!("begin each one with a line {title}, with double brackets");
        let items = item.list(&remedy, problems);
        let mut found = Vec::with_capacity(items.len());
        for one in &items {
            match one.section(title) {
                Some(section) => found.push(section),
                None => one.wrong("a table", &remedy, problems),
            }
        }
        found
    }
}

/// A value of the document.
pub(crate) struct Item<'d> {
    document: &'d Document<'d>,
    key: String,
    value: &'d Spanned<DeValue<'d>>,
}

impl<'d> Item<'d> {
    pub fn key(&self) -> &str {
        &self.key
    }

    pub fn place(&self) -> Place {
        self.document.place(self.value.span())
    }

    /// Reports a value of the wrong type.
    pub fn wrong(&self, expected: &str, remedy: &str, problems: &mut Problems) {
        let found = self.value.get_ref().type_str();
        let article = if found.starts_with(['a', 'i']) { "an" } else { "a" };
        let message = format!("`{}` must be {expected}, but is {article} {found}", self.key);
        problems.error(&self.place(), message, remedy);
    }

    pub fn section(&self, title: &'static str) -> Option<Section<'d>> {
        let table = self.value.get_ref().as_table()?;
        Some(Section { document: self.document, title, place: self.place(), table })
    }

    pub fn text(&self, problems: &mut Problems) -> Option<&'d str> {
        let text = self.value.get_ref().as_str();
        if text.is_none() {
            self.wrong("a string", "put the value in double quotes", problems);
        }
        text
    }

    /// A time: text, or TOML's own form of it.
    pub fn time_text(&self, problems: &mut Problems) -> Option<String> {
        match self.value.get_ref().as_datetime() {
            Some(time) => Some(time.to_string()),
            None => self.text(problems).map(str::to_owned),
        }
    }

    /// A yes or no, as the word.
    pub fn switch(&self, problems: &mut Problems) -> Option<&'static str> {
        let switch = self.value.get_ref().as_bool();
        if switch.is_none() {
            self.wrong("true or false", "write true or false without quotes", problems);
        }
        switch.map(|on| if on { "true" } else { "false" })
    }

    /// A whole number, as decimal digits; it may be out of any range.
    pub fn digits(&self, problems: &mut Problems) -> Option<String> {
        let integer = self.value.get_ref().as_integer();
        if integer.is_none() {
            self.wrong("a whole number", "write digits without quotes", problems);
        }
        let integer = integer?;
        match i128::from_str_radix(integer.as_str(), integer.radix()) {
            Ok(number) => Some(number.to_string()),
            Err(_) => Some(integer.as_str().to_owned()),
        }
    }

    /// A whole number within a range.
    pub fn number(&self, range: RangeInclusive<u32>, problems: &mut Problems) -> Option<u32> {
        let digits = self.digits(problems)?;
        let number = digits.parse().ok().filter(|number| range.contains(number));
        if number.is_none() {
            let message = format!("`{}` is {digits}, which is out of range", self.key);
            let remedy = format!("write a number from {} to {}", range.start(), range.end());
            problems.error(&self.place(), message, remedy);
        }
        number
    }

    pub fn is_empty_list(&self) -> bool {
        self.value.get_ref().as_array().is_some_and(|values| values.is_empty())
    }

    pub fn list(&self, remedy: &str, problems: &mut Problems) -> Vec<Item<'d>> {
        let Some(values) = self.value.get_ref().as_array() else {
            self.wrong("a list", remedy, problems);
            return Vec::new();
        };
        let item = |value| Item { document: self.document, key: self.key.clone(), value };
        values.iter().map(item).collect()
    }

    pub fn texts(&self, problems: &mut Problems) -> Vec<(&'d str, Place)> {
        let items = self.list("write it in brackets: [\"one\", \"two\"]", problems);
        items.iter().filter_map(|item| Some((item.text(problems)?, item.place()))).collect()
    }
}
