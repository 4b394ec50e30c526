//! What can go wrong on the command line, in three parts: what happened, what
//! to do next, and the exit code.
//!
//! Every message reads `holdpoint: <what>. <what to do next>` on standard error.
//! What to do about the daemon's own reasons stands in `reasons`.

use std::fmt;

use tonic_types::StatusExt;

use super::reasons::{Remedy, remedy};
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
        Failure { what, next, exit: exit::OTHER, reason: String::new() }
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
        Failure { what: format!("[{short}] {}", self.what), ..self }
    }

    /// The daemon's answer as something a person can act on.
    pub fn from_status(status: &tonic::Status) -> Self {
        let details = status.get_error_details();
        let reason = details.error_info().map(|info| info.reason.clone()).unwrap_or_default();
        let mut what = match reason.as_str() {
            // The daemon speaks to programs that send metadata themselves.
            "NO_TOKEN" => "no token was sent".to_owned(),
            _ => safe(status.message().trim_end_matches('.')),
        };
        let violations = details.bad_request().map(|bad| &bad.field_violations[..]);
        for violation in violations.unwrap_or_default() {
            let one = format!("{}: {}", safe(&violation.field), safe(&violation.description));
            if !what.contains(&one) {
                what = if what.is_empty() { one } else { format!("{what}; {one}") };
            }
        }
        if what.is_empty() {
            what =
                if reason.is_empty() { status.code().description().into() } else { safe(&reason) };
        }
        let Remedy { next, exit } = remedy(&reason, status.code());
        Failure { what, next: next.to_owned(), exit, reason }
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

/// An answer as the daemon refuses, for tests.
#[cfg(test)]
pub(super) fn refused_by_daemon(code: tonic::Code, reason: &str, message: &str) -> tonic::Status {
    let details = tonic_types::ErrorDetails::with_error_info(
        reason,
        "holdpoint",
        std::collections::HashMap::<String, String>::new(),
    );
    tonic::Status::with_error_details(code, message, details)
}

#[cfg(test)]
mod tests {
    use super::refused_by_daemon as status;
    use super::*;

    #[test]
    fn a_refusal_says_what_to_do_next_and_names_the_request() {
        let refused =
            status(tonic::Code::FailedPrecondition, "DIGEST_MISMATCH", "the digest differs");
        let failure = Failure::from(refused).about("019ac5a2-7d5c-7cc3-98a5-3f1c2b4d5e6f");
        let text = failure.to_string();
        assert_eq!(text, "[2b4d5e6f] the digest differs. `holdpoint show` has what is asked.");
        assert_eq!(failure.exit, exit::OTHER);
    }

    #[test]
    fn field_violations_are_named_once() {
        let mut details = tonic_types::ErrorDetails::with_error_info(
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
    fn an_unreachable_daemon_ends_with_13() {
        assert_eq!(Failure::from(tonic::Status::unavailable("refused")).exit, exit::REFUSED);
    }
}
