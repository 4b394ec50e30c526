//! `holdpoint policy accept`: tools whose definition changed, and a person who has
//! read the new one.
//!
//! Promises: what is accepted is a hash that was on the screen a moment ago, or that
//! was given: never the newest one, whatever that is by now.

use std::io::{self, IsTerminal};

use clap::Args;

use super::super::client::{Client, Role, brief};
use super::super::decide::question;
use super::super::errors::{Done, Failure};
use super::super::output::{Output, View, note};
use super::super::state::Globals;
use super::super::table::{self, Cell, cell, fixed, flexible, toned};
use super::super::text::{count, safe, shell_word};
use super::super::{output::Tone, records};
use super::difference;
use crate::call::model::DefinitionStatus;
use crate::call::safe_text::name_notice;
use crate::proto::{AcceptDefinitionRequest, DefinitionChange, ListDefinitionChangesRequest};

/// Changes asked for at once.
const PAGE: u32 = 100;

/// Changes that are listed at most: who has more of them narrows it down.
const LISTED: usize = 1000;

/// Digits of a hash that stand for it, as with a request's digest.
const DIGITS: usize = 16;

/// Which tools changed since they were first seen; with --tool, what changed, and
/// whether to accept it. Calls of a changed tool are held until somebody does.
#[derive(Debug, Clone, Args)]
#[command(after_help = PLAIN_COLUMNS)]
pub struct AcceptArgs {
    /// The new definition's hash, its first 16 hex digits or more; needed unless
    /// you are asked on a terminal
    #[arg(value_name = "HASH")]
    hash: Option<String>,
    /// Only this server's tools
    #[arg(long, value_name = "NAME", default_value = "", hide_default_value = true)]
    server: String,
    /// The tool
    #[arg(long, value_name = "NAME", default_value = "", hide_default_value = true)]
    tool: String,
    /// Only what this caller reported
    #[arg(long, value_name = "NAME", default_value = "", hide_default_value = true)]
    caller: String,
    /// Why, for the history
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    reason: String,
    /// Ask nothing; needs HASH
    #[arg(long)]
    yes: bool,
    /// List those too that are accepted, or that another one took the place of
    #[arg(long, conflicts_with_all = ["hash", "tool"])]
    all: bool,
    /// One JSON object per line, with both definitions; asks nothing
    #[arg(long)]
    json: bool,
}

const PLAIN_COLUMNS: &str = "\
Off a terminal: columns with tabs between them: caller, server, tool, hash, reported at,
status, what changed (commas between).";

/// Runs the command.
pub async fn run(globals: &Globals, args: AcceptArgs) -> Done {
    if args.yes && args.hash.is_none() {
        return Err(Failure::usage(
            "--yes accepts what HASH names, and there is none",
            "`holdpoint policy accept --tool NAME` shows the change with its hash.",
        ));
    }
    let wanted = args.hash.as_deref().map(prefix).transpose()?;
    let client = Client::new(globals, Role::Operator)?;
    let found = changes(&client, &args).await?;
    let fits = |change: &DefinitionChange| {
        wanted.as_ref().is_none_or(|wanted| change.hash_now.starts_with(wanted))
    };
    let found: Vec<DefinitionChange> = found.into_iter().filter(fits).collect();
    let mut out = Output::stdout();
    let one = !args.tool.is_empty() || wanted.is_some();
    match found.as_slice() {
        [] if one => Err(Failure::new(
            "no such change waits for you",
            "`holdpoint policy accept` lists those that do.",
        )),
        [change] if one && (!args.json || args.yes) => {
            settle(&client, change, &args, &mut out).await
        }
        found => {
            list(found, &args, &mut out)?;
            match one && !args.json {
                true => Err(Failure::usage(
                    format!("{} fit", count(found.len() as u64, "change", "changes")),
                    "Name one by its HASH, --server or --caller.",
                )),
                false => Ok(()),
            }
        }
    }
}

