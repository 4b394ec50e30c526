//! What a client knows for certain, and what must follow from it.
//!
//! [`violations`] compares a client's own log of acknowledged steps with what the
//! daemon says afterwards. It returns what is wrong instead of failing, so that a
//! planted bug can show that it is found.

use std::collections::{BTreeMap, HashMap, HashSet};

use holdpoint::proto::{self, Outcome, Status, Use, Verdict};

/// A step that the daemon acknowledged to somebody.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Step {
    /// This call id stands for this request.
    Submitted { id: String, call_id: String },
    /// This operator's decision counts.
    Decided { id: String, operator: String, verdict: Verdict },
    /// A caller was told how it ended.
    Told { id: String, status: Status },
    /// The use was granted: the call runs.
    Granted { id: String },
    /// It had been granted before.
    AlreadyGranted { id: String },
    /// An answer to `TakeUse` was lost, and may have been a grant.
    TakeLost { id: String },
    /// This is how it went.
    Reported { id: String, outcome: Outcome },
    /// It was taken back.
    Withdrawn { id: String },
}

impl Step {
    pub fn id(&self) -> &str {
        match self {
            Step::Submitted { id, .. }
            | Step::Decided { id, .. }
            | Step::Told { id, .. }
            | Step::Granted { id }
            | Step::AlreadyGranted { id }
            | Step::TakeLost { id }
            | Step::Reported { id, .. }
            | Step::Withdrawn { id } => id,
        }
    }

    /// Its kind, for counting.
    pub fn kind(&self) -> &'static str {
        match self {
            Step::Submitted { .. } => "submitted",
            Step::Decided { .. } => "decided",
            Step::Told { .. } => "told",
            Step::Granted { .. } => "granted",
            Step::AlreadyGranted { .. } => "already granted",
            Step::TakeLost { .. } => "take lost",
            Step::Reported { .. } => "reported",
            Step::Withdrawn { .. } => "withdrawn",
        }
    }
}

/// What the daemon says: its history and its requests.
#[derive(Debug, Default)]
pub struct Truth {
    /// All entries, oldest first.
    pub entries: Vec<proto::AuditEntry>,
    /// Requests by id; one that is asked for and missing is not in here.
    pub requests: HashMap<String, proto::Request>,
}

const ENDINGS: [&str; 4] = ["approved", "denied", "expired", "withdrawn"];

/// Everything in which the daemon contradicts its own acknowledgements or itself.
pub fn violations(steps: &[Step], truth: &Truth) -> Vec<String> {
    let mut wrong = chain(&truth.entries);
    let mut history: BTreeMap<&str, Vec<&proto::AuditEntry>> = BTreeMap::new();
    for entry in truth.entries.iter().filter(|entry| !entry.request_id.is_empty()) {
        history.entry(&entry.request_id).or_default().push(entry);
    }
    for (id, entries) in &history {
        wrong.extend(one_story(id, entries));
    }
    let mut known: BTreeMap<&str, Vec<&Step>> = BTreeMap::new();
    for step in steps {
        known.entry(step.id()).or_default().push(step);
    }
    let nothing = Vec::new();
    for (id, steps) in known {
        let entries = history.get(id).unwrap_or(&nothing);
        let Some(request) = truth.requests.get(id) else {
            wrong.push(format!("{id}: lost altogether, after {steps:?}"));
            continue;
        };
        wrong.extend(steps.iter().filter_map(|step| lost(step, entries, request)));
        wrong.extend(grants(id, &steps));
    }
    wrong
}

/// The chain has no gap and no break.
fn chain(entries: &[proto::AuditEntry]) -> Vec<String> {
    let broken = |pair: &[proto::AuditEntry]| {
        pair[1].sequence != pair[0].sequence + 1 || pair[1].previous_hash != pair[0].hash
    };
    let at = entries.windows(2).filter(|pair| broken(pair));
    at.map(|pair| format!("the chain breaks after entry {}", pair[0].sequence)).collect()
}

/// What the history alone must keep to: one beginning, one ending, one grant,
/// and in this order.
fn one_story(id: &str, entries: &[&proto::AuditEntry]) -> Vec<String> {
    let mut wrong = Vec::new();
    let count =
        |kinds: &[&str]| entries.iter().filter(|e| kinds.contains(&e.kind.as_str())).count();
    let first = |kind: &str| entries.iter().position(|e| e.kind == kind);
    if count(&["requested"]) != 1 {
        wrong.push(format!("{id}: begins {} times", count(&["requested"])));
    }
    if count(&ENDINGS) > 1 {
        wrong.push(format!("{id}: ends {} times", count(&ENDINGS)));
    }
    match (count(&["use_granted"]), first("approved"), first("use_granted")) {
        (0, ..) => {}
        (1, Some(approved), Some(granted)) if approved < granted => {}
        (1, ..) => wrong.push(format!("{id}: granted without an approval before it")),
        (n, ..) => wrong.push(format!("{id}: granted {n} times in the history")),
    }
    wrong
}

