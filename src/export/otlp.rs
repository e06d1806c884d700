//! Families of metrics as OTLP's messages. Distributions are exponential histograms, or have the buckets of
//! Prometheus' text; sums go back to when counting began.

use aerospike_stages::exemplar::Exemplar;
use aerospike_stages::exponential::{Exponential, SCALE};
use aerospike_traces::otlp::reporting::common::{any_value, AnyValue, KeyValue};
use aerospike_traces::otlp::reporting::messages::{
    exemplar, exponential_histogram_data_point::Buckets, metric::Data, number_data_point,
    AggregationTemporality, Exemplar as Traced, ExponentialHistogram,
    ExponentialHistogramDataPoint, Gauge, Histogram as Explicit, HistogramDataPoint, Metric,
    NumberDataPoint, Sum,
};
use aerospike_traces::otlp::reporting::Window;
use aerospike_traces::settings::metrics::Histograms;

use crate::export::families;
use crate::export::model::{label, Family, Histogram, Kind, Label, Point, Unit, Value};
use crate::lanes::fork;

const CUMULATIVE: i32 = AggregationTemporality::Cumulative as i32;

/// Everything recorded since the process started.
pub fn collect(window: Window) -> Vec<Metric> {
    let families = families::collect(fork::generation());
    let measured = families.iter().filter(|family| !family.points.is_empty());
    measured.map(|family| metric(family, window)).collect()
}

fn metric(family: &Family, window: Window) -> Metric {
    let numbers = || family.points.iter().map(|point| number(point, window));
    let sum = |is_monotonic| {
        Data::Sum(Sum {
            data_points: numbers().collect(),
            aggregation_temporality: CUMULATIVE,
            is_monotonic,
        })
    };
    let data = match (family.kind, window.histograms) {
        (Kind::Counter, _) => sum(true),
        (Kind::UpDown, _) => sum(false),
        (Kind::Gauge, _) => Data::Gauge(Gauge {
            data_points: numbers().collect(),
        }),
        (Kind::Histogram, Histograms::Exponential) => {
            Data::ExponentialHistogram(ExponentialHistogram {
                data_points: distributions(family, |point, histogram| {
                    exponential(point, histogram, family.unit, window)
                }),
                aggregation_temporality: CUMULATIVE,
            })
        }
        (Kind::Histogram, Histograms::Explicit) => Data::Histogram(Explicit {
            data_points: distributions(family, |point, histogram| {
                explicit(point, histogram, family.unit, window)
            }),
            aggregation_temporality: CUMULATIVE,
        }),
    };
    Metric {
        name: family.name.to_owned(),
        description: family.help.to_string(),
        unit: family.unit.code().to_owned(),
        data: Some(data),
        ..Metric::default()
    }
}

fn number(point: &Point, window: Window) -> NumberDataPoint {
    let value = match &point.value {
        Value::Count(count) => {
            number_data_point::Value::AsInt(i64::try_from(*count).unwrap_or(i64::MAX))
        }
        Value::Level(level) => number_data_point::Value::AsDouble(*level),
        Value::Histogram(histogram) => {
            let count = i64::try_from(histogram.counts.count()).unwrap_or(i64::MAX);
            number_data_point::Value::AsInt(count)
        }
    };
    NumberDataPoint {
        attributes: attributes(&point.labels),
        start_time_unix_nano: window.start_unix_ns,
        time_unix_nano: window.now_unix_ns,
        value: Some(value),
        ..NumberDataPoint::default()
    }
}

fn distributions<T>(family: &Family, make: impl Fn(&Point, &Histogram) -> T) -> Vec<T> {
    let made = family.points.iter().filter_map(|point| match &point.value {
        Value::Histogram(histogram) => Some(make(point, histogram)),
        Value::Count(_) | Value::Level(_) => None,
    });
    made.collect()
}

fn exponential(
    point: &Point,
    histogram: &Histogram,
    unit: Unit,
    window: Window,
) -> ExponentialHistogramDataPoint {
    let converted = Exponential::of(&histogram.counts, 1.0 / unit.parts());
    ExponentialHistogramDataPoint {
        attributes: attributes(&point.labels),
        start_time_unix_nano: window.start_unix_ns,
        time_unix_nano: window.now_unix_ns,
        count: converted.count,
        sum: Some(converted.sum),
        scale: SCALE,
        zero_count: converted.zeros,
        positive: Some(Buckets {
            offset: converted.offset,
            bucket_counts: converted.buckets,
        }),
        max: (converted.count > 0).then_some(converted.max),
        exemplars: traced(&histogram.exemplars, unit),
        ..ExponentialHistogramDataPoint::default()
    }
}

fn explicit(
    point: &Point,
    histogram: &Histogram,
    unit: Unit,
    window: Window,
) -> HistogramDataPoint {
    let (counts, parts) = (&histogram.counts, unit.parts());
    let mut below = counts.at_most_each(histogram.limits);
    below.push(counts.count());
    let mut before = 0;
    let buckets = below.iter().map(|upto| {
        let within = upto - before;
        before = *upto;
        within
    });
    let bucket_counts = buckets.collect();
    HistogramDataPoint {
        attributes: attributes(&point.labels),
        start_time_unix_nano: window.start_unix_ns,
        time_unix_nano: window.now_unix_ns,
        count: counts.count(),
        sum: Some(counts.sum as f64 / parts),
        bucket_counts,
        explicit_bounds: histogram
            .limits
            .iter()
            .map(|limit| *limit as f64 / parts)
            .collect(),
        max: (counts.count() > 0).then_some(counts.max as f64 / parts),
        exemplars: traced(&histogram.exemplars, unit),
        ..HistogramDataPoint::default()
    }
}