/// The beginning of a hash.
fn prefix(hash: &str) -> Done<String> {
    let hex = hash.bytes().all(|b| b.is_ascii_hexdigit());
    if hex && (DIGITS..=64).contains(&hash.len()) {
        return Ok(hash.to_ascii_lowercase());
    }
    Err(Failure::usage(
        "HASH is not 16 to 64 hex digits",
        "`holdpoint policy accept --tool NAME` shows it.",
    ))
}

/// What is asked for, as far as the daemon can tell it.
async fn changes(client: &Client, args: &AcceptArgs) -> Done<Vec<DefinitionChange>> {
    let (mut all, mut page_token) = (Vec::new(), String::new());
    loop {
        let message = ListDefinitionChangesRequest {
            all: args.all,
            caller: args.caller.clone(),
            server: args.server.clone(),
            tool: args.tool.clone(),
            page_size: PAGE,
            page_token,
        };
        let answer = client.operator().list_definition_changes(brief(message)).await;
        let answer = answer.map_err(|status| client.failure(status))?.into_inner();
        all.extend(answer.changes);
        page_token = answer.next_page_token;
        if page_token.is_empty() || all.len() >= LISTED {
            return Ok(all);
        }
    }
}

fn list(found: &[DefinitionChange], args: &AcceptArgs, out: &mut Output) -> Done {
    let view = out.view();
    if args.json {
        let line = |change| out.line(&records::definition_change(change).to_text());
        found.iter().try_for_each(line)?;
    } else if found.is_empty() {
        note("no tool waits with a changed definition");
    } else if view.terminal {
        out.paged(&table(found, &view))?;
    } else {
        found.iter().try_for_each(|change| out.line(&plain(change)))?;
    }
    if found.len() >= LISTED {
        note("there are more: narrow it down with --server");
    }
    out.flush()
}

/// One line each, and what to type next.
fn table(found: &[DefinitionChange], view: &View) -> String {
    let columns = [
        flexible("TOOL", 0, 12),
        flexible("SERVER", 0, 6),
        fixed("SINCE", 2),
        fixed("STATUS", 3),
        flexible("CHANGED", 1, 12),
        flexible("CALLER", 4, 6),
    ];
    let rows: Vec<Vec<Cell>> = found
        .iter()
        .map(|c| {
            let waits = c.status == DefinitionStatus::Waiting.number();
            let tone = if waits { Tone::Caution } else { Tone::Faint };
            vec![
                toned(safe(&c.tool), Tone::Strong),
                cell(safe(&c.server)),
                cell(view.time(&c.reported_at)),
                toned(records::definition_status(c.status), tone),
                cell(c.changed.iter().map(|place| safe(place)).collect::<Vec<_>>().join(", ")),
                cell(safe(&c.caller)),
            ]
        })
        .collect();
    let mut text = table::fitted(&columns, &rows, view.width, view.colour);
    let waits = |c: &&DefinitionChange| c.status == DefinitionStatus::Waiting.number();
    if let Some(first) = found.iter().find(waits) {
        text.push_str(&format!("\nTo read one and accept it: {}\n", command(first)));
    }
    text
}

/// What shows this change. A name with letters that do not show cannot be typed.
fn command(c: &DefinitionChange) -> String {
    if name_notice(&c.server).or(name_notice(&c.tool)).is_some() {
        return format!("holdpoint policy accept {}", safe(&c.hash_now));
    }
    let (server, tool) = (shell_word(&safe(&c.server)), shell_word(&safe(&c.tool)));
    format!("holdpoint policy accept --server {server} --tool {tool}")
}

/// Columns with tabs between them; see the help.
fn plain(c: &DefinitionChange) -> String {
    table::plain(&[
        safe(&c.caller),
        safe(&c.server),
        safe(&c.tool),
        safe(&c.hash_now),
        safe(&c.reported_at),
        records::definition_status(c.status).to_owned(),
        c.changed.iter().map(|place| safe(place)).collect::<Vec<_>>().join(","),
    ])
}

