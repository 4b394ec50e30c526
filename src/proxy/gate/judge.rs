//! What the policy says of one call.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use chrono::Utc;

use super::admitted::Without;
use super::changed::Changed;
use super::definitions::Says;
use super::taking::{Ticket, give_back};
use super::{Definition, Gate, Party, Record, Server};
use crate::metrics::proxy::Verdict;
use crate::policy::{self, Action, Counters, Fresh, Policy, Ruling, Take};
use crate::proto;
use crate::proxy::answer;
use crate::proxy::answer::words::{self, Since};
use crate::proxy::message::ToolCall;
use crate::proxy::upstream::Upstream;

/// What happens to a call.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "the largest is what nearly all calls are")]
pub enum Judged {
    /// It goes on, as it came.
    Forward(Passed),
    /// This is its answer.
    Answer(Bytes),
    /// A person is asked.
    Hold(Box<Question>),
}

/// A call that the policy lets pass.
#[derive(Debug)]
pub struct Passed {
    /// The call.
    pub call: ToolCall,
    /// What it took from counters, for who sees its answer; `None`: nothing.
    pub ticket: Option<Ticket>,
}

/// A call that cannot be judged at once.
#[derive(Debug)]
pub struct Unjudged {
    /// The call.
    pub call: ToolCall,
    party: Arc<Party>,
    server: Arc<Server>,
    /// The policy in force when it came; `None`: its file was being written.
    policy: Option<Arc<Policy>>,
    /// When it came.
    came: Instant,
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
    /// Says that nobody accepted the tool as it is defined now.
    pub(super) changed: Option<Changed>,
    pub(super) policy: Arc<Policy>,
}

impl Gate {
    /// Judges a call from what is in memory. What passes and what does not is told to
    /// the history.
    ///
    /// # Errors
    /// A call for [`Gate::judge`]: something has to be asked, read or written first.
    pub fn judge_at_once(
        &self,
        call: ToolCall,
        party: &Arc<Party>,
        server: &Arc<Server>,
    ) -> Result<Judged, Box<Unjudged>> {
        let came = Instant::now();
        let later = |call, policy| {
            let (party, server) = (party.clone(), server.clone());
            Err(Box::new(Unjudged { call, party, server, policy, came }))
        };
        let Some(policy) = self.policies.at_once(&server.name) else { return later(call, None) };
        // What a tool is decides about every call of it: its server is asked first.
        let Some(definition) = server.definitions.known(&call.tool) else {
            return later(call, Some(policy));
        };
        if self.settings.record == Record::Full
            || policy.counts(&server.name, &call.tool)
            || !self.is_settled(server, &call.tool, &definition)
        {
            return later(call, Some(policy));
        }
        let agent = party.agent(&call);
        let facts = facts(&call, party, server, known(Some(&definition), true), &agent);
        let ruling = policy.judge(&facts, &Fresh);
        let (party, server) = (party.clone(), server.clone());
        let definition = Some(definition);
        let question = Question { call, party, server, ruling, definition, changed: None, policy };
        Ok(self.settled(question, None, came))
    }

    /// Judges a call that could not be judged at once.
    pub async fn judge(&self, unjudged: Unjudged, upstream: &dyn Upstream) -> Judged {
        let Unjudged { call, party, server, policy, came } = unjudged;
        let count = |verdict| self.settings.metrics.judged(&server.name, verdict, came.elapsed());
        let policy = match policy {
            Some(policy) => policy,
            None => self.policies.settled(&server.name).await,
        };
        let says = server.definitions.of(&call, upstream).await;
        let listed = says != Says::Nothing;
        let definition = says.definition();
        let changed = self.deviates(&server, &call.tool, definition.as_ref()).await;
        let ruled = match changed {
            Ok(changed) => {
                let agent = party.agent(&call);
                let known = known(definition.as_ref(), listed);
                let facts = facts(&call, &party, &server, known, &agent);
                let weighed = policy.weigh(&facts);
                let judge = |counters: &dyn Counters| {
                    let ruling = weighed.ruling(counters);
                    if changed.is_some() { held_for_change(ruling) } else { ruling }
                };
                let of = (&call, &*party, &*server);
                let ruled = self.ruled_first(&policy, of, &facts, judge).await;
                ruled.map(|(ruling, ticket)| (ruling, ticket, changed))
            }
            Err(why) => Err(why),
        };
        let (ruling, ticket, changed) = match ruled {
            Ok(ruled) => ruled,
            Err(why) => {
                tracing::error!("{why}; a call was refused for it");
                count(Verdict::Failed);
                return answered(&call, &words::cannot_count(&why));
            }
        };
        let question =
            Question { call, party, server: server.clone(), ruling, definition, changed, policy };
        if self.settings.record == Record::Full && self.passes(&question.ruling) {
            let recorded = self.recorder.record_now(question.allowed()).await;
            if let Err(why) = recorded {
                give_back(ticket).await;
                count(Verdict::Failed);
                return answered(&question.call, &words::not_recorded(&why));
            }
            count(self.counted_as(&question.ruling));
            return Judged::Forward(Passed { call: question.call, ticket });
        }
        self.settled(question, ticket, came)
    }

