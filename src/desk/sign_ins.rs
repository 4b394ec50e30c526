//! Operators who are signed in to the pages: from a token to a secret that their
//! browser keeps, and from that back to who they are.
//!
//! Promises: a sign-in is worth what the token behind it is worth at each use: one
//! that is removed or runs out ends it at once. Must never: sign a caller in.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256};

use super::Desk;
use super::error::DeskError;
use super::people::{Identity, Operator};
use super::visitor::{NotKnown, Shown, Visitor};
use crate::call::time::Time;
use crate::config::token::TokenHash;
use crate::store::sign_ins::{self, SignInId};
use crate::store::{StoreError, Tx};

/// Characters of what a browser keeps: 32 bytes in base64url.
const SECRET: usize = 43;

/// Somebody who is signed in.
#[derive(Debug, Clone)]
pub struct SignedIn {
    /// SHA-256 of what their browser keeps.
    pub id: SignInId,
    /// Who they are now.
    pub operator: Arc<Operator>,
    /// The same, for what stays open while they are known.
    pub visitor: Visitor,
    /// When it ends if it is not used again.
    pub ends: Time,
    used: Time,
}

/// Nobody was signed in.
#[derive(Debug, thiserror::Error)]
pub enum NotSignedIn {
    /// The token is nobody's.
    #[error(transparent)]
    NotKnown(#[from] NotKnown),
    /// It is a program's.
    #[error("this is a caller's token; callers ask, and only operators sign in")]
    Caller,
    /// It could not be written down.
    #[error(transparent)]
    Desk(#[from] DeskError),
    /// No secret could be made.
    #[error("the operating system gave no random bytes ({0}); try again")]
    NoRandomness(String),
}

impl Desk {
    /// Signs an operator in by a token; what their browser is to keep. What it kept
    /// `before` is void then, whoever signed in by it: nobody who knows it, or put it
    /// there, comes in by it any more.
    pub async fn sign_in(
        &self,
        token: &str,
        before: Option<&str>,
    ) -> Result<(String, Arc<Operator>), NotSignedIn> {
        let shown = TokenHash::of(token);
        let visitor = self.visitor(Shown { token: Some(shown), names: None })?;
        let Identity::Operator(operator) = visitor.identity else {
            return Err(NotSignedIn::Caller);
        };
        let mut secret = [0; 32];
        getrandom::fill(&mut secret).map_err(|e| NotSignedIn::NoRandomness(e.to_string()))?;
        let secret = URL_SAFE_NO_PAD.encode(secret);
        let (id, name, strength) = (id_of(&secret), operator.name.clone(), operator.strength);
        let credential = *shown.as_bytes();
        let before = before.filter(|before| before.len() == SECRET).map(id_of);
        let begin = move |tx: &mut Tx<'_>| {
            sign_ins::begin(tx, &id, &name, strength, &credential, before.as_ref())
        };
        self.write(begin).await?;
        if before.is_some() {
            // Pages that are open by it ask who they are for.
            self.changes.send_replace(());
        }
        Ok((secret, operator))
    }

    /// Who is signed in by what a browser shows, if anybody is.
    pub async fn signed_in(&self, secret: &str) -> Result<Option<SignedIn>, DeskError> {
        if secret.len() != SECRET {
            return Ok(None);
        }
        let (id, now) = (id_of(secret), self.store.now());
        let found = self.store.read(move |conn| sign_ins::find(conn, &id, now)).await?;
        let Some(found) = found else { return Ok(None) };
        let shown = Shown { token: Some(TokenHash::from_bytes(found.credential)), names: None };
        let Ok(visitor) = self.visitor(shown) else { return Ok(None) };
        let Identity::Operator(operator) = &visitor.identity else { return Ok(None) };
        if operator.name != found.operator {
            return Ok(None);
        }
        let (operator, ends, used) = (operator.clone(), found.ends(), found.used);
        Ok(Some(SignedIn { id, operator, visitor, ends, used }))
    }

    /// Somebody used their sign-in, so it lasts on.
    pub fn sign_in_used(&self, who: &SignedIn) {
        if who.used + sign_ins::USED_WITHIN <= self.store.now() {
            let id = who.id;
            self.store.post(move |tx| sign_ins::used(tx, &id));
        }
    }

    /// Signs out, here or everywhere.
    pub async fn sign_out(&self, who: &SignedIn, everywhere: bool) -> Result<(), DeskError> {
        let (name, only) = (who.operator.name.clone(), (!everywhere).then_some(who.id));
        self.write(move |tx| sign_ins::end(tx, &name, only.as_ref())).await?;
        // Pages that are open ask who they are for.
        self.changes.send_replace(());
        Ok(())
    }

    /// The operator as they are known now, if this sign-in has not ended.
    pub async fn still_signed_in(
        &self,
        who: &SignedIn,
    ) -> Result<Option<Arc<Operator>>, StoreError> {
        let (id, now) = (who.id, self.store.now());
        let found = self.store.read(move |conn| sign_ins::find(conn, &id, now)).await?;
        Ok(match (found, self.still(&who.visitor)) {
            (Some(_), Ok(Identity::Operator(operator))) => Some(operator),
            _ => None,
        })
    }
}

fn id_of(secret: &str) -> SignInId {
    Sha256::digest(secret.as_bytes()).into()
}
