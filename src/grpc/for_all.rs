//! What anybody may ask: health and reflection.
//!
//! Both have calls that stay open for as long as the client likes. Promises: who
//! need not say who they are has only a few of those open on a connection.

use std::pin::Pin;
use std::task::{Context, Poll};

use tonic::body::Body;
use tonic::codegen::http::{Request, Response};
use tonic::codegen::{Body as HttpBody, BoxFuture, Bytes, Service};
use tonic::server::NamedService;
use tonic::{Code, Status};

use super::errors::refuse;
use crate::doors::{GREETINGS_AT_MOST, Greeting, Peer};

/// A service without a token check.
#[derive(Debug, Clone)]
pub struct ForAll<S>(pub S);

impl<S: NamedService> NamedService for ForAll<S> {
    const NAME: &'static str = S::NAME;
}

impl<S> Service<Request<Body>> for ForAll<S>
where
    S: Service<Request<Body>, Response = Response<Body>>,
    S::Future: Send + 'static,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = BoxFuture<Response<Body>, S::Error>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let greeting = match request.extensions().get::<Peer>().map(Peer::greets) {
            Some(None) => return Box::pin(async { Ok(too_many().into_http()) }),
            Some(Some(greeting)) => Some(greeting),
            // Served without our doors, in a test.
            None => None,
        };
        let answer = self.0.call(request);
        Box::pin(async move {
            let held = |body| Body::new(Held { body, _greeting: greeting });
            Ok(answer.await?.map(held))
        })
    }
}

fn too_many() -> Status {
    refuse(
        Code::ResourceExhausted,
        "OVERLOADED",
        format!(
            "{GREETINGS_AT_MOST} health or reflection calls are open on this connection already; end one of them"
        ),
    )
}

/// An answer that counts as open until it is at its end, or nobody wants it.
struct Held {
    body: Body,
    _greeting: Option<Greeting>,
}

impl HttpBody for Held {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<http_body::Frame<Bytes>, Status>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> http_body::SizeHint {
        self.body.size_hint()
    }
}
