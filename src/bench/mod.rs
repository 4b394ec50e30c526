//! `holdpoint bench`: the daemon and the proxy against what their parts can do
//! bare, on the machine that they are meant for.
//!
//! Each round runs baseline and ours one after the other, so that what else the
//! machine does meets both; a ratio is that of one round, and the table shows the
//! median of the rounds and their extremes. Nothing is asserted.
//!
//! ```text
//!   what is run      latency  pairs  submits  memory  many  starts  proxy
//!   against what     bare  rows  minimal      bare SQLite; bare tonic
//!   by whom          client  call             a caller, an operator, one call
//!   where            ground  process  server  part
//!   what comes of it table  meaning  trouble
//! ```
//!
//! Every server is a process of its own: the daemon and the proxy are this program
//! with a fresh state directory, the baselines are this program too ([`part`]).
//! The benchmarks under `tests/bench`, which need more than the program, use the
//! same parts.
//!
//! Promises: what it started and made is gone when it ends, also when it is
//! interrupted. Must never: touch a state directory that it did not make.

pub mod bare;
pub mod call;
pub mod client;
pub mod ground;
mod latency;
mod many;
pub mod meaning;
mod memory;
mod minimal;
mod pairs;
pub mod part;
pub mod process;
pub mod proxy;
mod rows;
pub mod server;
pub mod starts;
mod submits;
pub mod table;
pub mod trouble;

use clap::ValueEnum;

use ground::Ground;
use proxy::stage::Stage;
use table::Table;
use trouble::Trouble;

/// What can be measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Section {
    /// From a decision to the release of the held caller, against echo and commit
    Latency,
    /// Submit-and-decide pairs a second, 64 callers, against a minimal path
    Pairs,
    /// Durable submits a second, 1 and 128 at once; what one flush of this disk takes
    Submits,
    /// Memory and processor time of held calls, against bare tonic
    Memory,
    /// Start of the daemon, idle memory, size of the program
    Starts,
    /// An allowed call through the proxy over HTTP, against a bare relay (axum and hyper)
    Http,
    /// The same over stdio, against a relay that copies bytes
    Stdio,
    /// Memory of the proxy, idle and for each call that waits
    Proxied,
    /// 100,000 calls that wait, a kill and a restart under them, all expiring at once;
    /// only if named: a round takes five minutes
    Many,
}

impl Section {
    /// As on the command line.
    fn name(self) -> String {
        self.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
    }
}

/// How many calls `many` holds if nobody says.
const MANY: usize = 100_000;

/// How many `memory` and `proxied` hold at most if nobody says.
const HELD: usize = 10_000;

/// What is to be measured, and how often.
#[derive(Debug, Clone)]
pub struct Plan {
    /// None: all but those that are run only if they are named.
    pub sections: Vec<Section>,
    /// How often each is run.
    pub rounds: usize,
    /// How many calls are held where many are.
    pub held: Option<usize>,
    /// Calls of each kind through the proxy, in a round.
    pub calls: usize,
}

impl Plan {
    fn sections(&self) -> Vec<Section> {
        let all = Section::value_variants().iter().copied();
        all.filter(|section| match &self.sections[..] {
            [] => *section != Section::Many,
            named => named.contains(section),
        })
        .collect()
    }
}

/// Measures all that is planned, and says after each section how far it is.
pub async fn run(
    ground: &Ground,
    plan: &Plan,
    mut progress: impl FnMut(&str),
) -> Result<Table, Trouble> {
    let mut table = Table::default();
    for round in 1..=plan.rounds {
        for section in plan.sections() {
            progress(&format!("round {round} of {}: {}", plan.rounds, section.name()));
            table.begin(&section.name());
            one(ground, section, plan, &mut table).await?;
        }
    }
    table.note_load();
    Ok(table)
}

async fn one(
    ground: &Ground,
    section: Section,
    plan: &Plan,
    table: &mut Table,
) -> Result<(), Trouble> {
    let held = plan.held.unwrap_or(HELD);
    match section {
        Section::Latency => latency::round(ground, table).await,
        Section::Pairs => pairs::round(ground, table).await,
        Section::Submits => submits::round(ground, table).await,
        Section::Memory => memory::round(ground, table, held).await,
        Section::Starts => starts::round(ground, table).await,
        Section::Many => many::round(ground, table, plan.held.unwrap_or(MANY)).await,
        Section::Http => {
            let relay = proxy::http::bare_relay(ground.program().to_owned());
            proxy::http::round(&Stage::new(ground).await?, table, plan.calls, &relay).await
        }
        Section::Stdio => proxy::stdio::round(&Stage::new(ground).await?, table, plan.calls).await,
        Section::Proxied => proxy::held::round(&Stage::new(ground).await?, table, held).await,
    }
}
