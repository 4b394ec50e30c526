//! What a document is refused for, where, and with which remedy.

use super::*;

#[track_caller]
fn refuses(text: &str, at: &str, message: &str) {
    let error = refused(text);
    let expected = format!("{at}: ");
    let line = error.lines().find(|line| line.starts_with(&expected));
    assert!(line.is_some_and(|line| line.contains(message)), "{message}\nis not in\n{error}");
}

/// A rule whose lines begin at line 5, column 9.
#[track_caller]
fn refuses_rule(rule: &str, at: &str, message: &str) {
    refuses(&ruled(rule), at, message);
}

#[test]
fn hide_wants_names_each_once() {
    refuses("hide: [a, \"\", b]", "1:11", "an entry of `hide` must not be empty");
    refuses("hide: [a, \"  \"]", "1:11", "must not be empty");
    refuses("hide:\n  -\n  - a", "2:4", "must not be empty");
    refuses("hide: [a, b, a]", "1:14", "hide has a duplicate entry \"a\"");
    refuses("hide: a", "1:7", "`hide` must be a list");
    refuses("hide: [[a]]", "1:8", "must be the name of a tool");
    refuses("hide: [7]", "1:8", "`7` may be taken for a number");
}

#[test]
fn the_version_is_one() {
    refuses("version: \"2\"\ntools: {}", "1:10", "version must be \"1\", and is \"2\"");
    refuses("version: 1.0\ntools: {}", "1:10", "version must be \"1\", and is \"1.0\"");
    refuses("version:\ntools: {}", "1:8", "version must be \"1\", and is empty");
    refuses("description: x\ntools: {}", "2:1", "version must be \"1\", and is missing");
    policy("version: 1\ntools: {}");
    policy("version: '1'\n");
}

#[test]
fn a_rule_has_a_name() {
    refuses_rule("- action: deny", "5:9", "a rule must have a name");
    refuses_rule("- {name: \"\", action: deny}", "5:9", "a rule must have a name");
    refuses_rule("-", "5:8", "a rule must have a name");
    refuses_rule("- rate_limit: 5/hour", "5:9", "a rule must have a name");
    refuses_rule("- {name: 5, action: deny}", "5:16", "may be taken for a number");
    refuses_rule("- deny", "5:9", "a rule must be a mapping");
}

#[test]
fn an_action_is_one_of_three() {
    let expected = "action must be evaluate, deny or require_approval, and is";
    refuses_rule("- {name: r, action: alow}", "5:27", &format!("{expected} \"alow\""));
    refuses_rule("- {name: r, action: }", "5:25", expected);
    refuses_rule("- {name: r, action: [deny]}", "5:27", "`action` must be text");
}

#[test]
fn deny_has_no_conditions_and_evaluate_has_some() {
    let conditions = "conditions: [{path: args.x, op: eq, value: 1}]";
    refuses_rule(
        &format!("- {{name: r, action: deny, {conditions}}}"),
        "5:9",
        "deny rules must not have conditions",
    );
    let expected = "evaluate rules must have at least one condition";
    refuses_rule("- {name: r, action: evaluate}", "5:9", expected);
    refuses_rule("- {name: r}", "5:9", expected);
    refuses_rule("- {name: r, conditions: }", "5:9", expected);
    policy(&ruled("- {name: r, action: deny, conditions: []}"));
}

#[test]
fn a_path_leads_to_arguments_or_a_counter() {
    let expected = "path must start with args. or state., and is";
    for path in ["foo.bar", "args", "state", "Args.x", "\"\""] {
        refuses(&condition(path, "eq", "1"), "7:20", expected);
    }
    refuses_rule("- {name: r, conditions: [{op: eq, value: 1}]}", "5:32", expected);
    refuses(&condition("args.", "eq", "1"), "7:20", "path has an empty part");
    refuses(&condition("args.a..b", "eq", "1"), "7:20", "path has an empty part");
}

