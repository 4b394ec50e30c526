//! The writer thread: group commit, time, and what to do when the disk fails.
//!
//! A batch is whatever is queued; nobody waits for it to fill. Each transition of
//! a batch has its own savepoint, all share one commit, and only after it do the
//! answers leave. The thread also ends what is due, notices a stepped clock, and
//! indexes words when it has nothing better to do.

use std::collections::HashMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rusqlite::Connection;
use tokio::sync::{Semaphore, oneshot, watch};

use super::clock::{self, Clock, Drift};
use super::error::StoreError;
use super::faults::{self, Steps};
use super::schema::{self, OpenError};
use super::tx::{Event, State, Tx};
use super::{audit, ending, read, text_index};
use crate::call::time::Time;

/// Transitions per commit at most: enough that the flush costs next to nothing
/// per transition, few enough that the first of them does not wait long.
const BATCH: usize = 1024;

/// Transitions that may wait for the writer. Beyond, callers are told to come
/// back; a second of full load is about 50,000.
const QUEUE: usize = 150_000;

/// Read-only connections, and so questions answered at once.
const READERS: usize = 8;

/// How often an idle writer looks at the clock, and tries again when it is failing.
const IDLE: Duration = Duration::from_secs(1);

/// How often an idle writer makes sure that it still can write.
const PROBE: Duration = Duration::from_secs(10);

/// Whether the store can write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Health {
    /// It can.
    Serving,
    /// It cannot, for this reason.
    Failing(String),
}

/// A test may fail a commit here; nothing else uses it.
pub type BeforeCommit = Box<dyn FnMut(&Connection) -> rusqlite::Result<()> + Send>;

/// How to open a store.
pub struct StoreOptions {
    /// The database file.
    pub path: PathBuf,
    /// Where time comes from.
    pub clock: Arc<dyn Clock>,
    /// Called on the writer thread after each commit. Must not block.
    pub on_commit: Box<dyn Fn(Vec<Event>) + Send>,
    /// A test's chance to fail a commit.
    pub before_commit: Option<BeforeCommit>,
}

impl fmt::Debug for StoreOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoreOptions").field("path", &self.path).finish_non_exhaustive()
    }
}

/// One queued transition and whoever waits for its answer.
trait Job: Send {
    /// Runs it; what it found is kept until the commit.
    fn run(&mut self, batch: &mut Batch<'_>);
    /// The batch is on disk: answer what was found.
    fn answer(self: Box<Self>);
    /// The batch is not (known to be) on disk.
    fn fail(self: Box<Self>, error: &StoreError);
}

struct Batch<'a> {
    conn: &'a Connection,
    now: Time,
    state: &'a mut State,
    events: &'a mut Vec<Event>,
}

struct Transition<T, F> {
    function: Option<F>,
    found: Option<Result<T, StoreError>>,
    reply: oneshot::Sender<Result<T, StoreError>>,
}

