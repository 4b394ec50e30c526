//! The words that an agent's model reads instead of a result.
//!
//! Each says first whether the call ran, then why, then whether making the same
//! call again helps: models repeat a call that failed unless they are told, and
//! take "not yet" for "no". A time-out is never told as a person's "no".

use std::fmt;
use std::time::Duration;

use crate::call::ids::RequestId;
use crate::call::safe_text::SafeText;
use crate::client::reason_of;
use crate::hold::{Held, Trouble};
use crate::proto;

/// The policy says no.
pub fn denied_by_policy(reason: &str) -> String {
    format!(
        "Not run: the policy does not allow this call. {} Making the same call again will not help.",
        sentence(reason)
    )
}

/// A limit of the policy is used up.
pub fn limited(reason: &str, again_in: Option<Duration>) -> String {
    format!("Not run: a limit of the policy is used up. {} {}", sentence(reason), again(again_in))
}

/// The same for a call that was approved.
pub fn limited_after_approval(reason: &str, again_in: Option<Duration>) -> String {
    format!(
        "Not run yet: it was approved, but a limit of the policy is used up. {} {} The approval stays unused until then.",
        sentence(reason),
        again(again_in)
    )
}

fn again(again_in: Option<Duration>) -> String {
    match again_in {
        // A call that comes a moment too early would be refused once more.
        Some(wait) => {
            let wait = duration(wait + Duration::from_millis(999));
            format!("Making the same call again may pass in {wait}, not sooner.")
        }
        None => "Making the same call again may pass later.".to_owned(),
    }
}

/// What the policy counts cannot be read or written.
pub fn cannot_count(why: &str) -> String {
    format!(
        "Not run: what the policy has to know of earlier calls cannot be read: {} Tell the user that whoever runs the proxy has to mend it.",
        sentence(&line(why))
    )
}

/// A call that is not to run unrecorded could not be recorded.
pub fn not_recorded(why: &str) -> String {
    format!(
        "Not run: every call has to be recorded before it runs, and this one could not be: {} Making the same call again in a minute may help; if it does not, tell the user.",
        sentence(&line(why))
    )
}

/// A person said no.
pub fn denied(answer: &proto::ApprovalAnswer) -> String {
    let decision = answer.decisions.last();
    let by = decision.map(|d| line(&d.operator)).filter(|by| !by.is_empty());
    let by = by.unwrap_or_else(|| "an operator".to_owned());
    let reason = decision.map(|d| line(&d.reason)).filter(|reason| !reason.is_empty());
    let reason = reason.map_or_else(
        || "No reason was given.".to_owned(),
        |reason| format!("The reason given: {}", sentence(&reason)),
    );
    format!(
        "Not run: {by} denied this call. {reason} Do not make the same call again, and do not seek the same effect by another tool or other arguments unless the reason allows it; tell the user."
    )
}

/// Nobody answered in time.
pub fn expired(answer: Option<&proto::ApprovalAnswer>) -> String {
    let asked = answer.map(|a| line(&a.asked)).filter(|asked| !asked.is_empty());
    let asked = asked.unwrap_or_else(|| "an operator".to_owned());
    format!(
        "Not run: this call needs approval by {asked}, and nobody answered in time. That is not a refusal: nobody decided. Making the same call again asks again; tell the user that approval is missing before you do."
    )
}

/// The caller took the request back.
pub const WITHDRAWN: &str =
    "Not run: the request for approval was withdrawn. Making the same call again asks again.";

/// Still pending when this client cannot wait any longer.
pub fn waiting(held: &Held, told: Option<&str>) -> String {
    let left = duration(held.left());
    let (asked, request) = (line(&held.answer.asked), short(&held.answer.id));
    let looked = match held.answer.looked_count {
        0 if held.answer.nobody_reached => " Nobody could be reached yet.",
        0 => " Nobody has looked yet.",
        _ => " Somebody has looked at it.",
    };
    let before = match held.answer.may_have_run_count {
        0 => "",
        _ => {
            " The same call was approved before, and it is not known how that ended: look whether it has run already."
        }
    };
    let said = format!(
        "Not run yet: this call waits for approval by {asked} (request {request}, until {until}, {left} left).{looked}{before} To go on waiting, make exactly the same call again with the same arguments, in this session: the wait continues where it is. It is not refused, and other arguments would be another request.",
        until = clock(&held.answer.deadline),
    );
    with_told(said, told)
}

/// With what the policy says of such calls, which whoever runs the proxy wrote, if it
/// says something.
pub fn with_told(said: String, told: Option<&str>) -> String {
    match told {
        Some(told) => {
            format!("{said} What the policy says of this call: {}", sentence(&line(told)))
        }
        None => said,
    }
}

/// What is told while it waits.
pub fn progress(held: &Held, away: bool, told: Option<&str>) -> String {
    let left = duration(held.left());
    let asked = line(&held.answer.asked);
    let looked = match held.answer.looked_count {
        _ if away => "and the approval daemon is away just now".to_owned(),
        0 if held.answer.nobody_reached => "nobody could be reached yet".to_owned(),
        0 => "nobody has looked yet".to_owned(),
        1 => "one person has looked".to_owned(),
        n => format!("{n} people have looked"),
    };
    let told = told.map_or_else(String::new, |told| format!(". {}", line(told)));
    format!("waiting for approval by {asked}, {left} left, {looked}{told}")
}

