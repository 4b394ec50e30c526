//! The engine against a second reading of the documented meaning, written apart
//! from it and as plainly as can be: with values and comparisons of its own, and
//! with every call judged from the words of the reference alone.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;

use proptest::prelude::*;

use super::*;

/// JSON as the oracle has it: numbers are whole thousandths.
#[derive(Debug, Clone, PartialEq)]
enum Any {
    Null,
    Bool(bool),
    Milli(i64),
    Text(String),
    List(Vec<Any>),
    Map(BTreeMap<String, Any>),
}

impl Any {
    /// The same in JSON, which is YAML too.
    fn write(&self) -> String {
        match self {
            Any::Null => "null".to_owned(),
            Any::Bool(bool) => bool.to_string(),
            Any::Milli(n) => milli(*n),
            Any::Text(text) => format!("\"{text}\""),
            Any::List(items) => {
                format!("[{}]", items.iter().map(Any::write).collect::<Vec<_>>().join(", "))
            }
            Any::Map(map) => {
                let members = map.iter().map(|(k, v)| format!("\"{k}\": {}", v.write()));
                format!("{{{}}}", members.collect::<Vec<_>>().join(", "))
            }
        }
    }
}

/// Thousandths as a decimal number, as short as can be.
fn milli(n: i64) -> String {
    let sign = if n < 0 { "-" } else { "" };
    let text = format!("{sign}{}.{:03}", n.abs() / 1000, n.abs() % 1000);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[derive(Debug, Clone)]
struct Cond {
    path: Where,
    op: &'static str,
    value: Any,
}

#[derive(Debug, Clone)]
enum Where {
    Args(Vec<&'static str>),
    State(&'static str, &'static str),
}

#[derive(Debug, Clone)]
struct OneRule {
    action: &'static str,
    conds: Vec<Cond>,
    /// The counter, the window, and what is added: so much, or what an argument says.
    state: Option<(&'static str, &'static str, Result<i64, &'static str>)>,
    rate: Option<(i64, &'static str)>,
}

#[derive(Debug, Clone)]
struct Doc {
    deny: bool,
    hide: Vec<&'static str>,
    tools: BTreeMap<&'static str, Vec<OneRule>>,
}

/// What the reference says of a value; `None`: there is nothing to compare.
fn operator(op: &str, actual: Option<&Any>, expected: &Any) -> Option<bool> {
    if op == "exists" {
        let there = !matches!(actual, None | Some(Any::Null));
        return Some(Any::Bool(there) == *expected);
    }
    let actual = actual?;
    let list = |value: &Any| match value {
        Any::List(items) => items.clone(),
        other => panic!("{other:?}"),
    };
    match op {
        "eq" => Some(equal(actual, expected)),
        "neq" => Some(!equal(actual, expected)),
        "in" => Some(list(expected).iter().any(|item| equal(item, actual))),
        "not_in" => Some(list(expected).iter().all(|item| !equal(item, actual))),
        "lt" | "lte" | "gt" | "gte" => {
            let (Any::Milli(a), Any::Milli(b)) = (actual, expected) else {
                return None;
            };
            Some(match op {
                "lt" => a < b,
                "lte" => a <= b,
                "gt" => a > b,
                _ => a >= b,
            })
        }
        "regex" => match (actual, expected) {
            // Patterns here are letters behind a caret.
            (Any::Text(text), Any::Text(pattern)) => Some(text.starts_with(&pattern[1..])),
            _ => None,
        },
        "contains" => match (actual, expected) {
            (Any::Text(text), Any::Text(part)) => Some(text.contains(part.as_str())),
            (Any::List(items), part) => Some(items.iter().any(|item| equal(item, part))),
            _ => None,
        },
        other => panic!("{other}"),
    }
}

/// Numeric or as strings; of lists and maps the parts.
fn equal(a: &Any, b: &Any) -> bool {
    let text = |value: &Any| match value {
        Any::Bool(_) | Any::Milli(_) => Some(value.write()),
        Any::Text(text) => Some(text.clone()),
        _ => None,
    };
    match (a, b) {
        (Any::List(a), Any::List(b)) => {
            a.len() == b.len() && (0..a.len()).all(|i| equal(&a[i], &b[i]))
        }
        (Any::Map(a), Any::Map(b)) => {
            a.keys().eq(b.keys()) && a.keys().all(|key| equal(&a[key], &b[key]))
        }
        (Any::Null, Any::Null) => true,
        _ => text(a).is_some() && text(a) == text(b),
    }
}

fn argument<'a>(args: &'a Any, path: &[&str]) -> Option<&'a Any> {
    match (path, args) {
        ([], found) => Some(found),
        ([first, rest @ ..], Any::Map(map)) => argument(map.get(*first)?, rest),
        _ => None,
    }
}

type Counts = HashMap<(&'static str, &'static str), i64>;

impl Doc {
    fn yaml(&self) -> String {
        let mut out = "version: \"1\"\n".to_owned();
        if self.deny {
            out.push_str("default: deny\n");
        }
        if !self.hide.is_empty() {
            let _ = writeln!(out, "hide: {:?}", self.hide);
        }
        out.push_str("tools:\n");
        for (tool, rules) in &self.tools {
            let _ = writeln!(out, "  \"{tool}\":\n    rules:");
            for (index, rule) in rules.iter().enumerate() {
                let _ = writeln!(out, "      - name: \"{index}\"\n        action: {}", rule.action);
                if let Some((count, window)) = rule.rate {
                    let _ = writeln!(out, "        rate_limit: {count}/{window}");
                }
                if !rule.conds.is_empty() {
                    out.push_str("        conditions:\n");
                }
                for cond in &rule.conds {
                    let path = match &cond.path {
                        Where::Args(path) => format!("args.{}", path.join(".")),
                        Where::State(scope, name) => format!("state.{scope}.{name}"),
                    };
                    let (op, value) = (cond.op, cond.value.write());
                    let _ = writeln!(out, "          - {{path: {path}, op: {op}, value: {value}}}");
                }
                if let Some((name, window, amount)) = rule.state {
                    let amount = match amount {
                        Ok(amount) => format!("increment: {amount}"),
                        Err(path) => format!("increment_from: args.{path}"),
                    };
                    let _ = writeln!(
                        out,
                        "        state: {{counter: {name}, window: {window}, {amount}}}"
                    );
                }
            }
        }
        out
    }

    /// Whether a call passes, is held or does not pass, and what is then added.
    fn says(&self, tool: &'static str, args: &Any, counts: &Counts) -> (&'static str, Counts) {
        let no = ("no", Counts::new());
        if self.hide.contains(&tool) || self.hide.contains(&"*") {
            return no;
        }
        if self.deny && !self.tools.contains_key(tool) {
            return no;
        }
        let mut verdict = "yes";
        let mut added = Counts::new();
        for (entry, scope) in [(tool, tool), ("*", "_global")] {
            for rule in self.tools.get(entry).into_iter().flatten() {
                let holds: Vec<Option<bool>> = rule
                    .conds
                    .iter()
                    .map(|cond| match &cond.path {
                        Where::Args(path) => operator(cond.op, argument(args, path), &cond.value),
                        Where::State(scope, name) => {
                            let value = counts.get(&(*scope, *name)).copied().unwrap_or(0);
                            operator(cond.op, Some(&Any::Milli(value * 1000)), &cond.value)
                        }
                    })
                    .collect();
                match rule.action {
                    "deny" => return no,
                    "evaluate" => {
                        if holds.iter().any(|holds| *holds != Some(true)) {
                            return no;
                        }
                    }
                    _ => {
                        if holds.iter().all(|holds| *holds != Some(false)) {
                            verdict = "held";
                        }
                    }
                }
                if let Some((count, window)) = rule.rate {
                    let name = match window {
                        "minute" => "_rate_minute",
                        "hour" => "_rate_hour",
                        _ => "_rate_day",
                    };
                    let before = counts.get(&(scope, name)).copied().unwrap_or(0);
                    if before + 1 > count {
                        return no;
                    }
                    added.insert((scope, name), 1);
                }
                if let Some((name, _, amount)) = rule.state {
                    let amount = match amount {
                        Ok(amount) => amount,
                        Err(path) => match argument(args, &[path]) {
                            Some(Any::Milli(n)) if *n >= 0 && n % 1000 == 0 => n / 1000,
                            _ => return no,
                        },
                    };
                    let after = counts.get(&(scope, name)).copied().unwrap_or(0) + amount;
                    let own = rule.conds.iter().filter(
                        |cond| matches!(cond.path, Where::State(s, n) if (s, n) == (scope, name)),
                    );
                    // What is a limit has to hold after the call was counted, too.
                    let limits = own.filter(|cond| matches!(cond.op, "lt" | "lte"));
                    let within = limits.map(|cond| {
                        operator(cond.op, Some(&Any::Milli(after * 1000)), &cond.value)
                    });
                    if rule.action == "evaluate" && within.into_iter().any(|w| w != Some(true)) {
                        return no;
                    }
                    added.insert((scope, name), amount);
                }
            }
        }
        (verdict, added)
    }
}

const TOOLS: [&str; 3] = ["a", "b", "*"];
const COUNTERS: [&str; 2] = ["c", "d"];
const MEMBERS: [&str; 3] = ["x", "y", "n"];
const OPS: [&str; 11] =
    ["eq", "neq", "in", "not_in", "lt", "lte", "gt", "gte", "regex", "contains", "exists"];

fn any_value() -> impl Strategy<Value = Any> {
    let number = prop_oneof![
        4 => (-3i64..7).prop_map(|n| n * 1000),
        1 => (-30i64..70).prop_map(|n| n * 100),
        1 => Just(1_000_000_000),
    ];
    let leaf = prop_oneof![
        1 => Just(Any::Null),
        1 => any::<bool>().prop_map(Any::Bool),
        5 => number.prop_map(Any::Milli),
        4 => prop::sample::select(vec!["", "u", "us", "usd", "true", "null", "5", "1.5", "a b"])
            .prop_map(|text| Any::Text(text.to_owned())),
    ];
    leaf.prop_recursive(2, 8, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Any::List),
            prop::collection::btree_map(prop::sample::select(&MEMBERS[..]), inner, 0..3).prop_map(
                |map| Any::Map(map.into_iter().map(|(k, v)| (k.to_owned(), v)).collect())
            ),
        ]
    })
}

