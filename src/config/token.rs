//! Bearer tokens: how they are made, and the hash that stands for them.
//!
//! Only hashes are stored. A token has 192 random bits, so a plain SHA-256 is
//! enough: there is nothing to guess that a slow hash would protect.

use crate::call::hex::hex;
use std::fmt;

use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

/// What every token begins with, so that secret scanners and people know one.
pub const PREFIX: &str = "hp_";

/// A new token could not be made.
#[derive(Debug, thiserror::Error)]
#[error("the operating system gave no random bytes for a token ({0}); try again")]
pub struct NoRandomness(getrandom::Error);

/// A fresh token: `hp_` and 48 lower-case hex digits (24 random bytes).
pub fn generate() -> Result<String, NoRandomness> {
    let mut bytes = [0u8; 24];
    getrandom::fill(&mut bytes).map_err(NoRandomness)?;
    Ok(format!("{PREFIX}{}", hex(&bytes)))
}

/// Whether a text has the form of a token that [`generate`] makes.
pub fn looks_like_one(text: &str) -> bool {
    let digits = text.strip_prefix(PREFIX).unwrap_or_default();
    digits.len() == 48 && digits.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

/// SHA-256 of a whole token's text; compared in constant time.
#[derive(Clone, Copy)]
pub struct TokenHash([u8; 32]);

impl TokenHash {
    /// The hash of a token.
    pub fn of(token: &str) -> TokenHash {
        TokenHash(Sha256::digest(token.as_bytes()).into())
    }

    /// Reads 64 hex digits.
    pub fn parse(text: &str) -> Option<TokenHash> {
        let digits = text.as_bytes();
        let mut bytes = [0u8; 32];
        if digits.len() != 64 {
            return None;
        }
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
            let high = char::from(pair[0]).to_digit(16)?;
            let low = char::from(pair[1]).to_digit(16)?;
            *byte = u8::try_from(high * 16 + low).ok()?;
        }
        Some(TokenHash(bytes))
    }

    /// The inverse of [`TokenHash::as_bytes`].
    pub fn from_bytes(bytes: [u8; 32]) -> TokenHash {
        TokenHash(bytes)
    }

    /// The bytes, for an index.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl PartialEq for TokenHash {
    fn eq(&self, other: &TokenHash) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl Eq for TokenHash {}

/// 64 lower-case hex digits.
impl fmt::Display for TokenHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex(&self.0))
    }
}

/// The first eight digits, enough to tell two apart.
impl fmt::Debug for TokenHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TokenHash({}…)", hex(&self.0[..4]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_long_random_and_recognisable() {
        let (one, two) = (generate().expect("randomness"), generate().expect("randomness"));
        assert!(looks_like_one(&one), "{one}");
        assert_ne!(one, two);
        assert!(!looks_like_one(&one.to_uppercase()));
        assert!(!looks_like_one(&one[1..]));
        assert!(!looks_like_one("hp_"));
    }

    #[test]
    fn the_hash_is_that_of_the_whole_text() {
        // sha256sum of "hp_test", computed elsewhere.
        let known = "463ca3cc3f5224b40a80b04a054c686bff0f3f1e3e7e82cb66352f7e5f67e5e7";
        let hash = TokenHash::of("hp_test");
        assert_eq!(hash.to_string(), known);
        assert_eq!(TokenHash::parse(known), Some(hash));
        assert_eq!(TokenHash::parse(&known.to_uppercase()), Some(hash));
        assert_ne!(TokenHash::of("hp_test "), hash);
        for bad in ["", &known[1..], &format!("{known}0"), &known.replace('f', "g"), "é"] {
            assert_eq!(TokenHash::parse(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn debug_shows_too_little_of_a_hash_to_paste() {
        assert!(format!("{:?}", TokenHash::of("x")).len() < 24);
    }
}
