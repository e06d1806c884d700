//! Readers of what the stages recorded: snapshots for Python, metrics for Prometheus and for OTLP.

mod accept;
mod families;
pub mod flamegraph;
mod limits;
pub mod model;
pub mod otlp;
pub mod prometheus;
pub mod server;
pub mod snapshot;
pub mod text;
