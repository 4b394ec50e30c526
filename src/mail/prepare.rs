//! From a row of the outbox to a letter, or to the reason why there is none.

use std::time::Duration;

use lettre::message::Mailbox;

use super::letter::{
    About, FollowUp, Item, Letter, Matter, Recipient, Summary, What, compose, message_id,
};
use super::transport::Transport;
use crate::call::model::{MailKind, Request, Status};
use crate::call::time::Time;
use crate::desk::links::Links;
use crate::desk::people::People;
use crate::desk::unsubscribe::NO_ADDRESS;
use crate::store::mail::{self, DueMail, MailOutcome};
use crate::store::{Store, StoreError, read};

/// How long what only tells is tried: a day later nobody waits for it any more.
pub const GIVEN_UP_AFTER: Duration = Duration::from_secs(24 * 3600);

/// What stands in every letter.
#[derive(Debug, Clone)]
pub struct Sender {
    /// The sender's address.
    pub from: Mailbox,
    /// Where answers go; `None`: to the sender.
    pub reply_to: Option<Mailbox>,
    /// How `holdpoint` is called where operators type.
    pub command_prefix: String,
    /// What leads to the pages; `None`: there are none.
    pub links: Option<Links>,
    /// The right side of `Message-ID`s.
    pub host: String,
}

/// A letter, and the rows that it tells if it is a summary.
pub(super) struct Prepared {
    pub letter: Letter,
    pub told: Vec<i64>,
}

/// Everything that a letter is made from, beside the row.
pub(super) struct Desk<'a> {
    pub store: &'a Store,
    pub people: &'a People,
    pub sender: &'a Sender,
    pub transport: &'a Transport,
}

