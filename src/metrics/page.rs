//! Metrics as text: OpenMetrics for those who ask for it, the older Prometheus
//! text format for everybody else.

use std::fmt;

use prometheus_client::encoding::text;
use prometheus_client::registry::Registry;

/// A form of the page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// OpenMetrics 1.0.
    OpenMetrics,
    /// The Prometheus text format, 0.0.4: what every reader understands.
    Classic,
}

impl Format {
    /// What a client's `Accept` header asks for.
    pub fn accepted(header: &str) -> Format {
        // Prometheus names it among others, with a weight. Who refuses it by
        // weight 0 would not name it in the first place.
        match header.contains("application/openmetrics-text") {
            true => Format::OpenMetrics,
            false => Format::Classic,
        }
    }

    /// The media type.
    pub fn content_type(self) -> &'static str {
        match self {
            Format::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Format::Classic => "text/plain; version=0.0.4; charset=utf-8",
        }
    }
}

/// The metrics of several registries as one page.
pub fn page(registries: &[&Registry], format: Format) -> Result<String, fmt::Error> {
    let mut page = String::with_capacity(16 * 1024);
    for registry in registries {
        text::encode_registry(&mut page, registry)?;
    }
    if format == Format::Classic {
        return Ok(classic(&page));
    }
    text::encode_eof(&mut page)?;
    Ok(page)
}

/// The samples are the same in both formats. What stands above them differs: the
/// older one names a family as its samples are named, and knows no `info`.
fn classic(page: &str) -> String {
    let mut out = String::with_capacity(page.len() + 1024);
    let mut help = None;
    for line in page.lines() {
        let mut words = line.splitn(4, ' ');
        match (words.next(), words.next(), words.next(), words.next()) {
            (Some("#"), Some("HELP"), Some(_), Some(text)) => help = Some(text),
            (Some("#"), Some("TYPE"), Some(name), Some(kind)) => {
                let (suffix, kind) = match kind {
                    "counter" => ("_total", kind),
                    "info" => ("_info", "gauge"),
                    _ => ("", kind),
                };
                if let Some(text) = help.take() {
                    out.push_str(&format!("# HELP {name}{suffix} {text}\n"));
                }
                out.push_str(&format!("# TYPE {name}{suffix} {kind}\n"));
            }
            _ => {
                out.push_str(line);
                out.push('\n');
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::call::model::Status;
    use crate::metrics::{Metrics, REASONS};

    #[test]
    fn both_formats_say_the_same_samples() {
        let metrics = Metrics::new();
        metrics.ended(Status::Denied);
        let open = page(&[metrics.registry()], Format::OpenMetrics).expect("encoded");
        let classic = page(&[metrics.registry()], Format::Classic).expect("encoded");
        let samples = |page: &str| -> Vec<String> {
            page.lines().filter(|line| !line.starts_with('#')).map(str::to_owned).collect()
        };
        assert_eq!(samples(&open), samples(&classic));
        for line in [
            "# TYPE holdpoint_requests_ended_total counter",
            "holdpoint_requests_ended_total{status=\"denied\"} 1",
            "holdpoint_requests_ended_total{status=\"expired\"} 0",
            "# TYPE holdpoint_build_info gauge",
            "# TYPE holdpoint_store_commit_seconds histogram",
            "holdpoint_store_commit_seconds_bucket{le=\"+Inf\"} 0",
        ] {
            assert!(classic.lines().any(|found| found == line), "{line} is not in\n{classic}");
        }
        assert!(open.ends_with("# EOF\n") && !classic.contains("# EOF"));
    }

    #[test]
    fn prometheus_gets_openmetrics_and_curl_the_older_format() {
        let prometheus = "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;q=0.2";
        assert_eq!(Format::accepted(prometheus), Format::OpenMetrics);
        assert_eq!(Format::accepted("*/*"), Format::Classic);
    }

    #[test]
    fn a_reason_that_is_not_known_makes_no_series() {
        let metrics = Metrics::new();
        let series = || page(&[metrics.registry()], Format::Classic).expect("encoded");
        let before = series().lines().count();
        metrics.refused("NOT_FOUND");
        metrics.refused("made up");
        metrics.refused("");
        let after = series();
        assert_eq!(after.lines().count(), before);
        assert!(after.contains("holdpoint_refusals_total{reason=\"NOT_FOUND\"} 1\n"), "{after}");
        assert!(after.contains("holdpoint_refusals_total{reason=\"TRANSPORT\"} 2\n"), "{after}");
        assert!(before < 300 && REASONS.len() < 64, "{before} lines");
    }
}
