//! What a call gets for which no rule is meant.

use std::time::Duration;

use super::call::{Action, Hold};
use super::judging::Judgement;
use crate::call::model::Category;

/// `default:` of a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Default {
    pub posture: Posture,
    /// Where it stands; `None`: it is left out.
    pub line: Option<usize>,
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

/// What an agent is told where the default denies.
const DENIED: &str = "No rule of the policy allows this tool.";

impl Default {
    /// What it says of a call that was judged so.
    pub fn action(self, judgement: &Judgement, timeout: Option<Duration>) -> Action {
        match self.posture {
            Posture::Allow => Action::Allow,
            Posture::Deny => Action::Deny { reason: DENIED.to_owned() },
            Posture::Judge if judgement.told && judgement.category == Category::Read => {
                Action::Allow
            }
            Posture::RequireApproval | Posture::Judge => {
                Action::Hold(Hold { timeout, ..Hold::default() })
            }
        }
    }

    /// The word for it.
    pub fn word(self) -> &'static str {
        match self.posture {
            Posture::Allow => "allow",
            Posture::Deny => "deny",
            Posture::RequireApproval => "require_approval",
            Posture::Judge => "judge",
        }
    }
}
