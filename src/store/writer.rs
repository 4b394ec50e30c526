//! The writer thread: group commit, time, and what to do when the disk fails.
//!
//! A batch is whatever is queued; nobody waits for it to fill. All transitions of a
//! batch share one commit, and only after it do the answers leave. One that fails
//! undoes none of its neighbours: it has a savepoint of its own, or has written
//! nothing yet. The thread also ends what is due, notices a stepped clock, and
//! indexes words when it has nothing better to do.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::Ordering;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rusqlite::Connection;
use tokio::sync::watch;

use super::clock::{self, Drift};
use super::error::StoreError;
use super::handle::{Batch, BeforeCommit, Health, Job, Message, Shared, Transition};
use super::pending::PendingCounts;
use super::place::{Lost, Place, lock};
use super::retention::{self, Run};
use super::tx::{Event, State, Tx};
use super::{audit, ending, read, schema, text_index};
use crate::call::time::Time;
use crate::faults::{self, Steps};

/// Transitions per commit at most: enough that the flush costs next to nothing
/// per transition, few enough that the first of them does not wait long.
const BATCH: usize = 1024;

/// How often an idle writer looks at the clock, and tries again when it is failing.
const IDLE: Duration = Duration::from_secs(1);

/// How often an idle writer makes sure that it still can write.
const PROBE: Duration = Duration::from_secs(10);

/// How long after its last transition an idle writer begins to index words. What
/// comes in between (often the next step of the same call) need not wait for it.
const WORDS_AFTER: Duration = Duration::from_millis(20);

/// As many entries without their words are too many to wait for a quiet moment;
/// and as many are indexed at once while it is not quiet: that takes 4 ms, less
/// than half of what they take in eight commits (the index merges what each wrote).
const WORDS_BEHIND: u64 = 512;

/// For so long after a failure every transition has a savepoint again: one that
/// spoiled a transaction and is asked for once more shall not spoil another.
const CAREFUL_FOR: Duration = Duration::from_secs(10);

/// How often what is too old is looked for.
const ERASE_EVERY: Duration = Duration::from_secs(3600);

/// A busy writer erases a little as often as this, in an instant in which nobody
/// asks: 8 entries each time, so 80 a second; an idle one erases all the time.
const ERASE_AT_LEAST: Duration = Duration::from_millis(100);

/// Whose each pending request is. Answered by the index alone: to fetch the rows,
/// all over the file, took seconds where there were a hundred thousand.
pub(super) const PENDING: &str =
    "SELECT caller, client FROM requests INDEXED BY requests_pending WHERE status = 1";

/// How many requests each caller, and each client of a caller, has pending.
fn pending(conn: &Connection) -> rusqlite::Result<PendingCounts> {
    let mut counts: HashMap<String, HashMap<String, u32>> = HashMap::new();
    let mut statement = conn.prepare(PENDING)?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let (caller, client) = (row.get_ref(0)?.as_str()?, row.get_ref(1)?.as_str()?);
        // Names are copied once, not once a row.
        if !counts.contains_key(caller) {
            counts.insert(caller.to_owned(), HashMap::new());
        }
        let Some(clients) = counts.get_mut(caller) else { continue };
        match clients.get_mut(client) {
            Some(count) => *count += 1,
            None => drop(clients.insert(client.to_owned(), 1)),
        }
    }
    let mut pending = PendingCounts::default();
    for (caller, clients) in &counts {
        clients.iter().for_each(|(client, n)| pending.add(caller, client, *n));
    }
    Ok(pending)
}

/// What the writer knows, read from the database.
pub(super) fn rebuild(conn: &Connection, offset_ms: i64, wall: Time) -> rusqlite::Result<State> {
    let mut fresh = [0u8; 16];
    if getrandom::fill(&mut fresh).is_err() {
        return Err(rusqlite::Error::InvalidQuery);
    }
    conn.execute("INSERT OR IGNORE INTO meta (key, value) VALUES ('log_id', ?)", [fresh])?;
    let log_id =
        conn.query_row("SELECT value FROM meta WHERE key = 'log_id'", [], |row| row.get(0))?;
    let head = audit::head(conn)?;
    let pending = pending(conn)?;
    let clock_doubt = clock::doubt_at_start(conn, head.at, wall)?;
    Ok(State { log_id, head, pending, offset_ms, clock_doubt })
}