#[test]
fn an_operator_is_one_of_eleven() {
    refuses(&condition("args.x", "equals", "1"), "7:32", "unknown operator \"equals\"");
    refuses_rule(
        "- {name: r, conditions: [{path: args.x, value: 1}]}",
        "5:32",
        "unknown operator \"\"",
    );
    assert!(refused(&condition("args.x", "nott_in", "[1]")).contains("did you mean not_in?"));
}

#[test]
fn an_operator_gets_what_it_compares_with() {
    for op in ["in", "not_in"] {
        for value in ["a", "5", "{a: 1}", "null"] {
            let column = 41 + op.len();
            let expected = format!("operator {op} requires a list value");
            refuses(&condition("args.x", op, value), &format!("7:{column}"), &expected);
        }
    }
    for op in ["lt", "lte", "gt", "gte"] {
        for value in ["\"5\"", "five", "true", "[5]", "null"] {
            let expected = format!("operator {op} requires a numeric value");
            assert!(refused(&condition("args.x", op, value)).contains(&expected), "{value}");
        }
    }
    for value in ["\"true\"", "1", "null", "[true]"] {
        let found = refused(&condition("args.x", "exists", value));
        assert!(found.contains("operator exists requires a boolean value"), "{found}");
    }
    for value in ["5", "[a]", "null", "true"] {
        let found = refused(&condition("args.x", "regex", value));
        assert!(found.contains("operator regex requires a string value"), "{found}");
    }
    for op in ["eq", "neq", "in", "not_in", "lt", "lte", "gt", "gte", "regex", "contains", "exists"]
    {
        let text = ruled(&format!("- {{name: r, conditions: [{{path: args.x, op: {op}}}]}}"));
        assert!(refused(&text).contains(&format!("operator {op} requires a value")), "{op}");
    }
}

#[test]
fn a_regex_compiles() {
    refuses(&condition("args.x", "regex", "\"[invalid(\""), "7:46", "invalid regex \"[invalid(\"");
    let large = format!("\"(?:{}){{1000}}\"", "\\\\pL{1000}");
    assert!(refused(&condition("args.x", "regex", &large)).contains("it is too large"));
}

#[test]
fn a_value_is_read_in_one_way_only() {
    for value in [
        "no",
        "Yes",
        "off",
        "True",
        "NULL",
        "0x1f",
        "1_000",
        "017",
        "2026-11-22",
        "12:30",
        ".5",
        "+1",
        ".inf",
    ] {
        for op in ["eq", "lt", "contains"] {
            let found = refused(&condition("args.x", op, value));
            assert!(
                found.contains(&format!("`{value}` may be read as text, as a number")),
                "{found}"
            );
        }
        let found = refused(&condition("args.x", "in", &format!("[a, {value}]")));
        assert!(found.contains("text goes in quotes"), "{found}");
        policy(&condition("args.x", "eq", &format!("\"{value}\"")));
    }
    assert!(refused(&condition("args.x", "eq", "")).contains("there is no value here"));
    assert!(refused(&condition("args.x", "eq", "{1: a}")).contains("may be taken for a number"));
}

#[test]
fn state_names_a_counter_and_a_window() {
    let state = |state: &str| {
        ruled(&format!(
            "- name: r\n  conditions: [{{path: args.x, op: eq, value: 1}}]\n  state: {state}"
        ))
    };
    refuses(&state("{window: day}"), "7:16", "`counter` must not be empty");
    refuses(&state("{counter: \"\", window: day}"), "7:16", "`counter` must not be empty");
    refuses(&state("{counter: }"), "7:16", "`counter` must not be empty");
    let expected = "window must be minute, hour or day, and is";
    refuses(&state("{counter: c, window: week}"), "7:37", &format!("{expected} \"week\""));
    refuses(&state("{counter: c}"), "7:16", &format!("{expected} \"\""));
    let expected = "`increment_from` must start with args., and is";
    let text = state("{counter: c, window: day, increment_from: amount}");
    refuses(&text, "7:58", &format!("{expected} \"amount\""));
    let text = state("{counter: c, window: day, increment_from: state.t.c}");
    refuses(&text, "7:58", expected);
    for increment in ["0", "1.5", "\"2\"", "many", "[1]", "0x10"] {
        let text = state(&format!("{{counter: c, window: day, increment: {increment}}}"));
        refuses(&text, "7:53", "`increment` must be a whole number other than 0");
    }
    policy(&state("{counter: c, window: day, increment: 2.0}"));
    policy(&state("null"));
}

