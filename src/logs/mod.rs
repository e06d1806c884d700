//! Log records of the client and of the driver, on their way to Python's `logging`: made with `tracing` or
//! with the `log` crate, weighed against a level that is kept in an atomic, queued, and handed over by one
//! thread. Whoever logs never touches Python and never waits.

pub mod bridge;
mod layer;
mod level;
pub mod record;
