//! What becomes of operations that have ended: spans that go to a collector over OTLP, and rows of Arrow files. Metrics go
//! to a collector from here, too; what they are is the bridge's affair ([`otlp::reporting`]).
//!
//! An operation ends on the thread that called it, or on an event loop's. There it is copied into a bounded queue and
//! nothing else ([`tap`]); a thread of its own per outlet makes spans or rows of what is in the queue. Nothing here knows
//! Python; who called an operation is found out by the bridge.

pub mod block;
pub mod ended;
pub mod files;
pub mod fork;
pub mod frame;
pub mod otlp;
pub mod outlet;
pub mod pieces;
pub mod random;
pub mod sampling;
pub mod settings;
pub mod slow;
pub mod tap;
mod words;
pub mod worker;
