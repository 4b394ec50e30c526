//! One letter: what one operator is told, and the mail that carries it.

use chrono_tz::Tz;
use lettre::address::Envelope;
use lettre::message::header::{ContentTransferEncoding, ContentType, HeaderName, HeaderValue};
use lettre::message::{Body, Mailbox, Message, MessageBuilder, MultiPart, SinglePart};

use super::content::{Content, clock};
use super::subject::{base, header_text, subject};
use super::thread::{self, domain, file_name, first_of_thread};
use super::{html, plain};
use crate::call::model::Request;
use crate::call::safe_text::SafeText;
use crate::call::time::Time;
use crate::desk::links::Links;

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
    /// How many calls that wait the sender left out of `items`.
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

impl FollowUp {
    /// The word for it, in message ids, file names and headers.
    pub fn word(self) -> &'static str {
        match self {
            FollowUp::Approved => "approved",
            FollowUp::Denied => "denied",
            FollowUp::Expired => "expired",
            FollowUp::Withdrawn => "withdrawn",
            FollowUp::OutcomeUnknown => "outcome-unknown",
        }
    }
}

impl<'a> Matter<'a> {
    /// The word for it, likewise.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Matter::Asked(_) => "asked",
            Matter::Reminder(_) => "reminder",
            Matter::FollowUp(how, _) => how.word(),
            Matter::Summary(_) => "summary",
        }
    }

    /// The one request that it is about.
    pub(super) fn request(&self) -> Option<&'a Request> {
        match self {
            Matter::Asked(request) | Matter::Reminder(request) | Matter::FollowUp(_, request) => {
                Some(request)
            }
            Matter::Summary(_) => None,
        }
    }

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
    /// What leads to the pages; `None`: there are none, and letters hold no links.
    pub links: Option<Links>,
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
    assemble(
        Parts {
            kind: matter.kind(),
            request: matter.request(),
            subject: subject(matter, &clock(to, about)),
            message_id: message_id(matter, to, &about.host),
            parent: first_of_thread(matter, to, about),
            file_name: file_name(matter, to),
            content: Content::new(matter, to, about),
        },
        to,
        about,
    )
}

/// Writes a letter that only shows that mail arrives, and what it looks like.
pub fn sample(to: &Recipient, about: &About) -> Result<Letter, ComposeError> {
    assemble(
        Parts {
            kind: "test",
            request: None,
            subject: SafeText::line("Test: mail from Holdpoint reaches you, nothing waits"),
            message_id: thread::sample_id(to, about),
            parent: None,
            file_name: thread::sample_file(to, about),
            content: Content::sample(to, about),
        },
        to,
        about,
    )
}

/// What differs between letters.
struct Parts<'a> {
    kind: &'static str,
    /// The one request that it is about.
    request: Option<&'a Request>,
    subject: SafeText,
    message_id: String,
    /// The letter that this one continues.
    parent: Option<String>,
    file_name: String,
    content: Content,
}

fn assemble(parts: Parts<'_>, to: &Recipient, about: &About) -> Result<Letter, ComposeError> {
    let mut message = headers(to, about)?;
    if let Some(request) = parts.request {
        // Before the subject: see there.
        message = message
            .raw_header(own_header("Thread-Topic", base(request).as_str()))
            .raw_header(own_header("X-Holdpoint-Request", &request.id.to_string()));
    }
    message = message
        .raw_header(own_header("X-Holdpoint-Kind", parts.kind))
        .raw_header(own_header("Subject", parts.subject.as_str()))
        .message_id(Some(parts.message_id.clone()));
    if let Some(parent) = parts.parent {
        message = message.in_reply_to(parent.clone()).references(parent);
    }
    if let Some(leave) = &parts.content.leave {
        message = message.raw_header(own_header("List-Unsubscribe", &format!("<{}>", leave.url)));
        // RFC 8058, 3.1: one click is for https alone. By http the header still leads to
        // the page, as RFC 2369 has it.
        if leave.url.starts_with("https://") {
            let one_click = own_header("List-Unsubscribe-Post", "List-Unsubscribe=One-Click");
            message = message.raw_header(one_click);
        }
    }
    let message = message
        .multipart(
            MultiPart::alternative()
                .boundary(thread::boundary(&parts.message_id))
                .singlepart(part(ContentType::TEXT_PLAIN, plain::render(&parts.content))?)
                .singlepart(part(ContentType::TEXT_HTML, html::render(&parts.content))?),
        )
        .map_err(|error| ComposeError::Message(error.to_string()))?;
    Ok(Letter {
        message_id: parts.message_id,
        envelope: message.envelope().clone(),
        file_name: parts.file_name,
        bytes: message.formatted(),
    })
}

/// The headers that all letters have.
///
/// No `Precedence`: RFC 3834, 3.1.8 recommends none, and servers that read it
/// put bulk mail last. No `List-Unsubscribe` but in summaries: nobody leaves what
/// asks for them but by the configuration. No `Importance`: that everything is
/// important says nothing.
fn headers(to: &Recipient, about: &About) -> Result<MessageBuilder, ComposeError> {
    let address = to.email.trim().parse().map_err(|e: lettre::address::AddressError| {
        ComposeError::Address { name: to.name.clone(), reason: e.to_string() }
    })?;
    let list = format!("Holdpoint requests <requests.{}>", domain(&about.host));
    Ok(Message::builder()
        .from(about.from.clone())
        .to(Mailbox::new(Some(SafeText::line(&header_text(&to.name)).as_str().to_owned()), address))
        .reply_to(about.reply_to.clone().unwrap_or_else(|| about.from.clone()))
        .date(about.now.max(Time(0)).utc().into())
        // RFC 3834: no out-of-office notes; the second is what Exchange heeds.
        .raw_header(own_header("Auto-Submitted", "auto-generated"))
        .raw_header(own_header("X-Auto-Response-Suppress", "All"))
        // RFC 2919: what people and servers sort by.
        .raw_header(own_header("List-Id", &list)))
}

fn own_header(name: &'static str, value: &str) -> HeaderValue {
    HeaderValue::new(HeaderName::new_from_ascii_str(name), value.to_owned())
}

/// Quoted-printable always, even for ASCII: see the boundary, and servers may
/// not alter a line that begins with "From " or ends with a space.
fn part(kind: ContentType, text: String) -> Result<SinglePart, ComposeError> {
    let body = Body::new_with_encoding(text, ContentTransferEncoding::QuotedPrintable)
        .map_err(|_| ComposeError::Message("not text".to_owned()))?;
    Ok(SinglePart::builder().header(kind).body(body))
}
