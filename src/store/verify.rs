//! Verifying the whole chain in the database.
//!
//! The thread that asks reads the entries, in pieces of bounded size; the pieces are
//! hashed on threads beside it and joined in their order. Nothing else decides what is
//! told: the first piece, in the order of the chain, that is broken is, and in it the
//! first entry. So the answer is the same for any number of threads, none included,
//! and so are its words. See `whole` for why pieces can be walked apart.
//!
//! Promises: memory does not grow with the chain: some pieces are under way, and no
//! more are read before the first of them is joined. Must never: read anywhere but on
//! the given connection, whose view is one moment of the database.

use std::ops::Range;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{self, Scope};

use rusqlite::types::ValueRef;
use rusqlite::{Connection, Row, Rows};

use super::error::StoreError;
use super::export::log_id;
use super::whole::{Broken, Checked, Walk, Whole};
use crate::call::time::Time;

/// Threads that hash. One keeps up with the thread that reads where the processor has
/// instructions for SHA-256, and three where it has none.
const THREADS: usize = 3;

/// Pieces under way for each thread. With two, each waits for the other at every piece
/// and the system keeps both on one core: a million entries took 0.87 to 1.34 s on a
/// machine with other work to do, and 0.83 to 0.97 s with sixteen.
const UNDER_WAY: usize = 16;

/// Bytes after which a piece ends: some 200 entries, so that handing it over costs
/// nothing beside hashing it.
const PIECE_BYTES: usize = 128 * 1024;

/// And entries, where payloads were erased.
const PIECE_ENTRIES: usize = 1024;

/// Walks the whole chain in the database. A payload may be missing only where an
/// entry says that it was erased.
pub fn verify(
    conn: &Connection,
    wanted: Option<[u8; 32]>,
) -> Result<Result<Whole, Broken>, StoreError> {
    // One reads.
    let beside = thread::available_parallelism().map_or(0, |all| all.get() - 1);
    verify_beside(conn, wanted, beside.min(THREADS), PIECE_ENTRIES)
}

/// As [`verify`], on so many threads beside this one and in pieces of so many entries.
pub(super) fn verify_beside(
    conn: &Connection,
    wanted: Option<[u8; 32]>,
    threads: usize,
    entries: usize,
) -> Result<Result<Whole, Broken>, StoreError> {
    let walk = Walk::new(log_id(conn)?, 1, [0; 32], wanted);
    let mut statement = conn.prepare(
        "SELECT a.seq, a.at, a.kind, a.previous, a.body, a.hash, b.salt, b.payload
         FROM audit a LEFT JOIN audit_body b ON b.seq = a.seq ORDER BY a.seq",
    )?;
    let rows = statement.query([])?;
    let walked = thread::scope(|scope| {
        let crew = Crew::of(scope, threads, walk);
        walk_all(rows, crew, entries)
    });
    let walk = match walked? {
        Ok(walk) => walk,
        Err(broken) => return Ok(Err(broken)),
    };
    if let Some(sequence) = walk.unrecorded() {
        let what = format!(
            "entry {sequence}: its payload is missing, and no entry says that it was erased"
        );
        return Ok(Err(Broken { sequence, line: 0, what }));
    }
    let last = walk.next - 1;
    Ok(walk.finish().map_err(|what| Broken { sequence: last, line: 0, what }))
}

type Walked = Result<Walk, Broken>;

fn walk_all(mut rows: Rows<'_>, mut crew: Crew, entries: usize) -> Result<Walked, StoreError> {
    let (mut next, mut hash) = (crew.walk.next, crew.walk.hash);
    loop {
        let mut piece = crew.spare.pop().unwrap_or_default();
        let read = piece.read(&mut rows, entries);
        if let Some(last) = piece.entries.last() {
            let walk = crew.walk.piece(next, hash);
            // One that cannot be read is told when it is its turn.
            (next, hash) = (last.sequence.wrapping_add(1), last.hash.unwrap_or_default());
            if let Err(broken) = crew.hand_over(piece, walk) {
                return Ok(Err(broken));
            }
        }
        match read {
            Ok(true) => {}
            Ok(false) => return Ok(crew.finish()),
            // What is broken before the place that cannot be read is told first.
            Err(error) => return crew.finish().map_or_else(|e| Ok(Err(e)), |_| Err(error.into())),
        }
    }
}

/// Who hashes, and how far that is joined.
struct Crew {
    workers: Vec<Worker>,
    handed_over: usize,
    joined: usize,
    walk: Walk,
    /// Whose room is used again.
    spare: Vec<Piece>,
}

/// Takes its pieces in turn, so that what comes back is in order.
struct Worker {
    pieces: SyncSender<(Piece, Walk)>,
    walked: Receiver<(Piece, Walked)>,
}

