//! YAML as policies use it: mappings, lists and scalars, each with its place.
//!
//! Read from the parser's events and not through serde, because a derived reader
//! stops at the first mistake and no longer knows whether a `no` stood in quotes.
//!
//! Promises: a text means one thing or is refused. Anchors, aliases, tags,
//! directives, a second document, keys that come twice or are no words, tabs
//! as indentation and characters that nobody can see are errors, each with its
//! place. Time and memory are bounded by the length of the text, and that, the
//! depth and the number of values are bounded too. Must never: expand anything.

mod remedy;

use std::collections::HashMap;

use serde_saphyr::granit_parser::{self, ErrorKind, Event, Marker, Parser, ScalarStyle, ScanError};

use super::problem::{Place, Problems};
use crate::call::safe_text::is_hidden;
use crate::config::names::shortened;

/// The longest document: ten thousand rules with reasons fit.
pub const LONGEST: usize = 1024 * 1024;

/// A policy is five levels deep. More is refused before it costs anything.
const DEEPEST: usize = 16;

/// A rule with everything said has ten values; a text of [`LONGEST`] bytes that
/// holds nothing but commas would have a million.
const MOST_VALUES: usize = 250_000;

/// How much of a comment is kept, in characters.
const LONGEST_COMMENT: usize = 80;

/// A value and where it begins.
#[derive(Debug)]
pub struct Node {
    pub place: Place,
    pub value: Value,
}

#[derive(Debug)]
pub enum Value {
    Scalar(Scalar),
    List(Vec<Node>),
    /// In the order of the file, each name once.
    Map(Vec<Entry>),
    /// Something whose problem was reported already.
    Refused,
}

/// A key and its value.
#[derive(Debug)]
pub struct Entry {
    pub key: Scalar,
    pub place: Place,
    pub node: Node,
}

#[derive(Debug)]
pub struct Scalar {
    pub text: String,
    /// Without quotes, so that other readers might take it for a number or a boolean.
    pub plain: bool,
    /// The comment that ends it, if its # is not followed by a space: `Ask #ops`.
    pub cut_off: Option<Box<str>>,
}

impl Scalar {
    /// Whether there is nothing. The parser writes a tilde for a value that is left out.
    pub fn is_nothing(&self) -> bool {
        self.plain && ["", "~"].contains(&self.text.as_str())
    }
}

/// The document's one value; `None` if the text cannot be used at all. Problems
/// may have been reported in either case.
pub fn read(text: &[u8], problems: &mut Problems) -> Option<Node> {
    let text = readable(text, problems)?;
    let options = granit_parser::options! {
        disallow_directives: true,
        emit_unresolved_aliases: true,
        emit_anchor_events: true,
        flow_nesting_limit: DEEPEST,
        block_nesting_limit: DEEPEST,
    };
    let mut tree = Tree::default();
    for event in Parser::new_from_str_with_options(text, options) {
        match event {
            Ok((event, span)) => {
                let tag = span.tag_span().map(|tag| place(&tag.start));
                let quoted = span.slice(text).unwrap_or_default();
                let behind = span.byte_range().and_then(|range| text.get(range.end..));
                let shown = Shown { at: place(&span.start), tag, quoted, behind };
                tree.take(event, &shown, problems)?;
            }
            Err(error) => {
                not_yaml(&error, text, problems);
                return None;
            }
        }
    }
    if tree.root.is_none() {
        let remedy = "write at least: default: judge";
        problems.add(Place::START, "the document is empty", remedy);
    }
    tree.root
}

/// The text, if nothing in it hides from who reads it.
fn readable<'a>(bytes: &'a [u8], problems: &mut Problems) -> Option<&'a str> {
    if bytes.len() > LONGEST {
        let message = format!("the document is longer than {} KiB", LONGEST / 1024);
        problems.add(Place::START, message, "use patterns: one line may stand for many tools");
        return None;
    }
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => {
            let good = bytes.get(..error.valid_up_to()).unwrap_or_default();
            let at = Place::after(std::str::from_utf8(good).unwrap_or_default());
            problems.add(at, "this is not UTF-8", "save the file as UTF-8");
            return None;
        }
    };
    // The parser takes NUL for the end, and a lone \r for the end of a line.
    let mut rest = text.strip_prefix('\u{feff}').unwrap_or(text).char_indices().peekable();
    let skipped = text.len() - text.strip_prefix('\u{feff}').unwrap_or(text).len();
    while let Some((at, c)) = rest.next() {
        let ends_line = c == '\r' && rest.peek().is_some_and(|(_, next)| *next == '\n');
        if (is_hidden(c) && !matches!(c, '\n' | '\t') && !ends_line) || c == '\0' {
            let before = text.get(..skipped + at).unwrap_or_default();
            let message =
                format!("there is a character here that cannot be seen: U+{:04X}", u32::from(c));
            let remedy = "take it away, also from comments; in double quotes it can be written as \\u and its number";
            problems.add(Place::after(before), message, remedy);
            return None;
        }
    }
    Some(text)
}

