//! `holdpoint serve`: the daemon, until it is told to stop.

use clap::Args;

use super::errors::{Done, Failure};
use super::output;
use super::signals::Stop;
use super::state::Globals;
use crate::config::{Config, printable};
use crate::daemon::Daemon;
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
    let log = Logging::start();
    let (config, warnings) = Config::load(globals.overrides()).map_err(Failure::from)?;
    for warning in warnings {
        tracing::warn!("{warning}");
    }
    // Listening for signals begins first: one that comes during the start ends it well.
    let mut stop = Stop::listen()?;
    let daemon = Daemon::start(&config, &log).await.map_err(|e| Failure::new(e.to_string(), ""))?;
    if config.local_mode() {
        output::note(LOCAL_MODE);
    }
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        mode = if config.local_mode() { "local" } else { "team" },
        config = config.file.as_deref().map(printable),
        addresses = daemon.addresses.join(" "),
        metrics = daemon.metrics_at,
        mail = daemon.mail_goes,
        "serving"
    );
    stop.asked().await;
    tracing::info!(held = daemon.desk().held(), "stopping: those who wait are told to come back");
    daemon.stop().await;
    tracing::info!("stopped");
    Ok(())
}
