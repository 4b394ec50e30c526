//! Annotations, descriptions, schemas, and the operator's word.

use super::*;

fn of(definition: &str, trusted: bool) -> Judgement {
    let tool = tool(definition);
    let parsed = parse(definition.as_bytes()).expect("JSON");
    let name = parsed.get("name").and_then(Json::as_str).expect("a name");
    judge(name, Some(&tool), Word::default(), trusted, None)
}

#[test]
fn annotations_raise_always_and_lower_only_on_a_trusted_server() {
    let reads = r#"{"name":"frob","annotations":{"readOnlyHint":true}}"#;
    assert!(!of(reads, false).told);
    assert!(passes(&of(reads, true)));
    let writes = r#"{"name":"delete_x","annotations":{"readOnlyHint":true}}"#;
    assert_eq!(of(writes, false).category, Category::Destructive);
    assert!(passes(&of(writes, true)));
    for trusted in [false, true] {
        let destroys =
            r#"{"name":"get_x","annotations":{"readOnlyHint":true,"destructiveHint":true}}"#;
        assert_eq!(of(destroys, trusted).category, Category::Destructive);
        let changes = r#"{"name":"get_x","annotations":{"readOnlyHint":false}}"#;
        assert_eq!(of(changes, trusted).category, Category::Write);
    }
    let adds = r#"{"name":"remove_x","annotations":{"destructiveHint":false}}"#;
    assert_eq!(of(adds, false).category, Category::Destructive);
    assert_eq!((of(adds, true).category, of(adds, true).risk), (Category::Write, Risk::Medium));
}

#[test]
fn arguments_count_whatever_a_trusted_server_says() {
    let ours = tool(r#"{"name":"frob","annotations":{"readOnlyHint":true}}"#);
    let arguments = parse(br#"{"command":"DEL"}"#).expect("JSON");
    let judgement = judge("frob", Some(&ours), Word::default(), true, Some(&arguments));
    assert_eq!(judgement.category, Category::Destructive);
}

#[test]
fn a_description_makes_a_tool_look_worse_and_never_better_unless_trusted() {
    for (description, category) in [
        ("Deletes the user", Category::Destructive),
        ("Get a message and delete it from the queue.", Category::Destructive),
        ("This tool allows you to permanently remove a user", Category::Destructive),
        ("Returns it. This cannot be undone.", Category::Destructive),
        ("Create or update a record", Category::Write),
        ("Runs arbitrary shell commands", Category::Execute),
        ("Get a user. Use this before you delete one.", Category::Read),
        ("Run a search over all the documents", Category::Read),
        ("Lists issues created by a user, or assigned", Category::Read),
        ("Non-destructive operation that looks", Category::Read),
    ] {
        let definition =
            Json::object([("name", Json::from("get_x")), ("description", description.into())]);
        let judgement = of(&definition.to_text(), false);
        assert_eq!(judgement.category, category, "{description}: {}", why(&judgement));
    }
    let untold = r#"{"name":"frob","description":"Lists all the items"}"#;
    assert!(!of(untold, false).told);
    assert!(passes(&of(untold, true)));
    let contradicts = r#"{"name":"delete_x","description":"Lists all the items"}"#;
    assert_eq!(of(contradicts, true).category, Category::Destructive);
}

#[test]
fn a_schema_makes_a_tool_look_worse() {
    let with = |properties: &str| {
        of(&format!(r#"{{"name":"get_x","inputSchema":{{"properties":{properties}}}}}"#), false)
    };
    assert_eq!(with(r#"{"script":{"type":"string"}}"#).category, Category::Execute);
    assert_eq!(with(r#"{"action":{"enum":["get","purge"]}}"#).category, Category::Destructive);
    assert_eq!(with(r#"{"method":{"enum":["GET","POST"]}}"#).category, Category::Write);
    assert!(passes(&with(r#"{"amount":{},"currency":{},"id":{}}"#)));
    let adds = r#"{"name":"create_x","inputSchema":{"properties":{"amount":{},"currency":{}}}}"#;
    assert_eq!(of(adds, false).category, Category::Financial);
}

#[test]
fn the_operators_word_is_the_last() {
    let word = Word { category: Some(Category::Read), risk: None };
    let arguments = parse(br#"{"command":"DEL"}"#).expect("JSON");
    let judgement = judge("frob", None, word, false, Some(&arguments));
    assert!(passes(&judgement));
    assert_eq!(judgement.evidence[0].source, Source::Operator);
    assert_eq!(judgement.evidence[0].found, "read");
    let word = Word { category: None, risk: Some(Risk::Critical) };
    let judgement = judge("get_x", None, word, false, None);
    assert_eq!((judgement.category, judgement.risk), (Category::Read, Risk::Critical));
    assert!(!judge("frob", None, word, false, None).told);
}
