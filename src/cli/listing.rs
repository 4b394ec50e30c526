//! Several requests at once: a table for a person, a line each for a program.
//!
//! The columns of the lines for programs, with tabs between them, are: id,
//! digest, status, deadline, category, risk, server, tool, caller, agent, on
//! behalf of, arguments (JSON, masked), who looked (commas between names), since
//! when it is known that nobody was reached by mail. Columns are only ever added at the end.

use super::output::{Tone, View};
use super::records;
use super::table::{self, Cell, cell, fixed, flexible, toned};
use super::text::{safe, short};
use super::{when, words};
use crate::call::model::{Status, Verdict};
use crate::call::time::Time;
use crate::proto::Request;

/// What waits for a decision of the operator `me`.
///
/// Category and risk never give way: where the terminal is too narrow for them,
/// each request has a second line.
pub fn pending(requests: &[Request], me: &str, view: &View) -> String {
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
    let mut hidden = table::hidden(&columns, &rows, view.width);
    let two_lines = hidden.iter().any(|title| ["DEADLINE", "CATEGORY", "RISK"].contains(title));
    let text = if two_lines {
        hidden = vec!["ASKED BY", "ARGUMENTS"];
        let first: Vec<Vec<Cell>> = rows.iter().map(|row| row[..2].to_vec()).collect();
        table::fitted(&columns[..2], &first, view.width, view.colour)
    } else {
        table::fitted(&columns, &rows, view.width, view.colour)
    };
    let mut out = String::new();
    // The heading, then a line per request.
    for (position, line) in text.lines().enumerate() {
        out.push_str(line);
        out.push('\n');
        let Some(r) = position.checked_sub(1).and_then(|position| requests.get(position)) else {
            continue;
        };
        let mut below = |tone, line: &str| {
            let line = table::cut(&format!("  {line}"), view.width);
            out.push_str(&view.paint(tone, &line));
            out.push('\n');
        };
        if two_lines {
            let (category, risk) = (records::category(r.category), records::risk(r.risk));
            let expires = view.deadline(&r.deadline, r.time_left_ms);
            let tone = words::category(r.category);
            below(tone, &format!("{category}, {risk} risk, {expires}"));
        }
        if !r.definition_changed.is_empty() {
            below(Tone::Caution, &safe(&r.definition_changed));
        }
        if let Some(said) = own_answer(r, me) {
            below(Tone::Good, &said);
        }
        if let Some((tone, said)) = who_knows(r, view) {
            below(tone, &said);
        }
    }
    if !hidden.is_empty() {
        let hint =
            format!("columns hidden: {}; widen the terminal or use --json", hidden.join(", "));
        for line in by_words(&hint, view.width) {
            out.push_str(&view.paint(Tone::Faint, &line));
            out.push('\n');
        }
    }
    out
}

/// "ana looked 2 min ago", or that nobody did although it is time. Somebody should
/// have been reached when a fifth of the time is over; before, nobody need wonder.
fn who_knows(r: &Request, view: &View) -> Option<(Tone, String)> {
    let at = |text: &str| Time::parse(text);
    let ago = |look: &crate::proto::Look| {
        let ago = at(&look.at).map(|at| when::duration(view.now.left(at)));
        format!("{} looked {} ago", safe(&look.operator), ago.unwrap_or_default())
    };
    if !r.looked.is_empty() {
        let all: Vec<String> = r.looked.iter().map(ago).collect();
        return Some((Tone::Faint, all.join(", ")));
    }
    if !r.unreached_at.is_empty() {
        let why = safe(&r.unreached_why);
        return Some((Tone::Caution, format!("nobody could be reached by mail: {why}")));
    }
    let (created, deadline) = (at(&r.created_at)?, at(&r.deadline)?);
    let late = created + deadline.left(created) / 5 <= view.now;
    late.then(|| (Tone::Faint, "nobody has looked yet".to_owned()))
}

/// "you approved; 1 more needed", where that is so.
fn own_answer(r: &Request, me: &str) -> Option<String> {
    let own = |d: &&crate::proto::Decision| !me.is_empty() && d.operator == me;
    let decision = r.decisions.iter().find(own)?;
    if decision.verdict != Verdict::Approve.number() || r.status != Status::Pending.number() {
        return None;
    }
    let missing: u32 = r.clauses.iter().map(|c| c.approvals.saturating_sub(c.approved)).sum();
    Some(format!("you approved; {missing} more needed"))
}

/// Words of ours in lines of at most `width` columns.
fn by_words(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        match lines.last_mut() {
            Some(line) if line.is_empty() => line.push_str(word),
            Some(line) if line.len() + 1 + word.len() <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
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

/// The person if one is named, else the client as the caller authenticated it, else
/// the agent, else the caller.
fn asked_by(r: &Request) -> String {
    let agent = r.agent.as_ref();
    let person = agent.map_or("", |a| a.on_behalf_of.as_str());
    let name = agent.map_or("", |a| a.name.as_str());
    let name = if r.client.is_empty() { name } else { r.client.as_str() };
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

fn fields(r: &Request) -> [String; 14] {
    let looked: Vec<String> = r.looked.iter().map(|look| safe(&look.operator)).collect();
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
        looked.join(","),
        safe(&r.unreached_at),
    ]
}
