//! The bridge between runtime threads and one event loop: a queue of finished operations and a
//! descriptor that wakes the loop once for however many there are.

use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use crossbeam_queue::SegQueue;
use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use rustix::event::{eventfd, EventfdFlags};

use crate::lanes::awaitable::{operation_told, Shared};

/// One event loop's queue of finished operations.
pub struct LoopBridge {
    event_loop: Py<PyAny>,
    call_soon: Py<PyAny>,
    told: Py<PyAny>,
    arrived: SegQueue<Arc<Shared>>,
    signalled: AtomicBool,
    closed: AtomicBool,
    descriptor: OwnedFd,
}

/// All bridges, so that a loop gets only one. The loop keeps its bridge alive through the
/// reader that is registered with it.
static BRIDGES: Mutex<Bridges> = Mutex::new(Vec::new());

/// Bridges by the address of their loop.
pub type Bridges = Vec<(usize, Weak<LoopBridge>)>;

thread_local! {
    static LATEST: std::cell::RefCell<Weak<LoopBridge>> = const { std::cell::RefCell::new(Weak::new()) };
}

impl LoopBridge {
    /// The bridge of the loop that is running on this thread.
    pub fn of_running_loop(py: Python<'_>) -> PyResult<Arc<LoopBridge>> {
        static GET_LOOP: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
        let get_loop = GET_LOOP.get_or_try_init(py, || {
            Ok::<_, PyErr>(py.import("asyncio")?.getattr("get_running_loop")?.unbind())
        })?;
        let event_loop = get_loop.bind(py).call0()?;
        let latest = LATEST.with(|latest| latest.borrow().upgrade());
        if let Some(bridge) = latest.filter(|bridge| bridge.event_loop.is(&event_loop)) {
            return Ok(bridge);
        }
        let bridge = Self::find_or_create(&event_loop)?;
        LATEST.with(|latest| *latest.borrow_mut() = Arc::downgrade(&bridge));
        Ok(bridge)
    }

    /// Whether the reason for having no bridge is that no loop is running.
    pub fn is_absent(py: Python<'_>, error: &PyErr) -> bool {
        let running = py
            .import("asyncio")
            .and_then(|asyncio| asyncio.call_method0("_get_running_loop"));
        error.is_instance_of::<PyRuntimeError>(py) && running.is_ok_and(|running| running.is_none())
    }

    fn find_or_create(event_loop: &Bound<'_, PyAny>) -> PyResult<Arc<LoopBridge>> {
        let address = event_loop.as_ptr() as usize;
        let known = {
            let mut bridges = lock_bridges();
            bridges.retain(|(_, bridge)| bridge.strong_count() > 0);
            bridges
                .iter()
                .find(|(of, _)| *of == address)
                .and_then(|(_, bridge)| bridge.upgrade())
        };
        if let Some(bridge) = known.filter(|bridge| bridge.event_loop.is(event_loop)) {
            return Ok(bridge);
        }
        let bridge = Self::create(event_loop)?;
        lock_bridges().push((address, Arc::downgrade(&bridge)));
        Ok(bridge)
    }

    fn create(event_loop: &Bound<'_, PyAny>) -> PyResult<Arc<LoopBridge>> {
        let py = event_loop.py();
        let descriptor = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)
            .map_err(std::io::Error::from)?;
        let bridge = Arc::new(LoopBridge {
            event_loop: event_loop.clone().unbind(),
            call_soon: event_loop.getattr("call_soon")?.unbind(),
            told: wrap_pyfunction!(operation_told, py)?.into_any().unbind(),
            arrived: SegQueue::new(),
            signalled: AtomicBool::new(false),
            closed: AtomicBool::new(false),
            descriptor,
        });
        let drain = Py::new(
            py,
            Drain {
                bridge: bridge.clone(),
            },
        )?;
        event_loop.call_method1("add_reader", (bridge.descriptor.as_raw_fd(), drain)).map_err(|error| {
            let unsupported = PyRuntimeError::new_err(
                "this event loop has no add_reader(); AsyncClient needs a selector event loop or uvloop",
            );
            unsupported.set_cause(py, Some(error));
            unsupported
        })?;
        Ok(bridge)
    }

    /// Leaves a finished operation for the loop. Called from runtime threads.
    pub fn push(&self, operation: Arc<Shared>) {
        self.arrived.push(operation);
        if self.closed.load(Ordering::SeqCst) {
            self.abandon();
        } else if !self.signalled.swap(true, Ordering::SeqCst) {
            // The counter cannot overflow with one write per drain; a write that fails for
            // another reason leaves the flag set, and the next drain finds the operation.
            let _ = rustix::io::write(&self.descriptor, &1u64.to_ne_bytes());
        }
    }

    /// The loop lets go of its reader: it has been closed, and the operations that are still
    /// queued, or will be, have nobody to be told to.
    fn close(&self) {
        self.closed.store(true, Ordering::SeqCst);
        self.abandon();
    }

    fn abandon(&self) {
        while let Some(operation) = self.arrived.pop() {
            operation.abandon();
        }
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
        let keywords = pyo3::types::PyDict::new(py);
        keywords.set_item(pyo3::intern!(py, "context"), context)?;
        self.call_soon
            .bind(py)
            .call((callback, argument), Some(&keywords))?;
        Ok(())
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

    /// Tells every operation that has arrived, even if telling one of them fails; the first
    /// failure is returned.
    fn drain(&self, py: Python<'_>) -> PyResult<()> {
        let mut counter = [0u8; 8];
        let _ = rustix::io::read(&self.descriptor, &mut counter);
        // Cleared before the queue is emptied: whoever pushes from now on wakes the loop again.
        self.signalled.swap(false, Ordering::SeqCst);
        let mut first = Ok(());
        while let Some(operation) = self.arrived.pop() {
            first = first.and(operation.resolve(py));
        }
        first
    }
}

/// All bridges that there are.
pub fn lock_bridges() -> MutexGuard<'static, Bridges> {
    BRIDGES.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The callback that the loop runs when operations have finished.
#[pyclass(frozen, module = "aerospike_py._aerospike")]
struct Drain {
    bridge: Arc<LoopBridge>,
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
        visit.call(&self.bridge.call_soon)
    }
}

impl Drop for Drain {
    fn drop(&mut self) {
        self.bridge.close();
    }
}
