//! Where a letter leads: to our pages, and nowhere else.
//!
//! Promises: a link is made here, from [`Links`], and from nothing that an agent,
//! a caller or an operator wrote; where a route demands a sign-in it carries no
//! authority, and the letter says so.

use super::{Clock, ours};
use crate::call::model::Request;
use crate::call::safe_text::SafeText;
use crate::desk::links::Links;
use crate::mail::letter::{About, Recipient};

/// A link of ours.
pub(in crate::mail) struct Link {
    /// What it does, in our words.
    pub label: String,
    /// Where it leads.
    pub url: String,
}

/// The link that a letter is about.
pub(in crate::mail) struct Button {
    pub link: Link,
    /// What it opens, and what to beware of.
    pub words: SafeText,
}

/// `Review`: the call, and the forms that decide it.
pub(super) fn review(request: &Request, about: &About, to: &Recipient) -> Option<Button> {
    let links = about.links.as_ref()?;
    let host = links.url().authority();
    let words = match request.requirement.sign_in_for() {
        None => format!(
            "Opens the call at {host}, where you approve or deny it. The link decides once, in \
             your name: do not forward this mail."
        ),
        Some(_) => format!(
            "Opens the call at {host}, where you approve or deny it. Deciding this one needs a \
             sign-in: the link alone decides nothing."
        ),
    };
    Some(Button { link: to_review("Review", links, request, about, to), words: ours(&words) })
}

/// The same as one line among many: `Review [2b4d5e6f] (12 min left)`.
pub(super) fn review_one(request: &Request, about: &About, to: &Recipient) -> Option<Link> {
    let links = about.links.as_ref()?;
    let needs = match request.requirement.sign_in_for() {
        None => "",
        Some(_) => " (needs a sign-in)",
    };
    Some(to_review(&format!("Review{needs}"), links, request, about, to))
}

/// One of several that are the same.
pub(super) fn review_of_many(
    request: &Request,
    about: &About,
    to: &Recipient,
    clock: &Clock,
) -> Option<Link> {
    let one = review_one(request, about, to)?;
    let (id, left) = (request.id.short(), clock.left(request.deadline));
    Some(Link { label: format!("{} [{id}], {left} left", one.label), ..one })
}

fn to_review(label: &str, links: &Links, request: &Request, about: &About, to: &Recipient) -> Link {
    let url = match request.requirement.sign_in_for() {
        None => links.review(&to.name, &to.email, request, about.now),
        Some(_) => links.page(request.id),
    };
    Link { label: label.to_owned(), url }
}

/// `See it`: what became of a request. Nothing is left to decide, so there is no
/// authority in it.
pub(super) fn see(request: &Request, about: &About) -> Option<Button> {
    let links = about.links.as_ref()?;
    let words = format!("Opens the request at {}, after a sign-in.", links.url().authority());
    let link = Link { label: "See it".to_owned(), url: links.page(request.id) };
    Some(Button { link, words: ours(&words) })
}

/// `Open the queue`: all that waits.
pub(super) fn queue(about: &About) -> Option<Button> {
    let links = about.links.as_ref()?;
    let words = format!(
        "Opens all that waits for you at {}, after a sign-in. Each call below has a link of its \
         own, which decides once, in your name: do not forward this mail.",
        links.url().authority()
    );
    let link = Link { label: "Open the queue".to_owned(), url: format!("{}/", links.url()) };
    Some(Button { link, words: ours(&words) })
}

/// Where who wants no summaries any more says so.
pub(super) fn leave(about: &About, to: &Recipient) -> Option<Link> {
    let url = about.links.as_ref()?.unsubscribe(&to.name, &to.email);
    Some(Link { label: "No more summaries".to_owned(), url })
}

/// Said last, for whoever wonders what in the letter to believe.
pub(super) fn whose_words(about: &About) -> SafeText {
    let theirs = "What is indented or quoted is somebody else's text: the agent's, its caller's or \
                  an operator's.";
    let links = match &about.links {
        None => {
            "Holdpoint's own mails hold no links: a link in this one is somebody else's.".to_owned()
        }
        Some(links) => format!(
            "Holdpoint's own links lead to {}/ and nowhere else: any other is somebody else's.",
            links.url()
        ),
    };
    ours(&format!("{theirs} {links} Answering by mail decides nothing."))
}
