//! What a letter says, in the order in which it is read, before it is plain
//! text or HTML.
//!
//! Everything here is bounded, and what is left out is counted. Text of the
//! caller or the agent is a [`SafeText`] in a place of its own (a fact's value,
//! an argument line, a quoted line), never part of a heading or a command.

use super::letter::{About, FollowUp, Matter, Recipient, Summary};
use super::limits::{self, fitting, listed};
use crate::call::json::{self, Json};
use crate::call::model::{Request, Verdict};
use crate::call::present::{self, Rendered};
use crate::call::requirement::Clause;
use crate::call::safe_text::{SafeText, name_notice};
use crate::call::time::Time;
use crate::desk::people::who_is_asked;

/// A letter's substance.
pub(super) struct Content {
    /// What will happen, in one sentence. What a lock screen shows.
    pub sentence: SafeText,
    /// How many people it needs, and until when.
    pub needs: SafeText,
    /// What to know before anything else.
    pub warnings: Vec<SafeText>,
    /// The rest.
    pub sections: Vec<Section>,
}

/// A heading and what stands below it.
pub(super) struct Section {
    pub heading: &'static str,
    /// Ours, beside the heading: counts, and what to make of it. May have lines.
    pub note: String,
    pub body: Body,
}

/// What stands below a heading.
pub(super) enum Body {
    /// Names and values.
    Facts(Vec<(&'static str, SafeText)>),
    /// The arguments, line by line, and how to see all of them.
    Arguments(Vec<SafeText>, Option<Command>),
    /// Somebody else's words, line by line.
    Quote(Vec<SafeText>),
    /// Ours.
    Words(SafeText),
    /// What to type, and what for.
    Commands(Vec<(&'static str, Command)>),
}

/// One command, in parts between which a shell allows a line to be continued.
pub(super) struct Command(pub Vec<SafeText>);

impl Content {
    pub fn new(matter: &Matter<'_>, _to: &Recipient, about: &About) -> Content {
        match matter {
            Matter::Asked(request) | Matter::Reminder(request) => Content::asked(request, about),
            Matter::FollowUp(how, request) => Content::follow_up(*how, request, about),
            Matter::Summary(summary) => Content::summary(summary, about),
        }
    }

    fn follow_up(how: FollowUp, request: &Request, about: &About) -> Content {
        let show = Command::new(about, &format!("show {}", request.id), &[]);
        Content {
            sentence: ours(&format!("[{}] {}.", request.id.short(), how.word())),
            needs: ours("Nothing is left to decide."),
            warnings: Vec::new(),
            sections: vec![Section {
                heading: "More",
                note: String::new(),
                body: Body::Commands(vec![("To see all of it", show)]),
            }],
        }
    }

    fn summary(summary: &Summary, about: &About) -> Content {
        let commands = summary.items.iter().map(|item| {
            ("To see it", Command::new(about, &format!("show {}", item.request.id), &[]))
        });
        Content {
            sentence: ours(&format!("{} calls", summary.items.len() + summary.more)),
            needs: ours(""),
            warnings: Vec::new(),
            sections: vec![Section {
                heading: "Calls",
                note: String::new(),
                body: Body::Commands(commands.collect()),
            }],
        }
    }

    fn asked(request: &Request, about: &About) -> Content {
        let arguments = json::parse_envelope(request.call.arguments.as_bytes()).ok();
        let mut sections = vec![
            who_asks(request),
            arguments_section(request, arguments.as_ref(), about),
            agents_words(request),
            what_held_it(request, about),
        ];
        let (left, until) = (words_for_left(request.deadline, about.now), request.deadline.utc());
        let until = match about.now.utc().date_naive() == until.date_naive() {
            true => until.format("%H:%M UTC"),
            false => until.format("%H:%M UTC on %-d %B"),
        };
        sections.push(Section {
            heading: "Time left",
            note: String::new(),
            body: Body::Words(ours(&format!("{left} left, until {until}."))),
        });
        sections.push(to_decide(request, arguments.as_ref(), about));
        let people = people_needed(request);
        Content {
            sentence: sentence(request, arguments.as_ref()),
            needs: ours(&format!("{people}until {until} ({left} after this was sent).")),
            warnings: warnings(request),
            sections,
        }
    }
}

/// Words made here, from numbers, ids and times.
fn ours(text: &str) -> SafeText {
    SafeText::line(text)
}

fn sentence(request: &Request, arguments: Option<&Json>) -> SafeText {
    let call = &request.call;
    let (category, risk) = (call.category.word(), call.risk.word());
    let none = Json::Object(Vec::new());
    let arguments = arguments.unwrap_or(&none);
    present::sentence(category, risk, &call.server, &call.tool, arguments)
}

fn warnings(request: &Request) -> Vec<SafeText> {
    let mut warnings = Vec::new();
    let unstated = present::unstated(request.call.category.word(), request.call.risk.word());
    warnings.extend(unstated.map(ours));
    if !request.may_have_run.is_empty() {
        let ids: Vec<String> =
            request.may_have_run.iter().map(|id| format!("[{}]", id.short())).collect();
        warnings.push(ours(&format!(
            "this call may have run already: nobody knows how {} ended; look before you approve",
            listed(&ids, ", ")
        )));
    }
    if let Some(other) = request.identical_to {
        let other = other.short();
        warnings.push(ours(&format!("an identical call is already waiting: [{other}]")));
    }
    for text in request.call.not_covered.iter().take(limits::LISTED) {
        let mut warning = SafeText::default();
        warning.push_ours("not covered by the digest: ");
        warning.push(&fitting(text, limits::LONG_VALUE));
        warnings.push(warning);
    }
    let more = request.call.not_covered.len().saturating_sub(limits::LISTED);
    if more > 0 {
        warnings.push(ours(&format!("not covered by the digest: {more} more things")));
    }
    let call = &request.call;
    for (whose, name) in [
        ("the tool's", &call.tool),
        ("the server's", &call.server),
        ("the caller's", &call.caller),
        ("the client's", &call.client),
        ("the agent's", &call.agent.name),
        ("for whom it works: the", &call.agent.on_behalf_of),
    ] {
        if let Some(notice) = name_notice(name) {
            warnings.push(ours(&format!("{whose} {notice}")));
        }
    }
    warnings
}

fn who_asks(request: &Request) -> Section {
    let call = &request.call;
    let agent = [call.agent.name.as_str(), call.agent.version.as_str()].join(" ");
    let (session, cut) = limits::cut_line(&call.agent.session, limits::SESSION);
    let mut facts = vec![
        ("Caller", fitting(&call.caller, limits::VALUE)),
        ("Client", fitting(&call.client, limits::VALUE)),
        (
            "Agent",
            if agent.trim().is_empty() {
                ours("not stated")
            } else {
                fitting(agent.trim(), limits::VALUE)
            },
        ),
        ("Session", if cut == 0 { session } else { SafeText::join([&session, &ours("…")], "") }),
        ("On behalf of", fitting(&call.agent.on_behalf_of, limits::VALUE)),
    ];
    facts.retain(|(_, value)| !value.is_empty());
    Section {
        heading: "Who asks",
        note: "Only the caller is proven; the rest is as the caller and the agent say.".to_owned(),
        body: Body::Facts(facts),
    }
}

fn arguments_section(request: &Request, tree: Option<&Json>, about: &About) -> Section {
    let all = Command::new(about, &format!("show {} --args", request.id), &[]);
    let hidden = counted(request.call.hidden_values, "hidden");
    let (lines, cut, note) = match tree {
        // The store gave back what it was not given: nobody should approve this.
        None => (Vec::new(), 1, "They cannot be read back and are not shown.".to_owned()),
        Some(tree) => {
            let Rendered { lines, cut } = limits::arguments(tree);
            let note = match cut {
                0 => format!("Complete; {hidden}."),
                cut => format!("Not complete: {}; {hidden}.", counted(cut, "cut")),
            };
            (lines, cut, note)
        }
    };
    Section { heading: "Arguments", note, body: Body::Arguments(lines, (cut > 0).then_some(all)) }
}

fn agents_words(request: &Request) -> Section {
    let (lines, cut) = limits::quoted(&request.call.explanation);
    let note = match (lines.is_empty(), cut) {
        (true, _) => "It gave none.".to_owned(),
        (_, 0) => "They explain, they prove nothing.".to_owned(),
        (_, cut) => format!("They explain, they prove nothing. {cut} characters are cut."),
    };
    Section { heading: "The agent's own words", note, body: Body::Quote(lines) }
}

fn what_held_it(request: &Request, about: &About) -> Section {
    let call = &request.call;
    let mut facts = Vec::new();
    let mut fact = |label, value: SafeText| {
        if !value.is_empty() {
            facts.push((label, value));
        }
    };
    let stated = |word| match word {
        "unspecified" => ours("not stated, treated as the most dangerous"),
        word => ours(word),
    };
    fact("Category", stated(call.category.word()));
    fact("Risk", stated(call.risk.word()));
    fact("Rule", fitting(&call.rule, limits::VALUE));
    fact("Policy", fitting(&call.policy_revision, limits::VALUE));
    for clause in request.requirement.clauses.iter().take(limits::LISTED) {
        fact("Route", fitting(&needed(clause), limits::LONG_VALUE));
    }
    fact("Asked", fitting(&listed(&about.asked, ", "), limits::LONG_VALUE));
    let approved = request.decisions.iter().filter(|d| d.verdict == Verdict::Approve);
    let approved: Vec<String> = approved.map(|d| d.operator.clone()).collect();
    fact("Approved by", fitting(&listed(&approved, ", "), limits::LONG_VALUE));
    let labels: Vec<String> = call.labels.iter().map(|(k, v)| format!("{k}={v}")).collect();
    for label in labels.iter().take(limits::LISTED) {
        fact("Label", fitting(label, limits::VALUE));
    }
    let more = labels.len().saturating_sub(limits::LISTED);
    if more > 0 {
        fact("Label", ours(&format!("and {more} more")));
    }
    Section { heading: "What held it", note: String::new(), body: Body::Facts(facts) }
}

/// `destructive: 2 approvals by different people from ops or security`
fn needed(clause: &Clause) -> String {
    let approvals = match clause.approvals {
        1 => "1 approval".to_owned(),
        n => format!("{n} approvals by different people"),
    };
    let from = who_is_asked(clause);
    format!("{}: {approvals} from {from}", clause.route)
}

/// `Needs 2 people, `; where one may be enough there is nothing to say.
fn people_needed(request: &Request) -> String {
    let clauses = &request.requirement.clauses;
    // One person may count in several clauses.
    let least = if clauses.len() > 1 { "at least " } else { "" };
    match clauses.iter().map(|clause| clause.approvals).max() {
        Some(n @ 2..) => format!("Needs {least}{n} people, "),
        _ => "Waits ".to_owned(),
    }
}

fn to_decide(request: &Request, tree: Option<&Json>, about: &About) -> Section {
    let mut note = "Type one of these in a terminal. Answering this mail does nothing.".to_owned();
    let cut = tree.map_or(1, |tree| limits::arguments(tree).cut);
    let unseen = [(request.call.hidden_values, "hidden"), (cut, "cut")];
    let unseen: Vec<String> =
        unseen.into_iter().filter(|(n, _)| *n > 0).map(|(n, how)| counted(n, how)).collect();
    if !unseen.is_empty() {
        // Said here too: the arguments may be screens away.
        note.push_str(&format!("\nNot shown above: {}.", unseen.join(", ")));
    }
    let (id, digest) = (request.id, format!("--digest {}", request.call.digest));
    let reason = "--reason \"...\"";
    let (approve, deny) = (format!("approve {id}"), format!("deny {id}"));
    let mut commands = vec![
        ("To let it run, once", Command::new(about, &approve, &[&digest])),
        ("To refuse it, and say why", Command::new(about, &deny, &[reason, &digest])),
    ];
    match cut {
        0 => {
            let show = Command::new(about, &format!("show {id}"), &[]);
            commands.push(("To see all of it", show));
        }
        // Before the others: who decides should have seen all of it.
        _ => {
            let show = Command::new(about, &format!("show {id} --args"), &[]);
            commands.insert(0, ("Not all of it is shown above. See the rest first", show));
        }
    }
    Section { heading: "To decide", note, body: Body::Commands(commands) }
}

impl Command {
    fn new(about: &About, words: &str, more: &[&str]) -> Command {
        let mut parts = vec![ours(&format!("{} {words}", about.command_prefix))];
        parts.extend(more.iter().map(|part| ours(part)));
        Command(parts)
    }
}

/// `no values hidden`, `1 value hidden`, `3 values hidden`
fn counted(n: u32, state: &str) -> String {
    match n {
        0 => format!("no values {state}"),
        1 => format!("1 value {state}"),
        n => format!("{n} values {state}"),
    }
}

/// How long from `now` to `deadline`, in the unit in which people plan.
fn words_for_left(deadline: Time, now: Time) -> String {
    let seconds = (deadline.left(now).as_millis() as u64).div_ceil(1000);
    // Minutes are rounded to the nearest: a letter written 40 ms after the call
    // says 15 min, not 14.
    let minutes = (seconds + 30) / 60;
    match seconds {
        0..120 => format!("{seconds} s"),
        120..5400 => format!("{minutes} min"),
        5400..172_800 => format!("{} h {} min", minutes / 60, minutes % 60),
        _ => format!("{} days {} h", minutes / 1440, minutes % 1440 / 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_left_is_said_in_the_unit_in_which_people_plan() {
        let left = |ms: i64| words_for_left(Time(1_000_000 + ms), Time(1_000_000));
        assert_eq!(left(-5), "0 s");
        assert_eq!(left(45_000), "45 s");
        assert_eq!(left(15 * 60_000 - 40), "15 min");
        assert_eq!(left(3 * 3_600_000 + 20 * 60_000), "3 h 20 min");
        assert_eq!(left(7 * 86_400_000), "7 days 0 h");
    }
}
