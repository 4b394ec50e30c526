//! `holdpoint mail queue` and `mail retry`: what became of the mails, and another
//! attempt. Also the words in which `show` says how one mail went.
//!
//! The columns of the lines for programs, with tabs between them, are: id, to,
//! kind, request id, how many a summary gathers, state, attempts, newest attempt,
//! next attempt, server's answer or error. Columns are only ever added at the end.

use std::time::Duration;

use clap::Args;

use super::client::{Client, Role, brief};
use super::errors::{Done, Failure};
use super::output::{Output, Tone, View, note};
use super::state::Globals;
use super::table::{self, Cell, cell, fixed, flexible, toned};
use super::text::{count, safe, short};
use super::{records, when};
use crate::call::time::Time;
use crate::client::reason_of;
use crate::proto::{ListMailRequest, Mail, Notice, RetryMailRequest};

/// Mails that failed longer ago are not news: those who were to be told have
/// noticed otherwise, or the requests have ended.
const RECENTLY: Duration = Duration::from_secs(24 * 3600);

/// Mails asked for at once.
const PAGE: u32 = 500;

/// What waits, what is deferred, and what failed in the last day. Operators see
/// their own mails, admins and auditors all.
#[derive(Debug, Clone, Args)]
#[command(after_help = PLAIN_COLUMNS)]
pub struct QueueArgs {
    /// Every mail, newest first: also what was sent, and what nobody needs any more
    #[arg(long)]
    all: bool,
    /// At most so many
    #[arg(long, value_name = "N", default_value_t = 200)]
    limit: usize,
    /// One JSON object per line
    #[arg(long)]
    json: bool,
}

/// As an admin: have a deferred or failed mail tried again now.
#[derive(Debug, Clone, Args)]
pub struct RetryArgs {
    /// Its number, as `mail queue` shows it
    #[arg(required_unless_present = "all_failed", conflicts_with = "all_failed")]
    id: Option<i64>,
    /// Every one that failed and is still wanted
    #[arg(long)]
    all_failed: bool,
}

const PLAIN_COLUMNS: &str = "\
Off a terminal: columns with tabs between them: id, to, kind, request id, how many a
summary gathers, state, attempts, newest attempt, next attempt, answer or error.";

/// `holdpoint mail queue`
pub async fn queue(globals: &Globals, args: QueueArgs) -> Done {
    let client = Client::new(globals, Role::Operator)?;
    let mut out = Output::stdout();
    let view = out.view();
    let (mut all, mut more) = (Vec::new(), false);
    let lists = if args.all { &[""][..] } else { &["waiting", "failed"] };
    for list in lists {
        let room = args.limit - all.len();
        let since = if *list == "failed" { (view.now - RECENTLY).rfc3339() } else { String::new() };
        let (found, further) = mails(&client, list, since, room).await?;
        all.extend(found);
        more |= further;
    }
    if args.json {
        all.iter().try_for_each(|mail| out.line(&records::mail(mail).to_text()))?;
    } else if all.is_empty() {
        let nothing = if args.all {
            "there is no mail yet"
        } else {
            "no mail waits, and none failed in the last day"
        };
        note(nothing);
    } else {
        out.paged(&render(&all, &view))?;
    }
    out.flush()?;
    if more {
        note(&format!("there are more: --limit {} shows the next ones too", args.limit * 2));
    }
    Ok(())
}

/// At most so many mails of a list, and whether there may be more.
async fn mails(client: &Client, list: &str, since: String, most: usize) -> Done<(Vec<Mail>, bool)> {
    let (mut all, mut page_token) = (Vec::new(), String::new());
    while all.len() < most {
        let page_size = u32::try_from(most - all.len()).unwrap_or(PAGE).min(PAGE);
        let message = ListMailRequest {
            state: list.to_owned(),
            since: since.clone(),
            page_size,
            page_token,
            ..Default::default()
        };
        let answer = client.operator().list_mail(brief(message)).await;
        let answer = answer.map_err(|status| client.failure(status))?.into_inner();
        all.extend(answer.mails);
        page_token = answer.next_page_token;
        if page_token.is_empty() {
            return Ok((all, false));
        }
    }
    Ok((all, true))
}

