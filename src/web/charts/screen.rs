//! How long each decision had been on the screen, by what the call would do.
//!
//! Nobody reads what a call would delete in two seconds. It is shown for what it is,
//! without a judgement of who did it: the request's own page says the rest.

use std::time::Duration;

use maud::{Markup, Render as _, html};

use super::bars::{Bar, bars};
use crate::call::model::{Category, Verdict};
use crate::call::safe_text::SafeText;
use crate::store::charts::Shown;
use crate::web::tables::{lasted, number, table};
use crate::web::words;

/// Shorter than this, a call was hardly read.
const HARDLY_READ: Duration = Duration::from_secs(2);

/// Up to which time a column reaches, and what it is called.
const COLUMNS: [(Duration, &str); 7] = [
    (HARDLY_READ, "< 2 s"),
    (Duration::from_secs(5), "2–5 s"),
    (Duration::from_secs(10), "5–10 s"),
    (Duration::from_secs(30), "10–30 s"),
    (Duration::from_secs(60), "½–1 min"),
    (Duration::from_secs(300), "1–5 min"),
    (Duration::MAX, "longer"),
];

/// The quickest ones that are named.
const NAMED: usize = 5;

/// Those of one category.
struct Kind<'a> {
    category: Category,
    /// Quickest first.
    shown: Vec<&'a Shown>,
    counts: [u32; COLUMNS.len()],
}

impl Kind<'_> {
    fn of(category: Category, all: &[Shown]) -> Kind<'_> {
        let mut shown: Vec<&Shown> = all.iter().filter(|s| s.category == category).collect();
        shown.sort_by_key(|shown| shown.on_screen);
        let mut counts = [0; COLUMNS.len()];
        for one in &shown {
            let place = COLUMNS.iter().position(|(end, _)| one.on_screen < *end);
            if let Some(count) = counts.get_mut(place.unwrap_or(COLUMNS.len() - 1)) {
                *count += 1;
            }
        }
        Kind { category, shown, counts }
    }

    fn hardly_read(&self) -> &[&Shown] {
        &self.shown[..self.shown.partition_point(|shown| shown.on_screen < HARDLY_READ)]
    }

    /// Whether too quick a decision is worth a word.
    fn is_grave(&self) -> bool {
        matches!(self.category, Category::Destructive | Category::Financial | Category::Unspecified)
    }
}

/// The figure; nothing where no decision was made on a page.
pub fn figure(all: &[Shown], cut: &Markup) -> Markup {
    // The gravest first.
    let order = [
        Category::Destructive,
        Category::Financial,
        Category::Unspecified,
        Category::Execute,
        Category::Write,
        Category::Read,
    ];
    let kinds: Vec<Kind<'_>> = order.into_iter().map(|category| Kind::of(category, all)).collect();
    let kinds: Vec<&Kind<'_>> = kinds.iter().filter(|kind| !kind.shown.is_empty()).collect();
    let hasty: Vec<&Shown> = kinds
        .iter()
        .filter(|kind| kind.is_grave())
        .flat_map(|kind| kind.hardly_read())
        .copied()
        .collect();
    html! {
        section.card.figure {
            h2 { "How long people looked before they decided" }
            @if kinds.is_empty() {
                p.hint { "No decision was made on these pages; other doors do not know how long somebody read." }
            } @else {
                p.said { "Decisions on these pages, by what the call would do." (cut) }
                @for kind in &kinds { (strip(kind)) }
                (named(&hasty))
                details.whole { summary { "The same as a table" } (whole(&kinds)) }
            }
        }
    }
}

