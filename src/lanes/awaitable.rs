//! What an asynchronous method returns: an awaitable that is a future to asyncio (it can be
//! gathered, waited for, shielded and cancelled) and a coroutine to whoever insists on one.
//!
//! The result stays a Rust value until somebody asks for it; it becomes Python objects once.

use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use aerospike_stages::{clock, collector, Observation, Origin, Outcome, Stage};
use pyo3::exceptions::asyncio::{CancelledError, InvalidStateError};
use pyo3::exceptions::{PyBaseException, PyRuntimeError, PyStopIteration};
use pyo3::prelude::*;
use pyo3::types::{PyAny, PyTuple};
use tokio::task::AbortHandle;

use crate::error::Fault;
use crate::lanes::call::Call;
use crate::lanes::event_loop::LoopBridge;
use crate::lanes::{convert, outcome_of};
use crate::ops::request::Reply;

/// Where an operation stands.
enum Phase {
    /// A runtime thread is at it.
    Running,
    /// The result is there; the loop has not been told (`false`) or has been (`true`).
    Arrived(Box<Result<Reply, Fault>>, bool),
    /// Somebody is converting the result right now.
    Converting,
    /// The result as Python has it.
    Converted(Result<Py<PyAny>, Py<PyBaseException>>),
    /// Nobody wants the result any more.
    Cancelled(Option<Py<PyAny>>),
}

struct Callback {
    function: Py<PyAny>,
    context: Py<PyAny>,
}

struct State {
    phase: Phase,
    outcome: Outcome,
    /// Taken when the call is over.
    call: Option<Call>,
    /// The recorded call, if it was over before its result was converted.
    late: Option<Origin>,
    callbacks: Vec<Callback>,
    /// The awaitable itself, for as long as callbacks want it as their argument.
    this: Option<Py<Operation>>,
    abort: Option<AbortHandle>,
    /// What success gives instead of the reply.
    yields: Option<Py<PyAny>>,
    /// A coroutine has been suspended on the awaitable and will be resumed by it.
    suspended: bool,
    /// asyncio's handshake flag.
    blocking: bool,
}

/// The part of an awaitable that runtime threads know.
pub struct Shared {
    bridge: Arc<LoopBridge>,
    state: Mutex<State>,
}

