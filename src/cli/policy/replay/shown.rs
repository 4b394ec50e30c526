//! What a replay found, for a person and for a program.

use std::collections::BTreeMap;

use super::super::super::output::{Tone, View};
use super::super::super::records;
use super::super::super::table::{self, Cell, cell, fixed, flexible, toned};
use super::super::super::text::{count, safe};
use super::super::super::when;
use super::{Fate, Judged, Today};
use crate::call::json::Json;

/// Calls of one tool of which the same is to be said.
pub struct Group {
    newest: String,
    server: String,
    tool: String,
    was: Fate,
    today: Today,
    calls: u64,
}

/// What differs or cannot be told, the newest first.
pub fn groups(judged: &[Judged]) -> Vec<Group> {
    let mut places = BTreeMap::new();
    let mut groups: Vec<Group> = Vec::new();
    for call in judged.iter().filter(|call| !call.is_same()) {
        let said = match &call.today {
            Today::Would { fate, rule, unless_limited } => {
                (fate.word(), rule.as_str(), *unless_limited)
            }
            Today::Untold(why) => ("", *why, false),
        };
        let place = *places
            .entry((call.server.as_str(), call.tool.as_str(), call.was, said))
            .or_insert(groups.len());
        match groups.get_mut(place) {
            Some(group) => group.calls += 1,
            None => groups.push(Group {
                newest: call.at.clone(),
                server: call.server.clone(),
                tool: call.tool.clone(),
                was: call.was,
                today: call.today.clone(),
                calls: 1,
            }),
        }
    }
    groups
}

pub fn rendered(groups: &[Group], view: &View) -> String {
    if groups.is_empty() {
        return String::new();
    }
    let columns = [
        fixed("NEWEST", 2),
        flexible("TOOL", 0, 12),
        flexible("SERVER", 1, 6),
        fixed("WAS", 0),
        fixed("WOULD BE", 0),
        flexible("RULE", 3, 12),
        fixed("CALLS", 0),
    ];
    let rows: Vec<Vec<Cell>> = groups
        .iter()
        .map(|group| {
            let (would, rule) = match &group.today {
                Today::Would { fate, rule, unless_limited } => {
                    let doubt = if *unless_limited { " (unless limited)" } else { "" };
                    (toned(format!("{}{doubt}", fate.word()), fate.tone()), safe(rule))
                }
                Today::Untold(why) => (toned("?", Tone::Faint), (*why).to_owned()),
            };
            vec![
                cell(when::clock_text(&group.newest, view.now, &view.zone)),
                toned(safe(&group.tool), Tone::Strong),
                cell(safe(&group.server)),
                cell(group.was.word()),
                would,
                cell(rule),
                cell(group.calls.to_string()),
            ]
        })
        .collect();
    table::fitted(&columns, &rows, view.width, view.colour)
}

/// Columns with tabs between them; see the help.
pub fn plain(group: &Group) -> String {
    let (would, rule, doubt) = match &group.today {
        Today::Would { fate, rule, unless_limited } => {
            (fate.word(), safe(rule), if *unless_limited { "unless limited" } else { "" })
        }
        Today::Untold(why) => ("cannot tell", (*why).to_owned(), ""),
    };
    table::plain(&[
        safe(&group.newest),
        safe(&group.server),
        safe(&group.tool),
        group.was.word().to_owned(),
        would.to_owned(),
        rule,
        group.calls.to_string(),
        doubt.to_owned(),
    ])
}

/// "412 calls: 398 the same, 9 would be held that were allowed, 2 cannot tell".
pub fn summary(judged: &[Judged], left_out: u64) -> String {
    let same = judged.iter().filter(|call| call.is_same()).count();
    let mut said = format!("{}: {same} the same", count(judged.len() as u64, "call", "calls"));
    for would in Fate::ALL.iter().rev() {
        for was in Fate::ALL {
            let so = |call: &&Judged| {
                call.was == was
                    && was != *would
                    && matches!(call.today, Today::Would { fate, .. } if fate == *would)
            };
            match judged.iter().filter(so).count() {
                0 => {}
                n => {
                    let (would, was, verb) =
                        (would.word(), was.word(), if n == 1 { "was" } else { "were" });
                    said.push_str(&format!(", {n} would be {would} that {verb} {was}"));
                }
            }
        }
    }
    let untold = judged.iter().filter(|call| matches!(call.today, Today::Untold(_))).count();
    if untold > 0 {
        said.push_str(&format!(", {untold} cannot tell"));
    }
    let unless = judged.iter().filter(|call| is_unless_limited(call)).count();
    if unless > 0 {
        said.push_str(&format!("; {unless} of them unless limited"));
    }
    if left_out > 0 {
        said.push_str(&format!("; {left_out} that no policy had judged left out"));
    }
    said
}

