//! Families about connected clients: their pools, operations in flight, the limiter's queue.

use std::borrow::Cow;
use std::sync::Arc;

use crate::export::limits;
use crate::export::model::{label, system, Family, Kind, Label, Unit, Value};
use crate::ops::gauges::{self, Watched};

pub fn families(generation: u64) -> Vec<Family> {
    let clients = gauges::clients(generation);
    let level = |name, things, help| Family::new(name, Unit::Each(things), Kind::UpDown, help);
    let mut count = level(
        "db.client.connection.count",
        "{connection}",
        "Connections of a client to a node, by state. Those being opened or recovered are used.",
    );
    let mut limit = level(
        "db.client.connection.max",
        "{connection}",
        "Connections that a client may have to a node.",
    );
    let mut in_flight = level(
        "db.client.operations.in_flight",
        "{operation}",
        "Operations in flight, waiting ones included.",
    );
    let mut queue = level(
        "db.client.limiter.pending",
        "{operation}",
        "Operations that wait for a permit to be in flight; only of clients with a limit.",
    );
    let mut permits = level(
        "db.client.limiter.max",
        "{operation}",
        "Operations that may be in flight; only of clients with a limit.",
    );
    for client in &clients {
        pools(client, &mut count, &mut limit);
        in_flight.add(
            labels_of(client),
            Value::Count(u64::from(client.in_flight())),
        );
        if client.limiter.limit() > 0 {
            queue.add(
                labels_of(client),
                Value::Count(client.limiter.waiting() as u64),
            );
            permits.add(
                labels_of(client),
                Value::Count(client.limiter.limit() as u64),
            );
        }
    }
    vec![
        count,
        limit,
        in_flight,
        queue,
        permits,
        refusals(),
        permit_waits(),
    ]
}

fn labels_of(client: &Watched) -> Vec<Label> {
    vec![system(), (label::CLIENT, Cow::Owned(client.id.to_string()))]
}

fn pools(client: &Arc<Watched>, count: &mut Family, limit: &mut Family) {
    for node in client.session.client().nodes() {
        let mut labels = labels_of(client);
        let host = node.host();
        let pool = format!("{}/{}:{}", client.id, host.name, host.port);
        labels.push((label::POOL, Cow::Owned(pool)));
        labels.push((label::ADDRESS, Cow::Owned(host.name.clone())));
        labels.push((label::PORT, Cow::Owned(host.port.to_string())));
        let gauges = node.pool_gauges();
        for (state, connections) in [("idle", gauges.in_pool), ("used", gauges.in_use())] {
            let mut labels = labels.clone();
            labels.push((label::STATE, Cow::Borrowed(state)));
            count.add(labels, Value::Count(connections));
        }
        let most = node.client_policy().max_conns_per_node;
        limit.add(labels, Value::Count(most as u64));
    }
}

fn refusals() -> Family {
    let help = "Operations refused because they waited too long for a permit to be in flight.";
    let unit = Unit::Each("{operation}");
    Family::new("db.client.limiter.timeouts", unit, Kind::Counter, help)
        .count(vec![system()], gauges::refusals())
}

fn permit_waits() -> Family {
    let help = "How long operations waited for a permit to be in flight; those that did not wait are left out.";
    let mut family = Family::new(
        "db.client.limiter.wait_time",
        Unit::Seconds,
        Kind::Histogram,
        help,
    );
    family.add_histogram(vec![system()], gauges::permit_waits(), &limits::OPERATIONS);
    family
}
