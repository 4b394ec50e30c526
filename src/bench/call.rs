//! The call that every measurement uses: 1 KiB of arguments of several kinds.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::call::ids::RequestId;
use crate::call::model::{Strength, Verdict};
use crate::call::wants::Wants;
use crate::desk::intake::{Incoming, Intake};
use crate::desk::people::Caller;
use crate::desk::routes::{Facts, Routes};
use crate::grpc::convert;
use crate::proto;
use crate::store::decide::Decide;
use crate::store::mail::MailTo;
use crate::store::submit::{PendingLimits, Submit};

/// Who holds it.
pub const CALLER: &str = "bench";
/// Who decides.
pub const OPERATOR: &str = "alice";
/// And why.
pub const REASON: &str = "seen and fine";
const SERVER: &str = "valkey-production";
const TOOL: &str = "hash_set";

/// Arguments of 1 KiB; no two numbers give the same.
pub fn arguments(n: u64) -> String {
    let rest = "a value of some length that an agent writes, with spaces and words. ".repeat(16);
    let mut text = format!(
        r#"{{"key":"session:{n:012}","ttl":3600,"nested":{{"flags":[true,false,null],"ratio":0.25,"list":[1,2,3,5,8,13]}},"value":""#
    );
    text.push_str(&rest[..1022 - text.len()]);
    text.push_str("\"}");
    text
}

/// Now, as the store writes it.
pub fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or_default()
}

/// Ids grow with time, as the daemon's do; that matters to the indexes.
pub fn fresh_id() -> RequestId {
    RequestId::new(now_ms())
}

/// The caller's own id of the call with this number.
pub fn call_id(n: u64) -> String {
    format!("8e5b1c7a-55f0-4d5c-9c1e-{n:012}")
}

/// The call as it goes over the wire.
pub fn message(n: u64) -> proto::RequestApprovalRequest {
    proto::RequestApprovalRequest {
        call_id: call_id(n),
        call: Some(Box::new(proto::Call {
            server: SERVER.to_owned(),
            tool: TOOL.to_owned(),
            arguments: arguments(n).into_bytes(),
            category: proto::Category::Write.into(),
            risk: proto::Risk::Medium.into(),
            rule: "writes are held".to_owned(),
            policy_revision: "7".to_owned(),
            client: "desktop".to_owned(),
            agent: Some(proto::Agent {
                name: "agent".to_owned(),
                version: "1.0".to_owned(),
                session: "5f7c".to_owned(),
                ..proto::Agent::default()
            }),
            explanation: "The user asked to keep the session for an hour.".to_owned(),
            ..proto::Call::default()
        })),
        ..proto::RequestApprovalRequest::default()
    }
}

/// The same as it comes out of the wire.
pub fn incoming(n: u64) -> Incoming {
    convert::incoming(*message(n).call.unwrap_or_default())
}

/// The same as the store takes it: checked, digested, masked, routed.
pub fn submit(n: u64) -> Submit {
    let caller =
        Caller { name: CALLER.to_owned(), acts_for: Vec::new(), strength: Strength::Token };
    let call = Intake { max_arguments: 1 << 18 }.take(&caller, incoming(n)).expect("a good call");
    let labels = BTreeMap::new();
    let facts = Facts {
        server: &call.server,
        tool: &call.tool,
        category: call.category,
        risk: call.risk,
        labels: &labels,
        also: "",
    };
    let timeout = Duration::from_secs(900);
    let routes = Routes::new(&[], timeout);
    let (requirement, timeout) = routes.requirement(&facts, None).expect("everybody is asked");
    Submit {
        id: fresh_id(),
        call_id: call_id(n),
        handle: None,
        call,
        requirement,
        mail_to: vec![MailTo { operator: OPERATOR.to_owned(), wants: Wants::default() }],
        watch_reach: true,
        timeout,
        limits: PendingLimits { per_caller: u32::MAX, per_client: u32::MAX },
    }
}

/// Another call like this one, without doing again what comes before the store.
pub fn like(pattern: &Submit, n: u64) -> Submit {
    let digest = format!("{n:064x}").parse().expect("64 hex digits");
    let call = crate::call::model::Call { arguments: arguments(n), digest, ..pattern.call.clone() };
    Submit {
        id: fresh_id(),
        call_id: call_id(n),
        handle: None,
        call,
        requirement: pattern.requirement.clone(),
        mail_to: pattern.mail_to.clone(),
        ..*pattern
    }
}

/// The operator's yes to it.
pub fn approval(id: RequestId, shown: String) -> Decide {
    Decide {
        id,
        operator: OPERATOR.to_owned(),
        strength: Strength::Token,
        verdict: Verdict::Approve,
        reason: REASON.to_owned(),
        shown,
        lapse_after: Duration::from_secs(900),
        on_screen: None,
    }
}
