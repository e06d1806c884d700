//! Spans over OTLP: what an operation looks like as spans ([`spans`]), the exporter for each transport ([`transport`])
//! and the thread that feeds it ([`exporting`]).

pub mod exporting;
pub mod spans;
pub mod transport;