fn place(marker: &Marker) -> Place {
    Place { line: marker.line(), column: marker.col() + 1 }
}

/// Says why the parser gave up, unless what was found before may be the cause.
fn not_yaml(error: &ScanError, text: &str, problems: &mut Problems) {
    if problems.any() {
        return;
    }
    use ErrorKind::{
        DirectiveDisallowed, DocumentIndicatorInQuotedScalar, InvalidQuotedScalarIndent,
        MissingAnchorOrAliasName, RecursionLimitExceeded, TabAtBlockScalarStart,
        TabInBlockIndentation, TabInIndentation, TabInPlainScalar, TabNotAllowed,
        UnclosedQuotedScalar,
    };
    let at = place(error.marker());
    let tab = indented_by_tab(text, at.line);
    if let Some(at) = tab {
        return problems.add(at, "this line is indented with a tab", "indent with spaces");
    }
    let (message, remedy) = match error.kind() {
        TabAtBlockScalarStart
        | TabInBlockIndentation
        | TabInIndentation
        | TabInPlainScalar
        | TabNotAllowed => ("there is a tab here, where YAML wants spaces", "write spaces"),
        MissingAnchorOrAliasName => (
            "a value that begins with * or & is an alias or an anchor in YAML",
            "put it in quotes: \"*\"",
        ),
        UnclosedQuotedScalar | InvalidQuotedScalarIndent | DocumentIndicatorInQuotedScalar => {
            ("a text that begins with a quote does not end", "close the quotes: \"get_*\"")
        }
        RecursionLimitExceeded => {
            ("values lie too deep within each other", "a policy has at most five levels")
        }
        DirectiveDisallowed => {
            ("a line that begins with % is a YAML directive", "take it away: a policy needs none")
        }
        _ => {
            let message = format!("this is not valid YAML: {}", shortened(&error.info()));
            return problems.add(at, message, remedy::remedy(text, at));
        }
    };
    problems.add(at, message, remedy);
}

/// The tab that indents this line or one beside it, where the parser stumbles over
/// what a tab has done to it.
fn indented_by_tab(text: &str, line: usize) -> Option<Place> {
    let before = line.saturating_sub(2);
    text.lines().enumerate().skip(before).take(line + 1 - before).find_map(|(index, line)| {
        let spaces = line.len() - line.trim_start_matches(' ').len();
        let tab = line.get(spaces..).is_some_and(|rest| rest.starts_with('\t'));
        let said = !line.trim_start().is_empty();
        (tab && said).then_some(Place { line: index + 1, column: spaces + 1 })
    })
}

/// Where an event stands in the text.
struct Shown<'a> {
    at: Place,
    tag: Option<Place>,
    /// Itself.
    quoted: &'a str,
    /// What follows it.
    behind: Option<&'a str>,
}

impl Shown<'_> {
    /// The comment that follows on the line, if it looks like the rest of a text.
    fn cut_off(&self) -> Option<Box<str>> {
        // No more of the text than is needed: thousands of values may stand on one line.
        let comment = self.behind?.trim_start_matches(' ').strip_prefix('#')?;
        let words = comment.starts_with(|c: char| c.is_alphanumeric());
        let line = comment.chars().take_while(|c| *c != '\n').take(LONGEST_COMMENT);
        words.then(|| format!("#{}", line.collect::<String>()).into())
    }
}

/// The tree while it grows.
#[derive(Default)]
struct Tree {
    open: Vec<Open>,
    root: Option<Node>,
    values: usize,
    documents: usize,
    /// The condition without quotes that was reported last.
    condition: Option<Place>,
}

/// A list or mapping that has not ended.
struct Open {
    place: Place,
    items: Items,
}

enum Items {
    List(Vec<Node>),
    Map {
        entries: Vec<Entry>,
        /// Where each name stands.
        lines: HashMap<String, usize>,
        /// The key whose value comes next. `Some(None)` is a refused key.
        key: Option<Option<(Scalar, Place)>>,
    },
}

