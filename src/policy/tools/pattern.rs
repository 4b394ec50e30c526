//! Regular expressions in Go's syntax, which is that of RE2, for the engine here.
//!
//! The two syntaxes look alike and differ where nobody looks: in Go `\w`, `\d`,
//! `\s` and `\b` know ASCII only, `\<` is a plain `<`, `[a&&b]` has an `&` in it,
//! `\Q...\E` quotes, `{` may stand for itself, `a**` is a mistake. So a pattern is
//! taken apart as Go does it, and written anew in the part of the syntax that
//! means the same in both.
//!
//! Promises: what Go refuses is refused, but for some names of classes of Unicode
//! that Go does not know (`\p{Alphabetic}`); what is compiled takes memory within a
//! bound for the whole document, and matches in time linear in the text.

use std::collections::HashMap;

use regex::{Regex, RegexBuilder};

use crate::config::names::shortened;
use crate::policy::problem::{Place, Problems};

/// How often something may be repeated, as in Go.
const MOST_REPEATS: u32 = 1000;

/// What a compiled pattern may take, in bytes: tried in this order, so that many
/// small ones fit, and cost little.
const SIZES: [usize; 6] = [1 << 10, 4 << 10, 16 << 10, 64 << 10, 256 << 10, 2 << 20];

/// A pattern of so many bytes costs a step for each byte that it looks at. The worst
/// took 16 ns for a byte and each 256 bytes of its size, and a step is 0.2 microseconds.
const SIZE_OF_A_STEP: u64 = 3 << 10;

/// The most steps for a byte: none that was tried took more than 8 microseconds.
const MOST_STEPS: u64 = 40;

/// What all patterns of a document may take, in bytes.
const ALL: usize = 64 << 20;

/// What a pattern may remember of states it has met, in bytes; it forgets beyond.
const REMEMBERED: usize = 256 << 10;

/// As deep as groups may lie in each other: nobody reads deeper.
const DEEPEST: u32 = 100;

/// The classes that are written `[:alpha:]`, inside of another.
const POSIX: [&str; 14] = [
    "alnum", "alpha", "ascii", "blank", "cntrl", "digit", "graph", "lower", "print", "punct",
    "space", "upper", "word", "xdigit",
];

/// Compiles the patterns of one document, each once.
#[derive(Debug, Default)]
pub(super) struct Patterns {
    known: HashMap<String, Option<Pattern>>,
    used: usize,
}

/// A compiled pattern.
#[derive(Debug, Clone)]
pub(super) struct Pattern {
    regex: Regex,
    /// What it takes, in bytes: one of [`SIZES`].
    size: usize,
}

impl Pattern {
    /// Whether it is found somewhere in the text.
    pub fn is_found(&self, text: &str) -> bool {
        self.regex.is_match(text)
    }

    /// How many steps it may take to look at so many bytes.
    pub fn cost(&self, bytes: usize) -> u64 {
        let (bytes, size) = (bytes as u64, self.size as u64);
        (bytes * size / SIZE_OF_A_STEP).min(bytes * MOST_STEPS)
    }
}

impl Patterns {
    /// The compiled pattern; what is wrong with it is a problem.
    pub fn compile(
        &mut self,
        pattern: &str,
        place: Place,
        problems: &mut Problems,
    ) -> Option<Pattern> {
        if let Some(Some(known)) = self.known.get(pattern) {
            return Some(known.clone());
        }
        let compiled = translated(pattern).and_then(|translated| self.build(&translated));
        if let Err(fault) = &compiled {
            let message = format!("invalid regex \"{}\": {fault}", shortened(pattern));
            problems.add(place, message, "fix the pattern; it is written in Go's (RE2) syntax");
        }
        self.known.entry(pattern.to_owned()).or_insert(compiled.ok()).clone()
    }

    fn build(&mut self, translated: &str) -> Result<Pattern, String> {
        for size in SIZES {
            if self.used + size > ALL {
                return Err("all patterns together are too large".to_owned());
            }
            let built = RegexBuilder::new(translated)
                .size_limit(size)
                .dfa_size_limit(REMEMBERED)
                .nest_limit(DEEPEST)
                .build();
            match built {
                Ok(regex) => {
                    self.used += size;
                    return Ok(Pattern { regex, size });
                }
                Err(regex::Error::CompiledTooBig(_)) => {}
                Err(error) => {
                    // The last line says what is wrong; those above show the translation.
                    let text = error.to_string();
                    let last = text.lines().last().unwrap_or_default();
                    return Err(last.trim_start_matches("error: ").to_owned());
                }
            }
        }
        Err("it is too large".to_owned())
    }
}

