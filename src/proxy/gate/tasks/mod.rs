//! Held calls as tasks of the 2026-07-28 extension: the client gets an id at once
//! and asks now and then how it goes.
//!
//! ```text
//!   ask ── pending ──> working ──> approved: runs ──┬──> completed, failed
//!    │ ended at once     │            ^             └──> input_required ──┐
//!    v                   v            └────────── tasks/update ───────────┘
//!   answered directly   cancelled
//! ```
//!
//! A task's id is random and says nothing. What the daemon keeps beside the request
//! is a hash of the id with the client, the session and the server, so nobody
//! finds it but who got it, where they got it; also after this process ended,
//! when all that is left of the call is the daemon's record.
//!
//! Promises: an id is given out only once the daemon has the request on disk; what
//! is kept has bounds, and what is given up first is what ended first. Must never:
//! answer for a task of another client, session or server, or say that there is one.

mod follow;
mod inputs;
mod recall;
mod request;
mod task;

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256};

pub use request::TaskRequest;
pub use task::Task;

use super::{Party, Question, Server};
use crate::client::boot;
use crate::proxy::locked;

/// How the ids of our tasks begin.
pub const OURS: &str = "holdpoint-task-";
/// The most tasks of one client, ended ones included.
const MOST: usize = 256;
/// The most bytes of results that are kept in all. Above the longest message, so
/// that there is room for any one.
const RESULTS: usize = 128 << 20;
/// The longest call that is held as a task, in bytes: it stays in memory for as
/// long as people take, and the daemon takes arguments of a quarter of this.
const LONGEST_CALL: usize = 1 << 20;
/// How long the result of a task is kept at least.
const KEPT: Duration = Duration::from_secs(60 * 60);

/// Whose a task is.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Owner {
    client: String,
    session: String,
    server: String,
}

impl Owner {
    fn of(party: &Party, server: &Server) -> Owner {
        Owner {
            client: party.client.clone(),
            session: party.session.clone(),
            server: server.name.clone(),
        }
    }

    /// Under what the daemon finds the request of this owner's task again.
    fn handle(&self, id: &str) -> String {
        let mut hash = Sha256::new();
        for part in [id, &self.client, &self.session, &self.server] {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        }
        format!("{OURS}{}", URL_SAFE_NO_PAD.encode(hash.finalize()))
    }
}

/// The tasks that this process knows, oldest first.
#[derive(Debug, Default)]
pub struct Tasks(Mutex<Vec<Arc<Task>>>);

impl Tasks {
    /// A place for a call that is to be held as a task; `None` if its client does
    /// not take tasks, or has too many.
    pub fn place(&self, question: &Question) -> Option<Arc<Task>> {
        if !question.call.takes_tasks() || question.call.message.bytes.len() > LONGEST_CALL {
            return None;
        }
        let id = format!("{OURS}{}", URL_SAFE_NO_PAD.encode(random()?));
        let owner = Owner::of(&question.party, &question.server);
        let mut tasks = self.tasks();
        tasks.retain(|task| !task.is_over());
        let of_client = |task: &Arc<Task>| task.owner().client == owner.client;
        if tasks.iter().filter(|task| of_client(task)).count() >= MOST {
            let ended = tasks.iter().position(|task| of_client(task) && task.kept() > 0)?;
            tasks.remove(ended);
        }
        let told = question.told().map(str::to_owned);
        let task = Arc::new(Task::new(id, owner, told, question.party.over()));
        tasks.push(task.clone());
        Some(task)
    }

    /// The task with this id, if it is this owner's; `Err` if it is another's.
    fn find(&self, id: &str, owner: &Owner) -> Result<Option<Arc<Task>>, NotTheirs> {
        let tasks = self.tasks();
        match tasks.iter().find(|task| task.id() == id && !task.is_over()) {
            None => Ok(None),
            Some(task) if task.owner() == owner => Ok(Some(task.clone())),
            Some(_) => Err(NotTheirs),
        }
    }

    fn forget(&self, task: &Task) {
        self.tasks().retain(|other| other.id() != task.id());
    }

