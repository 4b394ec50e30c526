//! Steps of the wall clock, while running and over a restart.

use super::*;
use crate::call::model::Status;
use crate::store::clock::{Clock, Drift, confirm, daemon_started, drift, step};
use crate::store::ending::end_due;
use crate::store::error::Refusal;

const HOUR: i64 = 3_600_000;

fn held_and_approved(plain: &mut Plain) -> (Arc<Request>, Arc<Request>) {
    let waiting = Waiting::default();
    let pending = plain.submit("c1", call("cl", "s", 1), &waiting).expect("held").request;
    let request = plain.submit("c2", call("cl", "s", 2), &waiting).expect("held").request;
    let approved = plain.decide(request.id, "ann", Verdict::Approve, &ann()).expect("approved");
    (pending, approved)
}

fn step_of(plain: &mut Plain, by: i64) {
    plain.run(|tx| step(tx, by)).expect("step");
    plain.now = Time(plain.now.0 + by);
}

#[test]
fn a_step_of_an_hour_either_way_neither_shortens_nor_stretches_a_deadline() {
    for by in [HOUR, -HOUR] {
        let mut plain = Plain::new();
        let (pending, approved) = held_and_approved(&mut plain);
        step_of(&mut plain, by);
        assert_eq!(plain.request(pending.id).deadline.left(plain.now), MINUTES(15));
        let lapses = plain.request(approved.id).lapses.expect("unused");
        assert_eq!(lapses.left(plain.now), MINUTES(15));
        plain.pass(MINUTES(14));
        plain.run(end_due).expect("nothing due");
        assert_eq!(plain.request(pending.id).status, Status::Pending);
        plain.take(&approved, "c2").expect("still usable");
        plain.pass(MINUTES(1));
        plain.run(end_due).expect("due");
        assert_eq!(plain.request(pending.id).status, Status::Expired);
        plain.assert_chain_is_whole();
        // After a restart there is nothing to doubt: the step is in the chain.
        let now = plain.now;
        plain.restart(now);
        assert_eq!(plain.state.clock_doubt, None);
    }
}

#[test]
fn a_failed_step_leaves_time_as_it_was() {
    let mut plain = Plain::new();
    let before = plain.state.offset_ms;
    let failed: Result<(), _> = plain.run(|tx| {
        step(tx, HOUR)?;
        Err(StoreError::Overloaded)
    });
    assert!(failed.is_err());
    assert_eq!(plain.state.offset_ms, before);
}

#[test]
fn after_a_restart_an_hour_back_no_use_is_granted_until_an_admin_confirms() {
    let mut plain = Plain::new();
    let (_, approved) = held_and_approved(&mut plain);
    let back = Time(plain.now.0 - HOUR);
    plain.restart(back);
    plain.run(daemon_started).expect("started");
    let refused = plain.take(&approved, "c2");
    assert!(matches!(refused, Err(StoreError::Refused(Refusal::ClockInDoubt(_)))), "{refused:?}");
    // A second restart has not forgotten, although its newest entry is from the wrong hour.
    plain.restart(Time(back.0 + 1000));
    plain.run(daemon_started).expect("started");
    assert!(plain.take(&approved, "c2").is_err());
    plain.run(|tx| confirm(tx, "ann")).expect("confirmed");
    plain.take(&approved, "c2").expect("granted");
    plain.restart(Time(back.0 + 2000));
    assert_eq!(plain.state.clock_doubt, None);
}

#[test]
fn doubt_ends_by_itself_when_the_clock_catches_up() {
    let mut plain = Plain::new();
    let (_, approved) = held_and_approved(&mut plain);
    plain.restart(Time(plain.now.0 - 60_000));
    assert!(plain.take(&approved, "c2").is_err());
    plain.pass(Duration::from_secs(60));
    plain.take(&approved, "c2").expect("granted");
}

#[test]
fn a_clock_less_than_half_a_minute_back_is_not_doubted() {
    let mut plain = Plain::new();
    let (_, approved) = held_and_approved(&mut plain);
    plain.restart(Time(plain.now.0 - 29_000));
    plain.take(&approved, "c2").expect("granted");
}

#[test]
fn after_a_restart_an_hour_forward_what_is_past_its_deadline_expires() {
    let mut plain = Plain::new();
    let (pending, approved) = held_and_approved(&mut plain);
    plain.restart(Time(plain.now.0 + HOUR));
    plain.run(end_due).expect("due");
    assert_eq!(plain.request(pending.id).status, Status::Expired);
    assert!(plain.take(&approved, "c2").is_err());
}

#[test]
fn slewing_is_followed_and_stepping_is_told_apart() {
    #[derive(Debug)]
    struct At(i64, i64);
    impl Clock for At {
        fn boot_ms(&self) -> i64 {
            self.0
        }
        fn wall(&self) -> Time {
            Time(self.1)
        }
    }
    assert_eq!(drift(&At(1000, 5_000_400), 4_999_000), Drift::Slewed(400));
    assert_eq!(drift(&At(1000, 5_000_000 + HOUR), 4_999_000), Drift::Stepped(HOUR));
    assert_eq!(drift(&At(1000, 5_000_000 - HOUR), 4_999_000), Drift::Stepped(-HOUR));
}