/// Shows the change, and accepts what was shown if a person says so.
async fn settle(
    client: &Client,
    change: &DefinitionChange,
    args: &AcceptArgs,
    out: &mut Output,
) -> Done {
    let asks = io::stdin().is_terminal() && io::stdout().is_terminal() && !args.yes;
    if !args.yes {
        let text = difference::page(change, &out.view());
        out.paged(&text)?;
        out.flush()?;
    }
    if !change.may_accept {
        return Err(Failure::new(
            "you may look at it, and not accept it",
            "Ask an operator whom the routes ask for calls of this tool, or an admin.",
        ));
    }
    if asks {
        let name = format!("{} on {}", safe(&change.tool), safe(&change.server));
        let text =
            format!("Accept this definition of {name}? Its calls follow the policy then. [y/N] ");
        let answer = question(out, &text).await?;
        if !matches!(answer.trim(), "y" | "Y" | "yes") {
            return Err(Failure::new("nothing was accepted", "Its calls are held as before."));
        }
    } else if !args.yes {
        let next = format!("holdpoint policy accept {} --yes", safe(&change.hash_now));
        return Err(Failure::usage("nobody can be asked here; nothing was accepted", next));
    }
    let message = AcceptDefinitionRequest {
        caller: change.caller.clone(),
        server: change.server.clone(),
        tool: change.tool.clone(),
        hash: change.hash_now.clone(),
        reason: args.reason.clone(),
    };
    let answer = client.operator().accept_definition(brief(message)).await;
    let answer = answer.map_err(|status| client.failure(status))?.into_inner();
    let accepted = answer.change.unwrap_or_default();
    if args.json {
        out.line(&records::definition_change(&accepted).to_text())?;
        return out.flush();
    }
    note(&said(&accepted));
    Ok(())
}

fn said(c: &DefinitionChange) -> String {
    let hash = safe(c.hash_now.get(..DIGITS).unwrap_or_default());
    format!(
        "accepted [{hash}] {} on {}, by {}: its calls follow the policy again",
        safe(&c.tool),
        safe(&c.server),
        safe(&c.accepted_by)
    )
}

#[cfg(test)]
mod tests {
    use super::super::super::golden::{same, view};
    use super::*;

    fn change(tool: &str, changed: &[&str], status: i32) -> DefinitionChange {
        DefinitionChange {
            caller: "gateway".to_owned(),
            server: "files".to_owned(),
            tool: tool.to_owned(),
            hash_now: "00ff".repeat(16),
            changed: changed.iter().map(|place| (*place).to_owned()).collect(),
            status,
            reported_at: "2026-11-22T12:50:00.000Z".to_owned(),
            accepted_by: "ana".to_owned(),
            ..DefinitionChange::default()
        }
    }

    #[test]
    fn golden_policy_accept_list() {
        let found = [
            change("read_file", &["description", "inputSchema.properties.path.description"], 1),
            change("it's \u{202e}", &["annotations.readOnlyHint"], 2),
        ];
        same("policy_accept_list_80.txt", &table(&found, &view(80, true, false)));
        same("policy_accept_list_140.txt", &table(&found, &view(140, true, false)));
        let lines: Vec<String> = found.iter().map(plain).collect();
        same("policy_accept_list.tsv", &lines.join("\n"));
        assert_eq!(
            said(&found[0]),
            "accepted [00ff00ff00ff00ff] read_file on files, by ana: its calls follow the policy again"
        );
    }

    #[test]
    fn a_hash_is_not_guessed_from_a_few_digits() {
        assert_eq!(prefix("00FF00ff00ff00ff").expect("16"), "00ff00ff00ff00ff");
        for wrong in ["", "00ff", "zz00ff00ff00ff00ff", &"0".repeat(65)] {
            assert!(prefix(wrong).is_err(), "{wrong}");
        }
    }
}
