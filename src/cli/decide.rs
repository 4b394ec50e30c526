//! `approve` and `deny`: one person's decision on exactly what that person saw.
//!
//! On a terminal the whole call is shown and a question asked, and the decision
//! names the digest of what was just shown. Elsewhere the full id and the
//! digest have to be given: a script that decides says what it decides.

use std::io::{self, BufRead, IsTerminal, Write};
use std::time::Duration;

use clap::Args;

use super::client::{Client, Role, brief, no_connection};
use super::errors::{self, Done, Failure};
use super::look::{find_pending, json_lines};
use super::output::{Output, Tone, note};
use super::page::{self, Wanted};
use super::records;
use super::state::Globals;
use super::text::{safe, short};
use crate::call::ids::RequestId;
use crate::call::json;
use crate::call::model::{Category, Risk, Status, Verdict};
use crate::call::thousands::apart;
use crate::client::{certainly_not_done, worth_retrying};
use crate::policy::judging::care::{Known, ToType};
use crate::proto;

/// Flags of `approve` and `deny`.
#[derive(Debug, Clone, Args)]
pub struct DecideArgs {
    /// The request's id. Where you are asked on a terminal, also the unique
    /// beginning or end of one (4 digits or more), or `latest`, the newest that
    /// waits for you: what is decided is what was shown
    id: String,
    /// The digest of what you saw, its first 16 hex digits or more; needed
    /// unless you are asked on a terminal
    #[arg(long, value_name = "HEX")]
    digest: Option<String>,
    /// Why; the agent is told
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    /// Ask nothing, and print the request as one JSON object
    #[arg(long)]
    json: bool,
}

/// A decision that may or may not be recorded is repeated so often: repeating
/// it is safe.
const ATTEMPTS: u32 = 5;
/// Before the second attempt; one more of it before each after that.
const PAUSE: Duration = Duration::from_millis(300);

/// What will be sent.
#[derive(Debug, PartialEq, Eq)]
struct Decided {
    id: String,
    digest: String,
    reason: String,
}

/// `holdpoint approve` and `holdpoint deny`
pub async fn run(globals: &Globals, verdict: Verdict, args: DecideArgs) -> Done {
    let asks = io::stdin().is_terminal() && io::stdout().is_terminal() && !args.json;
    let client = Client::new(globals, Role::Operator)?;
    let decided = if asks { ask(&client, verdict, &args).await? } else { given(verdict, &args)? };
    let message = proto::DecideRequest {
        id: decided.id.clone(),
        verdict: verdict.number(),
        reason: decided.reason,
        digest: decided.digest,
    };
    let request = send(&client, message).await.map_err(|failure| failure.about(&decided.id))?;
    if args.json {
        let mut out = Output::stdout();
        json_lines(&mut out, &[request])?;
        return out.flush();
    }
    note(&said(verdict, &request));
    Ok(())
}

/// Without a terminal: everything has to be given.
fn given(verdict: Verdict, args: &DecideArgs) -> Done<Decided> {
    let word = verdict.word();
    let id = args.id.parse::<RequestId>().ok().map(|id| id.to_string());
    let digest = args.digest.as_ref().and_then(|digest| digest_prefix(digest));
    let reason = args.reason.clone().unwrap_or_default();
    let reason_missing = verdict == Verdict::Deny && reason.trim().is_empty();
    let missing = match (&id, &args.digest, &digest) {
        (None, ..) => Some("the full id is"),
        (_, None, _) => Some("the digest of what you saw (--digest) is"),
        (_, Some(_), None) => Some("16 to 64 hex digits of the digest are"),
        _ if reason_missing => Some("a reason (--reason) is"),
        _ => None,
    };
    let (Some(id), Some(digest), None) = (&id, &digest, missing) else {
        let id = id.unwrap_or_else(|| "FULL-ID".to_owned());
        let digest = digest.unwrap_or_else(|| "DIGEST".to_owned());
        let reason = if verdict == Verdict::Deny { " --reason TEXT" } else { "" };
        return Err(Failure::usage(
            format!(
                "nobody can be asked here, so {} needed to {word}",
                missing.unwrap_or_default()
            ),
            format!(
                "`holdpoint show {}` shows the call, its full id and digest; then: \
                 holdpoint {word} {id} --digest {digest}{reason}",
                safe(&args.id)
            ),
        ));
    };
    Ok(Decided { id: id.clone(), digest: digest.clone(), reason })
}

/// The beginning of a digest, in lower case as digests are; `None` if it is none
/// or too short to mean one call.
fn digest_prefix(digest: &str) -> Option<String> {
    let hex = digest.bytes().all(|b| b.is_ascii_hexdigit());
    (hex && (16..=64).contains(&digest.len())).then(|| digest.to_ascii_lowercase())
}

