//! Small things that many pages say in the same way.

use maud::{Markup, html};

use crate::call::clock::Clock;
use crate::call::model::{Call, Category, Risk, Status};
use crate::call::present::is_kept_whole;
use crate::call::safe_text::SafeText;
use crate::call::time::Time;
use crate::policy::judging::{Danger, Says};

/// What a tool does: a word, and a colour beside it.
pub fn category(category: Category) -> Markup {
    let word = match category {
        Category::Unspecified => "category not stated",
        other => other.word(),
    };
    html! { span.badge.{ "category-" (category.word()) } { (word) } }
}

/// What a call does: as its caller says, in the colour of what its arguments say, and
/// in words where they say worse.
pub fn does(call: &Call, says: &Says) -> Markup {
    let Some(looks) = says.belies() else {
        let colour = danger(Danger::of_what_it_does(call, says));
        return html! {
            span.badge.(colour) {
                @if call.category == Category::Unspecified { "category not stated" }
                @else { (call.category.word()) }
            }
        };
    };
    html! { span.badge { "called " (call.category.word()) } (looking(looks)) }
}

fn looking(looks: Category) -> Markup {
    html! { span.badge.{ "category-" (looks.word()) } { "looks " (looks.word()) } }
}

/// The class of the colours of a danger.
pub fn danger(danger: Danger) -> String {
    format!("danger-{}", danger.word())
}

/// The longest id that is kept on one line: a longer one has no room on a phone.
const KEPT_WHOLE: usize = 36;

/// Text in which ids and paths stay on one line where they have room on one: browsers
/// break them at each hyphen otherwise.
pub fn unbroken(text: &SafeText) -> Markup {
    let (mut rest, mut words) = (text.clone(), Vec::new());
    while let Some(space) = rest.as_str().find(' ') {
        let (word, after) = rest.split_at(space + 1);
        words.push(word);
        rest = after;
    }
    words.push(rest);
    html! {
        @for word in &words {
            @if is_kept_whole(word.as_str().trim_end(), KEPT_WHOLE) {
                @let (id, space) = word.split_at(word.as_str().trim_end().len());
                span.id { (id) } (space)
            } @else { (word) }
        }
    }
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