    /// Makes room after a task has ended: what ended first is given up first.
    fn make_room(&self) {
        let mut tasks = self.tasks();
        let mut kept: usize = tasks.iter().map(|task| task.kept()).sum();
        let mut ended: Vec<_> =
            tasks.iter().filter_map(|task| Some((task.ended()?, task.id().to_owned()))).collect();
        ended.sort();
        for (_, id) in ended {
            if kept <= RESULTS {
                return;
            }
            tasks.retain(|task| {
                let goes = task.id() == id;
                kept -= if goes { task.kept() } else { 0 };
                !goes
            });
        }
    }

    fn tasks(&self) -> MutexGuard<'_, Vec<Arc<Task>>> {
        locked(&self.0)
    }
}

/// A task is there, but is somebody else's.
#[derive(Debug)]
struct NotTheirs;

/// 256 bits that nobody guesses; `None` if the system has none to give.
fn random() -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).ok()?;
    Some(bytes)
}

/// Now, on the clock that people read.
fn now() -> chrono::DateTime<chrono::Utc> {
    chrono::Utc::now()
}

fn ms(time: Duration) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX)
}

/// How long ago this was, on [`boot`]'s clock.
fn since(then: Duration) -> Duration {
    boot().saturating_sub(then)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::task::End;
    use super::*;
    use crate::call::json::Json;
    use crate::policy::{Call, Definition, Fresh, From, Policy};
    use crate::proxy::message::{Incoming, ServerMessage, ToolCall, client};

    fn question(client: &str) -> Question {
        let text = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"a","_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{"extensions":{"io.modelcontextprotocol/tasks":{}}}}}}"#;
        let Ok(Incoming::One(message)) = client::read(Bytes::from(text)) else { panic!("one") };
        let policy = Arc::new(Policy::without_file());
        let (from, at) = (From::default(), chrono::DateTime::UNIX_EPOCH);
        let arguments = &Json::Null;
        let call =
            Call { server: "db", tool: "a", definition: Definition::Unknown, arguments, from, at };
        Question {
            call: ToolCall::read(message).expect("a call"),
            party: Arc::new(Party::new(client.to_owned(), "s".to_owned(), KEPT)),
            server: Arc::new(Server::new("db")),
            ruling: policy.judge(&call, &Fresh),
            definition: None,
            changed: None,
            policy,
        }
    }

    fn answered(bytes: &Bytes) -> End {
        End::Answered(ServerMessage::read(bytes.clone()))
    }

    #[test]
    fn a_client_with_too_many_tasks_gets_a_place_once_one_has_ended() {
        let (tasks, question) = (Tasks::default(), question("a"));
        let all: Vec<_> = (0..MOST).map(|_| tasks.place(&question).expect("a place")).collect();
        assert!(tasks.place(&question).is_none());
        assert!(tasks.place(&self::question("b")).is_some());
        all[7].ends(End::Cancelled);
        assert!(tasks.place(&question).is_some() && tasks.place(&question).is_none());
        let owner = Owner::of(&question.party, &question.server);
        assert!(matches!(tasks.find(all[7].id(), &owner), Ok(None)), "given up");
        assert!(matches!(tasks.find(all[8].id(), &owner), Ok(Some(_))));
    }

    #[test]
    fn of_the_results_those_go_first_that_came_first() {
        let (tasks, question) = (Tasks::default(), question("a"));
        let all: Vec<_> = (0..4).map(|_| tasks.place(&question).expect("a place")).collect();
        let half = Bytes::from(vec![b' '; RESULTS / 2 - 10]);
        // Not in the order in which they began; the last one still works.
        for n in [1, 0, 2] {
            all[n].ends(answered(&half));
            tasks.make_room();
        }
        let owner = Owner::of(&question.party, &question.server);
        let kept = all.iter().map(|task| tasks.find(task.id(), &owner).expect("ours").is_some());
        assert_eq!(kept.collect::<Vec<_>>(), [true, false, true, true]);
    }
}
