//! Counts the calls that a service answers with an error, by reason.

use std::convert::Infallible;
use std::sync::Arc;
use std::task::{Context, Poll};

use tonic::Status;
use tonic::codegen::{BoxFuture, Service, http};
use tonic::server::NamedService;
use tonic_types::StatusExt;

use crate::desk::Desk;
use crate::metrics::Metrics;

/// A service whose refusals are counted.
#[derive(Debug, Clone)]
pub struct Counted<S> {
    inner: S,
    metrics: Arc<Metrics>,
}

impl<S> Counted<S> {
    /// Counts what `inner` refuses.
    pub fn new(inner: S, desk: &Desk) -> Self {
        Counted { inner, metrics: desk.metrics().clone() }
    }
}

impl<S: NamedService> NamedService for Counted<S> {
    const NAME: &'static str = S::NAME;
}

impl<S, R, B> Service<http::Request<R>> for Counted<S>
where
    S: Service<http::Request<R>, Response = http::Response<B>, Error = Infallible>,
    S::Future: Send + 'static,
{
    type Response = http::Response<B>;
    type Error = Infallible;
    type Future = BoxFuture<Self::Response, Infallible>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: http::Request<R>) -> Self::Future {
        let (answer, metrics) = (self.inner.call(request), self.metrics.clone());
        Box::pin(async move {
            let answer = answer.await?;
            // An error without a message before it stands in the headers. Whatever
            // else is said of the call comes after its answer, and is none of these.
            if let Some(status) = Status::from_header_map(answer.headers()) {
                let info = status.get_details_error_info();
                metrics.refused(&info.map(|info| info.reason).unwrap_or_default());
            }
            Ok(answer)
        })
    }
}
