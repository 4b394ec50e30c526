//! Counters in memory: for tables of expected verdicts, where calls come one after the
//! other and nothing outlives them.

use std::collections::HashMap;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use super::call::{CounterKey, Counters, LimitKey, Recent, Take, Untold, Window};

/// What was taken so far, as of a moment that somebody sets.
#[derive(Debug, Clone, Default)]
pub struct Memory {
    now: DateTime<Utc>,
    /// When each place was taken, the oldest first.
    places: HashMap<LimitKey, Vec<DateTime<Utc>>>,
    /// With the number of the calendar window in which it was reached.
    reached: HashMap<CounterKey, (i64, i64)>,
}

impl Memory {
    /// From now on it is this time.
    pub fn set_time(&mut self, now: DateTime<Utc>) {
        self.now = now;
    }

    /// Takes what a call takes that runs.
    pub fn take(&mut self, takes: &[Take]) {
        for take in takes {
            match take {
                Take::Sliding { key, .. } => {
                    self.places.entry(key.clone()).or_default().push(self.now);
                }
                Take::Counter { key, amount, .. } => {
                    let after = self.reached(key).saturating_add(*amount);
                    self.reached.insert(key.clone(), (number(key.window, self.now), after));
                }
            }
        }
    }

    fn reached(&self, key: &CounterKey) -> i64 {
        match self.reached.get(key) {
            Some((window, value)) if *window == number(key.window, self.now) => *value,
            _ => 0,
        }
    }
}

/// Which window of the calendar it is.
fn number(window: Window, now: DateTime<Utc>) -> i64 {
    let seconds = match window {
        Window::Minute => 60,
        Window::Hour => 3_600,
        Window::Day => 86_400,
    };
    now.timestamp().div_euclid(seconds)
}

impl Counters for Memory {
    fn recent(&self, key: &LimitKey, max: u32, window: Duration) -> Result<Recent, Untold> {
        let window = TimeDelta::from_std(window).map_err(|_| Untold)?;
        let places = self.places.get(key).map(Vec::as_slice).unwrap_or_default();
        let taken: Vec<_> = places.iter().filter(|at| **at > self.now - window).collect();
        let count = u32::try_from(taken.len()).unwrap_or(u32::MAX);
        // Once the oldest of the newest `max` is free, fewer are taken.
        let oldest = (count >= max).then(|| taken.len().checked_sub(max as usize)).flatten();
        let free_at = oldest.and_then(|oldest| taken.get(oldest)).map(|at| **at + window);
        let free_in = free_at.and_then(|at| (at - self.now).to_std().ok()).unwrap_or_default();
        Ok(Recent { count: count.min(max), free_in })
    }

    fn value(&self, key: &CounterKey) -> Result<i64, Untold> {
        Ok(self.reached(key))
    }
}
