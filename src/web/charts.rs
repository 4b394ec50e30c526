//! Charts of what became of requests, for those who see all of them.
//!
//! Each says in a sentence what it shows, and has its numbers in a table below it.

mod bars;
mod period;
mod screen;

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{RawQuery, State};
use axum::response::{IntoResponse as _, Response};
use maud::{Markup, html};

use super::answer::Trouble;
use super::form::Form;
use super::history::not_an_auditor;
use super::layout::{Here, page as whole_page};
use super::tables::{lasted, number, percent, table, thousands};
use super::who::Who;
use super::{Pages, words};
use crate::call::clock::Clock;
use crate::call::model::Status;
use crate::call::safe_text::SafeText;
use crate::call::time::Time;
use crate::store::Walk;
use crate::store::charts::{self, MOST_REQUESTS, Numbers, Span};
use bars::{Bar, bars, figure, legend, listed};
use period::Period;

/// How a request stands, as a part of a bar, from below.
const ENDS: [(Status, &str, &str); 5] = [
    (Status::Approved, "bar-approved", "approved"),
    (Status::Denied, "bar-denied", "denied"),
    (Status::Expired, "bar-expired", "expired"),
    (Status::Withdrawn, "bar-withdrawn", "withdrawn"),
    (Status::Pending, "bar-pending", "still pending"),
];

/// GET /history/charts
pub async fn page(
    State(pages): State<Arc<Pages>>,
    RawQuery(query): RawQuery,
    who: Who,
) -> Result<Response, Trouble> {
    if !who.operator().sees_all() {
        return Err(not_an_auditor());
    }
    let form = Form::read(query.unwrap_or_default().as_bytes());
    let period = Period::of(form.text("period"));
    let edges = period.edges(&who.clock);
    let asked = edges.clone();
    // One such question at a time: it reads for longer than others.
    let store = pages.desk.store();
    let read = store.walk(Walk::Charts, move |conn| charts::numbers(conn, &asked, MOST_REQUESTS));
    let numbers = read.await?;
    let body = html! {
        p.back { a href="/history" { "History" } }
        h1 { "The last " (period.words()) }
        nav.periods aria-label="Period" {
            @for other in Period::ALL {
                a href=(format!("/history/charts?period={}", other.word()))
                    aria-current=[(other == period).then_some("page")] { (other.words()) }
            }
        }
        (content(&numbers, period, &edges, &who.clock))
    };
    let title = SafeText::line("Charts");
    Ok(whole_page(&who, Here::History, &title, &body).into_response())
}

fn content(numbers: &Numbers, period: Period, edges: &[Time], clock: &Clock) -> Markup {
    let all = Span::together(&numbers.spans);
    let labels: Vec<String> =
        numbers.spans.iter().zip(edges).map(|(_, begins)| period.label(clock, *begins)).collect();
    html! {
        @if let Some(from) = numbers.counted_from {
            p.care role="note" {
                "There are more requests than are counted here: what was asked before " (words::at(clock, from)) " is left out."
            }
        }
        (overview(&all))
        @if all.all() == 0 {
            div.empty { p { strong { "No request in this time." } } }
        } @else {
            (ends(&numbers.spans, period, &labels))
            (medians(&numbers.spans, period, &labels, &all))
            (expired(&numbers.spans, period, &labels, &all))
        }
        (screen::figure(&numbers.shown, &html! {
            @if let Some(from) = numbers.shown_from { " Those before " (words::at(clock, from)) " are left out." }
        }))
        p.hint { "Times are those of " (zone(clock)) ". What was erased by its age is not counted." }
    }
}

fn zone(clock: &Clock) -> String {
    clock.zone.map_or_else(|| "UTC".to_owned(), |zone| zone.name().to_owned())
}

fn overview(all: &Span) -> Markup {
    let none = || "–".to_owned();
    html! {
        dl.overview {
            div { dt { "requests" } dd { (thousands(u64::from(all.all()))) } }
            div { dt { "median time to decision" } dd { (all.median().map_or_else(none, lasted)) } }
            div { dt { "expired" } dd { (all.expired_share().map_or_else(none, percent)) } }
        }
    }
}

