//! What a submit and a decision cost as the history and the queue grow: by the
//! store alone, one at a time, a few at the small one and a few at the large one in
//! turn.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use holdpoint::bench::bare::{self, Everybody, Nobody};
use holdpoint::bench::ground::Ground;
use holdpoint::bench::table::{Table, percentile};
use holdpoint::bench::{call, client};
use holdpoint::call::ids::RequestId;
use holdpoint::call::model::Request;
use holdpoint::store::decide;
use holdpoint::store::submit::{self, Submit};
use holdpoint::store::{Store, StoreError};

use super::generate;

/// In a turn, and turns in a round.
const A_FEW: usize = 50;
const TURNS: usize = 10;

/// Pending requests that are written in one commit while a queue is made.
const AT_ONCE: usize = 1000;

/// The queues that are compared.
const QUEUES: [usize; 2] = [10_000, 100_000];

#[derive(Default)]
struct Took {
    submits: Vec<Duration>,
    decisions: Vec<Duration>,
}

impl Took {
    fn p50(&mut self) -> [f64; 2] {
        [&mut self.submits, &mut self.decisions].map(|samples| {
            samples.sort();
            percentile(samples, 0.50).as_secs_f64() * 1e6
        })
    }
}

fn fresh(pattern: &Submit) -> Submit {
    call::like(pattern, client::number())
}

async fn a_few(store: &Store, pattern: &Submit, took: &mut Took) {
    for _ in 0..A_FEW {
        let input = fresh(pattern);
        let (id, shown) = (input.id, input.call.digest.to_string());
        let start = Instant::now();
        store.write(move |tx| submit::submit(tx, input, &Nobody)).await.expect("submitted");
        took.submits.push(start.elapsed());
        let start = Instant::now();
        approve(store, id, shown).await.expect("decided");
        took.decisions.push(start.elapsed());
    }
}

async fn approve(store: &Store, id: RequestId, shown: String) -> Result<Arc<Request>, StoreError> {
    let input = call::approval(id, shown);
    store.write(move |tx| decide::decide(tx, &input, &Everybody)).await
}

/// The same of both, in turn; p50 of each.
async fn compared(table: &mut Table, what: &str, small: &Store, large: &Store) {
    let pattern = Arc::new(call::submit(0));
    let (mut few, mut many) = (Took::default(), Took::default());
    a_few(small, &pattern, &mut Took::default()).await;
    a_few(large, &pattern, &mut Took::default()).await;
    for _ in 0..TURNS {
        a_few(small, &pattern, &mut few).await;
        a_few(large, &pattern, &mut many).await;
    }
    let (small, large) = (few.p50(), many.p50());
    table.row(&format!("submit, {what}, p50"), "us", small[0], large[0]);
    table.row(&format!("decide, {what}, p50"), "us", small[1], large[1]);
}

/// A store in which so many wait.
async fn waiting(dir: &Path, many: usize) -> Store {
    let store = bare::store(&dir.join("holdpoint.db")).expect("a store");
    let pattern = Arc::new(call::submit(0));
    for _ in 0..many / AT_ONCE {
        let inputs: Vec<Submit> = (0..AT_ONCE).map(|_| fresh(&pattern)).collect();
        let written = store.write(move |tx| {
            inputs.into_iter().try_for_each(|input| submit::submit(tx, input, &Nobody).map(drop))
        });
        written.await.expect("submitted");
    }
    store.catch_up_text().await.expect("indexed");
    store
}

pub async fn round(table: &mut Table, ground: &Ground, base: &Path, sizes: [u64; 2]) {
    let [small, large] = sizes.map(|entries| {
        let dir = generate::state_dir(base, entries);
        bare::store(&dir.join("holdpoint.db")).expect("a store")
    });
    let what = format!("{} entries : {} entries", sizes[1], sizes[0]);
    compared(table, &what, &small, &large).await;
    small.close().await;
    large.close().await;
    let dirs = QUEUES.map(|_| ground.fresh().expect("a folder"));
    let small = waiting(dirs[0].path(), QUEUES[0]).await;
    let large = waiting(dirs[1].path(), QUEUES[1]).await;
    let what = format!("{} pending : {} pending", QUEUES[1], QUEUES[0]);
    compared(table, &what, &small, &large).await;
    small.close().await;
    large.close().await;
}
