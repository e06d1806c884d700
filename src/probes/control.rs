//! Starting and stopping the probes: once per process, before the interpreter ends, and anew after a fork.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use pyo3::prelude::*;

use crate::lanes::fork;
use crate::probes::gil;
use crate::probes::native::{self, Thread};
use crate::probes::observer::watchdog;

/// The process and the runtime are looked at no more often than this: it takes system calls.
const SHORTEST_LOOK: Duration = Duration::from_millis(250);

/// What is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wanted {
    pub interval: Duration,
    pub gil: bool,
    pub loops: bool,
    pub runtime: bool,
    pub process: bool,
}

impl Default for Wanted {
    fn default() -> Self {
        Wanted {
            interval: Duration::from_millis(50),
            gil: true,
            loops: true,
            runtime: true,
            process: true,
        }
    }
}

/// The probes of one process.
pub struct Running {
    generation: u64,
    threads: Vec<Thread>,
    hook: Option<Py<PyAny>>,
}

/// The interpreter is about to end: nothing is started any more.
static OVER: AtomicBool = AtomicBool::new(false);
static RUNNING: Mutex<Option<Running>> = Mutex::new(None);

/// The probes, if they have been started.
pub fn lock_running() -> MutexGuard<'static, Option<Running>> {
    RUNNING.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whether this process has probes.
pub fn is_running() -> bool {
    let running = lock_running();
    running
        .as_ref()
        .is_some_and(|running| running.generation == fork::generation())
}

/// Stops everything for good, before the interpreter ends.
pub fn stop_for_good(py: Python<'_>) -> PyResult<()> {
    OVER.store(true, Ordering::Relaxed);
    watchdog::stop(py);
    stop(py)
}

/// Whether the interpreter is about to end.
pub fn is_over() -> bool {
    OVER.load(Ordering::Relaxed)
}

/// Starts the probes; those that run are stopped first.
pub fn start(py: Python<'_>, wanted: Wanted) -> PyResult<()> {
    stop(py)?;
    if is_over() {
        return Ok(());
    }
    aerospike_stages::clock::warm_up();
    py.detach(aerospike_stages::clock::calibrate);
    let mut running = Running {
        generation: fork::generation(),
        threads: Vec::new(),
        hook: None,
    };
    if wanted.gil || wanted.loops {
        let settings = gil::Settings {
            interval: wanted.interval,
            gil: wanted.gil,
            loops: wanted.loops,
        };
        let thread = Thread::start("aerospike-py-gil", move |stop| gil::ask(&stop, settings))?;
        if wanted.gil {
            running.hook = gil::hear_of_collections(py, thread.handle())?;
        }
        running.threads.push(thread);
    }
    if wanted.runtime || wanted.process {
        let interval = wanted.interval.max(SHORTEST_LOOK);
        let (process, runtime) = (wanted.process, wanted.runtime);
        let watch = move |stop| native::watch(&stop, interval, process, runtime);
        running
            .threads
            .push(Thread::start("aerospike-py-probe", watch)?);
    }
    let other = lock_running().replace(running);
    end(py, other)
}

/// Stops the probes; what they have measured stays.
pub fn stop(py: Python<'_>) -> PyResult<()> {
    let running = lock_running().take();
    end(py, running)
}

fn end(py: Python<'_>, running: Option<Running>) -> PyResult<()> {
    let Some(mut running) = running else {
        return Ok(());
    };
    let unhooked = match running.hook.take() {
        Some(hook) => gil::hear_no_more(py, &hook),
        None => Ok(()),
    };
    let threads = std::mem::take(&mut running.threads);
    if running.generation == fork::generation() {
        // They may need to attach before they are through.
        py.detach(|| threads.into_iter().for_each(Thread::end));
    } else {
        // The threads of a parent process do not exist here.
        std::mem::forget(threads);
    }
    unhooked
}
