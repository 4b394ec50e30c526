//! What can go wrong on the command line, in three parts: what happened, what
//! to do next, and the exit code.
//!
//! The daemon's reasons are mapped in one table, [`REASONS`]: a reason that is
//! added to the contract gets its line there, and nowhere else. Every message
//! reads `holdpoint: <what>. <what to do next>` on stderr.

use std::fmt;

use tonic_types::StatusExt;

use super::text::safe;

/// Exit codes, the same for every command.
///
/// | code | meaning |
/// |---|---|
/// | 0 | done; for `request`: approved |
/// | 1 | anything that has no code of its own |
/// | 2 | wrong usage; nothing was asked |
/// | 10 | denied |
/// | 11 | expired: nobody answered in time |
/// | 12 | withdrawn |
/// | 13 | the daemon cannot be reached, or it refused the call |
/// | 120 to 123 | `exec` did not run the command: as 10 to 13 |
/// | 126, 127 | `exec`: the command cannot be run, or was not found |
/// | 128+n | `exec`: signal n ended the command |
pub mod exit {
    /// Done; for `request`: approved.
    pub const OK: u8 = 0;
    /// Anything that has no code of its own.
    pub const OTHER: u8 = 1;
    /// Wrong usage; nothing was asked.
    pub const USAGE: u8 = 2;
    /// An operator said no.
    pub const DENIED: u8 = 10;
    /// Nobody answered in time.
    pub const EXPIRED: u8 = 11;
    /// The caller took it back.
    pub const WITHDRAWN: u8 = 12;
    /// The daemon cannot be reached, or refused the call.
    pub const REFUSED: u8 = 13;
    /// `exec` adds this where the command did not run.
    pub const NOT_RUN: u8 = 110;
    /// `exec`: found, but cannot be run.
    pub const CANNOT_RUN: u8 = 126;
    /// `exec`: not found.
    pub const NOT_FOUND: u8 = 127;
    /// `exec`: a signal ended it; the signal's number is added.
    pub const SIGNALLED: u8 = 128;
}

/// Why a command ends without having done what was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// What happened, without a full stop. Empty: end quietly.
    pub what: String,
    /// What to do next, as a sentence; may be empty.
    pub next: String,
    /// How the process exits.
    pub exit: u8,
    /// The daemon's reason, where the daemon said it; empty otherwise.
    pub reason: String,
}

/// What every command returns.
pub type Done<T = ()> = Result<T, Failure>;

impl Failure {
    /// Something that has no exit code of its own.
    pub fn new(what: impl Into<String>, next: impl Into<String>) -> Self {
        let (what, next) = (what.into(), next.into());
        Failure {
            what,
            next,
            exit: exit::OTHER,
            reason: String::new(),
        }
    }

    /// The command was not understood; nothing was asked.
    pub fn usage(what: impl Into<String>, next: impl Into<String>) -> Self {
        Failure::new(what, next).with_exit(exit::USAGE)
    }

    /// The daemon cannot be reached.
    pub fn unreachable(what: impl Into<String>, next: impl Into<String>) -> Self {
        Failure::new(what, next).with_exit(exit::REFUSED)
    }

    /// Ends with this code and says nothing: what there was to say was said, or
    /// nobody listens any more.
    pub fn quiet(exit: u8) -> Self {
        Failure::new("", "").with_exit(exit)
    }

    /// The same with another exit code.
    pub fn with_exit(self, exit: u8) -> Self {
        Failure { exit, ..self }
    }

    /// The same, naming the request that it is about by its short id.
    pub fn about(self, id: &str) -> Self {
        let short = super::text::short(id);
        if short.is_empty() || self.what.is_empty() || self.what.contains(&short) {
            return self;
        }
        Failure {
            what: format!("[{short}] {}", self.what),
            ..self
        }
    }

