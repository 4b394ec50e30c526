//! One request, whole: what `show` prints and what `approve` and `deny` show
//! before they ask. Everything a decision needs is on it, in the order in which
//! a person needs it: what will happen, who asks, with which arguments, what
//! warns, what the agent says, who has to agree, and the exact commands.

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use super::output::{Tone, View};
use super::text::{count, indented, safe, short};
use super::{mail_queue, records, words};
use crate::call::json;
use crate::call::model::{Status, Strength};
use crate::call::present::{self, Limits};
use crate::call::safe_text::name_notice;
use crate::proto::{GetRequestResponse, Request, Use};

/// How much of the arguments is shown, and whether commands follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wanted {
    /// All of the arguments, however long.
    pub all_arguments: bool,
    /// The commands that decide it.
    pub commands: bool,
}

/// The page.
pub fn page(shown: &GetRequestResponse, wanted: Wanted, view: &View) -> String {
    let Some(r) = &shown.request else {
        return String::new();
    };
    let mut page = Page { view, text: String::new() };
    page.heading(r);
    page.who(r);
    page.warnings(r);
    page.arguments(r, wanted.all_arguments);
    page.explanation(r);
    page.agreement(r);
    page.afterwards(r);
    page.identity(r);
    if wanted.commands && r.status == Status::Pending.number() {
        page.commands(shown, r, wanted.all_arguments);
    } else if wanted.commands && is_cut(r, wanted.all_arguments) {
        page.gap();
        page.text.push_str(&format!("  All of it: holdpoint show {} --args\n", safe(&r.id)));
    }
    page.text
}

/// How much of the arguments nobody has seen, as in `1 value hidden, 2 values
/// cut`; empty if all of them are on the page.
pub fn unseen(r: &Request, all: bool) -> String {
    let cut = cut_values(r, all);
    let said = |n: u32, how: &str| {
        (n > 0).then(|| format!("{} {how}", count(n.into(), "value", "values")))
    };
    let notes: Vec<String> =
        [said(r.hidden_values, "hidden"), said(cut, "cut")].into_iter().flatten().collect();
    notes.join(", ")
}

fn cut_values(r: &Request, all: bool) -> u32 {
    json::parse_envelope(r.arguments.as_bytes())
        .map_or(1, |masked| present::arguments(&masked, limits(all)).cut)
}

/// Whether `--args` would show more.
fn is_cut(r: &Request, all: bool) -> bool {
    !all && cut_values(r, all) > 0
}

fn limits(all: bool) -> &'static Limits {
    if all { &Limits::FULL } else { &Limits::TERMINAL }
}

struct Page<'a> {
    view: &'a View,
    text: String,
}

/// Columns of the labels at the left.
const LABEL: usize = 12;

