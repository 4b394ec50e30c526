//! A letter as plain text.
//!
//! What begins in the first column is ours: headings, notes, commands. Text
//! from outside stands behind two spaces (facts), four (arguments) or `> ` (the
//! agent's words), and lines are broken here, with the indentation repeated, so
//! that neither a line end nor a long line brings it to the first column. The
//! first line of all is the exception: the sentence, for lock screens. A link of
//! ours is a line of its own, never broken, so that readers make all of it one.

use unicode_width::UnicodeWidthChar;

use super::content::{Body, Command, Content, Entry, Link, Section};

/// The widest line, in columns, except where a word of ours is longer.
const WIDTH: usize = 78;

/// Where the values of facts begin.
const VALUES: usize = 16;

pub(super) fn render(content: &Content) -> String {
    let mut out = String::new();
    wrapped(&mut out, "", "  ", content.headline.as_str());
    if !content.marks.is_empty() {
        let marks = content.marks.iter().map(|mark| mark.words.as_str()).collect::<Vec<_>>();
        wrapped(&mut out, "", "  ", &marks.join(" - "));
    }
    if let Some(line) = &content.asked_by {
        wrapped(&mut out, "  ", "    ", line.as_str());
    }
    for line in &content.under {
        wrapped(&mut out, "", "  ", line.as_str());
    }
    if !content.warnings.is_empty() {
        out.push('\n');
    }
    for warning in &content.warnings {
        wrapped(&mut out, "! ", "  ", warning.as_str());
    }
    if let Some(button) = &content.button {
        out.push('\n');
        render_link(&mut out, &button.link);
        wrapped(&mut out, "", "", button.words.as_str());
    }
    for section in &content.sections {
        render_section(&mut out, section);
    }
    out.push_str("\n--\n");
    wrapped(&mut out, "", "", content.last.as_str());
    if let Some(leave) = &content.leave {
        render_link(&mut out, leave);
    }
    out
}

fn render_link(out: &mut String, link: &Link) {
    out.push_str(&format!("{}:\n{}\n", link.label, link.url));
}

fn render_section(out: &mut String, section: &Section) {
    out.push('\n');
    out.push_str(&section.heading.to_uppercase());
    out.push('\n');
    for line in section.note.lines() {
        wrapped(out, "", "", line);
    }
    match &section.body {
        Body::Facts(facts) => {
            for (label, value) in facts {
                let first = format!("  {label:<width$}", width = VALUES - 2);
                wrapped(out, &first, &" ".repeat(VALUES), value.as_str());
            }
        }
        Body::Arguments(lines, all) => {
            for line in lines {
                // Continued behind a mark of ours: a value must not look as if
                // it went on with another member.
                let text = line.as_str().trim_start_matches(' ');
                let indent = " ".repeat(4 + line.as_str().len() - text.len());
                wrapped(out, &indent, &format!("{indent}↳ "), text);
            }
            if let Some(all) = all {
                out.push_str("All of them:\n");
                render_command(out, all);
            }
        }
        Body::Quote(lines) => {
            for line in lines {
                wrapped(out, "> ", "> ", line.as_str());
            }
        }
        Body::Words(words) => {
            for words in words {
                wrapped(out, "", "  ", words.as_str());
            }
        }
        Body::Commands(commands) => {
            for (what_for, command) in commands {
                out.push('\n');
                with_command(out, what_for, command);
            }
        }
        Body::Calls(entries) => {
            for entry in entries {
                out.push('\n');
                render_entry(out, entry);
            }
        }
    }
}

fn render_entry(out: &mut String, entry: &Entry) {
    wrapped(out, "", "   ", entry.head.as_str());
    for warning in &entry.warnings {
        wrapped(out, "!  ", "   ", warning.as_str());
    }
    wrapped(out, "    ", "    ", entry.sentence.as_str());
    for who in &entry.who {
        wrapped(out, "    ", "    ", who.as_str());
    }
    for link in &entry.links {
        render_link(out, link);
    }
    for (what_for, command) in &entry.commands {
        with_command(out, what_for, command);
    }
}

fn with_command(out: &mut String, what_for: &str, command: &Command) {
    wrapped(out, "", "  ", &format!("{what_for}:"));
    render_command(out, command);
}

/// Continued as shells do, so that it can be copied from any reader.
fn render_command(out: &mut String, command: &Command) {
    let mut width = 0;
    for (i, part) in command.0.iter().enumerate() {
        // Two columns for what continues the line.
        let fits = width + 1 + part.columns() + 2 <= WIDTH;
        let between = match (i, fits) {
            (0, _) => "",
            (_, true) => " ",
            (_, false) => " \\\n  ",
        };
        out.push_str(between);
        out.push_str(part.as_str());
        width = if fits { width + 1 + part.columns() } else { 2 + part.columns() };
    }
    out.push('\n');
}

/// Appends one line of text, broken at spaces where there are some and within
/// words where there are none. A break stands for one space.
fn wrapped(out: &mut String, first: &str, next: &str, text: &str) {
    let mut rest = text;
    let mut indent = first;
    loop {
        let room = WIDTH.saturating_sub(columns(indent)).max(WIDTH / 4);
        let (line, more) = rest.split_at(line_end(rest, room));
        out.push_str(format!("{indent}{line}").trim_end());
        out.push('\n');
        if more.is_empty() {
            break;
        }
        (rest, indent) = (more.strip_prefix(' ').unwrap_or(more), next);
    }
}

fn columns(text: &str) -> usize {
    text.chars().map(|c| c.width().unwrap_or(0)).sum()
}

/// The bytes of `text` that go on a line of `room` columns.
fn line_end(text: &str, room: usize) -> usize {
    let (mut columns, mut space) = (0, None);
    for (at, c) in text.char_indices() {
        columns += c.width().unwrap_or(0);
        if c == ' ' && columns > room / 2 {
            space = Some(at);
        }
        // A space at the very end may hang over: the break stands for it.
        if columns > room && c != ' ' {
            // What is wider than the line by itself must still go somewhere.
            let first = text.chars().next().map_or(text.len(), char::len_utf8);
            return space.unwrap_or(at).max(first);
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(first: &str, next: &str, text: &str) -> Vec<String> {
        let mut out = String::new();
        wrapped(&mut out, first, next, text);
        out.lines().map(str::to_owned).collect()
    }

    #[test]
    fn long_lines_are_broken_and_nothing_is_lost() {
        let text = "word ".repeat(60) + &"x".repeat(200);
        let lines = lines("> ", "> ", &text);
        assert!(lines.iter().all(|l| l.starts_with("> ") && l.trim_end().len() <= WIDTH));
        let (words, long): (Vec<&str>, Vec<&str>) =
            lines.iter().map(|l| &l[2..]).partition(|l| l.starts_with("word"));
        assert_eq!(words.join(" ") + " " + &long.concat(), text);
    }

    #[test]
    fn wide_letters_count_twice_and_marks_stay_with_their_letter() {
        let lines = lines("", "", &"漢".repeat(50));
        assert_eq!(lines.iter().map(|l| l.chars().count()).collect::<Vec<_>>(), [39, 11]);
        let marked = lines_of_marked();
        assert!(marked.iter().all(|l| l.starts_with('e')), "{marked:?}");
    }

    fn lines_of_marked() -> Vec<String> {
        lines("", "", &"e\u{301}".repeat(100))
    }

    #[test]
    fn an_empty_line_is_a_line() {
        assert_eq!(lines("> ", "> ", ""), [">"]);
    }
}
