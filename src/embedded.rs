//! The embedded server for Python: a test double in this process. `aerospike_py.testing` wraps it.

use std::mem::ManuallyDrop;
use std::net::IpAddr;
use std::sync::Mutex;

use aerospike_embedded::{
    Cluster, CommandKind, Fault as ServerFault, FaultId, NamespaceOptions, NodeError, Options,
};
use pyo3::exceptions::{PyOSError, PyRuntimeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::lanes::fork;

/// A cluster of in-memory nodes on threads of this process.
#[pyclass(module = "aerospike_py", name = "EmbeddedServer", frozen)]
pub struct EmbeddedServer {
    cluster: ManuallyDrop<Cluster>,
    generation: u64,
    faults: Mutex<Vec<FaultId>>,
    nodes: usize,
}

impl EmbeddedServer {
    /// The cluster; its threads exist only in the process that started them.
    fn cluster(&self) -> PyResult<&Cluster> {
        if self.generation == fork::generation() {
            return Ok(&self.cluster);
        }
        Err(PyRuntimeError::new_err(
            "this embedded server was started before the process forked and runs in the parent: start another one here",
        ))
    }

    fn check_node(&self, node: usize) -> PyResult<()> {
        if node < self.nodes {
            return Ok(());
        }
        Err(PyValueError::new_err(format!(
            "there is no node {node}: nodes are numbered from 0 to {}",
            self.nodes - 1
        )))
    }
}

#[pymethods]
impl EmbeddedServer {
    #[new]
    #[pyo3(signature = (
        nodes = 1, port = 0, host = "127.0.0.1", namespaces = None,
        replication_factor = 2, worker_threads = 2, seed = 0
    ))]
    #[allow(clippy::too_many_arguments)]
    fn new(
        py: Python<'_>,
        nodes: usize,
        port: u16,
        host: &str,
        namespaces: Option<Vec<(String, u32, usize)>>,
        replication_factor: usize,
        worker_threads: usize,
        seed: u64,
    ) -> PyResult<Self> {
        let host: IpAddr = host.parse().map_err(|_| {
            PyValueError::new_err(format!("host must be an IP address, not {host:?}"))
        })?;
        let namespaces = match namespaces {
            None => vec![NamespaceOptions::default()],
            Some(namespaces) => namespaces
                .into_iter()
                .map(|(name, default_ttl, max_record_size)| NamespaceOptions {
                    name,
                    default_ttl,
                    max_record_size,
                })
                .collect(),
        };
        let options = Options {
            nodes,
            host,
            port,
            namespaces,
            replication_factor,
            worker_threads,
            seed,
            ..Options::default()
        };
        let cluster =
            py.detach(|| Cluster::start(options))
                .map_err(|error| match error.kind() {
                    std::io::ErrorKind::InvalidInput => PyValueError::new_err(error.to_string()),
                    _ => PyErr::from(error),
                })?;
        Ok(EmbeddedServer {
            cluster: ManuallyDrop::new(cluster),
            generation: fork::generation(),
            faults: Mutex::default(),
            nodes,
        })
    }

    /// Return where the nodes listen.
    fn addresses(&self) -> PyResult<Vec<(String, u16)>> {
        let addresses = self.cluster()?.addresses();
        Ok(addresses
            .iter()
            .map(|address| (address.ip().to_string(), address.port()))
            .collect())
    }

    /// Return the names of the nodes, in the same order.
    fn node_names(&self) -> PyResult<Vec<String>> {
        Ok(self.cluster()?.node_names())
    }

    /// Inject a fault into one node, or all, for one kind of command; return its number.
    fn set_fault(
        &self,
        py: Python<'_>,
        fault: &str,
        node: Option<usize>,
        command: &str,
    ) -> PyResult<usize> {
        if let Some(node) = node {
            self.check_node(node)?;
        }
        let fault: ServerFault = fault.parse().map_err(refused)?;
        let kind: CommandKind = command.parse().map_err(refused)?;
        let cluster = self.cluster()?;
        let id = py
            .detach(|| cluster.set_fault(node, kind, fault))
            .map_err(refused)?;
        let mut faults = lock(&self.faults)?;
        faults.push(id);
        Ok(faults.len())
    }

    /// End a fault.
    fn clear_fault(&self, py: Python<'_>, id: usize) -> PyResult<()> {
        let cluster = self.cluster()?;
        let known = lock(&self.faults)?.get(id.wrapping_sub(1)).copied();
        match known {
            Some(id) => {
                py.detach(|| cluster.clear_fault(id));
                Ok(())
            }
            None => Err(PyValueError::new_err(format!("there is no fault {id}"))),
        }
    }

    /// End all faults.
    fn clear_faults(&self, py: Python<'_>) -> PyResult<()> {
        let cluster = self.cluster()?;
        py.detach(|| cluster.clear_faults());
        Ok(())
    }

    /// Make a node refuse connections and drop those it has.
    fn node_down(&self, py: Python<'_>, node: usize) -> PyResult<()> {
        let cluster = self.cluster()?;
        py.detach(|| cluster.node_down(node)).map_err(node_error)
    }

    /// Bring a node back.
    fn node_up(&self, py: Python<'_>, node: usize) -> PyResult<()> {
        let cluster = self.cluster()?;
        py.detach(|| cluster.node_up(node)).map_err(node_error)
    }

    /// Give every partition to another node.
    fn move_partitions(&self, py: Python<'_>) -> PyResult<()> {
        let cluster = self.cluster()?;
        py.detach(|| cluster.move_partitions());
        Ok(())
    }

    /// Return a node's counters.
    fn stats<'py>(&self, py: Python<'py>, node: usize) -> PyResult<Bound<'py, PyDict>> {
        self.check_node(node)?;
        let stats = self.cluster()?.stats(node);
        let dict = PyDict::new(py);
        dict.set_item("connections_open", stats.connections_open)?;
        dict.set_item("connections_accepted", stats.connections_accepted)?;
        dict.set_item("connections_closed", stats.connections_closed)?;
        dict.set_item("bytes_in", stats.bytes_in)?;
        dict.set_item("bytes_out", stats.bytes_out)?;
        dict.set_item("faults_fired", stats.faults_fired)?;
        dict.set_item("malformed_frames", stats.malformed_frames)?;
        let commands = PyDict::new(py);
        for (kind, count) in &stats.commands {
            commands.set_item(kind.name(), count)?;
        }
        dict.set_item("commands", commands)?;
        Ok(dict)
    }

    /// Return how many records a set has, or all sets of a namespace.
    fn record_count(
        &self,
        py: Python<'_>,
        namespace: &str,
        set_name: Option<&str>,
    ) -> PyResult<usize> {
        let cluster = self.cluster()?;
        Ok(py.detach(|| cluster.record_count(namespace, set_name)))
    }

    /// Delete the records of a set, or of all sets of a namespace.
    fn truncate(&self, py: Python<'_>, namespace: &str, set_name: Option<&str>) -> PyResult<()> {
        let cluster = self.cluster()?;
        py.detach(|| cluster.truncate(namespace, set_name));
        Ok(())
    }

    /// Close all connections and stop listening. Stopping twice does nothing.
    fn stop(&self, py: Python<'_>) {
        // In a forked child there is nothing to stop: a context manager that ends there is no error.
        if let Ok(cluster) = self.cluster() {
            py.detach(|| cluster.stop());
        }
    }

    fn __repr__(&self) -> String {
        let addresses: Vec<String> = self
            .cluster
            .addresses()
            .iter()
            .map(ToString::to_string)
            .collect();
        format!("EmbeddedServer({})", addresses.join(", "))
    }
}

fn refused(error: impl std::fmt::Display) -> PyErr {
    PyValueError::new_err(error.to_string())
}

fn node_error(error: NodeError) -> PyErr {
    match error {
        NodeError::NoSuchNode { .. } => refused(error),
        NodeError::Stopped => PyRuntimeError::new_err(error.to_string()),
        NodeError::Io { .. } => PyOSError::new_err(error.to_string()),
    }
}

fn lock<T>(mutex: &Mutex<T>) -> PyResult<std::sync::MutexGuard<'_, T>> {
    mutex
        .lock()
        .map_err(|_| PyRuntimeError::new_err("another thread died while it set a fault"))
}

impl Drop for EmbeddedServer {
    /// In a forked child the cluster is left alone: stopping it would wait for threads that do
    /// not exist there.
    fn drop(&mut self) {
        if self.generation == fork::generation() {
            // SAFETY: the field is not used again, this being its owner's `drop`.
            unsafe { ManuallyDrop::drop(&mut self.cluster) };
        }
    }
}
