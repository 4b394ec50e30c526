//! One entry of the history, as a person reads it: a sentence, and what belongs to it.

use std::time::Duration;

use maud::{Markup, html};

use crate::call::clock::Clock;
use crate::call::json::{self, Json};
use crate::call::model::Strength;
use crate::call::present::{self, Limits};
use crate::call::safe_text::SafeText;
use crate::store::query::Told;
use crate::web::tables::{lasted, thousands};
use crate::web::words;

/// Columns of a name within a sentence; names have at most 200 bytes.
const NAME: usize = 60;

/// Columns of somebody's words; all of them stand on the request's page.
const WORDS: usize = 240;

/// What an entry says, whole, when it is opened: there are many on a page.
const WHOLE: Limits =
    Limits { max_lines: 60, max_value_columns: 400, max_name_columns: 80, max_depth: 12 };

/// An entry in the list.
pub fn entry(told: &Told, clock: &Clock) -> Markup {
    let payload = json::parse_envelope(told.payload.as_bytes()).unwrap_or(Json::Null);
    let path = told.request.map(|id| format!("/requests/{id}"));
    html! {
        li.entry {
            div.badges {
                span.when { (words::at(clock, told.at)) }
                @if let Some(category) = told.category { (words::category(category)) }
                @if let Some(status) = told.status { (words::status(status)) }
            }
            p.said {
                @match path {
                    Some(path) => { a href=(path) { (happened(told, &payload)) } }
                    None => { (happened(told, &payload)) }
                }
            }
            @for line in said(told, &payload) { p.aside { (line) } }
            @if let Some(from) = whence(told, &payload) { p.aside { (from) } }
            details.whole {
                summary { "Entry " (thousands(told.sequence)) }
                pre { @for line in present::arguments(&payload, &WHOLE).lines { (line) "\n" } }
                p.hint { "SHA-256 " code { (crate::call::hex::hex(&told.hash)) } }
            }
        }
    }
}

fn cut(text: &str, columns: usize) -> Markup {
    let (shown, left_out) = SafeText::cut_line(text, columns);
    html! { (shown) @if left_out > 0 { "… (" (thousands(left_out as u64)) " more characters)" } }
}

fn text<'a>(payload: &'a Json, name: &str) -> &'a str {
    payload.get(name).and_then(Json::as_str).unwrap_or_default()
}

/// What happened, in words.
fn happened(told: &Told, payload: &Json) -> Markup {
    let by = cut(if told.operator.is_empty() { "an operator" } else { &told.operator }, NAME);
    let asker = [&told.agent, &told.client, &told.caller].into_iter().find(|name| !name.is_empty());
    let asker = cut(asker.map_or("somebody", |name| name), NAME);
    let to = cut(text(payload, "to"), NAME);
    let mail = text(payload, "mail").replace('_', " ");
    let call = html! {
        strong { (cut(&told.tool, NAME)) }
        @if !told.server.is_empty() { " on " (cut(&told.server, NAME)) }
    };
    let mail = html! {
        "Mail “" (SafeText::line(&mail)) "” to " (to)
        @if !told.tool.is_empty() { " about " (call) }
    };
    match told.kind.as_str() {
        "requested" => html! { (asker) " asks to run " (call) },
        "resumed" => {
            html! { (asker) " asks for " (call) " once more and takes its request up again" }
        }
        "approval_counted" => html! { (by) " approves " (call) "; more approvals are needed" },
        "approved" => html! { (by) " approves " (call) },
        "denied" => html! { (by) " denies " (call) },
        "denial_repeated" => {
            html! { (asker) " asks for " (call) " again and hears the same denial" }
        }
        "denial_lifted" => html! { (by) " lifts the denial of " (call) },
        "expired" => html! { "Nobody decides " (call) " in time" },
        "withdrawn" => html! { (cut(&told.caller, NAME)) " takes " (call) " back" },
        "use_granted" => html! { (call) " is handed over to be run, once" },
        "use_lapsed" => html! { "The approval of " (call) " is not used in time" },
        "outcome_reported" => html! { (call) " has run: " (cut(text(payload, "outcome"), NAME)) },
        "outcome_unknown" => html! { "Nobody knows whether " (call) " has run" },
        "call_allowed" => html! { (call) " runs: the policy allows it" },
        "call_denied" => html! { (call) " is refused: the policy denies it" },
        "call_limited" => html! { (call) " is refused: a limit is used up" },
        "call_would_be_held" => html! { (call) " runs; without the dry run it would be held" },
        "tool_definition_changed" => html! { "The definition of " (call) " is not what it was" },
        "tool_definition_accepted" => html! { (by) " accepts the new definition of " (call) },
        "mail_sent" => html! { (mail) " is sent" },
        "mail_deferred" => html! { (mail) " has to wait: it could not be delivered for now" },
        "mail_failed" => html! { (mail) " fails" },
        "mail_retried" => html! { (mail) " is tried again: " (by) " wants it" },
        "looked" => html! { (by) " looks at " (call) },
        "nobody_reached" => html! { "Nobody could be reached about " (call) },
        "reached" => html! { "Somebody is reached about " (call) " after all" },
        "clock_stepped" => html! { "The wall clock is stepped" },
        "clock_confirmed" => html! { (by) " vouches for the clock" },
        "signed_in" => html! { (by) " signs in to these pages" },
        "signed_out" => {
            html! { (by) " signs out" @if text(payload, "where") == "everywhere" { " everywhere" } }
        }
        "summaries_off" => html! { (by) " wants no more summaries by mail" },
        "summaries_on" => html! { (by) " wants summaries by mail again" },
        "config_reloaded" => html! { "The configuration is read again and is in force" },
        "daemon_started" => {
            html! { "The daemon starts, version " (cut(text(payload, "version"), NAME)) }
        }
        "daemon_stopped" => html! { "The daemon stops in good order" },
        "erased" => html! { "What old entries said is erased" (range(payload)) },
        "restored" => html! { "The daemon begins from a backup; what was open in it ends" },
        other => html! { (SafeText::line(&other.replace('_', " "))) },
    }
}

