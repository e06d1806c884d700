//! The thread that hands log records to Python's `logging`, and the level that it reads there.
//!
//! It is started when a client first connects, attaches only when there is something to hand over or to
//! look up, and ends before the interpreter does.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, Once, PoisonError};
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};
use tracing_subscriber::layer::SubscriberExt;

use crate::lanes::fork;
use crate::logs::layer::ToPython;
use crate::logs::level;
use crate::logs::record::{self, Record};
use crate::probes::native::{Stop, Thread};

/// How often the levels of Python's loggers are looked up.
const LOOK_UP: Duration = Duration::from_secs(2);
/// So many records are handed over before others get their turn.
const MOST_AT_ONCE: usize = 64;
/// How long the end of the interpreter waits for the last records.
const PATIENCE: Duration = Duration::from_secs(2);

/// The thread, and which process it is of.
pub type Bridging = Option<(u64, Thread)>;

static RUNNING: Mutex<Bridging> = Mutex::new(None);
/// Whom to wake when there is a record.
static WAITING: ArcSwapOption<std::thread::Thread> = ArcSwapOption::const_empty();
/// The interpreter is about to end: nothing is started any more.
static OVER: AtomicBool = AtomicBool::new(false);
/// Losses that have been told of.
static TOLD: AtomicU64 = AtomicU64::new(0);

/// The thread, if there is one.
pub fn lock_running() -> MutexGuard<'static, Bridging> {
    RUNNING.lock().unwrap_or_else(PoisonError::into_inner)
}

/// There is a record to hand over.
pub fn wake() {
    if let Some(waiting) = &*WAITING.load() {
        waiting.unpark();
    }
}

/// Has records made from now on kept; once per process and before anything logs.
pub fn install() {
    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(|| {
        // Only another copy of these crates in this very module could have been first.
        let subscriber = tracing_subscriber::registry().with(ToPython);
        let _ = tracing::subscriber::set_global_default(subscriber);
        let _ = tracing_log::LogTracer::init();
        log::set_max_level(log::LevelFilter::Off);
    });
}

/// Starts the thread, unless this process has it, and looks the levels up.
pub fn start(py: Python<'_>) -> PyResult<()> {
    if OVER.load(Ordering::Relaxed) {
        return Ok(());
    }
    look_up(py)?;
    let mut running = lock_running();
    let generation = fork::generation();
    if running.as_ref().is_some_and(|(of, _)| *of == generation) {
        return Ok(());
    }
    let thread = Thread::start("aerospike-py-logs", |stop| hand_over_all(&stop))?;
    WAITING.store(Some(std::sync::Arc::new(thread.handle())));
    // The thread of a parent process does not exist here.
    std::mem::forget(running.replace((generation, thread)));
    Ok(())
}

/// As [`start`], for whoever has other things to do: without logs everything else works.
pub fn ensure(py: Python<'_>) {
    let _ = start(py);
}

/// Ends the thread, after it has handed over what is left.
fn stop(py: Python<'_>) {
    OVER.store(true, Ordering::Relaxed);
    WAITING.store(None);
    let running = lock_running().take();
    match running {
        Some((generation, thread)) if generation == fork::generation() => {
            py.detach(|| thread.end_within(PATIENCE));
        }
        other => std::mem::forget(other),
    }
    level::set_least(level::OFF);
}

