//! The digest: what binds a decision to a call.
//!
//! Promises: two calls have the same digest exactly when server, tool, and the
//! canonical form of what they carry are the same; anyone can compute it with
//! SHA-256 and the published vectors (`tests/vectors/digest.jsonl`). Must
//! never: change for what was once covered. A new meaning takes a new prefix.

use std::fmt;
use std::str::FromStr;

use sha2::{Digest as _, Sha256};

use super::canonical;
use super::hex::hex;
use super::json::Json;

/// What every digest starts from, so that no other use of SHA-256 over JSON
/// (an audit entry, a webhook) can ever produce one.
const PREFIX: &[u8] = b"holdpoint-call-v1\0";

/// What a person must have seen for a prefix to stand for a digest: 64 bits.
/// Fewer could be searched for: a second call with the same few digits.
const MIN_PREFIX: usize = 16;

/// SHA-256 over a call, written as 64 lower-case hex digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Digest([u8; 32]);

impl Digest {
    /// The digest with these bytes.
    pub const fn from_bytes(bytes: [u8; 32]) -> Digest {
        Digest(bytes)
    }

    /// The 32 bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The first 16 hex digits: what a person compares.
    pub fn short(&self) -> String {
        let mut hex = self.to_string();
        hex.truncate(MIN_PREFIX);
        hex
    }

    /// Whether `hex` is how this digest starts: 16 to 64 lower-case hex digits.
    /// Anything shorter names no digest.
    pub fn matches_prefix(&self, hex: &str) -> bool {
        hex.len() >= MIN_PREFIX && self.to_string().starts_with(hex)
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex(&self.0))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// What was given is not a digest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a digest: give all 64 lower-case hex digits")]
pub struct NotADigest;

impl FromStr for Digest {
    type Err = NotADigest;

    /// Strict: one digest has one spelling.
    fn from_str(hex: &str) -> Result<Digest, NotADigest> {
        let digit = |b: u8| match b {
            b'0'..=b'9' => Ok(b - b'0'),
            b'a'..=b'f' => Ok(b - b'a' + 10),
            _ => Err(NotADigest),
        };
        if hex.len() != 64 {
            return Err(NotADigest);
        }
        let mut bytes = [0; 32];
        for (byte, pair) in bytes.iter_mut().zip(hex.as_bytes().chunks_exact(2)) {
            *byte = digit(pair[0])? << 4 | digit(pair[1])?;
        }
        Ok(Digest(bytes))
    }
}

/// What a digest covers: all that decides what the call does.
#[derive(Clone, Copy)]
pub struct Covered<'a> {
    /// The server that has the tool.
    pub server: &'a str,
    /// The tool's name.
    pub tool: &'a str,
    /// The arguments, unmasked. A JSON object.
    pub arguments: &'a Json,
    /// `inputResponses` of an MCP call that continues an earlier one.
    pub input_responses: Option<&'a Json>,
    /// `requestState` of an MCP call that continues an earlier one.
    pub request_state: Option<&'a str>,
}

/// Without the arguments: a debug line is a log, and they are not masked.
impl fmt::Debug for Covered<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Covered")
            .field("server", &self.server)
            .field("tool", &self.tool)
            .finish_non_exhaustive()
    }
}

