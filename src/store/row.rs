//! Requests as rows: one insert, one load, one update.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;
use std::time::Duration;

use rusqlite::{Connection, OptionalExtension, Row, params};

use super::audit::stored_json;
use super::error::StoreError;
use super::mail;
use crate::call::digest::Digest;
use crate::call::ids::RequestId;
use crate::call::json::Json;
use crate::call::model::{
    Agent, Call, Category, Decision, Look, Notice, Outcome, Request, Risk, Status, Strength,
    Unreached, Use, Verdict,
};
use crate::call::requirement::{Clause, Requirement};
use crate::call::time::Time;

/// The columns of [`request_of`], in its order.
pub(super) const COLUMNS: &str = "id, status, digest, caller, client, session, on_behalf_of, call_id, \
     server, tool, category, risk, agent_name, agent_version, arguments, hidden_values, rule, \
     policy_revision, tool_definition_hash, explanation, labels, not_covered, requirement, created, \
     deadline, ended, asked_again, denial_lifted, resumed, identical_to, may_have_run, use, lapses, \
     used, outcome_expected, outcome, outcome_detail, outcome_at, lease_until, \
     reach_by, unreached, unreached_why, looks, evidence, definition_changed";

/// Where in [`COLUMNS`] it says how many looked.
const LOOKS: usize = 42;

fn corrupt(what: &str) -> StoreError {
    StoreError::Corrupt(format!("requests.{what}"))
}

fn strings(json: &Json) -> impl Iterator<Item = &str> {
    let items = if let Json::Array(items) = json { items.as_slice() } else { &[] };
    items.iter().filter_map(Json::as_str)
}

fn requirement_text(requirement: &Requirement) -> String {
    let clauses = requirement.clauses.iter().map(|clause| {
        let groups = clause.groups.iter().map(|g| Json::from(g.as_str())).collect();
        let mut members = vec![
            ("route", Json::from(clause.route.as_str())),
            ("groups", Json::Array(groups)),
            ("approvals", Json::from(u64::from(clause.approvals))),
        ];
        if clause.sign_in {
            members.push(("sign_in", Json::Bool(true)));
        }
        Json::object(members)
    });
    Json::Array(clauses.collect()).to_text()
}

/// Who has to agree to a request, as it stands in its row.
pub(super) fn requirement_as_stored(
    conn: &Connection,
    id: RequestId,
) -> Result<Option<String>, StoreError> {
    let text = conn
        .prepare_cached("SELECT requirement FROM requests WHERE id = ?")?
        .query_row([id.as_bytes()], |row| row.get(0))
        .optional()?;
    Ok(text)
}

/// Reads that.
pub(super) fn requirement_of(text: &str) -> Result<Requirement, StoreError> {
    let Json::Array(items) = stored_json(text)? else { return Err(corrupt("requirement")) };
    let clause = |item: &Json| {
        let groups: BTreeSet<String> = strings(item.get("groups")?).map(str::to_owned).collect();
        Some(Clause {
            route: item.get("route")?.as_str()?.to_owned(),
            groups,
            approvals: u32::try_from(item.get("approvals")?.as_u64()?).ok()?,
            sign_in: item.get("sign_in").is_some(),
        })
    };
    let clauses = items.iter().map(|item| clause(item).ok_or_else(|| corrupt("requirement")));
    Ok(Requirement { clauses: clauses.collect::<Result<_, _>>()? })
}

fn texts(lines: &[String]) -> String {
    Json::array(lines.iter().map(String::as_str)).to_text()
}

fn labels_of(text: &str) -> Result<BTreeMap<String, String>, StoreError> {
    if text == "{}" {
        return Ok(BTreeMap::new());
    }
    let Json::Object(members) = stored_json(text)? else { return Err(corrupt("labels")) };
    let label = |(key, value): (String, Json)| Some((key, value.as_str()?.to_owned()));
    members.into_iter().map(|m| label(m).ok_or_else(|| corrupt("labels"))).collect()
}

/// Writes a new request.
pub(super) fn insert(conn: &Connection, request: &Request) -> Result<(), StoreError> {
    let call = &request.call;
    let labels = Json::object(call.labels.iter().map(|(k, v)| (k, Json::from(v.as_str()))));
    let may_have_run: Vec<u8> = request.may_have_run.iter().flat_map(|id| *id.as_bytes()).collect();
    // Places, not names: SQLite looks for each name among all of them.
    conn.prepare_cached(
        "INSERT INTO requests (id, status, digest, caller, client, session, on_behalf_of, call_id,
           server, tool, category, risk, agent_name, agent_version, arguments, hidden_values, rule,
           policy_revision, tool_definition_hash, explanation, labels, not_covered, evidence,
           definition_changed, requirement, created, deadline, identical_to, may_have_run, reach_by)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?,
           ?, ?)",
    )?
    .execute(params![
        request.id.as_bytes(),
        request.status.number(),
        call.digest.as_bytes(),
        call.caller,
        call.client,
        call.agent.session,
        call.agent.on_behalf_of,
        request.call_id,
        call.server,
        call.tool,
        call.category.number(),
        call.risk.number(),
        call.agent.name,
        call.agent.version,
        call.arguments,
        call.hidden_values,
        call.rule,
        call.policy_revision,
        call.tool_definition_hash,
        call.explanation,
        labels.to_text(),
        texts(&call.not_covered),
        texts(&call.evidence),
        call.definition_changed,
        requirement_text(&request.requirement),
        request.created.0,
        request.deadline.0,
        request.identical_to.map(|id| *id.as_bytes()),
        may_have_run,
        request.reach_by.map(|t| t.0),
    ])?;
    Ok(())
}

