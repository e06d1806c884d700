//! The module-level functions about metrics: reading, switching, serving and exporting them.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use aerospike_traces::otlp::reporting;
use aerospike_traces::settings::metrics::resolve;
use aerospike_traces::settings::{Asked, Source};
use pyo3::exceptions::{PyOSError, PyRuntimeWarning};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyModule};

use crate::exceptions::invalid_argument;
use crate::export::otlp;
use crate::export::prometheus;
use crate::export::server;
use crate::export::text::Format;
use crate::lanes::call;

/// Environment variables that start the server at import.
const PORT_VARIABLE: &str = "AEROSPIKE_PY_METRICS_PORT";
const HOST_VARIABLE: &str = "AEROSPIKE_PY_METRICS_HOST";
const DEFAULT_HOST: &str = "127.0.0.1";
/// How long ending an export may take.
const PATIENCE: Duration = Duration::from_millis(900);

#[pyfunction]
fn set_metrics_enabled(enabled: bool) {
    call::set_metrics_enabled(enabled);
}

#[pyfunction]
fn is_metrics_enabled() -> bool {
    call::is_metrics_enabled()
}

#[pyfunction]
fn get_metrics(py: Python<'_>) -> String {
    py.detach(|| prometheus::render(Format::Prometheus))
}

#[pyfunction]
#[pyo3(signature = (port=9464, host="127.0.0.1"))]
fn start_metrics_server(py: Python<'_>, port: i64, host: &str) -> PyResult<(String, u16)> {
    let Ok(port) = u16::try_from(port) else {
        return Err(invalid_argument(format!(
            "port must be a number from 0 to 65535, not {port}"
        )));
    };
    let started = py.detach(|| server::start(host, port));
    let address = started.map_err(|error| os_error(host, port, &error))?;
    Ok((address.ip().to_string(), address.port()))
}

fn os_error(host: &str, port: u16, error: &std::io::Error) -> PyErr {
    let message = format!(
        "cannot serve metrics at {host}:{port}: {error}; check that no other process (another worker, say) has the \
         port, and that the host is an address of this machine, or pass port 0 for any free port"
    );
    match error.raw_os_error() {
        Some(number) => PyOSError::new_err((number, message)),
        None => PyOSError::new_err(message),
    }
}

#[pyfunction]
fn stop_metrics_server(py: Python<'_>) {
    py.detach(server::stop);
}

/// Starts exporting metrics; `arguments` stand for variables. Returns the variable that says that nothing is exported.
#[pyfunction]
fn _init_metrics_export(
    py: Python<'_>,
    arguments: HashMap<String, String>,
) -> PyResult<Option<&'static str>> {
    py.detach(|| {
        let asked = resolve(&Source {
            arguments: &arguments,
            environment: &|name| std::env::var(name).ok(),
        })?;
        match asked {
            Asked::On(settings) => reporting::start(*settings, PATIENCE).map(|()| None),
            Asked::Off(variable) => {
                reporting::stop(PATIENCE);
                Ok(Some(variable))
            }
        }
    })
    .map_err(|error: String| invalid_argument(error))
}

/// Sends once more and ends exporting. Returns whether that was done, or given up, in time.
#[pyfunction]
fn _shutdown_metrics_export(py: Python<'_>) -> bool {
    py.detach(|| reporting::stop(PATIENCE))
}

/// What has become of metrics; `None` while none are exported.
#[pyfunction]
fn _metrics_export_stats(py: Python<'_>) -> PyResult<Option<Bound<'_, PyDict>>> {
    let Some((settings, counters)) = py.detach(reporting::state) else {
        return Ok(None);
    };
    let read = |number: &AtomicU64| number.load(Ordering::Relaxed);
    let stats = PyDict::new(py);
    stats.set_item("endpoint", &settings.to.endpoint)?;
    stats.set_item("protocol", settings.to.transport.name())?;
    stats.set_item("exports", read(&counters.exports))?;
    stats.set_item("exported_points", read(&counters.points))?;
    stats.set_item("dropped_export_failed", read(&counters.lost))?;
    stats.set_item("dropped_rejected", read(&counters.rejected))?;
    stats.set_item("failures", counters.failures.count())?;
    let error = counters.failures.last_error();
    stats.set_item("last_error", error.as_deref())?;
    Ok(Some(stats))
}

/// Adds the functions, and does what the environment asks for.
pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(set_metrics_enabled, module)?)?;
    module.add_function(wrap_pyfunction!(is_metrics_enabled, module)?)?;
    module.add_function(wrap_pyfunction!(get_metrics, module)?)?;
    module.add_function(wrap_pyfunction!(start_metrics_server, module)?)?;
    module.add_function(wrap_pyfunction!(stop_metrics_server, module)?)?;
    module.add_function(wrap_pyfunction!(_init_metrics_export, module)?)?;
    module.add_function(wrap_pyfunction!(_shutdown_metrics_export, module)?)?;
    module.add_function(wrap_pyfunction!(_metrics_export_stats, module)?)?;
    reporting::set_collect(otlp::collect);
    if let Err(error) = start_if_asked_for(module.py()) {
        warn(module.py(), &error);
    }
    Ok(())
}

fn start_if_asked_for(py: Python<'_>) -> PyResult<()> {
    let Ok(text) = std::env::var(PORT_VARIABLE) else {
        return Ok(());
    };
    let host = std::env::var(HOST_VARIABLE).unwrap_or_else(|_| DEFAULT_HOST.to_owned());
    let Ok(port) = text.trim().parse() else {
        return Err(invalid_argument(format!(
            "{PORT_VARIABLE} must be a number from 0 to 65535, not {text:?}"
        )));
    };
    start_metrics_server(py, port, host.trim()).map(drop)
}

/// Metrics that are not served are no reason for the import to fail.
fn warn(py: Python<'_>, error: &PyErr) {
    let text = format!("no metrics server was started: {}", error.value(py));
    let text = std::ffi::CString::new(text).unwrap_or_default();
    let category = py.get_type::<PyRuntimeWarning>();
    if let Err(raised) = PyErr::warn(py, &category, &text, 1) {
        raised.write_unraisable(py, None);
    }
}
