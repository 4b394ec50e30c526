//! A letter as HTML: tables and inline styles, since that is what mail readers
//! keep, and no image, script or anything from elsewhere. The only links are those
//! of [`super::content::Link`], to our own pages.
//!
//! Colours are the reader's own, so that dark mode needs nothing; ours are a
//! few borders and shades that read on both. All text from outside passes
//! through `SafeText::html`.

use super::content::{Body, Button, Command, Content, Entry, Link, Mark, Section, Tone};
use crate::call::present::is_kept_whole;
use crate::call::safe_text::SafeText;
use crate::policy::judging::Danger;

/// Sans serif, without asking for a font from elsewhere.
const SANS: &str = "font-family:-apple-system,'Segoe UI',Roboto,Helvetica,Arial,sans-serif";
/// For what is read letter by letter.
const MONO: &str = "font-family:ui-monospace,Menlo,Consolas,'DejaVu Sans Mono',monospace";
/// At least the bytes of markup of a row, and of a fact.
pub(super) const ROW: usize = 60;
pub(super) const FACT: usize = 340;
/// What is pressed. White stands out from it by 6 to 1, and it from white and from
/// black by 3 to 1.
const BUTTON: &str = "#1f63c1";
/// Long words break rather than widen the page beyond a phone.
const BREAK: &str = "overflow-wrap:anywhere;word-break:break-word";

pub(super) fn render(content: &Content) -> String {
    let mut out = String::from(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n\
         <meta name=\"supported-color-schemes\" content=\"light dark\">\n\
         <meta name=\"format-detection\" \
         content=\"telephone=no, date=no, address=no, email=no, url=no\">\n",
    );
    out.push_str(&format!("<title>{}</title>\n</head>\n", SafeText::line(content.title).html()));
    out.push_str(&format!(
        "<body style=\"margin:0;padding:0\">\n\
         <table role=\"presentation\" width=\"100%\" cellpadding=\"0\" cellspacing=\"0\" \
         border=\"0\"><tr><td align=\"center\" style=\"padding:16px 14px\">\n\
         <table role=\"presentation\" width=\"100%\" cellpadding=\"0\" cellspacing=\"0\" \
         border=\"0\" style=\"max-width:600px;text-align:left;{SANS};font-size:16px;\
         line-height:1.5;{BREAK}\">\n"
    ));
    row(&mut out, &format!("border-left:{};padding-left:12px", bar(content.tone)), &{
        let mut first = format!(
            "<div style=\"font-size:20px;line-height:1.35;font-weight:600\">{}</div>",
            unbroken(&content.headline)
        );
        if !content.marks.is_empty() {
            let marks: String = content.marks.iter().map(mark).collect();
            first.push_str(&format!("<div style=\"padding-top:6px\">{marks}</div>"));
        }
        for line in content.asked_by.iter().chain(&content.under) {
            first.push_str(&format!("<div style=\"padding-top:4px\">{}</div>", unbroken(line)));
        }
        first
    });
    for warning in &content.warnings {
        row(&mut out, "padding-top:10px", &marked(warning));
    }
    if let Some(button) = &content.button {
        row(&mut out, "padding-top:16px", &self::button(button));
    }
    for section in &content.sections {
        render_section(&mut out, section);
    }
    let leave = content.leave.as_ref().map(|leave| format!("<br>{}", link(leave)));
    row(
        &mut out,
        "padding-top:28px;font-size:13px;opacity:.75",
        &format!("{}{}", content.last.html(), leave.unwrap_or_default()),
    );
    out.push_str("</table>\n</td></tr></table>\n</body>\n</html>\n");
    out
}

/// Beside the words that say the same. Each stands out from white and from
/// black by more than 3 to 1, which WCAG 2.2, 1.4.11 asks of what is not text.
fn bar(tone: Tone) -> &'static str {
    match tone {
        Tone::Asks(Danger::Little) | Tone::Good => "6px solid #2e9e5b",
        Tone::Asks(Danger::Some) => "6px solid #2f7fd6",
        Tone::Asks(Danger::Much) => "6px solid #c8741f",
        Tone::Asks(Danger::Great) | Tone::Refused => "6px solid #d64545",
        // As red as the one before, and wider.
        Tone::Asks(Danger::Greatest) => "11px solid #cc2020",
        Tone::Over => "6px solid #888888",
        Tone::Unsure => "6px solid #9060d8",
    }
}

