//! The export file of the chain, which anyone can verify offline.
//!
//! An export is JSON lines: a header, one line per entry, and an end:
//!
//! ```text
//! {"holdpoint_audit_export":1,"log":"…","first":1,"last":3,"previous":"00…"}
//! {"sequence":1,"at":"…","kind":"…","previous":"…","body":"…","hash":"…","salt":"…","payload":{…}}
//! {"sequence":2,"at":"…","kind":"…","previous":"…","body":"…","hash":"…","erased":true}
//! {"sequence":3,…}
//! {"end":true,"count":3,"head":"…","sha256":"…"}
//! ```
//!
//! Of an entry whose payload was erased by its age, salt and payload are missing;
//! an entry of kind "erased" says so further on, with first and last of a range.
//!
//! The hashes of entries place a change; `sha256`, over every byte before the
//! last line, leaves no byte uncovered. Each line is compared with how it would
//! be written, so there is exactly one file for one range.

use std::fmt::Write as _;
use std::io::BufRead;

use rusqlite::{Connection, OptionalExtension, params};
use sha2::{Digest as _, Sha256};

use super::error::StoreError;
use super::whole::{Broken, Checked, Walk, Whole};
use crate::call::hex::{hex, unhex};
use crate::call::json::{Json, parse, parse_envelope};
use crate::call::time::Time;

/// A line of an export longer than this is not one of ours: arguments are at
/// most 256 KiB and can grow sixfold by escaping.
const LONGEST_LINE: usize = 4 * 1024 * 1024;

/// Stands in the place of a payload that was erased.
const ERASED: &str = r#""erased":true"#;

pub(super) fn log_id(conn: &Connection) -> Result<[u8; 16], StoreError> {
    Ok(conn.query_row("SELECT value FROM meta WHERE key = 'log_id'", [], |row| row.get(0))?)
}

/// Writes an export piece by piece.
#[derive(Debug)]
pub struct Exporter {
    next: u64,
    last: u64,
    count: u64,
    head: [u8; 32],
    hash: Sha256,
    state: Part,
}

#[derive(Debug, PartialEq, Eq)]
enum Part {
    Header,
    Entries,
    Done,
}

impl Exporter {
    /// An export of entries `first` to `last`, clamped to what there is; 0 means
    /// the first and the last one.
    pub fn new(conn: &Connection, first: u64, last: u64) -> Result<Self, StoreError> {
        let head = super::audit::head(conn)?;
        let last = if last == 0 { head.sequence } else { last.min(head.sequence) };
        let first = first.max(1).min(last + 1);
        let before = conn
            .query_row("SELECT hash FROM audit WHERE seq = ?", [first as i64 - 1], |row| row.get(0))
            .optional()?
            .unwrap_or([0; 32]);
        Ok(Exporter {
            next: first,
            last,
            count: 0,
            head: before,
            hash: Sha256::new(),
            state: Part::Header,
        })
    }

    /// Its first and last entry, before anything of it was read; the last before the
    /// first where there is none.
    pub fn range(&self) -> (u64, u64) {
        (self.next, self.last)
    }

    /// The next piece of about `size` bytes; `None` at the end.
    pub fn next(&mut self, conn: &Connection, size: usize) -> Result<Option<Vec<u8>>, StoreError> {
        let mut text = String::new();
        if self.state == Part::Done {
            return Ok(None);
        }
        if self.state == Part::Header {
            let _ = writeln!(
                text,
                r#"{{"holdpoint_audit_export":1,"log":"{}","first":{},"last":{},"previous":"{}"}}"#,
                hex(&log_id(conn)?),
                self.next,
                self.last,
                hex(&self.head)
            );
            self.state = Part::Entries;
        }
        let mut statement = conn.prepare_cached(
            "SELECT a.seq, a.at, a.kind, a.previous, a.body, a.hash, b.salt, b.payload
             FROM audit a LEFT JOIN audit_body b ON b.seq = a.seq
             WHERE a.seq BETWEEN ? AND ? ORDER BY a.seq",
        )?;
        let mut rows = statement.query(params![self.next as i64, self.last as i64])?;
        let mut finished = true;
        while let Some(row) = rows.next()? {
            if text.len() >= size {
                finished = false;
                break;
            }
            let sequence = row.get::<_, i64>(0)? as u64;
            self.head = row.get(5)?;
            let (salt, payload): (Option<Vec<u8>>, Option<String>) = (row.get(6)?, row.get(7)?);
            text.push_str(&line(
                sequence,
                Time(row.get(1)?),
                &row.get::<_, String>(2)?,
                &row.get::<_, [u8; 32]>(3)?,
                &row.get::<_, [u8; 32]>(4)?,
                &self.head,
                salt.as_deref().zip(payload.as_deref()),
            ));
            text.push('\n');
            self.next = sequence + 1;
            self.count += 1;
        }
        self.hash.update(text.as_bytes());
        if finished {
            text.push_str(&end_line(self.count, &self.head, &self.hash.clone().finalize()));
            text.push('\n');
            self.state = Part::Done;
        }
        Ok(Some(text.into_bytes()))
    }
}

