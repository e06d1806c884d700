//! Coroutines that wait to be resumed by an event loop. The callback in which the loop takes what has arrived
//! resumes all tasks that waited for it, in order: neither a callback nor a turn of the loop of their own.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use pyo3::prelude::*;
use pyo3::types::PyCFunction;

use crate::lanes::event_loop::LoopBridge;
use crate::lanes::outward;
use crate::lanes::progress::Callback;
use crate::probes::observer;

/// What asyncio's tasks call the function that resumes them.
const WAKEUP: &str = "task_wakeup";

struct Resumption {
    callback: Callback,
    operation: Py<PyAny>,
}

impl Resumption {
    fn run(self, py: Python<'_>) -> PyResult<()> {
        let Callback { function, context } = self.callback;
        observer::next_step(py, &function);
        let arguments = [&context, &function, &self.operation].map(|object| object.bind(py));
        let result = outward::call_method(crate::interned::interned!(py, "run"), arguments);
        // With the function goes its task, if it has come to its end, and whoever watches that is told.
        for object in [function, context, self.operation] {
            outward::let_go(py, object);
        }
        result.map(drop)
    }
}

/// The tasks that wait for their loop, first come first.
#[derive(Default)]
pub struct Resumptions(Mutex<VecDeque<Resumption>>);

impl Resumptions {
    /// Has a task resumed at the end of this callback of the loop; `Err` gives the callback back if it is none
    /// of a task's, or if the loop is being debugged and has to time every callback by itself.
    pub(super) fn join(
        &self,
        bridge: &Arc<LoopBridge>,
        callback: Callback,
        operation: &Bound<'_, PyAny>,
    ) -> Result<(), Callback> {
        let py = operation.py();
        if !is_wakeup(callback.function.bind(py)) {
            return Err(callback);
        }
        let is_first = self.lock().is_empty();
        if is_first && bridge.is_debugged(py) {
            return Err(callback);
        }
        self.lock().push_back(Resumption {
            callback,
            operation: operation.clone().unbind(),
        });
        Ok(())
    }

    /// Whether nobody waits.
    pub(super) fn is_empty(&self) -> bool {
        self.lock().is_empty()
    }

    /// Lets go of everybody: the loop has been closed.
    pub fn clear(&self) {
        let dropped = std::mem::take(&mut *self.lock());
        drop(dropped);
    }

    /// Resumes everybody. It must be a callback of the loop that does it, and no task's code.
    pub(super) fn run(&self, bridge: &Arc<LoopBridge>, py: Python<'_>) -> PyResult<()> {
        // Should one of the tasks run the loop itself, or end it with an exception, another callback
        // goes on with the others.
        if self.lock().len() > 1 {
            schedule(bridge, py)?;
        }
        loop {
            let Some(next) = self.lock().pop_front() else {
                return Ok(());
            };
            next.run(py)?;
        }
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Resumption>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether a callback is what a task has itself resumed by. Its name tells, which is looked at once.
fn is_wakeup(callback: &Bound<'_, PyAny>) -> bool {
    /// The address of the function's code, once it is known.
    static KNOWN: AtomicUsize = AtomicUsize::new(0);
    let Ok(function) = callback.cast_exact::<PyCFunction>() else {
        return false;
    };
    // SAFETY: it was just checked that the object is a built-in function, and it is borrowed for the call.
    let code = unsafe { pyo3::ffi::PyCFunction_GetFunction(function.as_ptr()) };
    let address = code.map_or(0, |code| code as usize);
    if address != 0 && KNOWN.load(Ordering::Relaxed) == address {
        return true;
    }
    let name = function.getattr(crate::interned::interned!(callback.py(), "__name__"));
    let is_wakeup = name.is_ok_and(|name| name.eq(WAKEUP).unwrap_or(false));
    if is_wakeup {
        KNOWN.store(address, Ordering::Relaxed);
    }
    is_wakeup
}

fn schedule(bridge: &Arc<LoopBridge>, py: Python<'_>) -> PyResult<()> {
    let resume = Py::new(
        py,
        Resume {
            bridge: bridge.clone(),
        },
    )?;
    bridge.call_soon_alone(py, resume.into_any())
}

/// The callback that goes on with tasks that have not been resumed.
#[pyclass(frozen, module = "aerospike_py._aerospike")]
struct Resume {
    bridge: Arc<LoopBridge>,
}

#[pymethods]
impl Resume {
    fn __call__(&self, py: Python<'_>) -> PyResult<()> {
        self.bridge.resumptions().run(&self.bridge, py)
    }
}
