//! The arguments, as a tree in pages.
//!
//! Promises: nothing is cut; what was hidden before it came to rest is marked where
//! it stood. A page has a bounded size whatever the arguments are: a long line goes
//! on on the next page, which says so and where it is.

use maud::{Markup, html};

use crate::call::json::Json;
use crate::call::present::{self, Limits, Line};
use crate::call::safe_text::SafeText;

/// Lines of a page: some four screens of a phone.
const LINES: usize = 120;

/// Bytes of a page, since a line may be long.
const BYTES: usize = 12 * 1024;

/// How deep lines are moved in; what is deeper says its level.
const MOVED_IN: usize = 10;

/// Containers that a page names when it begins inside of them.
const WITHIN: usize = 6;

/// Columns of the name of one.
const WITHIN_COLUMNS: usize = 40;

/// One page.
#[derive(Debug, Default)]
pub struct Leaf {
    /// What it begins inside of, outermost first.
    within: Vec<SafeText>,
    lines: Vec<Shown>,
    bytes: usize,
}

/// One line, or a piece of one.
#[derive(Debug)]
struct Shown {
    line: Line,
    /// It began on the page before.
    continued: bool,
    /// It goes on on the next one.
    goes_on: bool,
}

/// All pages; there is always one.
pub fn leaves(masked: &Json) -> Vec<Leaf> {
    let (lines, _) = present::lines(masked, &Limits::WHOLE);
    let mut book = Book { leaves: vec![Leaf::default()], around: Vec::new() };
    for line in lines {
        book.add(line);
    }
    book.leaves
}

struct Book {
    leaves: Vec<Leaf>,
    /// The names of the containers around the next line, by depth.
    around: Vec<(usize, SafeText)>,
}

impl Book {
    fn add(&mut self, line: Line) {
        self.around.retain(|(depth, _)| *depth < line.depth);
        let opens = (line.depth, name_of(&line));
        let pieces = line.text.pieces(BYTES);
        let last = pieces.len() - 1;
        for (n, text) in pieces.into_iter().enumerate() {
            let bytes = text.as_str().len();
            let name = if n == 0 { line.name } else { 0 };
            let dash = line.dash && n == 0;
            let piece = Line { text, name, dash, ..line.clone() };
            self.put(Shown { line: piece, continued: n > 0, goes_on: n < last }, bytes);
            if n == 0 {
                self.around.push(opens.clone());
            }
        }
    }

    fn put(&mut self, shown: Shown, bytes: usize) {
        let full = self.leaves.last().is_none_or(|leaf| {
            leaf.lines.len() >= LINES || (leaf.bytes + bytes > BYTES && !leaf.lines.is_empty())
        });
        if full {
            let within = self.around.iter().rev().take(WITHIN).rev();
            let within = within.map(|(_, name)| name.clone()).collect();
            self.leaves.push(Leaf { within, ..Leaf::default() });
        }
        if let Some(leaf) = self.leaves.last_mut() {
            leaf.bytes += bytes;
            leaf.lines.push(shown);
        }
    }
}

/// What a line is called where its page is not seen.
fn name_of(line: &Line) -> SafeText {
    let name = line.text.split_at(line.name).0;
    match name.as_str().trim_end_matches([':', ' ']).len() {
        0 => SafeText::line("item"),
        length => name.split_at(length).0.pieces(WITHIN_COLUMNS).swap_remove(0),
    }
}

/// One page.
pub fn leaf(leaf: &Leaf) -> Markup {
    html! {
        @if !leaf.within.is_empty() {
            p.within { "Inside " @for (n, name) in leaf.within.iter().enumerate() {
                @if n > 0 { " › " } span.mono { (name) }
            } }
        }
        div.tree { @for shown in &leaf.lines { (line(shown)) } }
    }
}

fn line(shown: &Shown) -> Markup {
    let Line { depth, dash, bar, text, name } = &shown.line;
    let (name, value) = text.split_at(*name);
    let level = depth - usize::from(*dash).min(*depth);
    let class = format!("in-{}", level.min(MOVED_IN));
    html! {
        div.line.(class).bar[*bar] {
            @if level > MOVED_IN { span.note { "level " (level) " " } }
            @if shown.continued { span.note { "(continued) " } }
            @if *dash { "- " }
            @if !name.is_empty() { span.name { (name) } }
            (marked(&value))
            @if shown.goes_on { span.note { " (goes on on the next page)" } }
        }
    }
}

/// A value with what was hidden in it marked. Only our markers have guillemets: those
/// that an agent sends are made plain before anything is kept.
fn marked(value: &SafeText) -> Markup {
    let (mut rest, mut parts) = (value.clone(), Vec::new());
    while let Some((from, to)) = marker(rest.as_str()) {
        let (before, after) = rest.split_at(from);
        let (marker, after) = after.split_at(to - from);
        parts.push((before, Some(marker)));
        rest = after;
    }
    parts.push((rest, None));
    html! {
        @for (plain, marker) in parts {
            (plain) @if let Some(marker) = marker { mark { (marker) } }
        }
    }
}

/// Where the first marker stands.
fn marker(text: &str) -> Option<(usize, usize)> {
    let from = text.find("«hidden: ")?;
    let to = from + text[from..].find('»')? + '»'.len_utf8();
    Some((from, to))
}