/// The same pattern in the syntax of the engine here.
pub(in crate::policy) fn translated(pattern: &str) -> Result<String, String> {
    let mut reader =
        Reader { rest: pattern, out: String::with_capacity(pattern.len() * 2), names: Vec::new() };
    // In Go a repetition may not be repeated: neither is `a**` twice, nor `a*+` greedy.
    let mut repeated = false;
    while let Some(c) = reader.next() {
        let after = std::mem::take(&mut repeated);
        match c {
            '\\' => reader.escape()?,
            '[' => reader.class()?,
            '(' => reader.group()?,
            '*' | '+' | '?' => {
                reader.out.push(c);
                repeated = reader.repetition(after)?;
            }
            '{' => match count(reader.rest)? {
                Some(length) => {
                    let (digits, rest) = reader.rest.split_at(length);
                    reader.rest = rest;
                    reader.out.push('{');
                    reader.out.push_str(digits);
                    repeated = reader.repetition(after)?;
                }
                None => reader.literal('{'),
            },
            '.' | '^' | '$' | '|' | ')' => reader.out.push(c),
            c => reader.literal(c),
        }
    }
    Ok(reader.out)
}

/// The length of what follows the brace of `{2}`, `{2,}` or `{2,3}`; `None`: the
/// brace stands for itself.
fn count(rest: &str) -> Result<Option<usize>, String> {
    let Some((inside, _)) = rest.split_once('}') else {
        return Ok(None);
    };
    let (least, most) = inside.split_once(',').unwrap_or((inside, inside));
    let number = |text: &str| {
        let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        (digits && (text.len() == 1 || !text.starts_with('0'))).then(|| text.parse::<u32>())
    };
    let (Some(least), Some(most)) = (
        number(least),
        if most.is_empty() && inside.contains(',') { Some(Ok(MOST_REPEATS)) } else { number(most) },
    ) else {
        return Ok(None);
    };
    match (least, most) {
        (Ok(least), Ok(most)) if least <= most && most <= MOST_REPEATS => {
            Ok(Some(inside.len() + 1))
        }
        _ => Err(format!("invalid repeat count {{{}}}", shortened(inside))),
    }
}

/// A pattern while it is taken apart.
struct Reader<'a> {
    rest: &'a str,
    out: String,
    names: Vec<&'a str>,
}

impl<'a> Reader<'a> {
    fn next(&mut self) -> Option<char> {
        let c = self.rest.chars().next()?;
        self.rest = &self.rest[c.len_utf8()..];
        Some(c)
    }