/// On a terminal: shows the whole call, then asks. `latest` and a part of an id
/// are fine here: what is decided is the id and the digest of what was shown.
async fn ask(client: &Client, verdict: Verdict, args: &DecideArgs) -> Done<Decided> {
    let shown = find_pending(client, &args.id).await?;
    let Some(r) = shown.request.clone() else {
        return Err(Failure::quiet(errors::exit::OTHER));
    };
    let mut out = Output::stdout();
    let view = out.view();
    let wanted = Wanted { all_arguments: true, commands: false };
    let text = page::page(&shown, wanted, &view);
    if out.paged(&text)? {
        out.line(&format!("{} lines were shown", grouped(text.lines().count())))?;
    }
    let refused = |what: String, next: &str| Err(Failure::new(what, next).about(&r.id));
    if r.status != Status::Pending.number() {
        let what = format!("it is {} already", records::status(r.status));
        return refused(what, "There is nothing left to decide.");
    }
    if !shown.may_decide {
        return refused(
            format!("you cannot decide it: {}", safe(&shown.may_not_decide_because)),
            "Ask one of those who are asked.",
        );
    }
    if let Some(digest) = &args.digest
        && !digest_prefix(digest).is_some_and(|digest| r.digest.starts_with(&digest))
    {
        return refused(
            "what is shown above is not what --digest names".to_owned(),
            "Read it again, and leave --digest out to decide what is shown.",
        );
    }
    out.line("")?;
    let unseen = page::unseen(&r, wanted.all_arguments);
    if verdict == Verdict::Approve && !unseen.is_empty() {
        let warning = format!("! {unseen}: you have not seen all that will run");
        out.line(&view.paint(Tone::Caution, &warning))?;
    }
    let reason = match (&args.reason, verdict) {
        (Some(reason), _) => reason.clone(),
        (None, Verdict::Deny) => question(&mut out, "Why not? (the agent is told) ").await?,
        (None, Verdict::Approve) => String::new(),
    };
    if verdict == Verdict::Deny && reason.trim().is_empty() {
        return refused(
            "a denial needs a reason; nothing was decided".to_owned(),
            "Give one with --reason.",
        );
    }
    // Who has just typed why not has answered.
    let typed = verdict == Verdict::Deny && args.reason.is_none();
    if !typed && !agreed(&mut out, verdict, &r).await? {
        return refused("nothing was decided".to_owned(), "It waits until its deadline.");
    }
    Ok(Decided { id: r.id, digest: r.digest, reason })
}

/// What has to be typed to approve this, if a key is not enough.
fn to_type(r: &proto::Request) -> Option<ToType> {
    let arguments = json::parse_envelope(r.arguments.as_bytes()).ok();
    let known = Known {
        category: Category::from_number(r.category),
        risk: Risk::from_number(r.risk),
        hidden_values: r.hidden_values,
        tool: &r.tool,
        arguments: arguments.as_ref(),
    };
    ToType::of(&known, &short(&r.id))
}

/// The last question. What destroys or pays is not approved by one key.
async fn agreed(out: &mut Output, verdict: Verdict, r: &proto::Request) -> Done<bool> {
    if verdict == Verdict::Approve
        && let Some(typed) = to_type(r)
    {
        let text = format!("{} Type {} ({}): ", let_run(r), typed.named(), typed.shown());
        return Ok(typed.is(&question(out, &text).await?));
    }
    let asked = match verdict {
        Verdict::Approve => let_run(r),
        Verdict::Deny => format!("Deny {} on {}?", safe(&r.tool), safe(&r.server)),
    };
    let answer = question(out, &format!("{asked} [y/N] ")).await?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}

/// "Let delete_rows on billing-db run once (destructive)?"
fn let_run(r: &proto::Request) -> String {
    let kind = match Category::from_number(r.category) {
        Some(Category::Unspecified) | None => "what it does is not stated".to_owned(),
        Some(category) => category.to_string(),
    };
    let kind = match r.hidden_values {
        0 => kind,
        1 => format!("{kind}, 1 value hidden"),
        n => format!("{kind}, {n} values hidden"),
    };
    format!("Let {} on {} run once ({kind})?", safe(&r.tool), safe(&r.server))
}

/// "1,730".
fn grouped(number: usize) -> String {
    apart(&number.to_string(), ',')
}

/// Asks on the terminal; no answer (end of input) is an empty one.
pub(super) async fn question(out: &mut Output, text: &str) -> Done<String> {
    out.text(text)?;
    out.flush()?;
    // On a thread of its own, so that the connection is kept alive meanwhile.
    let answer = tokio::task::spawn_blocking(|| {
        let mut line = String::new();
        let read = io::stdin().lock().read_line(&mut line);
        read.map(|_| line)
    });
    let answer = answer.await.map_err(io::Error::other).and_then(|answer| answer);
    let answer = answer.map_err(|error| {
        Failure::new(format!("cannot read the answer: {error}"), "Nothing was decided.")
    })?;
    if answer.is_empty() {
        let _ = writeln!(io::stderr());
    }
    Ok(answer.trim_end_matches(['\n', '\r']).to_owned())
}

