//! One client's way to a server behind a URL, as the gate uses it: a request goes
//! out under an id of ours, and its answer is read out of JSON or events.
//!
//! Promises: a stream that breaks off is taken up again where the older protocol
//! allows it; nothing longer than a message is kept. Must never: send a call again.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Limited};
use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};
use hyper::{Method, Response, StatusCode};
use tokio_util::sync::CancellationToken;

use super::passing::Learn;
use super::{headers, sse};
use crate::proxy::answer;
use crate::proxy::gate::Reply;
use crate::proxy::message::client::code;
use crate::proxy::message::{Era, Id, Said, ServerMessage};
use crate::proxy::upstream::url::{Answer, Away, UrlServer, cause};
use crate::proxy::upstream::{Asking, NoAnswer, Outgoing, Upstream};

/// Where an interrupted stream goes on from.
const LAST_EVENT: HeaderName = HeaderName::from_static("last-event-id");

/// How often in a row a stream is taken up again that brings nothing at all.
const RESUMED_AT_MOST: u32 = 10;

/// How long to wait before that when the server does not say.
const RETRY: Duration = Duration::from_secs(1);

/// The shortest and the longest that it may say.
const RETRY_WITHIN: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(30));

/// One client's way to a server.
pub struct Visit {
    /// The server.
    pub upstream: Arc<UrlServer>,
    /// What goes with each request: the client's own headers that pass, and the
    /// session.
    pub headers: HeaderMap,
    /// The longest message.
    pub longest: usize,
    /// Shown what the server says on the way to its answers.
    pub heard: Learn,
}

impl fmt::Debug for Visit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Visit").field("upstream", &self.upstream).finish_non_exhaustive()
    }
}

impl Upstream for Visit {
    fn ask<'a>(
        &'a self,
        request: Outgoing,
        relay: Option<&'a Reply>,
        cancelled: CancellationToken,
    ) -> Asking<'a> {
        Box::pin(async move {
            let sent = Sent { id: &request.id, era: request.era, relay };
            let answered = self.answered(&sent, self.with(&request), request.bytes.clone());
            tokio::pin!(answered);
            tokio::select! {
                answer = &mut answered => return answer,
                () = cancelled.cancelled() => {}
            }
            match request.era {
                // To close the stream is to cancel, and no answer comes any more.
                Era::Modern => Err(NoAnswer::Lost("it was cancelled while it ran".to_owned())),
                Era::Legacy => {
                    let told = answer::cancelled(&request.id, "cancelled by the client");
                    let telling = self.post(self.others(), told);
                    let (answer, _) = tokio::join!(answered, telling);
                    answer
                }
            }
        })
    }
}

impl Visit {
    async fn post(&self, headers: HeaderMap, body: Bytes) -> Result<Response<Answer>, Away> {
        self.upstream.send(Method::POST, headers, Some(body)).await
    }

    /// The headers for a message of ours: what belongs to the client's is left out.
    fn others(&self) -> HeaderMap {
        let mut map = self.headers.clone();
        let own = |name: &HeaderName| {
            name == headers::METHOD
                || name == headers::NAME
                || name.as_str().starts_with(headers::PARAM)
        };
        let own: Vec<HeaderName> = map.keys().filter(|name| own(name)).cloned().collect();
        own.iter().for_each(|name| {
            map.remove(name);
        });
        map.remove(LAST_EVENT);
        map.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let both = HeaderValue::from_static("application/json, text/event-stream");
        map.insert(header::ACCEPT, both);
        map
    }

    /// The headers for a request that goes out.
    fn with(&self, request: &Outgoing) -> HeaderMap {
        let mut map = self.others();
        if request.tool.is_some() {
            // The client's call, and what of it stands in headers.
            let params =
                self.headers.iter().filter(|(name, _)| name.as_str().starts_with(headers::PARAM));
            map.extend(params.map(|(name, value)| (name.clone(), value.clone())));
        }
        if request.era == Era::Modern {
            map.insert(headers::METHOD, HeaderValue::from_static(request.method));
            if let Some(tool) = &request.tool {
                map.insert(headers::NAME, headers::packed(tool));
            }
        }
        map
    }

    /// Sends a request of the older protocol as it is, under its own id.
    ///
    /// # Errors
    /// There is no answer.
    pub async fn forward(
        &self,
        id: &Id,
        bytes: Bytes,
        relay: &Reply,
    ) -> Result<ServerMessage, NoAnswer> {
        let sent = Sent { id, era: Era::Legacy, relay: Some(relay) };
        self.answered(&sent, self.others(), bytes).await
    }

    async fn answered(
        &self,
        sent: &Sent<'_>,
        headers: HeaderMap,
        bytes: Bytes,
    ) -> Result<ServerMessage, NoAnswer> {
        let response = self.post(headers, bytes).await?;
        if !response.status().is_success() {
            return self.refused(sent, response).await;
        }
        match headers::kind(response.headers()).as_str() {
            "application/json" => self.whole(sent, response).await,
            sse::KIND => self.events(sent, response).await,
            _ => Err(lost("the server answered with neither JSON nor events")),
        }
    }

    /// An answer in one piece.
    async fn whole(
        &self,
        sent: &Sent<'_>,
        response: Response<Answer>,
    ) -> Result<ServerMessage, NoAnswer> {
        let body = Limited::new(response.into_body(), self.longest).collect().await;
        let body =
            body.map_err(|error| lost(&format!("the server's answer: {}", cause(&*error))))?;
        let message = ServerMessage::read(body.to_bytes());
        match &message.said {
            Said::Answer(id) if id == sent.id => Ok(message),
            _ => Err(lost("the server answered something else")),
        }
    }

