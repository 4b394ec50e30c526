//! What a table says to whoever sizes a machine, in a sentence for each thing that
//! was measured.

use super::table::Table;
use super::{latency, many, memory, pairs, proxy, starts, submits};
use crate::call::thousands::apart;

/// The sentences, as far as what they need was measured.
pub fn sentences(table: &Table) -> Vec<String> {
    let all = [decisions, release, disk, held, idle, restart, over_http, over_stdio, proxy_memory];
    all.into_iter().filter_map(|sentence| sentence(table)).collect()
}

fn decisions(table: &Table) -> Option<String> {
    let pairs = table.median(pairs::PAIRS)?;
    Some(format!(
        "Decisions: {} calls a second were held and decided, with 64 callers and one operator, \
         clients on the same cores. A call that then runs writes its use and its outcome as well.",
        rounded(pairs)
    ))
}

fn release(table: &Table) -> Option<String> {
    let p50 = table.median(&format!("{}, p50", latency::RELEASE))?;
    let p99 = table.median(&format!("{}, p99", latency::RELEASE))?;
    Some(format!(
        "Release: a caller whose call is decided 3 ms after it arrived, one at a time, has its \
         answer {} after the decision was sent, and {} at the slowest hundredth.",
        time(p50),
        time(p99)
    ))
}

fn disk(table: &Table) -> Option<String> {
    let flush = table.median(submits::FLUSH)?;
    let (alone, together) = (table.median(submits::ALONE)?, table.median(submits::TOGETHER)?);
    let mut said = format!(
        "Disk: one flush takes {}; calls are written to disk at {} a second where they come one \
         by one, and at {} a second where 128 come at once and share flushes.",
        time(flush),
        rounded(alone),
        rounded(together)
    );
    // Each call by itself waits for a flush at least.
    if alone * flush > 1e6 {
        said += " These do not agree: the disk was not the same all the time. Measure again.";
    }
    Some(said)
}

fn held(table: &Table) -> Option<String> {
    let (all, each) = (table.median(memory::TOTAL)?, table.median(memory::HELD)?);
    let calls = f64::from(table.number_in(memory::TOTAL)?);
    Some(format!(
        "Memory: while {} calls were held, the daemon took {} MiB in all, {} MiB of it for them. \
         Of this SQLite's page cache, at most 40 MiB, does not grow with more.",
        grouped(calls),
        rounded(all),
        rounded(each * calls / 1024.0)
    ))
}

fn idle(table: &Table) -> Option<String> {
    let mib = table.median(starts::IDLE)?;
    Some(format!("Memory: the daemon takes {mib:.0} MiB when it is idle."))
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

fn over_http(table: &Table) -> Option<String> {
    proxied(table, "HTTP", proxy::HTTP)
}

fn over_stdio(table: &Table) -> Option<String> {
    proxied(table, "stdio", proxy::STDIO)
}

fn proxied(table: &Table, over: &str, lines: &str) -> Option<String> {
    let added = |setting| table.median(&format!("{lines}, {setting}: {}", proxy::ADDED)).map(time);
    let rate = |setting| table.median(&format!("{lines}, {setting}: {}", proxy::RATE)).map(rounded);
    Some(format!(
        "Proxy over {over}: under 30 rules it adds {} to an allowed call that is recorded, {} where \
         a rate limit counts it too; of 64 at once it passes {} a second on, {} with the limit.",
        added(proxy::RULES)?,
        added(proxy::LIMIT)?,
        rate(proxy::RULES)?,
        rate(proxy::LIMIT)?
    ))
}

fn proxy_memory(table: &Table) -> Option<String> {
    let (idle, each) = (table.median(proxy::held::IDLE)?, table.median(proxy::held::EACH)?);
    Some(format!(
        "Proxy: it takes {idle:.0} MiB when it is idle, and 1,000 calls that wait behind it need \
         about {} MiB more.",
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
    grouped((value / step).round() * step)
}

/// With its thousands apart.
fn grouped(value: f64) -> String {
    apart(&format!("{value:.0}"), ',')
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
        table.row(&format!("{}, 5000 on 4 : bare tonic", memory::HELD), "KiB", 6.4, 9.4);
        table.row(&format!("{}, 5000 on 4 : bare tonic", memory::TOTAL), "MiB", 50.0, 66.0);
        let said = sentences(&table);
        let begins =
            "Memory: while 5,000 calls were held, the daemon took 66 MiB in all, 46 MiB of it";
        assert!(said.len() == 1 && said[0].starts_with(begins), "{said:?}");
    }

    #[test]
    fn a_disk_that_changed_meanwhile_is_not_believed() {
        let said = |alone| {
            let mut table = Table::default();
            table.baseline(submits::FLUSH, "us", 4000.0);
            table.row(submits::ALONE, "/s", alone, alone);
            table.row(submits::TOGETHER, "/s", 9000.0, 9000.0);
            sentences(&table).concat()
        };
        assert!(!said(240.0).contains("Measure again"));
        assert!(said(310.0).contains("Measure again"));
    }
}