pub(super) struct Writer {
    shared: Arc<Shared>,
    /// `None` while the database could not be reopened.
    conn: Option<Connection>,
    place: Arc<Mutex<Place>>,
    state: State,
    on_commit: Box<dyn Fn(Vec<Event>) + Send>,
    before_commit: Option<BeforeCommit>,
    health: watch::Sender<Health>,
    /// When the next request, approval or lease ends by itself.
    next_due: Option<Time>,
    clock_seen: Instant,
    wrote: Instant,
    /// When there was last something to do for others.
    busy: Instant,
    /// See [`CAREFUL_FOR`].
    failed: Option<Instant>,
    /// Entries whose words are not indexed, at least.
    words_behind: u64,
    erasing: Erasing,
}

/// How far erasing by age is.
#[derive(Debug)]
enum Erasing {
    /// Nothing is to do before then.
    Next(Instant),
    /// A run goes on; since then nothing was erased.
    Under(Run, Instant),
    /// All is erased, and stands only in the log still, since then.
    Log(Instant),
}

impl Writer {
    /// A writer that has not begun.
    pub(super) fn new(
        shared: Arc<Shared>,
        (conn, place): (Connection, Arc<Mutex<Place>>),
        state: State,
        on_commit: Box<dyn Fn(Vec<Event>) + Send>,
        before_commit: Option<BeforeCommit>,
        health: watch::Sender<Health>,
    ) -> Self {
        let now = Instant::now();
        let mut writer = Writer {
            shared,
            conn: Some(conn),
            place,
            state,
            on_commit,
            before_commit,
            health,
            next_due: None,
            clock_seen: now,
            wrote: now,
            busy: now,
            failed: None,
            // Perhaps none; one look tells.
            words_behind: WORDS_BEHIND,
            erasing: Erasing::Next(now),
        };
        writer.look_ahead();
        writer.show();
        writer
    }

    /// Works until it is told to stop, or nobody is left who could tell it.
    pub(super) fn run(mut self, queue: &mpsc::Receiver<Message>) {
        loop {
            self.shared.takes_a_turn();
            let first = match queue.recv_timeout(self.patience()) {
                Ok(Message::Stop) | Err(RecvTimeoutError::Disconnected) => return,
                Ok(Message::Job(job)) => Some(job),
                Err(RecvTimeoutError::Timeout) => None,
            };
            let idle = first.is_none();
            let (jobs, stop) = gather(first, queue);
            self.shared.queued.fetch_sub(jobs.len(), Ordering::Relaxed);
            self.watch_clock();
            let due = self.next_due.is_some_and(|at| at <= self.shared.now());
            if !jobs.is_empty() || due {
                self.commit(jobs, due);
                self.busy = Instant::now();
            }
            if stop {
                return;
            }
            if idle {
                self.idle_work();
            }
        }
    }

    fn patience(&self) -> Duration {
        // A store that cannot write is looked at every so often, not all the time.
        if *self.health.borrow() != Health::Serving {
            return IDLE;
        }
        let due = self.next_due.map(|at| at.left(self.shared.now()));
        let waits = [due, self.words_wait(), self.erase_wait()];
        waits.into_iter().flatten().fold(IDLE, Duration::min)
    }

    /// When words are to be indexed; `None` when all are.
    fn words_wait(&self) -> Option<Duration> {
        match self.words_behind {
            0 => None,
            WORDS_BEHIND.. => Some(Duration::ZERO),
            _ => Some(WORDS_AFTER.saturating_sub(self.busy.elapsed())),
        }
    }

    /// When something is to be erased; `None` while nothing ever is.
    fn erase_wait(&self) -> Option<Duration> {
        self.shared.retention()?;
        match &self.erasing {
            Erasing::Next(at) => Some(at.saturating_duration_since(Instant::now())),
            Erasing::Under(_, since) => {
                let quiet = WORDS_AFTER.saturating_sub(self.busy.elapsed());
                Some(quiet.min(ERASE_AT_LEAST.saturating_sub(since.elapsed())))
            }
            // Somebody reads an older state; that does not take long.
            Erasing::Log(since) => Some(IDLE.saturating_sub(since.elapsed())),
        }
    }

