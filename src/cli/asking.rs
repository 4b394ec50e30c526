//! The flags with which `request` and `exec` describe a call, and how either
//! says how it ended.

use std::collections::HashMap;
use std::time::Duration;

use clap::Args;

use super::client::variable;
use super::errors::{Failure, exit};
use super::hold::{Ending, Hold};
use super::output::{Output, note};
use super::records;
use super::text::{safe, short};
use crate::call::json::Json;
use crate::call::model::{Category, Risk, Verdict};
use crate::call::time::Time;
use crate::config::duration;
use crate::proto;

/// What is said of a call besides its arguments.
#[derive(Debug, Clone, Args)]
pub struct About {
    /// What the call does: read, write, execute, destructive or financial
    /// [default: unsaid, which counts as the most dangerous]
    #[arg(long, value_name = "CATEGORY", value_parser = category)]
    pub category: Option<Category>,
    /// How bad a mistake would be: low, medium, high or critical
    /// [default: unsaid, which counts as the most dangerous]
    #[arg(long, value_name = "RISK", value_parser = risk)]
    pub risk: Option<Risk>,
    /// A label for the operators and the history; may be given several times.
    /// Unless you give them: asked_with, user and host say where this was typed
    #[arg(long = "label", value_name = "KEY=VALUE", value_parser = label)]
    pub labels: Vec<(String, String)>,
    /// The session: within one, the same call asked again continues where it
    /// was, and a denial is remembered
    #[arg(long, value_name = "SESSION")]
    pub session: Option<String>,
    /// The agent's name, as the operators see it [default: not stated]
    #[arg(long, value_name = "NAME")]
    pub agent: Option<String>,
    /// The person for whom this is done; that person cannot approve it
    #[arg(long, value_name = "WHO")]
    pub on_behalf_of: Option<String>,
    /// How long people have, 5s to 7d [default: the daemon's, 15m]
    #[arg(long, value_name = "DURATION", value_parser = timeout)]
    pub timeout: Option<Duration>,
    /// Why this is to be done, for the operators
    #[arg(long, value_name = "TEXT")]
    pub why: Option<String>,
    /// Print how it ended as one JSON object on standard output
    #[arg(long)]
    pub json: bool,
}

impl About {
    /// The call with these arguments, asked with this command.
    pub fn call(
        &self,
        asked_with: &str,
        server: &str,
        tool: &str,
        arguments: impl Into<Vec<u8>>,
    ) -> proto::Call {
        // Whom nobody named stays unnamed: it is not Holdpoint that wants this.
        let agent = proto::Agent {
            name: self.agent.clone().unwrap_or_default(),
            version: String::new(),
            session: self.session.clone().unwrap_or_default(),
            on_behalf_of: self.on_behalf_of.clone().unwrap_or_default(),
        };
        proto::Call {
            server: server.to_owned(),
            tool: tool.to_owned(),
            arguments: arguments.into(),
            category: self.category.map_or(0, Category::number),
            risk: self.risk.map_or(0, Risk::number),
            agent: Some(agent),
            explanation: self.why.clone().unwrap_or_default(),
            labels: self.labels(asked_with),
            ..Default::default()
        }
    }

    /// The labels that were given, and where this was typed.
    fn labels(&self, asked_with: &str) -> HashMap<String, String> {
        let mut labels = HashMap::from([
            ("asked_with".to_owned(), asked_with.to_owned()),
            ("host".to_owned(), host_name()),
            ("user".to_owned(), user()),
        ]);
        labels.extend(self.labels.iter().cloned());
        // Ours are not to be what makes them too many.
        let fits = labels.len() <= MAX_LABELS;
        if fits { labels } else { self.labels.iter().cloned().collect() }
    }
}

/// What the daemon takes.
const MAX_LABELS: usize = 32;

/// This machine's name.
pub fn host_name() -> String {
    match rustix::system::uname().nodename().to_string_lossy() {
        name if name.is_empty() => "localhost".to_owned(),
        name => name.into_owned(),
    }
}

/// Whose session this is, as the environment says; nothing rests on it.
fn user() -> String {
    let named = variable("USER").or_else(|| variable("LOGNAME"));
    let uid = || format!("uid {}", rustix::process::getuid().as_raw());
    named.filter(|name| name.len() <= 64).unwrap_or_else(uid)
}

/// Reads a category.
pub fn category(word: &str) -> Result<Category, String> {
    let known = Category::from_word(word).filter(|c| *c != Category::Unspecified);
    known.ok_or_else(|| "one of read, write, execute, destructive, financial".to_owned())
}

fn risk(word: &str) -> Result<Risk, String> {
    let known = Risk::from_word(word).filter(|r| *r != Risk::Unspecified);
    known.ok_or_else(|| "one of low, medium, high, critical".to_owned())
}

fn label(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("write KEY=VALUE")?;
    if key.is_empty() {
        return Err("the key is empty: write KEY=VALUE".to_owned());
    }
    Ok((key.to_owned(), value.to_owned()))
}

fn timeout(text: &str) -> Result<Duration, String> {
    let timeout = duration::parse(text).map_err(|error| error.to_string())?;
    let allowed = Duration::from_secs(5)..=Duration::from_secs(7 * 86_400);
    if allowed.contains(&timeout) { Ok(timeout) } else { Err("5s to 7d are possible".to_owned()) }
}

