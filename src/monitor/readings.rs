//! What is read when somebody looks, from where it is kept.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::{Duration, Instant};

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use tokio::sync::Mutex;

use crate::call::time::Time;
use crate::desk::Desk;
use crate::metrics::process::Process;
use crate::store::Health;
use crate::store::vitals::{self, Vitals};
use crate::telemetry::Dropped;

/// What is read from the database is read again after this time at the earliest:
/// those who look often learn nothing newer and cost nothing.
const KEPT: Duration = Duration::from_secs(5);

/// How long the database may take. Longer, and what it would say is left out.
const PATIENCE: Duration = Duration::from_secs(2);

/// Reads, and remembers for a moment.
#[derive(Debug)]
pub struct Readings {
    desk: Arc<Desk>,
    dropped: Dropped,
    /// Held while it is read: of many who look at once, one asks.
    kept: Mutex<Option<(Instant, Vitals)>>,
}

impl Readings {
    /// Nothing is read yet.
    pub fn new(desk: Arc<Desk>, dropped: Dropped) -> Self {
        Readings { desk, dropped, kept: Mutex::new(None) }
    }

    /// Everything that is read. What cannot be read is left out.
    pub async fn read(&self) -> Registry {
        let store = self.desk.store();
        let mut sheet = Sheet::default();
        sheet.gauge(
            "holdpoint_held_calls",
            "Calls that wait for an answer right now",
            self.desk.held() as f64,
        );
        let failing = *store.health().borrow() != Health::Serving;
        sheet.gauge(
            "holdpoint_store_failing",
            "1 while the store cannot write",
            f64::from(u8::from(failing)),
        );
        sheet.counter(
            "holdpoint_log_lines_dropped",
            "Lines that the reader of the log was too slow for",
            self.dropped.lines() as f64,
        );
        if let Some(vitals) = self.vitals().await {
            waiting(&mut sheet, &vitals, store.now());
        }
        let path = store.path().to_owned();
        let looked = tokio::task::spawn_blocking(move || (store_files(&path), Process::look()));
        if let Ok((sizes, process)) = looked.await {
            files(&mut sheet, sizes);
            own(&mut sheet, &process);
        }
        sheet.0
    }

    async fn vitals(&self) -> Option<Vitals> {
        let mut kept = tokio::time::timeout(PATIENCE, self.kept.lock()).await.ok()?;
        if let Some((at, vitals)) = *kept
            && at.elapsed() < KEPT
        {
            return Some(vitals);
        }
        let read = self.desk.store().read(vitals::vitals);
        let vitals = tokio::time::timeout(PATIENCE, read).await.ok()?.ok()?;
        *kept = Some((Instant::now(), vitals));
        Some(vitals)
    }
}

/// Sizes of the database and of its write-ahead log.
fn store_files(path: &std::path::Path) -> (Option<u64>, Option<u64>) {
    let size = |path: &std::path::Path| std::fs::metadata(path).map(|found| found.len()).ok();
    let mut log = path.as_os_str().to_owned();
    log.push("-wal");
    (size(path), size(log.as_ref()))
}

fn waiting(sheet: &mut Sheet, vitals: &Vitals, now: Time) {
    let age = |since: Option<Time>| since.map_or(0.0, |since| now.left(since).as_secs_f64());
    sheet.gauge(
        "holdpoint_oldest_pending_age_seconds",
        "Age of the oldest request that waits for a person",
        age(vitals.oldest_pending),
    );
    sheet.gauge(
        "holdpoint_mail_queue",
        "Mails that are not sent yet",
        f64::from(vitals.mails_queued),
    );
    sheet.gauge(
        "holdpoint_mail_oldest_queued_age_seconds",
        "Age of the request that the oldest queued mail is about",
        age(vitals.oldest_mail),
    );
}

fn files(sheet: &mut Sheet, (database, log): (Option<u64>, Option<u64>)) {
    if let Some(bytes) = database {
        sheet.gauge("holdpoint_database_size_bytes", "Size of the database file", bytes as f64);
    }
    // There is none while everything is in the database file.
    let bytes = log.unwrap_or(0) as f64;
    sheet.gauge("holdpoint_database_wal_size_bytes", "Size of the write-ahead log", bytes);
}

fn own(sheet: &mut Sheet, process: &Process) {
    sheet.counter("process_cpu_seconds", "Processor time used", process.cpu_seconds);
    let gauges = [
        ("process_resident_memory_bytes", "Memory in RAM", process.resident_bytes),
        ("process_open_fds", "Open descriptors", process.open_fds),
        ("process_max_fds", "Descriptors that may be open", process.max_fds),
    ];
    for (name, help, value) in gauges {
        if let Some(value) = value {
            sheet.gauge(name, help, value as f64);
        }
    }
}

/// Values that were just read, in the form that metrics are printed from.
#[derive(Debug, Default)]
struct Sheet(Registry);

impl Sheet {
    fn gauge(&mut self, name: &str, help: &str, value: f64) {
        let gauge = Gauge::<f64, AtomicU64>::default();
        gauge.set(value);
        self.0.register(name, help, gauge);
    }

    fn counter(&mut self, name: &str, help: &str, value: f64) {
        let counter = Counter::<f64, AtomicU64>::default();
        counter.inc_by(value);
        self.0.register(name, help, counter);
    }
}
