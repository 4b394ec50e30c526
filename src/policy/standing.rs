//! What a call gets for which no rule is meant: `default:`.

use super::problem::{Place, Problems};
use super::values::word;
use super::yaml::Entry;

/// `default:` of a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Default {
    pub posture: Posture,
    /// Where it stands; `None`: it is left out.
    pub place: Option<Place>,
}

/// What a call gets for which no rule is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Posture {
    Allow,
    Deny,
    RequireApproval,
    /// What is known to read passes, and the rest is held.
    Judge,
}

/// With the words for them.
const POSTURES: [(&str, Posture); 4] = [
    ("allow", Posture::Allow),
    ("deny", Posture::Deny),
    ("require_approval", Posture::RequireApproval),
    ("judge", Posture::Judge),
];

impl Posture {
    /// The word for it.
    pub fn word(self) -> &'static str {
        POSTURES.iter().find(|(_, posture)| *posture == self).map_or("", |(word, _)| word)
    }
}

/// Reads `default:`.
pub fn read(entry: &Entry, problems: &mut Problems) -> Option<Default> {
    let known = POSTURES.map(|(word, _)| word);
    let found = word(entry, &known, "default", problems)?;
    let (_, posture) = POSTURES.into_iter().find(|(word, _)| *word == found)?;
    Some(Default { posture, place: Some(entry.place) })
}
