//! Free text over the history: which words an entry has.
//!
//! Indexing words costs more than everything else about an entry, so it is not
//! part of a transition: the writer catches up when its queue is empty, and a
//! question about words waits for that first, so an answer never misses what was
//! committed before it was asked.

use rusqlite::{Connection, OptionalExtension, params};

use super::audit::stored_json;
use super::error::StoreError;
use super::tx::Tx;
use crate::call::json::Json;

/// How many entries one step indexes.
pub const STEP: i64 = 500;

/// And after how many bytes of them it ends: decisions wait for it.
const STEP_BYTES: usize = 1024 * 1024;

/// Members whose values are the same few words everywhere, and have filters of their own.
const NOT_WORDS: [&str; 6] = ["request", "category", "status", "risk", "digest", "call_id"];

fn words_of(json: &Json, into: &mut String) {
    match json {
        Json::String(text) => push(text, into),
        Json::Number(number) => push(number.as_str(), into),
        Json::Array(items) => items.iter().for_each(|item| words_of(item, into)),
        Json::Object(members) => {
            for (name, value) in members {
                push(name, into);
                words_of(value, into);
            }
        }
        Json::Null | Json::Bool(_) => {}
    }
}

fn push(text: &str, into: &mut String) {
    into.push_str(text);
    into.push(' ');
}

fn words_of_payload(payload: &str) -> Result<String, StoreError> {
    let mut words = String::new();
    if let Json::Object(members) = stored_json(payload)? {
        // The payload's own member names are ours and say nothing.
        for (name, value) in &members {
            if !NOT_WORDS.contains(&name.as_str()) {
                words_of(value, &mut words);
            }
        }
    }
    Ok(words)
}

/// Splits as the index does (unicode61, without folding accents away).
fn tokens(text: &str) -> impl Iterator<Item = String> + '_ {
    text.split(|c: char| !c.is_alphanumeric()).filter(|w| !w.is_empty()).map(str::to_lowercase)
}

/// The words of a text to look for.
pub(super) fn words(text: &str) -> impl Iterator<Item = String> + '_ {
    tokens(text)
}

/// The index's query for words that must all occur.
pub fn query(words: &str) -> String {
    // Each is quoted, so nothing that somebody types is an operator.
    let quoted: Vec<String> = tokens(words).map(|word| format!("\"{word}\"")).collect();
    if quoted.is_empty() { "\"\"".to_owned() } else { quoted.join(" AND ") }
}

/// Whether a text has any word at all to look for.
pub fn has_words(text: &str) -> bool {
    tokens(text).next().is_some()
}

/// Whether all words occur, for entries that another index found.
pub fn occurs(words: &str, payload: &str) -> bool {
    let Ok(text) = words_of_payload(payload) else { return false };
    let there: std::collections::HashSet<String> = tokens(&text).collect();
    tokens(words).all(|word| there.contains(&word))
}

/// The newest entry that is in the index.
pub(super) fn indexed_up_to(conn: &Connection) -> rusqlite::Result<i64> {
    conn.prepare_cached("SELECT value FROM meta WHERE key = 'text_indexed'")?
        .query_row([], |row| row.get::<_, [u8; 8]>(0))
        .optional()
        .map(|bytes| bytes.map_or(0, i64::from_be_bytes))
}

/// Takes an entry's words out of the index. They are found by looking for each, so
/// the payload has to be the one that was indexed.
pub(super) fn take_out(conn: &Connection, sequence: i64, payload: &str) -> Result<(), StoreError> {
    conn.prepare_cached(
        "INSERT INTO audit_text (audit_text, rowid, words) VALUES ('delete', ?, ?)",
    )?
    .execute(params![sequence, words_of_payload(payload)?])?;
    Ok(())
}

/// How far the index is behind.
pub fn behind(conn: &Connection) -> Result<i64, StoreError> {
    let newest: i64 = conn
        .prepare_cached("SELECT coalesce(max(seq), 0) FROM audit")?
        .query_row([], |row| row.get(0))?;
    Ok(newest - indexed_up_to(conn)?)
}

/// Indexes the next [`STEP`] entries, or fewer large ones. Returns whether more are left.
pub fn catch_up(tx: &mut Tx<'_>) -> Result<bool, StoreError> {
    catch_up_some(tx, STEP)
}

/// As [`catch_up`], at most this many.
pub fn catch_up_some(tx: &mut Tx<'_>, most: i64) -> Result<bool, StoreError> {
    let from = indexed_up_to(tx.conn)?;
    let mut read = tx
        .conn
        .prepare_cached("SELECT seq, payload FROM audit_body WHERE seq > ? ORDER BY seq LIMIT ?")?;
    let mut insert =
        tx.conn.prepare_cached("INSERT INTO audit_text (rowid, words) VALUES (?, ?)")?;
    let mut rows = read.query(params![from, most])?;
    let (mut last, mut count, mut bytes) = (from, 0, 0);
    while bytes < STEP_BYTES
        && let Some(row) = rows.next()?
    {
        last = row.get(0)?;
        count += 1;
        let payload = row.get_ref(1)?.as_str().unwrap_or_default();
        bytes += payload.len();
        insert.execute(params![last, words_of_payload(payload)?])?;
    }
    if count > 0 {
        tx.conn
            .prepare_cached(
                "INSERT INTO meta (key, value) VALUES ('text_indexed', ?)
                 ON CONFLICT (key) DO UPDATE SET value = excluded.value",
            )?
            .execute([last.to_be_bytes()])?;
    }
    Ok(count == most || bytes >= STEP_BYTES)
}
