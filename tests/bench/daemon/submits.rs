//! Durable submits to the store, without a door before it, against the bare
//! group-commit writer that writes the same rows.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use holdpoint::store::submit;

use super::bare::{self, Bare, Nobody, Row, Rows, Write, Writer};
use super::server::fresh_dir;
use super::table::Table;
use super::{call, client};

const MEASURED: Duration = Duration::from_millis(300);

async fn rate<F, W>(submitters: usize, write: F) -> f64
where
    F: Fn(u64) -> W + Clone + Send + 'static,
    W: Future<Output = ()> + Send,
{
    let done = Arc::new(AtomicU64::new(0));
    let start = Instant::now();
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..submitters {
        let (done, write) = (done.clone(), write.clone());
        tasks.spawn(async move {
            while start.elapsed() < MEASURED {
                write(client::number()).await;
                done.fetch_add(1, Ordering::Relaxed);
            }
        });
    }
    while tasks.join_next().await.is_some() {}
    done.load(Ordering::Relaxed) as f64 / start.elapsed().as_secs_f64()
}

async fn baseline(submitters: usize) -> f64 {
    let dir = fresh_dir();
    let bare = Bare::open(dir.path(), Rows::Same);
    let writer = Arc::new(Writer::start(bare));
    rate(submitters, move |n| {
        let writer = writer.clone();
        async move { writer.write(Write::Submit(Box::new(Row::numbered(n)))).await }
    })
    .await
}

async fn ours(submitters: usize) -> f64 {
    let dir = fresh_dir();
    let store = bare::store(&dir.path().join("holdpoint.db"));
    let pattern = Arc::new(call::submit(0));
    let writing = store.clone();
    let rate = rate(submitters, move |n| {
        let (store, input) = (writing.clone(), call::like(&pattern, n));
        async move {
            let written = store.write(move |tx| submit::submit(tx, input, &Nobody)).await;
            written.expect("submitted");
        }
    })
    .await;
    store.close().await;
    rate
}

pub async fn round(table: &mut Table) {
    for submitters in [1, 128] {
        let (baseline, ours) = (baseline(submitters).await, ours(submitters).await);
        let name = format!("durable submits, {submitters} at once : bare writer, our rows");
        table.row(&name, "/s", baseline, ours);
    }
}
