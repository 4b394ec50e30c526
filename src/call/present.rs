//! How a call reads: the same in a mail, on a terminal and on a page.
//!
//! Promises: every line is a [`SafeText`]; text of an agent stays within its own
//! place (a value cannot look like another member, a name cannot look like our
//! words); what is cut or left out is said where it is missing, and counted.
//! Every member gets a line before any member gets a second one, so that a
//! thousand lines of padding do not push out the amount. What repeats without any
//! difference is shown once and counted, which is all of it. Must never: say more
//! than the data does, or fold what is hidden: it only looks the same.
//!
//! Give it masked arguments: see [`super::redact`].

mod repeats;
mod sentence;
#[cfg(test)]
mod tests;
mod value;

pub use sentence::{sentence, sentence_of, unstated};

use super::amounts;
use super::json::{Json, MAX_DEPTH};
use super::safe_text::SafeText;
use repeats::{Part, more_like_it, parts, same_items, same_lines};
use value::{inline, scalar};
pub(super) use value::{name_start, name_text};

/// Whether a word is an id or a path that would be torn apart at a hyphen, and has room on
/// one line of at most `longest` columns. A shorter one than four is not torn in a way
/// that matters.
pub fn is_kept_whole(word: &str, longest: usize) -> bool {
    word.is_ascii() && (4..=longest).contains(&word.len()) && word.contains(['-', '/', '?'])
}

/// How much is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Lines in all.
    pub max_lines: usize,
    /// Columns of one line of a value; more is cut.
    pub max_value_columns: usize,
    /// How deep members are shown one per line; what is deeper is left out.
    pub max_depth: usize,
    /// Columns of a member's name; more is cut.
    pub max_name_columns: usize,
}

impl Limits {
    /// A terminal: what fits a screen or two.
    pub const TERMINAL: Limits = Limits {
        max_lines: 60,
        max_value_columns: 400,
        max_depth: 8,
        max_name_columns: MAX_NAME_COLUMNS,
    };
    /// A mail: short enough to be read on a phone.
    pub const MAIL: Limits = Limits::TERMINAL;
    /// `show --args`: all that can be read at all.
    pub const FULL: Limits = Limits {
        max_lines: 2000,
        max_value_columns: 20_000,
        max_depth: MAX_DEPTH,
        max_name_columns: MAX_NAME_COLUMNS,
    };
    /// A page, which turns its leaves: nothing is cut. Arguments have a megabyte at most.
    pub const WHOLE: Limits = Limits {
        max_lines: WHOLE,
        max_value_columns: WHOLE,
        max_depth: WHOLE,
        max_name_columns: WHOLE,
    };
}

/// More than any arguments take of anything.
const WHOLE: usize = 1 << 30;

/// Columns of a member's name where not all can be shown.
const MAX_NAME_COLUMNS: usize = 80;

/// Arguments as lines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rendered {
    /// The lines, indented.
    pub lines: Vec<SafeText>,
    /// How many values were cut or left out.
    pub cut: u32,
}

/// Spaces per level.
const INDENT: usize = 2;

/// A container of scalars that takes no more columns than this stands on one line.
const MAX_INLINE_COLUMNS: usize = 60;

/// Masked arguments as an indented tree: `key: value`.
pub fn arguments(masked: &Json, limits: &Limits) -> Rendered {
    let (lines, cut) = lines(masked, limits);
    Rendered { lines: lines.into_iter().map(Line::indented).collect(), cut }
}

/// The same before it is indented, for who indents otherwise, and how many values
/// were cut or left out.
pub fn lines(masked: &Json, limits: &Limits) -> (Vec<Line>, u32) {
    let mut tree = Tree { limits, cut: 0, unit: false };
    let mut lines = Vec::new();
    let budget = limits.max_lines.max(1);
    match masked {
        Json::Object(members) if members.is_empty() => {
            lines.push(Line::at(0, ours("(no arguments)")));
        }
        Json::Object(members) => tree.members(members, 0, budget, &mut lines),
        Json::Array(items) => tree.items(items, 0, budget, &mut lines),
        value => tree.value(SafeText::default(), value, 0, budget, &mut lines),
    }
    (lines, tree.cut)
}

/// A line before it is indented.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// Below how many containers it stands.
    pub depth: usize,
    /// Whether an item of a list starts here: its dash takes the last level's place.
    pub dash: bool,
    /// Whether it is one line of a text of several, after its bar.
    pub bar: bool,
    /// What stands there, the member's name first.
    pub text: SafeText,
    /// How many bytes of it are the name and its colon.
    pub name: usize,
}

impl Line {
    fn at(depth: usize, text: SafeText) -> Line {
        Line { depth, dash: false, bar: false, text, name: 0 }
    }

    fn named(self, name: usize) -> Line {
        Line { name: name.min(self.text.as_str().len()), ..self }
    }

