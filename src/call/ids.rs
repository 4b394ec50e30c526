//! Names of things that come from outside, made into types in one place.

use std::fmt;
use std::str::FromStr;

use uuid::Uuid;

/// A request's id: a UUIDv7, so that ids sort by the time they were made.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(Uuid);

impl RequestId {
    /// A fresh id. `unix_ms` orders it; the rest is random.
    pub fn new(unix_ms: i64) -> Self {
        let seconds = unix_ms.max(0) as u64 / 1000;
        let nanos = (unix_ms.max(0) as u64 % 1000) as u32 * 1_000_000;
        let stamp = uuid::Timestamp::from_unix(uuid::NoContext, seconds, nanos);
        RequestId(Uuid::new_v7(stamp))
    }

    /// The 16 bytes that the store keeps.
    pub fn as_bytes(&self) -> &[u8; 16] {
        self.0.as_bytes()
    }

    /// The inverse of [`RequestId::as_bytes`].
    pub fn from_bytes(bytes: [u8; 16]) -> Self {
        RequestId(Uuid::from_bytes(bytes))
    }

    /// The last eight hex digits: what tables and refusals show. UUIDv7 begins
    /// with the time, so the end is what tells requests of one minute apart.
    pub fn short(&self) -> String {
        let text = self.0.simple().to_string();
        text[24..].to_owned()
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.hyphenated().fmt(f)
    }
}

impl fmt::Debug for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The text is not a full request id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a request id: 36 characters like 019ac5a2-7d5c-7cc3-98a5-3f1c2b4d5e6f are expected")]
pub struct NotARequestId;

impl FromStr for RequestId {
    type Err = NotARequestId;

    fn from_str(text: &str) -> Result<Self, NotARequestId> {
        // Only the form that we print: the uuid crate also reads braces, URNs
        // and upper case, and two spellings of one id help nobody.
        let id = Uuid::try_parse(text).map_err(|_| NotARequestId)?;
        if id.hyphenated().to_string() == text { Ok(RequestId(id)) } else { Err(NotARequestId) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_read_in_exactly_the_form_they_are_printed() {
        let id = RequestId::new(1_700_000_000_123);
        assert_eq!(id.to_string().parse::<RequestId>(), Ok(id));
        let upper = id.to_string().to_uppercase();
        assert_eq!(upper.parse::<RequestId>(), Err(NotARequestId));
        assert!(format!("{{{id}}}").parse::<RequestId>().is_err());
        assert!(id.to_string().ends_with(&id.short()));
        assert_eq!(RequestId::from_bytes(*id.as_bytes()), id);
    }

    #[test]
    fn later_ids_sort_after_earlier_ones() {
        assert!(RequestId::new(1_700_000_000_123) < RequestId::new(1_700_000_000_124));
    }
}
