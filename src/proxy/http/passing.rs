//! A server's answer on its way back: as it comes, looked at where we learn from it.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use tokio::time::{Instant, Sleep};

use super::reply::BodyError;
use super::sse;
use crate::proxy::message::ServerMessage;

/// What stands for a message that is too long to be kept.
pub const TOO_LONG: &str = "too long";

/// What is done with each message that passes.
pub type Learn = Box<dyn Fn(&ServerMessage) + Send + Sync>;

/// A body that passes.
pub struct Passing<B> {
    inner: B,
    tap: Option<Tap>,
    patience: Option<Patience>,
}

/// How long the body may be silent.
struct Patience {
    most: Duration,
    /// Once it was waited for: most answers are there in one piece.
    over: Option<Pin<Box<Sleep>>>,
}

impl<B: HttpBody> Passing<B> {
    /// A body that passes. What it says is shown to `learn`, up to so many bytes;
    /// one that is silent for longer than `patience` is given up.
    pub fn new(
        inner: B,
        is_events: bool,
        learn: Option<Learn>,
        longest: usize,
        patience: Option<Duration>,
    ) -> Passing<B> {
        let left = inner.size_hint().exact();
        let seen = match is_events {
            true => Seen::Events(sse::Reader::new(longest)),
            false => Seen::Json { text: Vec::new(), left },
        };
        let patience = patience.map(|most| Patience { most, over: None });
        Passing { inner, tap: learn.map(|learn| Tap { learn, longest, seen }), patience }
    }
}

impl<B> HttpBody for Passing<B>
where
    B: HttpBody<Data = Bytes, Error: Into<BodyError>> + Unpin,
{
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = &mut *self;
        match Pin::new(&mut this.inner).poll_frame(cx) {
            Poll::Ready(frame) => {
                if let Some(Patience { most, over: Some(over) }) = &mut this.patience {
                    over.as_mut().reset(Instant::now() + *most);
                }
                if let Some(tap) = &mut this.tap {
                    match &frame {
                        Some(Ok(frame)) => frame.data_ref().into_iter().for_each(|p| tap.see(p)),
                        Some(Err(_)) => this.tap = None,
                        None => tap.end(),
                    }
                }
                Poll::Ready(frame.map(|frame| frame.map_err(Into::into)))
            }
            Poll::Pending => match &mut this.patience {
                Some(Patience { most, over }) => {
                    let over = over.get_or_insert_with(|| Box::pin(tokio::time::sleep(*most)));
                    let error = || BodyError::from("the server said nothing for too long");
                    over.as_mut().poll(cx).map(|()| Some(Err(error())))
                }
                None => Poll::Pending,
            },
        }
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

/// Looks at what passes, before it has passed.
struct Tap {
    learn: Learn,
    longest: usize,
    seen: Seen,
}

enum Seen {
    /// One message, in one piece. How much of it is to come, where that is known:
    /// the end of the body may never be asked for then.
    Json {
        text: Vec<u8>,
        left: Option<u64>,
    },
    Events(sse::Reader),
    /// Too long to be kept, or seen already.
    Nothing,
}

impl Tap {
    fn see(&mut self, piece: &[u8]) {
        match &mut self.seen {
            Seen::Json { text, left } => {
                if text.len() + piece.len() > self.longest {
                    return self.too_long();
                }
                text.extend_from_slice(piece);
                *left = left.map(|left| left.saturating_sub(piece.len() as u64));
                if *left == Some(0) {
                    self.end();
                }
            }
            Seen::Events(reader) => match reader.feed(piece) {
                Ok(events) => events
                    .into_iter()
                    .for_each(|event| (self.learn)(&ServerMessage::read(event.data))),
                Err(_) => self.too_long(),
            },
            Seen::Nothing => {}
        }
    }

    /// The rest passes unseen, and who learns is told that it does.
    fn too_long(&mut self) {
        self.seen = Seen::Nothing;
        (self.learn)(&ServerMessage::read(TOO_LONG.into()));
    }

    fn end(&mut self) {
        if let Seen::Json { text, .. } = std::mem::replace(&mut self.seen, Seen::Nothing) {
            (self.learn)(&ServerMessage::read(text.into()));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use http_body_util::{BodyExt as _, Full};

    use super::*;

    const LIST: &str = r#"{"jsonrpc":"2.0","id":1,"result":{"tools":[]}}"#;

    async fn passed(text: String, is_events: bool, longest: usize) -> (Bytes, Vec<Bytes>) {
        let learned = Arc::new(Mutex::new(Vec::new()));
        let learn: Learn = {
            let learned = learned.clone();
            Box::new(move |said| learned.lock().expect("a lock").push(said.bytes.clone()))
        };
        let body = Passing::new(Full::from(text), is_events, Some(learn), longest, None);
        let passed = body.collect().await.expect("whole").to_bytes();
        let learned = learned.lock().expect("a lock").clone();
        (passed, learned)
    }

    #[tokio::test]
    async fn what_passes_is_seen_and_stays_what_it_is() {
        let (passed_by, learned) = passed(LIST.to_owned(), false, 1_000).await;
        assert_eq!((&passed_by[..], &learned[..]), (LIST.as_bytes(), &[Bytes::from(LIST)][..]));
        let events = format!(": hi\nid: 7\nretry: 3\ndata: {LIST}\n\n");
        let (passed_by, learned) = passed(events.clone(), true, 1_000).await;
        assert_eq!((&passed_by[..], &learned[..]), (events.as_bytes(), &[Bytes::from(LIST)][..]));
    }

    #[tokio::test]
    async fn what_is_too_long_passes_unseen_and_that_is_told() {
        let unseen = [Bytes::from(TOO_LONG)];
        let (passed_by, learned) = passed(LIST.to_owned(), false, 10).await;
        assert_eq!((passed_by.len(), &learned[..]), (LIST.len(), &unseen[..]));
        let (passed_by, learned) = passed(format!("data: {LIST}\n\n"), true, 10).await;
        assert_eq!((passed_by.len(), &learned[..]), (LIST.len() + 8, &unseen[..]));
    }
}
