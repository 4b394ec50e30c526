//! What somebody who watches over the daemon asks of the database: how much
//! waits, and since when. Each answer takes a walk through an index of what
//! waits, and none through what is done.

use rusqlite::{Connection, OptionalExtension};

use super::error::StoreError;
use crate::call::time::Time;

const OLDEST: &str = "SELECT created FROM requests WHERE n =
    (SELECT min(n) FROM requests INDEXED BY requests_pending WHERE status = 1)";

/// What goes in a summary is one mail.
const QUEUE: &str = "SELECT count(*), min(go_by) FROM outbox INDEXED BY outbox_queued
    WHERE state = 0 AND summary IS NULL";

/// How much waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Vitals {
    /// When the oldest pending request was made.
    pub oldest_pending: Option<Time>,
    /// Mails that are not sent yet.
    pub mails_queued: u32,
    /// By when the most urgent of them should have gone.
    pub mail_go_by: Option<Time>,
}

/// Looks.
pub fn vitals(conn: &Connection) -> Result<Vitals, StoreError> {
    let oldest_pending: Option<i64> =
        conn.prepare_cached(OLDEST)?.query_row([], |row| row.get(0)).optional()?;
    let (mails_queued, go_by): (u32, Option<i64>) =
        conn.prepare_cached(QUEUE)?.query_row([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let (oldest_pending, mail_go_by) = (oldest_pending.map(Time), go_by.map(Time));
    Ok(Vitals { oldest_pending, mails_queued, mail_go_by })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::call::model::Verdict;
    use crate::store::tests::{Plain, Waiting, ann, call};

    #[test]
    fn what_waits_is_counted_and_dated() {
        let (mut plain, waiting) = (Plain::new(), Waiting::default());
        assert_eq!(vitals(&plain.conn).expect("read"), Vitals::default());
        let began = plain.now;
        let first = plain.submit("1", call("", "", 1), &waiting).expect("held").request.id;
        plain.pass(Duration::from_secs(60));
        plain.submit("2", call("", "", 2), &waiting).expect("held");
        let both = Vitals {
            oldest_pending: Some(began),
            mails_queued: 2,
            // A fifth of the time that people have.
            mail_go_by: Some(began + Duration::from_secs(3 * 60)),
        };
        assert_eq!(vitals(&plain.conn).expect("read"), both);
        plain.decide(first, "ann", Verdict::Deny, &ann()).expect("denied");
        let seen = vitals(&plain.conn).expect("read");
        assert_eq!((seen.mails_queued, seen.oldest_pending), (1, Some(plain.now)));
    }

    #[test]
    fn the_answers_come_from_what_waits_and_not_from_everything() {
        let plain = Plain::new();
        for (sql, index) in [(OLDEST, "requests_pending"), (QUEUE, "outbox_queued")] {
            let sql = format!("EXPLAIN QUERY PLAN {sql}");
            let mut statement = plain.conn.prepare(&sql).expect("prepared");
            let steps = statement.query_map([], |row| row.get(3)).expect("a plan");
            let steps = steps.collect::<Result<Vec<String>, _>>().expect("a plan");
            let scans = steps.iter().filter(|step| step.starts_with("SCAN"));
            for scan in scans {
                assert!(scan.ends_with(&format!("INDEX {index}")), "{steps:?}");
            }
        }
    }
}
