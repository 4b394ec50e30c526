//! Multi-round requests: a call goes on, under its use, once its client has
//! answered what the server asked; and under no other conditions.

use super::policy::Became;
use super::*;

const CALL: &str = r#"{"name":"write","arguments":{"k":"v"}}"#;
const ASKS: &str = r#""result":{"resultType":"input_required","inputRequests":{"a":{},"b":{}},"requestState":"s1"}"#;

/// The call once more, with this beside its arguments.
fn repeat(more: &str) -> String {
    format!(r#"{{"name":"write","arguments":{{"k":"v"}},{more}}}"#)
}

const ANSWERED: &str = r#""inputResponses":{"a":1},"requestState":"s1""#;

/// A call that was approved, and whose server asks for input: its request's id.
async fn asked(agent: &Agent, operator: &mut Operator) -> String {
    agent.upstream.says(ASKS);
    let call = agent.call(CALL, false).await;
    let id = approve_it(operator).await;
    let result = call.result().await;
    assert_eq!(text(&result, "resultType"), "input_required");
    id
}

#[tokio::test]
async fn a_round_is_continued_once_under_the_use_that_was_taken() {
    let home = Home::new();
    let _daemon = home.start().await;
    let mut operator = home.clients().operator();
    let agent = Proxy::holding(&home).client("a", LONG);
    let id = asked(&agent, &mut operator).await;
    // The next round opens only with its own state.
    agent.upstream.says(r#""result":{"resultType":"input_required","requestState":"s2"}"#);
    let second = agent.call(&repeat(ANSWERED), false).await.result().await;
    assert_eq!(text(&second, "requestState"), "s2");
    assert_eq!(get(&mut operator, &id).await.outcome(), proto::Outcome::Unspecified);
    let third = agent.call(&repeat(r#""requestState":"s2""#), false).await.result().await;
    assert!(is_done(&third), "{third}");
    assert_eq!(told(&mut operator, &id).await.0, proto::Outcome::Succeeded);
    assert_eq!(agent.upstream.ran(), 3);
    assert!(pending(&mut operator).await.is_empty());
    // The same repeat again is a new call, and the responses are shown.
    let _again = agent.call(&repeat(ANSWERED), false).await;
    let request = the_pending(&mut operator).await;
    let shown = format!("{:?}", request.arguments);
    assert!(shown.contains("input responses") && shown.contains("request state"), "{shown}");
    assert_eq!(agent.upstream.ran(), 3);
}

#[tokio::test]
async fn a_repeat_that_differs_in_anything_is_a_new_call() {
    let home = Home::new();
    let _daemon = home.start().await;
    let mut operator = home.clients().operator();
    let proxy = Proxy::holding(&home);
    let agent = proxy.client("a", LONG);
    asked(&agent, &mut operator).await;
    let other =
        r#"{"name":"write","arguments":{"k":"w"},"inputResponses":{"a":1},"requestState":"s1"}"#;
    let wrong = [
        repeat(r#""inputResponses":{"a":1},"requestState":"s2""#),
        repeat(r#""inputResponses":{"a":1}"#),
        repeat(r#""inputResponses":{"a":1,"c":1},"requestState":"s1""#),
        repeat(r#""inputResponses":{},"requestState":"s1""#),
        repeat(r#""requestState":"s1""#),
        CALL.to_owned(),
        other.to_owned(),
    ];
    let elsewhere = Agent { server: Arc::new(Server::new("other")), ..agent.clone() };
    let foreign = Agent { party: proxy.client("b", LONG).party, ..agent.clone() };
    let mut calls = Vec::new();
    for wrong in &wrong {
        calls.push(agent.call(wrong, false).await);
    }
    for other in [elsewhere, foreign] {
        calls.push(other.call(&repeat(ANSWERED), false).await);
    }
    let operator = &operator;
    wait_for("each to be held anew", || async {
        (pending(&mut operator.clone()).await.len() == calls.len()).then_some(())
    })
    .await;
    assert_eq!(agent.upstream.ran(), 1);
    // None of them has closed the round.
    assert!(is_done(&agent.call(&repeat(ANSWERED), false).await.result().await));
}

#[tokio::test]
async fn of_two_repeats_at_once_one_continues() {
    let home = Home::new();
    let _daemon = home.start().await;
    let mut operator = home.clients().operator();
    let agent = Proxy::holding(&home).client("a", LONG);
    asked(&agent, &mut operator).await;
    let repeat = repeat(ANSWERED);
    let (one, two) = tokio::join!(agent.call(&repeat, false), agent.call(&repeat, false));
    let request = the_pending(&mut operator).await;
    wait_for("one to run", || async { (agent.upstream.ran() == 2).then_some(()) }).await;
    super::super::support::approve(&mut operator, &request.id, &request.digest)
        .await
        .expect("approved");
    for call in [one, two] {
        assert!(is_done(&call.result().await));
    }
    assert_eq!(agent.upstream.ran(), 3);
}

#[tokio::test]
async fn a_round_is_not_continued_once_the_tool_or_the_policy_is_another() {
    let home = Home::new();
    let _daemon = home.start().await;
    let mut operator = home.clients().operator();
    let agent = Proxy::holding(&home).client("a", LONG);
    let id = asked(&agent, &mut operator).await;
    agent.upstream.served().description = "now it drops the table".to_owned();
    let refused = agent.call(&repeat(ANSWERED), false).await.result().await;
    assert!(said(&refused).contains("the server changed what its tool write is"), "{refused}");
    assert_eq!(told(&mut operator, &id).await.0, proto::Outcome::Unknown);
    assert_eq!(agent.upstream.ran(), 1);
}

#[tokio::test]
async fn a_round_whose_proxy_ends_is_told_as_unknown() {
    let home = Home::new();
    let _daemon = home.start().await;
    let mut operator = home.clients().operator();
    let agent = Proxy::holding(&home).client("a", LONG);
    let id = asked(&agent, &mut operator).await;
    agent.gate.finish().await;
    let (outcome, detail) = told(&mut operator, &id).await;
    assert_eq!(outcome, proto::Outcome::Unknown);
    assert!(detail.contains("the client did not come back"), "{detail}");
}

#[tokio::test]
async fn a_round_goes_on_where_the_limit_is_used_up_and_takes_no_second_place() {
    let home = Home::new();
    let _daemon = home.start().await;
    let mut operator = home.clients().operator();
    let proxy = Proxy::holding(&home);
    let limit = "rate_limit: {max: 1, window: 3600, per: all}";
    proxy.policy_is(&format!("rules:\n  - {{{limit}}}\n  - {{action: require_approval}}\n"));
    let agent = proxy.client("a", LONG);
    let id = asked(&agent, &mut operator).await;
    // What continues nothing is limited, also if it looks so.
    let wrong = repeat(r#""inputResponses":{"a":1},"requestState":"s2""#);
    for call in [CALL, &wrong] {
        assert!(matches!(agent.tries(call).await, Became::Refused(_)), "{call}");
    }
    agent.upstream.says(r#""result":{"resultType":"input_required","requestState":"s2"}"#);
    let second = agent.call(&repeat(ANSWERED), false).await.result().await;
    assert_eq!(text(&second, "requestState"), "s2");
    let third = agent.call(&repeat(r#""requestState":"s2""#), false).await.result().await;
    assert!(is_done(&third), "{third}");
    assert_eq!(told(&mut operator, &id).await.0, proto::Outcome::Succeeded);
    assert!(matches!(agent.tries(&repeat(ANSWERED)).await, Became::Refused(_)));
}

#[tokio::test]
async fn a_call_that_was_allowed_goes_on_in_its_own_place_and_once_for_each_question() {
    let home = Home::new();
    let _daemon = home.start().await;
    let proxy = Proxy::holding(&home);
    let ours = "rules:\n  - {rate_limit: {max: 1, window: 3600, per: all}, action: allow}\n";
    let theirs =
        "version: \"1\"\ntools:\n  write:\n    rules:\n      - {name: one, rate_limit: 1/day}\n";
    for (policy, server) in [(ours, "one"), (theirs, "two")] {
        proxy.policy_is(policy);
        let server = Arc::new(Server::new(server));
        let agent = Agent { server, ..proxy.client("a", LONG) };
        let runs = async |call: &str| matches!(agent.tries(call).await, Became::Ran(_));
        agent.upstream.says(ASKS);
        assert!(runs(CALL).await, "{policy}");
        let other = Agent { party: proxy.client("b", LONG).party, ..agent.clone() };
        assert!(matches!(other.tries(&repeat(ANSWERED)).await, Became::Refused(_)));
        for wrong in [
            CALL.to_owned(),
            repeat(r#""inputResponses":{"a":1},"requestState":"s2""#),
            repeat(r#""inputResponses":{"c":1},"requestState":"s1""#),
            repeat(r#""requestState":"s1""#),
        ] {
            assert!(!runs(&wrong).await, "{wrong}");
        }
        agent.upstream.says(&ASKS.replace("s1", "s2"));
        assert!(runs(&repeat(ANSWERED)).await);
        assert!(!runs(&repeat(ANSWERED)).await, "once");
        let last = ANSWERED.replace("s1", "s2");
        // What the policy says besides holds: and then it may come again.
        proxy.policy_is("default: deny\nrules:\n  - {rate_limit: {max: 9, window: 60}}\n");
        assert!(!runs(&repeat(&last)).await);
        proxy.policy_is(policy);
        assert!(runs(&repeat(&last)).await);
        assert!(!runs(&repeat(&last)).await, "nothing was asked any more");
        assert_eq!(agent.upstream.ran(), 3);
    }
}
