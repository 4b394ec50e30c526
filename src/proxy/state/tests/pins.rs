//! Definitions of tools.

use std::time::Instant;

use super::super::{Changed, MOST_PINS, Pin, Pinned};
use super::*;

async fn pin(state: &State, machine: &Machine, hash: &str) -> Pinned {
    let definition = format!("{{\"name\":\"t\",\"is\":\"{hash}\"}}");
    state.pin("s", "t", hash, &definition, machine.clocks).await.expect("compared")
}

fn changed(pinned: Pinned) -> Changed {
    match pinned {
        Pinned::Changed(changed) => changed,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn the_first_definition_is_pinned_and_another_is_a_change_until_it_is_accepted() {
    let (folder, state) = fresh();
    let mut machine = Machine::new();
    let first_seen = machine.clocks.wall;
    assert_eq!(pin(&state, &machine, "a").await, Pinned::First);
    assert_eq!(pin(&state, &machine, "a").await, Pinned::Same);
    machine.pass(HOUR);
    let since = machine.clocks.wall;
    let expected = Changed {
        hash: "a".to_owned(),
        before: "{\"name\":\"t\",\"is\":\"a\"}".to_owned(),
        pinned: first_seen,
        since,
    };
    assert_eq!(changed(pin(&state, &machine, "b").await), expected);
    // Over a restart of the proxy too, and since the same moment.
    machine.pass(HOUR);
    let state = {
        drop(state);
        State::open(folder.path()).expect("opened again")
    };
    assert_eq!(changed(pin(&state, &machine, "b").await), expected);
    let pins = state.pins().await.expect("read");
    let row = Pin {
        server: "s".to_owned(),
        tool: "t".to_owned(),
        hash: "a".to_owned(),
        pinned: first_seen,
        changed: Some(("b".to_owned(), since)),
    };
    assert_eq!(pins, [row]);
    state.accept("s", "t", "b", machine.clocks).await.expect("accepted");
    assert_eq!(pin(&state, &machine, "b").await, Pinned::Same);
    // What was pinned before is a change now, and what was accepted is shown.
    let back = changed(pin(&state, &machine, "a").await);
    assert_eq!(back.before, "{\"name\":\"t\",\"is\":\"b\"}");
    assert_eq!(back.pinned, machine.clocks.wall);
}

#[tokio::test]
async fn a_tool_that_goes_back_to_its_pinned_definition_is_the_same_again() {
    let (_folder, state) = fresh();
    let mut machine = Machine::new();
    pin(&state, &machine, "a").await;
    changed(pin(&state, &machine, "b").await);
    assert_eq!(pin(&state, &machine, "a").await, Pinned::Same);
    assert_eq!(state.pins().await.expect("read")[0].changed, None);
    machine.pass(MINUTE);
    // Changed anew, since now.
    assert_eq!(changed(pin(&state, &machine, "b").await).since, machine.clocks.wall);
}

#[tokio::test]
async fn only_what_was_accepted_passes_and_not_what_came_after_it() {
    let (_folder, state) = fresh();
    let machine = Machine::new();
    pin(&state, &machine, "a").await;
    changed(pin(&state, &machine, "b").await);
    changed(pin(&state, &machine, "c").await);
    state.accept("s", "t", "b", machine.clocks).await.expect("accepted");
    assert_eq!(changed(pin(&state, &machine, "c").await).hash, "b");
    assert_eq!(pin(&state, &machine, "b").await, Pinned::Same);
}

#[tokio::test]
async fn what_another_process_accepts_is_noticed() {
    let (folder, state) = fresh();
    let other = State::open(folder.path()).expect("a second connection");
    let machine = Machine::new();
    pin(&state, &machine, "a").await;
    assert_eq!(pin(&state, &machine, "a").await, Pinned::Same);
    changed(pin(&other, &machine, "b").await);
    other.accept("s", "t", "b", machine.clocks).await.expect("accepted");
    // At once where it is good news, in a moment where it is not.
    assert_eq!(pin(&state, &machine, "b").await, Pinned::Same);
    let since = Instant::now();
    while pin(&state, &machine, "a").await == Pinned::Same {
        assert!(since.elapsed() < 10 * SECOND, "it was never noticed");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn tools_are_told_apart_by_server_and_exact_name() {
    let (_folder, state) = fresh();
    let machine = Machine::new();
    for (server, tool) in [("s", "t"), ("s", "T"), ("S", "t"), ("s", "t "), ("s t", "")] {
        let pinned = state.pin(server, tool, "a", "", machine.clocks).await.expect("compared");
        assert_eq!(pinned, Pinned::First, "{server:?} {tool:?}");
    }
}

#[tokio::test]
async fn what_is_kept_of_a_definition_is_safe_and_short() {
    let (_folder, state) = fresh();
    let machine = Machine::new();
    let hostile = format!("\u{1b}[2J\u{202e}{}", "ä\n".repeat(20_000));
    state.pin("s", "t", "a", &hostile, machine.clocks).await.expect("compared");
    let before = changed(pin(&state, &machine, "b").await).before;
    assert!(before.len() <= 16 << 10 && before.len() > 16_000, "{}", before.len());
    assert!(!before.contains(['\u{1b}', '\u{202e}', '\n']));
}

#[tokio::test]
async fn one_server_with_ever_new_tools_leaves_room_for_others() {
    let (_folder, state) = fresh();
    let machine = Machine::new();
    let fill = async |server: &'static str, many: u32| {
        let sql = format!(
            "WITH RECURSIVE n(n) AS (VALUES (1) UNION ALL SELECT n + 1 FROM n WHERE n < {many})
             INSERT INTO pins (server, tool, hash, text, at) SELECT '{server}', n, 'a', '', 0 FROM n"
        );
        state.turn(move |conn| Ok(conn.execute_batch(&sql)?)).await.expect("filled");
    };
    fill("s", 10_000).await;
    let new = async |server| state.pin(server, "new", "a", "", machine.clocks).await;
    let error = new("s").await.expect_err("no room").to_string();
    assert!(error.contains("10000 pinned tools of this server"), "{error}");
    assert_eq!(new("other").await.expect("room"), Pinned::First);
    let known = state.pin("s", "1", "a", "", machine.clocks).await;
    assert_eq!(known.expect("compared"), Pinned::Same);
    for (server, many) in [("t", 10_000), ("u", 10_000), ("v", 10_000), ("w", 9_999)] {
        fill(server, many).await;
    }
    let error = new("x").await.expect_err("no room").to_string();
    assert!(error.contains(&format!("{MOST_PINS} pinned tools")), "{error}");
}
