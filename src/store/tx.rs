//! One transition's view of the database: a connection inside a transaction,
//! the time, and what must be undone when the transition fails.

use std::sync::Arc;

use rusqlite::Connection;

use super::audit::{Entry, Kind};
use super::error::StoreError;
use super::pending::PendingCounts;
use crate::call::model::{Request, Scope, Status};
use crate::call::time::Time;

/// Something was committed: what watchers are told and waiters are woken by.
#[derive(Debug, Clone)]
pub struct Event {
    /// Sequence number of the audit entry.
    pub sequence: u64,
    /// What happened.
    pub kind: Kind,
    /// The request after it.
    pub request: Arc<Request>,
}

/// Where the audit chain stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// Sequence number of the newest entry; 0 before the first.
    pub sequence: u64,
    /// Its hash; zeros before the first.
    pub hash: [u8; 32],
    /// Its time.
    pub at: Time,
    /// The latest time of any entry so far.
    pub high: Time,
}

/// What the writer knows beside the database, so that a transition need not
/// read it each time. All of it can be rebuilt from the database.
#[derive(Debug, Clone)]
pub struct State {
    /// Random id of this log; part of every entry's hash.
    pub log_id: [u8; 16],
    /// Where the chain stands.
    pub head: Head,
    /// How many requests are pending.
    pub pending: PendingCounts,
    /// Wall time minus boot time, in milliseconds. Changes only by a recorded step.
    pub offset_ms: i64,
    /// No use is granted before this time (unless an admin confirms the clock).
    pub clock_doubt: Option<Time>,
}

/// A change to [`State`] and how to take it back.
#[derive(Debug)]
enum Undo {
    Pending { caller: String, client: String, added: bool },
    AllPending(PendingCounts),
    Offset(i64),
    Doubt(Option<Time>),
}

/// How a transition without a savepoint failed.
#[derive(Debug)]
pub enum Failed {
    /// It had written nothing.
    Refused(StoreError),
    /// The transaction holds a part of it.
    Spoiled(StoreError),
}

/// One transition's view.
#[derive(Debug)]
pub struct Tx<'a> {
    /// Inside a transaction; only transitions use it.
    pub conn: &'a Connection,
    /// When this batch runs. One batch has one time.
    pub now: Time,
    /// See [`State`].
    state: &'a mut State,
    events: &'a mut Vec<Event>,
    undo: Vec<Undo>,
}

impl<'a> Tx<'a> {
    /// Runs one transition in a savepoint of its own: whatever it did is undone
    /// if it fails, and nothing of what its neighbours did.
    pub fn run<T>(
        conn: &'a Connection,
        now: Time,
        state: &'a mut State,
        events: &'a mut Vec<Event>,
        transition: impl FnOnce(&mut Tx<'_>) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        conn.prepare_cached("SAVEPOINT transition")?.execute([])?;
        let head = state.head;
        let told = events.len();
        let mut tx = Tx { conn, now, state, events, undo: Vec::new() };
        let result = transition(&mut tx).and_then(|value| {
            tx.conn.prepare_cached("RELEASE transition")?.execute([])?;
            Ok(value)
        });
        if result.is_err() {
            tx.take_back(head, told);
            // Fails only where the whole transaction is gone already, and then
            // the commit fails too and everyone is answered "unknown".
            let _ = tx.conn.execute_batch("ROLLBACK TO transition; RELEASE transition");
        }
        result
    }

    /// Runs a transition that refuses before it writes, without a savepoint: to be
    /// able to take one back, SQLite copies every page that it writes, and that was
    /// a fifth of what a submit costs. One that fails after it wrote all the same
    /// (the disk failed, or a page is damaged) cannot be told from its neighbours in
    /// the transaction: [`Failed::Spoiled`] says that all of it has to go.
    pub fn run_bare<T>(
        conn: &'a Connection,
        now: Time,
        state: &'a mut State,
        events: &'a mut Vec<Event>,
        transition: impl FnOnce(&mut Tx<'_>) -> Result<T, StoreError>,
    ) -> Result<T, Failed> {
        let (head, told, written) = (state.head, events.len(), conn.total_changes());
        let mut tx = Tx { conn, now, state, events, undo: Vec::new() };
        transition(&mut tx).map_err(|error| {
            tx.take_back(head, told);
            if conn.total_changes() == written {
                Failed::Refused(error)
            } else {
                Failed::Spoiled(error)
            }
        })
    }

    fn take_back(&mut self, head: Head, told: usize) {
        self.state.head = head;
        self.events.truncate(told);
        for undo in std::mem::take(&mut self.undo).into_iter().rev() {
            match undo {
                Undo::Pending { caller, client, added: true } => {
                    self.state.pending.remove(&caller, &client);
                }
                Undo::Pending { caller, client, added: false } => {
                    self.state.pending.add(&caller, &client, 1);
                }
                Undo::AllPending(before) => self.state.pending = before,
                Undo::Offset(by) => self.state.offset_ms -= by,
                Undo::Doubt(before) => self.state.clock_doubt = before,
            }
        }
    }

    /// What the writer knows beside the database.
    pub fn state(&self) -> &State {
        self.state
    }

    /// Appends to the audit chain. Returns the entry's sequence number.
    pub fn record(&mut self, entry: Entry) -> Result<u64, StoreError> {
        let head = entry.append(self.conn, self.state, self.now)?;
        self.state.head = head;
        Ok(head.sequence)
    }

    /// Records what happened to a request, and tells whoever listens once it is on disk.
    pub fn record_request(
        &mut self,
        kind: Kind,
        request: &Request,
        more: impl FnOnce(&mut Entry),
    ) -> Result<(), StoreError> {
        self.record_shared(kind, &Arc::new(request.clone()), more)
    }

    /// The same, where the request does not change any more in this transition:
    /// who is answered and who listens share it.
    pub fn record_shared(
        &mut self,
        kind: Kind,
        request: &Arc<Request>,
        more: impl FnOnce(&mut Entry),
    ) -> Result<(), StoreError> {
        let mut entry = Entry::about(kind, request);
        more(&mut entry);
        let sequence = self.record(entry)?;
        self.events.push(Event { sequence, kind, request: request.clone() });
        Ok(())
    }

    /// How many requests of this caller (and of this client of it) are pending.
    pub fn pending(&self, scope: &Scope) -> (u32, u32) {
        self.state.pending.of(scope)
    }

    /// Keeps the count of pending requests in step with a change of status.
    pub fn status_changed(&mut self, scope: &Scope, from: Option<Status>, to: Status) {
        let added = match (from == Some(Status::Pending), to == Status::Pending) {
            (false, true) => true,
            (true, false) => false,
            _ => return,
        };
        let (caller, client) = (scope.caller.clone(), scope.client.clone());
        match added {
            true => self.state.pending.add(&caller, &client, 1),
            false => self.state.pending.remove(&caller, &client),
        }
        self.undo.push(Undo::Pending { caller, client, added });
    }

    /// Everything that is pending ends in this transition.
    pub fn nothing_is_pending(&mut self) {
        self.undo.push(Undo::AllPending(std::mem::take(&mut self.state.pending)));
    }

    /// The wall clock was stepped: from now on it is this much further.
    pub fn shift_clock(&mut self, by_ms: i64) {
        self.state.offset_ms += by_ms;
        self.undo.push(Undo::Offset(by_ms));
        self.now = Time(self.now.0 + by_ms);
    }

    /// The clock is believed again.
    pub fn clear_doubt(&mut self) {
        self.undo.push(Undo::Doubt(self.state.clock_doubt.take()));
    }
}
