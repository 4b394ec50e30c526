//! What is read when somebody looks, from where it is kept.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use tokio::sync::Mutex;

use crate::call::time::Time;
use crate::desk::Desk;
use crate::doors::DoorCounts;
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
    doors: Arc<DoorCounts>,
    dropped: Dropped,
    /// Held while it is read: of many who look at once, one asks.
    kept: Mutex<Option<(Instant, Vitals)>>,
}

impl Readings {
    /// Nothing is read yet.
    pub fn new(desk: Arc<Desk>, doors: Arc<DoorCounts>, dropped: Dropped) -> Self {
        Readings { desk, doors, dropped, kept: Mutex::new(None) }
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
        connections(&mut sheet, &self.doors);
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

/// What is read of a process that has no store. What cannot be read is left out.
pub async fn of_process() -> Registry {
    let mut sheet = Sheet::default();
    if let Ok(process) = tokio::task::spawn_blocking(Process::look).await {
        own(&mut sheet, &process);
    }
    sheet.0
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
        "holdpoint_mail_overdue_seconds",
        "How long ago the most urgent queued mail should have gone",
        age(vitals.mail_go_by),
    );
}

#[rustfmt::skip]
fn connections(sheet: &mut Sheet, doors: &DoorCounts) {
    let of = |count: &AtomicU64| count.load(Ordering::Relaxed) as f64;
    sheet.gauge("holdpoint_connections", "Open connections to the gRPC doors", of(&doors.open));
    sheet.gauge("holdpoint_connections_known", "Open connections that have shown a valid token or certificate", of(&doors.known));
    sheet.counter("holdpoint_connections_accepted", "Connections taken in", of(&doors.accepted));
    sheet.counters("holdpoint_connections_closed", "Connections that the daemon closed", "why", [
        ("refused", of(&doors.refused)),
        ("displaced", of(&doors.displaced)),
        ("silent", of(&doors.silent)),
        ("given_up", of(&doors.given_up)),
        ("ended", of(&doors.ended)),
    ]);
    sheet.counter("holdpoint_accept_errors", "Connections that could not be taken in", of(&doors.accept_errors));
    sheet.counter("holdpoint_tls_handshake_failures", "TLS handshakes that failed or took too long", of(&doors.handshake_failures));
    sheet.counters("holdpoint_tls_certificate_reloads", "New certificates that were tried", "result", [
        ("taken", of(&doors.certificate_reloads)),
        ("failed", of(&doors.certificate_reload_failures)),
    ]);
    let expires = doors.certificate_expires_at.load(Ordering::Relaxed);
    if expires != 0 {
        let help = "When the certificate of the server ends, in seconds since 1970";
        sheet.gauge("holdpoint_tls_certificate_expiry_timestamp_seconds", help, expires as f64);
    }
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

    fn counters<const N: usize>(
        &mut self,
        name: &str,
        help: &str,
        label: &'static str,
        values: [(&'static str, f64); N],
    ) {
        let family = Family::<[(&str, &str); 1], Counter<f64, AtomicU64>>::default();
        for (word, value) in values {
            family.get_or_create(&[(label, word)]).inc_by(value);
        }
        self.0.register(name, help, family);
    }
}
