//! Session ids that only the client can use to whom they were given.
//!
//! A server gives out a session id, and whoever has it is in the session. What our
//! client gets is that id with a seal: a MAC over server, client and id. So another
//! client's id opens nothing, and nothing has to be remembered. The key comes from
//! the proxy's credential at the daemon, so that sessions outlive a restart.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

/// What stands between an id and its seal.
const SEPARATOR: char = '.';

/// The bytes of a MAC that are kept: 144 bits, which nobody guesses.
const KEPT: usize = 18;

/// Says what the key is for, so that it is no key for anything else.
const PURPOSE: &[u8] = b"holdpoint-proxy-session-v1";

/// Makes and checks seals.
#[derive(Clone)]
pub struct Sealer([u8; 32]);

impl fmt::Debug for Sealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sealer(hidden)")
    }
}

impl Sealer {
    /// With a key that is derived from a secret.
    pub fn new(secret: &[u8]) -> Sealer {
        Sealer(hmac(secret, &[PURPOSE]))
    }

    /// The id as this client gets it.
    pub fn seal(&self, server: &str, client: &str, id: &str) -> String {
        format!("{id}{SEPARATOR}{}", self.mac(server, client, id))
    }

    /// The server's own id, if that is what this client was given.
    pub fn open<'a>(&self, server: &str, client: &str, sealed: &'a str) -> Option<&'a str> {
        let (id, shown) = sealed.rsplit_once(SEPARATOR)?;
        let mac = self.mac(server, client, id);
        bool::from(mac.as_bytes().ct_eq(shown.as_bytes())).then_some(id)
    }

    fn mac(&self, server: &str, client: &str, id: &str) -> String {
        // Each with its length before it, so that no two triples are one text.
        let lengths = [server, client, id].map(|part| (part.len() as u64).to_be_bytes());
        let [server, client, id] = [server, client, id].map(str::as_bytes);
        let [a, b, c] = &lengths;
        let mac = hmac(&self.0, &[a, server, b, client, c, id]);
        URL_SAFE_NO_PAD.encode(&mac[..KEPT])
    }
}

/// HMAC-SHA256 (RFC 2104) over the parts, one after the other.
fn hmac(key: &[u8], parts: &[&[u8]]) -> [u8; 32] {
    const BLOCK: usize = 64;
    let mut block = [0u8; BLOCK];
    if key.len() > BLOCK {
        block[..32].copy_from_slice(&Sha256::digest(key));
    } else {
        block[..key.len()].copy_from_slice(key);
    }
    let mut inner = Sha256::new_with_prefix(block.map(|byte| byte ^ 0x36));
    for part in parts {
        inner.update(part);
    }
    let outer = Sha256::new_with_prefix(block.map(|byte| byte ^ 0x5c));
    outer.chain_update(inner.finalize()).finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::call::hex::hex;

    #[test]
    fn the_mac_is_that_of_rfc_4231() {
        let first = hmac(&[0x0b; 20], &[b"Hi ", b"There"]);
        assert_eq!(hex(&first), "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7");
        let long = hmac(&[0xaa; 131], &[b"Test Using Larger Than Block-Size Key - Hash Key First"]);
        assert_eq!(hex(&long), "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
    }

    #[test]
    fn a_session_opens_for_its_own_client_at_its_own_server_alone() {
        let sealer = Sealer::new(b"hp_token");
        let sealed = sealer.seal("files", "alice", "s.1");
        assert_eq!(sealer.open("files", "alice", &sealed), Some("s.1"));
        assert_eq!(Sealer::new(b"hp_token").open("files", "alice", &sealed), Some("s.1"));
        assert_eq!(sealer.open("files", "bob", &sealed), None);
        assert_eq!(sealer.open("other", "alice", &sealed), None);
        assert_eq!(sealer.open("filesa", "lice", &sealed), None);
        assert_eq!(Sealer::new(b"hp_other").open("files", "alice", &sealed), None);
        let forged = format!("s.2.{}", sealed.rsplit_once('.').expect("a seal").1);
        for wrong in ["s.1", "s.1.", "", ".", &sealed[..sealed.len() - 1], &forged] {
            assert_eq!(sealer.open("files", "alice", wrong), None, "{wrong}");
        }
        assert!(sealed.bytes().all(|b| (0x21..=0x7e).contains(&b)));
    }
}