async fn send(client: &Client, message: proto::DecideRequest) -> Done<proto::Request> {
    let (mut attempt, mut may_have_arrived) = (1, false);
    loop {
        let status = match client.operator().decide(brief(message.clone())).await {
            Ok(answer) => return Ok(answer.into_inner().request.unwrap_or_default()),
            Err(status) => status,
        };
        if !worth_retrying(&status) {
            return Err(client.failure(status));
        }
        may_have_arrived |= !never_arrived(&status);
        if attempt == ATTEMPTS {
            let failure = client.failure(status);
            let answer = match may_have_arrived {
                true => "it is not known whether your answer was recorded",
                false => "your answer was not recorded",
            };
            return Err(Failure { what: format!("{}; {answer}", failure.what), ..failure });
        }
        if attempt == 1 {
            note("holdpoint: the daemon does not answer; trying again");
        }
        tokio::time::sleep(PAUSE * attempt).await;
        attempt += 1;
    }
}

/// Whether nothing can have been recorded: there was no connection, or the daemon
/// said that it did nothing.
fn never_arrived(status: &tonic::Status) -> bool {
    certainly_not_done(status) || no_connection(status)
}

/// "approved [2b4d5e6f] write_file on fs", or how many are still missing.
fn said(verdict: Verdict, r: &proto::Request) -> String {
    let call = format!("[{}] {} on {}", short(&r.id), safe(&r.tool), safe(&r.server));
    if r.status != Status::Pending.number() {
        return format!("{} {call}", records::status(r.status));
    }
    let missing: Vec<String> = (r.clauses.iter())
        .filter(|clause| clause.approved < clause.approvals)
        .map(|clause| {
            let groups: Vec<String> = clause.groups.iter().map(|g| safe(g)).collect();
            let whom =
                if groups.is_empty() { "any operator".to_owned() } else { groups.join(" or ") };
            format!("{} more from {whom}", clause.approvals - clause.approved)
        })
        .collect();
    format!(
        "your {} counts; {call} still needs {}",
        if verdict == Verdict::Approve { "approval" } else { "denial" },
        missing.join(" and ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "019ac5a2-7d5c-7cc3-98a5-3f1c2b4d5e6f";
    const DIGEST: &str = "0123456789abcdef";

    fn args(id: &str, digest: Option<&str>, reason: Option<&str>) -> DecideArgs {
        let owned = |text: Option<&str>| text.map(str::to_owned);
        DecideArgs { id: id.to_owned(), digest: owned(digest), reason: owned(reason), json: false }
    }

    #[test]
    fn a_script_has_to_say_exactly_what_it_decides() {
        let refused = |verdict, args: DecideArgs| given(verdict, &args).expect_err("refused");
        for args in [
            args(ID, None, None),
            args(ID, Some("0123456789abcde"), None),
            args("2b4d5e6f", Some(DIGEST), None),
            args("latest", Some(DIGEST), None),
        ] {
            let failure = refused(Verdict::Approve, args);
            assert_eq!(failure.exit, errors::exit::USAGE);
            assert!(failure.next.contains("holdpoint approve "), "{failure}");
        }
        assert!(given(Verdict::Approve, &args(ID, Some(DIGEST), None)).is_ok());
        let upper = given(Verdict::Approve, &args(ID, Some("0123456789ABCDEF"), None));
        assert_eq!(upper.expect("case is no matter").digest, DIGEST);
        assert!(given(Verdict::Deny, &args(ID, Some(DIGEST), Some("no"))).is_ok());
        let failure = refused(Verdict::Deny, args(ID, Some(DIGEST), None));
        assert!(failure.to_string().contains("--reason TEXT"), "{failure}");
    }

    #[test]
    fn the_question_says_what_will_run() {
        let mut r = proto::Request {
            server: "billing-db".to_owned(),
            tool: "delete_rows".to_owned(),
            category: Category::Destructive.number(),
            ..Default::default()
        };
        assert_eq!(let_run(&r), "Let delete_rows on billing-db run once (destructive)?");
        r.category = 0;
        assert!(let_run(&r).ends_with("(what it does is not stated)?"));
        (r.category, r.hidden_values) = (Category::Execute.number(), 2);
        assert!(let_run(&r).ends_with("(execute, 2 values hidden)?"));
        assert_eq!([7, 999, 1_730, 1_000_000].map(grouped), ["7", "999", "1,730", "1,000,000"]);
    }

    #[test]
    fn an_approval_that_is_not_the_last_says_what_is_missing() {
        let clause = proto::Clause {
            groups: vec!["ops".to_owned()],
            approvals: 2,
            approved: 1,
            ..Default::default()
        };
        let r = proto::Request {
            id: ID.to_owned(),
            status: 1,
            server: "fs".to_owned(),
            tool: "rm".to_owned(),
            clauses: vec![clause],
            ..Default::default()
        };
        assert_eq!(
            said(Verdict::Approve, &r),
            "your approval counts; [2b4d5e6f] rm on fs still needs 1 more from ops"
        );
    }
}
