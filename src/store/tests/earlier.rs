//! What was held before, as somebody who decides is told.

use super::*;
use crate::call::model::Status;
use crate::store::earlier::{self, Earlier, LOOKED_AT};

fn than(plain: &Plain, request: &Request) -> Earlier {
    earlier::than(&plain.conn, request, |_| true).expect("read")
}

fn held(plain: &mut Plain, n: u64, client: &str) -> Request {
    let waiting = Waiting::default();
    let call_id = format!("c{}", plain.next + 1000);
    // A session of its own: a denial is not remembered from one to the next.
    let call = call(client, &call_id, n);
    plain.submit(&call_id, call, &waiting).expect("held").request
}

fn decided(plain: &mut Plain, request: &Request, verdict: Verdict) {
    plain.decide(request.id, "ann", verdict, &ann()).expect("decided");
}

#[test]
fn the_first_call_of_a_tool_by_a_client_is_known_as_such() {
    let mut plain = Plain::new();
    let first = held(&mut plain, 1, "laptop");
    assert_eq!(than(&plain, &first), Earlier::default());
    // Another client's, and what came later, count for nothing.
    held(&mut plain, 1, "desk");
    held(&mut plain, 2, "laptop");
    assert!(!than(&plain, &first).any);
    let next = held(&mut plain, 3, "laptop");
    assert!(than(&plain, &next).any);
}

#[test]
fn the_newest_identical_and_the_newest_approved_one_are_found() {
    let mut plain = Plain::new();
    let old = held(&mut plain, 1, "laptop");
    decided(&mut plain, &old, Verdict::Approve);
    let approved = held(&mut plain, 2, "laptop");
    decided(&mut plain, &approved, Verdict::Approve);
    let identical = held(&mut plain, 9, "laptop");
    decided(&mut plain, &identical, Verdict::Deny);
    let now = held(&mut plain, 9, "laptop");
    let found = than(&plain, &now);
    assert_eq!(found.identical.map(|r| (r.id, r.status)), Some((identical.id, Status::Denied)));
    assert_eq!(found.approved.map(|r| r.id), Some(approved.id));
    // What the asker may not see is not told, but it was there.
    let hidden = earlier::than(&plain.conn, &now, |_| false).expect("read");
    assert_eq!(hidden, Earlier { any: true, hidden: 3, ..Earlier::default() });
    // What is further back than what is told is not counted.
    let others = earlier::than(&plain.conn, &now, |r| r.id != identical.id).expect("read");
    assert_eq!((others.hidden, others.approved.map(|r| r.id)), (1, Some(approved.id)));
}

#[test]
fn the_walk_ends_however_many_there_are() {
    let mut plain = Plain::new();
    let old = held(&mut plain, 0, "laptop");
    decided(&mut plain, &old, Verdict::Approve);
    for n in 1..=LOOKED_AT as u64 {
        let other = held(&mut plain, n, "laptop");
        decided(&mut plain, &other, Verdict::Deny);
    }
    let now = held(&mut plain, 7777, "laptop");
    assert_eq!(than(&plain, &now), Earlier { any: true, ..Earlier::default() });
}
