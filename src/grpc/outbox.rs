//! The outbox, for whoever looks after the mail: two methods of the operators' door.

use tonic::{Response, Status};

use super::convert;
use super::errors::{bad_field, status, wrong_role};
use super::history::time;
use crate::desk::Desk;
use crate::desk::people::Operator;
use crate::proto;
use crate::store::mail::{MailList, MailPlace, MailQuestion};

/// Answers `ListMail`.
pub(super) async fn list(
    desk: &Desk,
    operator: &Operator,
    message: proto::ListMailRequest,
) -> Result<Response<proto::ListMailResponse>, Status> {
    let which = match message.state.as_str() {
        "" => MailList::All,
        "waiting" => MailList::Waiting,
        "failed" => MailList::Failed,
        _ => return Err(bad_field("state", "waiting, failed or nothing is expected")),
    };
    let own = !operator.sees_all();
    let asked = (!message.operator.is_empty()).then_some(message.operator);
    if own && asked.as_ref().is_some_and(|name| *name != operator.name) {
        return Err(wrong_role("only auditors and admins see the mails of others"));
    }
    let question = MailQuestion {
        list: which,
        operator: if own { Some(operator.name.clone()) } else { asked },
        since: time("since", &message.since)?,
        after: place(&message.state, &message.page_token)?,
        most: super::page_size(message.page_size)?,
    };
    let (mails, next) = desk.mails(operator, question).await.map_err(status)?;
    Ok(Response::new(proto::ListMailResponse {
        mails: mails.iter().map(convert::mail).collect(),
        next_page_token: next.map(|at| token(&message.state, &at)).unwrap_or_default(),
    }))
}

/// Answers `RetryMail`.
pub(super) async fn retry(
    desk: &Desk,
    operator: &Operator,
    message: proto::RetryMailRequest,
) -> Result<Response<proto::RetryMailResponse>, Status> {
    if !operator.roles.admin {
        return Err(wrong_role("only an admin has mails tried again"));
    }
    let mail = desk.retry_mail(operator, message.id).await.map_err(status)?;
    Ok(Response::new(proto::RetryMailResponse { mail: Some(convert::mail(&mail)) }))
}

fn token(state: &str, at: &MailPlace) -> String {
    // The name comes last: it may hold anything.
    format!("{state}.{:x}.{:x}.{}", at.at, at.n, at.operator)
}

fn place(state: &str, token: &str) -> Result<Option<MailPlace>, Status> {
    if token.is_empty() {
        return Ok(None);
    }
    let read = || {
        let mut parts = token.splitn(4, '.');
        let same = parts.next()? == state;
        let mut number = || i64::from_str_radix(parts.next()?, 16).ok();
        let (at, n) = (number()?, number()?);
        let operator = parts.next()?.to_owned();
        same.then_some(MailPlace { operator, at, n })
    };
    read().map(Some).ok_or_else(super::bad_page_token)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_token_belongs_to_its_list() {
        let at = MailPlace { operator: "a.b".to_owned(), at: 1_800_000_000_000, n: 7 };
        let text = token("waiting", &at);
        assert_eq!(place("waiting", &text).expect("read"), Some(at));
        assert!(place("failed", &text).is_err() && place("waiting", "x").is_err());
        assert_eq!(place("failed", "").expect("none"), None);
    }
}