#[test]
fn a_condition_looks_at_a_counter_that_there_is() {
    let expected = "but no matching state block is found";
    for path in
        ["state.t.c", "state.other.c", "state._global.c", "state.t", "state.*.c", "state.t."]
    {
        let path = format!("\"{path}\"");
        refuses(&condition(&path, "lt", "1"), "7:20", expected);
    }
    let text = r#"
version: "1"
tools:
  "*":
    rules:
      - name: r
        conditions: [{path: "state.*.c", op: lt, value: 1}]
        state: {counter: c, window: day}
"#;
    assert!(refused(text).contains("state._global.COUNTER"));
}

#[test]
fn names_with_dots_lead_to_one_counter() {
    let rule = "rules: [{name: r, conditions: [{path: state.a.b.c, op: lt, value: 1}], state: {counter: NAME, window: day}}]";
    let tool =
        |name: &str, counter: &str| format!("  {name}: {{{}}}\n", rule.replace("NAME", counter));
    policy(&format!("version: 1\ntools:\n{}", tool("a", "b.c")));
    policy(&format!("version: 1\ntools:\n{}", tool("a.b", "c")));
    let both = format!("version: 1\ntools:\n{}{}", tool("a", "b.c"), tool("a.b", "c"));
    assert!(refused(&both).contains("state.a.b.c may be read in two ways"));
}

#[test]
fn a_rate_limit_is_a_count_and_a_window() {
    let count = "the count in `rate_limit` must be a positive integer, and is";
    let window = "the window in `rate_limit` must be minute, hour or day, and is";
    for (limit, message) in [
        ("five/hour", format!("{count} \"five\"")),
        ("0/hour", format!("{count} \"0\"")),
        ("-5/hour", format!("{count} \"-5\"")),
        ("5.5/hour", format!("{count} \"5.5\"")),
        ("99999999999999999999/hour", count.to_owned()),
        ("5/week", format!("{window} \"week\"")),
        ("5/Hour", format!("{window} \"Hour\"")),
        ("5/hour/day", format!("{window} \"hour/day\"")),
        ("5", "`rate_limit` must have the form N/window".to_owned()),
        ("[5/hour]", "`rate_limit` must have the form N/window".to_owned()),
    ] {
        refuses_rule(&format!("- {{name: r, rate_limit: {limit}}}"), "5:31", &message);
    }
}

#[test]
fn a_rate_limit_stands_alone() {
    let expected = "`rate_limit` cannot be combined with conditions or state";
    let rule = "- {name: r, rate_limit: 5/hour, conditions: [{path: args.x, op: eq, value: 1}]}";
    refuses_rule(rule, "5:19", expected);
    let rule = "- {name: r, rate_limit: 5/hour, state: {counter: c, window: hour}}";
    refuses_rule(rule, "5:19", expected);
    let rule = "- {name: r, rate_limit: 5/hour, action: deny}";
    refuses_rule(rule, "5:19", "`rate_limit` cannot be used with action deny");
    let rule = "- {name: r, rate_limit: 5/hour, action: require_approval}";
    refuses_rule(rule, "5:19", "`rate_limit` cannot be used with action require_approval");
}

#[test]
fn a_counter_belongs_to_one_rule_of_a_tool() {
    let text = ruled(
        "- {name: a, rate_limit: 5/hour}\n- {name: b, rate_limit: 5/day}\n- {name: c, rate_limit: 9/hour}",
    );
    refuses(&text, "7:9", "duplicate state counter \"_rate_hour\" (also used by rules[0])");
}

