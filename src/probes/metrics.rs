//! Probes in the Prometheus text format. Loops and threads are not told apart: their numbers would make
//! ever new series.

use std::fmt::Write;

use aerospike_stages::histogram::Counts;

use crate::probes::samples;
use crate::probes::series::{self, Row};
use crate::probes::table::{Kind, Probe};

/// Upper bounds of the buckets for durations, in seconds.
const BOUNDS: [f64; 17] = [
    1e-5, 2e-5, 5e-5, 1e-4, 2e-4, 5e-4, 1e-3, 2e-3, 5e-3, 1e-2, 2e-2, 5e-2, 0.1, 0.2, 0.5, 1.0, 5.0,
];

/// Appends everything that probes have measured; nothing if none was ever started.
pub fn render(text: &mut String) {
    let rows = series::rows();
    for probe in Probe::ALL {
        let of_probe: Vec<&Row> = rows.iter().filter(|row| row.probe == *probe).collect();
        if !of_probe.is_empty() {
            family(text, *probe, &of_probe);
        }
    }
    if !rows.is_empty() {
        let name = "db_client_probe_samples_dropped_total";
        head(
            text,
            name,
            "counter",
            "Samples of probes that nobody took in time.",
        );
        let _ = writeln!(text, "{name} {}", samples::dropped());
    }
}

fn family(text: &mut String, probe: Probe, rows: &[&Row]) {
    let described = probe.describe();
    match described.kind {
        Kind::Duration => {
            let name = format!("db_client_probe_{}_seconds", described.name);
            head(text, &name, "histogram", described.help);
            let mut counts = Counts::default();
            rows.iter().for_each(|row| counts.merge(&row.counts));
            histogram(text, &name, &counts);
        }
        Kind::Level => {
            let name = format!("db_client_probe_{}", described.name);
            head(text, &name, "gauge", described.help);
            let latest = rows.iter().rev().find_map(|row| row.latest);
            let _ = writeln!(text, "{name} {}", latest.unwrap_or(0.0));
        }
        Kind::Total => {
            let name = format!("db_client_probe_{}_total", described.name);
            head(text, &name, "counter", described.help);
            let total: f64 = rows.iter().filter_map(|row| row.latest).sum();
            let _ = writeln!(text, "{name} {total}");
        }
    }
}

fn head(text: &mut String, name: &str, kind: &str, help: &str) {
    let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}");
}

fn histogram(text: &mut String, name: &str, counts: &Counts) {
    for bound in BOUNDS {
        let count = counts.at_most((bound * 1e9) as u64);
        let _ = writeln!(text, "{name}_bucket{{le=\"{bound}\"}} {count}");
    }
    let count = counts.count();
    let _ = writeln!(text, "{name}_bucket{{le=\"+Inf\"}} {count}");
    let _ = writeln!(text, "{name}_sum {}", counts.sum as f64 / 1e9);
    let _ = writeln!(text, "{name}_count {count}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subjects_of_one_probe_are_one_family() {
        series::of(Probe::AttachDelay, Some(501)).took(0, 30_000);
        series::of(Probe::AttachDelay, Some(502)).took(0, 3_000_000);
        series::of(Probe::RuntimeQueueDepth, Some(501)).stands_at(0, 4.0);
        let mut text = String::new();
        render(&mut text);
        let name = "db_client_probe_attach_delay_seconds";
        assert_eq!(text.matches(&format!("# TYPE {name} histogram")).count(), 1);
        assert!(text.contains(&format!("{name}_bucket{{le=\"0.00005\"}} 1\n")));
        assert!(text.contains(&format!("{name}_bucket{{le=\"+Inf\"}} 2\n")));
        assert!(text.contains(&format!("{name}_sum 0.00303\n")));
        assert!(text.contains("\ndb_client_probe_runtime_queue_depth 4\n"));
    }
}
