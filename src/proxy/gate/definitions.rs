//! What a server says its tools are: the annotations that the policy may believe,
//! and a hash by which a changed definition is noticed.
//!
//! Definitions are taken from the lists that pass by, and asked for where none
//! has. Just before an approved call runs they are asked for again: what a person
//! approved is a call of the tool as it was then. What the client was told is kept
//! beside that, see [`Told`].

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use bytes::Bytes;
use sha2::{Digest as _, Sha256};
use tokio_util::sync::CancellationToken;

use super::told::Told;
use crate::call::hex::hex;
use crate::call::json::{Json, parse_envelope};
use crate::client::boot;
use crate::policy::judging::Tool;
use crate::proxy::answer;
use crate::proxy::locked;
use crate::proxy::message::scan::{find, items, members, text};
use crate::proxy::message::{Era, Id, ServerMessage, ToolCall};
use crate::proxy::upstream::{Outgoing, Upstream};

/// The most tools that are remembered of one server, or read of one list. The
/// largest of the public servers have some hundreds.
pub const MAX_TOOLS: usize = 5000;
/// The longest name of a tool that is remembered. The daemon takes 200 bytes.
const LONGEST_NAME: usize = 1024;
/// The most pages of one list that are asked for.
const MAX_PAGES: usize = 50;
/// How long a server may take for its list: longer than one that is just starting.
const LIST_WITHIN: Duration = Duration::from_secs(20);

/// The longest definition whose text is kept, in bytes: a person compares it with
/// the one before.
pub const LONGEST_TEXT: usize = 16 * 1024;
/// How much text of all the definitions of one server is kept, in bytes.
const ALL_TEXT: usize = 2 * 1024 * 1024;

/// What is known of one tool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Definition {
    /// SHA-256 over its canonical JSON, in hex.
    pub hash: String,
    /// What it says of itself.
    pub tool: Arc<Tool>,
    /// What a person is shown of it: its canonical JSON, or the beginning of that.
    /// `None` where all of them together are too long to be kept.
    pub text: Option<Shown>,
    /// Whether it means exactly one thing.
    pub readable: bool,
}

/// What a person is shown of a definition: JSON.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shown {
    /// At most [`LONGEST_TEXT`] bytes.
    pub text: Arc<str>,
    /// Whether it is not all of it.
    pub cut: bool,
}

impl Shown {
    fn whole(text: String) -> Shown {
        match text.len() <= LONGEST_TEXT {
            true => Shown { text: text.into(), cut: false },
            false => Shown::begins(&text),
        }
    }

    /// The beginning of what is too long, or is no JSON.
    fn begins(text: &str) -> Shown {
        // Escapes may make six bytes of one.
        let end = (0..=text.len().min(LONGEST_TEXT / 8)).rev();
        let end = end.into_iter().find(|&end| text.is_char_boundary(end)).unwrap_or_default();
        let begins = Json::String(text[..end].to_owned());
        Shown { text: Json::object([("begins", begins)]).to_text().into(), cut: true }
    }
}

/// How long a list is believed that does not have a tool: an agent that calls
/// what does not exist is not to make the server list its tools each time.
const LACKING_FOR: Duration = Duration::from_secs(30);

/// How long a server is not asked again that could not list its tools.
const FAILED_FOR: Duration = Duration::from_secs(5);

/// What a server says of one tool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Says {
    /// What it is.
    Is(Definition),
    /// It lists its tools, and this is none of them.
    NotListed,
    /// Its list cannot be had.
    Nothing,
}

impl Says {
    /// What it is, if that is said.
    pub fn definition(self) -> Option<Definition> {
        match self {
            Says::Is(definition) => Some(definition),
            Says::NotListed | Says::Nothing => None,
        }
    }
}

/// The tools of one server.
#[derive(Debug, Default)]
pub struct Definitions {
    tools: Mutex<HashMap<String, Definition>>,
    told: Mutex<Told>,
    /// When the server was last asked, on [`boot`]'s clock, and whether it listed its
    /// tools then.
    asked: Mutex<Option<(Duration, bool)>>,
    /// Held by the call that asks because nothing is known yet.
    turn: tokio::sync::Mutex<()>,
}

