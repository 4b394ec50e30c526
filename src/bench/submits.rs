//! Durable submits to the store, without a door before it, against the bare
//! group-commit writer that writes the same rows; and what one flush of this
//! disk takes, which is what they wait for.

use std::fs::File;
use std::future::Future;
use std::io::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::bare::{self, Bare, Nobody, Row, Rows, Write, Writer};
use super::ground::Ground;
use super::table::{Table, percentile};
use super::trouble::{During as _, Trouble};
use super::{call, client};
use crate::store::submit;

/// What stand for themselves in the sentence after the table.
pub(super) const FLUSH: &str = "one flush of 4 KiB to this disk, p50";
pub(super) const ALONE: &str = "durable submits, 1 at once : bare writer, our rows";
pub(super) const TOGETHER: &str = "durable submits, 128 at once : bare writer, our rows";

const SUBMITTERS: usize = 128;
const MEASURED: Duration = Duration::from_millis(300);
/// Flushes of which the median is shown.
const FLUSHES: usize = 50;
/// What one flush writes: a page of the database.
const PAGE: [u8; 4096] = [0x5a; 4096];

fn flush(ground: &Ground) -> Result<f64, Trouble> {
    let folder = ground.fresh()?;
    let doing = "writing to this disk";
    let mut file = File::create(folder.path().join("flushed")).during(doing)?;
    let mut took = Vec::with_capacity(FLUSHES);
    for _ in 0..FLUSHES {
        file.write_all(&PAGE).during(doing)?;
        let start = Instant::now();
        file.sync_data().during(doing)?;
        took.push(start.elapsed());
    }
    took.sort();
    Ok(percentile(&took, 0.50).as_secs_f64() * 1e6)
}

async fn rate<F, W>(submitters: usize, write: F) -> Result<f64, Trouble>
where
    F: Fn(u64) -> W + Clone + Send + 'static,
    W: Future<Output = Result<(), Trouble>> + Send,
{
    let done = Arc::new(AtomicU64::new(0));
    let start = Instant::now();
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..submitters {
        let (done, write) = (done.clone(), write.clone());
        tasks.spawn(async move {
            while start.elapsed() < MEASURED {
                write(client::number()).await?;
                done.fetch_add(1, Ordering::Relaxed);
            }
            Ok::<(), Trouble>(())
        });
    }
    while let Some(ended) = tasks.join_next().await {
        ended.during("submitting")??;
    }
    Ok(done.load(Ordering::Relaxed) as f64 / start.elapsed().as_secs_f64())
}

async fn baseline(ground: &Ground, submitters: usize) -> Result<f64, Trouble> {
    let folder = ground.fresh()?;
    let writer = Arc::new(Writer::start(Bare::open(folder.path(), Rows::Same)?));
    rate(submitters, move |n| {
        let writer = writer.clone();
        async move { writer.write(Write::Submit(Box::new(Row::numbered(n)))).await }
    })
    .await
}

async fn ours(ground: &Ground, submitters: usize) -> Result<f64, Trouble> {
    let folder = ground.fresh()?;
    let store = bare::store(&folder.path().join("holdpoint.db"))?;
    let pattern = Arc::new(call::submit(0));
    let writing = store.clone();
    let rate = rate(submitters, move |n| {
        let (store, input) = (writing.clone(), call::like(&pattern, n));
        async move {
            let written = store.write(move |tx| submit::submit(tx, input, &Nobody)).await;
            written.map(drop).during("submitting to the store")
        }
    })
    .await;
    store.close().await;
    rate
}

pub(super) async fn round(ground: &Ground, table: &mut Table) -> Result<(), Trouble> {
    table.baseline(FLUSH, "us", flush(ground)?);
    let (bare_alone, alone) = (baseline(ground, 1).await?, ours(ground, 1).await?);
    let bare_together = baseline(ground, SUBMITTERS).await?;
    let together = ours(ground, SUBMITTERS).await?;
    table.row(ALONE, "/s", bare_alone, alone);
    table.row(TOGETHER, "/s", bare_together, together);
    table.row("durable submits, 128 at once : 1 at once", "/s", alone, together);
    Ok(())
}
