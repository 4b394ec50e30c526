//! A server's tools, asked for by ourselves and for nobody else: `policy scan`.
//!
//! The newer protocol is tried first: `server/discover`, and where that is answered,
//! `tools/list` with what we are in each request. Where it is not, the older one:
//! `initialize`, and the list in that session (2026-07-28, "Versioning").
//!
//! Promises: all pages, up to a bound, within a time; the process that was started
//! ends, whatever it answered. Must never: call a tool.

mod child;
mod url;

use std::time::Duration;

use bytes::Bytes;

use super::message::Era;
use crate::call::json::{Json, JsonError, parse_envelope};
use crate::call::safe_text::SafeText;

pub use child::of_child;
pub use url::of_url;

/// The most tools of one server, as the gate remembers them.
const MAX_TOOLS: usize = 5000;

/// The most pages of one list.
const MAX_PAGES: usize = 50;

/// The longest answer. A list of thousands of tools has some megabytes.
const LONGEST: usize = 16 << 20;

/// How long a server may take to answer in the newer protocol before it is spoken to
/// in the older one: one that is only just being installed says nothing meanwhile.
const PROBE: Duration = Duration::from_secs(15);

/// The revisions that we ask in.
const MODERN: &str = "2026-07-28";
const LEGACY: &str = "2025-11-25";

/// What a server listed.
#[derive(Debug, Clone, PartialEq)]
pub struct Listed {
    /// Its tools, as it defines them.
    pub tools: Vec<Json>,
    /// What it calls itself, with its version.
    pub server: String,
    /// Which protocol it speaks.
    pub era: Era,
    /// Whether there are more tools than were asked for.
    pub more: bool,
}

/// Why there is no list.
#[derive(Debug, thiserror::Error)]
pub enum CannotList {
    /// The command does not start.
    #[error("the server cannot be started: {0}")]
    NotStarted(std::io::Error),
    /// The URL cannot be asked.
    #[error(transparent)]
    CannotAsk(#[from] super::upstream::url::CannotAsk),
    /// It did not answer in time.
    #[error("the server did not list its tools within {} s", .0.as_secs())]
    TooLate(Duration),
    /// It gave no answer.
    #[error("the server does not answer: {0}")]
    NoAnswer(String),
    /// It refused.
    #[error("the server refused {method}: {said}")]
    Refused {
        /// What was asked.
        method: &'static str,
        /// Its own words, as safe text.
        said: String,
    },
    /// Its answer is not to be read.
    #[error("the server's answer to {method} cannot be read: {error}")]
    Unreadable {
        /// What was asked.
        method: &'static str,
        /// What is wrong with it.
        error: JsonError,
    },
    /// Its answer is no list of tools.
    #[error("the server's answer to {0} has no list of tools")]
    NoList(&'static str),
}

/// A way to a server: asks it one thing, and returns its whole answer.
trait Way {
    async fn ask(
        &mut self,
        method: &'static str,
        params: Json,
        era: Era,
    ) -> Result<Bytes, CannotList>;

    /// Tells it something.
    async fn tell(&mut self, method: &'static str) -> Result<(), CannotList>;
}

/// Everything that a server lists.
async fn all(way: &mut impl Way) -> Result<Listed, CannotList> {
    let probe =
        tokio::time::timeout(PROBE, result(way, "server/discover", Vec::new(), Era::Modern));
    let (server, era) = match probe.await {
        Ok(Ok(discovered)) => (named(&discovered), Era::Modern),
        // Whatever it is that it does not like: an older one knows nothing of this.
        Ok(Err(CannotList::Refused { .. })) | Err(_) => (begin(way).await?, Era::Legacy),
        Ok(Err(error)) => return Err(error),
    };
    let (mut tools, mut cursor) = (Vec::new(), None);
    for _ in 0..MAX_PAGES {
        let params = cursor.take().map(|cursor| ("cursor", Json::String(cursor)));
        let page = result(way, "tools/list", params.into_iter().collect(), era).await?;
        let listed = page.get("tools").and_then(Json::as_array);
        tools.extend_from_slice(listed.ok_or(CannotList::NoList("tools/list"))?);
        cursor = page.get("nextCursor").and_then(Json::as_str).map(str::to_owned);
        if cursor.is_none() || tools.len() >= MAX_TOOLS {
            break;
        }
    }
    let more = cursor.is_some() || tools.len() > MAX_TOOLS;
    tools.truncate(MAX_TOOLS);
    Ok(Listed { tools, server, era, more })
}

/// Begins a session of the older protocol; what the server calls itself.
async fn begin(way: &mut impl Way) -> Result<String, CannotList> {
    let params = vec![
        ("protocolVersion", Json::from(LEGACY)),
        ("capabilities", Json::Object(Vec::new())),
        ("clientInfo", ourselves()),
    ];
    let result = result(way, "initialize", params, Era::Legacy).await?;
    way.tell("notifications/initialized").await?;
    Ok(named(&result))
}

async fn result(
    way: &mut impl Way,
    method: &'static str,
    mut params: Vec<(&'static str, Json)>,
    era: Era,
) -> Result<Json, CannotList> {
    if era == Era::Modern {
        let meta = [
            ("io.modelcontextprotocol/protocolVersion", Json::from(MODERN)),
            ("io.modelcontextprotocol/clientInfo", ourselves()),
            ("io.modelcontextprotocol/clientCapabilities", Json::Object(Vec::new())),
        ];
        params.push(("_meta", Json::object(meta)));
    }
    let answer = way.ask(method, Json::object(params), era).await?;
    let answer =
        parse_envelope(&answer).map_err(|error| CannotList::Unreadable { method, error })?;
    match answer.get("result") {
        Some(result) => Ok(result.clone()),
        None => Err(CannotList::Refused { method, said: refusal(&answer) }),
    }
}

/// The words of an error, safe and short.
fn refusal(answer: &Json) -> String {
    let error = answer.get("error");
    let said = error.and_then(|error| error.get("message")).and_then(Json::as_str);
    SafeText::cut_line(said.unwrap_or("it gave no reason"), 200).0.to_string()
}

fn ourselves() -> Json {
    Json::object([
        ("name", Json::from("holdpoint policy scan")),
        ("version", Json::from(env!("CARGO_PKG_VERSION"))),
    ])
}

/// What a server calls itself, as safe text.
fn named(result: &Json) -> String {
    let meta = result.get("_meta").and_then(|m| m.get("io.modelcontextprotocol/serverInfo"));
    let info = result.get("serverInfo").or(meta);
    let text = |name| info.and_then(|info| info.get(name)).and_then(Json::as_str);
    let said = [text("name"), text("version")];
    let said: Vec<&str> = said.into_iter().flatten().collect();
    SafeText::cut_line(&said.join(" "), 100).0.to_string()
}