impl Definitions {
    /// What is known of this tool; where nothing is, the server is asked once.
    pub async fn of(&self, call: &ToolCall, upstream: &dyn Upstream) -> Says {
        if let Some(known) = self.known(&call.tool) {
            return Says::Is(known);
        }
        // Who comes while a list is on its way waits for it: taken for a tool
        // that is not listed, it would seem changed once its call is approved.
        let _turn = self.turn.lock().await;
        if let Some(known) = self.known(&call.tool) {
            return Says::Is(known);
        }
        let asked = *locked(&self.asked);
        let old = asked.is_none_or(|(at, listed)| {
            boot() >= at + if listed { LACKING_FOR } else { FAILED_FOR }
        });
        if old && let Err(why) = self.refresh(call, upstream).await {
            tracing::warn!(why, "a server's tools are not known");
        }
        match (self.known(&call.tool), *locked(&self.asked)) {
            (Some(known), _) => Says::Is(known),
            (None, Some((_, true))) => Says::NotListed,
            (None, _) => Says::Nothing,
        }
    }

    /// What is known of this tool, without asking anybody.
    pub fn known(&self, tool: &str) -> Option<Definition> {
        locked(&self.tools).get(tool).cloned()
    }

    /// What the server says now of this tool.
    ///
    /// # Errors
    /// The list cannot be had: why, as a sentence.
    pub async fn now(
        &self,
        call: &ToolCall,
        upstream: &dyn Upstream,
    ) -> Result<Option<Definition>, String> {
        self.refresh(call, upstream).await
    }

    /// The server says that its tools are others now: what was seen is forgotten, but
    /// not what the client was told.
    pub fn forget(&self) {
        locked(&self.tools).clear();
        *locked(&self.asked) = None;
    }

    /// Takes note of a page of a list that passes by: the answer to `tools/list`.
    pub fn learn(&self, answer: &ServerMessage) {
        if find(&answer.bytes, &["result", "tools"]).is_none() {
            return;
        }
        let Some(listed) = tools(&answer.bytes) else { return self.not_read() };
        let last = find(&answer.bytes, &["result", "nextCursor"]).is_none();
        locked(&self.told).page(&listed, last);
        let mut known = locked(&self.tools);
        for (name, definition) in together(listed) {
            if known.len() < MAX_TOOLS || known.contains_key(&name) {
                known.insert(name, definition);
            }
        }
        within_bounds(&mut known);
    }

    /// The same of what came where a list was asked for, and is no answer by itself:
    /// several answers in one, as the older protocol had it.
    pub fn learn_several(&self, said: &Bytes) {
        for place in items(said, 0..said.len(), MAX_TOOLS).unwrap_or_default() {
            self.learn(&ServerMessage::read(said.slice(place)));
        }
    }

    /// A list passes to the client that cannot be read.
    pub fn not_read(&self) {
        tracing::warn!("a list of tools passed that cannot be read");
        locked(&self.told).not_read();
    }

    /// What the client was told of the server's tools.
    pub(super) fn told(&self) -> MutexGuard<'_, Told> {
        locked(&self.told)
    }

    /// Asks for the whole list; what it says of this call's tool.
    async fn refresh(
        &self,
        call: &ToolCall,
        upstream: &dyn Upstream,
    ) -> Result<Option<Definition>, String> {
        *locked(&self.asked) = Some((boot(), false));
        let mut found = Vec::new();
        let mut cursor = None;
        let asking = async {
            for _ in 0..MAX_PAGES {
                // Like one of a client: nothing in it says who asks.
                let id = Id::ours(&uuid::Uuid::new_v4().to_string());
                let request = Outgoing {
                    bytes: answer::request(&id, "tools/list", params(call, cursor.take())),
                    id,
                    method: "tools/list",
                    tool: None,
                    era: call.era,
                    progress_token: None,
                };
                let page = upstream.ask(request, None, CancellationToken::new()).await;
                let page = page.map_err(|error| error.to_string())?;
                if find(&page.bytes, &["result", "tools"]).is_none() {
                    return Err("the server does not list its tools".to_owned());
                }
                let more = tools(&page.bytes).filter(|more| found.len() + more.len() <= MAX_TOOLS);
                let Some(more) = more else {
                    return Err(format!("the server lists more than {MAX_TOOLS} tools"));
                };
                found.extend(more);
                cursor = find(&page.bytes, &["result", "nextCursor"])
                    .and_then(|place| text(&page.bytes[place]).map(|c| c.into_owned()));
                if cursor.is_none() {
                    return Ok(());
                }
            }
            Err(format!("the server's list of tools has more than {MAX_PAGES} pages"))
        };
        match tokio::time::timeout(LIST_WITHIN, asking).await {
            Ok(done) => done?,
            Err(_) => {
                return Err(format!(
                    "the server did not list its tools within {} s",
                    LIST_WITHIN.as_secs()
                ));
            }
        }
        // Of this very list: others may pass by meanwhile.
        let mut found = together(found);
        let now = found.get(&call.tool).cloned();
        within_bounds(&mut found);
        *locked(&self.tools) = found;
        *locked(&self.asked) = Some((boot(), true));
        Ok(now)
    }
}

