//! How long it takes to get hold of the interpreter: a native thread that asks at a low rate, as a thread
//! of ours does that comes back with a result. The same thread asks the event loops how late they are.
//!
//! A free-threaded interpreter makes a thread wait only while it has stopped the world. It does so for
//! every garbage collection, so while one runs the thread asks many times in short succession.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::Arc;
use std::thread::Thread;
use std::time::{Duration, Instant};

use aerospike_stages::clock;
use arc_swap::ArcSwapOption;
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::probes::loop_lag;
use crate::probes::native::{next, Stop};
use crate::probes::series::{self, Series};
use crate::probes::table::Probe;

/// How often the thread asks while garbage is collected, and from when on a wait is one for the world.
const BURST: Duration = Duration::from_micros(100);
const SHORTEST_PAUSE_NS: u64 = 20_000;
/// A collection whose end is never told must not keep the thread busy.
const LONGEST_BURST: Duration = Duration::from_secs(2);

static COLLECTING: AtomicBool = AtomicBool::new(false);
/// Whom to wake when garbage is collected.
static ASKER: ArcSwapOption<Thread> = ArcSwapOption::const_empty();

/// What the thread is to do.
#[derive(Clone, Copy)]
pub struct Settings {
    pub interval: Duration,
    pub gil: bool,
    pub loops: bool,
}

struct Delays {
    waits: Arc<Series>,
    pauses: Option<Arc<Series>>,
}

impl Delays {
    fn of_this_interpreter(py: Python<'_>) -> Self {
        if !is_free_threaded(py) {
            return Delays {
                waits: series::of(Probe::GilDelay, None),
                pauses: None,
            };
        }
        Delays {
            waits: series::of(Probe::AttachDelay, None),
            pauses: Some(series::of(Probe::StopTheWorld, None)),
        }
    }
}

/// Whether threads run Python at the same time.
pub fn is_free_threaded(py: Python<'_>) -> bool {
    let enabled = py
        .import("sys")
        .and_then(|sys| sys.call_method0("_is_gil_enabled"));
    enabled.is_ok_and(|enabled| !enabled.is_truthy().unwrap_or(true))
}

/// Asks until it is told to stop.
pub fn ask(stop: &Stop, settings: Settings) {
    let asked = Python::try_attach(|py| {
        let delays = settings.gil.then(|| Delays::of_this_interpreter(py));
        let mut due = Instant::now() + settings.interval;
        while !stop.is_due() {
            let (bridges, from) = py.detach(|| {
                stop.sleep_until(due, is_collecting);
                let bridges = if settings.loops && !is_collecting() {
                    loop_lag::ask_all()
                } else {
                    Vec::new()
                };
                (bridges, clock::now_ns())
            });
            let waited = clock::now_ns().saturating_sub(from);
            for bridge in &bridges {
                loop_lag::withdraw_unless_running(py, bridge);
            }
            drop(bridges);
            match &delays {
                Some(delays) if is_collecting() => {
                    pause(delays, from, waited);
                    burst(py, stop, delays);
                }
                Some(delays) => delays.waits.took(from, waited),
                None => {}
            }
            if Instant::now() >= due {
                due = next(due, settings.interval);
            }
        }
    });
    // The interpreter is about to end: there is nothing to measure any more.
    let _ = asked;
}

/// Asks again and again until the collection is over.
fn burst(py: Python<'_>, stop: &Stop, delays: &Delays) {
    let began = Instant::now();
    while is_collecting() && !stop.is_due() {
        if began.elapsed() > LONGEST_BURST {
            COLLECTING.store(false, Ordering::Release);
        }
        let from = py.detach(|| {
            std::thread::park_timeout(BURST);
            clock::now_ns()
        });
        pause(delays, from, clock::now_ns().saturating_sub(from));
    }
}

fn pause(delays: &Delays, from: u64, waited: u64) {
    if let Some(pauses) = delays
        .pauses
        .as_ref()
        .filter(|_| waited >= SHORTEST_PAUSE_NS)
    {
        pauses.took_named(from, waited, Some("garbage collection".into()));
    }
}

fn is_collecting() -> bool {
    COLLECTING.load(Ordering::Acquire)
}

#[pyfunction]
fn _collection(phase: &str, _info: &Bound<'_, PyDict>) {
    let begins = phase == "start";
    COLLECTING.store(begins, Ordering::Release);
    if begins {
        if let Some(asker) = &*ASKER.load() {
            asker.unpark();
        }
    }
}

/// Has the thread told of collections, where they stop the world; what is returned undoes it.
pub fn hear_of_collections(py: Python<'_>, asker: Thread) -> PyResult<Option<Py<PyAny>>> {
    if !is_free_threaded(py) {
        return Ok(None);
    }
    ASKER.store(Some(Arc::new(asker)));
    let hook = wrap_pyfunction!(_collection, py)?.into_any();
    py.import("gc")?
        .getattr("callbacks")?
        .call_method1("append", (&hook,))?;
    Ok(Some(hook.unbind()))
}

/// No more of that.
pub fn hear_no_more(py: Python<'_>, hook: &Py<PyAny>) -> PyResult<()> {
    COLLECTING.store(false, Ordering::Release);
    ASKER.store(None);
    let callbacks = py.import("gc")?.getattr("callbacks")?;
    // Somebody may have emptied the list.
    if callbacks.contains(hook)? {
        callbacks.call_method1("remove", (hook,))?;
    }
    Ok(())
}
