//! The functions about probes that Python has.

use std::sync::Arc;
use std::time::Duration;

use pyo3::prelude::*;

use crate::lanes::event_loop::LoopBridge;
use crate::lanes::fork;
use crate::probes::control::{self, Wanted};
use crate::probes::observer::{self, NameRow, Observation};
use crate::probes::process;
use crate::probes::samples::{self, Sample};
use crate::probes::series::{self, Row};
use crate::stage_api::asked_for;

/// Environment variables that start the probes at import, and observe loops when they are first used.
const PROBES_VARIABLE: &str = "AEROSPIKE_PY_PROBES";
const OBSERVER_VARIABLE: &str = "AEROSPIKE_PY_LOOP_OBSERVER";
/// From when on a callback is slow, unless somebody says otherwise.
const SLOW: Duration = Duration::from_millis(20);

/// Probe, kind, unit, loop, count, mean, p50, p99, largest, first, latest.
type ProbeRow = (
    &'static str,
    &'static str,
    &'static str,
    Option<u64>,
    (u64, f64, f64, f64, f64),
    (Option<f64>, Option<f64>),
);

#[pyfunction]
fn _start_probes(
    py: Python<'_>,
    interval: f64,
    gil: bool,
    loops: bool,
    runtime: bool,
    process: bool,
) -> PyResult<()> {
    let wanted = Wanted {
        interval: Duration::from_secs_f64(interval),
        gil,
        loops,
        runtime,
        process,
    };
    control::start(py, wanted)
}

#[pyfunction]
fn stop_probes(py: Python<'_>) -> PyResult<()> {
    control::stop(py)
}

#[pyfunction]
fn _probe_rows(py: Python<'_>) -> (bool, u64, Vec<ProbeRow>) {
    let rows = py.detach(series::rows);
    let rows = rows.iter().map(unpack).collect();
    (control::is_running(), samples::dropped(), rows)
}

fn unpack(row: &Row) -> ProbeRow {
    let (described, counts) = (row.probe.describe(), &row.counts);
    let steps = row.probe.steps_per_unit();
    let count = counts.count();
    let mean = counts.sum as f64 / count.max(1) as f64 / steps;
    let at = |quantile: f64| counts.percentile(quantile) as f64 / steps;
    (
        row.probe.name(),
        described.kind.name(),
        described.unit,
        row.subject,
        (count, mean, at(0.5), at(0.99), counts.max as f64 / steps),
        (row.first, row.latest),
    )
}

#[pyfunction]
fn _observe_running_loop(py: Python<'_>, slow: f64) -> PyResult<Observation> {
    Observation::of_running_loop(py, Duration::from_secs_f64(slow).as_nanos() as u64)
}

/// Probe, subject, name, start, duration, value.
type SampleRow = (
    &'static str,
    Option<u64>,
    Option<String>,
    u64,
    Option<u64>,
    Option<f64>,
);

/// Takes what is there, and subscribes to what follows or not. Who writes samples down does the same; this
/// is for tests.
#[pyfunction]
fn _take_probe_samples(subscribe: bool) -> Vec<SampleRow> {
    let mut taken = Vec::new();
    samples::drain(&mut taken);
    samples::subscribe(subscribe);
    taken.into_iter().map(sample_row).collect()
}

fn sample_row(sample: Sample) -> SampleRow {
    (
        sample.probe.name(),
        sample.subject,
        sample.name.map(|name| name.as_ref().to_owned()),
        sample.start_ns,
        sample.duration_ns,
        sample.value,
    )
}

/// How many cores the control group of the process allows it.
#[pyfunction]
fn _cpu_quota_cores() -> Option<f64> {
    process::cpu_quota_cores()
}

/// Loop, and what was slow on it by name.
#[pyfunction]
fn _slow_callback_rows() -> Vec<(u64, Vec<NameRow>)> {
    let observed = observer::everybody();
    let rows = observed
        .iter()
        .map(|observed| (observed.id, observer::name_rows(observed)));
    rows.collect()
}

#[pyfunction]
fn _stop_before_exit(py: Python<'_>) -> PyResult<()> {
    control::stop_for_good(py)
}

fn is_wanted(variable: &str) -> bool {
    asked_for(std::env::var(variable).ok().as_deref())
}

/// A client connects: a process that was forked does what the environment asks for here.
pub fn start_after_fork(py: Python<'_>) {
    if fork::generation() > 0 && is_wanted(PROBES_VARIABLE) && !control::is_running() {
        if let Err(error) = control::start(py, Wanted::default()) {
            tracing::warn!(target: "aerospike_py.probes", "the probes cannot be started: {error}");
        }
    }
}

/// A loop is used for the first time, on its thread: it is observed if the environment asks for that, for as
/// long as it lives. A loop that cannot be observed is used all the same.
pub fn observe_if_wanted(py: Python<'_>, bridge: &Arc<LoopBridge>) {
    if !is_wanted(OBSERVER_VARIABLE) {
        return;
    }
    match Observation::start(py, bridge, SLOW.as_nanos() as u64) {
        Ok(observation) => observer::keep(&observation),
        Err(error) => {
            tracing::warn!(target: "aerospike_py.probes", "an event loop cannot be observed: {error}")
        }
    }
}

/// Adds the functions, and does what the environment asks for.
pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let py = module.py();
    module.add_class::<Observation>()?;
    module.add_function(wrap_pyfunction!(_start_probes, module)?)?;
    module.add_function(wrap_pyfunction!(stop_probes, module)?)?;
    module.add_function(wrap_pyfunction!(_probe_rows, module)?)?;
    module.add_function(wrap_pyfunction!(_slow_callback_rows, module)?)?;
    module.add_function(wrap_pyfunction!(_take_probe_samples, module)?)?;
    module.add_function(wrap_pyfunction!(_cpu_quota_cores, module)?)?;
    module.add_function(wrap_pyfunction!(_observe_running_loop, module)?)?;
    let stop = wrap_pyfunction!(_stop_before_exit, py)?;
    py.import("atexit")?.call_method1("register", (stop,))?;
    if is_wanted(PROBES_VARIABLE) {
        control::start(py, Wanted::default())?;
    }
    Ok(())
}
