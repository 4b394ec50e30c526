//! Windows of the calendar, and clocks that are set, go back or begin again.

use super::*;

#[tokio::test]
async fn a_counter_begins_again_with_the_calendar_and_not_a_moment_sooner() {
    for (window, last, first) in [
        (Window::Minute, "2026-11-22T10:30:59.999Z", "2026-11-22T10:31:00.000Z"),
        (Window::Hour, "2026-11-22T10:59:59.999Z", "2026-11-22T11:00:00.000Z"),
        (Window::Day, "2026-11-22T23:59:59.999Z", "2026-11-23T00:00:00.000Z"),
    ] {
        let (_folder, state) = fresh();
        let mut machine = Machine::new();
        add(&state, &machine, window, 4).await;
        let until = Time::parse(last).expect("a time").left(machine.clocks.wall);
        machine.pass(until);
        assert_eq!(value(&state, &machine, window).await, 4, "{window:?}");
        machine.pass(Duration::from_millis(1));
        assert_eq!(machine.clocks.wall, Time::parse(first).expect("a time"));
        assert_eq!(value(&state, &machine, window).await, 0, "{window:?}");
        add(&state, &machine, window, 1).await;
        assert_eq!(value(&state, &machine, window).await, 1, "{window:?}");
    }
}

#[tokio::test]
async fn the_wall_clock_moves_no_sliding_window() {
    let (_folder, state) = fresh();
    let mut machine = Machine::new();
    for wall in ["2026-11-23T10:30:00Z", "2027-11-22T00:00:00Z", "1970-01-01T00:00:00Z"] {
        assert!(passes(&state, &machine, sliding(wall, 1, HOUR)).await);
        machine.set(wall);
        machine.pass(HOUR - NANO);
        assert!(!passes(&state, &machine, sliding(wall, 1, HOUR)).await, "{wall}");
        machine.pass(NANO);
        assert!(passes(&state, &machine, sliding(wall, 1, HOUR)).await, "{wall}");
    }
}

#[tokio::test]
async fn a_wall_clock_set_back_resets_no_counter() {
    let (_folder, state) = fresh();
    let mut machine = Machine::at("2026-11-23T00:00:05Z");
    add(&state, &machine, Window::Day, 9).await;
    // Before midnight again, by a correction of some seconds: the same day goes on.
    machine.set("2026-11-22T23:59:50Z");
    assert_eq!(value(&state, &machine, Window::Day).await, 9);
    add(&state, &machine, Window::Day, 1).await;
    machine.pass(30 * SECOND);
    assert_eq!(value(&state, &machine, Window::Day).await, 10);
    // And lasts until the calendar's midnight, though a day has passed before that.
    machine.pass(DAY - 21 * SECOND);
    assert_eq!(machine.clocks.wall.rfc3339(), "2026-11-23T23:59:59.000Z");
    assert_eq!(value(&state, &machine, Window::Day).await, 10);
    machine.pass(SECOND);
    assert_eq!(value(&state, &machine, Window::Day).await, 0);
}

#[tokio::test]
async fn a_wall_clock_put_forward_ends_a_window_once_and_not_for_ever() {
    let (_folder, state) = fresh();
    let mut machine = Machine::new();
    add(&state, &machine, Window::Day, 9).await;
    machine.set("2027-11-22T10:00:00Z");
    assert_eq!(value(&state, &machine, Window::Day).await, 0);
    add(&state, &machine, Window::Day, 2).await;
    // Put right again, and wrong again: it goes on with what it has.
    machine.set("2026-11-22T10:40:00Z");
    assert_eq!(value(&state, &machine, Window::Day).await, 2);
    add(&state, &machine, Window::Day, 2).await;
    machine.set("2027-11-22T11:00:00Z");
    assert_eq!(value(&state, &machine, Window::Day).await, 4);
    // Not for a year: a day after it was opened it has ended.
    machine.set("2026-11-22T10:50:00Z");
    machine.pass(DAY - NANO);
    assert_eq!(value(&state, &machine, Window::Day).await, 4);
    machine.pass(NANO);
    assert_eq!(value(&state, &machine, Window::Day).await, 0);
    add(&state, &machine, Window::Day, 1).await;
    // From here on the calendar counts again.
    machine.set("2026-11-23T23:59:59Z");
    assert_eq!(value(&state, &machine, Window::Day).await, 1);
    machine.pass(SECOND);
    assert_eq!(value(&state, &machine, Window::Day).await, 0);
}

