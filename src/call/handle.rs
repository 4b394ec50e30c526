//! A handle: a name under which a caller finds a request again.
//!
//! The caller may let its client show it as the only thing that proves anything (an
//! MCP task's id is one), so it is treated as a secret is: what is kept of it, from
//! the moment it came in, is its hash. Handles are random, or nothing hides them.

use sha2::{Digest as _, Sha256};

/// Longest handle, in bytes.
pub const LONGEST: usize = 200;

/// What is kept of a handle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Handle([u8; 32]);

/// The text is no handle. Never repeats it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("1 to {LONGEST} bytes of visible ASCII (no spaces) are expected")]
pub struct NotAHandle;

impl Handle {
    /// Takes a handle as it came in.
    pub fn new(text: &str) -> Result<Self, NotAHandle> {
        let visible = text.bytes().all(|byte| byte.is_ascii_graphic());
        if text.is_empty() || text.len() > LONGEST || !visible {
            return Err(NotAHandle);
        }
        Ok(Handle(Sha256::digest(text).into()))
    }

    /// The bytes that the store keeps.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_handle_is_visible_ascii_and_not_kept_as_it_came() {
        let longest = "~".repeat(LONGEST);
        for good in ["!", "task-786512e2-9e0d-44bd-8f29-789f320fe840", &longest] {
            assert!(Handle::new(good).is_ok(), "{good}");
        }
        let too_long = "a".repeat(LONGEST + 1);
        for bad in ["", " ", "a b", "a\n", "a\u{7f}", "\u{e4}", "\u{202e}", "a\0", &too_long] {
            assert_eq!(Handle::new(bad), Err(NotAHandle), "{bad:?}");
        }
        let kept = Handle::new("zebra").expect("a handle");
        assert_ne!(Ok(kept), Handle::new("Zebra"));
        assert!(!format!("{kept:?}").contains("zebra"));
    }
}
