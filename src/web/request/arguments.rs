//! The arguments, as a tree in pages.
//!
//! Promises: nothing is cut; what was hidden before it came to rest is marked where
//! it stood. A page has a bounded size whatever the arguments are: a long line goes
//! on on the next page, which says so and where it is.

use maud::{Markup, html};

use crate::call::json::Json;
use crate::call::present::{self, Limits, Line};
use crate::call::safe_text::SafeText;
use crate::web::words;

/// Lines of a page: some four screens of a phone.
const LINES: usize = 120;

/// Bytes of a page, since a line may be long.
const BYTES: usize = 12 * 1024;

/// How deep lines are moved in; what is deeper says its level.
const MOVED_IN: usize = 10;

/// Containers that a page names when it begins inside of them.
const WITHIN: usize = 6;

/// Members that are listed before the first page.
const LISTED: usize = 24;

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

/// What is on which page, where there are several: what the last one holds is not to
/// come as a surprise.
pub fn contents(leaves: &[Leaf]) -> Markup {
    let members = leaves.iter().enumerate().flat_map(|(n, leaf)| {
        let outermost = leaf.lines.iter().filter(|s| s.line.depth == 0 && !s.continued);
        outermost.map(move |shown| (name_of(&shown.line), n + 1))
    });
    let (mut listed, mut more) = (Vec::new(), 0_usize);
    for member in members {
        if listed.len() < LISTED { listed.push(member) } else { more += 1 }
    }
    html! {
        @if leaves.len() > 1 {
            p.within {
                @for (n, (name, page)) in listed.iter().enumerate() {
                    @if n > 0 { ", " } span.mono { (name) } " on page " (page)
                }
                @if more > 0 { ", and " (more) " more" }
            }
        }
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

/// A value with what was hidden in it marked, and what we say beside it apart. Only
/// our markers have guillemets: those that an agent sends are made plain before
/// anything is kept.
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
            (words::unbroken(&plain))
            @if let Some(marker) = marker {
                @if marker.as_str().starts_with(HIDDEN) { mark { (marker) } }
                @else { span.note.beside { (marker) } }
            }
        }
    }
}

/// How a marker begins that stands for something hidden.
const HIDDEN: &str = "«hidden: ";

/// Where the first marker stands.
fn marker(text: &str) -> Option<(usize, usize)> {
    let from = text.find('«')?;
    let to = from + text[from..].find('»')? + '»'.len_utf8();
    Some((from, to))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::call::hostile::HOSTILE;
    use crate::call::json::parse;
    use crate::call::redact::mask;

    fn text(leaf: &Leaf) -> String {
        leaf.lines.iter().map(|shown| shown.line.text.as_str()).collect()
    }

    fn is_bounded(leaves: &[Leaf]) {
        for leaf in leaves {
            assert!(
                leaf.lines.len() <= LINES && leaf.bytes <= BYTES,
                "{} lines, {} bytes",
                leaf.lines.len(),
                leaf.bytes
            );
        }
    }

    #[test]
    fn a_long_text_goes_on_on_the_next_page_and_nothing_is_lost() {
        let long = "x".repeat(200 * 1024);
        let leaves = leaves(&Json::object([
            ("key", Json::from("user:1")),
            ("text", Json::from(long.as_str())),
        ]));
        is_bounded(&leaves);
        assert_eq!(leaves.len(), 18);
        let all: String = leaves.iter().map(text).collect();
        assert_eq!(all, format!("key: user:1text: {long}"));
        let (first, second) = (leaf(&leaves[0]).into_string(), leaf(&leaves[1]).into_string());
        assert!(first.contains("key: ") && !first.contains("goes on"), "{first}");
        assert!(second.contains("goes on on the next page") && !second.contains("(continued)"));
        let last = leaf(&leaves[17]).into_string();
        assert!(last.contains("(continued)") && last.contains("Inside") && last.contains("text"));
    }

    #[test]
    fn a_thousand_keys_and_forty_levels_are_shown_whole() {
        let keys = (0..1000).map(|n| (format!("key{n}"), Json::from("v")));
        let keys = leaves(&Json::object(keys));
        is_bounded(&keys);
        assert_eq!(keys.len(), 9);
        let all: String = keys.iter().map(text).collect();
        assert!((0..1000).all(|n| all.contains(&format!("key{n}: v"))));
        let deep = format!("{}\"end\"{}", "{\"level\":".repeat(40), "}".repeat(40));
        let deep = leaves(&parse(deep.as_bytes()).expect("JSON"));
        let page = leaf(&deep[0]).into_string();
        assert!(page.contains("level 39 ") && page.contains("end"), "{page}");
    }

    #[test]
    fn a_page_says_what_it_begins_inside_of() {
        let inner = Json::object((0..200).map(|n| (format!("k{n}"), Json::from("v"))));
        let leaves = leaves(&Json::object([("outer", Json::object([("inner", inner)]))]));
        let second = leaf(&leaves[1]).into_string();
        assert!(second.contains("outer") && second.contains("inner"), "{second}");
    }

    #[test]
    fn what_is_hidden_is_marked_and_what_looks_like_it_is_not() {
        let json =
            br#"{"password":"correct-horse","note":"\u00abhidden: text of 4 characters\u00bb"}"#;
        let masked = mask(&parse(json).expect("JSON"));
        let page = leaf(&leaves(&masked.value)[0]).into_string();
        assert_eq!((masked.hidden, page.matches("<mark>").count()), (1, 1), "{page}");
    }

    #[test]
    fn hostile_text_is_text() {
        let members =
            HOSTILE.iter().map(|(what, text)| (format!("{what} {text}"), Json::from(*text)));
        let masked = mask(&Json::object(members)).value;
        let page: String = leaves(&masked).iter().map(|l| leaf(l).into_string()).collect();
        for tag in page.split('<').skip(1) {
            let known = [
                "div class=\"line",
                "div class=\"tree\"",
                "span class=\"",
                "p class=\"within\"",
                "mark>",
                "/",
            ];
            assert!(known.iter().any(|known| tag.starts_with(known)), "{tag}");
        }
        assert!(!page.contains('\u{202e}') && !page.contains('\u{1b}'));
    }
}