/// Arguments; the one that counters are fed from is a number more often than not.
fn any_args() -> impl Strategy<Value = Any> {
    let members =
        prop::collection::btree_map(prop::sample::select(&MEMBERS[..]), any_value(), 0..4);
    (members, prop::option::weighted(0.6, -2i64..4)).prop_map(|(mut members, n)| {
        members.extend(n.map(|n| ("n", Any::Milli(n * 1000))));
        Any::Map(members.into_iter().map(|(k, v)| (k.to_owned(), v)).collect())
    })
}

/// A value, often this very one or a part of it: equal ones are rare by chance.
fn near(expected: &Any) -> BoxedStrategy<Any> {
    let mut parts = vec![expected.clone(), Any::Null, Any::List(vec![Any::Null, expected.clone()])];
    match expected {
        Any::List(items) => parts.extend(items.iter().cloned()),
        Any::Text(text) => {
            let text = text.trim_start_matches('^');
            parts.extend(["", "z"].map(|end| Any::Text(format!("{text}{end}"))));
        }
        scalar @ (Any::Milli(_) | Any::Bool(_)) => parts.push(Any::Text(scalar.write())),
        Any::Null | Any::Map(_) => {}
    }
    prop_oneof![prop::sample::select(parts), any_value()].boxed()
}

