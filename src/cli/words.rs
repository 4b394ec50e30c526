//! How categories, risks and statuses look: the word always, a colour where
//! there are colours.

use super::output::Tone;
use crate::call::model::{Category, Risk, Status};

/// The tone of a category.
pub fn category(number: i32) -> Tone {
    match Category::from_number(number) {
        Some(Category::Read) => Tone::Plain,
        Some(Category::Write | Category::Execute) => Tone::Caution,
        // What is unsaid counts as the most dangerous, here too.
        Some(Category::Destructive | Category::Financial | Category::Unspecified) | None => {
            Tone::Alarm
        }
    }
}

/// The tone of a risk.
pub fn risk(number: i32) -> Tone {
    match Risk::from_number(number) {
        Some(Risk::Low) => Tone::Plain,
        Some(Risk::Medium) => Tone::Caution,
        Some(Risk::High | Risk::Critical | Risk::Unspecified) | None => Tone::Alarm,
    }
}

/// The tone of a status.
pub fn status(number: i32) -> Tone {
    match Status::from_number(number) {
        Some(Status::Pending) => Tone::Strong,
        Some(Status::Approved) => Tone::Good,
        Some(Status::Denied) => Tone::Alarm,
        Some(Status::Expired) => Tone::Caution,
        Some(Status::Withdrawn) | None => Tone::Faint,
    }
}

/// The tone of an entry of the history, by its kind.
pub fn entry(kind: &str) -> Tone {
    match kind {
        "approved" | "use_granted" => Tone::Good,
        "denied" | "call_denied" | "denial_repeated" | "outcome_unknown" => Tone::Alarm,
        "expired" | "use_lapsed" | "mail_failed" | "clock_stepped" | "nobody_reached" => {
            Tone::Caution
        }
        "requested" | "approval_counted" | "call_would_be_held" => Tone::Strong,
        _ => Tone::Plain,
    }
}
