//! The same door for a proxy: `/metrics` as [`crate::metrics::proxy`] lists them, and
//! `/livez`. A proxy is ready when it listens.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use axum::routing::get;
use tokio::net::TcpListener;

use super::{connections, printed, readings};
use crate::metrics::proxy::ProxyMetrics;

/// Serves until it is dropped.
pub async fn serve(metrics: Arc<ProxyMetrics>, listener: TcpListener) {
    let router = Router::new()
        .route("/metrics", get(page))
        .route("/livez", get(|| async { "ok\n" }))
        .with_state(metrics);
    connections::serve(router, listener).await;
}

async fn page(State(metrics): State<Arc<ProxyMetrics>>, headers: HeaderMap) -> Response {
    let read = readings::of_process().await;
    printed(&headers, &[metrics.registry(), &read])
}
