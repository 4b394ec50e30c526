//! Bars, as SVG by attributes and classes only.
//!
//! A chart is stretched to the width that there is, so nothing in it is text: what
//! is said stands beside it in HTML, where it keeps its size. Everything that a
//! chart shows also stands in a table below it.

use maud::{Markup, html};

use crate::web::words;

/// How wide a bar's place is, of which it takes the most; and how high a chart is.
const PLACE: f64 = 10.0;
const HIGH: f64 = 100.0;

/// One bar: what it says when one points at it, and its parts from below: a class
/// and how much.
#[derive(Debug)]
pub struct Bar {
    /// In words.
    pub title: String,
    /// The parts.
    pub parts: Vec<(&'static str, f64)>,
}

/// Bars side by side, the highest of which reaches up to `top`.
pub fn bars(name: &str, bars: &[Bar], top: f64) -> Markup {
    let wide = PLACE * bars.len().max(1) as f64;
    let scale = if top > 0.0 { HIGH / top } else { 0.0 };
    html! {
        svg.chart viewBox=(format!("0 0 {wide} {HIGH}")) preserveAspectRatio="none" role="img" aria-label=(name) {
            @for (n, bar) in bars.iter().enumerate() {
                @let x = PLACE * n as f64;
                g {
                    title { (bar.title) }
                    // Also the room above a bar answers when one points at it.
                    (rect("room", x, 0.0, PLACE, HIGH))
                    (stack(bar, x, scale))
                }
            }
        }
    }
}

fn stack(bar: &Bar, x: f64, scale: f64) -> Markup {
    let mut from = HIGH;
    html! {
        @for (class, much) in bar.parts.iter().filter(|(_, much)| *much > 0.0) {
            // What there is at all is seen.
            @let high = (much * scale).max(0.8);
            @let y = { from -= high; from.max(0.0) };
            (rect(class, x + 1.0, y, PLACE - 2.0, high))
        }
    }
}

fn rect(class: &str, x: f64, y: f64, width: f64, height: f64) -> Markup {
    // Two digits behind the point are more than a screen shows.
    let number = |n: f64| format!("{n:.2}");
    html! { rect class=(class) x=(number(x)) y=(number(y)) width=(number(width)) height=(number(height)) {} }
}

/// A chart with its heading, what its highest bar is, the first, middle and last of
/// what stands below it, and the table that says the same.
pub fn figure(
    heading: &str,
    said: &Markup,
    chart: &Markup,
    top: &str,
    below: &[String],
    table: &Markup,
) -> Markup {
    let ends = [0, below.len() / 2, below.len().saturating_sub(1)];
    let shown = ends.into_iter().filter_map(|place| below.get(place));
    html! {
        section.card.figure {
            h2 { (heading) }
            p.said { (said) }
            p.top-of { (top) }
            (chart)
            p.below aria-hidden="true" { @for label in shown { span { (label) } } }
            details.whole { summary { "The same as a table" } (table) }
        }
    }
}

/// What the colours mean, in words.
pub fn legend(entries: &[(&'static str, &str)]) -> Markup {
    html! {
        ul.legend role="list" {
            @for (class, words) in entries {
                li { svg viewBox="0 0 10 10" aria-hidden="true" { (rect(class, 0.0, 0.0, 10.0, 10.0)) } (words) }
            }
        }
    }
}

/// `12 approved, 1 denied`, of what there is any.
pub fn listed(counts: &[(u32, &str)]) -> String {
    let some: Vec<String> =
        counts.iter().filter(|(n, _)| *n > 0).map(|(n, word)| format!("{n} {word}")).collect();
    let all: u32 = counts.iter().map(|(n, _)| n).sum();
    match some.len() {
        0 => "no request".to_owned(),
        _ => format!("{}: {}", words::count(all as usize, "request"), some.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stack_reaches_as_high_as_it_counts() {
        let bar = |parts: &[f64]| Bar {
            title: "x".to_owned(),
            parts: parts.iter().map(|n| ("a", *n)).collect(),
        };
        let svg = bars("name", &[bar(&[10.0, 30.0]), bar(&[])], 40.0).into_string();
        assert!(svg.contains("viewBox=\"0 0 20 100\""), "{svg}");
        assert!(svg.contains("y=\"75.00\" width=\"8.00\" height=\"25.00\""), "{svg}");
        assert!(svg.contains("y=\"0.00\" width=\"8.00\" height=\"75.00\""), "{svg}");
        assert_eq!(svg.matches("class=\"a\"").count(), 2);
        assert!(!svg.contains("style"), "{svg}");
        assert!(!bars("name", &[bar(&[0.0])], 0.0).into_string().contains("NaN"));
    }
}
