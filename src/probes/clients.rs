//! How much clients have under way at the time of a look: their connections, operations and queues, for
//! whoever writes samples down. Metrics read the same from the clients themselves.

use std::sync::Arc;

use aerospike_stages::clock;

use crate::ops::gauges::{self, Watched};
use crate::probes::samples::{is_subscribed, push, Sample};
use crate::probes::table::Probe;

/// Looks at every client of this process once.
pub fn look(generation: u64) {
    if !is_subscribed() {
        return;
    }
    let at = clock::now_ns();
    for client in gauges::clients(generation) {
        let level = |probe, name: Option<Arc<str>>, value: u64| {
            push(|| Sample {
                probe,
                subject: Some(u64::from(client.id)),
                name,
                start_ns: at,
                duration_ns: None,
                value: Some(value as f64),
            });
        };
        connections(&client, level);
        level(
            Probe::OperationsInFlight,
            None,
            u64::from(client.in_flight()),
        );
        if client.limiter.limit() > 0 {
            level(Probe::LimiterQueue, None, client.limiter.waiting() as u64);
        }
    }
}

fn connections(client: &Watched, level: impl Fn(Probe, Option<Arc<str>>, u64)) {
    for node in client.session.client().nodes() {
        let host = node.host();
        let name: Arc<str> = format!("{}:{}", host.name, host.port).into();
        let pool = node.pool_gauges();
        let open = pool.in_pool + pool.in_use();
        level(Probe::ConnectionsOpen, Some(name.clone()), open);
        level(Probe::ConnectionsIdle, Some(name), pool.in_pool);
    }
}
