//! `holdpoint watch`: what waits, and then every change as it happens, through
//! restarts of the daemon.

use std::time::Duration;

use clap::Args;
use tokio::time::sleep;

use super::client::{Client, Role};
use super::errors::Done;
use super::output::{Output, Tone, View, note};
use super::state::Globals;
use super::text::{safe, short};
use super::{records, when, words};
use crate::call::json::Json;
use crate::call::model::{Status, Verdict};
use crate::client::worth_retrying;
use crate::proto::{Request, WatchEvent, WatchRequestsRequest, watch_event::Event};

/// What waits, and then every change.
#[derive(Debug, Clone, Args)]
#[command(after_help = PLAIN_COLUMNS)]
pub struct WatchArgs {
    /// One JSON object per line
    #[arg(long)]
    json: bool,
}

const PLAIN_COLUMNS: &str = "\
Off a terminal: columns with tabs between them: event, id, digest, status, server, tool,
deadline.";

/// Between attempts to reach a daemon that is away: doubled from the first to the second.
const BACK_OFF: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(5));

/// Runs until it is interrupted or nobody reads any more.
pub async fn run(globals: &Globals, args: WatchArgs) -> Done {
    let client = Client::new(globals, Role::Operator)?;
    // The first connection has to work: a wrong address is not waited for.
    client.connect().await?;
    let mut out = Output::stdout();
    let mut pause = BACK_OFF.0;
    let mut away = false;
    loop {
        match follow(&client, &args, &mut out, &mut away).await? {
            Some(status) if !worth_retrying(&status) => return Err(client.failure(status)),
            _ if !away => {
                away = true;
                pause = BACK_OFF.0;
                note("holdpoint: the daemon does not answer; trying again");
            }
            _ => {}
        }
        sleep(pause).await;
        pause = (pause * 2).min(BACK_OFF.1);
    }
}

/// Prints one stream to its end; the status that ended it.
async fn follow(
    client: &Client,
    args: &WatchArgs,
    out: &mut Output,
    away: &mut bool,
) -> Done<Option<tonic::Status>> {
    let stream = match client.operator().watch_requests(WatchRequestsRequest {}).await {
        Ok(stream) => stream,
        Err(status) => return Ok(Some(status)),
    };
    let mut stream = stream.into_inner();
    if std::mem::take(away) {
        // What was printed before may have ended while we were away.
        show(
            args,
            out,
            &WatchEvent { event: Some(Event::Reset(Default::default())), ..Default::default() },
        )?;
    }
    loop {
        match stream.message().await {
            Ok(Some(event)) => show(args, out, &event)?,
            Ok(None) => return Ok(None),
            Err(status) => return Ok(Some(status)),
        }
    }
}

fn show(args: &WatchArgs, out: &mut Output, event: &WatchEvent) -> Done {
    if args.json {
        if let Some(object) = object(event) {
            out.line(&object.to_text())?;
        }
    } else {
        let view = out.view();
        if let Some(line) = line(event, &view) {
            out.line(&line)?;
        }
    }
    out.flush()
}

fn object(event: &WatchEvent) -> Option<Json> {
    let named = |name: &str| Json::object([("event", name.into())]);
    match event.event.as_ref()? {
        Event::Request(r) => Some(records::event(&event.kind, event.sequence, r)),
        Event::Ready(_) => Some(named("ready")),
        Event::Reset(_) => Some(named("reset")),
    }
}

/// For a person, a line per event. Elsewhere columns with tabs between them:
/// event, id, digest, status, server, tool, deadline.
fn line(event: &WatchEvent, view: &View) -> Option<String> {
    let kind = if event.kind.is_empty() { "pending" } else { &event.kind };
    match event.event.as_ref()? {
        Event::Request(r) if view.terminal => Some(for_person(kind, r, view)),
        Event::Request(r) => {
            let status = records::status(r.status).to_owned();
            let fields = [
                safe(kind),
                safe(&r.id),
                safe(&r.digest),
                status,
                safe(&r.server),
                safe(&r.tool),
                safe(&r.deadline),
            ];
            Some(super::table::plain(&fields))
        }
        Event::Ready(_) if view.terminal => {
            Some(view.paint(Tone::Faint, "-- all that waited is above; changes follow"))
        }
        Event::Reset(_) if view.terminal => Some(view.paint(Tone::Faint, "-- begins again")),
        Event::Ready(_) => Some("ready".to_owned()),
        Event::Reset(_) => Some("reset".to_owned()),
    }
}

fn for_person(kind: &str, r: &Request, view: &View) -> String {
    let clock = view.paint(Tone::Faint, &when::clock(view.now, view.now, &view.zone));
    let said = view.paint(words::status(r.status), &safe(&kind.replace('_', " ")));
    let call = format!("{} on {}", safe(&r.tool), safe(&r.server));
    let more = match (Status::from_number(r.status), r.decisions.last()) {
        (Some(Status::Pending), _) if kind == "looked" => match r.looked.last() {
            Some(look) => format!(", by {}", safe(&look.operator)),
            None => String::new(),
        },
        (Some(Status::Pending), _) if kind == "nobody_reached" => {
            format!(" by mail: {}", safe(&r.unreached_why))
        }
        (Some(Status::Pending), _) => {
            let category = view.paint(words::category(r.category), records::category(r.category));
            format!(", {category}, expires {}", view.deadline(&r.deadline, r.time_left_ms))
        }
        (_, Some(d)) if kind.contains("approved") || kind.contains("denied") => {
            let quoted = d.verdict == Verdict::Deny.number() && !d.reason.is_empty();
            let reason = if quoted { format!(": {}", safe(&d.reason)) } else { String::new() };
            format!(" by {}{reason}", safe(&d.operator))
        }
        _ => String::new(),
    };
    format!("{clock}  {said} [{}] {call}{more}", short(&r.id))
}
