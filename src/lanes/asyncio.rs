//! The asyncio lane. An operation on one record is driven by the loop's own thread; what may take
//! long to decode, or is not about the data path, by the runtime's threads, with the result left
//! for the loop, whose thread turns it into Python objects.

use std::future::Future;
use std::sync::Arc;

use aerospike_rt::monitor::spawn_on;
use aerospike_rt::net::arrivals_are_unknown;
use aerospike_stages::{Observed, Stage};
use pyo3::prelude::*;
use tokio::runtime::Handle;

use crate::error::Fault;
use crate::lanes::awaitable::Operation;
use crate::lanes::call::Call;
use crate::lanes::driven::Driven;
use crate::lanes::event_loop::LoopBridge;
use crate::lanes::progress::{Arrival, Shared};
use crate::ops::request::Reply;

/// Who polls an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Driver {
    /// The thread of the event loop, if the loop can watch descriptors.
    Loop,
    /// The runtime's threads.
    Runtime,
}

/// Starts an operation and returns the awaitable for its result. The operation runs whether or
/// not it is awaited, unless no loop is running yet: then it starts when it is awaited. `yields`
/// is what success gives instead of the reply.
pub fn start<F>(
    py: Python<'_>,
    (driver, runtime): (Driver, Handle),
    operation: F,
    mut call: Call,
    yields: Option<Py<PyAny>>,
) -> PyResult<Py<Operation>>
where
    F: Future<Output = Result<Reply, Fault>> + Send + 'static,
{
    call.enter(Stage::Dispatch);
    let (name, bridge) = (call.name(), call.bridge(py));
    let launch = move |bridge: Arc<LoopBridge>| {
        let recorder = call.recorder.take();
        let recorded = recorder.is_some();
        let operation = Observed::new(operation, recorder);
        // A loop that is late cannot tell by itself how late; a thread that only waits can.
        let late_unseen = recorded && arrivals_are_unknown();
        let by_loop = driver == Driver::Loop && bridge.watch().is_some() && !late_unseen;
        let shared = Shared::new(bridge, call, yields);
        if by_loop {
            shared.drive(Driven::new(runtime, operation, recorded));
        } else {
            let arrival = Arrival::of(shared.clone());
            let task = spawn_on(&runtime, async move { arrival.arrive(operation.await) });
            shared.set_abort(task.abort_handle());
        }
        shared
    };
    let operation = match bridge {
        Ok(bridge) => Operation::started(name, launch(bridge)),
        Err(error) if LoopBridge::is_absent(py, &error) => {
            Operation::deferred(name, Box::new(launch))
        }
        Err(error) => return Err(error),
    };
    Py::new(py, operation)
}
