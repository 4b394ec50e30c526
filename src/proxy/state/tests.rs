//! The state file tried out, with clocks that do what a test says.

mod clocks;
mod limits;
mod model;
mod pins;
mod processes;
mod trouble;

use std::time::Duration;

use tempfile::TempDir;
use uuid::Uuid;

use super::{Clocks, State, StateError, Taken, Why};
use crate::call::time::Time;
use crate::policy::{CounterKey, Counters, LimitKey, Recent, Take, Window};

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(86_400);
const NANO: Duration = Duration::from_nanos(1);

/// A machine whose clocks go as they are told.
#[derive(Debug, Clone, Copy)]
struct Machine {
    clocks: Clocks,
}

impl Machine {
    /// Half past ten on a November morning, two days after it was started.
    fn new() -> Machine {
        let wall = Time::parse("2026-11-22T10:30:00Z").expect("a time");
        Machine { clocks: Clocks { boot: 2 * DAY, boot_id: Some(Uuid::from_u128(1)), wall } }
    }

    fn at(wall: &str) -> Machine {
        let mut machine = Machine::new();
        machine.clocks.wall = Time::parse(wall).expect("a time");
        machine
    }

    /// So much time passes.
    fn pass(&mut self, by: Duration) {
        self.clocks.boot += by;
        self.clocks.wall = self.clocks.wall + by;
    }

    /// The wall clock is put to this time.
    fn set(&mut self, wall: &str) {
        self.clocks.wall = Time::parse(wall).expect("a time");
    }

    /// The machine is off for so long, and was started just now.
    fn restart(&mut self, off: Duration) {
        self.pass(off);
        self.clocks.boot = SECOND;
        self.clocks.boot_id = self.clocks.boot_id.map(|id| Uuid::from_u128(id.as_u128() + 1));
    }
}

fn fresh() -> (TempDir, State) {
    let folder = tempfile::tempdir().expect("a folder");
    let state = State::open(folder.path()).expect("opened");
    (folder, state)
}

fn key(name: &str) -> LimitKey {
    LimitKey(name.to_owned())
}

fn sliding(name: &str, max: u32, window: Duration) -> Take {
    Take::Sliding { key: key(name), max, window }
}

fn counter(window: Window) -> CounterKey {
    let (server, scope, name) = ("stripe".to_owned(), "charge".to_owned(), "spent".to_owned());
    CounterKey { server, scope, name, window }
}

fn amount(window: Window, amount: i64, limit: Option<i64>) -> Take {
    Take::Counter { key: counter(window), amount, limit }
}

/// Judges as a policy does: takes all if all fits by what the counters say.
fn fits(counters: &dyn Counters, takes: &[Take]) -> bool {
    takes.iter().all(|take| match take {
        Take::Sliding { key, max, window } => {
            counters.recent(key, *max, *window).is_ok_and(|recent| recent.free_in.is_zero())
        }
        Take::Counter { key, amount, limit } => counters.value(key).is_ok_and(|value| {
            value.checked_add(*amount).is_some_and(|v| limit.is_none_or(|limit| v <= limit))
        }),
    })
}

/// Takes these if all fit; what was taken.
async fn take(
    state: &State,
    clocks: Clocks,
    takes: Vec<Take>,
) -> Result<Option<Taken>, StateError> {
    let judge = |counters: &dyn Counters| match fits(counters, &takes) {
        true => ((), takes.clone()),
        false => ((), Vec::new()),
    };
    Ok(state.count(clocks, true, judge).await?.1)
}

/// Whether a place of this limit was had.
async fn passes(state: &State, machine: &Machine, take_: Take) -> bool {
    take(state, machine.clocks, vec![take_]).await.expect("counted").is_some()
}

async fn value(state: &State, machine: &Machine, window: Window) -> i64 {
    let look = |counters: &dyn Counters| (counters.value(&counter(window)), Vec::new());
    state.count(machine.clocks, false, look).await.expect("read").0.expect("told")
}

async fn recent(
    state: &State,
    machine: &Machine,
    name: &str,
    max: u32,
    window: Duration,
) -> Recent {
    let look = |counters: &dyn Counters| (counters.recent(&key(name), max, window), Vec::new());
    state.count(machine.clocks, false, look).await.expect("read").0.expect("told")
}

/// Adds without asking anybody.
async fn add(state: &State, machine: &Machine, window: Window, by: i64) {
    assert!(passes(state, machine, amount(window, by, None)).await);
}
