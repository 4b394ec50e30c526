//! The tools of a server that is started for this.

use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::{CannotList, LONGEST, Listed, Way, all};
use crate::call::json::Json;
use crate::proxy::answer;
use crate::proxy::http::child::process::Running;
use crate::proxy::message::client::code;
use crate::proxy::message::{Era, Id, Said};
use crate::proxy::upstream::child::{Child, Unasked};

/// Messages of the server that may wait until they are answered.
const QUEUE: usize = 64;

/// Starts the server, asks it, and ends it with all that it started. If this is
/// dropped, it is killed.
///
/// # Errors
/// There is no list.
pub async fn of_child(command: Command, within: Duration) -> Result<Listed, CannotList> {
    let (unasked, said) = mpsc::channel(QUEUE);
    let (child, running) =
        Running::leading(command, LONGEST, unasked).map_err(CannotList::NotStarted)?;
    let answering = tokio::spawn(answer_nothing(child.clone(), said));
    let mut way = ByChild { child: child.clone(), asked: 0 };
    let listed = tokio::time::timeout(within, all(&mut way)).await;
    let how = running.end(&child).await;
    answering.abort();
    match listed {
        Ok(Err(CannotList::NoAnswer(_))) => {
            Err(CannotList::NoAnswer(format!("it ended with {how}")))
        }
        Ok(listed) => listed,
        Err(_) => Err(CannotList::TooLate(within)),
    }
}

/// A process, spoken to in lines.
struct ByChild {
    child: Arc<Child>,
    asked: usize,
}

impl Way for ByChild {
    async fn ask(
        &mut self,
        method: &'static str,
        params: Json,
        _: Era,
    ) -> Result<Bytes, CannotList> {
        self.asked += 1;
        let id = Id::minted(&format!("scan-{}", self.asked));
        let line = answer::request(&id, method, params);
        let answered = self.child.request(id, line, None, CancellationToken::new()).await;
        let answered = answered.map_err(|error| CannotList::NoAnswer(error.to_string()))?;
        Ok(answered.bytes)
    }

    async fn tell(&mut self, method: &'static str) -> Result<(), CannotList> {
        match self.child.send(answer::notification(method)).await {
            true => Ok(()),
            false => Err(CannotList::NoAnswer("it reads no more".to_owned())),
        }
    }
}

/// A server may ask its client things; this one does nothing, and says so.
async fn answer_nothing(child: Arc<Child>, mut said: mpsc::Receiver<Unasked>) {
    while let Some(said) = said.recv().await {
        let Unasked::Line(message) = said else { continue };
        if let Said::Request(id, method) = &message.said {
            let answer = match method.as_str() {
                "ping" => answer::result(id, &Json::Object(Vec::new())),
                _ => {
                    answer::error(Some(id), code::METHOD_NOT_FOUND, "this client only lists tools")
                }
            };
            if !child.send(answer).await {
                return;
            }
        }
    }
}