impl Tree {
    /// Takes the next event; `None`: the rest is not worth reading.
    fn take(&mut self, event: Event<'_>, shown: &Shown<'_>, problems: &mut Problems) -> Option<()> {
        let Shown { at, tag, quoted, .. } = *shown;
        if let Some(key) = self.in_condition(&event) {
            let odd = matches!(event, Event::Alias(_) | Event::UnresolvedAlias(_));
            if odd || tag.is_some() {
                self.not_a_condition(key, tag.unwrap_or(at), problems);
                return self.put(Node { place: at, value: Value::Refused }, problems);
            }
        }
        if let Some(at) = tag {
            let remedy = "take it away; text goes in quotes";
            problems.add(at, "this is a YAML tag, and a policy has none", remedy);
        }
        match event {
            Event::DocumentStart(..) => {
                self.documents += 1;
                if self.documents > 1 {
                    let remedy = "take the line --- and what follows away, or make a file of it";
                    problems.add(at, "a second document begins here", remedy);
                    return None;
                }
            }
            Event::Scalar(text, style, ..) => {
                let plain = style == ScalarStyle::Plain;
                let cut_off = shown.cut_off().filter(|_| plain);
                let scalar = Scalar { text: text.into_owned(), plain, cut_off };
                self.put(Node { place: at, value: Value::Scalar(scalar) }, problems)?;
            }
            Event::SequenceStart(..) => {
                self.open.push(Open { place: at, items: Items::List(Vec::new()) });
            }
            Event::MappingStart(..) => {
                let items = Items::Map { entries: Vec::new(), lines: HashMap::new(), key: None };
                self.open.push(Open { place: at, items });
            }
            Event::SequenceEnd | Event::MappingEnd => {
                let Open { place, items } = self.open.pop()?;
                let value = match items {
                    Items::List(nodes) => Value::List(nodes),
                    Items::Map { entries, .. } => Value::Map(entries),
                };
                self.put(Node { place, value }, problems)?;
            }
            Event::Alias(_) => {
                let message =
                    format!("`{}` is a YAML alias, and a policy has none", shortened(quoted));
                problems.add(at, message, "write the value out here");
                self.put(Node { place: at, value: Value::Refused }, problems)?;
            }
            Event::UnresolvedAlias(_) => {
                // In `*: x` the colon is part of the alias's name.
                let shown = shortened(quoted.trim_end_matches(':'));
                let message = format!("`{shown}` begins with *, which makes it an alias in YAML");
                problems.add(at, message, format!("put it in quotes: \"{shown}\""));
                self.put(Node { place: at, value: Value::Refused }, problems)?;
            }
            // It comes behind the value that it stands at.
            Event::Anchor(_, name) => {
                if let Some(key) = self.after_condition() {
                    self.not_a_condition(key, at, problems);
                    return Some(());
                }
                let message =
                    format!("`&{}` is a YAML anchor, and a policy has none", shortened(&name));
                problems.add(
                    at,
                    message,
                    "take it away, and write values out where they are needed",
                );
            }
            _ => {}
        }
        Some(())
    }

    /// The place of the key `when`, if this is its value and no list or mapping.
    fn in_condition(&self, event: &Event<'_>) -> Option<Place> {
        match &self.open.last()?.items {
            Items::Map { key: Some(Some((key, place))), .. }
                if key.text == "when"
                    && !matches!(event, Event::SequenceStart(..) | Event::MappingStart(..)) =>
            {
                Some(*place)
            }
            _ => None,
        }
    }

    /// The place of the key `when` whose value has just come.
    fn after_condition(&mut self) -> Option<Place> {
        match &mut self.open.last_mut()?.items {
            Items::Map { entries, key: None, .. } => {
                let entry = entries.last_mut().filter(|entry| entry.key.text == "when")?;
                entry.node.value = Value::Refused;
                Some(entry.place)
            }
            _ => None,
        }
    }

    /// A condition that begins with `!` or the like, which is something else in YAML: said
    /// once, however many events YAML makes of it.
    fn not_a_condition(&mut self, key: Place, at: Place, problems: &mut Problems) {
        if self.condition != Some(key) {
            self.condition = Some(key);
            let message = "this condition is not in quotes, and means something else in YAML";
            problems.add(at, message, remedy::CONDITION);
        }
    }

    /// Puts a finished value where it belongs.
    fn put(&mut self, node: Node, problems: &mut Problems) -> Option<()> {
        self.values += 1;
        if self.values > MOST_VALUES {
            let message = format!("the document has more than {MOST_VALUES} values");
            problems.add(node.place, message, "use patterns: one line may stand for many tools");
            return None;
        }
        match self.open.last_mut().map(|open| &mut open.items) {
            None => self.root = Some(node),
            Some(Items::List(nodes)) => nodes.push(node),
            Some(Items::Map { entries, lines, key }) => match key.take() {
                None => *key = Some(new_key(node, lines, problems)),
                Some(Some((key, place))) => entries.push(Entry { key, place, node }),
                Some(None) => {}
            },
        }
        Some(())
    }
}

/// A key, unless it is none or has come before.
fn new_key(
    node: Node,
    lines: &mut HashMap<String, usize>,
    problems: &mut Problems,
) -> Option<(Scalar, Place)> {
    let at = node.place;
    let Value::Scalar(key) = node.value else {
        if !matches!(node.value, Value::Refused) {
            let remedy = "write a word and a colon; a pattern with [ ] or { } goes in quotes";
            problems.add(at, "a key must be a word", remedy);
        }
        return None;
    };
    if let Some(first) = lines.get(&key.text) {
        let message =
            format!("the key `{}` stands here twice: first in line {first}", shortened(&key.text));
        problems.add(at, message, "make one of the two");
        return None;
    }
    lines.insert(key.text.clone(), at.line);
    Some((key, at))
}
