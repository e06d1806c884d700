//! Tests of what variables and arguments come to.

use super::metrics::Histograms;
use super::traces::Settings;
use super::*;
use crate::sampling::Sampler;

fn asked(
    variables: &[(&str, &str)],
    arguments: &[(&str, &str)],
) -> Result<Asked<Settings>, String> {
    let owned = |pairs: &[(&str, &str)]| -> HashMap<String, String> {
        let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        pairs.iter().map(own).collect()
    };
    let (variables, arguments) = (owned(variables), owned(arguments));
    traces::resolve(&Source {
        arguments: &arguments,
        environment: &|name| variables.get(name).cloned(),
    })
}

fn settings(variables: &[(&str, &str)], arguments: &[(&str, &str)]) -> Settings {
    match asked(variables, arguments) {
        Ok(Asked::On(settings)) => *settings,
        other => panic!("{other:?}"),
    }
}

#[test]
fn nothing_said_means_a_local_collector_over_grpc() {
    let settings = settings(&[], &[]);
    assert_eq!(settings.to.transport, Transport::Grpc);
    assert_eq!(settings.to.endpoint, "http://localhost:4317");
    assert_eq!(settings.sampler, Sampler::AlwaysOn);
    assert_eq!(settings.tail, None);
    assert_eq!(settings.to.service_name, "aerospike-py");
    assert!(settings.stages);
    assert_eq!((settings.queue, settings.batch), (2048, 512));
}

#[test]
fn variables_for_traces_come_before_common_ones_and_arguments_before_both() {
    let common = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://common:4318/");
    let own = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "https://own/custom");
    let http = ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf");
    let endpoint = |variables: &[_], arguments: &[_]| settings(variables, arguments).to.endpoint;
    assert_eq!(endpoint(&[common], &[]), "http://common:4318");
    assert_eq!(
        endpoint(&[common, http], &[]),
        "http://common:4318/v1/traces"
    );
    assert_eq!(endpoint(&[common, own, http], &[]), "https://own/custom");
    let argument = ("endpoint", "http://argument:9");
    assert_eq!(endpoint(&[common, own], &[argument]), "http://argument:9");
    assert_eq!(
        endpoint(&[http], &[argument]),
        "http://argument:9/v1/traces"
    );
    assert_eq!(endpoint(&[http], &[]), "http://localhost:4318/v1/traces");
}

#[test]
fn lists_are_taken_apart_and_decoded() {
    let list = "api-key=a%20b , x=1";
    let settings = settings(
        &[
            ("OTEL_EXPORTER_OTLP_HEADERS", list),
            (
                "OTEL_RESOURCE_ATTRIBUTES",
                "service.name=shop,team=%C3%A4,odd=100%",
            ),
        ],
        &[],
    );
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    assert_eq!(
        settings.to.headers,
        [pair("api-key", "a b"), pair("x", "1")]
    );
    assert_eq!(settings.to.service_name, "shop");
    assert_eq!(
        settings.to.resource[1..],
        [pair("team", "ä"), pair("odd", "100%")]
    );
}

#[test]
fn a_tail_without_a_sampler_leaves_out_the_rest() {
    let slow = ("slow_ms", "20");
    assert_eq!(settings(&[], &[slow]).sampler, Sampler::AlwaysOff);
    let named = ("OTEL_TRACES_SAMPLER", "always_on");
    assert_eq!(settings(&[named], &[slow]).sampler, Sampler::AlwaysOn);
    let tail = settings(&[("AEROSPIKE_PY_TRACE_SLOW_PERCENTILE", "p99.9")], &[])
        .tail
        .unwrap();
    assert!(tail
        .quantile
        .is_some_and(|quantile| (quantile - 0.999).abs() < 1e-9));
    assert_eq!(tail.per_second, 100);
    let failures = settings(&[], &[("failures", "true"), ("per_second", "7")])
        .tail
        .unwrap();
    assert_eq!((failures.slow, failures.per_second), (None, 7));
    let ratio = [("sampler", "traceidratio"), ("sampler_arg", "0.25")];
    assert_eq!(settings(&[], &ratio).sampler, Sampler::Ratio(0.25));
}

#[test]
fn the_standard_switches_switch_off() {
    let disabled = asked(&[("OTEL_SDK_DISABLED", "True")], &[]);
    assert_eq!(disabled, Ok(Asked::Off("OTEL_SDK_DISABLED")));
    let none = asked(&[("OTEL_TRACES_EXPORTER", "none")], &[]);
    assert_eq!(none, Ok(Asked::Off("OTEL_TRACES_EXPORTER")));
}