    /// Commits a batch, and what is due with it.
    fn commit(&mut self, mut jobs: Vec<Box<dyn Job>>, due: bool) {
        let mut events = Vec::new();
        let head = self.state.head.sequence;
        let (began, transitions) = (Instant::now(), jobs.len());
        // A panic is a defect of ours. It must not leave a daemon that cannot
        // write: its batch is given up, and the next begins from what is on disk.
        let tried = catch_unwind(AssertUnwindSafe(|| self.try_commit(&mut jobs, due, &mut events)));
        let tried = tried.unwrap_or_else(|_| {
            Err(StoreError::Unavailable("a defect of Holdpoint; see its log".to_owned()))
        });
        match tried {
            Ok(()) => {
                let steps = Steps::of(kinds(&events));
                steps.reached("after-commit");
                // Before anyone is told: who asks next what is counted finds it.
                self.shared.metrics.committed(transitions, began.elapsed());
                self.show();
                self.words_behind += self.state.head.sequence.saturating_sub(head);
                if !events.is_empty() {
                    (self.on_commit)(events);
                }
                steps.reached("after-events");
                self.wrote = Instant::now();
                self.set_health(Health::Serving);
                for job in jobs {
                    job.answer();
                }
                steps.reached("after-answer");
            }
            Err(error) => {
                self.shared.metrics.commit_failures.inc();
                self.failed = Some(Instant::now());
                self.set_health(Health::Failing(error.to_string()));
                // Before anyone is told: what they ask next must meet what is on disk.
                self.reopen();
                self.show();
                for job in jobs {
                    job.fail(&error);
                }
            }
        }
        self.look_ahead();
    }

    fn try_commit(
        &mut self,
        jobs: &mut Vec<Box<dyn Job>>,
        due: bool,
        events: &mut Vec<Event>,
    ) -> Result<(), StoreError> {
        let nothing = |e: rusqlite::Error| StoreError::Unavailable(e.to_string());
        if let Some(why) = self.shared.lost.get() {
            return Err(StoreError::Unavailable(why.clone()));
        }
        let looked = lock(&self.place).untouched();
        if let Err(lost) = looked {
            self.give_up(lost);
            return Err(StoreError::Unavailable(lost.explain(&self.shared.path)));
        }
        if self.conn.is_none() {
            self.reopen();
        }
        let Some(conn) = &self.conn else {
            let why = match &*self.health.borrow() {
                Health::Failing(why) => why.clone(),
                Health::Serving => "for a reason that is not known".to_owned(),
            };
            let error = format!("the database could not be reopened: {why}");
            return Err(StoreError::Unavailable(error));
        };
        conn.prepare_cached("BEGIN IMMEDIATE").and_then(|mut s| s.execute([])).map_err(nothing)?;
        let now = self.shared.now();
        if due {
            if let Err(error) = Tx::run(conn, now, &mut self.state, events, ending::end_due) {
                tracing::error!(%error, "what is due could not be ended");
            }
            Steps::of(kinds(events)).reached("after-ending");
        }
        let careful = self.failed.is_some_and(|at| at.elapsed() < CAREFUL_FOR);
        let state = &mut self.state;
        let mut batch = Batch { conn, now, state, events, careful, spoiled: None };
        for job in jobs.iter_mut() {
            if conn.is_autocommit() {
                // The transaction is gone. Outside of one, releasing this job's
                // savepoint would commit it, on top of entries that were lost.
                break;
            }
            job.run(&mut batch);
            Steps::of(kinds(batch.events)).reached("after-transition");
            if let Some(error) = batch.spoiled {
                tracing::error!(%error, "a transition failed halfway; its whole batch is given up");
                return Err(StoreError::Unavailable(error.to_string()));
            }
        }
        if conn.is_autocommit() {
            // SQLite rolls the whole transaction back by itself on some errors,
            // a full disk among them.
            return Err(StoreError::Unavailable(
                "SQLite gave up the transaction; is the disk full?".to_owned(),
            ));
        }
        let unknown = |e: rusqlite::Error| StoreError::UnknownCommit(e.to_string());
        if let Some(before_commit) = &mut self.before_commit {
            before_commit(conn).map_err(unknown)?;
        }
        if faults::planted("early-ack") {
            jobs.drain(..).for_each(Job::answer);
            faults::slow_disk();
        }
        Steps::of(kinds(events)).reached("before-commit");
        let looked = lock(&self.place).in_place();
        looked.map_err(|e| StoreError::Unavailable(e.explain(&self.shared.path)))?;
        conn.prepare_cached("COMMIT").and_then(|mut s| s.execute([])).map_err(unknown)?;
        lock(&self.place)
            .committed()
            .map_err(|e| StoreError::UnknownCommit(e.explain(&self.shared.path)))
    }

