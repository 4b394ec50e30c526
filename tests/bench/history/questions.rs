//! Questions about the history: every filter, every pair of filters and some larger
//! combinations, both orders, first page and a page in the middle. The same questions
//! go to a small and to a large history, one after the other.
//!
//! Values are frequent and rare ones, pairs include those whose parts are frequent
//! and which no entry fits at all; that is where a page ends early.

use std::path::Path;
use std::time::{Duration, Instant};

use holdpoint::bench::call;
use holdpoint::bench::table::{Table, percentile};
use holdpoint::call::ids::RequestId;
use holdpoint::call::model::{Category, Status};
use holdpoint::call::requirement::Requirement;
use holdpoint::call::time::Time;
use holdpoint::store::query::{Filter, Question, query};
use holdpoint::store::reader::Reader;
use holdpoint::store::schema;
use rusqlite::Connection;

use super::generate;

/// Entries of a page, as the API gives by default and the web page shows.
const PAGE: usize = 50;

/// Each question so often in a round.
const REPEATED: usize = 3;

const DAY: i64 = 24 * 3600 * 1000;

/// A filter with its name.
pub type Named = (String, Filter);

fn single() -> Vec<Named> {
    let now = call::now_ms();
    let some = |text: &str| Some(text.to_owned());
    let none = Filter::default;
    let all = [
        ("since the middle", Filter { since: Some(Time(now - 45 * DAY)), ..none() }),
        ("before the middle", Filter { until: Some(Time(now - 45 * DAY)), ..none() }),
        ("caller", Filter { caller: some("proxy-1"), ..none() }),
        ("client", Filter { client: some("client-01"), ..none() }),
        ("rare client", Filter { client: some("client-39"), ..none() }),
        ("agent", Filter { agent: some("agent-1"), ..none() }),
        ("session", Filter { session: some("session-000100-01"), ..none() }),
        ("server", Filter { server: some("server-02"), ..none() }),
        ("tool", Filter { tool: some("tool_1"), ..none() }),
        ("rare tool", Filter { tool: some("tool_99"), ..none() }),
        ("unknown tool", Filter { tool: some("no_such_tool"), ..none() }),
        ("category", Filter { category: Some(Category::Write), ..none() }),
        ("status denied", Filter { status: Some(Status::Denied), ..none() }),
        ("status approved", Filter { status: Some(Status::Approved), ..none() }),
        ("operator", Filter { operator: some("operator-1"), ..none() }),
        ("kind denied", Filter { kind: some("denied"), ..none() }),
        ("kind call_allowed", Filter { kind: some("call_allowed"), ..none() }),
        ("request", Filter { request: Some(RequestId::from_bytes([0; 16])), ..none() }),
        ("word", Filter { text: some("topic7"), ..none() }),
        ("word in every entry", Filter { text: some("agent"), ..none() }),
        ("rare word", Filter { text: some("word4990"), ..none() }),
        ("two words that never meet", Filter { text: some("topic7 topic8"), ..none() }),
        ("two words", Filter { text: some("word1 topic8"), ..none() }),
    ];
    all.map(|(name, filter)| (name.to_owned(), filter)).to_vec()
}

fn both(one: &Filter, other: &Filter) -> Filter {
    macro_rules! either {
        ($($field:ident),+) => {
            Filter { $($field: one.$field.clone().or_else(|| other.$field.clone())),+ }
        };
    }
    either!(
        since, until, caller, client, agent, session, server, tool, category, status, operator,
        text, request, kind
    )
}

/// All pairs, and the frequent ones all together.
fn combined(single: &[Named]) -> Vec<Named> {
    let mut all: Vec<Named> = Vec::new();
    for (n, (name, filter)) in single.iter().enumerate() {
        let pairs = single[..n].iter();
        all.extend(pairs.map(|(other, with)| (format!("{other} and {name}"), both(with, filter))));
    }
    let frequent = ["caller", "client", "agent", "tool", "category", "status approved", "word"];
    let mut together = Filter::default();
    for (name, filter) in single.iter().filter(|(name, _)| frequent.contains(&name.as_str())) {
        together = both(&together, filter);
        all.push((format!("all up to {name}"), together.clone()));
    }
    all
}

/// A database that is asked.
struct Asked {
    conn: Connection,
    entries: u64,
    /// Its newest request: where a filter has one, it is this.
    request: RequestId,
}

