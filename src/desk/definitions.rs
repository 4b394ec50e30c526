//! Changed definitions of tools: who may see and accept which.
//!
//! To accept a definition lets no call run: from then on the tool's calls are judged
//! by the policy again, and what that holds is asked as ever. So one person is
//! enough where a route asks for several to decide a call, and it is one whom those
//! calls might be put before: any operator whom the routes ask for some call of this
//! tool. An admin may too: a server's new version is often theirs to roll out. An
//! auditor looks.

use super::Desk;
use super::error::DeskError;
use super::in_force::{Current, InForce};
use super::people::Operator;
use super::routes::Facts;
use crate::call::model::{Category, Risk};
use crate::call::redact::mask_text;
use crate::store::Refusal;
use crate::store::definitions::{self, Accept, Change, Question, Report, Whose};

impl Desk {
    /// A caller says that a tool's definition changed.
    pub async fn report_definition(&self, report: Report) -> Result<Change, DeskError> {
        self.refuse_if_closing()?;
        self.write(move |tx| definitions::report(tx, &report)).await
    }

    /// What this person may see of the changes that were reported.
    pub async fn definition_changes(
        &self,
        operator: &Operator,
        question: Question,
    ) -> Result<(Vec<Change>, Option<i64>), DeskError> {
        let (operator, current) = (operator.clone(), self.current.clone());
        let read = self.store.read(move |conn| {
            let visible =
                |whose: &Whose| operator.sees_all() || is_asked(&current.get(), &operator, whose);
            definitions::list(conn, &question, &visible)
        });
        Ok(read.await?)
    }

    /// Whether this person may accept changes of this tool, as things are now.
    pub fn may_accept(&self, operator: &Operator, whose: &Whose) -> bool {
        may_accept(&self.current, &operator.name, whose).is_ok()
    }

    /// An operator accepts a tool's new definition.
    pub async fn accept_definition(
        &self,
        operator: &Operator,
        whose: Whose,
        hash: [u8; 32],
        reason: &str,
    ) -> Result<Change, DeskError> {
        let input = Accept {
            whose,
            hash,
            operator: operator.name.clone(),
            strength: operator.strength,
            reason: mask_text(reason).0,
        };
        let current = self.current.clone();
        self.write(move |tx| {
            let may = |whose: &Whose| may_accept(&current, &input.operator, whose);
            definitions::accept(tx, &input, &may)
        })
        .await
    }
}

/// Asked at the instant of the transition: people and routes may have changed.
fn may_accept(current: &Current, operator: &str, whose: &Whose) -> Result<(), Refusal> {
    let in_force = current.get();
    let operator = in_force.people.operator(operator).ok_or(Refusal::NoSuchChange)?;
    if operator.roles.admin || is_asked(&in_force, operator, whose) {
        return Ok(());
    }
    Err(match operator.sees_all() {
        true => Refusal::MayNotAccept("that is for its operators, and for admins".to_owned()),
        false => Refusal::NoSuchChange,
    })
}

/// Whether the routes ask this person to decide calls of this tool. What the call
/// does is unsaid, so every route that may ask for one of them counts.
fn is_asked(in_force: &InForce, operator: &Operator, whose: &Whose) -> bool {
    let facts = Facts {
        server: &whose.server,
        tool: &whose.tool,
        category: Category::Unspecified,
        risk: Risk::Unspecified,
        labels: &Default::default(),
        also: "",
    };
    let requirement = in_force.routes.requirement(&facts, None);
    operator.can_decide() && requirement.is_ok_and(|(all, _)| all.asks(&operator.groups))
}
