//! Text from outside, made safe to look at: the only thing that a terminal, a
//! page or a mail prints.
//!
//! What could make a reader see something else than is there (terminal
//! escapes, bidi controls, zero-width and other invisible characters, piles of
//! combining marks, walls of space) is shown as an escape: `⟨U+202E⟩`, `⟨\n⟩`,
//! `⟨200 spaces⟩`. A `⟨` in the text is itself shown as `⟨U+27E8⟩`, so every
//! escape that a reader sees is ours and none can be forged.
//!
//! Promises: a [`SafeText`] holds no control character (one kind excepted: a
//! [`SafeText::block`] has line feeds), nothing invisible, and nothing that
//! reorders its neighbours. Must never: drop a character without a trace.
//!
//! Safety goes before looks: emoji joined by U+200D are shown apart with the
//! joiner as an escape, and so are the variation selectors of coloured hearts
//! and every space but the plain one (a no-break space in a command is not a
//! space). What is *not* solved here: letters that look like others, for which
//! see [`name_notice`].

mod table;
#[cfg(test)]
mod tests;

use std::fmt;

use unicode_width::UnicodeWidthChar;

pub(crate) use table::is_hidden;
use table::{covers_its_base, is_mark};

/// How many combining marks a letter may carry. Four are enough for pointed
/// Hebrew with cantillation; more hide the lines above and below.
const MAX_MARKS: usize = 4;

/// The longest run of spaces shown as such. What is pushed out of sight by
/// spaces is as hidden as by any other trick; no indentation needs as many.
const MAX_SPACES: usize = 40;

/// The most line ends in a row that a block keeps.
const MAX_BLANK_LINES: usize = 3;

/// How far back a place is sought where a text can be parted. Our markers have
/// some 60 bytes.
const NEAR: usize = 200;

/// How wide a tab is shown in a block.
const TAB: &str = "    ";

/// Text that does nothing but be read.
#[derive(Clone, PartialEq, Eq, Default, PartialOrd, Ord, Hash)]
pub struct SafeText(String);

impl SafeText {
    /// `s` on one line: line ends and tabs are shown as `⟨\n⟩`, `⟨\r⟩`, `⟨\t⟩`.
    pub fn line(s: &str) -> SafeText {
        SafeText::shown(s, Lines::Escaped, usize::MAX).0
    }

    /// `s` with its line ends (`\r\n` counts as one) and with tabs as four spaces.
    pub fn block(s: &str) -> SafeText {
        SafeText::shown(s, Lines::Kept, usize::MAX).0
    }

    /// As much of the start of [`SafeText::line`] as fits `max_columns`, and
    /// how many characters of `s` did not. Says nothing of the cut by itself:
    /// who shows the text says it.
    pub fn cut_line(s: &str, max_columns: usize) -> (SafeText, usize) {
        SafeText::shown(s, Lines::Escaped, max_columns)
    }

    /// As [`SafeText::cut_line`] for one line of a block: tabs are four spaces.
    pub fn cut_block_line(s: &str, max_columns: usize) -> (SafeText, usize) {
        debug_assert!(!s.contains('\n'), "one line");
        SafeText::shown(s, Lines::Kept, max_columns)
    }

    /// Several texts as one, with `between` between them.
    pub fn join<'a>(
        texts: impl IntoIterator<Item = &'a SafeText>,
        between: &'static str,
    ) -> SafeText {
        let mut all = SafeText::default();
        for (i, text) in texts.into_iter().enumerate() {
            if i > 0 {
                all.push_ours(between);
            }
            all.push(text);
        }
        all
    }

    /// Appends text that is safe already. (Formatting two of them into one
    /// string and making that safe would escape their escapes.)
    pub fn push(&mut self, text: &SafeText) {
        self.0.push_str(&text.0);
    }

    /// Appends words of our own, which stand in the source code.
    pub fn push_ours(&mut self, words: &'static str) {
        debug_assert!(!words.contains(is_hidden), "our own words are plain");
        self.0.push_str(words);
    }

    /// The text without the spaces at its end.
    pub(super) fn trimmed_end(&self) -> SafeText {
        SafeText(self.0.trim_end_matches(' ').to_owned())
    }

    /// The text before and from a place, which is a character's; at the end if it is none.
    pub fn split_at(&self, place: usize) -> (SafeText, SafeText) {
        let (before, from) = self.0.split_at_checked(place).unwrap_or((&self.0, ""));
        (SafeText(before.to_owned()), SafeText(from.to_owned()))
    }

    /// The text in pieces of about `bytes` at most. No mark is parted from its
    /// letter, and none of our escapes and markers is parted at all.
    pub fn pieces(&self, bytes: usize) -> Vec<SafeText> {
        let (mut pieces, mut rest) = (Vec::new(), self.0.as_str());
        while rest.len() > bytes {
            let place = place_to_part(rest, bytes);
            let (piece, after) = rest.split_at(place);
            pieces.push(SafeText(piece.to_owned()));
            rest = after;
        }
        pieces.push(SafeText(rest.to_owned()));
        pieces
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether there is no text.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether showing `original` safely changed it: worth a word beside a name.
    pub fn changed(&self, original: &str) -> bool {
        self.0 != original
    }

    /// How many terminal columns the widest line takes.
    pub fn columns(&self) -> usize {
        self.0.lines().map(columns).max().unwrap_or(0)
    }

    /// The text as HTML, good between tags and within a quoted attribute.
    pub fn html(&self) -> String {
        let mut out = String::with_capacity(self.0.len());
        for c in self.0.chars() {
            match c {
                '&' => out.push_str("&amp;"),
                '<' => out.push_str("&lt;"),
                '>' => out.push_str("&gt;"),
                '"' => out.push_str("&quot;"),
                '\'' => out.push_str("&#39;"),
                c => out.push(c),
            }
        }
        out
    }

    /// The shown form of `s` up to `max_columns`, and the characters left out.
    fn shown(s: &str, lines: Lines, max_columns: usize) -> (SafeText, usize) {
        let mut writer = Writer::new(lines);
        let mut rest = s;
        while let Some(c) = rest.chars().next() {
            let before = writer.out.len();
            let taken = writer.next(c, rest);
            writer.width += columns(&writer.out[before..]);
            // A mark takes no column, so no letter is cut off from its marks.
            if writer.width > max_columns {
                writer.out.truncate(before);
                return (SafeText(writer.out), rest.chars().count());
            }
            rest = &rest[taken..];
        }
        (SafeText(writer.out), 0)
    }
}

