//! Tables of expected verdicts, and the counters behind them.

use super::*;
use crate::policy::call::{LimitKey, Take};

fn run(policy_text: &str, calls: &str) -> Vec<String> {
    let table = Table::read(format!("policy: p.yaml\ncalls:\n{calls}").as_bytes());
    let table = table.unwrap_or_else(|error| panic!("{error}"));
    let outcomes = table.run(&policy(policy_text));
    outcomes.into_iter().flat_map(|outcome| outcome.differs).collect()
}

#[test]
fn the_example_s_table_is_right() {
    let table = Table::read(EXAMPLE_TABLE.as_bytes()).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(table.policy, "example.yaml");
    for (call, outcome) in table.calls.iter().zip(table.run(&policy(EXAMPLE))) {
        assert!(outcome.differs.is_empty(), "{}: {:?}", call.name, outcome);
    }
}

#[test]
fn the_eleventh_call_of_a_minute_is_refused_and_it_recovers_by_itself() {
    let limit = "default: allow\nrules:\n  - {rate_limit: {max: 10, window: 60}}\n";
    let call = |more: &str| format!("  - {{server: s, tool: x, session: a{more}}}\n");
    let ten = call(", after: 1, expect: allow").repeat(10);
    let calls = ten
        + &call(", after: 1, expect: limited, reason: may pass in 50 s")
        + &call(", after: 49, expect: limited, reason: may pass in 1 s")
        + &call(", after: 1, expect: allow")
        + &call(", expect: limited, reason: may pass in 1 s");
    assert_eq!(run(limit, &calls), Vec::<String>::new());
}

#[test]
fn what_is_not_as_expected_is_told() {
    let calls = "  - {server: s, tool: x, expect: allow, rule: other, category: read, risk: low, reason: z}\n";
    let differs = run("rules:\n  - {tool: x, action: deny, reason: No.}\n", calls);
    assert_eq!(
        differs[..3],
        [
            "verdict: expected allow, found deny",
            "rule: expected other, found rules[0] (line 2)",
            "reason: expected z, found No."
        ]
    );
    assert!(differs[3].starts_with("category: expected read, found"), "{differs:?}");
}

#[test]
fn arguments_of_a_table_are_what_json_and_yaml_both_take_them_for() {
    let allow = "default: deny\nrules:\n  - action: allow\n    when: >-\n      args.n == 5 && args.x == 1.5 && \
                 args.t == 'yes' && args.b && args.z == null && args.l == [1, 'a'] && args.s == '5' && args.w == 'word'\n";
    let calls = "  - server: s\n    tool: x\n    args: {n: 5, x: 1.5, t: \"yes\", b: true, z: null, l: [1, a], s: \"5\", w: word}\n    expect: allow\n";
    assert_eq!(run(allow, calls), Vec::<String>::new());
}

#[test]
fn mistakes_in_a_table_are_told_with_their_places() {
    let wrong = "calls:\n  - {server: s, tool: x, expect: hold}\n  - {server: s, expct: deny}\n  - {server: s, tool: x, expect: deny, at: today, args: {a: yes}}\n";
    let error = Table::read(wrong.as_bytes()).expect_err("wrong").to_string();
    for said in [
        "1:1: the table has no `policy`",
        "2:34: `expect` is no verdict: \"hold\"",
        "3:5: this call has no `expect`",
        "3:17: unknown key `expct` in a call\n  did you mean `expect`?",
        "4:44: `at` is no time: \"today\"",
        "4:61: `yes` may be taken for true or false",
    ] {
        assert!(error.contains(said), "{said}: {error}");
    }
}

#[test]
fn places_are_taken_until_the_window_has_passed() {
    let key = LimitKey("k".to_owned());
    let window = Duration::from_secs(60);
    let take = Take::Sliding { key: key.clone(), max: 2, window };
    let mut memory = Memory::default();
    let at = |seconds: i64| now() + chrono::TimeDelta::seconds(seconds);
    for seconds in [0, 10] {
        memory.set_time(at(seconds));
        memory.take(std::slice::from_ref(&take));
    }
    for (seconds, count, free_in) in [(10, 2, 50), (59, 2, 1), (60, 1, 0), (69, 1, 0), (70, 0, 0)] {
        memory.set_time(at(seconds));
        let recent = memory.recent(&key, 2, window);
        assert_eq!(
            recent,
            Ok(Recent { count, free_in: Duration::from_secs(free_in) }),
            "{seconds}"
        );
    }
}
