//! `holdpoint policy`: check a policy, and ask it what it says of a tool.
//!
//! What the proxy would do is told by the same functions that it asks.

mod accept;
mod check;
mod classify;
mod difference;
mod explain;
mod replay;
mod scan;
mod test;
mod written;

use std::path::Path;

use clap::Subcommand;

use super::errors::{Done, Failure, exit};
use super::output::{Output, note};
use super::state::Globals;
use super::text::{count, safe};
use crate::config::{file, printable};
use crate::policy::{LONGEST, Policy, PolicyError};

/// Check a policy of the proxy, and ask what it says of a tool.
#[derive(Debug, Clone, Subcommand)]
pub enum PolicyCommand {
    Check(check::CheckArgs),
    Explain(explain::ExplainArgs),
    Test(test::TestArgs),
    Classify(classify::ClassifyArgs),
    Scan(scan::ScanArgs),
    Accept(accept::AcceptArgs),
    Replay(replay::ReplayArgs),
}

/// Runs the command.
pub async fn run(globals: &Globals, command: PolicyCommand) -> Done {
    let mut out = Output::stdout();
    match command {
        PolicyCommand::Classify(args) => classify::run(&args, &mut out)?,
        PolicyCommand::Scan(args) => scan::run(args, &mut out).await?,
        PolicyCommand::Check(args) => check::run(&args, &mut out)?,
        PolicyCommand::Explain(args) => explain::run(&args, &mut out)?,
        PolicyCommand::Test(args) => test::run(&args, &mut out)?,
        PolicyCommand::Accept(args) => accept::run(globals, args).await?,
        PolicyCommand::Replay(args) => replay::run(globals, args).await?,
    }
    out.flush()
}

/// What to say of a server that nothing in the policy names, though it names others.
fn unknown_server(policy: &Policy, server: &str) -> Option<String> {
    policy.names_others(server).then(|| {
        let meant = match policy.server_meant(server) {
            Some(name) => format!("did you mean \"{}\"?", safe(name)),
            None => "is it called so in the proxy's configuration, or by its --name?".to_owned(),
        };
        format!("the policy names servers, and \"{}\" is none of them: {meant}", safe(server))
    })
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

#[cfg(test)]
mod tests {
    use super::super::golden::same;
    use super::*;

    #[test]
    fn golden_policy_problems() {
        let wrong = b"servers:\n  valkey:\n    trusted: yes\n    tool: []\n";
        let error = Policy::read(wrong).expect_err("wrong");
        same("policy_problems.txt", &problems(Path::new("a\u{202e}b.yaml"), &error));
    }

    #[test]
    fn a_policy_that_cannot_be_used_ends_with_2() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("policy.yaml");
        let missing = read(&file).expect_err("no file");
        assert_eq!(missing.exit, exit::USAGE);
        assert!(missing.what.contains("policy.yaml"), "{missing}");
        std::fs::write(&file, "rules: none").expect("written");
        assert_eq!(read(&file).expect_err("wrong"), Failure::quiet(exit::USAGE));
        std::fs::write(&file, crate::policy::EXAMPLE).expect("written");
        read(&file).expect("right");
    }
}