/// Says how a call ended that does not run: on standard error for a person, and
/// as JSON where that is wanted. The exit code is that of `request`; `exec`
/// adds its own offset.
pub fn not_granted(
    hold: &Hold,
    ending: Ending,
    about: &About,
    call: (&str, &str),
    offset: u8,
) -> Failure {
    let failure = explain(hold, ending);
    let failure = Failure { exit: failure.exit + offset, ..failure };
    note(&format!("holdpoint: {failure}"));
    if about.json {
        print(&answer(hold, Some(&failure), call, failure.exit));
    }
    Failure::quiet(failure.exit)
}

/// Prints the answer of a call that may run now.
pub fn granted(hold: &Hold, call: (&str, &str)) {
    print(&answer(hold, None, call, exit::OK));
}

/// The exit code is the answer; that nobody reads the JSON must not change it.
fn print(answer: &Json) {
    let mut out = Output::stdout();
    let _ = out.line(&answer.to_text()).and_then(|()| out.flush());
}

/// Whether a request expired long before its deadline. Clocks of two machines
/// differ by seconds.
fn ended_early(answer: &proto::ApprovalAnswer) -> bool {
    const CLOCKS_DIFFER: Duration = Duration::from_secs(30);
    let now = Time(chrono::Utc::now().timestamp_millis());
    Time::parse(&answer.deadline).is_some_and(|deadline| deadline > now + CLOCKS_DIFFER)
}

/// What happened, what to do next, and the exit code.
fn explain(hold: &Hold, ending: Ending) -> Failure {
    let answer = hold.answer().cloned().unwrap_or_default();
    let denial = answer.decisions.iter().rfind(|d| d.verdict == Verdict::Deny.number());
    let failure = match ending {
        Ending::Denied => {
            let who = denial.map_or("an operator".to_owned(), |d| safe(&d.operator));
            let why = denial.filter(|d| !d.reason.is_empty());
            let why = why.map(|d| format!(": {}", safe(&d.reason))).unwrap_or_default();
            let again = if answer.remembered { " (asked before, and remembered)" } else { "" };
            Failure::new(
                format!("denied by {who}{again}{why}"),
                "It must not run; ask again only if something has changed.",
            )
            .with_exit(exit::DENIED)
        }
        Ending::Expired if ended_early(&answer) => Failure::new(
            "ended before its time: the daemon began from a backup, which ends whatever was open",
            "Nobody said no. Ask again.",
        )
        .with_exit(exit::EXPIRED),
        Ending::Expired if answer.nobody_reached => Failure::new(
            "expired: nobody answered in time; nobody could be reached by mail, and nobody looked",
            "Have the daemon's mail looked at (`holdpoint mail queue`), then ask again.",
        )
        .with_exit(exit::EXPIRED),
        Ending::Expired => Failure::new(
            "expired: nobody answered in time, and nobody said no",
            "Ask again, with a longer --timeout or when the operators are there.",
        )
        .with_exit(exit::EXPIRED),
        Ending::Withdrawn => {
            Failure::new("withdrawn", "Nothing was run.").with_exit(exit::WITHDRAWN)
        }
        // `Approved` never ends here; if it did, it would not be permission.
        Ending::Approved => Failure::unreachable("no use was taken", "Ask again."),
        Ending::Refused(failure) => failure.with_exit(exit::REFUSED),
    };
    failure.about(&answer.id)
}

fn answer(hold: &Hold, failure: Option<&Failure>, (server, tool): (&str, &str), code: u8) -> Json {
    let a = hold.answer().cloned().unwrap_or_default();
    let status = match code % exit::NOT_RUN {
        exit::REFUSED => "refused",
        _ => records::status(a.status),
    };
    let withdrawn = code % exit::NOT_RUN == exit::WITHDRAWN;
    Json::object([
        ("id", records::or_null(&a.id)),
        ("digest", records::or_null(&a.digest)),
        ("status", if withdrawn { "withdrawn" } else { status }.into()),
        ("granted", failure.is_none().into()),
        ("exit", u32::from(code).into()),
        ("server", server.into()),
        ("tool", tool.into()),
        ("deadline", records::or_null(&a.deadline)),
        ("decisions", records::decisions(&a.decisions)),
        ("resumed", hold.continued().into()),
        ("remembered", a.remembered.into()),
        ("looked_count", a.looked_count.into()),
        ("nobody_reached", a.nobody_reached.into()),
        ("error", failure.map_or(Json::Null, |f| f.what.as_str().into())),
        ("reason", failure.map_or(Json::Null, |f| records::or_null(&f.reason))),
    ])
}

/// "approved by ana [1a2b3c4d]", for standard error.
pub fn approved_by(hold: &Hold) -> String {
    let answer = hold.answer().cloned().unwrap_or_default();
    let names: Vec<String> = answer.decisions.iter().map(|d| safe(&d.operator)).collect();
    format!("approved by {} [{}]", names.join(", "), short(&answer.id))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_and_limits_are_checked_before_anything_is_asked() {
        assert_eq!(category("financial"), Ok(Category::Financial));
        assert!(category("unspecified").is_err() && category("Financial").is_err());
        assert!(risk("severe").is_err());
        assert_eq!(timeout("15m"), Ok(Duration::from_secs(900)));
        assert!(timeout("4s").is_err() && timeout("8d").is_err());
        assert_eq!(label("a=b=c"), Ok(("a".to_owned(), "b=c".to_owned())));
        assert!(label("=x").is_err() && label("x").is_err());
    }
}
