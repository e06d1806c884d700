//! Families about probes. Loops and threads are not told apart: their numbers would make ever new series.

use aerospike_stages::histogram::Counts;

use crate::export::model::{system, Family, Kind, Unit, Value};
use crate::probes::samples;
use crate::probes::series::{self, Row};
use crate::probes::table::{self, Probe};

/// Upper limits of the buckets for durations, in nanoseconds.
static LIMITS: [u64; 17] = [
    10_000,
    20_000,
    50_000,
    100_000,
    200_000,
    500_000,
    1_000_000,
    2_000_000,
    5_000_000,
    10_000_000,
    20_000_000,
    50_000_000,
    100_000_000,
    200_000_000,
    500_000_000,
    1_000_000_000,
    5_000_000_000,
];

/// Everything that probes have measured; nothing if none was ever started.
pub fn families() -> Vec<Family> {
    let rows = series::rows();
    if rows.is_empty() {
        return Vec::new();
    }
    let of_probe = |probe: Probe| rows.iter().filter(move |row| row.probe == probe);
    let measured = Probe::ALL
        .iter()
        .filter(|probe| of_probe(**probe).next().is_some());
    let mut families: Vec<Family> = measured
        .filter_map(|probe| family(*probe, &of_probe(*probe).collect::<Vec<_>>()))
        .collect();
    let help = "Samples of probes that nobody took in time.";
    let dropped = Family::new(
        "db.client.probe.samples.dropped",
        Unit::Each("{sample}"),
        Kind::Counter,
        help,
    );
    families.push(dropped.count(vec![system()], samples::dropped()));
    families
}

fn family(probe: Probe, rows: &[&Row]) -> Option<Family> {
    let described = probe.describe();
    let unit = match described.unit {
        "seconds" => Unit::Seconds,
        "tasks" => Unit::Each("{task}"),
        "parks" => Unit::Each("{park}"),
        "switches" => Unit::Each("{switch}"),
        "periods" => Unit::Each("{period}"),
        _ => Unit::One,
    };
    let family = |kind| Some(Family::new(described.metric?, unit, kind, described.help));
    let labels = vec![system()];
    match described.kind {
        table::Kind::Duration => {
            let mut family = family(Kind::Histogram)?;
            let mut counts = Counts::default();
            rows.iter().for_each(|row| counts.merge(&row.counts));
            family.add_histogram(labels, counts, &LIMITS);
            Some(family)
        }
        table::Kind::Level => {
            let mut family = family(Kind::Gauge)?;
            let latest = rows.iter().rev().find_map(|row| row.latest);
            family.add(labels, Value::Level(latest.unwrap_or(0.0)));
            Some(family)
        }
        table::Kind::Total => {
            let mut family = family(Kind::Counter)?;
            let total = rows.iter().filter_map(|row| row.latest).sum();
            family.add(labels, Value::Level(total));
            Some(family)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::export::text::{encode, Format};

    #[test]
    fn subjects_of_one_probe_are_one_family() {
        series::of(Probe::AttachDelay, Some(501)).took(0, 30_000);
        series::of(Probe::AttachDelay, Some(502)).took(0, 3_000_000);
        series::of(Probe::RuntimeQueueDepth, Some(501)).stands_at(0, 4.0);
        let text = encode(&families(), Format::Prometheus);
        let name = "db_client_probe_attach_delay_seconds";
        assert_eq!(text.matches(&format!("# TYPE {name} histogram")).count(), 1);
        let labels = "db_system_name=\"aerospike\"";
        assert!(
            text.contains(&format!("{name}_bucket{{{labels},le=\"+Inf\"}} 2\n")),
            "{text}"
        );
        assert!(
            text.contains(&format!("{name}_sum{{{labels}}} 0.00303\n")),
            "{text}"
        );
        assert!(text.contains(&format!(
            "\ndb_client_probe_runtime_queue_depth{{{labels}}} 4\n"
        )));
    }
}
