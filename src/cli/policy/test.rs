//! `holdpoint policy test`: whether a table of calls gets the expected verdicts, for a
//! team's own tests of its policy.

use std::path::{Path, PathBuf};

use clap::Args;

use super::super::errors::{Done, Failure, exit};
use super::super::output::{Output, note};
use super::super::text::{count, safe};
use crate::config::{file, printable};
use crate::policy::{LONGEST, Policy, Table};

/// Say whether calls get the verdicts that are expected
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
A table is YAML:

  policy: policy.yaml               as seen from the table
  calls:
    - name: nothing is deleted      if left out: call 1, call 2, ...
      server: valkey
      tool: valkey_del
      args: {key: \"prod:1\"}         if left out: {}
      expect: deny                  allow, deny, limited or require_approval

A call may also have: client, session, user, agent; at: a time such as
\"2026-11-22T18:00:00Z\" (if left out: that of the call before, which begins at noon on Monday,
2026-01-05), after: seconds since the call before; annotations: what the tool says of itself,
or definition: all of it; trusted: true, as if the proxy's configuration trusts the server.
And expect more: rule and reason, a part of each; category; risk.

The calls come one after the other: those that pass take of limits and counters. What is
held takes nothing.

Prints a line for each (TAP). Ends with 0 if all is as expected, with 1 if not, and with 2 if
a table or policy cannot be used.")]
pub struct TestArgs {
    /// The tables
    #[arg(required = true)]
    files: Vec<PathBuf>,
}

/// Runs the command.
pub fn run(args: &TestArgs, out: &mut Output) -> Done {
    // All are read before the first is run: a mistake in the last one is not to look
    // like a result.
    let tables: Vec<(Table, Policy)> =
        args.files.iter().map(|file| read(file)).collect::<Done<_>>()?;
    let number = tables.iter().map(|(table, _)| table.calls.len()).sum::<usize>();
    out.line(&format!("1..{number}"))?;
    let (mut done, mut wrong) = (0, 0);
    for (path, (table, policy)) in args.files.iter().zip(&tables) {
        let (text, differ) = tested(path, table, policy, done);
        out.text(&text)?;
        done += table.calls.len();
        wrong += differ;
    }
    out.flush()?;
    if wrong == 0 {
        return Ok(());
    }
    let calls = count(number as u64, "call", "calls");
    note(&format!("{wrong} of {calls} otherwise than expected"));
    Err(Failure::quiet(exit::OTHER))
}

fn read(path: &Path) -> Done<(Table, Policy)> {
    let text = file::read(path, LONGEST as u64).map_err(|error| {
        let what = format!("cannot read {}: {error}", printable(path));
        Failure::usage(what, "Name a table of calls: a YAML file that this user can read.")
    })?;
    let table = Table::read(&text).map_err(|error| {
        note(super::problems(path, &error).trim_end());
        Failure::quiet(exit::USAGE)
    })?;
    let policy = path.parent().unwrap_or(Path::new("")).join(&table.policy);
    Ok((table, super::read(&policy)?))
}

/// A line for each call, numbered after those before, and how many were otherwise.
fn tested(path: &Path, table: &Table, policy: &Policy, before: usize) -> (String, usize) {
    let (mut text, mut wrong) = (String::new(), 0);
    let outcomes = table.run(policy);
    for (index, (call, outcome)) in table.calls.iter().zip(outcomes).enumerate() {
        let (number, name) = (before + index + 1, safe(&call.name).replace('#', "\\#"));
        if outcome.differs.is_empty() {
            text.push_str(&format!("ok {number} - {name}\n"));
            continue;
        }
        wrong += 1;
        text.push_str(&format!("not ok {number} - {name}\n"));
        text.push_str(&format!("  # {}:{}\n", printable(path), call.line));
        for differs in outcome.differs {
            text.push_str(&format!("  # {}\n", safe(&differs)));
        }
        text.push_str(&format!("  # by {}\n", safe(&outcome.ruling.rule)));
    }
    (text, wrong)
}

#[cfg(test)]
mod tests {
    use super::super::super::golden::same;
    use super::*;
    use crate::policy::{EXAMPLE, EXAMPLE_TABLE};

    fn table(text: &str) -> Table {
        Table::read(text.as_bytes()).unwrap_or_else(|error| panic!("{error}"))
    }

    #[test]
    fn golden_policy_test() {
        let policy = Policy::read(EXAMPLE.as_bytes()).expect("the example");
        let path = Path::new("example_test.yaml");
        let (mut text, wrong) = tested(path, &table(EXAMPLE_TABLE), &policy, 0);
        assert_eq!(wrong, 0, "{text}");
        let other = "policy: x\ncalls:\n  - {name: \"a # b\", server: valkey, tool: valkey_ping, expect: deny, risk: high}\n";
        let (more, wrong) = tested(path, &table(other), &policy, 9);
        assert_eq!(wrong, 1);
        text.push_str(&more);
        same("policy_test.txt", &text);
    }

    #[test]
    fn a_table_finds_its_policy_beside_it_and_the_end_says_how_it_went() {
        let folder = tempfile::tempdir().expect("a folder");
        let at = |name: &str| folder.path().join(name);
        std::fs::write(at("policy.yaml"), "default: deny\n").expect("written");
        let table = |expect: &str| {
            format!("policy: policy.yaml\ncalls:\n  - {{server: s, tool: t, expect: {expect}}}\n")
        };
        std::fs::write(at("right.yaml"), table("deny")).expect("written");
        std::fs::write(at("wrong.yaml"), table("allow")).expect("written");
        std::fs::write(at("broken.yaml"), table("dny")).expect("written");
        std::fs::write(
            at("lost.yaml"),
            "policy: none.yaml\ncalls: [{server: s, tool: t, expect: deny}]\n",
        )
        .expect("written");
        let run = |names: &[&str]| {
            let files = names.iter().map(|name| at(name)).collect();
            run(&TestArgs { files }, &mut Output::stdout()).map_err(|failure| failure.exit)
        };
        assert_eq!(run(&["right.yaml"]), Ok(()));
        assert_eq!(run(&["right.yaml", "wrong.yaml"]), Err(exit::OTHER));
        for unusable in ["broken.yaml", "lost.yaml", "missing.yaml"] {
            assert_eq!(run(&["right.yaml", unusable]), Err(exit::USAGE), "{unusable}");
        }
    }
}
