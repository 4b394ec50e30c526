//! The SQL of the state file, all of it, and no decision.

use std::path::Path;
use std::time::{Duration, Instant};

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags, OptionalExtension, Row, params};

use super::LOCKED_FOR;
use super::clocks::{Anchor, Clocks, Opened};
use super::error::Why;
use crate::call::time::Time;
use crate::policy::{CounterKey, Window};

/// `PRAGMA application_id`: "HPXY".
const APPLICATION_ID: i64 = 0x4850_5859;

/// `PRAGMA user_version`.
pub(super) const VERSION: i64 = 1;

/// How large the file can become. All limits and counters that fit take some 150 MiB
/// with names of the usual length; half of the file is kept for them.
pub(super) const MOST_BYTES: u64 = 1 << 30;

/// The size of a page, SQLite's default; named because bounds are counted in it.
const PAGE: u64 = 4096;

/// The longest key of a limit, name of a counter, of a server or a tool.
pub(super) const LONGEST_KEY: usize = 1024;

/// A log that grew in a busy moment is cut to this when it is folded into the file.
const LOG_BYTES: i64 = 4 << 20;

/// The longest that the log may become. It is folded into the file at 4 MiB, unless
/// somebody reads the file without an end.
pub(super) const MOST_LOG_BYTES: u64 = 64 << 20;

/// A file up to this size is looked through when it is opened: some 10 ms.
const LOOKED_THROUGH: u64 = 8 << 20;

/// How many places that are free again are taken away at once. Many, because to begin
/// costs more than to go on; not all, so that no call waits for a hundred thousand.
const SWEPT: u32 = 64;

/// The head of the file: its time, and how full it is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Head {
    pub anchor: Anchor,
    pub next: i64,
    pub keys: u32,
    pub places: u32,
}

/// A limit that was used before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Limit {
    pub id: i64,
    /// For how long its places are kept.
    pub window: i64,
    /// One was last taken for so long no later than then.
    pub used: i64,
    /// All its places are free again then.
    pub free_at: i64,
}

/// How full a limit is.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Places {
    /// How many of its places count, up to as many as were asked for.
    pub count: u32,
    /// When the first of those was taken.
    pub first: Option<i64>,
    /// When the first of all that are kept was.
    pub oldest: Option<i64>,
}

/// A counter that was used before.
#[derive(Debug, Clone, Copy)]
pub(super) struct Counter {
    pub id: i64,
    pub opened: Opened,
    pub value: i64,
}

/// A pinned tool.
#[derive(Debug, Clone)]
pub(super) struct PinRow {
    pub id: i64,
    pub server: String,
    pub tool: String,
    pub hash: String,
    pub at: Time,
    pub new: Option<(String, Time)>,
}

type Result<T> = rusqlite::Result<T>;

/// Opens the file, which exists, and makes its tables if it is empty.
pub(super) fn open(file: &Path, clocks: &Clocks) -> std::result::Result<Connection, Why> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut conn = Connection::open_with_flags(file, flags)?;
    wait_for_others(&mut conn)?;
    // Before anything is changed: it may be another program's.
    look(&conn)?;
    write_ahead(&conn)?;
    // What was committed survives the end of the process, however it ends. After a
    // power cut the last moments may be missing; to flush each call to the disk
    // would cost it milliseconds.
    conn.pragma_update(None, "synchronous", "normal")?;
    conn.pragma_update(None, "journal_size_limit", LOG_BYTES)?;
    conn.pragma_update(None, "max_page_count", (MOST_BYTES / PAGE) as i64)?;
    conn.pragma_update(None, "cell_size_check", true)?;
    conn.pragma_update(None, "temp_store", "memory")?;
    conn.set_prepared_statement_cache_capacity(64);
    // Statements are planned once, and not anew for each bound value.
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    make(&conn, clocks)?;
    if pages(&conn)? * PAGE <= LOOKED_THROUGH {
        let found: String = conn.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
        if found != "ok" {
            return Err(Why::Damaged(found));
        }
    }
    Ok(conn)
}

/// How often a process that waits for others looks again. Their transactions take
/// some ten microseconds each, and SQLite's own steps grow to 100 ms. All steps are
/// alike: with growing ones, who has waited longest would come last.
const LOOK_AGAIN: Duration = Duration::from_micros(100);

