//! The extension module `_aerospike`: an Aerospike client that accounts for every microsecond.
//!
//! A value flows one way: `convert` (Python in), `ops` (one async function per operation),
//! `lanes` (who polls it), `convert` (Python out). `aerospike_stages` records beside it and
//! `export` reads what was recorded.

mod allocator;
mod client;
mod constants;
mod convert;
mod embedded;
mod error;
mod exceptions;
mod export;
mod interned;
mod lanes;
mod logs;
mod metrics_api;
mod ops;
mod probes;
mod queue;
mod self_check;
mod stage_api;
mod trace_api;

use pyo3::prelude::*;

/// Replies of hundreds of kilobytes come and go with every call; the system's allocator gives
/// their pages back each time and faults them in again.
#[global_allocator]
static ALLOCATOR: allocator::Allocator = allocator::Allocator;

#[pymodule(gil_used = false)]
fn _aerospike(module: &Bound<'_, PyModule>) -> PyResult<()> {
    self_check::refuse_sub_interpreters(module.py())?;
    module.add("__version__", env!("CARGO_PKG_VERSION"))?;
    lanes::fork::watch();
    exceptions::register(module)?;
    logs::bridge::register(module)?;
    constants::register(module)?;
    client::register(module)?;
    convert::register(module)?;
    module.add_class::<embedded::EmbeddedServer>()?;
    stage_api::register(module)?;
    trace_api::register(module)?;
    metrics_api::register(module)?;
    probes::python::register(module)?;
    self_check::register(module)?;
    // What the package exports is said by the package, not by the order of registration here.
    module.delattr("__all__")
}
