//! A secret of this daemon's own, by which it knows its own words again: links in
//! mails, and what pages give their forms to bring back.
//!
//! Promises: who does not know the secret cannot make a seal, and one made for one
//! purpose is none for another. The secret lies in a file beside the database and
//! not in it, so that a copy of the database opens nothing; without the file, what
//! was sealed before is void. Must never: be printed, or stand in an error.

use std::fmt;

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

/// Bytes of a seal: 128 bits, which nobody guesses.
pub const BYTES: usize = 16;

/// The secret.
#[derive(Clone)]
pub struct Seal([u8; 32]);

impl fmt::Debug for Seal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Seal(...)")
    }
}

impl Seal {
    /// By a secret of 32 random bytes.
    pub fn new(secret: [u8; 32]) -> Self {
        Seal(secret)
    }

    /// The seal on these parts, for this purpose.
    pub fn of(&self, purpose: &'static str, parts: &[&[u8]]) -> [u8; BYTES] {
        let whole = self.mac(purpose, parts).finalize().into_bytes();
        let mut seal = [0; BYTES];
        seal.copy_from_slice(&whole[..BYTES]);
        seal
    }

    /// Whether this is the seal on these parts, in a time that does not depend on
    /// how much of it is right.
    pub fn holds(&self, purpose: &'static str, parts: &[&[u8]], seal: &[u8]) -> bool {
        seal.len() == BYTES && self.mac(purpose, parts).verify_truncated_left(seal).is_ok()
    }

    /// Each part goes in with its length, so that no two lists of parts are the same.
    fn mac(&self, purpose: &'static str, parts: &[&[u8]]) -> Hmac<Sha256> {
        // A shorter key than a block counts as if zeros followed (RFC 2104, 2).
        let mut key = [0; 64];
        key[..self.0.len()].copy_from_slice(&self.0);
        let mut mac = Hmac::<Sha256>::new(&key.into());
        for part in [b"holdpoint-seal-v1", purpose.as_bytes()].iter().chain(parts) {
            mac.update(&(part.len() as u64).to_be_bytes());
            mac.update(part);
        }
        mac
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seal_holds_for_its_purpose_and_its_parts_alone() {
        let seal = Seal::new([7; 32]);
        let made = seal.of("link", &[b"ann", b"1"]);
        assert!(seal.holds("link", &[b"ann", b"1"], &made));
        for (purpose, parts) in [
            ("form", [b"ann".as_slice(), b"1"]),
            ("link", [b"an", b"n1"]),
            ("link", [b"ann1", b""]),
            ("link", [b"bob", b"1"]),
        ] {
            assert!(!seal.holds(purpose, &parts, &made), "{purpose} {parts:?}");
        }
        assert!(!seal.holds("link", &[b"ann", b"1"], &made[..15]));
        assert!(!seal.holds("link", &[b"ann", b"1"], &[]));
        assert!(!Seal::new([8; 32]).holds("link", &[b"ann", b"1"], &made));
        assert_eq!(format!("{seal:?}"), "Seal(...)");
    }
}