    /// A server that refuses a request did not run it; one that fails may have.
    async fn refused(
        &self,
        sent: &Sent<'_>,
        response: Response<Answer>,
    ) -> Result<ServerMessage, NoAnswer> {
        let status = response.status();
        if status.is_client_error()
            && headers::kind(response.headers()) == "application/json"
            && let Ok(message) = self.whole(sent, response).await
        {
            return Ok(message);
        }
        let why = match status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => "it does not let the proxy in",
            StatusCode::NOT_FOUND => "it does not know this session, or is not at this path",
            status if status.is_redirection() => "it has moved, and redirects are not followed",
            _ => "it gave no reason",
        };
        let said = format!("the server refused with HTTP {}: {why}", status.as_u16());
        // A redirection may answer what was done, and a gateway's time-out says
        // nothing of the server behind it.
        let in_doubt = status.is_server_error() || status.is_redirection();
        if in_doubt || matches!(status.as_u16(), 408 | 499) {
            return Err(NoAnswer::Lost(said));
        }
        Ok(ServerMessage::read(answer::error(Some(sent.id), code::INTERNAL, &said)))
    }

    /// An answer among events.
    async fn events(
        &self,
        sent: &Sent<'_>,
        response: Response<Answer>,
    ) -> Result<ServerMessage, NoAnswer> {
        let mut stream = Stream { last: None, retry: RETRY, fruitless: 0 };
        let mut body = response.into_body();
        loop {
            match self.until_end(sent, &mut body, &mut stream).await? {
                Some(answer) => return Ok(answer),
                None => body = self.resumed(sent, &mut stream).await?,
            }
        }
    }

    /// Reads a stream; `None` if it ends before the answer.
    async fn until_end(
        &self,
        sent: &Sent<'_>,
        body: &mut Answer,
        stream: &mut Stream,
    ) -> Result<Option<ServerMessage>, NoAnswer> {
        let mut reader = sse::Reader::new(self.longest);
        while let Some(Ok(frame)) = body.frame().await {
            let Some(piece) = frame.data_ref() else { continue };
            for event in reader.feed(piece).map_err(|error| lost(&error.to_string()))? {
                stream.note(&event);
                if event.data.is_empty() {
                    continue;
                }
                let message = ServerMessage::read(event.data);
                match &message.said {
                    Said::Answer(id) if id == sent.id => return Ok(Some(message)),
                    // Nobody asked for it.
                    Said::Answer(_) => {}
                    _ => {
                        (self.heard)(&message);
                        pass(sent.relay, message).await;
                    }
                }
            }
        }
        Ok(None)
    }

    /// The stream again, where it broke off.
    async fn resumed(&self, sent: &Sent<'_>, stream: &mut Stream) -> Result<Answer, NoAnswer> {
        let ended = || lost("the server broke off before its answer");
        let Some(last) = stream.last.clone().filter(|_| sent.era == Era::Legacy) else {
            return Err(ended());
        };
        while stream.fruitless < RESUMED_AT_MOST {
            stream.fruitless += 1;
            tokio::time::sleep(stream.retry).await;
            let mut map = self.others();
            map.remove(header::CONTENT_TYPE);
            map.insert(header::ACCEPT, HeaderValue::from_static(sse::KIND));
            map.insert(LAST_EVENT, HeaderValue::from_str(&last).map_err(|_| ended())?);
            match self.upstream.send(Method::GET, map, None).await {
                Ok(response) if response.status().is_success() => return Ok(response.into_body()),
                // It does not go on with streams.
                Ok(response) if response.status().is_client_error() => return Err(ended()),
                Ok(_) | Err(_) => {}
            }
        }
        Err(ended())
    }
}

/// A request that was sent.
struct Sent<'a> {
    id: &'a Id,
    era: Era,
    /// Where goes what the server says before its answer.
    relay: Option<&'a Reply>,
}

/// How far a stream has come.
#[derive(Debug)]
struct Stream {
    last: Option<String>,
    retry: Duration,
    fruitless: u32,
}

impl Stream {
    fn note(&mut self, event: &sse::Event) {
        self.fruitless = 0;
        if let Some(id) = &event.id {
            self.last = Some(id.clone()).filter(|id| !id.is_empty());
        }
        if let Some(retry) = event.retry {
            self.retry = retry.clamp(RETRY_WITHIN.0, RETRY_WITHIN.1);
        }
    }
}

/// Passes on what the server says on the way to its answer.
async fn pass(relay: Option<&Reply>, message: ServerMessage) {
    let Some(reply) = relay else { return };
    if message.progress_token().is_some() {
        reply.offer_progress(message);
    } else {
        reply.send(message.bytes).await;
    }
}

/// What a client is told of a request that passes and gets no answer.
pub fn no_answer(id: &Id, why: &str) -> Bytes {
    answer::error(Some(id), code::INTERNAL, why)
}

fn lost(why: &str) -> NoAnswer {
    NoAnswer::Lost(why.to_owned())
}

impl From<Away> for NoAnswer {
    fn from(away: Away) -> NoAnswer {
        match away {
            Away::Unreachable(_) => NoAnswer::NotSent(away.to_string()),
            Away::Broken(_) => NoAnswer::Lost(away.to_string()),
        }
    }
}