fn wait_for_others(conn: &mut Connection) -> Result<()> {
    let mut since = Instant::now();
    conn.busy_handler(Some(move |times| {
        if times == 0 {
            since = Instant::now();
        }
        super::blocking(|| std::thread::sleep(LOOK_AGAIN));
        since.elapsed() < LOCKED_FOR
    }))
}

/// Switching the log on fails at once while another process does the same, without
/// the patience of other statements.
fn write_ahead(conn: &Connection) -> std::result::Result<(), Why> {
    let since = Instant::now();
    loop {
        let mode = conn.query_row("PRAGMA journal_mode = wal", [], |row| row.get::<_, String>(0));
        match mode.map_err(Why::from) {
            Ok(mode) if mode == "wal" => return Ok(()),
            Ok(mode) => return Err(Why::Unwritable(format!("its journal stays {mode}"))),
            Err(Why::Locked) if since.elapsed() < LOCKED_FOR => {
                std::thread::sleep(Duration::from_millis(1));
            }
            Err(why) => return Err(why),
        }
    }
}

/// Folds the log into the file and cuts it, if nobody reads it.
pub(super) fn fold(conn: &Connection) -> Result<bool> {
    let busy = conn.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get::<_, i64>(0));
    Ok(busy? == 0)
}

/// Folds as much of it as nobody reads, without waiting for anybody.
pub(super) fn fold_some(conn: &Connection) -> Result<()> {
    conn.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()))
}

fn pragma(conn: &Connection, name: &str) -> Result<i64> {
    conn.pragma_query_value(None, name, |row| row.get(0))
}

/// The file's version, as of one moment: another process may be making it just now.
pub(super) fn look(conn: &Connection) -> std::result::Result<i64, Why> {
    let _one_moment = read(conn)?;
    version(conn)
}

/// The file's version, if it is ours; 0: it is empty. Within a transaction.
fn version(conn: &Connection) -> std::result::Result<i64, Why> {
    let application = pragma(conn, "application_id")?;
    let found = pragma(conn, "user_version")?;
    let tables: i64 = conn.query_row("SELECT count(*) FROM sqlite_schema", [], |r| r.get(0))?;
    if application == 0 && found == 0 && tables == 0 {
        return Ok(0);
    }
    if application != APPLICATION_ID {
        return Err(Why::Foreign);
    }
    still_known(found)?;
    Ok(found)
}

fn still_known(found: i64) -> std::result::Result<(), Why> {
    if found > VERSION { Err(Why::Newer { found, known: VERSION }) } else { Ok(()) }
}

fn make(conn: &Connection, clocks: &Clocks) -> std::result::Result<(), Why> {
    let tx = write(conn)?;
    // Inside the transaction: of two that come at once one makes it.
    if version(conn)? == 0 {
        conn.execute_batch(include_str!("schema.sql"))?;
        conn.pragma_update(None, "application_id", APPLICATION_ID)?;
        conn.pragma_update(None, "user_version", VERSION)?;
        conn.execute("INSERT INTO head (one, boot, wall, now) VALUES (1, 0, 0, 0)", [])?;
        save_anchor(conn, &Anchor::first(clocks))?;
    }
    Ok(tx.commit()?)
}

/// A transaction; undone unless committed. rusqlite's own is parsed and planned anew
/// each time, which is a tenth of what it takes to take a place.
#[must_use]
pub(super) struct Transaction<'c> {
    conn: &'c Connection,
}

/// Begins a transaction in which no other process can write.
pub(super) fn write(conn: &Connection) -> std::result::Result<Transaction<'_>, Why> {
    Transaction::begin(conn, "BEGIN IMMEDIATE")
}

/// Begins one that only reads.
pub(super) fn read(conn: &Connection) -> std::result::Result<Transaction<'_>, Why> {
    Transaction::begin(conn, "BEGIN")
}