impl Shared {
    pub(super) fn new(bridge: Arc<LoopBridge>, call: Call, yields: Option<Py<PyAny>>) -> Arc<Self> {
        let state = State {
            phase: Phase::Running,
            outcome: Outcome::Ok,
            call: Some(call),
            late: None,
            callbacks: Vec::new(),
            this: None,
            abort: None,
            yields,
            suspended: false,
            blocking: false,
        };
        Arc::new(Shared {
            bridge,
            state: Mutex::new(state),
        })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn set_abort(&self, abort: AbortHandle) {
        self.lock().abort = Some(abort);
    }

    /// The operation has ended; called on a runtime thread.
    fn arrive(self: Arc<Self>, observation: Observation<Result<Reply, Fault>>) {
        let Observation {
            value,
            mut recorder,
        } = observation;
        if let Some(recorder) = recorder.as_mut() {
            if value.is_err() {
                recorder.fail();
            }
            recorder.enter(Stage::LoopWait, clock::now_ns());
        }
        {
            let mut state = self.lock();
            let cancelled = !matches!(state.phase, Phase::Running);
            let outcome = if cancelled {
                Outcome::Cancelled
            } else {
                outcome_of(&value)
            };
            state.outcome = outcome;
            if let Some(call) = state.call.as_mut() {
                call.recorder = recorder;
            }
            if cancelled {
                return;
            }
            state.phase = Phase::Arrived(Box::new(value), false);
        }
        self.bridge.clone().push(self);
    }

    /// The loop takes notice of the result; called on the loop's thread.
    pub(super) fn resolve(&self, py: Python<'_>) -> PyResult<()> {
        let (callbacks, this) = {
            let mut state = self.lock();
            match &mut state.phase {
                Phase::Arrived(_, told) => *told = true,
                _ => return Ok(()),
            }
            if let Some(call) = state.call.as_mut() {
                call.enter(Stage::EventLoopResume);
            }
            (std::mem::take(&mut state.callbacks), state.this.take())
        };
        let told = self.ends_with_callbacks(&callbacks);
        let context = callbacks
            .first()
            .map(|callback| callback.context.clone_ref(py));
        let owner = this.as_ref().map(|this| this.clone_ref(py));
        self.schedule(py, callbacks, this)?;
        match (told, context, owner) {
            (true, Some(context), Some(owner)) => {
                self.bridge
                    .call_soon_told(py, owner.bind(py).as_any(), &context)
            }
            _ => Ok(()),
        }
    }

    /// Whether the operation is over for its caller once its callbacks have run, because nobody is
    /// suspended on it. Without stages its duration ends right here.
    fn ends_with_callbacks(&self, callbacks: &[Callback]) -> bool {
        let mut state = self.lock();
        if state.suspended || callbacks.is_empty() {
            return false;
        }
        match state.call.take() {
            Some(call) if call.recorder.is_none() => {
                let outcome = state.outcome;
                drop(state);
                call.finish(outcome);
                false
            }
            call => {
                state.call = call;
                true
            }
        }
    }

    /// The callbacks have run: what has not been asked for by now is asked for later.
    fn told(&self) {
        let (call, outcome) = {
            let mut state = self.lock();
            if state.suspended {
                return;
            }
            (state.call.take(), state.outcome)
        };
        if let Some(call) = call {
            self.lock().late = call.origin();
            call.finish(outcome);
        }
    }

    /// The loop has been closed: nobody will ever be told.
    pub(super) fn abandon(&self) {
        let dropped = {
            let mut state = self.lock();
            if matches!(state.phase, Phase::Arrived(_, false)) {
                state.phase = Phase::Cancelled(None);
                state.outcome = Outcome::Cancelled;
            }
            (std::mem::take(&mut state.callbacks), state.this.take())
        };
        drop(dropped);
    }

    /// Schedules every callback even if one cannot be; the first failure is returned.
    fn schedule(
        &self,
        py: Python<'_>,
        callbacks: Vec<Callback>,
        this: Option<Py<Operation>>,
    ) -> PyResult<()> {
        let Some(this) = this else { return Ok(()) };
        let this = this.into_bound(py).into_any();
        let mut first = Ok(());
        for callback in callbacks {
            let scheduled = self
                .bridge
                .call_soon(py, &callback.function, &this, &callback.context);
            first = first.and(scheduled);
        }
        first
    }

    fn is_done(&self) -> bool {
        !matches!(self.lock().phase, Phase::Running | Phase::Arrived(_, false))
    }

    /// The result in Python; converted by whoever asks first.
    fn result(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        let (raw, mut call, late) = {
            let mut state = self.lock();
            match &state.phase {
                Phase::Running | Phase::Arrived(_, false) | Phase::Converting => {
                    return Err(InvalidStateError::new_err(
                        "the result is not ready: await the operation first",
                    ))
                }
                Phase::Converted(Ok(value)) => return Ok(value.clone_ref(py)),
                Phase::Converted(Err(error)) => {
                    let error = error.clone_ref(py);
                    drop(state);
                    return Err(raise_again(py, error));
                }
                Phase::Cancelled(message) => return Err(cancelled(py, message.as_ref())),
                Phase::Arrived(_, true) => {}
            }
            match std::mem::replace(&mut state.phase, Phase::Converting) {
                Phase::Arrived(raw, _) => (*raw, state.call.take(), state.late),
                other => {
                    state.phase = other;
                    return Err(PyRuntimeError::new_err(
                        "the operation changed while its result was taken",
                    ));
                }
            }
        };
        // An exception is created here, where no lock is held: creating it runs Python.
        let began = late.map(|_| clock::now_ns());
        let converted = convert(py, raw, call.as_mut(), late).map_err(|error| error.into_value(py));
        if let (Some(origin), Some(began)) = (late, began) {
            collector::record_deferred(origin, clock::now_ns().saturating_sub(began));
        }
        let mut state = self.lock();
        let converted = match state.yields.take() {
            Some(value) => converted.map(|_| value),
            None => converted,
        };
        state.phase = Phase::Converted(match &converted {
            Ok(value) => Ok(value.clone_ref(py)),
            Err(error) => Err(error.clone_ref(py)),
        });
        let outcome = state.outcome;
        match call {
            Some(mut call) if state.suspended => {
                call.enter(Stage::EventLoopResume);
                state.call = Some(call);
            }
            Some(call) => {
                drop(state);
                call.finish(outcome);
            }
            None => {}
        }
        converted.map_err(|error| raise_again(py, error))
    }

    /// The awaiting coroutine runs again: the operation's wall time ends here.
    fn resumed(&self) {
        let (call, outcome) = {
            let mut state = self.lock();
            state.suspended = false;
            (state.call.take(), state.outcome)
        };
        if let Some(call) = call {
            call.finish(outcome);
        }
    }
}

impl Drop for Shared {
    /// A result that nobody ever looked at is recorded all the same.
    fn drop(&mut self) {
        let state = self.state.get_mut().unwrap_or_else(PoisonError::into_inner);
        if let Some(call) = state.call.take() {
            call.finish(state.outcome);
        }
    }
}

/// Raising the same exception once more would add to its traceback every time.
fn raise_again(py: Python<'_>, error: Py<PyBaseException>) -> PyErr {
    let error = error.into_bound(py);
    match error.call_method1(pyo3::intern!(py, "with_traceback"), (py.None(),)) {
        Ok(error) => PyErr::from_value(error),
        Err(failure) => failure,
    }
}

fn cancelled(py: Python<'_>, message: Option<&Py<PyAny>>) -> PyErr {
    match message {
        Some(message) => CancelledError::new_err((message.clone_ref(py),)),
        None => CancelledError::new_err(()),
    }
}

/// Makes sure that an operation arrives, even if its task is dropped or panics.
pub(super) struct Arrival(Option<Arc<Shared>>);

impl Arrival {
    pub(super) fn of(shared: Arc<Shared>) -> Self {
        Arrival(Some(shared))
    }

