//! Readers of what the stages recorded: snapshots for Python and metrics for Prometheus.

pub mod flamegraph;
pub mod prometheus;
pub mod snapshot;
