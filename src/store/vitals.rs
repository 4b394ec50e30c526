//! What somebody who watches over the daemon asks of the database: how much
//! waits, and since when. Each answer takes a walk through an index of what
//! waits, and none through what is done.

use rusqlite::{Connection, OptionalExtension};

use super::error::StoreError;
use crate::call::time::Time;

/// How much waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Vitals {
    /// When the oldest pending request was made.
    pub oldest_pending: Option<Time>,
    /// Mails that are not sent yet.
    pub mails_queued: u32,
    /// When the request was made that the oldest of them is about.
    pub oldest_mail: Option<Time>,
}

/// Looks.
pub fn vitals(conn: &Connection) -> Result<Vitals, StoreError> {
    let time = |sql: &str| -> rusqlite::Result<Option<Time>> {
        let found = conn.prepare_cached(sql)?.query_row([], |row| row.get(0)).optional()?;
        Ok(found.map(Time))
    };
    Ok(Vitals {
        oldest_pending: time(
            "SELECT created FROM requests WHERE n =
               (SELECT min(n) FROM requests INDEXED BY requests_pending WHERE status = 1)",
        )?,
        mails_queued: conn
            .prepare_cached("SELECT count(*) FROM outbox INDEXED BY outbox_due WHERE state = 0")?
            .query_row([], |row| row.get::<_, u32>(0))?,
        oldest_mail: time(
            "SELECT created FROM requests WHERE id = (SELECT request FROM outbox WHERE n =
               (SELECT min(n) FROM outbox INDEXED BY outbox_due WHERE state = 0))",
        )?,
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::call::model::Verdict;
    use crate::store::tests::{Plain, Waiting, ann, call};

    #[test]
    fn what_waits_is_counted_and_dated_by_its_oldest() {
        let (mut plain, waiting) = (Plain::new(), Waiting::default());
        assert_eq!(vitals(&plain.conn).expect("read"), Vitals::default());
        let (first, began) = (plain.submit("1", call("", "", 1), &waiting), plain.now);
        plain.pass(Duration::from_secs(60));
        plain.submit("2", call("", "", 2), &waiting).expect("held");
        let seen = vitals(&plain.conn).expect("read");
        let both =
            Vitals { oldest_pending: Some(began), mails_queued: 2, oldest_mail: Some(began) };
        assert_eq!(seen, both);
        let first = first.expect("held").request.id;
        plain.decide(first, "ann", Verdict::Deny, &ann()).expect("denied");
        let seen = vitals(&plain.conn).expect("read");
        assert_eq!((seen.mails_queued, seen.oldest_pending), (1, Some(plain.now)));
    }

    #[test]
    fn the_answers_come_from_what_waits_and_not_from_everything() {
        let plain = Plain::new();
        for (sql, index) in [
            (
                "SELECT min(n) FROM requests INDEXED BY requests_pending WHERE status = 1",
                "requests_pending",
            ),
            ("SELECT count(*) FROM outbox INDEXED BY outbox_due WHERE state = 0", "outbox_due"),
            ("SELECT min(n) FROM outbox INDEXED BY outbox_due WHERE state = 0", "outbox_due"),
        ] {
            let sql = format!("EXPLAIN QUERY PLAN {sql}");
            let plan: String = plain.conn.query_row(&sql, [], |row| row.get(3)).expect("a plan");
            assert!(plan.contains(&format!("USING COVERING INDEX {index}")), "{sql}: {plan}");
        }
    }
}