impl Page<'_> {
    /// A line; what is longer than the terminal continues below, marked, so
    /// that no part of a value can pass for a line of ours.
    fn line(&mut self, text: &str) {
        self.toned(Tone::Plain, text);
    }

    fn toned(&mut self, tone: Tone, text: &str) {
        for part in wrapped(text, self.view) {
            self.text.push_str(&self.view.paint(tone, &part));
            self.text.push('\n');
        }
    }

    fn gap(&mut self) {
        self.text.push('\n');
    }

    /// "  for         bea@example.com"; nothing if there is no text.
    fn field(&mut self, label: &str, text: &str) {
        if !text.is_empty() {
            self.line(&format!("  {label:<LABEL$}{text}"));
        }
    }

    fn heading(&mut self, r: &Request) {
        let masked =
            json::parse_envelope(r.arguments.as_bytes()).unwrap_or(json::Json::Object(vec![]));
        let (category, risk) = (records::category(r.category), records::risk(r.risk));
        let sentence = present::sentence(category, risk, &r.server, &r.tool, &masked);
        self.toned(Tone::Strong, sentence.as_str());
        self.gap();
        let status = self.view.paint(words::status(r.status), records::status(r.status));
        let when = match Status::from_number(r.status) {
            Some(Status::Pending) => self.view.deadline(&r.deadline, r.time_left_ms),
            _ => self.view.time(&r.ended_at),
        };
        // Painted text cannot be measured, so it is not wrapped; it is short.
        self.text.push_str(&format!("  {:<LABEL$}{status} [{}]\n", "status", short(&r.id)));
        self.field(if r.status == Status::Pending.number() { "expires" } else { "ended" }, &when);
        let open = r.status == Status::Pending.number()
            || (r.status == Status::Approved.number() && r.r#use() == Use::Unused);
        if open && !r.waited_on {
            let nobody =
                "by nobody just now: it runs only if the same call comes again in its session";
            self.field("waited for", nobody);
        }
        for (label, tone, word) in [
            ("category", words::category(r.category), category),
            ("risk", words::risk(r.risk), risk),
        ] {
            let word = self.view.paint(tone, word);
            self.text.push_str(&format!("  {label:<LABEL$}{word}\n"));
        }
        let evidence: Vec<String> = r.evidence.iter().map(|line| safe(line)).collect();
        self.field("because", &evidence.join("; "));
    }

    fn who(&mut self, r: &Request) {
        let agent = r.agent.clone().unwrap_or_default();
        let mut asked = match agent.name.as_str() {
            "" => "agent not stated".to_owned(),
            name => safe(name),
        };
        if !agent.version.is_empty() {
            asked = format!("{asked} {}", safe(&agent.version));
        }
        if !agent.session.is_empty() {
            asked = format!("{asked}, session {}", safe(&agent.session));
        }
        self.field("asked by", &asked);
        self.field("for", &safe(&agent.on_behalf_of));
        let client = if r.client.is_empty() {
            String::new()
        } else {
            format!(", for client {}", safe(&r.client))
        };
        self.field("held by", &format!("{}{client}", safe(&r.caller)));
        let revision = match r.policy_revision.as_str() {
            "" => String::new(),
            revision => format!(" (policy {})", safe(revision)),
        };
        if !r.rule.is_empty() {
            self.field("rule", &format!("{}{revision}", safe(&r.rule)));
        }
        self.field("asked at", &self.view.time(&r.created_at));
        let mut labels: Vec<String> =
            r.labels.iter().map(|(k, v)| format!("{}={}", safe(k), safe(v))).collect();
        labels.sort();
        self.field("labels", &labels.join(", "));
    }

    fn warnings(&mut self, r: &Request) {
        let mut warnings: Vec<String> =
            present::unstated(records::category(r.category), records::risk(r.risk))
                .map(str::to_owned)
                .into_iter()
                .collect();
        if !r.definition_changed.is_empty() {
            warnings.push(safe(&r.definition_changed));
        }
        for (what, name) in [("tool", &r.tool), ("server", &r.server)] {
            if let Some(notice) = name_notice(name) {
                warnings.push(format!("the {what}'s {notice}: {}", safe(name)));
            }
        }
        for id in &r.may_have_run {
            let id = short(id);
            warnings.push(format!(
                "this call may have run already: nobody knows how [{id}] ended; look before you approve"
            ));
        }
        if !r.identical_to.is_empty() {
            let id = short(&r.identical_to);
            warnings.push(format!("an identical call is already waiting: [{id}]"));
        }
        if r.asked_again > 0 {
            warnings.push(format!(
                "asked again {} after it was denied",
                count(r.asked_again.into(), "time", "times")
            ));
        }
        for line in &r.not_covered {
            warnings.push(format!("not covered by the digest: {}", safe(line)));
        }
        if !warnings.is_empty() {
            self.gap();
        }
        for warning in warnings {
            self.toned(Tone::Caution, &format!("  ! {warning}"));
        }
    }

    fn arguments(&mut self, r: &Request, all: bool) {
        self.gap();
        match json::parse_envelope(r.arguments.as_bytes()) {
            Ok(masked) => {
                let shown = present::arguments(&masked, limits(all));
                let mut notes = Vec::new();
                if r.hidden_values > 0 {
                    notes.push(format!(
                        "{} hidden",
                        count(r.hidden_values.into(), "value", "values")
                    ));
                }
                if shown.cut > 0 {
                    let how = if all { "" } else { "; --args shows all" };
                    notes.push(format!("{} cut{how}", count(shown.cut.into(), "value", "values")));
                }
                let notes = if notes.is_empty() {
                    String::new()
                } else {
                    format!(" ({})", notes.join(", "))
                };
                self.toned(Tone::Strong, &format!("  Arguments{notes}"));
                for line in shown.lines {
                    self.line(&format!("    {line}"));
                }
            }
            // Only a broken or newer daemon sends such a thing.
            Err(_) => {
                self.line(&format!("  Arguments, not readable as JSON: {}", safe(&r.arguments)))
            }
        }
    }

    fn explanation(&mut self, r: &Request) {
        if r.explanation.is_empty() {
            return;
        }
        self.gap();
        self.toned(Tone::Strong, "  The agent says (its own words, which prove nothing)");
        for line in indented(&r.explanation, "    | ").lines() {
            self.line(line);
        }
    }

    fn agreement(&mut self, r: &Request) {
        self.gap();
        let names: Vec<String> = r.asked.iter().map(|name| safe(name)).collect();
        self.field("asked", &names.join(", "));
        let looks: Vec<String> = r
            .looked
            .iter()
            .map(|look| format!("{}, {}", safe(&look.operator), self.view.time(&look.at)))
            .collect();
        let pending = r.status == Status::Pending.number();
        let nobody = if looks.is_empty() && pending { "nobody yet" } else { "" };
        self.field("looked", &format!("{}{nobody}", looks.join("; ")));
        if !r.unreached_at.is_empty() {
            let why = format!("nobody could be reached: {}", safe(&r.unreached_why));
            self.toned(Tone::Caution, &format!("  {:<LABEL$}{why}", "mail"));
        }
        for clause in &r.clauses {
            let groups: Vec<String> = clause.groups.iter().map(|group| safe(group)).collect();
            let whom =
                if groups.is_empty() { "any operator".to_owned() } else { groups.join(" or ") };
            self.field(
                "needs",
                &format!(
                    "{} of {} from {whom} (route {})",
                    clause.approved,
                    clause.approvals,
                    safe(&clause.route)
                ),
            );
        }
        for d in &r.decisions {
            let reason =
                if d.reason.is_empty() { String::new() } else { format!(": {}", safe(&d.reason)) };
            let own = if d.own_call { ", on a call of their own" } else { "" };
            let local = if d.strength == Strength::Local.number() { " (local)" } else { "" };
            let verdict = match records::verdict(d.verdict) {
                "approve" => "approved",
                "deny" => "denied",
                other => other,
            };
            let when = self.view.time(&d.decided_at);
            self.field(
                "decision",
                &format!("{verdict} by {}{local}{own}, {when}{reason}", safe(&d.operator)),
            );
        }
        if r.denial_lifted {
            self.field("", "the denial was lifted: the same call may be asked again");
        }
        for line in mail_queue::notices(&r.notices, self.view) {
            self.field("mail", &line);
        }
    }

    fn afterwards(&mut self, r: &Request) {
        match records::use_(r.r#use) {
            "none" => return,
            "unused" => self
                .field("use", &format!("not taken yet; lapses {}", self.view.time(&r.lapses_at))),
            "taken" => self.field("use", &format!("taken, {}", self.view.time(&r.used_at))),
            word => self.field("use", word),
        }
        let detail = if r.outcome_detail.is_empty() {
            String::new()
        } else {
            format!(": {}", safe(&r.outcome_detail))
        };
        match records::outcome(r.outcome) {
            "none" if r.outcome_expected => self.field("outcome", "not reported yet"),
            "none" => {}
            word => {
                self.field("outcome", &format!("{word}{detail}, {}", self.view.time(&r.outcome_at)))
            }
        }
    }

    fn identity(&mut self, r: &Request) {
        self.field("id", &safe(&r.id));
        self.field("digest", &safe(&r.digest));
    }

    fn commands(&mut self, shown: &GetRequestResponse, r: &Request, all: bool) {
        self.gap();
        let see_all = format!("holdpoint show {} --args", safe(&r.id));
        if !shown.may_decide && !shown.may_not_decide_because.is_empty() {
            self.line(&format!("  You cannot decide it: {}", safe(&shown.may_not_decide_because)));
            if is_cut(r, all) {
                self.text.push_str(&format!("  All of it: {see_all}\n"));
            }
            return;
        }
        // Said here too: what stands above may have scrolled away.
        let unseen = unseen(r, all);
        if !unseen.is_empty() {
            self.toned(
                Tone::Caution,
                &format!("  ! {unseen}: you have not seen all that will run"),
            );
        }
        // Not wrapped: they are there to be copied.
        let digest = safe(r.digest.get(..16).unwrap_or(&r.digest));
        let id = safe(&r.id);
        if is_cut(r, all) {
            self.text.push_str(&format!("  See the rest first: {see_all}\n"));
        }
        self.text.push_str(&format!("  holdpoint approve {id} --digest {digest}\n"));
        self.text.push_str(&format!("  holdpoint deny {id} --digest {digest} --reason TEXT\n"));
    }
}

