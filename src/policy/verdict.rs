//! The strictest of all that is said of a call.
//!
//! In this order: arguments that are no object, tools that are hidden, the rules, the
//! default. What would pass under a name that looks like another is held.

use super::call::{Action, Call, Counters, Hold, Ruling, Take};
use super::judging::{self, Judgement, Tool};
use super::rules::Known;
use super::{From, Policy};
use crate::call::json::Json;
use crate::call::safe_text::SafeText;

/// How much of a tool's name an agent is told again, in columns.
const SHOWN: usize = 80;

/// What one side says, or both.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Verdict {
    action: Action,
    rule: String,
}

impl Policy {
    /// What happens to a call, as far as can be told from what was counted so far.
    pub fn judge(&self, call: &Call<'_>, counters: &dyn Counters) -> Ruling {
        let judgement = self.judgement(call, Some(call.arguments));
        let (Verdict { action, rule }, takes) = self.verdict(call, &judgement, counters);
        // What does not run takes nothing.
        let takes = match action {
            Action::Allow | Action::Hold(_) => takes,
            Action::Deny { .. } | Action::Limited { .. } => Vec::new(),
        };
        Ruling { action, rule, judgement, takes }
    }

    /// Whether any tool may be hidden.
    pub fn hides_any(&self) -> bool {
        self.rules.hide()
    }

    /// Whether an agent is not to see this tool, nor to call it.
    pub fn hides(&self, server: &str, tool: &str, definition: Option<&Tool>) -> bool {
        if !self.hides_any() {
            return false;
        }
        let nothing = Json::Object(Vec::new());
        let (from, at) = (From::default(), chrono::DateTime::UNIX_EPOCH);
        let call = Call { server, tool, definition, arguments: &nothing, from, at };
        self.hidden_by(&call).is_some()
    }

    fn judgement(&self, call: &Call<'_>, arguments: Option<&Json>) -> Judgement {
        let word = self.servers.word(call.server, call.tool);
        let trusted = self.trusts(call.server);
        judging::judge(call.tool, call.definition, word, trusted, arguments)
    }

    fn verdict(
        &self,
        call: &Call<'_>,
        judgement: &Judgement,
        counters: &dyn Counters,
    ) -> (Verdict, Vec<Take>) {
        if call.arguments.as_object().is_none() {
            return (refused("arguments", "The arguments must be an object."), Vec::new());
        }
        if let Some(rule) = self.hidden_by(call) {
            let (tool, _) = SafeText::cut_line(call.tool, SHOWN);
            let reason = format!("Tool \"{tool}\" is hidden by policy");
            return (refused(&rule, &reason), Vec::new());
        }
        let known = self.known(call, judgement);
        let ours = self.rules.said(&known, counters);
        let verdict = match ours.verdict {
            Some((action, rule)) => Verdict { action, rule },
            None => self.standing(judgement),
        };
        (with_a_plain_name(verdict, call.tool), ours.takes)
    }

    fn known<'a>(&self, call: &'a Call<'a>, judgement: &'a Judgement) -> Known<'a> {
        Known { call, judgement, trusted: self.trusts(call.server), zone: self.zone }
    }

    /// The rule that hides a call's tool. What the call does with it does not matter:
    /// a tool is hidden in lists too, where there are no arguments.
    fn hidden_by(&self, call: &Call<'_>) -> Option<String> {
        if !self.rules.hide() {
            return None;
        }
        let judgement = self.judgement(call, None);
        self.rules.hidden_by(&self.known(call, &judgement)).map(|rule| rule.label.clone())
    }

    /// What the default says.
    fn standing(&self, judgement: &Judgement) -> Verdict {
        let action = self.default.action(judgement, self.timeout);
        let word = self.default.word();
        let rule = match (self.default.line, self.file) {
            (Some(line), _) => format!("default: {word} (line {line})"),
            (None, true) => format!("default: {word} (not in the document)"),
            (None, false) => format!("default: {word} (no policy file)"),
        };
        Verdict { action, rule }
    }
}

fn refused(rule: &str, reason: &str) -> Verdict {
    Verdict { action: Action::Deny { reason: reason.to_owned() }, rule: rule.to_owned() }
}

/// Whether a tool's name has only characters that MCP allows in one. Others may look
/// like these, and so one tool like another.
pub fn is_plain(tool: &str) -> bool {
    !tool.is_empty() && tool.chars().all(|c| c.is_ascii_alphanumeric() || "_-./".contains(c))
}

/// A name with other characters never passes unseen.
fn with_a_plain_name(verdict: Verdict, tool: &str) -> Verdict {
    match verdict.action {
        Action::Allow if !is_plain(tool) => Verdict {
            action: Action::Hold(Hold::default()),
            rule: format!("{}, but the tool's name has unusual characters", verdict.rule),
        },
        _ => verdict,
    }
}
