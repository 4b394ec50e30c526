//! Bare SQLite: what a submit and a decision cost where there is nothing but
//! their rows, `synchronous=FULL`, and (for many at once) one thread that
//! commits whatever is queued.

use std::path::Path;
use std::sync::{Arc, mpsc};
use std::time::Duration;

use holdpoint::call::ids::RequestId;
use holdpoint::call::time::Time;
use holdpoint::store::clock::SystemClock;
use holdpoint::store::decide::{self, Counts, Decide, Entitled, NotEntitled};
use holdpoint::store::submit::{self, Attach};
use holdpoint::store::{Store, StoreOptions, audit, schema};
use rusqlite::types::Value;
use rusqlite::{Connection, params, params_from_iter};
use sha2::{Digest as _, Sha256};
use tokio::sync::oneshot;

use super::call;

/// Transitions per commit at most.
const BATCH: usize = 1024;

/// Which rows are written.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Rows {
    /// The least that would do: the call (1 KiB) under two indexes, and one
    /// audit row with a SHA-256 over the row and the one before.
    Few,
    /// The rows that the daemon writes, in its schema with all its indexes, with
    /// both its hashes. Copied from what its store wrote for the same call.
    Same,
}

/// What is written.
pub enum Write {
    Submit(Box<Row>),
    Decide([u8; 16]),
}

/// A call to write.
pub struct Row {
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

/// A row that the store wrote, to be written again under another key.
struct Template {
    insert: String,
    columns: Vec<String>,
    values: Vec<Value>,
}

impl Template {
    fn read(conn: &Connection, table: &str, query: &str) -> rusqlite::Result<Template> {
        let mut statement = conn.prepare(query)?;
        let columns: Vec<String> = statement.column_names().map(str::to_owned).collect();
        let values = statement.query_row([], |row| {
            (0..columns.len()).map(|column| row.get(column)).collect::<rusqlite::Result<_>>()
        })?;
        let places = vec!["?"; columns.len()].join(", ");
        let insert = format!("INSERT INTO {table} ({}) VALUES ({places})", columns.join(", "));
        Ok(Template { insert, columns, values })
    }

    fn write(&mut self, conn: &Connection, changed: &[(&str, Value)]) -> rusqlite::Result<()> {
        for (name, value) in changed {
            if let Some(column) = self.columns.iter().position(|column| column == name) {
                self.values[column] = value.clone();
            }
        }
        conn.prepare_cached(&self.insert)?.execute(params_from_iter(&self.values))?;
        Ok(())
    }

    fn text(&self, name: &str) -> &str {
        let column = self.columns.iter().position(|column| column == name);
        match column.map(|column| &self.values[column]) {
            Some(Value::Text(text)) => text,
            _ => "",
        }
    }
}

/// The rows of one submit and of one decision.
struct Templates {
    request: Template,
    outbox: Template,
    submitted: Entry,
    decision: Template,
    decided: Entry,
}

/// The two rows of an audit entry.
struct Entry {
    chain: Template,
    body: Template,
}

impl Entry {
    fn write(&mut self, db: &Connection, head: &mut Head, id: [u8; 16]) -> rusqlite::Result<()> {
        let mut salt = [0u8; 16];
        let _ = getrandom::fill(&mut salt);
        let body = audit::body_hash(&salt, self.body.text("payload"));
        head.sequence += 1;
        let (kind, at) = (self.chain.text("kind").to_owned(), Time(head.sequence as i64));
        let hash = audit::entry_hash(&[0; 16], head.sequence, &head.hash, at, &kind, &body);
        let seq = ("seq", Value::Integer(head.sequence as i64));
        self.chain.write(
            db,
            &[
                seq.clone(),
                ("body", Value::Blob(body.to_vec())),
                ("previous", Value::Blob(head.hash.to_vec())),
                ("hash", Value::Blob(hash.to_vec())),
            ],
        )?;
        head.hash = hash;
        self.body.write(
            db,
            &[seq, ("salt", Value::Blob(salt.to_vec())), ("request", Value::Blob(id.to_vec()))],
        )
    }
}

#[derive(Default)]
struct Head {
    sequence: u64,
    hash: [u8; 32],
}

/// A database that is written without a word too many.
pub struct Bare {
    conn: Connection,
    templates: Option<Box<Templates>>,
    head: Head,
}

impl Bare {
    pub fn open(dir: &Path, rows: Rows) -> Bare {
        let path = dir.join("bare.db");
        let conn = match rows {
            Rows::Same => schema::open_writer(&path).expect("the store's schema"),
            Rows::Few => few(&path).expect("a database"),
        };
        // On a thread of its own, since it blocks on a runtime of its own.
        let copied = || std::thread::scope(|scope| scope.spawn(|| templates(dir)).join());
        let templates = (rows == Rows::Same).then(|| Box::new(copied().expect("rows to copy")));
        Bare { conn, templates, head: Head::default() }
    }

    pub fn begin(&self) {
        self.run("BEGIN IMMEDIATE");
    }

    pub fn commit(&self) {
        self.run("COMMIT");
    }

    fn run(&self, sql: &str) {
        self.conn.prepare_cached(sql).and_then(|mut s| s.execute([])).expect(sql);
    }

