//! `holdpoint proxy --config FILE`: many servers behind one HTTP address.

use std::path::Path;
use std::sync::Arc;

use super::ProxyArgs;
use crate::cli::client::{Client, Role};
use crate::cli::errors::{Done, Failure};
use crate::cli::output::{Output, note};
use crate::cli::signals::Stop;
use crate::cli::state::Globals;
use crate::config::printable;
use crate::metrics::proxy::ProxyMetrics;
use crate::proxy::config::ProxyConfig;
use crate::proxy::gate::{Gate, NoPolicy, Policies, Settings};
use crate::proxy::http::serve::Serving;
use crate::telemetry::Logging;

/// What a command takes, and a file says itself.
pub fn fits(args: &ProxyArgs) -> Done {
    let given = [
        ("--policy", args.policy.is_some()),
        ("--name", args.name.is_some()),
        ("--trusted", args.trusted),
        ("--session", args.session.is_some()),
        ("--hold", args.hold.is_some()),
        ("--on-cancel", args.on_cancel.is_some()),
        ("--record", args.record.is_some()),
        ("--user", args.user.is_some()),
        ("--metrics-listen", args.metrics_listen.is_some()),
    ];
    match given.iter().find(|(_, given)| *given) {
        None => Ok(()),
        Some((flag, _)) => {
            let what = format!("{flag} is for a command, and --config was given");
            Err(Failure::usage(
                what,
                "Write it into the file: policy, name, trusted, hold, on_cancel, record, user and metrics_listen stand there.",
            ))
        }
    }
}

/// Serves until it is told to stop, or only checks the file.
pub async fn run(globals: &Globals, file: &Path, check: bool, dry_run: bool) -> Done {
    let (config, warnings) = ProxyConfig::load(file)?;
    let trusted = config.servers.iter().filter(|server| server.trusted);
    let trusted = trusted.map(|server| server.name.clone()).collect();
    let wrong = |error: NoPolicy| Failure::usage(error.to_string(), "Mend it.");
    let mut policies = Policies::open(config.policy.clone(), trusted).map_err(wrong)?;
    for server in &config.servers {
        if let Some(own) = &server.policy {
            policies = policies.with_own(&server.name, own.clone()).map_err(wrong)?;
        }
    }
    if check {
        warnings.iter().for_each(|warning| note(warning));
        let mut out = Output::stdout();
        out.line(&format!("{}: ok", printable(file)))?;
        return out.flush();
    }
    let _log = Logging::start();
    for warning in warnings {
        tracing::warn!("{warning}");
    }
    let mut stop = Stop::listen()?;
    let client = Client::new(globals, Role::Caller)?;
    let servers = config.servers.iter().map(|server| &*server.name);
    let metrics = Arc::new(ProxyMetrics::new(servers));
    let settings = Settings {
        dry_run,
        on_cancel: config.on_cancel,
        record: config.record,
        sessions_per_hour: u32::try_from(config.limits.sessions_per_hour).ok(),
        answer_within: Some(config.limits.answer),
        metrics: metrics.clone(),
    };
    let monitor = match config.metrics_listen {
        Some(address) => Some(super::Monitor::open(address, metrics).await?),
        None => None,
    };
    let gate = Gate::new(client.caller(), policies, super::state(globals)?, settings);
    let secret = secret(&client)?;
    let serving = Serving::start(&config, gate, &secret)
        .await
        .map_err(|error| Failure::new(error.to_string(), ""))?;
    let servers: Vec<&str> = config.servers.iter().map(|server| &*server.name).collect();
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        config = printable(file),
        address = serving.address,
        servers = servers.join(" "),
        daemon = client.address,
        metrics = monitor.as_ref().map(|monitor| &*monitor.address),
        dry_run,
        "serving"
    );
    stop.asked().await;
    tracing::info!("stopping: those who wait make their calls again");
    tokio::select! {
        () = serving.stop() => {}
        () = stop.asked() => {}
    }
    Ok(())
}

/// What session ids are sealed with. Sessions outlive a restart where it does.
fn secret(client: &Client) -> Done<Vec<u8>> {
    if let Some(secret) = client.secret() {
        return Ok(secret);
    }
    tracing::warn!("no token for the daemon is known yet: sessions end when the proxy does");
    let mut random = vec![0; 32];
    getrandom::fill(&mut random)
        .map_err(|error| Failure::new(format!("no random bytes: {error}"), "Try again."))?;
    Ok(random)
}