/// Writes back what a transition may change. What was submitted never changes, and
/// who holds it only by [`update_call_id`]: SQLite writes the entry of every index
/// anew that has a column of the statement in it, changed or not.
pub(super) fn update(conn: &Connection, request: &Request) -> Result<(), StoreError> {
    conn.prepare_cached(
        "UPDATE requests SET status = ?, ended = ?, asked_again = ?, denial_lifted = ?,
           resumed = ?, use = ?, lapses = ?, used = ?, outcome_expected = ?, lease_until = ?,
           outcome = ?, outcome_detail = ?, outcome_at = ?, reach_by = ?, unreached = ?,
           unreached_why = ?
         WHERE id = ?",
    )?
    .execute(params![
        request.status.number(),
        request.ended.map(|t| t.0),
        request.asked_again,
        request.denial_lifted,
        request.resumed,
        request.use_.number(),
        request.lapses.map(|t| t.0),
        request.used.map(|t| t.0),
        request.outcome_expected,
        request.lease_until.map(|t| t.0),
        request.outcome.number(),
        request.outcome_detail,
        request.outcome_at.map(|t| t.0),
        request.reach_by.map(|t| t.0),
        request.unreached.as_ref().map(|u| u.since.0),
        request.unreached.as_ref().map_or("", |u| u.why.as_str()),
        request.id.as_bytes(),
    ])?;
    Ok(())
}

/// Writes down which call id holds it now.
pub(super) fn update_call_id(conn: &Connection, request: &Request) -> Result<(), StoreError> {
    conn.prepare_cached("UPDATE requests SET call_id = ? WHERE id = ?")?
        .execute(params![request.call_id, request.id.as_bytes()])?;
    Ok(())
}

/// Appends a decision.
pub(super) fn insert_decision(
    conn: &Connection,
    id: RequestId,
    n: usize,
    decision: &Decision,
) -> Result<(), StoreError> {
    conn.prepare_cached(
        "INSERT INTO decisions (request, n, operator, verdict, reason, at, digest, strength, own_call,
           on_screen)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
    )?
    .execute(params![
        id.as_bytes(),
        n as i64,
        decision.operator,
        decision.verdict.number(),
        decision.reason,
        decision.at.0,
        decision.digest.as_bytes(),
        decision.strength.number(),
        decision.own_call,
        decision.on_screen.map(|shown| i64::try_from(shown.as_millis()).unwrap_or(i64::MAX)),
    ])?;
    Ok(())
}

/// One request with its decisions; its notices only if they are asked for.
pub(super) fn load(conn: &Connection, id: RequestId) -> Result<Option<Request>, StoreError> {
    static LOAD: LazyLock<String> =
        LazyLock::new(|| format!("SELECT {COLUMNS} FROM requests WHERE id = ?"));
    let found = conn
        .prepare_cached(&LOAD)?
        .query_row([id.as_bytes()], |row| Ok(whole(conn, row)))
        .optional()?;
    found.transpose()
}

/// Reads a row of [`COLUMNS`] with what stands in other tables: who decided, and
/// who looked. Notices are read apart.
pub(super) fn whole(conn: &Connection, row: &Row<'_>) -> Result<Request, StoreError> {
    let mut request = request_of(row)?;
    request.decisions = decisions(conn, request.id)?;
    // Nearly all that pass here under load were never looked at by themselves.
    if row.get::<_, u32>(LOOKS)? > 0 {
        request.looked = looks(conn, request.id)?;
    }
    Ok(request)
}