/// A value that this operator may have.
fn value_for(op: &'static str) -> BoxedStrategy<Any> {
    match op {
        "in" | "not_in" => prop::collection::vec(any_value(), 0..4).prop_map(Any::List).boxed(),
        "lt" | "lte" | "gt" | "gte" => prop_oneof![
            (-3i64..7).prop_map(|n| Any::Milli(n * 1000)),
            (-3i64..70).prop_map(|n| Any::Milli(n * 100)),
        ]
        .boxed(),
        "exists" => any::<bool>().prop_map(Any::Bool).boxed(),
        "regex" => prop::sample::select(vec!["^u", "^us", "^tr", "^"])
            .prop_map(|text| Any::Text(text.to_owned()))
            .boxed(),
        _ => any_value().boxed(),
    }
}

fn any_op_and_value() -> impl Strategy<Value = (&'static str, Any)> {
    prop::sample::select(&OPS[..]).prop_flat_map(|op| (Just(op), value_for(op)))
}

fn any_cond() -> impl Strategy<Value = Cond> {
    let path = prop_oneof![
        4 => prop::collection::vec(prop::sample::select(&MEMBERS[..]), 1..3).prop_map(Where::Args),
        2 => (prop::sample::select(vec!["a", "b", "_global"]), prop::sample::select(&COUNTERS[..]))
            .prop_map(|(scope, name)| Where::State(scope, name)),
    ];
    (path, any_op_and_value()).prop_map(|(path, (op, value))| Cond { path, op, value })
}

