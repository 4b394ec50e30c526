//! What can go wrong in the store, and what to do about it.
//!
//! Two kinds: a [`Refusal`] is the domain saying no, with nothing changed; every
//! other [`StoreError`] is the store itself failing. Neither knows of gRPC; the
//! table that maps them to status codes stands in `grpc::errors`.

use crate::call::ids::RequestId;
use crate::call::model::{Status, Use};
use crate::call::time::Time;

/// The domain says no. Nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// No such request, or not the asker's.
    #[error("no such request, or not yours")]
    NotFound,
    /// A call id stands for one call.
    #[error("request {}: this call id already stands for another call; use a new call id", .0.short())]
    CallIdReused(RequestId),
    /// A handle stands for one request.
    #[error("this handle already stands for another request ({}); use a new handle", .0.short())]
    HandleReused(RequestId),
    /// Someone decides or runs something other than what was shown.
    #[error("request {}: the digest named is another call's; nothing was changed: look at the request again, and run or decide only what it shows", .0.short())]
    DigestMismatch(RequestId),
    /// It has ended.
    #[error("request {} is not pending any more: {how}", .id.short())]
    NotPending {
        /// Which.
        id: RequestId,
        /// How it ended.
        status: Status,
        /// How, by whom and when, in words.
        how: String,
    },
    /// One person counts once.
    #[error("request {}: {operator} has approved it already; more people must approve", .id.short())]
    AlreadyDecided {
        /// Which.
        id: RequestId,
        /// Who.
        operator: String,
    },
    /// A link decides once.
    #[error("request {}: this link has been used to decide; sign in to decide again", .0.short())]
    LinkUsed(RequestId),
    /// A link is not enough.
    #[error("request {}: route \"{route}\" demands a sign-in, so the link of a mail does not decide; sign in", .id.short())]
    SignInNeeded {
        /// Which.
        id: RequestId,
        /// Which route says so.
        route: String,
    },
    /// This person may not decide this request.
    #[error("request {}: {why}", .id.short())]
    NotEntitled {
        /// Which.
        id: RequestId,
        /// Because it was made on their own behalf.
        own_call: bool,
        /// In words.
        why: String,
    },
    /// No use is granted because it is not approved.
    #[error("request {} is {status}, not approved: the call must not run", .id.short())]
    NotApproved {
        /// Which.
        id: RequestId,
        /// What it is instead.
        status: Status,
    },
    /// The same call id holds the use already.
    #[error("request {}: the use was granted to this call id already; run the call only if this very process knows that it has not begun", .0.short())]
    AlreadyGranted(RequestId),
    /// Another call id has it.
    #[error("request {}: another call id holds or took the use; this call must not run", .0.short())]
    Used(RequestId),
    /// Not used in time.
    #[error("request {}: the approval lapsed unused; make the call again to ask again", .0.short())]
    Lapsed(RequestId),
    /// Nothing to renew or to report on.
    #[error("request {}: its use is {}; there is nothing to renew or report", .id.short(), .use_.word())]
    NotTaken {
        /// Which.
        id: RequestId,
        /// What became of its use.
        use_: Use,
    },
    /// Another outcome stands already.
    #[error("request {}: outcome {recorded} is recorded already; the call must not run again", .id.short())]
    OutcomeRecorded {
        /// Which.
        id: RequestId,
        /// What is recorded.
        recorded: &'static str,
    },
    /// No remembered denial.
    #[error("request {}: there is no remembered denial to lift", .0.short())]
    NotDenied(RequestId),
    /// The wall clock stands before the newest audit entry.
    #[error("the daemon's clock is in doubt: it stands before {}, the time of the newest audit entry; mend the clock, or let an admin run `holdpoint confirm-clock`", .0.rfc3339())]
    ClockInDoubt(Time),
    /// Nothing of that number in the outbox.
    #[error("there is no mail {0}")]
    NoSuchMail(i64),
    /// Trying it again would help nobody.
    #[error("mail {id} is not tried again: {why}")]
    MailNotRetryable {
        /// Which.
        id: i64,
        /// Why not, and what to do.
        why: String,
    },
    /// No such change of a definition, or not the asker's.
    #[error("no such change of a tool's definition, or not yours")]
    NoSuchChange,
    /// This person may not accept it.
    #[error("you may look at this tool's definition, but not accept it: {0}")]
    MayNotAccept(String),
    /// All changes of definitions that are remembered wait.
    #[error(
        "{0} tools of caller {1} wait with a changed definition, which is the limit; accept some (`holdpoint policy accept`)"
    )]
    TooManyDefinitions(i64, String),
    /// A limit on pending requests.
    #[error(
        "{who} has {limit} requests pending, which is the limit ({key}); wait for decisions or withdraw some"
    )]
    TooManyPending {
        /// The caller or client.
        who: String,
        /// How many are allowed.
        limit: u32,
        /// The configuration key.
        key: &'static str,
    },
}

/// Why a transition or a read did not happen.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// The domain said no.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// Nothing was recorded.
    #[error(
        "the store cannot write now, and nothing was recorded: {0}; ask again with the same call id"
    )]
    Unavailable(String),
    /// The commit failed: it may or may not be on disk.
    #[error("it is unknown whether this was recorded: {0}; ask again with the same call id")]
    UnknownCommit(String),
    /// The write queue is full.
    #[error("the write queue is full; ask again shortly with the same call id")]
    Overloaded,
    /// The store has been closed.
    #[error("the daemon is stopping; ask again with the same call id")]
    Stopped,
    /// A row does not mean what it should.
    #[error("the database holds something that Holdpoint did not write: {0}")]
    Corrupt(String),
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        StoreError::Unavailable(error.to_string())
    }
}