impl Desk<'_> {
    /// The letter, or what to write down instead.
    pub async fn prepare(
        &self,
        mail: &DueMail,
    ) -> Result<Result<Prepared, MailOutcome>, StoreError> {
        let Some(id) = mail.request else {
            let summary = mail.id;
            let members = self.store.read(move |conn| mail::members(conn, summary)).await?;
            return Ok(self.summary(mail, members));
        };
        let request = self.store.read(move |conn| read::request(conn, id)).await?;
        Ok(self.single(mail, request))
    }

    fn single(&self, mail: &DueMail, request: Option<Request>) -> Result<Prepared, MailOutcome> {
        let wanted = |r: &Request| self.is_wanted(mail.kind, r, &mail.operator);
        let Some(request) = request.filter(wanted) else {
            return Err(MailOutcome::Pointless);
        };
        self.refuse_if_late(mail, !mail.kind.asks())?;
        let to = self.recipient(&mail.operator)?;
        let matter = match what(mail.kind) {
            Some(What::Asked) => Matter::Asked(&request),
            Some(What::Reminder) => Matter::Reminder(&request),
            Some(What::FollowUp(follow_up)) => Matter::FollowUp(follow_up, &request),
            None => return Err(MailOutcome::Pointless),
        };
        let asked = self.people.asked(&request.requirement, &request.call.agent.on_behalf_of);
        let about = About {
            asked: asked.iter().map(|operator| operator.name.clone()).collect(),
            thread: mail.letter.map(|id| {
                let summary = Summary { id, items: Vec::new(), more: 0 };
                message_id(&Matter::Summary(&summary), &to, &self.sender.host)
            }),
            ..self.about()
        };
        self.letter(&matter, &to, &about, Vec::new())
    }

    fn summary(
        &self,
        mail: &DueMail,
        members: Vec<(i64, MailKind, Request)>,
    ) -> Result<Prepared, MailOutcome> {
        let (mut told, mut items, mut asks) = (Vec::new(), Vec::new(), false);
        for (row, kind, request) in members {
            let Some(what) = what(kind) else { continue };
            if self.is_wanted(kind, &request, &mail.operator) {
                asks |= kind.asks();
                told.push(row);
                items.push(Item { request, what });
            }
        }
        if items.is_empty() {
            return Err(MailOutcome::Pointless);
        }
        self.refuse_if_late(mail, !asks)?;
        let to = self.recipient(&mail.operator)?;
        let id = mail.letter.unwrap_or(mail.id);
        let summary = Summary { id, items, more: 0 };
        self.letter(&Matter::Summary(&summary), &to, &self.about(), told)
    }

    fn letter(
        &self,
        matter: &Matter<'_>,
        to: &Recipient,
        about: &About,
        told: Vec<i64>,
    ) -> Result<Prepared, MailOutcome> {
        let failed = |error: String| MailOutcome::Failed { error };
        let letter = compose(matter, to, about).map_err(|error| failed(error.to_string()))?;
        Ok(Prepared { letter, told })
    }

    /// Whether there is still a point in this kind of mail, to this operator.
    fn is_wanted(&self, kind: MailKind, request: &Request, operator: &str) -> bool {
        is_needed(kind, request, operator, self.store.now())
            && self.may_know(kind, request, operator)
    }

    /// Whether this operator may still know of the request: who was moved to other
    /// groups since, or removed and replaced by another of that name, may not.
    fn may_know(&self, kind: MailKind, request: &Request, operator: &str) -> bool {
        let on_behalf_of = &request.call.agent.on_behalf_of;
        if self.people.entitled(operator, &request.requirement, on_behalf_of).is_ok() {
            return true;
        }
        let Some(known) = self.people.operator(operator) else {
            // Said as what it is, with the reason.
            return true;
        };
        let decided = request.decisions.iter().any(|decision| decision.operator == operator);
        !kind.asks() && (decided || known.sees_all())
    }

    fn about(&self) -> About {
        About {
            from: self.sender.from.clone(),
            reply_to: self.sender.reply_to.clone(),
            asked: Vec::new(),
            thread: None,
            now: self.store.now(),
            command_prefix: self.sender.command_prefix.clone(),
            host: self.sender.host.clone(),
            links: self.sender.links.clone(),
        }
    }

    /// What asks is bounded by its request's deadline; what only tells, by this.
    fn refuse_if_late(&self, mail: &DueMail, only_tells: bool) -> Result<(), MailOutcome> {
        if !only_tells || self.store.now() < mail.go_by + GIVEN_UP_AFTER {
            return Ok(());
        }
        let hours = GIVEN_UP_AFTER.as_secs() / 3600;
        let because = match mail.detail.as_str() {
            "" => "it could not be tried".to_owned(),
            error => error.to_owned(),
        };
        Err(MailOutcome::Failed { error: format!("given up after {hours} hours: {because}") })
    }

    /// Where an operator's letters go, or why they go nowhere.
    fn recipient(&self, operator: &str) -> Result<Recipient, MailOutcome> {
        let failed = |error: &str| MailOutcome::Failed { error: error.to_owned() };
        let Some(operator) = self.people.operator(operator) else {
            return Err(failed("this operator is no longer configured"));
        };
        let email = match (&operator.email, self.transport) {
            (Some(email), _) => email.clone(),
            // A file needs no address, but its header does.
            (None, Transport::Folder(_)) => NO_ADDRESS.to_owned(),
            (None, Transport::Smtp(_)) => {
                return Err(failed("this operator has no `email` in the configuration"));
            }
        };
        Ok(Recipient { name: operator.name.clone(), email, time_zone: operator.time_zone })
    }
}

/// Whether there is still a point in this kind of mail.
fn is_needed(kind: MailKind, request: &Request, operator: &str, now: Time) -> bool {
    let open = request.status == Status::Pending && request.deadline > now;
    match kind {
        MailKind::Asked => open,
        MailKind::Reminder => open && !mail::knows(request, operator),
        _ => true,
    }
}

/// What a row tells; `None` for a summary, which tells what its members do.
fn what(kind: MailKind) -> Option<What> {
    Some(match kind {
        MailKind::Asked => What::Asked,
        MailKind::Reminder => What::Reminder,
        MailKind::Approved => What::FollowUp(FollowUp::Approved),
        MailKind::Denied => What::FollowUp(FollowUp::Denied),
        MailKind::Expired => What::FollowUp(FollowUp::Expired),
        MailKind::Withdrawn => What::FollowUp(FollowUp::Withdrawn),
        MailKind::OutcomeUnknown => What::FollowUp(FollowUp::OutcomeUnknown),
        MailKind::Summary => return None,
    })
}
