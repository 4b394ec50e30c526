//! Random schedules over the transitions, against what must always hold.
//!
//! A failing seed is printed; `HOLDPOINT_SEED=N cargo test seeds` replays it.

use std::collections::HashMap;

use super::*;
use crate::call::model::{Status, Use};
use crate::store::ending::{end_due, withdraw};
use crate::store::error::Refusal;
use crate::store::find::by_handle;

/// SplitMix64: small, seedable, good enough to shuffle with.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (z ^ (z >> 31)) % sides
    }
}

#[derive(Default)]
struct Model {
    /// Final statuses, once seen.
    ended: HashMap<RequestId, Status>,
    grants: HashMap<RequestId, u32>,
    denied: HashMap<RequestId, bool>,
    handles: HashMap<String, RequestId>,
}

fn play(seed: u64, steps: u32) {
    let mut dice = Dice(seed);
    let (mut plain, waiting) = (Plain::new(), Waiting::default());
    let mut model = Model::default();
    let mut ids: Vec<(RequestId, String)> = Vec::new();
    let operators = ann();
    for n in 0..steps {
        match dice.roll(10) {
            0..=2 => {
                let fresh = format!("c{n}");
                let call_id = match (dice.roll(4), ids.last()) {
                    (0, Some((_, call_id))) => call_id.clone(),
                    _ => fresh,
                };
                let session = ["a", "b", ""][dice.roll(3) as usize];
                let handle = match dice.roll(4) {
                    0 => format!("h{}", dice.roll(12)),
                    _ => format!("of-{n}"),
                };
                let call = call("", session, dice.roll(3));
                match plain.submit_as(&handle, &call_id, call, &waiting) {
                    Ok(Submitted { request, .. }) => {
                        let stood_for = *model.handles.entry(handle).or_insert(request.id);
                        assert_eq!(stood_for, request.id, "seed {seed}: two for one handle");
                        ids.push((request.id, call_id));
                    }
                    Err(StoreError::Refused(Refusal::HandleReused(other))) => {
                        assert_eq!(model.handles.get(&handle), Some(&other), "seed {seed}");
                    }
                    Err(_) => {}
                }
            }
            3 | 4 => {
                if let Some((id, _)) = pick(&ids, &mut dice) {
                    let verdict = [Verdict::Approve, Verdict::Deny][dice.roll(2) as usize];
                    let operator = ["ann", "bob"][dice.roll(2) as usize];
                    let _ = plain.decide(id, operator, verdict, &operators);
                }
            }
            5 | 6 => {
                if let Some((id, call_id)) = pick(&ids, &mut dice) {
                    let request = plain.request(id);
                    if plain.take(&request, &call_id).is_ok() {
                        *model.grants.entry(id).or_default() += 1;
                        assert_eq!(request.status, Status::Approved, "seed {seed}");
                        assert!(request.lapses.is_some_and(|at| at > plain.now), "seed {seed}");
                    }
                }
            }
            7 => {
                if let Some((id, call_id)) = pick(&ids, &mut dice) {
                    let outcome = [Outcome::Succeeded, Outcome::Failed, Outcome::Unknown]
                        [dice.roll(3) as usize];
                    let request = plain.request(id);
                    let _ = plain.report(&request, &call_id, outcome);
                }
            }
            8 => {
                let seconds = [1, 60, 600, 1000][dice.roll(4) as usize];
                plain.pass(Duration::from_secs(seconds));
                plain.run(end_due).expect("ended");
                if dice.roll(2) == 0 {
                    // Everybody who waited is gone.
                    waiting.0.borrow_mut().clear();
                }
            }
            _ => match dice.roll(3) {
                0 => {
                    let now = plain.now;
                    plain.restart(now);
                    waiting.0.borrow_mut().clear();
                }
                _ => {
                    if let Some((id, _)) = pick(&ids, &mut dice) {
                        let _ = plain.run(|tx| withdraw(tx, "proxy", id, ""));
                    }
                }
            },
        }
        check(&plain, &mut model, &ids, seed);
    }
    plain.assert_chain_is_whole();
}

fn pick(ids: &[(RequestId, String)], dice: &mut Dice) -> Option<(RequestId, String)> {
    if ids.is_empty() {
        return None;
    }
    // Mostly one of the newest, so that steps meet each other.
    let back = dice.roll(ids.len().min(4) as u64) as usize;
    ids.get(ids.len() - 1 - back).cloned()
}

fn check(plain: &Plain, model: &mut Model, ids: &[(RequestId, String)], seed: u64) {
    for (id, _) in ids.iter().rev().take(6) {
        let request = plain.request(*id);
        // One ending, for ever.
        if request.status != Status::Pending {
            let ended = *model.ended.entry(*id).or_insert(request.status);
            assert_eq!(ended, request.status, "seed {seed}: {id} ended twice");
        } else {
            assert!(!model.ended.contains_key(id), "seed {seed}: {id} came back");
        }
        // Once, and only what was approved.
        let grants = model.grants.get(id).copied().unwrap_or(0);
        assert!(grants <= 1, "seed {seed}: {id} was granted {grants} times");
        assert_eq!(request.use_ == Use::Taken, grants == 1, "seed {seed}: {id}");
        let denied = model.denied.entry(*id).or_default();
        *denied |= request.status == Status::Denied;
        assert!(!(*denied && grants > 0), "seed {seed}: {id} was denied and ran");
        if request.outcome != Outcome::None {
            assert_eq!(request.use_, Use::Taken, "seed {seed}: an outcome without a use");
        }
    }
    for (handle, id) in &model.handles {
        let handle = Handle::new(handle).expect("a handle");
        let found = by_handle(&plain.conn, "proxy", "", handle).expect("read");
        assert_eq!(found.map(|(r, _)| r.id), Some(*id), "seed {seed}: a handle is lost");
    }
    let pending: i64 = plain
        .conn
        .query_row("SELECT count(*) FROM requests WHERE status = 1", [], |row| row.get(0))
        .expect("count");
    let counted = plain.state.pending.all();
    assert_eq!(pending, i64::from(counted), "seed {seed}: the count of pending requests");
    let anew = crate::store::writer::rebuild(&plain.conn, 0, plain.now).expect("rebuilt");
    assert_eq!(anew.pending, plain.state.pending, "seed {seed}: counted by caller and client");
}

#[test]
fn whatever_the_order_there_is_one_ending_and_at_most_one_use() {
    if let Some(seed) = std::env::var("HOLDPOINT_SEED").ok().and_then(|s| s.parse().ok()) {
        return play(seed, 120);
    }
    for seed in 0..150 {
        play(seed, 120);
    }
}
