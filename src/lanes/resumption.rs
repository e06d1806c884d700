//! Coroutines that wait to be resumed by an event loop. When many operations end at once, one callback of
//! the loop resumes all of their tasks, in order, instead of one callback each.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use pyo3::prelude::*;
use pyo3::types::PyCFunction;

use crate::lanes::event_loop::LoopBridge;
use crate::lanes::progress::Callback;
use crate::probes::observer;

/// What asyncio's tasks call the function that resumes them.
const WAKEUP: &str = "task_wakeup";

struct Resumption {
    callback: Callback,
    operation: Py<PyAny>,
}

/// The tasks that wait for their loop, first come first.
#[derive(Default)]
pub struct Resumptions(Mutex<VecDeque<Resumption>>);

impl Resumptions {
    /// Has a task resumed together with others; `Err` gives the callback back if it is none of a
    /// task's, or if the loop is being debugged and has to time every callback by itself.
    pub(super) fn join(
        &self,
        bridge: &Arc<LoopBridge>,
        callback: Callback,
        operation: &Bound<'_, PyAny>,
    ) -> Result<PyResult<()>, Callback> {
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
        Ok(if is_first {
            schedule(bridge, py)
        } else {
            Ok(())
        })
    }

    /// Lets go of everybody: the loop has been closed.
    pub fn clear(&self) {
        let dropped = std::mem::take(&mut *self.lock());
        drop(dropped);
    }

    /// Resumes everybody.
    fn run(&self, bridge: &Arc<LoopBridge>, py: Python<'_>) -> PyResult<()> {
        // Should one of the tasks run the loop itself, or end it with an exception, the next
        // callback goes on with the others.
        if self.lock().len() > 1 {
            schedule(bridge, py)?;
        }
        loop {
            let Some(next) = self.lock().pop_front() else {
                return Ok(());
            };
            observer::next_step(py, &next.callback.function);
            let context = next.callback.context.bind(py);
            let arguments = (next.callback.function, next.operation);
            context.call_method1(pyo3::intern!(py, "run"), arguments)?;
        }
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Resumption>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn is_wakeup(callback: &Bound<'_, PyAny>) -> bool {
    let Ok(function) = callback.cast_exact::<PyCFunction>() else {
        return false;
    };
    let name = function.getattr(pyo3::intern!(callback.py(), "__name__"));
    name.is_ok_and(|name| name.eq(WAKEUP).unwrap_or(false))
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

/// The callback that the loop runs.
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
