//! What the charts count, from requests whose ends are known.

use super::*;
use crate::call::model::Status;
use crate::store::charts::{self, ENDED, Numbers, SHOWN, Span, numbers};
use crate::store::ending;

const HOUR: Duration = Duration::from_secs(3600);

/// Decides as a page does, which knows how long it was on the screen.
fn decide_seen_for(plain: &mut Plain, id: RequestId, verdict: Verdict, on_screen: Duration) {
    let input = Decide {
        id,
        operator: "ann".to_owned(),
        strength: Strength::Token,
        verdict,
        reason: String::new(),
        shown: plain.request(id).call.digest.short(),
        lapse_after: MINUTES(15),
        on_screen: Some(on_screen),
    };
    plain.run(|tx| decide::decide(tx, &input, &ann())).expect("decided");
}

fn whole(plain: &Plain, edges: &[Time]) -> Numbers {
    numbers(&plain.conn, edges, charts::MOST_REQUESTS).expect("counted")
}

#[test]
fn requests_are_counted_by_when_they_were_made_and_how_they_ended() {
    let (mut plain, waiting) = (Plain::new(), Waiting::default());
    let began = plain.now;
    let ask = |plain: &mut Plain, n: u64| {
        let call = Call { category: Category::Destructive, ..call("c", "s", n) };
        plain.submit(&format!("c{n}"), call, &waiting).expect("held").request.id
    };
    for (n, (verdict, seconds)) in
        [(Verdict::Approve, 10), (Verdict::Approve, 30), (Verdict::Deny, 50)]
            .into_iter()
            .enumerate()
    {
        let id = ask(&mut plain, n as u64);
        plain.pass(Duration::from_secs(seconds));
        decide_seen_for(&mut plain, id, verdict, Duration::from_millis(1500 * seconds));
    }
    plain.now = began + HOUR;
    ask(&mut plain, 10);
    plain.pass(MINUTES(16));
    plain.run(ending::end_due).expect("expired");
    let withdrawn = ask(&mut plain, 11);
    plain.run(|tx| ending::withdraw(tx, "proxy", withdrawn, "")).expect("withdrawn");
    ask(&mut plain, 12);

    let edges = [began, began + HOUR, began + HOUR * 2];
    let found = whole(&plain, &edges);
    let counts = |span: &Span| Status::ALL.iter().map(|s| span.count(*s)).collect::<Vec<_>>();
    assert_eq!(counts(&found.spans[0]), [0, 2, 1, 0, 0]);
    assert_eq!(counts(&found.spans[1]), [1, 0, 0, 1, 1]);
    assert_eq!(found.spans[0].median(), Some(Duration::from_secs(30)));
    assert_eq!(found.spans[1].median(), None);
    assert_eq!(found.spans[1].expired_share(), Some(50.0));
    let all = Span::together(&found.spans);
    assert_eq!((all.all(), all.decided(), all.expired_share()), (6, 3, Some(20.0)));
    assert_eq!((found.counted_from, found.shown_from), (None, None));

    let shown: Vec<_> = found.shown.iter().map(|s| (s.verdict, s.on_screen.as_secs())).collect();
    assert_eq!(shown, [(Verdict::Deny, 75), (Verdict::Approve, 45), (Verdict::Approve, 15)]);
    let first = &found.shown[0];
    assert_eq!((first.category, first.tool.as_str()), (Category::Destructive, "set"));

    let outside = whole(&plain, &[began + HOUR * 5, began + HOUR * 6]);
    assert_eq!((outside.spans[0].all(), outside.shown.len()), (0, 0));
}

#[test]
fn of_an_even_number_the_median_lies_between_the_middle_two() {
    let (mut plain, waiting) = (Plain::new(), Waiting::default());
    let began = plain.now;
    for seconds in [10, 20, 40, 80] {
        let held = plain.submit(&format!("c{seconds}"), call("c", "s", seconds), &waiting);
        let id = held.expect("held").request.id;
        plain.pass(Duration::from_secs(seconds));
        plain.decide(id, "ann", Verdict::Approve, &ann()).expect("decided");
    }
    let found = whole(&plain, &[began, began + HOUR]);
    assert_eq!(found.spans[0].median(), Some(Duration::from_secs(30)));
    assert!(found.shown.is_empty(), "no page knew how long");
}

#[test]
fn an_empty_store_has_empty_charts() {
    let plain = Plain::new();
    let found = whole(&plain, &[plain.now, plain.now + HOUR]);
    assert_eq!(found.spans, [Span::default()]);
    assert_eq!((found.spans[0].median(), found.spans[0].expired_share()), (None, None));
    assert_eq!(whole(&plain, &[]), Numbers::default());
}

