//! Many letters in one: what waits, most urgent first, and what has ended.
//!
//! Promises: every waiting call that is shown has commands of its own, with the
//! digest of what was shown; identical calls are one entry; who floods is named
//! first; what does not fit is counted.

use std::collections::BTreeMap;

use super::asked::{people_needed, warnings};
use super::follow_up::in_short;
use super::{
    Body, Clock, Command, Content, Entry, Link, Section, Tone, joined, link, number, ours,
    sentence, who,
};
use crate::call::digest::Digest;
use crate::call::model::{Category, Request, Risk, Status};
use crate::call::safe_text::SafeText;
use crate::call::time::Time;
use crate::mail::letter::{About, FollowUp, Recipient, Summary, What};
use crate::mail::limits;
use crate::mail::subject::named;
use crate::policy::judging::{Danger, Says};

/// From how many waiting calls on somebody who makes up most of them is named.
const FLOOD: usize = 10;

/// Commands of one group of identical calls. Who wants to answer more of them
/// does so from a list.
const GROUPED: usize = 10;

/// What waits, most urgent first.
pub(in crate::mail) struct Waiting<'a> {
    requests: Vec<(&'a Request, What)>,
    /// With those that the sender left out.
    pub count: usize,
}

impl<'a> Waiting<'a> {
    pub fn of(summary: &'a Summary, now: Time) -> Waiting<'a> {
        let waits = |request: &Request| request.status == Status::Pending && request.deadline > now;
        let items = summary.items.iter().filter(|item| !matches!(item.what, What::FollowUp(_)));
        let mut requests: Vec<_> = items
            .filter(|item| waits(&item.request))
            .map(|item| (&item.request, item.what))
            .collect();
        requests.sort_by_key(|(request, _)| {
            (request.deadline, std::cmp::Reverse(danger(request.call.risk)), request.id)
        });
        // The same one asked and reminded of is one: sorted, they are neighbours.
        requests.dedup_by_key(|(request, _)| request.id);
        let count = requests.len() + summary.more;
        Waiting { requests, count }
    }

    /// The one whose deadline comes first.
    pub fn first(&self) -> Option<&'a Request> {
        self.requests.first().map(|(request, _)| *request)
    }
}

/// Unsaid counts as the most dangerous.
fn danger(risk: Risk) -> i32 {
    match risk {
        Risk::Unspecified => i32::MAX,
        risk => risk.number(),
    }
}

/// What has ended, unknown outcomes first. A call that was to be asked about
/// and has ended meanwhile is no question any more: it is told as ended.
pub(in crate::mail) fn ended(summary: &Summary, now: Time) -> Vec<(&Request, FollowUp)> {
    let mut ended: Vec<(&Request, FollowUp)> = summary
        .items
        .iter()
        .filter_map(|item| {
            let how = match (item.what, item.request.status) {
                (What::FollowUp(how), _) => how,
                (_, Status::Pending) if item.request.deadline > now => return None,
                (_, Status::Pending | Status::Expired) => FollowUp::Expired,
                (_, Status::Approved) => FollowUp::Approved,
                (_, Status::Denied) => FollowUp::Denied,
                (_, Status::Withdrawn) => FollowUp::Withdrawn,
            };
            Some((&item.request, how))
        })
        .collect();
    ended.sort_by_key(|(request, how)| (std::cmp::Reverse(*how), request.ended, request.id));
    ended.dedup_by_key(|(request, how)| (request.id, *how));
    ended
}

pub(super) fn summary(summary: &Summary, about: &About, to: &Recipient, clock: &Clock) -> Content {
    let waiting = Waiting::of(summary, clock.now);
    let ended = ended(summary, clock.now);
    let mut sections = Vec::new();
    if waiting.count > 0 {
        sections.extend(calls(&waiting, about, to, clock));
    }
    if !ended.is_empty() {
        sections.push(ended_meanwhile(&ended));
    }
    let more = vec![
        ("All that waits for you".to_owned(), Command::new(about, "pending", &[])),
        ("All that has happened".to_owned(), Command::new(about, "audit", &[])),
    ];
    sections.push(Section { heading: "More", note: String::new(), body: Body::Commands(more) });
    let mut warnings: Vec<SafeText> = flood(&waiting).into_iter().collect();
    let unknown = ended.iter().filter(|(_, how)| *how == FollowUp::OutcomeUnknown).count();
    if unknown > 0 {
        warnings.push(ours(&format!(
            "nobody knows whether {} ran: please look, see below what has ended",
            number(unknown, "call")
        )));
    }
    let (headline, under) = first_lines(&waiting, ended.len(), clock);
    Content {
        title: "Summary",
        tone: tone(&waiting),
        headline,
        marks: Vec::new(),
        asked_by: None,
        under,
        warnings,
        button: link::queue(about),
        sections,
        leave: link::leave(about, to),
        last: link::whose_words(about),
    }
}