#[test]
fn an_approval_has_a_time_limit_within_bounds() {
    let rule = |timeout: &str, action: &str| {
        ruled(&format!(
            "- {{name: r, approval_timeout: {timeout}, action: {action}, conditions: []}}"
        ))
    };
    for timeout in ["4s", "8d", "10", "soon", "0m"] {
        let error = refused(&rule(timeout, "require_approval"));
        assert!(error.contains("from 5s to 7d"), "{error}");
        assert!(error.contains("`approval_timeout`"), "{error}");
    }
    for timeout in ["5s", "7d", "10m", "1h30m"] {
        policy(&rule(timeout, "require_approval"));
    }
    let expected = "`approval_timeout` goes with action require_approval";
    refuses(&rule("10m", "deny"), "5:19", expected);
    refuses(&rule("10m", "evaluate"), "5:19", expected);
}

#[test]
fn unknown_keys_are_refused_wherever_they_stand() {
    for (text, message) in [
        ("version: 1\ntools: {t: {rule: []}}".to_owned(), "did you mean `rules`?"),
        (ruled("- {name: r, action: deny, ondeny: x}"), "did you mean `on_deny`?"),
        (
            ruled("- {name: r, conditions: [{path: args.x, op: eq, valu: 1}]}"),
            "did you mean `value`?",
        ),
        (
            ruled(
                "- {name: r, conditions: [{path: args.x, op: eq, value: 1}], state: {counter: c, windo: day}}",
            ),
            "did you mean `window`?",
        ),
    ] {
        let error = refused(&text);
        assert!(error.contains("unknown key"), "{error}");
        assert!(error.contains(message), "{error}");
    }
}

#[test]
fn names_are_text() {
    for name in ["5", "yes", "null", "1e3"] {
        let text = format!("version: 1\ntools:\n  {name}: {{}}\n");
        refuses(&text, "3:3", &format!("`{name}` may be taken for"));
        policy(&format!("version: 1\ntools:\n  \"{name}\": {{}}\n"));
    }
    assert!(refused("version: 1\ntools:\n  ~: {}\n").contains("there is nothing here"));
    refuses("version: 1\ntools: {_global: {}}", "2:9", "`_global` is the scope");
    refuses("version: 1\ntools: [a]", "2:8", "`tools` must be a mapping, and is a list");
    refuses("version: 1\ntools: {a: [b]}", "2:12", "the tool `a` must be a mapping");
    refuses("version: 1\ntools: {a: {rules: {}}}", "2:20", "`rules` must be a list");
}

#[test]
fn messages_are_plain_text_on_one_line() {
    let told = |on_deny: &str| ruled(&format!("- {{name: r, action: deny, on_deny: {on_deny}}}"));
    assert!(refused(&told("\"a\\u202Eb\"")).contains("cannot be seen"));
    assert!(refused(&told(&"x".repeat(2_001))).contains("more than 2000 characters"));
    assert!(refused(&told("[a]")).contains("`on_deny` must be text"));
    let said = on(&policy(&told("\"a\\n  b\"")), "t", "{}", &Memory::default());
    assert_eq!(reason(&said), "a b");
    for nothing in ["", "~", "null", "\"\""] {
        let said = on(&policy(&told(nothing)), "t", "{}", &Memory::default());
        assert_eq!(reason(&said), "Denied by rule \"r\"");
    }
}

#[test]
fn every_problem_is_reported_at_once() {
    let error = refused(
        r#"
version: "2"
hide: [a, a]
tools:
  t:
    rules:
      - conditions: [{path: x, op: z, value: no}]
        on_deny: [a]
        state: {window: week}
      - {name: r, rate_limit: x/y}
"#,
    );
    let problems = error.lines().filter(|line| !line.starts_with(' ')).count();
    assert_eq!(problems, 10, "{error}");
}
