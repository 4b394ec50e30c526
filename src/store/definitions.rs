//! Tools whose definition is not what it was: reported by callers, accepted by
//! operators.
//!
//! Promises: a change that is reported again changes nothing and is answered with
//! how it stands; what an operator accepted is a hash, for one caller, server and
//! tool, and is accepted whichever definition it follows. However often a server
//! changes its tools, the history gets a bounded number of entries an hour, the
//! table a bounded number of rows, and what was not written is counted.
//!
//! Must never: answer "accepted" for a definition that nobody accepted. What is
//! forgotten waits again when it is reported again.

use std::time::Duration;

use rusqlite::{Connection, OptionalExtension, Row, params};

use super::audit::{Entry, Kind, stored_json};
use super::error::{Refusal, StoreError};
use super::read::PAGE_BYTES;
use super::tx::Tx;
use crate::call::hex::hex;
use crate::call::json::Json;
use crate::call::model::{DefinitionStatus, Strength};
use crate::call::time::Time;

/// Changes that are remembered of one caller: some hundred servers whose tools all
/// changed at once.
pub(super) const OF_A_CALLER: i64 = 10_000;
/// Changes of one tool that wait. A tool that two versions of a server define in
/// turn has two.
pub(super) const OF_A_TOOL: i64 = 16;
/// Changes of one tool that are written into the history within [`RATE`].
pub(super) const WRITTEN_OF_A_TOOL: i64 = 10;
/// The same of all tools of one server: a new version of a large one changes
/// hundreds at once.
pub(super) const WRITTEN_OF_A_SERVER: i64 = 1000;
/// The time over which they are counted.
pub(super) const RATE: Duration = Duration::from_secs(3600);
/// Changes that one page looks at.
const EXAMINED: usize = 500;

/// A tool of a server behind a caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Whose {
    /// Who reports it.
    pub caller: String,
    /// The server, by the caller's name for it.
    pub server: String,
    /// The tool.
    pub tool: String,
}

/// A definition as it is kept.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Shown {
    /// JSON, secrets masked; empty: not known.
    pub text: String,
    /// Not all of it is there.
    pub cut: bool,
}

/// What a caller reports.
#[derive(Debug, Clone)]
pub struct Report {
    /// Whose definition it is.
    pub whose: Whose,
    /// Hashes of the one that was known, and of the one that the server has now.
    pub hashes: ([u8; 32], [u8; 32]),
    /// Both, as far as they are known.
    pub before: Shown,
    /// The new one.
    pub now: Shown,
    /// Where they differ.
    pub changed: Vec<String>,
}

/// A change, as it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Its place in the table.
    pub n: i64,
    /// Whose definition it is.
    pub whose: Whose,
    /// Hashes of both.
    pub hashes: ([u8; 32], [u8; 32]),
    /// The one that was known.
    pub before: Shown,
    /// The new one.
    pub now: Shown,
    /// Where they differ.
    pub changed: Vec<String>,
    /// Where it stands.
    pub status: DefinitionStatus,
    /// When it was first reported.
    pub reported: Time,
    /// Whether it has an entry in the history.
    written: bool,
    /// Changes of this server's tools since then that have none.
    pub not_written: u32,
    /// When it was accepted.
    pub accepted: Option<Time>,
    /// By whom.
    pub accepted_by: String,
    /// Why.
    pub reason: String,
}

const COLUMNS: &str = "n, caller, server, tool, hash_before, hash_now, definition_before, \
     definition_now, before_cut, now_cut, changed, status, reported, written, not_written, \
     accepted, accepted_by, reason";

/// Of one tool: `?1` to `?3` are its caller, server and name.
const OF_THE_TOOL: &str = "caller = ?1 AND server = ?2 AND tool = ?3";

fn change_of(row: &Row<'_>) -> rusqlite::Result<(Change, String)> {
    let change = Change {
        n: row.get(0)?,
        whose: Whose { caller: row.get(1)?, server: row.get(2)?, tool: row.get(3)? },
        hashes: (row.get(4)?, row.get(5)?),
        before: Shown { text: row.get(6)?, cut: row.get(8)? },
        now: Shown { text: row.get(7)?, cut: row.get(9)? },
        changed: Vec::new(),
        // What is not known is not accepted.
        status: DefinitionStatus::from_number(row.get(11)?).unwrap_or(DefinitionStatus::Waiting),
        reported: Time(row.get(12)?),
        written: row.get(13)?,
        not_written: row.get(14)?,
        accepted: row.get::<_, Option<i64>>(15)?.map(Time),
        accepted_by: row.get(16)?,
        reason: row.get(17)?,
    };
    Ok((change, row.get(10)?))
}

fn whole((mut change, changed): (Change, String)) -> Result<Change, StoreError> {
    let changed = stored_json(&changed)?;
    let places = changed.as_array().unwrap_or_default().iter().filter_map(Json::as_str);
    change.changed = places.map(str::to_owned).collect();
    Ok(change)
}

