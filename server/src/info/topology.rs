//! Answers about nodes, peers and partitions: what clients ask at every tend.

use std::fmt::Write as _;
use std::net::SocketAddr;

use super::{unknown_namespace, Parameters};
use crate::server::Server;

/// The answer to a request about the cluster, if `name` is one.
pub(super) fn answer(
    server: &Server,
    node: usize,
    name: &str,
    parameters: &Parameters<'_>,
) -> Option<String> {
    let topology = server.topology.read();
    let value = match name {
        "partition-generation" => topology.partition_generation().to_string(),
        "rebalance-generation" => topology.partition_generation().to_string(),
        "peers-generation" => topology.peers_generation().to_string(),
        "cluster-stable" => cluster_stable(
            topology.members().len(),
            topology.peers_generation(),
            parameters,
        ),
        "peers-clear-std" | "peers-clear-alt" => peers(
            server,
            node,
            topology.peers_generation(),
            &topology.members(),
        ),
        // Nodes without TLS report no default port and no addresses.
        "peers-tls-std" | "peers-tls-alt" => format!("{},,[]", topology.peers_generation()),
        "service" | "service-clear-std" | "service-clear-alt" => {
            server.nodes[node].address.to_string()
        }
        "service-tls-std" | "service-tls-alt" => String::new(),
        "services" | "services-alternate" => services(server, node, &topology.members()),
        "replicas" => {
            let bitmaps = topology.bitmaps(node);
            each_namespace(server, |name| {
                format!("{name}:0,{},{}", bitmaps.len(), bitmaps.join(","))
            })
        }
        "replicas-all" => {
            let bitmaps = topology.bitmaps(node);
            each_namespace(server, |name| {
                format!("{name}:{},{}", bitmaps.len(), bitmaps.join(","))
            })
        }
        "replicas-master" => {
            let bitmaps = topology.bitmaps(node);
            each_namespace(server, |name| format!("{name}:{}", bitmaps[0]))
        }
        "rack-ids" => each_namespace(server, |name| format!("{name}:0")),
        "racks" => {
            let members: Vec<&str> = topology
                .members()
                .into_iter()
                .map(|member| server.nodes[member].name.as_str())
                .collect();
            each_namespace(server, |name| {
                format!("ns={name}:rack_0={}", members.join(","))
            })
        }
        _ => return None,
    };
    Some(value)
}

fn each_namespace(server: &Server, describe: impl Fn(&str) -> String) -> String {
    let parts: Vec<String> = server
        .namespaces
        .iter()
        .map(|namespace| describe(namespace.name()))
        .collect();
    parts.join(";")
}

fn cluster_stable(size: usize, generation: u64, parameters: &Parameters<'_>) -> String {
    let wanted = parameters.get("size").map(str::parse::<usize>);
    match wanted {
        Some(Ok(wanted)) if wanted != size => "ERROR::cluster-not-specified-size".to_owned(),
        Some(Err(_)) => "ERROR:4:bad size".to_owned(),
        _ => format!("{:X}", 0x00AE_0000_0000_u64 + generation),
    }
}

fn others<'s>(
    server: &'s Server,
    node: usize,
    members: &'s [usize],
) -> impl Iterator<Item = (&'s str, SocketAddr)> {
    members
        .iter()
        .filter(move |&&member| member != node)
        .map(|&member| {
            (
                server.nodes[member].name.as_str(),
                server.nodes[member].address,
            )
        })
}

fn peers(server: &Server, node: usize, generation: u64, members: &[usize]) -> String {
    let mut text = format!("{generation},{},[", server.nodes[node].address.port());
    for (place, (name, address)) in others(server, node, members).enumerate() {
        let comma = if place == 0 { "" } else { "," };
        // Writing to a string cannot fail.
        let _ = write!(text, "{comma}[{name},,[{address}]]");
    }
    text.push(']');
    text
}

fn services(server: &Server, node: usize, members: &[usize]) -> String {
    let addresses: Vec<String> = others(server, node, members)
        .map(|(_, address)| address.to_string())
        .collect();
    addresses.join(";")
}

/// Whether the request's parameters name a namespace that exists; the error text if not.
pub(super) fn named_namespace<'s>(
    server: &'s Server,
    name: Option<&str>,
) -> Result<&'s crate::store::Namespace, String> {
    match name {
        Some(name) => server.namespace(name).ok_or_else(unknown_namespace),
        None => Err("ERROR:4:namespace missing".to_owned()),
    }
}
