//! `holdpoint audit`: the history, filtered; `export` and `verify` stand beside.

use std::time::{Duration, Instant};

use clap::{Args, Subcommand};

use super::audit_file::{self, ExportArgs, VerifyArgs};
use super::client::{Client, Role, brief};
use super::errors::{Done, Failure};
use super::output::{Output, View, note};
use super::state::Globals;
use super::table::{self, Cell, cell, fixed, flexible, toned};
use super::text::{safe, short};
use super::{asking, look, records, when, words};
use crate::call::ids::RequestId;
use crate::call::json;
use crate::call::model::{Category, Status};
use crate::call::time::Time;
use crate::config::duration;
use crate::proto::{AuditEntry, AuditFilter, QueryAuditRequest};
use crate::store::audit::Kind;

/// Look back: who asked what, who decided, what ran.
#[derive(Debug, Clone, Args)]
#[command(args_conflicts_with_subcommands = true, after_help = kinds())]
pub struct AuditArgs {
    #[command(subcommand)]
    command: Option<AuditCommand>,
    #[command(flatten)]
    query: QueryArgs,
}

/// Every kind of entry, for the help.
fn kinds() -> String {
    let mut text = "Kinds:".to_owned();
    let mut width = WIDTH;
    for kind in Kind::ALL.iter().map(|kind| kind.word()) {
        if width + 1 + kind.len() > WIDTH {
            text.push_str("\n ");
            width = 1;
        }
        text.push(' ');
        text.push_str(kind);
        width += 1 + kind.len();
    }
    text.push_str(
        "\n\nOff a terminal: columns with tabs between them: sequence, time, kind, request id,\n\
         status, server, tool, caller, client, agent, operator, payload (JSON).",
    );
    text
}

/// Columns of the list of kinds.
const WIDTH: usize = 80;

/// What else can be done with the history.
#[derive(Debug, Clone, Subcommand)]
enum AuditCommand {
    /// Write all entries to a file that can be verified offline
    Export(ExportArgs),
    /// Recompute the hash chain, of the daemon or of an exported file
    Verify(VerifyArgs),
}

/// How long a person waits for a search that finds little in a long history. A
/// program waits until all of it is searched.
const SEARCH_FOR: Duration = Duration::from_secs(5);

/// Filters; those that are given must all fit.
#[derive(Debug, Clone, Args)]
struct QueryArgs {
    /// From then on: an RFC 3339 time, a day (its midnight here), or how long
    /// ago (2h, 7d)
    #[arg(long, value_name = "TIME", value_parser = moment)]
    since: Option<Time>,
    /// Before then: likewise
    #[arg(long, value_name = "TIME", value_parser = moment)]
    until: Option<Time>,
    /// The program that held the call
    #[arg(long, value_name = "NAME", default_value = "", hide_default_value = true)]
    caller: String,
    /// Whom that program served
    #[arg(long, value_name = "NAME", default_value = "", hide_default_value = true)]
    client: String,
    /// The agent's name
    #[arg(long, value_name = "NAME", default_value = "", hide_default_value = true)]
    agent: String,
    /// The agent's session
    #[arg(long, value_name = "SESSION", default_value = "", hide_default_value = true)]
    session: String,
    /// The server
    #[arg(long, value_name = "NAME", default_value = "", hide_default_value = true)]
    server: String,
    /// The tool
    #[arg(long, value_name = "NAME", default_value = "", hide_default_value = true)]
    tool: String,
    /// read, write, execute, destructive or financial
    #[arg(long, value_name = "CATEGORY", value_parser = asking::category)]
    category: Option<Category>,
    /// The request's status after the entry
    #[arg(long, value_name = "STATUS", value_parser = look::status)]
    status: Option<Status>,
    /// Who decided, looked, lifted or confirmed
    #[arg(long, value_name = "NAME", default_value = "", hide_default_value = true)]
    operator: String,
    /// Words that all occur, in any order
    #[arg(long, value_name = "WORDS", default_value = "", hide_default_value = true)]
    text: String,
    /// One request: its id, or four or more digits of it
    #[arg(long, value_name = "ID", default_value = "", hide_default_value = true)]
    request: String,
    /// What happened; the kinds stand below
    #[arg(long, value_name = "KIND", default_value = "", hide_default_value = true)]
    kind: String,
    /// At most so many entries
    #[arg(long, value_name = "N", default_value_t = 50)]
    limit: usize,
    /// Oldest first [default: newest first]
    #[arg(long)]
    asc: bool,
    /// One JSON object per line
    #[arg(long)]
    json: bool,
}