fn is_unless_limited(call: &Judged) -> bool {
    matches!(call.today, Today::Would { unless_limited: true, .. })
}

/// One call, for a program.
pub fn line(call: &Judged) -> Json {
    let (would, rule, why) = match &call.today {
        Today::Would { fate, rule, .. } => (fate.word().into(), rule.as_str().into(), Json::Null),
        Today::Untold(why) => (Json::Null, Json::Null, (*why).into()),
    };
    Json::object([
        ("sequence", call.sequence.into()),
        ("at", call.at.as_str().into()),
        ("request_id", records::or_null(&call.request)),
        ("server", call.server.as_str().into()),
        ("tool", call.tool.as_str().into()),
        ("was", call.was.word().into()),
        ("would_be", would),
        ("rule", rule),
        ("why", why),
        ("unless_limited", is_unless_limited(call).into()),
    ])
}

pub fn totals(judged: &[Judged], left_out: u64) -> Json {
    let number = |wanted: &dyn Fn(&Judged) -> bool| {
        Json::from(judged.iter().filter(|call| wanted(call)).count() as u64)
    };
    let untold = |call: &Judged| matches!(call.today, Today::Untold(_));
    Json::object([
        ("calls", (judged.len() as u64).into()),
        ("same", number(&Judged::is_same)),
        ("different", number(&|call| !call.is_same() && !untold(call))),
        ("untold", number(&untold)),
        ("left_out", left_out.into()),
        ("unless_limited", number(&is_unless_limited)),
    ])
}

#[cfg(test)]
mod tests {
    use super::super::super::super::golden::{same, view};
    use super::*;

    #[test]
    fn golden_policy_replay() {
        let call = |n: u64, server: &str, tool: &str, was, today| Judged {
            sequence: n,
            at: format!("2026-11-22T12:{:02}:00.000Z", 50 - n),
            request: String::new(),
            server: server.to_owned(),
            tool: tool.to_owned(),
            was,
            today,
        };
        let would = |fate, rule: &str| Today::Would {
            fate,
            rule: rule.to_owned(),
            unless_limited: fate == Fate::Held,
        };
        let mut calls: Vec<Judged> = (0..12)
            .map(|n| call(n, "files", "list", Fate::Allowed, would(Fate::Allowed, "default")))
            .collect();
        for n in 12..21 {
            let rule = "rules[1] \"no writes\" (line 12)";
            calls.push(call(n, "files", "write_file", Fate::Allowed, would(Fate::Held, rule)));
        }
        let nasty = "re\u{202e}ad\n";
        calls.push(call(21, "mail", nasty, Fate::Held, would(Fate::Denied, "rules[4] (line 30)")));
        calls.push(call(22, "mail", "get", Fate::Limited, would(Fate::Allowed, "default")));
        let counters = Today::Untold("it was limited, and limits matter");
        calls.push(call(23, "mail", "send", Fate::Limited, counters.clone()));
        calls.push(call(24, "mail", "send", Fate::Limited, counters));
        let groups = groups(&calls);
        let mut text = rendered(&groups, &view(100, true, false));
        text.push_str(&summary(&calls, 3));
        text.push_str("\n\n");
        text.push_str(&rendered(&groups, &view(60, true, false)));
        text.push('\n');
        groups.iter().for_each(|group| text.push_str(&(plain(group) + "\n")));
        text.push('\n');
        let lines = calls.iter().filter(|call| !call.is_same()).skip(8).map(line);
        lines.for_each(|line| text.push_str(&(line.to_text() + "\n")));
        text.push_str(&(totals(&calls, 3).to_text() + "\n"));
        same("policy_replay.txt", &text);
        assert_eq!(summary(&calls[..1], 0), "1 call: 1 the same");
    }
}
