//! `holdpoint whoami`: whose token this is, and what it may do.

use clap::Args;

use super::client::{Client, Role, brief};
use super::errors::Done;
use super::output::Output;
use super::records;
use super::state::Globals;
use super::text::safe;
use crate::call::json::Json;
use crate::proto::{WhoAmIRequest, WhoAmIResponse};

/// Who you are to the daemon, and what you may do.
#[derive(Debug, Clone, Args)]
pub struct WhoamiArgs {
    /// In local mode: the local caller instead of the local operator
    #[arg(long)]
    caller: bool,
    /// One JSON object: name, roles, groups, strength, server_version,
    /// server_state, mail
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub async fn run(globals: &Globals, args: WhoamiArgs) -> Done {
    let role = if args.caller { Role::Caller } else { Role::Operator };
    let client = Client::new(globals, role)?;
    let answer = client.operator().who_am_i(brief(WhoAmIRequest {})).await;
    let me = answer.map_err(|status| client.failure(status))?.into_inner();
    let mut out = Output::stdout();
    out.text(&if args.json { object(&me).to_text() + "\n" } else { lines(&me) })?;
    out.flush()
}

fn object(me: &WhoAmIResponse) -> Json {
    Json::object([
        ("name", me.name.as_str().into()),
        ("roles", Json::array(me.roles.iter().map(String::as_str))),
        ("groups", Json::array(me.groups.iter().map(String::as_str))),
        ("strength", records::strength(me.strength).into()),
        ("server_version", me.server_version.as_str().into()),
        ("server_state", me.server_state.as_str().into()),
        ("mail", me.mail.as_str().into()),
    ])
}

fn lines(me: &WhoAmIResponse) -> String {
    let list = |all: &[String]| all.iter().map(|one| safe(one)).collect::<Vec<_>>().join(", ");
    let known = match records::strength(me.strength) {
        "local" => "local mode: any program of this user could be",
        "token" => "by a token",
        "certificate" => "by a client certificate",
        other => other,
    };
    let fields = [
        ("name", safe(&me.name)),
        ("roles", list(&me.roles)),
        ("groups", list(&me.groups)),
        ("known", known.to_owned()),
        ("daemon", format!("{}, {}", safe(&me.server_version), safe(&me.server_state))),
        ("mail", safe(&me.mail)),
    ];
    let fields = fields.iter().filter(|(_, text)| !text.is_empty());
    fields.map(|(name, text)| format!("{name:<8}{text}\n")).collect()
}
