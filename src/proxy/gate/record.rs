//! Calls that were allowed or denied without asking anybody, on their way into
//! the daemon's history.
//!
//! They are told in batches, beside the calls: a call that the policy allows does
//! not wait for the daemon. While the daemon is away they wait in a bounded
//! queue, bounded in number and in bytes; those that find it full are counted, and
//! the count is logged.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use prost::Message as _;
use tokio::sync::Notify;
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
    queue: Arc<Queue>,
    lost: AtomicU64,
    teller: Mutex<Option<JoinHandle<()>>>,
}

/// Calls that wait to be told. A call that is added wakes nobody, unless it is the
/// first, or fills a batch: to wake a task costs more than to add one.
#[derive(Debug, Default)]
struct Queue {
    waiting: Mutex<Waiting>,
    /// The first came, or a batch is full.
    news: Notify,
    /// The last of a batch was told.
    told: Notify,
}

#[derive(Debug, Default)]
struct Waiting {
    /// Each with its bytes.
    calls: VecDeque<(proto::RecordedCall, usize)>,
    /// Those of them, and of the calls that are being told.
    bytes: usize,
    /// How many are being told.
    telling: usize,
    /// The bytes of arguments of those that wait.
    arguments: usize,
}

impl Waiting {
    fn fills_a_batch(&self) -> bool {
        self.calls.len() >= BATCH || self.arguments >= BATCH_BYTES
    }
}

impl Queue {
    /// Adds a call. False: there is no room.
    fn add(&self, recorded: proto::RecordedCall) -> bool {
        let bytes = recorded.encoded_len();
        let mut waiting = locked(&self.waiting);
        if waiting.calls.len() >= WAITING || waiting.bytes + bytes > WAITING_BYTES {
            return false;
        }
        let (was_empty, was_full) = (waiting.calls.is_empty(), waiting.fills_a_batch());
        waiting.bytes += bytes;
        waiting.arguments += arguments(&recorded);
        waiting.calls.push_back((recorded, bytes));
        let is_news = was_empty || waiting.fills_a_batch() && !was_full;
        drop(waiting);
        if is_news {
            self.news.notify_one();
        }
        true
    }

    /// Waits for a first call, and then until a batch is full or has gathered for long
    /// enough.
    async fn gathered(&self) {
        while locked(&self.waiting).calls.is_empty() {
            self.news.notified().await;
        }
        let full = async {
            while !locked(&self.waiting).fills_a_batch() {
                self.news.notified().await;
            }
        };
        let _ = tokio::time::timeout(GATHER, full).await;
    }

    /// The next batch, and its bytes.
    fn next(&self) -> (Vec<proto::RecordedCall>, usize) {
        let mut waiting = locked(&self.waiting);
        let (mut calls, mut bytes, mut size) = (Vec::new(), 0, 0);
        while calls.len() < BATCH
            && let Some((call, its_bytes)) = waiting.calls.pop_front()
        {
            size += arguments(&call);
            if size > BATCH_BYTES && !calls.is_empty() {
                waiting.calls.push_front((call, its_bytes));
                break;
            }
            waiting.arguments -= arguments(&call);
            bytes += its_bytes;
            calls.push(call);
        }
        waiting.telling = calls.len();
        (calls, bytes)
    }

    /// A batch was told: its room is free again.
    fn done(&self, bytes: usize) {
        let mut waiting = locked(&self.waiting);
        waiting.bytes -= bytes;
        waiting.telling = 0;
        drop(waiting);
        self.told.notify_one();
    }

    fn is_empty(&self) -> bool {
        let waiting = locked(&self.waiting);
        waiting.calls.is_empty() && waiting.telling == 0
    }
}

/// The bytes of a call's arguments.
fn arguments(told: &proto::RecordedCall) -> usize {
    told.call.as_ref().map_or(0, |call| call.arguments.len())
}

impl Recorder {
    /// Starts telling.
    pub fn start(service: Service) -> Recorder {
        let queue = Arc::new(Queue::default());
        let teller = tokio::spawn(tell_all(service.clone(), queue.clone()));
        Recorder { service, queue, lost: AtomicU64::new(0), teller: Some(teller).into() }
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
        if !self.queue.add(recorded) {
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
        let empty = async {
            while !self.queue.is_empty() {
                self.queue.told.notified().await;
            }
        };
        let _ = tokio::time::timeout(LAST_WITHIN, empty).await;
        teller.abort();
    }
}

async fn tell_all(mut service: Service, queue: Arc<Queue>) {
    loop {
        queue.gathered().await;
        let (calls, bytes) = queue.next();
        tell_batch(&mut service, calls).await;
        queue.done(bytes);
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
