//! What a server's list of tools decides, where it was another one before.

use super::policy::Became;
use super::*;

const CALL: &str = r#"{"name":"write","arguments":{"k":"v"}}"#;
const TOOL: &str = r#"{"name":"write","description":""}"#;
const ALLOWS: &str = "default: allow\n";

/// The most tools that a list may have, and one more.
const TOO_MANY: usize = 5001;

/// Whether a call is held at a proxy that starts now, before a server with this list.
/// The tool is pinned in the state directory.
async fn is_held(home: &Home, listed: &str) -> bool {
    let agent = Proxy::with(home, ALLOWS, Settings::default()).client("later", LONG);
    agent.upstream.served().listed = Some(listed.to_owned());
    let became = agent.tries(CALL).await;
    assert_eq!(agent.upstream.ran(), usize::from(matches!(became, Became::Ran(_))));
    matches!(became, Became::Held)
}

/// Has the tool pinned, as a server lists it that has only this one.
async fn pin(home: &Home) {
    let first = Proxy::with(home, ALLOWS, Settings::default()).client("first", LONG);
    first.runs().await;
    assert!(!is_held(home, TOOL).await, "what is listed as before passes");
}

#[tokio::test]
async fn a_list_that_lacks_a_pinned_tool_holds_its_calls() {
    let home = Home::new();
    let _daemon = home.start().await;
    pin(&home).await;
    assert!(is_held(&home, "").await);
    assert!(is_held(&home, r#"{"name":"Write","description":""}"#).await);
    // A name that was never listed is the server's to refuse.
    let agent = Proxy::with(&home, ALLOWS, Settings::default()).client("later", LONG);
    let never = agent.tries(r#"{"name":"wrote","arguments":{}}"#).await;
    assert!(matches!(never, Became::Ran(_)), "{never:?}");
}

#[tokio::test]
async fn a_list_that_names_a_pinned_tool_twice_holds_its_calls() {
    let home = Home::new();
    let _daemon = home.start().await;
    pin(&home).await;
    let other = r#"{"name":"write","description":"Deletes"}"#;
    assert!(is_held(&home, &format!("{TOOL},{other}")).await);
    assert!(is_held(&home, &format!("{other},{TOOL}")).await);
    // Said twice, but the same.
    assert!(!is_held(&home, &format!("{TOOL},{TOOL}")).await);
}

#[tokio::test]
async fn a_list_that_is_too_long_holds_the_calls_of_a_pinned_tool() {
    let home = Home::new();
    let _daemon = home.start().await;
    pin(&home).await;
    let fill = |n: usize| -> String { (1..n).map(|n| format!(r#"{{"name":"t{n}"}},"#)).collect() };
    assert!(!is_held(&home, &(fill(TOO_MANY - 1) + TOOL)).await, "as long as it may be");
    assert!(is_held(&home, &(fill(TOO_MANY) + TOOL)).await);
    assert!(is_held(&home, &format!("{TOOL},{}{TOOL}", fill(TOO_MANY))).await);
}
