//! Why an operation got no connection: the driver only says that it waited too long, but the pools of
//! its nodes can still be looked at.

use std::sync::Arc;

use aerospike_core::Node;

use crate::error::{Awaited, Fault, Shortage};
use crate::ops::session::Session;

/// What the pools say about a fault; nothing if connections were not the matter.
pub fn explain(session: &Session, fault: &Fault) -> Option<Shortage> {
    let nodes = session.client().nodes();
    match fault.awaited()? {
        Awaited::Connection { node: Some(name) } => {
            match nodes.iter().find(|node| node.to_string() == name) {
                Some(node) => Some(of_node(node)),
                None => Some(Shortage::Unreachable {
                    node: name.to_owned(),
                }),
            }
        }
        // All that is known is the state of the nodes, which may have changed since.
        Awaited::Connection { node: None } | Awaited::Anything => {
            exhausted(&nodes).or_else(|| silent(&nodes))
        }
    }
}

/// Why a node has no connection to give.
pub fn of_node(node: &Node) -> Shortage {
    if node.pool_gauges().total >= limit(node) {
        exhaustion(node)
    } else {
        Shortage::Unreachable {
            node: node.to_string(),
        }
    }
}

fn exhausted(nodes: &[Arc<Node>]) -> Option<Shortage> {
    let taken = |node: &Node| {
        let gauges = node.pool_gauges();
        // What this operation itself has just given up is being recovered.
        gauges.in_use().saturating_sub(gauges.recovering)
    };
    let node = nodes.iter().find(|node| taken(node) >= limit(node));
    node.map(|node| exhaustion(node))
}

fn silent(nodes: &[Arc<Node>]) -> Option<Shortage> {
    let node = nodes.iter().find(|node| node.failures() > 0);
    node.map(|node| Shortage::Silent {
        node: node.to_string(),
    })
}

fn exhaustion(node: &Node) -> Shortage {
    Shortage::Exhausted {
        node: node.to_string(),
        limit: node.client_policy().max_conns_per_node,
    }
}

fn limit(node: &Node) -> u64 {
    u64::try_from(node.client_policy().max_conns_per_node).unwrap_or(u64::MAX)
}
