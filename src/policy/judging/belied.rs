//! Arguments that say worse of a call than its caller does: a `FLUSHALL` within what
//! is called a write.
//!
//! Only the arguments are asked, and only what they plainly say counts: the name and
//! what a server says of its tool have been judged where they are known whole, and a
//! warning that comes with every other call is none.

use super::{Evidence, Source, Word, judge};
use crate::call::json::{self, Json};
use crate::call::model::{Call, Category};
use crate::call::safe_text::SafeText;

/// What is found in the arguments that is worse than the category that is stated.
/// `None` also where none is stated: that is warned of anyway.
pub fn belied(call: &Call) -> Option<Evidence> {
    let stated = grave(call.category)?;
    let arguments = json::parse_envelope(call.arguments.as_bytes()).ok()?;
    let arguments @ Json::Object(_) = arguments else { return None };
    let judged = judge(&call.tool, None, Word::default(), false, Some(&arguments));
    let found = judged.evidence.into_iter().filter(|found| found.source == Source::Arguments);
    let worse = found.filter(|found| found.says.and_then(grave).is_some_and(|says| says > stated));
    worse.max_by_key(|found| found.says.and_then(grave))
}

/// The same as a warning.
pub fn belied_in_words(call: &Call) -> Option<SafeText> {
    let found = belied(call)?;
    let says = found.says.unwrap_or(Category::Unspecified);
    let text = format!("its arguments look {says}, and it is called {}: {found}", call.category);
    Some(SafeText::line(&text))
}

/// How bad each is beside the others; to pay is as bad as to destroy.
fn grave(category: Category) -> Option<u8> {
    match category {
        Category::Unspecified => None,
        Category::Read => Some(0),
        Category::Write => Some(1),
        Category::Execute => Some(2),
        Category::Destructive | Category::Financial => Some(3),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::tests::call;

    fn found(category: Category, arguments: &str) -> Option<(String, Option<Category>)> {
        let call = Call { category, arguments: arguments.to_owned(), ..call("c", "s", 1) };
        belied(&call).map(|found| (found.to_string(), found.says))
    }

    #[test]
    fn arguments_that_say_worse_than_is_stated_are_told() {
        for (category, arguments, says) in [
            (Category::Write, r#"{"command":"FLUSHALL","mode":"refresh"}"#, Category::Destructive),
            (Category::Write, r#"{"sql":"DROP TABLE orders"}"#, Category::Destructive),
            (Category::Read, r#"{"query":"DELETE FROM orders"}"#, Category::Destructive),
            (Category::Read, r#"{"command":"SET","key":"a"}"#, Category::Write),
        ] {
            let found = found(category, arguments);
            assert_eq!(found.as_ref().and_then(|(_, says)| *says), Some(says), "{found:?}");
        }
    }

    #[test]
    fn what_is_as_bad_as_it_is_said_to_be_is_not() {
        for (category, arguments) in [
            (Category::Destructive, r#"{"command":"FLUSHALL"}"#),
            (Category::Write, r#"{"key":"user:1","value":"delete me not"}"#),
            (Category::Read, r#"{"query":"SELECT 1"}"#),
            (Category::Execute, r#"{"service":"checkout","version":"2.14.0"}"#),
            (Category::Unspecified, r#"{"command":"FLUSHALL"}"#),
        ] {
            assert_eq!(found(category, arguments), None, "{arguments}");
        }
    }
}
