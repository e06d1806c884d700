//! The public face: a running cluster and what can be done to it.

use std::fmt;
use std::io;
use std::net::SocketAddr;

use crate::exec::kind::CommandKind;
use crate::fault::{Fault, FaultError, FaultId};
use crate::net::{listen, Network};
use crate::options::Options;
use crate::server::Server;
use crate::stats::NodeStats;

/// Longest namespace name.
const MAX_NAMESPACE_SIZE: usize = 31;

/// A running cluster; it stops when dropped.
///
/// ```
/// let cluster = aerospike_embedded::Cluster::start(Default::default()).unwrap();
/// assert_eq!(cluster.addresses().len(), 1);
/// cluster.stop();
/// ```
pub struct Cluster {
    network: Network,
}

impl Cluster {
    /// Starts the nodes; when this returns they accept connections.
    ///
    /// # Errors
    /// Options that make no sense are `InvalidInput`; ports that cannot be opened give the system's error.
    pub fn start(options: Options) -> io::Result<Cluster> {
        check(&options).map_err(|advice| io::Error::new(io::ErrorKind::InvalidInput, advice))?;
        let listeners = (0..options.nodes)
            .map(|node| {
                let port = match options.port {
                    0 => 0,
                    first => first + node as u16,
                };
                let address = SocketAddr::new(options.host, port);
                listen(address).map_err(|error| {
                    io::Error::new(error.kind(), format!("cannot listen on {address}: {error}"))
                })
            })
            .collect::<io::Result<Vec<_>>>()?;
        let addresses = listeners
            .iter()
            .map(|listener| listener.local_addr())
            .collect::<io::Result<Vec<_>>>()?;
        let server = Server::new(options, &addresses);
        let network = Network::start(server, listeners)?;
        Ok(Cluster { network })
    }

    fn server(&self) -> &Server {
        &self.network.shared.server
    }

    /// Addresses of all nodes, up or down, in the order of their numbers.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.server()
            .nodes
            .iter()
            .map(|node| node.address)
            .collect()
    }

    /// Names of all nodes, as clients see them.
    pub fn node_names(&self) -> Vec<String> {
        self.server()
            .nodes
            .iter()
            .map(|node| node.name.clone())
            .collect()
    }

    /// Puts a fault in force on one node or on all, for requests of one kind or of any.
    ///
    /// # Errors
    /// A fault that makes no sense or a node that is not there; the message says what to check.
    pub fn set_fault(
        &self,
        node: Option<usize>,
        kind: CommandKind,
        fault: Fault,
    ) -> Result<FaultId, FaultError> {
        self.server().faults.set(node, kind, fault)
    }

    /// Ends a fault; requests it stalls are answered. An id already cleared is ignored.
    pub fn clear_fault(&self, id: FaultId) {
        self.server().faults.clear(|known| known == id);
    }

    /// Ends all faults.
    pub fn clear_faults(&self) {
        self.server().faults.clear(|_| true);
    }

    /// Takes a node down: its port and connections are closed when this returns, the others own its partitions.
    ///
    /// # Errors
    /// The node is not there, or its sockets did not close.
    pub fn node_down(&self, node: usize) -> Result<(), NodeError> {
        self.check_node(node)?;
        self.server().topology.write().set_up(node, false);
        self.network
            .close(node)
            .map_err(|error| NodeError::Io { node, error })
    }

    /// Brings a node back on its old port, with the partitions it had.
    ///
    /// # Errors
    /// The node is not there, or its port cannot be opened.
    pub fn node_up(&self, node: usize) -> Result<(), NodeError> {
        self.check_node(node)?;
        if self.server().topology.read().is_up(node) {
            return Ok(());
        }
        let reopened = self.network.reopen(node);
        reopened.map_err(|error| NodeError::Io { node, error })?;
        self.server().topology.write().set_up(node, true);
        Ok(())
    }

    fn check_node(&self, node: usize) -> Result<(), NodeError> {
        let nodes = self.server().nodes.len();
        if node >= nodes {
            return Err(NodeError::NoSuchNode { node, nodes });
        }
        if self.network.is_stopped() {
            return Err(NodeError::Stopped);
        }
        Ok(())
    }

    /// Hands every partition to the next node and tells clients to fetch the map again.
    pub fn move_partitions(&self) {
        self.server().topology.write().rotate();
    }

    /// A node's counters; all zero for a node that is not there.
    pub fn stats(&self, node: usize) -> NodeStats {
        let nodes = &self.server().nodes;
        nodes
            .get(node)
            .map(|node| node.counters.snapshot())
            .unwrap_or_default()
    }

    /// Number of live records of a namespace or of one set in it; zero if there is no such namespace.
    pub fn record_count(&self, namespace: &str, set: Option<&str>) -> usize {
        let namespace = self.server().namespace(namespace);
        namespace.map_or(0, |namespace| namespace.count(set.map(str::as_bytes)))
    }

    /// Removes all records of a namespace or of one set in it.
    pub fn truncate(&self, namespace: &str, set: Option<&str>) {
        if let Some(namespace) = self.server().namespace(namespace) {
            namespace.truncate(set.map(str::as_bytes), None);
        }
    }

    /// Closes all ports and connections and ends all threads. Stopping twice does nothing.
    pub fn stop(&self) {
        self.network.stop();
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.stop();
    }
}

impl fmt::Debug for Cluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cluster")
            .field("addresses", &self.addresses())
            .finish()
    }
}

fn check(options: &Options) -> Result<(), String> {
    if options.nodes == 0 {
        return Err("a cluster needs at least one node".to_owned());
    }
    if options.worker_threads == 0 {
        return Err("a cluster needs at least one worker thread".to_owned());
    }
    if options.port != 0 && usize::from(options.port) + options.nodes - 1 > usize::from(u16::MAX) {
        return Err(format!(
            "{} nodes from port {} on go past the last port: choose a lower port or 0",
            options.nodes, options.port
        ));
    }
    if options.namespaces.is_empty() {
        return Err("a cluster needs at least one namespace".to_owned());
    }
    for (place, namespace) in options.namespaces.iter().enumerate() {
        let name = &namespace.name;
        if name.is_empty()
            || name.len() > MAX_NAMESPACE_SIZE
            || name.contains([';', ':', ',', '/', '\n', '\t'])
        {
            return Err(format!(
                "{name:?} is no namespace name: use 1 to {MAX_NAMESPACE_SIZE} bytes without ; : , / or whitespace"
            ));
        }
        if options.namespaces[..place]
            .iter()
            .any(|other| other.name == *name)
        {
            return Err(format!("there are two namespaces named {name:?}"));
        }
    }
    Ok(())
}

/// Why a node could not be taken down or brought up.
#[derive(Debug)]
pub enum NodeError {
    /// No node has this number.
    NoSuchNode {
        /// The number asked for.
        node: usize,
        /// How many nodes there are.
        nodes: usize,
    },
    /// The cluster has been stopped.
    Stopped,
    /// Its sockets could not be opened or closed.
    Io {
        /// The node's number.
        node: usize,
        /// What the system said.
        error: io::Error,
    },
}

impl fmt::Display for NodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NodeError::NoSuchNode { node, nodes } => {
                write!(
                    f,
                    "there is no node {node}: nodes are numbered from 0 to {}",
                    nodes - 1
                )
            }
            NodeError::Stopped => f.write_str("the cluster has been stopped: start a new one"),
            NodeError::Io { node, error } => write!(f, "node {node}: {error}"),
        }
    }
}

impl std::error::Error for NodeError {}
