//! What a tool says of itself, and what that is worth.

use crate::call::json::Json;

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
}
