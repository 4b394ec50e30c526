//! From the start of the process until it says that it serves, on an empty state
//! directory; what it keeps in memory when it is idle; how large the program is.

use std::time::Duration;

use super::ground::Ground;
use super::server::{Kind, Running};
use super::table::Table;
use super::trouble::{During as _, Trouble};

/// What stands for itself in the sentence after the table.
pub(super) const IDLE: &str = "idle memory of the daemon : bare tonic";

/// Until allocations of the start are given back and nothing is left to do.
pub const SETTLED: Duration = Duration::from_secs(2);

pub(super) async fn round(ground: &Ground, table: &mut Table) -> Result<(), Trouble> {
    let tonic = Running::start(ground, Kind::Tonic).await?;
    let daemon = Running::start(ground, Kind::DaemonWithPages).await?;
    let ms = |server: &Running| server.served_after.as_secs_f64() * 1e3;
    table.row("serving after its start : bare tonic", "ms", ms(&tonic), ms(&daemon));
    tokio::time::sleep(SETTLED).await;
    table.row(IDLE, "MiB", tonic.resident_mib(), daemon.resident_mib());
    let program = std::fs::metadata(ground.program()).during("looking at the program")?;
    table.alone("size of the program", "MiB", program.len() as f64 / 1024.0 / 1024.0);
    Ok(())
}
