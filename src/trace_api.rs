//! The module-level functions about traces: exporting spans, and recording operations in files.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::sync::Arc;
use std::time::Duration;

use aerospike_traces::files::probes::{self, Sample};
use aerospike_traces::files::recording::{Recording, Wanted};
use aerospike_traces::files::rotation::Place;
use aerospike_traces::frame::{self, Interpreter};
use aerospike_traces::otlp::exporting::Exporting;
use aerospike_traces::settings::traces::{resolve, Settings};
use aerospike_traces::settings::{Asked, Source};
use aerospike_traces::tap;
use pyo3::exceptions::PyOSError;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyModule};

use crate::exceptions::invalid_argument;
use crate::lanes::caller;
use crate::probes::samples;

/// How long ending may take.
const PATIENCE: Duration = Duration::from_millis(900);
/// How long closing a recording may take: a disk is slower than it should be now and then.
const PATIENCE_WITH_DISKS: Duration = Duration::from_secs(5);
/// The driver's version, which goes into trace files.
const CORE_VERSION: &str = "3.0.0";

/// Starts exporting spans; `arguments` stand for variables. Returns the variable that says that nothing is exported.
#[pyfunction]
fn _init_tracing(
    py: Python<'_>,
    arguments: HashMap<String, String>,
) -> PyResult<Option<&'static str>> {
    py.detach(|| {
        let asked = resolve(&Source {
            arguments: &arguments,
            environment: &|name| std::env::var(name).ok(),
        })?;
        let (exporting, off) = match asked {
            Asked::On(settings) => (Some(Exporting::start(*settings)?), None),
            Asked::Off(variable) => (None, Some(variable)),
        };
        if let Some(before) = tap::set_exporting(exporting) {
            before.stop(PATIENCE);
        }
        Ok(off)
    })
    .map_err(|error: String| invalid_argument(error))
}

/// Sends what waits and ends exporting. Returns whether everything was sent or given up in time.
#[pyfunction]
fn _shutdown_tracing(py: Python<'_>) -> bool {
    py.detach(|| tap::set_exporting(None).is_none_or(|exporting| exporting.stop(PATIENCE)))
}

/// What has become of spans; `None` while none are exported.
#[pyfunction]
fn _tracing_stats(py: Python<'_>) -> PyResult<Option<Bound<'_, PyDict>>> {
    let Some(exporting) = tap::exporting() else {
        return Ok(None);
    };
    let counters = exporting.counters();
    let read = |number: &std::sync::atomic::AtomicU64| number.load(Ordering::Relaxed);
    let (waiting, full) = exporting.waiting_and_dropped();
    let settings: &Settings = exporting.settings();
    let stats = PyDict::new(py);
    stats.set_item("endpoint", &settings.to.endpoint)?;
    stats.set_item("protocol", settings.to.transport.name())?;
    stats.set_item("exported_operations", read(&counters.operations))?;
    stats.set_item("exported_spans", read(&counters.spans))?;
    stats.set_item("waiting", waiting)?;
    stats.set_item("dropped_queue_full", full)?;
    stats.set_item("dropped_export_failed", read(&counters.lost))?;
    stats.set_item("dropped_shutdown", read(&counters.left))?;
    stats.set_item("dropped_late_conversions", read(&counters.orphans))?;
    let over_limit = exporting.tail().map_or(0, |tail| read(&tail.over_limit));
    stats.set_item("dropped_rate_limit", over_limit)?;
    stats.set_item("failures", counters.failures.count())?;
    let error = counters.failures.last_error();
    stats.set_item("last_error", error.as_deref())?;
    Ok(Some(stats))
}

/// A recording of operations in files.
#[pyclass(frozen, module = "aerospike_py._aerospike", name = "_Recording")]
struct PyRecording {
    recording: Arc<Recording>,
}

#[pymethods]
impl PyRecording {
    #[new]
    fn new(
        py: Python<'_>,
        folder: PathBuf,
        prefix: String,
        limits: (u64, u64),
        per_second: Option<u32>,
        sample: f64,
        form: (bool, bool),
    ) -> PyResult<Self> {
        let (segments, compressed) = form;
        let wanted = Wanted {
            place: Place {
                folder,
                prefix,
                file_bytes: limits.0,
                total_bytes: limits.1,
                compressed,
            },
            per_second,
            share: sample,
            segments,
        };
        py.detach(|| {
            let recording = Recording::start(wanted)?;
            tap::add_recording(recording.clone());
            Ok(PyRecording { recording })
        })
        .map_err(|error: String| PyOSError::new_err(error))
    }

    fn flush(&self, py: Python<'_>) -> bool {
        py.detach(|| self.recording.flush(PATIENCE_WITH_DISKS))
    }

    fn close(&self, py: Python<'_>) -> bool {
        py.detach(|| {
            tap::remove_recording(&self.recording);
            self.recording.stop(PATIENCE_WITH_DISKS)
        })
    }

    fn stats<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let counters = self.recording.counters();
        let read = |number: &std::sync::atomic::AtomicU64| number.load(Ordering::Relaxed);
        let (waiting, full) = self.recording.waiting_and_dropped();
        let stats = PyDict::new(py);
        stats.set_item("folder", &self.recording.wanted().place.folder)?;
        stats.set_item("rows", read(&counters.rows))?;
        stats.set_item("samples", read(&counters.samples))?;
        stats.set_item("bytes", read(&counters.bytes))?;
        stats.set_item("files_removed", read(&counters.removed))?;
        stats.set_item("waiting", waiting)?;
        stats.set_item("dropped_queue_full", full)?;
        stats.set_item("dropped_rate_limit", read(&counters.over_limit))?;
        stats.set_item("dropped_write_failed", read(&counters.lost))?;
        let error = counters.error.load_full();
        stats.set_item("error", error.as_deref())?;
        Ok(stats)
    }
}

