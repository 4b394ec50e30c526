//! Calls that were allowed or denied without holding, for the history.

use super::audit::{Entry, Kind};
use super::error::StoreError;
use super::tx::Tx;
use crate::call::model::Call;

/// A call that was not held.
#[derive(Debug, Clone)]
pub struct Recorded {
    /// Checked, digested, masked.
    pub call: Call,
    /// Whether it was allowed.
    pub allowed: bool,
    /// Why it was denied.
    pub reason: String,
    /// Keep the digest but not the arguments.
    pub digest_only: bool,
}

/// Records a batch: all of it, or nothing.
pub fn record_calls(tx: &mut Tx<'_>, calls: &[Recorded]) -> Result<(), StoreError> {
    for recorded in calls {
        let kind = if recorded.allowed { Kind::CallAllowed } else { Kind::CallDenied };
        let mut entry = Entry::about_call(kind, &recorded.call);
        entry.text("reason", &recorded.reason);
        entry.whole_call(&recorded.call, !recorded.digest_only);
        tx.record(entry)?;
    }
    Ok(())
}
