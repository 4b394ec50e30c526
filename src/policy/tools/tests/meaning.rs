//! Rules, their order, what they are told.

use std::time::Duration;

use super::*;
use crate::policy::call::Fresh;

#[track_caller]
fn says(path: &str, op: &str, value: &str, args: &str, expected: &str) {
    let found = word(&policy(&condition(path, op, value)), args);
    assert_eq!(found, expected, "{path} {op} {value} on {args}");
}

#[test]
fn equal_compares_numbers_by_value_and_else_the_text() {
    for (value, args, expected) in [
        ("5", r#"{"x":5}"#, "allow"),
        ("5", r#"{"x":5.0}"#, "allow"),
        ("5", r#"{"x":50e-1}"#, "allow"),
        ("5", r#"{"x":6}"#, "deny"),
        ("5", r#"{"x":"5"}"#, "allow"),
        ("\"5\"", r#"{"x":5.00}"#, "allow"),
        ("\"5.0\"", r#"{"x":5}"#, "deny"),
        ("1000000", r#"{"x":"1000000"}"#, "allow"),
        ("9007199254740993", r#"{"x":9007199254740992}"#, "deny"),
        ("true", r#"{"x":true}"#, "allow"),
        ("true", r#"{"x":"true"}"#, "allow"),
        ("false", r#"{"x":true}"#, "deny"),
        ("true", r#"{"x":1}"#, "deny"),
        ("main", r#"{"x":"main"}"#, "allow"),
        ("main", r#"{"x":"Main"}"#, "deny"),
        ("null", r#"{"x":null}"#, "allow"),
        ("null", r#"{}"#, "deny"),
        ("\"<nil>\"", r#"{"x":null}"#, "deny"),
        ("[a, 1]", r#"{"x":["a",1.0]}"#, "allow"),
        ("[a, b]", r#"{"x":["a b"]}"#, "deny"),
        ("{a: 1, b: x}", r#"{"x":{"b":"x","a":1}}"#, "allow"),
        ("{a: 1}", r#"{"x":{"b":"x","a":1}}"#, "deny"),
    ] {
        says("args.x", "eq", value, args, expected);
        let flipped = match (args, expected) {
            ("{}", _) => "deny",
            (_, "allow") => "deny",
            _ => "allow",
        };
        says("args.x", "neq", value, args, flipped);
        says("args.x", "in", &format!("[nothing, {value}]"), args, expected);
        says("args.x", "not_in", &format!("[nothing, {value}]"), args, flipped);
    }
}

#[test]
fn order_is_of_numbers_alone_and_exact() {
    for (op, value, args, expected) in [
        ("lt", "10", r#"{"x":9.999}"#, "allow"),
        ("lt", "10", r#"{"x":10}"#, "deny"),
        ("lte", "10", r#"{"x":10.0}"#, "allow"),
        ("lte", "10", r#"{"x":10.000000000000000000001}"#, "deny"),
        ("gt", "-1.5", r#"{"x":-1.4}"#, "allow"),
        ("gt", "-1.5", r#"{"x":-1.5}"#, "deny"),
        ("gte", "1e3", r#"{"x":1000}"#, "allow"),
        ("gte", "9007199254740993", r#"{"x":9007199254740992}"#, "deny"),
        ("lte", "50", r#"{"x":"5"}"#, "deny"),
        ("lte", "50", r#"{"x":null}"#, "deny"),
        ("lte", "50", r#"{"x":true}"#, "deny"),
        ("lte", "50", r#"{"x":[5]}"#, "deny"),
        ("lte", "50", r#"{}"#, "deny"),
        ("lte", "50", r#"{"x":-1e9999}"#, "allow"),
        ("gt", "0", r#"{"x":-0}"#, "deny"),
        ("gte", "0", r#"{"x":-0.0}"#, "allow"),
    ] {
        says("args.x", op, value, args, expected);
    }
}

#[test]
fn regex_is_of_strings_alone_and_finds_a_part() {
    says("args.x", "regex", "\"^feat/\"", r#"{"x":"feat/a"}"#, "allow");
    says("args.x", "regex", "\"eat\"", r#"{"x":"feat/a"}"#, "allow");
    says("args.x", "regex", "\"^eat\"", r#"{"x":"feat/a"}"#, "deny");
    says("args.x", "regex", "\"5\"", r#"{"x":5}"#, "deny");
    says("args.x", "regex", "\".*\"", r#"{"x":["a"]}"#, "deny");
    says("args.x", "regex", "\".*\"", r#"{"x":null}"#, "deny");
}

#[test]
fn contains_finds_a_part_of_a_string_or_an_item_of_a_list() {
    says("args.x", "contains", "test", r#"{"x":"a test"}"#, "allow");
    says("args.x", "contains", "test", r#"{"x":"a Test"}"#, "deny");
    says("args.x", "contains", "\"\"", r#"{"x":""}"#, "allow");
    says("args.x", "contains", "5", r#"{"x":"a5"}"#, "deny");
    says("args.x", "contains", "5", r#"{"x":[4,5.0]}"#, "allow");
    says("args.x", "contains", "5", r#"{"x":["5"]}"#, "allow");
    says("args.x", "contains", "a", r#"{"x":["ab"]}"#, "deny");
    says("args.x", "contains", "[1]", r#"{"x":[[1],2]}"#, "allow");
    says("args.x", "contains", "a", r#"{"x":{"a":1}}"#, "deny");
    says("args.x", "contains", "5", r#"{"x":15}"#, "deny");
}

#[test]
fn null_does_not_exist() {
    for (value, args, expected) in [
        ("true", r#"{"x":0}"#, "allow"),
        ("true", r#"{"x":false}"#, "allow"),
        ("true", r#"{"x":null}"#, "deny"),
        ("true", r#"{}"#, "deny"),
        ("false", r#"{"x":null}"#, "allow"),
        ("false", r#"{}"#, "allow"),
        ("false", r#"{"x":""}"#, "deny"),
    ] {
        says("args.x", "exists", value, args, expected);
    }
}

#[test]
fn a_path_goes_through_objects_and_nothing_else() {
    says("args.a.b.c", "eq", "v", r#"{"a":{"b":{"c":"v"}}}"#, "allow");
    says("args.a.b.c", "eq", "v", r#"{"a.b.c":"v","a":{"b.c":"v"}}"#, "deny");
    says("args.a.0", "eq", "v", r#"{"a":["v"]}"#, "deny");
    says("args.a.b", "exists", "false", r#"{"a":"text"}"#, "allow");
    says("args.a.b", "exists", "false", r#"{"a":null}"#, "allow");
    says("args.A", "exists", "true", r#"{"a":1}"#, "deny");
}

#[test]
fn every_condition_and_every_rule_must_hold() {
    let policy = policy(&ruled(
        r#"
- name: charge
  conditions:
    - {path: args.amount, op: lte, value: 50}
    - {path: args.currency, op: in, value: [usd, eur]}
  on_deny: "At most 50, in USD or EUR"
- name: memo
  conditions: [{path: args.memo, op: exists, value: true}]
"#,
    ));
    assert_eq!(word(&policy, r#"{"amount":50,"currency":"eur","memo":"m"}"#), "allow");
    let told = |args| reason(&on(&policy, "t", args, &Fresh)).to_owned();
    assert_eq!(told(r#"{"amount":51,"currency":"eur","memo":"m"}"#), "At most 50, in USD or EUR");
    assert_eq!(told(r#"{"amount":50,"currency":"gbp","memo":"m"}"#), "At most 50, in USD or EUR");
    assert_eq!(told(r#"{"amount":50,"currency":"eur"}"#), "Denied by rule \"memo\"");
    assert_eq!(told("{}"), "At most 50, in USD or EUR");
    assert_eq!(policy.rules(), 2);
}

const ORDER: &str = r#"
version: "1"
tools:
  "*":
    rules:
      - name: all need a reason
        conditions: [{path: args.why, op: exists, value: true}]
      - name: nothing at night
        action: deny
        on_deny: "Closed"
  own:
    rules:
      - {name: small, conditions: [{path: args.n, op: lt, value: 3}], on_deny: "Too many"}
  free:
"#;

#[test]
fn a_tools_own_rules_come_first_and_then_those_for_every_tool() {
    let policy = policy(ORDER);
    let said = on(&policy, "own", r#"{"n":5}"#, &Fresh);
    assert_eq!(reason(&said), "Too many");
    assert_eq!(said.rule, "tools.own.rules[0] \"small\" (line 13)");
    let said = on(&policy, "own", r#"{"n":1}"#, &Fresh);
    assert_eq!(reason(&said), "Denied by rule \"all need a reason\"");
    let said = on(&policy, "free", r#"{"why":"x"}"#, &Fresh);
    assert_eq!((reason(&said), said.unlisted), ("Closed", false));
    assert_eq!(said.rule, "tools.*.rules[1] \"nothing at night\" (line 8)");
    let said = on(&policy, "other", "{}", &Fresh);
    assert_eq!(reason(&said), "Denied by rule \"all need a reason\"");
    assert!(said.unlisted);
}

#[test]
fn a_default_of_deny_comes_before_any_rule() {
    let text = r#"
version: "1"
default: deny
tools:
  read_file: {rules: []}
  "*":
    rules: [{name: small, conditions: [{path: args.n, op: lt, value: 3}]}]
"#;
    let policy = policy(text);
    let said = on(&policy, "other", r#"{"n":1}"#, &Fresh);
    assert_eq!(reason(&said), "Tool \"other\" is not permitted by policy");
    assert_eq!(said.rule, "default (line 3)");
    assert_eq!(on(&policy, "read_file", r#"{"n":1}"#, &Fresh).action, Action::Allow);
    assert_eq!(on(&policy, "read_file", r#"{"n":4}"#, &Fresh).action.word(), "deny");
    // The star is no tool that a document can list.
    assert_eq!(on(&policy, "*", r#"{"n":1}"#, &Fresh).action.word(), "deny");
    assert!(policy.lists("read_file") && !policy.lists("other") && !policy.lists("*"));
}

#[test]
fn other_defaults_are_for_who_reads_the_whole_document() {
    for word in ["allow", "judge", "require_approval"] {
        let policy = policy(&format!("version: 1\ndefault: {word}\ntools: {{}}\n"));
        let said = on(&policy, "x", "{}", &Fresh);
        assert_eq!((said.action, said.unlisted), (Action::Allow, true));
    }
}

#[test]
fn a_hidden_tool_is_denied_before_all_else() {
    let text = "version: \"1\"\nhide: [secret, \"*x\"]\ntools: {secret: , \"*x\": }";
    let policy = policy(text);
    assert!(policy.hides("secret") && policy.hides("*x") && !policy.hides("ax"));
    let said = on(&policy, "secret", "{}", &Fresh);
    assert_eq!(reason(&said), "Tool \"secret\" is hidden by policy");
    assert_eq!(said.rule, "hide (line 2)");
    let all = super::policy("hide:\n  - \"*\"\n");
    assert!(all.hides("anything") && all.hides("*"));
    assert!(!all.stands());
    assert_eq!(on(&all, "any\u{202e}\nthing", "{}", &Fresh).action.word(), "deny");
    assert!(!reason(&on(&all, "any\u{202e}\nthing", "{}", &Fresh)).contains(['\n', '\u{202e}']));
}

const HELD: &str = r#"
version: "1"
tools:
  t:
    rules:
      - name: large
        action: require_approval
        approval_timeout: 10m
        conditions: [{path: args.amount, op: gt, value: 100}]
        on_deny: "Large amounts are looked at"
      - name: foreign
        action: require_approval
        approval_timeout: 5m
        conditions:
          - {path: args.iban, op: exists, value: true}
          - {path: args.iban, op: not_in, value: [DE1]}
      - name: never that much
        conditions: [{path: args.amount, op: lte, value: 1000}]
  always:
    rules: [{name: always, action: require_approval}]
"#;

fn hold(minutes: Option<u64>, told: Option<&str>) -> Action {
    Action::Hold(crate::policy::call::Hold {
        timeout: minutes.map(|minutes| Duration::from_secs(minutes * 60)),
        told: told.map(str::to_owned),
        ..Default::default()
    })
}

#[test]
fn a_call_is_held_when_all_conditions_hold() {
    let policy = policy(HELD);
    let told = Some("Large amounts are looked at");
    assert_eq!(on(&policy, "t", r#"{"amount":100}"#, &Fresh).action, Action::Allow);
    assert_eq!(on(&policy, "t", r#"{"amount":101}"#, &Fresh).action, hold(Some(10), told));
    assert_eq!(on(&policy, "always", "{}", &Fresh).action, hold(None, None));
    // Of several the shortest time, and what the agent can be told.
    let said = on(&policy, "t", r#"{"amount":101,"iban":"FR1"}"#, &Fresh);
    assert_eq!(said.action, hold(Some(5), told));
    assert_eq!(said.rule, "tools.t.rules[1] \"foreign\" (line 11)");
    assert_eq!(on(&policy, "t", r#"{"amount":1,"iban":"DE1"}"#, &Fresh).action, Action::Allow);
    // A deny anywhere beats a hold.
    assert_eq!(on(&policy, "t", r#"{"amount":1001}"#, &Fresh).action.word(), "deny");
}

#[test]
fn a_rule_without_a_time_has_the_documents() {
    let policy = policy(&format!("timeout: 7m\n{}", HELD.trim_start()));
    assert_eq!(on(&policy, "always", "{}", &Fresh).action, hold(Some(7), None));
    let said = on(&policy, "t", r#"{"amount":101}"#, &Fresh);
    assert_eq!(said.action, hold(Some(10), Some("Large amounts are looked at")));
}

#[test]
fn what_cannot_be_compared_is_held_unless_another_condition_says_no() {
    let rule = |conditions: &str| {
        policy(&ruled(&format!(
            "- name: r\n  action: require_approval\n  conditions: {conditions}"
        )))
    };
    let large = rule("[{path: args.x, op: gt, value: 5}]");
    for args in [r#"{}"#, r#"{"x":"7"}"#, r#"{"x":null}"#, r#"{"x":[]}"#] {
        assert_eq!(word(&large, args), "require_approval", "{args}");
    }
    assert_eq!(word(&large, r#"{"x":5}"#), "allow");
    let given = rule("[{path: args.x, op: gt, value: 5}, {path: args.x, op: exists, value: true}]");
    assert_eq!(word(&given, "{}"), "allow");
    assert_eq!(word(&given, r#"{"x":"7"}"#), "require_approval");
    for (op, value) in [("regex", "a"), ("contains", "a"), ("eq", "1"), ("not_in", "[1]")] {
        let policy = rule(&format!("[{{path: args.x, op: {op}, value: {value}}}]"));
        assert_eq!(word(&policy, "{}"), "require_approval", "{op}");
    }
}

#[test]
fn arguments_that_are_no_object_have_no_members() {
    let policy = policy(&condition("args.x", "eq", "1"));
    for args in ["[1]", "1", "null", "\"x\""] {
        assert_eq!(word(&policy, args), "deny", "{args}");
    }
}

#[test]
fn an_allowed_call_names_its_tool() {
    let policy = policy(ORDER);
    let text = ruled("- {name: r, conditions: [{path: args.x, op: exists, value: false}]}");
    assert_eq!(on(&super::policy(&text), "t", "{}", &Fresh).rule, "tools.t (line 3)");
    assert!(policy.stands());
}

#[test]
fn labels_stay_short_whatever_the_names() {
    let name = "ü".repeat(300);
    let text =
        format!("version: 1\ntools:\n  {name}:\n    rules: [{{name: {name}, action: deny}}]\n");
    let said = on(&policy(&text), &name, "{}", &Fresh);
    assert!(said.rule.len() <= 200, "{}", said.rule.len());
}
