//! Looking, where nothing is decided: `pending`, `show`, `mine`, `withdraw`.
//! Short ids and `latest` are fine here.

use clap::Args;

use super::client::{Client, Role, brief};
use super::errors::{Done, Failure};
use super::listing;
use super::output::{Output, note};
use super::page::{self, Wanted};
use super::records;
use super::state::Globals;
use super::text::{count, safe, short};
use crate::call::ids::RequestId;
use crate::call::model::Status;
use crate::proto;

/// What waits for your decision, most urgent first.
#[derive(Debug, Clone, Args)]
#[command(after_help = PLAIN_COLUMNS)]
pub struct PendingArgs {
    /// One JSON object per line
    #[arg(long)]
    json: bool,
}

/// One request: what will run, who asks, who has to agree, how it went. Very long
/// arguments are cut, and that is said.
#[derive(Debug, Clone, Args)]
pub struct ShowArgs {
    /// Its id, or the unique beginning or end of one (4 digits or more), or `latest`
    id: String,
    /// All of the arguments, however long
    #[arg(long)]
    args: bool,
    /// One JSON object
    #[arg(long)]
    json: bool,
}

/// This caller's own requests, newest first.
#[derive(Debug, Clone, Args)]
#[command(after_help = PLAIN_COLUMNS)]
pub struct MineArgs {
    /// Only these: pending, approved, denied, expired, withdrawn; may be given
    /// several times
    #[arg(long = "status", value_name = "STATUS", value_parser = status)]
    statuses: Vec<Status>,
    /// At most so many
    #[arg(long, value_name = "N", default_value_t = 50)]
    limit: usize,
    /// One JSON object per line
    #[arg(long)]
    json: bool,
}

/// Take back a request of this caller's own.
#[derive(Debug, Clone, Args)]
pub struct WithdrawArgs {
    /// Its id, or the unique beginning or end of one (4 digits or more), or `latest`
    id: String,
    /// Why
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    reason: String,
    /// Print the request as one JSON object
    #[arg(long)]
    json: bool,
}

const PLAIN_COLUMNS: &str = "\
Off a terminal: columns with tabs between them: id, digest, status, deadline, category,
risk, server, tool, caller, agent, on behalf of, arguments (JSON, masked), who looked,
since when nobody could be reached by mail.";

/// The largest pages that fit the largest answer: 50 requests of 256 KiB.
const PAGE: u32 = 50;

/// Reads a status.
pub fn status(word: &str) -> Result<Status, String> {
    Status::from_word(word)
        .ok_or_else(|| "one of pending, approved, denied, expired, withdrawn".to_owned())
}

/// `holdpoint pending`
pub async fn pending(globals: &Globals, args: PendingArgs) -> Done {
    let client = Client::new(globals, Role::Operator)?;
    let all = all_pending(&client).await?;
    let mut out = Output::stdout();
    if args.json {
        json_lines(&mut out, &all)?;
    } else if all.is_empty() {
        note("nothing waits for a decision");
    } else {
        let view = out.view();
        let me = if view.terminal { own_name(&client).await } else { String::new() };
        out.text(&listing::pending(&all, &me, &view))?;
    }
    out.flush()
}

/// What waits for this operator.
async fn all_pending(client: &Client) -> Done<Vec<proto::Request>> {
    let (mut all, mut page_token) = (Vec::new(), String::new());
    loop {
        let message = proto::ListPendingRequest { page_size: PAGE, page_token };
        let answer = client.operator().list_pending(brief(message)).await;
        let answer = answer.map_err(|status| client.failure(status))?.into_inner();
        all.extend(answer.requests);
        page_token = answer.next_page_token;
        if page_token.is_empty() {
            return Ok(all);
        }
    }
}

/// The request to decide: `latest` is the newest that waits.
pub async fn find_pending(client: &Client, id: &str) -> Done<proto::GetRequestResponse> {
    if id != "latest" {
        return find(client, id).await;
    }
    // Ids begin with the time at which they were made (RFC 9562, version 7).
    match all_pending(client).await?.iter().map(|request| &request.id).max() {
        Some(newest) => find(client, newest).await,
        None => Err(Failure::new("nothing waits for a decision", "There is nothing to decide.")),
    }
}

/// Who we are to the daemon; empty if it does not say, since nothing rests on it.
async fn own_name(client: &Client) -> String {
    let answer = client.operator().who_am_i(brief(proto::WhoAmIRequest {})).await;
    answer.map(|me| me.into_inner().name).unwrap_or_default()
}

/// `holdpoint show`
pub async fn show(globals: &Globals, args: ShowArgs) -> Done {
    let client = Client::new(globals, Role::Operator)?;
    let shown = find(&client, &args.id).await?;
    let mut out = Output::stdout();
    if args.json {
        json_lines(&mut out, shown.request.as_slice())?;
        return out.flush();
    }
    let view = out.view();
    let wanted = Wanted { all_arguments: args.args, commands: true };
    out.paged(&page::page(&shown, wanted, &view))?;
    Ok(())
}

/// The request that an id, a part of one, or `latest` means to this operator.
pub async fn find(client: &Client, id: &str) -> Done<proto::GetRequestResponse> {
    let id = if id == "latest" { latest(client).await? } else { id.to_ascii_lowercase() };
    let message = proto::GetRequestRequest { id: id.clone() };
    let answer = client.operator().get_request(brief(message)).await;
    let shown = answer.map_err(|status| client.failure(status).about(&id))?.into_inner();
    if shown.request.is_none() {
        return Err(
            Failure::new("the daemon's answer holds no request", "Check its version.").about(&id)
        );
    }
    Ok(shown)
}

