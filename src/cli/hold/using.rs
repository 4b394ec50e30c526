//! The use of an approved request: taken once, kept while the call runs,
//! reported when it has ended.

use std::time::Duration;

use tokio::time::sleep;

use super::{BACK_OFF, Ending, FIRST_CONNECTION, GRACE, Hold, back_off, id_of};
use crate::cli::client::brief;
use crate::cli::errors::Failure;
use crate::cli::output::note;
use crate::cli::signals::Stop;
use crate::cli::when;
use crate::client::{certainly_not_done, reason_of, worth_retrying};
use crate::proto;

impl Hold {
    /// Takes the use. `Ok` is the permission to run the call now, once; it
    /// carries the length of the lease.
    ///
    /// An attempt whose answer was lost may have taken the use. When the daemon
    /// then says ALREADY_GRANTED, it was granted to this call id, which only
    /// this process has, and this process has not begun the call: that is a yes.
    pub async fn take(
        &mut self,
        expect_outcome: bool,
        stop: &mut Stop,
    ) -> Result<Duration, Ending> {
        let last = (self.until + GRACE).max(when::boot() + FIRST_CONNECTION);
        let mut pause = BACK_OFF.0;
        let mut may_be_taken = false;
        let message = proto::TakeUseRequest {
            id: self.id().unwrap_or_default().to_owned(),
            call_id: self.question.call_id.clone(),
            digest: self.digest.to_string(),
            expect_outcome,
        };
        loop {
            let mut service = self.client.caller();
            let taking = service.take_use(brief(message.clone()));
            let answer = tokio::select! {
                answer = taking => answer,
                () = stop.asked() => return Err(self.withdraw("interrupted", stop).await),
            };
            let status = match answer {
                Ok(granted) => return Ok(lease(granted.into_inner().lease_ms)),
                Err(status) => status,
            };
            let reason = reason_of(&status);
            if may_be_taken && reason.as_deref() == Some("ALREADY_GRANTED") {
                return Ok(Duration::ZERO);
            }
            if !worth_retrying(&status) || when::boot() >= last {
                return Err(Ending::Refused(self.client.failure(status)));
            }
            may_be_taken |= !certainly_not_done(&status);
            self.waiting.away(id_of(&self.answer), None);
            tokio::select! {
                () = back_off(&mut pause, last) => {}
                () = stop.asked() => return Err(self.withdraw("interrupted", stop).await),
            }
        }
    }

    /// Keeps the lease of a use whose call runs, granted at `since` (on
    /// [`when::boot`]'s clock). Never returns: drop it when the call has ended.
    pub async fn keep_lease(&self, mut lease: Duration, mut since: Duration) {
        let message = proto::RenewUseRequest {
            id: self.id().unwrap_or_default().to_owned(),
            call_id: self.question.call_id.clone(),
        };
        // A lease that we did not hear the length of (its answer was lost) is
        // renewed at once.
        let mut warned = false;
        loop {
            // A third of it counts from the grant: starting the command took time.
            let next = (since + lease / 3).saturating_sub(when::boot());
            sleep(next.max(if lease.is_zero() { Duration::ZERO } else { BACK_OFF.0 })).await;
            since = when::boot();
            match self.client.caller().renew_use(brief(message.clone())).await {
                Ok(renewed) => {
                    lease = self::lease(renewed.into_inner().lease_ms).max(3 * BACK_OFF.0);
                }
                // Sooner than usual, so that a short lease is not lost to one failure.
                Err(status) if worth_retrying(&status) => {
                    lease = (lease / 3).clamp(3 * BACK_OFF.0, 3 * BACK_OFF.1);
                }
                Err(status) => {
                    if !warned {
                        let why = self.client.failure(status).what;
                        note(&format!("holdpoint: the daemon no longer follows this run: {why}"));
                    }
                    warned = true;
                    lease = Duration::from_secs(180);
                }
            }
        }
    }

    /// Tells the daemon how the call ended, for at most `within`.
    pub async fn report(
        &self,
        outcome: proto::Outcome,
        detail: &str,
        within: Duration,
    ) -> Result<(), Failure> {
        let (begun, mut pause) = (when::boot(), BACK_OFF.0);
        let message = proto::ReportOutcomeRequest {
            id: self.id().unwrap_or_default().to_owned(),
            call_id: self.question.call_id.clone(),
            outcome: outcome.into(),
            detail: detail.to_owned(),
        };
        loop {
            let status = match self.client.caller().report_outcome(brief(message.clone())).await {
                Ok(_) => return Ok(()),
                Err(status) => status,
            };
            if !worth_retrying(&status) || when::boot() > begun + within {
                return Err(self.client.failure(status));
            }
            back_off(&mut pause, begun + within).await;
        }
    }
}

fn lease(ms: i64) -> Duration {
    Duration::from_millis(ms.max(0) as u64)
}
