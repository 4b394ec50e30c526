//! The outbox: one row per mail, written in the transaction of what it is about.
//!
//! ```text
//!  submit ────── asked ──┐                      ┌─> sent       (and what follows from that)
//!  decide, end ─ told ───┼─> queued ── begin ───┼─> queued     not now, or perhaps: again
//!  remind ────── again ──┘     │                ├─> failed     never
//!                              └── gathered ──> └─> pointless  nobody needs it any more
//!                                  into a summary, whose end is theirs
//! ```
//!
//! Promises: every mail ends as sent, failed or pointless, and says why; the
//! beginning of an attempt is on disk before the attempt is made, so that after
//! a crash whatever may have left us leaves again under the same `Message-ID`
//! and in no other letter; looking for what is due, per operator, costs the same
//! however much is queued or was ever sent.
//! Must never: cost a submission or a decision more than one look where nobody is
//! mailed, or decide when to send: that is `mail::schedule`.

mod begin;
mod list;
mod outcome;
mod queue;
mod reached;
mod remind;
mod retry;
mod summaries;
mod waiting;

use rusqlite::Row;

use crate::call::ids::RequestId;
use crate::call::model::MailKind;
use crate::call::time::Time;
use crate::call::wants::Wants;

pub use begin::{Begin, begin, members};
pub use list::{ListedMail, MailList, MailPlace, MailQuestion, list, one};
pub(super) use list::{NOTICE, notice_of};
pub use outcome::{MailOutcome, MailResult, result};
pub(super) use queue::{all_pointless, ended, erase, outcome_unknown, queue};
pub(super) use reached::{Reached, reached};
pub use remind::{any_reminder, knows, remind};
pub use retry::retry;
pub use summaries::{AddressHash, address_hash, all_summaries_off, summaries_off, turn_summaries};
pub use waiting::{MINUTE, Queue, Waiting, queues};

const QUEUED: i64 = 0;
const SENT: i64 = 1;
const FAILED: i64 = 2;
const POINTLESS: i64 = 3;

/// Somebody who is asked, and what else they want to hear.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MailTo {
    /// The operator's configured name.
    pub operator: String,
    /// What else they want.
    pub wants: Wants,
}

/// A mail of which an attempt has begun.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DueMail {
    /// Its row.
    pub id: i64,
    /// What it is.
    pub kind: MailKind,
    /// What it is about; `None` for a summary.
    pub request: Option<RequestId>,
    /// Whom it tells.
    pub operator: String,
    /// How often it was tried, this time included.
    pub attempts: u32,
    /// By when it should have gone.
    pub go_by: Time,
    /// What went wrong the last time.
    pub detail: String,
    /// A summary's own number, the same at every attempt; of what continues a
    /// summary, that one's.
    pub letter: Option<i64>,
}

pub(super) fn kind_of(row: &Row<'_>, column: usize) -> rusqlite::Result<MailKind> {
    let number = row.get(column)?;
    MailKind::from_number(number)
        .ok_or(rusqlite::Error::IntegralValueOutOfRange(column, i64::from(number)))
}

fn request_of(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<RequestId>> {
    Ok(row.get::<_, Option<[u8; 16]>>(column)?.map(RequestId::from_bytes))
}
