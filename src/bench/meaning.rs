//! What a table says to whoever sizes a machine, in a sentence for each thing that
//! was measured.

use super::table::Table;
use super::{latency, many, memory, pairs, proxy, starts, submits};

/// How many held calls the sentence about memory is for.
const CALLS: f64 = 10_000.0;

/// The sentences, as far as what they need was measured.
pub fn sentences(table: &Table) -> Vec<String> {
    let all = [decisions, release, disk, held, idle, restart, proxied, proxy_memory];
    all.into_iter().filter_map(|sentence| sentence(table)).collect()
}

fn decisions(table: &Table) -> Option<String> {
    let pairs = table.median(pairs::PAIRS)?;
    Some(format!(
        "Decisions: up to {} calls a second were held, decided and released, with 64 callers and \
         one operator, clients on the same cores.",
        rounded(pairs)
    ))
}

fn release(table: &Table) -> Option<String> {
    let p50 = table.median(&format!("{}, p50", latency::RELEASE))?;
    let p99 = table.median(&format!("{}, p99", latency::RELEASE))?;
    Some(format!(
        "Release: a held caller has its answer {} after the decision was sent, and {} at the \
         slowest hundredth.",
        time(p50),
        time(p99)
    ))
}

fn disk(table: &Table) -> Option<String> {
    let flush = table.median(submits::FLUSH)?;
    let (alone, together) = (table.median(submits::ALONE)?, table.median(submits::TOGETHER)?);
    Some(format!(
        "Disk: one flush takes {}; calls are written to disk at {} a second where they come one \
         by one, and at {} a second where 128 come at once and share flushes.",
        time(flush),
        rounded(alone),
        rounded(together)
    ))
}

fn held(table: &Table) -> Option<String> {
    let kib = table.median(memory::HELD)?;
    Some(format!("Memory: 10,000 held calls need about {} MB.", rounded(kib * CALLS / 1024.0)))
}

fn idle(table: &Table) -> Option<String> {
    let mib = table.median(starts::IDLE)?;
    Some(format!("Memory: the daemon takes {mib:.0} MB when it is idle."))
}

fn restart(table: &Table) -> Option<String> {
    let ms = |name| table.median(name).map(|ms| time(ms * 1000.0));
    Some(format!(
        "Restart: killed under as many waiting calls as the table says, it served again after {}, \
         and every caller waited again after {}. When all expired at once, the last had its answer \
         {} later.",
        ms(many::SERVING)?,
        ms(many::RESUMED)?,
        ms(many::EXPIRED)?
    ))
}

fn proxied(table: &Table) -> Option<String> {
    let (added, rate) = (table.median(proxy::ADDED)?, table.median(proxy::RATE)?);
    Some(format!(
        "Proxy: it adds {} to an allowed call under 30 rules, and passes up to {} a second on.",
        time(added),
        rounded(rate)
    ))
}

fn proxy_memory(table: &Table) -> Option<String> {
    let (idle, each) = (table.median(proxy::held::IDLE)?, table.median(proxy::held::EACH)?);
    Some(format!(
        "Proxy: it takes {idle:.0} MB when it is idle, and 1,000 calls that wait behind it need \
         about {} MB more.",
        rounded(each * 1000.0 / 1024.0)
    ))
}

/// Microseconds as a person says them.
fn time(micros: f64) -> String {
    match micros {
        ..1e3 => format!("{micros:.0} us"),
        ..1e6 => format!("{:.1} ms", micros / 1e3),
        _ => format!("{:.1} s", micros / 1e6),
    }
}

/// To two digits: more would promise what another run does not keep.
fn rounded(value: f64) -> String {
    let mut step = 1.0;
    while value.abs() / step >= 100.0 {
        step *= 10.0;
    }
    let whole = format!("{:.0}", (value / step).round() * step);
    let mut grouped = String::new();
    for (n, digit) in whole.chars().enumerate() {
        if n > 0 && (whole.len() - n).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_rounded_to_two_digits_and_times_are_said_as_people_do() {
        assert_eq!(rounded(12_345.0), "12,000");
        assert_eq!(rounded(987.6), "990");
        assert_eq!(rounded(64.4), "64");
        assert_eq!(rounded(1_250_000.0), "1,300,000");
        assert_eq!([27.4, 4032.0, 2.5e6].map(time), ["27 us", "4.0 ms", "2.5 s"]);
    }

    #[test]
    fn only_what_was_measured_is_said() {
        let mut table = Table::default();
        assert_eq!(sentences(&table), Vec::<String>::new());
        table.row(&format!("{}, 500 on 4 : bare tonic", memory::HELD), "KiB", 6.4, 9.4);
        let said = sentences(&table);
        assert_eq!(said, ["Memory: 10,000 held calls need about 92 MB."]);
    }
}