/// While the daemon was not heard of yet.
pub const ASKING: &str = "waiting for the approval daemon";

/// The daemon is away, or refuses.
pub fn trouble(trouble: &Trouble) -> String {
    match trouble {
        Trouble::Away(_) => "Not run: this call needs approval, and the approval service cannot be reached. Nobody refused it. Making the same call again in a minute may help; if it does not, tell the user that the approval service is away.".to_owned(),
        Trouble::Refused(status) => refused_by_daemon(status),
        Trouble::Strange(what) => format!(
            "Not run: {what}. Making the same call again will not help; tell the user."
        ),
    }
}

/// The proxy's own token is none, or of the wrong kind: nothing that an agent should
/// try to mend.
const NOT_SET_UP: &str = "Not run: this call needs approval, and the proxy is not set up to ask for it: the approval service does not accept the proxy's own token (not yours). Making the same call again will not help; tell the user that whoever runs the proxy has to give it a valid caller's token.";

fn refused_by_daemon(status: &tonic::Status) -> String {
    let said = sentence(&line(status.message()));
    let next = match reason_of(status).as_deref() {
        Some("TOO_MANY_PENDING" | "TOO_MANY_HELD") => {
            "Too many calls wait already: making the same call again helps once some of them are decided."
        }
        Some("LAPSED" | "USED" | "NOT_APPROVED" | "ALREADY_GRANTED" | "OUTCOME_RECORDED") => {
            "Making the same call again asks for a new approval."
        }
        Some("CLOCK_IN_DOUBT") => {
            "Making the same call again helps once an administrator has mended it."
        }
        Some("INVALID_ARGUMENTS") => "Mend the arguments.",
        Some("NO_TOKEN" | "BAD_TOKEN" | "WRONG_ROLE") => return NOT_SET_UP.to_owned(),
        _ => "Making the same call again will not help; tell the user.",
    };
    format!("Not run: the approval service did not take this call. {said} {next}")
}

/// What changed between the question and the approval.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Since {
    /// The policy came to deny it, for this reason.
    Denied(String),
    /// Something else, as the end of a sentence.
    Other(String),
}

impl fmt::Display for Since {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Since::Denied(reason) => write!(f, "the policy came to deny it: {}", line(reason)),
            Since::Other(what) => f.write_str(&line(what)),
        }
    }
}

/// It was approved, and something has changed since it was asked.
pub fn changed(since: &Since) -> String {
    let next = match since {
        Since::Denied(_) => "Making the same call again will not help.",
        Since::Other(_) => "Making the same call again asks anew, under what holds now.",
    };
    format!("Not run: it was approved, but since then {} {next}", sentence(&since.to_string()))
}

/// What changed between what the server asked and the client's answer.
pub fn not_continued(what: &str) -> String {
    format!(
        "Not continued: the server asked for input in the middle of this call, and since it was approved {what}. What it did before it asked may stand. Making the same call again, without the answers, asks anew, under what holds now."
    )
}

/// It cannot be told whether anything changed since it was approved.
pub fn cannot_check(why: &str) -> String {
    format!(
        "Not run yet: it was approved, but whether the tool is still what was approved cannot be told: {} Making the same call again tries again with the same approval.",
        sentence(&line(why))
    )
}

/// The server ended while calls were held.
pub fn server_ended(how: &str) -> String {
    format!(
        "Not run: the server ended ({how}) while this call waited for approval. The request for approval stays: once the server runs again, making the same call in the same session continues it."
    )
}

/// The client went away just as the use was taken.
pub const NOBODY_WAITED: &str = "Not run: it was approved, but nobody waited for its answer any more. The approval is used up; making the same call again asks for a new one.";

/// The same, where the server's session is gone with it.
pub fn session_ended(how: &str) -> String {
    format!(
        "Not run: the server ended ({how}) while this call waited for approval, and its session with it. Nobody refused the call. Making the same call again in a new session asks again."
    )
}

/// A call that needed no approval never reached the server.
pub fn did_not_run(why: &str) -> String {
    format!("Not run: {} Making the same call again may help.", sentence(&line(why)))
}

/// A call that needed no approval was sent, and no answer came.
pub fn may_have_run(why: &str) -> String {
    format!(
        "It is not known whether this call ran: {} Do not assume either, and do not simply repeat it: look first at what it would have changed.",
        sentence(&line(why))
    )
}

/// The bytes never reached the server.
pub fn not_sent(why: &str) -> String {
    format!(
        "Not run: it was approved, but the server could not be reached: {} The approval is used up; making the same call again asks for a new one.",
        sentence(&line(why))
    )
}

/// The bytes were sent, and no answer came.
pub fn unknown(why: &str) -> String {
    format!("{} Its approval is used up.", may_have_run(why))
}

/// An approved call runs.
pub const RUNNING: &str = "approved; the server works on it";

