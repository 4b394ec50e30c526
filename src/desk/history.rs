//! The records, for whoever asks at whichever door: entries, mails, exports, and
//! whether the chain is whole.
//!
//! Promises: somebody who does not see everything is told of what is theirs alone (the
//! rule is [`Reader`]'s), and does not learn from a count what else there is; an export
//! ends as soon as whoever asked for it may not have it any more, or has signed out;
//! who asks whether the chain is whole while somebody else waits for that, hears the
//! same answer. Must never: hold more than a few pieces of an export in memory.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{mpsc, watch};

use super::error::DeskError;
use super::people::{Identity, Operator};
use super::sign_ins::SignedIn;
use super::visitor::{NotKnown, Visitor};
use super::{Desk, asks};
use crate::call::requirement::Requirement;
use crate::call::time::Time;
use crate::store::export::Exporter;
use crate::store::mail::{self, ListedMail, MailPlace, MailQuestion};
use crate::store::query::{self, Page, Question};
use crate::store::reader::Reader;
use crate::store::verify::verify;
use crate::store::whole::{Broken, Whole};
use crate::store::{StoreError, Walk, chain, text_index};

/// Bytes of one piece of an export.
const PIECE: usize = 64 * 1024;

/// Pieces that are ready before their reader takes them.
const PIECES_READY: usize = 2;

/// Longest text to look for, in bytes.
pub const TEXT: usize = 200;

/// What is wrong with a text to look for, if anything is.
pub fn text_fault(text: &str) -> Option<String> {
    if text.len() > TEXT {
        return Some(format!("{} bytes; at most {TEXT} are taken", text.len()));
    }
    let none = !text_index::has_words(text);
    none.then(|| "no word in it: letters or digits are looked for".to_owned())
}

/// By what right somebody has an export. It is asked again before each piece.
#[derive(Debug, Clone)]
pub enum Right {
    /// A credential.
    Visitor(Visitor),
    /// A sign-in to the pages.
    SignIn(SignedIn),
}