/// The newest request that the history knows, whatever became of it.
async fn latest(client: &Client) -> Done<String> {
    let filter = proto::AuditFilter { kind: "requested".to_owned(), ..Default::default() };
    let mut page_token = String::new();
    loop {
        let filter = Some(filter.clone());
        let message =
            proto::QueryAuditRequest { filter, page_size: 1, page_token, ..Default::default() };
        let answer = client.history().query_audit(brief(message)).await;
        let answer = answer.map_err(|status| client.failure(status))?.into_inner();
        if let Some(entry) = answer.entries.into_iter().next() {
            return Ok(entry.request_id);
        }
        page_token = answer.next_page_token;
        if page_token.is_empty() {
            return Err(Failure::new(
                "there is no request yet",
                "Hold one with `holdpoint request`.",
            ));
        }
    }
}

/// `holdpoint mine`
pub async fn mine(globals: &Globals, args: MineArgs) -> Done {
    let client = Client::new(globals, Role::Caller)?;
    let statuses = args.statuses.iter().map(|status| status.number()).collect();
    let all = own(&client, statuses, args.limit).await?;
    let mut out = Output::stdout();
    if args.json {
        json_lines(&mut out, &all)?;
    } else if all.is_empty() {
        let nothing = if args.statuses.is_empty() {
            "nothing was asked yet"
        } else {
            "none with that status"
        };
        note(nothing);
    } else {
        let view = out.view();
        out.paged(&listing::mine(&all, &view))?;
    }
    out.flush()
}

async fn own(client: &Client, statuses: Vec<i32>, limit: usize) -> Done<Vec<proto::Request>> {
    let (mut all, mut page_token) = (Vec::new(), String::new());
    while all.len() < limit {
        let page_size = PAGE.min(u32::try_from(limit - all.len()).unwrap_or(PAGE));
        let message =
            proto::ListMyRequestsRequest { statuses: statuses.clone(), page_size, page_token };
        let answer = client.caller().list_my_requests(brief(message)).await;
        let answer = answer.map_err(|status| client.failure(status))?.into_inner();
        all.extend(answer.requests);
        page_token = answer.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    Ok(all)
}

/// `holdpoint withdraw`
pub async fn withdraw(globals: &Globals, args: WithdrawArgs) -> Done {
    let client = Client::new(globals, Role::Caller)?;
    let id = match args.id.parse::<RequestId>() {
        Ok(id) => id.to_string(),
        Err(_) => own_id(&client, &args.id).await?,
    };
    let message = proto::WithdrawApprovalRequest { id: id.clone(), reason: args.reason };
    let answer = client.caller().withdraw_approval(brief(message)).await;
    answer.map_err(|status| client.failure(status).about(&id))?;
    if args.json {
        let all = own(&client, Vec::new(), usize::MAX).await?;
        let one: Vec<_> = all.into_iter().filter(|r| r.id == id).collect();
        let mut out = Output::stdout();
        json_lines(&mut out, &one)?;
        return out.flush();
    }
    note(&format!("withdrawn [{}]", short(&id)));
    Ok(())
}

/// The id of a request of our own that can still be withdrawn, by a part of it.
async fn own_id(client: &Client, part: &str) -> Done<String> {
    let open = vec![Status::Pending.number(), Status::Approved.number()];
    let ids: Vec<String> = own(client, open, usize::MAX).await?.into_iter().map(|r| r.id).collect();
    matching(&ids, part).cloned()
}

/// The one id that `part` means; `latest` is the first.
fn matching<'a>(ids: &'a [String], part: &str) -> Done<&'a String> {
    let digits = |text: &str| text.to_ascii_lowercase().replace('-', "");
    let wanted = digits(part);
    let none = || {
        Failure::new(
            format!("nothing of yours that is open is called {}", safe(part)),
            "`holdpoint mine` lists what is yours.",
        )
    };
    if part == "latest" {
        return ids.first().ok_or_else(none);
    }
    if wanted.len() < 4 || !wanted.chars().all(|c| c.is_ascii_hexdigit()) {
        return Err(Failure::usage(
            format!("{} is neither an id nor four or more digits of one", safe(part)),
            "`holdpoint mine` lists the ids.",
        ));
    }
    let fits = |id: &&String| digits(id).starts_with(&wanted) || digits(id).ends_with(&wanted);
    let mut found = ids.iter().filter(fits);
    match (found.next(), found.count()) {
        (Some(one), 0) => Ok(one),
        (Some(_), more) => Err(Failure::usage(
            format!("{} means {}", safe(part), count(more as u64 + 1, "request", "requests")),
            "Give more digits, or the whole id.",
        )),
        (None, _) => Err(none()),
    }
}

/// Requests for a program.
pub fn json_lines(out: &mut Output, requests: &[proto::Request]) -> Done {
    requests.iter().try_for_each(|r| out.line(&records::request(r).to_text()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_of_an_id_has_to_mean_one_request() {
        let ids = [
            "019ac5a2-7d5c-7cc3-98a5-3f1c2b4d5e6f".to_owned(),
            "019ac5a2-0000-7cc3-98a5-3f1c00004d5e".to_owned(),
        ];
        assert_eq!(matching(&ids, "5E6F"), Ok(&ids[0]));
        assert_eq!(matching(&ids, "019ac5a2-7d"), Ok(&ids[0]));
        assert_eq!(matching(&ids, "latest"), Ok(&ids[0]));
        assert!(matching(&ids, "019ac5a2").expect_err("two").what.contains("2 requests"));
        assert!(matching(&ids, "6f").is_err() && matching(&ids, "late").is_err());
        assert!(matching(&ids, "ffff").is_err());
    }
}
