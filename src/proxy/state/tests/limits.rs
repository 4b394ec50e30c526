//! Limits that slide, counters, takes that are several, and what is given back.

use super::*;

#[tokio::test]
async fn a_place_is_free_again_exactly_a_window_after_it_was_taken() {
    let (_folder, state) = fresh();
    let mut machine = Machine::new();
    assert!(passes(&state, &machine, sliding("a", 2, MINUTE)).await);
    machine.pass(20 * SECOND);
    assert!(passes(&state, &machine, sliding("a", 2, MINUTE)).await);
    assert!(!passes(&state, &machine, sliding("a", 2, MINUTE)).await);
    let full = Recent { count: 2, free_in: 40 * SECOND };
    assert_eq!(recent(&state, &machine, "a", 2, MINUTE).await, full);
    machine.pass(40 * SECOND - NANO);
    assert!(!passes(&state, &machine, sliding("a", 2, MINUTE)).await);
    assert_eq!(recent(&state, &machine, "a", 2, MINUTE).await.free_in, NANO);
    machine.pass(NANO);
    let one = Recent { count: 1, free_in: Duration::ZERO };
    assert_eq!(recent(&state, &machine, "a", 2, MINUTE).await, one);
    assert!(passes(&state, &machine, sliding("a", 2, MINUTE)).await);
    assert!(!passes(&state, &machine, sliding("a", 2, MINUTE)).await);
}

#[tokio::test]
async fn keys_do_not_share_places() {
    let (_folder, state) = fresh();
    let machine = Machine::new();
    assert!(passes(&state, &machine, sliding("a", 1, MINUTE)).await);
    assert!(passes(&state, &machine, sliding("b", 1, MINUTE)).await);
    assert!(!passes(&state, &machine, sliding("a", 1, MINUTE)).await);
}

/// Two proxies may have different versions of a policy for a while.
#[tokio::test]
async fn a_shorter_window_does_not_take_places_from_a_longer_one() {
    let (_folder, state) = fresh();
    let mut machine = Machine::new();
    assert!(passes(&state, &machine, sliding("a", 2, HOUR)).await);
    for _ in 0..29 {
        machine.pass(2 * MINUTE);
        assert!(passes(&state, &machine, sliding("a", 1, MINUTE)).await);
        assert!(!passes(&state, &machine, sliding("a", 2, HOUR)).await);
    }
    assert_eq!(recent(&state, &machine, "a", 99, HOUR).await.count, 30);
    // Once the longer one is not in use any more, its places are not kept but for a minute.
    machine.pass(4 * MINUTE);
    assert!(passes(&state, &machine, sliding("a", 1, MINUTE)).await);
    assert_eq!(recent(&state, &machine, "a", 99, HOUR).await.count, 1);
}

#[tokio::test]
async fn a_limit_of_nothing_never_lets_anything_pass() {
    let (_folder, state) = fresh();
    assert!(!passes(&state, &Machine::new(), sliding("a", 0, SECOND)).await);
}

#[tokio::test]
async fn a_call_that_is_only_looked_at_or_denied_takes_nothing() {
    let (_folder, state) = fresh();
    let machine = Machine::new();
    let judge = |_: &dyn Counters| ("held", vec![sliding("a", 1, MINUTE)]);
    let looked = state.count(machine.clocks, false, judge).await.expect("looked");
    assert_eq!(looked, ("held", None));
    let judge = |_: &dyn Counters| ("denied", Vec::new());
    let denied = state.count(machine.clocks, true, judge).await.expect("judged");
    assert_eq!(denied, ("denied", None));
    assert_eq!(recent(&state, &machine, "a", 1, MINUTE).await, Recent::default());
}

