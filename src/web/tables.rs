//! Tables and figures that many pages show.
//!
//! A table becomes a list of its rows on a narrow screen, each value with its
//! heading before it. Browsers take a table that is laid out otherwise for no table,
//! so what is what is said by roles too.

use std::time::Duration;

use maud::{Markup, Render as _, html};

use crate::call::thousands::apart;

/// A table with these headings.
pub fn table(caption: &str, headings: &[&str], rows: &[Vec<Markup>]) -> Markup {
    html! {
        table.reflow role="table" {
            caption.unseen { (caption) }
            thead role="rowgroup" {
                tr role="row" { @for heading in headings { th role="columnheader" scope="col" { (heading) } } }
            }
            tbody role="rowgroup" {
                @for row in rows {
                    tr role="row" {
                        @for (heading, cell) in headings.iter().zip(row) {
                            td role="cell" data-label=(heading) { span { (cell) } }
                        }
                    }
                }
            }
        }
    }
}

/// A number in a cell.
pub fn number(n: u64) -> Markup {
    thousands(n).render()
}

/// `12,345`
pub fn thousands(n: u64) -> String {
    apart(&n.to_string(), ',')
}

/// How long something took, as people say it: `0.4 s`, `12 s`, `3 min`, `2 h 5 min`.
pub fn lasted(time: Duration) -> String {
    let ms = time.as_millis();
    let (seconds, minutes) = ((ms + 500) / 1000, (ms + 30_000) / 60_000);
    match ms {
        0..9_950 => format!("{}.{} s", (ms + 50) / 1000, (ms + 50) % 1000 / 100),
        9_950..119_500 => format!("{seconds} s"),
        119_500..5_370_000 => format!("{minutes} min"),
        5_370_000..172_800_000 => both(minutes / 60, "h", minutes % 60, "min"),
        _ => both(minutes / 1440, "days", minutes % 1440 / 60, "h"),
    }
}

fn both(whole: u128, of: &str, rest: u128, of_rest: &str) -> String {
    if rest == 0 { format!("{whole} {of}") } else { format!("{whole} {of} {rest} {of_rest}") }
}

/// `12 %`, and `0.4 %` where that would be none.
pub fn percent(share: f64) -> String {
    if share > 0.0 && share < 10.0 { format!("{share:.1} %") } else { format!("{share:.0} %") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_took_long_is_said_in_units_that_people_think_in() {
        let said = |ms| lasted(Duration::from_millis(ms));
        assert_eq!(said(0), "0.0 s");
        assert_eq!((said(1_940), said(1_960)), ("1.9 s".to_owned(), "2.0 s".to_owned()));
        assert_eq!((said(9_949), said(9_950)), ("9.9 s".to_owned(), "10 s".to_owned()));
        assert_eq!((said(119_400), said(119_600)), ("119 s".to_owned(), "2 min".to_owned()));
        assert_eq!(said(7_500_000), "2 h 5 min");
        assert_eq!(said(3 * 86_400_000), "3 days");
    }

    #[test]
    fn numbers_are_readable() {
        let said: Vec<String> = [0, 999, 1000, 1_234_567].map(thousands).into();
        assert_eq!(said, ["0", "999", "1,000", "1,234,567"]);
        assert_eq!([0.0, 0.44, 12.3, 100.0].map(percent), ["0 %", "0.4 %", "12 %", "100 %"]);
    }
}