    pub fn write(&mut self, write: &Write) {
        match write {
            Write::Submit(row) => self.submit(row).expect("submit"),
            Write::Decide(id) => self.decide(*id).expect("decide"),
        }
    }

    fn submit(&mut self, row: &Row) -> rusqlite::Result<()> {
        let id = Value::Blob(row.id.to_vec());
        let Some(t) = &mut self.templates else {
            self.conn
                .prepare_cached("INSERT INTO request VALUES (?, ?, 1, ?, ?)")?
                .execute(params![row.id, row.call_id, row.digest, row.arguments])?;
            return self.audit_few(&row.id, &row.arguments);
        };
        t.request.write(
            &self.conn,
            &[
                ("n", Value::Null),
                ("id", id.clone()),
                ("call_id", Value::Text(row.call_id.clone())),
                ("digest", Value::Blob(row.digest.to_vec())),
                ("arguments", Value::Text(row.arguments.clone())),
            ],
        )?;
        t.outbox.write(&self.conn, &[("n", Value::Null), ("request", id)])?;
        t.submitted.write(&self.conn, &mut self.head, row.id)
    }

    fn decide(&mut self, id: [u8; 16]) -> rusqlite::Result<()> {
        let Some(t) = &mut self.templates else {
            self.conn
                .prepare_cached("UPDATE request SET status = 2 WHERE id = ? AND status = 1")?
                .execute([id])?;
            return self.audit_few(&id, "approved");
        };
        t.decision.write(&self.conn, &[("request", Value::Blob(id.to_vec()))])?;
        self.conn
            .prepare_cached(
                "UPDATE requests SET status = 2, ended = ?1, use = 1, lapses = ?1
                 WHERE id = ?2 AND status = 1",
            )?
            .execute(params![call::now_ms(), id])?;
        self.conn
            .prepare_cached("UPDATE outbox SET state = 3 WHERE request = ? AND state = 0")?
            .execute([id])?;
        t.decided.write(&self.conn, &mut self.head, id)
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

struct Everybody;

impl Entitled for Everybody {
    fn counts(&self, _: &str, _: &holdpoint::call::model::Request) -> Result<Counts, NotEntitled> {
        Ok(Counts::default())
    }
}

/// The daemon's own store.
pub fn store(path: &Path) -> Store {
    Store::open(StoreOptions {
        path: path.to_owned(),
        clock: Arc::new(SystemClock),
        on_commit: Box::new(|_| {}),
        before_commit: None,
        metrics: Arc::default(),
    })
    .expect("a store")
}

/// Lets the store take one call in and decide it, and copies what it wrote.
fn templates(dir: &Path) -> Templates {
    let path = dir.join("template.db");
    let store = store(&path);
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let conn = Connection::open(&path).expect("the store's database");
    let read = |table: &str, query: String| Template::read(&conn, table, &query).expect("a row");
    let entry = |kind: &str| Entry {
        chain: read("audit", format!("SELECT * FROM audit WHERE kind = '{kind}'")),
        body: read(
            "audit_body",
            format!("SELECT b.* FROM audit_body b JOIN audit USING (seq) WHERE kind = '{kind}'"),
        ),
    };
    let input = call::submit(0);
    let (id, shown) = (input.id, input.call.digest.to_string());
    let taken = store.write(move |tx| submit::submit(tx, input, &Nobody));
    runtime.block_on(taken).expect("submit");
    let request = read("requests", "SELECT * FROM requests".to_owned());
    let outbox = read("outbox", "SELECT * FROM outbox".to_owned());
    let input = Decide {
        id,
        operator: call::OPERATOR.to_owned(),
        strength: holdpoint::call::model::Strength::Token,
        verdict: holdpoint::call::model::Verdict::Approve,
        reason: call::REASON.to_owned(),
        shown,
        lapse_after: Duration::from_secs(900),
        on_screen: None,
    };
    let decided = store.write(move |tx| decide::decide(tx, &input, &Everybody));
    runtime.block_on(decided).expect("decide");
    let decision = read("decisions", "SELECT * FROM decisions".to_owned());
    Templates {
        request,
        outbox,
        submitted: entry("requested"),
        decision,
        decided: entry("approved"),
    }
}

struct Job {
    write: Write,
    done: oneshot::Sender<()>,
}

/// One thread that commits what is queued and answers after it.
pub struct Writer {
    queue: mpsc::Sender<Job>,
}

impl Writer {
    pub fn start(mut bare: Bare) -> Writer {
        let (queue, jobs) = mpsc::channel::<Job>();
        std::thread::spawn(move || {
            while let Ok(first) = jobs.recv() {
                let mut batch = vec![first];
                batch.extend(jobs.try_iter().take(BATCH - 1));
                bare.begin();
                for job in &batch {
                    bare.write(&job.write);
                }
                bare.commit();
                for job in batch {
                    let _ = job.done.send(());
                }
            }
        });
        Writer { queue }
    }

    pub async fn write(&self, write: Write) {
        let (done, committed) = oneshot::channel();
        let _ = self.queue.send(Job { write, done });
        let _ = committed.await;
    }
}