    /// Whether a call goes on without anybody being asked.
    pub(super) fn passes(&self, ruling: &Ruling) -> bool {
        match ruling.action {
            Action::Allow => true,
            Action::Hold(_) => self.settings.dry_run,
            Action::Deny { .. } | Action::Limited { .. } => false,
        }
    }

    /// What is counted of a call of which this is said.
    fn counted_as(&self, ruling: &Ruling) -> Verdict {
        match ruling.action {
            Action::Allow => Verdict::Allowed,
            Action::Deny { .. } => Verdict::Denied,
            Action::Limited { .. } => Verdict::Limited,
            Action::Hold(_) if self.settings.dry_run => Verdict::WouldHold,
            Action::Hold(_) => Verdict::Held,
        }
    }

    fn settled(&self, question: Question, ticket: Option<Ticket>, came: Instant) -> Judged {
        let verdict = self.counted_as(&question.ruling);
        self.settings.metrics.judged(&question.server.name, verdict, came.elapsed());
        use proto::RecordedVerdict::{Denied, Limited};
        let refuse = |verdict, reason: &str, said: &str| {
            self.recorder.record(question.recorded(verdict, reason));
            answered(&question.call, said)
        };
        match &question.ruling.action {
            Action::Deny { reason } => refuse(Denied, reason, &words::denied_by_policy(reason)),
            Action::Limited { reason, again_in } => {
                refuse(Limited, reason, &words::limited(reason, *again_in))
            }
            Action::Hold(_) if !self.settings.dry_run => Judged::Hold(Box::new(question)),
            Action::Allow | Action::Hold(_) => {
                if self.settings.record != Record::Off || question.ruling.action != Action::Allow {
                    let mut told = question.allowed();
                    told.digest_only = self.settings.record != Record::Full;
                    self.recorder.record(told);
                }
                Judged::Forward(Passed { call: question.call, ticket })
            }
        }
    }

    /// Looks once more whether a call that was approved may run. What it takes from
    /// limits and counters is taken then, unless it is one that `took` this before and
    /// goes on.
    ///
    /// # Errors
    /// It must not run, or not now.
    pub(super) async fn checked_again(
        &self,
        question: &Question,
        upstream: &dyn Upstream,
        took: Option<&[Take]>,
    ) -> Result<Option<Ticket>, Unfit> {
        let (call, server) = (&question.call, &question.server);
        let (definition, listed) = match server.definitions.now(call, upstream).await {
            Ok(definition) => (definition, true),
            // One that never listed its tools says nothing new by not doing so.
            Err(_) if question.definition.is_none() => (None, false),
            Err(why) => return Err(Unfit::NotNow(words::cannot_check(&why))),
        };
        let differs =
            definition.as_ref().map(|d| &d.hash) != question.definition.as_ref().map(|d| &d.hash);
        // What people saw of a change, if there was one, is what they approved.
        let changed = self.deviates(server, &call.tool, definition.as_ref()).await;
        let changed = changed.map_err(|why| Unfit::NotNow(words::cannot_count(&why)))?;
        if differs || (changed.is_some() && changed != question.changed) {
            let what = format!("the server changed what its tool {} is", call.tool);
            return Err(Unfit::Changed(Since::Other(what)));
        }
        let policy = self.policies.settled(&server.name).await;
        let agent = question.party.agent(call);
        let known = known(definition.as_ref(), listed);
        let facts = facts(call, &question.party, server, known, &agent);
        let stricter = |ruling: &Ruling| ruling.action.is_stricter_than(&question.ruling.action);
        // Before the file of counters is opened: a call that is costly is not to keep
        // others from it.
        let weighed = policy.weigh(&facts);
        let judge = |counters: &dyn Counters| match took {
            Some(takes) => weighed.ruling(&Without { counters, takes }),
            None => weighed.ruling(counters),
        };
        let fits = |ruling: &Ruling| took.is_none() && !stricter(ruling);
        let ruled = self.ruled(&policy, &facts, judge, fits).await;
        let (ruling, ticket) = ruled.map_err(|why| Unfit::NotNow(words::cannot_count(&why)))?;
        if asks_others(&ruling.action, &question.ruling.action) {
            give_back(ticket).await;
            let what = "the policy came to ask other people".to_owned();
            return Err(Unfit::Changed(Since::Other(what)));
        }
        if !stricter(&ruling) {
            return Ok(ticket);
        }
        Err(match ruling.action {
            Action::Deny { reason } => Unfit::Changed(Since::Denied(reason)),
            Action::Limited { reason, again_in } => {
                Unfit::NotNow(words::limited_after_approval(&reason, again_in))
            }
            _ => Unfit::Changed(Since::Other("the policy became stricter".to_owned())),
        })
    }
}

