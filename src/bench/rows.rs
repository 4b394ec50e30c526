//! The rows that the daemon writes, to be written again by hand: the store takes
//! one call in and decides it, and what it wrote is copied under other keys.

use std::path::Path;

use rusqlite::types::Value;
use rusqlite::{Connection, params, params_from_iter};

use super::bare::{Everybody, Nobody, Row, store};
use super::call;
use super::trouble::{During as _, Trouble};
use crate::call::time::Time;
use crate::store::{audit, decide, submit};

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

/// The end of the chain so far.
#[derive(Default)]
pub struct Head {
    /// Entries so far.
    pub sequence: u64,
    /// The hash of the last.
    pub hash: [u8; 32],
}

/// The rows of one submit and of one decision.
pub struct Templates {
    request: Template,
    outbox: Template,
    submitted: Entry,
    decision: Template,
    decided: Entry,
}

impl Templates {
    /// Lets a store in `dir` take one call in and decide it, and copies what it wrote.
    pub fn copied(dir: &Path) -> Result<Templates, Trouble> {
        // On a thread of its own, since it blocks on a runtime of its own.
        let copied = std::thread::scope(|scope| scope.spawn(|| Templates::copy(dir)).join());
        copied.unwrap_or_else(|_| Err(Trouble::new("copying rows", "the thread ended")))
    }

    fn copy(dir: &Path) -> Result<Templates, Trouble> {
        let path = dir.join("template.db");
        let store = store(&path)?;
        let runtime = tokio::runtime::Builder::new_current_thread().build();
        let runtime = runtime.during("starting a runtime")?;
        let input = call::submit(0);
        let (id, shown) = (input.id, input.call.digest.to_string());
        let taken = store.write(move |tx| submit::submit(tx, input, &Nobody));
        runtime.block_on(taken).during("submitting a call")?;
        let conn = Connection::open(&path).during("opening the store's database")?;
        let read = |table: &str, query: &str| Template::read(&conn, table, query);
        let entry = |kind: &str| -> rusqlite::Result<Entry> {
            let chain = format!("SELECT * FROM audit WHERE kind = '{kind}'");
            let body = format!(
                "SELECT b.* FROM audit_body b JOIN audit USING (seq) WHERE kind = '{kind}'"
            );
            Ok(Entry { chain: read("audit", &chain)?, body: read("audit_body", &body)? })
        };
        // Before they are decided: the decision changes them.
        let request = read("requests", "SELECT * FROM requests").during("copying a request")?;
        let outbox = read("outbox", "SELECT * FROM outbox").during("copying a mail")?;
        let input = call::approval(id, shown);
        let decided = store.write(move |tx| decide::decide(tx, &input, &Everybody));
        runtime.block_on(decided).during("deciding a call")?;
        Ok(Templates {
            request,
            outbox,
            submitted: entry("requested").during("copying an entry")?,
            decision: read("decisions", "SELECT * FROM decisions").during("copying a decision")?,
            decided: entry("approved").during("copying an entry")?,
        })
    }

    /// All that a submit writes.
    pub fn submit(&mut self, db: &Connection, head: &mut Head, row: &Row) -> rusqlite::Result<()> {
        let id = Value::Blob(row.id.to_vec());
        self.request.write(
            db,
            &[
                ("n", Value::Null),
                ("id", id.clone()),
                ("call_id", Value::Text(row.call_id.clone())),
                ("digest", Value::Blob(row.digest.to_vec())),
                ("arguments", Value::Text(row.arguments.clone())),
            ],
        )?;
        self.outbox.write(db, &[("n", Value::Null), ("request", id)])?;
        self.submitted.write(db, head, row.id)
    }

    /// All that a decision writes.
    pub fn decide(
        &mut self,
        db: &Connection,
        head: &mut Head,
        id: [u8; 16],
    ) -> rusqlite::Result<()> {
        self.decision.write(db, &[("request", Value::Blob(id.to_vec()))])?;
        db.prepare_cached(
            "UPDATE requests SET status = 2, ended = ?1, use = 1, lapses = ?1
             WHERE id = ?2 AND status = 1",
        )?
        .execute(params![call::now_ms(), id])?;
        db.prepare_cached("UPDATE outbox SET state = 3 WHERE request = ? AND state = 0")?
            .execute([id])?;
        self.decided.write(db, head, id)
    }
}