fn any_rule() -> impl Strategy<Value = OneRule> {
    let window = || prop::sample::select(vec!["minute", "hour", "day"]);
    let conds = prop::collection::vec(any_cond(), 1..4);
    let amount =
        prop_oneof![(-1i64..4).prop_filter("not zero", |n| *n != 0).prop_map(Ok), Just(Err("n"))];
    let state = prop::option::of((prop::sample::select(&COUNTERS[..]), window(), amount));
    let evaluate = (conds, state.clone()).prop_map(|(conds, state)| OneRule {
        action: "evaluate",
        conds,
        state,
        rate: None,
    });
    let hold = (prop::collection::vec(any_cond(), 0..3), state).prop_map(|(conds, state)| {
        OneRule { action: "require_approval", conds, state, rate: None }
    });
    let rate = (1i64..4, window()).prop_map(|rate| OneRule {
        action: "evaluate",
        conds: Vec::new(),
        state: None,
        rate: Some(rate),
    });
    let deny = Just(OneRule { action: "deny", conds: Vec::new(), state: None, rate: None });
    prop_oneof![6 => evaluate, 3 => hold, 2 => rate, 1 => deny]
}

/// Makes a document valid: no counter twice in a tool, none that is not there.
fn mended(mut doc: Doc) -> Doc {
    let mut windows = HashMap::new();
    for (tool, rules) in &mut doc.tools {
        let scope = if *tool == "*" { "_global" } else { tool };
        let mut seen = std::collections::HashSet::new();
        for rule in rules.iter_mut() {
            rule.state = rule.state.filter(|(name, ..)| seen.insert(*name));
            rule.rate = rule.rate.filter(|(_, window)| seen.insert(*window));
            if let Some((name, window, _)) = rule.state {
                windows.insert((scope, name), window);
            }
        }
    }
    for rules in doc.tools.values_mut() {
        for rule in rules.iter_mut() {
            rule.conds.retain(|cond| match &cond.path {
                Where::State(scope, name) => windows.contains_key(&(*scope, *name)),
                Where::Args(_) => true,
            });
        }
        rules.retain(|rule| {
            rule.action != "evaluate" || rule.rate.is_some() || !rule.conds.is_empty()
        });
    }
    // A rule that went may have been the one that declared a counter.
    let declared: Vec<_> = doc
        .tools
        .iter()
        .flat_map(|(tool, rules)| {
            let scope = if *tool == "*" { "_global" } else { tool };
            rules.iter().filter_map(move |rule| rule.state.map(|(name, ..)| (scope, name)))
        })
        .collect();
    if windows.len() == declared.len() { doc } else { mended(doc) }
}

