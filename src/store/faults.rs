//! For the crash tests only: ends the process at a named step of a commit, or
//! plants a bug that the tests must find. Without the feature `faults`, which no
//! release has, all of it is nothing.
//!
//! `HOLDPOINT_FAULT=STEP@KIND:N` ends the process the Nth time that a commit in
//! which something of this kind happened (as in the history: "use_granted")
//! reaches the step: `after-ending`, `after-transition`, `before-commit`,
//! `after-commit`, `after-events`, `after-answer`. `HOLDPOINT_PLANT=early-ack`
//! answers before the commit, as if the disk were slow.

use super::tx::Event;

/// What a commit has to do with the step that is waited for.
#[derive(Debug)]
pub(super) struct Steps {
    #[cfg(feature = "faults")]
    kinds: Vec<&'static str>,
}

#[cfg(not(feature = "faults"))]
impl Steps {
    pub(super) fn of(_events: &[Event]) -> Self {
        Steps {}
    }

    pub(super) fn reached(&self, _step: &str) {}
}

#[cfg(feature = "faults")]
impl Steps {
    /// Those of a commit in which this happened.
    pub(super) fn of(events: &[Event]) -> Self {
        Steps { kinds: events.iter().map(|event| event.kind.word()).collect() }
    }

    /// The commit has come this far.
    pub(super) fn reached(&self, step: &str) {
        use std::sync::OnceLock;
        use std::sync::atomic::{AtomicI64, Ordering};
        static WANTED: OnceLock<Option<(String, String, AtomicI64)>> = OnceLock::new();
        let wanted = WANTED.get_or_init(|| {
            let text = std::env::var("HOLDPOINT_FAULT").ok()?;
            let parts = text.split_once('@').and_then(|(step, rest)| {
                let (kind, times) = rest.split_once(':')?;
                Some((step.to_owned(), kind.to_owned(), AtomicI64::new(times.parse().ok()?)))
            });
            // A misspelt fault would be a test that tests nothing.
            Some(parts.expect("HOLDPOINT_FAULT is STEP@KIND:N"))
        });
        if let Some((name, kind, times)) = wanted
            && name == step
            && self.kinds.iter().any(|happened| happened == kind)
            && times.fetch_sub(1, Ordering::SeqCst) == 1
        {
            std::process::abort();
        }
    }
}

/// Whether this bug was planted.
#[cfg(not(feature = "faults"))]
pub(super) fn planted(_bug: &str) -> bool {
    false
}

/// Whether this bug was planted.
#[cfg(feature = "faults")]
pub(super) fn planted(bug: &str) -> bool {
    std::env::var("HOLDPOINT_PLANT").is_ok_and(|planted| planted == bug)
}

/// Time for a premature answer to leave; a flush of a real disk takes as long.
pub(super) fn slow_disk() {
    std::thread::sleep(std::time::Duration::from_millis(25));
}
