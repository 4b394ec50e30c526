//! The door for monitoring: an address of its own, which `metrics_listen` opens.
//!
//! | path | answer |
//! |---|---|
//! | `/metrics` | what [`crate::metrics`] lists, for Prometheus |
//! | `/livez` | 200 while the daemon and its store's thread have their turns; 503, or silence, means that a restart would help |
//! | `/readyz` | 200 while the daemon serves and its store can write; else 503 and the reason, in a line |
//!
//! Promises: nobody needs to say who they are, and nothing about any call, person
//! or program is told; a client that stalls costs one of a few connections for
//! seconds, and holds up neither decisions nor other clients.
//!
//! Must never: change anything, or be the reason why something else waits.

mod connections;
pub mod proxy;
mod readings;

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use prometheus_client::registry::Registry;
use tokio::net::TcpListener;

use crate::call::safe_text::SafeText;
use crate::desk::Desk;
use crate::doors::DoorCounts;
use crate::metrics::page::{Format, page};
use crate::store::{Health, STUCK};
use crate::telemetry::Dropped;
use readings::Readings;

/// Serves until it is dropped.
pub async fn serve(
    desk: Arc<Desk>,
    doors: Arc<DoorCounts>,
    dropped: Dropped,
    listener: TcpListener,
) {
    let pages = Arc::new(Pages { readings: Readings::new(desk.clone(), doors, dropped), desk });
    let router = Router::new()
        .route("/metrics", get(metrics))
        .route("/livez", get(alive))
        .route("/readyz", get(ready))
        .with_state(pages);
    connections::serve(router, listener).await;
}

struct Pages {
    desk: Arc<Desk>,
    readings: Readings,
}

async fn metrics(State(pages): State<Arc<Pages>>, headers: HeaderMap) -> Response {
    let read = pages.readings.read().await;
    printed(&headers, &[pages.desk.metrics().registry(), &read])
}

/// The page, in the form that a client asks for.
fn printed(headers: &HeaderMap, registries: &[&Registry]) -> Response {
    let accept = headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok());
    let format = Format::accepted(accept.unwrap_or_default());
    match page(registries, format) {
        Ok(text) => ([(header::CONTENT_TYPE, format.content_type())], text).into_response(),
        // Writing to a string fails only where a metric's own encoding does.
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")).into_response(),
    }
}

/// A store that cannot write, on a full disk say, is alive: a restart mends nothing.
async fn alive(State(pages): State<Arc<Pages>>) -> Response {
    match pages.desk.store().silent_for() < STUCK {
        true => "ok\n".into_response(),
        false => not_so("the store's thread is stuck"),
    }
}

async fn ready(State(pages): State<Arc<Pages>>) -> Response {
    if *pages.desk.closing().borrow() {
        return not_so("the daemon is stopping");
    }
    match &*pages.desk.store().health().borrow() {
        Health::Serving => "ok\n".into_response(),
        Health::Failing(why) => not_so(why),
    }
}

fn not_so(why: &str) -> Response {
    (StatusCode::SERVICE_UNAVAILABLE, format!("{}\n", SafeText::line(why))).into_response()
}
