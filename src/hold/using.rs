//! The use of an approved request: taken once, kept while the call runs,
//! reported when it has ended.

use std::time::Duration;

use tokio::time::sleep;
use tonic::Status as Answer;

use super::{BACK_OFF, Hold, Trouble, back_off};
use crate::client::{boot, brief, certainly_not_done, reason_of, worth_retrying};
use crate::proto;

/// How long a withdrawal may take.
const WITHDRAW_WITHIN: Duration = Duration::from_secs(5);

impl Hold {
    /// Takes the use, asking a daemon that does not answer for at most `within`.
    /// `Ok` is the permission to run the call now, once; it carries the length of
    /// the lease (none, unless an outcome is to be expected).
    ///
    /// An attempt whose answer was lost may have taken the use. When the daemon
    /// then says ALREADY_GRANTED, it was granted to this call id, which only
    /// this process has, and this process has not begun the call: that is a yes.
    ///
    /// # Errors
    /// Whatever it is: the call must not run.
    pub async fn take(
        &mut self,
        expect_outcome: bool,
        within: Duration,
    ) -> Result<Duration, Trouble> {
        let last = boot() + within;
        let mut pause = BACK_OFF.0;
        let mut may_be_taken = false;
        let message = proto::TakeUseRequest {
            id: self.id().unwrap_or_default().to_owned(),
            call_id: self.question.call_id.clone(),
            digest: self.digest.to_string(),
            expect_outcome,
        };
        loop {
            let status = match self.service.take_use(brief(message.clone())).await {
                Ok(granted) => return Ok(lease(granted.into_inner().lease_ms)),
                Err(status) => status,
            };
            if may_be_taken && reason_of(&status).as_deref() == Some("ALREADY_GRANTED") {
                return Ok(Duration::ZERO);
            }
            if !worth_retrying(&status) {
                return Err(Trouble::Refused(status));
            }
            if boot() >= last {
                return Err(Trouble::Away(status));
            }
            may_be_taken |= !certainly_not_done(&status);
            self.tell(true);
            back_off(&mut pause, last).await;
        }
    }

    /// Keeps the lease of a use whose call runs, granted at `since` (on [`boot`]'s
    /// clock), and tells `lost` if it cannot be kept. Never returns: drop it when
    /// the call has ended.
    pub async fn keep_lease(
        &self,
        mut lease: Duration,
        mut since: Duration,
        lost: impl FnOnce(Answer),
    ) {
        let message = proto::RenewUseRequest {
            id: self.id().unwrap_or_default().to_owned(),
            call_id: self.question.call_id.clone(),
        };
        let mut service = self.service.clone();
        loop {
            // A third of it counts from the grant. A lease that we did not hear the
            // length of (its answer was lost) is renewed at once.
            let next = (since + lease / 3).saturating_sub(boot());
            sleep(next.max(if lease.is_zero() { Duration::ZERO } else { BACK_OFF.0 })).await;
            since = boot();
            lease = match service.renew_use(brief(message.clone())).await {
                Ok(renewed) => self::lease(renewed.into_inner().lease_ms).max(3 * BACK_OFF.0),
                // Sooner than usual, so that a short lease is not lost to one failure.
                Err(status) if worth_retrying(&status) => {
                    (lease / 3).clamp(3 * BACK_OFF.0, 3 * BACK_OFF.1)
                }
                Err(status) => {
                    lost(status);
                    return std::future::pending().await;
                }
            };
        }
    }

    /// Tells the daemon how the call ended, for at most `within`.
    ///
    /// # Errors
    /// It was not told: the outcome becomes unknown when the lease ends.
    pub async fn report(
        &self,
        outcome: proto::Outcome,
        detail: &str,
        within: Duration,
    ) -> Result<(), Answer> {
        let last = boot() + within;
        let mut pause = BACK_OFF.0;
        let message = proto::ReportOutcomeRequest {
            id: self.id().unwrap_or_default().to_owned(),
            call_id: self.question.call_id.clone(),
            outcome: outcome.into(),
            detail: detail.to_owned(),
        };
        let mut service = self.service.clone();
        loop {
            let status = match service.report_outcome(brief(message.clone())).await {
                Ok(_) => return Ok(()),
                Err(status) => status,
            };
            if !worth_retrying(&status) || boot() > last {
                return Err(status);
            }
            back_off(&mut pause, last).await;
        }
    }

    /// Takes the request back, so that nobody decides what nobody will run.
    ///
    /// # Errors
    /// It may still be pending.
    pub async fn withdraw(&self, reason: &str) -> Result<(), Answer> {
        let withdrawn = self.withdrawn(reason);
        match tokio::time::timeout(WITHDRAW_WITHIN, withdrawn).await {
            Ok(done) => done,
            Err(_) => Err(Answer::deadline_exceeded("the daemon did not answer")),
        }
    }

    async fn withdrawn(&self, reason: &str) -> Result<(), Answer> {
        if !self.asked {
            return Ok(());
        }
        let id = match self.id() {
            Some(id) => id.to_owned(),
            // The daemon may have it although we never heard of it: the same call
            // id says which request that is.
            None => self.glance().await?.id,
        };
        let message = proto::WithdrawApprovalRequest { id, reason: reason.to_owned() };
        self.service.clone().withdraw_approval(brief(message)).await.map(|_| ())
    }
}

fn lease(ms: i64) -> Duration {
    Duration::from_millis(ms.max(0).cast_unsigned())
}
