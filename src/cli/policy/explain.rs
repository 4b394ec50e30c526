//! `holdpoint policy explain`: what happens to a call, which rule says so, and what
//! else was near.

use std::path::PathBuf;

use chrono::{DateTime, Utc};
use clap::Args;

use super::super::errors::{Done, Failure};
use super::super::output::Output;
use super::super::request;
use super::super::text::safe;
use super::classify;
use crate::call::json::{Json, parse};
use crate::config::duration;
use crate::policy::judging::Tool;
use crate::policy::{Action, Call, Definition, Explanation, Fresh, From, Hold, Policy, Take};

/// Say what happens to a call, and why
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
  verdict   allow, deny, limited or require_approval
  rule      what says so, and because of what, where that is a doubt
  note      that the policy names other servers, and not this one
  told      what the agent is told beside our own words
  kind      what the call does and how bad a mistake would be, and below why we think so
  takes     what it takes of limits and counters if it passes
  near      the rules that did not decide, and why

Limits and counters count as if nothing had been taken yet.")]
pub struct ExplainArgs {
    /// The policy
    file: PathBuf,
    /// The server, by its name in the proxy's configuration
    #[arg(long, value_name = "NAME")]
    server: String,
    /// The tool
    #[arg(long, value_name = "NAME")]
    tool: String,
    /// The arguments as JSON; @FILE and - read them
    #[arg(long, value_name = "JSON", default_value = "{}")]
    args: String,
    /// A list of tools that defines this one: an answer to tools/list
    #[arg(long, value_name = "FILE")]
    tools: Option<PathBuf>,
    /// The client that calls
    #[arg(long, value_name = "NAME", default_value = "")]
    client: String,
    /// The session
    #[arg(long, value_name = "ID", default_value = "")]
    session: String,
    /// What the agent calls itself
    #[arg(long, value_name = "NAME", default_value = "")]
    agent: String,
    /// On whose behalf
    #[arg(long, value_name = "NAME", default_value = "")]
    user: String,
    /// As if it were this time, such as 2026-11-22T18:00:00Z
    #[arg(long, value_name = "TIME")]
    at: Option<DateTime<Utc>>,
    /// As if the proxy's configuration trusts the server
    #[arg(long)]
    trusted: bool,
}

/// Runs the command.
pub fn run(args: &ExplainArgs, out: &mut Output) -> Done {
    let policy = super::read(&args.file)?;
    let arguments = parse(&request::arguments(&args.args)?).map_err(|error| {
        Failure::usage(format!("--args: {error}"), "Give a JSON object, such as '{\"n\": 1}'.")
    })?;
    let definition = definition(args)?;
    out.text(&explained(policy, args, &arguments, &definition))
}

/// The tool as its server defines it. Where no list is given, one that says nothing of
/// itself.
fn definition(args: &ExplainArgs) -> Done<Tool> {
    let Some(path) = &args.tools else {
        let silent = Json::object([("name", Json::from(args.tool.as_str()))]);
        return Ok(Tool::of(&silent));
    };
    let tools = classify::tools(&classify::read(path)?)?;
    let found = tools.iter().find(|(name, _)| *name == args.tool);
    let (_, definition) = found.ok_or_else(|| {
        let what = format!("the list has no tool {}", safe(&args.tool));
        Failure::usage(what, "Leave --tools away, or name a tool of the list.")
    })?;
    Ok(Tool::of(definition))
}

fn explained(policy: Policy, args: &ExplainArgs, arguments: &Json, definition: &Tool) -> String {
    let policy = if args.trusted { policy.trusting(&args.server) } else { policy };
    let call = Call {
        server: &args.server,
        tool: &args.tool,
        definition: Definition::Is(definition),
        arguments,
        from: From {
            client: &args.client,
            session: &args.session,
            user: &args.user,
            agent: &args.agent,
            agent_version: "",
        },
        at: args.at.unwrap_or_else(Utc::now),
    };
    let Explanation { ruling, doubt, trusted, near } = policy.explain(&call, &Fresh);
    let mut lines = vec![("verdict", ruling.action.word().to_owned()), ("rule", ruling.rule)];
    lines.extend(super::unknown_server(&policy, &args.server).map(|said| ("note", said)));
    lines.extend(doubt.map(|doubt| ("because", safe(&doubt))));
    match &ruling.action {
        Action::Deny { reason } | Action::Limited { reason, .. } => {
            lines.push(("told", safe(reason)));
        }
        Action::Hold(hold) => held(hold, &mut lines),
        Action::Allow => {}
    }
    let judgement = ruling.judgement;
    let told = if judgement.told { "" } else { " (a guess: nothing tells)" };
    lines.push(("kind", format!("{}, risk {}{told}", judgement.category, judgement.risk)));
    lines.extend(judgement.lines().into_iter().map(|line| ("", safe(&line))));
    lines.extend(ruling.takes.iter().map(|take| ("takes", taken(take))));
    lines.push(("trusted", if trusted { "yes" } else { "no" }.to_owned()));
    lines.push(("revision", policy.revision().to_owned()));
    for near in near {
        lines.push(("near", format!("{}, {}: {}", safe(&near.rule), near.does, safe(&near.why))));
    }
    lines.into_iter().map(|(word, what)| format!("{word:<9} {what}\n")).collect()
}