impl fmt::Display for SafeText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for SafeText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

/// Where `text`, which is longer than that, is parted after about `bytes`.
fn place_to_part(text: &str, bytes: usize) -> usize {
    let parts = |at: &usize| {
        let next = text[*at..].chars().next();
        let within = |open, close| match text[..*at].rfind(open) {
            Some(opened) => !text[opened..*at].contains(close),
            None => false,
        };
        !next.is_some_and(is_mark) && !within('⟨', '⟩') && !within('«', '»')
    };
    // Escapes and markers are short, and a letter has few marks: the place is near.
    let near = bytes.saturating_sub(NEAR).max(1)..=bytes;
    let places = || near.clone().rev().filter(|at| text.is_char_boundary(*at));
    // A character has four bytes at most.
    let beyond = (bytes.max(1)..).find(|at| text.is_char_boundary(*at));
    places().find(parts).or_else(|| places().next()).or(beyond).unwrap_or(text.len())
}

/// How many terminal columns `s` takes, character by character (terminals
/// disagree about sequences; the sum is never too small).
fn columns(s: &str) -> usize {
    s.chars().map(|c| c.width().unwrap_or(0)).sum()
}

/// What to tell an operator beside the name of a tool or a server, if anything:
/// a Cyrillic `а` looks like a Latin one, and no escape shows it.
pub fn name_notice(name: &str) -> Option<&'static str> {
    if name.contains(is_hidden) {
        Some("name has hidden characters")
    } else if !name.is_ascii() {
        Some("name has non-ASCII characters")
    } else {
        None
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Lines {
    Kept,
    Escaped,
}

struct Writer {
    out: String,
    lines: Lines,
    width: usize,
    /// Marks since the last letter; `None` when what stands before can carry none.
    marks: Option<usize>,
}

impl Writer {
    fn new(lines: Lines) -> Writer {
        Writer { out: String::new(), lines, width: 0, marks: None }
    }

    /// Shows the first character of `rest`, or the run it starts. Returns how
    /// many bytes that was.
    fn next(&mut self, c: char, rest: &str) -> usize {
        let taken = c.len_utf8();
        if is_mark(c) {
            if let Some(marks) = self.marks.filter(|&m| m < MAX_MARKS && !covers_its_base(c)) {
                self.marks = Some(marks + 1);
                self.out.push(c);
                return taken;
            }
            // Once too many, all that follow are shown as escapes.
            self.marks = None;
            self.escape(c);
            return taken;
        }
        self.marks = c.is_alphanumeric().then_some(0);
        match c {
            ' ' => self.spaces(rest),
            '\n' | '\r' if self.lines == Lines::Kept => self.line_ends(rest),
            '\t' if self.lines == Lines::Kept => {
                self.out.push_str(TAB);
                1
            }
            '\n' => self.put("⟨\\n⟩"),
            '\r' => self.put("⟨\\r⟩"),
            '\t' => self.put("⟨\\t⟩"),
            ' '..='~' => {
                self.out.push(c);
                1
            }
            '⟨' => {
                self.escape(c);
                taken
            }
            c if is_hidden(c) => {
                self.marks = None;
                self.escape(c);
                taken
            }
            c => {
                self.out.push(c);
                taken
            }
        }
    }

    fn spaces(&mut self, rest: &str) -> usize {
        let run = rest.len() - rest.trim_start_matches(' ').len();
        if run > MAX_SPACES {
            self.out.push_str(&format!("⟨{run} spaces⟩"));
        } else {
            self.out.push_str(&rest[..run]);
        }
        run
    }

    fn line_ends(&mut self, rest: &str) -> usize {
        let (mut ends, mut taken) = (0, 0);
        while let Some(width) = line_end(&rest[taken..]) {
            ends += 1;
            taken += width;
        }
        match ends {
            // A lone \r sends a terminal's cursor home, over what it has written.
            0 => return self.put("⟨\\r⟩"),
            ends if ends - 1 > MAX_BLANK_LINES => {
                self.out.push_str(&format!("\n⟨{} blank lines⟩\n", ends - 1));
            }
            ends => self.out.extend(std::iter::repeat_n('\n', ends)),
        }
        taken
    }

    /// Shows one byte of the text as `words`.
    fn put(&mut self, words: &str) -> usize {
        self.out.push_str(words);
        1
    }

    fn escape(&mut self, c: char) {
        self.out.push_str(&format!("⟨U+{:04X}⟩", u32::from(c)));
    }
}

/// How long the line end at the start of `s` is.
fn line_end(s: &str) -> Option<usize> {
    match s.as_bytes() {
        [b'\n', ..] => Some(1),
        [b'\r', b'\n', ..] => Some(2),
        _ => None,
    }
}
