//! `tasks/get`, `tasks/update` and `tasks/cancel`, where they ask for tasks of ours.

use bytes::Bytes;

use super::{NotTheirs, OURS, Owner};
use crate::call::json::Json;
use crate::proxy::answer::{self, tasks, words};
use crate::proxy::gate::{Gate, Party, Server};
use crate::proxy::message::client::code;
use crate::proxy::message::{ClientMessage, Id, Kind};

/// What a client wants of a task of ours.
#[derive(Debug)]
pub struct TaskRequest {
    id: Id,
    task: String,
    wants: Wants,
    /// Whether the request says that its client knows tasks.
    declared: bool,
}

#[derive(Debug)]
enum Wants {
    Get,
    /// With the answers, if they are an object.
    Update(Option<Bytes>),
    Cancel,
}

impl Gate {
    /// What this message wants of a task of ours; `None` if it is not about one, and
    /// for the server to answer.
    pub fn task_request(&self, message: &ClientMessage) -> Option<TaskRequest> {
        let Kind::Request { id, method } = &message.kind else { return None };
        let wants = match method.as_str() {
            "tasks/get" => Wants::Get,
            "tasks/update" => Wants::Update(responses(message)),
            "tasks/cancel" => Wants::Cancel,
            _ => return None,
        };
        let task = message.params()?.get("taskId")?.as_str().filter(|id| id.starts_with(OURS))?;
        let (id, task) = (id.clone(), task.to_owned());
        Some(TaskRequest { id, task, wants, declared: message.declares_tasks() })
    }

    /// The answer to a request about a task of ours. May ask the daemon.
    pub async fn answer_task(&self, asked: TaskRequest, party: &Party, server: &Server) -> Bytes {
        let TaskRequest { id, task, wants, declared } = asked;
        if !declared {
            return tasks::not_declared(&id);
        }
        let invalid = |why| answer::error(Some(&id), code::INVALID_PARAMS, why);
        let owner = Owner::of(party, server);
        let found = match self.tasks.find(&task, &owner) {
            Ok(Some(found)) => found,
            Ok(None) => {
                let cancels = matches!(wants, Wants::Cancel);
                let recalled = self.recall(&task, &owner, cancels).await;
                return match (recalled, wants) {
                    (Err(error), _) => answer::error(Some(&id), error.code(), error.said()),
                    (Ok(view), Wants::Get) => view.view(&task).got(&id),
                    (Ok(_), _) => tasks::acknowledged(&id),
                };
            }
            Err(NotTheirs) => return invalid(words::NO_SUCH_TASK),
        };
        match wants {
            Wants::Get => found.as_got(&id),
            Wants::Cancel => {
                found.cancel();
                tasks::acknowledged(&id)
            }
            Wants::Update(None) => invalid("params.inputResponses is a JSON object"),
            Wants::Update(Some(responses)) => {
                if found.is_answered(&responses) {
                    tasks::acknowledged(&id)
                } else {
                    invalid("the answers are longer than what is kept until all are there")
                }
            }
        }
    }
}

fn responses(message: &ClientMessage) -> Option<Bytes> {
    message.params()?.get("inputResponses").and_then(Json::as_object)?;
    Some(message.bytes.slice(message.find(&["params", "inputResponses"])?))
}