impl Covered<'_> {
    /// The digest of this call.
    pub fn digest(&self) -> Digest {
        let hash = Sha256::new().chain_update(PREFIX).chain_update(self.canonical()).finalize();
        Digest(hash.into())
    }

    /// The canonical JSON that the digest is taken over. Holds the real
    /// arguments: for hashing and for tests, never for storing.
    pub fn canonical(&self) -> String {
        // Written member by member, in canonical order, because building the
        // object would copy the arguments.
        let mut out = String::from("{\"arguments\":");
        canonical::write(&mut out, self.arguments);
        if let Some(responses) = self.input_responses {
            out.push_str(",\"inputResponses\":");
            canonical::write(&mut out, responses);
        }
        if let Some(state) = self.request_state {
            out.push_str(",\"requestState\":");
            canonical::string(&mut out, state);
        }
        out.push_str(",\"server\":");
        canonical::string(&mut out, self.server);
        out.push_str(",\"tool\":");
        canonical::string(&mut out, self.tool);
        out.push('}');
        out
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::call::json::tests::{any_json, any_text};
    use crate::call::json::{parse, parse_object};

    const VECTORS: &str = include_str!("../../tests/vectors/digest.jsonl");

    fn digest_of(server: &str, tool: &str, arguments: &Json) -> Digest {
        covered(server, tool, arguments).digest()
    }

    fn covered<'a>(server: &'a str, tool: &'a str, arguments: &'a Json) -> Covered<'a> {
        Covered { server, tool, arguments, input_responses: None, request_state: None }
    }

    #[test]
    fn published_vectors_hold() {
        for line in VECTORS.lines() {
            let vector = parse(line.as_bytes()).expect("a vector is JSON");
            let text = |name: &str| vector.get(name).and_then(Json::as_str);
            let arguments = parse_object(text("arguments").expect(line).as_bytes()).expect(line);
            let responses = text("inputResponses").map(|t| parse(t.as_bytes()).expect(line));
            let call = Covered {
                server: text("server").expect(line),
                tool: text("tool").expect(line),
                arguments: &arguments,
                input_responses: responses.as_ref(),
                request_state: text("requestState"),
            };
            assert_eq!(Some(call.canonical().as_str()), text("canonical"), "{line}");
            assert_eq!(Some(call.digest().to_string().as_str()), text("digest"), "{line}");
        }
        assert!(VECTORS.lines().count() >= 12);
    }

    #[test]
    fn what_is_covered_is_canonical_json_itself() {
        let arguments = parse(br#"{"b":1.0,"a":"x"}"#).unwrap();
        let call = Covered {
            input_responses: Some(&arguments),
            request_state: Some("s\""),
            ..covered("server", "tool", &arguments)
        };
        let text = call.canonical();
        assert_eq!(parse(text.as_bytes()).unwrap().canonical(), text);
        assert!(!format!("{call:?}").contains('x'));
    }

    #[test]
    fn absent_and_empty_are_different() {
        let empty = Json::Object(vec![]);
        let plain = covered("s", "t", &empty);
        let all = [
            plain,
            Covered { input_responses: Some(&empty), ..plain },
            Covered { request_state: Some(""), ..plain },
            covered("t", "s", &empty),
            covered("", "st", &empty),
        ];
        let digests: std::collections::HashSet<_> = all.iter().map(Covered::digest).collect();
        assert_eq!(digests.len(), all.len());
    }

    #[test]
    fn a_digest_has_one_spelling() {
        let hex = "00ff".repeat(16);
        let digest: Digest = hex.parse().unwrap();
        assert_eq!(digest.to_string(), hex);
        assert_eq!(format!("{digest:?}"), hex);
        assert_eq!(digest.short(), hex[..16]);
        assert_eq!(Digest::from_bytes(*digest.as_bytes()), digest);
        for wrong in ["", "00", &hex.to_uppercase(), &format!("{hex}0"), &hex[1..], &"é".repeat(32)]
        {
            assert_eq!(wrong.parse::<Digest>(), Err(NotADigest), "{wrong}");
        }
        assert!("g".repeat(64).parse::<Digest>().is_err());
    }

    #[test]
    fn a_prefix_stands_for_a_digest_from_16_digits_on() {
        let hex = "0123456789abcdef".repeat(4);
        let digest: Digest = hex.parse().unwrap();
        assert!(digest.matches_prefix(&hex[..16]) && digest.matches_prefix(&hex));
        assert!(!digest.matches_prefix("") && !digest.matches_prefix(&hex[..15]));
        assert!(!digest.matches_prefix("0123456789abcdee"));
        assert!(!digest.matches_prefix("0123456789ABCDEF"));
        assert!(!digest.matches_prefix(&format!("{hex}0")));
    }

    proptest! {
        #[test]
        fn different_calls_have_different_digests(
            a in (any_text(), any_text(), any_json()),
            b in (any_text(), any_text(), any_json()),
        ) {
            let same = a.0 == b.0 && a.1 == b.1 && a.2.canonical() == b.2.canonical();
            prop_assert_eq!(digest_of(&a.0, &a.1, &a.2) == digest_of(&b.0, &b.1, &b.2), same);
        }

        #[test]
        fn moving_a_letter_from_server_to_tool_changes_the_digest(a in "[a-z\"]{1,6}", b in any_text()) {
            let arguments = Json::Object(vec![]);
            let (head, tail) = a.split_at(a.len() - 1);
            prop_assert_ne!(
                digest_of(&a, &b, &arguments),
                digest_of(head, &format!("{tail}{b}"), &arguments)
            );
        }
    }
}
