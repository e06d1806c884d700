//! The one Tokio runtime of the process. It drives timers, background connections and the
//! asyncio lane; its threads never attach to Python.

use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::runtime::{Builder, Handle, Runtime};

use crate::error::Fault;
use crate::lanes::fork;

/// A runtime and the process that it runs in.
pub struct Running {
    generation: u64,
    runtime: Runtime,
}

static RUNNING: Mutex<Option<Running>> = Mutex::new(None);

/// Environment variable with the number of runtime threads.
const WORKERS_VARIABLE: &str = "AEROSPIKE_PY_RUNTIME_WORKERS";
const DEFAULT_WORKERS: usize = 2;

/// A handle to the runtime, which is started by the first caller of each process.
pub fn handle() -> Result<Handle, Fault> {
    let mut running = lock_running();
    if let Some(current) = running
        .as_ref()
        .filter(|current| current.generation == fork::generation())
    {
        return Ok(current.runtime.handle().clone());
    }
    let runtime = Builder::new_multi_thread()
        .worker_threads(workers()?)
        .thread_name("aerospike-py")
        .enable_all()
        .build()
        .map_err(|error| Fault::internal(format!("cannot start the runtime's threads: {error}")))?;
    let handle = runtime.handle().clone();
    let before = running.replace(Running {
        generation: fork::generation(),
        runtime,
    });
    // After a fork the parent's runtime is a husk whose threads do not exist here; shutting it
    // down would wait for them for ever.
    std::mem::forget(before);
    Ok(handle)
}

/// The runtime, if there is one.
pub fn lock_running() -> MutexGuard<'static, Option<Running>> {
    RUNNING.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A handle to the runtime of this process, if it has been started.
pub fn started() -> Option<Handle> {
    let running = lock_running();
    let current = running.as_ref()?;
    (current.generation == fork::generation()).then(|| current.runtime.handle().clone())
}

fn workers() -> Result<usize, Fault> {
    match std::env::var(WORKERS_VARIABLE) {
        Err(_) => Ok(DEFAULT_WORKERS),
        Ok(text) => match text.trim().parse() {
            Ok(workers @ 1..=512) => Ok(workers),
            _ => Err(Fault::argument(format!(
                "{WORKERS_VARIABLE} must be a number from 1 to 512, not {text:?}"
            ))),
        },
    }
}