/// The server answered with a JSON-RPC error.
pub const JSON_RPC_ERROR: &str = "the server answered the call with an error";

/// The server asked for something in the middle of a call.
pub const INPUT_REQUIRED: &str = "the server asks for input";

/// The client cancelled a task.
pub const CANCELLED: &str = "cancelled by the client before it ran; if the request for approval was kept, making the same call again continues it";

/// No task has this id, or it is another's.
pub const NO_SUCH_TASK: &str = "no task has this id here: it ended long ago, or is not yours";

/// A task may be there, and nobody can tell.
pub const TASK_UNTOLD: &str = "the approval service cannot be reached, and only it knows this task; asking again in a minute may help";

/// What the daemon knows of a task's call whose arguments and result are not here
/// any more.
pub fn recalled(answer: &proto::ApprovalAnswer) -> String {
    use crate::proto::{Outcome, Status, Use};
    let detail = sentence(&line(&answer.outcome_detail));
    match (answer.status(), answer.r#use()) {
        (Status::Pending, _) => format!(
            "Not run yet: the proxy was restarted while this call waited for approval by {}. Make the same call again, with the same arguments: your request continues.",
            line(&answer.asked)
        ),
        (Status::Approved, Use::Unused) => "Not run yet: it was approved, but the proxy was restarted and has lost the arguments. Make the same call again, with the same arguments: your request continues, and the approval counts.".to_owned(),
        (Status::Approved, Use::Lapsed) => "Not run: it was approved, and nobody came for it in time. Making the same call again asks anew.".to_owned(),
        (Status::Approved, _) => match answer.outcome() {
            Outcome::Succeeded => "This call ran and succeeded. Its result is not kept any more: do not repeat the call for it; look at what it changed.".to_owned(),
            Outcome::Failed => format!("This call ran and failed. {detail} What the tool said is not kept any more."),
            _ if detail.is_empty() => unknown("the proxy lost sight of it while it ran"),
            _ => unknown(&detail),
        },
        (Status::Denied, _) => denied(answer),
        (Status::Withdrawn, _) => WITHDRAWN.to_owned(),
        _ => expired(Some(answer)),
    }
}

/// `text` with a full stop at its end.
fn sentence(text: &str) -> String {
    let text = text.trim();
    match text.chars().last() {
        None => String::new(),
        Some('.' | '!' | '?') => text.to_owned(),
        Some(_) => format!("{text}."),
    }
}

fn line(text: &str) -> String {
    SafeText::line(text).to_string()
}

/// The first part of a request's id, by which operators name it.
fn short(id: &str) -> String {
    id.parse::<RequestId>().map_or_else(|_| line(id), |id| id.short())
}

/// `14:05 UTC`
fn clock(rfc3339: &str) -> String {
    match chrono::DateTime::parse_from_rfc3339(rfc3339) {
        Ok(at) => at.with_timezone(&chrono::Utc).format("%H:%M UTC").to_string(),
        Err(_) => line(rfc3339),
    }
}

/// In minutes, and below two in seconds.
fn duration(left: Duration) -> String {
    let secs = left.as_secs();
    let minutes = (secs + 30) / 60;
    match secs {
        0..120 => format!("{secs} s"),
        120..7170 => format!("{minutes} min"),
        _ => format!("{} h {} min", minutes / 60, minutes % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_tells_its_time_once_and_its_rule_in_quotes() {
        let text =
            "default: allow\nrules:\n  - {name: few, rate_limit: {max: 1, window: 60, per: all}}\n";
        let policy = crate::policy::Policy::read(text.as_bytes()).expect("a policy");
        let mut memory = crate::policy::Memory::default();
        let at = chrono::DateTime::UNIX_EPOCH;
        memory.set_time(at);
        let arguments = crate::call::json::Json::Object(Vec::new());
        let from = crate::policy::From::default();
        let call = crate::policy::Call {
            server: "s",
            tool: "t",
            definition: crate::policy::Definition::Unknown,
            arguments: &arguments,
            from,
            at,
        };
        memory.take(&policy.judge(&call, &memory).takes);
        let crate::policy::Action::Limited { reason, again_in } =
            policy.judge(&call, &memory).action
        else {
            panic!("not limited");
        };
        assert_eq!(
            limited(&reason, again_in),
            "Not run: a limit of the policy is used up. At most 1 call in 60 s is allowed by the \
             rule \"few\". Making the same call again may pass in 60 s, not sooner."
        );
    }

    #[test]
    fn time_left_is_said_to_the_minute() {
        let said = |secs| duration(Duration::from_secs(secs));
        assert_eq!(said(59), "59 s");
        assert_eq!(said(899), "15 min");
        assert_eq!(said(7169), "119 min");
        assert_eq!(said(7170), "2 h 0 min");
    }

    #[test]
    fn what_could_not_be_decided_is_never_told_as_a_no() {
        let away = trouble(&Trouble::Away(tonic::Status::unavailable("gone")));
        for said in [expired(None), away, unknown("the server ended"), WITHDRAWN.to_owned()] {
            assert!(!said.contains("denied this call"), "{said}");
        }
        assert!(expired(None).contains("not a refusal"));
    }
}
