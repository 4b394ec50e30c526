//! Verifying the chain, against SHA-256 alone over the same bytes, which are in
//! memory already.

use std::hint::black_box;
use std::path::Path;
use std::time::Instant;

use holdpoint::bench::table::Table;
use holdpoint::store::export::verify;
use holdpoint::store::schema;
use sha2::{Digest as _, Sha256};

use super::generate;

/// What stands before a payload and its salt, and an entry but for the name of its
/// kind: see `store::audit`.
const BODY: u64 = 27 + 16;
const ENTRY: u64 = 25 + 16 + 8 + 32 + 8 + 1 + 32;

pub fn round(table: &mut Table, base: &Path, entries: u64) {
    let path = generate::state_dir(base, entries).join("holdpoint.db");
    let conn = schema::open_reader(&path).expect("a database");
    let (count, bytes): (i64, i64) = conn
        .query_row(
            "SELECT count(*), sum(length(CAST(payload AS BLOB)) + length(kind))
             FROM audit JOIN audit_body USING (seq)",
            [],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )
        .expect("a sum");
    let (count, bytes) = (count.unsigned_abs(), bytes.unsigned_abs());
    let bytes = bytes + count * (BODY + ENTRY);
    let piece = vec![0x5a_u8; 64 * 1024];
    let start = Instant::now();
    let mut hash = Sha256::new();
    for _ in 0..bytes / piece.len() as u64 {
        hash.update(black_box(&piece));
    }
    black_box(hash.finalize());
    let baseline = start.elapsed().as_secs_f64() * 1e3;
    let start = Instant::now();
    let whole = verify(&conn, None).expect("read").expect("whole");
    let ours = start.elapsed().as_secs_f64() * 1e3;
    assert_eq!(whole.entries, count);
    table.row(&format!("verify {entries} entries : SHA-256 alone"), "ms", baseline, ours);
}