impl Crew {
    /// Of so many threads, or fewer if there are no more to be had: with none, this one
    /// does what there is to do.
    fn of<'scope>(scope: &'scope Scope<'scope, '_>, threads: usize, walk: Walk) -> Crew {
        let workers = (0..threads).map_while(|_| Worker::begin(scope).ok()).collect();
        Crew { workers, handed_over: 0, joined: 0, walk, spare: Vec::new() }
    }

    fn hand_over(&mut self, piece: Piece, walk: Walk) -> Result<(), Broken> {
        if self.workers.is_empty() {
            let walked = piece.walk(walk);
            return self.join(piece, walked);
        }
        if self.handed_over - self.joined == self.workers.len() * UNDER_WAY {
            self.join_next()?;
        }
        let worker = &self.workers[self.handed_over % self.workers.len()];
        worker.pieces.send((piece, walk)).expect("it hashes for as long as this side is there");
        self.handed_over += 1;
        Ok(())
    }

    fn join_next(&mut self) -> Result<(), Broken> {
        let worker = &self.workers[self.joined % self.workers.len()];
        let (piece, walked) = worker.walked.recv().expect("it answers for each piece");
        self.joined += 1;
        self.join(piece, walked)
    }

    fn join(&mut self, piece: Piece, walked: Walked) -> Result<(), Broken> {
        self.walk.join(walked?);
        self.spare.push(piece);
        Ok(())
    }

    fn finish(mut self) -> Walked {
        while self.joined < self.handed_over {
            self.join_next()?;
        }
        Ok(self.walk)
    }
}

impl Worker {
    fn begin<'scope>(scope: &'scope Scope<'scope, '_>) -> std::io::Result<Worker> {
        let (pieces, to_walk) = sync_channel::<(Piece, Walk)>(UNDER_WAY);
        let (tell, walked) = sync_channel(UNDER_WAY);
        thread::Builder::new().name("verify".to_owned()).spawn_scoped(scope, move || {
            for (piece, walk) in to_walk {
                let walked = piece.walk(walk);
                if tell.send((piece, walked)).is_err() {
                    // Something before it is broken.
                    return;
                }
            }
        })?;
        Ok(Worker { pieces, walked })
    }
}

/// Some entries that follow each other, as they were read.
#[derive(Default)]
struct Piece {
    entries: Vec<Read>,
    /// Kinds, salts and payloads.
    bytes: Vec<u8>,
}

struct Read {
    sequence: u64,
    /// What the next entry claims to follow, if this one is not the one that is broken.
    hash: Option<[u8; 32]>,
    columns: Option<Columns>,
}

/// What there is of an entry if each column is of its type. Texts are not known to be
/// texts.
struct Columns {
    at: i64,
    kind: Range<usize>,
    previous: [u8; 32],
    body: [u8; 32],
    salt: Option<Range<usize>>,
    payload: Option<Range<usize>>,
}

impl Piece {
    /// Reads until it is full; false at the end of the chain.
    fn read(&mut self, rows: &mut Rows<'_>, entries: usize) -> rusqlite::Result<bool> {
        self.entries.clear();
        self.bytes.clear();
        while self.entries.len() < entries && self.bytes.len() < PIECE_BYTES {
            let Some(row) = rows.next()? else { return Ok(false) };
            let sequence = row.get::<_, i64>(0)? as u64;
            let hash = hash_at(row, 5);
            let columns = self.columns(row);
            self.entries.push(Read { sequence, hash, columns });
        }
        Ok(true)
    }

    fn columns(&mut self, row: &Row<'_>) -> Option<Columns> {
        let ValueRef::Integer(at) = row.get_ref(1).ok()? else { return None };
        let ValueRef::Text(kind) = row.get_ref(2).ok()? else { return None };
        let salt = match row.get_ref(6).ok()? {
            ValueRef::Null => None,
            ValueRef::Blob(salt) => Some(salt),
            _ => return None,
        };
        let payload = match row.get_ref(7).ok()? {
            ValueRef::Null => None,
            ValueRef::Text(payload) => Some(payload),
            _ => return None,
        };
        let (previous, body) = (hash_at(row, 3)?, hash_at(row, 4)?);
        let kind = self.keep(kind);
        let (salt, payload) = (salt.map(|s| self.keep(s)), payload.map(|p| self.keep(p)));
        Some(Columns { at, kind, previous, body, salt, payload })
    }

    fn keep(&mut self, bytes: &[u8]) -> Range<usize> {
        let from = self.bytes.len();
        self.bytes.extend_from_slice(bytes);
        from..self.bytes.len()
    }

    /// Walks its entries, from where the piece before it should end.
    fn walk(&self, mut walk: Walk) -> Walked {
        for entry in &self.entries {
            let sequence = entry.sequence;
            let checked = match self.checked(entry) {
                Some(entry) => walk.step(&entry),
                None => Err(format!("entry {sequence} is not readable")),
            };
            checked.map_err(|what| Broken { sequence, line: 0, what })?;
        }
        Ok(walk)
    }

    fn checked(&self, entry: &Read) -> Option<Checked<'_>> {
        let columns = entry.columns.as_ref()?;
        let text = |range: &Range<usize>| str::from_utf8(&self.bytes[range.clone()]).ok();
        let payload = match &columns.payload {
            Some(payload) => Some(text(payload)?),
            None => None,
        };
        let salt = columns.salt.clone().map(|salt| &self.bytes[salt]);
        Some(Checked {
            sequence: entry.sequence,
            at: Time(columns.at),
            kind: text(&columns.kind)?,
            previous: columns.previous,
            body: columns.body,
            hash: entry.hash?,
            said: salt.zip(payload),
        })
    }
}

fn hash_at(row: &Row<'_>, column: usize) -> Option<[u8; 32]> {
    match row.get_ref(column).ok()? {
        ValueRef::Blob(hash) => hash.try_into().ok(),
        _ => None,
    }
}
