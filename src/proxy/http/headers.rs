//! Which headers pass, and what they have to say.
//!
//! Promises: what a client shows to us is not shown to a server, and what a server
//! wants of a browser is not told to one; what a request's headers say of its body
//! is what the body says. Headers that are not known pass.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};

use crate::call::json::Json;
use crate::proxy::message::client::code;
use crate::proxy::message::{ClientMessage, Era, PROTOCOL_VERSION, Refusal};

/// A legacy session.
pub const SESSION: HeaderName = HeaderName::from_static("mcp-session-id");
/// Which protocol a request speaks.
pub const VERSION: HeaderName = HeaderName::from_static("mcp-protocol-version");
/// The method in a request's body.
pub const METHOD: HeaderName = HeaderName::from_static("mcp-method");
/// What it is about: a tool, prompt or resource.
pub const NAME: HeaderName = HeaderName::from_static("mcp-name");
/// What the arguments of a call begin with, where they stand in headers.
pub const PARAM: &str = "mcp-param-";

/// Those of one connection (RFC 9110, 7.6.1).
const OF_THE_CONNECTION: [&str; 9] = [
    "connection",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// What a client tells us, and no server.
const NOT_ONWARD: [&str; 23] = [
    "host",
    "authorization",
    "cookie",
    "origin",
    "referer",
    "content-length",
    "content-type",
    "expect",
    // Answers have to be read here.
    "accept-encoding",
    // Ours, once it is opened.
    "mcp-session-id",
    // Who asks, and what: a server may believe these of a proxy.
    "forwarded",
    "via",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-proto",
    "x-forwarded-user",
    "x-forwarded-email",
    "x-real-ip",
    "x-remote-user",
    "remote-user",
    "x-original-url",
    "x-rewrite-url",
    "x-http-method-override",
];

/// What a server tells us, and no client.
const NOT_BACK: [&str; 10] = [
    // Written anew from what comes: beside `Transfer-Encoding` it says nothing (RFC 9112,
    // section 6.3), and a client would take an answer for whole that is cut.
    "content-length",
    "set-cookie",
    "www-authenticate",
    "alt-svc",
    "mcp-session-id",
    "access-control-allow-origin",
    "access-control-allow-credentials",
    "access-control-allow-headers",
    "access-control-allow-methods",
    "access-control-expose-headers",
];

/// The headers of a request as a server gets them. One with an underscore in its
/// name does not pass: to many servers (CGI, WSGI, Rack) it is the one with a hyphen
/// there, which may be ours.
pub fn onward(headers: &HeaderMap) -> HeaderMap {
    let mut passing = without(headers, &NOT_ONWARD);
    let other = |name: &&HeaderName| name.as_str().contains('_');
    let others: Vec<HeaderName> = passing.keys().filter(other).cloned().collect();
    others.iter().for_each(|name| {
        passing.remove(name);
    });
    passing
}

/// The headers of an answer as a client gets them.
pub fn back(headers: &HeaderMap) -> HeaderMap {
    without(headers, &NOT_BACK)
}

fn without(headers: &HeaderMap, dropped: &[&str]) -> HeaderMap {
    // `Connection` names others that end here.
    let named: Vec<String> = (headers.get_all(header::CONNECTION).iter())
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(|name| name.trim().to_ascii_lowercase())
        .collect();
    let stays = |name: &HeaderName| {
        let name = name.as_str();
        !OF_THE_CONNECTION.contains(&name)
            && !dropped.contains(&name)
            && !named.iter().any(|named| named == name)
    };
    let passing = headers.iter().filter(|(name, _)| stays(name));
    passing.map(|(name, value)| (name.clone(), value.clone())).collect()
}

/// Whether a client takes an answer as a stream of events.
pub fn takes_events(headers: &HeaderMap) -> bool {
    let accepted = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
    let mut kinds = accepted.flat_map(|value| value.split(','));
    kinds.any(|kind| {
        let kind = kind.split(';').next().unwrap_or_default().trim();
        ["text/event-stream", "text/*", "*/*"].iter().any(|known| kind.eq_ignore_ascii_case(known))
    })
}

/// The type of a body, without what follows it.
pub fn kind(headers: &HeaderMap) -> String {
    let named = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let kind = named.unwrap_or_default().split(';').next().unwrap_or_default();
    kind.trim().to_ascii_lowercase()
}

/// Headers and body say the same. Where a header stands, it agrees; a modern
/// request has all that it needs (2026-07-28, Streamable HTTP, "Server Validation").
///
/// # Errors
/// They differ, or something is missing.
pub fn agree(headers: &HeaderMap, message: &ClientMessage) -> Result<(), Refusal> {
    let Some(method) = message.method() else { return Ok(()) };
    let modern = message.era() == Era::Modern;
    let param = |name: &str| message.params().and_then(|params| params.get(name));
    let about = match method {
        "tools/call" | "prompts/get" => param("name"),
        "resources/read" => param("uri"),
        "tasks/get" | "tasks/update" | "tasks/cancel" => param("taskId"),
        _ => None,
    };
    let version = param("_meta").and_then(|meta| meta.get(PROTOCOL_VERSION));
    let told = [
        // An older request says its version in the header alone.
        (VERSION, modern.then(|| version.and_then(Json::as_str)).flatten(), modern),
        (METHOD, Some(method), modern),
        // For tasks it is there to route by, and we need not.
        (
            NAME,
            about.and_then(Json::as_str),
            modern && about.is_some() && !method.starts_with("tasks/"),
        ),
    ];
    for (name, body, needed) in told {
        let wrong = match (one(headers, &name)?, body) {
            (None, _) if needed => "is missing",
            (Some(header), Some(body)) if header != body => "does not say what the body says",
            _ => continue,
        };
        return Err(mismatch(&format!("the header {name} {wrong}"), message));
    }
    Ok(())
}

fn one(headers: &HeaderMap, name: &HeaderName) -> Result<Option<String>, Refusal> {
    text_of(headers, name.as_str()).map_err(|NotOne| {
        let why = format!("the header {name} is not one text");
        Refusal::new(code::HEADER_MISMATCH, why)
    })
}

/// A header stands there twice, or is no text.
#[derive(Debug)]
pub struct NotOne;

/// The only value of a header, unpacked.
pub fn text_of(headers: &HeaderMap, name: &str) -> Result<Option<String>, NotOne> {
    let mut values = headers.get_all(name).iter();
    let (value, more) = (values.next(), values.next());
    let Some(value) = value else { return Ok(None) };
    let text = value.to_str().ok().and_then(unpacked).filter(|_| more.is_none());
    text.map(Some).ok_or(NotOne)
}

fn mismatch(why: &str, message: &ClientMessage) -> Refusal {
    let refusal = Refusal::new(code::HEADER_MISMATCH, why);
    match message.request_id() {
        Some(id) => refusal.of(id),
        None => refusal,
    }
}

const PACKED: (&str, &str) = ("=?base64?", "?=");

/// A header's text, unpacked where it is packed.
fn unpacked(value: &str) -> Option<String> {
    let inside = value.strip_prefix(PACKED.0).and_then(|rest| rest.strip_suffix(PACKED.1));
    match inside {
        Some(inside) => String::from_utf8(STANDARD.decode(inside).ok()?).ok(),
        None => Some(value.to_owned()),
    }
}

/// A text as a header, packed where it has to be.
pub fn packed(text: &str) -> HeaderValue {
    let plain = text.bytes().all(|b| (0x20..=0x7e).contains(&b)) && text.trim() == text;
    let value = if plain && !text.starts_with(PACKED.0) {
        text.to_owned()
    } else {
        format!("{}{}{}", PACKED.0, STANDARD.encode(text), PACKED.1)
    };
    HeaderValue::from_str(&value).expect("visible ASCII")
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::proxy::message::{Incoming, client};

    fn map(headers: &[(&str, &str)]) -> HeaderMap {
        let pair = |(name, value): &(&str, &str)| {
            (
                name.parse::<HeaderName>().expect("a name"),
                HeaderValue::from_str(value).expect("a value"),
            )
        };
        let mut map = HeaderMap::new();
        headers.iter().map(pair).for_each(|(name, value)| {
            map.append(name, value);
        });
        map
    }

    #[test]
    fn what_a_client_shows_us_goes_no_further_and_what_is_unknown_does() {
        let passed = onward(&map(&[
            ("Authorization", "Bearer hp_x"),
            ("Cookie", "a=b"),
            ("Origin", "https://inspector.example.org"),
            ("Host", "localhost:4655"),
            ("Connection", "keep-alive, X-Hop"),
            ("X-Hop", "1"),
            ("Keep-Alive", "5"),
            ("Proxy-Authorization", "x"),
            ("Transfer-Encoding", "chunked"),
            ("Accept-Encoding", "gzip"),
            ("Mcp-Session-Id", "s"),
            ("Mcp_Session_Id", "s"),
            ("X_API_KEY", "k"),
            ("Mcp-Param-Region", "us"),
            ("MCP-Protocol-Version", "2025-11-25"),
            ("Last-Event-ID", "7"),
            ("Accept", "text/event-stream"),
            ("X-Unknown", "1"),
            ("X-Unknown", "2"),
        ]));
        let mut names: Vec<_> = passed.iter().map(|(name, _)| name.as_str()).collect();
        names.sort_unstable();
        let expected = [
            "accept",
            "last-event-id",
            "mcp-param-region",
            "mcp-protocol-version",
            "x-unknown",
            "x-unknown",
        ];
        assert_eq!(names, expected);
    }

    fn agrees(headers: &[(&str, &str)], method: &str, params: &str) -> Result<(), i32> {
        let text = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"{method}","params":{params}}}"#);
        let Ok(Incoming::One(message)) = client::read(Bytes::from(text)) else { panic!("one") };
        agree(&map(headers), &message).map_err(|refusal| refusal.code)
    }

    const MODERN: &str = r#""_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}"#;
    const SAYS: (&str, &str) = ("MCP-Protocol-Version", "2026-07-28");
    const CALLS: (&str, &str) = ("Mcp-Method", "tools/call");

    #[test]
    fn a_modern_request_says_the_same_in_headers_and_body() {
        let call = |headers: &[(&str, &str)]| {
            agrees(headers, "tools/call", &format!(r#"{{"name":"a b",{MODERN}}}"#))
        };
        assert_eq!(call(&[SAYS, CALLS, ("Mcp-Name", "a b")]), Ok(()));
        assert_eq!(call(&[SAYS, CALLS, ("Mcp-Name", "=?base64?YSBi?=")]), Ok(()));
        for wrong in [
            &[CALLS, ("Mcp-Name", "a b")][..],
            &[SAYS, ("Mcp-Name", "a b")],
            &[SAYS, CALLS],
            &[SAYS, CALLS, ("Mcp-Name", "b")],
            &[SAYS, CALLS, ("Mcp-Name", "=?base64?!?=")],
            &[SAYS, CALLS, ("Mcp-Name", "a b"), ("Mcp-Name", "a b")],
            &[SAYS, ("Mcp-Method", "tools/list"), ("Mcp-Name", "a b")],
            &[SAYS, ("Mcp-Method", "Tools/Call"), ("Mcp-Name", "a b")],
            &[("MCP-Protocol-Version", "2026-09-01"), CALLS, ("Mcp-Name", "a b")],
        ] {
            assert_eq!(call(wrong), Err(code::HEADER_MISMATCH), "{wrong:?}");
        }
    }

    #[test]
    fn an_older_request_needs_no_headers_but_may_not_contradict_itself() {
        let call = |headers: &[(&str, &str)]| agrees(headers, "tools/call", r#"{"name":"a"}"#);
        assert_eq!(call(&[]), Ok(()));
        assert_eq!(call(&[("MCP-Protocol-Version", "2025-11-25")]), Ok(()));
        assert_eq!(call(&[("Mcp-Name", "b")]), Err(code::HEADER_MISMATCH));
        assert_eq!(call(&[("Mcp-Method", "tools/list")]), Err(code::HEADER_MISMATCH));
        // What a server says to that is its own business.
        assert_eq!(call(&[SAYS]), Ok(()));
    }

    #[test]
    fn what_is_packed_is_what_is_unpacked() {
        for text in ["a", "a b", " a", "é", "=?base64?x?=", "", "a\nb"] {
            let value = packed(text);
            assert_eq!(unpacked(value.to_str().expect("ascii")).as_deref(), Some(text), "{text:?}");
        }
    }

    #[test]
    fn who_takes_events_says_so() {
        let takes = |accept| takes_events(&map(&[("Accept", accept)]));
        assert!(takes("application/json, text/event-stream"));
        assert!(takes("TEXT/event-stream;q=0.9") && takes("*/*"));
        assert!(!takes("application/json"));
        assert!(!takes_events(&HeaderMap::new()));
    }
}
