//! `holdpoint policy replay`: what a policy would have decided for the calls in the
//! history.
//!
//! ```text
//! again     one call, judged again, or why that cannot be told
//! hidden    values that the history hides, and whether a condition looks at them
//! shown     what differs: a table, lines, a sentence
//! ```
//!
//! What was: a call that became a request was held, whatever people said then, and so
//! was one that a dry run let pass. A call that was held because its tool's definition
//! changed would be held for that again, unless the policy denies it. Calls that no
//! policy judged (`request`, `exec`) are left out, and so are repetitions of a request.

mod again;
mod hidden;
mod shown;

use std::path::PathBuf;

use clap::Args;

use super::super::audit::moment;
use super::super::client::{Client, Role, brief};
use super::super::errors::Done;
use super::super::output::{Output, Tone, note};
use super::super::state::Globals;
use crate::call::time::Time;
use crate::policy::Action;
use crate::proto::{AuditFilter, QueryAuditRequest};
use crate::store::audit::Kind;
use again::Judge;
use shown::{groups, line, plain, rendered, summary, totals};

/// Entries asked for at once.
const PAGE: u32 = 500;

/// Judge the calls in the history by this policy: what would be otherwise.
#[derive(Debug, Clone, Args)]
#[command(after_help = HELP)]
pub struct ReplayArgs {
    /// The policy
    file: PathBuf,
    /// From then on: an RFC 3339 time, a day (its midnight here), or how long
    /// ago (2h, 7d)
    #[arg(long, value_name = "TIME", value_parser = moment)]
    since: Option<Time>,
    /// Before then: likewise
    #[arg(long, value_name = "TIME", value_parser = moment)]
    until: Option<Time>,
    /// Only calls of this server
    #[arg(long, value_name = "NAME", default_value = "", hide_default_value = true)]
    server: String,
    /// Only calls of whom the proxy served
    #[arg(long, value_name = "NAME", default_value = "", hide_default_value = true)]
    client: String,
    /// As if the proxy's configuration trusts this server; may be given several times
    #[arg(long, value_name = "NAME")]
    trusted: Vec<String>,
    /// At most so many calls, the newest
    #[arg(long, value_name = "N", default_value_t = 10_000)]
    limit: usize,
    /// One JSON object per line: each call that would be decided otherwise or of which
    /// that cannot be told (would_be null, with why), then {"calls", "same",
    /// "different", "untold", "left_out", "unless_limited"}
    #[arg(long)]
    json: bool,
}

const HELP: &str = "\
Calls are judged as if limits and counters had room; where they matter, it says \"unless
limited\". It cannot be told what becomes of a call that hangs on arguments that the history
hides, or of which it has only the digest: `holdpoint proxy --record full` (record: full in
its configuration) keeps the arguments of calls that are allowed.

Off a terminal: columns with tabs between them: when (the newest), server, tool, was,
would be (cannot tell), rule or why not, how many calls, `unless limited` or nothing.";

/// What became of a call, or would.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Fate {
    Allowed,
    Held,
    Limited,
    Denied,
}

impl Fate {
    const ALL: [Fate; 4] = [Fate::Allowed, Fate::Held, Fate::Limited, Fate::Denied];

    fn word(self) -> &'static str {
        match self {
            Fate::Allowed => "allowed",
            Fate::Held => "held",
            Fate::Limited => "limited",
            Fate::Denied => "denied",
        }
    }

    fn tone(self) -> Tone {
        match self {
            Fate::Allowed => Tone::Good,
            Fate::Held => Tone::Caution,
            Fate::Limited | Fate::Denied => Tone::Alarm,
        }
    }

    fn of(action: &Action) -> Fate {
        match action {
            Action::Allow => Fate::Allowed,
            Action::Hold(_) => Fate::Held,
            Action::Limited { .. } => Fate::Limited,
            Action::Deny { .. } => Fate::Denied,
        }
    }

    /// The kinds of entries with which a call comes into the history.
    fn recorded() -> [(Kind, Fate); 5] {
        [
            (Kind::Requested, Fate::Held),
            (Kind::CallAllowed, Fate::Allowed),
            (Kind::CallDenied, Fate::Denied),
            (Kind::CallLimited, Fate::Limited),
            (Kind::CallWouldBeHeld, Fate::Held),
        ]
    }
}

