//! The bridge to one event loop: a queue of operations that have been woken or have ended, and one
//! wake-up of the loop for however many there are.

use std::cell::{Cell, RefCell};
use std::os::fd::RawFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, Once, OnceLock, PoisonError, Weak};

use aerospike_traces::frame::{self, EventLoop};
use crossbeam_queue::SegQueue;
use pyo3::exceptions::{PyNotImplementedError, PyRuntimeError};
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyDict;

use crate::lanes::awaitable::operation_told;
use crate::lanes::notifier;
use crate::lanes::outward;
use crate::lanes::progress::Shared;
use crate::lanes::resumption::Resumptions;
use crate::lanes::watch::Watch;
use crate::probes::loop_lag::LoopLag;
use crate::probes::{self, observer};

/// How many operations the loop goes on with before others get their turn.
const MOST_AT_ONCE: usize = 1000;
/// The loop's attribute that keeps the bridge of a loop without readers.
const ATTRIBUTE: &str = "_aerospike_py_bridge";

/// How a loop is woken.
enum Alarm {
    /// It watches a descriptor, behind which is all that its operations wait for.
    Reader(Watch<Shared>),
    /// It has no readers: another thread schedules the callback.
    Notifier,
}

/// Whose loop it is, by the package of its class.
fn kind_of(event_loop: &Bound<'_, PyAny>) -> EventLoop {
    let module = event_loop.get_type().module().map(|name| name.to_string());
    let package = module.unwrap_or_default();
    EventLoop::of_package(package.split('.').next().unwrap_or_default())
}

/// One event loop's queue of operations.
pub struct LoopBridge {
    event_loop: Py<PyAny>,
    call_soon: Py<PyAny>,
    told: Py<PyAny>,
    /// The context in which the loop runs its reader, if it can be had.
    context: OnceLock<Py<PyAny>>,
    queue: SegQueue<Arc<Shared>>,
    resumptions: Resumptions,
    signalled: AtomicBool,
    closed: AtomicBool,
    alarm: Alarm,
    lag: LoopLag,
}

/// All bridges, so that a loop gets only one. The loop keeps its bridge alive through the
/// reader that is registered with it.
static BRIDGES: Mutex<Bridges> = Mutex::new(Vec::new());

/// Bridges by the address of their loop.
pub type Bridges = Vec<(usize, Weak<LoopBridge>)>;

thread_local! {
    static LATEST: RefCell<Weak<LoopBridge>> = const { RefCell::new(Weak::new()) };
    /// Where drains gather what is due, one after the other.
    static DUE: Cell<Vec<Arc<Shared>>> = const { Cell::new(Vec::new()) };
}

impl LoopBridge {
    /// The bridge of the loop that is running on this thread.
    pub fn of_running_loop(py: Python<'_>) -> PyResult<Arc<LoopBridge>> {
        static GET_LOOP: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
        let get_loop = GET_LOOP.get_or_try_init(py, || {
            Ok::<_, PyErr>(py.import("asyncio")?.getattr("get_running_loop")?.unbind())
        })?;
        let event_loop = get_loop.bind(py).call0()?;
        if let Some(bridge) = Self::latest(&event_loop) {
            return Ok(bridge);
        }
        let bridge = Self::find_or_create(&event_loop)?;
        LATEST.with(|latest| *latest.borrow_mut() = Arc::downgrade(&bridge));
        Ok(bridge)
    }

    fn latest(event_loop: &Bound<'_, PyAny>) -> Option<Arc<LoopBridge>> {
        let latest = LATEST.with(|latest| latest.borrow().upgrade());
        latest.filter(|bridge| bridge.event_loop.is(event_loop))
    }

    /// The bridge of a loop, if it has one.
    pub fn known(event_loop: &Bound<'_, PyAny>) -> Option<Arc<LoopBridge>> {
        Self::latest(event_loop).or_else(|| Self::find(event_loop))
    }

    /// Whether the reason for having no bridge is that no loop is running.
    pub fn is_absent(py: Python<'_>, error: &PyErr) -> bool {
        let running = py
            .import("asyncio")
            .and_then(|asyncio| asyncio.call_method0("_get_running_loop"));
        error.is_instance_of::<PyRuntimeError>(py) && running.is_ok_and(|running| running.is_none())
    }

