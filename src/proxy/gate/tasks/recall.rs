//! Tasks that this process does not know: it was restarted since, or gave up what
//! it kept of them. What is left is the daemon's record of the request.

use bytes::Bytes;
use chrono::{DateTime, Utc};

use super::{Owner, now};
use crate::client::{brief, reason_of, worth_retrying};
use crate::proto::{ApprovalAnswer, FindRequestRequest, Status, WithdrawApprovalRequest};
use crate::proxy::answer::tasks::View;
use crate::proxy::answer::{self, words};
use crate::proxy::gate::{Gate, OnCancel};
use crate::proxy::message::Era;
use crate::proxy::message::client::code;

/// What the daemon's record says of a task.
#[derive(Debug)]
pub struct Recalled {
    answer: ApprovalAnswer,
    created: DateTime<Utc>,
}

/// Why there is nothing to say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotRecalled {
    /// There is no such task for who asks.
    Unknown,
    /// Nobody can tell just now.
    Away,
}

impl NotRecalled {
    /// The error's code.
    pub fn code(self) -> i32 {
        match self {
            NotRecalled::Unknown => code::INVALID_PARAMS,
            NotRecalled::Away => code::INTERNAL,
        }
    }

    /// The error's words.
    pub fn said(self) -> &'static str {
        match self {
            NotRecalled::Unknown => words::NO_SUCH_TASK,
            NotRecalled::Away => words::TASK_UNTOLD,
        }
    }
}

impl Recalled {
    /// What the client is shown: a task that has ended, since nothing that we still
    /// have could go on with it.
    pub fn view<'a>(&self, id: &'a str) -> View<'a> {
        let result = answer::tool_error(Era::Modern, &words::recalled(&self.answer));
        View {
            id,
            status: "completed",
            message: None,
            created: self.created,
            updated: self.created,
            ttl_ms: None,
            with: Some(("result", Bytes::from(result.to_text()))),
        }
    }
}

impl Gate {
    /// What the daemon knows of a task, for its owner; `cancels`: who does not want
    /// it any more.
    pub(super) async fn recall(
        &self,
        id: &str,
        owner: &Owner,
        cancels: bool,
    ) -> Result<Recalled, NotRecalled> {
        let (handle, client) = (owner.handle(id), owner.client.clone());
        let mut service = self.service.clone();
        let found = service.find_request(brief(FindRequestRequest { handle, client })).await;
        let found = found.map_err(|status| match reason_of(&status).as_deref() {
            Some("NOT_FOUND" | "INVALID_FIELD") => NotRecalled::Unknown,
            reason => {
                let again = worth_retrying(&status);
                tracing::warn!(reason, again, "the daemon could not be asked for a task");
                NotRecalled::Away
            }
        })?;
        let found = found.into_inner();
        let created = DateTime::parse_from_rfc3339(&found.handle_given_at);
        let created = created.map_or_else(|_| now(), |at| at.with_timezone(&Utc));
        let answer = found.answer.ok_or(NotRecalled::Unknown)?;
        let open = matches!(answer.status(), Status::Pending | Status::Approved);
        if cancels && open && self.settings.on_cancel == OnCancel::Withdraw {
            let reason = "cancelled by the client".to_owned();
            let message = WithdrawApprovalRequest { id: answer.id.clone(), reason };
            if let Err(status) = service.withdraw_approval(brief(message)).await {
                let reason = reason_of(&status).unwrap_or_default();
                tracing::warn!(request = answer.id, reason, "a task could not be withdrawn");
            }
        }
        Ok(Recalled { answer, created })
    }
}
