//! Leaving the summaries by a link in one, as RFC 8058 has it.
//!
//! ```text
//! token = base64url( version[1] operator seal[16] )
//! seal over version, operator, address
//! ```
//!
//! Promises: a token says which operator at which address wants no summaries, and
//! nothing else; it does not end, since people leave a list by old mails too. What it
//! turns off is the gathering alone: a call that waits is still mailed, by itself, when
//! its turn comes. Must never: be logged, or be worth anything to decide.

use std::collections::BTreeSet;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::Desk;
use super::error::DeskError;
use super::links::Links;
use super::people::Operator;
use super::seal::{self, Seal};
use crate::call::time::Time;
use crate::store::mail;

const VERSION: u8 = 1;
const PURPOSE: &str = "unsubscribe";

/// A token that is longer is not looked at. Names have at most 200 bytes.
const LONGEST: usize = 400;

/// The address of an operator who has none, where letters are files.
pub const NO_ADDRESS: &str = "operator@localhost";

/// Whose summaries, and whether they get any.
#[derive(Debug, Clone)]
pub struct Subscription {
    /// Who.
    pub operator: Arc<Operator>,
    /// Since when they get none.
    pub off: Option<Time>,
}

impl Links {
    /// Where an operator leaves the summaries.
    pub fn unsubscribe(&self, operator: &str, address: &str) -> String {
        format!("{}/u/{}", self.url, token(&self.seal, operator, address))
    }
}

/// What stands in such a link.
fn token(seal: &Seal, operator: &str, address: &str) -> String {
    let mut bytes = vec![VERSION];
    bytes.extend(operator.as_bytes());
    let made = seal.of(PURPOSE, &[&bytes, address.as_bytes()]);
    bytes.extend(made);
    URL_SAFE_NO_PAD.encode(bytes)
}

impl Operator {
    /// Where mails to them go.
    pub fn address(&self) -> &str {
        self.email.as_deref().unwrap_or(NO_ADDRESS)
    }
}

impl Desk {
    /// What a token stands for; `None`: nothing, or nothing any more.
    pub async fn subscription(
        &self,
        seal: &Seal,
        token: &str,
    ) -> Result<Option<Subscription>, DeskError> {
        match self.subscriber(seal, token) {
            None => Ok(None),
            Some(operator) => {
                let off = self.summaries_off(&operator).await?;
                Ok(Some(Subscription { operator, off }))
            }
        }
    }

    fn subscriber(&self, seal: &Seal, token: &str) -> Option<Arc<Operator>> {
        if token.len() > LONGEST {
            return None;
        }
        let bytes = URL_SAFE_NO_PAD.decode(token).ok()?;
        let (claim, made) = bytes.split_at_checked(bytes.len().checked_sub(seal::BYTES)?)?;
        let (version, name) = claim.split_first()?;
        let people = self.people();
        let operator = people.operator(std::str::from_utf8(name).ok()?)?;
        let ours = *version == VERSION
            && seal.holds(PURPOSE, &[claim, operator.address().as_bytes()], made);
        ours.then(|| operator.clone())
    }

    /// Since when an operator gets no summaries.
    pub async fn summaries_off(&self, operator: &Operator) -> Result<Option<Time>, DeskError> {
        let (name, address) = (operator.name.clone(), mail::address_hash(operator.address()));
        Ok(self.store.read(move |conn| mail::summaries_off(conn, &name, &address)).await?)
    }

    /// The names of all operators who get none.
    pub async fn without_summaries(&self) -> Result<BTreeSet<String>, DeskError> {
        let people = self.people();
        let left = self.store.read(mail::all_summaries_off).await?;
        let still = left.into_iter().filter(|(name, address)| {
            let operator = people.operator(name);
            operator.is_some_and(|o| mail::address_hash(o.address()) == *address)
        });
        Ok(still.map(|(name, _)| name).collect())
    }

    /// Turns an operator's summaries off or on.
    pub async fn turn_summaries(&self, operator: &Operator, on: bool) -> Result<(), DeskError> {
        let (name, address) = (operator.name.clone(), operator.address().to_owned());
        let changed = self.write(move |tx| mail::turn_summaries(tx, &name, &address, on)).await?;
        if changed {
            let operator = operator.name.as_str();
            if on {
                tracing::info!(operator, "summaries are on again for this operator");
            } else {
                tracing::info!(
                    operator,
                    "this operator unsubscribed from summaries; what waits is mailed one by one"
                );
            }
        }
        Ok(())
    }
}