    fn find(event_loop: &Bound<'_, PyAny>) -> Option<Arc<LoopBridge>> {
        let address = event_loop.as_ptr() as usize;
        let known = {
            let mut bridges = lock_bridges();
            bridges.retain(|(_, bridge)| bridge.strong_count() > 0);
            bridges
                .iter()
                .find(|(of, _)| *of == address)
                .and_then(|(_, bridge)| bridge.upgrade())
        };
        known.filter(|bridge| bridge.event_loop.is(event_loop))
    }

    fn find_or_create(event_loop: &Bound<'_, PyAny>) -> PyResult<Arc<LoopBridge>> {
        let address = event_loop.as_ptr() as usize;
        if let Some(bridge) = Self::find(event_loop) {
            return Ok(bridge);
        }
        let bridge = Self::create(event_loop)?;
        lock_bridges().push((address, Arc::downgrade(&bridge)));
        probes::python::observe_if_wanted(event_loop.py(), &bridge);
        Ok(bridge)
    }

    fn create(event_loop: &Bound<'_, PyAny>) -> PyResult<Arc<LoopBridge>> {
        let py = event_loop.py();
        let watch = Watch::new()?;
        let watched = watch.descriptor();
        let bridge = Self::with_alarm(event_loop, Alarm::Reader(watch))?;
        let keeper = Py::new(py, Drain::keeping(&bridge))?;
        match event_loop.call_method1("add_reader", (watched, keeper)) {
            Ok(_) => {
                if let Some(context) = context_of_reader(event_loop, watched) {
                    let _ = bridge.context.set(context);
                }
                Ok(bridge)
            }
            Err(error) if error.is_instance_of::<PyNotImplementedError>(py) => {
                Self::without_readers(event_loop)
            }
            Err(error) => Err(error),
        }
    }

    fn without_readers(event_loop: &Bound<'_, PyAny>) -> PyResult<Arc<LoopBridge>> {
        let py = event_loop.py();
        notifier::start(py)?;
        let bridge = Self::with_alarm(event_loop, Alarm::Notifier)?;
        // A loop that takes no attributes has a bridge for as long as operations are in flight.
        let keeper = Py::new(py, Drain::keeping(&bridge))?;
        let _ = event_loop.setattr(ATTRIBUTE, keeper);
        say_once(event_loop)?;
        Ok(bridge)
    }

    fn with_alarm(event_loop: &Bound<'_, PyAny>, alarm: Alarm) -> PyResult<Arc<LoopBridge>> {
        frame::saw_event_loop(kind_of(event_loop));
        let told = wrap_pyfunction!(operation_told, event_loop.py())?;
        Ok(Arc::new(LoopBridge {
            event_loop: event_loop.clone().unbind(),
            call_soon: event_loop.getattr("call_soon")?.unbind(),
            told: told.into_any().unbind(),
            context: OnceLock::new(),
            queue: SegQueue::new(),
            resumptions: Resumptions::default(),
            signalled: AtomicBool::new(false),
            closed: AtomicBool::new(false),
            alarm,
            lag: LoopLag::new(),
        }))
    }

    /// What the loop watches, if it can watch anything, so that it can drive operations itself.
    pub fn watch(&self) -> Option<&Watch<Shared>> {
        match &self.alarm {
            Alarm::Reader(watch) => Some(watch),
            Alarm::Notifier => None,
        }
    }

    /// Leaves an operation for the loop. Called from any thread.
    pub fn push(self: Arc<Self>, operation: Arc<Shared>) {
        self.queue.push(operation);
        if self.closed.load(Ordering::SeqCst) {
            self.abandon();
        } else if !self.signalled.swap(true, Ordering::SeqCst) {
            self.ring();
        }
    }

    /// Wakes the loop, which then looks after what is ready; from any thread.
    pub fn ring(self: Arc<Self>) {
        match &self.alarm {
            Alarm::Reader(watch) => watch.ring(),
            Alarm::Notifier => notifier::ask(self),
        }
    }

    /// Schedules the drain on a loop that has no readers; called by the notifier.
    pub fn schedule_drain(self: &Arc<Self>, py: Python<'_>) {
        let scheduled = Py::new(py, Drain::passing(self)).and_then(|drain| {
            let event_loop = self.event_loop.bind(py);
            event_loop.call_method1(
                crate::interned::interned!(py, "call_soon_threadsafe"),
                (drain,),
            )
        });
        // A loop refuses for one reason only: it has been closed.
        if scheduled.is_err() {
            self.close();
        }
    }