/// The newest change of a tool to this definition; the one from a certain other, if
/// that is asked.
fn find(
    conn: &Connection,
    whose: &Whose,
    before: Option<&[u8; 32]>,
    now: &[u8; 32],
) -> Result<Option<Change>, StoreError> {
    let sql = format!(
        "SELECT {COLUMNS} FROM definitions
         WHERE {OF_THE_TOOL} AND hash_now = ?4 AND (?5 IS NULL OR hash_before = ?5)
         ORDER BY status = 2 DESC, n DESC LIMIT 1"
    );
    let found = conn
        .prepare_cached(&sql)?
        .query_row(params![whose.caller, whose.server, whose.tool, now, before], change_of)
        .optional()?;
    found.map(whole).transpose()
}

/// Takes note of a change, or of nothing if it is known, and says how it stands.
///
/// After it returned, the change is on disk with its entry in the history, or
/// counted where there are too many of them.
pub fn report(tx: &mut Tx<'_>, input: &Report) -> Result<Change, StoreError> {
    let Report { whose, hashes: (before, now), .. } = input;
    if let Some(known) = find(tx.conn, whose, Some(before), now)? {
        return match known.status {
            DefinitionStatus::Superseded => wait_again(tx, known, input),
            _ => Ok(known),
        };
    }
    let accepted = find(tx.conn, whose, None, now)?
        .filter(|change| change.status == DefinitionStatus::Accepted);
    make_room(tx, &whose.caller)?;
    let written = is_written(tx, whose)?;
    let not_written = if written { not_written_before(tx, whose)? } else { 0 };
    let change = Change {
        n: 0,
        whose: whose.clone(),
        hashes: input.hashes,
        before: input.before.clone(),
        now: input.now.clone(),
        changed: input.changed.clone(),
        status: accepted.as_ref().map_or(DefinitionStatus::Waiting, |_| DefinitionStatus::Accepted),
        reported: tx.now,
        written,
        not_written: 0,
        accepted: accepted.as_ref().and_then(|change| change.accepted),
        accepted_by: accepted.as_ref().map(|c| c.accepted_by.clone()).unwrap_or_default(),
        reason: accepted.map(|change| change.reason).unwrap_or_default(),
    };
    insert(tx, &change)?;
    let n = tx.conn.last_insert_rowid();
    keep_the_newest(tx, whose)?;
    if written {
        let mut entry = about(Kind::DefinitionChanged, &change);
        what_changed(&mut entry, &change);
        entry.text("accepted_before_by", &change.accepted_by);
        if not_written > 0 {
            entry.member("not_written_before", &Json::from(u64::from(not_written)));
        }
        tx.record(entry)?;
    } else {
        count_one(tx, whose)?;
    }
    Ok(Change { n, ..change })
}

fn insert(tx: &Tx<'_>, change: &Change) -> Result<(), StoreError> {
    let places = Json::array(change.changed.iter().map(String::as_str));
    tx.conn
        .prepare_cached(
            "INSERT INTO definitions (caller, server, tool, hash_before, hash_now,
               definition_before, definition_now, before_cut, now_cut, changed, status, reported,
               written, accepted, accepted_by, reason)
             VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        )?
        .execute(params![
            change.whose.caller,
            change.whose.server,
            change.whose.tool,
            change.hashes.0,
            change.hashes.1,
            change.before.text,
            change.now.text,
            change.before.cut,
            change.now.cut,
            places.to_text(),
            change.status.number(),
            change.reported.0,
            change.written,
            change.accepted.map(|at| at.0),
            change.accepted_by,
            change.reason,
        ])?;
    Ok(())
}

/// The server has a definition again whose place others had taken.
fn wait_again(tx: &Tx<'_>, known: Change, input: &Report) -> Result<Change, StoreError> {
    let (before, now) = (&input.before, &input.now);
    tx.conn
        .prepare_cached(
            "UPDATE definitions SET status = 1, definition_before = ?2, definition_now = ?3,
               before_cut = ?4, now_cut = ?5 WHERE n = ?1",
        )?
        .execute(params![known.n, before.text, now.text, before.cut, now.cut])?;
    keep_the_newest(tx, &known.whose)?;
    let (before, now) = (before.clone(), now.clone());
    Ok(Change { status: DefinitionStatus::Waiting, before, now, ..known })
}