impl Asked {
    fn open(dir: &Path, entries: u64) -> Asked {
        let conn = schema::open_reader(&dir.join("holdpoint.db")).expect("a database");
        let newest = "SELECT id FROM requests ORDER BY n DESC LIMIT 1";
        let request = conn.query_row(newest, [], |row| Ok(RequestId::from_bytes(row.get(0)?)));
        Asked { conn, entries, request: request.expect("a request") }
    }

    fn takes(&self, question: &Question, visible: bool) -> Duration {
        let nothing = |_: &Requirement| false;
        let mut nobody = Reader::new("nobody", &nothing);
        let start = Instant::now();
        query(&self.conn, question, (!visible).then_some(&mut nobody)).expect("a page");
        start.elapsed()
    }

    /// First page and a page in the middle, each order.
    fn questions(&self, filter: &Filter) -> Vec<Question> {
        let middle = self.entries / 2;
        let places = [(false, None), (false, Some(middle)), (true, None), (true, Some(middle))];
        let request = filter.request.map(|_| self.request);
        let filter = || Filter { request, ..filter.clone() };
        let at = |(ascending, after)| Question { filter: filter(), ascending, most: PAGE, after };
        places.into_iter().map(at).collect()
    }
}

/// What one set of questions took.
#[derive(Default)]
struct Took {
    small: Vec<Duration>,
    large: Vec<Duration>,
}

impl Took {
    fn ask(&mut self, small: &Asked, large: &Asked, filter: &Filter, visible: bool) {
        for (few, many) in small.questions(filter).iter().zip(&large.questions(filter)) {
            // Once before, so that both are warm.
            small.takes(few, visible);
            large.takes(many, visible);
            for _ in 0..REPEATED {
                self.small.push(small.takes(few, visible));
                self.large.push(large.takes(many, visible));
            }
        }
    }

    fn extend(&mut self, other: Took) {
        self.small.extend(other.small);
        self.large.extend(other.large);
    }

    fn row(mut self, table: &mut Table, name: &str, share: f64) {
        self.small.sort();
        self.large.sort();
        let micros = |sorted: &[Duration]| percentile(sorted, share).as_secs_f64() * 1e6;
        table.row(name, "us", micros(&self.small), micros(&self.large));
    }
}

pub fn round(table: &mut Table, base: &Path, sizes: [u64; 2]) {
    let [small, large] =
        sizes.map(|entries| Asked::open(&generate::state_dir(base, entries), entries));
    let against = format!("{} entries", sizes[0]);
    let (single, mut every) = (single(), Took::default());
    let mut nothing_given = Took::default();
    nothing_given.ask(&small, &large, &Filter::default(), true);
    nothing_given.row(table, &format!("no filter, p50 : {against}"), 0.50);
    for (name, filter) in &single {
        let mut took = Took::default();
        took.ask(&small, &large, filter, true);
        let copy = Took { small: took.small.clone(), large: took.large.clone() };
        copy.row(table, &format!("{name}, p50 : {against}"), 0.50);
        every.extend(took);
    }
    let mut pairs = Took::default();
    let (mut worst, mut of) = (Duration::ZERO, String::new());
    for (name, filter) in &combined(&single) {
        let mut took = Took::default();
        took.ask(&small, &large, filter, true);
        let mut sorted = took.large.clone();
        sorted.sort();
        if percentile(&sorted, 0.5) > worst {
            (worst, of) = (percentile(&sorted, 0.5), name.clone());
        }
        if std::env::var_os("HOLDPOINT_BENCH_EVERY").is_some() {
            let copy = Took { small: took.small.clone(), large: took.large.clone() };
            copy.row(table, &format!("{name}, p50 : {against}"), 0.50);
        }
        pairs.extend(took);
    }
    eprintln!("the dearest pair: {of}, {:.1} ms", worst.as_secs_f64() * 1e3);
    every.extend(Took { small: pairs.small.clone(), large: pairs.large.clone() });
    pairs.row(table, &format!("combinations, p50 : {against}"), 0.50);
    let copy = Took { small: every.small.clone(), large: every.large.clone() };
    copy.row(table, &format!("every question, p50 : {against}"), 0.50);
    every.row(table, &format!("every question, p99 : {against}"), 0.99);
    let mut hidden = Took::default();
    for (_, filter) in &single {
        hidden.ask(&small, &large, filter, false);
    }
    hidden.row(table, &format!("by one who may see nothing of it, p99 : {against}"), 0.99);
}
