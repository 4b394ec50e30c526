//! A call that waits for a person, as its client gets it: a stream of events that
//! begins at once, or, for a client that takes none, one answer in JSON.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame};
use http_body_util::BodyExt as _;
use hyper::header::{self, HeaderName, HeaderValue};
use hyper::{Response, StatusCode};
use tokio::sync::mpsc;
use tokio::time::{Interval, MissedTickBehavior, interval_at};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::reply::{self, BodyError, Reply};
use super::sse;
use crate::proxy::message::{Said, ServerMessage};

/// Between comments. The shortest time after which clients and what stands between
/// give a silent stream up is 30 s.
const COMMENT_EVERY: Duration = Duration::from_secs(15);

/// Tells proxies in front of us (nginx) to pass events on as they come.
pub const NO_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

/// The messages for a client, as they come, after one that came already. `gone` is
/// cancelled with the end of the stream, whoever ends it.
pub fn events(
    first: Option<Bytes>,
    messages: mpsc::Receiver<Bytes>,
    gone: CancellationToken,
) -> Reply {
    commented(first, messages, gone, COMMENT_EVERY)
}

fn commented(
    first: Option<Bytes>,
    messages: mpsc::Receiver<Bytes>,
    gone: CancellationToken,
    every: Duration,
) -> Reply {
    let mut comments = interval_at(tokio::time::Instant::now(), every);
    comments.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let events = Events { first, messages, comments, _gone: gone.drop_guard() };
    let mut answer = Response::new(events.boxed_unsync());
    let headers = answer.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(sse::KIND));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    headers.insert(NO_BUFFERING, HeaderValue::from_static("no"));
    answer
}

/// The answer alone. What comes before it has no place in one piece of JSON.
pub async fn answer(mut messages: mpsc::Receiver<Bytes>, gone: CancellationToken) -> Reply {
    let _gone = gone.drop_guard();
    while let Some(message) = messages.recv().await {
        let message = ServerMessage::read(message);
        if matches!(message.said, Said::Answer(_)) {
            return reply::json(StatusCode::OK, message.bytes);
        }
    }
    // The proxy is stopping.
    reply::refused(StatusCode::SERVICE_UNAVAILABLE, "the proxy is stopping: make the call again")
}

/// The answers to several messages, in one piece.
pub async fn answers(mut messages: mpsc::Receiver<Bytes>, gone: CancellationToken) -> Reply {
    let _gone = gone.drop_guard();
    let mut all = b"[".to_vec();
    while let Some(message) = messages.recv().await {
        let message = ServerMessage::read(message);
        if !matches!(message.said, Said::Notification(_) | Said::Request(..)) {
            let comma: &[u8] = if all.len() > 1 { b"," } else { b"" };
            all.extend_from_slice(comma);
            all.extend_from_slice(&message.bytes);
        }
    }
    all.push(b']');
    reply::json(StatusCode::OK, all)
}

/// A body of events.
#[derive(Debug)]
struct Events {
    first: Option<Bytes>,
    messages: mpsc::Receiver<Bytes>,
    comments: Interval,
    _gone: DropGuard,
}

impl HttpBody for Events {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        if let Some(first) = self.first.take() {
            self.comments.reset();
            return Poll::Ready(Some(Ok(Frame::data(sse::event(&first)))));
        }
        if let Poll::Ready(message) = self.messages.poll_recv(cx) {
            self.comments.reset();
            return Poll::Ready(message.map(|message| Ok(Frame::data(sse::event(&message)))));
        }
        self.comments.poll_tick(cx).map(|_| Some(Ok(Frame::data(Bytes::from_static(sse::COMMENT)))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_stream_begins_at_once_and_is_never_silent_for_long() {
        let (send, messages) = mpsc::channel(1);
        let gone = CancellationToken::new();
        let every = Duration::from_millis(50);
        let mut body = commented(None, messages, gone.clone(), every).into_body();
        let began = tokio::time::Instant::now();
        for n in 0..3 {
            let frame = body.frame().await.expect("a frame").expect("fine");
            assert_eq!(frame.into_data().expect("data"), sse::COMMENT);
            assert!(began.elapsed() >= every * n);
        }
        send.send(Bytes::from_static(b"{}")).await.expect("taken");
        let frame = body.frame().await.expect("a frame").expect("fine");
        assert_eq!(frame.into_data().expect("data"), "event: message\ndata: {}\n\n");
        drop(send);
        assert!(body.frame().await.is_none());
        assert!(!gone.is_cancelled());
        drop(body);
        assert!(gone.is_cancelled());
    }

    #[tokio::test]
    async fn who_takes_no_events_gets_the_answer_alone() {
        let (send, messages) = mpsc::channel(2);
        for message in [r#"{"method":"notifications/progress"}"#, r#"{"id":1,"result":{}}"#] {
            send.send(Bytes::from_static(message.as_bytes())).await.expect("taken");
        }
        let answer = answer(messages, CancellationToken::new()).await;
        let body = answer.into_body().collect().await.expect("whole").to_bytes();
        assert_eq!(body, r#"{"id":1,"result":{}}"#);
    }
}
