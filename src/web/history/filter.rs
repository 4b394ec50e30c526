//! The history's filters, as they stand in an address.
//!
//! Promises: what an address says is what is asked, or is said to be wrong; a page
//! that follows another asks the same question, also where "the last two hours" have
//! moved on meanwhile: its address has the times themselves.

use chrono::{NaiveDate, NaiveDateTime, NaiveTime, TimeZone as _};
use chrono_tz::Tz;

use crate::call::clock::Clock;
use crate::call::ids::RequestId;
use crate::call::model::{Category, Status};
use crate::call::time::Time;
use crate::config::duration;
use crate::desk::history::text_fault;
use crate::store::audit::Kind;
use crate::store::query::{Filter, Question};
use crate::web::form::Form;

/// Entries on a page.
pub const ON_A_PAGE: usize = 50;

/// Longest value of a filter: names have at most 200 bytes.
const LONGEST: usize = 400;

/// The names that are compared, with what they are in words.
pub const NAMES: [(&str, &str); 7] = [
    ("server", "server"),
    ("tool", "tool"),
    ("operator", "operator"),
    ("caller", "caller"),
    ("client", "client"),
    ("agent", "agent"),
    ("session", "session"),
];

/// What an address asks.
#[derive(Debug, Default)]
pub struct Asked {
    /// The question, without a place to begin at.
    pub question: Question,
    /// What was typed; of a time, the words.
    pub typed: Form,
    /// What cannot be asked: which field, and why.
    pub wrong: Vec<(&'static str, String)>,
}

impl Asked {
    /// Reads the query of an address. Times without a zone are the reader's.
    pub fn of(form: Form, clock: &Clock) -> Asked {
        let mut wrong = Vec::new();
        let filter = filter(&form, clock, &mut wrong);
        let ascending = form.text("order") == "oldest";
        let mut question = Question { filter, ascending, most: ON_A_PAGE, after: None };
        let token = form.text("page");
        if !token.is_empty() {
            question.after = question.read_token(token);
            if question.after.is_none() && wrong.is_empty() {
                let why = "this page is one of another question; begin with the first one";
                wrong.push(("page", why.to_owned()));
            }
        }
        Asked { question, typed: form, wrong }
    }

    /// The address of the same question, behind a place.
    pub fn path(&self, after: Option<u64>) -> String {
        let token = after.map(|sequence| self.question.token(sequence));
        self.address(None, token.as_deref())
    }

    /// The address of the question without one of its filters.
    pub fn without(&self, field: &str) -> String {
        self.address(Some(field), None)
    }

    /// The filters that are set: field, what it is in words, value. The words of a
    /// time are in its place, see [`Asked::times`].
    pub fn set(&self) -> Vec<(&'static str, &'static str, String)> {
        let filter = &self.question.filter;
        let mut set = Vec::new();
        let mut say = |field, words, value: Option<String>| {
            set.extend(value.map(|value| (field, words, value)));
        };
        say("kind", "what happened:", filter.kind.as_ref().map(|kind| kind.replace('_', " ")));
        say("status", "status", filter.status.map(|s| s.word().to_owned()));
        say("category", "category", filter.category.map(|c| c.word().to_owned()));
        for (field, words) in NAMES {
            say(field, words, name(filter, field).clone());
        }
        say("text", "words", filter.text.clone());
        say("request", "request", filter.request.map(|id| id.to_string()));
        set
    }

    /// The times that are set: field, words, time.
    pub fn times(&self) -> Vec<(&'static str, &'static str, Time)> {
        let filter = &self.question.filter;
        let times = [("since", "since", filter.since), ("until", "before", filter.until)];
        times.into_iter().filter_map(|(field, words, at)| Some((field, words, at?))).collect()
    }

