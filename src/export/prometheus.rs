//! Metrics in the Prometheus text format.
//!
//! Bucket boundaries follow 1, 1.5, 2, 3, 5, 7 per decade from one microsecond to ten seconds;
//! a value is counted by the histogram bucket (3 % wide) that it lies in, so a boundary is
//! exact to that width.

use std::fmt::Write;

use aerospike_stages::collector::{dropped, totals, Totals};
use aerospike_stages::histogram::Counts;
use aerospike_stages::{Outcome, Stage};

const STEPS: [f64; 6] = [1.0, 1.5, 2.0, 3.0, 5.0, 7.0];
const DECADES: i32 = 7;

/// Everything recorded since the process started.
pub fn render() -> String {
    let all = totals();
    let mut text = String::with_capacity(16 * 1024);
    durations(&mut text, &all);
    operations(&mut text, &all);
    stages(&mut text, &all);
    head(
        &mut text,
        "db_client_records_dropped_total",
        "counter",
        "Operations whose record was lost.",
    );
    let _ = writeln!(text, "db_client_records_dropped_total {}", dropped());
    crate::probes::metrics::render(&mut text);
    text
}

fn durations(text: &mut String, all: &[Totals]) {
    let name = "db_client_operation_duration_seconds";
    head(
        text,
        name,
        "histogram",
        "Duration of database client operations.",
    );
    for totals in all.iter().filter(|totals| totals.durations.count() > 0) {
        histogram(text, name, &labels(totals), &totals.durations);
    }
}

fn operations(text: &mut String, all: &[Totals]) {
    let name = "db_client_operations_total";
    head(text, name, "counter", "Operations by how they ended.");
    for totals in all {
        for (outcome, count) in Outcome::ALL
            .iter()
            .zip(totals.ended)
            .filter(|(_, count)| *count > 0)
        {
            let _ = writeln!(
                text,
                "{name}{{{},outcome=\"{}\"}} {count}",
                labels(totals),
                outcome.name()
            );
        }
    }
}

fn stages(text: &mut String, all: &[Totals]) {
    let name = "db_client_internal_stage_seconds";
    head(
        text,
        name,
        "histogram",
        "Time of an operation by internal stage.",
    );
    for totals in all {
        for stage in Stage::ALL {
            let counts = &totals.stages[stage.index()];
            if counts.sum > 0 {
                histogram(
                    text,
                    name,
                    &format!("{},stage=\"{}\"", labels(totals), stage.name()),
                    counts,
                );
            }
        }
        if totals.deferred.sum > 0 {
            let labels = format!(
                "{},stage=\"{}_deferred\"",
                labels(totals),
                Stage::ToDict.name()
            );
            histogram(text, name, &labels, &totals.deferred);
        }
    }
}

fn head(text: &mut String, name: &str, kind: &str, help: &str) {
    let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}");
}

fn labels(totals: &Totals) -> String {
    format!(
        "db_system_name=\"aerospike\",db_operation_name=\"{}\",lane=\"{}\"",
        totals.operation.name(),
        totals.lane.name()
    )
}

fn histogram(text: &mut String, name: &str, labels: &str, counts: &Counts) {
    for decade in 0..DECADES {
        for step in STEPS {
            let nanos = step * 10f64.powi(decade + 3);
            let count = counts.at_most(nanos as u64);
            let _ = writeln!(
                text,
                "{name}_bucket{{{labels},le=\"{}\"}} {count}",
                nanos / 1e9
            );
        }
    }
    let count = counts.count();
    let _ = writeln!(text, "{name}_bucket{{{labels},le=\"+Inf\"}} {count}");
    let _ = writeln!(text, "{name}_sum{{{labels}}} {}", counts.sum as f64 / 1e9);
    let _ = writeln!(text, "{name}_count{{{labels}}} {count}");
}

#[cfg(test)]
mod tests {
    use super::*;
    use aerospike_stages::collector::record_duration;
    use aerospike_stages::{Lane, Operation};

    #[test]
    fn a_duration_lands_in_its_bucket() {
        record_duration(Operation::Truncate, Lane::Sync, Outcome::Ok, 1_700_000);
        let text = render();
        let line = |le: &str| {
            let wanted = format!("db_operation_name=\"truncate\",lane=\"sync\",le=\"{le}\"}} ");
            let line = text.lines().find(|line| line.contains(&wanted)).unwrap();
            line.rsplit(' ').next().unwrap().parse::<u64>().unwrap()
        };
        assert_eq!((line("0.0015"), line("0.002"), line("+Inf")), (0, 1, 1));
        assert!(text.contains("db_client_operation_duration_seconds_sum{db_system_name=\"aerospike\",db_operation_name=\"truncate\",lane=\"sync\"} 0.0017\n"));
    }
}