/// `holdpoint mail retry`
pub async fn retry(globals: &Globals, args: RetryArgs) -> Done {
    let client = Client::new(globals, Role::Operator)?;
    if let Some(id) = args.id {
        let mail = retried(&client, id).await?.map_err(|status| {
            let failure = client.failure(status);
            let next = match failure.reason.as_str() {
                "NOT_FOUND" => "`holdpoint mail queue` has the numbers.".to_owned(),
                _ => failure.next,
            };
            Failure { next, ..failure }
        })?;
        let to = mail.notice.map(|notice| safe(&notice.operator)).unwrap_or_default();
        note(&format!("mail {id} to {to} is tried again now"));
        return Ok(());
    }
    let failed = mails(&client, "failed", String::new(), usize::MAX).await?.0;
    let (mut again, mut not_wanted) = (0, 0);
    for mail in &failed {
        match retried(&client, mail.id).await? {
            Ok(_) => again += 1,
            Err(_) => not_wanted += 1,
        }
    }
    let mut said = format!("{} tried again now", count(again, "mail is", "mails are"));
    if not_wanted > 0 {
        said.push_str(&format!("; {not_wanted} of those that failed are not needed any more"));
    }
    note(&said);
    Ok(())
}

/// The mail that is tried again; the answer where it is not, because of what it is.
async fn retried(client: &Client, id: i64) -> Done<Result<Mail, tonic::Status>> {
    let answer = client.operator().retry_mail(brief(RetryMailRequest { id })).await;
    match answer.map(tonic::Response::into_inner) {
        Ok(answer) => Ok(Ok(answer.mail.unwrap_or_default())),
        Err(status) => match reason_of(&status).as_deref() {
            Some("MAIL_NOT_RETRYABLE" | "NOT_FOUND") => Ok(Err(status)),
            _ => Err(client.failure(status)),
        },
    }
}

/// The mails as a table, or as lines for a program.
pub fn render(mails: &[Mail], view: &View) -> String {
    if !view.terminal {
        return mails.iter().map(|mail| table::plain(&fields(mail)) + "\n").collect();
    }
    let columns = [
        fixed("MAIL", 0),
        flexible("TO", 0, 8),
        fixed("STATE", 0),
        flexible("ABOUT", 1, 10),
        fixed("NEXT ATTEMPT", 2),
        flexible("WHY", 1, 16),
    ];
    let rows: Vec<Vec<Cell>> = mails.iter().map(|mail| row(mail, view)).collect();
    table::fitted(&columns, &rows, view.width, view.colour)
}

fn row(mail: &Mail, view: &View) -> Vec<Cell> {
    let notice = mail.notice.clone().unwrap_or_default();
    let about = match mail.gathers {
        0 => format!("{} [{}]", kind(&notice), short(&mail.request_id)),
        n => format!("summary of {n}"),
    };
    let tone = match notice.state.as_str() {
        "failed" => Tone::Alarm,
        "deferred" => Tone::Caution,
        "sent" => Tone::Good,
        _ => Tone::Plain,
    };
    vec![
        cell(mail.id.to_string()),
        cell(safe(&notice.operator)),
        toned(safe(&notice.state), tone),
        cell(about),
        cell(clock(&notice.next_attempt_at, view)),
        cell(safe(&notice.detail)),
    ]
}

fn fields(mail: &Mail) -> [String; 10] {
    let notice = mail.notice.clone().unwrap_or_default();
    [
        mail.id.to_string(),
        safe(&notice.operator),
        safe(&notice.kind),
        safe(&mail.request_id),
        mail.gathers.to_string(),
        safe(&notice.state),
        notice.attempts.to_string(),
        safe(&notice.at),
        safe(&notice.next_attempt_at),
        safe(&notice.detail),
    ]
}

