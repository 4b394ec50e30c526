//! What conditions mean, what is refused, and what they may cost.

mod differential;

use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};

use super::*;
use crate::call::json::{Json, parse};
use crate::policy::{Definition, From};

fn at() -> DateTime<Utc> {
    "2026-11-22T18:05:00Z".parse().expect("a time")
}

fn asked(source: &str, arguments: &Json) -> Result<bool, Failed> {
    let tree = compile::compile(source).unwrap_or_else(|fault| panic!("{source}: {fault:?}"));
    let from = From { client: "ci", session: "s1", user: "ada", agent: "bot", agent_version: "2" };
    let call = Call {
        server: "kv",
        tool: "kv_del",
        definition: Definition::Unknown,
        arguments,
        from,
        at: at(),
    };
    let zone = "Europe/Berlin".parse().expect("a zone");
    let facts = Facts {
        call: &call,
        category: Category::Destructive,
        risk: Risk::High,
        doubt: Doubt::default(),
        zone,
    };
    evaluate::evaluate(&tree, &facts, &mut Budget::default())
}

fn holds(source: &str, arguments: &str) -> Result<bool, Failed> {
    asked(source, &parse(arguments.as_bytes()).expect("JSON"))
}

fn refused(source: &str) -> String {
    let fault = compile::compile(source).expect_err(source);
    format!("{}; {}", fault.message, fault.remedy)
}

const ARGS: &str = r#"{"key":"prod:1","n":5,"x":1.5,"big":9007199254740993,"list":[1,2,3],
    "none":null,"yes":true,"deep":{"a":{"b":["c"]}},"users":[{"n":"ada"},{"n":"bob"}]}"#;

#[test]
fn conditions_that_hold() {
    for source in [
        r#"args.key.startsWith("prod:")"#,
        r#"args.key.endsWith("1") && args.key.contains("od")"#,
        r#"args["key"] == "prod:1""#,
        r#"args.key.matches("^prod:[0-9]+$")"#,
        // RE2's, which is not Unicode's.
        r#"!"é".matches(r"\w") && "e".matches(r"^\w$")"#,
        r#"matches(args.key, "od")"#,
        "args.n > 4 && args.n >= 5 && args.n < 6 && args.n <= 5 && args.n != 4",
        "args.n * 2 + 1 == 11 && args.n % 3 == 2 && args.n / 2 == 2 && -args.n == -5",
        "args.x > 1 && args.x < 2 && args.n == 5.0 && args.x * 2.0 == 3.0",
        "args.list[4.0 / 2.0] == 3",
        "args.big == 9007199254740993 && args.big > 9007199254740992.0",
        "has(args.key) && !has(args.nothing) && has(args.none) && has(args.deep.a.b)",
        "args.none == null && args.yes && args.deep.a.b[0] == 'c'",
        "2 in args.list && !(4 in args.list) && 'key' in args && call.server in ['a', 'kv']",
        "size(args.list) == 3 && args.key.size() == 6 && size(args.deep) == 1",
        "args.list.all(x, x > 0) && args.list.exists(x, x == 3) && args.list.exists_one(x, x > 2)",
        "args.users.map(u, u.n) == ['ada', 'bob']",
        "args.list.filter(x, x > 1) == [2, 3] && args.list.map(x, x > 1, x * 10) == [20, 30]",
        "args.users.exists(u, args.list.exists(x, x == 1 && u.n == 'bob'))",
        "args.deep.all(k, k == 'a')",
        "args.list + [4] == [1, 2, 3, 4] && args.key + '!' == 'prod:1!'",
        "args.yes ? args.n == 5 : args.nothing",
        "call.server == 'kv' && call.tool == 'kv_del' && call.category == 'destructive' && call.risk == 'high'",
        "client.name == 'ci' && session.id == 's1' && user.name == 'ada' && agent.name == 'bot' && agent.version == '2'",
        "time.hour == 19 && time.minute == 5 && time.weekday == 'sun'",
        "time.now < timestamp('2027-01-01T00:00:00Z') && time.now - duration('1h30m') > timestamp('2026-11-22T16:00:00Z')",
        "int('7') == 7 && string(args.n) == '5' && double(args.n) / 2.0 == 2.5 && int(args.x) == 1",
        "args.key.lowerAscii() == 'prod:1' && 'A'.lowerAscii() == 'a' && 'a'.upperAscii() == 'A'",
        // One side decides alone.
        "args.yes || args.nothing",
        "args.nothing || args.yes",
        "!(args.nothing && false)",
        "args.users.exists(u, u.nothing || u.n == 'bob')",
    ] {
        assert_eq!(holds(source, ARGS), Ok(true), "{source}");
    }
}

