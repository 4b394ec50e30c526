//! One value, or one name, on one line.

use super::{cut_marker, ours};
use crate::call::json::{Json, Number};
use crate::call::safe_text::SafeText;
use crate::call::words;

/// A member's name, in quotes unless it is a plain one, and whether it was cut.
pub(in crate::call) fn name_text(name: &str, max_columns: usize) -> (SafeText, bool) {
    let plain = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | '/' | '$' | '@');
    let is_plain = !name.is_empty() && !name.starts_with('-') && name.chars().all(plain);
    if is_masked(name) || (is_plain && name.len() <= max_columns) {
        return (SafeText::line(name), false);
    }
    let (text, cut) = quoted(name, max_columns);
    (with_cut(text, cut), cut > 0)
}

/// [`name_text`] where a name may be told again for each of many values: costs the
/// same however long the name is.
pub(in crate::call) fn name_start(name: &str, max_columns: usize) -> SafeText {
    let start = start_of_name(name, max_columns);
    if start.len() == name.len() {
        return name_text(name, max_columns).0;
    }
    let (mut text, _) = quoted(start, max_columns);
    text.push(&SafeText::line(&format!(" «cut: a name of {} bytes»", name.len())));
    text
}

/// All of a name that is looked at to show `columns` of it. No character has more
/// than four bytes, and a mark, which takes no column, has its share of them.
fn start_of_name(name: &str, columns: usize) -> &str {
    words::start(name, columns.saturating_mul(4))
}

/// A scalar, cut to `columns`, and whether it was cut. `None` for a container.
pub(super) fn scalar(value: &Json, columns: usize) -> Option<(SafeText, bool)> {
    let (text, cut) = match value {
        Json::Null => (ours("null"), 0),
        Json::Bool(true) => (ours("true"), 0),
        Json::Bool(false) => (ours("false"), 0),
        Json::Number(number) => SafeText::cut_line(number.as_str(), columns),
        Json::String(text) if reads_as_text(text) => SafeText::cut_line(text, columns),
        Json::String(text) => quoted(text, columns),
        Json::Array(_) | Json::Object(_) => return None,
    };
    Some((with_cut(text, cut), cut > 0))
}

/// A scalar, or a list of scalars, if it is short enough to stand on one line
/// whole. Strings in a list are always in quotes.
pub(super) fn inline(value: &Json, columns: usize) -> Option<SafeText> {
    let text = match value {
        Json::Array(items) if items.is_empty() => return Some(ours("[]")),
        Json::Object(members) if members.is_empty() => return Some(ours("{}")),
        Json::Array(items) if items.len() <= columns => {
            let items: Option<Vec<_>> = items.iter().map(|item| item_text(item, columns)).collect();
            between("[", &SafeText::join(&items?, ", "), "]")
        }
        Json::Array(_) | Json::Object(_) => return None,
        single => whole(scalar(single, columns)?)?,
    };
    (text.columns() <= columns).then_some(text)
}

/// An item of a list that stands on one line.
pub(super) fn item_text(item: &Json, columns: usize) -> Option<SafeText> {
    match item {
        Json::String(text) if !is_masked(text) => {
            let (text, cut) = quoted(text, columns);
            whole((text, cut > 0))
        }
        item => whole(scalar(item, columns)?),
    }
}

fn whole((text, cut): (SafeText, bool)) -> Option<SafeText> {
    (!cut).then_some(text)
}

/// Whether a string needs no quotes to be taken for what it is: not for another
/// kind of value, not for the start of something, and not for less than it is.
fn reads_as_text(text: &str) -> bool {
    is_masked(text)
        || !(text.is_empty()
            || is_literal(text)
            || text.starts_with(['"', '\'', '[', '{', '(', '|', '«', '-'])
            || text.starts_with(char::is_whitespace)
            || text.ends_with(char::is_whitespace))
}

/// Whether a string's text is also the text of a number, a truth value or `null`.
pub(super) fn is_literal(text: &str) -> bool {
    matches!(text, "null" | "true" | "false") || Number::new(text).is_some()
}

/// Whether the whole string is one of our markers.
pub(super) fn is_masked(text: &str) -> bool {
    text.strip_prefix("«hidden: ")
        .and_then(|rest| rest.strip_suffix('»'))
        .is_some_and(|inner| !inner.contains(['«', '»']))
}

/// A text in double quotes, cut to `columns`, and how many characters were cut.
/// `\"` and `\\` inside make clear where it ends.
pub(super) fn quoted(text: &str, columns: usize) -> (SafeText, usize) {
    let escaped = text.replace('\\', "\\\\").replace('"', "\\\"");
    let (shown, rest) = SafeText::cut_line(&escaped, columns);
    if rest == 0 {
        return (between("\"", &shown, "\""), 0);
    }
    // Count and cut what was sent, not our escapes of it: a character is kept
    // if all of its escape is.
    let room = escaped.chars().count() - rest;
    let mut used = 0;
    let kept: String = text
        .chars()
        .take_while(|c| {
            used += if matches!(c, '"' | '\\') { 2 } else { 1 };
            used <= room
        })
        .collect();
    let cut = text.chars().count() - kept.chars().count();
    let kept = kept.replace('\\', "\\\\").replace('"', "\\\"");
    (between("\"", &SafeText::line(&kept), "\""), cut)
}

fn with_cut(mut text: SafeText, cut: usize) -> SafeText {
    if cut > 0 {
        text.push_ours(" ");
        text.push(&cut_marker(cut, "more character"));
    }
    text
}

fn between(open: &'static str, text: &SafeText, close: &'static str) -> SafeText {
    let mut all = ours(open);
    all.push(text);
    all.push_ours(close);
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_is_told_often_costs_the_same_however_long_it_is() {
        for letter in ["_", "\u{301}", "語", "\"", "\u{202e}"] {
            let name = |times: usize| format!("sql{}", letter.repeat(times));
            let (long, longer) = (name(20_000), name(80_000));
            assert_eq!(start_of_name(&long, 60), start_of_name(&longer, 60));
            assert!(start_of_name(&longer, 60).len() <= 240);
            let told = name_start(&longer, 60).to_string();
            let bytes = format!(" «cut: a name of {} bytes»", longer.len());
            assert!(told.starts_with("\"sql") && told.ends_with(&bytes), "{told}");
            assert!(told.len() < 400, "{told}");
        }
        assert_eq!(name_start("sql", 60).as_str(), "sql");
    }
}
