//! From the moment a decision is sent to the moment the held caller has its
//! answer, against one echo and one commit.

use std::sync::mpsc;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::bare::{Bare, Row, Rows, Write};
use super::client::{self, Caller, Operator};
use super::ground::{Folder, Ground};
use super::server::{Kind, Running};
use super::table::{Table, percentile};
use super::trouble::{During as _, Trouble};

/// What stands for itself in the sentence after the table.
pub(super) const RELEASE: &str = "decision to release, after 3 ms";

const SAMPLES: usize = 200;
/// With a pause there are fewer, since each takes longer.
const PAUSED_SAMPLES: usize = 60;
/// Until connections, caches and branch predictors have seen it.
const WARM_UP: usize = 30;
/// Longer than the daemon works on a request after it has acknowledged it.
const PAUSE: Duration = Duration::from_millis(3);

/// Half of the time and the tail of it, in microseconds.
pub(super) struct Spread {
    pub p50: f64,
    pub p99: f64,
}

fn spread(mut samples: Vec<Duration>) -> Spread {
    samples.drain(..WARM_UP.min(samples.len() / 2));
    samples.sort();
    let micros = |share| percentile(&samples, share).as_secs_f64() * 1e6;
    Spread { p50: micros(0.50), p99: micros(0.99) }
}

fn samples(pause: Duration) -> usize {
    WARM_UP + if pause.is_zero() { SAMPLES } else { PAUSED_SAMPLES }
}

async fn wait(pause: Duration) {
    if !pause.is_zero() {
        tokio::time::sleep(pause).await;
    }
}

/// Commits on a thread of its own, as the daemon does, and says how long each
/// took. On a thread that never sleeps the machine's scheduler would make others
/// wait for it, and then it for them.
struct Commits {
    queue: mpsc::Sender<(Write, oneshot::Sender<Result<Duration, Trouble>>)>,
    _folder: Folder,
}

impl Commits {
    fn start(ground: &Ground) -> Result<Commits, Trouble> {
        let folder = ground.fresh()?;
        let mut bare = Bare::open(folder.path(), Rows::Same)?;
        let (queue, jobs) = mpsc::channel::<(Write, oneshot::Sender<_>)>();
        std::thread::spawn(move || {
            for (write, took) in jobs {
                let start = Instant::now();
                let committed = bare.commit(std::iter::once(&write));
                let _ = took.send(committed.map(|()| start.elapsed()));
            }
        });
        Ok(Commits { queue, _folder: folder })
    }

    async fn write(&self, write: Write) -> Result<Duration, Trouble> {
        let (took, answer) = oneshot::channel();
        let _ = self.queue.send((write, took));
        answer.await.during("waiting for a commit")?
    }
}

/// What the parts take.
struct Parts {
    echo: Spread,
    submit: Spread,
    decision: Spread,
}

async fn parts(ground: &Ground, caller: &mut Caller, pause: Duration) -> Result<Parts, Trouble> {
    let payload = "x".repeat(1024);
    let mut echoes = Vec::new();
    for _ in 0..samples(pause) {
        wait(pause).await;
        let start = Instant::now();
        caller.echo(&payload).await?;
        echoes.push(start.elapsed());
    }
    let commits = Commits::start(ground)?;
    let (mut submits, mut decisions) = (Vec::new(), Vec::new());
    for _ in 0..samples(pause) {
        let row = Box::new(Row::numbered(client::number()));
        let id = row.id;
        submits.push(commits.write(Write::Submit(row)).await?);
        wait(pause).await;
        // As in the daemon, the thread sleeps until a call came in.
        caller.echo(&payload).await?;
        decisions.push(commits.write(Write::Decide(id)).await?);
    }
    Ok(Parts { echo: spread(echoes), submit: spread(submits), decision: spread(decisions) })
}

/// A call is held; the operator sees it, pauses, decides; the caller is released.
pub(super) async fn releases(
    caller: &Caller,
    operator: &mut Operator,
    pause: Duration,
) -> Result<Spread, Trouble> {
    let mut taken = Vec::new();
    for _ in 0..samples(pause) {
        let mut caller = caller.clone();
        let held = tokio::spawn(async move { caller.hold().await.map(|()| Instant::now()) });
        let request = operator.next_pending().await?;
        wait(pause).await;
        let start = Instant::now();
        operator.deciding.approve(request).await?;
        let released = held.await.during("holding a call")??;
        taken.push(released - start);
    }
    Ok(spread(taken))
}

async fn of(ground: &Ground, kind: Kind, pause: Duration) -> Result<Spread, Trouble> {
    let server = Running::start(ground, kind).await?;
    let mut operator = Operator::watch(server.dir()).await?;
    let caller = Caller::connect(server.dir())?;
    releases(&caller, &mut operator, pause).await
}

pub(super) async fn round(ground: &Ground, table: &mut Table) -> Result<(), Trouble> {
    let tonic = Running::start(ground, Kind::Tonic).await?;
    let mut echoing = Caller::connect(tonic.dir())?;
    for (when, pause) in [("at once", Duration::ZERO), ("after 3 ms", PAUSE)] {
        let Parts { echo, submit, decision } = parts(ground, &mut echoing, pause).await?;
        let minimal = of(ground, Kind::Minimal(Rows::Few), pause).await?;
        let ours = of(ground, Kind::Daemon, pause).await?;
        let mailing = of(ground, Kind::DaemonWithMail, pause).await?;
        if pause.is_zero() {
            for (name, spread) in [
                ("tonic echo, 1 KiB", &echo),
                ("commit of a submit's rows", &submit),
                ("commit of a decision's rows", &decision),
                ("decision to release, minimal path", &minimal),
            ] {
                table.baseline(&format!("{name}, p50"), "us", spread.p50);
                table.baseline(&format!("{name}, p99"), "us", spread.p99);
            }
        }
        let (p50, p99) = (echo.p50 + decision.p50, echo.p99 + decision.p99);
        let mut row = |what: &str, baseline, ours| {
            let name = format!("decision to release, {when}{what}");
            table.row(&name, "us", baseline, ours);
        };
        row(", p50 : echo + commit", p50, ours.p50);
        row(", p99 : echo + commit", p99, ours.p99);
        row(", p50 : minimal path", minimal.p50, ours.p50);
        row(", mail as files, p50 : echo + commit", p50, mailing.p50);
    }
    Ok(())
}
