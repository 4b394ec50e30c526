//! `holdpoint serve`: the daemon, until it is told to stop.

use clap::Args;

use super::errors::{Done, Failure};
use super::output;
use super::signals::{Asked, DaemonSignals};
use super::state::Globals;
use crate::config::{Config, printable};
use crate::daemon::systemd::Sockets;
use crate::daemon::{CannotStart, Daemon, STOP_WITHIN};
use crate::telemetry::Logging;

/// Run the daemon
#[derive(Debug, Args)]
pub struct ServeArgs {}

/// What local mode does not protect against, said before anything else.
pub const LOCAL_MODE: &str = "\
local mode: no identities are configured, so any program of this user can both ask and decide,
an agent that runs as this user too. Decisions are recorded with strength \"local\". For real use
run the daemon as a user of its own and give callers and operators tokens: `holdpoint config init`.";

/// Runs the daemon.
pub async fn run(globals: &Globals, _args: ServeArgs) -> Done {
    // First of all: they are known by their numbers, and the variables go.
    let sockets = Sockets::passed();
    let log = Logging::start();
    let (config, warnings) = Config::load(globals.overrides()).map_err(Failure::from)?;
    for warning in warnings {
        tracing::warn!("{warning}");
    }
    // Listening for signals begins first: one that comes during the start ends it well.
    let mut signals = DaemonSignals::listen()?;
    let cannot_start = |e: CannotStart| Failure::new(e.to_string(), "");
    let sockets = sockets.map_err(cannot_start)?;
    let mut daemon = Daemon::start(&config, sockets, log.dropped()).await.map_err(cannot_start)?;
    if config.local_mode() {
        output::note(LOCAL_MODE);
    }
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        mode = if config.local_mode() { "local" } else { "team" },
        config = config.file.as_deref().map(printable),
        addresses = daemon.addresses.join(" "),
        metrics = daemon.metrics_at,
        pages = daemon.pages_at,
        mail = daemon.mail_goes,
        "serving"
    );
    while signals.next().await == Asked::Reload {
        let overrides = globals.overrides();
        tokio::select! {
            () = daemon.reload_by(|| Config::load(overrides)) => {}
            // The store may hang. A stop ends what a reload waits for.
            () = signals.stop() => break,
        }
    }
    tracing::info!(held = daemon.desk().held(), "stopping: those who wait are told to come back");
    tokio::select! {
        in_time = daemon.stop() => match in_time {
            true => tracing::info!("stopped"),
            false => return Err(Failure::new(
                format!("not everything ended within {} s, and was cut off", STOP_WITHIN.as_secs()),
                "What was acknowledged is on disk.",
            )),
        },
        () = signals.stop() => return Err(Failure::new(
            "stopped at once, by a second signal",
            "What was acknowledged is on disk.",
        )),
    }
    Ok(())
}
