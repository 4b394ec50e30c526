//! Calls that were not held, for the history.

use super::audit::{Entry, Kind};
use super::error::StoreError;
use super::tx::Tx;
use crate::call::model::Call;

/// What was done with a call that was not held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotHeld {
    /// It was allowed.
    Allowed,
    /// It was denied.
    Denied,
    /// A limit was used up.
    Limited,
    /// A dry run let it pass; without that, it would have been held.
    WouldBeHeld,
}

impl NotHeld {
    fn kind(self) -> Kind {
        match self {
            NotHeld::Allowed => Kind::CallAllowed,
            NotHeld::Denied => Kind::CallDenied,
            NotHeld::Limited => Kind::CallLimited,
            NotHeld::WouldBeHeld => Kind::CallWouldBeHeld,
        }
    }

    /// The word for it in the metrics.
    pub fn word(self) -> &'static str {
        match self {
            NotHeld::Allowed => "allowed",
            NotHeld::Denied => "denied",
            NotHeld::Limited => "limited",
            NotHeld::WouldBeHeld => "would_hold",
        }
    }
}

/// A call that was not held.
#[derive(Debug, Clone)]
pub struct Recorded {
    /// Checked, digested, masked.
    pub call: Call,
    /// What was done with it.
    pub verdict: NotHeld,
    /// Why it was refused, or by which rule it would have been held.
    pub reason: String,
    /// Keep the digest but not the arguments.
    pub digest_only: bool,
}

/// Records a batch: all of it, or nothing.
pub fn record_calls(tx: &mut Tx<'_>, calls: &[Recorded]) -> Result<(), StoreError> {
    for recorded in calls {
        let mut entry = Entry::about_call(recorded.verdict.kind(), &recorded.call);
        entry.text("reason", &recorded.reason);
        entry.whole_call(&recorded.call, !recorded.digest_only);
        tx.record(entry)?;
    }
    Ok(())
}