/// Forgets the oldest settled change of a caller that has as many as it may.
fn make_room(tx: &Tx<'_>, caller: &str) -> Result<(), StoreError> {
    let count: i64 = tx
        .conn
        .prepare_cached("SELECT count(*) FROM definitions WHERE caller = ?")?
        .query_row([caller], |row| row.get(0))?;
    if count < OF_A_CALLER {
        return Ok(());
    }
    let gone = tx
        .conn
        .prepare_cached(
            "DELETE FROM definitions WHERE n = (SELECT n FROM definitions
               INDEXED BY definitions_settled
               WHERE caller = ? AND status <> 1 ORDER BY n LIMIT 1)",
        )?
        .execute([caller])?;
    match gone {
        0 => Err(Refusal::TooManyDefinitions(OF_A_CALLER, caller.to_owned()).into()),
        _ => Ok(()),
    }
}

/// Whether one more change of this tool is written into the history.
fn is_written(tx: &Tx<'_>, whose: &Whose) -> Result<bool, StoreError> {
    let mut count = tx.conn.prepare_cached(
        "SELECT count(*), coalesce(sum(tool = ?4), 0) FROM definitions INDEXED BY definitions_written
         WHERE caller = ?1 AND server = ?2 AND reported > ?3 AND written = 1",
    )?;
    let since = tx.now - RATE;
    let (of_server, of_tool): (i64, i64) = count
        .query_row(params![whose.caller, whose.server, since.0, whose.tool], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })?;
    Ok(of_server < WRITTEN_OF_A_SERVER && of_tool < WRITTEN_OF_A_TOOL)
}

/// The newest change of this server that was written: what is not is counted there.
const NEWEST_WRITTEN: &str = "(SELECT n FROM definitions INDEXED BY definitions_written
    WHERE caller = ?1 AND server = ?2 AND written = 1 ORDER BY reported DESC, n DESC LIMIT 1)";

fn count_one(tx: &Tx<'_>, whose: &Whose) -> Result<(), StoreError> {
    let sql =
        format!("UPDATE definitions SET not_written = not_written + 1 WHERE n = {NEWEST_WRITTEN}");
    tx.conn.prepare_cached(&sql)?.execute([&whose.caller, &whose.server])?;
    Ok(())
}

fn not_written_before(tx: &Tx<'_>, whose: &Whose) -> Result<u32, StoreError> {
    let sql = format!("SELECT not_written FROM definitions WHERE n = {NEWEST_WRITTEN}");
    let found = tx
        .conn
        .prepare_cached(&sql)?
        .query_row([&whose.caller, &whose.server], |row| row.get(0))
        .optional()?;
    Ok(found.unwrap_or_default())
}

/// Of the changes of a tool that wait, the newest ones go on.
fn keep_the_newest(tx: &Tx<'_>, whose: &Whose) -> Result<(), StoreError> {
    let sql = format!(
        "SELECT n FROM definitions WHERE {OF_THE_TOOL} AND status = 1
         ORDER BY n DESC LIMIT 1 OFFSET ?4"
    );
    let last = tx
        .conn
        .prepare_cached(&sql)?
        .query_row(params![whose.caller, whose.server, whose.tool, OF_A_TOOL], |row| row.get(0))
        .optional()?;
    last.map_or(Ok(()), |last: i64| supersede(tx, whose, last))
}

/// Changes of a tool that wait, up to this one, do so no more. What has no entry in
/// the history is forgotten; of the others it is known that they have one.
fn supersede(tx: &Tx<'_>, whose: &Whose, up_to: i64) -> Result<(), StoreError> {
    for action in [
        "DELETE FROM definitions",
        "UPDATE definitions SET status = 3, definition_before = '', definition_now = ''",
    ] {
        let unwritten = if action.starts_with("DELETE") { "AND written = 0" } else { "" };
        let sql = format!("{action} WHERE {OF_THE_TOOL} AND n <= ?4 AND status = 1 {unwritten}");
        let params = params![whose.caller, whose.server, whose.tool, up_to];
        tx.conn.prepare_cached(&sql)?.execute(params)?;
    }
    Ok(())
}

/// An operator accepts a definition.
#[derive(Debug, Clone)]
pub struct Accept {
    /// Whose.
    pub whose: Whose,
    /// The definition that was shown.
    pub hash: [u8; 32],
    /// By whom, as authenticated.
    pub operator: String,
    /// How they were authenticated.
    pub strength: Strength,
    /// Why, secrets masked.
    pub reason: String,
}