    fn address(&self, but: Option<&str>, token: Option<&str>) -> String {
        let filter = &self.question.filter;
        let mut query = form_urlencoded::Serializer::for_suffix("/history?".to_owned(), 9);
        let mut add = |field: &str, value: Option<&str>| {
            if let Some(value) = value.filter(|_| but != Some(field)) {
                query.append_pair(field, value);
            }
        };
        add("since", filter.since.map(Time::rfc3339).as_deref());
        add("until", filter.until.map(Time::rfc3339).as_deref());
        for (field, _) in NAMES {
            add(field, name(filter, field).as_deref());
        }
        add("category", filter.category.map(Category::word));
        add("status", filter.status.map(Status::word));
        add("text", filter.text.as_deref());
        add("request", filter.request.map(|id| id.to_string()).as_deref());
        add("kind", filter.kind.as_deref());
        add("order", self.question.ascending.then_some("oldest"));
        add("page", token);
        query.finish()
    }
}

fn name<'a>(filter: &'a Filter, field: &str) -> &'a Option<String> {
    match field {
        "server" => &filter.server,
        "tool" => &filter.tool,
        "operator" => &filter.operator,
        "caller" => &filter.caller,
        "client" => &filter.client,
        "agent" => &filter.agent,
        _ => &filter.session,
    }
}

fn filter(form: &Form, clock: &Clock, wrong: &mut Vec<(&'static str, String)>) -> Filter {
    let mut given = |field: &'static str| {
        let text = form.text(field).trim();
        if text.len() > LONGEST {
            wrong.push((field, format!("{} bytes; at most {LONGEST} are taken", text.len())));
            return None;
        }
        (!text.is_empty()).then(|| text.to_owned())
    };
    let [since, until, category, status, kind, text, request] =
        ["since", "until", "category", "status", "kind", "text", "request"].map(&mut given);
    let [server, tool, operator, caller, client, agent, session] =
        NAMES.map(|(field, _)| given(field));
    let zone = clock.zone.unwrap_or(Tz::UTC);
    let mut time = |field, text: Option<String>| {
        let read = moment(&text?, clock.now, zone);
        read.map_err(|why| wrong.push((field, why.to_owned()))).ok()
    };
    let (since, until) = (time("since", since), time("until", until));
    let category = read(wrong, "category", category, Category::from_word);
    let status = read(wrong, "status", status, Status::from_word);
    let kind = kind.filter(|kind| {
        let known = Kind::ALL.iter().any(|known| known.word() == kind);
        if !known {
            wrong.push(("kind", "there is no such kind of entry".to_owned()));
        }
        known
    });
    let request = read(wrong, "request", request, |id| id.parse::<RequestId>().ok());
    if let Some(why) = text.as_deref().and_then(text_fault) {
        wrong.push(("text", why));
    }
    Filter {
        since,
        until,
        caller,
        client,
        agent,
        session,
        server,
        tool,
        category,
        status,
        operator,
        text,
        request,
        kind,
    }
}

fn read<T>(
    wrong: &mut Vec<(&'static str, String)>,
    field: &'static str,
    text: Option<String>,
    known: impl Fn(&str) -> Option<T>,
) -> Option<T> {
    let text = text?;
    let found = known(&text);
    if found.is_none() {
        let why = match field {
            "request" => "a whole request id is expected, such as a request's page has",
            _ => "not one of those that there are",
        };
        wrong.push((field, why.to_owned()));
    }
    found
}

/// An RFC 3339 time, a day or a time on the reader's clock, or how long ago.
pub fn moment(text: &str, now: Time, zone: Tz) -> Result<Time, &'static str> {
    if let Some(at) = Time::parse(text) {
        return Ok(at);
    }
    let local = NaiveDate::parse_from_str(text, "%Y-%m-%d").map(|day| day.and_time(NaiveTime::MIN));
    let minute = || {
        NaiveDateTime::parse_from_str(text, "%Y-%m-%d %H:%M")
            .or_else(|_| NaiveDateTime::parse_from_str(text, "%Y-%m-%dT%H:%M"))
    };
    if let Ok(local) = local.or_else(|_| minute()) {
        return on(local, zone).ok_or("a time that there is on your clock");
    }
    match duration::parse(text) {
        Ok(ago) => Ok(now - ago),
        Err(_) => Err("how long ago (2h, 7d), a day (2026-11-22), or a time (2026-11-22 14:05)"),
    }
}