/// A mark as the pages have it. It has both of its colours, so that no reader puts
/// one of them on another.
fn mark(mark: &Mark) -> String {
    let (behind, ink) = match mark.danger {
        None => ("#e7eaee", "#36424f"),
        Some(Danger::Little) => ("#dff3e4", "#14532d"),
        Some(Danger::Some) => ("#e3effc", "#0d3f7c"),
        Some(Danger::Much) => ("#fdf0d0", "#6b4300"),
        Some(Danger::Great) => ("#fde4e1", "#8c1511"),
        Some(Danger::Greatest) => ("#8c1511", "#ffffff"),
    };
    format!(
        "<span style=\"display:inline-block;background:{behind};color:{ink};border-radius:5px;\
         padding:1px 7px;margin:2px 6px 2px 0;font-size:14px;font-weight:600\">{}</span> ",
        SafeText::line(&mark.words).html()
    )
}

/// The longest id that is kept on one line: what a phone has room for.
const KEPT_WHOLE: usize = 34;

/// Text as HTML in which ids and paths go to the next line whole, where they have room
/// on one: readers break them at each hyphen otherwise.
pub(super) fn unbroken(text: &SafeText) -> String {
    let mut out = String::new();
    let mut rest = text.clone();
    let mut after_space = true;
    while !rest.is_empty() {
        let end = rest.as_str().find(' ').unwrap_or(rest.as_str().len());
        let (word, after) = rest.split_at(end);
        let (space, after) = after.split_at(after.as_str().len().min(1));
        let html = word.html();
        match is_kept_whole(word.as_str(), KEPT_WHOLE) {
            true => out.push_str(&format!("<span style=\"{WHOLE}\">{html}</span>")),
            false => out.push_str(&html),
        }
        after_space &= word.is_empty();
        out.push_str(match space.is_empty() {
            true => "",
            false if after_space => NO_BREAK_SPACE,
            false => " ",
        });
        after_space = true;
        rest = after;
    }
    out
}

/// A space that every reader shows: Outlook on Windows and Samsung's know no
/// `white-space`, and take a run of spaces for one. Text from outside has none, since it
/// is shown there as what it is.
const NO_BREAK_SPACE: &str = "&#160;";

/// Text as HTML in which each of its spaces is seen.
fn spaced(text: &SafeText) -> String {
    let mut after_space = true;
    let kept = |c: char| {
        let keeps = c == ' ' && after_space;
        after_space = c == ' ';
        if keeps { '\u{a0}' } else { c }
    };
    text.html().chars().map(kept).collect::<String>().replace('\u{a0}', NO_BREAK_SPACE)
}

const WHOLE: &str = "display:inline-block;max-width:100%;text-indent:0";

/// The button: a link in a cell that has its colour. Outlook on Windows knows no
/// padding of links, so there the cell has it.
fn button(button: &Button) -> String {
    format!(
        "<table role=\"presentation\" cellpadding=\"0\" cellspacing=\"0\" border=\"0\"><tr>\
         <td align=\"center\" bgcolor=\"{BUTTON}\" style=\"background:{BUTTON};border-radius:6px;\
         mso-padding-alt:12px 28px\"><a href=\"{url}\" style=\"display:inline-block;\
         padding:12px 28px;border-radius:6px;background:{BUTTON};color:#ffffff;font-size:17px;\
         font-weight:600;line-height:1.35;text-decoration:none\">{label}</a></td></tr></table>\n\
         <div style=\"padding-top:8px;font-size:14px;opacity:.8\">{words}</div>",
        url = SafeText::line(&button.link.url).html(),
        label = SafeText::line(&button.link.label).html(),
        words = button.words.html(),
    )
}

/// A link among words. In the reader's own colours, which dark mode changes with
/// the background.
fn link(link: &Link) -> String {
    let (url, label) = (SafeText::line(&link.url).html(), SafeText::line(&link.label).html());
    format!("<a href=\"{url}\" style=\"color:inherit;font-weight:600\">{label}</a>")
}

/// A warning.
fn marked(warning: &SafeText) -> String {
    format!(
        "<div style=\"border-left:4px solid #c8741f;padding:4px 0 4px 10px\">{}</div>",
        unbroken(warning)
    )
}

/// One row of the letter's only column.
fn row(out: &mut String, style: &str, html: &str) {
    out.push_str(&format!("<tr><td style=\"{style}\">{html}</td></tr>\n"));
}