    fn take(&mut self, text: &str) -> bool {
        match self.rest.strip_prefix(text) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn literal(&mut self, c: char) {
        self.out.push_str(&regex::escape(c.encode_utf8(&mut [0; 4])));
    }

    /// Ends a repetition, of which `?` makes a reluctant one.
    fn repetition(&mut self, repeated: bool) -> Result<bool, String> {
        if repeated {
            return Err("a repetition is repeated".to_owned());
        }
        if self.take("?") {
            self.out.push('?');
        }
        Ok(true)
    }

    /// What follows a backslash outside of a class.
    fn escape(&mut self) -> Result<(), String> {
        for (escape, meaning) in
            [("A", r"\A"), ("z", r"\z"), ("b", r"(?-u:\b)"), ("B", r"(?-u:\B)")]
        {
            if self.take(escape) {
                self.out.push_str(meaning);
                return Ok(());
            }
        }
        if self.take("Q") {
            let (quoted, rest) = self.rest.split_once(r"\E").unwrap_or((self.rest, ""));
            self.rest = rest;
            quoted.chars().for_each(|c| self.literal(c));
            return Ok(());
        }
        if self.group_of_characters()? {
            return Ok(());
        }
        let c = self.character()?;
        self.literal(c);
        Ok(())
    }

    /// `\d` and its like, and `\p{Greek}`, after the backslash.
    fn group_of_characters(&mut self) -> Result<bool, String> {
        for (letter, members) in [("d", "0-9"), ("s", r"\t\n\x0C\r\x20"), ("w", "0-9A-Za-z_")] {
            let negated = self.take(&letter.to_ascii_uppercase());
            if negated || self.take(letter) {
                let not = if negated { "^" } else { "" };
                self.out.push_str(&format!("[{not}{members}]"));
                return Ok(true);
            }
        }
        let negated = self.take("P");
        if !negated && !self.take("p") {
            return Ok(false);
        }
        let (negated, name) = if self.take("{") {
            let twice = self.take("^");
            let (name, rest) = self.rest.split_once('}').ok_or("a name after \\p does not end")?;
            self.rest = rest;
            (negated != twice, name.to_owned())
        } else {
            (negated, self.next().map(String::from).unwrap_or_default())
        };
        if name.is_empty() || !name.chars().all(|c| c.is_ascii_alphabetic() || c == '_') {
            return Err(format!("no class of characters is called {}", shortened(&name)));
        }
        let letter = if negated { 'P' } else { 'p' };
        self.out.push_str(&format!("\\{letter}{{{name}}}"));
        Ok(true)
    }

    /// One character that is written after a backslash.
    fn character(&mut self) -> Result<char, String> {
        let written = self.rest;
        let c = self.next().ok_or("a backslash stands at the end")?;
        let octal = |c: char| c.is_digit(8);
        let found = match c {
            'a' => Some('\x07'),
            'f' => Some('\x0C'),
            'n' => Some('\n'),
            'r' => Some('\r'),
            't' => Some('\t'),
            'v' => Some('\x0B'),
            '0' | '1'..='7' if c == '0' || self.rest.starts_with(octal) => {
                let more = self.rest.chars().take(2).take_while(|c| octal(*c)).count();
                self.rest = &self.rest[more..];
                u32::from_str_radix(&written[..=more], 8).ok().and_then(char::from_u32)
            }
            'x' => {
                let digits = if self.take("{") {
                    let (digits, rest) =
                        self.rest.split_once('}').ok_or("a number after \\x does not end")?;
                    self.rest = rest;
                    digits
                } else {
                    let digits = self.rest.get(..2).ok_or("\\x needs two digits")?;
                    self.rest = &self.rest[2..];
                    digits
                };
                let valid = digits.bytes().all(|b| b.is_ascii_hexdigit());
                valid
                    .then(|| u32::from_str_radix(digits, 16).ok())
                    .flatten()
                    .and_then(char::from_u32)
            }
            c if c.is_ascii() && !c.is_ascii_alphanumeric() => Some(c),
            _ => None,
        };
        found.ok_or_else(|| format!("\\{} means nothing", shortened(&c.to_string())))
    }

    /// What follows a bracket, up to the one that closes it.
    fn class(&mut self) -> Result<(), String> {
        self.out.push('[');
        if self.take("^") {
            self.out.push('^');
        }
        let mut first = true;
        loop {
            if self.rest.is_empty() {
                return Err("a [ is not closed".to_owned());
            }
            if !first && self.take("]") {
                self.out.push(']');
                return Ok(());
            }
            first = false;
            if let Some(inside) = self.rest.strip_prefix("[:")
                && let Some((name, rest)) = inside.split_once(":]")
            {
                if !POSIX.contains(&name.strip_prefix('^').unwrap_or(name)) {
                    return Err(format!("no class of characters is called {}", shortened(name)));
                }
                self.out.push_str(&format!("[:{name}:]"));
                self.rest = rest;
                continue;
            }
            let before = self.rest;
            if self.take("\\") {
                if self.group_of_characters()? {
                    continue;
                }
                self.rest = before;
            }
            let low = self.member()?;
            let range = self.rest.strip_prefix('-').is_some_and(|rest| !rest.starts_with(']'));
            let high = if range && self.take("-") { self.member()? } else { low };
            if high < low {
                return Err("a range of characters ends before it begins".to_owned());
            }
            self.out.push_str(&format!("\\x{{{:X}}}-\\x{{{:X}}}", u32::from(low), u32::from(high)));
        }
    }

    fn member(&mut self) -> Result<char, String> {
        match self.next() {
            Some('\\') => self.character(),
            Some(c) => Ok(c),
            None => Err("a [ is not closed".to_owned()),
        }
    }

    /// What follows an opening parenthesis. Nobody asks what a group caught.
    fn group(&mut self) -> Result<(), String> {
        if !self.take("?") {
            self.out.push_str("(?:");
            return Ok(());
        }
        if self.take("P<") || self.take("<") {
            let (name, rest) = self.rest.split_once('>').ok_or("a name of a group does not end")?;
            let valid = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
            if name.is_empty() || !valid || self.names.contains(&name) {
                return Err(format!("invalid name of a group: {}", shortened(name)));
            }
            self.names.push(name);
            self.rest = rest;
            self.out.push_str("(?:");
            return Ok(());
        }
        let end = self.rest.find([':', ')']).ok_or("a group is not closed")?;
        let (flags, rest) = self.rest.split_at(end);
        let (on, off) = flags.split_once('-').unwrap_or((flags, "-"));
        let known = |flags: &str| flags.chars().all(|c| "imsU".contains(c));
        if !known(on) || !(off == "-" || (!off.is_empty() && known(off))) {
            return Err(format!("unknown flags of a group: (?{}", shortened(flags)));
        }
        self.rest = &rest[1..];
        self.out.push_str("(?");
        self.out.push_str(flags);
        // `(?)` sets nothing, and the engine here wants to see something.
        let closes = rest.starts_with(')');
        self.out.push_str(match (closes, flags.is_empty()) {
            (true, true) => ":)",
            (true, false) => ")",
            (false, _) => ":",
        });
        Ok(())
    }
}