fn range(payload: &Json) -> Markup {
    let number = |name| payload.get(name).and_then(Json::as_u64);
    html! {
        @if let (Some(first), Some(last)) = (number("first"), number("last")) {
            ": entries " (thousands(first)) " to " (thousands(last))
        }
    }
}

/// Somebody's words on it, and how a decision came about.
fn said(told: &Told, payload: &Json) -> Vec<Markup> {
    let mut lines = Vec::new();
    for (name, words) in [
        ("reason", "Reason"),
        ("explanation", "The agent says"),
        ("detail", "Detail"),
        ("answer", "Answer"),
        ("late", "Late"),
        ("why", "Why"),
    ] {
        let words_of = text(payload, name);
        if !words_of.is_empty() {
            lines.push(html! { (words) ": “" (cut(words_of, WORDS)) "”" });
        }
    }
    if let Some(ms) = payload.get("on_screen_ms").and_then(Json::as_u64) {
        lines.push(html! { "On the screen for " (lasted(Duration::from_millis(ms))) " at most" });
    }
    let decided = matches!(told.kind.as_str(), "approved" | "denied" | "approval_counted");
    if decided && text(payload, "strength") == Strength::Link.word() {
        lines.push(html! { "By the link of a mail" });
    }
    if payload.get("own_call") == Some(&Json::Bool(true)) {
        lines.push(html! { "Their own call: they are the only person here" });
    }
    lines
}

/// Who asked, for whom and through what.
fn whence(told: &Told, payload: &Json) -> Option<Markup> {
    let names = [
        ("agent ", told.agent.as_str()),
        ("for ", text(payload, "on_behalf_of")),
        ("client ", &told.client),
        ("caller ", &told.caller),
        ("session ", &told.session),
    ];
    let names: Vec<_> = names.into_iter().filter(|(_, name)| !name.is_empty()).collect();
    (!names.is_empty()).then(|| {
        html! {
            @for (i, (words, name)) in names.iter().enumerate() {
                @if i > 0 { ", " }
                (words) (cut(name, NAME))
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::call::hostile::HOSTILE;
    use crate::call::time::Time;
    use crate::store::audit::Kind;

    fn told(kind: &str, words: &str) -> Told {
        let mut payload = String::new();
        let fields = ["reason", "to", "mail", "detail", "on_behalf_of", "outcome", "version"];
        Json::object(fields.map(|field| (field, Json::from(words)))).write_text(&mut payload);
        let word = || words.to_owned();
        Told {
            sequence: 1,
            at: Time(1_800_000_000_000),
            kind: kind.to_owned(),
            request: None,
            caller: word(),
            client: word(),
            agent: word(),
            session: word(),
            server: word(),
            tool: word(),
            operator: word(),
            category: None,
            status: None,
            payload,
            hash: [0; 32],
            previous: [0; 32],
        }
    }

    fn shown(told: &Told) -> String {
        entry(told, &Clock { now: Time(1_800_000_000_000), zone: None }).into_string()
    }

    #[test]
    fn every_kind_of_entry_has_its_sentence() {
        for kind in Kind::ALL {
            let entry = told(kind.word(), "ana");
            let said = happened(&entry, &Json::Null).into_string();
            let word = kind.word().replace('_', " ");
            assert!(
                said.chars().filter(|c| *c == ' ').count() > 1 || kind.word() == "signed_out",
                "{said}"
            );
            assert!(said != word, "{word} has no sentence of its own");
        }
    }

    #[test]
    fn hostile_text_is_only_text_in_every_entry() {
        let tags = |html: &str| {
            let parts = html.split('<').skip(1).filter_map(|part| part.split(['>', ' ']).next());
            parts.map(str::to_owned).collect::<Vec<_>>()
        };
        for kind in Kind::ALL {
            let plain = tags(&shown(&told(kind.word(), "plain")));
            for (text, what) in HOSTILE.iter().map(|(what, text)| (text, what)) {
                let html = shown(&told(kind.word(), text));
                let lines = |html: &str| html.matches('\n').count();
                assert_eq!(tags(&html), plain, "{what} in {}", kind.word());
                assert!(lines(&html) < 200, "{what}");
                let hidden = |c: char| c != '\n' && crate::call::safe_text::is_hidden(c);
                assert!(!html.contains(hidden), "{what} in {}", kind.word());
            }
        }
    }
}