    /// The daemon's answer as something a person can act on.
    pub fn from_status(status: &tonic::Status) -> Self {
        let details = status.get_error_details();
        let reason = details
            .error_info()
            .map(|info| info.reason.clone())
            .unwrap_or_default();
        let known = REASONS.iter().find(|known| known.reason == reason);
        let mut what = safe(status.message().trim_end_matches('.'));
        let violations = details.bad_request().map(|bad| &bad.field_violations[..]);
        for violation in violations.unwrap_or_default() {
            let one = format!(
                "{}: {}",
                safe(&violation.field),
                safe(&violation.description)
            );
            if !what.contains(&one) {
                what = if what.is_empty() {
                    one
                } else {
                    format!("{what}; {one}")
                };
            }
        }
        if what.is_empty() {
            what = if reason.is_empty() {
                status.code().description().into()
            } else {
                safe(&reason)
            };
        }
        let (next, exit) = match known {
            Some(known) => (known.next, known.exit),
            None => without_reason(status.code()),
        };
        Failure {
            what,
            next: next.to_owned(),
            exit,
            reason,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.what.trim_end_matches('.'))?;
        f.write_str(".")?;
        if !self.next.is_empty() {
            write!(f, " {}", self.next)?;
        }
        Ok(())
    }
}

impl std::error::Error for Failure {}

impl From<tonic::Status> for Failure {
    fn from(status: tonic::Status) -> Self {
        Failure::from_status(&status)
    }
}

/// A reason of the contract and what the command line makes of it.
struct Known {
    reason: &'static str,
    next: &'static str,
    /// For commands of operators; `request` and `exec` end every refusal with 13.
    exit: u8,
}

const fn known(reason: &'static str, exit: u8, next: &'static str) -> Known {
    Known { reason, next, exit }
}

/// Every reason of `types.proto`.
const REASONS: &[Known] = &[
    known(
        "INVALID_FIELD",
        exit::OTHER,
        "Mend what is named and try again.",
    ),
    known(
        "INVALID_ARGUMENTS",
        exit::OTHER,
        "Mend the arguments: they have to mean exactly one thing.",
    ),
    known(
        "CALL_ID_REUSED",
        exit::OTHER,
        "Ask again: a new attempt gets a call id of its own.",
    ),
    known(
        "NO_TOKEN",
        exit::OTHER,
        "Set HOLDPOINT_TOKEN or HOLDPOINT_TOKEN_FILE; `holdpoint doctor` shows what is missing.",
    ),
    known(
        "BAD_TOKEN",
        exit::OTHER,
        "Ask an admin for a new token (`holdpoint token` makes one).",
    ),
    known(
        "WRONG_ROLE",
        exit::OTHER,
        "Use a token whose identity has that role; `holdpoint whoami` shows who you are.",
    ),
    known(
        "NOT_ON_BEHALF",
        exit::OTHER,
        "Have this person added to the caller's acts_for, or leave --on-behalf-of out.",
    ),
    known(
        "OWN_CALL",
        exit::OTHER,
        "Ask another operator to decide it.",
    ),
    known(
        "NOT_ROUTED",
        exit::OTHER,
        "Only the operators who are asked can decide it; `holdpoint show` names them.",
    ),
    known(
        "NOT_FOUND",
        exit::OTHER,
        "See `holdpoint pending` (operators) or `holdpoint mine` (callers) for the ids you may see.",
    ),
    known(
        "NOT_ENOUGH_OPERATORS",
        exit::OTHER,
        "Have operators added to the groups of the route that is named, then ask again.",
    ),
    known(
        "DIGEST_MISMATCH",
        exit::OTHER,
        "What you saw is not what is asked: look again with `holdpoint show`.",
    ),
    known(
        "NOT_PENDING",
        exit::OTHER,
        "Nothing was changed; `holdpoint show` has the whole story.",
    ),
    known(
        "ALREADY_DECIDED",
        exit::OTHER,
        "Your approval counts already; others have to approve too.",
    ),
    known(
        "NOT_APPROVED",
        exit::OTHER,
        "It must not run. Ask again if it is still needed.",
    ),
    known(
        "ALREADY_GRANTED",
        exit::OTHER,
        "Whether it ran is not known here: look before you ask again.",
    ),
    known(
        "USED",
        exit::OTHER,
        "Another attempt holds this approval. Ask again if it is still needed.",
    ),
    known(
        "LAPSED",
        exit::OTHER,
        "The approval was not used in time. Ask again.",
    ),
    known(
        "NOT_TAKEN",
        exit::OTHER,
        "There is no use to renew or to report on.",
    ),
    known(
        "OUTCOME_RECORDED",
        exit::OTHER,
        "Another outcome is recorded already; `holdpoint show` has it.",
    ),
    known(
        "NOT_DENIED",
        exit::OTHER,
        "There is no remembered denial to lift.",
    ),
    known(
        "CLOCK_IN_DOUBT",
        exit::OTHER,
        "Mend the clock of the daemon's machine, or have an admin confirm it.",
    ),
    known(
        "TOO_MANY_PENDING",
        exit::OTHER,
        "Wait until some are decided, or withdraw some (`holdpoint mine`).",
    ),
    known(
        "TOO_MANY_HELD",
        exit::OTHER,
        "The daemon holds as many calls as it is allowed to; try again later.",
    ),
    known("OVERLOADED", exit::OTHER, "Try again shortly."),
    known(
        "STORE_UNAVAILABLE",
        exit::OTHER,
        "Nothing was recorded. See the daemon's log (disk, permissions), then try again.",
    ),
    known(
        "UNKNOWN_COMMIT",
        exit::OTHER,
        "It may or may not be recorded: look before you try again.",
    ),
    known(
        "SHUTTING_DOWN",
        exit::REFUSED,
        "The daemon stops; start it again and try again.",
    ),
    known(
        "BAD_PAGE_TOKEN",
        exit::OTHER,
        "Begin again from the first page.",
    ),
    known(
        "INTERNAL",
        exit::OTHER,
        "This is a defect of Holdpoint: please report it, with the daemon's log.",
    ),
];