/// Why an export broke off.
#[derive(Debug, thiserror::Error)]
pub enum ExportEnded {
    /// Whoever asked is not known any more.
    #[error(transparent)]
    NotKnown(#[from] NotKnown),
    /// Their sign-in has ended.
    #[error("your sign-in has ended; sign in again")]
    SignedOut,
    /// They are, but may not have it.
    #[error("only auditors and admins export the history")]
    NotAnAuditor,
    /// It could not be read.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// An export on its way.
#[derive(Debug)]
pub struct Export {
    /// Its first entry.
    pub first: u64,
    /// Its last entry; before the first where there is none.
    pub last: u64,
    /// Its bytes, piece by piece.
    pub pieces: mpsc::Receiver<Result<Vec<u8>, ExportEnded>>,
}

/// What was found when the whole chain was last walked.
#[derive(Debug, Clone)]
pub struct Verified {
    /// When it was begun: entries after that are not in it.
    pub at: Time,
    /// What.
    pub found: Result<Whole, Broken>,
}

/// The newest such finding since the daemon began.
#[derive(Debug, Default)]
pub(super) struct LastVerified(Mutex<Option<Verified>>);

/// What a walk through the whole chain finds.
type Found = Result<Result<Whole, Broken>, DeskError>;

/// The walks that are under way: one for all who ask the same meanwhile.
#[derive(Debug, Default)]
pub(super) struct Verifying(Mutex<Vec<Walking>>);

/// One of them.
#[derive(Debug)]
struct Walking {
    wanted: Option<[u8; 32]>,
    /// `None` until it has ended.
    found: watch::Receiver<Option<Found>>,
}

impl Verifying {
    fn all(&self) -> MutexGuard<'_, Vec<Walking>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many there are.
    #[cfg(test)]
    pub(super) fn count(&self) -> usize {
        self.all().len()
    }
}

impl Desk {
    /// A page of the history, as far as this person may see it.
    pub async fn history(
        &self,
        operator: &Arc<Operator>,
        question: Question,
    ) -> Result<Page, DeskError> {
        if question.filter.text.is_some() {
            self.store.catch_up_text().await?;
        }
        let (asker, all) = (operator.clone(), operator.sees_all());
        let page = self.store.read(move |conn| {
            let visible = |requirement: &Requirement| asks(&asker, requirement);
            let mut reader = Reader::new(&asker.name, &visible);
            query::query(conn, &question, (!all).then_some(&mut reader))
        });
        let page = page.await?;
        // How many entries have a word in them is itself an answer: it is given
        // only for what this person may see.
        let examined = if all { page.examined } else { page.entries.len() };
        Ok(Page { examined, ..page })
    }

    /// A page of the mails, as far as this person may see them.
    pub async fn mails(
        &self,
        operator: &Operator,
        question: MailQuestion,
    ) -> Result<(Vec<ListedMail>, Option<MailPlace>), DeskError> {
        let (asker, all) = (operator.clone(), operator.sees_all());
        let page = self.store.read(move |conn| {
            let visible = |requirement: &Requirement| asks(&asker, requirement);
            let mut reader = Reader::new(&asker.name, &visible);
            mail::list(conn, &question, (!all).then_some(&mut reader))
        });
        Ok(page.await?)
    }

    /// Begins an export of entries `first` to `last` (0: the first, the last there
    /// is) for an auditor or admin. Dropping it ends it.
    pub async fn export(
        self: &Arc<Self>,
        right: Right,
        first: u64,
        last: u64,
    ) -> Result<Export, ExportEnded> {
        self.still_auditor(&right).await?;
        let mut exporter = self.store.read(move |conn| Exporter::new(conn, first, last)).await?;
        let (first, last) = exporter.range();
        let (sender, pieces) = mpsc::channel(PIECES_READY);
        let desk = self.clone();
        tokio::spawn(async move {
            loop {
                let piece = match desk.still_auditor(&right).await {
                    Ok(()) => desk.piece(exporter).await,
                    Err(why) => Err(why),
                };
                let item = match piece {
                    Ok((_, None)) => return,
                    Ok((back, Some(piece))) => {
                        exporter = back;
                        Ok(piece)
                    }
                    Err(why) => {
                        let _ = sender.send(Err(why)).await;
                        return;
                    }
                };
                if sender.send(item).await.is_err() {
                    return;
                }
            }
        });
        Ok(Export { first, last, pieces })
    }

    async fn piece(
        &self,
        mut exporter: Exporter,
    ) -> Result<(Exporter, Option<Vec<u8>>), ExportEnded> {
        let read = self.store.read(move |conn| {
            let piece = exporter.next(conn, PIECE)?;
            Ok((exporter, piece))
        });
        Ok(read.await?)
    }

    async fn still_auditor(&self, right: &Right) -> Result<(), ExportEnded> {
        let operator = match right {
            Right::Visitor(visitor) => match self.still(visitor)? {
                Identity::Operator(operator) => Some(operator),
                Identity::Caller(_) => None,
            },
            Right::SignIn(who) => {
                // Whose token was taken away is told that first.
                self.still(&who.visitor)?;
                Some(self.still_signed_in(who).await?.ok_or(ExportEnded::SignedOut)?)
            }
        };
        match operator {
            Some(operator) if operator.sees_all() => Ok(()),
            _ => Err(ExportEnded::NotAnAuditor),
        }
    }

    /// Walks the whole chain, and whether it contains a head that was noted earlier. Who
    /// asks the same while a walk is under way waits for that one.
    pub async fn verify(self: &Arc<Self>, wanted: Option<[u8; 32]>) -> Found {
        let mut found = self.walking(wanted);
        let done = found.wait_for(Option::is_some).await;
        // The walk's task goes only with the whole runtime.
        done.map_err(|_| DeskError::ShuttingDown)?.clone().unwrap_or(Err(DeskError::ShuttingDown))
    }

    /// The walk that answers this, begun if there is none. A task of its own: who waits
    /// for it may go, and the others still hear.
    fn walking(self: &Arc<Self>, wanted: Option<[u8; 32]>) -> watch::Receiver<Option<Found>> {
        let mut all = self.verifying.all();
        if let Some(walking) = all.iter().find(|walking| walking.wanted == wanted) {
            return walking.found.clone();
        }
        let (tell, found) = watch::channel(None);
        all.push(Walking { wanted, found: found.clone() });
        let desk = self.clone();
        tokio::spawn(async move {
            let done = desk.walk(wanted).await;
            // Whoever asks from now on wants the entries of now.
            desk.verifying.all().retain(|walking| walking.wanted != wanted);
            tell.send_replace(Some(done));
        });
        found
    }

    async fn walk(&self, wanted: Option<[u8; 32]>) -> Found {
        let clock = self.store.clone();
        let walk = self.store.walk(Walk::Chain, move |conn| {
            let begun = clock.now();
            Ok((begun, verify(conn, wanted)?))
        });
        let (at, found) = walk.await?;
        // A head that is not in it may be another log's: that says nothing of this one.
        if found.is_ok() || wanted.is_none() {
            let verified = Verified { at, found: found.clone() };
            *self.verified.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(verified);
        }
        Ok(found)
    }

    /// What was found when the chain was last walked, if it was since the start.
    pub fn last_verified(&self) -> Option<Verified> {
        self.verified.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Where the chain stands, without walking it.
    pub async fn chain(&self) -> Result<chain::Chain, DeskError> {
        Ok(self.store.read(chain::chain).await?)
    }
}