impl<'c> Transaction<'c> {
    /// A newer Holdpoint may have changed the file since it was opened: nothing is read
    /// or written then.
    fn begin(conn: &'c Connection, sql: &str) -> std::result::Result<Self, Why> {
        conn.prepare_cached(sql)?.execute([])?;
        let transaction = Transaction { conn };
        let version =
            conn.prepare_cached("PRAGMA user_version")?.query_row([], |row| row.get(0))?;
        still_known(version)?;
        Ok(transaction)
    }

    /// Makes it last.
    pub fn commit(self) -> Result<()> {
        self.conn.prepare_cached("COMMIT")?.execute([]).map(|_| ())
    }
}

impl Drop for Transaction<'_> {
    fn drop(&mut self) {
        // Not after a commit, nor where SQLite has undone it already.
        if !self.conn.is_autocommit() {
            // What cannot be undone leaves a connection that refuses to begin anew.
            let _ = self.conn.execute_batch("ROLLBACK");
        }
    }
}

pub(super) fn head(conn: &Connection) -> Result<Head> {
    let sql = "SELECT boot_id, boot, wall, now, next, keys, places FROM head WHERE one = 1";
    conn.prepare_cached(sql)?.query_row([], |row| {
        let boot_id: Option<[u8; 16]> = row.get(0)?;
        let anchor = Anchor {
            boot_id: boot_id.map(uuid::Uuid::from_bytes),
            boot: row.get(1)?,
            wall: Time(row.get(2)?),
            now: row.get(3)?,
        };
        Ok(Head { anchor, next: row.get(4)?, keys: row.get(5)?, places: row.get(6)? })
    })
}

pub(super) fn save_anchor(conn: &Connection, anchor: &Anchor) -> Result<()> {
    let sql = "UPDATE head SET boot_id = ?, boot = ?, wall = ?, now = ? WHERE one = 1";
    let boot_id = anchor.boot_id.map(uuid::Uuid::into_bytes);
    conn.prepare_cached(sql)?.execute(params![boot_id, anchor.boot, anchor.wall.0, anchor.now])?;
    Ok(())
}

/// The same, and the number of the next place.
pub(super) fn save_head(conn: &Connection, anchor: &Anchor, next: i64) -> Result<()> {
    let sql = "UPDATE head SET boot_id = ?, boot = ?, wall = ?, now = ?, next = ? WHERE one = 1";
    let boot_id = anchor.boot_id.map(uuid::Uuid::into_bytes);
    let head = params![boot_id, anchor.boot, anchor.wall.0, anchor.now, next];
    conn.prepare_cached(sql)?.execute(head)?;
    Ok(())
}

pub(super) fn limit(conn: &Connection, key: &str) -> Result<Option<Limit>> {
    let sql = "SELECT id, window, used, free_at FROM limits WHERE key = ?";
    let limit = |row: &Row<'_>| {
        let (id, window) = (row.get(0)?, row.get(1)?);
        Ok(Limit { id, window, used: row.get(2)?, free_at: row.get(3)? })
    };
    conn.prepare_cached(sql)?.query_row([key], limit).optional()
}

pub(super) fn add_limit(conn: &Connection, key: &str) -> Result<Limit> {
    let sql = "INSERT INTO limits (key, window, used, free_at) VALUES (?, 0, 0, 0)";
    conn.prepare_cached(sql)?.execute([key])?;
    Ok(Limit { id: conn.last_insert_rowid(), window: 0, used: 0, free_at: 0 })
}

/// Says for how long places of this limit are kept now.
pub(super) fn renew_limit(conn: &Connection, limit: Limit) -> Result<()> {
    let sql = "UPDATE limits SET window = ?2, used = ?3, free_at = ?4 WHERE id = ?1";
    let values = [limit.id, limit.window, limit.used, limit.free_at];
    conn.prepare_cached(sql)?.execute(values).map(|_| ())
}

/// The newest `most` places of this limit that were taken after `since`.
pub(super) fn newest_places(
    conn: &Connection,
    limit: i64,
    since: i64,
    most: u32,
) -> Result<Places> {
    let sql = "SELECT count(*), min(at), \
               (SELECT at FROM places WHERE limit_id = ?1 ORDER BY at, n LIMIT 1) \
               FROM (SELECT at FROM places \
               WHERE limit_id = ?1 AND at > ?2 ORDER BY at DESC, n DESC LIMIT ?3)";
    let places =
        |row: &Row<'_>| Ok(Places { count: row.get(0)?, first: row.get(1)?, oldest: row.get(2)? });
    conn.prepare_cached(sql)?.query_row(params![limit, since, most], places)
}

