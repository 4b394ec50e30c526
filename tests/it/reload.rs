//! The configuration is read again while the daemon serves.
//!
//! Whoever may not ask or decide any more is sent away at once, everyone else
//! notices nothing, and a file that cannot be used changes nothing.

use std::collections::BTreeSet;
use std::future::Future;
use std::time::Duration;

use holdpoint::call::time::Time;
use holdpoint::proto::{self, Status, watch_event::Event};
use rustix::process::{Signal, kill_process};
use tokio::task::JoinSet;
use tonic::Code;

use super::support::clients::{self, Operator};
use super::support::daemon::{Daemon, identity};
use super::support::{Ask, Home, approve, call, get, hold, reason_of, submit, wait_for};

const HELD: usize = 10_000;
/// Calls on one connection: a mass release is paced by the number of connections.
const CONNECTIONS: usize = 4;

/// What has to happen now, and would otherwise never.
async fn soon<T>(happens: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(60), happens).await.expect("within a minute")
}

/// Has the configuration read again, and waits until the log says how that went.
async fn reload(home: &Home, daemon: &Daemon<'_>) -> String {
    let before = home.log().len();
    kill_process(daemon.pid(), Signal::HUP).expect("signal sent");
    wait_for("the reload to be told", || async {
        let said = home.log().split_off(before);
        let told = said.contains("was reloaded") || said.contains("was not reloaded");
        told.then_some(said)
    })
    .await
}

fn team(callers: &[&str], operators: &[&str], more: &str) -> String {
    let mut text = format!("{more}\n");
    callers.iter().for_each(|name| text += &identity("callers", name, ""));
    operators.iter().for_each(|name| text += &identity("operators", name, ""));
    text + &identity("operators", "auditor", "roles = [\"auditor\", \"admin\"]")
}

async fn watch(home: &Home, name: &str) -> tonic::Streaming<proto::WatchEvent> {
    let mut operator = home.clients().operator_named(name);
    let watch = operator.watch_requests(proto::WatchRequestsRequest {});
    watch.await.expect("a stream").into_inner()
}

