//! Metrics as plain data: what is collected, whatever it is written as.
//!
//! Names and labels are OpenTelemetry's, with dots; encoders turn them into what their format has.

use std::borrow::Cow;

use aerospike_stages::exemplar::Exemplar;
use aerospike_stages::histogram::Counts;

/// Names of labels, each written once.
pub mod label {
    pub const SYSTEM: &str = "db.system.name";
    pub const NAMESPACE: &str = "db.namespace";
    pub const COLLECTION: &str = "db.collection.name";
    pub const OPERATION: &str = "db.operation.name";
    pub const STATUS_CODE: &str = "db.response.status_code";
    pub const ERROR_TYPE: &str = "error.type";
    pub const ADDRESS: &str = "server.address";
    pub const PORT: &str = "server.port";
    pub const LANE: &str = "lane";
    pub const STAGE: &str = "stage";
    pub const OUTCOME: &str = "outcome";
    pub const CLIENT: &str = "client.id";
    pub const POOL: &str = "db.client.connection.pool.name";
    pub const STATE: &str = "db.client.connection.state";
    pub const DIRECTION: &str = "network.io.direction";
    pub const OVERFLOW: &str = "otel.metric.overflow";
}

/// A label and its value.
pub type Label = (&'static str, Cow<'static, str>);

/// What a family's numbers mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Only ever grows.
    Counter,
    /// Goes up and down, and can be added up over processes.
    UpDown,
    /// Goes up and down; a sum of several means nothing.
    Gauge,
    /// A distribution.
    Histogram,
}

/// What is measured in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// Nothing: a share, say.
    One,
    /// Things, named in braces as OpenTelemetry does.
    Each(&'static str),
    /// Seconds; histograms hold nanoseconds.
    Seconds,
    /// Bytes.
    Bytes,
}

impl Unit {
    /// How many of a histogram's whole numbers make one.
    pub fn parts(self) -> f64 {
        match self {
            Unit::Seconds => 1e9,
            Unit::One | Unit::Each(_) | Unit::Bytes => 1.0,
        }
    }

    /// As OpenTelemetry writes it.
    pub fn code(self) -> &'static str {
        match self {
            Unit::One => "1",
            Unit::Each(things) => things,
            Unit::Seconds => "s",
            Unit::Bytes => "By",
        }
    }
}

/// A metric with all its points.
#[derive(Debug, Clone)]
pub struct Family {
    /// With dots, without the unit.
    pub name: &'static str,
    pub unit: Unit,
    pub kind: Kind,
    pub help: Cow<'static, str>,
    pub points: Vec<Point>,
}

/// One combination of labels.
#[derive(Debug, Clone)]
pub struct Point {
    pub labels: Vec<Label>,
    pub value: Value,
}

/// What a point says.
#[derive(Debug, Clone)]
pub enum Value {
    Count(u64),
    Level(f64),
    Histogram(Histogram),
}

/// A distribution.
#[derive(Debug, Clone)]
pub struct Histogram {
    pub counts: Counts,
    /// Upper limits of the buckets that formats with fixed buckets have, in the histogram's own unit.
    pub limits: &'static [u64],
    /// Traced members of it, the smallest first.
    pub exemplars: Vec<Exemplar>,
}

impl Family {
    /// A family without points.
    pub fn new(
        name: &'static str,
        unit: Unit,
        kind: Kind,
        help: impl Into<Cow<'static, str>>,
    ) -> Family {
        Family {
            name,
            unit,
            kind,
            help: help.into(),
            points: Vec::new(),
        }
    }

    /// The same with another counter's point.
    pub fn count(mut self, labels: Vec<Label>, count: u64) -> Family {
        self.add(labels, Value::Count(count));
        self
    }

    /// Adds a point.
    pub fn add(&mut self, labels: Vec<Label>, value: Value) {
        self.points.push(Point { labels, value });
    }

    /// Adds a histogram's point.
    pub fn add_histogram(&mut self, labels: Vec<Label>, counts: Counts, limits: &'static [u64]) {
        let histogram = Histogram {
            counts,
            limits,
            exemplars: Vec::new(),
        };
        self.add(labels, Value::Histogram(histogram));
    }
}

/// The label that says which database it is about.
pub fn system() -> Label {
    (label::SYSTEM, Cow::Borrowed("aerospike"))
}

/// The labels of a node, of which the number is known.
pub fn node_labels(node: aerospike_stages::NodeId) -> Vec<Label> {
    let name = node.name();
    match name.rsplit_once(':') {
        _ if name.is_empty() => Vec::new(),
        Some((host, port)) => vec![
            (
                label::ADDRESS,
                Cow::Owned(without_brackets(host).to_owned()),
            ),
            (label::PORT, Cow::Owned(port.to_owned())),
        ],
        None => vec![(label::ADDRESS, Cow::Owned(name))],
    }
}

fn without_brackets(host: &str) -> &str {
    host.strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'))
        .unwrap_or(host)
}