    /// The loop lets go of its reader: it has been closed, and the operations that are still
    /// queued, or will be, have nobody to be told to.
    fn close(&self) {
        self.closed.store(true, Ordering::SeqCst);
        for operation in self.watch().map(Watch::take_all).unwrap_or_default() {
            operation.abandon();
        }
        self.resumptions.clear();
        self.abandon();
    }

    fn abandon(&self) {
        while let Some(operation) = self.queue.pop() {
            operation.abandon();
        }
    }

    /// How late the loop is.
    pub fn lag(&self) -> &LoopLag {
        &self.lag
    }

    /// The loop itself.
    pub fn event_loop(&self) -> &Py<PyAny> {
        &self.event_loop
    }

    /// `loop.call_soon(callback, argument, context=context)`.
    pub fn call_soon(
        &self,
        py: Python<'_>,
        callback: &Py<PyAny>,
        argument: &Bound<'_, PyAny>,
        context: &Py<PyAny>,
    ) -> PyResult<()> {
        let keywords = PyDict::new(py);
        keywords.set_item(crate::interned::interned!(py, "context"), context)?;
        let arguments = [callback.bind(py), argument];
        outward::call(self.call_soon.bind(py), arguments, Some(&keywords)).map(drop)
    }

    /// `loop.call_soon(callback)`.
    pub fn call_soon_alone(&self, py: Python<'_>, callback: Py<PyAny>) -> PyResult<()> {
        let call_soon = self.call_soon.bind(py);
        outward::call(call_soon, [callback.bind(py)], None).map(drop)
    }

    /// Whether the loop is in asyncio's debug mode.
    pub fn is_debugged(&self, py: Python<'_>) -> bool {
        let event_loop = self.event_loop.bind(py);
        let asked = outward::call_method(crate::interned::interned!(py, "get_debug"), [event_loop]);
        asked.is_ok_and(|debugged| debugged.is_truthy().unwrap_or(false))
    }

    /// The tasks that wait to be resumed by this loop.
    pub fn resumptions(&self) -> &Resumptions {
        &self.resumptions
    }

    /// Has an operation's record ended behind its callbacks.
    pub fn call_soon_told(
        &self,
        py: Python<'_>,
        operation: &Bound<'_, PyAny>,
        context: &Py<PyAny>,
    ) -> PyResult<()> {
        self.call_soon(py, &self.told, operation, context)
    }

    /// Goes on with every operation that waits for the loop, and then with every task that waited for one
    /// of them.
    fn drain(self: &Arc<Self>, py: Python<'_>) -> PyResult<()> {
        let advanced = self.advance(py);
        let resumed = if self.resumptions.is_empty() {
            Ok(())
        } else {
            self.outside_of_context(py, || self.resumptions.run(self, py))
        };
        advanced.and(resumed)
    }

    /// Leaves the context that the loop has entered for its reader: a task that runs the loop itself, on top of
    /// this callback, makes it enter that context once more, which is possible only after it has been left.
    fn outside_of_context(
        &self,
        py: Python<'_>,
        run: impl FnOnce() -> PyResult<()>,
    ) -> PyResult<()> {
        let Some(context) = self.context.get() else {
            return run();
        };
        // SAFETY: the interpreter is attached, and the object was checked to be a context when it was kept.
        if unsafe { ffi::PyContext_Exit(context.as_ptr()) } != 0 {
            // It is not the one that was entered last.
            drop(PyErr::take(py));
            return run();
        }
        let result = run();
        // SAFETY: as above.
        if unsafe { ffi::PyContext_Enter(context.as_ptr()) } != 0 {
            return result.and(Err(PyErr::fetch(py)));
        }
        result
    }

    /// Goes on with every operation that waits for the loop, even if one of them fails; the first
    /// failure is returned.
    fn advance(self: &Arc<Self>, py: Python<'_>) -> PyResult<()> {
        if let Some(asked) = self.lag.answer() {
            observer::answered(py, self, asked);
        }
        let mut first = Ok(());
        if let Some(watch) = self.watch() {
            let mut due = DUE.try_with(Cell::take).unwrap_or_default();
            watch.look(&mut due);
            for operation in due.drain(..) {
                first = first.and(operation.advance(py, 0));
            }
            let _ = DUE.try_with(|spare| spare.set(due));
        }
        for _ in 0..MOST_AT_ONCE {
            let Some(operation) = self.next() else {
                return first;
            };
            first = first.and(operation.wake_up(py));
        }
        self.clone().ring();
        first
    }

