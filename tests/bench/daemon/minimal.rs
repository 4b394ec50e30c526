//! The minimal path: bare tonic that speaks the contract, knows nobody, checks
//! nothing, and puts a bare group-commit writer (or none) behind it.

use std::collections::HashMap;
use std::path::Path;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};

use holdpoint::call::ids::RequestId;
use holdpoint::proto::caller_service_server::{CallerService, CallerServiceServer};
use holdpoint::proto::operator_service_server::{OperatorService, OperatorServiceServer};
use holdpoint::proto::{self, watch_event::Event};
use sha2::{Digest as _, Sha256};
use tokio::net::UnixListener;
use tokio::sync::{broadcast, mpsc, oneshot};
use tokio_stream::wrappers::{ReceiverStream, UnixListenerStream};
use tokio_stream::{Stream, StreamExt};
use tonic::transport::Server;
use tonic::{Request, Response, Status};

use super::bare::{Bare, Row, Rows, Write, Writer};
use super::client::{CONNECTION_WINDOW, STREAM_WINDOW};

type Answer<T> = Result<Response<T>, Status>;

struct Minimal {
    writer: Option<Writer>,
    waiting: Mutex<HashMap<[u8; 16], oneshot::Sender<()>>>,
    events: broadcast::Sender<Arc<proto::Request>>,
}

/// Serves until killed.
pub fn serve(dir: &Path, rows: Option<Rows>) {
    let writer = rows.map(|rows| Writer::start(Bare::open(dir, rows)));
    let minimal = Arc::new(Minimal {
        writer,
        waiting: Mutex::default(),
        events: broadcast::channel(65_536).0,
    });
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    runtime.expect("a runtime").block_on(async {
        let socket = UnixListener::bind(dir.join("holdpoint.sock")).expect("a socket");
        Server::builder()
            .max_concurrent_streams(65_536)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .initial_stream_window_size(STREAM_WINDOW)
            .add_service(CallerServiceServer::from_arc(minimal.clone()))
            .add_service(OperatorServiceServer::from_arc(minimal))
            .serve_with_incoming(UnixListenerStream::new(socket))
            .await
            .expect("serving");
    });
}

fn none<T>() -> Answer<T> {
    Err(Status::unimplemented("not on the minimal path"))
}

#[tonic::async_trait]
impl CallerService for Minimal {
    async fn request_approval(
        &self,
        request: Request<proto::RequestApprovalRequest>,
    ) -> Answer<proto::ApprovalAnswer> {
        // What is not named here is dropped at once: nothing that is not needed
        // is kept while the call is held.
        let proto::RequestApprovalRequest { call_id, call, .. } = request.into_inner();
        let proto::Call { server, tool, arguments, .. } = *call.unwrap_or_default();
        let id = super::call::fresh_id();
        let arguments = String::from_utf8(arguments).unwrap_or_default();
        let digest: [u8; 32] = Sha256::digest(&arguments).into();
        let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        let (wake, ended) = oneshot::channel();
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).insert(*id.as_bytes(), wake);
        let shown = arguments.clone();
        if let Some(writer) = &self.writer {
            let row = Row { id: *id.as_bytes(), call_id, digest, arguments };
            writer.write(Write::Submit(Box::new(row))).await;
        }
        let _ = self.events.send(Arc::new(proto::Request {
            id: id.to_string(),
            status: proto::Status::Pending.into(),
            digest: hex.clone(),
            server,
            tool,
            arguments: shown,
            ..proto::Request::default()
        }));
        let _ = ended.await;
        Ok(Response::new(proto::ApprovalAnswer {
            id: id.to_string(),
            status: proto::Status::Approved.into(),
            digest: hex,
            ..proto::ApprovalAnswer::default()
        }))
    }

    /// The echo: the page token comes back.
    async fn list_my_requests(
        &self,
        request: Request<proto::ListMyRequestsRequest>,
    ) -> Answer<proto::ListMyRequestsResponse> {
        let next_page_token = request.into_inner().page_token;
        Ok(Response::new(proto::ListMyRequestsResponse { next_page_token, ..Default::default() }))
    }

    async fn await_approval(
        &self,
        _: Request<proto::AwaitApprovalRequest>,
    ) -> Answer<proto::ApprovalAnswer> {
        none()
    }

    async fn find_request(
        &self,
        _: Request<proto::FindRequestRequest>,
    ) -> Answer<proto::FindRequestResponse> {
        none()
    }

    async fn take_use(&self, _: Request<proto::TakeUseRequest>) -> Answer<proto::TakeUseResponse> {
        none()
    }

    async fn renew_use(
        &self,
        _: Request<proto::RenewUseRequest>,
    ) -> Answer<proto::RenewUseResponse> {
        none()
    }

    async fn report_outcome(
        &self,
        _: Request<proto::ReportOutcomeRequest>,
    ) -> Answer<proto::ReportOutcomeResponse> {
        none()
    }

    async fn withdraw_approval(
        &self,
        _: Request<proto::WithdrawApprovalRequest>,
    ) -> Answer<proto::WithdrawApprovalResponse> {
        none()
    }

    async fn record_calls(
        &self,
        _: Request<proto::RecordCallsRequest>,
    ) -> Answer<proto::RecordCallsResponse> {
        none()
    }

    async fn report_definition(
        &self,
        _: Request<proto::ReportDefinitionRequest>,
    ) -> Answer<proto::ReportDefinitionResponse> {
        none()
    }
}

