//! Signals for a collector, over OTLP: spans of operations, and metrics.

pub mod delivery;
mod exporter;
pub mod exporting;
pub mod metrics;
pub mod reporting;
pub mod spans;
mod transport;
