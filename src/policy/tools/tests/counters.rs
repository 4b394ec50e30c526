//! What is counted, what is taken, and what happens at a limit.

use std::time::Duration;

use super::*;

/// Makes a call, and takes what it takes.
fn make(policy: &Intercept, tool: &str, args: &str, counters: &Memory) -> Said {
    let said = on(policy, tool, args, counters);
    counters.take(&said.takes);
    said
}

fn take(scope: &str, name: &str, window: Window, amount: i64, limit: Option<i64>) -> Take {
    let key = CounterKey {
        server: "s".to_owned(),
        scope: scope.to_owned(),
        name: name.to_owned(),
        window,
    };
    Take::Counter { key, amount, limit }
}

#[test]
fn a_rate_limit_lets_so_many_pass_and_then_says_when() {
    let policy = policy(&ruled("- {name: few, rate_limit: 3/hour}"));
    let counters = Memory::default();
    for _ in 0..3 {
        let said = make(&policy, "t", "{}", &counters);
        assert_eq!(said.action, Action::Allow);
        assert_eq!(said.takes, [take("t", "_rate_hour", Window::Hour, 1, Some(3))]);
    }
    let said = make(&policy, "t", "{}", &counters);
    let reason = "Rate limit of 3 per hour reached. Try again later.".to_owned();
    let again_in = Some(Duration::from_secs(39 * 60 + 55));
    assert_eq!(said.action, Action::Limited { reason, again_in });
    assert_eq!(
        (said.takes.as_slice(), said.rule.as_str()),
        (&[][..], "tools.t.rules[0] \"few\" (line 5)")
    );
}

#[test]
fn windows_end_with_the_calendar() {
    for (window, at, seconds) in [
        ("minute", "2026-11-22T10:20:05Z", 55),
        ("minute", "2026-11-22T10:20:59.999Z", 1),
        ("minute", "2026-11-22T10:21:00Z", 60),
        ("hour", "2026-11-22T10:59:59Z", 1),
        ("day", "2026-11-22T23:00:00Z", 3_600),
        ("day", "2026-11-23T00:00:00Z", 86_400),
        ("day", "1969-12-31T23:59:00Z", 60),
    ] {
        let policy = policy(&ruled(&format!("- {{name: r, rate_limit: 1/{window}}}")));
        let counters = Memory::default();
        make(&policy, "t", "{}", &counters);
        let said = on_at(&policy, "t", "{}", &counters, at.parse().expect("a time"));
        let Action::Limited { again_in, .. } = said.action else { panic!("{said:?}") };
        assert_eq!(again_in, Some(Duration::from_secs(seconds)), "{window} {at}");
    }
}

#[test]
fn for_every_tool_the_scope_is_global() {
    let policy =
        policy("version: 1\ntools:\n  \"*\": {rules: [{name: all, rate_limit: 2/minute}]}\n");
    let counters = Memory::default();
    let said = make(&policy, "a", "{}", &counters);
    assert_eq!(said.takes, [take("_global", "_rate_minute", Window::Minute, 1, Some(2))]);
    make(&policy, "b", "{}", &counters);
    assert_eq!(make(&policy, "c", "{}", &counters).action.word(), "limited");
    assert!(policy.counts("anything"));
}

/// A rule with this condition on its own counter `c`, and this in its `state`.
fn counted(op: &str, value: &str, more: &str) -> Intercept {
    policy(&ruled(&format!(
        "- name: r\n  conditions: [{{path: state.t.c, op: {op}, value: {value}}}]\n  state: {{counter: c, window: day{more}}}"
    )))
}

#[test]
fn a_limit_is_kept_after_the_call_was_counted() {
    for (op, value, more, passing) in [
        ("lte", "5", "", 5),
        ("lt", "5", "", 4),
        ("lte", "5.9", "", 5),
        ("lt", "4.1", "", 4),
        ("lte", "5", ", increment: 2", 2),
        ("lt", "5", ", increment: 2", 2),
        ("lte", "0", "", 0),
        ("lt", "1", "", 0),
        ("lt", "-3", "", 0),
    ] {
        let policy = counted(op, value, more);
        let counters = Memory::default();
        let passed = (0..9).filter(|_| make(&policy, "t", "{}", &counters).action == Action::Allow);
        assert_eq!(passed.count(), passing, "{op} {value}{more}");
    }
}

