//! What makes a letter the same letter, and part of a thread: `Message-ID`,
//! `References`, file name.
//!
//! Promises: every attempt at a letter has the same ones and no other letter
//! has them, so that a reader shows a duplicate once; nothing from outside
//! stands in them but letters, digits and a few marks.

use sha2::{Digest as _, Sha256};

use super::letter::{About, Matter, Recipient};
use crate::call::hex::hex;
use crate::call::model::Request;

/// The longest message id that is written into a header: the longest line of
/// a mail (RFC 5322, 2.1.1) less the name of the header.
const LONGEST_ID: usize = 900;

/// The `Message-ID` of a letter, with its angle brackets: derived from what the
/// letter is about and whom it tells.
pub fn message_id(matter: &Matter<'_>, to: &Recipient, host: &str) -> String {
    let what = match (matter.request(), matter) {
        (Some(request), _) => request.id.to_string(),
        (None, Matter::Summary(summary)) => summary.id.to_string(),
        (None, _) => unreachable!("only a summary is about no one request"),
    };
    let kind = matter.kind();
    format!("<{what}.{kind}.{}@{}>", fingerprint(&to.name), domain(host))
}

/// A test letter's: every one is another.
pub(super) fn sample_id(to: &Recipient, about: &About) -> String {
    format!("<{}.test.{}@{}>", about.now.0, fingerprint(&to.name), domain(&about.host))
}

/// A test letter's file.
pub(super) fn sample_file(to: &Recipient, about: &About) -> String {
    format!("{}-test-{}.eml", about.now.utc().format("%Y%m%dT%H%M%S%3fZ"), tame(&to.name))
}

/// The letter in which the recipient first heard of the request, if this one
/// continues it.
pub(super) fn first_of_thread(
    matter: &Matter<'_>,
    to: &Recipient,
    about: &About,
) -> Option<String> {
    let request = matter.continued()?;
    let told = about.thread.clone().filter(|id| is_message_id(id));
    Some(told.unwrap_or_else(|| message_id(&Matter::Asked(request), to, &about.host)))
}

/// What stands between the parts of the letter: "=_" cannot occur in
/// quoted-printable text, so no text ends a part; and it is no longer than the
/// 70 characters of RFC 2046, 5.1.1.
pub(super) fn boundary(message_id: &str) -> String {
    format!("=_holdpoint_{}", fingerprint(message_id))
}

/// Whether it can stand in a header as it is: one word in angle brackets.
fn is_message_id(text: &str) -> bool {
    let inside = text.strip_prefix('<').and_then(|rest| rest.strip_suffix('>'));
    let plain = |c: char| c.is_ascii_graphic() && !"<>".contains(c);
    inside.is_some_and(|id| id.contains('@') && id.chars().all(plain) && id.len() < LONGEST_ID)
}

/// `20261122T130500Z-1a2b3c4d-jane.eml`: sorts by time. Other letters than the
/// first of a request say what they are: `...-jane-reminder.eml`.
pub(super) fn file_name(matter: &Matter<'_>, to: &Recipient) -> String {
    let name = |request: &Request, kind: &str| {
        let time = match matter {
            Matter::FollowUp(..) => request.outcome_at.or(request.ended).unwrap_or(request.created),
            _ => request.created,
        };
        let time = time.utc().format("%Y%m%dT%H%M%SZ");
        format!("{time}-{}-{}{kind}.eml", request.id.short(), tame(&to.name))
    };
    match matter {
        Matter::Asked(request) => name(request, ""),
        Matter::Reminder(request) => name(request, "-reminder"),
        Matter::FollowUp(how, request) => name(request, &format!("-{}", how.word())),
        Matter::Summary(summary) => {
            // Of the newest request in it, so that it sorts among the others.
            let newest = summary.items.iter().map(|item| item.request.created).max();
            let time = newest.unwrap_or_default().utc().format("%Y%m%dT%H%M%SZ");
            format!("{time}-summary{}-{}.eml", summary.id, tame(&to.name))
        }
    }
}

/// An operator's name as part of a file name.
fn tame(name: &str) -> String {
    let of_a_file = |c: &char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '@' | '.');
    let mut operator: String = name.chars().filter(of_a_file).take(40).collect();
    if operator != name {
        // Two names must not share a file because they are written alike.
        operator.push('-');
        operator.push_str(&fingerprint(name)[..8]);
    }
    operator
}

fn fingerprint(name: &str) -> String {
    let hash = Sha256::digest(name.as_bytes());
    hex(&hash[..8])
}

/// A host name as the right side of an address; `localhost` if it is none.
pub(super) fn domain(host: &str) -> String {
    let of_a_domain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.');
    let usable = !host.is_empty() && host.len() <= 253 && host.chars().all(of_a_domain);
    let usable = usable && host.split('.').all(|label| (1..64).contains(&label.len()));
    if usable { host.to_ascii_lowercase() } else { "localhost".to_owned() }
}
