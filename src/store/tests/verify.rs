//! Verifying on several threads: the same answer as on one, whatever is broken.

use super::history::{allowed, index_all};
use super::*;
use crate::store::retention;
use crate::store::verify::verify_beside;
use crate::store::whole::{Broken, Whole};

/// Threads, and entries of a piece. The first is a single walk.
const WAYS: [(usize, usize); 9] =
    [(0, 1_000_000), (0, 4), (1, 1), (1, 4), (2, 1), (2, 4), (2, 7), (3, 4), (3, 1_000_000)];

/// What all ways say, which is the same.
fn said(plain: &Plain, wanted: Option<[u8; 32]>) -> Result<Whole, Broken> {
    let all = WAYS.map(|(threads, entries)| {
        verify_beside(&plain.conn, wanted, threads, entries).expect("read")
    });
    for (other, way) in all[1..].iter().zip(&WAYS[1..]) {
        assert_eq!(&all[0], other, "{way:?}");
    }
    let [said, ..] = all;
    said
}

/// Sixty entries, the first ten without their payloads, by right.
fn chain() -> Plain {
    let mut plain = Plain::new();
    allowed(&mut plain, 10, |_, _| {});
    plain.pass(Duration::from_secs(3 * 86_400));
    allowed(&mut plain, 20, |_, _| {});
    index_all(&mut plain);
    let mut run =
        plain.run(|tx| retention::begin(tx, Duration::from_secs(2 * 86_400))).expect("begun");
    while let Some(now) = run {
        run = plain.run(|tx| retention::step(tx, now)).expect("a step");
    }
    allowed(&mut plain, 29, |_, _| {});
    assert_eq!(plain.state.head.sequence, 60);
    plain
        .conn
        .execute_batch(
            "DROP TRIGGER audit_only_appends_update; DROP TRIGGER audit_only_appends_delete;
             DROP TRIGGER audit_body_only_appends_update; DROP TRIGGER audit_body_only_appends_delete",
        )
        .expect("dropped");
    plain
}

const FAULTS: [&str; 9] = [
    "UPDATE audit SET at = at + 1 WHERE seq = ?",
    "UPDATE audit SET kind = 'approved' WHERE seq = ?",
    "UPDATE audit SET previous = randomblob(32) WHERE seq = ?",
    "UPDATE audit SET body = zeroblob(32) WHERE seq = ?",
    "UPDATE audit SET hash = zeroblob(32) WHERE seq = ?",
    "UPDATE audit SET hash = zeroblob(31) WHERE seq = ?",
    "UPDATE audit SET kind = CAST(x'ff' AS TEXT) WHERE seq = ?",
    "UPDATE audit_body SET payload = payload || ' ' WHERE seq = ?",
    "UPDATE audit_body SET payload = CAST(x'ff' AS TEXT) WHERE seq = ?",
];

/// With these faults, and then without them again.
fn with(plain: &Plain, faults: &[(&str, i64)]) -> Result<Whole, Broken> {
    plain.conn.execute_batch("BEGIN").expect("begin");
    for (fault, sequence) in faults {
        let changed = plain.conn.execute(fault, [sequence]).expect("changed");
        assert_eq!(changed, 1, "{fault} {sequence}");
    }
    let said = said(plain, None);
    plain.conn.execute_batch("ROLLBACK").expect("rolled back");
    said
}

#[test]
fn any_number_of_threads_finds_a_whole_chain_whole() {
    let plain = chain();
    let whole = said(&plain, None).expect("whole");
    assert_eq!((whole.entries, whole.erased, whole.unrecorded), (60, 10, 0));
    assert_eq!(whole.head, plain.state.head.hash);
    for sequence in [0, 1, 4, 7, 8, 59, 60] {
        let head =
            plain.conn.query_row("SELECT hash FROM audit WHERE seq = ?", [sequence], |row| {
                row.get::<_, [u8; 32]>(0)
            });
        assert!(said(&plain, Some(head.unwrap_or_default())).is_ok(), "{sequence}");
    }
    let broken = said(&plain, Some([7; 32])).expect_err("not of this log");
    assert_eq!(broken.sequence, 60);
}

#[test]
fn any_number_of_threads_tells_the_first_place_that_is_broken() {
    let plain = chain();
    let with_payload = |fault: &str, at: i64| !fault.contains("payload") || at > 10;
    // The first, the last, one in the middle, and where pieces begin and end.
    for at in [1, 4, 5, 7, 8, 12, 13, 14, 15, 31, 59, 60] {
        for fault in FAULTS {
            if with_payload(fault, at) {
                let broken = with(&plain, &[(fault, at)]).expect_err(fault);
                assert_eq!(broken.sequence, at.unsigned_abs(), "{fault} {at}: {broken}");
            }
        }
        let missing = with(&plain, &[("DELETE FROM audit WHERE seq = ?", at)]);
        match at {
            60 => assert!(missing.is_ok(), "a cut alone does not show"),
            _ => assert_eq!(missing.expect_err("missing").sequence, at.unsigned_abs() + 1),
        }
    }
}

#[test]
fn of_several_broken_places_the_first_is_told() {
    let plain = chain();
    for (n, one) in FAULTS.into_iter().enumerate() {
        let other = FAULTS[(n * 4 + 3) % FAULTS.len()];
        for (first, second, third) in [(11, 12, 13), (12, 13, 60), (15, 28, 29), (16, 17, 18)] {
            let faults = [(other, third), (one, first), (other, second)];
            let broken = with(&plain, &faults).expect_err("broken");
            assert_eq!(broken.sequence, first.unsigned_abs(), "{faults:?}: {broken}");
        }
    }
}

#[test]
fn a_payload_that_is_missing_without_a_record_is_told_last_of_all() {
    let plain = chain();
    let gone = "DELETE FROM audit_body WHERE seq = ?";
    for at in [11, 13, 30, 32, 60] {
        let broken = with(&plain, &[(gone, at), (gone, 59)]).expect_err("missing");
        assert_eq!(broken.sequence, at.min(59).unsigned_abs());
        assert!(broken.what.contains("no entry says that it was erased"), "{broken}");
        let broken = with(&plain, &[(gone, at), (FAULTS[0], 31)]).expect_err("both");
        assert_eq!(broken.sequence, 31);
    }
    // Without its payload the entry that says so says nothing.
    let broken = with(&plain, &[(gone, 31)]).expect_err("none says so");
    assert_eq!(broken.sequence, 1);
}
