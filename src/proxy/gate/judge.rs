//! What the policy says of one call.

use std::sync::Arc;

use bytes::Bytes;

use super::{Definition, Gate, Party, Server};
use crate::policy::{Action, Policy, Verdict, kind};
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
    pub(super) verdict: Verdict,
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
        let verdict = judged(&policy, &server.name, &call.tool, definition.as_ref());
        let (party, server) = (party.clone(), server.clone());
        let question = Question { call, party, server, verdict, definition, policy };
        // Only a call that would be held is worth asking the server what its tool
        // is: that may let it pass, and a person is to see the tool that runs.
        match (&question.verdict.action, &question.definition) {
            (Action::Hold { .. }, None) => Err(Box::new(question)),
            _ => Ok(self.settled(question)),
        }
    }

    /// Judges a call whose tool is not known yet: asks the server what it is.
    pub async fn judge(&self, mut question: Question, upstream: &dyn Upstream) -> Judged {
        let (call, server) = (&question.call, &question.server);
        question.definition = server.definitions.of(call, upstream).await;
        let definition = question.definition.as_ref();
        question.verdict = judged(&question.policy, &server.name, &call.tool, definition);
        self.settled(question)
    }

    fn settled(&self, question: Question) -> Judged {
        match &question.verdict.action {
            Action::Allow => {
                self.recorder.record(question.describe(), proto::RecordedVerdict::Allowed, "");
                Judged::Forward(question.call)
            }
            Action::Deny { reason } => {
                let verdict = proto::RecordedVerdict::Denied;
                self.recorder.record(question.describe(), verdict, reason);
                let said = words::denied_by_policy(reason);
                let result = answer::tool_error(question.call.era, &said);
                Judged::Answer(answer::result(&question.call.id, &result))
            }
            Action::Hold { .. } if self.settings.dry_run => {
                let verdict = proto::RecordedVerdict::WouldHold;
                let rule = format!("held by {}", question.verdict.rule);
                self.recorder.record(question.describe(), verdict, &rule);
                Judged::Forward(question.call)
            }
            Action::Hold { .. } => Judged::Hold(Box::new(question)),
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
        let verdict = judged(&policy, &server.name, &call.tool, definition.as_ref());
        if !verdict.is_stricter_than(&question.verdict) {
            return Ok(None);
        }
        Ok(Some(match verdict.action {
            Action::Deny { reason } => Since::Denied(reason),
            _ => Since::Other("the policy became stricter".to_owned()),
        }))
    }
}

fn judged(policy: &Policy, server: &str, tool: &str, definition: Option<&Definition>) -> Verdict {
    let annotations = definition.map(|d| d.annotations).unwrap_or_default();
    policy.judge(server, tool, &annotations)
}

impl Question {
    /// The call as the daemon is told of it.
    pub(super) fn describe(&self) -> proto::Call {
        let (name, version) = self.party.agent(&self.call);
        let annotations = self.definition.as_ref().map(|d| d.annotations).unwrap_or_default();
        let (category, risk) = kind(&annotations, self.policy.trusts(&self.server.name));
        proto::Call {
            server: self.server.name.clone(),
            tool: self.call.tool.clone(),
            arguments: self.call.arguments().into(),
            category: category.number(),
            risk: risk.number(),
            rule: self.verdict.rule.clone(),
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