fn interpreter(py: Python<'_>) -> PyResult<Interpreter> {
    let (sys, platform) = (py.import("sys")?, py.import("platform")?);
    let gil = sys.getattr_opt("_is_gil_enabled")?;
    let argv: Vec<String> = sys
        .getattr_opt("argv")?
        .map_or(Ok(Vec::new()), |argv| argv.extract())?;
    let without_gil = py
        .import("sysconfig")?
        .call_method1("get_config_var", ("Py_GIL_DISABLED",))?;
    Ok(Interpreter {
        client_version: env!("CARGO_PKG_VERSION").to_owned(),
        core_version: CORE_VERSION.to_owned(),
        python_version: platform.call_method0("python_version")?.extract()?,
        python_implementation: platform.call_method0("python_implementation")?.extract()?,
        free_threaded: without_gil.is_truthy()?,
        gil_enabled: gil.map_or(Ok(true), |gil| gil.call0()?.extract())?,
        platform: sys.getattr("platform")?.extract()?,
        argv0: argv.into_iter().next().unwrap_or_default(),
    })
}

/// Says what runs here, before the first trace.
#[pyfunction]
fn _describe_interpreter(py: Python<'_>) -> PyResult<()> {
    frame::set_interpreter(interpreter(py)?);
    caller::prepare(py)
}

/// Hands over what probes have measured.
fn drain(into: &mut Vec<Sample>) {
    let mut taken = Vec::new();
    samples::drain(&mut taken);
    into.extend(taken.into_iter().map(|sample| Sample {
        probe: sample.probe.name(),
        subject: sample.subject,
        name: sample.name,
        start_ns: sample.start_ns,
        duration_ns: sample.duration_ns,
        value: sample.value,
    }));
}

/// Adds the functions, and lets recordings have what probes measure.
pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    probes::set_source(probes::Source {
        subscribe: samples::subscribe,
        drain,
    });
    module.add_function(wrap_pyfunction!(_init_tracing, module)?)?;
    module.add_function(wrap_pyfunction!(_shutdown_tracing, module)?)?;
    module.add_function(wrap_pyfunction!(_tracing_stats, module)?)?;
    module.add_function(wrap_pyfunction!(_describe_interpreter, module)?)?;
    module.add_function(wrap_pyfunction!(caller::_name_trace_parents, module)?)?;
    module.add_class::<caller::TraceParent>()?;
    module.add_class::<PyRecording>()
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_drivers_version_is_the_one_that_is_linked() {
        let lock = include_str!("../Cargo.lock");
        let pinned = format!(
            "name = \"aerospike-core\"\nversion = \"{}\"",
            super::CORE_VERSION
        );
        assert!(lock.contains(&pinned));
    }
}