/// For answers that carry no reason of ours: from the transport, or from
/// something that is not a holdpoint daemon.
fn without_reason(code: tonic::Code) -> (&'static str, u8) {
    match code {
        tonic::Code::Unavailable | tonic::Code::Cancelled | tonic::Code::DeadlineExceeded => (
            "Is the daemon running? `holdpoint doctor` looks.",
            exit::REFUSED,
        ),
        tonic::Code::Unimplemented => (
            "What answers there does not speak this version: check HOLDPOINT_SERVER and the daemon's version.",
            exit::REFUSED,
        ),
        _ => (
            "`holdpoint doctor` looks at what may be wrong.",
            exit::OTHER,
        ),
    }
}

/// Whether asking the same thing again, with the same call id, may help: the
/// daemon is away or said so itself.
pub fn worth_retrying(status: &tonic::Status) -> bool {
    match reason_of(status).as_deref() {
        Some("STORE_UNAVAILABLE" | "UNKNOWN_COMMIT" | "SHUTTING_DOWN" | "OVERLOADED") => true,
        Some(_) => false,
        // Without a reason it is the transport that speaks: a connection that
        // broke shows as any of these, depending on where it broke.
        None => matches!(
            status.code(),
            tonic::Code::Unavailable
                | tonic::Code::Unknown
                | tonic::Code::Cancelled
                | tonic::Code::DeadlineExceeded
                | tonic::Code::Internal
        ),
    }
}

/// Whether it is certain that nothing was done, so that asking again cannot
/// meet what an earlier attempt left behind.
pub fn certainly_not_done(status: &tonic::Status) -> bool {
    !matches!(
        reason_of(status).as_deref(),
        None | Some("UNKNOWN_COMMIT" | "SHUTTING_DOWN")
    )
}

