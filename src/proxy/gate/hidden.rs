//! Tools that the policy hides: a client neither sees them nor may call them.
//!
//! A list is taken apart only where something in it is hidden; everything else in
//! it stays the bytes that the server sent.

use std::ops::Range;

use bytes::Bytes;

use super::definitions::{MAX_TOOLS, tool_of};
use super::{Gate, Server};
use crate::proxy::message::scan::{find, items, replaced};

impl Gate {
    /// Whether anything of this server may be hidden.
    pub fn hides_any(&self, server: &Server) -> bool {
        self.policies.now(&server.name).hides_any()
    }

    /// An answer to `tools/list` as the client gets it.
    pub fn shown(&self, server: &Server, answer: &Bytes) -> Bytes {
        let policy = self.policies.now(&server.name);
        if !policy.hides_any() {
            return answer.clone();
        }
        let Some(list) = find(answer, &["result", "tools"]) else { return answer.clone() };
        // What cannot be read as a list, or is too long, has no tools that a client sees.
        let Some(tools) = items(answer, list.clone(), MAX_TOOLS) else {
            return replaced(answer, &[(list, b"[]")]);
        };
        let shown = |place: &Range<usize>| match tool_of(&answer[place.clone()]) {
            Some((name, definition)) => !policy.hides(&server.name, &name, Some(&definition.tool)),
            // One without a name, or with one beyond all bounds, cannot be called.
            None => false,
        };
        let kept: Vec<&[u8]> =
            tools.iter().filter(|place| shown(place)).map(|place| &answer[place.clone()]).collect();
        if kept.len() == tools.len() {
            return answer.clone();
        }
        let mut without = kept.join(&b',');
        without.insert(0, b'[');
        without.push(b']');
        replaced(answer, &[(list, &without)])
    }
}
