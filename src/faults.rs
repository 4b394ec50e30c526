//! For the crash tests only: ends the process at a named step, or plants a bug
//! that the tests must find. Without the feature `faults`, which no release has,
//! all of it is nothing.
//!
//! `HOLDPOINT_FAULT=STEP@KIND:N` ends the process the Nth time that something of
//! this kind reaches the step.
//!
//! | of | KIND | STEP, in this order |
//! |---|---|---|
//! | the store's commits | what happened, as in the history: "use_granted" | `after-ending`, `after-transition`, `before-commit`, `after-commit`, `after-events`, `after-answer` |
//! | the proxy's held calls | "call" | `before-request`, `after-request`, `after-approval`, `after-use`, `after-write`, `after-result`, `after-report`, `before-delivery` |
//!
//! `HOLDPOINT_PLANT` plants one of these bugs: `early-ack` answers before the
//! commit, as if the disk were slow; `no-use` runs a call without taking its use;
//! `twice` runs it twice.

/// What has come to a step.
#[derive(Debug)]
pub(crate) struct Steps {
    #[cfg(feature = "faults")]
    kinds: Vec<&'static str>,
}

#[cfg(not(feature = "faults"))]
impl Steps {
    pub(crate) fn of(_kinds: impl IntoIterator<Item = &'static str>) -> Self {
        Steps {}
    }

    pub(crate) fn reached(&self, _step: &str) {}
}

#[cfg(feature = "faults")]
impl Steps {
    /// Those of something of these kinds.
    pub(crate) fn of(kinds: impl IntoIterator<Item = &'static str>) -> Self {
        Steps { kinds: kinds.into_iter().collect() }
    }

    /// It has come this far.
    pub(crate) fn reached(&self, step: &str) {
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

/// One of the proxy's held calls has come this far.
pub(crate) fn call_reached(step: &str) {
    Steps::of(["call"]).reached(step);
}

/// A server was sent this line.
#[cfg(not(feature = "faults"))]
pub(crate) fn wrote(_line: &[u8]) {}

/// A server was sent this line.
#[cfg(feature = "faults")]
pub(crate) fn wrote(line: &[u8]) {
    const METHOD: &[u8] = b"\"tools/call\"";
    if line.windows(METHOD.len()).any(|part| part == METHOD) {
        call_reached("after-write");
    }
}

/// Whether this bug was planted.
#[cfg(not(feature = "faults"))]
pub(crate) fn planted(_bug: &str) -> bool {
    false
}

/// Whether this bug was planted.
#[cfg(feature = "faults")]
pub(crate) fn planted(bug: &str) -> bool {
    std::env::var("HOLDPOINT_PLANT").is_ok_and(|planted| planted == bug)
}

/// Time for a premature answer to leave; a flush of a real disk takes as long.
pub(crate) fn slow_disk() {
    std::thread::sleep(std::time::Duration::from_millis(25));
}
