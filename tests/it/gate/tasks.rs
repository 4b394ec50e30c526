//! Held calls as tasks of the 2026-07-28 extension.

use super::*;
use crate::support::clients::{deny, waited_on};

const CALL: &str = r#"{"name":"write","arguments":{"k":"v"}}"#;

/// What a server asks, under these keys.
fn asks(keys: &[&str], state: &str) -> String {
    let requests: Vec<_> =
        keys.iter().map(|key| format!(r#""{key}":{{"method":"roots/list","n":1.0}}"#)).collect();
    format!(
        r#""result":{{"resultType":"input_required","inputRequests":{{{}}}{state}}}"#,
        requests.join(",")
    )
}

#[tokio::test]
async fn a_task_works_until_people_have_answered_and_keeps_the_result() {
    let home = Home::new();
    let _daemon = home.start().await;
    let mut operator = home.clients().operator();
    let agent = Proxy::holding(&home).client("a", LONG);
    let created = agent.call(CALL, true).await.result().await;
    assert_eq!(text(&created, "status"), "working");
    let waits = text(&created, "statusMessage");
    assert!(waits.contains("waiting for approval by") && waits.contains("left"), "{waits}");
    let task = text(&created, "taskId").to_owned();
    assert!(task.starts_with("holdpoint-task-") && task.len() > 50, "{task}");
    assert!(created.get("ttlMs").and_then(Json::as_u64).expect("a ttl") > 15 * 60_000);
    assert_eq!(text(&agent.get(&task).await, "resultType"), "complete");
    assert_eq!(agent.upstream.ran(), 0);
    let id = approve_it(&mut operator).await;
    let ended = agent.becomes(&task, "completed").await;
    assert!(is_done(ended.get("result").expect("a result")), "{ended}");
    assert_eq!(told(&mut operator, &id).await.0, proto::Outcome::Succeeded);
    // It stays, and nothing runs again.
    assert!(is_done(agent.get(&task).await.get("result").expect("a result")));
    assert_eq!(agent.upstream.ran(), 1);
    // The server was not told that anybody could wait for a task of its own.
    let sent = agent.upstream.newest().to_text();
    assert!(!sent.contains("io.modelcontextprotocol/tasks"), "{sent}");
}

#[tokio::test]
async fn a_jsonrpc_error_fails_a_task_and_a_denial_completes_it() {
    let home = Home::new();
    let _daemon = home.start().await;
    let mut operator = home.clients().operator();
    let agent = Proxy::holding(&home).client("a", LONG);
    agent.upstream.says(r#""error":{"code":-32602,"message":"no such table"}"#);
    let task = agent.task(CALL).await;
    let id = approve_it(&mut operator).await;
    let failed = agent.becomes(&task, "failed").await;
    assert_eq!(text(failed.get("error").expect("an error"), "message"), "no such table");
    assert!(failed.get("result").is_none());
    assert_eq!(told(&mut operator, &id).await.0, proto::Outcome::Failed);
    let task = agent.task(CALL).await;
    let request = the_pending(&mut operator).await;
    deny(&mut operator, &request.id, &request.digest).await.expect("denied");
    let ended = agent.becomes(&task, "completed").await;
    let why = said(ended.get("result").expect("a result"));
    assert!(why.contains("denied") && why.contains("because"), "{why}");
    // The denial is remembered: there is no need for a task.
    let again = agent.call(CALL, true).await.result().await;
    assert!(said(&again).contains("because"), "{again}");
    assert_eq!(agent.upstream.ran(), 1);
}

#[tokio::test]
async fn a_task_answers_to_nobody_but_its_client_at_its_server() {
    let home = Home::new();
    let _daemon = home.start().await;
    let proxy = Proxy::holding(&home);
    let agent = proxy.client("a", LONG);
    let task = agent.task(CALL).await;
    let elsewhere = Agent { server: Arc::new(Server::new("other")), ..agent.clone() };
    let later = Party::new("a".to_owned(), "another session".to_owned(), LONG);
    let later = Agent { party: Arc::new(later), ..agent.clone() };
    let restarted = Proxy::holding(&home);
    for method in ["tasks/get", "tasks/update", "tasks/cancel"] {
        let more = r#","inputResponses":{}"#;
        let unknown = agent.about(method, "holdpoint-task-x", more).await;
        let unknown = unknown.get("error").expect("an error");
        assert_eq!(unknown.get("code").and_then(Json::as_i64), Some(-32602));
        for foreign in [&proxy.client("b", LONG), &elsewhere, &later] {
            for foreign in [foreign.clone(), foreign.at(&restarted)] {
                let refused = foreign.about(method, &task, more).await;
                assert_eq!(refused.get("error"), Some(unknown), "{method}");
            }
        }
    }
    assert_eq!(text(&agent.get(&task).await, "status"), "working");
    // Not declared in this very request: -32021, with what is missing.
    let asked = message("tasks/get", &format!(r#"{{"taskId":"{task}"}}"#), false);
    let asked = agent.gate.task_request(&asked).expect("ours");
    let answer = agent.gate.answer_task(asked, &agent.party, &agent.server).await;
    let error = parse(&answer).expect("JSON").get("error").expect("an error").clone();
    assert_eq!(error.get("code").and_then(Json::as_i64), Some(-32021));
    // What is not ours is for the server.
    for (method, task) in [("tasks/get", "786512e2"), ("tasks/list", task.as_str())] {
        let message = message(method, &format!(r#"{{"taskId":"{task}"}}"#), true);
        assert!(agent.gate.task_request(&message).is_none());
    }
}

#[tokio::test]
async fn a_cancelled_task_does_not_run_and_its_request_stays_or_goes() {
    let home = Home::new();
    let _daemon = home.start().await;
    let mut operator = home.clients().operator();
    let agent = Proxy::holding(&home).client("a", LONG);
    let task = agent.task(CALL).await;
    let request = the_pending(&mut operator).await;
    let acknowledged = agent.about("tasks/cancel", &task, "").await;
    assert_eq!(text(acknowledged.get("result").expect("a result"), "resultType"), "complete");
    agent.becomes(&task, "cancelled").await;
    waited_on(&mut operator, &request.id, false).await;
    approve_it(&mut operator).await;
    assert_eq!(agent.upstream.ran(), 0, "an approval runs nothing by itself");
    // The same call continues what was kept.
    assert!(is_done(&agent.call(CALL, true).await.result().await));
    assert_eq!(get(&mut operator, &request.id).await.r#use(), proto::Use::Taken);
    let agent = Proxy::withdrawing(&home).client("b", LONG);
    let task = agent.task(CALL).await;
    let request = the_pending(&mut operator).await;
    agent.about("tasks/cancel", &task, "").await;
    agent.becomes(&task, "cancelled").await;
    assert_eq!(get(&mut operator, &request.id).await.status(), proto::Status::Withdrawn);
}

#[tokio::test]
async fn a_task_that_is_cancelled_while_it_runs_ends_with_what_comes() {
    let home = Home::new();
    let _daemon = home.start().await;
    let mut operator = home.clients().operator();
    let agent = Proxy::holding(&home).client("a", LONG);
    agent.upstream.does(Script::Until(r#""result":{"isError":true,"content":[]}"#.to_owned()));
    let task = agent.task(CALL).await;
    approve_it(&mut operator).await;
    wait_for("the call to run", || async { (agent.upstream.ran() == 1).then_some(()) }).await;
    agent.about("tasks/cancel", &task, "").await;
    let ended = agent.becomes(&task, "completed").await;
    assert!(ended.get("result").and_then(|r| r.get("isError")).is_some(), "{ended}");
}

#[tokio::test]
async fn a_restarted_proxy_tells_of_a_task_what_the_daemon_knows() {
    let home = Home::new();
    let daemon = home.start().await;
    let mut operator = home.clients().operator();
    let before = Proxy::holding(&home).client("a", LONG);
    let task = before.task(CALL).await;
    let after = before.at(&Proxy::holding(&home));
    let recalled = async |words: &str| {
        let ended = after.get(&task).await;
        assert_eq!(text(&ended, "status"), "completed");
        let why = said(ended.get("result").expect("a result")).to_owned();
        assert!(why.contains(words), "{words:?} is missing in: {why}");
    };
    recalled("Make the same call again").await;
    before.about("tasks/cancel", &task, "").await;
    before.becomes(&task, "cancelled").await;
    let request = the_pending(&mut operator).await;
    waited_on(&mut operator, &request.id, false).await;
    approve_it(&mut operator).await;
    recalled("it was approved").await;
    assert_eq!(after.upstream.ran(), 0);
    // And so it continues, once.
    after.upstream.does(Script::Silent);
    let running = after.call(CALL, false).await;
    wait_for("the call to run", || async { (after.upstream.ran() == 1).then_some(()) }).await;
    recalled("not known whether this call ran").await;
    running.held.abort();
    drop(daemon);
    let away = after.about("tasks/get", &task, "").await;
    let error = away.get("error").expect("an error");
    assert_eq!(error.get("code").and_then(Json::as_i64), Some(-32603));
    assert!(text(error, "message").contains("asking again"), "{error}");
    let _daemon = home.start().await;
    recalled("do not simply repeat it").await;
}

#[tokio::test]
async fn a_task_whose_result_is_gone_is_told_by_its_outcome() {
    let home = Home::new();
    let _daemon = home.start().await;
    let mut operator = home.clients().operator();
    let before = Proxy::holding(&home).client("a", LONG);
    let after = before.at(&Proxy::holding(&home));
    for (answer, words) in [
        (DONE, "ran and succeeded"),
        (r#""error":{"code":-32602,"message":"x"}"#, "ran and failed. JSON-RPC error -32602."),
    ] {
        before.upstream.says(answer);
        let task = before.task(CALL).await;
        let id = approve_it(&mut operator).await;
        told(&mut operator, &id).await;
        let ended = after.get(&task).await;
        let why = said(ended.get("result").expect("a result"));
        assert!(why.contains(words), "{why}");
        assert_eq!(ended.get("ttlMs"), Some(&Json::Null));
    }
    let task = before.task(CALL).await;
    let request = the_pending(&mut operator).await;
    deny(&mut operator, &request.id, &request.digest).await.expect("denied");
    before.becomes(&task, "completed").await;
    assert!(said(after.get(&task).await.get("result").expect("one")).contains("because"));
    assert_eq!(after.upstream.ran(), 2);
}

#[tokio::test]
async fn what_a_server_asks_in_a_task_is_answered_bit_by_bit_under_the_same_use() {
    let home = Home::new();
    let _daemon = home.start().await;
    let mut operator = home.clients().operator();
    let proxy = Proxy::holding(&home);
    // The one place is the task's own.
    let limit = "rate_limit: {max: 1, window: 3600, per: all}";
    proxy.policy_is(&format!("rules:\n  - {{{limit}}}\n  - {{action: require_approval}}\n"));
    let agent = proxy.client("a", LONG);
    agent.upstream.says(&asks(&["name", "age"], r#","requestState":"s1""#));
    agent.upstream.says(&asks(&["name"], ""));
    let task = agent.task(CALL).await;
    let id = approve_it(&mut operator).await;
    let asked = agent.becomes(&task, "input_required").await;
    let requests = asked.get("inputRequests").expect("requests");
    assert_eq!(requests.get("name").and_then(|n| n.get("n")).expect("raw").to_text(), "1.0");
    assert!(requests.get("age").is_some());
    let answer = async |responses: &str| {
        let more = format!(r#","inputResponses":{responses}"#);
        let acknowledged = agent.about("tasks/update", &task, &more).await;
        assert!(acknowledged.get("result").is_some(), "{acknowledged}");
    };
    answer(r#"{"name":{"x":"first"},"never-asked":1}"#).await;
    let left = agent.get(&task).await;
    assert_eq!(left.get("inputRequests").and_then(Json::as_object).expect("left").len(), 1);
    answer(r#"{"name":"again","age":7}"#).await;
    let asked = wait_for("the next question", || async {
        let now = agent.get(&task).await;
        now.get("inputRequests").and_then(|r| r.get("name-2")).map(|_| now.clone())
    });
    asked.await;
    let sent = agent.upstream.newest();
    assert_eq!(text(&sent, "requestState"), "s1");
    let responses = sent.get("inputResponses").expect("responses").to_text();
    assert_eq!(responses, r#"{"name":{"x":"first"},"age":7}"#);
    answer(r#"{"name":"an old key","name-2":true}"#).await;
    let ended = agent.becomes(&task, "completed").await;
    assert!(is_done(ended.get("result").expect("a result")), "{ended}");
    let sent = agent.upstream.newest();
    assert!(sent.get("requestState").is_none(), "the server gave none: {sent}");
    assert_eq!(sent.get("inputResponses").expect("responses").to_text(), r#"{"name":true}"#);
    assert_eq!(agent.upstream.ran(), 3);
    assert_eq!(told(&mut operator, &id).await.0, proto::Outcome::Succeeded);
    assert!(pending(&mut operator).await.is_empty());
}

#[tokio::test]
async fn a_task_does_not_run_for_a_client_that_never_got_its_id() {
    let home = Home::new();
    let _daemon = home.start().await;
    let mut operator = home.clients().operator();
    let agent = Proxy::holding(&home).client("a", LONG);
    // The client does not read, and then is gone.
    let (out, messages) = mpsc::channel(1);
    out.send(Bytes::new()).await.expect("room");
    let call = agent.call_into(out, messages, CALL, true).await;
    the_pending(&mut operator).await;
    // What is approved before the daemon has said that it holds it needs no task, and
    // runs as any call does. The daemon says so after a fraction of a second, and
    // nothing from outside shows that the proxy has heard it.
    tokio::time::sleep(Duration::from_secs(3)).await;
    let id = approve_it(&mut operator).await;
    assert_eq!(get(&mut operator, &id).await.r#use(), proto::Use::Unused);
    drop(call.messages);
    call.held.await.expect("ended");
    let left = || async { (Arc::strong_count(&agent.upstream) == 1).then_some(()) };
    wait_for("the task to let go of the server", left).await;
    assert_eq!(get(&mut operator, &id).await.r#use(), proto::Use::Unused);
    // The approval is there for who asks again.
    assert!(is_done(&agent.call(CALL, true).await.result().await));
    assert_eq!(get(&mut operator, &id).await.r#use(), proto::Use::Taken);
    assert_eq!(agent.upstream.ran(), 1);
}

#[tokio::test]
async fn a_task_that_is_cancelled_as_the_approval_comes_leaves_it_unused() {
    let home = Home::new();
    let _daemon = home.start().await;
    let mut operator = home.clients().operator();
    let agent = Proxy::holding(&home).client("a", LONG);
    let task = agent.task(CALL).await;
    let slow = Arc::new(Notify::new());
    let lists = {
        let mut served = agent.upstream.served();
        served.slow = Some(slow.clone());
        served.lists
    };
    let id = approve_it(&mut operator).await;
    let checked = || async { (agent.upstream.served().lists > lists).then_some(()) };
    wait_for("the tool to be looked at again", checked).await;
    agent.about("tasks/cancel", &task, "").await;
    slow.notify_one();
    agent.becomes(&task, "cancelled").await;
    assert_eq!(get(&mut operator, &id).await.r#use(), proto::Use::Unused);
    assert_eq!(agent.upstream.ran(), 0);
}
