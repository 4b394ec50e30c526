//! What was measured, and how it is shown: one line a measure, with baseline,
//! ours and their ratio.

use std::time::Duration;

use crate::call::json::{Json, Number};

/// What every table is to be read with.
const LEGEND: &str = "Baseline stands behind the colon; a line without a ratio stands for itself. \
                      Rates: more is better; all else: less is better.";

/// One line: a value of each round.
#[derive(Debug)]
struct Line {
    section: String,
    name: String,
    unit: &'static str,
    baseline: Vec<f64>,
    ours: Vec<f64>,
}

impl Line {
    /// Of one round each. Where the baseline is nothing, there is none.
    fn ratios(&self) -> Vec<f64> {
        let rounds = self.ours.iter().zip(&self.baseline);
        rounds.map(|(ours, base)| ours / base).filter(|ratio| ratio.is_finite()).collect()
    }
}

/// All lines, in the order in which they were first measured.
#[derive(Debug, Default)]
pub struct Table {
    section: String,
    lines: Vec<Line>,
    loads: Vec<f64>,
}

/// Of sorted samples.
pub fn percentile(sorted: &[Duration], share: f64) -> Duration {
    let last = sorted.len().saturating_sub(1);
    sorted.get((last as f64 * share).round() as usize).copied().unwrap_or_default()
}

impl Table {
    /// What is measured from now on belongs to this section; and notes what else the
    /// machine does.
    pub fn begin(&mut self, section: &str) {
        section.clone_into(&mut self.section);
        self.note_load();
    }

    fn line(&mut self, name: &str, unit: &'static str) -> &mut Line {
        let at =
            self.lines.iter().position(|line| line.name == name && line.section == self.section);
        let at = at.unwrap_or_else(|| {
            self.lines.push(Line {
                section: self.section.clone(),
                name: name.to_owned(),
                unit,
                baseline: Vec::new(),
                ours: Vec::new(),
            });
            self.lines.len() - 1
        });
        &mut self.lines[at]
    }

    /// One round's baseline and ours.
    pub fn row(&mut self, name: &str, unit: &'static str, baseline: f64, ours: f64) {
        let line = self.line(name, unit);
        line.baseline.push(baseline);
        line.ours.push(ours);
    }

    /// One round's baseline that stands for itself.
    pub fn baseline(&mut self, name: &str, unit: &'static str, value: f64) {
        self.line(name, unit).baseline.push(value);
    }

    /// One round's value of ours that stands for itself.
    pub fn alone(&mut self, name: &str, unit: &'static str, value: f64) {
        self.line(name, unit).ours.push(value);
    }

    /// What else the machine does.
    pub fn note_load(&mut self) {
        let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
        self.loads.extend(text.split(' ').next().and_then(|load| load.parse::<f64>().ok()));
    }

    /// The median of the first line whose name begins so: ours, or the baseline that
    /// stands for itself.
    pub fn median(&self, name: &str) -> Option<f64> {
        let line = self.lines.iter().find(|line| line.name.starts_with(name))?;
        median(&sorted(if line.ours.is_empty() { &line.baseline } else { &line.ours }))
    }

    /// The first number in the name of that line.
    pub fn number_in(&self, name: &str) -> Option<u32> {
        let line = self.lines.iter().find(|line| line.name.starts_with(name))?;
        line.name[name.len()..].split(' ').find_map(|word| word.parse().ok())
    }

    /// The table in Markdown, its columns in line, and how it is to be read.
    pub fn text(&self, rounds: usize) -> String {
        let head = ["what", "unit", "baseline", "ours", "ours / baseline"];
        let mut cells = vec![head.map(str::to_owned)];
        cells.extend(self.lines.iter().map(|line| {
            let digits = digits(line.unit);
            [
                line.name.clone(),
                line.unit.to_owned(),
                range(&line.baseline, digits),
                range(&line.ours, digits),
                range(&line.ratios(), 2),
            ]
        }));
        let widths: Vec<usize> = (0..head.len())
            .map(|column| cells.iter().map(|row| row[column].chars().count()).max().unwrap_or(0))
            .collect();
        let mut text = format!(
            "median of {rounds} round{} (least to most); {} cores; load average of the last minute, \
             this benchmark's own included: {}\n{LEGEND}\n\n",
            if rounds == 1 { "" } else { "s" },
            cores(),
            range(&self.loads, 1)
        );
        for (n, row) in cells.iter().enumerate() {
            let cell = |(cell, &width): (&String, &usize)| format!(" {cell:width$} |");
            text += &format!("|{}\n", row.iter().zip(&widths).map(cell).collect::<String>());
            if n == 0 {
                let rules: String =
                    widths.iter().map(|width| format!(" {} |", "-".repeat(*width))).collect();
                text += &format!("|{rules}\n");
            }
        }
        text
    }

