//! A client that gives up and asks again at once is still one request.

use super::*;
use crate::support::clients::{deny, kinds, withdraw};

/// Rounds of giving up and asking again.
const ROUNDS: usize = 200;

/// What a client takes that waits for a moment only.
const MOMENT: Duration = Duration::from_millis(300);

/// Makes a call until its client was told that it waits and is to be made again. On a
/// busy machine a moment may be over before the daemon has it: made again, it is still
/// the same.
async fn told_to_wait(agent: &Agent, call: &str) {
    wait_for("to be told to wait", || async {
        let waits = agent.call(call, false).await.result().await;
        assert!(said(&waits).starts_with("Not run"), "{waits}");
        said(&waits).contains("make exactly the same call again").then_some(())
    })
    .await
}

#[tokio::test]
async fn a_repeat_after_a_broken_off_wait_is_never_a_second_request() {
    let home = Home::new();
    let _daemon = home.start().await;
    let mut operator = home.clients().operator();
    let hasty = Proxy::holding(&home).client("a", Duration::from_millis(20));
    let patient = Party::new("a".to_owned(), hasty.party.session.clone(), LONG);
    let patient = Agent { party: Arc::new(patient), ..hasty.clone() };
    let call = r#"{"name":"write","arguments":{}}"#;
    for round in 0..ROUNDS {
        let agent = if round % 2 == 0 { &hasty } else { &patient };
        let call = agent.call(call, false).await;
        if round % 2 == 0 {
            // It will not wait any longer, and is told to ask again.
            let waits = call.result().await;
            let waits = said(&waits).to_owned();
            assert!(waits.contains("Not run"), "{waits}");
        } else {
            // It goes away, sometimes before the daemon was asked.
            if round % 4 == 1 {
                the_pending(&mut operator).await;
            }
            [&call.cancelled, &call.closed][round / 2 % 2].cancel();
            call.held.await.expect("ended");
        }
        assert!(pending(&mut operator).await.len() < 2, "round {round}");
    }
    let last = patient.call(call, false).await;
    let id = approve_it(&mut operator).await;
    assert!(is_done(&last.result().await));
    // Not by the daemon's own resuming, which depends on what it noticed by then.
    let steps = kinds(&mut home.clients().history(), &id).await;
    assert!(!steps.contains(&"resumed".to_owned()), "{steps:?}");
    assert_eq!(patient.upstream.ran(), 1);
}

#[tokio::test]
async fn of_two_repeats_at_once_one_takes_the_wait_over() {
    let home = Home::new();
    let _daemon = home.start().await;
    let mut operator = home.clients().operator();
    let proxy = Proxy::holding(&home);
    let (hasty, patient) = (proxy.client("a", MOMENT), proxy.client("a", LONG));
    let patient = Agent { upstream: hasty.upstream.clone(), ..patient };
    let call = r#"{"name":"write","arguments":{}}"#;
    told_to_wait(&hasty, call).await;
    let first = the_pending(&mut operator).await;
    let (one, two) = tokio::join!(patient.call(call, false), patient.call(call, false));
    let both = wait_for("two live calls", || {
        let mut operator = operator.clone();
        async move {
            let listed = pending(&mut operator).await;
            (listed.len() == 2).then_some(listed)
        }
    });
    let both = both.await;
    assert!(both.iter().any(|request| request.id == first.id));
    for request in both {
        deny(&mut operator, &request.id, &request.digest).await.expect("denied");
    }
    for call in [one, two] {
        assert!(said(&call.result().await).contains("because"));
    }
    assert_eq!(patient.upstream.ran(), 0);
}

#[tokio::test]
async fn a_wait_whose_request_has_ended_meanwhile_begins_anew() {
    let home = Home::new();
    let _daemon = home.start().await;
    let mut operator = home.clients().operator();
    let agent = Proxy::holding(&home).client("a", MOMENT);
    let call = r#"{"name":"write","arguments":{}}"#;
    told_to_wait(&agent, call).await;
    let first = the_pending(&mut operator).await;
    withdraw(&mut home.clients().caller(), &first.id).await.expect("withdrawn");
    told_to_wait(&agent, call).await;
    assert_ne!(the_pending(&mut operator).await.id, first.id);
}

#[tokio::test]
async fn a_wait_for_a_tool_that_is_another_now_is_not_taken_over() {
    let home = Home::new();
    let _daemon = home.start().await;
    let mut operator = home.clients().operator();
    let agent = Proxy::holding(&home).client("a", MOMENT);
    let call = r#"{"name":"write","arguments":{}}"#;
    told_to_wait(&agent, call).await;
    let first = the_pending(&mut operator).await;
    agent.upstream.served().description = "now it drops the table".to_owned();
    // The client has asked for the tools since, and knows the new one.
    let agent = Agent { server: Arc::new(Server::new("db")), ..agent };
    let _waits = agent.call(call, false).await;
    let operator = &operator;
    let both = wait_for("another request", || async {
        let listed = pending(&mut operator.clone()).await;
        (listed.len() == 2).then_some(listed)
    })
    .await;
    assert!(both.iter().any(|r| r.tool_definition_hash != first.tool_definition_hash));
}
