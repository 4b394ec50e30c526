//! Limits, and what whoever meets one is told.

use holdpoint::proto;
use tonic::Code;

use super::support::clients::withdraw;
use super::support::{Ask, Home, call, deny, hold, reason_of, submit, wait_for};

#[tokio::test]
async fn pending_requests_are_limited_per_caller_and_per_client() {
    let limits = "[limits]\nmax_pending_per_caller = 3\nmax_pending_per_client = 2\n";
    let home = Home::with_config(limits);
    let daemon = home.start().await;
    let mut caller = home.clients().caller();
    let of = |client: &str, n: u32| {
        let mut call = call("write", &format!(r#"{{"n":{n}}}"#));
        client.clone_into(&mut call.client);
        call
    };
    let first = submit(&mut caller, "1", of("ann", 1)).await;
    submit(&mut caller, "2", of("ann", 2)).await;
    let refused = Ask::new("3", of("ann", 3)).briefly().send(&mut caller).await;
    let refused = refused.expect_err("the client's limit");
    let expected = (Code::ResourceExhausted, "TOO_MANY_PENDING".to_owned());
    assert_eq!((refused.code(), reason_of(&refused)), expected);
    assert!(refused.message().contains("limits.max_pending_per_client"), "{refused:?}");
    submit(&mut caller, "4", of("ben", 4)).await;
    let refused = Ask::new("5", of("cat", 5)).briefly().send(&mut caller).await;
    let refused = refused.expect_err("the caller's limit");
    assert!(refused.message().contains("limits.max_pending_per_caller"), "{refused:?}");
    // The same call id is no further request, and one that ended makes room;
    // both also after a restart, which counts anew.
    submit(&mut caller, "1", of("ann", 1)).await;
    daemon.kill();
    let _daemon = home.start().await;
    let mut caller = home.clients().caller();
    let refused = Ask::new("5", of("cat", 5)).briefly().send(&mut caller).await;
    assert_eq!(reason_of(&refused.expect_err("still")), "TOO_MANY_PENDING");
    withdraw(&mut caller, &first.id).await.expect("withdrawn");
    submit(&mut caller, "5", of("cat", 5)).await;
}

#[tokio::test]
async fn calls_held_at_once_are_limited_and_leaving_makes_room() {
    let home = Home::with_config("[limits]\nmax_held = 2\n");
    let _daemon = home.start().await;
    let (caller, mut operator) = (home.clients().caller(), home.clients().operator());
    let (first, _) = hold(&caller, &mut operator, "1", call("write", r#"{"n":1}"#)).await;
    let second = hold(&caller, &mut operator, "2", call("write", r#"{"n":2}"#)).await;
    let mut third = caller.clone();
    let refused = Ask::new("3", call("write", r#"{"n":3}"#)).send(&mut third).await;
    let refused = refused.expect_err("the limit");
    let expected = (Code::ResourceExhausted, "TOO_MANY_HELD".to_owned());
    assert_eq!((refused.code(), reason_of(&refused)), expected);
    let digest = super::support::get(&mut operator, &first).await.digest;
    deny(&mut operator, &first, &digest).await.expect("denied");
    // The denial is told, and then its place is free.
    let submitted = wait_for("room", || async {
        let again = Ask::new("3", call("write", r#"{"n":3}"#)).briefly();
        again.send(&mut third.clone()).await.ok()
    });
    assert_eq!(submitted.await.status(), proto::Status::Pending);
    drop(second);
}

#[tokio::test]
async fn everything_that_is_wrong_with_a_call_is_named_at_once() {
    let home = Home::new();
    let _daemon = home.start().await;
    let mut bad = call(&"t".repeat(201), "{}");
    bad.server = String::new();
    bad.explanation = "e".repeat(8 * 1024 + 1);
    bad.labels = (0..33).map(|n| (n.to_string(), String::new())).collect();
    bad.category = 99;
    let refused = Ask::new("1", bad).briefly().send(&mut home.clients().caller()).await;
    let refused = refused.expect_err("bad");
    assert_eq!(reason_of(&refused), "INVALID_FIELD");
    let details = tonic_types::StatusExt::get_details_bad_request(&refused).expect("violations");
    let fields: Vec<&str> = details.field_violations.iter().map(|v| v.field.as_str()).collect();
    for field in ["call.server", "call.tool", "call.explanation", "call.labels", "call.category"] {
        assert!(fields.contains(&field), "{field} is missing in {fields:?}");
    }
}

#[tokio::test]
async fn a_page_token_of_other_filters_is_refused() {
    let home = Home::new();
    let _daemon = home.start().await;
    let mut caller = home.clients().caller();
    for n in 0..3 {
        submit(&mut caller, &format!("{n}"), call("write", &format!(r#"{{"n":{n}}}"#))).await;
    }
    let mut history = home.clients().history();
    let ask = |tool: &str, page_token: String| proto::QueryAuditRequest {
        filter: Some(proto::AuditFilter { tool: tool.to_owned(), ..Default::default() }),
        page_size: 1,
        page_token,
        ..Default::default()
    };
    let page = history.query_audit(ask("write", String::new())).await.expect("a page").into_inner();
    assert!(page.entries.len() == 1 && !page.next_page_token.is_empty());
    let next = history.query_audit(ask("write", page.next_page_token.clone())).await;
    assert_eq!(next.expect("a page").into_inner().entries.len(), 1);
    for (tool, token) in [("read", page.next_page_token.as_str()), ("write", "nonsense")] {
        let refused = history.query_audit(ask(tool, token.to_owned())).await;
        assert_eq!(reason_of(&refused.expect_err("another's token")), "BAD_PAGE_TOKEN");
    }
}
