//! One letter: what one operator is told, and the mail that carries it.

use chrono_tz::Tz;
use lettre::address::Envelope;
use lettre::message::header::{ContentTransferEncoding, ContentType, HeaderName, HeaderValue};
use lettre::message::{Body, Mailbox, Message, MessageBuilder, MultiPart, SinglePart};

use super::content::Content;
use super::subject::{header_text, subject};
use super::thread::{domain, file_name, first_of_thread};
use super::{html, plain};
use crate::call::model::Request;
use crate::call::safe_text::SafeText;
use crate::call::time::Time;

pub use super::thread::message_id;

/// What a letter is about.
#[derive(Debug, Clone, Copy)]
pub enum Matter<'a> {
    /// A call waits for a decision.
    Asked(&'a Request),
    /// It still waits.
    Reminder(&'a Request),
    /// What became of it.
    FollowUp(FollowUp, &'a Request),
    /// Many of these at once.
    Summary(&'a Summary),
}

/// What became of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FollowUp {
    /// Enough people approved.
    Approved,
    /// An operator said no.
    Denied,
    /// Nobody answered in time.
    Expired,
    /// Its caller took it back.
    Withdrawn,
    /// It was handed over, and nobody knows whether it ran.
    OutcomeUnknown,
}

/// Letters that were gathered into one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    /// The same for every attempt and never used again for this operator, not
    /// even by another database on this host: mail readers drop a letter whose
    /// `Message-ID` they know.
    pub id: i64,
    /// What it tells, in any order. What does not fit the letter is counted there.
    pub items: Vec<Item>,
    /// How many the sender left out of `items`.
    pub more: usize,
}

/// One letter that became a line of a summary.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// What it is about.
    pub request: Request,
    /// What there is to say.
    pub what: What,
}

/// What an item of a summary says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    /// A call waits for a decision.
    Asked,
    /// It still waits.
    Reminder,
    /// What became of it.
    FollowUp(FollowUp),
}

impl<'a> Matter<'a> {
    /// The request that an earlier letter told of.
    pub(super) fn continued(&self) -> Option<&'a Request> {
        match self {
            Matter::Reminder(request) | Matter::FollowUp(_, request) => Some(request),
            Matter::Asked(_) | Matter::Summary(_) => None,
        }
    }
}

/// Whom a letter goes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recipient {
    /// The operator's configured name.
    pub name: String,
    /// Where mail reaches them.
    pub email: String,
    /// The zone in which they read times, beside UTC.
    pub time_zone: Option<Tz>,
}

/// What a letter says beside the request itself.
#[derive(Debug, Clone)]
pub struct About {
    /// The sender.
    pub from: Mailbox,
    /// Where answers go; `None`: to the sender. They decide nothing.
    pub reply_to: Option<Mailbox>,
    /// Everyone who is asked. Not used by summaries.
    pub asked: Vec<String>,
    /// Who has looked at the request so far. Used by reminders.
    pub looked: Vec<String>,
    /// The `Message-ID` of the letter that told the recipient of the request,
    /// if that was not its own: a summary. Later letters continue that one.
    pub thread: Option<String>,
    /// Now.
    pub now: Time,
    /// How `holdpoint` is called where the operator types: just that, or the
    /// program's path and the environment it needs.
    pub command_prefix: String,
    /// The daemon's host name, the right side of `Message-ID`.
    pub host: String,
}

/// A letter, ready to be handed over.
#[derive(Debug, Clone)]
pub struct Letter {
    /// The same for every attempt, with its angle brackets.
    pub message_id: String,
    /// From whom and to whom, for the server.
    pub envelope: Envelope,
    /// What the letter is called as a file; the same for every attempt.
    pub file_name: String,
    /// The whole letter, ASCII with CRLF line ends.
    pub bytes: Vec<u8>,
}

/// Why a letter cannot be written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ComposeError {
    /// The operator has no address that mail could reach.
    #[error(
        "operator {name} has no usable email address; mend `email` in the configuration: {reason}"
    )]
    Address {
        /// The operator.
        name: String,
        /// What the address lacks.
        reason: String,
    },
    /// A defect: our own parts do not make a letter.
    #[error("the letter cannot be put together: {0}")]
    Message(String),
}

/// Who Holdpoint's mails come from: as configured, or this host's own.
pub fn sender(configured: Option<&str>, host: &str) -> Result<Mailbox, ComposeError> {
    let own = format!("Holdpoint <holdpoint@{}>", domain(host));
    let text = configured.unwrap_or(&own);
    let address = |e: lettre::address::AddressError| ComposeError::Message(format!("from: {e}"));
    text.parse().map_err(address)
}

/// Writes a letter.
pub fn compose(matter: &Matter<'_>, to: &Recipient, about: &About) -> Result<Letter, ComposeError> {
    let content = Content::new(matter, to, about);
    let message_id = message_id(matter, to, &about.host);
    let parent = first_of_thread(matter, to, about);
    let message = headers(to, about)?
        .raw_header(own_header("Subject", subject(matter).as_str()))
        .message_id(Some(message_id.clone()));
    let message = match parent {
        Some(parent) => message.in_reply_to(parent.clone()).references(parent),
        None => message,
    };
    let message = message
        .multipart(
            // "=_" cannot occur in quoted-printable text, so no text ends a part.
            MultiPart::alternative()
                .boundary(format!("=_holdpoint_{}", boundary(&message_id)))
                .singlepart(part(ContentType::TEXT_PLAIN, plain::render(&content))?)
                .singlepart(part(ContentType::TEXT_HTML, html::render(&content))?),
        )
        .map_err(|error| ComposeError::Message(error.to_string()))?;
    Ok(Letter {
        message_id,
        envelope: message.envelope().clone(),
        file_name: file_name(matter, to),
        bytes: message.formatted(),
    })
}

/// The headers that all letters have.
fn headers(to: &Recipient, about: &About) -> Result<MessageBuilder, ComposeError> {
    let address = to.email.trim().parse().map_err(|e: lettre::address::AddressError| {
        ComposeError::Address { name: to.name.clone(), reason: e.to_string() }
    })?;
    Ok(Message::builder()
        .from(about.from.clone())
        .to(Mailbox::new(Some(SafeText::line(&header_text(&to.name)).as_str().to_owned()), address))
        .reply_to(about.reply_to.clone().unwrap_or_else(|| about.from.clone()))
        .date(about.now.max(Time(0)).utc().into())
        // RFC 3834: no out-of-office notes; the second is what Exchange heeds.
        .raw_header(own_header("Auto-Submitted", "auto-generated"))
        .raw_header(own_header("X-Auto-Response-Suppress", "All")))
}

fn own_header(name: &'static str, value: &str) -> HeaderValue {
    HeaderValue::new(HeaderName::new_from_ascii_str(name), value.to_owned())
}

/// The left side of the `Message-ID`, without what a boundary must not hold.
fn boundary(message_id: &str) -> &str {
    message_id.trim_start_matches('<').split('@').next().unwrap_or_default()
}

/// Quoted-printable always, even for ASCII: see the boundary, and servers may
/// not alter a line that begins with "From " or ends with a space.
fn part(kind: ContentType, text: String) -> Result<SinglePart, ComposeError> {
    let body = Body::new_with_encoding(text, ContentTransferEncoding::QuotedPrintable)
        .map_err(|_| ComposeError::Message("not text".to_owned()))?;
    Ok(SinglePart::builder().header(kind).body(body))
}
