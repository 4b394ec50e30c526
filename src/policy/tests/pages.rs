//! The examples of `docs/policy.md`: each policy there is read, and each table of calls
//! is run against the policy that stands before it.

use super::*;

const PAGE: &str = include_str!("../../../docs/policy.md");

/// The blocks of YAML, each with the line on which it begins.
fn blocks() -> Vec<(usize, String)> {
    let mut blocks = Vec::new();
    let mut block: Option<(usize, String)> = None;
    for (number, line) in PAGE.lines().enumerate() {
        match (&mut block, line) {
            (None, "```yaml") => block = Some((number + 2, String::new())),
            (Some(_), "```") => blocks.extend(block.take()),
            (Some((_, text)), line) => {
                text.push_str(line);
                text.push('\n');
            }
            (None, _) => {}
        }
    }
    blocks
}

#[test]
fn every_example_of_the_page_is_a_policy_or_a_table_that_is_right() {
    let mut before: Option<Policy> = None;
    let (mut policies, mut calls) = (0, 0);
    for (line, text) in blocks() {
        if text.starts_with("calls:") {
            let table = Table::read(format!("policy: above\n{text}").as_bytes());
            let table = table.unwrap_or_else(|error| panic!("docs/policy.md:{line}: {error}"));
            let policy = before.as_ref().expect("a policy stands before");
            for (call, outcome) in table.calls.iter().zip(table.run(policy)) {
                let place = line + call.line - 2;
                assert!(outcome.differs.is_empty(), "docs/policy.md:{place}: {outcome:?}");
                calls += 1;
            }
        } else {
            let read = Policy::read(text.as_bytes());
            before = Some(read.unwrap_or_else(|error| panic!("docs/policy.md:{line}: {error}")));
            policies += 1;
        }
    }
    assert!(policies > 5 && calls > 20, "{policies} {calls}");
}
