//! Logs: for people on a terminal, JSON otherwise; always to stderr.
//!
//! Must never: carry arguments, reasons or tokens. Request ids and names do.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

/// Starts logging. `HOLDPOINT_LOG` takes tracing's filter language; default `info`.
pub fn start() {
    const USUAL: &str = "info,h2=warn,hyper=warn,tower=warn";
    let asked = std::env::var("HOLDPOINT_LOG").unwrap_or_default();
    let filter = if asked.is_empty() { USUAL } else { &asked };
    let (filter, bad) = match EnvFilter::try_new(filter) {
        Ok(filter) => (filter, None),
        Err(error) => (EnvFilter::new(USUAL), Some(error)),
    };
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    // A log that cannot be written is no reason to end: to say so, on the same
    // broken stderr, would panic.
    let builder = builder.log_internal_errors(false);
    // A second start (tests) keeps the first one's settings.
    let _ = if std::io::stderr().is_terminal() {
        builder.with_target(false).try_init()
    } else {
        builder.json().flatten_event(true).with_ansi(false).try_init()
    };
    if let Some(error) = bad {
        tracing::warn!(%error, "HOLDPOINT_LOG is not a filter such as info or holdpoint=debug; info holds");
    }
}
