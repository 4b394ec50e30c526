//! What a hostile server or agent sends costs little, and tells nothing.

use std::time::{Duration, Instant};

use super::*;

/// Far more than it takes, far less than it would without bounds: tests run unoptimised
/// and beside others.
const SOON: Duration = Duration::from_secs(2);

fn soon<T>(what: &str, work: impl FnOnce() -> T) -> T {
    let begun = Instant::now();
    let done = work();
    assert!(begun.elapsed() < SOON, "{what} took {:?}", begun.elapsed());
    done
}

#[test]
fn long_names_descriptions_and_schemas_are_bounded() {
    let name = "get_".repeat(1_000_000);
    assert!(!soon("a name", || named(&name)).told);
    for text in [
        "delete ".repeat(1_000_000),
        ". ".repeat(1_000_000),
        "and delete ".repeat(500_000),
        "\u{e9}".repeat(2_000_000),
    ] {
        let definition =
            Json::object([("name", Json::from("get_x")), ("description", text.into())]);
        soon("a description", || Tool::of(&definition));
    }
    let property =
        |n: usize| (format!("p{n}"), Json::object([("properties", Json::Object(Vec::new()))]));
    let properties = Json::Object((0..200_000).map(property).collect());
    let schema = Json::object([("properties", properties)]);
    let definition = Json::object([("name", Json::from("get_x")), ("inputSchema", schema)]);
    soon("a schema", || Tool::of(&definition));
    let values = Json::Array((0..200_000).map(|n| Json::from(format!("v{n}"))).collect());
    let action = Json::object([("enum", values)]);
    let schema = Json::object([("properties", Json::object([("action", action)]))]);
    let definition = Json::object([("name", Json::from("get_x")), ("inputSchema", schema)]);
    soon("an enumeration", || Tool::of(&definition));
}

#[test]
fn arguments_that_are_too_long_to_look_through_tell_nothing() {
    let many = Json::Array((0..1_000_000).map(|_| Json::Null).collect());
    let long = Json::from("x".repeat(1_000_000));
    let texts = Json::Array((0..100).map(|_| Json::from("y".repeat(10_000))).collect());
    for value in [many, long, texts] {
        let arguments = Json::object([("ids", value)]);
        let judgement =
            soon("arguments", || judge("get_x", None, Word::default(), false, Some(&arguments)));
        assert!(!judgement.told, "{}", why(&judgement));
    }
    let deep = "[".repeat(60) + &"]".repeat(60);
    let deep = parse(format!(r#"{{"a":{deep}}}"#).as_bytes()).expect("JSON");
    assert!(passes(&judge("get_x", None, Word::default(), false, Some(&deep))));
}

#[test]
fn a_usual_call_is_judged_in_microseconds() {
    const CALLS: u32 = 2000;
    let ours = tool(
        r#"{"name":"update_issue","description":"Updates an issue","annotations":{"readOnlyHint":false}}"#,
    );
    let arguments =
        parse(br#"{"id":7,"title":"A title","labels":["a","b"],"body":"Some text of it"}"#);
    let arguments = arguments.expect("JSON");
    let word = Word::default();
    judge("update_issue", Some(&ours), word, false, Some(&arguments));
    let begun = Instant::now();
    for _ in 0..CALLS {
        judge("update_issue", Some(&ours), word, false, Some(&arguments));
    }
    let each = begun.elapsed() / CALLS;
    println!("{each:?} a call");
    // Not optimised, and beside other tests.
    assert!(each < Duration::from_micros(500), "{each:?}");
}

#[test]
fn odd_statements_are_bounded() {
    for text in [
        "(".repeat(60_000),
        "/*".repeat(30_000),
        "SELECT ".repeat(2_300),
        ";".repeat(60_000),
        "SELECT '".repeat(2_000),
        "mutation ".repeat(6_000),
        "delete from ".repeat(1_300),
        "\u{e9}".repeat(30_000),
    ] {
        let arguments =
            Json::object([("sql", Json::from(text.as_str())), ("command", text.into())]);
        soon("a statement", || judge("run_query", None, Word::default(), false, Some(&arguments)));
    }
}

proptest::proptest! {
    #[test]
    fn judging_never_panics(name in ".{0,40}", key in "[a-z_]{0,12}", text in ".{0,200}") {
        let arguments = Json::object([(key.as_str(), Json::from(text.as_str())), ("command", text.as_str().into()), ("sql", text.as_str().into())]);
        let definition = Json::object([("name", Json::from(name.as_str())), ("description", text.as_str().into())]);
        let tool = Tool::of(&definition);
        let judgement = judge(&name, Some(&tool), Word::default(), true, Some(&arguments));
        proptest::prop_assert!(judgement.category != Category::Unspecified);
        proptest::prop_assert!(!judgement.evidence.is_empty());
    }
}