/// An RFC 3339 time, a day (its midnight here), or a duration before now.
pub(super) fn moment(text: &str) -> Result<Time, String> {
    if let Some(at) = Time::parse(text) {
        return Ok(at);
    }
    if let Ok(day) = chrono::NaiveDate::parse_from_str(text, "%Y-%m-%d") {
        let midnight = when::midnight(day);
        return midnight.ok_or_else(|| "a day that has a midnight here".to_owned());
    }
    let ago = duration::parse(text)
        .map_err(|_| "a time such as 2026-11-22T13:00:00Z, a day such as 2026-11-22, or how long ago, such as 2h")?;
    Ok(when::now() - ago)
}

/// Runs the command.
pub async fn run(globals: &Globals, args: AuditArgs) -> Done {
    match args.command {
        None => query(globals, args.query).await,
        Some(AuditCommand::Export(args)) => audit_file::export(globals, args).await,
        Some(AuditCommand::Verify(args)) => audit_file::verify(globals, args).await,
    }
}

async fn query(globals: &Globals, args: QueryArgs) -> Done {
    let client = Client::new(globals, Role::Operator)?;
    let mut out = Output::stdout();
    let view = out.view();
    let filter = filter(&client, &args).await?;
    let (mut shown, mut entries, mut page_token) = (0, Vec::new(), String::new());
    let (began, mut searched_to) = (Instant::now(), None);
    while shown < args.limit {
        let page_size = u32::try_from(args.limit - shown).unwrap_or(u32::MAX).min(500);
        let filter = Some(filter.clone());
        let message = QueryAuditRequest { filter, ascending: args.asc, page_size, page_token };
        let answer = client.history().query_audit(brief(message)).await;
        let answer = answer.map_err(|status| client.failure(status))?.into_inner();
        shown += answer.entries.len();
        // A program gets what there is as it comes; a person one table.
        for entry in answer.entries {
            if args.json {
                out.line(&records::entry(&entry).to_text())?;
            } else if !view.terminal {
                out.line(&plain(&entry))?;
            } else {
                entries.push(entry);
            }
        }
        page_token = answer.next_page_token;
        if page_token.is_empty() {
            break;
        }
        if view.terminal && !args.json && began.elapsed() >= SEARCH_FOR {
            searched_to = Time::parse(&answer.searched_to);
            break;
        }
    }
    if shown == 0 && searched_to.is_none() {
        note("no entry matches");
    }
    if !entries.is_empty() {
        out.paged(&render(&entries, &view))?;
    }
    out.flush()?;
    if shown >= args.limit && !page_token.is_empty() && view.terminal {
        note(&format!("there may be more: --limit {} shows the next ones too", args.limit * 2));
    }
    if let Some(at) = searched_to {
        note(&goes_on(args.asc, at));
    }
    Ok(())
}

/// How to search on. The instant itself is searched again: other entries may be of it.
fn goes_on(ascending: bool, at: Time) -> String {
    match ascending {
        true => {
            let at = at.rfc3339();
            format!("searched up to {at} so far; --since {at} goes on from there")
        }
        false => {
            let (at, from) = (at.rfc3339(), (at + Duration::from_millis(1)).rfc3339());
            format!("searched back to {at} so far; --until {from} goes on from there")
        }
    }
}

async fn filter(client: &Client, args: &QueryArgs) -> Done<AuditFilter> {
    let time = |time: Option<Time>| time.map(Time::rfc3339).unwrap_or_default();
    let request_id = match args.request.as_str() {
        "" => String::new(),
        id if id.parse::<RequestId>().is_ok() => id.to_owned(),
        part => look::find(client, part).await?.request.unwrap_or_default().id,
    };
    if args.text.len() > 200 {
        return Err(Failure::usage("--text is longer than 200 bytes", "Give fewer words."));
    }
    Ok(AuditFilter {
        since: time(args.since),
        until: time(args.until),
        caller: args.caller.clone(),
        client: args.client.clone(),
        agent: args.agent.clone(),
        session: args.session.clone(),
        server: args.server.clone(),
        tool: args.tool.clone(),
        category: args.category.map_or(0, Category::number),
        status: args.status.map_or(0, Status::number),
        operator: args.operator.clone(),
        text: args.text.clone(),
        request_id,
        kind: args.kind.clone(),
    })
}

