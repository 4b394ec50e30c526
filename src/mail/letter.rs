//! One letter: what one operator is told about one request.

use lettre::address::Envelope;
use lettre::message::header::{ContentTransferEncoding, ContentType, HeaderName, HeaderValue};
use lettre::message::{Body, Mailbox, Message, MultiPart, SinglePart};
use sha2::{Digest as _, Sha256};

use super::content::Content;
use super::limits::cut_line;
use super::{html, plain};
use crate::call::hex::hex;
use crate::call::model::Request;
use crate::call::safe_text::SafeText;
use crate::call::time::Time;

/// Columns of a subject. Phones show half of it, so what matters comes first.
const SUBJECT_COLUMNS: usize = 90;

/// Columns of one name in a subject.
const SUBJECT_NAME: usize = 24;

/// Whom a letter goes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recipient {
    /// The operator's configured name.
    pub name: String,
    /// Where mail reaches them.
    pub email: String,
}

/// What a letter says beside the request itself.
#[derive(Debug, Clone)]
pub struct About {
    /// The sender.
    pub from: Mailbox,
    /// Everyone who is asked.
    pub asked: Vec<String>,
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

/// Writes the letter that asks one operator to decide.
pub fn compose(request: &Request, to: &Recipient, about: &About) -> Result<Letter, ComposeError> {
    let address = to.email.trim().parse().map_err(|e: lettre::address::AddressError| {
        ComposeError::Address { name: to.name.clone(), reason: e.to_string() }
    })?;
    let message_id = message_id(request, to, about);
    let content = Content::new(request, about);
    let own_header = |name, value: &str| {
        HeaderValue::new(HeaderName::new_from_ascii_str(name), value.to_owned())
    };
    let message = Message::builder()
        .from(about.from.clone())
        .to(Mailbox::new(Some(SafeText::line(&header_text(&to.name)).as_str().to_owned()), address))
        .raw_header(own_header("Subject", subject(request).as_str()))
        .date(about.now.max(Time(0)).utc().into())
        .message_id(Some(message_id.clone()))
        // RFC 3834: no out-of-office notes; the second is what Exchange heeds.
        .raw_header(own_header("Auto-Submitted", "auto-generated"))
        .raw_header(own_header("X-Auto-Response-Suppress", "All"))
        .multipart(
            // "=_" cannot occur in quoted-printable text, so no text ends a part.
            MultiPart::alternative()
                .boundary(format!("=_holdpoint_{}", request.id))
                .singlepart(part(ContentType::TEXT_PLAIN, plain::render(&content))?)
                .singlepart(part(ContentType::TEXT_HTML, html::render(&content))?),
        )
        .map_err(|error| ComposeError::Message(error.to_string()))?;
    Ok(Letter {
        message_id,
        envelope: message.envelope().clone(),
        file_name: file_name(request, to),
        bytes: message.formatted(),
    })
}

/// Quoted-printable always, even for ASCII: see the boundary, and servers may
/// not alter a line that begins with "From " or ends with a space.
fn part(kind: ContentType, text: String) -> Result<SinglePart, ComposeError> {
    let body = Body::new_with_encoding(text, ContentTransferEncoding::QuotedPrintable)
        .map_err(|_| ComposeError::Message("not text".to_owned()))?;
    Ok(SinglePart::builder().header(kind).body(body))
}

/// `Approve? destructive: delete_broker on amazon-mq, for jane@example.com [1a2b3c4d]`
fn subject(request: &Request) -> SafeText {
    let call = &request.call;
    let id = format!(" [{}]", request.id.short());
    let mut subject = SafeText::line(&format!("Approve? {}: ", call.category));
    subject.push(&name(&call.tool));
    subject.push_ours(" on ");
    subject.push(&name(&call.server));
    let who = [("for", &call.agent.on_behalf_of), ("by", &call.client), ("by", &call.caller)];
    if let Some((how, who)) = who.into_iter().find(|(_, who)| !who.is_empty()) {
        let mut more = SafeText::default();
        more.push_ours(if how == "for" { ", for " } else { ", by " });
        more.push(&name(who));
        if subject.columns() + more.columns() + id.len() <= SUBJECT_COLUMNS {
            subject.push(&more);
        }
    }
    subject.push(&SafeText::line(&id));
    subject
}

/// A name in a subject: in quotes unless it is one plain word, so that a tool
/// named `x on y [00000000]` is seen to be a name.
fn name(text: &str) -> SafeText {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-.:/@+".contains(c);
    let is_plain = !text.is_empty() && text.chars().all(plain);
    let (mut shown, cut) = cut_line(&header_text(text), SUBJECT_NAME);
    if cut > 0 {
        shown.push_ours("...");
    }
    if is_plain {
        return shown;
    }
    let quote = SafeText::line("\"");
    SafeText::join([&quote, &shown, &quote], "")
}

/// Text for a header: what readers would decode (`=?UTF-8?B?...?=`) is taken
/// apart, since what it hides has not been made safe.
fn header_text(text: &str) -> String {
    text.replace('"', "'").replace("=?", "= ?")
}

/// Derived from what the letter is about and whom it tells, so that every
/// attempt has the same one and a mail reader shows a duplicate once.
fn message_id(request: &Request, to: &Recipient, about: &About) -> String {
    format!("<{}.asked.{}@{}>", request.id, fingerprint(&to.name), domain(&about.host))
}

/// `20261122T130500Z-1a2b3c4d-jane.eml`: sorts by time.
fn file_name(request: &Request, to: &Recipient) -> String {
    let time = request.created.utc().format("%Y%m%dT%H%M%SZ");
    let mut operator: String = to.name.chars().filter(|c| is_tame(*c)).take(40).collect();
    if operator != to.name {
        // Two names must not share a file because they are written alike.
        operator.push('-');
        operator.push_str(&fingerprint(&to.name)[..8]);
    }
    format!("{time}-{}-{operator}.eml", request.id.short())
}

fn is_tame(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '@' | '.')
}

fn fingerprint(name: &str) -> String {
    let hash = Sha256::digest(name.as_bytes());
    hex(&hash[..8])
}

/// A host name as the right side of an address; `localhost` if it is none.
fn domain(host: &str) -> String {
    let of_a_domain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.');
    let usable = !host.is_empty() && host.len() <= 253 && host.chars().all(of_a_domain);
    let usable = usable && host.split('.').all(|label| (1..64).contains(&label.len()));
    if usable { host.to_ascii_lowercase() } else { "localhost".to_owned() }
}