fn kind(notice: &Notice) -> String {
    safe(&notice.kind.replace('_', " "))
}

/// "14:05 CET" for a person.
fn clock(rfc3339: &str, view: &View) -> String {
    match Time::parse(rfc3339) {
        Some(at) if view.terminal => when::clock(at, view.now, &view.zone),
        _ => safe(rfc3339),
    }
}

/// How the mails about one request went, a line for each; those of which there is
/// the same to say share one: "ana, ben: queued".
pub fn notices(notices: &[Notice], view: &View) -> Vec<String> {
    let mut lines: Vec<(String, Vec<String>)> = Vec::new();
    for notice in notices {
        let (said, name) = (state(notice, view), safe(&notice.operator));
        match lines.iter_mut().find(|(words, _)| *words == said) {
            Some((_, names)) if names.contains(&name) => {}
            Some((_, names)) => names.push(name),
            None => lines.push((said, vec![name])),
        }
    }
    lines.into_iter().map(|(said, names)| format!("{}: {said}", names.join(", "))).collect()
}

/// "deferred until 14:05 CET because 451 try later (reminder)".
fn state(notice: &Notice, view: &View) -> String {
    let detail = safe(&notice.detail);
    let with = |words: String, link: &str| match detail.as_str() {
        "" => words,
        detail => format!("{words}{link}{detail}"),
    };
    let went = match notice.state.as_str() {
        "sent" => with(format!("sent {}", clock(&notice.at, view)), ", "),
        "deferred" => {
            let until = clock(&notice.next_attempt_at, view);
            with(format!("deferred until {until}"), " because ")
        }
        "failed" => with("failed".to_owned(), ": "),
        "pointless" => "not needed any more".to_owned(),
        other => safe(other),
    };
    let what = match notice.kind.as_str() {
        // That they are asked is what the page is about.
        "" | "asked" => None,
        "reminder" => Some("reminder".to_owned()),
        "outcome_unknown" => Some("that its outcome is unknown".to_owned()),
        ended => Some(format!("that it was {}", safe(ended))),
    };
    let within = notice.in_summary.then(|| "in a summary".to_owned());
    let aside: Vec<String> = what.into_iter().chain(within).collect();
    if aside.is_empty() { went } else { format!("{went} ({})", aside.join(", ")) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::zone::Zone;

    fn notice(operator: &str, state: &str, detail: &str) -> Notice {
        let (operator, state, detail) = (operator.into(), state.into(), detail.into());
        Notice { operator, state, detail, ..Notice::default() }
    }

    #[test]
    fn each_who_was_mailed_stands_on_the_page_and_the_same_is_said_once() {
        let at = "2026-11-22T13:05:00.000Z".to_owned();
        let now = Time::parse("2026-11-22T12:53:00Z").expect("valid");
        let zone = Zone::fixed(3600, "CET");
        let view = View { now, zone, terminal: true, width: 80, colour: false };
        let all = [
            notice("ana", "queued", ""),
            notice("ben", "queued", ""),
            Notice { at: at.clone(), ..notice("carl", "sent", "250 2.0.0 ok") },
            Notice { next_attempt_at: at, ..notice("dora", "deferred", "451 later\u{1b}[2J") },
            Notice { kind: "outcome_unknown".to_owned(), ..notice("eve", "failed", "550 no") },
            Notice { in_summary: true, ..notice("fay", "pointless", "") },
        ];
        let said = notices(&all, &view);
        assert_eq!(
            said,
            [
                "ana, ben: queued",
                "carl: sent 14:05 CET, 250 2.0.0 ok",
                "dora: deferred until 14:05 CET because 451 later⟨U+001B⟩[2J",
                "eve: failed: 550 no (that its outcome is unknown)",
                "fay: not needed any more (in a summary)",
            ]
        );
    }
}
