//! What was measured, and how it is printed.

use std::time::Duration;

/// One line: a value of each round.
struct Line {
    name: String,
    unit: &'static str,
    baseline: Vec<f64>,
    ours: Vec<f64>,
}

/// All lines, in the order in which they were first measured.
#[derive(Default)]
pub struct Table {
    lines: Vec<Line>,
    loads: Vec<f64>,
}

/// Of sorted samples.
pub fn percentile(sorted: &[Duration], share: f64) -> Duration {
    let last = sorted.len().saturating_sub(1);
    sorted.get((last as f64 * share).round() as usize).copied().unwrap_or_default()
}

impl Table {
    fn line(&mut self, name: &str, unit: &'static str) -> &mut Line {
        let at = self.lines.iter().position(|line| line.name == name).unwrap_or_else(|| {
            self.lines.push(Line {
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

    /// What else the machine does.
    pub fn note_load(&mut self) {
        let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
        self.loads.extend(text.split(' ').next().and_then(|load| load.parse::<f64>().ok()));
    }

    pub fn print(&self, rounds: usize) {
        let cores = std::thread::available_parallelism().map_or(0, usize::from);
        println!(
            "\nmedian of {rounds} rounds (least to most); {cores} cores; load average of the last \
             minute, this benchmark's own included: {}\n\
             Baseline stands behind the colon. Rates: more is better; all else: less is better.\n",
            range(&self.loads, 1)
        );
        let mut cells =
            vec![["what", "unit", "baseline", "ours", "ours / baseline"].map(str::to_owned)];
        for line in &self.lines {
            let ratios: Vec<f64> = line
                .ours
                .iter()
                .zip(&line.baseline)
                .map(|(ours, baseline)| ours / baseline)
                .collect();
            let digits = usize::from(line.unit == "KiB");
            cells.push([
                line.name.clone(),
                line.unit.to_owned(),
                range(&line.baseline, digits),
                range(&line.ours, digits),
                range(&ratios, 2),
            ]);
        }
        let width =
            |column: usize| cells.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
        let widths: Vec<usize> = (0..5).map(width).collect();
        for (n, row) in cells.iter().enumerate() {
            let padded: Vec<String> =
                row.iter().zip(&widths).map(|(cell, &width)| format!("{cell:width$}")).collect();
            println!("| {} |", padded.join(" | "));
            if n == 0 {
                let rules: Vec<String> = widths.iter().map(|&width| "-".repeat(width)).collect();
                println!("| {} |", rules.join(" | "));
            }
        }
    }
}

/// Median, least and most.
fn range(values: &[f64], digits: usize) -> String {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let (Some(least), Some(most)) = (sorted.first(), sorted.last()) else {
        return String::new();
    };
    let middle = sorted.len() / 2;
    let median = if sorted.len() % 2 == 1 {
        sorted[middle]
    } else {
        f64::midpoint(sorted[middle - 1], sorted[middle])
    };
    format!("{median:.digits$} ({least:.digits$} to {most:.digits$})")
}