#[test]
fn what_cannot_be_evaluated_says_why_and_nothing_of_the_arguments() {
    for (source, why) in [
        ("args.nothing == 1", "there is no `args.nothing`"),
        ("args.deep.b.c == 1", "there is no `args.deep.b`"),
        ("args['nothing'] == 1", "there is no `args[\"nothing\"]`"),
        ("args.n", "a number is neither true nor false"),
        ("args.n > 'a'", "a number and a text have no order"),
        ("args.n + args.key == 1", "nothing can be computed of a number and a text of these kinds"),
        (
            "args.n + args.x == 1.0",
            "nothing can be computed of a number and a number of these kinds",
        ),
        ("args.n / 0 == 1", "what is computed is out of range"),
        ("9223372036854775807 + args.n > 0", "what is computed is out of range"),
        ("args.list[3] == 1", "the list is shorter than that"),
        ("args.list[-1] == 1", "no item has a number below 0"),
        ("args.list[args.x] == 1", "a number is no number of an item"),
        ("args.none in args.deep", "null is no name of a member"),
        ("args.key.x == 1", "a text has no members"),
        ("has(args.key.x)", "a text has no members"),
        ("args.n.matches('a')", "a number matches no pattern"),
        ("args.nothing && args.yes", "there is no `args.nothing`"),
        ("args.list.all(x, x.y > 0)", "a number has no members"),
        ("int(args.key) == 1", "this is no whole number"),
        ("timestamp(args.key) < time.now", "this is no time such as 2026-11-22T18:00:00Z"),
    ] {
        let failed = holds(source, ARGS).expect_err(source).to_string();
        assert_eq!(failed, why, "{source}");
        assert!(!failed.contains("prod"), "{failed}");
    }
}

