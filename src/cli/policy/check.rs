//! `holdpoint policy check`: what is wrong with a policy, what is in it, and what is
//! probably not meant.

use std::path::{Path, PathBuf};

use clap::Args;

use super::super::errors::Done;
use super::super::output::Output;
use crate::config::printable;
use crate::policy::Policy;

/// Say what is wrong with a policy, all of it
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Each mistake has its file, line and column, and what to do. Of a policy that can be used it
says what is in it, and warns of what is probably not meant.

Ends with 0 if the policy can be used, warnings or not, and with 2 if not.")]
pub struct CheckArgs {
    /// The policy
    file: PathBuf,
}

/// Runs the command.
pub fn run(args: &CheckArgs, out: &mut Output) -> Done {
    out.text(&checked(&args.file, &super::read(&args.file)?))
}

fn checked(path: &Path, policy: &Policy) -> String {
    let path = printable(path);
    let mut text = format!("ok: {path}\n");
    for (word, what) in policy.contents() {
        text.push_str(&format!("  {word:<9} {what}\n"));
    }
    for warning in policy.warnings() {
        let place = warning.place.map(|place| format!(":{place}")).unwrap_or_default();
        let (message, remedy) = (warning.message, warning.remedy);
        text.push_str(&format!("warning: {path}{place}: {message}\n  {remedy}\n"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::super::super::golden::same;
    use super::*;
    use crate::policy::EXAMPLE;

    #[test]
    fn golden_policy_check() {
        let documents = [
            EXAMPLE,
            "default: deny\n",
            "version: \"1\"\ntools:\n  delete_repo: {rules: [{name: never, action: deny}]}\n  delete_repa: {}\n",
            "rules:\n  - {tool: \"get_*\", action: allow}\n  - {tool: get_a, action: allow}\n  \
             - {rate_limit: {max: 5, window: 60}}\n",
        ];
        let checked = documents.map(|text| {
            let policy = Policy::read(text.as_bytes()).expect("a policy");
            checked(Path::new("policy.yaml"), &policy)
        });
        same("policy_check.txt", &checked.join("\n"));
    }
}