#[test]
fn more_than_are_counted_is_said_with_from_when_on_they_are() {
    let (mut plain, waiting) = (Plain::new(), Waiting::default());
    let began = plain.now;
    for n in 0..5 {
        let id =
            plain.submit(&format!("c{n}"), call("c", "s", n), &waiting).expect("held").request.id;
        plain.decide(id, "ann", Verdict::Approve, &ann()).expect("decided");
        plain.pass(Duration::from_secs(1));
    }
    let found = numbers(&plain.conn, &[began, began + HOUR], 3).expect("counted");
    assert_eq!(found.spans[0].all(), 3);
    assert_eq!(found.counted_from, Some(began + Duration::from_secs(2)), "the newest are counted");
    let found = numbers(&plain.conn, &[began, began + HOUR], 5).expect("counted");
    assert_eq!((found.spans[0].all(), found.counted_from), (5, None));
}

#[test]
fn the_charts_are_answered_from_their_indexes() {
    let plain = Plain::new();
    for (sql, index) in
        [(ENDED, "COVERING INDEX requests_ended"), (SHOWN, "COVERING INDEX decisions_shown")]
    {
        let mut statement = plain.conn.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).expect("SQL");
        let plan: Vec<String> = (statement.query_map([0, 0, 0], |row| row.get(3)).expect("a plan"))
            .collect::<Result<_, _>>()
            .expect("a plan");
        assert!(plan[0].contains(index), "{plan:?}");
        assert!(!plan.iter().any(|step| step.contains("TEMP B-TREE")), "{plan:?}");
    }
}

/// A hundred thousand requests, of which a fifth was decided on a page.
/// `cargo test --lib charts_of_a_hundred_thousand -- --ignored --nocapture`
#[test]
#[ignore = "prints a time"]
fn charts_of_a_hundred_thousand_requests() {
    const REQUESTS: i64 = 100_000;
    let (mut plain, waiting) = (Plain::new(), Waiting::default());
    let began = plain.now;
    let first = plain.submit("first", call("c", "s", 0), &waiting).expect("held").request;
    decide_seen_for(&mut plain, first.id, Verdict::Approve, Duration::from_secs(2));
    let copy = |table: &str, set: &str| {
        let columns: Vec<String> = (plain.conn.prepare(&format!("PRAGMA table_info({table})")))
            .and_then(|mut s| s.query_map([], |row| row.get(1))?.collect())
            .expect("columns");
        let changed: Vec<(&str, &str)> =
            set.split(';').filter_map(|s| s.split_once(" as ")).collect();
        let values: Vec<&str> = (columns.iter())
            .map(|c| changed.iter().find(|(_, to)| to == c).map_or(c.as_str(), |(from, _)| from))
            .collect();
        format!(
            "INSERT INTO {table} ({}) SELECT {} FROM {table}, numbers",
            columns.join(", "),
            values.join(", ")
        )
    };
    let arguments = format!("'{{\"text\":\"{}\"}}'", "x".repeat(1000));
    let id = "unhex(printf('%016x%016x', i, i))";
    let numbers_of = |most: i64| {
        format!(
            "WITH RECURSIVE numbers(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM numbers WHERE i < {most}) "
        )
    };
    // A `WITH` stands before its `INSERT`.
    let requests = copy(
        "requests",
        &format!(
            "n + i as n;{id} as id;'k' || i as call_id;created + i * 70000 as created;ended + i * 70000 + i % 977 as ended;2 + i % 4 as status;{arguments} as arguments"
        ),
    );
    plain
        .conn
        .execute_batch(&format!("BEGIN; {}{requests}; COMMIT", numbers_of(REQUESTS)))
        .expect("requests");
    let decisions =
        copy("decisions", &format!("{id} as request;at + i * 70000 as at;i % 60000 as on_screen"));
    plain
        .conn
        .execute_batch(&format!("BEGIN; {}{decisions}; COMMIT", numbers_of(REQUESTS / 5)))
        .expect("decisions");
    let edges: Vec<Time> = (0..=90).map(|day| began + HOUR * 24 * day).collect();
    for what in ["first", "second", "third"] {
        let start = std::time::Instant::now();
        let found = whole(&plain, &edges);
        let all = Span::together(&found.spans);
        println!(
            "{what}: {:?} for {} requests, {} decisions",
            start.elapsed(),
            all.all(),
            found.shown.len()
        );
    }
}
