//! What the proxy takes of memory: when nobody calls, and for each call that waits.

use std::time::{Duration, Instant};

use http_body_util::BodyExt as _;

use super::http::{proxy, request, server};
use super::stage::{HOLD_ALL, Stage};
use super::wire::Connection;
use super::{SETTINGS, Setting};
use crate::bench::process::Process;
use crate::bench::table::Table;
use crate::bench::trouble::{During as _, Trouble};

/// What stands for itself in the sentence after the table.
pub(in crate::bench) const EACH: &str = "proxy: resident memory per held call";
pub(in crate::bench) const IDLE: &str = "proxy: idle memory";

/// Each has a connection, and 1024 open files are what a process has without asking.
const MOST: usize = 900;
/// How long all calls may take to be held, or to be let go.
const PATIENCE: Duration = Duration::from_secs(60);
/// How often they are held and let go.
const CYCLES: usize = 3;

/// One round, with so many held, or as many as a process may have connections.
pub async fn round(stage: &Stage<'_>, table: &mut Table, held: usize) -> Result<(), Trouble> {
    let held = held.min(MOST);
    let (_server, url) = server(stage).await?;
    let setting = Setting { policy: HOLD_ALL, ..SETTINGS[0] };
    let (proxy, url) = proxy(stage, &url, setting).await?;
    let idle = proxy.resident_mib();
    table.alone(IDLE, "MiB", idle);
    let (open, mut first) = (proxy.files(), None);
    for cycle in 1..=CYCLES {
        let before = proxy.resident_kib();
        let mut calls = tokio::task::JoinSet::new();
        for n in 0..held {
            // Each its own call: another id and other arguments.
            let request = request(&url, cycle * held + n)?;
            let mut connection = Connection::open(&url).await?;
            calls.spawn(async move {
                // Its answer is a stream of events, which is to stay open.
                let answer = connection.send(request).await?;
                answer.into_body().collect().await.map(drop).during("waiting for an end")
            });
        }
        // Those who have an answer are told that they wait; nothing moves any more.
        until(&proxy, "holding calls", |files| files >= open + held).await?;
        proxy.settled().await;
        let each = (proxy.resident_kib() - before) / held as f64;
        if cycle == 1 {
            table.alone(&format!("{EACH}, {held} held"), "KiB", each);
        }
        drop(calls);
        until(&proxy, "letting calls go", |files| files < open + 16).await?;
        proxy.settled().await;
        let after = proxy.resident_mib();
        let first = *first.get_or_insert(after);
        if cycle == CYCLES {
            let name = format!("proxy: {held} held and let go, cycle {CYCLES} : cycle 1");
            table.row(&name, "MiB", first, after);
        }
    }
    Ok(())
}

/// Until so many files are open: each held call has its connection.
async fn until(proxy: &Process, doing: &str, fits: impl Fn(usize) -> bool) -> Result<(), Trouble> {
    let start = Instant::now();
    while !fits(proxy.files()) {
        if start.elapsed() > PATIENCE {
            return Err(Trouble::new(doing, proxy.last_words()));
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok(())
}