#[tokio::test]
async fn takes_are_all_or_nothing_and_a_judge_that_errs_is_told() {
    let (_folder, state) = fresh();
    let machine = Machine::new();
    add(&state, &machine, Window::Day, 5).await;
    let takes = vec![sliding("a", 1, MINUTE), amount(Window::Day, 1, Some(5))];
    let error = state.count(machine.clocks, true, |_| ((), takes)).await.expect_err("full");
    assert_eq!(error.why, Why::DoesNotFit);
    assert_eq!(recent(&state, &machine, "a", 1, MINUTE).await, Recent::default());
    // Twice the same place is two places.
    let takes = vec![sliding("a", 1, MINUTE), sliding("a", 1, MINUTE)];
    let error = state.count(machine.clocks, true, |_| ((), takes)).await.expect_err("full");
    assert_eq!(error.why, Why::DoesNotFit);
    assert_eq!(recent(&state, &machine, "a", 1, MINUTE).await, Recent::default());
    assert_eq!(value(&state, &machine, Window::Day).await, 5);
}

#[tokio::test]
async fn what_is_given_back_can_be_taken_again_and_nothing_else_is() {
    let (_folder, state) = fresh();
    let mut machine = Machine::new();
    let takes = || vec![sliding("a", 2, MINUTE), amount(Window::Hour, 7, Some(20))];
    let first = take(&state, machine.clocks, takes()).await.expect("counted").expect("taken");
    let _second = take(&state, machine.clocks, takes()).await.expect("counted").expect("taken");
    state.give_back(first.clone()).await.expect("given back");
    assert_eq!(value(&state, &machine, Window::Hour).await, 7);
    assert_eq!(recent(&state, &machine, "a", 2, MINUTE).await.count, 1);
    // In the next window there is nothing left of it to give back.
    machine.pass(HOUR);
    let third = take(&state, machine.clocks, takes()).await.expect("counted").expect("taken");
    state.give_back(first).await.expect("nothing to do");
    assert_eq!(value(&state, &machine, Window::Hour).await, 7);
    state.give_back(third).await.expect("given back");
    assert_eq!(value(&state, &machine, Window::Hour).await, 0);
}

#[tokio::test]
async fn a_counter_that_would_leave_its_range_is_refused_and_stays() {
    let (_folder, state) = fresh();
    let machine = Machine::new();
    add(&state, &machine, Window::Day, i64::MAX - 1).await;
    let more = |by| move |_: &dyn Counters| ((), vec![amount(Window::Day, by, None)]);
    let error = state.count(machine.clocks, true, more(2)).await.expect_err("too much");
    assert_eq!(error.why, Why::Overflow("charge.spent".to_owned()));
    assert_eq!(value(&state, &machine, Window::Day).await, i64::MAX - 1);
    add(&state, &machine, Window::Day, -i64::MAX).await;
    add(&state, &machine, Window::Day, -i64::MAX).await;
    let error = state.count(machine.clocks, true, more(i64::MIN)).await.expect_err("too little");
    assert!(matches!(error.why, Why::Overflow(_)));
    assert_eq!(value(&state, &machine, Window::Day).await, -i64::MAX - 1);
}

#[tokio::test]
async fn a_counter_goes_down_by_a_negative_amount() {
    let (_folder, state) = fresh();
    let machine = Machine::new();
    add(&state, &machine, Window::Day, 10).await;
    assert!(!passes(&state, &machine, amount(Window::Day, 1, Some(10))).await);
    add(&state, &machine, Window::Day, -3).await;
    assert!(passes(&state, &machine, amount(Window::Day, 3, Some(10))).await);
    assert_eq!(value(&state, &machine, Window::Day).await, 10);
}

#[tokio::test]
async fn a_clients_sessions_of_the_last_hour_are_counted() {
    let (_folder, state) = fresh();
    let mut machine = Machine::new();
    let opened = async |machine: &Machine, client: &str| {
        state.session_opened(client, machine.clocks).await.expect("counted")
    };
    assert_eq!(opened(&machine, "ci").await, 1);
    machine.pass(30 * MINUTE);
    assert_eq!(opened(&machine, "ci").await, 2);
    assert_eq!(opened(&machine, "desk").await, 1);
    machine.pass(30 * MINUTE);
    assert_eq!(opened(&machine, "ci").await, 2);
    // A limit of the policy with the client's name is something else.
    assert_eq!(recent(&state, &machine, "ci", 5, HOUR).await, Recent::default());
}

