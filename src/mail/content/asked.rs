//! The letter that asks for a decision, and the one that reminds of it.

use super::{
    Body, Clock, Command, Content, Mark, Section, Tone, approvers, counted, joined, link, ours,
    sentence, who,
};
use crate::call::json::{self, Json};
use crate::call::model::{Category, Request, Risk, Verdict};
use crate::call::present::Rendered;
use crate::call::requirement::Clause;
use crate::call::safe_text::SafeText;
use crate::call::warnings;
use crate::desk::people::who_is_asked;
use crate::mail::letter::{About, Recipient};
use crate::mail::limits::{self, fitting, listed};
use crate::policy::judging::{Danger, Says};

/// All there is to know before one decides.
pub(super) fn asked(request: &Request, about: &About, to: &Recipient, clock: &Clock) -> Content {
    let arguments = json::parse_envelope(request.call.arguments.as_bytes()).ok();
    let (left, until) = (clock.left(request.deadline), clock.at(request.deadline));
    let time_left = Section {
        heading: "Time left",
        note: String::new(),
        body: Body::Words(vec![ours(&format!("{left} left, until {until}."))]),
    };
    let sections = vec![
        arguments_section(request, arguments.as_ref(), about),
        agents_words(request),
        who_asks(request),
        what_held_it(request, about),
        time_left,
        to_decide(request, arguments.as_ref(), about),
    ];
    let needs = match people_needed(request) {
        Some(people) => format!("Needs {people}, until {until}"),
        None => format!("Waits until {until}"),
    };
    let says = Says::of(&request.call);
    Content {
        title: "Approval needed",
        tone: Tone::Asks(Danger::of(&request.call, &says)),
        headline: sentence(request),
        marks: marks(request, &says),
        asked_by: Some(asked_by(request)),
        under: vec![ours(&format!("{needs} ({left} after this was sent)."))],
        warnings: warnings(request, &says, limits::LISTED),
        button: link::review(request, about, to),
        sections,
        leave: None,
        last: link::whose_words(about),
    }
}

/// The facts and commands again, and who has done what so far.
pub(super) fn reminder(request: &Request, about: &About, to: &Recipient, clock: &Clock) -> Content {
    let arguments = json::parse_envelope(request.call.arguments.as_bytes()).ok();
    let (left, until) = (clock.left(request.deadline), clock.at(request.deadline));
    let sections = vec![
        arguments_section(request, arguments.as_ref(), about),
        who_asks(request),
        so_far(request, about, clock),
        to_decide(request, arguments.as_ref(), about),
    ];
    let reminder = ours(&format!("Reminder: {left} left when this was sent, until {until}."));
    let needs = people_needed(request).map(|people| {
        let needs = ours(&format!("Needs {people}; approved so far by "));
        let some = approvers(request, limits::NAME).unwrap_or_else(|| ours("nobody"));
        joined(&[&needs, &some, &ours(".")])
    });
    let says = Says::of(&request.call);
    Content {
        title: "Still waiting",
        tone: Tone::Asks(Danger::of(&request.call, &says)),
        headline: sentence(request),
        marks: marks(request, &says),
        asked_by: Some(asked_by(request)),
        under: std::iter::once(reminder).chain(needs).collect(),
        warnings: warnings(request, &says, limits::LISTED),
        button: link::review(request, about, to),
        sections,
        leave: None,
        last: link::whose_words(about),
    }
}

/// What to know before anything else, with so many of the things that the
/// digest does not cover.
pub(super) fn warnings(request: &Request, says: &Says, listed: usize) -> Vec<SafeText> {
    let (columns, sentence) = (limits::LONG_VALUE, limits::SENTENCE);
    let rest = warnings::warnings(request, warnings::Room { listed, columns, sentence });
    says.warnings(&request.call).into_iter().chain(rest).collect()
}

/// Category, risk, and what makes a decision more than one tap, each as the pages
/// colour it.
fn marks(request: &Request, says: &Says) -> Vec<Mark> {
    let call = &request.call;
    let mut marks = Vec::new();
    let mut plain = None;
    let mut mark = |danger, words: String| marks.push(Mark { danger: Some(danger), words });
    let does = Danger::of_what_it_does(call, says);
    match (says.belies(), call.category) {
        (Some(looks), category) => {
            plain = Some(format!("called {category}"));
            mark(does, format!("looks {looks}"));
        }
        (None, Category::Unspecified) => mark(does, "category not stated".to_owned()),
        (None, category) => mark(does, category.to_string()),
    }
    let risk = match call.risk {
        Risk::Unspecified => "risk not stated".to_owned(),
        risk => format!("{risk} risk"),
    };
    mark(Danger::of_risk(call.risk), risk);
    if call.hidden_values > 0 {
        mark(Danger::Much, counted(call.hidden_values, "hidden"));
    }
    if let Some(people) = people_needed(request) {
        mark(Danger::Much, format!("needs {people}"));
    }
    let called = plain.map(|words| Mark { danger: None, words });
    called.into_iter().chain(marks).collect()
}

/// `Asked by agent claude-code for jane@example.com; caller gateway-eu. Only the caller
/// is proven.`
fn asked_by(request: &Request) -> SafeText {
    let agent = &request.call.agent;
    let says_agent = !(agent.name.is_empty() && agent.version.is_empty());
    let (asked, end) = match (says_agent, agent.on_behalf_of.is_empty()) {
        (_, true) => ("Asked by ", ", for nobody named."),
        (true, false) => ("Asked by ", ". Only the caller is proven."),
        (false, false) => ("Asked ", ". Only the caller is proven."),
    };
    joined(&[&ours(asked), &who(request), &ours(end)])
}