#[test]
fn what_makes_no_sense_is_named() {
    for (name, value) in [
        ("OTEL_TRACES_EXPORTER", "zipkin"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/json"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4317"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://host:port"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "0"),
        ("OTEL_EXPORTER_OTLP_COMPRESSION", "zip"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "no value"),
        ("OTEL_TRACES_SAMPLER", "jaeger_remote"),
        ("OTEL_BSP_MAX_QUEUE_SIZE", "-1"),
        ("AEROSPIKE_PY_TRACE_SLOW_MS", "fast"),
        ("AEROSPIKE_PY_TRACE_SLOW_PERCENTILE", "100"),
        ("AEROSPIKE_PY_TRACE_PER_SECOND", "0"),
    ] {
        let message = asked(&[(name, value)], &[]).expect_err(name);
        assert!(
            message.starts_with(name) && message.contains(&format!("{value:?}")),
            "{message}"
        );
    }
    let message = asked(&[], &[("slow_ms", "-1")]).expect_err("slow_ms");
    assert_eq!(
        message,
        "`slow_ms` must be a number of milliseconds above zero, not \"-1\""
    );
    let ratio = [
        ("OTEL_TRACES_SAMPLER", "traceidratio"),
        ("OTEL_TRACES_SAMPLER_ARG", "2"),
    ];
    assert!(asked(&ratio, &[]).is_err());
}

fn of_metrics(
    variables: &[(&str, &str)],
    arguments: &[(&str, &str)],
) -> Result<Asked<metrics::Settings>, String> {
    let owned = |pairs: &[(&str, &str)]| -> HashMap<String, String> {
        let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        pairs.iter().map(own).collect()
    };
    let (variables, arguments) = (owned(variables), owned(arguments));
    metrics::resolve(&Source {
        arguments: &arguments,
        environment: &|name| variables.get(name).cloned(),
    })
}

#[test]
fn metrics_have_variables_of_their_own() {
    let settings = |variables: &[_], arguments: &[_]| match of_metrics(variables, arguments) {
        Ok(Asked::On(settings)) => *settings,
        other => panic!("{other:?}"),
    };
    let nothing = settings(&[], &[]);
    assert_eq!(nothing.to.endpoint, "http://localhost:4317");
    assert_eq!(nothing.histograms, Histograms::Exponential);
    assert_eq!(nothing.interval, Duration::from_secs(60));
    assert_eq!(nothing.export_timeout, Duration::from_secs(30));
    let all = [
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
        ("OTEL_EXPORTER_OTLP_METRICS_PROTOCOL", "http/protobuf"),
        ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://traces:1"),
        ("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", "http://metrics:2"),
        ("OTEL_METRIC_EXPORT_INTERVAL", "1500"),
        ("OTEL_TRACES_EXPORTER", "none"),
        (
            "OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION",
            "explicit_bucket_histogram",
        ),
        (
            "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE",
            "Cumulative",
        ),
    ];
    let said = settings(&all, &[]);
    assert_eq!(said.to.transport, Transport::Http);
    assert_eq!(said.to.endpoint, "http://metrics:2/v1/metrics");
    assert_eq!(said.interval, Duration::from_millis(1500));
    assert_eq!(said.histograms, Histograms::Explicit);
    let argument = ("interval_ms", "250");
    assert_eq!(
        settings(&all, &[argument]).interval,
        Duration::from_millis(250)
    );
    let off = of_metrics(&[("OTEL_METRICS_EXPORTER", "none")], &[]);
    assert_eq!(off, Ok(Asked::Off("OTEL_METRICS_EXPORTER")));
}

#[test]
fn what_makes_no_sense_for_metrics_is_named() {
    for (name, value) in [
        ("OTEL_METRICS_EXPORTER", "prometheus"),
        ("OTEL_METRIC_EXPORT_INTERVAL", "0"),
        ("OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE", "delta"),
        (
            "OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION",
            "summary",
        ),
        ("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", "metrics:2"),
    ] {
        let message = of_metrics(&[(name, value)], &[]).expect_err(name);
        assert!(
            message.starts_with(name) && message.contains(&format!("{value:?}")),
            "{message}"
        );
    }
    let message = of_metrics(&[], &[("interval_ms", "soon")]).expect_err("interval_ms");
    assert!(message.starts_with("`interval_ms` must be"), "{message}");
}
