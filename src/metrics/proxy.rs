//! What a running proxy counts, for Prometheus.
//!
//! Promises: every call that a client makes of a tool is counted once, by what the
//! policy said of it when it came, whatever the history is told (`record`); the number
//! of series is fixed by the configuration: servers are named as it names them, and
//! with more than [`MOST_SERVERS`] they share one name.
//!
//! Must never: take a label from a client or a server. No tool, client, user or
//! session is named here, and nothing of a call.
//!
//! | metric | kind | what it says |
//! |---|---|---|
//! | `holdpoint_proxy_calls_total{server,verdict}` | counter | calls by what the policy said of them: allowed, denied, limited, held, would_hold (held but for `--dry-run`), failed (refused because limits, definitions or the history could not be read or written) |
//! | `holdpoint_proxy_judging_seconds` | histogram | time from a call's arrival to its verdict, with what had to be asked of its server or read from the state file first; no person is waited for in it |
//! | `holdpoint_build_info{version}` | info | always 1 |
//! | `process_start_time_seconds`, `process_cpu_seconds_total`, `process_resident_memory_bytes`, `process_open_fds`, `process_max_fds` | | as for the daemon |

use std::sync::atomic::AtomicU64;
use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use super::families::Shelf;

/// The most servers that are counted apart: more than anybody watches one by one.
pub const MOST_SERVERS: usize = 100;

/// The name under which servers beyond that are counted.
const OTHERS: &str = "(others)";

/// From memory it takes some microseconds, with the state file some hundred, and
/// where a server has to list its tools first as long as that takes (20 s at most).
const JUDGING_SECONDS: [f64; 10] =
    [0.00001, 0.00003, 0.0001, 0.0003, 0.001, 0.003, 0.01, 0.1, 1.0, 10.0];

/// What became of a call when it came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It passed.
    Allowed,
    /// The policy denies it.
    Denied,
    /// A limit was used up.
    Limited,
    /// A person is asked.
    Held,
    /// A person would have been asked.
    WouldHold,
    /// What has to be known or recorded first could not be.
    Failed,
}

impl Verdict {
    const ALL: [Verdict; 6] = [
        Verdict::Allowed,
        Verdict::Denied,
        Verdict::Limited,
        Verdict::Held,
        Verdict::WouldHold,
        Verdict::Failed,
    ];

    fn word(self) -> &'static str {
        match self {
            Verdict::Allowed => "allowed",
            Verdict::Denied => "denied",
            Verdict::Limited => "limited",
            Verdict::Held => "held",
            Verdict::WouldHold => "would_hold",
            Verdict::Failed => "failed",
        }
    }
}

/// Everything that a proxy counts.
#[derive(Debug)]
pub struct ProxyMetrics {
    registry: Registry,
    /// By server, in the order of its names.
    calls: Vec<(String, [Counter; Verdict::ALL.len()])>,
    judging: Histogram,
}

impl ProxyMetrics {
    /// All of them at 0, for these servers.
    pub fn new<'a>(servers: impl IntoIterator<Item = &'a str>) -> ProxyMetrics {
        let mut shelf = Shelf::default();
        let start = Gauge::<f64, AtomicU64>::default();
        start.set(chrono::Utc::now().timestamp_millis() as f64 / 1000.0);
        let since = "When the proxy started, in seconds since 1970";
        shelf.add("process_start_time_seconds", since, start);
        let version = env!("CARGO_PKG_VERSION");
        shelf.info("holdpoint_build", "The version that runs", "version", version);
        let family = shelf.add(
            "holdpoint_proxy_calls",
            "Calls of tools by what the policy said of them when they came",
            Family::<Vec<(&'static str, String)>, Counter>::default(),
        );
        let mut names: Vec<String> = servers.into_iter().map(str::to_owned).collect();
        names.sort_unstable();
        names.dedup();
        if names.len() > MOST_SERVERS {
            names = vec![OTHERS.to_owned()];
        }
        let counters = |server: String| {
            let of = |verdict: Verdict| {
                let labels = vec![("server", server.clone()), ("verdict", verdict.word().into())];
                family.get_or_create_owned(&labels)
            };
            let counters = Verdict::ALL.map(of);
            (server, counters)
        };
        let calls = names.into_iter().map(counters).collect();
        let help = "Time from a call's arrival to its verdict";
        let judging = shelf.histogram("holdpoint_proxy_judging_seconds", help, &JUDGING_SECONDS);
        ProxyMetrics { registry: shelf.0, calls, judging }
    }

    /// A call of this server's tools was judged, in this time.
    pub fn judged(&self, server: &str, verdict: Verdict, took: Duration) {
        let found = self.calls.binary_search_by(|(name, _)| (**name).cmp(server));
        let of = match found {
            Ok(at) => self.calls.get(at),
            Err(_) => self.calls.first().filter(|(name, _)| name == OTHERS),
        };
        if let Some((_, counters)) = of {
            counters[verdict as usize].inc();
        }
        self.judging.observe(took.as_secs_f64());
    }

    /// All of them, to be printed.
    pub fn registry(&self) -> &Registry {
        &self.registry
    }
}

/// For no server at all: nothing is counted by verdict.
impl Default for ProxyMetrics {
    fn default() -> ProxyMetrics {
        ProxyMetrics::new([])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::page::{Format, page};

    fn printed(metrics: &ProxyMetrics) -> String {
        page(&[metrics.registry()], Format::Classic).expect("printed")
    }

    #[test]
    fn calls_are_counted_by_servers_of_the_configuration_and_by_no_other() {
        let metrics = ProxyMetrics::new(["b", "a", "b"]);
        for verdict in Verdict::ALL {
            metrics.judged("a", verdict, Duration::from_micros(20));
        }
        metrics.judged("a", Verdict::Held, Duration::from_micros(20));
        metrics.judged("made up", Verdict::Held, Duration::from_micros(20));
        let page = printed(&metrics);
        let series = |server, verdict, count| {
            format!(
                "holdpoint_proxy_calls_total{{server=\"{server}\",verdict=\"{verdict}\"}} {count}\n"
            )
        };
        for verdict in Verdict::ALL {
            let count = if verdict == Verdict::Held { 2 } else { 1 };
            assert!(page.contains(&series("a", verdict.word(), count)), "{page}");
            assert!(page.contains(&series("b", verdict.word(), 0)), "{page}");
        }
        assert!(!page.contains("made up"));
        assert!(page.contains("holdpoint_proxy_judging_seconds_count 8\n"), "{page}");
    }

    #[test]
    fn many_servers_share_one_name() {
        let names: Vec<String> = (0..=MOST_SERVERS).map(|n| n.to_string()).collect();
        let metrics = ProxyMetrics::new(names.iter().map(String::as_str));
        metrics.judged("7", Verdict::Allowed, Duration::ZERO);
        let page = printed(&metrics);
        assert!(page.contains("{server=\"(others)\",verdict=\"allowed\"} 1\n"), "{page}");
        assert_eq!(page.matches("holdpoint_proxy_calls_total{").count(), Verdict::ALL.len());
    }
}