/// Entries as a table.
pub fn render(entries: &[AuditEntry], view: &View) -> String {
    let columns = [
        fixed("WHEN", 0),
        fixed("WHAT", 0),
        fixed("ID", 1),
        flexible("CALL", 2, 12),
        flexible("WHO", 3, 6),
        flexible("DETAIL", 4, 10),
    ];
    let rows: Vec<Vec<Cell>> = entries
        .iter()
        .map(|e| {
            vec![
                cell(when::clock_text(&e.at, view.now, &view.zone)),
                toned(safe(&e.kind.replace('_', " ")), words::entry(&e.kind)),
                cell(short(&e.request_id)),
                cell(call(e)),
                cell(safe(who(e))),
                cell(detail(e)),
            ]
        })
        .collect();
    table::fitted(&columns, &rows, view.width, view.colour)
}

fn call(e: &AuditEntry) -> String {
    if e.tool.is_empty() {
        String::new()
    } else {
        format!("{} on {}", safe(&e.tool), safe(&e.server))
    }
}

fn who(e: &AuditEntry) -> &str {
    let names = [&e.operator, &e.agent, &e.client, &e.caller];
    names.into_iter().find(|name| !name.is_empty()).map_or("", |name| name)
}

/// What the payload says that a person wants to know at once.
fn detail(e: &AuditEntry) -> String {
    let Ok(payload) = json::parse_envelope(e.payload.as_bytes()) else {
        return String::new();
    };
    // "outcome" also stands in "use_granted", where it says what is expected.
    let outcome = e.kind.starts_with("outcome").then_some("outcome");
    let words = outcome.into_iter().chain(["reason", "detail", "to", "answer", "late"]);
    let found =
        words.filter_map(|name| payload.get(name)?.as_str()).filter(|text| !text.is_empty());
    found.map(safe).collect::<Vec<_>>().join(": ")
}

/// Columns with tabs between them: sequence, at, kind, request id, status,
/// server, tool, caller, client, agent, operator, payload (JSON).
fn plain(e: &AuditEntry) -> String {
    let status = if e.status == 0 { "" } else { records::status(e.status) };
    table::plain(&[
        e.sequence.to_string(),
        safe(&e.at),
        safe(&e.kind),
        safe(&e.request_id),
        status.to_owned(),
        safe(&e.server),
        safe(&e.tool),
        safe(&e.caller),
        safe(&e.client),
        safe(&e.agent),
        safe(&e.operator),
        safe(&e.payload),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_search_that_is_not_at_its_end_says_how_it_goes_on() {
        let at = Time::parse("2026-11-22T13:00:00.250Z").expect("valid");
        let back = goes_on(false, at);
        assert!(back.contains("back to 2026-11-22T13:00:00.250Z"), "{back}");
        assert!(back.contains("--until 2026-11-22T13:00:00.251Z"), "{back}");
        let on = goes_on(true, at);
        assert!(on.contains("--since 2026-11-22T13:00:00.250Z"), "{on}");
        for option in ["--until", "--since"] {
            let text = format!("{back} {on}");
            let words: Vec<&str> = text.split(' ').collect();
            let place = words.iter().position(|word| *word == option).expect("named");
            assert!(moment(words[place + 1]).is_ok(), "what is named can be typed");
        }
    }

    #[test]
    fn a_moment_is_a_time_or_how_long_ago() {
        assert_eq!(
            moment("2026-11-22T13:00:00Z"),
            Ok(Time::parse("2026-11-22T13:00:00Z").expect("valid"))
        );
        let then = moment("2h").expect("valid").0;
        let ago = when::now().0 - then;
        assert!((7_200_000..7_260_000).contains(&ago), "{ago}");
        assert!(moment("yesterday").is_err() && moment("2026-02-30").is_err());
        let (day, next) = (moment("2026-11-22"), moment("2026-11-23"));
        let long = next.expect("valid").left(day.expect("valid")).as_secs();
        assert!((82_800..=90_000).contains(&long), "{long}");
    }
}