/// What the policy says of a call today.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Today {
    /// What, and by which rule.
    Would {
        fate: Fate,
        rule: String,
        /// It is so where limits have room: what was taken then is not in the history.
        unless_limited: bool,
    },
    /// Why it cannot be told.
    Untold(&'static str),
}

/// One call of the history, judged again.
#[derive(Debug, Clone)]
struct Judged {
    sequence: u64,
    at: String,
    request: String,
    server: String,
    tool: String,
    was: Fate,
    today: Today,
}

impl Judged {
    fn is_same(&self) -> bool {
        matches!(self.today, Today::Would { fate, .. } if fate == self.was)
    }
}

/// Runs the command.
pub async fn run(globals: &Globals, args: ReplayArgs) -> Done {
    let (text, policy) = super::read_with_text(&args.file)?;
    let policy = args.trusted.iter().fold(policy, |policy, server| policy.trusting(server));
    let judge = Judge::new(&policy, &text);
    let client = Client::new(globals, Role::Operator)?;
    let (judged, left_out) = judged(&client, &args, &judge).await?;
    if let Some(said) =
        super::unknown_server(&policy, &args.server).filter(|_| !args.server.is_empty())
    {
        note(&said);
    }
    let mut out = Output::stdout();
    let view = out.view();
    if args.json {
        let different = judged.iter().filter(|call| !call.is_same());
        different.map(line).try_for_each(|line| out.line(&line.to_text()))?;
        out.line(&totals(&judged, left_out).to_text())?;
    } else {
        let groups = groups(&judged);
        if view.terminal {
            out.paged(&rendered(&groups, &view))?;
        } else {
            groups.iter().try_for_each(|group| out.line(&plain(group)))?;
        }
        note(&summary(&judged, left_out));
    }
    out.flush()?;
    if judged.iter().any(|call| matches!(call.today, Today::Untold(again::DIGEST))) {
        note(
            "arguments are kept with `holdpoint proxy --record full`, or record: full in its configuration",
        );
    }
    if judged.len() >= args.limit {
        note(&format!("there may be more: --limit {} looks further back", args.limit * 2));
    }
    Ok(())
}

/// The newest calls that fit, newest first, each judged as it comes: only what became
/// of them is kept. And how many no policy had judged.
async fn judged(client: &Client, args: &ReplayArgs, judge: &Judge<'_>) -> Done<(Vec<Judged>, u64)> {
    let time = |time: Option<Time>| time.map(Time::rfc3339).unwrap_or_default();
    let (mut all, mut left_out) = (Vec::new(), 0);
    for (kind, was) in Fate::recorded() {
        let (mut page_token, mut left) = (String::new(), args.limit);
        while left > 0 {
            let filter = AuditFilter {
                since: time(args.since),
                until: time(args.until),
                server: args.server.clone(),
                client: args.client.clone(),
                kind: kind.word().to_owned(),
                ..AuditFilter::default()
            };
            let page_size = u32::try_from(left).unwrap_or(PAGE).min(PAGE);
            let message =
                QueryAuditRequest { filter: Some(filter), ascending: false, page_size, page_token };
            let answer = client.history().query_audit(brief(message)).await;
            let answer = answer.map_err(|status| client.failure(status))?.into_inner();
            left -= answer.entries.len().min(left);
            for entry in &answer.entries {
                match judge.again(entry, was) {
                    Some(call) => all.push(call),
                    None => left_out += 1,
                }
            }
            page_token = answer.next_page_token;
            if page_token.is_empty() {
                break;
            }
        }
    }
    all.sort_by_key(|call| std::cmp::Reverse(call.sequence));
    all.truncate(args.limit);
    Ok((all, left_out))
}
