//! `holdpoint bench`: what this machine makes of the daemon and the proxy.

use std::path::{Path, PathBuf};

use clap::Args;
use rustix::fs::{Access, access};

use super::errors::{Done, Failure, exit};
use super::output::{Output, note};
use super::signals::Stop;
use super::state::Globals;
use super::text::safe;
use crate::bench::ground::Ground;
use crate::bench::part::Part;
use crate::bench::trouble::Trouble;
use crate::bench::{self, Plan, Section, meaning};

/// How a shell says that Ctrl-C ended a command.
const INTERRUPTED: u8 = exit::SIGNALLED + 2;

/// As many as a daemon holds if its configuration does not say (`limits.max_held`).
const MOST_HELD: u32 = 150_000;

fn up_to(most: u32) -> impl clap::builder::TypedValueParser<Value = u32> {
    clap::value_parser!(u32).range(1..=i64::from(most))
}

/// What to do where a measurement fails.
const NEXT: &str = "See whether this machine is out of disk, memory, processes or open files.";

/// Measure this machine: the daemon and the proxy against what their parts can do
/// bare, each round one after the other, in one table.
///
/// Runs its own daemons and proxies in a folder of its own, and removes what it
/// made, also after Ctrl-C. All sections but `many`, seven rounds, take some ten
/// minutes. Figures of a machine that does other things at the same time mean
/// little; ratios to the baseline, which met the same, mean more.
#[derive(Debug, Clone, Args)]
pub struct BenchArgs {
    /// What to measure [default: all but `many`]
    #[arg(value_name = "SECTION")]
    sections: Vec<Section>,
    /// A folder on the disk that is asked about [default: the folder that the state
    /// directory is in, or else the current one]
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// How often each section is measured
    #[arg(long, value_name = "N", default_value = "7", value_parser = up_to(1000))]
    rounds: u32,
    /// How many calls are held [default: 10000, in `many` 100000]
    #[arg(long, value_name = "N", value_parser = up_to(MOST_HELD))]
    held: Option<u32>,
    /// Calls through the proxy, of each kind in a round
    #[arg(long, value_name = "N", default_value = "3000", value_parser = up_to(1_000_000))]
    calls: u32,
    /// One JSON object a line of the table, for programs
    #[arg(long)]
    json: bool,
}

/// A baseline, or another part of a benchmark; started by `bench` alone.
#[derive(Debug, Clone, Args)]
pub struct PartArgs {
    part: Part,
    #[arg(default_value = "")]
    argument: String,
}

/// Measures, and prints.
pub async fn run(globals: &Globals, args: BenchArgs) -> Done {
    let mut stop = Stop::listen()?;
    let program = std::env::current_exe().map_err(|error| {
        Failure::new(format!("cannot find this program: {error}"), "Start it by its whole path.")
    })?;
    let disk = match &args.dir {
        Some(dir) => dir.clone(),
        None => usual(globals),
    };
    let ground = Ground::new(&disk, program).map_err(|trouble| {
        Failure::new(
            format!("cannot measure in {}: {}", safe(&disk.to_string_lossy()), said(&trouble)),
            "Name a folder that can be written and has a short path with --dir.",
        )
    })?;
    let place = std::path::absolute(&disk).unwrap_or(disk);
    let place = safe(&place.to_string_lossy());
    note(&format!("holdpoint: measuring in {place}"));
    if cfg!(debug_assertions) {
        note("holdpoint: this is a debug build: it is several times as slow as a release");
    }
    let plan = Plan {
        sections: args.sections,
        rounds: args.rounds as usize,
        held: args.held.map(|held| held as usize),
        calls: args.calls as usize,
    };
    let measured = tokio::select! {
        measured = bench::run(&ground, &plan, |line| note(&format!("holdpoint: {line}"))) => measured,
        () = stop.asked() => {
            note("holdpoint: stopped; what was made for it goes");
            return Err(Failure::quiet(INTERRUPTED));
        }
    };
    let table = measured.map_err(|trouble| Failure::new(said(&trouble), NEXT))?;
    let mut out = Output::stdout();
    if args.json {
        for line in table.json(plan.rounds) {
            out.line(&line.to_text())?;
        }
        return out.flush();
    }
    out.line(&format!("holdpoint {}, on the disk of {place}", env!("CARGO_PKG_VERSION")))?;
    out.text(&table.text(plan.rounds))?;
    out.line("")?;
    for sentence in meaning::sentences(&table) {
        out.line(&sentence)?;
    }
    out.flush()
}

/// Is one of the parts, until it is ended.
pub async fn part(args: PartArgs) -> Done {
    args.part.play(args.argument).await.map_err(|trouble| Failure::new(said(&trouble), ""))
}

fn said(trouble: &Trouble) -> String {
    safe(&trouble.to_string())
}

/// The folder in which the state directory is or would be, if it is there and can be
/// written; else the current one.
fn usual(globals: &Globals) -> PathBuf {
    let writable = Access::WRITE_OK | Access::EXEC_OK;
    let state = globals.paths().ok().map(|paths| paths.dir);
    let beside =
        state.as_deref().and_then(Path::parent).filter(|dir| access(*dir, writable).is_ok());
    beside.map_or_else(|| PathBuf::from("."), Path::to_owned)
}
