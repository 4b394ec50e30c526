//! Which approvals must not be given by one key or one tap, and what has to be
//! typed instead: the same on a terminal and on a page.

use super::ids::RequestId;
use super::model::{Category, Request};
use super::safe_text::{SafeText, name_notice};

/// Whether one key must not be enough: it destroys or pays, or may do so for all
/// that is known. What is unsaid counts as the most dangerous, and so does a
/// command of which a part is hidden: nobody can see what that part does.
/// `None`: a category that is not known here.
pub fn is_grave(category: Option<Category>, hidden_values: u32) -> bool {
    use Category::{Execute, Read, Write};
    match category {
        Some(Read | Write) => false,
        Some(Execute) => hidden_values > 0,
        _ => true,
    }
}

/// What somebody types who approves with care.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ToType {
    /// What it is: `the tool's name`.
    pub what: &'static str,
    /// The word itself.
    pub word: String,
}

impl ToType {
    /// For this tool and the request's short id: a name with hidden or foreign
    /// letters, or with spaces at an end, cannot be typed as it is.
    pub fn of(tool: &str, short_id: &str) -> ToType {
        match name_notice(tool) {
            None if tool.trim() == tool && !tool.is_empty() => {
                ToType { what: "the tool's name", word: tool.to_owned() }
            }
            _ => ToType { what: "the short id", word: short_id.to_owned() },
        }
    }

    /// For this request, if it needs that care.
    pub fn for_request(request: &Request) -> Option<ToType> {
        let call = &request.call;
        let grave = is_grave(Some(call.category), call.hidden_values);
        grave.then(|| ToType::of(&call.tool, &RequestId::short(&request.id)))
    }

    /// Whether this is what was typed.
    pub fn is(&self, typed: &str) -> bool {
        typed.trim() == self.word
    }

    /// The word as it is shown.
    pub fn shown(&self) -> SafeText {
        SafeText::line(&self.word)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_destroys_or_pays_or_is_not_stated_is_typed() {
        let grave = |hidden| -> Vec<i32> {
            (0..8).filter(|n| is_grave(Category::from_number(*n), hidden)).collect()
        };
        assert_eq!(grave(0), [0, 4, 5, 6, 7]);
        assert_eq!(grave(1), [0, 3, 4, 5, 6, 7], "nor is a command with a hidden part");
    }

    #[test]
    fn a_name_that_cannot_be_typed_is_not_asked_for() {
        let word = |tool| ToType::of(tool, "2b4d5e6f").word;
        assert_eq!(word("delete_key"), "delete_key");
        for tool in ["d\u{435}lete", "delete\u{200b}", "delete ", ""] {
            assert_eq!(word(tool), "2b4d5e6f", "{tool:?}");
        }
        let typed = ToType::of("delete_key", "2b4d5e6f");
        assert!(typed.is(" delete_key\n") && !typed.is("Delete_key") && !typed.is(""));
    }
}
