//! The asyncio lane: a runtime thread polls the operation, the result is left for the event
//! loop, and the loop's own thread turns it into Python objects.

use std::future::Future;
use std::sync::Arc;

use aerospike_stages::{Observed, Stage};
use pyo3::prelude::*;
use tokio::runtime::Handle;

use crate::error::Fault;
use crate::lanes::awaitable::{Arrival, Operation, Shared};
use crate::lanes::call::Call;
use crate::lanes::event_loop::LoopBridge;
use crate::ops::request::Reply;

/// Starts an operation and returns the awaitable for its result. The operation runs whether or
/// not it is awaited, unless no loop is running yet: then it starts when it is awaited. `yields`
/// is what success gives instead of the reply.
pub fn start<F>(
    py: Python<'_>,
    runtime: &Handle,
    operation: F,
    mut call: Call,
    yields: Option<Py<PyAny>>,
) -> PyResult<Py<Operation>>
where
    F: Future<Output = Result<Reply, Fault>> + Send + 'static,
{
    call.enter(Stage::Dispatch);
    let runtime = runtime.clone();
    let name = call.name();
    let launch = move |bridge: Arc<LoopBridge>| {
        let recorder = call.recorder.take();
        let shared = Shared::new(bridge, call, yields);
        let arrival = Arrival::of(shared.clone());
        let task = runtime.spawn(async move {
            let observation = Observed::new(operation, recorder).await;
            arrival.arrive(observation);
        });
        shared.set_abort(task.abort_handle());
        shared
    };
    let operation = match LoopBridge::of_running_loop(py) {
        Ok(bridge) => Operation::started(name, launch(bridge)),
        Err(error) if LoopBridge::is_absent(py, &error) => {
            Operation::deferred(name, Box::new(launch))
        }
        Err(error) => return Err(error),
    };
    Py::new(py, operation)
}
