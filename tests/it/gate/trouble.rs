//! What changes or breaks while a call is held.

use super::*;
use crate::support::clients::waited_on;

const CALL: &str = r#"{"name":"write","arguments":{"k":"v"}}"#;

#[tokio::test]
async fn a_tool_that_changed_between_question_and_approval_does_not_run() {
    let home = Home::new();
    let _daemon = home.start().await;
    let mut operator = home.clients().operator();
    let agent = Proxy::holding(&home).client("a", LONG);
    for tasks in [false, true] {
        let call = agent.call(CALL, tasks).await;
        let request = the_pending(&mut operator).await;
        agent.upstream.served().description = format!("another, {tasks}");
        let task = match tasks {
            true => text(&call.result().await, "taskId").to_owned(),
            false => {
                approve_it(&mut operator).await;
                let refused = call.result().await;
                assert!(said(&refused).contains("changed what its tool"), "{refused}");
                continue;
            }
        };
        approve_it(&mut operator).await;
        let ended = agent.becomes(&task, "completed").await;
        assert!(said(ended.get("result").expect("one")).contains("changed what its tool"));
        // Nobody is to use that approval later.
        assert_ne!(get(&mut operator, &request.id).await.r#use(), proto::Use::Unused);
    }
    assert_eq!(agent.upstream.ran(), 0);
}

#[tokio::test]
async fn a_policy_that_came_to_deny_wins_over_an_approval() {
    let home = Home::new();
    let _daemon = home.start().await;
    let mut operator = home.clients().operator();
    let proxy = Proxy::holding(&home);
    let agent = proxy.client("a", LONG);
    let call = agent.call(CALL, false).await;
    the_pending(&mut operator).await;
    std::fs::write(&proxy.policy, "default: deny\n").expect("a policy");
    approve_it(&mut operator).await;
    let refused = call.result().await;
    assert!(said(&refused).contains("the policy came to deny it"), "{refused}");
    assert_eq!(agent.upstream.ran(), 0);
}

#[tokio::test]
async fn an_approval_is_void_once_other_people_would_be_asked() {
    let route = "[[routes]]\nname = \"second\"\nservers = [\"nowhere\"]\ntimeout = \"1h\"\n";
    let home = Home::with_config(route);
    let _daemon = home.start().await;
    let mut operator = home.clients().operator();
    let held = |more: &str| format!("rules:\n  - {{action: require_approval{more}}}\n");
    let before = held(", labels: {team: web}");
    for after in [
        held(", labels: {team: db}"),
        held(", labels: {team: web, also: this}"),
        held(", labels: {team: web}, route: second"),
        held(""),
    ] {
        let proxy = Proxy::with(&home, &before, Settings::default());
        let agent = proxy.client("a", LONG);
        let call = agent.call(CALL, false).await;
        let request = the_pending(&mut operator).await;
        proxy.policy_is(&after);
        approve_it(&mut operator).await;
        let refused = call.result().await;
        assert!(said(&refused).contains("the policy came to ask other people"), "{refused}");
        assert_eq!(agent.upstream.ran(), 0, "{after}");
        // Nobody is to use that approval later, and the same call asks anew.
        assert_ne!(get(&mut operator, &request.id).await.r#use(), proto::Use::Unused);
        let again = agent.call(CALL, false).await;
        assert_ne!(the_pending(&mut operator).await.id, request.id);
        approve_it(&mut operator).await;
        assert!(is_done(&again.result().await), "{after}");
    }
}

#[tokio::test]
async fn a_server_that_never_answers_leaves_an_unknown_outcome() {
    let home = Home::new();
    let _daemon = home.start().await;
    let mut operator = home.clients().operator();
    let settings =
        Settings { answer_within: Some(Duration::from_millis(200)), ..Settings::default() };
    let agent = Proxy::new(&home, settings).client("a", LONG);
    agent.upstream.does(Script::Silent);
    let call = agent.call(CALL, false).await;
    let id = approve_it(&mut operator).await;
    let result = call.result().await;
    assert!(said(&result).contains("not known whether this call ran"), "{result}");
    assert_eq!(told(&mut operator, &id).await.0, proto::Outcome::Unknown);
    assert_eq!(agent.upstream.ran(), 1);
}

#[tokio::test]
async fn an_approval_that_finds_nobody_stays_unused_for_who_comes_back() {
    let home = Home::new();
    let _daemon = home.start().await;
    let mut operator = home.clients().operator();
    let agent = Proxy::holding(&home).client("a", LONG);
    for (closes, tasks) in [(false, false), (true, false), (true, true)] {
        let call = agent.call(CALL, tasks).await;
        let request = the_pending(&mut operator).await;
        let task = match tasks {
            true => {
                let id = text(&call.result().await, "taskId").to_owned();
                agent.about("tasks/cancel", &id, "").await;
                None
            }
            false => Some(call),
        };
        if let Some(call) = task {
            if closes {
                call.closed.cancel()
            } else {
                call.cancelled.cancel()
            }
            call.held.await.expect("ended");
        }
        waited_on(&mut operator, &request.id, false).await;
        let ran = agent.upstream.ran();
        approve_it(&mut operator).await;
        assert_eq!(get(&mut operator, &request.id).await.r#use(), proto::Use::Unused);
        assert_eq!(agent.upstream.ran(), ran);
        assert!(is_done(&agent.call(CALL, false).await.result().await));
        assert_eq!(get(&mut operator, &request.id).await.r#use(), proto::Use::Taken);
    }
    assert_eq!(agent.upstream.ran(), 3);
}

#[tokio::test]
async fn a_task_ends_with_its_client_where_nobody_else_can_fetch_it() {
    let home = Home::new();
    let _daemon = home.start().await;
    let mut operator = home.clients().operator();
    let agent = Proxy::holding(&home).client("a", LONG);
    let over = CancellationToken::new();
    let party = Party::new("a".to_owned(), "s".to_owned(), LONG).until(over.clone());
    let agent = Agent { party: Arc::new(party), ..agent };
    agent.task(CALL).await;
    let request = the_pending(&mut operator).await;
    over.cancel();
    waited_on(&mut operator, &request.id, false).await;
    approve_it(&mut operator).await;
    assert_eq!(agent.upstream.ran(), 0);
}

#[tokio::test]
async fn a_call_that_is_held_lives_through_a_restart_of_the_daemon() {
    let home = Home::new();
    let daemon = home.start().await;
    let agent = Proxy::holding(&home).client("a", LONG);
    let task = agent.task(CALL).await;
    daemon.kill();
    wait_for("the task to say so", || async {
        let now = agent.get(&task).await;
        text(&now, "statusMessage").contains("away").then_some(())
    })
    .await;
    let _daemon = home.start().await;
    approve_it(&mut home.clients().operator()).await;
    agent.becomes(&task, "completed").await;
    assert_eq!(agent.upstream.ran(), 1);
}
