//! The runtime shim that `aerospike-core` is written against, with the same names as the crate
//! it replaces, so that every socket, timer and task of the driver passes through here.
//!
//! Each passage is reported to the recorder of the operation at hand; nothing is reported, and
//! nothing else changes, where no operation is being recorded. The driver itself is unmodified.

#[cfg(not(feature = "rt-tokio"))]
compile_error!("this runtime shim serves Tokio only: enable the feature `rt-tokio`");

pub mod direct;
mod instant;
pub mod limit;
pub mod monitor;
pub mod net;
pub mod replies;
pub mod task;
mod timer;
pub mod whole;

pub use ::tokio::{fs, io, runtime, sync::Mutex, sync::RwLock, sync::Semaphore, time::timeout};
pub use task::spawn;
pub use timer::pacing_sleep as sleep;

/// Time as Tokio has it, with moments of this crate's own.
pub mod time {
    pub use crate::instant::Instant;
    pub use ::tokio::time::*;
}

/// The parts of Tokio that the driver names in full; deadlines are this crate's own.
pub mod tokio {
    pub use ::tokio::*;

    /// Time as Tokio has it, with deadlines that are reported.
    pub mod time {
        pub use crate::instant::Instant;
        pub use crate::timer::{deadline_sleep as sleep, Deadline as Sleep};
        pub use ::tokio::time::*;
    }
}

/// Resolves `host:port` without blocking a runtime thread on the system's resolver.
///
/// # Errors
/// What the resolver reports.
pub async fn lookup_host(host: &str, port: u16) -> std::io::Result<Vec<std::net::SocketAddr>> {
    Ok(::tokio::net::lookup_host((host, port)).await?.collect())
}

/// Cancels a spawned task without waiting for it to finish.
pub fn abort<T: Send + 'static>(handle: task::JoinHandle<T>) {
    handle.abort();
}