    pub(super) fn arrive(mut self, observation: Observation<Result<Reply, Fault>>) {
        if let Some(shared) = self.0.take() {
            shared.arrive(observation);
        }
    }
}

impl Drop for Arrival {
    fn drop(&mut self) {
        if let Some(shared) = self.0.take() {
            shared.arrive(Observation {
                value: Err(Fault::Cancelled),
                recorder: None,
            });
        }
    }
}

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
        let shared = slf.get().begin(slf.py())?;
        if !shared.is_done() {
            let mut state = shared.lock();
            state.suspended = true;
            state.blocking = true;
            return Ok(slf.clone().into_any().unbind());
        }
        let result = shared.result(slf.py());
        shared.resumed();
        match result {
            Ok(value) => Err(stop_iteration(slf.py(), value)),
            Err(error) => Err(error),
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
                .import(pyo3::intern!(py, "contextvars"))?
                .call_method0(pyo3::intern!(py, "copy_context"))?
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
        let (callbacks, this) = {
            let mut state = shared.lock();
            match state.phase {
                Phase::Running | Phase::Arrived(_, false) => {}
                _ => return Ok(false),
            }
            state.phase = Phase::Cancelled(msg);
            state.outcome = Outcome::Cancelled;
            if let Some(abort) = state.abort.take() {
                abort.abort();
            }
            (std::mem::take(&mut state.callbacks), state.this.take())
        };
        shared.schedule(slf.py(), callbacks, this)?;
        Ok(true)
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
