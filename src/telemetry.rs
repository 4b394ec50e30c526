//! Logs: for people on a terminal, JSON otherwise; always to stderr.
//!
//! Promises: a line is handed over in microseconds, and whoever reads the log can
//! stall or vanish without holding anything up: lines wait in a bounded queue for
//! a thread of their own, and those that find it full are dropped and counted.
//!
//! Must never: carry arguments, reasons or tokens. Request ids and names do, the
//! latter as safe text.

use std::fs::File;
use std::io::{BufWriter, IsTerminal, Write};
use std::os::fd::AsFd as _;
use std::panic::PanicHookInfo;
use std::sync::mpsc;
use std::time::Duration;

use tracing_appender::non_blocking::{ErrorCounter, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::EnvFilter;

/// Lines that may wait for their reader. Some 300 bytes each, and at most a few
/// thousand: a burst finds room, and a stalled reader costs a few megabytes.
const LINES: usize = 4096;

/// How long the last lines may take when the daemon ends.
const FLUSH: Duration = Duration::from_millis(1500);

/// What is logged unless `HOLDPOINT_LOG` says otherwise.
const USUAL: &str = "info,h2=warn,hyper=warn,tower=warn";

/// The log of the daemon. Dropping it writes what still waits, if somebody reads.
#[derive(Debug)]
pub struct Logging {
    dropped: Dropped,
    thread: Option<WorkerGuard>,
}

/// How many lines were dropped; by default of a log that drops none.
#[derive(Debug, Clone, Default)]
pub struct Dropped(Option<ErrorCounter>);

impl Dropped {
    /// So far.
    pub fn lines(&self) -> usize {
        self.0.as_ref().map_or(0, ErrorCounter::dropped_lines)
    }
}

impl Logging {
    /// Starts logging. `HOLDPOINT_LOG` takes tracing's filter language; default
    /// `info`. `HOLDPOINT_LOG_FORMAT` is `human` or `json`.
    pub fn start() -> Self {
        Logging::start_at(USUAL)
    }

    /// The same where another filter is usual.
    pub fn start_at(usual: &str) -> Self {
        let asked = std::env::var("HOLDPOINT_LOG").unwrap_or_default();
        let filter = if asked.is_empty() { usual } else { &asked };
        let (filter, bad_filter) = match EnvFilter::try_new(filter) {
            Ok(filter) => (filter, None),
            Err(error) => (EnvFilter::new(usual), Some(error)),
        };
        let asked = std::env::var("HOLDPOINT_LOG_FORMAT").unwrap_or_default();
        let terminal = std::io::stderr().is_terminal();
        let (human, bad_format) = match asked.as_str() {
            "human" => (true, false),
            "json" => (false, false),
            other => (terminal, !other.is_empty()),
        };
        let (lines, thread) = NonBlockingBuilder::default()
            .lossy(true)
            .buffered_lines_limit(LINES)
            .thread_name("log")
            // It flushes when no line is left: many lines are one write.
            .finish(BufWriter::new(stderr()));
        let dropped = Dropped(Some(lines.error_counter()));
        let builder = tracing_subscriber::fmt()
            .with_env_filter(filter)
            .with_ansi(human && terminal)
            // A log that cannot be written is no reason to end: to say so, on the
            // same broken standard error, would panic.
            .log_internal_errors(false)
            .with_writer(lines);
        // A second start (tests) keeps the first one's settings.
        let _ = match human {
            true => builder.with_target(false).try_init(),
            false => builder.json().flatten_event(true).try_init(),
        };
        std::panic::set_hook(Box::new(panicked));
        if let Some(error) = bad_filter {
            tracing::warn!(%error, "HOLDPOINT_LOG is not a filter such as info or holdpoint=debug; info holds");
        }
        if bad_format {
            tracing::warn!("HOLDPOINT_LOG_FORMAT is neither human nor json, and is ignored");
        }
        Logging { dropped, thread: Some(thread) }
    }

    /// The count of lines that were dropped.
    pub fn dropped(&self) -> Dropped {
        self.dropped.clone()
    }
}

impl Drop for Logging {
    fn drop(&mut self) {
        // What ends the thread waits for it, and prints when it does not end: both
        // may take for ever if nobody reads. The process ends all the same.
        let (done, ended) = mpsc::channel();
        let thread = self.thread.take();
        let waits = std::thread::Builder::new().spawn(move || {
            drop(thread);
            let _ = done.send(());
        });
        if waits.is_ok() {
            let _ = ended.recv_timeout(FLUSH);
        }
    }
}

/// Standard error, without the lock of [`std::io::stderr`]: the thread may hold it
/// for as long as nobody reads, and others print there too.
fn stderr() -> Box<dyn Write + Send> {
    match std::io::stderr().as_fd().try_clone_to_owned() {
        Ok(descriptor) => Box::new(File::from(descriptor)),
        Err(_) => Box::new(std::io::stderr()),
    }
}

/// A panic is a defect. It is logged as everything is: the usual hook would wait
/// for whoever reads standard error. Where it happened, and what it says if that
/// stands in the source; a message that was put together may quote arguments.
fn panicked(panic: &PanicHookInfo<'_>) {
    let place = panic.location().map(ToString::to_string).unwrap_or_default();
    let said = panic.payload().downcast_ref::<&'static str>().copied().unwrap_or_default();
    tracing::error!(place, said, "a defect of Holdpoint: a thread panicked; please report it");
}
