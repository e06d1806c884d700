//! Families about connections, as the sockets have seen them: bytes, attempts, failures by node; opening
//! and waiting.

use std::borrow::Cow;

use aerospike_rt::net::tally::{self, NodeTotals};
use aerospike_stages::{attempts, parts, NodeId};

use crate::export::limits;
use crate::export::model::{label, node_labels, system, Family, Kind, Label, Unit, Value};
use crate::ops::{gauges, row_failures};

pub fn families() -> Vec<Family> {
    let nodes = tally::by_node();
    let openings = tally::openings();
    vec![
        bytes(&nodes),
        by_node(
            ("db.client.attempts", "{attempt}", "Commands sent on a pooled connection, by node."),
            &nodes,
            |totals| totals.attempts,
        ),
        by_node(
            (
                "db.client.retries",
                "{attempt}",
                "Attempts that were not the first of their operation or of its part for a node, by the node they went to.",
            ),
            &nodes,
            |totals| totals.retries,
        ),
        by_node(
            (
                "db.client.connection.failures",
                "{failure}",
                "Reads and writes that failed or found the connection closed by the node.",
            ),
            &nodes,
            |totals| totals.failures,
        ),
        by_node(
            ("db.client.connection.opened", "{connection}", "Connections opened, the driver's own included."),
            &nodes,
            |totals| totals.opened,
        ),
        by_node(
            ("db.client.connection.closed", "{connection}", "Connections closed, by whichever side."),
            &nodes,
            |totals| totals.closed,
        ),
        batch_parts(),
        failed_rows(),
        create_time(openings.durations),
        Family::new(
            "db.client.connection.create.failures",
            Unit::Each("{connection}"),
            Kind::Counter,
            "Connections that could not be opened, or not in time.",
        )
        .count(vec![system()], openings.failures),
        wait_time(&nodes),
        Family::new(
            "db.client.connection.timeouts",
            Unit::Each("{timeout}"),
            Kind::Counter,
            "Operations that ended because they got no connection in time.",
        )
        .count(vec![system()], gauges::connection_timeouts()),
        pending(),
    ]
}

fn labels_of(node: NodeId) -> Vec<Label> {
    let mut labels = vec![system()];
    labels.extend(node_labels(node));
    labels
}

fn by_node(
    (name, things, help): (&'static str, &'static str, &'static str),
    nodes: &[(NodeId, NodeTotals)],
    count: impl Fn(&NodeTotals) -> u64,
) -> Family {
    let mut family = Family::new(name, Unit::Each(things), Kind::Counter, help);
    for (node, totals) in nodes {
        family.add(labels_of(*node), Value::Count(count(totals)));
    }
    family
}

fn bytes(nodes: &[(NodeId, NodeTotals)]) -> Family {
    let help = "Bytes on the connections to a node, the driver's own questions included.";
    let mut family = Family::new("db.client.network.io", Unit::Bytes, Kind::Counter, help);
    for (node, totals) in nodes {
        for (direction, bytes) in [("transmit", totals.sent), ("receive", totals.received)] {
            let mut labels = labels_of(*node);
            labels.push((label::DIRECTION, Cow::Borrowed(direction)));
            family.add(labels, Value::Count(bytes));
        }
    }
    family
}

fn batch_parts() -> Family {
    let help = "How long the part of a batch for a node took, waiting for a connection and retries included; batches \
                whose part for a node is a single key have none for it.";
    let mut family = Family::new(
        "db.client.batch.node.duration",
        Unit::Seconds,
        Kind::Histogram,
        help,
    );
    for (node, durations) in parts::by_node() {
        family.add_histogram(labels_of(node), durations, &limits::OPERATIONS);
    }
    family
}

/// The batch may have succeeded all the same.
fn failed_rows() -> Family {
    let help = "Rows of batches that failed, by the node that was asked last; missing records are no failures.";
    let unit = Unit::Each("{row}");
    let mut family = Family::new("db.client.batch.rows.failed", unit, Kind::Counter, help);
    for ((node, exception, code), count) in row_failures::counted() {
        let mut labels = labels_of(node);
        labels.push((label::ERROR_TYPE, Cow::Borrowed(exception)));
        if let Some(code) = code {
            labels.push((label::STATUS_CODE, Cow::Owned(code.to_string())));
        }
        family.add(labels, Value::Count(count));
    }
    family
}

fn create_time(durations: aerospike_stages::histogram::Counts) -> Family {
    let help = "How long it took to open a TCP connection.";
    let mut family = Family::new(
        "db.client.connection.create_time",
        Unit::Seconds,
        Kind::Histogram,
        help,
    );
    family.add_histogram(vec![system()], durations, &limits::OPERATIONS);
    family
}

/// An attempt that found a connection in the pool at once has waited for nothing.
fn wait_time(nodes: &[(NodeId, NodeTotals)]) -> Family {
    let help = "How long attempts waited for a connection; zero for those that found one at once.";
    let mut family = Family::new(
        "db.client.connection.wait_time",
        Unit::Seconds,
        Kind::Histogram,
        help,
    );
    let mut waits = attempts::waits();
    let attempts: u64 = nodes.iter().map(|(_, totals)| totals.attempts).sum();
    waits.add_zeros(attempts.saturating_sub(waits.count()));
    family.add_histogram(vec![system()], waits, &limits::OPERATIONS);
    family
}

fn pending() -> Family {
    let help = "Operations and node tasks that sleep until there is a connection, or before another attempt.";
    let mut family = Family::new(
        "db.client.connection.pending_requests",
        Unit::Each("{request}"),
        Kind::UpDown,
        help,
    );
    family.add(vec![system()], Value::Count(attempts::waiting()));
    family
}
