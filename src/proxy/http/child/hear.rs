//! What a process says that is no answer, and to which of its client's requests
//! it goes.
//!
//! Must never: pass on what is no message, or an answer that nobody waits for.

use std::sync::Arc;
use std::time::Instant;

use tokio::sync::mpsc;

use super::own::{Own, Wants, number_of};
use super::process::Few;
use crate::proxy::answer;
use crate::proxy::message::client::code;
use crate::proxy::message::{Era, LIST_CHANGED, Said, ServerMessage};
use crate::proxy::upstream::child::Unasked;

/// Where a notification names the request that listens for it.
const SUBSCRIPTION: [&str; 3] = ["params", "_meta", "io.modelcontextprotocol/subscriptionId"];

impl Own {
    /// Passes on what the process says by itself, as long as it says anything.
    pub async fn hear(self: Arc<Own>, mut said: mpsc::Receiver<Unasked>) {
        let mut few = Few::default();
        while let Some(said) = said.recv().await {
            // Only answers are too long to be told whose they are, and those are
            // waited for by others.
            if let Unasked::Line(message) = said {
                self.hear_one(message, &mut few);
            }
            self.heard.send_modify(|heard| *heard += 1);
        }
        // Nothing comes any more: nobody is to wait for it.
        self.heard.send_replace(u64::MAX);
    }

    fn hear_one(self: &Arc<Own>, message: ServerMessage, few: &mut Few) {
        if message.said == Said::Notification(LIST_CHANGED.to_owned()) {
            self.server.definitions.forget();
            self.params.forget();
        }
        let lost = match self.era {
            Era::Legacy => self.hear_legacy(message),
            Era::Modern => self.hear_modern(message),
        };
        if let Err(why) = lost
            && few.another(Instant::now(), &self.server.name)
        {
            let (server, client) = (&*self.server.name, &*self.party.client);
            tracing::warn!(server, client, "a message of the server went nowhere: {why}");
        }
    }

    fn hear_legacy(self: &Arc<Own>, message: ServerMessage) -> Result<(), &'static str> {
        match &message.said {
            Said::Other => return Err("it is no message"),
            Said::Answer(_) => return Err("it answers what was not asked"),
            Said::Request(..) | Said::Notification(_) => {}
        }
        let taken = self.mail.take(message.bytes);
        if taken.is_err()
            && let Said::Request(id, _) = message.said
        {
            let own = self.clone();
            let said = "the client does not take what it is asked";
            let refused = answer::error(Some(&id), code::INTERNAL, said);
            tokio::spawn(async move { own.upstream.send(refused).await });
        }
        taken.map_err(|_| "too many wait for the client to take them")
    }

    fn hear_modern(&self, message: ServerMessage) -> Result<(), &'static str> {
        let Said::Notification(method) = &message.said else {
            return Err("it is no notification, and here servers ask nothing");
        };
        let ends = method == "notifications/cancelled";
        let path: &[&str] = if ends { &["params", "requestId"] } else { &SUBSCRIPTION };
        let open = self.open();
        let found = match (message.id_at(path), &**method) {
            (Some(id), _) => number_of(&id).and_then(|number| open.get(&number)),
            // Which request it belongs to is not said: the newest that wants any.
            (None, "notifications/message") => {
                let wanting = open.iter().filter(|(_, open)| open.wants == Wants::Logs);
                wanting.max_by_key(|(number, _)| **number).map(|(_, open)| open)
            }
            (None, _) => None,
        };
        let Some(found) = found else { return Err("nobody listens for it") };
        let message = match found.wants {
            Wants::News => message.with_id_at(path, &found.way.id),
            _ => message,
        };
        let sent = found.way.offer(message.bytes);
        if ends {
            found.over.cancel();
        }
        sent.map_err(|_| "the client reads too slowly")
    }
}
