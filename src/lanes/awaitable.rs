//! What an asynchronous method returns: an awaitable that is a future to asyncio (it can be
//! gathered, waited for, shielded and cancelled) and a coroutine to whoever insists on one.
//!
//! How far the operation has come is kept in [`Shared`]; here is what Python sees of it.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use pyo3::exceptions::asyncio::InvalidStateError;
use pyo3::exceptions::PyStopIteration;
use pyo3::prelude::*;
use pyo3::types::{PyAny, PyTuple};

use crate::lanes::event_loop::LoopBridge;
use crate::lanes::progress::{cancelled, Callback, Phase, Shared};

/// Starts an operation on a loop that is running at last.
pub(super) type Start = Box<dyn FnOnce(Arc<LoopBridge>) -> Arc<Shared> + Send>;

/// The awaitable returned by the methods of `AsyncClient`.
#[pyclass(
    frozen,
    weakref,
    module = "aerospike_py._aerospike",
    name = "Operation"
)]
pub struct Operation {
    started: OnceLock<Arc<Shared>>,
    /// How to start, if no loop was running when the method was called: then the operation is a
    /// coroutine and nothing else, until somebody awaits it.
    start: Mutex<Option<Start>>,
    name: &'static str,
}

impl Operation {
    pub(super) fn started(name: &'static str, shared: Arc<Shared>) -> Self {
        Operation {
            started: OnceLock::from(shared),
            start: Mutex::new(None),
            name,
        }
    }

    pub(super) fn deferred(name: &'static str, start: Start) -> Self {
        Operation {
            started: OnceLock::new(),
            start: Mutex::new(Some(start)),
            name,
        }
    }

    fn take_start(&self) -> Option<Start> {
        self.start
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
    }

    /// The running operation; it is started by the first step of whoever awaits it.
    fn begin(&self, py: Python<'_>) -> PyResult<&Arc<Shared>> {
        if self.started.get().is_none() {
            let bridge = LoopBridge::of_running_loop(py)?;
            if let Some(start) = self.take_start() {
                let _ = self.started.set(start(bridge));
            }
        }
        self.shared()
    }

    /// The running operation.
    fn shared(&self) -> PyResult<&Arc<Shared>> {
        self.started.get().ok_or_else(|| {
            InvalidStateError::new_err(
                "the operation has not started: it was made while no event loop was running",
            )
        })
    }

    /// One step of a coroutine that awaits the operation: suspend it, or hand over the result.
    fn step(slf: &Bound<'_, Self>) -> PyResult<Py<PyAny>> {
        match slf.get().begin(slf.py())?.step(slf.py()) {
            None => Ok(slf.clone().into_any().unbind()),
            Some(Ok(value)) => Err(stop_iteration(slf.py(), value)),
            Some(Err(error)) => Err(error),
        }
    }
}

/// `StopIteration(value)`; a tuple must be wrapped or it would become the exception's arguments.
fn stop_iteration(py: Python<'_>, value: Py<PyAny>) -> PyErr {
    match PyTuple::new(py, [value]) {
        Ok(arguments) => PyStopIteration::new_err(arguments.unbind()),
        Err(error) => error,
    }
}

