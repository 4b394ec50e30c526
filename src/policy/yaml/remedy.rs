//! What to do about a line that is not YAML: most are one of a few slips.
//!
//! Promises: the remedy is for the line that the parser stumbled over, as it stands
//! there. Must never: say what is wrong, which is the parser's to say.

use crate::config::names::shortened;
use crate::policy::problem::Place;

/// Where nothing about the line itself is known to be the cause.
const IN_GENERAL: &str = "keys end with a colon and a space, items of a list begin with a hyphen \
                          and a space, and what has * ? [ ] { } # or a colon in it goes in double quotes";

/// What to write where `when` is not in quotes and should be, or not in the right ones.
pub const CONDITION: &str = "put the whole condition in single quotes, and text in it in double \
                             quotes: when: '!args.key.startsWith(\"prod:\")'";

/// What to do about this place.
pub fn remedy(text: &str, at: Place) -> String {
    let line = text.lines().nth(at.line.saturating_sub(1)).unwrap_or_default();
    // Of such a line the parser often sees only the next.
    let near = text.lines().skip(at.line.saturating_sub(2)).take(2);
    if let Some(rest) = near.filter_map(without_space).next() {
        return format!("write a space behind the hyphen: - {}", shortened(rest));
    }
    if let Some(how) = misplaced(text, at.line) {
        return how;
    }
    let (key, value, in_braces) = value_before(line, at.column);
    if key == "when" {
        return CONDITION.to_owned();
    }
    match value.chars().next() {
        _ if value.is_empty() => IN_GENERAL.to_owned(),
        Some('"' | '\'') => {
            "a text in quotes ends with the next such quote, and nothing follows it: put text with \
             double quotes in it in single quotes, and with \\ too"
                .to_owned()
        }
        // Such braces mean more than one value, and are not a pattern.
        _ if in_braces => {
            "between { } put text with a comma, a colon, quotes or brackets in it in quotes, or \
             write each key on a line of its own; each { ends with a }"
                .to_owned()
        }
        _ if value.contains(['{', '[', '@', '`', '%']) || value.contains(": ") => {
            let quote = if value.contains('"') { '\'' } else { '"' };
            format!("put it in quotes: {key}: {quote}{}{quote}", shortened(value))
        }
        _ => IN_GENERAL.to_owned(),
    }
}

/// What follows a hyphen that has no space behind it.
fn without_space(line: &str) -> Option<&str> {
    let rest = line.trim_start().strip_prefix('-')?;
    rest.starts_with(|c: char| c.is_alphabetic() || "{\"'".contains(c)).then_some(rest)
}

/// The key before this column, what stands behind it, and whether both are in braces.
fn value_before(line: &str, column: usize) -> (&str, &str, bool) {
    let said = line.trim_start().trim_start_matches("- ").trim_start();
    if let Some(inside) = said.strip_prefix('{') {
        let before = line.len() - said.len() + 1;
        let until = line.char_indices().nth(column).map_or(line.len(), |(at, _)| at);
        let seen = line.get(before..until.max(before)).unwrap_or(inside);
        let colon = seen.rfind(": ").unwrap_or_default();
        let key = seen.get(..colon).unwrap_or_default();
        let key = key.rsplit([',', ' ', '{']).next().unwrap_or_default();
        return (key, inside, true);
    }
    let (key, value) = said.split_once(": ").unwrap_or_default();
    (key.trim(), value.trim(), false)
}

/// What to do about a line that begins where no line above it does.
fn misplaced(text: &str, number: usize) -> Option<String> {
    // Where lines that are still open begin, the outermost first; and whether the last
    // line has its value already, so that nothing can stand below it.
    let (mut open, mut full): (Vec<usize>, bool) = (Vec::new(), false);
    for (index, line) in text.lines().enumerate().take(number) {
        let said = line.trim_start();
        if said.is_empty() || said.starts_with('#') {
            continue;
        }
        let indent = line.len() - said.len();
        let hyphens = said.len() - said.trim_start_matches("- ").len();
        if index + 1 == number {
            let deepest = open.last().copied()?;
            let how = "begin it exactly below the line that it belongs with";
            if indent > deepest && full {
                return Some(format!(
                    "this line is indented by {indent} spaces, more than the one above, which has \
                     its value already: {how}"
                ));
            }
            if indent < deepest && !open.contains(&indent) {
                let places: Vec<String> = open.iter().map(ToString::to_string).collect();
                return Some(format!(
                    "this line is indented by {indent} spaces, and those above by {}: {how}",
                    places.join(", ")
                ));
            }
            return None;
        }
        open.retain(|begun| *begun < indent);
        open.push(indent);
        if hyphens > 0 {
            open.push(indent + hyphens);
        }
        full = !said.ends_with([':', '|', '>', ',', '[', '{', '-']);
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_slip_has_its_own_remedy() {
        for (line, column, expected) in [
            ("    reason: Never: ask ops", 18, "put it in quotes: reason: \"Never: ask ops\""),
            ("    reason: @ops \"decide\"", 13, "put it in quotes: reason: '@ops \"decide\"'"),
            ("    tool: {get,list}_*", 21, "put it in quotes: tool: \"{get,list}_*\""),
            ("    tool: [ab]_*", 15, "put it in quotes: tool: \"[ab]_*\""),
            ("    reason: \"a \"b\"\"", 15, "a text in quotes ends with the next such quote"),
            ("    when: \"args.x == \"a\"\"", 23, "put the whole condition in single quotes"),
            ("    when: a ? b : c", 18, "put the whole condition in single quotes"),
            ("  - {tool: a, when: args.x in [1], action: allow}", 31, "the whole condition"),
            ("  - {tool: a, reason: [x] y}", 26, "between { } put text"),
            ("  - {tool: a, action: allow", 5, "each { ends with a }"),
            ("  -tool: a", 10, "write a space behind the hyphen: - tool: a"),
            ("  -", 3, "keys end with a colon"),
        ] {
            let text = format!("rules:\n{line}\n");
            let said = remedy(&text, Place { line: 2, column });
            assert!(said.contains(expected), "{line}: {said}");
        }
    }

    #[test]
    fn a_line_that_begins_where_none_does_is_told_where_others_do() {
        let said = |text: &str, line| remedy(text, Place { line, column: 1 });
        let between = said("rules:\n  - tool: a\n   action: deny\n", 3);
        assert!(
            between.starts_with("this line is indented by 3 spaces, and those above by 0, 2, 4")
        );
        let below = said("rules:\n  - tool: a\n      action: deny\n", 3);
        assert!(below.starts_with("this line is indented by 6 spaces, more than the one above"));
        let right = said("rules:\n  - tool: a\n    # x\n    action deny\n", 4);
        assert!(right.starts_with("keys end with a colon"), "{right}");
    }
}