async fn reloads(home: &Home) -> Vec<proto::AuditEntry> {
    let kind = "config_reloaded".to_owned();
    let filter = proto::AuditFilter { kind, ..Default::default() };
    clients::entries(&mut home.clients().history_named("auditor"), filter, 0).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reload_during_ten_thousand_holds() {
    let home = Home::with_config(&team(&["proxy", "gone"], &["alice", "bob"], ""));
    let daemon = home.start().await;
    let connections: Vec<_> = (0..CONNECTIONS).map(|_| home.clients()).collect();
    let (mut staying, mut leaving) = (JoinSet::new(), JoinSet::new());
    for n in 0..HELD {
        // One in ten belongs to the caller that is removed.
        let (name, tasks) =
            if n % 10 == 0 { ("gone", &mut leaving) } else { ("proxy", &mut staying) };
        let mut caller = connections[n % CONNECTIONS].caller_named(name);
        let ask = Ask::new(&format!("{n}"), call("write", &format!(r#"{{"n":{n}}}"#)));
        tasks.spawn(async move { ask.send(&mut caller).await });
    }
    let requested = proto::AuditFilter { kind: "requested".to_owned(), ..Default::default() };
    let mut history = home.clients().history_named("auditor");
    wait_for("all of them to be held", || async {
        let found = clients::entries(&mut history.clone(), requested.clone(), 0).await.len();
        (found == HELD).then_some(())
    })
    .await;
    let two = "[[routes]]\nname = \"two\"\napprovals = 2\n";
    home.configure(&format!("lease = \"1m\"\n{}{two}", team(&["proxy"], &["alice", "carol"], "")));
    let said = reload(&home, &daemon).await;
    for part in ["gone", "bob", "carol", "two", "lease"] {
        assert!(said.contains(part), "{part} is not in: {said}");
    }
    // Who was removed is sent away; the requests stay, and all others still wait.
    for answer in soon(leaving.join_all()).await {
        let refused = answer.expect_err("its caller was removed");
        assert_eq!(
            (refused.code(), reason_of(&refused).as_str()),
            (Code::Unauthenticated, "BAD_TOKEN")
        );
    }
    assert!(staying.try_join_next().is_none(), "somebody else was sent away");
    let pending = all_pending(&mut home.clients().operator_named("alice")).await;
    assert_eq!(pending.len(), HELD);
    let waited_on = pending.iter().filter(|request| request.waited_on).count();
    assert_eq!(waited_on, HELD - HELD / 10);
    // Each is decided by the requirement that it came with, and by today's people.
    let (removed, new) = ("bob", home.clients().operator_named("carol"));
    let one = &pending[0];
    let refused = approve(&mut home.clients().operator_named(removed), &one.id, &one.digest).await;
    assert_eq!(reason_of(&refused.expect_err("removed")), "BAD_TOKEN");
    let mut deciding = JoinSet::new();
    for request in pending {
        let mut carol = new.clone();
        deciding.spawn(async move {
            approve(&mut carol, &request.id, &request.digest).await.expect("decided");
        });
    }
    deciding.join_all().await;
    for answer in soon(staying.join_all()).await {
        assert_eq!(answer.expect("an answer").status(), Status::Approved);
    }
    // What comes now is routed anew.
    let asked = submit(&mut home.clients().caller_named("proxy"), "n", call("new", "{}")).await;
    let counted = approve(&mut new.clone(), &asked.id, &asked.digest).await.expect("counted");
    assert_eq!(counted.status(), Status::Pending);
    let [entry] = &reloads(&home).await[..] else { panic!("one reload") };
    assert_eq!(
        entry.payload,
        r#"{"callers_removed":["gone"],"operators_added":["carol"],"operators_removed":["bob"],"routes_added":["two"],"settings":["lease"]}"#
    );
    clients::verify(&mut history).await;
    daemon.stop().await;
}

async fn all_pending(operator: &mut Operator) -> Vec<proto::Request> {
    let (mut found, mut page_token) = (Vec::new(), String::new());
    loop {
        let asked = proto::ListPendingRequest { page_size: 500, page_token };
        let page = operator.list_pending(asked).await.expect("a page").into_inner();
        found.extend(page.requests);
        page_token = page.next_page_token;
        if page_token.is_empty() {
            return found;
        }
    }
}

#[tokio::test]
async fn a_bad_file_at_reload_changes_nothing_and_says_so() {
    let home = Home::with_config(&team(&["proxy"], &["alice"], ""));
    let daemon = home.start().await;
    let (caller, mut alice) =
        (home.clients().caller_named("proxy"), home.clients().operator_named("alice"));
    let (id, waiting) = hold(&caller, &mut alice, "one", call("write", "{}")).await;
    // Without alice, and with two mistakes.
    home.configure(&format!(
        "leese = \"1m\"\nlapse_after = \"soon\"\n{}",
        team(&["proxy"], &[], "")
    ));
    let said = reload(&home, &daemon).await;
    assert!(said.contains("nothing changed"), "{said}");
    for part in ["holdpoint.toml:1:1", "did you mean `lease`?", "holdpoint.toml:2:15", "15m"] {
        assert!(said.contains(part), "{part} is not in: {said}");
    }
    // No file at all is no team at all, and that is no reload either.
    std::fs::remove_file(home.state.join("holdpoint.toml")).expect("removed");
    let said = reload(&home, &daemon).await;
    assert!(said.contains("nothing changed") && said.contains("local mode"), "{said}");
    assert!(reloads(&home).await.is_empty());
    let digest = get(&mut alice, &id).await.digest;
    approve(&mut alice, &id, &digest).await.expect("alice is who she was");
    let answer = waiting.await.expect("the task").expect("an answer");
    assert_eq!(answer.status(), Status::Approved);
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_connections_of_who_is_removed_make_room_and_others_stay() {
    let limits = "[limits]\nmax_connections = 16";
    let home = Home::with_config(&team(&["proxy", "gone"], &["alice"], limits));
    let daemon = home.start().await;
    let staying = home.clients();
    let mut alice = staying.operator_named("alice");
    let (id, waiting) =
        hold(&staying.caller_named("proxy"), &mut alice, "one", call("write", "{}")).await;
    let mut full = Vec::new();
    for n in 0..15 {
        let connection = home.clients();
        submit(&mut connection.caller_named("gone"), &n.to_string(), call("read", "{}")).await;
        full.push(connection);
    }
    let ask = async |connection: &clients::Clients| {
        connection.operator_named("alice").who_am_i(proto::WhoAmIRequest {}).await
    };
    ask(&home.clients()).await.expect_err("everybody is known");
    home.configure(&team(&["proxy"], &["alice"], limits));
    let said = reload(&home, &daemon).await;
    assert!(said.contains("was reloaded"), "{said}");
    let mut more = Vec::new();
    for _ in 0..15 {
        let connection = home.clients();
        wait_for("room", || async { ask(&connection).await.ok() }).await;
        more.push(connection);
    }
    // They took the places of those who were removed, and of nobody else.
    ask(&home.clients()).await.expect_err("everybody is known again");
    assert!(get(&mut alice, &id).await.waited_on, "held on the oldest connection");
    let digest = get(&mut alice, &id).await.digest;
    approve(&mut alice, &id, &digest).await.expect("approved");
    waiting.await.expect("the task").expect("an answer on the same connection");
    drop((full, more));
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_file_or_has_no_end_is_refused_at_reload_and_holds_nobody_up() {
    let text = team(&["proxy"], &["alice"], "");
    let home = Home::with_config(&text);
    let daemon = home.start().await;
    let file = home.state.join("holdpoint.toml");
    let refused = async |why: &str| {
        let said = soon(reload(&home, &daemon)).await;
        assert!(said.contains("was not reloaded") && said.contains(why), "{said}");
        std::fs::remove_file(&file).expect("removed");
    };
    std::fs::remove_file(&file).expect("removed");
    let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
    rustix::fs::mkfifoat(rustix::fs::CWD, &file, mode).expect("a pipe");
    refused("it is not a regular file").await;
    std::os::unix::fs::symlink("/dev/zero", &file).expect("a link");
    refused("it is not a regular file").await;
    std::fs::File::create(&file).and_then(|file| file.set_len(1 << 42)).expect("sparse");
    refused("it is longer than 1024 KiB").await;
    // Nothing has changed, and the next good file is taken.
    let mut alice = home.clients().operator_named("alice");
    alice.who_am_i(proto::WhoAmIRequest {}).await.expect("still known");
    std::fs::write(&file, text).expect("written");
    let said = soon(reload(&home, &daemon)).await;
    assert!(said.contains("was reloaded"), "{said}");
    daemon.stop().await;
}

#[tokio::test]
async fn a_removed_operator_loses_the_stream() {
    let home = Home::with_config(&team(&["proxy"], &["alice", "bob"], ""));
    let daemon = home.start().await;
    let mut streams = Vec::new();
    for name in ["alice", "bob"] {
        streams.push(watch(&home, name).await);
    }
    let [alice, bob] = &mut streams[..] else { unreachable!() };
    for stream in [&mut *alice, &mut *bob] {
        let first = stream.message().await.expect("no error").expect("an event");
        assert!(matches!(first.event, Some(Event::Ready(_))), "{first:?}");
    }
    home.configure(&team(&["proxy"], &["alice"], ""));
    reload(&home, &daemon).await;
    let refused = soon(bob.message()).await.expect_err("removed");
    assert_eq!(
        (refused.code(), reason_of(&refused).as_str()),
        (Code::Unauthenticated, "BAD_TOKEN")
    );
    // A token exchanged for another is as good as removed; its owner comes in by the new one.
    let exchanged = team(&["proxy"], &[], "")
        + &identity("operators", "alice", "").replace(
            &holdpoint::config::token::TokenHash::of("hp_alice").to_string(),
            &holdpoint::config::token::TokenHash::of("hp_alice2").to_string(),
        );
    home.configure(&exchanged);
    reload(&home, &daemon).await;
    let refused = soon(alice.message()).await.expect_err("another token");
    assert_eq!(reason_of(&refused), "BAD_TOKEN");
    let changed = &reloads(&home).await[1].payload;
    assert_eq!(changed, r#"{"operators_changed":["alice"]}"#);
    daemon.stop().await;
}

#[tokio::test]
async fn an_operator_who_moves_to_another_group_is_shown_what_is_theirs_now() {
    let routes = "[[routes]]\nname = \"a\"\ntools = [\"a*\"]\nask = [\"one\"]\n\
                  [[routes]]\nname = \"b\"\ntools = [\"b*\"]\nask = [\"two\"]\n";
    let with = |first: &str, second: &str| {
        let alice = identity("operators", "alice", &format!("groups = [\"{first}\"]"));
        let bob = identity("operators", "bob", &format!("groups = [\"{second}\"]"));
        team(&["proxy"], &[], "") + &alice + &bob + routes
    };
    let home = Home::with_config(&with("one", "two"));
    let daemon = home.start().await;
    let mut caller = home.clients().caller_named("proxy");
    let (of_one, of_two) = (
        submit(&mut caller, "1", call("a", "{}")).await.id,
        submit(&mut caller, "2", call("b", "{}")).await.id,
    );
    let mut stream = watch(&home, "alice").await;
    let mut next = async || {
        let event = soon(stream.message()).await.expect("no error").expect("an event").event;
        match event.expect("something") {
            Event::Request(request) => request.id,
            Event::Ready(_) => "ready".to_owned(),
            Event::Reset(_) => "reset".to_owned(),
        }
    };
    assert_eq!([next().await, next().await], [of_one.as_str(), "ready"]);
    home.configure(&with("two", "one"));
    reload(&home, &daemon).await;
    assert_eq!([next().await, next().await, next().await], ["reset", &of_two, "ready"]);
    daemon.stop().await;
}

#[tokio::test]
async fn a_token_that_expires_while_its_caller_waits_ends_the_wait() {
    let expires = Time(chrono::Utc::now().timestamp_millis() + 4000).rfc3339();
    let expiring =
        identity("callers", "proxy", "").replace(" }]", &format!(", expires = \"{expires}\" }}]"));
    let home = Home::with_config(&(team(&["other"], &["alice"], "") + &expiring));
    let daemon = home.start().await;
    let mut alice = home.clients().operator_named("alice");
    let caller = home.clients().caller_named("proxy");
    let (id, waiting) = hold(&caller, &mut alice, "one", call("write", "{}")).await;
    let other = home.clients().caller_named("other");
    let (_, stays) = hold(&other, &mut alice, "two", call("write", "{}")).await;
    let refused = soon(waiting).await.expect("the task").expect_err("expired");
    assert_eq!(
        (refused.code(), reason_of(&refused).as_str()),
        (Code::Unauthenticated, "BAD_TOKEN")
    );
    assert_eq!(get(&mut alice, &id).await.status(), Status::Pending);
    assert!(!stays.is_finished());
    daemon.stop().await;
}

#[tokio::test]
async fn requests_that_nobody_can_approve_any_more_are_named_in_the_log() {
    let route = "[[routes]]\nname = \"two\"\napprovals = 2\n";
    let home = Home::with_config(&team(&["proxy"], &["alice", "bob"], route));
    let daemon = home.start().await;
    let mut caller = home.clients().caller_named("proxy");
    let mut stranded = BTreeSet::new();
    for n in 0..30 {
        stranded.insert(
            submit(&mut caller, &format!("{n}"), call("write", &format!(r#"{{"n":{n}}}"#)))
                .await
                .id,
        );
    }
    home.configure(&team(&["proxy"], &["alice"], ""));
    reload(&home, &daemon).await;
    let line = wait_for("the warning", || async {
        let log = home.log();
        log.lines().find(|line| line.contains("nobody can approve any more")).map(str::to_owned)
    });
    let line = line.await;
    assert!(line.contains("\"count\":30"), "{line}");
    // The first twenty: a line of the log has an end.
    assert_eq!(stranded.iter().filter(|id| line.contains(*id)).count(), 20, "{line}");
    assert!(line.contains("1 more needed"), "{line}");
    daemon.stop().await;
}

#[tokio::test]
async fn what_only_a_restart_can_change_is_named() {
    let home = Home::with_config(&team(&["proxy"], &["alice"], ""));
    let daemon = home.start().await;
    home.configure(&team(&["proxy"], &["alice"], "listen = \"127.0.0.1:0\"\nlease = \"2m\""));
    for again in [false, true] {
        let said = reload(&home, &daemon).await;
        wait_for("the setting to be named", || async {
            let log = home.log();
            let named = log.matches("listen changed: takes effect at the next start").count();
            (named == 1 + usize::from(again)).then_some(())
        })
        .await;
        assert_eq!(said.contains("\"settings\":\"lease\""), !again, "{said}");
    }
    daemon.stop().await;
    let home = Home::new();
    let daemon = home.start().await;
    home.configure(&team(&["proxy"], &["alice"], ""));
    let said = reload(&home, &daemon).await;
    assert!(said.contains("which takes a restart"), "{said}");
    submit(&mut home.clients().caller(), "one", call("write", "{}")).await;
    daemon.stop().await;
}

#[tokio::test]
async fn limits_that_are_raised_let_more_in_at_once() {
    let home = Home::with_config("[limits]\nmax_held = 1\nmax_pending_per_caller = 2\n");
    let daemon = home.start().await;
    let (mut caller, mut operator) = (home.clients().caller(), home.clients().operator());
    let of = |n: u32| call("write", &format!(r#"{{"n":{n}}}"#));
    let (_, waiting) = hold(&caller, &mut operator, "1", of(1)).await;
    let refused = Ask::new("2", of(2)).briefly().send(&mut caller).await.expect_err("the limit");
    assert_eq!(reason_of(&refused), "TOO_MANY_HELD");
    home.configure("[limits]\nmax_held = 9\nmax_pending_per_caller = 3\n");
    reload(&home, &daemon).await;
    submit(&mut caller, "2", of(2)).await;
    submit(&mut caller, "3", of(3)).await;
    let refused = Ask::new("4", of(4)).briefly().send(&mut caller).await.expect_err("the limit");
    assert_eq!(reason_of(&refused), "TOO_MANY_PENDING");
    assert!(!waiting.is_finished());
    daemon.stop().await;
}
