//! What was measured, and how it is printed.

use std::time::Duration;

use super::{AT_ONCE, Measured, SETTINGS, Way};

/// What a ratio is of.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Ratio {
    /// What the proxy adds to the direct way, by what the relay adds.
    Added,
    /// The proxy's by the relay's.
    Whole,
}

/// A value of each round for each way.
struct Line {
    name: String,
    ratio: Ratio,
    direct: Vec<f64>,
    relay: Vec<f64>,
    proxy: [Vec<f64>; SETTINGS.len()],
}

/// All lines, in the order in which they were first measured.
#[derive(Default)]
pub struct Table {
    lines: Vec<Line>,
}

fn micros(of: Duration) -> f64 {
    of.as_secs_f64() * 1e6
}

impl Table {
    /// What one round of one way came to.
    pub fn add(&mut self, way: Way, measured: Measured) {
        let Measured { mut alone, rates, cpu, resident } = measured;
        alone.sort();
        let at = |share: f64| {
            let last = alone.len().saturating_sub(1);
            micros(alone[(last as f64 * share).round() as usize])
        };
        self.row("one at a time, p50, us", Ratio::Added, way, at(0.5));
        self.row("one at a time, p99, us", Ratio::Added, way, at(0.99));
        for (at_once, rate) in AT_ONCE.into_iter().zip(rates) {
            self.row(&format!("{at_once} at once, calls/s"), Ratio::Whole, way, rate);
        }
        if let Some(cpu) = cpu {
            self.row("processor time of a call, us", Ratio::Whole, way, micros(cpu));
        }
        if let Some(resident) = resident {
            self.row("resident memory, KiB", Ratio::Whole, way, resident);
        }
    }

    fn row(&mut self, name: &str, ratio: Ratio, way: Way, value: f64) {
        let at = self.lines.iter().position(|line| line.name == name).unwrap_or_else(|| {
            let line = Line {
                name: name.to_owned(),
                ratio,
                direct: Vec::new(),
                relay: Vec::new(),
                proxy: Default::default(),
            };
            self.lines.push(line);
            self.lines.len() - 1
        });
        let line = &mut self.lines[at];
        let of = match way {
            Way::Direct => &mut line.direct,
            Way::Relay => &mut line.relay,
            Way::Proxy(setting) => {
                let at = SETTINGS.iter().position(|known| *known == setting).unwrap_or(0);
                &mut line.proxy[at]
            }
        };
        of.push(value);
    }

    /// One line for each measure and setting of the proxy.
    pub fn print(&self) {
        let head = ["what", "proxy is set to", "direct", "relay", "proxy", "ratio"];
        let mut cells = vec![head.map(str::to_owned)];
        for line in &self.lines {
            for (setting, proxy) in SETTINGS.iter().zip(&line.proxy) {
                cells.push([
                    line.name.clone(),
                    setting.name.to_owned(),
                    range(&line.direct, 0),
                    range(&line.relay, 0),
                    range(proxy, 0),
                    range(&line.ratios(proxy), 2),
                ]);
            }
        }
        print(&cells);
        println!(
            "\nratio: where calls go one at a time, what the proxy adds to the direct way by what \
             the relay adds; else the proxy's by the relay's. Rates: more is better; all else: \
             less is better."
        );
    }
}

impl Line {
    fn ratios(&self, proxy: &[f64]) -> Vec<f64> {
        let added = self.ratio == Ratio::Added;
        let rounds = proxy.iter().zip(&self.relay).enumerate();
        let ratio = |(round, (proxy, relay)): (usize, (&f64, &f64))| {
            let base = if added { self.direct[round] } else { 0.0 };
            (proxy - base) / (relay - base)
        };
        rounds.map(ratio).collect()
    }
}

/// Prints a table in Markdown, its columns in line.
fn print<const N: usize>(cells: &[[String; N]]) {
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
