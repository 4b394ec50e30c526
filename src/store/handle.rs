//! The handle to the store: transitions go in, answers come out; questions are
//! asked on connections of their own.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicI64, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, mpsc};
use std::time::{Duration, Instant};

use rusqlite::Connection;
use tokio::sync::{Semaphore, oneshot, watch};

use super::clock::{self, Clock};
use super::error::StoreError;
use super::place::Place;
use super::schema::{self, OpenError};
use super::tx::{Event, Failed, State, Tx};
use super::writer::{Writer, rebuild};
use super::{restored, text_index};
use crate::call::time::Time;
use crate::metrics::Metrics;

/// Transitions that may wait for the writer. Beyond, callers are told to come
/// back; a second of full load is about 50,000.
const QUEUE: usize = 150_000;

/// Read-only connections, and so questions answered at once.
const READERS: usize = 8;

/// A question that takes seconds. One of each kind is answered at once: they must not
/// take all the connections that the others need, nor one kind the other's turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Walk {
    /// Through the whole chain: seconds for each million of entries.
    Chain,
    /// Through the requests that charts are drawn from, of which there is a bound.
    Charts,
}

/// How long questions under way may take when the store closes.
const READERS_LEAVE: Duration = Duration::from_secs(2);

/// The store's thread is taken for stuck after this long without a turn. It has
/// one every second when it is idle; a commit takes milliseconds, and another
/// program's lock is waited for 5 seconds. A store that cannot write, on a full
/// disk say, has its turns all the same: a restart would not mend that.
pub const STUCK: Duration = Duration::from_secs(30);

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
    /// Where commits are counted.
    pub metrics: Arc<Metrics>,
}

impl fmt::Debug for StoreOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoreOptions").field("path", &self.path).finish_non_exhaustive()
    }
}

/// One queued transition and whoever waits for its answer.
pub(super) trait Job: Send {
    /// Runs it; what it found is kept until the commit.
    fn run(&mut self, batch: &mut Batch<'_>);
    /// The batch is on disk: answer what was found.
    fn answer(self: Box<Self>);
    /// The batch is not (known to be) on disk.
    fn fail(self: Box<Self>, error: &StoreError);
}

pub(super) struct Batch<'a> {
    pub(super) conn: &'a Connection,
    pub(super) now: Time,
    pub(super) state: &'a mut State,
    pub(super) events: &'a mut Vec<Event>,
    /// Each transition gets a savepoint, whatever it says of itself.
    pub(super) careful: bool,
    /// What a transition failed with that left a part of itself in the transaction.
    pub(super) spoiled: Option<StoreError>,
}

pub(super) struct Transition<T, F> {
    function: Option<F>,
    /// It refuses before it writes.
    checks_first: bool,
    found: Option<Result<T, StoreError>>,
    reply: oneshot::Sender<Result<T, StoreError>>,
}

impl<T, F> Transition<T, F> {
    /// A transition, and where its answer will come.
    pub(super) fn new(function: F) -> (Self, oneshot::Receiver<Result<T, StoreError>>) {
        let (reply, answer) = oneshot::channel();
        let function = Some(function);
        (Transition { function, checks_first: false, found: None, reply }, answer)
    }
}

