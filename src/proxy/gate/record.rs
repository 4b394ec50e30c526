//! Calls that were allowed or denied without asking anybody, on their way into
//! the daemon's history.
//!
//! They are told in batches, beside the calls: a call that the policy allows does
//! not wait for the daemon. While the daemon is away they wait in a bounded
//! queue, bounded in number and in bytes; those that find it full are counted, and
//! the count is logged.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use prost::Message as _;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::task::JoinHandle;
use tokio::time::sleep;

use crate::client::{brief, worth_retrying};
use crate::hold::Service;
use crate::proto;
use crate::proxy::locked;

/// Calls that may wait to be told: some minutes of a busy agent's.
const WAITING: usize = 4096;
/// The bytes that may wait so. The daemon takes arguments of 1 MiB at most.
const WAITING_BYTES: usize = 64 << 20;
/// The most calls in one batch: as many as the daemon takes. A busy proxy fills them,
/// and each costs a round trip and a transaction.
const BATCH: usize = 1000;
/// The most bytes of arguments in one batch, well below what the daemon takes.
const BATCH_BYTES: usize = 512 * 1024;
/// How long a batch gathers.
const GATHER: Duration = Duration::from_millis(200);
/// Between attempts while the daemon is away.
const PAUSE: Duration = Duration::from_secs(2);
/// How long the last of them may take when the proxy ends.
const LAST_WITHIN: Duration = Duration::from_secs(2);

/// How long a call waits to be recorded that is not to run unrecorded.
const NOW_WITHIN: Duration = Duration::from_secs(5);

/// Where calls are told that were not held.
#[derive(Debug)]
pub struct Recorder {
    service: Service,
    tell: mpsc::Sender<Told>,
    /// One for each byte that may still wait.
    room: Arc<Semaphore>,
    lost: AtomicU64,
    teller: std::sync::Mutex<Option<JoinHandle<()>>>,
}

/// A call that waits to be told, and its room.
type Told = (proto::RecordedCall, OwnedSemaphorePermit);

impl Recorder {
    /// Starts telling.
    pub fn start(service: Service) -> Recorder {
        let (tell, told) = mpsc::channel(WAITING);
        let teller = tokio::spawn(tell_all(service.clone(), told));
        let room = Arc::new(Semaphore::new(WAITING_BYTES));
        Recorder { service, tell, room, lost: AtomicU64::new(0), teller: Some(teller).into() }
    }

    /// Tells of one call, and returns once the daemon has recorded it.
    ///
    /// # Errors
    /// It has not, as far as is known: why, as a sentence.
    pub async fn record_now(&self, recorded: proto::RecordedCall) -> Result<(), String> {
        let mut service = self.service.clone();
        let message = proto::RecordCallsRequest { calls: vec![recorded] };
        let telling = service.record_calls(brief(message));
        match tokio::time::timeout(NOW_WITHIN, telling).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(status)) if worth_retrying(&status) => {
                Err("the approval service is away".to_owned())
            }
            Ok(Err(status)) => Err(status.message().to_owned()),
            Err(_) => Err("the approval service does not answer".to_owned()),
        }
    }

    /// Tells of one call, later.
    pub fn record(&self, recorded: proto::RecordedCall) {
        let bytes = u32::try_from(recorded.encoded_len()).unwrap_or(u32::MAX);
        let room = self.room.clone().try_acquire_many_owned(bytes).ok();
        if room.and_then(|room| self.tell.try_send((recorded, room)).ok()).is_none() {
            let lost = self.lost.fetch_add(1, Ordering::Relaxed) + 1;
            // Said at the first, the second, the fourth...: a log is not to flood.
            if lost.is_power_of_two() {
                tracing::warn!(
                    lost,
                    "calls are missing from the history: the daemon is away or slow"
                );
            }
        }
    }

    /// Tells what still waits, for a moment.
    pub async fn finish(&self) {
        let teller = locked(&self.teller).take();
        let Some(teller) = teller else { return };
        // Once the queue is empty there is nothing to wait for.
        let empty = async {
            while self.tell.capacity() < WAITING {
                sleep(Duration::from_millis(10)).await;
            }
            sleep(GATHER + Duration::from_millis(100)).await;
        };
        let _ = tokio::time::timeout(LAST_WITHIN, empty).await;
        teller.abort();
    }
}

async fn tell_all(mut service: Service, mut told: mpsc::Receiver<Told>) {
    let size = |told: &Told| told.0.call.as_ref().map_or(0, |call| call.arguments.len());
    let mut next = None;
    loop {
        let Some(first) = (match next.take() {
            Some(call) => Some(call),
            None => told.recv().await,
        }) else {
            return;
        };
        let mut bytes = size(&first);
        let mut calls = vec![first];
        let gathered = sleep(GATHER);
        tokio::pin!(gathered);
        while calls.len() < BATCH {
            let call = tokio::select! {
                call = told.recv() => call,
                () = &mut gathered => None,
            };
            let Some(call) = call else { break };
            bytes += size(&call);
            if bytes > BATCH_BYTES {
                next = Some(call);
                break;
            }
            calls.push(call);
        }
        // Their room is free again once they are told.
        let (calls, _room): (_, Vec<_>) = calls.into_iter().unzip();
        tell_batch(&mut service, calls).await;
    }
}

async fn tell_batch(service: &mut Service, calls: Vec<proto::RecordedCall>) {
    let message = proto::RecordCallsRequest { calls };
    let mut warned = false;
    loop {
        let Err(status) = service.record_calls(brief(message.clone())).await else {
            return;
        };
        if !worth_retrying(&status) {
            return refused(service, message, &status).await;
        }
        if !warned {
            tracing::warn!("the history is not told of calls that pass: the daemon is away");
            warned = true;
        }
        sleep(PAUSE).await;
    }
}

/// One call that the daemon does not take is not to cost the others their entry.
async fn refused(service: &mut Service, message: proto::RecordCallsRequest, why: &tonic::Status) {
    if message.calls.len() == 1 {
        let reason = crate::client::reason_of(why).unwrap_or_default();
        tracing::warn!(reason, "a call is missing from the history: the daemon does not take it");
        return;
    }
    for call in message.calls {
        Box::pin(tell_batch(service, vec![call])).await;
    }
}

#[cfg(test)]
mod tests {
    use tonic::service::interceptor::InterceptedService;
    use tonic::transport::Endpoint;

    use super::*;
    use crate::client::Bearer;

    #[tokio::test]
    async fn what_waits_for_a_daemon_that_is_away_is_bounded_in_bytes() {
        // Nobody listens there.
        let away = Endpoint::from_static("http://127.0.0.1:1").connect_lazy();
        let recorder = Recorder::start(Service::new(InterceptedService::new(away, Bearer::None)));
        let arguments = vec![b'x'; 1 << 20];
        for _ in 0..100 {
            let call = proto::Call { arguments: arguments.clone(), ..Default::default() };
            recorder.record(proto::RecordedCall { call: Some(call), ..Default::default() });
        }
        assert_eq!(recorder.lost.load(Ordering::Relaxed), 100 - 63);
        recorder.record(proto::RecordedCall::default());
        assert_eq!(recorder.lost.load(Ordering::Relaxed), 100 - 63);
    }
}
