//! The check that the driver really runs on this project's runtime crate. Were another version
//! of that crate linked, everything would work and nothing would be recorded.

use std::time::Duration;

use aerospike_core::{Client, ClientPolicy};
use pyo3::exceptions::PyImportError;
use pyo3::ffi;
use pyo3::prelude::*;

/// Nothing listens on port 0, so the attempt fails at once and without a packet.
const NOWHERE: &str = "127.0.0.1:0";
const PATIENCE: Duration = Duration::from_secs(2);

/// Whether a connection that the driver attempts passes through the runtime crate.
fn driver_is_observed() -> std::io::Result<bool> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let before = aerospike_rt::net::connection_attempts();
    runtime.block_on(async {
        let policy = ClientPolicy {
            timeout: 1,
            ..ClientPolicy::default()
        };
        // Only the attempt matters; it cannot succeed.
        let _ = tokio::time::timeout(PATIENCE, Client::new(&policy, &NOWHERE)).await;
    });
    Ok(aerospike_rt::net::connection_attempts() > before)
}

/// Types, exceptions and names are made once and shared; a second interpreter must not see them.
/// The main interpreter is the one that outlives all others, whoever imports first.
pub fn refuse_sub_interpreters(_py: Python<'_>) -> PyResult<()> {
    // SAFETY: this thread is attached, as `_py` proves, so there is a current interpreter, and the
    // main one exists as long as any; the pointers are only compared.
    let is_main = unsafe { ffi::PyInterpreterState_Get() == ffi::PyInterpreterState_Main() };
    if is_main {
        return Ok(());
    }
    Err(PyImportError::new_err(
        "aerospike_py cannot be imported in a sub-interpreter: use threads, processes, or free-threaded Python",
    ))
}

/// Raises `ImportError` unless the driver is observed.
#[pyfunction]
fn _self_check(py: Python<'_>) -> PyResult<()> {
    if py.detach(driver_is_observed)? {
        return Ok(());
    }
    Err(PyImportError::new_err(
        "this build of aerospike_py links a driver whose sockets and timers are not observed: \
         build it from its own workspace, where Cargo.toml patches the crate aerospike-rt",
    ))
}

/// Adds the check, and runs it.
pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(_self_check, module)?)?;
    _self_check(module.py())
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_patched_runtime_is_in() {
        assert!(super::driver_is_observed().unwrap());
    }
}
