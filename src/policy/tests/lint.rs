//! What is warned of, and what is near.

use super::*;

fn warned(text: &str) -> Vec<String> {
    let shown = |w: &Warning| format!("{}: {}", w.line.unwrap_or_default(), w.message);
    policy(text).warnings().iter().map(shown).collect()
}

#[test]
fn a_rule_that_is_never_reached_is_warned_of() {
    let first = |earlier: &str, later: &str| {
        warned(&format!("rules:\n  - {{{earlier}}}\n  - {{{later}}}\n"))
            .iter()
            .any(|warning| warning.starts_with("3: this rule is never reached: rules[0] (line 2)"))
    };
    for (earlier, later) in [
        ("action: allow", "tool: x, action: allow"),
        ("tool: \"*\", action: allow", "action: allow"),
        ("tool: \"get_*\", action: allow", "tool: [get_a, get_b], action: deny, reason: No."),
        ("tool: [a, b], action: allow", "tool: a, rate_limit: {max: 1, window: 1, per: all}"),
        (
            "server: s, tool: a, action: allow",
            "server: s, tool: a, when: args.n > 1, action: allow",
        ),
        (
            "tool: a, when: args.n > 1, action: deny, reason: No.",
            "tool: a, when: args.n > 1, action: allow",
        ),
        ("category: read, action: allow", "category: read, tool: a, action: allow"),
    ] {
        assert!(first(earlier, later), "{earlier} {later}");
    }
    for (earlier, later) in [
        ("tool: a, action: allow", "tool: b, action: allow"),
        ("tool: a, action: allow", "tool: \"a*\", action: allow"),
        ("tool: a, action: allow", "action: allow"),
        ("server: s, action: allow", "tool: a, action: allow"),
        (
            "tool: a, when: args.n > 1, action: allow",
            "tool: a, when: args.n > 1, action: deny, reason: No.",
        ),
        ("tool: a, rate_limit: {max: 1, window: 1, per: all}", "tool: a, action: allow"),
        ("action: allow", "tool: a, action: hide"),
        ("tool: a, action: hide", "tool: a, action: allow"),
        ("category: read, action: allow", "category: write, action: allow"),
    ] {
        assert!(!first(earlier, later), "{earlier} {later}");
    }
}

#[test]
fn what_is_probably_not_meant_is_warned_of() {
    let session = "rules:\n  - {rate_limit: {max: 1, window: 1}}\n";
    assert!(warned(session)[0].starts_with("2: this limit is per session"));
    let left_out = "version: \"1\"\ntools:\n  create_user: {rules: [{name: a, rate_limit: 5/hour}]}\nrules:\n  - {tool: creat_user, action: allow}\n";
    let warned = warned(left_out);
    for said in [
        "0: there is no `default`, and beside `tools` it is then allow",
        "0: the tools \"creat_user\" and \"create_user\" differ in one letter",
        "5: beside `tools`, a rule that allows only ends the search",
    ] {
        assert!(warned.iter().any(|warning| warning.starts_with(said)), "{said} {warned:?}");
    }
    assert_eq!(policy("default: judge\nrules:\n  - {tool: [tool_1, tool_2, get_user, get_users], action: allow}\n").warnings(), []);
    let errors = policy("default: allow\n").warnings();
    assert_eq!(errors[0].message, "every call passes");
}

#[test]
fn warnings_of_ten_thousand_rules_come_soon() {
    let rules: String =
        (0..10_000).map(|n| format!("  - {{tool: \"a{n}*\", action: allow}}\n")).collect();
    let began = std::time::Instant::now();
    policy(&format!("rules:\n{rules}")).warnings();
    assert!(began.elapsed() < Duration::from_secs(30), "{:?}", began.elapsed());
}

#[test]
fn what_else_was_near_says_why_it_did_not_decide() {
    let text = "default: deny\nrules:\n  - {name: counts, rate_limit: {max: 5, window: 60, per: all}}\n  \
                - {tool: x, when: args.n > 5, action: deny, reason: Large.}\n  \
                - {tool: x, when: args.missing, action: allow}\n  \
                - {tool: x, risk: low, action: allow}\n  \
                - {tool: x, annotation: {readOnlyHint: true}, action: allow}\n  \
                - {name: this one, tool: x, action: require_approval}\n  \
                - {tool: \"*\", action: allow}\n  \
                - {server: other, tool: x, action: allow}\n";
    let policy = policy(text);
    let (definition, arguments) = (Tool::of(&json(SILENT)), json(r#"{"n":2}"#));
    let call = Call {
        server: "s",
        tool: "x",
        definition: Definition::Is(&definition),
        arguments: &arguments,
        from: From::default(),
        at: now(),
    };
    let explanation = policy.explain(&call, &Fresh);
    assert_eq!(explanation.ruling.rule, "rules[5] \"this one\" (line 8)");
    let near: Vec<String> = explanation
        .near
        .iter()
        .map(|near| format!("{} {}: {}", near.rule, near.does, near.why))
        .collect();
    let risk = explanation.ruling.judgement.risk;
    assert_eq!(
        near,
        [
            "rules[0] \"counts\" (line 3) rate_limit: limits, and has room".to_owned(),
            "rules[1] (line 4) deny: its condition does not hold (args.n = 2)".to_owned(),
            "rules[2] (line 5) allow: its condition cannot be evaluated: there is no `args.missing` (args.missing = not there)".to_owned(),
            format!("rules[3] (line 6) allow: is for risk low, and this is {risk}"),
            "rules[4] (line 7) allow: allows by what the tool says, and the server is not trusted".to_owned(),
            "rules[6] (line 9) allow: would match, and comes after".to_owned(),
            "rules[7] (line 10) allow: is about the server other".to_owned(),
        ]
    );
}
