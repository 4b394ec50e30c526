//! What the running daemon counts, for Prometheus.
//!
//! One [`Metrics`] is made for each daemon and handed to whatever counts; there
//! is no global state. Counting is a few atomic additions. What can be read from
//! where it is kept (how much is pending, how long the mail queue is) is not
//! counted a second time: it is read when somebody looks, by [`crate::monitor`].
//!
//! Promises: what is counted about requests was committed before it was counted;
//! every label has its values in this source code, so the number of series is
//! fixed when the program is built (fewer than 200). All series exist from the
//! start, at 0.
//!
//! Must never: take a label from outside. No server, tool, caller, operator or
//! agent is named here, and nothing of a call.
//!
//! A proxy counts for itself, see [`proxy`].
//!
//! Units are seconds and bytes. Counters begin at 0 when the daemon starts.
//!
//! | metric | kind | what it says |
//! |---|---|---|
//! | `holdpoint_pending_requests` | gauge | requests that wait for a person |
//! | `holdpoint_oldest_pending_age_seconds` | gauge | age of the oldest of them; 0 when there is none |
//! | `holdpoint_held_calls` | gauge | connections' calls that wait for an answer right now |
//! | `holdpoint_calls_total{verdict}` | counter | calls by what became of them: allowed, denied, limited, would_hold (recorded by callers, who need not record them all), held (became a request) |
//! | `holdpoint_requests_total` | counter | calls that became a request |
//! | `holdpoint_requests_resumed_total` | counter | calls that took over a request that nobody waited on |
//! | `holdpoint_requests_ended_total{status}` | counter | requests that ended: approved, denied, expired, withdrawn |
//! | `holdpoint_requests_nobody_reached_total` | counter | requests whose operators could not be reached by mail in time, and nobody looked |
//! | `holdpoint_denials_repeated_total` | counter | remembered denials told again, without asking anyone |
//! | `holdpoint_decisions_total{verdict,strength}` | counter | operators' decisions: approve or deny, by how they proved who they are |
//! | `holdpoint_time_to_decision_seconds` | histogram | from a request's creation to the decision that ended it |
//! | `holdpoint_uses_granted_total` | counter | approved calls that were let run |
//! | `holdpoint_uses_lapsed_total` | counter | approvals that nobody used in time, or that were given up |
//! | `holdpoint_outcomes_total{outcome}` | counter | how calls ended: succeeded, failed, unknown |
//! | `holdpoint_refusals_total{reason}` | counter | gRPC calls answered with an error, by the reasons of the contract |
//! | `holdpoint_watchers` | gauge | open `WatchRequests` streams |
//! | `holdpoint_connections` | gauge | open connections to the gRPC doors |
//! | `holdpoint_connections_known` | gauge | those of them that have shown a valid token or certificate |
//! | `holdpoint_connections_accepted_total` | counter | connections taken in |
//! | `holdpoint_connections_closed_total{why}` | counter | connections that the daemon closed: refused (limits.max_connections), displaced (by a newer one), silent (no call in time), given_up (too many calls without a token), ended (its certificate did) |
//! | `holdpoint_accept_errors_total` | counter | connections that the system could not hand over, for want of descriptors for example |
//! | `holdpoint_tls_handshake_failures_total` | counter | TLS handshakes that failed or took too long |
//! | `holdpoint_tls_certificate_expiry_timestamp_seconds` | gauge | when the server's certificate ends, in seconds since 1970; only with TLS |
//! | `holdpoint_tls_certificate_reloads_total{result}` | counter | new certificates: taken, or failed and the one before was kept |
//! | `holdpoint_store_commit_seconds` | histogram | time for one commit, from taking its batch until it is on disk |
//! | `holdpoint_store_batch_transitions` | histogram | transitions that shared one commit |
//! | `holdpoint_store_commit_failures_total` | counter | commits that failed |
//! | `holdpoint_store_failing` | gauge | 1 while the store cannot write |
//! | `holdpoint_audit_sequence` | gauge | sequence number of the newest audit entry |
//! | `holdpoint_database_size_bytes` | gauge | the database file |
//! | `holdpoint_database_wal_size_bytes` | gauge | its write-ahead log |
//! | `holdpoint_clock_steps_total` | counter | steps of the wall clock that were noticed |
//! | `holdpoint_clock_in_doubt` | gauge | 1 while no use is granted because the wall clock stands in the past |
//! | `holdpoint_mails_total{result}` | counter | attempts to send a mail: sent, deferred (tried again later), failed, pointless (nobody needed it any more when its turn came) |
//! | `holdpoint_mail_queue` | gauge | mails that are not sent yet |
//! | `holdpoint_mail_overdue_seconds` | gauge | how long ago the most urgent of them should have gone (a mail that asks: within a fifth of the time that people have); 0 while none is late |
//! | `holdpoint_log_lines_dropped_total` | counter | lines that the reader of the log was too slow for |
//! | `holdpoint_build_info{version}` | info | always 1 |
//! | `process_start_time_seconds` | gauge | when the daemon started, in seconds since 1970 |
//! | `process_cpu_seconds_total` | counter | processor time it has used |
//! | `process_resident_memory_bytes` | gauge | memory it has in RAM |
//! | `process_open_fds`, `process_max_fds` | gauge | descriptors it has open, and may have open |

