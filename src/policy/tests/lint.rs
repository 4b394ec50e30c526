//! What is warned of, and what is near.

use super::*;

fn warned(text: &str) -> Vec<String> {
    let line = |w: &Warning| w.place.map_or(0, |place| place.line);
    let shown = |w: &Warning| format!("{}: {}", line(w), w.message);
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
        ("tool: \"get_*\", action: allow", "tool: \"get_user_*\", action: allow"),
        ("tool: [\"a_*\", \"b_*\", c], action: allow", "tool: [\"b_x*\", c, a_1], action: allow"),
        (
            "server: \"*\", tool: \"{a,b}_*\", action: allow",
            "server: s, tool: \"b_*\", action: allow",
        ),
        ("server: [s, t], tool: a, action: allow", "server: t, tool: a, action: allow"),
        ("category: [read, write], action: allow", "category: write, risk: low, action: allow"),
        ("risk: [low, high], action: allow", "risk: high, when: args.n > 1, action: allow"),
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
        ("category: read, action: allow", "category: [read, write], action: allow"),
        ("category: read, action: allow", "tool: a, action: allow"),
        ("tool: \"get_user_*\", action: allow", "tool: \"get_*\", action: allow"),
        ("server: [s, t], tool: a, action: allow", "server: \"s*\", tool: a, action: allow"),
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
fn a_rule_is_never_reached_where_several_together_match_all_that_it_matches() {
    let rules = |last: &str| {
        format!(
            "rules:\n  - {{tool: \"a_*\", action: allow}}\n  - {{tool: b, server: s, action: allow}}\n  - {{{last}}}\n"
        )
    };
    let said = warned(&rules("tool: [a_1, b], server: s, action: allow"));
    assert_eq!(
        said,
        [
            "4: this rule is never reached: rules[0] (line 2), rules[1] (line 3) match all that it matches"
        ]
    );
    assert_eq!(warned(&rules("tool: [a_1, b], action: allow")), [""; 0]);
}

/// The message and the remedy at this place.
#[track_caller]
fn warns(text: &str, at: &str, message: &str, remedy: &str) {
    let warnings = policy(text).warnings();
    let shown = |w: &Warning| {
        let place = w.place.map(|place| place.to_string()).unwrap_or_default();
        format!("{place}: {}; {}", w.message, w.remedy)
    };
    let shown: Vec<String> = warnings.iter().map(shown).collect();
    let fits = |line: &String| {
        line.starts_with(&format!("{at}: ")) && line.contains(message) && line.contains(remedy)
    };
    assert!(shown.iter().any(fits), "{at} {message} {remedy}\n{shown:#?}");
}

#[test]
fn a_glob_where_only_names_are_known_is_warned_of() {
    let head = "version: \"1\"\ndefault: deny\n";
    for name in ["get_*", "get_?", "{a,b}", "[ab]", "a|b"] {
        let hide = format!("{head}hide: [x, \"{name}\"]\n");
        warns(&hide, "3:11", "`hide` knows exact names and \"*\" alone", "action: hide}");
        let tools = format!("{head}tools:\n  \"{name}\":\n    rules: []\n");
        warns(&tools, "4:3", "`tools` knows exact names and \"*\" alone", "under \"*\"");
    }
    let right = format!("{head}hide: [x, \"*\"]\ntools:\n  \"*\": {{}}\n  get-user.v2: {{}}\n");
    assert_eq!(policy(&right).warnings(), []);
}

#[test]
fn a_regular_expression_where_a_glob_is_meant_is_warned_of() {
    for (pattern, what, remedy) in [
        ("^get_", "^ stands for itself", "take it away"),
        ("get_.*$", "$ stands for itself", "* stands for any text"),
        ("get_a|get_b", "| stands for itself", "{a,b}"),
        ("(get|list)_*", "( stands for itself", "{a,b}"),
        ("get_a,get_b", ", stands for itself", "write a list"),
        ("get_[a-z]+", "+ stands for itself", "write *"),
        (".*_delete", "the dot stands for itself", "write *"),
        ("get_\\\\d*", "\\d stands for itself", "[0-9]"),
    ] {
        let rule = format!("rules:\n  - {{tool: \"{pattern}\", action: allow}}\n");
        warns(&rule, "2:12", what, remedy);
        let server = format!("servers:\n  \"{pattern}\": {{trusted: true}}\n");
        warns(&server, "2:3", what, remedy);
    }
    for pattern in ["get_*", "{a,b}_*", "[^ab]*", "github.*", "a\\\\*", "c++", "get_[0-9]"] {
        let rule = format!("rules:\n  - {{tool: \"{pattern}\", action: allow}}\n");
        assert_eq!(policy(&rule).warnings(), [], "{pattern}");
    }
}

#[test]
fn a_text_that_ends_at_a_comment_is_warned_of() {
    let ours = "rules:\n  - tool: a\n    action: deny\n    reason: Ask #platform\n";
    warns(ours, "4:13", "`reason` ends before \"#platform\"", "reason: \"Ask #platform\"");
    let theirs = "version: \"1\"\ndefault: deny\ntools:\n  a:\n    rules:\n      - name: r\n        action: deny\n        on_deny: Ask #ops\n";
    warns(theirs, "8:18", "`on_deny` ends before \"#ops\"", "\"Ask #ops\"");
    for reason in ["Ask us # every time", "\"Ask #ops\"", "'Ask' #ops", "Ask#ops"] {
        let text = format!("rules:\n  - tool: a\n    action: deny\n    reason: {reason}\n");
        assert_eq!(policy(&text).warnings(), [], "{reason}");
    }
}

#[test]
fn a_condition_that_says_the_same_of_every_call_is_warned_of() {
    let rule = |when: &str| format!("rules:\n  - tool: a\n    when: '{when}'\n    action: allow\n");
    let monday = rule("time.weekday == \"monday\"");
    warns(&monday, "3:11", "`when` compares `time.weekday` with \"monday\"", "\"mon\", \"tue\"");
    warns(&rule("true"), "3:11", "`when` always holds", "take it away");
    assert_eq!(policy(&rule("time.weekday == \"mon\"")).warnings(), []);
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