/// Parameters for a list: in the modern era with what the call says of its client.
fn params(call: &ToolCall, cursor: Option<String>) -> Json {
    let mut params = Vec::new();
    if let Some(cursor) = cursor {
        params.push(("cursor", Json::String(cursor)));
    }
    let meta = call.message.params().and_then(|p| p.get("_meta")).and_then(Json::as_object);
    if call.era == Era::Modern
        && let Some(meta) = meta
    {
        let kept = meta.iter().filter(|(name, _)| name.starts_with("io.modelcontextprotocol/"));
        params.push(("_meta", Json::Object(kept.cloned().collect())));
    }
    Json::object(params)
}

/// The tools in an answer to `tools/list`; `None`: there is no list, or it is too long.
fn tools(answer: &Bytes) -> Option<Vec<(String, Definition)>> {
    let list = items(answer, find(answer, &["result", "tools"])?, MAX_TOOLS)?;
    Some(list.into_iter().filter_map(|place| tool_of(&answer[place])).collect())
}

/// By name. A name that comes with two definitions is neither of them: which one a
/// call means, the server alone knows.
fn together(tools: Vec<(String, Definition)>) -> HashMap<String, Definition> {
    let mut found = HashMap::new();
    for (name, definition) in tools {
        match found.entry(name) {
            Entry::Vacant(place) => {
                place.insert(definition);
            }
            Entry::Occupied(mut first) if first.get().hash != definition.hash => {
                let both = format!("{} {}", first.get().hash, definition.hash);
                let hash = hex(&Sha256::digest(both));
                let first = first.get_mut();
                *first = Definition { hash, readable: false, ..first.clone() };
            }
            Entry::Occupied(_) => {}
        }
    }
    found
}

/// The name and definition of one tool in a list.
pub fn tool_of(tool: &[u8]) -> Option<(String, Definition)> {
    let inside = members(tool, 0..tool.len())?;
    let name = inside.iter().rev().find(|member| member.name == "name")?;
    let name = text(&tool[name.value.clone()])?.into_owned();
    (name.len() <= LONGEST_NAME).then(|| (name, definition(tool)))
}

/// Gives up texts where all of them together are too long.
fn within_bounds(known: &mut HashMap<String, Definition>) {
    let mut left = ALL_TEXT;
    for definition in known.values_mut() {
        let length = definition.text.as_ref().map_or(0, |shown| shown.text.len());
        match left.checked_sub(length) {
            Some(rest) => left = rest,
            None => definition.text = None,
        }
    }
}

fn definition(tool: &[u8]) -> Definition {
    // What the strict reader refuses is hashed as it is, and believed in nothing.
    let (hashed, tool, text, readable) = match parse_envelope(tool) {
        Ok(json) => {
            let canonical = json.canonical();
            let hashed = Sha256::digest(&canonical);
            (hashed, Tool::of(&json), Shown::whole(canonical), true)
        }
        Err(_) => {
            let text = String::from_utf8_lossy(tool);
            (Sha256::digest(tool), Tool::default(), Shown::begins(&text), false)
        }
    };
    Definition { hash: hex(&hashed), tool: Arc::new(tool), text: Some(text), readable }
}