fn held(hold: &Hold, lines: &mut Vec<(&'static str, String)>) {
    if let Some(told) = &hold.told {
        lines.push(("told", safe(told)));
    }
    let timeout = hold.timeout.map(duration::text);
    lines.push(("timeout", timeout.unwrap_or_else(|| "the daemon's default".to_owned())));
    if !hold.labels.is_empty() {
        let labels: Vec<_> = hold
            .labels
            .iter()
            .map(|(name, value)| format!("{}={}", safe(name), safe(value)))
            .collect();
        lines.push(("labels", labels.join(", ")));
    }
    if let Some(route) = &hold.route {
        lines.push(("route", safe(route)));
    }
}

fn taken(take: &Take) -> String {
    match take {
        Take::Sliding { key, max, window } => {
            format!("one of {max} calls in {} s: {}", window.as_secs(), safe(&key.0))
        }
        Take::Counter { key, amount, limit } => {
            let within = limit.map(|limit| format!(" of {limit}")).unwrap_or_default();
            format!("{amount}{within}: state.{}.{}", safe(&key.scope), safe(&key.name))
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::super::super::golden::same;
    use super::*;
    use crate::policy::EXAMPLE;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        args: ExplainArgs,
    }

    fn explained_for(given: &str) -> String {
        let policy = Policy::read(EXAMPLE.as_bytes()).expect("the example");
        let at = "--at 2026-11-22T18:05:00Z";
        let line = format!("explain policy.yaml {at} {given}");
        let args = Line::try_parse_from(line.split(' ')).expect("arguments").args;
        let arguments = parse(args.args.as_bytes()).expect("JSON");
        let tool = definition(&args).expect("a tool");
        format!("{given}\n{}", explained(policy, &args, &arguments, &tool))
    }

    #[test]
    fn golden_policy_explain() {
        let folder = tempfile::tempdir().expect("a folder");
        let list = folder.path().join("list.json");
        let tools = r#"{"tools":[{"name":"look","description":"Shows a thing.","annotations":{"readOnlyHint":true,"destructiveHint":false}}]}"#;
        std::fs::write(&list, tools).expect("written");
        let listed = format!("--server valkey --tool look --tools {}", list.display());
        let asked = [
            r#"--server valkey --tool valkey_del --args {"key":"prod:1"} --client ci"#,
            r#"--server valkey --tool valkey_del --args {"key":"dev:1"} --client ci --session s1"#,
            "--server valkey --tool valkey_del",
            "--server amazon-mq --tool create_user",
            "--server builds --tool deploy_preview --user ada",
            "--server builds --tool deploy_preview --args []",
            "--server builds --tool xyzzy",
            &listed,
        ];
        let texts = asked.map(explained_for);
        let text = texts.join("\n").replace(&list.display().to_string(), "list.json");
        same("policy_explain.txt", &text);
    }

    #[test]
    fn a_server_that_the_policy_does_not_name_is_noted_where_it_names_others() {
        let text =
            "rules:\n  - {server: valkey, tool: a, action: allow}\n  - {tool: b, action: allow}\n";
        let policy = Policy::read(text.as_bytes()).expect("a policy");
        let noted = |server| super::super::unknown_server(&policy, server);
        assert_eq!(noted("valkey"), None);
        let typo = noted("valky").expect("a note");
        assert_eq!(
            typo,
            "the policy names servers, and \"valky\" is none of them: did you mean \"valkey\"?"
        );
        assert!(noted("other").expect("a note").ends_with("or by its --name?"));
        let none = Policy::read(b"rules:\n  - {tool: b, action: allow}\n").expect("a policy");
        assert_eq!(super::super::unknown_server(&none, "other"), None);
    }

    #[test]
    fn what_cannot_be_asked_is_named() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("policy.yaml");
        std::fs::write(&file, EXAMPLE).expect("written");
        let line = |more: &str| {
            let line = format!("explain {} --server s --tool t {more}", file.display());
            let args = Line::try_parse_from(line.trim().split(' ')).expect("arguments").args;
            run(&args, &mut Output::stdout()).expect_err(more).to_string()
        };
        assert!(line("--args {a").contains("--args: not valid JSON: expected"));
        let list = folder.path().join("list.json");
        std::fs::write(&list, "[]").expect("written");
        let missing = line(&format!("--tools {}", list.display()));
        assert!(missing.contains("the list has no tool t"), "{missing}");
    }
}
