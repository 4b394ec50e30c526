//! Small things that many pages say in the same way.

use maud::{Markup, html};

use crate::call::clock::Clock;
use crate::call::model::{Category, Risk, Status};
use crate::call::time::Time;

/// What a tool does: a word, and a colour beside it.
pub fn category(category: Category) -> Markup {
    let word = match category {
        Category::Unspecified => "category not stated",
        other => other.word(),
    };
    html! { span.badge.{ "category-" (category.word()) } { (word) } }
}

/// How bad a mistake would be: a word, and a colour beside it.
pub fn risk(risk: Risk) -> Markup {
    let word = match risk {
        Risk::Unspecified => "risk not stated".to_owned(),
        other => format!("{} risk", other.word()),
    };
    html! { span.badge.{ "risk-" (risk.word()) } { (word) } }
}

/// Where a request stands.
pub fn status(status: Status) -> Markup {
    html! { span.badge.{ "status-" (status.word()) } { (status.word()) } }
}

/// A time on the reader's clock; all of it in UTC when one points at it.
pub fn at(clock: &Clock, time: Time) -> Markup {
    let exact = time.rfc3339();
    html! { time datetime=(exact) title=(exact) { (clock.at(time)) } }
}

/// How much time is left until a deadline. The script counts it down.
pub fn left(clock: &Clock, deadline: Time) -> Markup {
    let title = clock.at(deadline);
    html! {
        time.left data-left=(deadline.left(clock.now).as_millis()) datetime=(deadline.rfc3339())
            title=(title) { (clock.left(deadline)) }
    }
}

/// `1 call`, `3 calls`
pub fn count(n: usize, what: &str) -> String {
    format!("{n} {what}{}", if n == 1 { "" } else { "s" })
}
