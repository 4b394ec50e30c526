//! Whole documents: our own, of every construct that scaffolds of Intercept use
//! and more; and those of a folder, if there is one.

use std::path::{Path, PathBuf};

use super::*;

const SCAFFOLD: &str = include_str!("files/scaffold.yaml");
const EVERYTHING: &str = include_str!("files/everything.yaml");

#[test]
fn a_scaffold_lists_tools_and_lets_all_pass() {
    let policy = policy(SCAFFOLD);
    for tool in ["list_shelves", "read-shelf", "moveBox", "warehouse.box.label", "API-delete-box"] {
        let said = on(&policy, tool, "{}", &Memory::default());
        assert_eq!((said.action, said.unlisted, said.takes), (Action::Allow, false, Vec::new()));
    }
    assert_eq!((policy.rules(), policy.lists("other")), (0, false));
}

#[test]
fn a_shop_is_run_by_a_document_with_everything_in_it() {
    let policy = policy(EVERYTHING);
    assert_eq!(policy.rules(), 11);
    let counters = Memory::default();
    let make = |tool: &str, args: &str| {
        let said = on(&policy, tool, args, &counters);
        counters.take(&said.takes);
        match &said.action {
            Action::Deny { reason } | Action::Limited { reason, .. } => reason.clone(),
            action => action.word().to_owned(),
        }
    };
    let order = |amount: &str, cents: &str, account: &str| {
        format!(
            r#"{{"order":{{"amount":{amount},"cents":{cents},"currency":"eur","note":"n"}},"account":"acct_{account}"}}"#
        )
    };
    assert_eq!(make("wipe_ledger", "{}"), "Tool \"wipe_ledger\" is hidden by policy");
    assert_eq!(make("unknown", "{}"), "Tool \"unknown\" is not permitted by policy");
    assert_eq!(make("erase_customer", "{}"), "Customers are erased by people");
    let refused = make("refund", r#"{"tags":[]}"#);
    assert_eq!(refused, "Denied by rule \"only what was paid\"");
    assert_eq!(
        make("pay", &order("500.51", "1", "0123abcd")),
        "A payment is more than 0 and at most 500.50"
    );
    assert_eq!(make("pay", &order("1", "1", "00000000")), "Denied by rule \"no test accounts\"");
    assert_eq!(make("pay", &order("1", "10000", "0123abcd")), "10,000 a day. Come back tomorrow.");
    assert_eq!(make("pay", &order("500.5", "9999", "0123abcd")), "allow");
    assert_eq!(make("pay", &order("0.01", "1", "0123abcd")), "10,000 a day. Come back tomorrow.");
    assert_eq!(make("refund", r#"{"tags":["small"]}"#), "allow");
    assert_eq!(make("refund", r#"{"tags":["large"]}"#), "require_approval");
    assert_eq!(make("refund", r#"{"tags":[]}"#), "Two refunds an hour");
    assert_eq!(make("look", "{}"), "allow");
    assert_eq!(make("list", "{}"), "Rate limit exceeded for everything");
    assert_eq!(make("weigh", r#"{"unit":"lb"}"#), "Denied by rule \"by weight\"");
}

/// Reads what a copy of the public repository of PolicyLayer Intercept has: every file
/// under `policies` and every whole example of `POLICY.md` is accepted, and of `testdata`
/// those that are called invalid are refused. The folder is named by `HOLDPOINT_INTERCEPT`:
///
/// ```text
/// HOLDPOINT_INTERCEPT=~/Intercept cargo test --lib the_public_files -- --ignored --nocapture
/// ```
#[test]
#[ignore = "reads the folder that HOLDPOINT_INTERCEPT names"]
fn the_public_files_are_read_as_documented() {
    let folder = PathBuf::from(std::env::var_os("HOLDPOINT_INTERCEPT").expect("a folder is named"));
    let policies = files(&folder.join("policies"));
    assert!(!policies.is_empty(), "there are files");
    let mut tools = 0;
    for path in &policies {
        let text = std::fs::read_to_string(path).expect("a file");
        let policy = read(&text).unwrap_or_else(|error| panic!("{}\n{error}", path.display()));
        for tool in policy.tools.keys() {
            let said = on(&policy, tool, "{}", &Memory::default());
            assert!(!said.unlisted && policy.lists(tool));
            if policy.rules() == 0 {
                assert_eq!(said.action, Action::Allow, "{tool} in {}", path.display());
            }
        }
        tools += policy.tools.len();
    }
    let (mut accepted, mut refused) = (0, 0);
    for path in files(&folder.join("testdata")) {
        let text = std::fs::read_to_string(&path).expect("a file");
        let invalid =
            path.file_name().is_some_and(|name| name.to_string_lossy().contains("invalid"));
        match read(&text) {
            Ok(_) => accepted += 1,
            Err(error) => {
                refused += 1;
                println!("{}:\n{error}", path.display());
            }
        }
        assert_eq!(read(&text).is_err(), invalid, "{}", path.display());
    }
    let reference = std::fs::read_to_string(folder.join("POLICY.md")).expect("a file");
    let blocks = reference.split("```yaml\n").filter_map(|block| block.split("```").next());
    let examples: Vec<_> =
        blocks.filter(|block| block.starts_with("version:") && !block.contains('<')).collect();
    for example in &examples {
        policy(example);
    }
    println!("examples: {} accepted", examples.len());
    println!(
        "policies: {} accepted with {tools} tools; testdata: {accepted} accepted, {refused} refused",
        policies.len()
    );
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).expect("a folder");
    let paths = entries.map(|entry| entry.expect("an entry").path());
    let mut found: Vec<_> =
        paths.filter(|path| path.extension().is_some_and(|ext| ext == "yaml")).collect();
    found.sort();
    found
}