/// As dangerous as the worst of what waits; of those that the sender left out nothing
/// is known.
fn tone(waiting: &Waiting<'_>) -> Tone {
    let dangers = waiting.requests.iter().map(|(r, _)| Danger::of(&r.call, &Says::of(&r.call)));
    match (waiting.count > waiting.requests.len(), dangers.max()) {
        (true, worst) => Tone::Asks(worst.unwrap_or(Danger::Great).max(Danger::Great)),
        (false, Some(worst)) => Tone::Asks(worst),
        (false, None) => Tone::Over,
    }
}

/// How much there is, and until when.
fn first_lines(waiting: &Waiting<'_>, ended: usize, clock: &Clock) -> (SafeText, Vec<SafeText>) {
    let over = match ended {
        0 => Vec::new(),
        n => vec![ours(&format!("{} ended meanwhile.", number(n, "request")))],
    };
    let headline = match (waiting.count, waiting.first()) {
        (0, _) => return (ours(&format!("{} ended", number(ended, "request"))), Vec::new()),
        (_, None) => format!("{} for you", wait(waiting.count)),
        (1, Some(first)) => format!("1 call waits for you, until {}", clock.at(first.deadline)),
        (n, Some(first)) => {
            format!("{} for you, the first until {}", wait(n), clock.at(first.deadline))
        }
    };
    (ours(&headline), over)
}

/// `1 call waits`, `12 calls wait`
pub(in crate::mail) fn wait(n: usize) -> String {
    if n == 1 { "1 call waits".to_owned() } else { format!("{n} calls wait") }
}

/// Who makes up more than half of what waits: the narrowest that does.
fn flood(waiting: &Waiting<'_>) -> Option<SafeText> {
    let all = waiting.requests.len();
    if all < FLOOD {
        return None;
    }
    let most = |key: &dyn Fn(&Request) -> [String; 3]| {
        let mut counts: BTreeMap<[String; 3], usize> = BTreeMap::new();
        for (request, _) in &waiting.requests {
            *counts.entry(key(request)).or_default() += 1;
        }
        counts.into_iter().max_by_key(|(_, n)| *n).filter(|(_, n)| *n * 2 > all)
    };
    let agent =
        |r: &Request| [&r.call.agent.name, &r.call.client, &r.call.caller].map(String::clone);
    let client = |r: &Request| [String::new(), r.call.client.clone(), r.call.caller.clone()];
    let caller = |r: &Request| [String::new(), String::new(), r.call.caller.clone()];
    let named = |name: &str| named(name, limits::NAME);
    // One that does not say who it is cannot be named.
    let agents = most(&agent).filter(|([name, ..], _)| !name.is_empty());
    let clients = || most(&client).filter(|([_, name, _], _)| !name.is_empty());
    let ([agent, client, caller], n) = agents.or_else(clients).or_else(|| most(&caller))?;
    let mut text = ours(&format!("{n} of {all} come from "));
    if !agent.is_empty() {
        text = joined(&[&text, &ours("agent "), &named(&agent)]);
    }
    text = match (agent.is_empty(), client.is_empty()) {
        (_, true) => text,
        (true, false) => joined(&[&text, &ours("client "), &named(&client)]),
        (false, false) => joined(&[&text, &ours(" (client "), &named(&client), &ours(")")]),
    };
    let of = if agent.is_empty() && client.is_empty() { "caller " } else { " of caller " };
    Some(joined(&[&text, &ours(of), &named(&caller)]))
}

/// The entries that fit, and how many calls do not.
fn calls(waiting: &Waiting<'_>, about: &About, to: &Recipient, clock: &Clock) -> Vec<Section> {
    let (mut entries, mut room, mut shown) = (Vec::new(), limits::SUMMARY_HTML_BYTES, 0);
    for group in groups(waiting) {
        let entry = entry(entries.len() + 1, &group, about, to, clock);
        let cost = limits::entry_cost(&entry);
        if cost > room {
            break;
        }
        room -= cost;
        shown += group.len();
        entries.push(entry);
    }
    let how = match about.links {
        None => "Type a command in a terminal;",
        Some(_) => "Review a call by its link, or type a command in a terminal;",
    };
    let note = format!(
        "{how} answering this mail does nothing. A sentence is not the whole call: see it before \
         you let it run.\nTo refuse a call by a command, write deny for approve and add --reason \
         \"...\"."
    );
    let mut sections =
        vec![Section { heading: "Waiting, most urgent first", note, body: Body::Calls(entries) }];
    if waiting.count > shown {
        sections.push(Section {
            heading: "Not shown here",
            note: format!("{} for you beyond these.", wait(waiting.count - shown)),
            body: Body::Commands(vec![(
                "To see them".to_owned(),
                Command::new(about, "pending", &[]),
            )]),
        });
    }
    sections
}

