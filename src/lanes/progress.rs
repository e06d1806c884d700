//! What an asynchronous operation has come to, between the threads that carry it out and the
//! awaitable that Python holds: its phase, its record and whoever wants to be told.
//!
//! The result stays a Rust value until somebody asks for it; it becomes Python objects once.

use std::cell::Cell;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Wake, Waker};

use aerospike_rt::direct::Step;
use aerospike_stages::{clock, collector, Attempts, End, Observation, Origin, Stage};
use pyo3::exceptions::asyncio::{CancelledError, InvalidStateError};
use pyo3::exceptions::{PyBaseException, PyRuntimeError};
use pyo3::prelude::*;
use pyo3::types::PyAny;
use tokio::task::AbortHandle;

use crate::error::Fault;
use crate::lanes::awaitable::Operation;
use crate::lanes::call::Call;
use crate::lanes::driven::{Driven, Ended};
use crate::lanes::event_loop::LoopBridge;
use crate::lanes::{convert, end_of, fork};
use crate::ops::request::Reply;

/// Where an operation stands.
pub(super) enum Phase {
    /// It is being carried out.
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

/// Whom to tell, and in which context.
pub(super) struct Callback {
    pub(super) function: Py<PyAny>,
    pub(super) context: Py<PyAny>,
}

/// The time of a wake-up that nobody records.
const UNTIMED: u64 = 1;

/// Everything that changes.
pub(super) struct State {
    pub(super) phase: Phase,
    /// The operation itself, while the loop's thread drives it but is not at it right now.
    driven: Option<Driven>,
    /// Ends the operation, if a runtime thread drives it, and the generation of forks that it is from.
    abort: Option<(AbortHandle, u64)>,
    end: End,
    /// Taken when the call is over.
    call: Option<Call>,
    /// The recorded call, if it was over before its result was converted.
    late: Option<Origin>,
    pub(super) callbacks: Vec<Callback>,
    /// The awaitable itself, for as long as callbacks want it as their argument.
    pub(super) this: Option<Py<Operation>>,
    /// What success gives instead of the reply.
    yields: Option<Py<PyAny>>,
    /// A coroutine has been suspended on the awaitable and will be resumed by it.
    pub(super) suspended: bool,
    /// asyncio's handshake flag.
    pub(super) blocking: bool,
}

/// The part of an awaitable that other threads know.
pub struct Shared {
    pub(super) bridge: Arc<LoopBridge>,
    pub(super) state: Mutex<State>,
    /// It has been woken and waits for the loop to go on with it, since then; zero if not.
    woken: AtomicU64,
}

impl Shared {
    pub(super) fn new(bridge: Arc<LoopBridge>, call: Call, yields: Option<Py<PyAny>>) -> Arc<Self> {
        let state = State {
            phase: Phase::Running,
            driven: None,
            abort: None,
            end: End::OK,
            call: Some(call),
            late: None,
            callbacks: Vec::new(),
            this: None,
            yields,
            suspended: false,
            blocking: false,
        };
        Arc::new(Shared {
            bridge,
            state: Mutex::new(state),
            woken: AtomicU64::new(0),
        })
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn set_abort(&self, abort: AbortHandle) {
        self.lock().abort = Some((abort, fork::generation()));
    }

    /// Has the loop's thread, which is this one, drive the operation.
    pub(super) fn drive(self: &Arc<Self>, driven: Driven) {
        if let Some(ended) = self.go_on(driven, 0) {
            self.clone().arrive(ended);
        }
    }

    /// Goes on with an operation as far as it gets.
    fn go_on(self: &Arc<Self>, mut driven: Driven, since: u64) -> Option<Ended> {
        let waker = Waker::from(self.clone());
        let mut step = SPARE.try_with(Cell::take).unwrap_or_default();
        let polled = driven.poll(&waker, &mut step, since);
        if polled.is_pending() {
            self.wait(driven, &step);
        }
        let _ = SPARE.try_with(|spare| spare.set(step));
        match polled {
            Poll::Ready(ended) => Some(ended),
            Poll::Pending => None,
        }
    }

    /// Has the loop come back to an operation when it can go on.
    fn wait(self: &Arc<Self>, mut driven: Driven, step: &Step) {
        {
            let mut state = self.lock();
            if !matches!(state.phase, Phase::Running) {
                // Given up by another thread while this one was at it.
                drop(state);
                drop(driven);
                return;
            }
            driven.watched = true;
            state.driven = Some(driven);
        }
        let mut displaced = Vec::new();
        let watched = match self.bridge.watch() {
            Some(watch) => watch.wait(self, step, &mut displaced).is_ok(),
            None => false,
        };
        displaced.into_iter().for_each(Wake::wake);
        if !watched {
            self.leave_to_runtime();
        }
    }

    /// The loop has come to an operation that is due since then or has ended.
    pub(super) fn advance(self: &Arc<Self>, py: Python<'_>, since: u64) -> PyResult<()> {
        let mut state = self.lock();
        let Some(mut driven) = state.driven.take() else {
            return self.resolve(py, state);
        };
        drop(state);
        driven.watched = false;
        // The loop takes notice of the result as it comes.
        let ended = self.go_on(driven, since);
        match ended.and_then(|ended| self.keep(ended, Stage::EventLoopResume)) {
            Some(state) => self.resolve(py, state),
            None => Ok(()),
        }
    }

    /// The loop has come to an operation that something else than its socket has woken, or that
    /// has ended.
    pub(super) fn wake_up(self: &Arc<Self>, py: Python<'_>) -> PyResult<()> {
        let since = self.woken.swap(0, Ordering::SeqCst);
        let watched = self
            .lock()
            .driven
            .as_ref()
            .is_some_and(|driven| driven.watched);
        if watched {
            self.forget();
        }
        self.advance(py, if since == UNTIMED { 0 } else { since })
    }

    fn forget(self: &Arc<Self>) {
        if let Some(watch) = self.bridge.watch() {
            watch.forget(self);
        }
    }

    /// The operation has ended, and the loop has to be told.
    fn arrive(self: Arc<Self>, ended: Ended) {
        let is_wanted = self.keep(ended, Stage::LoopWait).is_some();
        if is_wanted {
            self.bridge.clone().push(self);
        }
    }

    /// Keeps what the operation has ended with, unless nobody wants it any more. From now on it is in
    /// `stage`.
    fn keep(&self, ended: Ended, stage: Stage) -> Option<MutexGuard<'_, State>> {
        let Observation {
            value,
            mut recorder,
            attempts,
        } = ended;
        if let Some(recorder) = recorder.as_mut() {
            if value.is_err() {
                recorder.fail();
            }
            recorder.enter(stage, clock::now_ns());
        }
        let mut state = self.lock();
        match (state.call.as_mut(), recorder) {
            (Some(call), recorder) => {
                call.recorder = recorder;
                call.attempted(&attempts);
            }
            // It was given up just before, and its caller has gone on: the call is over, the record is not.
            (None, Some(recorder)) => {
                collector::finish(recorder, End::CANCELLED, clock::now_ns(), false);
            }
            (None, None) => {}
        }
        if !matches!(state.phase, Phase::Running) {
            state.end = End::CANCELLED;
            drop(state);
            drop(value);
            return None;
        }
        state.end = end_of(&value);
        state.phase = Phase::Arrived(Box::new(value), false);
        Some(state)
    }

