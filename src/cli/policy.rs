//! `holdpoint policy`: check a policy, and ask it what it says of a tool.
//!
//! What the proxy would do is told by the same functions that it asks.

mod accept;
mod classify;
mod difference;
mod replay;
mod scan;
mod written;

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};

use super::errors::{Done, Failure, exit};
use super::output::{Output, note};
use super::state::Globals;
use super::text::{count, safe};
use crate::call::json::Json;
use crate::config::{duration, file, printable};
use crate::policy::judging::Tool;
use crate::policy::{
    Action, Annotations, Call, Fresh, From, Hold, LONGEST, Policy, PolicyError, Ruling,
};

/// Check a policy of the proxy, and ask what it says of a tool.
#[derive(Debug, Clone, Subcommand)]
pub enum PolicyCommand {
    /// Say what is wrong, all of it
    Check {
        /// The policy
        file: PathBuf,
    },
    Explain(ExplainArgs),
    Classify(classify::ClassifyArgs),
    Scan(scan::ScanArgs),
    Accept(accept::AcceptArgs),
    Replay(replay::ReplayArgs),
}

/// Say what happens to calls of a tool, and which line says so.
#[derive(Debug, Clone, Args)]
pub struct ExplainArgs {
    /// The policy
    file: PathBuf,
    /// The server, by its name in the proxy's configuration
    #[arg(long, value_name = "NAME")]
    server: String,
    /// The tool
    #[arg(long, value_name = "NAME")]
    tool: String,
    /// As if the tool says of itself: readOnlyHint
    #[arg(long)]
    read_only: bool,
    /// As if the tool says of itself: destructiveHint
    #[arg(long)]
    destructive: bool,
    /// As if the proxy's configuration trusts the server
    #[arg(long)]
    trusted: bool,
}

/// Runs the command.
pub async fn run(globals: &Globals, command: PolicyCommand) -> Done {
    let mut out = Output::stdout();
    match command {
        PolicyCommand::Classify(args) => classify::run(&args, &mut out)?,
        PolicyCommand::Scan(args) => scan::run(args, &mut out).await?,
        PolicyCommand::Check { file } => out.line(&checked(&read(&file)?))?,
        PolicyCommand::Explain(args) => out.text(&explained(read(&args.file)?, &args))?,
        PolicyCommand::Accept(args) => accept::run(globals, args).await?,
        PolicyCommand::Replay(args) => replay::run(globals, args).await?,
    }
    out.flush()
}

fn read(path: &Path) -> Done<Policy> {
    Ok(read_with_text(path)?.1)
}

/// The policy, and the text that it was read from.
fn read_with_text(path: &Path) -> Done<(String, Policy)> {
    let text = file::read(path, LONGEST as u64).map_err(|error| {
        let what = format!("cannot read {}: {error}", printable(path));
        Failure::usage(what, "Name a policy: a YAML file that this user can read.")
    })?;
    let policy = Policy::read(&text).map_err(|error| {
        note(problems(path, &error).trim_end());
        Failure::quiet(exit::USAGE)
    })?;
    Ok((String::from_utf8_lossy(&text).into_owned(), policy))
}

/// Every problem by itself, and how many there are.
fn problems(path: &Path, error: &PolicyError) -> String {
    let path = printable(path);
    let lines = error.problems.iter().map(|problem| format!("error: {path}:{problem}\n"));
    let number = error.problems.len() + error.more;
    let shown = match error.more {
        0 => String::new(),
        _ => format!(", of which these are the first {}", error.problems.len()),
    };
    lines.collect::<String>() + &count(number as u64, "error", "errors") + &shown + "\n"
}

fn checked(policy: &Policy) -> String {
    let servers = count(policy.servers() as u64, "server", "servers");
    let rules = count(policy.rules() as u64, "rule", "rules");
    format!("ok: {servers}, {rules}, revision {}", policy.revision())
}

fn explained(policy: Policy, args: &ExplainArgs) -> String {
    let policy = if args.trusted { policy.trusting(&args.server) } else { policy };
    let annotations = Annotations {
        read_only: args.read_only.then_some(true),
        destructive: args.destructive.then_some(true),
    };
    let trusts = policy.trusts(&args.server);
    let call = Call {
        server: &args.server,
        tool: &args.tool,
        definition: Some(&Tool::saying(annotations)),
        arguments: &Json::Object(Vec::new()),
        from: From::default(),
        at: chrono::Utc::now(),
    };
    let Ruling { action, rule, judgement, .. } = policy.judge(&call, &Fresh);
    let (category, risk) = (judgement.category, judgement.risk);
    let detail = match &action {
        Action::Deny { reason } | Action::Limited { reason, .. } => {
            format!("reason    {}\n", safe(reason))
        }
        Action::Hold(Hold { timeout: Some(timeout), .. }) => {
            format!("timeout   {}\n", duration::text(*timeout))
        }
        Action::Hold(_) => "timeout   the daemon's default\n".to_owned(),
        Action::Allow => String::new(),
    };
    let trusted = if trusts { "yes" } else { "no" };
    format!(
        "verdict   {}\nrule      {rule}\n{detail}trusted   {trusted}\nkind      {category}, risk {risk}\nrevision  {}\n",
        action.word(),
        policy.revision()
    )
}

#[cfg(test)]
mod tests {
    use super::super::golden::same;
    use super::*;
    use crate::policy::EXAMPLE;

    fn args(server: &str, tool: &str) -> ExplainArgs {
        let file = PathBuf::from("policy.yaml");
        let (server, tool) = (server.to_owned(), tool.to_owned());
        ExplainArgs { file, server, tool, read_only: false, destructive: false, trusted: false }
    }

    #[test]
    fn golden_policy() {
        let policy = Policy::read(EXAMPLE.as_bytes()).expect("the example");
        let reads = ExplainArgs { read_only: true, ..args("elsewhere", "get") };
        let asked = [
            args("valkey", "valkey_delete"),
            args("amazon-mq", "delete_broker"),
            args("amazon-mq", "reboot_broker"),
            args("amazon-mq", "list_brokers"),
            ExplainArgs { destructive: true, ..reads.clone() },
            ExplainArgs { trusted: true, ..reads },
        ];
        let mut text = checked(&policy) + "\n";
        for asked in asked {
            text.push_str(&format!("\n{} {}\n", asked.server, asked.tool));
            text.push_str(&explained(policy.clone(), &asked));
        }
        same("policy.txt", &text);

        let wrong = b"servers:\n  valkey:\n    trusted: yes\n    tool: []\n";
        let error = Policy::read(wrong).expect_err("wrong");
        same("policy_problems.txt", &problems(Path::new("a\u{202e}b.yaml"), &error));
    }

    #[test]
    fn a_policy_that_cannot_be_used_ends_with_2() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("policy.yaml");
        let check = || Ok::<_, Failure>(checked(&read(&file)?));
        let missing = check().expect_err("no file");
        assert_eq!(missing.exit, exit::USAGE);
        assert!(missing.what.contains("policy.yaml"), "{missing}");
        std::fs::write(&file, "rules: none").expect("written");
        assert_eq!(check().expect_err("wrong"), Failure::quiet(exit::USAGE));
        std::fs::write(&file, EXAMPLE).expect("written");
        check().expect("right");
    }
}
