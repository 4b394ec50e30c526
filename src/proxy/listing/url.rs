//! The tools of a server behind a URL.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Limited};
use hyper::header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderValue};
use hyper::{Method, Response};

use super::{CannotList, LEGACY, LONGEST, Listed, MODERN, Way, all, refusal};
use crate::call::json::{Json, parse_envelope};
use crate::proxy::answer;
use crate::proxy::config::UrlConfig;
use crate::proxy::http::{headers, sse};
use crate::proxy::message::{Era, Id, Said, ServerMessage};
use crate::proxy::upstream::url::{Answer, UrlServer, cause};

/// Asks the server, and ends the session if there was one.
///
/// # Errors
/// There is no list.
pub async fn of_url(config: &UrlConfig, within: Duration) -> Result<Listed, CannotList> {
    let mut way = ByUrl { server: UrlServer::new(config)?, session: None, asked: 0 };
    let listed = tokio::time::timeout(within, all(&mut way)).await;
    way.end().await;
    listed.unwrap_or(Err(CannotList::TooLate(within)))
}

/// How long a server may take to end a session that nobody needs any more.
const GOODBYE: Duration = Duration::from_secs(2);

/// A server elsewhere.
struct ByUrl {
    server: UrlServer,
    session: Option<HeaderValue>,
    asked: usize,
}

impl Way for ByUrl {
    async fn ask(
        &mut self,
        method: &'static str,
        params: Json,
        era: Era,
    ) -> Result<Bytes, CannotList> {
        self.asked += 1;
        let id = Id::minted(&format!("scan-{}", self.asked));
        let body = answer::request(&id, method, params);
        let response = self.post(method, era, body).await?;
        if method == "initialize" {
            self.session = response.headers().get(headers::SESSION).cloned();
        }
        answered(&id, method, response).await
    }

    async fn tell(&mut self, method: &'static str) -> Result<(), CannotList> {
        self.post(method, Era::Legacy, answer::notification(method)).await.map(|_| ())
    }
}

impl ByUrl {
    async fn post(
        &self,
        method: &'static str,
        era: Era,
        body: Bytes,
    ) -> Result<Response<Answer>, CannotList> {
        let mut map = self.headers(era, method == "initialize");
        map.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if era == Era::Modern {
            map.insert(headers::METHOD, HeaderValue::from_static(method));
        }
        let sent = self.server.send(Method::POST, map, Some(body)).await;
        sent.map_err(|away| CannotList::NoAnswer(away.to_string()))
    }

    fn headers(&self, era: Era, first: bool) -> HeaderMap {
        let mut map = HeaderMap::new();
        let both = HeaderValue::from_static("application/json, text/event-stream");
        map.insert(ACCEPT, both);
        let version = if era == Era::Modern { MODERN } else { LEGACY };
        if !first {
            map.insert(headers::VERSION, HeaderValue::from_static(version));
        }
        if let Some(session) = &self.session {
            map.insert(headers::SESSION, session.clone());
        }
        map
    }

    /// Ends the session; whether that worked is the server's business.
    async fn end(&self) {
        if self.session.is_some() {
            let bye = self.server.send(Method::DELETE, self.headers(Era::Legacy, false), None);
            let _ = tokio::time::timeout(GOODBYE, bye).await;
        }
    }
}

/// The answer to a request, out of JSON or events.
async fn answered(
    id: &Id,
    method: &'static str,
    response: Response<Answer>,
) -> Result<Bytes, CannotList> {
    let status = response.status();
    let kind = headers::kind(response.headers());
    let refused = |said: String| CannotList::Refused { method, said };
    if status.is_server_error() {
        return Err(CannotList::NoAnswer(format!("HTTP {}", status.as_u16())));
    }
    if kind != "application/json" && kind != sse::KIND {
        return Err(refused(format!("HTTP {}, and neither JSON nor events", status.as_u16())));
    }
    if kind == "application/json" {
        let body = Limited::new(response.into_body(), LONGEST).collect().await;
        let body = body.map_err(|error| CannotList::NoAnswer(cause(&*error)))?.to_bytes();
        return match status.is_success() {
            true => Ok(body),
            false => {
                let said =
                    parse_envelope(&body).ok().filter(|answer| answer.get("error").is_some());
                let said = said.map(|answer| format!(": {}", refusal(&answer))).unwrap_or_default();
                Err(refused(format!("HTTP {}{said}", status.as_u16())))
            }
        };
    }
    let (mut reader, mut body) = (sse::Reader::new(LONGEST), response.into_body());
    while let Some(Ok(frame)) = body.frame().await {
        let Some(piece) = frame.data_ref() else { continue };
        let events = reader.feed(piece);
        for event in events.map_err(|error| CannotList::NoAnswer(error.to_string()))? {
            let message = ServerMessage::read(event.data);
            if matches!(&message.said, Said::Answer(of) if of == id) {
                return Ok(message.bytes);
            }
        }
    }
    Err(CannotList::NoAnswer("its events ended before the answer".to_owned()))
}