/// Who looked at a request, oldest first.
fn looks(conn: &Connection, id: RequestId) -> Result<Vec<Look>, StoreError> {
    let mut statement = conn
        .prepare_cached("SELECT operator, at FROM looks WHERE request = ? ORDER BY at, operator")?;
    let rows = statement.query_map([id.as_bytes()], |row| {
        Ok(Look { operator: row.get(0)?, at: Time(row.get(1)?) })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// The decisions on a request, oldest first.
fn decisions(conn: &Connection, id: RequestId) -> Result<Vec<Decision>, StoreError> {
    let mut statement = conn.prepare_cached(
        "SELECT operator, verdict, reason, at, digest, strength, own_call, on_screen
         FROM decisions WHERE request = ? ORDER BY n",
    )?;
    let rows = statement.query_map([id.as_bytes()], |row| {
        Ok((
            Decision {
                operator: row.get(0)?,
                verdict: Verdict::Deny,
                reason: row.get(2)?,
                at: Time(row.get(3)?),
                digest: Digest::from_bytes(row.get(4)?),
                strength: Strength::Token,
                own_call: row.get(6)?,
                on_screen: row
                    .get::<_, Option<i64>>(7)?
                    .map(|ms| Duration::from_millis(ms.max(0) as u64)),
            },
            row.get::<_, i32>(1)?,
            row.get::<_, i32>(5)?,
        ))
    })?;
    let mut decisions = Vec::new();
    for row in rows {
        let (mut decision, verdict, strength) = row?;
        decision.verdict = Verdict::from_number(verdict).ok_or_else(|| corrupt("verdict"))?;
        decision.strength = Strength::from_number(strength).ok_or_else(|| corrupt("strength"))?;
        decisions.push(decision);
    }
    Ok(decisions)
}

/// Who was told of a request by mail.
pub(super) fn notices(conn: &Connection, id: RequestId) -> Result<Vec<Notice>, StoreError> {
    let sql = format!("SELECT {} WHERE o.request = ? ORDER BY o.n", mail::NOTICE);
    let mut statement = conn.prepare_cached(&sql)?;
    let rows = statement.query_map([id.as_bytes()], |row| mail::notice_of(row, 0))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

fn request_of(row: &Row<'_>) -> Result<Request, StoreError> {
    let number = |column: usize| row.get::<_, i32>(column);
    let time =
        |column: usize| Ok::<_, rusqlite::Error>(row.get::<_, Option<i64>>(column)?.map(Time));
    let id = |column: usize| Ok::<_, rusqlite::Error>(RequestId::from_bytes(row.get(column)?));
    let lines = |column: usize, name| {
        let text = row.get_ref(column)?.as_str().map_err(|_| corrupt(name))?;
        Ok::<_, StoreError>(strings(&stored_json(text)?).map(str::to_owned).collect())
    };
    let may_have_run: Vec<u8> = row.get(30)?;
    let call = Call {
        caller: row.get(3)?,
        client: row.get(4)?,
        agent: Agent {
            name: row.get(12)?,
            version: row.get(13)?,
            session: row.get(5)?,
            on_behalf_of: row.get(6)?,
        },
        server: row.get(8)?,
        tool: row.get(9)?,
        arguments: row.get(14)?,
        hidden_values: row.get(15)?,
        digest: Digest::from_bytes(row.get(2)?),
        category: Category::from_number(number(10)?).ok_or_else(|| corrupt("category"))?,
        risk: Risk::from_number(number(11)?).ok_or_else(|| corrupt("risk"))?,
        rule: row.get(16)?,
        policy_revision: row.get(17)?,
        tool_definition_hash: row.get(18)?,
        explanation: row.get(19)?,
        labels: labels_of(row.get_ref(20)?.as_str().map_err(|_| corrupt("labels"))?)?,
        not_covered: lines(21, "not_covered")?,
        evidence: lines(43, "evidence")?,
        definition_changed: row.get(44)?,
    };
    Ok(Request {
        id: id(0)?,
        status: Status::from_number(number(1)?).ok_or_else(|| corrupt("status"))?,
        call,
        requirement: requirement_of(
            row.get_ref(22)?.as_str().map_err(|_| corrupt("requirement"))?,
        )?,
        call_id: row.get(7)?,
        created: Time(row.get(23)?),
        deadline: Time(row.get(24)?),
        ended: time(25)?,
        decisions: Vec::new(),
        asked_again: row.get(26)?,
        denial_lifted: row.get(27)?,
        resumed: row.get(28)?,
        identical_to: row.get::<_, Option<[u8; 16]>>(29)?.map(RequestId::from_bytes),
        may_have_run: may_have_run
            .as_chunks::<16>()
            .0
            .iter()
            .map(|bytes| RequestId::from_bytes(*bytes))
            .collect(),
        use_: Use::from_number(number(31)?).ok_or_else(|| corrupt("use"))?,
        lapses: time(32)?,
        used: time(33)?,
        outcome_expected: row.get(34)?,
        outcome: Outcome::from_number(number(35)?).ok_or_else(|| corrupt("outcome"))?,
        outcome_detail: row.get(36)?,
        outcome_at: time(37)?,
        lease_until: time(38)?,
        looked: Vec::new(),
        reach_by: time(39)?,
        unreached: match time(40)? {
            Some(since) => Some(Unreached { since, why: row.get(41)? }),
            None => None,
        },
        notices: Vec::new(),
    })
}