/// A line in pieces of at most the terminal's width; every piece but the first
/// begins with an arrow, a little further in than the line itself.
pub(super) fn wrapped(text: &str, view: &View) -> Vec<String> {
    if !view.terminal || text.width() <= view.width {
        return vec![text.to_owned()];
    }
    let margin = text.len() - text.trim_start_matches(' ').len();
    let next = format!("{}↳ ", " ".repeat((margin + 2).min(view.width / 2)));
    let mut pieces = vec![String::new()];
    let mut used = 0;
    for c in text.chars() {
        let columns = c.width().unwrap_or(0);
        if used + columns > view.width
            && let Some(full) = pieces.last_mut()
        {
            // Between words if one ends near the margin, else where it is.
            let start = full.len() - full.trim_start_matches([' ', '↳']).len();
            let space = full[start..].rfind(' ').map(|at| start + at + 1);
            let near = space.filter(|at| full[*at..].width() <= NEAR_MARGIN);
            let moved = near.map(|at| full.split_off(at)).unwrap_or_default();
            full.truncate(full.trim_end().len());
            used = next.width() + moved.width();
            pieces.push(next.clone() + &moved);
        }
        used += columns;
        if let Some(piece) = pieces.last_mut() {
            piece.push(c);
        }
    }
    pieces
}

/// A word that begins so near the margin goes to the next line whole.
const NEAR_MARGIN: usize = 20;