fn render_section(out: &mut String, section: &Section) {
    let heading = SafeText::line(section.heading).html();
    let style = "padding-top:26px;font-size:17px;line-height:1.35;font-weight:600";
    row(out, style, &heading);
    if !section.note.is_empty() {
        let lines = section.note.lines().map(|line| SafeText::line(line).html());
        let note = lines.collect::<Vec<_>>().join("<br>");
        row(out, "padding-top:2px;font-size:14px;opacity:.8", &note);
    }
    match &section.body {
        Body::Facts(facts) => row(out, "padding-top:6px", &fact_table(facts)),
        Body::Arguments(lines, all) => {
            if !lines.is_empty() {
                let lines: String = lines.iter().map(argument_line).collect();
                row(out, "padding-top:8px", &boxed("1px solid #8886", &lines));
            }
            if let Some(all) = all {
                row(out, "padding-top:10px", &with_command("All of them", all));
            }
        }
        Body::Quote(lines) if lines.is_empty() => {}
        Body::Quote(lines) => {
            let lines: Vec<String> = lines.iter().map(spaced).collect();
            let quote = format!(
                "<div style=\"border-left:4px solid #888;padding:2px 0 2px 12px;\
                 font-style:italic;{BREAK}\">{}</div>",
                lines.join("<br>")
            );
            row(out, "padding-top:8px", &quote);
        }
        Body::Words(words) => {
            for words in words {
                row(out, "padding-top:2px", &words.html());
            }
        }
        Body::Commands(commands) => {
            for (what_for, command) in commands {
                row(out, "padding-top:12px", &with_command(what_for, command));
            }
        }
        Body::Calls(entries) => {
            for entry in entries {
                row(out, "padding-top:18px", &self::entry(entry));
            }
        }
    }
}

/// One call of many. Little markup, since there may be a hundred of them and
/// Gmail hides what is beyond 102 KB.
pub(super) fn entry(entry: &Entry) -> String {
    let mut out = format!(
        "<div style=\"border-top:1px solid #888;padding-top:10px\"><b>{}</b></div>\n",
        entry.head.html()
    );
    let mut line = |style: &str, html: &str| {
        out.push_str(&format!("<div style=\"{style}\">{html}</div>\n"));
    };
    for warning in &entry.warnings {
        line("border-left:4px solid #c8741f;margin:5px 0;padding-left:10px", &warning.html());
    }
    line("padding:1px 0", &spaced(&entry.sentence));
    for who in &entry.who {
        line("font-size:14px;opacity:.8", &who.html());
    }
    for one in &entry.links {
        line("padding:8px 0", &link(one));
    }
    for (what_for, command) in &entry.commands {
        let command: Vec<String> = command.0.iter().map(SafeText::html).collect();
        line("padding-top:6px;font-size:14px", &format!("{what_for}:"));
        line(
            "border-left:3px solid #888;padding-left:9px",
            &format!("<code>{}</code>", command.join(" ")),
        );
    }
    out
}

fn fact_table(facts: &[(String, SafeText)]) -> String {
    let rows = facts.iter().map(|(label, value)| {
        format!(
            "<tr><td width=\"100\" valign=\"top\" style=\"width:100px;padding:2px 10px 2px 0;\
             font-size:14px;line-height:1.7;opacity:.8\">{label}</td><td valign=\"top\" \
             style=\"padding:2px 0;{BREAK}\">{}</td></tr>\n",
            unbroken(value)
        )
    });
    format!(
        "<table role=\"presentation\" width=\"100%\" cellpadding=\"0\" cellspacing=\"0\" \
         border=\"0\" style=\"font-size:16px;line-height:1.5;table-layout:fixed\">{}</table>",
        rows.collect::<String>()
    )
}

/// Pixels of a column of what is read letter by letter.
const COLUMN: usize = 8;

/// Continued lines hang and each line stands apart, so that a value which goes
/// on does not look like another member. By margins: Outlook on Windows knows no
/// padding here, and Gmail no negative indent, where all of a line begins further in.
fn argument_line(line: &SafeText) -> String {
    let text = line.as_str();
    let left = (text.len() - text.trim_start_matches(' ').len() + 4) * COLUMN;
    let html = unbroken(line);
    format!("<div style=\"margin:1px 0 3px {left}px;text-indent:-{left}px\">{html}</div>")
}

fn boxed(border: &str, html: &str) -> String {
    format!(
        "<div style=\"border:{border};border-radius:6px;background:#8881;padding:8px 10px;{MONO};\
         font-size:14px;line-height:1.5;{BREAK}\">{html}</div>"
    )
}

/// One line when it is copied; on a narrow screen each part begins a line.
fn with_command(what_for: &str, command: &Command) -> String {
    let part = |part: &SafeText| {
        let html = part.html();
        format!("<span style=\"display:inline-block\">{html}</span>")
    };
    let parts: Vec<String> = command.0.iter().map(part).collect();
    let command = boxed("1px solid #888", &parts.join(" "));
    format!("<div style=\"padding-bottom:4px\">{what_for}:</div>{command}")
}