    /// The next operation in the queue; once there is none, whoever leaves one wakes the loop again.
    fn next(&self) -> Option<Arc<Shared>> {
        if let Some(operation) = self.queue.pop() {
            return Some(operation);
        }
        self.signalled.store(false, Ordering::SeqCst);
        if self.queue.is_empty() || self.signalled.swap(true, Ordering::SeqCst) {
            return None;
        }
        self.queue.pop()
    }
}

/// The context in which an event loop of asyncio's own runs a reader. Only such loops can be run by their tasks.
fn context_of_reader(event_loop: &Bound<'_, PyAny>, descriptor: RawFd) -> Option<Py<PyAny>> {
    let selector = event_loop.getattr("_selector").ok()?;
    let key = selector.call_method1("get_key", (descriptor,)).ok()?;
    let reader = key.getattr("data").ok()?.get_item(0).ok()?;
    let context = reader.getattr("_context").ok()?;
    // SAFETY: the interpreter is attached and the object is alive.
    let is_context = unsafe { ffi::PyContext_CheckExact(context.as_ptr()) } != 0;
    is_context.then(|| context.unbind())
}

/// All bridges that there are.
pub fn lock_bridges() -> MutexGuard<'static, Bridges> {
    BRIDGES.lock().unwrap_or_else(PoisonError::into_inner)
}

fn say_once(event_loop: &Bound<'_, PyAny>) -> PyResult<()> {
    static SAID: Once = Once::new();
    let mut outcome = Ok(());
    SAID.call_once(|| {
        outcome = log_missing_reader(event_loop);
    });
    outcome
}

fn log_missing_reader(event_loop: &Bound<'_, PyAny>) -> PyResult<()> {
    let logging = event_loop.py().import("logging")?;
    let logger = logging.call_method1("getLogger", ("aerospike_py",))?;
    let message =
        "%s has no add_reader(): results reach it through call_soon_threadsafe(), which costs a \
                   hand-over between threads; a selector event loop or uvloop needs none";
    let name = event_loop.get_type().qualname()?;
    logger.call_method1("info", (message, name)).map(drop)
}

/// How the event loop that runs on this thread learns of results.
#[pyfunction]
pub fn event_loop_wakeup(py: Python<'_>) -> PyResult<&'static str> {
    Ok(match LoopBridge::of_running_loop(py)?.alarm {
        Alarm::Reader(_) => "add_reader",
        Alarm::Notifier => "call_soon_threadsafe",
    })
}

/// The callback that the loop runs when operations have been woken or have ended.
#[pyclass(frozen, module = "aerospike_py._aerospike")]
struct Drain {
    bridge: Arc<LoopBridge>,
    /// The loop owns it, and lets go of it when it is closed or freed.
    keeps: bool,
}

impl Drain {
    fn keeping(bridge: &Arc<LoopBridge>) -> Self {
        Drain {
            bridge: bridge.clone(),
            keeps: true,
        }
    }

    fn passing(bridge: &Arc<LoopBridge>) -> Self {
        Drain {
            bridge: bridge.clone(),
            keeps: false,
        }
    }
}

#[pymethods]
impl Drain {
    fn __call__(&self, py: Python<'_>) -> PyResult<()> {
        self.bridge.drain(py)
    }

    /// The loop is visited only while nobody else holds the bridge: an operation that does owns
    /// the loop through it, which the collector cannot see.
    fn __traverse__(&self, visit: pyo3::PyVisit<'_>) -> Result<(), pyo3::PyTraverseError> {
        if Arc::strong_count(&self.bridge) > 1 {
            return Ok(());
        }
        visit.call(&self.bridge.event_loop)?;
        if let Some(context) = self.bridge.context.get() {
            visit.call(context)?;
        }
        visit.call(&self.bridge.call_soon)
    }
}

impl Drop for Drain {
    fn drop(&mut self) {
        if self.keeps {
            self.bridge.close();
        }
    }
}