#[pymethods]
impl Operation {
    /// What asyncio calls a task that is made of the operation.
    #[getter(__name__)]
    fn name(&self) -> &'static str {
        self.name
    }

    #[getter(__qualname__)]
    fn qualified_name(&self) -> String {
        format!("AsyncClient.{}", self.name)
    }

    fn __await__(slf: Bound<'_, Self>) -> Bound<'_, Self> {
        slf
    }

    fn __iter__(slf: Bound<'_, Self>) -> Bound<'_, Self> {
        slf
    }

    fn __next__(slf: &Bound<'_, Self>) -> PyResult<Py<PyAny>> {
        Self::step(slf)
    }

    fn send(slf: &Bound<'_, Self>, _value: &Bound<'_, PyAny>) -> PyResult<Py<PyAny>> {
        Self::step(slf)
    }

    #[pyo3(signature = (typ, val=None, _tb=None))]
    fn throw(
        slf: &Bound<'_, Self>,
        typ: &Bound<'_, PyAny>,
        val: Option<&Bound<'_, PyAny>>,
        _tb: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Py<PyAny>> {
        match slf.get().started.get() {
            Some(shared) => shared.resumed(),
            None => drop(slf.get().take_start()),
        }
        let exception = match val {
            Some(value) if value.is_instance_of::<pyo3::exceptions::PyBaseException>() => {
                value.clone()
            }
            Some(value) => typ.call1((value,))?,
            None if typ.is_instance_of::<pyo3::types::PyType>() => typ.call0()?,
            None => typ.clone(),
        };
        Err(PyErr::from_value(exception))
    }

    fn close(slf: &Bound<'_, Self>) -> PyResult<()> {
        Self::cancel(slf, None).map(drop)
    }

    #[getter(_asyncio_future_blocking)]
    fn is_blocking(&self) -> Option<bool> {
        self.started.get().map(|shared| shared.lock().blocking)
    }

    #[setter(_asyncio_future_blocking)]
    fn set_blocking(&self, blocking: bool) -> PyResult<()> {
        self.shared()?.lock().blocking = blocking;
        Ok(())
    }

    #[getter(_loop)]
    fn event_loop(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        Ok(self.shared()?.bridge.event_loop().clone_ref(py))
    }

    fn get_loop(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        self.event_loop(py)
    }

    fn done(&self) -> bool {
        self.started.get().is_some_and(|shared| shared.is_done())
    }

    fn cancelled(&self) -> bool {
        self.started
            .get()
            .is_some_and(|shared| matches!(shared.lock().phase, Phase::Cancelled(_)))
    }

    fn result(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        self.shared()?.result(py)
    }

    fn exception(&self, py: Python<'_>) -> PyResult<Option<Py<PyAny>>> {
        let shared = self.shared()?;
        match shared.result(py) {
            Ok(_) => Ok(None),
            Err(error) if matches!(shared.lock().phase, Phase::Converted(_)) => {
                Ok(Some(error.into_value(py).into_any()))
            }
            Err(error) => Err(error),
        }
    }

    /// What `cancel` was told; asyncio's `gather` reads it.
    #[getter(_cancel_message)]
    fn cancel_message(&self, py: Python<'_>) -> Option<Py<PyAny>> {
        match &self.started.get()?.lock().phase {
            Phase::Cancelled(message) => message.as_ref().map(|message| message.clone_ref(py)),
            _ => None,
        }
    }

    fn _make_cancelled_error(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        let error = match &self.shared()?.lock().phase {
            Phase::Cancelled(message) => cancelled(py, message.as_ref()),
            _ => cancelled(py, None),
        };
        Ok(error.into_value(py).into_any())
    }

    #[pyo3(signature = (callback, *, context=None))]
    fn add_done_callback(
        slf: &Bound<'_, Self>,
        callback: Py<PyAny>,
        context: Option<Py<PyAny>>,
    ) -> PyResult<()> {
        let py = slf.py();
        let context = match context {
            Some(context) => context,
            None => py
                .import(crate::interned::interned!(py, "contextvars"))?
                .call_method0(crate::interned::interned!(py, "copy_context"))?
                .unbind(),
        };
        let shared = slf.get().shared()?;
        {
            let mut state = shared.lock();
            if matches!(state.phase, Phase::Running | Phase::Arrived(_, false)) {
                state.callbacks.push(Callback {
                    function: callback,
                    context,
                });
                state.this.get_or_insert_with(|| slf.clone().unbind());
                return Ok(());
            }
        }
        shared
            .bridge
            .call_soon(py, &callback, slf.as_any(), &context)
    }

    fn remove_done_callback(slf: &Bound<'_, Self>, callback: &Bound<'_, PyAny>) -> PyResult<usize> {
        let shared = slf.get().shared()?;
        let registered = std::mem::take(&mut shared.lock().callbacks);
        let before = registered.len();
        let mut kept = Vec::with_capacity(before);
        let mut failure = None;
        for entry in registered {
            // Comparing runs Python, and what has not been compared must not be lost.
            match entry.function.bind(slf.py()).eq(callback) {
                Ok(true) if failure.is_none() => {}
                Ok(_) => kept.push(entry),
                Err(error) => {
                    failure.get_or_insert(error);
                    kept.push(entry);
                }
            }
        }
        let removed = before - kept.len();
        shared.lock().callbacks.extend(kept);
        failure.map_or(Ok(removed), Err)
    }

    #[pyo3(signature = (msg=None))]
    fn cancel(slf: &Bound<'_, Self>, msg: Option<Py<PyAny>>) -> PyResult<bool> {
        let Some(shared) = slf.get().started.get() else {
            return Ok(slf.get().take_start().is_some());
        };
        shared.cancel(slf.py(), msg)
    }

    #[classmethod]
    fn __class_getitem__(
        cls: &Bound<'_, pyo3::types::PyType>,
        _item: &Bound<'_, PyAny>,
    ) -> Py<PyAny> {
        cls.clone().into_any().unbind()
    }

    fn __repr__(&self) -> &'static str {
        let Some(shared) = self.started.get() else {
            return "<Operation not started>";
        };
        match shared.lock().phase {
            Phase::Running | Phase::Arrived(_, false) => "<Operation pending>",
            Phase::Cancelled(_) => "<Operation cancelled>",
            _ => "<Operation finished>",
        }
    }

    /// Callbacks are left out: they exist only while a runtime thread holds the operation, which
    /// the collector cannot see and must not take for garbage.
    fn __traverse__(&self, visit: pyo3::PyVisit<'_>) -> Result<(), pyo3::PyTraverseError> {
        let Some(Ok(state)) = self.started.get().map(|shared| shared.state.try_lock()) else {
            return Ok(());
        };
        match &state.phase {
            Phase::Converted(Ok(value)) => visit.call(value),
            Phase::Converted(Err(error)) => visit.call(error),
            Phase::Cancelled(Some(message)) => visit.call(message),
            _ => Ok(()),
        }
    }

    fn __clear__(&self) {
        let cleared = self.started.get().map(|shared| {
            let mut state = shared.lock();
            match state.phase {
                Phase::Converted(_) | Phase::Cancelled(_) => {
                    Some(std::mem::replace(&mut state.phase, Phase::Cancelled(None)))
                }
                _ => None,
            }
        });
        drop(cleared);
    }
}

/// Runs on the loop behind an operation's callbacks.
#[pyfunction]
pub(super) fn operation_told(operation: &Bound<'_, Operation>) {
    if let Some(shared) = operation.get().started.get() {
        shared.told();
    }
}
