//! What is read of a request, within bounds.
//!
//! Promises: a body longer than a message may be is not read to its end; all that
//! are being read at one time together stay below a fixed number of bytes; one
//! that does not come ends. Must never: read the body of somebody who is not known.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body::Body as _;
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use hyper::StatusCode;
use hyper::body::Incoming;
use hyper::header::{self, HeaderMap};
use tokio::sync::Semaphore;

/// How long a body may take: 16 MiB over a slow line.
const BODY: Duration = Duration::from_secs(60);

/// How many of the longest messages are in memory while they are read.
const LONGEST_AT_ONCE: usize = 16;

/// What room is counted in. Counted in bytes, the longest bodies would be more
/// than a semaphore can count.
const UNIT: usize = 1024;

/// Reads bodies.
#[derive(Debug, Clone)]
pub struct Bodies {
    longest: usize,
    room: Arc<Semaphore>,
}

/// A body that is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Untaken {
    /// It is something else.
    #[error("the body is one JSON-RPC message: send Content-Type: application/json, in UTF-8")]
    Type,
    /// It is packed.
    #[error("a body is sent as it is, without Content-Encoding")]
    Packed,
    /// It is too long.
    #[error("the message is longer than the proxy takes (`limits.message`)")]
    TooLong,
    /// It did not come in time, or there was no room for it.
    #[error("the message did not come in time: send it again")]
    Late,
    /// It broke off.
    #[error("the message broke off: send it again")]
    Broken,
}

impl Untaken {
    /// The status that says so.
    pub fn status(self) -> StatusCode {
        match self {
            Untaken::Type | Untaken::Packed => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Untaken::TooLong => StatusCode::PAYLOAD_TOO_LARGE,
            Untaken::Late => StatusCode::REQUEST_TIMEOUT,
            Untaken::Broken => StatusCode::BAD_REQUEST,
        }
    }
}

impl Bodies {
    /// With messages of so many bytes at most.
    pub fn new(longest: usize) -> Bodies {
        let room = Semaphore::new(units(longest) * LONGEST_AT_ONCE);
        Bodies { longest, room: Arc::new(room) }
    }

    /// Reads a message.
    pub async fn read(&self, headers: &HeaderMap, body: Incoming) -> Result<Bytes, Untaken> {
        is_json(headers)?;
        // Where it is not said how long it will be, it may become the longest.
        let expected = body.size_hint().exact();
        let expected = expected.map_or(self.longest, |n| usize::try_from(n).unwrap_or(usize::MAX));
        if expected > self.longest {
            return Err(Untaken::TooLong);
        }
        let read = async {
            let room = u32::try_from(units(expected)).unwrap_or(u32::MAX);
            let _held = self.room.acquire_many(room).await.map_err(|_| Untaken::Late)?;
            let whole = Limited::new(body, self.longest).collect().await;
            whole.map(|whole| whole.to_bytes()).map_err(|error| {
                if error.is::<LengthLimitError>() { Untaken::TooLong } else { Untaken::Broken }
            })
        };
        tokio::time::timeout(BODY, read).await.unwrap_or(Err(Untaken::Late))
    }
}

fn units(bytes: usize) -> usize {
    bytes.div_ceil(UNIT)
}

/// Under another name or packing the server might read other bytes than we did.
fn is_json(headers: &HeaderMap) -> Result<(), Untaken> {
    let packed = headers.get_all(header::CONTENT_ENCODING).iter().any(|how| how != "identity");
    if packed {
        return Err(Untaken::Packed);
    }
    let mut types = headers.get_all(header::CONTENT_TYPE).iter();
    let (Some(named), None) = (types.next(), types.next()) else { return Err(Untaken::Type) };
    let named = named.to_str().map_err(|_| Untaken::Type)?.to_ascii_lowercase();
    let mut parts = named.split(';').map(str::trim);
    let json = parts.next() == Some("application/json");
    let utf8 = |part: &str| matches!(part, "" | "charset=utf-8" | "charset=\"utf-8\"");
    if json && parts.all(utf8) { Ok(()) } else { Err(Untaken::Type) }
}

#[cfg(test)]
mod tests {
    use hyper::header::HeaderValue;

    use super::*;

    fn of(named: &[&str]) -> Result<(), Untaken> {
        let mut headers = HeaderMap::new();
        for value in named {
            headers.append(header::CONTENT_TYPE, HeaderValue::from_str(value).expect("a value"));
        }
        is_json(&headers)
    }

    #[test]
    fn a_body_that_another_reader_could_read_otherwise_is_not_taken() {
        for fine in ["application/json", "Application/JSON; charset=UTF-8", "application/json;"] {
            assert_eq!(of(&[fine]), Ok(()), "{fine}");
        }
        for wrong in [
            "",
            "text/plain",
            "application/json; charset=utf-7",
            "application/json; charset=utf-16",
        ] {
            assert_eq!(of(&[wrong]), Err(Untaken::Type), "{wrong}");
        }
        assert_eq!(of(&[]), Err(Untaken::Type));
        assert_eq!(of(&["application/json", "application/json"]), Err(Untaken::Type));
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        assert_eq!(is_json(&headers), Err(Untaken::Packed));
    }
}
