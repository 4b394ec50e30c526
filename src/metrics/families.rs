//! Metrics whose labels have their values here, and a shelf to register them on.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Metric, Registry};

/// Stands for errors that carry no reason of the contract: the transport's own,
/// such as a method that does not exist or a message that is too large.
pub(super) const TRANSPORT: &str = "TRANSPORT";

/// Every reason of the contract (a test compares), and `TRANSPORT` for errors without one.
pub const REASONS: &[&str] = &[
    "INVALID_FIELD",
    "INVALID_ARGUMENTS",
    "CALL_ID_REUSED",
    "HANDLE_REUSED",
    "NO_TOKEN",
    "BAD_TOKEN",
    "WRONG_ROLE",
    "NOT_ON_BEHALF",
    "OWN_CALL",
    "NOT_ROUTED",
    "NOT_FOUND",
    "NO_SUCH_ROUTE",
    "NOT_ENOUGH_OPERATORS",
    "DIGEST_MISMATCH",
    "NOT_PENDING",
    "ALREADY_DECIDED",
    "NOT_APPROVED",
    "ALREADY_GRANTED",
    "USED",
    "LAPSED",
    "NOT_TAKEN",
    "OUTCOME_RECORDED",
    "NOT_DENIED",
    "CLOCK_IN_DOUBT",
    "TOO_MANY_PENDING",
    "TOO_MANY_HELD",
    "OVERLOADED",
    "STORE_UNAVAILABLE",
    "UNKNOWN_COMMIT",
    "SHUTTING_DOWN",
    "BAD_PAGE_TOKEN",
    "MAIL_NOT_RETRYABLE",
    "INTERNAL",
    TRANSPORT,
];

/// How an attempt to send a mail ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MailResult {
    /// The server took it.
    Sent,
    /// It is tried again later.
    Deferred,
    /// It will never be delivered.
    Failed,
    /// Nobody needed it any more when its turn came.
    Pointless,
}

impl MailResult {
    /// All of them.
    pub const ALL: [MailResult; 4] =
        [MailResult::Sent, MailResult::Deferred, MailResult::Failed, MailResult::Pointless];

    /// The label's value.
    pub fn word(self) -> &'static str {
        match self {
            MailResult::Sent => "sent",
            MailResult::Deferred => "deferred",
            MailResult::Failed => "failed",
            MailResult::Pointless => "pointless",
        }
    }
}

/// One counter for each set of values that its `N` labels can have. What is not
/// among them is not counted: no value comes from outside.
#[derive(Debug)]
pub struct Counters<const N: usize>(Vec<([&'static str; N], Counter)>);

impl<const N: usize> Counters<N> {
    /// Counts one more; says whether there is such a counter.
    pub fn count(&self, values: [&str; N]) -> bool {
        // A few dozen at most: comparing is cheaper than hashing and a lock.
        let found = self.0.iter().find(|(these, _)| *these == values);
        found.map(|(_, counter)| counter.inc()).is_some()
    }
}

/// Metrics by their names.
#[derive(Debug, Default)]
pub struct Shelf(pub Registry);

impl Shelf {
    /// Registers a metric; returns it, to be counted with.
    pub fn add<M: Metric + Clone>(&mut self, name: &str, help: &str, metric: M) -> M {
        self.0.register(name, help, metric.clone());
        metric
    }

    /// A counter; `_total` is added to its name.
    pub fn counter(&mut self, name: &str, help: &str) -> Counter {
        self.add(name, help, Counter::default())
    }

    /// A gauge.
    pub fn gauge(&mut self, name: &str, help: &str) -> Gauge {
        self.add(name, help, Gauge::default())
    }

    /// A histogram with these upper bounds, and one bucket beyond.
    pub fn histogram(&mut self, name: &str, help: &str, bounds: &[f64]) -> Histogram {
        self.add(name, help, Histogram::new(bounds.iter().copied()))
    }

    /// What does not change; `_info` is added to its name.
    pub fn info(&mut self, name: &str, help: &str, label: &'static str, value: &'static str) {
        self.0.register(name, help, Info::new([(label, value)]));
    }

    /// A counter for each of these values of its labels.
    pub fn counters<const N: usize>(
        &mut self,
        name: &str,
        help: &str,
        labels: [&'static str; N],
        values: impl Iterator<Item = [&'static str; N]>,
    ) -> Counters<N> {
        let family = self.add(name, help, Family::<Vec<(&str, &str)>, Counter>::default());
        let one = |values: [&'static str; N]| {
            let set = labels.into_iter().zip(values).collect();
            (values, family.get_or_create_owned(&set))
        };
        Counters(values.map(one).collect())
    }
}