fn traced(exemplars: &[Exemplar], unit: Unit) -> Vec<Traced> {
    let traced = exemplars.iter().map(|exemplar| Traced {
        time_unix_nano: (exemplar.unix_seconds * 1e9) as u64,
        span_id: exemplar.span_id.to_vec(),
        trace_id: exemplar.trace_id.to_vec(),
        value: Some(exemplar::Value::AsDouble(
            exemplar.nanos as f64 / unit.parts(),
        )),
        ..Traced::default()
    });
    traced.collect()
}

/// Labels are words; what is a number or a flag for OpenTelemetry becomes one.
fn attributes(labels: &[Label]) -> Vec<KeyValue> {
    let typed = labels.iter().map(|(name, text)| {
        let word = || any_value::Value::StringValue(text.to_string());
        let value = match *name {
            label::PORT => text
                .parse()
                .map_or_else(|_| word(), any_value::Value::IntValue),
            label::OVERFLOW => any_value::Value::BoolValue(text == "true"),
            _ => word(),
        };
        KeyValue {
            key: (*name).to_owned(),
            value: Some(AnyValue { value: Some(value) }),
            ..KeyValue::default()
        }
    });
    typed.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use aerospike_stages::histogram::Counts;
    use std::borrow::Cow;

    const WINDOW: Window = Window {
        start_unix_ns: 1_000,
        now_unix_ns: 2_000,
        histograms: Histograms::Exponential,
    };

    fn durations() -> Family {
        let mut family = Family::new("db.client.wait", Unit::Seconds, Kind::Histogram, "Waits.");
        let mut counts = Counts::default();
        for nanos in [0, 900, 1_500, 5_000_000_000] {
            counts.record(nanos);
        }
        let labels = vec![
            (label::ADDRESS, Cow::Borrowed("::1")),
            (label::PORT, Cow::Borrowed("3000")),
            (label::OVERFLOW, Cow::Borrowed("true")),
        ];
        family.add_histogram(labels, counts, &[1_024, 2_048, 1_000_000_000]);
        family
    }

    #[test]
    fn exponential_histograms_have_every_value() {
        let metric = metric(&durations(), WINDOW);
        assert_eq!(
            (metric.name.as_str(), metric.unit.as_str()),
            ("db.client.wait", "s")
        );
        let Some(Data::ExponentialHistogram(data)) = metric.data else {
            panic!("{metric:?}");
        };
        assert_eq!(data.aggregation_temporality, CUMULATIVE);
        let [point] = data.data_points.as_slice() else {
            panic!("{data:?}");
        };
        assert_eq!(
            (point.start_time_unix_nano, point.time_unix_nano),
            (1_000, 2_000)
        );
        assert_eq!((point.count, point.zero_count, point.scale), (4, 1, SCALE));
        let buckets = point.positive.as_ref().unwrap();
        assert_eq!(buckets.bucket_counts.iter().sum::<u64>(), 3);
        let lowest = f64::from(buckets.offset) / f64::from(1 << SCALE);
        assert!((lowest.exp2() * 1e9 / 900.0 - 1.0).abs() < 0.03);
        assert_eq!(point.max, Some(5.0));
        let value = |place: usize| {
            point.attributes[place]
                .value
                .clone()
                .unwrap()
                .value
                .unwrap()
        };
        assert_eq!(value(0), any_value::Value::StringValue("::1".to_owned()));
        assert_eq!(value(1), any_value::Value::IntValue(3_000));
        assert_eq!(value(2), any_value::Value::BoolValue(true));
    }

    #[test]
    fn explicit_histograms_have_the_buckets_of_the_text() {
        let window = Window {
            histograms: Histograms::Explicit,
            ..WINDOW
        };
        let Some(Data::Histogram(data)) = metric(&durations(), window).data else {
            panic!("another kind");
        };
        let point = &data.data_points[0];
        assert_eq!(point.explicit_bounds, [1.024e-6, 2.048e-6, 1.0]);
        assert_eq!(point.bucket_counts, [2, 1, 0, 1]);
        assert_eq!((point.count, point.sum), (4, Some(5.000_002_4)));
    }

    #[test]
    fn counters_grow_and_levels_do_not() {
        let data = |kind, value| {
            let mut family = Family::new("db.client.x", Unit::Each("{x}"), kind, "X.");
            family.add(Vec::new(), value);
            metric(&family, WINDOW)
        };
        let counter = data(Kind::Counter, Value::Count(7));
        assert_eq!(counter.unit, "{x}");
        let Some(Data::Sum(sum)) = counter.data else {
            panic!("another kind");
        };
        assert!(sum.is_monotonic);
        assert_eq!(
            sum.data_points[0].value,
            Some(number_data_point::Value::AsInt(7))
        );
        let Some(Data::Sum(sum)) = data(Kind::UpDown, Value::Count(7)).data else {
            panic!("another kind");
        };
        assert!(!sum.is_monotonic);
        let Some(Data::Gauge(gauge)) = data(Kind::Gauge, Value::Level(0.5)).data else {
            panic!("another kind");
        };
        assert_eq!(
            gauge.data_points[0].value,
            Some(number_data_point::Value::AsDouble(0.5))
        );
    }
}