/// What an acknowledged step says that the daemon does not say any more.
fn lost(step: &Step, entries: &[&proto::AuditEntry], request: &proto::Request) -> Option<String> {
    let recorded = |kind: &str| entries.iter().any(|entry| entry.kind == kind);
    let stands = match step {
        Step::Submitted { call_id, .. } => {
            let named = format!("\"{call_id}\"");
            entries.iter().any(|e| {
                ["requested", "resumed"].contains(&e.kind.as_str()) && e.payload.contains(&named)
            })
        }
        Step::Decided { operator, verdict, .. } => {
            let kinds: &[&str] = match verdict {
                Verdict::Deny => &["denied"],
                _ => &["approved", "approval_counted"],
            };
            let told = |e: &&&proto::AuditEntry| {
                kinds.contains(&e.kind.as_str()) && e.operator == *operator
            };
            let decision = |d: &proto::Decision| d.operator == *operator && d.verdict() == *verdict;
            entries.iter().any(|e| told(&e)) && request.decisions.iter().any(decision)
        }
        Step::Told { status, .. } => request.status() == *status,
        Step::Granted { .. } | Step::AlreadyGranted { .. } => {
            recorded("use_granted") && request.r#use() == Use::Taken
        }
        Step::TakeLost { .. } => true,
        Step::Reported { outcome, .. } => {
            recorded("outcome_reported") && request.outcome() == *outcome
        }
        Step::Withdrawn { .. } => recorded("withdrawn") || recorded("use_lapsed"),
    };
    (!stands).then(|| format!("lost: {step:?}; the history has {}", kinds(entries)))
}

fn kinds(entries: &[&proto::AuditEntry]) -> String {
    entries.iter().map(|e| e.kind.as_str()).collect::<Vec<_>>().join(", ")
}

/// One use, handed over once.
fn grants(id: &str, steps: &[&Step]) -> Vec<String> {
    let mut wrong = Vec::new();
    let count = |kind: &str| steps.iter().filter(|step| step.kind() == kind).count();
    if count("granted") > 1 {
        wrong.push(format!("{id}: OK was answered {} times to TakeUse", count("granted")));
    }
    if count("already granted") > 0 && count("granted") + count("take lost") == 0 {
        wrong.push(format!("{id}: already granted, but to nobody"));
    }
    let told: HashSet<&Status> = steps
        .iter()
        .filter_map(|step| match step {
            Step::Told { status, .. } => Some(status),
            _ => None,
        })
        .collect();
    if told.len() > 1 {
        wrong.push(format!("{id}: ended in several ways: {told:?}"));
    }
    if count("granted") + count("already granted") > 0 && !told.contains(&Status::Approved) {
        wrong.push(format!("{id}: granted without an approval that anyone was told of"));
    }
    wrong
}

/// Something that was asked and not answered when the daemon was killed.
#[derive(Debug, Clone)]
pub enum Flying {
    Submit { call_id: String },
    Decide { id: String, operator: String, verdict: Verdict },
    Take { id: String },
    Report { id: String },
    Withdraw { id: String },
}

impl Flying {
    /// Whether it was recorded all the same.
    pub fn was_recorded(&self, entries: &[proto::AuditEntry]) -> bool {
        let of =
            |id: &str, kind: &str| entries.iter().any(|e| e.request_id == id && e.kind == kind);
        match self {
            Flying::Submit { call_id } => {
                let named = format!("\"{call_id}\"");
                entries.iter().any(|e| e.kind == "requested" && e.payload.contains(&named))
            }
            Flying::Decide { id, operator, verdict } => {
                let kind = if *verdict == Verdict::Deny { "denied" } else { "approved" };
                entries
                    .iter()
                    .any(|e| e.request_id == *id && e.kind == kind && e.operator == *operator)
            }
            Flying::Take { id } => of(id, "use_granted"),
            Flying::Report { id } => of(id, "outcome_reported"),
            Flying::Withdraw { id } => of(id, "withdrawn"),
        }
    }
}