    /// One object a line: `section`, `what`, `unit`, then `baseline`, `ours` and
    /// `ratio`, each `null` or with `median`, `least` and `most`, then `rounds`, `cores`
    /// and `load`.
    pub fn json(&self, rounds: usize) -> Vec<Json> {
        let object = |line: &Line| {
            let text = |text: &str| Json::String(text.to_owned());
            Json::object([
                ("section", text(&line.section)),
                ("what", text(&line.name)),
                ("unit", text(line.unit)),
                ("baseline", spread(&line.baseline)),
                ("ours", spread(&line.ours)),
                ("ratio", spread(&line.ratios())),
                ("rounds", number(rounds as f64)),
                ("cores", number(cores() as f64)),
                ("load", spread(&self.loads)),
            ])
        };
        self.lines.iter().map(object).collect()
    }
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(0, usize::from)
}

fn digits(unit: &str) -> usize {
    match unit {
        "KiB" | "MiB" | "ms" => 1,
        "% of a core" => 2,
        _ => 0,
    }
}

fn sorted(values: &[f64]) -> Vec<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted
}

fn median(sorted: &[f64]) -> Option<f64> {
    let middle = sorted.len() / 2;
    if sorted.len() % 2 == 1 {
        return Some(sorted[middle]);
    }
    Some(f64::midpoint(*sorted.get(middle.checked_sub(1)?)?, sorted[middle]))
}

/// Median, least and most; of one round, that.
fn range(values: &[f64], digits: usize) -> String {
    let sorted = sorted(values);
    match (median(&sorted), &sorted[..]) {
        (Some(only), [_]) => format!("{only:.digits$}"),
        (Some(median), [least, .., most]) => {
            format!("{median:.digits$} ({least:.digits$} to {most:.digits$})")
        }
        _ => String::new(),
    }
}

fn spread(values: &[f64]) -> Json {
    let sorted = sorted(values);
    let (Some(median), Some(least), Some(most)) = (median(&sorted), sorted.first(), sorted.last())
    else {
        return Json::Null;
    };
    let three = [("median", median), ("least", *least), ("most", *most)];
    Json::object(three.map(|(name, value)| (name, number(value))))
}

/// To a thousandth, which is more than is known.
fn number(value: f64) -> Json {
    let text = format!("{value:.3}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    Number::new(text).map_or(Json::Null, Json::Number)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of_three_rounds() -> Table {
        let mut table = Table::default();
        for (baseline, ours) in [(100.0, 300.0), (200.0, 300.0), (100.0, 100.0)] {
            table.row("pairs : bare", "/s", baseline, ours);
        }
        table.alone("size", "MiB", 28.25);
        table.row("idle : bare", "% of a core", 0.0, 0.5);
        table
    }

    #[test]
    fn a_ratio_is_that_of_one_round_and_the_table_has_the_median_of_them() {
        let text = of_three_rounds().text(3);
        let line = text.lines().find(|line| line.contains("pairs")).expect("the line");
        // 300 / 200 is the median ratio; that of the medians would be 3.
        assert!(line.contains("1.50 (1.00 to 3.00)"), "{line}");
        assert!(line.contains("300 (100 to 300)"), "{line}");
    }

    #[test]
    fn a_line_that_stands_for_itself_has_no_ratio_and_neither_has_one_against_nothing() {
        let json = of_three_rounds().json(3);
        let ratio = |n: usize| json[n].get("ratio").expect("a member").clone();
        assert_ne!(ratio(0), Json::Null);
        assert_eq!((ratio(1), ratio(2)), (Json::Null, Json::Null));
        assert_eq!(json[1].get("baseline"), Some(&Json::Null));
    }

    #[test]
    fn numbers_are_json_numbers() {
        let json = of_three_rounds().json(3);
        let ours = json[1].get("ours").and_then(|ours| ours.get("median")).expect("a median");
        assert_eq!(ours.to_text(), "28.25");
        assert_eq!(number(300.0).to_text(), "300");
        assert_eq!(number(0.0).to_text(), "0");
    }
}