fn who_asks(request: &Request) -> Section {
    let call = &request.call;
    let agent = [call.agent.name.as_str(), call.agent.version.as_str()].join(" ");
    let (session, cut) = limits::cut_line(&call.agent.session, limits::SESSION);
    let agent = match agent.trim() {
        "" => ours("not stated"),
        agent => fitting(agent, limits::VALUE),
    };
    let session = if cut == 0 { session } else { SafeText::join([&session, &ours("…")], "") };
    let mut facts = vec![
        ("Caller".to_owned(), fitting(&call.caller, limits::VALUE)),
        ("Client".to_owned(), fitting(&call.client, limits::VALUE)),
        ("Agent".to_owned(), agent),
        ("Session".to_owned(), session),
        ("On behalf of".to_owned(), fitting(&call.agent.on_behalf_of, limits::VALUE)),
    ];
    facts.retain(|(_, value)| !value.is_empty());
    Section {
        heading: "Who asks",
        note: "Only the caller is proven; the rest is as the caller and the agent say.".to_owned(),
        body: Body::Facts(facts),
    }
}

/// The arguments as far as they fit, and how to see the rest.
pub(super) fn arguments_section(request: &Request, tree: Option<&Json>, about: &About) -> Section {
    let all = Command::new(about, &format!("show {} --args", request.id), &[]);
    let hidden = match warnings::hidden(request.call.hidden_values) {
        None => "; nothing is hidden.".to_owned(),
        Some(hidden) => format!(".\n{hidden}."),
    };
    let (lines, cut, note) = match tree {
        // The store gave back what it was not given: nobody should approve this.
        None => (Vec::new(), 1, "They cannot be read back and are not shown.".to_owned()),
        Some(tree) => {
            let Rendered { lines, cut } = limits::arguments(tree);
            let note = match cut {
                0 => format!("Nothing is cut{hidden}"),
                cut => format!("Not complete: {}{hidden}", counted(cut, "cut")),
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
    let mut fact = |label: &str, value: SafeText| {
        if !value.is_empty() {
            facts.push((label.to_owned(), value));
        }
    };
    let stated = |word| match word {
        "unspecified" => ours("not stated, treated as the most dangerous"),
        word => ours(word),
    };
    fact("Category", stated(call.category.word()));
    fact("Risk", stated(call.risk.word()));
    // In one line, and no longer than a list of names.
    fact("Because", fitting(&call.evidence.join("; "), limits::LONG_VALUE));
    fact("Rule", fitting(&call.rule, limits::VALUE));
    fact("Policy", fitting(&call.policy_revision, limits::VALUE));
    for clause in request.requirement.clauses.iter().take(limits::LISTED) {
        fact("Route", fitting(&needed(clause), limits::LONG_VALUE));
    }
    fact("Asked", fitting(&listed(&about.asked, ", "), limits::LONG_VALUE));
    fact("Approved by", fitting(&listed(&approved_by(request), ", "), limits::LONG_VALUE));
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

/// What has happened since the request was first told of.
fn so_far(request: &Request, about: &About, clock: &Clock) -> Section {
    let names = |names: &[String]| match names {
        [] => ours("nobody yet"),
        names => fitting(&listed(names, ", "), limits::LONG_VALUE),
    };
    let looked: Vec<String> = request.looked.iter().map(|look| look.operator.clone()).collect();
    let facts = vec![
        ("Asked at".to_owned(), ours(&clock.at(request.created))),
        ("Asked".to_owned(), names(&about.asked)),
        ("Looked".to_owned(), names(&looked)),
        ("Approved by".to_owned(), names(&approved_by(request))),
    ];
    Section { heading: "So far", note: String::new(), body: Body::Facts(facts) }
}

fn approved_by(request: &Request) -> Vec<String> {
    let approved = request.decisions.iter().filter(|d| d.verdict == Verdict::Approve);
    approved.map(|decision| decision.operator.clone()).collect()
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

/// `2 people`; where one may be enough there is nothing to say.
pub(super) fn people_needed(request: &Request) -> Option<String> {
    let requirement = &request.requirement;
    // One person may count in several clauses.
    let least = if requirement.clauses.len() > 1 { "at least " } else { "" };
    requirement.several().map(|n| format!("{least}{n} people"))
}

fn to_decide(request: &Request, tree: Option<&Json>, about: &About) -> Section {
    let how = match about.links {
        None => "Type one of these in a terminal.",
        Some(_) => "Without a browser, type one of these in a terminal.",
    };
    let mut note = format!("{how} Answering this mail does nothing.");
    let cut = tree.map_or(1, |tree| limits::arguments(tree).cut);
    let unseen = [(request.call.hidden_values, "hidden"), (cut, "cut")];
    let unseen: Vec<String> =
        unseen.into_iter().filter(|(n, _)| *n > 0).map(|(n, how)| counted(n, how)).collect();
    if !unseen.is_empty() {
        // Said here too: the arguments may be screens away.
        note.push_str(&format!("\nNot shown above: {}.", unseen.join(", ")));
    }
    let mut commands = vec![
        ("To let it run, once".to_owned(), Command::approve(about, request)),
        ("To refuse it, and say why".to_owned(), Command::deny(about, request)),
    ];
    match cut {
        0 => commands.push(("To see all of it".to_owned(), Command::show(about, request))),
        // Before the others: who decides should have seen all of it.
        _ => {
            let show = Command::new(about, &format!("show {} --args", request.id), &[]);
            let first = "Not all of it is shown above. See the rest first";
            commands.insert(0, (first.to_owned(), show));
        }
    }
    Section { heading: "To decide", note, body: Body::Commands(commands) }
}