/// Identical calls together, each group where its most urgent one stands.
fn groups<'a>(waiting: &Waiting<'a>) -> Vec<Vec<(&'a Request, What)>> {
    let mut places: BTreeMap<(Digest, Category, Risk), usize> = BTreeMap::new();
    let mut groups: Vec<Vec<(&Request, What)>> = Vec::new();
    for (request, what) in &waiting.requests {
        // Two callers may class the same call differently.
        let key = (request.call.digest, request.call.category, request.call.risk);
        let place = *places.entry(key).or_insert(groups.len());
        match groups.get_mut(place) {
            Some(group) => group.push((request, *what)),
            None => groups.push(vec![(request, *what)]),
        }
    }
    groups
}

fn entry(
    place: usize,
    group: &[(&Request, What)],
    about: &About,
    to: &Recipient,
    clock: &Clock,
) -> Entry {
    let [(first, what), ..] = group else { unreachable!("a group has a member") };
    let (left, until) = (clock.left(first.deadline), clock.at(first.deadline));
    let people = people_needed(first).map(|people| format!("; needs {people}"));
    let people = people.unwrap_or_default();
    let head = match group.len() {
        1 => {
            let again = if *what == What::Reminder { "; a reminder" } else { "" };
            let id = first.id.short();
            format!("{place}. {left} left, until {until}{people}{again} [{id}]")
        }
        n => format!(
            "{place}. {n} identical calls: {left} left for the first, until {until}{people}"
        ),
    };
    let mut asks: Vec<SafeText> = Vec::new();
    for (request, _) in group {
        let who = who(request);
        if !asks.contains(&who) {
            asks.push(who);
        }
    }
    let more = asks.len().saturating_sub(limits::ASKERS);
    asks.truncate(limits::ASKERS);
    if more > 0 {
        asks.push(ours(&format!("and {more} more")));
    }
    let warnings = warnings(first, &Says::of(&first.call), 0);
    Entry {
        head: ours(&head),
        sentence: sentence(first),
        who: asks,
        warnings,
        links: links(group, about, to, clock),
        commands: commands(group, about, clock),
    }
}

/// Where each of them is decided: as many as have commands.
fn links(group: &[(&Request, What)], about: &About, to: &Recipient, clock: &Clock) -> Vec<Link> {
    match group {
        [(only, _)] => link::review_one(only, about, to).into_iter().collect(),
        many => many
            .iter()
            .take(GROUPED)
            .filter_map(|(request, _)| link::review_of_many(request, about, to, clock))
            .collect(),
    }
}

fn commands(group: &[(&Request, What)], about: &About, clock: &Clock) -> Vec<(String, Command)> {
    let [(first, _), rest @ ..] = group else { return Vec::new() };
    let see = if rest.is_empty() { "See it" } else { "See the first" };
    let mut commands = vec![(see.to_owned(), Command::show(about, first))];
    if rest.is_empty() {
        commands.push(("Let it run, once".to_owned(), Command::approve(about, first)));
        return commands;
    }
    for (request, _) in group.iter().take(GROUPED) {
        let left = clock.left(request.deadline);
        let label = format!("Let [{}] run, once ({left} left)", request.id.short());
        commands.push((label, Command::approve(about, request)));
    }
    let more = group.len().saturating_sub(GROUPED);
    if more > 0 {
        let label = format!("{more} more of these do not fit; to see all that wait");
        commands.push((label, Command::new(about, "pending", &[])));
    }
    commands
}

/// The endings that fit, a line each.
fn ended_meanwhile(ended: &[(&Request, FollowUp)]) -> Section {
    let (mut facts, mut room) = (Vec::new(), limits::ENDED_HTML_BYTES);
    for (request, how) in ended {
        let line = in_short(*how, request);
        let cost = limits::ended_cost(&line);
        if cost > room {
            break;
        }
        room -= cost;
        facts.push((format!("[{}]", request.id.short()), line));
    }
    let note = match ended.len() - facts.len() {
        0 => "Nothing is left to decide about these.".to_owned(),
        more => format!("Nothing is left to decide about these. {more} more are not shown here."),
    };
    Section { heading: "Ended meanwhile", note, body: Body::Facts(facts) }
}
