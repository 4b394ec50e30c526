//! How much of anything a letter shows. Whatever is cut is counted.

use super::content::Entry;
use super::html;
use crate::call::json::Json;
use crate::call::present::{self, Limits, Rendered};
use crate::call::safe_text::SafeText;
pub(super) use crate::call::warnings::{cut_line, fitting};

/// Items of any list: warnings of one kind, routes, labels, names.
pub(super) const LISTED: usize = 8;

/// Columns of a name or another short value.
pub(super) const VALUE: usize = 120;

/// Columns of a name among words of ours.
pub(super) const NAME: usize = 40;

/// Different people, clients and agents behind identical calls.
pub(super) const ASKERS: usize = 3;

/// Bytes of the calls of a summary in the HTML part: see [`ARGUMENT_HTML_BYTES`].
/// About 80 calls; nobody reads more of them in a mail.
pub(super) const SUMMARY_HTML_BYTES: usize = 76 * 1024;

/// Bytes of what a summary tells as ended. About 30 lines.
pub(super) const ENDED_HTML_BYTES: usize = 14 * 1024;

/// Columns of a list of names or a sentence of the caller's.
pub(super) const LONG_VALUE: usize = 300;

/// Columns of a sentence of the caller's that ends with a command to type.
pub(super) const SENTENCE: usize = 500;

/// Columns of a session: enough to tell it from another.
pub(super) const SESSION: usize = 16;

/// How the arguments may be shown, from most to least: as the first of these
/// that fits the letter. Five screens of a phone at most: who needs more reads it
/// better in a terminal. The last one fits whatever is in it.
const ARGUMENTS: &[(usize, usize)] =
    &[(120, 400), (60, 400), (30, 400), (30, 120), (15, 120), (8, 80), (3, 60)];

/// Bytes of the arguments as they are shown.
const ARGUMENT_BYTES: usize = 24 * 1024;

/// Bytes of the arguments in the HTML part. Gmail hides the end of a
/// mail beyond 102 KB, and the commands stand there.
const ARGUMENT_HTML_BYTES: usize = 48 * 1024;

/// Lines of the agent's own words.
const QUOTED_LINES: usize = 30;

/// Characters of the agent's own words: a screen of a phone. What it asks for
/// stands above, and the commands must not be out of reach.
const QUOTED_CHARS: usize = 1500;

/// The first few of `names` and how many there are beside them.
pub(super) fn listed(names: &[String], between: &str) -> String {
    let mut all = names.iter().take(LISTED).cloned().collect::<Vec<_>>().join(between);
    if let Some(more @ 1..) = names.len().checked_sub(LISTED) {
        all.push_str(&format!(" and {more} more"));
    }
    all
}

/// As much of the arguments as a letter takes.
pub(super) fn arguments(masked: &Json) -> Rendered {
    let as_wide = |&(max_lines, max_value_columns): &(usize, usize)| {
        present::arguments(masked, &Limits { max_lines, max_value_columns, ..Limits::MAIL })
    };
    let fits = |rendered: &Rendered| {
        let text = rendered.lines.iter().map(|line| line.as_str().len() + 1).sum::<usize>();
        let html = rendered.lines.iter().map(html_cost).sum::<usize>();
        text <= ARGUMENT_BYTES && html <= ARGUMENT_HTML_BYTES
    };
    let (least, more) = ARGUMENTS.split_last().expect("there are some");
    more.iter().map(as_wide).find(fits).unwrap_or_else(|| as_wide(least))
}

/// Bytes of a line in HTML.
fn html_cost(line: &SafeText) -> usize {
    let markup = 60;
    markup + html::unbroken(line).len()
}

/// Bytes of a summary's entry in the HTML part.
pub(super) fn entry_cost(entry: &Entry) -> usize {
    html::entry(entry).len() + html::ROW
}

/// Bytes of a summary's line about what has ended, rather more than less.
pub(super) fn ended_cost(line: &SafeText) -> usize {
    html_cost(line) + html::FACT
}

/// Somebody's words as the first lines that fit, and how many characters do not.
pub(super) fn quoted(text: &str) -> (Vec<SafeText>, usize) {
    let text = text.trim_end();
    let mut lines = Vec::new();
    let (mut room, mut cut) = (QUOTED_CHARS, 0);
    if text.is_empty() {
        return (lines, cut);
    }
    for line in text.split('\n') {
        let line = line.strip_suffix('\r').unwrap_or(line).replace('\t', "    ");
        if cut > 0 || lines.len() == QUOTED_LINES {
            cut += line.chars().count() + 1;
            continue;
        }
        let (shown, left) = cut_line(&line, room);
        room = room.saturating_sub(shown.as_str().chars().count());
        cut += left;
        lines.push(shown);
    }
    (lines, cut)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_cut_is_counted() {
        assert_eq!(fitting("abcdef", 6).as_str(), "abcdef");
        assert_eq!(fitting("abcdef", 4).as_str(), "abcd… (2 more characters)");
        let names: Vec<String> = (0..10).map(|n| n.to_string()).collect();
        assert_eq!(listed(&names, ", "), "0, 1, 2, 3, 4, 5, 6, 7 and 2 more");
        assert_eq!(listed(&names[..8], ", "), "0, 1, 2, 3, 4, 5, 6, 7");
        let (lines, cut) = quoted(&"x\n".repeat(50));
        assert_eq!((lines.len(), cut), (QUOTED_LINES, 40));
        let (lines, cut) = quoted(&"x".repeat(QUOTED_CHARS + 7));
        assert_eq!((lines.len(), cut), (1, 7));
        assert_eq!(quoted(" \r\n").0.len(), 0);
    }

    #[test]
    fn arguments_fit_the_letter_whatever_is_in_them() {
        let of = |member: &str| {
            let members =
                (0..2000).map(|n| (format!("{member}{n}"), Json::String(member.repeat(500))));
            arguments(&Json::object(members))
        };
        for member in
            ["a", "&", "=", "ü", "漢", "\u{202e}", "e\u{301}\u{301}\u{301}\u{301}", "\n", "x\n"]
        {
            let rendered = of(member);
            let html: usize = rendered.lines.iter().map(html_cost).sum();
            let text: usize = rendered.lines.iter().map(|line| line.as_str().len() + 1).sum();
            assert!(html <= ARGUMENT_HTML_BYTES && text <= ARGUMENT_BYTES, "{member:?} {html}");
            assert!(rendered.cut > 1900 && rendered.lines.len() >= 3, "{member:?} {rendered:?}");
        }
        assert_eq!(arguments(&Json::object([("a", Json::Null)])).cut, 0);
    }
}