    /// After a failure nothing that is in memory is believed.
    fn reopen(&mut self) {
        if self.shared.lost.get().is_some() {
            return;
        }
        // Another file under that name must not be taken for ours. The log may hold
        // what our failed transaction wrote.
        let looked = lock(&self.place).in_place();
        if let Err(lost) = looked {
            return self.give_up(lost);
        }
        self.conn = None;
        // The last connection that closes folds the log into the file.
        let _ = lock(&self.place).written();
        let opened = schema::open_writer(&self.shared.path).map_err(|e| e.to_string());
        let rebuilt = opened.and_then(|mut conn| {
            let wall = self.shared.clock.wall();
            let state = rebuild(&conn, self.state.offset_ms, wall).map_err(|e| e.to_string())?;
            let place = Place::opened(&self.shared.path).map_err(|e| e.to_string())?;
            Place::guard(&self.place, &mut conn).map_err(|e| e.to_string())?;
            Ok((conn, state, place))
        });
        match rebuilt {
            Ok((_, _, place)) if !place.same_file(&lock(&self.place)) => self.give_up(Lost::Moved),
            Ok((conn, mut state, place)) => {
                *lock(&self.place) = place;
                // The clock was judged when the daemon started, and is watched since.
                state.clock_doubt = self.state.clock_doubt;
                self.state = state;
                self.conn = Some(conn);
                self.words_behind = WORDS_BEHIND;
            }
            Err(error) => {
                self.set_health(Health::Failing(error));
            }
        }
    }

    /// The database is no longer where it was opened. Nothing is acknowledged from
    /// now on; what was acknowledged is brought to safety as far as it can be.
    fn give_up(&mut self, lost: Lost) {
        let why = lost.explain(&self.shared.path);
        let _ = self.shared.lost.set(why.clone());
        self.shared.close_readers();
        if let Some(conn) = self.conn.take() {
            let _ = conn.execute_batch("ROLLBACK");
            match lost {
                // Into our own file, wherever it is now.
                Lost::Moved | Lost::LogMoved => {
                    schema::fold_log(&conn);
                }
                // Into another's content it must not come, now or at the next start.
                Lost::Overwritten => lock(&self.place).set_log_aside(self.shared.now()),
                // Nobody knows whose pages are in it. It stays for whoever looks.
                Lost::LogOverwritten => {}
            }
            schema::close_without_folding(conn);
        }
        tracing::error!("{why}");
        self.set_health(Health::Failing(why));
    }

    /// That it fails is logged once, not at each attempt.
    fn set_health(&self, health: Health) {
        self.health.send_if_modified(|before| {
            match (&*before, &health) {
                (Health::Serving, Health::Failing(error)) => {
                    tracing::error!(error, "the store cannot write; nothing runs until it can");
                }
                (Health::Failing(_), Health::Serving) => tracing::info!("the store writes again"),
                _ => {}
            }
            let changed = *before != health;
            *before = health;
            changed
        });
    }

    /// Puts what only the writer knows where metrics are read.
    fn show(&self) {
        let sequence = i64::try_from(self.state.head.sequence).unwrap_or(i64::MAX);
        let doubt = self.state.clock_doubt.is_some_and(|until| self.shared.now() < until);
        let metrics = &self.shared.metrics;
        metrics.pending.set(self.state.pending.all().into());
        metrics.audit_sequence.set(sequence);
        metrics.clock_in_doubt.set(doubt.into());
    }

