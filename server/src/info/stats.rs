//! Answers made of numbers: statistics, namespaces, sets, configuration.

use std::sync::Arc;

use super::topology::named_namespace;
use super::{unknown_namespace, Parameters};
use crate::server::Server;
use crate::store::Namespace;

pub(super) fn namespaces(server: &Server) -> String {
    let names: Vec<&str> = server.namespaces.iter().map(Namespace::name).collect();
    names.join(";")
}

pub(super) fn namespace(server: &Server, node: usize, name: &str) -> String {
    let Some(namespace) = server.namespace(name) else {
        return unknown_namespace();
    };
    let topology = server.topology.read();
    let masters = topology
        .holdings(node)
        .iter()
        .filter(|held| **held == Some(0))
        .count();
    format!(
        "ns_cluster_size={};effective_replication_factor={};replication-factor={};objects={};tombstones=0;\
         data_used_bytes={};default-ttl={};max-record-size={};nsup-period=0;allow-ttl-without-nsup=true;\
         strong-consistency=false;storage-engine=memory;dead_partitions=0;unavailable_partitions=0;\
         master_partitions={masters};migrate_tx_partitions_remaining=0;migrate_rx_partitions_remaining=0",
        topology.members().len(),
        topology.replicas(),
        server.options.replication_factor,
        namespace.count(None),
        namespace.bytes_used(None),
        namespace.options.default_ttl,
        namespace.options.max_record_size,
    )
}

/// Sets of all namespaces, of one, or one set alone: the path says which.
pub(super) fn sets(server: &Server, path: &str) -> String {
    let (name, set) = match path.split_once('/') {
        Some((name, set)) => (name, Some(set)),
        None => (path, None),
    };
    let chosen: Vec<&Namespace> = match (name, server.namespace(name)) {
        ("", _) => server.namespaces.iter().collect(),
        (_, Some(namespace)) => vec![namespace],
        (_, None) => return unknown_namespace(),
    };
    let mut text = String::new();
    for namespace in chosen {
        let wanted = |known: &Arc<[u8]>| set.is_none_or(|set| set.as_bytes() == known.as_ref());
        for known in namespace.set_names().into_iter().filter(wanted) {
            text.push_str(&format!(
                "ns={}:set={}:objects={}:tombstones=0:data_used_bytes={}:sindexes=0:default-ttl=0:\
                 disable-eviction=false:enable-index=false;",
                namespace.name(),
                String::from_utf8_lossy(&known),
                namespace.count(Some(&known)),
                namespace.bytes_used(Some(&known)),
            ));
        }
    }
    text
}

pub(super) fn statistics(server: &Server, node: usize) -> String {
    let stats = server.nodes[node].counters.snapshot();
    let topology = server.topology.read();
    let objects: usize = server
        .namespaces
        .iter()
        .map(|namespace| namespace.count(None))
        .sum();
    format!(
        "cluster_size={};cluster_key={:X};cluster_integrity=true;cluster_is_member=true;\
         migrate_partitions_remaining=0;objects={objects};tombstones=0;client_connections={};\
         client_connections_opened={};client_connections_closed={};uptime={}",
        topology.members().len(),
        topology.peers_generation(),
        stats.connections_open,
        stats.connections_accepted,
        stats.connections_closed,
        server.started.elapsed().as_secs(),
    )
}

pub(super) fn config(server: &Server, parameters: &Parameters<'_>) -> String {
    let id = parameters.get("id").or_else(|| parameters.get("namespace"));
    match parameters.get("context") {
        Some("namespace") => match named_namespace(server, id) {
            Ok(namespace) => format!(
                "replication-factor={};default-ttl={};max-record-size={};allow-ttl-without-nsup=true;\
                 nsup-period=0;strong-consistency=false;storage-engine=memory",
                server.options.replication_factor, namespace.options.default_ttl, namespace.options.max_record_size,
            ),
            Err(error) => error,
        },
        Some("security") => "enable-security=false".to_owned(),
        Some("service" | "network") | None => format!(
            "cluster-name={};service-threads={}",
            server.options.cluster_name.as_deref().unwrap_or("null"),
            server.options.worker_threads,
        ),
        Some(_) => "ERROR:4:bad context".to_owned(),
    }
}
