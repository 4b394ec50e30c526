//! Several requests at once: a table for a person, a line each for a program.
//!
//! The columns of the lines for programs, with tabs between them, are: id,
//! digest, status, deadline, category, risk, server, tool, caller, agent, on
//! behalf of, arguments (JSON, masked). Columns are only ever added at the end.

use super::output::{Tone, View};
use super::records;
use super::table::{self, Cell, cell, fixed, flexible, toned};
use super::text::{safe, short};
use super::words;
use crate::call::model::Status;
use crate::proto::Request;

/// What waits for a decision.
pub fn pending(requests: &[Request], view: &View) -> String {
    if !view.terminal {
        return lines(requests);
    }
    let columns = [
        fixed("ID", 0),
        flexible("CALL", 0, 24),
        fixed("DEADLINE", 1),
        fixed("CATEGORY", 2),
        fixed("RISK", 3),
        flexible("ASKED BY", 4, 8),
        flexible("ARGUMENTS", 5, 16),
    ];
    let rows: Vec<Vec<Cell>> = requests
        .iter()
        .map(|r| {
            vec![
                cell(short(&r.id)),
                call(r),
                cell(view.deadline(&r.deadline, r.time_left_ms)),
                category(r),
                risk(r),
                cell(asked_by(r)),
                toned(safe(&r.arguments), Tone::Faint),
            ]
        })
        .collect();
    table::fitted(&columns, &rows, view.width, view.colour)
}

/// A caller's own requests, ended ones too.
pub fn mine(requests: &[Request], view: &View) -> String {
    if !view.terminal {
        return lines(requests);
    }
    let columns = [
        fixed("ID", 0),
        fixed("STATUS", 0),
        flexible("CALL", 0, 12),
        fixed("WHEN", 1),
        fixed("USE", 2),
        flexible("ANSWER", 3, 12),
    ];
    let rows: Vec<Vec<Cell>> = requests
        .iter()
        .map(|r| {
            let when = if r.status == Status::Pending.number() {
                view.deadline(&r.deadline, r.time_left_ms)
            } else {
                view.time(&r.ended_at)
            };
            vec![
                cell(short(&r.id)),
                toned(records::status(r.status), words::status(r.status)),
                call(r),
                cell(when),
                cell(use_and_outcome(r)),
                cell(answer(r)),
            ]
        })
        .collect();
    table::fitted(&columns, &rows, view.width, view.colour)
}

fn call(r: &Request) -> Cell {
    toned(format!("{} on {}", safe(&r.tool), safe(&r.server)), Tone::Strong)
}

fn category(r: &Request) -> Cell {
    toned(records::category(r.category), words::category(r.category))
}

fn risk(r: &Request) -> Cell {
    toned(records::risk(r.risk), words::risk(r.risk))
}

/// The person if one is named, else the agent, else the caller.
fn asked_by(r: &Request) -> String {
    let agent = r.agent.as_ref();
    let person = agent.map_or("", |a| a.on_behalf_of.as_str());
    let name = agent.map_or("", |a| a.name.as_str());
    match (name, person) {
        ("", "") => safe(&r.caller),
        (name, "") => safe(name),
        ("", person) => safe(person),
        (name, person) => format!("{} for {}", safe(name), safe(person)),
    }
}

fn use_and_outcome(r: &Request) -> String {
    match (records::use_(r.r#use), records::outcome(r.outcome)) {
        ("none", _) => String::new(),
        (use_, "none") => use_.to_owned(),
        (_, outcome) => outcome.to_owned(),
    }
}

fn answer(r: &Request) -> String {
    let last = r.decisions.last();
    last.map_or(String::new(), |d| {
        let reason =
            if d.reason.is_empty() { String::new() } else { format!(": {}", safe(&d.reason)) };
        format!("{}{reason}", safe(&d.operator))
    })
}

fn lines(requests: &[Request]) -> String {
    requests.iter().map(|r| table::plain(&fields(r)) + "\n").collect()
}

fn fields(r: &Request) -> [String; 12] {
    let agent = r.agent.clone().unwrap_or_default();
    [
        safe(&r.id),
        safe(&r.digest),
        records::status(r.status).to_owned(),
        safe(&r.deadline),
        records::category(r.category).to_owned(),
        records::risk(r.risk).to_owned(),
        safe(&r.server),
        safe(&r.tool),
        safe(&r.caller),
        safe(&agent.name),
        safe(&agent.on_behalf_of),
        safe(&r.arguments),
    ]
}