#[tonic::async_trait]
impl OperatorService for Minimal {
    async fn decide(
        &self,
        request: Request<proto::DecideRequest>,
    ) -> Answer<proto::DecideResponse> {
        let id: RequestId =
            request.into_inner().id.parse().map_err(|_| Status::invalid_argument("id"))?;
        if let Some(writer) = &self.writer {
            writer.write(Write::Decide(*id.as_bytes())).await;
        }
        let wake =
            self.waiting.lock().unwrap_or_else(PoisonError::into_inner).remove(id.as_bytes());
        if let Some(wake) = wake {
            let _ = wake.send(());
        }
        Ok(Response::new(proto::DecideResponse::default()))
    }

    type WatchRequestsStream =
        Pin<Box<dyn Stream<Item = Result<proto::WatchEvent, Status>> + Send + 'static>>;

    async fn watch_requests(
        &self,
        _: Request<proto::WatchRequestsRequest>,
    ) -> Answer<Self::WatchRequestsStream> {
        let mut events = self.events.subscribe();
        let (sender, receiver) = mpsc::channel(16);
        tokio::spawn(async move {
            let say = |event, kind: &str| proto::WatchEvent {
                event: Some(event),
                kind: kind.to_owned(),
                sequence: 0,
            };
            let ready = say(Event::Ready(proto::watch_event::Ready {}), "");
            if sender.send(ready).await.is_err() {
                return;
            }
            while let Ok(request) = events.recv().await {
                let event = say(Event::Request((*request).clone()), "requested");
                if sender.send(event).await.is_err() {
                    return;
                }
            }
        });
        Ok(Response::new(Box::pin(ReceiverStream::new(receiver).map(Ok))))
    }

    async fn list_pending(
        &self,
        _: Request<proto::ListPendingRequest>,
    ) -> Answer<proto::ListPendingResponse> {
        none()
    }

    async fn list_mail(
        &self,
        _: Request<proto::ListMailRequest>,
    ) -> Answer<proto::ListMailResponse> {
        none()
    }

    async fn retry_mail(
        &self,
        _: Request<proto::RetryMailRequest>,
    ) -> Answer<proto::RetryMailResponse> {
        none()
    }

    async fn get_request(
        &self,
        _: Request<proto::GetRequestRequest>,
    ) -> Answer<proto::GetRequestResponse> {
        none()
    }

    async fn lift_denial(
        &self,
        _: Request<proto::LiftDenialRequest>,
    ) -> Answer<proto::LiftDenialResponse> {
        none()
    }

    async fn confirm_clock(
        &self,
        _: Request<proto::ConfirmClockRequest>,
    ) -> Answer<proto::ConfirmClockResponse> {
        none()
    }

    async fn list_definition_changes(
        &self,
        _: Request<proto::ListDefinitionChangesRequest>,
    ) -> Answer<proto::ListDefinitionChangesResponse> {
        none()
    }

    async fn accept_definition(
        &self,
        _: Request<proto::AcceptDefinitionRequest>,
    ) -> Answer<proto::AcceptDefinitionResponse> {
        none()
    }

    async fn who_am_i(&self, _: Request<proto::WhoAmIRequest>) -> Answer<proto::WhoAmIResponse> {
        none()
    }
}
