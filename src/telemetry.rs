//! Logs: for people on a terminal, JSON otherwise; always to stderr.
//!
//! Must never: carry arguments, reasons or tokens. Request ids and names do.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

/// Starts logging. `HOLDPOINT_LOG` takes tracing's filter language; default `info`.
pub fn start() {
    let filter = EnvFilter::try_from_env("HOLDPOINT_LOG")
        .unwrap_or_else(|_| EnvFilter::new("info,h2=warn,hyper=warn,tower=warn"));
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    // A second start (tests) keeps the first one's settings.
    let _ = if std::io::stderr().is_terminal() {
        builder.with_target(false).try_init()
    } else {
        builder.json().flatten_event(true).with_ansi(false).try_init()
    };
}
