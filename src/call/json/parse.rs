//! The strict parser: RFC 8259, and nothing that two readers could read differently.
//!
//! Promises: linear time but for sorting the names of one object, bounded depth
//! (so no input overflows the stack), and an error that says what is wrong and
//! where. Must never: guess, repair, or repeat what was sent: a value may be a
//! secret, and an error may end in a log.

use super::number::{exponent_is_accepted, scan};
use super::{Json, JsonError, JsonErrorKind, Number};

/// How deep arrays and objects may nest: the innermost of 64 is accepted.
pub const MAX_DEPTH: usize = 64;

/// How much deeper a document of our own may nest that carries an agent's
/// arguments somewhere inside (a JSON-RPC message, an audit payload).
const ENVELOPE_DEPTH: usize = MAX_DEPTH + 16;

/// How many values one document may have. A value of two bytes takes fifty or
/// more as a tree, so that without a bound a few megabytes would become hundreds.
/// The arguments of a held call have at most 256 KiB.
pub const MAX_VALUES: usize = 1_000_000;

/// Reads one JSON document, strictly.
///
/// # Errors
/// Anything that is not RFC 8259, and what is but would not mean exactly one
/// thing: see [`JsonErrorKind`].
pub fn parse(bytes: &[u8]) -> Result<Json, JsonError> {
    parse_to_depth(bytes, MAX_DEPTH)
}

/// Reads a call's arguments: an object, and nothing at all (no bytes) counts as `{}`.
///
/// # Errors
/// As [`parse`], and for anything but an object.
pub fn parse_object(bytes: &[u8]) -> Result<Json, JsonError> {
    if bytes.is_empty() {
        return Ok(Json::Object(Vec::new()));
    }
    match parse(bytes)? {
        object @ Json::Object(_) => Ok(object),
        _ => Err(JsonError { offset: 0, kind: JsonErrorKind::NotAnObject }),
    }
}

/// Reads a document that may carry an agent's arguments some levels inside, and
/// for that reason may nest a little deeper than [`MAX_DEPTH`].
///
/// # Errors
/// As [`parse`].
pub fn parse_envelope(bytes: &[u8]) -> Result<Json, JsonError> {
    parse_to_depth(bytes, ENVELOPE_DEPTH)
}

fn parse_to_depth(bytes: &[u8], max_depth: usize) -> Result<Json, JsonError> {
    if bytes.starts_with(b"\xEF\xBB\xBF") {
        return Err(JsonError { offset: 0, kind: JsonErrorKind::ByteOrderMark });
    }
    let text = std::str::from_utf8(bytes)
        .map_err(|e| JsonError { offset: e.valid_up_to(), kind: JsonErrorKind::InvalidUtf8 })?;
    let mut parser = Parser { text, bytes, at: 0, max_depth, values: 0 };
    parser.skip_space();
    let value = parser.value(0)?;
    parser.skip_space();
    if parser.at < bytes.len() {
        return Err(parser.error(JsonErrorKind::TrailingBytes));
    }
    Ok(value)
}

struct Parser<'a> {
    /// The same document twice, as text and as bytes.
    text: &'a str,
    bytes: &'a [u8],
    at: usize,
    max_depth: usize,
    /// How many values there were so far.
    values: usize,
}

