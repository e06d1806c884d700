//! What a cluster is started with. Validation happens in `Cluster::start`.

use std::net::{IpAddr, Ipv4Addr};

/// How many nodes to start, where they listen and which namespaces they hold.
#[derive(Debug, Clone)]
pub struct Options {
    /// Number of nodes, at least one.
    pub nodes: usize,
    /// Address all nodes listen on.
    pub host: IpAddr,
    /// Port of the first node; the others follow. Zero picks a free port for each node.
    pub port: u16,
    /// Namespaces of every node, at least one.
    pub namespaces: Vec<NamespaceOptions>,
    /// Copies of each partition in the map; never more than there are nodes.
    pub replication_factor: usize,
    /// Threads that serve connections, at least one.
    pub worker_threads: usize,
    /// Name reported to clients; none by default.
    pub cluster_name: Option<String>,
    /// Seed of every random decision of the fault machinery.
    pub seed: u64,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            nodes: 1,
            host: IpAddr::V4(Ipv4Addr::LOCALHOST),
            port: 0,
            namespaces: vec![NamespaceOptions::default()],
            replication_factor: 2,
            worker_threads: 2,
            cluster_name: None,
            seed: 0,
        }
    }
}

/// One namespace.
#[derive(Debug, Clone)]
pub struct NamespaceOptions {
    /// Name, 1 to 31 bytes.
    pub name: String,
    /// Time to live of records written with the namespace default, in seconds; zero keeps them for ever.
    pub default_ttl: u32,
    /// Largest record accepted, in bytes.
    pub max_record_size: usize,
}

impl Default for NamespaceOptions {
    fn default() -> Self {
        NamespaceOptions {
            name: "test".to_owned(),
            default_ttl: 0,
            max_record_size: 1024 * 1024,
        }
    }
}