#[tokio::test]
async fn limits_survive_a_restart_of_the_proxy() {
    let (folder, state) = fresh();
    let machine = Machine::new();
    assert!(passes(&state, &machine, sliding("a", 1, HOUR)).await);
    add(&state, &machine, Window::Day, 3).await;
    drop(state);
    let state = State::open(folder.path()).expect("opened again");
    assert!(!passes(&state, &machine, sliding("a", 1, HOUR)).await);
    assert_eq!(value(&state, &machine, Window::Day).await, 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_many_calls_at_a_limit_at_once_as_many_pass_as_fit() {
    let (folder, state) = fresh();
    let other = State::open(folder.path()).expect("a second connection");
    let machine = Machine::new();
    let calls = (0..40).map(|n| {
        let state = if n % 2 == 0 { state.clone() } else { other.clone() };
        tokio::spawn(async move { passes(&state, &machine, sliding("a", 7, MINUTE)).await })
    });
    let mut passed = 0;
    for call in calls.collect::<Vec<_>>() {
        passed += u32::from(call.await.expect("no panic"));
    }
    assert_eq!(passed, 7);
}

/// One key a session: what has run out makes room as new ones come.
#[tokio::test]
async fn limits_that_have_run_out_are_pruned_in_passing() {
    let (_folder, state) = fresh();
    let mut machine = Machine::new();
    for n in 0..200 {
        assert!(passes(&state, &machine, sliding(&format!("session {n}"), 1, MINUTE)).await);
        machine.pass(10 * SECOND);
    }
    let head = state.turn(|conn| Ok(super::super::sql::head(conn)?)).await.expect("read");
    assert!(head.keys < 30 && head.places < 20, "{head:?}");
}

#[tokio::test]
async fn a_full_file_refuses_new_keys_until_old_ones_run_out() {
    let (_folder, state) = fresh();
    let mut machine = Machine::new();
    assert!(passes(&state, &machine, sliding("old", 1, HOUR)).await);
    state
        .turn(|conn| {
            // As many as there can be, without the minute that it takes to make them.
            conn.execute_batch(&format!(
                "BEGIN; WITH RECURSIVE n(n) AS (VALUES (1) UNION ALL SELECT n + 1 FROM n WHERE n < {})
                 INSERT INTO limits (key, window, used, free_at)
                   SELECT 'limit x' || n, 1, 0, (SELECT free_at FROM limits) FROM n; COMMIT",
                super::super::MOST_KEYS - 1
            ))?;
            Ok(())
        })
        .await
        .expect("filled");
    let error = take(&state, machine.clocks, vec![sliding("new", 1, HOUR)]).await;
    let error = error.expect_err("no room").to_string();
    assert!(
        error.contains("100000 limits and counters") && error.contains("per: client"),
        "{error}"
    );
    assert!(!passes(&state, &machine, sliding("old", 1, HOUR)).await, "old ones still count");
    // They are kept for a minute longer than they count.
    machine.pass(HOUR + MINUTE);
    assert!(passes(&state, &machine, sliding("new", 1, HOUR)).await);
}

#[tokio::test]
async fn many_free_places_are_swept_little_by_little_and_none_counts() {
    let (_folder, state) = fresh();
    let mut machine = Machine::new();
    for _ in 0..300 {
        assert!(passes(&state, &machine, sliding("a", 300, MINUTE)).await);
    }
    // They are kept for an eighth longer than they count.
    machine.pass(MINUTE + MINUTE / 8);
    for n in 0..6 {
        assert_eq!(recent(&state, &machine, "a", 300, MINUTE).await.count, n);
        assert!(passes(&state, &machine, sliding("a", 300, MINUTE)).await);
    }
    let head = state.turn(|conn| Ok(super::super::sql::head(conn)?)).await.expect("read");
    assert_eq!(head.places, 6);
}

#[tokio::test]
async fn a_key_longer_than_any_name_is_refused() {
    let (_folder, state) = fresh();
    let long = "x".repeat(1025);
    let error = take(&state, Machine::new().clocks, vec![sliding(&long, 1, HOUR)]).await;
    assert_eq!(error.expect_err("too long").why, Why::TooLong { bytes: 1025 });
    assert!(passes(&state, &Machine::new(), sliding(&long[1..], 1, HOUR)).await);
}