#[tokio::test]
async fn a_restart_of_the_machine_frees_what_the_wall_clock_says_and_no_more() {
    let (_folder, state) = fresh();
    let mut machine = Machine::new();
    assert!(passes(&state, &machine, sliding("a", 1, HOUR)).await);
    machine.restart(59 * MINUTE);
    assert!(!passes(&state, &machine, sliding("a", 1, HOUR)).await);
    machine.pass(MINUTE - NANO);
    assert!(!passes(&state, &machine, sliding("a", 1, HOUR)).await);
    machine.pass(Duration::from_millis(1));
    assert!(passes(&state, &machine, sliding("a", 1, HOUR)).await);
    assert!(!passes(&state, &machine, sliding("a", 1, HOUR)).await);
}

/// As machines without a battery for their clock do.
#[tokio::test]
async fn a_machine_that_forgot_the_time_frees_places_by_the_time_since_its_start() {
    let (_folder, state) = fresh();
    let mut machine = Machine::new();
    assert!(passes(&state, &machine, sliding("a", 1, HOUR)).await);
    machine.restart(10 * MINUTE);
    machine.set("1970-01-01T00:00:00Z");
    assert!(!passes(&state, &machine, sliding("a", 1, HOUR)).await);
    machine.pass(HOUR - 2 * SECOND);
    assert!(!passes(&state, &machine, sliding("a", 1, HOUR)).await);
    machine.pass(SECOND);
    assert!(passes(&state, &machine, sliding("a", 1, HOUR)).await);
}

#[tokio::test]
async fn restarts_one_after_the_other_lose_no_place() {
    let (_folder, state) = fresh();
    let mut machine = Machine::new();
    assert!(passes(&state, &machine, sliding("a", 2, HOUR)).await);
    for _ in 0..5 {
        machine.restart(10 * MINUTE);
        assert_eq!(recent(&state, &machine, "a", 2, HOUR).await.count, 1);
        assert!(passes(&state, &machine, sliding("b", 99, HOUR)).await);
    }
    machine.restart(10 * MINUTE);
    assert_eq!(recent(&state, &machine, "a", 2, HOUR).await.count, 0);
    assert_eq!(recent(&state, &machine, "b", 99, HOUR).await.count, 5);
}

#[tokio::test]
async fn without_a_boot_id_a_clock_set_back_stops_time_for_a_moment_only() {
    let (_folder, state) = fresh();
    let mut machine = Machine::new();
    machine.clocks.boot_id = None;
    assert!(passes(&state, &machine, sliding("a", 1, HOUR)).await);
    machine.pass(30 * MINUTE);
    machine.set("2020-01-01T00:00:00Z");
    assert!(!passes(&state, &machine, sliding("a", 1, HOUR)).await);
    // What passed before the step is not known; from the step on time goes on.
    machine.pass(HOUR - Duration::from_millis(1));
    assert!(!passes(&state, &machine, sliding("a", 1, HOUR)).await);
    machine.pass(Duration::from_millis(1));
    assert!(passes(&state, &machine, sliding("a", 1, HOUR)).await);
}

/// The clocks were read first, and then somebody else was faster.
#[tokio::test]
async fn clocks_that_were_read_a_little_too_early_turn_nothing_back() {
    let (_folder, state) = fresh();
    let early = Machine::at("2026-11-22T23:59:59.999Z");
    let mut machine = early;
    machine.pass(Duration::from_millis(2));
    assert!(passes(&state, &machine, sliding("a", 3, MINUTE)).await);
    add(&state, &machine, Window::Day, 1).await;
    assert!(passes(&state, &early, sliding("a", 3, MINUTE)).await);
    add(&state, &early, Window::Day, 1).await;
    assert_eq!(value(&state, &machine, Window::Day).await, 2);
    machine.pass(MINUTE - NANO);
    assert_eq!(recent(&state, &machine, "a", 3, MINUTE).await.count, 2);
    machine.pass(NANO);
    assert_eq!(recent(&state, &machine, "a", 3, MINUTE).await.count, 0);
}