impl<T, F> Job for Transition<T, F>
where
    T: Send,
    F: FnOnce(&mut Tx<'_>) -> Result<T, StoreError> + Send,
{
    fn run(&mut self, batch: &mut Batch<'_>) {
        let Some(function) = self.function.take() else { return };
        let (conn, now) = (batch.conn, batch.now);
        self.found = Some(if self.checks_first && !batch.careful {
            Tx::run_bare(conn, now, batch.state, batch.events, function).map_err(|failed| {
                match failed {
                    Failed::Refused(error) => error,
                    Failed::Spoiled(error) => batch.spoiled.insert(error).clone(),
                }
            })
        } else {
            Tx::run(conn, now, batch.state, batch.events, function)
        });
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

pub(super) enum Message {
    Job(Box<dyn Job>),
    Stop,
}

pub(super) struct Shared {
    pub(super) queued: AtomicUsize,
    pub(super) offset_ms: AtomicI64,
    /// When the writer last had a turn. Not by the store's clock: that may be put
    /// forward, and a suspended machine's writer is not stuck.
    pub(super) turn: Mutex<Instant>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) path: PathBuf,
    pub(super) readers: Mutex<Vec<Connection>>,
    pub(super) reading: Arc<Semaphore>,
    /// A turn for each kind of [`Walk`].
    pub(super) walking: [Arc<Semaphore>; 2],
    pub(super) health: watch::Receiver<Health>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) thread: Mutex<Option<std::thread::JoinHandle<()>>>,
    /// 0: for ever.
    pub(super) retention_ms: AtomicU64,
    /// Set once the database file is not the one that was opened, with what to do.
    /// Another file must neither be written nor read; only a restart helps.
    pub(super) lost: OnceLock<String>,
}

impl Shared {
    /// The writer is not stuck.
    pub(super) fn takes_a_turn(&self) {
        *lock(&self.turn) = Instant::now();
    }

    /// The store's time.
    pub(super) fn now(&self) -> Time {
        Time(self.clock.boot_ms() + self.offset_ms.load(Ordering::Relaxed))
    }

    /// How long entries and requests are kept; `None`: for ever.
    pub(super) fn retention(&self) -> Option<Duration> {
        match self.retention_ms.load(Ordering::Relaxed) {
            0 => None,
            ms => Some(Duration::from_millis(ms)),
        }
    }

    /// Closes the read-only connections that nobody uses now.
    pub(super) fn close_readers(&self) {
        lock(&self.readers).clear();
    }
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

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // What these guard is replaced as a whole, so a panic elsewhere leaves it whole.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// If the database is a copy, ends what was open in it.
fn begin_anew(conn: &Connection, state: &mut State, now: Time) -> Result<(), StoreError> {
    // Outside of a transaction its savepoint is the transaction. Inside of one SQLite
    // would keep every page as it was before, in memory.
    if let Some(restored) = Tx::run(conn, now, state, &mut Vec::new(), restored::begin_anew)? {
        tracing::warn!(
            taken_at = restored.mark.at.rfc3339(),
            expired = restored.expired,
            lapsed = restored.lapsed,
            unknown = restored.unknown,
            "this database was restored from a backup; what was open in it has ended"
        );
    }
    Ok(())
}

impl Store {
    /// Opens (or creates) the database, ends what is due, and starts the writer.
    pub fn open(options: StoreOptions) -> Result<Self, OpenError> {
        let (sender, receiver) = mpsc::channel();
        let (health_sender, health) = watch::channel(Health::Serving);
        let mut conn = schema::open_writer(&options.path)?;
        let open = |source| OpenError::Open {
            path: options.path.display().to_string(),
            source,
            remedy: "see the message of SQLite",
        };
        let offset = options.clock.wall().0 - options.clock.boot_ms();
        let mut state = rebuild(&conn, offset, options.clock.wall()).map_err(open)?;
        begin_anew(&conn, &mut state, options.clock.wall()).map_err(|source| {
            OpenError::BeginAnew { path: options.path.display().to_string(), source }
        })?;
        let place = Place::opened(&options.path).map_err(|e| OpenError::Damaged {
            path: options.path.display().to_string(),
            what: format!("it cannot be looked at: {e}"),
        })?;
        let place = Arc::new(Mutex::new(place));
        Place::guard(&place, &mut conn).map_err(open)?;
        let shared = Arc::new(Shared {
            queued: AtomicUsize::new(0),
            offset_ms: AtomicI64::new(offset),
            turn: Mutex::new(Instant::now()),
            clock: options.clock,
            path: options.path,
            readers: Mutex::new(Vec::new()),
            reading: Arc::new(Semaphore::new(READERS)),
            walking: [(); 2].map(|()| Arc::new(Semaphore::new(1))),
            health,
            metrics: options.metrics,
            thread: Mutex::new(None),
            retention_ms: AtomicU64::new(0),
            lost: OnceLock::new(),
        });
        let writer = Writer::new(
            shared.clone(),
            (conn, place),
            state,
            options.on_commit,
            options.before_commit,
            health_sender,
        );
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
        self.shared.now()
    }

    /// What is counted.
    pub fn metrics(&self) -> &Arc<Metrics> {
        &self.shared.metrics
    }

    /// The database file.
    pub fn path(&self) -> &Path {
        &self.shared.path
    }

    /// Whether it can write, and changes of that.
    pub fn health(&self) -> watch::Receiver<Health> {
        self.shared.health.clone()
    }

    /// From now on what is older than this is erased, within an hour or so; `None`:
    /// nothing ever is, as after opening.
    pub fn keep_for(&self, retention: Option<Duration>) {
        let ms = retention.map_or(0, |keep| u64::try_from(keep.as_millis()).unwrap_or(u64::MAX));
        self.shared.retention_ms.store(ms, Ordering::Relaxed);
    }

    /// How long the writer has not had a turn. It has one every second when there
    /// is nothing to do, and one for each commit, whether that succeeds or not.
    pub fn silent_for(&self) -> Duration {
        lock(&self.shared.turn).elapsed()
    }

    /// Runs a transition, and answers when it is on disk.
    pub async fn write<T, F>(&self, function: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&mut Tx<'_>) -> Result<T, StoreError> + Send + 'static,
    {
        self.answer(self.queue(function, false)?).await
    }

    /// The same, for a transition that refuses before it writes anything: it costs
    /// less, see [`Tx::run_bare`].
    pub async fn write_checked<T, F>(&self, function: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&mut Tx<'_>) -> Result<T, StoreError> + Send + 'static,
    {
        self.answer(self.queue(function, true)?).await
    }

    async fn answer<T>(
        &self,
        answer: oneshot::Receiver<Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        // The thread drops jobs unanswered only when it has stopped.
        answer.await.unwrap_or(Err(StoreError::Stopped))
    }

    /// Runs a transition that nobody waits for, behind everything that is queued
    /// by now. It may fail, and nobody hears of it.
    pub fn post<T, F>(&self, function: F)
    where
        T: Send + 'static,
        F: FnOnce(&mut Tx<'_>) -> Result<T, StoreError> + Send + 'static,
    {
        let _ = self.queue(function, false);
    }

    fn queue<T, F>(
        &self,
        function: F,
        checks_first: bool,
    ) -> Result<oneshot::Receiver<Result<T, StoreError>>, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&mut Tx<'_>) -> Result<T, StoreError> + Send + 'static,
    {
        if self.shared.queued.fetch_add(1, Ordering::Relaxed) >= QUEUE {
            self.shared.queued.fetch_sub(1, Ordering::Relaxed);
            return Err(StoreError::Overloaded);
        }
        let (mut job, answer) = Transition::new(function);
        job.checks_first = checks_first;
        let sent = self.queue.send(Message::Job(Box::new(job)));
        sent.map(|()| answer).map_err(|_| StoreError::Stopped)
    }

    /// Asks a question on a read-only connection, off the async threads.
    pub async fn read<T, F>(&self, function: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    {
        let shared = self.shared.clone();
        let permit =
            shared.reading.clone().acquire_owned().await.map_err(|_| StoreError::Stopped)?;
        let task = tokio::task::spawn_blocking(move || {
            // Here and not outside: whoever asked may leave, and this runs on.
            let _permit = permit;
            if let Some(why) = shared.lost.get() {
                return Err(StoreError::Unavailable(why.clone()));
            }
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

    /// As [`Store::read`], for a question that takes seconds: one of a kind at a time.
    pub async fn walk<T, F>(&self, kind: Walk, function: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    {
        let turn = self.shared.walking[kind as usize].clone().acquire_owned().await;
        let turn = turn.map_err(|_| StoreError::Stopped)?;
        self.read(move |conn| {
            let _turn = turn;
            function(conn)
        })
        .await
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
        // Readers close first: the last connection to close folds the write-ahead
        // log into the database file, and only one that may write can do that.
        // A long question (verifying ten million entries) is not waited for.
        let all = self.shared.reading.acquire_many(READERS as u32);
        if let Ok(Ok(all)) = tokio::time::timeout(READERS_LEAVE, all).await {
            all.forget();
        }
        self.shared.reading.close();
        self.shared.close_readers();
        let _ = self.queue.send(Message::Stop);
        let thread = lock(&self.shared.thread).take();
        if let Some(thread) = thread {
            let _ = tokio::task::spawn_blocking(move || thread.join()).await;
        }
    }
}