    fn indented(self) -> SafeText {
        let mut line = SafeText::default();
        for level in 0..self.depth {
            line.push_ours(if self.dash && level + 1 == self.depth { "- " } else { "  " });
        }
        debug_assert_eq!(line.columns(), self.depth * INDENT, "one width per level");
        if self.text.is_empty() {
            return line.trimmed_end();
        }
        line.push(&self.text);
        line
    }
}

struct Tree<'a> {
    limits: &'a Limits,
    cut: u32,
    /// Whether something around says in what amounts are.
    unit: bool,
}

impl Tree<'_> {
    /// Writes the members of an object within `budget` lines (at least one).
    fn members(
        &mut self,
        all: &[(String, Json)],
        depth: usize,
        budget: usize,
        out: &mut Vec<Line>,
    ) {
        let shown = how_many(all.len(), budget);
        let end = out.len() + budget;
        let around = self.unit;
        self.unit |= amounts::states_unit(all);
        for (i, (name, value)) in all[..shown].iter().enumerate() {
            // What is left, less one line for each one that follows.
            let following = shown - i - 1 + usize::from(shown < all.len());
            let room = (end - out.len()).saturating_sub(following).max(1);
            let (mut label, cut) = name_text(name, self.limits.max_name_columns);
            self.cut += u32::from(cut);
            label.push_ours(": ");
            self.value(label, value, depth, room, out);
            if let (Some(note), Some(line)) =
                (amounts::note(name, value, self.unit), out.last_mut())
            {
                line.text.push_ours(" «");
                line.text.push(&note);
                line.text.push_ours("»");
            }
        }
        self.unit = around;
        self.left_out(all[shown..].iter().map(|(_, value)| value), "member", depth, out);
    }

    /// Writes the items of an array within `budget` lines (at least one).
    fn items(&mut self, all: &[Json], depth: usize, budget: usize, out: &mut Vec<Line>) {
        let parts = parts(all, same_items);
        if parts.len() > budget / 2 && all.iter().any(|item| self.opens(item, depth, 2)) {
            return self.first_items(all, &parts, depth, budget, out);
        }
        let shown = how_many(parts.len(), budget);
        let end = out.len() + budget;
        let mut told = 0;
        for (i, part) in parts[..shown].iter().enumerate() {
            let following = shown - i - 1 + usize::from(shown < parts.len());
            let room = (end - out.len()).saturating_sub(following).max(1);
            self.part(part, depth, room, out);
            told += part.count();
        }
        self.left_out(all[told..].iter(), "item", depth + 1, out);
    }

    /// A long list of things with parts: the first ones whole, the others
    /// counted. A line for each would show nothing of any.
    fn first_items(
        &mut self,
        all: &[Json],
        parts: &[Part<'_, Json>],
        depth: usize,
        budget: usize,
        out: &mut Vec<Line>,
    ) {
        let end = out.len() + budget;
        let mut told = 0;
        for (i, part) in parts.iter().enumerate() {
            let (first, cut) = (out.len(), self.cut);
            let room = (end - first).saturating_sub(usize::from(i + 1 < parts.len()));
            if room > 0 {
                self.part(part, depth, room, out);
            }
            let whole = room > 0 && self.cut == cut;
            if i > 0 && !whole {
                out.truncate(first);
                self.cut = cut;
                return self.left_out(all[told..].iter(), "item", depth + 1, out);
            }
            told += part.count();
        }
    }

    /// Writes one item, or how often the last one comes again.
    fn part(&mut self, part: &Part<'_, Json>, depth: usize, room: usize, out: &mut Vec<Line>) {
        match part {
            Part::One(item) => self.item(item, depth, room, out),
            Part::Same(more) => out.push(Line::at(depth + 1, more_like_it(*more))),
        }
    }

    /// Writes one item of a list, its dash before the first line.
    fn item(&mut self, item: &Json, depth: usize, room: usize, out: &mut Vec<Line>) {
        let first = out.len();
        match item {
            Json::Object(members) if !members.is_empty() && self.opens(item, depth, 2) => {
                self.members(members, depth + 1, room, out);
            }
            item => self.value(SafeText::default(), item, depth + 1, room, out),
        }
        if let Some(line) = out.get_mut(first) {
            line.dash = true;
        }
    }

    /// Writes one value after its label.
    fn value(
        &mut self,
        mut label: SafeText,
        value: &Json,
        depth: usize,
        budget: usize,
        out: &mut Vec<Line>,
    ) {
        let name = label.as_str().len();
        if let Json::String(text) = value
            && budget > 1
            && text.trim_end_matches(['\r', '\n']).contains('\n')
        {
            return self.lines_of(label, text, depth, budget, out);
        }
        if let Some(text) = inline(value, self.inline_columns()) {
            label.push(&text);
        } else if self.opens(value, depth, budget) {
            // The dashes stand one level in from a name, but below another dash.
            let labelled = usize::from(!label.is_empty());
            out.push(Line::at(depth, label.trimmed_end()).named(name));
            return match value {
                Json::Object(members) => self.members(members, depth + 1, budget - 1, out),
                Json::Array(items) => self.items(items, depth + labelled, budget - 1, out),
                _ => (),
            };
        } else if let Some((text, cut)) = scalar(value, self.limits.max_value_columns) {
            self.cut += u32::from(cut);
            label.push(&text);
        } else {
            label.push(&self.closed(value));
        }
        out.push(Line::at(depth, label).named(name));
    }

    /// Whether the container's members are written below it.
    fn opens(&self, value: &Json, depth: usize, budget: usize) -> bool {
        let open = matches!(value, Json::Object(_) | Json::Array(_));
        open && budget > 1
            && depth < self.limits.max_depth
            && inline(value, self.inline_columns()).is_none()
    }

    fn inline_columns(&self) -> usize {
        MAX_INLINE_COLUMNS.min(self.limits.max_value_columns)
    }

    /// A container that is not opened, for depth or for want of lines.
    fn closed(&mut self, value: &Json) -> SafeText {
        self.cut = self.cut.saturating_add(values_in(value));
        match value {
            Json::Array(items) => cut_marker(items.len(), "item"),
            Json::Object(members) => cut_marker(members.len(), "member"),
            _ => SafeText::default(),
        }
    }

    /// Says what was left out at the end of a container.
    fn left_out<'a>(
        &mut self,
        rest: impl ExactSizeIterator<Item = &'a Json>,
        what: &str,
        depth: usize,
        out: &mut Vec<Line>,
    ) {
        if rest.len() > 0 {
            out.push(Line::at(depth, cut_marker(rest.len(), &format!("more {what}"))));
            self.cut = rest.fold(self.cut, |sum, value| sum.saturating_add(values_in(value)));
        }
    }

    /// Writes a text of several lines as an indented block, each line after a
    /// bar, so that none can pass for a member.
    fn lines_of(
        &mut self,
        mut label: SafeText,
        text: &str,
        depth: usize,
        budget: usize,
        out: &mut Vec<Line>,
    ) {
        // Line ends are not seen in a block: the label says what is not as usual.
        let returns = text.matches('\n').count() == text.matches("\r\n").count();
        let (body, closed) = match text.strip_suffix(if returns { "\r\n" } else { "\n" }) {
            Some(body) => (body, ", the last one ended"),
            None => (text, ""),
        };
        let lines: Vec<&str> = body.split(if returns { "\r\n" } else { "\n" }).collect();
        let kind = if returns { ", CRLF" } else { "" };
        let name = label.as_str().len();
        label.push(&SafeText::line(&format!("({} lines{kind}{closed})", lines.len())));
        out.push(Line::at(depth, label).named(name));
        let parts = parts(&lines, same_lines);
        let shown = how_many(parts.len(), budget - 1);
        let (mut told, mut cut) = (0, shown < parts.len());
        for part in &parts[..shown] {
            told += part.count();
            let line = match part {
                Part::One(line) => line,
                Part::Same(more) => {
                    out.push(Line::at(depth + 1, more_like_it(*more)));
                    continue;
                }
            };
            let mut bar = ours(if line.is_empty() { "|" } else { "| " });
            let (text, rest) = SafeText::cut_block_line(line, self.limits.max_value_columns);
            bar.push(&text);
            if rest > 0 {
                cut = true;
                bar.push_ours(" ");
                bar.push(&cut_marker(rest, "more character"));
            }
            out.push(Line { bar: true, ..Line::at(depth + 1, bar) });
        }
        if told < lines.len() {
            let characters: usize = lines[told..].iter().map(|line| line.chars().count()).sum();
            let rest = format!("more line{}, {characters} character", s(lines.len() - told));
            out.push(Line::at(depth + 1, cut_marker(lines.len() - told, &rest)));
        }
        self.cut += u32::from(cut);
    }
}

/// How many of `all` can be shown in `budget` lines, one of which may have to
/// say what is left out.
fn how_many(all: usize, budget: usize) -> usize {
    if all <= budget { all } else { budget.saturating_sub(1) }
}

/// How many values a tree holds: its leaves, an empty container being one.
fn values_in(value: &Json) -> u32 {
    let sum: u32 = match value {
        Json::Array(items) => items.iter().map(values_in).sum(),
        Json::Object(members) => members.iter().map(|(_, value)| values_in(value)).sum(),
        _ => 1,
    };
    sum.max(1)
}

/// `«cut: 14 more members»`. An agent cannot write one: masking has made its
/// guillemets plain.
fn cut_marker(count: usize, what: &str) -> SafeText {
    let ending = if what.ends_with("character") && what.contains(',') { "s" } else { s(count) };
    SafeText::line(&format!("«cut: {count} {what}{ending}»"))
}

fn s(count: usize) -> &'static str {
    if count == 1 { "" } else { "s" }
}

fn ours(words: &'static str) -> SafeText {
    let mut text = SafeText::default();
    text.push_ours(words);
    text
}