fn ends(spans: &[Span], period: Period, labels: &[String]) -> Markup {
    let bar = |(span, label): (&Span, &String)| {
        let counts = ENDS.map(|(status, _, word)| (span.count(status), word));
        Bar {
            title: format!("{label}: {}", listed(&counts)),
            parts: ENDS.map(|(status, class, _)| (class, f64::from(span.count(status)))).to_vec(),
        }
    };
    let all: Vec<Bar> = spans.iter().zip(labels).map(bar).collect();
    let top = spans.iter().map(Span::all).max().unwrap_or_default();
    let headings: Vec<&str> =
        [period.part()].into_iter().chain(ENDS.iter().map(|(_, _, word)| *word)).collect();
    let rows = rows(spans, labels, |span| {
        ENDS.iter().map(|(status, ..)| number(u64::from(span.count(*status)))).collect()
    });
    let chart = html! {
        (bars(&format!("Requests by {} and how they ended; the table below has the numbers", period.part()), &all, f64::from(top)))
    };
    let said = html! { "Each bar is the requests that were made in one " (period.part()) "." (legend(&ENDS.map(|(_, class, word)| (class, word)))) };
    let highest =
        format!("at most {} in one {}", words::count(top as usize, "request"), period.part());
    figure(
        "Requests, and how they ended",
        &said,
        &chart,
        &highest,
        labels,
        &table("Requests and how they ended", &headings, &rows),
    )
}

fn medians(spans: &[Span], period: Period, labels: &[String], all: &Span) -> Markup {
    let top = spans.iter().filter_map(Span::median).max().unwrap_or_default();
    let bar = |(span, label): (&Span, &String)| {
        let said = match span.median() {
            Some(median) => {
                format!("{} for {}", lasted(median), words::count(span.decided(), "decision"))
            }
            None => "nothing was decided".to_owned(),
        };
        let much = span.median().map_or(0.0, |median| median.as_secs_f64());
        Bar { title: format!("{label}: {said}"), parts: vec![("bar-plain", much)] }
    };
    let all_bars: Vec<Bar> = spans.iter().zip(labels).map(bar).collect();
    let said = html! {
        "Half of what people decided, they decided within "
        strong { (all.median().map_or_else(|| "–".to_owned(), lasted)) }
        " of its being asked. Each bar is that time for one " (period.part()) "."
    };
    let name =
        format!("Median time to decision by {}; the table below has the numbers", period.part());
    let rows = rows(spans, labels, |span| {
        let median = span.median().map_or_else(|| "–".to_owned(), lasted);
        vec![html! { (median) }, number(span.decided() as u64)]
    });
    let table = table("Median time to decision", &[period.part(), "median", "decided"], &rows);
    let chart = bars(&name, &all_bars, top.as_secs_f64());
    let top = if top > Duration::ZERO {
        format!("at most {}", lasted(top))
    } else {
        "nothing was decided".to_owned()
    };
    figure("Median time to decision", &said, &chart, &top, labels, &table)
}

fn expired(spans: &[Span], period: Period, labels: &[String], all: &Span) -> Markup {
    let shares = spans.iter().filter_map(Span::expired_share);
    // A chart of nothing but small shares does not look like one of large ones.
    let top = shares.fold(10.0, f64::max);
    let bar = |(span, label): (&Span, &String)| {
        let said = match span.expired_share() {
            Some(share) => {
                format!("{} of {}", percent(share), span.all() - span.count(Status::Pending))
            }
            None => "nothing ended".to_owned(),
        };
        Bar {
            title: format!("{label}: {said}"),
            parts: vec![("bar-expired", span.expired_share().unwrap_or_default())],
        }
    };
    let all_bars: Vec<Bar> = spans.iter().zip(labels).map(bar).collect();
    let said = html! {
        "Of what ended, nobody decided "
        strong { (all.expired_share().map_or_else(|| "–".to_owned(), percent)) }
        " in time. Each bar is that share for one " (period.part()) "."
    };
    let rows = rows(spans, labels, |span| {
        let share = span.expired_share().map_or_else(|| "–".to_owned(), percent);
        let ended = span.all() - span.count(Status::Pending);
        vec![
            html! { (share) },
            number(u64::from(span.count(Status::Expired))),
            number(u64::from(ended)),
        ]
    });
    let table = table("Share that expired", &[period.part(), "share", "expired", "ended"], &rows);
    let name = format!(
        "Share of requests that expired by {}; the table below has the numbers",
        period.part()
    );
    let chart = bars(&name, &all_bars, top);
    figure("Share that expired", &said, &chart, &format!("up to {}", percent(top)), labels, &table)
}

/// A row for each part in which anything was asked, newest first.
fn rows(
    spans: &[Span],
    labels: &[String],
    cells: impl Fn(&Span) -> Vec<Markup>,
) -> Vec<Vec<Markup>> {
    let some = spans.iter().zip(labels).rev().filter(|(span, _)| span.all() > 0);
    some.map(|(span, label)| [html! { (label) }].into_iter().chain(cells(span)).collect()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_store_says_so() {
        let clock = Clock { now: Time(1_800_000_000_000), zone: None };
        for period in Period::ALL {
            let edges = period.edges(&clock);
            let numbers =
                Numbers { spans: vec![Span::default(); edges.len() - 1], ..Numbers::default() };
            let html = content(&numbers, period, &edges, &clock).into_string();
            assert!(html.contains("No request in this time"), "{html}");
            assert!(!html.contains("NaN") && !html.contains("<svg"), "{html}");
        }
    }
}