/// Takes a place. Its number has to be saved with the head.
pub(super) fn add_place(conn: &Connection, limit: i64, (at, n): (i64, i64)) -> Result<()> {
    let sql = "INSERT INTO places (limit_id, at, n) VALUES (?, ?, ?)";
    conn.prepare_cached(sql)?.execute([limit, at, n]).map(|_| ())
}

/// Takes away some places of this limit that were taken until then, and how many.
pub(super) fn sweep(conn: &Connection, limit: i64, until: i64) -> Result<usize> {
    let sql = "DELETE FROM places WHERE (limit_id, at, n) IN \
               (SELECT limit_id, at, n FROM places WHERE limit_id = ? AND at <= ? LIMIT ?)";
    conn.prepare_cached(sql)?.execute(params![limit, until, SWEPT])
}

pub(super) fn remove_place(conn: &Connection, limit: i64, at: i64, n: i64) -> Result<()> {
    let sql = "DELETE FROM places WHERE limit_id = ? AND at = ? AND n = ?";
    conn.prepare_cached(sql)?.execute([limit, at, n])?;
    Ok(())
}

/// Takes away limits of which all places are free again, at most so many. One with
/// many places takes several goes.
pub(super) fn prune_limits(conn: &Connection, now: i64, most: u32) -> Result<()> {
    let sql = "SELECT id FROM limits WHERE free_at <= ? ORDER BY free_at LIMIT ?";
    let mut statement = conn.prepare_cached(sql)?;
    let ids = statement.query_map(params![now, most], |row| row.get::<_, i64>(0))?;
    for id in ids.collect::<Result<Vec<_>>>()? {
        if sweep(conn, id, i64::MAX)? < SWEPT as usize {
            conn.prepare_cached("DELETE FROM limits WHERE id = ?")?.execute([id])?;
        }
    }
    Ok(())
}

fn number_of(window: Window) -> i64 {
    match window {
        Window::Minute => 1,
        Window::Hour => 2,
        Window::Day => 3,
    }
}

pub(super) fn counter(conn: &Connection, key: &CounterKey) -> Result<Option<Counter>> {
    let sql = "SELECT id, number, opened, value FROM counters \
               WHERE server = ? AND scope = ? AND name = ? AND window = ?";
    let counter = |row: &Row<'_>| {
        let opened = Opened { number: row.get(1)?, at: row.get(2)? };
        Ok(Counter { id: row.get(0)?, opened, value: row.get(3)? })
    };
    let key = params![key.server, key.scope, key.name, number_of(key.window)];
    conn.prepare_cached(sql)?.query_row(key, counter).optional()
}

pub(super) fn add_counter(
    conn: &Connection,
    key: &CounterKey,
    opened: Opened,
    value: i64,
) -> Result<i64> {
    let sql = "INSERT INTO counters (server, scope, name, window, number, opened, value) \
               VALUES (?, ?, ?, ?, ?, ?, ?)";
    conn.prepare_cached(sql)?.execute(params![
        key.server,
        key.scope,
        key.name,
        number_of(key.window),
        opened.number,
        opened.at,
        value
    ])?;
    Ok(conn.last_insert_rowid())
}

pub(super) fn set_counter(conn: &Connection, id: i64, opened: Opened, value: i64) -> Result<()> {
    let sql = "UPDATE counters SET number = ?2, opened = ?3, value = ?4 WHERE id = ?1";
    conn.prepare_cached(sql)?.execute([id, opened.number, opened.at, value])?;
    Ok(())
}

/// What the counter has reached, if it is still in that window.
pub(super) fn counter_in(conn: &Connection, id: i64, opened: Opened) -> Result<Option<i64>> {
    let sql = "SELECT value FROM counters WHERE id = ? AND number = ? AND opened = ?";
    let mut statement = conn.prepare_cached(sql)?;
    statement.query_row([id, opened.number, opened.at], |row| row.get(0)).optional()
}

