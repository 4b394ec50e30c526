//! The history, for whoever asks at whichever door: entries, exports, and whether
//! the chain is whole.
//!
//! Promises: somebody who does not see everything is told of what is theirs alone,
//! and does not learn from a count what else there is; an export ends as soon as
//! whoever asked for it may not have it any more. Must never: hold more than a few
//! pieces of an export in memory.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::mpsc;

use super::error::DeskError;
use super::people::{Identity, Operator};
use super::visitor::{NotKnown, Visitor};
use super::{Desk, asks};
use crate::call::requirement::Requirement;
use crate::call::time::Time;
use crate::store::export::{self, Broken, Exporter, Whole};
use crate::store::query::{self, Page, Question};
use crate::store::text_index;
use crate::store::{StoreError, chain};

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

/// Why an export broke off.
#[derive(Debug, thiserror::Error)]
pub enum ExportEnded {
    /// Whoever asked is not known any more.
    #[error(transparent)]
    NotKnown(#[from] NotKnown),
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
    /// When.
    pub at: Time,
    /// What.
    pub found: Result<Whole, Broken>,
}

/// The newest such finding since the daemon began.
#[derive(Debug, Default)]
pub(super) struct LastVerified(Mutex<Option<Verified>>);

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
            let visible = &visible as &dyn Fn(&Requirement) -> bool;
            query::query(conn, &question, (!all).then_some(visible))
        });
        let page = page.await?;
        // How many entries have a word in them is itself an answer: it is given
        // only for what this person may see.
        let examined = if all { page.examined } else { page.entries.len() };
        Ok(Page { examined, ..page })
    }

    /// Begins an export of entries `first` to `last` (0: the first, the last there
    /// is) for an auditor or admin. Dropping it ends it.
    pub async fn export(
        self: &Arc<Self>,
        visitor: &Visitor,
        first: u64,
        last: u64,
    ) -> Result<Export, ExportEnded> {
        self.still_auditor(visitor)?;
        let mut exporter = self.store.read(move |conn| Exporter::new(conn, first, last)).await?;
        let (first, last) = exporter.range();
        let (sender, pieces) = mpsc::channel(PIECES_READY);
        let (desk, visitor) = (self.clone(), visitor.clone());
        tokio::spawn(async move {
            loop {
                let piece = match desk.still_auditor(&visitor) {
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

    fn still_auditor(&self, visitor: &Visitor) -> Result<(), ExportEnded> {
        match self.still(visitor)? {
            Identity::Operator(operator) if operator.sees_all() => Ok(()),
            _ => Err(ExportEnded::NotAnAuditor),
        }
    }

    /// Walks the whole chain, and whether it contains a head that was noted earlier.
    pub async fn verify(
        &self,
        wanted: Option<[u8; 32]>,
    ) -> Result<Result<Whole, Broken>, DeskError> {
        let found = self.store.walk(move |conn| export::verify(conn, wanted)).await?;
        // A head that is not in it may be another log's: that says nothing of this one.
        if found.is_ok() || wanted.is_none() {
            let verified = Verified { at: self.store.now(), found: found.clone() };
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
