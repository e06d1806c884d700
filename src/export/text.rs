//! Families of metrics in Prometheus' text format 0.0.4, or in OpenMetrics 1.0, which alone has exemplars.

use std::fmt::{self, Write};

use aerospike_stages::exemplar::Exemplar;

use crate::export::model::{Family, Histogram, Kind, Label, Point, Unit, Value};

/// Which text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Prometheus 0.0.4.
    Prometheus,
    /// OpenMetrics 1.0.
    OpenMetrics,
}

impl Format {
    /// What HTTP calls it.
    pub fn content_type(self) -> &'static str {
        match self {
            Format::Prometheus => "text/plain; version=0.0.4; charset=utf-8",
            Format::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

/// Writes families; those without points are left out.
pub fn encode(families: &[Family], format: Format) -> String {
    let mut text = String::with_capacity(64 * 1024);
    let mut encoder = Encoder {
        text: &mut text,
        format,
    };
    for family in families.iter().filter(|family| !family.points.is_empty()) {
        // Writing to a string does not fail.
        let _ = encoder.family(family);
    }
    if format == Format::OpenMetrics {
        text.push_str("# EOF\n");
    }
    text
}

/// A family's name as Prometheus has it: with its unit, without `_total`.
pub fn name_of(family: &Family) -> String {
    let name = underscored(family.name);
    match family.unit {
        Unit::One | Unit::Each(_) => name,
        Unit::Seconds => format!("{name}_seconds"),
        Unit::Bytes => format!("{name}_bytes"),
    }
}

fn underscored(name: &str) -> String {
    name.replace('.', "_")
}

struct Encoder<'a> {
    text: &'a mut String,
    format: Format,
}

impl Encoder<'_> {
    fn family(&mut self, family: &Family) -> fmt::Result {
        let name = name_of(family);
        let (kind, suffix) = match family.kind {
            Kind::Counter => ("counter", "_total"),
            Kind::UpDown | Kind::Gauge => ("gauge", ""),
            Kind::Histogram => ("histogram", ""),
        };
        // Here the two formats differ: whether the suffix belongs to the family's name.
        let head = match self.format {
            Format::Prometheus => format!("{name}{suffix}"),
            Format::OpenMetrics => name.clone(),
        };
        writeln!(self.text, "# HELP {head} {}", escape_help(&family.help))?;
        writeln!(self.text, "# TYPE {head} {kind}")?;
        let unit = match family.unit {
            Unit::One | Unit::Each(_) => None,
            Unit::Seconds => Some("seconds"),
            Unit::Bytes => Some("bytes"),
        };
        if let (Format::OpenMetrics, Some(unit)) = (self.format, unit) {
            writeln!(self.text, "# UNIT {head} {unit}")?;
        }
        for point in &family.points {
            self.point(&name, suffix, family.unit, point)?;
        }
        Ok(())
    }

    fn point(&mut self, name: &str, suffix: &str, unit: Unit, point: &Point) -> fmt::Result {
        let labels = labels_of(&point.labels);
        let braced = match labels.as_str() {
            "" => String::new(),
            labels => format!("{{{labels}}}"),
        };
        match &point.value {
            Value::Count(count) => writeln!(self.text, "{name}{suffix}{braced} {count}"),
            Value::Level(level) => writeln!(self.text, "{name}{suffix}{braced} {level}"),
            Value::Histogram(histogram) => {
                self.buckets(name, &labels, unit, histogram)?;
                let (sum, count) = (
                    histogram.counts.sum as f64 / unit.parts(),
                    histogram.counts.count(),
                );
                writeln!(self.text, "{name}_sum{braced} {sum}")?;
                writeln!(self.text, "{name}_count{braced} {count}")
            }
        }
    }

    fn buckets(
        &mut self,
        name: &str,
        labels: &str,
        unit: Unit,
        histogram: &Histogram,
    ) -> fmt::Result {
        let comma = if labels.is_empty() { "" } else { "," };
        let cumulated = histogram.counts.at_most_each(histogram.limits);
        let mut above = 0;
        for (limit, count) in histogram.limits.iter().zip(cumulated) {
            let le = *limit as f64 / unit.parts();
            // A whole number needs its point, so that the label is the same in both formats.
            write!(
                self.text,
                "{name}_bucket{{{labels}{comma}le=\"{:?}\"}} {count}",
                Rounded(le)
            )?;
            self.exemplar(histogram, above, *limit, unit)?;
            self.text.push('\n');
            above = *limit;
        }
        let count = histogram.counts.count();
        write!(
            self.text,
            "{name}_bucket{{{labels}{comma}le=\"+Inf\"}} {count}"
        )?;
        self.exemplar(histogram, above, u64::MAX, unit)?;
        self.text.push('\n');
        Ok(())
    }

