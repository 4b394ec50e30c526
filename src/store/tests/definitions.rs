//! Changed definitions: what is written once, what is only counted, what is accepted.

use super::*;
use crate::call::model::DefinitionStatus::{self, Accepted, Superseded, Waiting};
use crate::store::definitions::{
    Accept, Change, OF_A_TOOL, Question, Report, Shown, WRITTEN_OF_A_SERVER, WRITTEN_OF_A_TOOL,
    Whose, accept, list, report,
};
use crate::store::error::Refusal;
use crate::store::retention;

fn whose(tool: &str) -> Whose {
    let owned = |text: &str| text.to_owned();
    Whose { caller: owned("proxy"), server: owned("files"), tool: owned(tool) }
}

/// A hash that stands for the number.
fn hash(n: u32) -> [u8; 32] {
    let mut hash = [0; 32];
    hash[..4].copy_from_slice(&n.to_be_bytes());
    hash
}

fn change(tool: &str, before: u32, now: u32) -> Report {
    let shown = |n| Shown { text: format!(r#"{{"description":"zebra {n}"}}"#), cut: false };
    Report {
        whose: whose(tool),
        hashes: (hash(before), hash(now)),
        before: shown(before),
        now: shown(now),
        changed: vec!["description".to_owned()],
    }
}

impl Plain {
    fn reported(&mut self, tool: &str, before: u32, now: u32) -> Change {
        let input = change(tool, before, now);
        self.run(|tx| report(tx, &input)).expect("reported")
    }

    fn accepted(&mut self, tool: &str, now: u32) -> Result<Change, StoreError> {
        let input = Accept {
            whose: whose(tool),
            hash: hash(now),
            operator: "ann".to_owned(),
            strength: Strength::Token,
            reason: "read it".to_owned(),
        };
        self.run(|tx| accept(tx, &input, &|_| Ok(())))
    }

    /// Payloads of entries of a kind, oldest first.
    fn said(&self, kind: &str) -> Vec<String> {
        let sql =
            "SELECT payload FROM audit JOIN audit_body USING (seq) WHERE kind = ? ORDER BY seq";
        let mut statement = self.conn.prepare(sql).expect("prepare");
        let rows = statement.query_map([kind], |row| row.get(0)).expect("query");
        rows.collect::<Result<_, _>>().expect("rows")
    }

    fn waiting(&self) -> Vec<([u8; 32], DefinitionStatus)> {
        let question = Question { most: 500, ..Question::default() };
        let (found, _) = list(&self.conn, &question, &|_| true).expect("listed");
        found.into_iter().map(|change| (change.hashes.1, change.status)).collect()
    }

    fn rows(&self) -> i64 {
        let count = "SELECT count(*) FROM definitions";
        self.conn.query_row(count, [], |row| row.get(0)).expect("counted")
    }
}

#[test]
fn a_change_is_written_once_however_often_it_is_reported() {
    let mut plain = Plain::new();
    let first = plain.reported("read", 1, 2);
    assert_eq!(first.status, Waiting);
    plain.pass(MINUTES(5));
    let again = plain.reported("read", 1, 2);
    assert_eq!((again.status, again.reported), (Waiting, first.reported));
    let said = plain.said("tool_definition_changed");
    assert_eq!(said.len(), 1, "{said:?}");
    for part in [
        r#""server":"files","tool":"read""#,
        r#""changed":["description"]"#,
        r#""before":{"description":"zebra 1"},"now":{"description":"zebra 2"}"#,
    ] {
        assert!(said[0].contains(part), "{said:?}");
    }
    plain.assert_chain_is_whole();
}

#[test]
fn what_an_operator_accepted_is_accepted_whichever_definition_it_follows() {
    let mut plain = Plain::new();
    plain.reported("read", 1, 2);
    plain.reported("read", 1, 3);
    let accepted = plain.accepted("read", 3).expect("accepted");
    assert_eq!((accepted.status, accepted.accepted_by.as_str()), (Accepted, "ann"));
    // What was reported before it waits no more.
    assert_eq!(plain.waiting(), []);
    assert_eq!(plain.reported("read", 1, 3).status, Accepted);
    let from_another = plain.reported("read", 9, 3);
    assert_eq!((from_another.status, from_another.accepted), (Accepted, accepted.accepted));
    // Of another tool, and back to one that nobody accepted, it is not.
    assert_eq!(plain.reported("write", 1, 3).status, Waiting);
    assert_eq!(plain.reported("read", 3, 2).status, Waiting);
    assert_eq!(plain.reported("read", 1, 2).status, Waiting);
    // Again, it changes nothing and says who it was.
    plain.pass(MINUTES(1));
    let again = plain.accepted("read", 3).expect("accepted");
    assert_eq!(again.accepted, accepted.accepted);
    let said = plain.said("tool_definition_accepted");
    assert_eq!(said.len(), 1, "{said:?}");
    assert!(said[0].contains(r#""operator":"ann""#) && said[0].contains("read it"), "{said:?}");
    plain.restart(plain.now);
    assert_eq!(plain.reported("read", 1, 3).status, Accepted);
    plain.assert_chain_is_whole();
}

#[test]
fn nobody_accepts_what_was_not_reported_or_is_not_theirs() {
    let mut plain = Plain::new();
    plain.reported("read", 1, 2);
    let refused = |result: Result<Change, StoreError>| match result {
        Err(StoreError::Refused(refusal)) => refusal,
        other => panic!("{other:?}"),
    };
    assert_eq!(refused(plain.accepted("read", 1)), Refusal::NoSuchChange);
    assert_eq!(refused(plain.accepted("write", 2)), Refusal::NoSuchChange);
    let input = Accept {
        whose: whose("read"),
        hash: hash(2),
        operator: "eve".to_owned(),
        strength: Strength::Token,
        reason: String::new(),
    };
    let may_not = |_: &Whose| Err(Refusal::MayNotAccept("no".to_owned()));
    let result = plain.run(|tx| accept(tx, &input, &may_not));
    assert_eq!(refused(result), Refusal::MayNotAccept("no".to_owned()));
    assert_eq!(plain.reported("read", 1, 2).status, Waiting);
    assert_eq!(plain.said("tool_definition_accepted").len(), 0);
}

#[test]
fn a_tool_that_changes_all_the_time_is_counted_and_does_not_flood_the_history() {
    let mut plain = Plain::new();
    for n in 0..500 {
        plain.pass(Duration::from_secs(1));
        assert_eq!(plain.reported("read", 1, n + 2).status, Waiting);
    }
    assert_eq!(plain.said("tool_definition_changed").len(), WRITTEN_OF_A_TOOL as usize);
    assert!(plain.rows() <= WRITTEN_OF_A_TOOL + OF_A_TOOL, "{}", plain.rows());
    let waiting = plain.waiting();
    assert_eq!(waiting.len(), OF_A_TOOL as usize);
    assert_eq!(waiting.last(), Some(&(hash(501), Waiting)));
    // Another tool of the server is written, and says how many were not.
    plain.reported("write", 1, 2);
    let said = plain.said("tool_definition_changed");
    assert!(said[10].contains(r#""not_written_before":490"#), "{}", said[10]);
    // One that was not written can be accepted, and what it is is written then.
    plain.accepted("read", 501).expect("accepted");
    let accepted = plain.said("tool_definition_accepted");
    assert!(accepted[0].contains("zebra 501") && accepted[0].contains("changed"), "{accepted:?}");
    // An hour later changes are written again.
    plain.pass(MINUTES(61));
    plain.reported("read", 501, 1000);
    assert_eq!(plain.said("tool_definition_changed").len(), 12);
    plain.assert_chain_is_whole();
}

#[test]
fn a_server_whose_tools_all_change_fills_neither_the_history_nor_the_table() {
    let mut plain = Plain::new();
    let tools = u32::try_from(WRITTEN_OF_A_SERVER).expect("small") + 50;
    for n in 0..tools {
        plain.reported(&format!("t{n}"), 1, 2);
    }
    let written = plain.said("tool_definition_changed").len();
    assert_eq!(written, WRITTEN_OF_A_SERVER as usize);
    assert_eq!(plain.rows(), i64::from(tools));
    // With as many as there may be, the oldest settled one makes room; a waiting one never.
    let fill = "WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c WHERE i < 8950)
        INSERT INTO definitions (caller, server, tool, hash_before, hash_now, definition_before,
          definition_now, before_cut, now_cut, changed, status, reported, written)
        SELECT 'proxy', 'other', 'x' || i, x'00', x'01', '', '', 0, 0, '[]', 1, 1, 0 FROM c";
    plain.conn.execute_batch(fill).expect("filled");
    let input = change("one more", 1, 2);
    let refused = plain.run(|tx| report(tx, &input)).expect_err("full").to_string();
    assert!(refused.contains("10000") && refused.contains("policy accept"), "{refused}");
    plain.accepted("t0", 2).expect("accepted");
    assert_eq!(plain.reported("one more", 1, 2).status, Waiting);
    assert_eq!(plain.rows(), 10_000);
    // What was forgotten waits again.
    plain.accepted("t1", 2).expect("accepted");
    assert_eq!(plain.reported("t0", 1, 2).status, Waiting);
}

#[test]
fn one_that_was_superseded_waits_again_when_it_comes_back() {
    let mut plain = Plain::new();
    plain.reported("read", 1, 2);
    plain.reported("read", 1, 3);
    plain.accepted("read", 3).expect("accepted");
    let question = Question { all: true, most: 10, ..Question::default() };
    let (all, next) = list(&plain.conn, &question, &|_| true).expect("listed");
    let told: Vec<_> = all.iter().map(|c| (c.status, c.now.text.is_empty())).collect();
    assert_eq!((told, next), (vec![(Accepted, false), (Superseded, true)], None));
    let back = plain.reported("read", 1, 2);
    assert_eq!((back.status, back.now.text.contains("zebra 2")), (Waiting, true));
    assert_eq!(plain.waiting(), [(hash(2), Waiting)]);
    assert_eq!(plain.said("tool_definition_changed").len(), 2);
}

#[test]
fn a_list_shows_what_one_may_see_page_by_page() {
    let mut plain = Plain::new();
    for tool in ["a", "b", "c", "d"] {
        plain.reported(tool, 1, 2);
    }
    let mut question = Question { most: 2, ..Question::default() };
    let mut seen = Vec::new();
    loop {
        let visible = |whose: &Whose| whose.tool != "b";
        let (found, next) = list(&plain.conn, &question, &visible).expect("listed");
        seen.extend(found.into_iter().map(|change| change.whose.tool));
        let Some(next) = next else { break };
        question.after = Some(next);
    }
    assert_eq!(seen, ["a", "c", "d"]);
    let one = Question { tool: Some("d".to_owned()), most: 9, ..Question::default() };
    let (found, _) = list(&plain.conn, &one, &|_| true).expect("listed");
    assert_eq!(found.len(), 1);
}

#[test]
fn what_is_old_is_erased_and_waits_again_when_it_is_reported() {
    let mut plain = Plain::new();
    plain.reported("read", 1, 2);
    plain.accepted("read", 2).expect("accepted");
    for n in 0..40 {
        plain.reported(&format!("t{n}"), 1, 2);
    }
    plain.pass(MINUTES(60));
    plain.reported("young", 1, 2);
    let keep = MINUTES(30);
    let mut run = plain.run(|tx| retention::begin(tx, keep)).expect("begun");
    assert!(run.is_some());
    while let Some(left) = run {
        run = plain.run(|tx| retention::step(tx, left)).expect("a step");
    }
    assert_eq!(plain.rows(), 1);
    assert!(plain.run(|tx| retention::begin(tx, keep)).expect("begun").is_none());
    assert_eq!(plain.reported("read", 1, 2).status, Waiting);
    plain.assert_chain_is_whole();
}