mod families;
pub mod page;
pub mod process;
pub mod proxy;

use std::sync::atomic::AtomicU64;
use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use crate::call::model::{Outcome, Status, Strength, Verdict};
use families::Shelf;
pub use families::{Counters, MailResult, REASONS};

/// People take from a second (somebody was watching) to a day (longer time-outs
/// are rare, and what lies beyond is in the last bucket).
const DECISION_SECONDS: [f64; 12] =
    [1.0, 5.0, 15.0, 30.0, 60.0, 120.0, 300.0, 900.0, 1800.0, 3600.0, 14400.0, 86400.0];

/// A commit takes 30 microseconds on a fast disk, some milliseconds on most, and
/// seconds on one that is about to fail.
const COMMIT_SECONDS: [f64; 12] =
    [0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.05, 0.25, 1.0, 5.0];

/// One is an idle daemon, a thousand the most that share a commit.
const BATCH: [f64; 9] = [1.0, 2.0, 4.0, 8.0, 16.0, 64.0, 128.0, 512.0, 1024.0];

/// What becomes of a call.
const VERDICTS: [&str; 5] = ["allowed", "denied", "limited", "would_hold", "held"];

/// Everything that is counted while it happens. The module's table says what
/// each one means.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    /// Set by the store's writer, from the count by which it limits callers.
    pub pending: Gauge,
    /// Set by the store's writer.
    pub audit_sequence: Gauge,
    /// Set by the store's writer.
    pub clock_in_doubt: Gauge,
    /// Calls that became a request.
    pub requests: Counter,
    /// Calls that took over a request.
    pub resumed: Counter,
    /// Requests of which no mail could be delivered in time, and nobody looked.
    pub nobody_reached: Counter,
    /// Denials that were told again.
    pub denials_repeated: Counter,
    /// Uses that were handed over.
    pub uses_granted: Counter,
    /// Approvals that will never be used.
    pub uses_lapsed: Counter,
    /// Steps of the wall clock.
    pub clock_steps: Counter,
    /// Commits that failed.
    pub commit_failures: Counter,
    /// Open streams of operators who watch.
    pub watchers: Gauge,
    calls: Counters<1>,
    ended: Counters<1>,
    decisions: Counters<2>,
    outcomes: Counters<1>,
    refusals: Counters<1>,
    mails: Counters<1>,
    time_to_decision: Histogram,
    commit_seconds: Histogram,
    batch: Histogram,
}

