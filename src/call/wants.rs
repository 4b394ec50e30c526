//! Which kinds of mail one operator wants.

use super::model::MailKind;

/// Which kinds of mail an operator wants beside those that ask: a bit each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wants(u32);

impl Default for Wants {
    /// All of them.
    fn default() -> Self {
        Wants::ALL.iter().copied().fold(Wants::NONE, Wants::and)
    }
}

impl Wants {
    /// Nothing but what has to be asked.
    pub const NONE: Wants = Wants(0);

    /// The kinds that can be wanted or not. Their places are their bits, so new
    /// ones come last.
    pub const ALL: &'static [MailKind] = &[
        MailKind::Approved,
        MailKind::Denied,
        MailKind::Expired,
        MailKind::Withdrawn,
        MailKind::OutcomeUnknown,
        MailKind::Reminder,
    ];

    fn bit(kind: MailKind) -> u32 {
        Self::ALL.iter().position(|known| *known == kind).map_or(0, |place| 1 << place)
    }

    /// These, and this one.
    #[must_use]
    pub fn and(self, kind: MailKind) -> Self {
        Wants(self.0 | Self::bit(kind))
    }

    /// Whether this kind is wanted.
    pub fn has(self, kind: MailKind) -> bool {
        self.0 & Self::bit(kind) != 0
    }

    /// As the store keeps it.
    pub fn bits(self) -> u32 {
        self.0
    }

    /// As the store kept it.
    pub fn from_bits(bits: u32) -> Self {
        Wants(bits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wanted_outlives_the_store() {
        assert_eq!(Wants::default().bits(), 63, "as migrated rows have it");
        for kind in MailKind::ALL {
            let known = Wants::ALL.contains(kind);
            assert_eq!(Wants::default().has(*kind), known);
            let only = Wants::NONE.and(*kind);
            assert_eq!(Wants::from_bits(only.bits()).has(*kind), known);
            assert!(Wants::ALL.iter().all(|other| other == kind || !only.has(*other)));
        }
    }
}
