//! What exporting metrics is asked for: where they go, how often, and as which kind of histogram.

use std::time::Duration;

use super::destination::{variables, Variables};
use super::{switched_off, Asked, Destination, Reader, Source};

/// What distributions are sent as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Histograms {
    /// With 32 buckets per doubling, those that are empty at either end left out.
    Exponential,
    /// With the buckets that Prometheus' text has.
    Explicit,
}

/// Everything that exporting metrics needs.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// Where to.
    pub to: Destination,
    /// As which kind of histogram.
    pub histograms: Histograms,
    /// Time between two exports.
    pub interval: Duration,
    /// How long sending may take.
    pub export_timeout: Duration,
}

/// Arguments that stand for variables, for messages.
const ARGUMENTS: &[(&str, &str)] = &[
    ("endpoint", "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT"),
    ("protocol", "OTEL_EXPORTER_OTLP_METRICS_PROTOCOL"),
    ("headers", "OTEL_EXPORTER_OTLP_METRICS_HEADERS"),
    ("compression", "OTEL_EXPORTER_OTLP_METRICS_COMPRESSION"),
    ("timeout_ms", "OTEL_EXPORTER_OTLP_METRICS_TIMEOUT"),
    ("certificate", "OTEL_EXPORTER_OTLP_METRICS_CERTIFICATE"),
    ("service_name", "OTEL_SERVICE_NAME"),
    ("resource_attributes", "OTEL_RESOURCE_ATTRIBUTES"),
    ("histograms", AGGREGATION),
    ("interval_ms", "OTEL_METRIC_EXPORT_INTERVAL"),
    ("export_timeout_ms", "OTEL_METRIC_EXPORT_TIMEOUT"),
];

const AGGREGATION: &str = "OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION";
const TEMPORALITY: &str = "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE";
const VARIABLES: Variables = variables!("METRICS", "/v1/metrics");

/// Works out what is asked for.
///
/// # Errors
/// Which value makes no sense, and what it should be.
pub fn resolve(source: &Source<'_>) -> Result<Asked<Settings>, String> {
    if let Some(variable) = switched_off(source, "OTEL_METRICS_EXPORTER")? {
        return Ok(Asked::Off(variable));
    }
    let reader = Reader {
        source,
        named: ARGUMENTS,
    };
    // Sums since the start survive a request that is lost; differences would have to be kept for it.
    let expected =
        "\"cumulative\" (a collector's cumulativetodelta processor makes differences of sums)";
    reader.parsed(&[TEMPORALITY], expected, |value| {
        value.eq_ignore_ascii_case("cumulative").then_some(())
    })?;
    Ok(Asked::On(Box::new(Settings {
        to: Destination::read(reader, &VARIABLES)?,
        histograms: histograms(reader)?,
        interval: reader.millis(&["OTEL_METRIC_EXPORT_INTERVAL"], 60_000)?,
        export_timeout: reader.millis(&["OTEL_METRIC_EXPORT_TIMEOUT"], 30_000)?,
    })))
}

fn histograms(reader: Reader<'_>) -> Result<Histograms, String> {
    let expected = "\"base2_exponential_bucket_histogram\" or \"explicit_bucket_histogram\"";
    let found = reader.parsed(&[AGGREGATION], expected, |value| match value {
        "base2_exponential_bucket_histogram" => Some(Histograms::Exponential),
        "explicit_bucket_histogram" => Some(Histograms::Explicit),
        _ => None,
    })?;
    Ok(found.unwrap_or(Histograms::Exponential))
}
