//! The daemon's reasons, and what the command line makes of each: one table.
//! A reason that is added to the contract gets its line here, and nowhere else.

use super::errors::exit;

/// What to do about one reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Remedy {
    /// What to do next, as a sentence.
    pub next: &'static str,
    /// The exit code of an operator's command; `request` and `exec` end every
    /// refusal with 13.
    pub exit: u8,
}

/// What to do about an answer with this reason (may be empty) and code.
pub fn remedy(reason: &str, code: tonic::Code) -> Remedy {
    let Some((_, next)) = REASONS.iter().find(|(known, _)| *known == reason) else {
        return without_reason(code);
    };
    let away = reason == "SHUTTING_DOWN";
    Remedy { next, exit: if away { exit::REFUSED } else { exit::OTHER } }
}

/// Every reason of `types.proto`, and what to do next.
#[rustfmt::skip]
const REASONS: &[(&str, &str)] = &[
    ("INVALID_FIELD", "Mend what is named and try again."),
    ("INVALID_ARGUMENTS", "Mend the arguments: they have to mean exactly one thing."),
    ("CALL_ID_REUSED", "Ask again: a new attempt gets a call id of its own."),
    ("HANDLE_REUSED", "Ask again with a new handle: this one stands for another request."),
    ("NO_TOKEN", "Set HOLDPOINT_TOKEN, or HOLDPOINT_TOKEN_FILE to the file that holds it; `holdpoint token new` makes one."),
    ("BAD_TOKEN", "`holdpoint token new` makes one."),
    ("WRONG_ROLE", "`holdpoint whoami` shows who you are."),
    ("NOT_ON_BEHALF", "Have this person added to the caller's acts_for, or leave --on-behalf-of out."),
    ("OWN_CALL", "Ask another operator to decide it."),
    ("NOT_ROUTED", "Only the operators who are asked can decide it; `holdpoint show` names them."),
    ("NOT_FOUND", "See `holdpoint pending` (operators) or `holdpoint mine` (callers) for the ids you may see."),
    ("NO_SUCH_ROUTE", "Have the route added to the daemon's configuration, or another named in the policy."),
    ("NOT_ENOUGH_OPERATORS", "Have operators added to the groups of the route that is named, then ask again."),
    ("DIGEST_MISMATCH", "`holdpoint show` has what is asked."),
    ("NOT_PENDING", "Nothing was changed; `holdpoint show` has the whole story."),
    ("ALREADY_DECIDED", "Nothing was changed."),
    ("NOT_APPROVED", "It must not run. Ask again if it is still needed."),
    ("ALREADY_GRANTED", "Whether it ran is not known here: look before you ask again."),
    ("USED", "Another attempt holds this approval. Ask again if it is still needed."),
    ("LAPSED", "The approval was not used in time. Ask again."),
    ("NOT_TAKEN", "There is no use to renew or to report on."),
    ("OUTCOME_RECORDED", "Another outcome is recorded already; `holdpoint show` has it."),
    ("NOT_DENIED", "Nothing was changed; `holdpoint show` has the whole story."),
    ("MAIL_NOT_RETRYABLE", "Nothing was changed; `holdpoint mail queue` has what can be tried again."),
    ("CLOCK_IN_DOUBT", "Mend the clock of the daemon's machine, or have an admin confirm it."),
    ("TOO_MANY_PENDING", "Wait until some are decided, or withdraw some (`holdpoint mine`)."),
    ("TOO_MANY_HELD", "The daemon holds as many calls as it is allowed to; try again later."),
    ("OVERLOADED", "Try again shortly."),
    ("STORE_UNAVAILABLE", "Nothing was recorded. See the daemon's log (disk, permissions), then try again."),
    ("UNKNOWN_COMMIT", "It may or may not be recorded: look before you try again."),
    ("SHUTTING_DOWN", "The daemon stops; start it again and try again."),
    ("BAD_PAGE_TOKEN", "Begin again from the first page."),
    ("INTERNAL", "This is a defect of Holdpoint: please report it, with the daemon's log."),
];

/// For answers that carry no reason of ours: from the transport, or from
/// something that is not a holdpoint daemon.
fn without_reason(code: tonic::Code) -> Remedy {
    use tonic::Code;
    let (next, exit) = match code {
        Code::Unavailable | Code::Cancelled | Code::DeadlineExceeded => {
            ("Is the daemon running? `holdpoint doctor` looks.", exit::REFUSED)
        }
        Code::Unimplemented => (
            "What answers there does not speak this version: check HOLDPOINT_SERVER, and the daemon's version.",
            exit::REFUSED,
        ),
        _ => ("`holdpoint doctor` looks at what may be wrong.", exit::OTHER),
    };
    Remedy { next, exit }
}

#[cfg(test)]
mod tests {
    use super::super::errors::refused_by_daemon as status;
    use super::*;
    use crate::client::{certainly_not_done, worth_retrying};

    #[test]
    fn every_reason_of_the_contract_has_a_remedy() {
        let contract = include_str!("../../proto/holdpoint/v1/types.proto");
        let rows = contract.lines().filter_map(|line| line.strip_prefix("//   "));
        let mut seen = 0;
        for row in rows.skip_while(|row| !row.starts_with("reason ")).skip(1) {
            let words: Vec<&str> = row.split_whitespace().map(|w| w.trim_matches(',')).collect();
            let is_reason =
                |w: &&&str| w.len() >= 4 && w.chars().all(|c| c.is_ascii_uppercase() || c == '_');
            let reasons = words.iter().take_while(is_reason).take(2);
            let codes =
                ["NOT_FOUND", "INTERNAL", "ALREADY_EXISTS", "UNAVAILABLE", "UNAUTHENTICATED"];
            for (position, reason) in reasons.enumerate() {
                let is_code = position > 0 && *reason != "BAD_TOKEN";
                if is_code || (position > 0 && codes.contains(reason)) {
                    continue;
                }
                seen += 1;
                assert!(REASONS.iter().any(|(known, _)| known == reason), "{reason} has no remedy");
            }
        }
        assert_eq!(seen, REASONS.len());
        for (reason, _) in REASONS {
            assert!(crate::metrics::REASONS.contains(reason), "{reason} is not counted");
        }
        // And what no reason stands for.
        assert_eq!(crate::metrics::REASONS.len(), REASONS.len() + 1);
    }

    #[test]
    fn a_broken_connection_is_worth_retrying_and_a_refusal_is_not() {
        assert!(worth_retrying(&tonic::Status::unavailable("connection refused")));
        assert!(worth_retrying(&status(tonic::Code::Unavailable, "UNKNOWN_COMMIT", "")));
        assert!(!worth_retrying(&status(tonic::Code::NotFound, "NOT_FOUND", "")));
        assert!(certainly_not_done(&status(tonic::Code::Unavailable, "STORE_UNAVAILABLE", "")));
        assert!(!certainly_not_done(&tonic::Status::unavailable("broken pipe")));
    }
}
