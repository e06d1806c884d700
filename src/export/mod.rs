//! Readers of what the stages recorded: snapshots for Python and metrics for Prometheus.

mod accept;
mod families;
pub mod flamegraph;
mod limits;
pub mod model;
pub mod prometheus;
pub mod server;
pub mod snapshot;
pub mod text;