/// The machine-readable reason, if the daemon gave one.
pub fn reason_of(status: &tonic::Status) -> Option<String> {
    let info = status.get_details_error_info()?;
    (info.domain == "holdpoint").then_some(info.reason)
}

#[cfg(test)]
mod tests {
    use tonic_types::{ErrorDetails, StatusExt};

    use super::*;

    fn status(code: tonic::Code, reason: &str, message: &str) -> tonic::Status {
        let details = ErrorDetails::with_error_info(
            reason,
            "holdpoint",
            std::collections::HashMap::<String, String>::new(),
        );
        tonic::Status::with_error_details(code, message, details)
    }

    #[test]
    fn every_reason_of_the_contract_has_a_remedy() {
        let contract = include_str!("../../proto/holdpoint/v1/types.proto");
        let rows = contract
            .lines()
            .filter_map(|line| line.strip_prefix("//   "));
        let mut seen = 0;
        for row in rows.skip_while(|row| !row.starts_with("reason ")).skip(1) {
            let words: Vec<&str> = row
                .split_whitespace()
                .map(|w| w.trim_matches(','))
                .collect();
            let is_reason =
                |w: &&&str| w.len() >= 4 && w.chars().all(|c| c.is_ascii_uppercase() || c == '_');
            let reasons = words.iter().take_while(is_reason).take(2);
            let codes = [
                "NOT_FOUND",
                "INTERNAL",
                "ALREADY_EXISTS",
                "UNAVAILABLE",
                "UNAUTHENTICATED",
            ];
            for (position, reason) in reasons.enumerate() {
                let is_code = position > 0 && *reason != "BAD_TOKEN";
                if is_code || (position > 0 && codes.contains(reason)) {
                    continue;
                }
                seen += 1;
                assert!(
                    REASONS.iter().any(|known| known.reason == *reason),
                    "{reason} has no remedy"
                );
            }
        }
        assert_eq!(seen, REASONS.len());
    }

    #[test]
    fn a_refusal_says_what_to_do_next_and_names_the_request() {
        let refused = status(
            tonic::Code::FailedPrecondition,
            "DIGEST_MISMATCH",
            "the digest differs",
        );
        let failure = Failure::from(refused).about("019ac5a2-7d5c-7cc3-98a5-3f1c2b4d5e6f");
        let text = failure.to_string();
        assert_eq!(
            text,
            "[2b4d5e6f] the digest differs. What you saw is not what is asked: look again with `holdpoint show`."
        );
        assert_eq!(failure.exit, exit::OTHER);
    }

    #[test]
    fn field_violations_are_named_once() {
        let mut details = ErrorDetails::with_error_info(
            "INVALID_FIELD",
            "holdpoint",
            std::collections::HashMap::<String, String>::new(),
        );
        details.add_bad_request_violation("call.tool", "is empty");
        let refused = tonic::Status::with_error_details(
            tonic::Code::InvalidArgument,
            "call.tool: is empty",
            details,
        );
        assert_eq!(Failure::from(refused).what, "call.tool: is empty");
    }

    #[test]
    fn a_broken_connection_is_worth_retrying_and_a_refusal_is_not() {
        assert!(worth_retrying(&tonic::Status::unavailable(
            "connection refused"
        )));
        assert!(worth_retrying(&status(
            tonic::Code::Unavailable,
            "UNKNOWN_COMMIT",
            ""
        )));
        assert!(!worth_retrying(&status(
            tonic::Code::NotFound,
            "NOT_FOUND",
            ""
        )));
        assert!(certainly_not_done(&status(
            tonic::Code::Unavailable,
            "STORE_UNAVAILABLE",
            ""
        )));
        assert!(!certainly_not_done(&tonic::Status::unavailable(
            "broken pipe"
        )));
    }

    #[test]
    fn an_unreachable_daemon_ends_with_13() {
        assert_eq!(
            Failure::from(tonic::Status::unavailable("refused")).exit,
            exit::REFUSED
        );
    }
}
