//! Tools that are not defined any more as they were when they were first seen.
//!
//! Promises: a definition is pinned when it is first seen. One that differs from its
//! pin, whether we were told it or the client was, is told to the daemon, with both,
//! and no rule lets a call of the tool pass until an operator has accepted it. Where
//! that cannot be told, no call passes.

use sha2::{Digest as _, Sha256};

use super::definitions::Definition;
use super::{Gate, Server};
use crate::call::hex::hex;
use crate::call::json::parse;
use crate::client::brief;
use crate::proto;
use crate::proxy::state::{Clocks, Pinned};

/// A definition that nobody accepted yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Changed {
    said: String,
    /// Of the definition that nobody accepted; `None`: there is none.
    hash: Option<String>,
}

impl Changed {
    /// For who decides.
    pub fn said(&self) -> String {
        self.said.clone()
    }
}

impl Gate {
    /// Whether a tool is as pinned, whoever was told of it, from memory.
    pub(super) fn is_settled(&self, server: &Server, tool: &str, definition: &Definition) -> bool {
        definition.readable
            && self.state.is_pinned(&server.name, tool, &definition.hash)
            && server.definitions.told().agrees(tool, &definition.hash)
    }

    /// Says so if a tool is not as pinned: as the server defines it to us, or as it told
    /// the client, whichever of these differs first.
    ///
    /// # Errors
    /// It cannot be told: why, as a sentence.
    pub(super) async fn deviates(
        &self,
        server: &Server,
        tool: &str,
        definition: Option<&Definition>,
    ) -> Result<Option<Changed>, String> {
        let (unread, doubtful) = {
            let told = server.definitions.told();
            (told.is_unread(), told.doubtful(tool))
        };
        let mut found = unread.then(|| Changed {
            said: "The server gave its client a list of tools that cannot be read.".to_owned(),
            hash: None,
        });
        let ours = definition.map(|definition| &definition.hash);
        let others = doubtful.iter().filter(|told| Some(&told.hash) != ours);
        // What the client was told came first: what is pinned is what was seen first.
        for told in others.chain(definition) {
            let changed = self.changed(server, tool, told).await?;
            if changed.is_none() {
                server.definitions.told().settle(tool, &told.hash);
            }
            found = found.or(changed);
        }
        if definition.is_none() {
            found = found.or(self.missing(server, tool).await?);
        }
        Ok(found)
    }

    /// Says so if a server does not list a tool that it listed before.
    async fn missing(&self, server: &Server, tool: &str) -> Result<Option<Changed>, String> {
        let pinned = self.state.has_pin(&server.name, tool).await;
        let pinned = pinned.map_err(|error| error.to_string())?;
        // A name that was never listed may be one that an agent made up: the server says
        // so itself, and nobody is to be asked for it.
        let said = "The server does not say any more what this tool is.";
        Ok(pinned.then(|| Changed { said: said.to_owned(), hash: None }))
    }

    /// Says so if nobody accepted that a tool is defined so.
    async fn changed(
        &self,
        server: &Server,
        tool: &str,
        definition: &Definition,
    ) -> Result<Option<Changed>, String> {
        if !definition.readable {
            let said =
                "This tool's definition can be read in two ways, or its name is listed twice.";
            let hash = Some(definition.hash.clone());
            return Ok(Some(Changed { said: said.to_owned(), hash }));
        }
        let shown = definition.text.as_ref();
        let text = shown.map_or("{}", |shown| &shown.text);
        let pinned = self.state.pin(&server.name, tool, &definition.hash, text, Clocks::now());
        let before = match pinned.await.map_err(|error| error.to_string())? {
            Pinned::First | Pinned::Same => return Ok(None),
            Pinned::Changed(before) => before,
        };
        let report = proto::ReportDefinitionRequest {
            server: server.name.clone(),
            tool: tool.to_owned(),
            before_cut: !is_whole(&before.before, &before.hash),
            hash_before: before.hash,
            hash_now: definition.hash.clone(),
            definition_before: match parse(before.before.as_bytes()) {
                Ok(_) => before.before.into(),
                Err(_) => Vec::new(),
            },
            definition_now: text.to_owned().into(),
            now_cut: shown.is_none_or(|shown| shown.cut),
        };
        let answer = self.service.clone().report_definition(brief(report)).await;
        Ok(match answer {
            Ok(answer) if answer.get_ref().status() == proto::DefinitionStatus::Accepted => {
                let accepted =
                    self.state.accept(&server.name, tool, &definition.hash, Clocks::now());
                accepted.await.map_err(|error| error.to_string())?;
                tracing::info!(server = server.name, tool, "a changed tool was accepted");
                None
            }
            // Whether the daemon knows of it or is away: a person decides.
            _ => {
                let accept =
                    format!("holdpoint policy accept --server {} --tool {tool}", server.name);
                tracing::warn!(
                    server = server.name,
                    tool,
                    accept,
                    "a tool is not defined as before: calls of it are held until an operator accepts it"
                );
                let said = format!(
                    "This tool is not defined as it was, and nobody has accepted that: {accept}"
                );
                Some(Changed { said, hash: Some(definition.hash.clone()) })
            }
        })
    }
}

/// Whether a text is the whole definition that has this hash.
fn is_whole(text: &str, hash: &str) -> bool {
    parse(text.as_bytes()).is_ok_and(|json| hex(&Sha256::digest(json.canonical())) == hash)
}
