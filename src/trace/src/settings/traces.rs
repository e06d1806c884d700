//! What tracing is asked for: where spans go, which operations become spans, and how long spans wait.

use std::time::Duration;

use super::destination::{variables, Variables};
use super::{switched_off, Asked, Destination, Reader, Source};
use crate::sampling::Sampler;

/// What the tail keeps besides failures.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TailSettings {
    /// Operations slower than this.
    pub slow: Option<Duration>,
    /// Operations slower than this share of all.
    pub quantile: Option<f64>,
    /// At most so many.
    pub per_second: u32,
    /// Also where the application decided against its trace.
    pub overrides_parent: bool,
}

/// Everything that exporting spans needs.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// Where to.
    pub to: Destination,
    /// Decides at the head.
    pub sampler: Sampler,
    /// Decides at the tail.
    pub tail: Option<TailSettings>,
    /// Whether stages and nodes become spans, too.
    pub stages: bool,
    /// How many operations may wait.
    pub queue: usize,
    /// How many spans are sent at once, about.
    pub batch: usize,
    /// How long spans wait for more of them.
    pub delay: Duration,
    /// How long sending a batch may take, attempts included.
    pub export_timeout: Duration,
}

/// Arguments that stand for variables, for messages.
const ARGUMENTS: &[(&str, &str)] = &[
    ("endpoint", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"),
    ("protocol", "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL"),
    ("headers", "OTEL_EXPORTER_OTLP_TRACES_HEADERS"),
    ("compression", "OTEL_EXPORTER_OTLP_TRACES_COMPRESSION"),
    ("timeout_ms", "OTEL_EXPORTER_OTLP_TRACES_TIMEOUT"),
    ("certificate", "OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE"),
    ("service_name", "OTEL_SERVICE_NAME"),
    ("resource_attributes", "OTEL_RESOURCE_ATTRIBUTES"),
    ("sampler", "OTEL_TRACES_SAMPLER"),
    ("sampler_arg", "OTEL_TRACES_SAMPLER_ARG"),
    ("queue_size", "OTEL_BSP_MAX_QUEUE_SIZE"),
    ("batch_size", "OTEL_BSP_MAX_EXPORT_BATCH_SIZE"),
    ("schedule_delay_ms", "OTEL_BSP_SCHEDULE_DELAY"),
    ("export_timeout_ms", "OTEL_BSP_EXPORT_TIMEOUT"),
    ("slow_ms", "AEROSPIKE_PY_TRACE_SLOW_MS"),
    ("slow_percentile", "AEROSPIKE_PY_TRACE_SLOW_PERCENTILE"),
    ("per_second", "AEROSPIKE_PY_TRACE_PER_SECOND"),
];

/// Arguments without a variable.
const KEEP_FAILURES: &str = "failures";
const OVERRIDES_PARENT: &str = "override_parent";
const STAGE_SPANS: &str = "stage_spans";

/// How many operations the tail keeps in a second unless it is told otherwise.
const TAIL_PER_SECOND: u32 = 100;

const VARIABLES: Variables = variables!("TRACES", "/v1/traces");

/// Works out what is asked for.
///
/// # Errors
/// Which value makes no sense, and what it should be.
pub fn resolve(source: &Source<'_>) -> Result<Asked<Settings>, String> {
    if let Some(variable) = switched_off(source, "OTEL_TRACES_EXPORTER")? {
        return Ok(Asked::Off(variable));
    }
    let reader = Reader {
        source,
        named: ARGUMENTS,
    };
    let to = Destination::read(reader, &VARIABLES)?;
    let tail = tail(reader)?;
    Ok(Asked::On(Box::new(Settings {
        to,
        sampler: sampler(reader, tail.is_some())?,
        tail,
        stages: reader.flag_or(STAGE_SPANS, true),
        queue: reader.number("OTEL_BSP_MAX_QUEUE_SIZE", 2048)?.min(1 << 20) as usize,
        batch: reader
            .number("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", 512)?
            .min(1 << 16) as usize,
        delay: reader.millis(&["OTEL_BSP_SCHEDULE_DELAY"], 5_000)?,
        export_timeout: reader.millis(&["OTEL_BSP_EXPORT_TIMEOUT"], 30_000)?,
    })))
}

fn sampler(reader: Reader<'_>, has_tail: bool) -> Result<Sampler, String> {
    let share = |value: &str| {
        value
            .parse()
            .ok()
            .filter(|share| (0.0..=1.0).contains(share))
    };
    let ratio = || {
        let found = reader.parsed(&["OTEL_TRACES_SAMPLER_ARG"], "a number from 0 to 1", share)?;
        Ok::<_, String>(Sampler::Ratio(found.unwrap_or(1.0)))
    };
    let name = reader.find(&["OTEL_TRACES_SAMPLER"]);
    match name.as_ref().map(|(value, _)| value.as_str()) {
        // Whoever names what the tail should keep does not want everything else as well.
        None if has_tail => Ok(Sampler::AlwaysOff),
        None | Some("always_on" | "parentbased_always_on") => Ok(Sampler::AlwaysOn),
        Some("always_off" | "parentbased_always_off") => Ok(Sampler::AlwaysOff),
        Some("traceidratio" | "parentbased_traceidratio") => ratio(),
        Some(other) => Err(format!(
            "{} must be one of always_on, always_off, traceidratio, parentbased_always_on, parentbased_always_off \
             and parentbased_traceidratio, not {other:?}",
            name.as_ref().map_or("", |(_, name)| name)
        )),
    }
}

fn tail(reader: Reader<'_>) -> Result<Option<TailSettings>, String> {
    let slow = reader.parsed(
        &["AEROSPIKE_PY_TRACE_SLOW_MS"],
        "a number of milliseconds above zero",
        |value| {
            let millis = value.parse::<f64>().ok()?;
            (millis > 0.0 && millis < 1e9).then(|| Duration::from_secs_f64(millis / 1e3))
        },
    )?;
    let quantile = reader.parsed(
        &["AEROSPIKE_PY_TRACE_SLOW_PERCENTILE"],
        "a percentile from 50 to below 100, like 99 or p99",
        |value| {
            let number = value.strip_prefix('p').unwrap_or(value);
            let percentile = number.parse::<f64>().ok()?;
            (50.0..100.0)
                .contains(&percentile)
                .then_some(percentile / 100.0)
        },
    )?;
    let per_second = reader.parsed(
        &["AEROSPIKE_PY_TRACE_PER_SECOND"],
        "a whole number above zero",
        |value| value.parse().ok().filter(|number| *number > 0),
    )?;
    let wanted = slow.is_some()
        || quantile.is_some()
        || per_second.is_some()
        || reader.flag(KEEP_FAILURES)
        || reader.flag(OVERRIDES_PARENT);
    Ok(wanted.then(|| TailSettings {
        slow,
        quantile,
        per_second: per_second.unwrap_or(TAIL_PER_SECOND),
        overrides_parent: reader.flag(OVERRIDES_PARENT),
    }))
}