#[allow(clippy::too_many_arguments)]
fn line(
    sequence: u64,
    at: Time,
    kind: &str,
    previous: &[u8],
    body: &[u8],
    hash: &[u8],
    said: Option<(&[u8], &str)>,
) -> String {
    let said = match said {
        Some((salt, payload)) => format!(r#""salt":"{}","payload":{payload}"#, hex(salt)),
        None => ERASED.to_owned(),
    };
    format!(
        r#"{{"sequence":{sequence},"at":"{}","kind":"{kind}","previous":"{}","body":"{}","hash":"{}",{said}}}"#,
        at.rfc3339(),
        hex(previous),
        hex(body),
        hex(hash),
    )
}

fn end_line(count: u64, head: &[u8], sha256: &[u8]) -> String {
    format!(r#"{{"end":true,"count":{count},"head":"{}","sha256":"{}"}}"#, hex(head), hex(sha256))
}

/// Checks an export file, offline.
pub fn verify_export(
    file: impl BufRead,
    wanted: Option<[u8; 32]>,
) -> std::io::Result<Result<Whole, Broken>> {
    let mut lines = Lines { file, number: 0, hash: Sha256::new() };
    let result = check(&mut lines, wanted);
    match result {
        Ok(whole) => Ok(Ok(whole)),
        Err(Trouble::Io(error)) => Err(error),
        Err(Trouble::Broken { sequence, what }) => {
            let line = lines.number;
            Ok(Err(Broken { sequence, line, what: format!("line {line}: {what}") }))
        }
    }
}

enum Trouble {
    Io(std::io::Error),
    Broken { sequence: u64, what: String },
}

fn broken(sequence: u64, what: impl Into<String>) -> Trouble {
    Trouble::Broken { sequence, what: what.into() }
}

struct Lines<R> {
    file: R,
    number: u64,
    hash: Sha256,
}

impl<R: BufRead> Lines<R> {
    /// The next line without its end; `None` at the end of the file.
    fn next(&mut self) -> Result<Option<String>, Trouble> {
        let mut bytes = Vec::new();
        let mut limited = std::io::Read::take(&mut self.file, LONGEST_LINE as u64);
        limited.read_until(b'\n', &mut bytes).map_err(Trouble::Io)?;
        if bytes.is_empty() {
            return Ok(None);
        }
        self.number += 1;
        if bytes.pop() != Some(b'\n') {
            return Err(broken(
                0,
                "the line has no end: the file was cut off, or the line is too long",
            ));
        }
        let text = String::from_utf8(bytes).map_err(|_| broken(0, "not UTF-8"))?;
        Ok(Some(text))
    }

    fn covered(&mut self, line: &str) {
        self.hash.update(line.as_bytes());
        self.hash.update(b"\n");
    }
}

fn check(lines: &mut Lines<impl BufRead>, wanted: Option<[u8; 32]>) -> Result<Whole, Trouble> {
    let header = lines.next()?.ok_or_else(|| broken(0, "the file is empty"))?;
    lines.covered(&header);
    let bad_header = || broken(0, "not the header of a Holdpoint audit export");
    let json = parse(header.as_bytes()).map_err(|_| bad_header())?;
    let text = |name| json.get(name).and_then(Json::as_str);
    let number = |name| json.get(name).and_then(Json::as_u64);
    let log: [u8; 16] = text("log").and_then(unhex).ok_or_else(bad_header)?;
    let previous: [u8; 32] = text("previous").and_then(unhex).ok_or_else(bad_header)?;
    let (Some(first), Some(last)) = (number("first"), number("last")) else {
        return Err(bad_header());
    };
    // Sequence numbers are SQLite's, so there is room to count past the last.
    if first.max(last) > i64::MAX.unsigned_abs() {
        return Err(bad_header());
    }
    let as_written = format!(
        r#"{{"holdpoint_audit_export":1,"log":"{}","first":{first},"last":{last},"previous":"{}"}}"#,
        hex(&log),
        hex(&previous)
    );
    if header != as_written {
        return Err(bad_header());
    }
    let mut walk = Walk::new(log, first, previous, wanted);
    loop {
        let next = walk.next;
        let line = lines
            .next()?
            .ok_or_else(|| broken(next, "the file ends without its last line: it was cut off"))?;
        if line.starts_with(r#"{"end":"#) {
            let sha256 = lines.hash.clone().finalize();
            if walk.next != last + 1 {
                return Err(broken(next, format!("entries {next} to {last} are missing")));
            }
            if line != end_line(walk.entries, &walk.hash, &sha256) {
                return Err(broken(
                    0,
                    "the last line does not fit the lines before it: something outside the entries was changed",
                ));
            }
            if lines.next()?.is_some() {
                return Err(broken(0, "there is more after the last line"));
            }
            return walk.finish().map_err(|what| broken(last, what));
        }
        lines.covered(&line);
        check_line(&line, &mut walk).map_err(|what| broken(next, what))?;
    }
}

fn check_line(text: &str, walk: &mut Walk) -> Result<(), String> {
    let next = walk.next;
    let bad = || format!("entry {next} is not readable");
    // Nothing before it can contain this: hex, digits, a time and a word.
    let payload = text.split_once(r#","payload":"#);
    let payload = payload.map(|(_, rest)| rest.strip_suffix('}').ok_or_else(bad)).transpose()?;
    let json = parse_envelope(text.as_bytes())
        .map_err(|e| format!("entry {next} is not readable: {e}"))?;
    let word = |name| json.get(name).and_then(Json::as_str).ok_or_else(bad);
    let sequence = json.get("sequence").and_then(Json::as_u64).ok_or_else(bad)?;
    let at = Time::parse(word("at")?).ok_or_else(bad)?;
    let kind = word("kind")?;
    let previous = unhex(word("previous")?).ok_or_else(bad)?;
    let body = unhex(word("body")?).ok_or_else(bad)?;
    let hash = unhex(word("hash")?).ok_or_else(bad)?;
    let mut salt = [0; 16];
    if payload.is_some() {
        salt = unhex(word("salt")?).ok_or_else(bad)?;
    }
    let said = payload.map(|payload| (&salt[..], payload));
    if kind.len() > 64 || line(sequence, at, kind, &previous, &body, &hash, said) != text {
        return Err(format!("entry {next} is not written as an export writes it: it was changed"));
    }
    walk.step(&Checked { sequence, at, kind, previous, body, hash, said })
}
