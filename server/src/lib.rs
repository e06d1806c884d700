//! An in-memory test double of an Aerospike 8.1 cluster: any number of nodes in one process, faults on demand.
//!
//! [`Cluster::start`] opens one listener per node on its own threads; clients connect to [`Cluster::addresses`]
//! as to a real cluster. [`Cluster::set_fault`] makes nodes slow, mute or wrong in precisely described ways and
//! [`Cluster::stats`] tells what they saw. Nothing here depends on Python, and nothing is written to disk.

#![forbid(unsafe_code)]

mod cluster;
mod exec;
mod fault;
mod info;
mod net;
mod options;
mod replay;
mod server;
mod stats;
mod store;
mod topology;
mod wire;

pub use cluster::{Cluster, NodeError};
pub use exec::kind::{CommandKind, ParseKindError};
pub use fault::{Action, DelayShape, Fault, FaultError, FaultId};
pub use options::{NamespaceOptions, Options};
pub use replay::{replay, ReplayOutcome};
pub use stats::NodeStats;