    fn exemplar(
        &mut self,
        histogram: &Histogram,
        above: u64,
        limit: u64,
        unit: Unit,
    ) -> fmt::Result {
        if self.format != Format::OpenMetrics {
            return Ok(());
        }
        let fits = |exemplar: &&Exemplar| exemplar.nanos > above && exemplar.nanos <= limit;
        let Some(exemplar) = histogram.exemplars.iter().rfind(fits) else {
            return Ok(());
        };
        self.text.push_str(" # {trace_id=\"");
        hexadecimal(self.text, &exemplar.trace_id)?;
        self.text.push_str("\",span_id=\"");
        hexadecimal(self.text, &exemplar.span_id)?;
        let value = exemplar.nanos as f64 / unit.parts();
        write!(self.text, "\"}} {value} {:.3}", exemplar.unix_seconds)
    }
}

/// Nanoseconds as seconds have nine digits; more would be noise of the division.
struct Rounded(f64);

impl fmt::Debug for Rounded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = format!("{:.9}", self.0);
        let digits = digits.trim_end_matches('0');
        f.write_str(digits)?;
        if digits.ends_with('.') {
            f.write_char('0')?;
        }
        Ok(())
    }
}

fn hexadecimal(text: &mut String, bytes: &[u8]) -> fmt::Result {
    bytes.iter().try_for_each(|byte| write!(text, "{byte:02x}"))
}

fn labels_of(labels: &[Label]) -> String {
    let mut text = String::with_capacity(128);
    for (name, value) in labels {
        if !text.is_empty() {
            text.push(',');
        }
        let _ = write!(text, "{}=\"{}\"", underscored(name), escape_value(value));
    }
    text
}

/// Sets and namespaces are the user's words: whatever is in them stays inside its quotes.
fn escape_value(value: &str) -> String {
    let value = value.replace('\\', "\\\\").replace('"', "\\\"");
    value.replace('\n', "\\n")
}

fn escape_help(help: &str) -> String {
    let help = help.replace('\\', "\\\\");
    help.replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::export::model::label;
    use std::borrow::Cow;

    fn families() -> Vec<Family> {
        let mut counter = Family::new(
            "db.client.bytes",
            Unit::Bytes,
            Kind::Counter,
            "Bytes\\of it.",
        );
        counter.add(
            vec![(label::NAMESPACE, Cow::Borrowed("a\"b\\c\nd"))],
            Value::Count(7),
        );
        let mut histogram = Family::new("db.client.wait", Unit::Seconds, Kind::Histogram, "Waits.");
        let mut counts = aerospike_stages::histogram::Counts::default();
        for nanos in [900, 1_500, 5_000_000_000] {
            counts.record(nanos);
        }
        histogram.add_histogram(Vec::new(), counts, &[1_024, 2_048, 1_000_000_000]);
        let empty = Family::new("db.client.none", Unit::One, Kind::Gauge, "Nothing.");
        vec![counter, empty, histogram]
    }

    #[test]
    fn prometheus_has_totals_in_the_names() {
        let text = encode(&families(), Format::Prometheus);
        let expected = r#"# HELP db_client_bytes_bytes_total Bytes\\of it.
# TYPE db_client_bytes_bytes_total counter
db_client_bytes_bytes_total{db_namespace="a\"b\\c\nd"} 7
# HELP db_client_wait_seconds Waits.
# TYPE db_client_wait_seconds histogram
db_client_wait_seconds_bucket{le="0.000001024"} 1
db_client_wait_seconds_bucket{le="0.000002048"} 2
db_client_wait_seconds_bucket{le="1.0"} 2
db_client_wait_seconds_bucket{le="+Inf"} 3
db_client_wait_seconds_sum 5.0000024
db_client_wait_seconds_count 3
"#;
        assert_eq!(text, expected);
    }

    #[test]
    fn openmetrics_has_units_and_an_end() {
        let text = encode(&families(), Format::OpenMetrics);
        assert!(text.contains(
            "# TYPE db_client_bytes_bytes counter\n# UNIT db_client_bytes_bytes bytes\n"
        ));
        assert!(text.contains("\ndb_client_bytes_bytes_total{"));
        assert!(text.ends_with("# EOF\n"));
    }
}
