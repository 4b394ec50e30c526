//! What a letter says, in the order in which it is read, before it is plain
//! text or HTML.
//!
//! Everything here is bounded, and what is left out is counted. Text of the
//! caller or the agent is a [`SafeText`] in a place of its own (a fact's value,
//! an argument line, a quoted line), never part of a heading or a command. Where
//! it stands among words of ours, it is [`named`]: in quotes unless it is one
//! plain word.

mod asked;
mod follow_up;
mod link;
mod sample;
mod summary;

use super::letter::{About, Matter, Recipient};
use super::limits;
use super::subject::named;
use crate::call::model::Request;
use crate::call::present;
use crate::call::safe_text::SafeText;
use crate::policy::judging::Danger;
use crate::policy::judging::Says;

pub(super) use crate::call::clock::Clock;
pub(super) use follow_up::{approvers, denier};
pub(super) use link::{Button, Link};
pub(super) use summary::{Waiting, ended, wait};

/// A letter's substance.
pub(super) struct Content {
    /// What the letter is, for readers that show a title.
    pub title: &'static str,
    /// What kind of news it is.
    pub tone: Tone,
    /// The sentence that a lock screen shows: what will happen, or what became of it.
    pub headline: SafeText,
    /// In a few words and colours, what matters of it: category, risk, what is hidden.
    pub marks: Vec<Mark>,
    /// Who asks, where somebody has to decide: names from outside among words of ours.
    pub asked_by: Option<SafeText>,
    /// Ours, right below it: until when, who is needed, what is left to do.
    pub under: Vec<SafeText>,
    /// What to know before anything else.
    pub warnings: Vec<SafeText>,
    /// Where to decide, or to see it; none without pages.
    pub button: Option<Button>,
    /// The rest.
    pub sections: Vec<Section>,
    /// Where to say that one wants no more of these.
    pub leave: Option<Link>,
    /// Ours, at the very end: whose words are whose.
    pub last: SafeText,
}

/// What kind of news a letter brings. Shown as a colour beside the words.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Tone {
    /// Somebody has to decide, and so much is in it.
    Asks(Danger),
    /// Approved.
    Good,
    /// Denied.
    Refused,
    /// Over, without anybody's doing.
    Over,
    /// Somebody has to look.
    Unsure,
}

/// A few words of ours with a colour behind them.
pub(super) struct Mark {
    /// Which colour; none for what says nothing by itself.
    pub danger: Option<Danger>,
    pub words: String,
}

/// A heading and what stands below it.
pub(super) struct Section {
    pub heading: &'static str,
    /// Ours, beside the heading: counts, and what to make of it. May have lines.
    pub note: String,
    pub body: Body,
}

/// What stands below a heading.
pub(super) enum Body {
    /// Names and values.
    Facts(Vec<(String, SafeText)>),
    /// The arguments, line by line, and how to see all of them.
    Arguments(Vec<SafeText>, Option<Command>),
    /// Somebody else's words, line by line.
    Quote(Vec<SafeText>),
    /// Ours, a paragraph each.
    Words(Vec<SafeText>),
    /// What to type, and what for.
    Commands(Vec<(String, Command)>),
    /// Calls that wait, in short.
    Calls(Vec<Entry>),
}

/// One call of many, or several that are the same.
pub(super) struct Entry {
    /// Ours: its place, id, time left.
    pub head: SafeText,
    /// What will happen.
    pub sentence: SafeText,
    /// Who asks.
    pub who: Vec<SafeText>,
    /// What to know before one decides.
    pub warnings: Vec<SafeText>,
    /// Where to decide.
    pub links: Vec<Link>,
    /// What to type, and what for.
    pub commands: Vec<(String, Command)>,
}

/// One command, in parts between which a shell allows a line to be continued.
pub(super) struct Command(pub Vec<SafeText>);

impl Content {
    pub fn new(matter: &Matter<'_>, to: &Recipient, about: &About) -> Content {
        let clock = clock(to, about);
        match matter {
            Matter::Asked(request) => asked::asked(request, about, to, &clock),
            Matter::Reminder(request) => asked::reminder(request, about, to, &clock),
            Matter::FollowUp(how, request) => follow_up::follow_up(*how, request, about, &clock),
            Matter::Summary(summary) => summary::summary(summary, about, to, &clock),
        }
    }

    /// A test, so that people know what a real one will look like.
    pub fn sample(to: &Recipient, about: &About) -> Content {
        sample::sample(about, to, &clock(to, about))
    }
}

/// The recipient's, when the letter is written.
pub(super) fn clock(to: &Recipient, about: &About) -> Clock {
    Clock { now: about.now, zone: to.time_zone }
}

impl Command {
    fn new(about: &About, words: &str, more: &[&str]) -> Command {
        let mut parts = vec![ours(&format!("{} {words}", about.command_prefix))];
        parts.extend(more.iter().map(|part| ours(part)));
        Command(parts)
    }

    fn show(about: &About, request: &Request) -> Command {
        Command::new(about, &format!("show {}", request.id), &[])
    }

    /// Names what was shown, so that nothing else is approved.
    fn approve(about: &About, request: &Request) -> Command {
        let digest = format!("--digest {}", request.call.digest);
        Command::new(about, &format!("approve {}", request.id), &[&digest])
    }

    fn deny(about: &About, request: &Request) -> Command {
        let digest = format!("--digest {}", request.call.digest);
        Command::new(about, &format!("deny {}", request.id), &["--reason \"...\"", &digest])
    }
}

/// Words made here, from numbers, ids and times.
fn ours(text: &str) -> SafeText {
    SafeText::line(text)
}

/// Pieces that are safe already, in a row.
fn joined(pieces: &[&SafeText]) -> SafeText {
    SafeText::join(pieces.iter().copied(), "")
}

/// What will happen, in one sentence.
fn sentence(request: &Request) -> SafeText {
    present::sentence_of(&request.call, Says::of(&request.call).belies())
}

/// `delete_broker on amazon-mq`
fn what(request: &Request) -> SafeText {
    let name = |text: &str| named(text, limits::NAME);
    joined(&[&name(&request.call.tool), &ours(" on "), &name(&request.call.server)])
}

/// `claude-code 2.1.0 for jane@example.com; client laptop-jane of caller gateway-eu`
fn who(request: &Request) -> SafeText {
    let (call, mut text) = (&request.call, SafeText::default());
    let mut add = |before: &'static str, name: &str| {
        if !name.is_empty() {
            text.push_ours(before);
            text.push(&named(name, limits::NAME));
        }
    };
    add("agent ", &call.agent.name);
    add(" ", &call.agent.version);
    let said = !call.agent.name.is_empty() || !call.agent.version.is_empty();
    add(if said { " for " } else { "for " }, &call.agent.on_behalf_of);
    let said = said || !call.agent.on_behalf_of.is_empty();
    add(if said { "; client " } else { "client " }, &call.client);
    let said = said || !call.client.is_empty();
    let between = match (said, call.client.is_empty()) {
        (false, _) => "caller ",
        (true, true) => "; caller ",
        (true, false) => " of caller ",
    };
    add(between, &call.caller);
    text
}

/// `no values hidden`, `1 value hidden`, `3 values hidden`
fn counted(n: u32, state: &str) -> String {
    match n {
        0 => format!("no values {state}"),
        1 => format!("1 value {state}"),
        n => format!("{n} values {state}"),
    }
}

/// `1 call`, `3 calls`
pub(super) fn number(n: usize, what: &str) -> String {
    format!("{n} {what}{}", if n == 1 { "" } else { "s" })
}