fn any_doc() -> impl Strategy<Value = Doc> {
    let rules = prop::collection::vec(any_rule(), 0..4);
    let tools = prop::collection::btree_map(prop::sample::select(&TOOLS[..]), rules, 0..4);
    let hide = prop_oneof![
        8 => Just(Vec::new()),
        1 => Just(vec!["b"]),
        1 => Just(vec!["*"]),
    ];
    (prop::bool::weighted(0.2), hide, tools)
        .prop_map(|(deny, hide, tools)| mended(Doc { deny, hide, tools }))
}

/// What the engine says, in the oracle's words.
fn engine(said: &Said) -> (&'static str, Vec<(String, String, i64)>) {
    let verdict = match said.action {
        Action::Allow => "yes",
        Action::Hold(_) => "held",
        Action::Deny { .. } | Action::Limited { .. } => "no",
    };
    let mut takes: Vec<_> = said
        .takes
        .iter()
        .map(|take| match take {
            Take::Counter { key, amount, .. } => (key.scope.clone(), key.name.clone(), *amount),
            Take::Sliding { .. } => panic!("{take:?}"),
        })
        .collect();
    takes.sort();
    (verdict, takes)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    /// Operator by operator: one condition, one value.
    #[test]
    fn an_operator_means_what_is_documented(
        ((op, expected), actual) in any_op_and_value().prop_flat_map(|(op, expected)| {
            let actual = prop::option::weighted(0.9, near(&expected));
            (Just((op, expected)), actual)
        }),
    ) {
        let args: BTreeMap<String, Any> =
            actual.iter().map(|value| ("x".to_owned(), value.clone())).collect();
        let truth = operator(op, actual.as_ref(), &expected);
        for action in ["evaluate", "require_approval"] {
            let text = ruled(&format!(
                "- name: r\n  action: {action}\n  conditions:\n    - {{path: args.x, op: {op}, value: {}}}",
                expected.write()
            ));
            let policy = read(&text).map_err(TestCaseError::fail)?;
            let verdict = word(&policy, &Any::Map(args.clone()).write());
            let documented = match (action, truth) {
                ("evaluate", Some(true)) => "allow",
                ("evaluate", _) => "deny",
                (_, Some(false)) => "allow",
                (_, _) => "require_approval",
            };
            prop_assert_eq!(verdict, documented, "{:?} {} {:?}", actual, op, expected);
        }
    }

    /// Whole documents, with what was counted, over several calls in a row.
    #[test]
    fn a_document_means_what_is_documented(
        doc in any_doc(),
        counted in prop::collection::hash_map(
            (prop::sample::select(vec!["a", "b", "_global"]), prop::sample::select(&COUNTERS[..])),
            0i64..6,
            0..4,
        ),
        calls in prop::collection::vec((prop::sample::select(vec!["a", "b", "z"]), any_args()), 1..6),
    ) {
        let text = doc.yaml();
        let policy = read(&text).map_err(|error| TestCaseError::fail(format!("{error}\n{text}")))?;
        let mut counts: Counts = counted;
        let memory = Memory::default();
        for window in [Window::Minute, Window::Hour, Window::Day] {
            for ((scope, name), value) in &counts {
                memory.set(scope, name, window, *value);
            }
        }
        for (tool, args) in calls {
            let said = on(&policy, tool, &args.write(), &memory);
            let (verdict, added) = doc.says(tool, &args, &counts);
            let mut expected: Vec<_> = added
                .iter()
                .map(|((scope, name), amount)| ((*scope).to_owned(), (*name).to_owned(), *amount))
                .collect();
            expected.sort();
            prop_assert_eq!(engine(&said), (verdict, expected), "{} on {}\n{}\n{:?}", tool, args.write(), text, counts);
            prop_assert_eq!(said.unlisted, !doc.tools.contains_key(tool));
            if verdict == "no" || !policy.counts(tool) {
                prop_assert!(said.takes.is_empty());
            }
            memory.take(&said.takes);
            for (key, amount) in added {
                *counts.entry(key).or_default() += amount;
            }
        }
    }
}