    /// The wall clock may have been stepped, or slewed a little.
    fn watch_clock(&mut self) {
        if self.clock_seen.elapsed() < IDLE {
            return;
        }
        self.clock_seen = Instant::now();
        match clock::drift(&*self.shared.clock, self.state.offset_ms) {
            Drift::Slewed(by) => self.state.offset_ms += by,
            Drift::Stepped(by) => {
                let (job, _) = Transition::new(move |tx: &mut Tx<'_>| clock::step(tx, by));
                self.shared.metrics.clock_steps.inc();
                tracing::warn!(by_ms = by, "the wall clock was stepped; deadlines move along");
                self.commit(vec![Box::new(job)], false);
            }
        }
        self.shared.offset_ms.store(self.state.offset_ms, Ordering::Relaxed);
    }

    fn look_ahead(&mut self) {
        if let Some(conn) = &self.conn {
            self.next_due = read::next_due(conn).unwrap_or(None);
        }
    }

    fn idle_work(&mut self) {
        // The clock may have caught up.
        self.show();
        if self.shared.lost.get().is_some() {
            return;
        }
        let looked = lock(&self.place).untouched();
        if let Err(lost) = looked {
            return self.give_up(lost);
        }
        let failing = *self.health.borrow() != Health::Serving;
        if failing || self.wrote.elapsed() >= PROBE {
            self.write_quietly(|tx| {
                tx.conn.execute(
                    "INSERT INTO meta (key, value) VALUES ('alive', ?)
                     ON CONFLICT (key) DO UPDATE SET value = excluded.value",
                    [tx.now.0.to_be_bytes()],
                )?;
                Ok(())
            });
        } else if self.words_wait().is_some_and(|wait| wait.is_zero()) {
            let quiet = self.busy.elapsed() >= WORDS_AFTER;
            let most = if quiet { text_index::STEP } else { WORDS_BEHIND as i64 };
            self.words_behind = 0;
            if self.write_quietly(move |tx| text_index::catch_up_some(tx, most)) == Some(true) {
                self.words_behind = WORDS_BEHIND;
            }
        } else if let Some(keep) = self.shared.retention()
            && self.erase_wait().is_some_and(|wait| wait.is_zero())
        {
            self.erase(keep);
        }
    }

    /// Erases a little of what is older than `keep`, or begins to.
    fn erase(&mut self, keep: Duration) {
        let now = Instant::now();
        let wrote = match self.erasing {
            Erasing::Next(_) => self.write_quietly(move |tx| retention::begin(tx, keep)),
            Erasing::Under(run, _) => self.write_quietly(move |tx| retention::step(tx, run)),
            Erasing::Log(_) => {
                self.erasing = match self.fold_log() {
                    true => Erasing::Next(now + ERASE_EVERY),
                    false => Erasing::Log(now),
                };
                return;
            }
        };
        self.erasing = match wrote {
            Some(Some(run)) => Erasing::Under(run, now),
            // After a start too: the last run may have ended just before it.
            Some(None) => Erasing::Log(now),
            // The store could not write. What was recorded is found again.
            None => Erasing::Next(now + IDLE),
        };
    }

    /// Empties the log into the file, if both are ours and nobody reads.
    fn fold_log(&mut self) -> bool {
        let mut place = lock(&self.place);
        let Some(conn) = self.conn.as_ref().filter(|_| place.untouched().is_ok()) else {
            return false;
        };
        let folded = schema::fold_log(conn);
        // Whoever replaced it in between is found by the next look.
        let _ = place.written();
        folded
    }

    /// A write that nobody waits for.
    fn write_quietly<T: Send + 'static>(
        &mut self,
        function: impl FnOnce(&mut Tx<'_>) -> Result<T, StoreError> + Send + 'static,
    ) -> Option<T> {
        let (job, mut answer) = Transition::new(function);
        self.commit(vec![Box::new(job)], false);
        answer.try_recv().ok()?.ok()
    }
}

fn gather(
    first: Option<Box<dyn Job>>,
    queue: &mpsc::Receiver<Message>,
) -> (Vec<Box<dyn Job>>, bool) {
    let mut jobs: Vec<Box<dyn Job>> = first.into_iter().collect();
    while jobs.len() < BATCH {
        match queue.try_recv() {
            Ok(Message::Job(job)) => jobs.push(job),
            Ok(Message::Stop) => return (jobs, true),
            Err(_) => break,
        }
    }
    (jobs, false)
}

/// What the crash tests know a commit by.
fn kinds(events: &[Event]) -> impl Iterator<Item = &'static str> {
    events.iter().map(|event| event.kind.word())
}
