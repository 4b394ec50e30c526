//! What was measured, and how it is printed.

use std::time::Duration;

use super::{Measured, WAYS, Way};

/// A value of each round for each way.
struct Line {
    name: String,
    unit: &'static str,
    ways: [Vec<f64>; WAYS.len()],
}

/// All lines, in the order in which they were first measured.
#[derive(Default)]
pub struct Table {
    lines: Vec<Line>,
}

fn place_of(way: Way) -> usize {
    WAYS.iter().position(|known| *known == way).unwrap_or(0)
}

fn micros(of: Duration) -> f64 {
    of.as_secs_f64() * 1e6
}

impl Table {
    /// What one round of one way came to.
    pub fn add(&mut self, over: &str, way: Way, measured: Measured) {
        let Measured { mut alone, together, resident } = measured;
        alone.sort();
        let at = |share: f64| {
            let last = alone.len().saturating_sub(1);
            micros(alone[(last as f64 * share).round() as usize])
        };
        let rate = alone.len() as f64 / together.as_secs_f64();
        self.row(format!("{over}: one at a time, p50"), "us", way, at(0.5));
        self.row(format!("{over}: one at a time, p99"), "us", way, at(0.99));
        self.row(format!("{over}: {} at once", super::AT_ONCE), "calls/s", way, rate);
        if let Some(resident) = resident {
            self.row(format!("{over}: resident memory"), "KiB", way, resident);
        }
    }

    fn row(&mut self, name: String, unit: &'static str, way: Way, value: f64) {
        let at = self.lines.iter().position(|line| line.name == name).unwrap_or_else(|| {
            self.lines.push(Line { name, unit, ways: [const { Vec::new() }; WAYS.len()] });
            self.lines.len() - 1
        });
        self.lines[at].ways[place_of(way)].push(value);
    }

    pub fn print(&self, rounds: usize, calls: usize) {
        let cores = std::thread::available_parallelism().map_or(0, usize::from);
        println!(
            "\nmedian of {rounds} rounds of {calls} calls (least to most); {cores} cores. Rates: \
             more is better; all else: less is better.\n"
        );
        let head = ["what", "unit", "direct", "relay", "proxy", "proxy / relay", "proxy / direct"];
        let mut cells = vec![head.map(str::to_owned)];
        for line in &self.lines {
            let [direct, relay, proxy] = &line.ways;
            cells.push([
                line.name.clone(),
                line.unit.to_owned(),
                range(direct, 0),
                range(relay, 0),
                range(proxy, 0),
                range(&ratios(proxy, relay), 2),
                range(&ratios(proxy, direct), 2),
            ]);
        }
        let width = |column: usize| cells.iter().map(|row| row[column].len()).max().unwrap_or(0);
        for (n, row) in cells.iter().enumerate() {
            let padded: Vec<String> = row
                .iter()
                .enumerate()
                .map(|(column, cell)| format!("{cell:width$}", width = width(column)))
                .collect();
            println!("| {} |", padded.join(" | "));
            if n == 0 {
                let rules: Vec<String> = (0..row.len()).map(|n| "-".repeat(width(n))).collect();
                println!("| {} |", rules.join(" | "));
            }
        }
    }
}

fn ratios(ours: &[f64], theirs: &[f64]) -> Vec<f64> {
    ours.iter().zip(theirs).map(|(ours, theirs)| ours / theirs).collect()
}

/// Median, least and most.
fn range(values: &[f64], digits: usize) -> String {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let (Some(least), Some(most)) = (sorted.first(), sorted.last()) else {
        return String::new();
    };
    let median = sorted[sorted.len() / 2];
    format!("{median:.digits$} ({least:.digits$} to {most:.digits$})")
}