impl<T, F> Job for Transition<T, F>
where
    T: Send,
    F: FnOnce(&mut Tx<'_>) -> Result<T, StoreError> + Send,
{
    fn run(&mut self, batch: &mut Batch<'_>) {
        if let Some(function) = self.function.take() {
            let found = Tx::run(batch.conn, batch.now, batch.state, batch.events, function);
            self.found = Some(found);
        }
    }

    fn answer(self: Box<Self>) {
        if let Some(found) = self.found {
            // Whoever asked may be gone; what was committed stands.
            let _ = self.reply.send(found);
        }
    }

    fn fail(self: Box<Self>, error: &StoreError) {
        let _ = self.reply.send(Err(error.clone()));
    }
}

enum Message {
    Job(Box<dyn Job>),
    Stop,
}

struct Shared {
    queued: AtomicUsize,
    offset_ms: AtomicI64,
    clock: Arc<dyn Clock>,
    path: PathBuf,
    readers: Mutex<Vec<Connection>>,
    reading: Semaphore,
    health: watch::Receiver<Health>,
    thread: Mutex<Option<std::thread::JoinHandle<()>>>,
}

/// A handle to the store; cheap to clone.
#[derive(Clone)]
pub struct Store {
    shared: Arc<Shared>,
    /// The thread ends when the last handle, and so the last sender, is gone.
    queue: mpsc::Sender<Message>,
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store").field("path", &self.shared.path).finish_non_exhaustive()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    // What these guard is replaced as a whole, so a panic elsewhere leaves it whole.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Store {
    /// Opens (or creates) the database, ends what is due, and starts the writer.
    pub fn open(options: StoreOptions) -> Result<Self, OpenError> {
        let (sender, receiver) = mpsc::channel();
        let (health_sender, health) = watch::channel(Health::Serving);
        let conn = schema::open_writer(&options.path)?;
        let open = |source| OpenError::Open {
            path: options.path.display().to_string(),
            source,
            remedy: "see the message of SQLite",
        };
        let offset = options.clock.wall().0 - options.clock.boot_ms();
        let state = rebuild(&conn, offset, options.clock.wall()).map_err(open)?;
        let shared = Arc::new(Shared {
            queued: AtomicUsize::new(0),
            offset_ms: AtomicI64::new(offset),
            clock: options.clock,
            path: options.path,
            readers: Mutex::new(Vec::new()),
            reading: Semaphore::new(READERS),
            health,
            thread: Mutex::new(None),
        });
        let mut writer = Writer {
            shared: shared.clone(),
            conn: Some(conn),
            state,
            on_commit: options.on_commit,
            before_commit: options.before_commit,
            health: health_sender,
            next_due: None,
            clock_seen: Instant::now(),
            wrote: Instant::now(),
            text_behind: true,
        };
        writer.look_ahead();
        let thread = std::thread::Builder::new()
            .name("store".to_owned())
            .spawn(move || writer.run(&receiver))
            .map_err(|e| OpenError::Damaged {
                path: shared.path.display().to_string(),
                what: format!("no thread for the writer: {e}"),
            })?;
        *lock(&shared.thread) = Some(thread);
        Ok(Store { shared, queue: sender })
    }

    /// The store's time.
    pub fn now(&self) -> Time {
        now(&self.shared)
    }

    /// Whether it can write, and changes of that.
    pub fn health(&self) -> watch::Receiver<Health> {
        self.shared.health.clone()
    }

    /// Runs a transition, and answers when it is on disk.
    pub async fn write<T, F>(&self, function: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&mut Tx<'_>) -> Result<T, StoreError> + Send + 'static,
    {
        if self.shared.queued.fetch_add(1, Ordering::Relaxed) >= QUEUE {
            self.shared.queued.fetch_sub(1, Ordering::Relaxed);
            return Err(StoreError::Overloaded);
        }
        let (reply, answer) = oneshot::channel();
        let job = Transition { function: Some(function), found: None, reply };
        let sent = self.queue.send(Message::Job(Box::new(job)));
        if sent.is_err() {
            return Err(StoreError::Stopped);
        }
        // The thread drops jobs unanswered only when it has stopped.
        answer.await.unwrap_or(Err(StoreError::Stopped))
    }

    /// Asks a question on a read-only connection, off the async threads.
    pub async fn read<T, F>(&self, function: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    {
        let shared = self.shared.clone();
        let _permit = self.shared.reading.acquire().await.map_err(|_| StoreError::Stopped)?;
        let task = tokio::task::spawn_blocking(move || {
            let pooled = lock(&shared.readers).pop();
            let conn = match pooled {
                Some(conn) => conn,
                None => schema::open_reader(&shared.path)?,
            };
            let result = function(&conn);
            lock(&shared.readers).push(conn);
            result
        });
        task.await.unwrap_or_else(|e| Err(StoreError::Unavailable(format!("reading failed: {e}"))))
    }

    /// Waits until every committed entry can be found by its words.
    pub async fn catch_up_text(&self) -> Result<(), StoreError> {
        while self.read(text_index::behind).await? > 0 {
            self.write(text_index::catch_up).await?;
        }
        Ok(())
    }

    /// Finishes what is queued, records the stop and closes the database.
    pub async fn close(&self) {
        let _ = self.write(clock::daemon_stopped).await;
        let _ = self.queue.send(Message::Stop);
        let thread = lock(&self.shared.thread).take();
        if let Some(thread) = thread {
            let _ = tokio::task::spawn_blocking(move || thread.join()).await;
        }
    }
}

fn now(shared: &Shared) -> Time {
    Time(shared.clock.boot_ms() + shared.offset_ms.load(Ordering::Relaxed))
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
    let mut pending: HashMap<(String, Option<String>), u32> = HashMap::new();
    let mut counts = conn.prepare(
        "SELECT caller, client, count(*) FROM requests INDEXED BY requests_pending
         WHERE status = 1 GROUP BY caller, client",
    )?;
    let mut rows = counts.query([])?;
    while let Some(row) = rows.next()? {
        let (caller, client, count): (String, String, u32) =
            (row.get(0)?, row.get(1)?, row.get(2)?);
        *pending.entry((caller.clone(), None)).or_default() += count;
        if !client.is_empty() {
            pending.insert((caller, Some(client)), count);
        }
    }
    let clock_doubt = clock::doubt_at_start(conn, head.at, wall)?;
    Ok(State { log_id, head, pending, offset_ms, clock_doubt })
}

struct Writer {
    shared: Arc<Shared>,
    /// `None` while the database could not be reopened.
    conn: Option<Connection>,
    state: State,
    on_commit: Box<dyn Fn(Vec<Event>) + Send>,
    before_commit: Option<BeforeCommit>,
    health: watch::Sender<Health>,
    /// When the next request, approval or lease ends by itself.
    next_due: Option<Time>,
    clock_seen: Instant,
    wrote: Instant,
    text_behind: bool,
}

impl Writer {
    fn run(mut self, queue: &mpsc::Receiver<Message>) {
        loop {
            let first = match queue.recv_timeout(self.patience()) {
                Ok(Message::Stop) | Err(RecvTimeoutError::Disconnected) => return,
                Ok(Message::Job(job)) => Some(job),
                Err(RecvTimeoutError::Timeout) => None,
            };
            let idle = first.is_none();
            let (jobs, stop) = gather(first, queue);
            self.shared.queued.fetch_sub(jobs.len(), Ordering::Relaxed);
            self.watch_clock();
            let due = self.next_due.is_some_and(|at| at <= now(&self.shared));
            if !jobs.is_empty() || due {
                self.commit(jobs, due);
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
        if self.text_behind && self.conn.is_some() {
            return Duration::ZERO;
        }
        match self.next_due {
            Some(at) => at.left(now(&self.shared)).min(IDLE),
            None => IDLE,
        }
    }

    /// Commits a batch, and what is due with it.
    fn commit(&mut self, mut jobs: Vec<Box<dyn Job>>, due: bool) {
        let mut events = Vec::new();
        match self.try_commit(&mut jobs, due, &mut events) {
            Ok(()) => {
                let steps = Steps::of(&events);
                steps.reached("after-commit");
                if !events.is_empty() {
                    self.text_behind = true;
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
                tracing::error!(%error, "the store could not write");
                self.set_health(Health::Failing(error.to_string()));
                // Before anyone is told: what they ask next must meet what is on disk.
                self.reopen();
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
        if self.conn.is_none() {
            self.reopen();
        }
        let Some(conn) = &self.conn else {
            return Err(StoreError::Unavailable("the database could not be reopened".to_owned()));
        };
        conn.prepare_cached("BEGIN IMMEDIATE").and_then(|mut s| s.execute([])).map_err(nothing)?;
        let now = now(&self.shared);
        if due {
            if let Err(error) = Tx::run(conn, now, &mut self.state, events, ending::end_due) {
                tracing::error!(%error, "what is due could not be ended");
            }
            Steps::of(events).reached("after-ending");
        }
        let mut batch = Batch { conn, now, state: &mut self.state, events };
        for job in jobs.iter_mut() {
            if conn.is_autocommit() {
                // The transaction is gone. Outside of one, releasing this job's
                // savepoint would commit it, on top of entries that were lost.
                break;
            }
            job.run(&mut batch);
            Steps::of(batch.events).reached("after-transition");
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
        Steps::of(events).reached("before-commit");
        conn.prepare_cached("COMMIT").and_then(|mut s| s.execute([])).map_err(unknown)?;
        Ok(())
    }

    /// After a failure nothing that is in memory is believed.
    fn reopen(&mut self) {
        self.conn = None;
        let opened = schema::open_writer(&self.shared.path).map_err(|e| e.to_string());
        let rebuilt = opened.and_then(|conn| {
            let wall = self.shared.clock.wall();
            let state =
                rebuild(&conn, self.state.offset_ms, wall).map_err(|e| e.to_string())?;
            Ok((conn, state))
        });
        match rebuilt {
            Ok((conn, mut state)) => {
                // The clock was judged when the daemon started, and is watched since.
                state.clock_doubt = self.state.clock_doubt;
                self.state = state;
                self.conn = Some(conn);
            }
            Err(error) => {
                tracing::error!(%error, "the database cannot be reopened");
                self.set_health(Health::Failing(error));
            }
        }
    }

    fn set_health(&self, health: Health) {
        self.health.send_if_modified(|before| {
            let changed = *before != health;
            *before = health;
            changed
        });
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
                let (reply, _answer) = oneshot::channel();
                let function = move |tx: &mut Tx<'_>| clock::step(tx, by);
                let job = Transition { function: Some(function), found: None, reply };
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
        let failing = *self.health.borrow() != Health::Serving;
        if failing || self.wrote.elapsed() >= PROBE {
            self.write_quietly(|tx| {
                tx.conn.execute(
                    "INSERT INTO meta (key, value) VALUES ('alive', ?)
                     ON CONFLICT (key) DO UPDATE SET value = excluded.value",
                    [tx.now.0.to_be_bytes()],
                )?;
                Ok(false)
            });
        } else if self.text_behind {
            self.text_behind = false;
            self.write_quietly(text_index::catch_up);
        }
    }

    /// A write that nobody waits for; it says whether there is more of its kind.
    fn write_quietly(
        &mut self,
        function: impl FnOnce(&mut Tx<'_>) -> Result<bool, StoreError> + Send + 'static,
    ) {
        let (reply, mut answer) = oneshot::channel();
        let job = Transition { function: Some(function), found: None, reply };
        self.commit(vec![Box::new(job)], false);
        if let Ok(Ok(true)) = answer.try_recv() {
            self.text_behind = true;
        }
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