#[test]
fn of_several_limits_the_lowest_counts() {
    let policy = policy(&ruled(
        "- name: r\n  conditions:\n    - {path: state.t.c, op: lte, value: 9}\n    - {path: state.t.c, op: lt, value: 3}\n  state: {counter: c, window: day}",
    ));
    let said = on(&policy, "t", "{}", &Memory::default());
    assert_eq!(said.takes, [take("t", "c", Window::Day, 1, Some(2))]);
}

#[test]
fn an_amount_is_taken_from_an_argument() {
    let policy = counted("lte", "100", ", increment_from: args.pay.amount");
    let counters = Memory::default();
    let pay = |amount: &str| format!(r#"{{"pay":{{"amount":{amount}}}}}"#);
    assert_eq!(make(&policy, "t", &pay("60"), &counters).action, Action::Allow);
    assert_eq!(make(&policy, "t", &pay("41"), &counters).action.word(), "limited");
    assert_eq!(make(&policy, "t", &pay("4e1"), &counters).action, Action::Allow);
    assert_eq!(make(&policy, "t", &pay("0"), &counters).action, Action::Allow);
    for (args, fault) in [
        ("{}".to_owned(), "is missing"),
        (pay("1.5"), "must be a whole number"),
        (pay("-1"), "not below 0"),
        (pay("\"5\""), "must be a whole number"),
        (pay("null"), "must be a whole number"),
        (pay("1e30"), "must be a whole number"),
        (pay("9223372036854775808"), "must be a whole number"),
    ] {
        let said = on(&policy, "t", &args, &Memory::default());
        let expected = format!("Denied by rule \"r\": args.pay.amount {fault}");
        assert_eq!(said.action.word(), "deny", "{args}");
        assert!(reason(&said).starts_with("Denied by rule \"r\": args.pay.amount "));
        assert!(reason(&said).contains(fault), "{} is not {expected}", reason(&said));
        assert!(said.takes.is_empty());
    }
    // More than the limit will never pass, and more than a counter can hold neither.
    let said = on(&policy, "t", &pay("101"), &Memory::default());
    let reason = "Rate limit exceeded for r".to_owned();
    assert_eq!(said.action, Action::Limited { reason, again_in: None });
    let wide = counted("lte", "1e30", ", increment_from: args.pay.amount");
    counters.set("t", "c", Window::Day, 1);
    let said = on(&wide, "t", &pay("9223372036854775807"), &counters);
    assert_eq!(said.action.word(), "limited");
}

#[test]
fn without_a_limit_of_its_own_a_rule_counts_all_the_same() {
    let text = ruled(
        r#"
- name: spent
  conditions: [{path: args.amount, op: exists, value: true}]
  state: {counter: spent, window: day, increment_from: args.amount}
- name: within
  conditions: [{path: state.t.spent, op: lt, value: 10}]
"#,
    );
    let policy = policy(&text);
    let counters = Memory::default();
    let said = make(&policy, "t", r#"{"amount":12}"#, &counters);
    assert_eq!(said.takes, [take("t", "spent", Window::Day, 12, None)]);
    let said = make(&policy, "t", r#"{"amount":1}"#, &counters);
    assert_eq!((said.action.word(), reason(&said)), ("limited", "Rate limit exceeded for within"));
}

#[test]
fn one_tool_may_look_at_what_another_counts() {
    let text = r#"
version: "1"
tools:
  undo:
    rules:
      - name: only after a change
        conditions: [{path: state.change.done, op: gt, value: 0}]
  change:
    rules:
      - name: count
        conditions: [{path: state.change.done, op: lte, value: 3}]
        state: {counter: done, window: hour}
"#;
    let policy = policy(text);
    let counters = Memory::default();
    // It does not come true by waiting, so this is no matter of time.
    assert_eq!(make(&policy, "undo", "{}", &counters).action.word(), "deny");
    make(&policy, "change", "{}", &counters);
    let said = make(&policy, "undo", "{}", &counters);
    assert_eq!((said.action, said.takes), (Action::Allow, Vec::new()));
    assert!(policy.counts("undo") && policy.counts("change") && !policy.counts("other"));
}

#[test]
fn any_operator_may_be_asked_of_a_counter() {
    for (op, value, at, expected) in [
        ("eq", "2", 2, "allow"),
        ("eq", "0", 2, "limited"),
        ("eq", "\"2\"", 2, "allow"),
        ("neq", "2", 2, "limited"),
        ("neq", "0", 0, "deny"),
        ("in", "[1, 2]", 2, "allow"),
        ("in", "[1, 2]", 3, "deny"),
        ("in", "[0, 1]", 3, "limited"),
        ("not_in", "[3]", 3, "limited"),
        ("gt", "1", 2, "allow"),
        ("gte", "3", 2, "deny"),
        ("exists", "true", 0, "allow"),
        ("exists", "false", 0, "deny"),
        ("regex", "\"2\"", 2, "deny"),
        ("contains", "2", 2, "deny"),
    ] {
        let policy = counted(op, value, "");
        let counters = Memory::default();
        counters.set("t", "c", Window::Day, at);
        let said = on(&policy, "t", "{}", &counters);
        assert_eq!(said.action.word(), expected, "{at} {op} {value}");
    }
}

#[test]
fn a_denial_outranks_a_limit_and_takes_nothing() {
    let text = ruled(
        r#"
- {name: few, rate_limit: 1/hour}
- {name: small, conditions: [{path: args.n, op: lt, value: 5}]}
- {name: daily, rate_limit: 2/day, on_deny: "Tomorrow"}
"#,
    );
    let policy = policy(&text);
    let counters = Memory::default();
    let said = make(&policy, "t", r#"{"n":7}"#, &counters);
    assert_eq!((reason(&said), said.takes.len()), ("Denied by rule \"small\"", 0));
    assert_eq!(make(&policy, "t", r#"{"n":1}"#, &counters).takes.len(), 2);
    let said = make(&policy, "t", r#"{"n":7}"#, &counters);
    assert_eq!(reason(&said), "Denied by rule \"small\"");
    // Of several limits the first is told, and the longest wait.
    counters.set("t", "_rate_day", Window::Day, 2);
    let said = make(&policy, "t", r#"{"n":1}"#, &counters);
    let Action::Limited { reason, again_in } = said.action else { panic!("{said:?}") };
    assert_eq!(reason, "Rate limit of 1 per hour reached. Try again later.");
    assert_eq!(again_in, Some(Duration::from_secs(13 * 3600 + 39 * 60 + 55)));
}

#[test]
fn what_is_held_takes_when_it_is_let_through_and_hears_of_limits_first() {
    let text = ruled(
        r#"
- {name: few, rate_limit: 1/hour}
- name: ask after two
  action: require_approval
  conditions: [{path: state.t.seen, op: gte, value: 2}]
  state: {counter: seen, window: day}
"#,
    );
    let policy = policy(&text);
    let counters = Memory::default();
    let said = on(&policy, "t", "{}", &counters);
    let takes = [
        take("t", "_rate_hour", Window::Hour, 1, Some(1)),
        take("t", "seen", Window::Day, 1, None),
    ];
    assert_eq!((said.action, said.takes.as_slice()), (Action::Allow, &takes[..]));
    counters.set("t", "seen", Window::Day, 2);
    let said = on(&policy, "t", "{}", &counters);
    assert_eq!((said.action.word(), said.takes.as_slice()), ("require_approval", &takes[..]));
    counters.set("t", "_rate_hour", Window::Hour, 1);
    let said = on(&policy, "t", "{}", &counters);
    assert_eq!((said.action.word(), said.takes.len()), ("limited", 0));
}

#[test]
fn counters_that_cannot_be_read_deny() {
    for rule in [
        "- {name: r, rate_limit: 5/hour}",
        "- {name: r, conditions: [{path: state.t.c, op: exists, value: true}], state: {counter: c, window: day}}",
        "- {name: r, action: require_approval, conditions: [{path: state.t.c, op: gt, value: 1}], state: {counter: c, window: day}}",
    ] {
        let said = on(&policy(&ruled(rule)), "t", "{}", &Broken);
        let expected = "Denied by rule \"r\": what was counted so far cannot be read";
        assert_eq!((said.action.word(), reason(&said)), ("deny", expected), "{rule}");
    }
}