/// A time on a clock; the first of two, and the first after a gap.
pub fn on(local: NaiveDateTime, zone: Tz) -> Option<Time> {
    // No clock is put forward by more than this.
    let within = (0..=4)
        .filter_map(|halves| local.checked_add_signed(chrono::Duration::minutes(30 * halves)));
    let found = within.filter_map(|local| zone.from_local_datetime(&local).earliest()).next();
    found.map(|at| Time(at.timestamp_millis()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Time = Time(1_800_000_000_000);

    fn asked(query: &str) -> Asked {
        let clock = Clock { now: NOW, zone: Some(Tz::Europe__Berlin) };
        Asked::of(Form::read(query.as_bytes()), &clock)
    }

    fn again(path: &str) -> Asked {
        asked(path.split_once('?').expect("a query").1)
    }

    #[test]
    fn every_filter_comes_back_from_its_address() {
        let id = RequestId::new(NOW.0);
        let all = asked(&format!(
            "since=2h&until=2027-01-15+10%3A30&caller=a%26b&client=c%3D&agent=%3Cd%3E&session=e+f\
             &server=%E2%80%AE&tool=h%25&operator=ana&category=write&status=denied\
             &text=zebra+two&request={id}&kind=approval_counted&order=oldest"
        ));
        assert_eq!(all.wrong, []);
        let filter = &all.question.filter;
        assert_eq!(filter.since, Some(NOW - std::time::Duration::from_secs(7200)));
        assert_eq!(filter.until, Time::parse("2027-01-15T09:30:00Z"), "on the reader's clock");
        assert_eq!((filter.caller.as_deref(), filter.client.as_deref()), (Some("a&b"), Some("c=")));
        assert!(all.set().len() == 12 && all.times().len() == 2, "{:?}", all.set());
        let mut same = again(&all.path(None));
        assert_eq!(same.wrong, []);
        assert_eq!((&same.question.filter, same.question.ascending), (filter, true));

        same = again(&all.path(Some(77)));
        assert_eq!((same.wrong, same.question.after), (Vec::new(), Some(77)));
        for (field, ..) in all.set() {
            let less = again(&all.without(field));
            assert_eq!(less.set().len(), 11, "{field}");
            assert!(less.set().iter().all(|(other, ..)| *other != field));
        }
    }

    #[test]
    fn a_page_of_another_question_is_refused() {
        let token = asked("tool=a").question.token(9);
        assert_eq!(asked(&format!("tool=a&page={token}")).question.after, Some(9));
        let other = asked(&format!("tool=b&page={token}"));
        assert_eq!((other.question.after, other.wrong[0].0), (None, "page"));
    }

    #[test]
    fn what_cannot_be_asked_is_said_and_not_left_out() {
        for (query, field) in [
            ("category=writes", "category"),
            ("status=open", "status"),
            ("kind=everything", "kind"),
            ("since=yesterday", "since"),
            ("until=2026-13-01", "until"),
            ("request=42", "request"),
            ("text=%21%21", "text"),
        ] {
            let wrong = asked(query).wrong;
            assert_eq!(wrong.iter().map(|(field, _)| *field).collect::<Vec<_>>(), [field]);
        }
        assert_eq!(asked(&format!("tool={}", "x".repeat(401))).wrong[0].0, "tool");
    }

    #[test]
    fn a_time_in_the_gap_of_a_clock_is_the_first_after_it() {
        let at = moment("2027-03-28 02:30", NOW, Tz::Europe__Berlin);
        assert_eq!(at, Ok(Time::parse("2027-03-28T01:00:00Z").expect("a time")));
        let midnight = moment("2026-11-22", NOW, Tz::UTC);
        assert_eq!(midnight.ok(), Time::parse("2026-11-22T00:00:00Z"));
    }
}