/// Why a call that was approved does not run now.
#[derive(Debug)]
pub enum Unfit {
    /// What was approved is not what would run: the approval is worth nothing.
    Changed(Since),
    /// Not now, in words for the agent: the approval stays for who asks again.
    NotNow(String),
}

/// Whether who approved may not be who has to.
fn asks_others(now: &Action, before: &Action) -> bool {
    match (now, before) {
        (Action::Hold(now), Action::Hold(before)) => {
            (&now.route, &now.labels) != (&before.route, &before.labels)
        }
        _ => false,
    }
}

fn answered(call: &ToolCall, said: &str) -> Judged {
    Judged::Answer(answer::result(&call.id, &answer::tool_error(call.era, said)))
}

/// A tool that nobody accepted as it is now is no tool that a rule lets pass.
fn held_for_change(ruling: Ruling) -> Ruling {
    match ruling.action {
        Action::Allow => Ruling {
            action: Action::Hold(policy::Hold::default()),
            rule: "nobody accepted the tool as it is defined now".to_owned(),
            ..ruling
        },
        _ => ruling,
    }
}

/// What the policy is told of a tool; `listed`: whether the server lists its tools.
fn known(definition: Option<&Definition>, listed: bool) -> policy::Definition<'_> {
    match definition {
        Some(definition) => policy::Definition::Is(&definition.tool),
        None if listed => policy::Definition::NotListed,
        None => policy::Definition::Unknown,
    }
}

/// Everything that the policy may look at.
fn facts<'a>(
    call: &'a ToolCall,
    party: &'a Party,
    server: &'a Server,
    definition: policy::Definition<'a>,
    agent: &'a (String, String),
) -> policy::Call<'a> {
    policy::Call {
        server: &server.name,
        tool: &call.tool,
        definition,
        arguments: call.tree(),
        from: policy::From {
            client: &party.client,
            session: &party.session,
            user: &party.user,
            agent: &agent.0,
            agent_version: &agent.1,
        },
        at: Utc::now(),
    }
}

impl Question {
    /// What the policy tells the agent of such a call.
    pub(super) fn told(&self) -> Option<&str> {
        match &self.ruling.action {
            Action::Hold(hold) => hold.told.as_deref(),
            _ => None,
        }
    }

    /// The call as the history is told of it where it was allowed, or would have been
    /// held.
    fn allowed(&self) -> proto::RecordedCall {
        match self.ruling.action {
            Action::Hold(_) => {
                let reason = format!("held by {}", self.ruling.rule);
                self.recorded(proto::RecordedVerdict::WouldHold, &reason)
            }
            _ => self.recorded(proto::RecordedVerdict::Allowed, ""),
        }
    }

    fn recorded(&self, verdict: proto::RecordedVerdict, reason: &str) -> proto::RecordedCall {
        proto::RecordedCall {
            call: Some(self.describe()),
            verdict: verdict.into(),
            reason: reason.to_owned(),
            digest_only: false,
        }
    }

    /// The call as the daemon is told of it.
    pub(super) fn describe(&self) -> proto::Call {
        let (name, version) = self.party.agent(&self.call);
        let judgement = &self.ruling.judgement;
        let hold = match &self.ruling.action {
            Action::Hold(hold) => Some(hold),
            _ => None,
        };
        proto::Call {
            server: self.server.name.clone(),
            tool: self.call.tool.clone(),
            arguments: self.call.arguments().into(),
            category: judgement.category.number(),
            risk: judgement.risk.number(),
            evidence: judgement.lines(),
            rule: self.ruling.rule.clone(),
            policy_revision: self.policy.revision().to_owned(),
            client: self.party.client.clone(),
            agent: Some(proto::Agent {
                name,
                version,
                session: self.party.session.clone(),
                on_behalf_of: self.party.user.clone(),
            }),
            tool_definition_hash: self
                .definition
                .as_ref()
                .map_or_else(String::new, |d| d.hash.clone()),
            definition_changed: self.changed.as_ref().map_or_else(String::new, Changed::said),
            labels: hold.map(|hold| hold.labels.iter().cloned().collect()).unwrap_or_default(),
            also_route: hold.and_then(|hold| hold.route.clone()).unwrap_or_default(),
            input_responses: self.call.input_responses().map(Into::into).unwrap_or_default(),
            request_state: self.call.request_state().map(str::to_owned),
            not_covered: self.call.uncovered(5).into_iter().collect(),
            ..Default::default()
        }
    }
}
