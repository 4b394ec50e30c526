//! What the policy says of one call.

use std::sync::Arc;

use bytes::Bytes;
use chrono::Utc;

use super::{Definition, Gate, Party, Server};
use crate::call::json::Json;
use crate::policy::{self, Action, Fresh, Policy, Ruling};
use crate::proto;
use crate::proxy::answer;
use crate::proxy::answer::words::{self, Since};
use crate::proxy::message::ToolCall;
use crate::proxy::upstream::Upstream;

/// What happens to a call.
#[derive(Debug)]
pub enum Judged {
    /// It goes on, as it came.
    Forward(ToolCall),
    /// This is its answer.
    Answer(Bytes),
    /// A person is asked.
    Hold(Box<Question>),
}

/// A call that waits for a person.
#[derive(Debug)]
pub struct Question {
    /// The call.
    pub call: ToolCall,
    /// Who makes it.
    pub party: Arc<Party>,
    /// Where it goes.
    pub server: Arc<Server>,
    pub(super) ruling: Ruling,
    pub(super) definition: Option<Definition>,
    pub(super) policy: Arc<Policy>,
}

impl Gate {
    /// Judges a call from what is known already. What passes and what does not is
    /// told to the history.
    ///
    /// # Errors
    /// A call for [`Gate::judge`]: the server has to be asked what its tool is.
    pub fn judge_at_once(
        &self,
        call: ToolCall,
        party: &Arc<Party>,
        server: &Arc<Server>,
    ) -> Result<Judged, Box<Question>> {
        let policy = self.policies.now();
        let definition = server.definitions.known(&call.tool);
        let ruling = ruled(&policy, &call, party, server, definition.as_ref());
        let (party, server) = (party.clone(), server.clone());
        let question = Question { call, party, server, ruling, definition, policy };
        // Only a call that would be held is worth asking the server what its tool
        // is: that may let it pass, and a person is to see the tool that runs.
        match (&question.ruling.action, &question.definition) {
            (Action::Hold(_), None) => Err(Box::new(question)),
            _ => Ok(self.settled(question)),
        }
    }

    /// Judges a call whose tool is not known yet: asks the server what it is.
    pub async fn judge(&self, mut question: Question, upstream: &dyn Upstream) -> Judged {
        let (call, server) = (&question.call, &question.server);
        question.definition = server.definitions.of(call, upstream).await;
        let definition = question.definition.as_ref();
        question.ruling = ruled(&question.policy, call, &question.party, server, definition);
        self.settled(question)
    }

    fn settled(&self, question: Question) -> Judged {
        match &question.ruling.action {
            Action::Allow => {
                self.recorder.record(question.describe(), proto::RecordedVerdict::Allowed, "");
                Judged::Forward(question.call)
            }
            Action::Deny { reason } | Action::Limited { reason, .. } => {
                let verdict = proto::RecordedVerdict::Denied;
                self.recorder.record(question.describe(), verdict, reason);
                let said = words::denied_by_policy(reason);
                let result = answer::tool_error(question.call.era, &said);
                Judged::Answer(answer::result(&question.call.id, &result))
            }
            Action::Hold(_) if self.settings.dry_run => {
                let verdict = proto::RecordedVerdict::WouldHold;
                let rule = format!("held by {}", question.ruling.rule);
                self.recorder.record(question.describe(), verdict, &rule);
                Judged::Forward(question.call)
            }
            Action::Hold(_) => Judged::Hold(Box::new(question)),
        }
    }

    /// Why a call that was approved must not run any more, if so.
    ///
    /// # Errors
    /// It cannot be told, as a sentence: the call must not run now.
    pub(super) async fn changed_since(
        &self,
        question: &Question,
        upstream: &dyn Upstream,
    ) -> Result<Option<Since>, String> {
        let (call, server) = (&question.call, &question.server);
        let definition = match server.definitions.now(call, upstream).await {
            Ok(definition) => definition,
            // One that never listed its tools says nothing new by not doing so.
            Err(_) if question.definition.is_none() => None,
            Err(why) => return Err(why),
        };
        if definition.as_ref().map(|d| &d.hash) != question.definition.as_ref().map(|d| &d.hash) {
            let what = format!("the server changed what its tool {} is", call.tool);
            return Ok(Some(Since::Other(what)));
        }
        let policy = self.policies.now();
        let ruling = ruled(&policy, call, &question.party, server, definition.as_ref());
        if !ruling.action.is_stricter_than(&question.ruling.action) {
            return Ok(None);
        }
        Ok(Some(match ruling.action {
            Action::Deny { reason } => Since::Denied(reason),
            _ => Since::Other("the policy became stricter".to_owned()),
        }))
    }
}

fn ruled(
    policy: &Policy,
    call: &ToolCall,
    party: &Party,
    server: &Server,
    definition: Option<&Definition>,
) -> Ruling {
    let (agent, agent_version) = party.agent(call);
    let nothing = Json::Object(Vec::new());
    let call = policy::Call {
        server: &server.name,
        tool: &call.tool,
        definition: definition.map(|definition| &definition.tool),
        arguments: call.message.params().and_then(|p| p.get("arguments")).unwrap_or(&nothing),
        from: policy::From {
            client: &party.client,
            session: &party.session,
            user: "",
            agent: &agent,
            agent_version: &agent_version,
        },
        at: Utc::now(),
    };
    policy.judge(&call, &Fresh)
}

impl Question {
    /// The call as the daemon is told of it.
    pub(super) fn describe(&self) -> proto::Call {
        let (name, version) = self.party.agent(&self.call);
        proto::Call {
            server: self.server.name.clone(),
            tool: self.call.tool.clone(),
            arguments: self.call.arguments().into(),
            category: self.ruling.judgement.category.number(),
            risk: self.ruling.judgement.risk.number(),
            rule: self.ruling.rule.clone(),
            policy_revision: self.policy.revision().to_owned(),
            client: self.party.client.clone(),
            agent: Some(proto::Agent {
                name,
                version,
                session: self.party.session.clone(),
                on_behalf_of: String::new(),
            }),
            tool_definition_hash: self
                .definition
                .as_ref()
                .map_or_else(String::new, |d| d.hash.clone()),
            input_responses: self.call.input_responses().map(Into::into).unwrap_or_default(),
            request_state: self.call.request_state().map(str::to_owned),
            not_covered: self.call.uncovered(5).into_iter().collect(),
            ..Default::default()
        }
    }
}