/// Takes away counters of this kind of window that were opened before `until`, and
/// are in another than the present one; at most so many.
pub(super) fn prune_counters(
    conn: &Connection,
    window: Window,
    (until, present): (i64, i64),
    most: u32,
) -> Result<()> {
    let sql = "DELETE FROM counters WHERE id IN (SELECT id FROM counters \
               WHERE window = ? AND opened <= ? AND number <> ? LIMIT ?)";
    conn.prepare_cached(sql)?.execute(params![number_of(window), until, present, most])?;
    Ok(())
}

fn pages(conn: &Connection) -> Result<u64> {
    Ok(pragma(conn, "page_count")?.unsigned_abs())
}

/// Whether half of the file is used: from then on pins keep no texts.
pub(super) fn half_full(conn: &Connection) -> Result<bool> {
    Ok(pages(conn)? * PAGE >= MOST_BYTES / 2)
}

fn pin_row(row: &Row<'_>) -> Result<PinRow> {
    let new: (Option<String>, Option<i64>) = (row.get(5)?, row.get(6)?);
    Ok(PinRow {
        id: row.get(0)?,
        server: row.get(1)?,
        tool: row.get(2)?,
        hash: row.get(3)?,
        at: Time(row.get(4)?),
        new: new.0.zip(new.1.map(Time)),
    })
}

pub(super) fn pin(conn: &Connection, server: &str, tool: &str) -> Result<Option<PinRow>> {
    let sql = "SELECT id, server, tool, hash, at, new_hash, new_at FROM pins \
               WHERE server = ? AND tool = ?";
    conn.prepare_cached(sql)?.query_row([server, tool], pin_row).optional()
}

/// All of them, by server and tool.
pub(super) fn pins(conn: &Connection) -> Result<Vec<PinRow>> {
    let sql = "SELECT id, server, tool, hash, at, new_hash, new_at FROM pins \
               ORDER BY server, tool";
    let mut statement = conn.prepare_cached(sql)?;
    statement.query_map([], pin_row)?.collect()
}

/// How many there are: of all servers, and of this one. Only asked when one is added.
pub(super) fn count_pins(conn: &Connection, server: &str) -> Result<(u32, u32)> {
    let sql = "SELECT (SELECT count(*) FROM pins), (SELECT count(*) FROM pins WHERE server = ?)";
    conn.prepare_cached(sql)?.query_row([server], |row| Ok((row.get(0)?, row.get(1)?)))
}

/// The text of the pinned definition.
pub(super) fn pinned_text(conn: &Connection, id: i64) -> Result<String> {
    conn.prepare_cached("SELECT text FROM pins WHERE id = ?")?.query_row([id], |row| row.get(0))
}

pub(super) fn add_pin(
    conn: &Connection,
    (server, tool): (&str, &str),
    (hash, text): (&str, &str),
    at: Time,
) -> Result<()> {
    let sql = "INSERT INTO pins (server, tool, hash, text, at) VALUES (?, ?, ?, ?, ?)";
    conn.prepare_cached(sql)?.execute(params![server, tool, hash, text, at.0])?;
    Ok(())
}

/// The tool is this instead, since then; `None`: it is as pinned again.
pub(super) fn set_new(conn: &Connection, id: i64, new: Option<(&str, &str, Time)>) -> Result<()> {
    let sql = "UPDATE pins SET new_hash = ?2, new_text = ?3, new_at = ?4 WHERE id = ?1";
    let (hash, text, at) = match new {
        Some((hash, text, at)) => (Some(hash), Some(text), Some(at.0)),
        None => (None, None, None),
    };
    conn.prepare_cached(sql)?.execute(params![id, hash, text, at])?;
    Ok(())
}

/// Pins another definition in the place of the old one, with its text if that is
/// the one that was seen last.
pub(super) fn replace_pin(conn: &Connection, id: i64, hash: &str, at: Time) -> Result<()> {
    let sql = "UPDATE pins SET text = CASE WHEN new_hash = ?2 THEN new_text ELSE '' END, \
               hash = ?2, at = ?3, new_hash = NULL, new_text = NULL, new_at = NULL WHERE id = ?1";
    conn.prepare_cached(sql)?.execute(params![id, hash, at.0])?;
    Ok(())
}