impl Metrics {
    /// All of them, at 0.
    #[rustfmt::skip]
    pub fn new() -> Self {
        let mut shelf = Shelf::default();
        let start = Gauge::<f64, AtomicU64>::default();
        start.set(chrono::Utc::now().timestamp_millis() as f64 / 1000.0);
        shelf.add("process_start_time_seconds", "When the daemon started, in seconds since 1970", start);
        shelf.info("holdpoint_build", "The version that runs", "version", env!("CARGO_PKG_VERSION"));
        let endings = Status::ALL.iter().filter(|s| **s != Status::Pending).map(|s| [s.word()]);
        let outcomes = Outcome::ALL.iter().filter(|o| **o != Outcome::None).map(|o| [o.word()]);
        let by_strength = |v: &Verdict| { let v = *v; Strength::ALL.iter().map(move |s| [v.word(), s.word()]) };
        Metrics {
            pending: shelf.gauge("holdpoint_pending_requests", "Requests that wait for a person"),
            calls: shelf.counters(
                "holdpoint_calls", "Calls by what became of them: as callers recorded it, or held", ["verdict"], VERDICTS.iter().map(|verdict| [*verdict]),
            ),
            requests: shelf.counter("holdpoint_requests", "Calls that became a request"),
            resumed: shelf.counter("holdpoint_requests_resumed", "Calls that took over a request that nobody waited on"),
            ended: shelf.counters("holdpoint_requests_ended", "Requests that ended", ["status"], endings),
            nobody_reached: shelf.counter("holdpoint_requests_nobody_reached", "Requests whose operators could not be reached by mail in time, and nobody looked"),
            denials_repeated: shelf.counter("holdpoint_denials_repeated", "Remembered denials told again, without asking anyone"),
            decisions: shelf.counters(
                "holdpoint_decisions", "Decisions of operators, by how they proved who they are",
                ["verdict", "strength"], Verdict::ALL.iter().flat_map(by_strength),
            ),
            time_to_decision: shelf.histogram(
                "holdpoint_time_to_decision_seconds", "Time from the creation of a request to the decision that ended it", &DECISION_SECONDS,
            ),
            uses_granted: shelf.counter("holdpoint_uses_granted", "Approved calls that were let run"),
            uses_lapsed: shelf.counter("holdpoint_uses_lapsed", "Approvals that nobody used in time, or that were given up"),
            outcomes: shelf.counters("holdpoint_outcomes", "How calls ended that were let run", ["outcome"], outcomes),
            refusals: shelf.counters(
                "holdpoint_refusals", "gRPC calls answered with an error, by the reasons of the contract",
                ["reason"], REASONS.iter().map(|reason| [*reason]),
            ),
            watchers: shelf.gauge("holdpoint_watchers", "Open WatchRequests streams"),
            commit_seconds: shelf.histogram("holdpoint_store_commit_seconds", "Time of one commit, until it is on disk", &COMMIT_SECONDS),
            batch: shelf.histogram("holdpoint_store_batch_transitions", "Transitions that shared one commit", &BATCH),
            commit_failures: shelf.counter("holdpoint_store_commit_failures", "Commits that failed"),
            audit_sequence: shelf.gauge("holdpoint_audit_sequence", "Sequence number of the newest audit entry"),
            clock_steps: shelf.counter("holdpoint_clock_steps", "Steps of the wall clock that were noticed"),
            clock_in_doubt: shelf.gauge("holdpoint_clock_in_doubt", "1 while no use is granted because the wall clock stands in the past"),
            mails: shelf.counters(
                "holdpoint_mails", "Attempts to send a mail, by how they ended", ["result"], MailResult::ALL.iter().map(|r| [r.word()]),
            ),
            registry: shelf.0,
        }
    }

    /// A call was recorded with this verdict, or held.
    pub fn call(&self, verdict: &str) {
        self.calls.count([verdict]);
    }

    /// A request has ended.
    pub fn ended(&self, status: Status) {
        self.ended.count([status.word()]);
    }

    /// An operator has decided.
    pub fn decided(&self, verdict: Verdict, strength: Strength) {
        self.decisions.count([verdict.word(), strength.word()]);
    }

    /// A decision ended a request that was made so long ago.
    pub fn decided_after(&self, time: Duration) {
        self.time_to_decision.observe(time.as_secs_f64());
    }

    /// How a call ended is known, or known to be unknown.
    pub fn outcome(&self, outcome: Outcome) {
        self.outcomes.count([outcome.word()]);
    }

    /// A gRPC call was answered with an error. A reason that the contract does
    /// not have, or none, is the transport's own.
    pub fn refused(&self, reason: &str) {
        if !self.refusals.count([reason]) {
            self.refusals.count([families::TRANSPORT]);
        }
    }

    /// An attempt to send a mail has ended.
    pub fn mail(&self, result: MailResult) {
        self.mails.count([result.word()]);
    }

    /// So many transitions were committed together, in this time.
    pub fn committed(&self, transitions: usize, time: Duration) {
        self.commit_seconds.observe(time.as_secs_f64());
        self.batch.observe(transitions as f64);
    }

    /// All of them as [`page`] prints them.
    pub fn registry(&self) -> &Registry {
        &self.registry
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}