impl Parser<'_> {
    /// The value at the cursor. Recursion is bounded by `max_depth`.
    fn value(&mut self, depth: usize) -> Result<Json, JsonError> {
        self.values += 1;
        if self.values > MAX_VALUES {
            return Err(self.error(JsonErrorKind::TooMany(MAX_VALUES)));
        }
        match self.peek() {
            Some(b'{') => self.object(depth + 1),
            Some(b'[') => self.array(depth + 1),
            Some(b'"') => self.string().map(Json::String),
            Some(b'-' | b'0'..=b'9') => self.number(),
            Some(b't') => self.word("true", Json::Bool(true)),
            Some(b'f') => self.word("false", Json::Bool(false)),
            Some(b'n') => self.word("null", Json::Null),
            _ => Err(self.expected("a value")),
        }
    }

    fn array(&mut self, depth: usize) -> Result<Json, JsonError> {
        self.open(depth)?;
        let mut items = Vec::new();
        if self.eat(b']') {
            return Ok(Json::Array(items));
        }
        loop {
            items.push(self.value(depth)?);
            self.skip_space();
            if self.eat(b']') {
                return Ok(Json::Array(items));
            }
            if !self.eat(b',') {
                return Err(self.expected("a comma or ]"));
            }
            self.skip_space();
        }
    }

    fn object(&mut self, depth: usize) -> Result<Json, JsonError> {
        self.open(depth)?;
        let mut members = Vec::new();
        let mut offsets = Vec::new();
        if self.eat(b'}') {
            return Ok(Json::Object(members));
        }
        loop {
            offsets.push(self.at);
            if self.peek() != Some(b'"') {
                return Err(self.expected("a member name in double quotes"));
            }
            let name = self.string()?;
            self.skip_space();
            if !self.eat(b':') {
                return Err(self.expected("a colon"));
            }
            self.skip_space();
            members.push((name, self.value(depth)?));
            self.skip_space();
            if self.eat(b'}') {
                refuse_duplicates(&members, &offsets)?;
                return Ok(Json::Object(members));
            }
            if !self.eat(b',') {
                return Err(self.expected("a comma or }"));
            }
            self.skip_space();
        }
    }

    /// Steps over the bracket at the cursor and the space after it.
    fn open(&mut self, depth: usize) -> Result<(), JsonError> {
        if depth > self.max_depth {
            return Err(self.error(JsonErrorKind::TooDeep(self.max_depth)));
        }
        self.at += 1;
        self.skip_space();
        Ok(())
    }

    fn string(&mut self) -> Result<String, JsonError> {
        self.at += 1;
        let mut out = String::new();
        loop {
            let plain = self.at;
            while self.peek().is_some_and(|b| b >= b' ' && b != b'"' && b != b'\\') {
                self.at += 1;
            }
            // Both ends stand at an ASCII byte or an end, so this cuts no character.
            out.push_str(&self.text[plain..self.at]);
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(out);
                }
                Some(b'\\') => out.push(self.escape()?),
                Some(_) => return Err(self.error(JsonErrorKind::ControlCharacter)),
                None => return Err(self.error(JsonErrorKind::UnexpectedEnd)),
            }
        }
    }

    fn escape(&mut self) -> Result<char, JsonError> {
        let start = self.at;
        let fail = |kind| JsonError { offset: start, kind };
        let letter = self.bytes.get(start + 1).ok_or(fail(JsonErrorKind::UnexpectedEnd))?;
        self.at += 2;
        Ok(match letter {
            b'"' => '"',
            b'\\' => '\\',
            b'/' => '/',
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => {
                let first = self.hex4().ok_or(fail(JsonErrorKind::InvalidEscape))?;
                let mut units = vec![first];
                if (0xD800..0xDC00).contains(&first) && self.rest().starts_with(b"\\u") {
                    self.at += 2;
                    units.push(self.hex4().ok_or(fail(JsonErrorKind::InvalidEscape))?);
                }
                match char::decode_utf16(units).next() {
                    Some(Ok(c)) => c,
                    _ => return Err(fail(JsonErrorKind::LoneSurrogate)),
                }
            }
            _ => return Err(fail(JsonErrorKind::InvalidEscape)),
        })
    }

    fn hex4(&mut self) -> Option<u16> {
        let digits = self.bytes.get(self.at..self.at + 4)?;
        let mut unit = 0;
        for &digit in digits {
            // from_str_radix would also take a sign.
            unit = unit << 4 | char::from(digit).to_digit(16)? as u16;
        }
        self.at += 4;
        Some(unit)
    }

    fn number(&mut self) -> Result<Json, JsonError> {
        let start = self.at;
        let fail = |offset, kind| Err(JsonError { offset, kind });
        let end = match scan(self.rest()) {
            Ok(length) => start + length,
            Err(at) => return fail(start + at, JsonErrorKind::InvalidNumber),
        };
        let text = &self.text[start..end];
        if !exponent_is_accepted(text) {
            return fail(start, JsonErrorKind::ExponentOutOfRange);
        }
        self.at = end;
        match Number::new(text) {
            Some(number) => Ok(Json::Number(number)),
            None => fail(start, JsonErrorKind::InvalidNumber),
        }
    }

    fn word(&mut self, word: &'static str, value: Json) -> Result<Json, JsonError> {
        if !self.rest().starts_with(word.as_bytes()) {
            return Err(self.error(JsonErrorKind::Expected("true, false or null")));
        }
        self.at += word.len();
        Ok(value)
    }

    fn rest(&self) -> &[u8] {
        &self.bytes[self.at..]
    }

    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn eat(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    fn skip_space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn expected(&self, what: &'static str) -> JsonError {
        self.error(match self.peek() {
            Some(_) => JsonErrorKind::Expected(what),
            None => JsonErrorKind::UnexpectedEnd,
        })
    }

    fn error(&self, kind: JsonErrorKind) -> JsonError {
        JsonError { offset: self.at, kind }
    }
}

/// Refuses an object that has a name twice. By sorting, so that no input makes
/// it quadratic, and without a second copy of the names.
fn refuse_duplicates(members: &[(String, Json)], offsets: &[usize]) -> Result<(), JsonError> {
    let mut order: Vec<usize> = (0..members.len()).collect();
    // The sort is stable, so of two equal names the later one comes second.
    order.sort_by(|&a, &b| members[a].0.cmp(&members[b].0));
    let repeated = order
        .windows(2)
        .filter(|pair| members[pair[0]].0 == members[pair[1]].0)
        .map(|pair| pair[1])
        .min();
    match repeated {
        None => Ok(()),
        Some(index) => Err(JsonError {
            offset: offsets[index],
            kind: JsonErrorKind::duplicate(&members[index].0),
        }),
    }
}