fn strip(kind: &Kind<'_>) -> Markup {
    let top = f64::from(kind.counts.iter().copied().max().unwrap_or_default());
    let class = |n: usize| if n == 0 && kind.is_grave() { "bar-hasty" } else { "bar-plain" };
    let bar = |(n, count): (usize, &u32)| Bar {
        title: format!("{}: {}", COLUMNS[n].1, words::count(*count as usize, "decision")),
        parts: vec![(class(n), f64::from(*count))],
    };
    let all: Vec<Bar> = kind.counts.iter().enumerate().map(bar).collect();
    let middle = kind.shown.get(kind.shown.len() / 2).map(|shown| lasted(shown.on_screen));
    let quick = kind.hardly_read().len();
    let approvals = kind.hardly_read().iter().filter(|shown| approved(shown)).count();
    html! {
        div.strip {
            h3 { (words::category(kind.category)) " " (words::count(kind.shown.len(), "decision"))
                @if let Some(middle) = middle { ", half of them within " (middle) }
            }
            @if quick > 0 && kind.is_grave() {
                p.alarm { strong { (quick) " within 2 seconds" } ", " (approvals) " of them approvals" }
            }
            (bars(&format!("Decisions on calls that are {}, by time on the screen", kind.category), &all, top))
            ul.columns role="list" {
                @for ((_, name), count) in COLUMNS.iter().zip(kind.counts) {
                    li { strong { (count) } " " span { (name) } }
                }
            }
        }
    }
}

fn approved(shown: &Shown) -> bool {
    shown.verdict == Verdict::Approve
}

/// The quickest approvals of those that matter, each with the way to its request.
fn named(hasty: &[&Shown]) -> Markup {
    let mut quickest: Vec<&Shown> = hasty.iter().copied().filter(|shown| approved(shown)).collect();
    quickest.sort_by_key(|shown| shown.on_screen);
    html! {
        @if !quickest.is_empty() {
            h3 { "The quickest approvals of what cannot be taken back" }
            ul.plain {
                @for shown in quickest.iter().take(NAMED) {
                    li {
                        a href=(format!("/requests/{}", shown.request)) {
                            strong { (SafeText::cut_line(&shown.tool, 60).0) } " on " (SafeText::cut_line(&shown.server, 60).0)
                        }
                        ": by " (SafeText::cut_line(&shown.operator, 60).0) " after " (lasted(shown.on_screen))
                    }
                }
            }
        }
    }
}

fn whole(kinds: &[&Kind<'_>]) -> Markup {
    let headings: Vec<&str> =
        ["category"].into_iter().chain(COLUMNS.iter().map(|(_, name)| *name)).collect();
    let row = |kind: &&Kind<'_>| {
        let category = words::category(kind.category).render();
        [category].into_iter().chain(kind.counts.map(|n| number(u64::from(n)))).collect()
    };
    let rows: Vec<Vec<Markup>> = kinds.iter().map(row).collect();
    table("Decisions by category and time on the screen", &headings, &rows)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::call::hostile::HOSTILE;
    use crate::call::ids::RequestId;

    fn shown(category: Category, ms: u64, tool: &str) -> Shown {
        Shown {
            request: RequestId::new(1),
            operator: "ana".to_owned(),
            verdict: Verdict::Approve,
            on_screen: Duration::from_millis(ms),
            category,
            server: "valkey".to_owned(),
            tool: tool.to_owned(),
        }
    }

    #[test]
    fn two_seconds_on_a_destructive_call_are_said() {
        let all = [
            shown(Category::Destructive, 1_999, "drop_table"),
            shown(Category::Destructive, 2_000, "delete_key"),
            shown(Category::Read, 100, "get_key"),
        ];
        let html = figure(&all, &Markup::default()).into_string();
        assert!(html.contains("1 within 2 seconds</strong>, 1 of them approvals"), "{html}");
        assert!(
            html.contains("drop_table")
                && !html.contains("delete_key")
                && !html.contains("get_key")
        );
        assert_eq!(Kind::of(Category::Destructive, &all).counts, [1, 1, 0, 0, 0, 0, 0]);
        assert!(figure(&[], &Markup::default()).into_string().contains("No decision was made"));
    }

    #[test]
    fn names_on_charts_are_only_text() {
        for (what, text) in HOSTILE {
            let html =
                figure(&[shown(Category::Financial, 1, text)], &Markup::default()).into_string();
            assert!(
                !html.contains("<script")
                    && !html.contains("<img")
                    && !html.contains("<a href=\"https"),
                "{what}"
            );
            assert!(!html.contains(crate::call::safe_text::is_hidden), "{what}");
        }
    }
}