#[test]
fn a_number_that_cannot_be_told_from_its_neighbours_is_no_value() {
    for number in ["9223372036854775808", "0.10000000000000001", "1e400", "123456789012345678901.5"]
    {
        let arguments = format!("{{\"n\":{number}}}");
        assert!(holds("args.n > 0", &arguments).is_err(), "{number}");
    }
    for number in ["1e3", "1000.0", "1000"] {
        let arguments = format!("{{\"n\":{number}}}");
        assert_eq!(holds("args.n == 1000", &arguments), Ok(true), "{number}");
    }
    assert_eq!(holds("args.n == 0.1 && args.n < 1", r#"{"n":0.1}"#), Ok(true));
    assert_eq!(holds("args.n < -9223372036854775807", r#"{"n":-1e300}"#), Ok(true));
}

#[test]
fn what_makes_no_sense_is_refused_when_it_is_read() {
    for (source, said) in [
        ("arg.key == 1", "has `arg`, which does not exist; did you mean `args`?"),
        ("key == 1", "has `key`, which does not exist; known are args, call"),
        (
            "call.name == ''",
            "has `call.name`, which does not exist; known are call.server, call.tool",
        ),
        ("call == 1", "has `call` alone; write call.server, call.tool, call.category or call.risk"),
        (
            "args.key.startswith('a')",
            "calls `startswith`, which does not exist; did you mean `startsWith`?",
        ),
        ("args.key.startsWith()", "calls `startsWith` in a way that it cannot be called"),
        ("args.exists(x)", "calls `exists` in a way that it cannot be called"),
        ("args.key.matches(args.pattern)", "has a `matches` whose pattern is no text in quotes"),
        (
            "args.key.matches('(')",
            "has the pattern \"(\", which is no regular expression: unclosed group",
        ),
        ("args.key.matches('(?=a)')", "no regular expression: unknown flags of a group"),
        ("args.key.matches('((a{100}){100}){10}')", "which is too large"),
        ("args.key =", "is no CEL at character"),
        ("args.key == 'a", "is no CEL at character 13: unterminated string literal"),
        ("args.n > 1\n&& &&", "is no CEL in its line 2, character 4"),
        ("", "is no CEL"),
        ("1", "must be true or false, but is a number"),
        ("args.key + 'a'", "must be true or false, but is a computed value"),
        ("args", "must be true or false, but is an object"),
        ("{'a': 1}['a'] == 1", "makes a value with { }"),
        ("args.n == 1u", "has a number with u"),
        ("args.list.exists(args, args > 1)", "calls an item `args`"),
        ("args.?key == 1", "is no CEL"),
        ("has(args)", "invalid argument to has() macro"),
        ("x.y == 1", "has `x`, which does not exist"),
    ] {
        let found = refused(source);
        assert!(found.contains(said), "{source}: {found}");
    }
    assert!(refused(&"a".repeat(5000)).starts_with("is longer than 4096 bytes"));
    assert!(
        refused(&("(".repeat(60) + "a" + &")".repeat(60) + &" + a".repeat(50)))
            .starts_with("lies too deep")
    );
    assert!(refused(&("args.a ? ".repeat(61))).starts_with("has more than 60 question marks"));
}

/// Generous: a debug build on a busy machine takes ten times as long.
const SOON: Duration = Duration::from_millis(500);

#[test]
fn nothing_runs_for_ever() {
    let numbers: Vec<String> = (0..10_000).map(|n| n.to_string()).collect();
    let text = "ab".repeat(100_000);
    let objects: Vec<String> = (0..10_000).map(|n| format!("{{\"k{n}\":{n}}}")).collect();
    let members: Vec<String> = (0..10_000).map(|n| format!("\"k{n}\":{n}")).collect();
    let digits = "9".repeat(9_000);
    let arguments = format!(
        r#"{{"list":[{}],"text":"{text}","short":"{}","objects":[{}],"map":{{{}}},"digits":{digits}}}"#,
        numbers.join(","),
        "ab".repeat(1000),
        objects.join(","),
        members.join(",")
    );
    let arguments = parse(arguments.as_bytes()).expect("JSON");
    for (source, costly) in [
        ("args.list.all(x, x >= 0)", false),
        ("args.list.exists(x, x == 9999)", false),
        ("args.text.contains('ba')", false),
        ("args.list.all(x, args.list.all(y, x + y >= 0))", true),
        ("args.list.all(x, args.list.all(y, args.list.all(z, x + y + z >= 0)))", true),
        ("args.list.map(x, args.list.map(y, args.list)).size() > 0", true),
        ("args.list.map(x, args.text + args.text).size() > 0", true),
        ("args.list.map(x, args.list + args.list).size() > 0", true),
        ("args.list.all(x, args.text == args.text)", true),
        ("args.list.exists(x, args.text.contains('zzzz'))", true),
        ("args.list.all(x, args.objects == args.objects)", true),
        ("args.list.all(x, args.map == args.map)", true),
        ("args.list.all(x, args.map.k9999 == 9999)", true),
        ("args.list.all(x, x in args.list)", true),
        ("args.list.exists(x, args.text.matches('(a|b|ab)*c'))", true),
        ("args.text.matches('([a-z]{1,30}){1,30}$')", true),
        ("args.short.matches('(?:a|b)*a(?:a|b){100}c')", false),
        ("args.text.matches('(?:a|b)*a(?:a|b){100}c')", true),
        ("args.short.matches('^ab') && args.short.matches('\\\\w+@\\\\w+|b$')", false),
        ("args.list.all(x, args.digits > 1)", true),
        ("args.list.exists(x, args.nothing) || args.list.all(x, args.list.all(y, true))", true),
    ] {
        let began = Instant::now();
        let found = asked(source, &arguments);
        let took = began.elapsed();
        println!("{took:?} {source}");
        assert!(took < SOON, "{source} took {took:?}");
        assert_eq!(found == Err(Failed::TooCostly), costly, "{source}: {found:?}");
    }
}
