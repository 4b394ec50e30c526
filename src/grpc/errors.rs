//! The one table that maps what the desk says to gRPC: code and reason.

use std::collections::HashMap;
use std::error::Error as _;
use std::sync::Arc;

use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};

use crate::call::safe_text::SafeText;
use crate::desk::error::DeskError;
use crate::desk::people::NotOnBehalf;
use crate::store::{Refusal, StoreError};

/// Domain of every `google.rpc.ErrorInfo`.
pub const DOMAIN: &str = "holdpoint";

/// A longer message is cut: it travels in a header.
const LONGEST_MESSAGE: usize = 1024;

/// Why a call was refused, beside the status that says so: whoever counts need not
/// decode what was just encoded, ten thousand times when the daemon stops.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Reason(&'static str);

/// The reason of a status that was made here.
pub fn reason(status: &Status) -> Option<&'static str> {
    status.source()?.downcast_ref::<Reason>().map(|reason| reason.0)
}

/// Makes a status with a machine-readable reason.
pub fn refuse(code: Code, reason: &'static str, message: impl AsRef<str>) -> Status {
    let details = ErrorDetails::with_error_info(reason, DOMAIN, HashMap::new());
    with_details(code, reason, message.as_ref(), details)
}

/// A status with these details; the reason is in them.
pub fn with_details(
    code: Code,
    reason: &'static str,
    message: &str,
    details: ErrorDetails,
) -> Status {
    // Names from outside may stand in a message; a header takes no control characters.
    let message = SafeText::cut_line(message, LONGEST_MESSAGE).0;
    let mut status = Status::with_error_details(code, message.as_str(), details);
    status.set_source(Arc::new(Reason(reason)));
    status
}

/// Known, but not as somebody who may do this.
pub fn wrong_role(what: &str) -> Status {
    refuse(
        Code::PermissionDenied,
        "WRONG_ROLE",
        format!("{what}; use the token of an identity with the right role"),
    )
}

/// One field is wrong.
pub fn bad_field(field: &str, why: &str) -> Status {
    status(DeskError::field(field, why))
}

/// The table.
pub fn status(error: DeskError) -> Status {
    let message = error.to_string();
    let (code, reason) = match &error {
        DeskError::BadFields(fields) => {
            let reason = "INVALID_FIELD";
            let mut details = ErrorDetails::with_error_info(reason, DOMAIN, HashMap::new());
            for field in fields {
                details.add_bad_request_violation(&field.field, &field.why);
            }
            return with_details(Code::InvalidArgument, reason, &message, details);
        }
        DeskError::BadArguments { field, why } => {
            let reason = "INVALID_ARGUMENTS";
            let mut details = ErrorDetails::with_error_info(reason, DOMAIN, HashMap::new());
            details.add_bad_request_violation(*field, why);
            return with_details(Code::InvalidArgument, reason, &message, details);
        }
        DeskError::NotOnBehalf(NotOnBehalf::NotAllowed { .. } | NotOnBehalf::Unsaid { .. }) => {
            (Code::PermissionDenied, "NOT_ON_BEHALF")
        }
        DeskError::NoSuchRoute(_) => (Code::FailedPrecondition, "NO_SUCH_ROUTE"),
        DeskError::NotEnoughOperators(_) => (Code::FailedPrecondition, "NOT_ENOUGH_OPERATORS"),
        DeskError::TooManyHeld(_) => (Code::ResourceExhausted, "TOO_MANY_HELD"),
        DeskError::ShuttingDown => (Code::Unavailable, "SHUTTING_DOWN"),
        DeskError::Store(error) => store(error),
    };
    refuse(code, reason, message)
}

fn store(error: &StoreError) -> (Code, &'static str) {
    match error {
        StoreError::Refused(refusal) => refusal_code(refusal),
        StoreError::Unavailable(_) => (Code::Unavailable, "STORE_UNAVAILABLE"),
        StoreError::UnknownCommit(_) => (Code::Unavailable, "UNKNOWN_COMMIT"),
        StoreError::Overloaded => (Code::ResourceExhausted, "OVERLOADED"),
        StoreError::Stopped => (Code::Unavailable, "SHUTTING_DOWN"),
        StoreError::Corrupt(_) => (Code::Internal, "INTERNAL"),
    }
}

fn refusal_code(refusal: &Refusal) -> (Code, &'static str) {
    use Code::{AlreadyExists, FailedPrecondition, NotFound, PermissionDenied, ResourceExhausted};
    match refusal {
        Refusal::NotFound => (NotFound, "NOT_FOUND"),
        Refusal::CallIdReused(_) => (AlreadyExists, "CALL_ID_REUSED"),
        Refusal::HandleReused(_) => (AlreadyExists, "HANDLE_REUSED"),
        Refusal::DigestMismatch(_) => (FailedPrecondition, "DIGEST_MISMATCH"),
        Refusal::NotPending { .. } => (FailedPrecondition, "NOT_PENDING"),
        Refusal::AlreadyDecided { .. } => (FailedPrecondition, "ALREADY_DECIDED"),
        // Links decide through the pages alone, which have words for these.
        Refusal::LinkUsed(_) => (FailedPrecondition, "ALREADY_DECIDED"),
        Refusal::SignInNeeded { .. } => (PermissionDenied, "NOT_ROUTED"),
        Refusal::NotEntitled { own_call: true, .. } => (PermissionDenied, "OWN_CALL"),
        Refusal::NotEntitled { own_call: false, .. } => (PermissionDenied, "NOT_ROUTED"),
        Refusal::NotApproved { .. } => (FailedPrecondition, "NOT_APPROVED"),
        Refusal::AlreadyGranted(_) => (FailedPrecondition, "ALREADY_GRANTED"),
        Refusal::Used(_) => (FailedPrecondition, "USED"),
        Refusal::Lapsed(_) => (FailedPrecondition, "LAPSED"),
        Refusal::NotTaken { .. } => (FailedPrecondition, "NOT_TAKEN"),
        Refusal::OutcomeRecorded { .. } => (FailedPrecondition, "OUTCOME_RECORDED"),
        Refusal::NotDenied(_) => (FailedPrecondition, "NOT_DENIED"),
        Refusal::NoSuchMail(_) | Refusal::NoSuchChange => (NotFound, "NOT_FOUND"),
        Refusal::MayNotAccept(_) => (PermissionDenied, "NOT_ROUTED"),
        Refusal::MailNotRetryable { .. } => (FailedPrecondition, "MAIL_NOT_RETRYABLE"),
        Refusal::ClockInDoubt(_) => (FailedPrecondition, "CLOCK_IN_DOUBT"),
        Refusal::TooManyPending { .. } | Refusal::TooManyDefinitions(..) => {
            (ResourceExhausted, "TOO_MANY_PENDING")
        }
    }
}
