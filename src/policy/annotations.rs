//! What a tool says of itself, and what that is worth.

use crate::call::json::Json;
use crate::call::model::{Category, Risk};

/// The hints of a tool's definition that a policy looks at. A hint is a claim
/// of the server: it may make a tool look worse, and only on a trusted server
/// better.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Annotations {
    /// `readOnlyHint`.
    pub read_only: Option<bool>,
    /// `destructiveHint`.
    pub destructive: Option<bool>,
}

impl Annotations {
    /// Of an entry of a `tools/list` result. A hint that is neither true nor
    /// false counts as the more dangerous of the two.
    pub fn of(tool: &Json) -> Annotations {
        let hint = |name: &str, dangerous: bool| {
            let hint = tool.get("annotations")?.get(name).filter(|hint| !hint.is_null())?;
            Some(hint.as_bool().unwrap_or(dangerous))
        };
        Annotations {
            read_only: hint("readOnlyHint", false),
            destructive: hint("destructiveHint", true),
        }
    }

    /// Whether it says that it reads, and nothing against that.
    pub(super) fn only_reads(&self) -> bool {
        self.read_only == Some(true) && self.destructive != Some(true)
    }
}

/// What a tool does and how bad a mistake would be, as far as its annotations
/// tell. Where they tell nothing that can be believed, that is unspecified,
/// which counts as the most dangerous: every route for dangerous calls matches.
pub fn kind(annotations: &Annotations, trusted: bool) -> (Category, Risk) {
    match *annotations {
        _ if trusted && annotations.only_reads() => (Category::Read, Risk::Low),
        Annotations { destructive: Some(true), .. } => (Category::Destructive, Risk::High),
        Annotations { destructive: Some(false), .. } if trusted => (Category::Write, Risk::Medium),
        // The specification's default for what is not read-only.
        Annotations { read_only: Some(false), destructive: None } => {
            (Category::Destructive, Risk::High)
        }
        _ => (Category::Unspecified, Risk::Unspecified),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::call::json::parse;

    fn of(text: &str) -> Annotations {
        Annotations::of(&parse(text.as_bytes()).expect("JSON"))
    }

    fn said(read_only: Option<bool>, destructive: Option<bool>) -> Annotations {
        Annotations { read_only, destructive }
    }

    #[test]
    fn annotations_are_read_from_a_tool_s_definition() {
        let tool = r#"{"name":"x","annotations":{"title":"X","readOnlyHint":true,"destructiveHint":false}}"#;
        assert_eq!(of(tool), said(Some(true), Some(false)));
        for nothing in [r#"{"name":"x"}"#, r#"{"annotations":null}"#, r#"{"annotations":[]}"#, "7"]
        {
            assert_eq!(of(nothing), Annotations::default(), "{nothing}");
        }
        let elsewhere =
            r#"{"readOnlyHint":true,"annotations":{"ReadOnlyHint":true,"readOnlyHint":null}}"#;
        assert_eq!(of(elsewhere), Annotations::default());
    }

    #[test]
    fn a_hint_that_is_no_boolean_counts_as_the_more_dangerous() {
        let odd = r#"{"annotations":{"readOnlyHint":"true","destructiveHint":"no"}}"#;
        assert_eq!(of(odd), said(Some(false), Some(true)));
    }

    #[test]
    fn only_a_trusted_server_s_hints_make_a_tool_look_better() {
        let unsaid = (Category::Unspecified, Risk::Unspecified);
        let destroys = (Category::Destructive, Risk::High);
        let cases = [
            (said(Some(true), None), (Category::Read, Risk::Low), unsaid),
            (said(Some(true), Some(false)), (Category::Read, Risk::Low), unsaid),
            (said(Some(true), Some(true)), destroys, destroys),
            (said(None, Some(true)), destroys, destroys),
            (said(Some(false), None), destroys, destroys),
            (said(Some(false), Some(false)), (Category::Write, Risk::Medium), unsaid),
            (said(None, None), unsaid, unsaid),
        ];
        for (annotations, trusted, untrusted) in cases {
            assert_eq!(kind(&annotations, true), trusted, "{annotations:?}");
            assert_eq!(kind(&annotations, false), untrusted, "{annotations:?}");
        }
    }
}