    /// The loop takes notice of the result; called on the loop's thread.
    fn resolve(&self, py: Python<'_>, mut state: MutexGuard<'_, State>) -> PyResult<()> {
        match &mut state.phase {
            Phase::Arrived(_, told) => *told = true,
            _ => return Ok(()),
        }
        if let Some(call) = state.call.as_mut() {
            call.loop_has_come();
            call.enter(Stage::EventLoopResume);
        }
        let (callbacks, this) = (std::mem::take(&mut state.callbacks), state.this.take());
        let told = Self::ends_with_callbacks(state, &callbacks);
        let callbacks = match &this {
            Some(owner) if !told => match self.resume_with_others(callbacks, owner.bind(py)) {
                Ok(()) => return Ok(()),
                Err(callbacks) => callbacks,
            },
            _ => callbacks,
        };
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

    /// Resumes the task, together with others, if a task is all that waits for the operation.
    /// Several callbacks keep their order.
    fn resume_with_others(
        &self,
        mut callbacks: Vec<Callback>,
        owner: &Bound<'_, Operation>,
    ) -> Result<(), Vec<Callback>> {
        if callbacks.len() > 1 {
            return Err(callbacks);
        }
        let Some(callback) = callbacks.pop() else {
            return Err(callbacks);
        };
        let resumptions = self.bridge.resumptions();
        resumptions
            .join(&self.bridge, callback, owner.as_any())
            .map_err(|callback| vec![callback])
    }

    /// Whether the operation is over for its caller once its callbacks have run, because nobody is
    /// suspended on it. Without stages its duration ends right here.
    fn ends_with_callbacks(mut state: MutexGuard<'_, State>, callbacks: &[Callback]) -> bool {
        if state.suspended || callbacks.is_empty() {
            return false;
        }
        match state.call.take() {
            Some(call) if call.recorder.is_none() => {
                let end = state.end;
                drop(state);
                call.finish(end);
                false
            }
            call => {
                state.call = call;
                true
            }
        }
    }

    /// The callbacks have run: what has not been asked for by now is asked for later.
    pub(super) fn told(&self) {
        let (call, end) = {
            let mut state = self.lock();
            if state.suspended {
                return;
            }
            (state.call.take(), state.end)
        };
        if let Some(call) = call {
            self.lock().late = call.origin();
            call.finish(end);
        }
    }

    /// The loop has been closed: nobody will ever be told. The operation itself is carried out all
    /// the same, by the runtime's threads.
    pub(super) fn abandon(self: &Arc<Self>) {
        let dropped = {
            let mut state = self.lock();
            if matches!(state.phase, Phase::Arrived(_, false)) {
                state.phase = Phase::Cancelled(None);
                state.end = End::CANCELLED;
            }
            (std::mem::take(&mut state.callbacks), state.this.take())
        };
        drop(dropped);
        self.leave_to_runtime();
    }

    /// The runtime's threads go on with the operation.
    fn leave_to_runtime(self: &Arc<Self>) {
        let driven = self.lock().driven.take();
        if let Some(driven) = driven {
            let arrival = Arrival::of(self.clone());
            driven.hand_over(move |ended| arrival.arrive(ended));
        }
    }

    /// Gives up; the result is of no interest to anybody. `false` if it was there already.
    pub(super) fn cancel(
        self: &Arc<Self>,
        py: Python<'_>,
        message: Option<Py<PyAny>>,
    ) -> PyResult<bool> {
        let (driven, callbacks, this) = {
            let mut state = self.lock();
            match state.phase {
                Phase::Running | Phase::Arrived(_, false) => {}
                _ => return Ok(false),
            }
            state.phase = Phase::Cancelled(message);
            state.end = End::CANCELLED;
            if let Some((abort, generation)) = state.abort.take() {
                // In the child of a fork, the task and the locks around it are the parent's.
                if generation == fork::generation() {
                    abort.abort();
                }
            }
            let callbacks = std::mem::take(&mut state.callbacks);
            (state.driven.take(), callbacks, state.this.take())
        };
        if driven.as_ref().is_some_and(|driven| driven.watched) {
            self.forget();
        }
        drop(driven);
        self.schedule(py, callbacks, this)?;
        Ok(true)
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

    pub(super) fn is_done(&self) -> bool {
        !matches!(self.lock().phase, Phase::Running | Phase::Arrived(_, false))
    }

    /// One step of a coroutine that awaits the operation: the result, at which its wall time ends; `None`
    /// suspends the coroutine until it is there.
    pub(super) fn step(&self, py: Python<'_>) -> Option<PyResult<Py<PyAny>>> {
        let mut state = self.lock();
        let is_fresh = match state.phase {
            Phase::Running | Phase::Arrived(_, false) => {
                state.suspended = true;
                state.blocking = true;
                return None;
            }
            Phase::Arrived(_, true) => true,
            _ => false,
        };
        // Whoever converts the result for nobody that is suspended ends the record with it.
        state.suspended = false;
        let result = self.result_of(py, state);
        if !is_fresh {
            self.resumed();
        }
        Some(result)
    }

    /// The result in Python; converted by whoever asks first.
    pub(super) fn result(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        self.result_of(py, self.lock())
    }

    fn result_of(&self, py: Python<'_>, state: MutexGuard<'_, State>) -> PyResult<Py<PyAny>> {
        let (raw, mut call, late) = {
            let mut state = state;
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
            collector::record_deferred(origin, began, clock::now_ns());
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
        let end = state.end;
        match call {
            Some(mut call) if state.suspended => {
                call.enter(Stage::EventLoopResume);
                state.call = Some(call);
            }
            Some(call) => {
                drop(state);
                call.finish(end);
            }
            None => {}
        }
        converted.map_err(|error| raise_again(py, error))
    }

    /// The awaiting coroutine runs again: the operation's wall time ends here.
    pub(super) fn resumed(&self) {
        let (call, end) = {
            let mut state = self.lock();
            state.suspended = false;
            (state.call.take(), state.end)
        };
        if let Some(call) = call {
            call.finish(end);
        }
    }
}

impl Wake for Shared {
    fn wake(self: Arc<Self>) {
        let now = if collector::is_enabled() {
            clock::now_ns().max(UNTIMED)
        } else {
            UNTIMED
        };
        let first = self
            .woken
            .compare_exchange(0, now, Ordering::SeqCst, Ordering::SeqCst);
        if first.is_ok() {
            self.bridge.clone().push(self);
        }
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.clone().wake();
    }
}

impl Drop for Shared {
    /// A result that nobody ever looked at is recorded all the same.
    fn drop(&mut self) {
        let state = self.state.get_mut().unwrap_or_else(PoisonError::into_inner);
        if let Some(call) = state.call.take() {
            call.finish(state.end);
        }
    }
}

/// Raising the same exception once more would add to its traceback every time.
fn raise_again(py: Python<'_>, error: Py<PyBaseException>) -> PyErr {
    let error = error.into_bound(py);
    match error.call_method1(
        crate::interned::interned!(py, "with_traceback"),
        (py.None(),),
    ) {
        Ok(error) => PyErr::from_value(error),
        Err(failure) => failure,
    }
}

/// The exception that awaiting a cancelled operation raises.
pub(super) fn cancelled(py: Python<'_>, message: Option<&Py<PyAny>>) -> PyErr {
    match message {
        Some(message) => CancelledError::new_err((message.clone_ref(py),)),
        None => CancelledError::new_err(()),
    }
}

thread_local! {
    /// What steps are written into, one after the other.
    static SPARE: Cell<Step> = Cell::default();
}

/// Makes sure that an operation arrives, even if its task is dropped or panics.
pub(super) struct Arrival(Option<Arc<Shared>>);

impl Arrival {
    pub(super) fn of(shared: Arc<Shared>) -> Self {
        Arrival(Some(shared))
    }

    pub(super) fn arrive(mut self, ended: Ended) {
        if let Some(shared) = self.0.take() {
            shared.arrive(ended);
        }
    }
}

impl Drop for Arrival {
    fn drop(&mut self) {
        if let Some(shared) = self.0.take() {
            shared.arrive(Observation {
                value: Err(Fault::Cancelled),
                recorder: None,
                attempts: Attempts::default(),
            });
        }
    }
}
