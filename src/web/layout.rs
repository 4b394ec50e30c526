//! What all pages have around them.

use axum::response::Html;
use maud::{DOCTYPE, Markup, Render, html};

use super::assets::{ICON, SCRIPT, STYLE};
use super::form::TOKEN;
use super::who::Who;
use crate::call::safe_text::SafeText;

/// Text from outside is only ever printed in this form.
impl Render for SafeText {
    fn render_to(&self, buffer: &mut String) {
        buffer.push_str(&self.html());
    }
}

/// Where in the pages one is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Here {
    /// What waits.
    Queue,
    /// What happened.
    History,
    /// Who may decide what.
    People,
    /// What became of the mails.
    Mail,
    /// None of those that the navigation names.
    Elsewhere,
}

/// A page of somebody who is signed in.
pub fn page(who: &Who, here: Here, title: &SafeText, body: &Markup) -> Html<String> {
    let link = |to: &str, words: &str, place: Here| {
        let current = (here == place).then_some("page");
        html! { a href=(to) aria-current=[current] { (words) } }
    };
    let name = SafeText::line(&who.operator().name);
    whole(
        title,
        &html! {
            // Whose page it is, which the script asks.
            header.top data-who=(name) {
                a.brand href="/" { "Holdpoint" }
                nav aria-label="Pages" {
                    (link("/", "Queue", Here::Queue))
                    (link("/history", "History", Here::History))
                    @if who.operator().roles.admin { (link("/people", "People", Here::People)) }
                    @if who.operator().sees_all() { (link("/mail", "Mail", Here::Mail)) }
                }
                details.me {
                    summary { (name) }
                    div.menu {
                        p { strong { (name) } }
                        @if !who.operator().sees_all() { p { a href="/mail" { "Mails" } } }
                        (sign_out(who, "here", "Sign out"))
                        (sign_out(who, "everywhere", "Sign out everywhere"))
                        p.hint { kbd { "?" } " shows the keys" }
                    }
                }
            }
            main #main { (body) }
            (keys())
        },
    )
}

/// A page of somebody of whom nothing is known.
pub fn bare(title: &str, body: &Markup) -> Html<String> {
    let around = html! {
        header.top { a.brand href="/" { "Holdpoint" } }
        main #main.narrow { (body) }
    };
    whole(&SafeText::line(title), &around)
}

/// A page of somebody who came by the link of a mail, and may see this one alone.
pub fn by_link(
    name: &str,
    may: &str,
    sign_in: &str,
    title: &SafeText,
    body: &Markup,
) -> Html<String> {
    let name = SafeText::cut_line(name, 80).0;
    whole(
        title,
        &html! {
            header.top {
                a.brand href="/" { "Holdpoint" }
                span.grow {}
                a href=(sign_in) { "Sign in" }
            }
            main #main {
                (body)
                p.hint { "You are here by the link of a mail to " strong { (name) } ", which " (may) "." }
            }
        },
    )
}

fn whole(title: &SafeText, body: &Markup) -> Html<String> {
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (title) " · Holdpoint" }
                link rel="stylesheet" href=(STYLE.path());
                link rel="icon" type="image/svg+xml" href=(ICON.path());
                script src=(SCRIPT.path()) defer {}
            }
            body {
                a.skip href="#main" { "Skip to the content" }
                (body)
                // The script says here that the connection is lost, or that it is back.
                p #connection role="status" {}
            }
        }
    };
    Html(page.into_string())
}

/// The hidden field that makes a form this sign-in's own.
pub fn token(who: &Who) -> Markup {
    html! { input type="hidden" name=(TOKEN) value=(who.form_token); }
}

fn sign_out(who: &Who, place: &str, words: &str) -> Markup {
    html! {
        form method="post" action="/sign-out" {
            (token(who))
            button.quiet name="where" value=(place) { (words) }
        }
    }
}

/// What the keys do; the script opens it.
fn keys() -> Markup {
    let lines = [
        ("j", "next request"),
        ("k", "the one before"),
        ("Enter", "open it"),
        ("a", "go to approve"),
        ("d", "go to deny"),
        ("u", "back to the queue"),
        ("?", "these keys"),
    ];
    html! {
        dialog #keys aria-labelledby="keys-title" {
            h2 #keys-title { "Keys" }
            dl.keys {
                @for (key, words) in lines {
                    div { dt { kbd { (key) } } dd { (words) } }
                }
            }
            p.hint { "No key decides by itself: a and d go to the form." }
            form method="dialog" { button { "Close" } }
        }
    }
}