/// Accepts a tool's new definition; whether this operator may is asked at the
/// instant of the transition.
///
/// After it returned, the acceptance is on disk. What was reported of this tool
/// before, and waited, does so no more. Again, it changes nothing.
pub fn accept(
    tx: &mut Tx<'_>,
    input: &Accept,
    may: &dyn Fn(&Whose) -> Result<(), Refusal>,
) -> Result<Change, StoreError> {
    let found = find(tx.conn, &input.whose, None, &input.hash)?;
    may(&input.whose)?;
    let found = found.ok_or(Refusal::NoSuchChange)?;
    if found.status == DefinitionStatus::Accepted {
        return Ok(found);
    }
    let Whose { caller, server, tool } = &input.whose;
    let sql = format!(
        "UPDATE definitions SET status = 2, accepted = ?5, accepted_by = ?6, reason = ?7
         WHERE {OF_THE_TOOL} AND hash_now = ?4"
    );
    tx.conn.prepare_cached(&sql)?.execute(params![
        caller,
        server,
        tool,
        input.hash,
        tx.now.0,
        input.operator,
        input.reason
    ])?;
    supersede(tx, &input.whose, found.n)?;
    let accepted = Change {
        status: DefinitionStatus::Accepted,
        accepted: Some(tx.now),
        accepted_by: input.operator.clone(),
        reason: input.reason.clone(),
        ..found
    };
    let mut entry = about(Kind::DefinitionAccepted, &accepted);
    entry.operator = Some(input.operator.clone());
    entry.text("reason", &input.reason);
    entry.text("strength", input.strength.word());
    entry.text("reported_at", &accepted.reported.rfc3339());
    if !accepted.written {
        what_changed(&mut entry, &accepted);
    }
    tx.record(entry)?;
    Ok(accepted)
}

fn about(kind: Kind, change: &Change) -> Entry {
    let Whose { caller, server, tool } = &change.whose;
    let mut entry = Entry::about_tool(kind, caller, server, tool);
    entry.text("hash_before", &hex(&change.hashes.0));
    entry.text("hash_now", &hex(&change.hashes.1));
    entry
}

fn what_changed(entry: &mut Entry, change: &Change) {
    entry.texts("changed", &change.changed);
    for (name, shown) in [("before", &change.before), ("now", &change.now)] {
        if let Ok(json) = stored_json(&shown.text) {
            entry.member(name, &json);
        }
        if shown.cut {
            entry.member(&format!("{name}_cut"), &Json::Bool(true));
        }
    }
}

/// Which changes to list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Question {
    /// Also those that do not wait.
    pub all: bool,
    /// Only this caller's.
    pub caller: Option<String>,
    /// Only this server's.
    pub server: Option<String>,
    /// Only this tool's.
    pub tool: Option<String>,
    /// Behind this one.
    pub after: Option<i64>,
    /// At most so many.
    pub most: usize,
}

/// Changes that this identity may see, and behind which one the next page begins:
/// those that wait oldest first, all of them newest first.
pub fn list(
    conn: &Connection,
    question: &Question,
    visible: &dyn Fn(&Whose) -> bool,
) -> Result<(Vec<Change>, Option<i64>), StoreError> {
    let (order, from) = match question.all {
        true => ("n < ?1 ORDER BY n DESC", question.after.unwrap_or(i64::MAX)),
        false => ("n > ?1 AND status = 1 ORDER BY n", question.after.unwrap_or(0)),
    };
    let sql = format!("SELECT {COLUMNS} FROM definitions WHERE {order} LIMIT ?2");
    let mut statement = conn.prepare_cached(&sql)?;
    let mut rows = statement.query(params![from, EXAMINED as i64])?;
    let (mut found, mut bytes, mut examined, mut last) = (Vec::new(), 0, 0, None);
    let wanted =
        |asked: &Option<String>, is: &str| asked.as_deref().is_none_or(|asked| asked == is);
    while let Some(row) = rows.next()? {
        if found.len() == question.most || bytes >= PAGE_BYTES {
            return Ok((found, last));
        }
        let change = whole(change_of(row)?)?;
        examined += 1;
        last = Some(change.n);
        let Whose { caller, server, tool } = &change.whose;
        let asked = wanted(&question.caller, caller)
            && wanted(&question.server, server)
            && wanted(&question.tool, tool);
        if asked && visible(&change.whose) {
            bytes += change.before.text.len() + change.now.text.len();
            found.push(change);
        }
    }
    Ok((found, last.filter(|_| examined == EXAMINED)))
}

/// Changes that were reported, and if so accepted, before then, and are not needed
/// any more: whoever reports them again waits again.
pub(super) const OLD: &str = "reported < ?1 AND coalesce(accepted, 0) < ?1";

/// Erases at most so many old changes; how many it were.
pub(super) fn erase(conn: &Connection, before: Time, most: i64) -> Result<usize, StoreError> {
    let sql = format!(
        "DELETE FROM definitions WHERE n IN
           (SELECT n FROM definitions WHERE {OLD} ORDER BY n LIMIT ?2)"
    );
    Ok(conn.prepare_cached(&sql)?.execute(params![before.0, most])?)
}

/// Whether there is any.
pub(super) fn is_any_older(conn: &Connection, before: Time) -> Result<bool, StoreError> {
    let sql = format!("SELECT EXISTS (SELECT 1 FROM definitions WHERE {OLD})");
    Ok(conn.prepare_cached(&sql)?.query_row([before.0], |row| row.get(0))?)
}
