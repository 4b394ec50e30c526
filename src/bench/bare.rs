//! Bare SQLite: what a submit and a decision cost where there is nothing but
//! their rows, `synchronous=FULL`, and (for many at once) one thread that
//! commits whatever is queued.

use std::path::Path;
use std::sync::{Arc, mpsc};

use rusqlite::{Connection, params};
use sha2::{Digest as _, Sha256};
use tokio::sync::oneshot;

use super::call;
use super::rows::{Head, Templates};
use super::trouble::{During as _, Trouble};
use crate::call::ids::RequestId;
use crate::call::model::Request;
use crate::store::clock::SystemClock;
use crate::store::decide::{Counts, Entitled, NotEntitled};
use crate::store::submit::Attach;
use crate::store::{Store, StoreOptions, schema};

/// Transitions per commit at most.
const BATCH: usize = 1024;

/// Which rows are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rows {
    /// The least that would do: the call (1 KiB) under two indexes, and one
    /// audit row with a SHA-256 over the row and the one before.
    Few,
    /// The rows that the daemon writes, in its schema with all its indexes, with
    /// both its hashes. Copied from what its store wrote for the same call.
    Same,
}

/// What is written.
pub(super) enum Write {
    Submit(Box<Row>),
    Decide([u8; 16]),
}

/// A call to write.
pub(super) struct Row {
    pub id: [u8; 16],
    pub call_id: String,
    pub digest: [u8; 32],
    pub arguments: String,
}

impl Row {
    pub fn numbered(n: u64) -> Row {
        let arguments = call::arguments(n);
        Row {
            id: *call::fresh_id().as_bytes(),
            call_id: call::call_id(n),
            digest: Sha256::digest(&arguments).into(),
            arguments,
        }
    }
}

/// A database that is written without a word too many.
pub(super) struct Bare {
    conn: Connection,
    templates: Option<Box<Templates>>,
    head: Head,
}

impl Bare {
    pub fn open(dir: &Path, rows: Rows) -> Result<Bare, Trouble> {
        let path = dir.join("bare.db");
        let conn = match rows {
            Rows::Same => schema::open_writer(&path).during("making the store's schema")?,
            Rows::Few => few(&path).during("making a database")?,
        };
        let templates = match rows {
            Rows::Same => Some(Box::new(Templates::copied(dir)?)),
            Rows::Few => None,
        };
        Ok(Bare { conn, templates, head: Head::default() })
    }

    /// Writes these in one transaction, which is on disk when it returns.
    pub fn commit<'a>(&mut self, writes: impl Iterator<Item = &'a Write>) -> Result<(), Trouble> {
        let all = || {
            self.run("BEGIN IMMEDIATE")?;
            for write in writes {
                self.write(write)?;
            }
            self.run("COMMIT")
        };
        all().during("committing to a bare database")
    }

    fn run(&self, sql: &str) -> rusqlite::Result<()> {
        self.conn.prepare_cached(sql)?.execute([])?;
        Ok(())
    }

    fn write(&mut self, write: &Write) -> rusqlite::Result<()> {
        match (write, &mut self.templates) {
            (Write::Submit(row), Some(rows)) => rows.submit(&self.conn, &mut self.head, row),
            (Write::Decide(id), Some(rows)) => rows.decide(&self.conn, &mut self.head, *id),
            (Write::Submit(row), None) => {
                self.conn
                    .prepare_cached("INSERT INTO request VALUES (?, ?, 1, ?, ?)")?
                    .execute(params![row.id, row.call_id, row.digest, row.arguments])?;
                self.audit_few(&row.id, &row.arguments)
            }
            (Write::Decide(id), None) => {
                self.conn
                    .prepare_cached("UPDATE request SET status = 2 WHERE id = ? AND status = 1")?
                    .execute([id])?;
                self.audit_few(id, "approved")
            }
        }
    }

    fn audit_few(&mut self, id: &[u8; 16], what: &str) -> rusqlite::Result<()> {
        self.head.sequence += 1;
        let hash = Sha256::new().chain_update(self.head.hash).chain_update(id).chain_update(what);
        self.head.hash = hash.finalize().into();
        self.conn.prepare_cached("INSERT INTO audit VALUES (?, ?, ?, ?)")?.execute(params![
            self.head.sequence as i64,
            id,
            what,
            self.head.hash
        ])?;
        Ok(())
    }
}

fn few(path: &Path) -> rusqlite::Result<Connection> {
    let conn = Connection::open(path)?;
    conn.pragma_update(None, "journal_mode", "wal")?;
    conn.pragma_update(None, "synchronous", "full")?;
    conn.pragma_update(None, "wal_autocheckpoint", 4000)?;
    conn.pragma_update(None, "cache_size", -32_000)?;
    conn.execute_batch(
        "CREATE TABLE request (id BLOB PRIMARY KEY, call_id TEXT NOT NULL, status INTEGER NOT NULL,
           digest BLOB NOT NULL, arguments TEXT NOT NULL) STRICT;
         CREATE UNIQUE INDEX request_by_call_id ON request (call_id);
         CREATE TABLE audit (seq INTEGER PRIMARY KEY, request BLOB NOT NULL, what TEXT NOT NULL,
           hash BLOB NOT NULL) STRICT;",
    )?;
    Ok(conn)
}

/// Nobody waits.
#[derive(Debug)]
pub struct Nobody;

impl Attach for Nobody {
    fn claim(&self, _: RequestId) -> bool {
        false
    }

    fn join(&self, _: RequestId) {}
}

/// Everybody may decide.
#[derive(Debug)]
pub struct Everybody;

impl Entitled for Everybody {
    fn counts(&self, _: &str, _: &Request) -> Result<Counts, NotEntitled> {
        Ok(Counts::default())
    }
}

/// The daemon's own store, without a door before it.
pub fn store(path: &Path) -> Result<Store, Trouble> {
    let options = StoreOptions {
        path: path.to_owned(),
        clock: Arc::new(SystemClock),
        on_commit: Box::new(|_| {}),
        before_commit: None,
        metrics: Arc::default(),
    };
    Store::open(options).during("opening a store")
}

struct Job {
    write: Write,
    done: oneshot::Sender<Result<(), Trouble>>,
}

/// One thread that commits what is queued and answers after it.
pub(super) struct Writer {
    queue: mpsc::Sender<Job>,
}

impl Writer {
    pub fn start(mut bare: Bare) -> Writer {
        let (queue, jobs) = mpsc::channel::<Job>();
        std::thread::spawn(move || {
            while let Ok(first) = jobs.recv() {
                let mut batch = vec![first];
                batch.extend(jobs.try_iter().take(BATCH - 1));
                let committed = bare.commit(batch.iter().map(|job| &job.write));
                for job in batch {
                    let _ = job.done.send(committed.clone());
                }
            }
        });
        Writer { queue }
    }

    pub async fn write(&self, write: Write) -> Result<(), Trouble> {
        let (done, committed) = oneshot::channel();
        let _ = self.queue.send(Job { write, done });
        committed.await.during("waiting for a bare writer")?
    }
}