/// The lowest level that any of the client's loggers lets through.
fn look_up(py: Python<'_>) -> PyResult<()> {
    const ROOT: &str = "aerospike_py";
    // Names are made anew where connecting needs them: a fork in the middle of keeping them for the first time
    // would leave the child waiting for a thread that it does not have.
    let logging = py.import("logging")?;
    let root = logging.call_method1("getLogger", (ROOT,))?;
    let mut least: u32 = level_of(&root)?;
    let known = root.getattr("manager")?.getattr("loggerDict")?;
    for entry in known.call_method0("copy")?.cast_into::<PyDict>()? {
        let (name, logger) = entry;
        let below = name.extract::<String>().is_ok_and(|name| {
            let below = name.strip_prefix(ROOT);
            below.is_some_and(|rest| rest.starts_with('.'))
        });
        // A name without a logger holds the place of one.
        if below && logger.hasattr("getEffectiveLevel")? {
            least = least.min(level_of(&logger)?);
        }
    }
    // Python lets nothing through up to this level, whatever its loggers say.
    let disabled: i64 = root.getattr("manager")?.getattr("disable")?.extract()?;
    let above = u32::try_from(disabled.saturating_add(1)).unwrap_or(0);
    level::set_least(least.max(above).min(level::OFF));
    Ok(())
}

fn level_of(logger: &Bound<'_, PyAny>) -> PyResult<u32> {
    let level: i64 = logger.call_method0("getEffectiveLevel")?.extract()?;
    Ok(u32::try_from(level).unwrap_or(0).min(level::OFF))
}

fn hand_over_all(stop: &Stop) {
    let handed = Python::try_attach(|py| {
        let mut due = Instant::now() + LOOK_UP;
        loop {
            py.detach(|| stop.sleep_until(due, || !record::is_empty()));
            for record in std::iter::from_fn(record::pop).take(MOST_AT_ONCE) {
                // A handler that fails is Python's own affair; the next record gets its chance.
                let _ = hand_over(py, &record);
            }
            let _ = tell_of_losses(py);
            if stop.is_due() && record::is_empty() {
                return;
            }
            if Instant::now() >= due {
                let _ = look_up(py);
                due = Instant::now() + LOOK_UP;
            }
        }
    });
    // The interpreter is about to end: nobody reads logs any more.
    let _ = handed;
}

/// `logger.handle(LogRecord(...))`, with the time and place at which it was made.
fn hand_over(py: Python<'_>, record: &Record) -> PyResult<()> {
    let logging = py.import(crate::interned::interned!(py, "logging"))?;
    let logger = logging.call_method1(
        crate::interned::interned!(py, "getLogger"),
        (&record.logger,),
    )?;
    let enabled = logger.call_method1(
        crate::interned::interned!(py, "isEnabledFor"),
        (record.level,),
    )?;
    if !enabled.is_truthy()? {
        return Ok(());
    }
    let file = record.file.as_deref().unwrap_or("(native)");
    let arguments = (
        &record.logger,
        record.level,
        file,
        record.line.unwrap_or(0),
        &record.message,
        PyTuple::empty(py),
        py.None(),
    );
    let made = logger.call_method1(crate::interned::interned!(py, "makeRecord"), arguments)?;
    made.setattr(crate::interned::interned!(py, "created"), record.time)?;
    made.setattr(
        crate::interned::interned!(py, "msecs"),
        (record.time.fract() * 1e3).floor(),
    )?;
    logger
        .call_method1(crate::interned::interned!(py, "handle"), (made,))
        .map(drop)
}

fn tell_of_losses(py: Python<'_>) -> PyResult<()> {
    let dropped = record::dropped();
    let told = TOLD.swap(dropped, Ordering::Relaxed);
    if dropped == told {
        return Ok(());
    }
    hand_over(
        py,
        &Record {
            logger: "aerospike_py".to_owned(),
            level: 30,
            message: format!(
                "{} log records were lost: they came faster than they were handled",
                dropped - told
            ),
            file: None,
            line: None,
            time: record::now(),
        },
    )
}

#[pyfunction]
fn _refresh_log_levels(py: Python<'_>) -> PyResult<()> {
    start(py)
}

#[pyfunction]
fn _stop_logs(py: Python<'_>) {
    stop(py);
}

/// Adds the functions.
pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    install();
    let py = module.py();
    module.add_function(wrap_pyfunction!(_refresh_log_levels, module)?)?;
    let stop = wrap_pyfunction!(_stop_logs, py)?;
    py.import("atexit")?.call_method1("register", (stop,))?;
    Ok(())
}
