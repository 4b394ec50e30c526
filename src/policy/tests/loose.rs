//! What holds for every policy: nothing that tightens loosens, and what cannot be
//! evaluated never allows.

use proptest::prelude::*;

use super::*;

fn pattern() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec!["a", "b", "ab", "*", "a*", "*b", "?", "{a,b}", "[!a]*"])
}

fn condition() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        "",
        ", when: args.n > 1",
        ", when: args.n > 1 || args.missing",
        ", when: \"!has(args.n)\"",
        ", when: args.missing.x == 1",
        ", category: [read]",
        ", category: [destructive, execute]",
        ", risk: [high]",
        ", annotation: {readOnlyHint: true}",
        ", annotation: {destructiveHint: true}",
    ])
}

fn action() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        "action: allow",
        "action: require_approval",
        "action: require_approval, timeout: 5s",
        "action: deny, reason: Never.",
        "action: allow, rate_limit: {max: 1, window: 60}",
        "rate_limit: {max: 1, window: 60}",
    ])
}

/// Documents of few names, so that their rules meet.
fn rules() -> impl Strategy<Value = Vec<String>> {
    let rule =
        (pattern(), pattern(), condition(), action()).prop_map(|(server, tool, when, action)| {
            format!("server: \"{server}\", tool: \"{tool}\"{when}, {action}")
        });
    prop::collection::vec(rule, 0..5)
}

fn written(default: &str, rules: &[String]) -> String {
    let rule = |(n, rule): (usize, &String)| format!("  - {{name: r{n}, {rule}}}\n");
    let rules: String = rules.iter().enumerate().map(rule).collect();
    let rules = if rules.is_empty() { String::new() } else { format!("rules:\n{rules}") };
    format!("default: {default}\nservers: {{b: {{trusted: true}}}}\n{rules}")
}

const DEFAULTS: [&str; 4] = ["allow", "deny", "require_approval", "judge"];
const NAMES: [&str; 5] = ["a", "b", "ab", "ba", "c"];
const ARGUMENTS: [&str; 4] = ["{}", r#"{"n":1}"#, r#"{"n":2}"#, r#"{"n":"2"}"#];

fn every() -> impl Iterator<Item = Asked<'static>> {
    let calls = NAMES.into_iter().flat_map(|server| NAMES.map(|tool| asked(server, tool)));
    let calls =
        calls.flat_map(|call| [SILENT, READS, DESTROYS].map(|tool| call.clone().says(tool)));
    calls.flat_map(|call| ARGUMENTS.map(|arguments| call.clone().with(arguments)))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_rule_in_front_that_denies_never_loosens_and_one_that_holds_lets_nothing_pass(
        mut rules in rules(),
        default in prop::sample::select(DEFAULTS.to_vec()),
        (server, tool, when) in (pattern(), pattern(), condition()),
        denies in any::<bool>(),
    ) {
        let before = policy(&written(default, &rules));
        let action = if denies { "action: deny, reason: Added." } else { "action: require_approval" };
        rules.insert(0, format!("server: \"{server}\", tool: \"{tool}\"{when}, {action}"));
        let after = policy(&written(default, &rules));
        for call in every() {
            let (before, after) = (call.of(&before).action, call.of(&after).action);
            if denies {
                prop_assert!(!before.is_stricter_than(&after), "{call:?} {before:?} {after:?}");
            }
            prop_assert!(after != Action::Allow || before == Action::Allow, "{call:?} {before:?}");
        }
    }

    #[test]
    fn a_condition_that_fails_never_allows(
        rules in rules(),
        default in prop::sample::select(vec!["deny", "require_approval", "judge"]),
        failing in prop::sample::select(vec![
            "args.missing", "args.n.x == 1", "args.missing > 1", "size(args.n) > 'a'",
            "args.missing || args.missing", "true && args.missing", "[1].all(x, args.missing)",
        ]),
        tool in pattern(),
    ) {
        // With a rule that would allow, if its condition did not fail, and without it.
        let mut with = rules.clone();
        with.insert(0, format!("tool: \"{tool}\", when: \"{failing}\", action: allow"));
        let (with, without) = (policy(&written(default, &with)), policy(&written(default, &rules)));
        for call in every() {
            prop_assert_eq!(call.of(&with).action, call.of(&without).action);
        }
    }

    #[test]
    fn nothing_that_a_tool_says_of_itself_makes_an_untrusted_server_s_call_pass(
        rules in rules(),
        default in prop::sample::select(DEFAULTS.to_vec()),
        tool in prop::sample::select(NAMES.to_vec()),
    ) {
        // Only rules that ask for less than a claim: one that tightens by a claim does
        // not match without it.
        let rules: Vec<String> = rules.into_iter().filter(|rule| !rule.contains("readOnly")).collect();
        let policy = policy(&written(default, &rules));
        let silent = asked("a", tool).of(&policy).action;
        let reads = asked("a", tool).says(READS).of(&policy).action;
        prop_assert!(reads != Action::Allow || silent == Action::Allow, "{silent:?} {reads:?}");
    }

    #[test]
    fn judging_never_panics_and_a_rule_stays_short(server in "\\PC{0,300}", tool in any::<String>()) {
        let policy = policy(EXAMPLE).trusting(&server);
        for definition in [SILENT, READS, DESTROYS] {
            prop_assert!(asked(&server, &tool).says(definition).of(&policy).rule.len() <= 200);
        }
    }
}
