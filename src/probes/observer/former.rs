//! The queue that a loop had before it was observed, which other threads may have been about to use.
//!
//! A thread schedules something by looking up the loop's queue and putting something there. Whoever has looked
//! it up before the queue was changed puts it into the former one, however late. All of that thread's later
//! callbacks are in the new queue, so order is kept as long as what is in the former one comes first: for
//! everything that is found there, a placeholder goes to the head of the new queue, whose turn it takes.

use std::sync::atomic::{AtomicUsize, Ordering};

use pyo3::prelude::*;

use crate::interned::interned;

/// A queue that a loop had before.
pub struct Former {
    queue: Py<PyAny>,
    /// How many of its entries have a placeholder. Only the loop's thread counts.
    announced: AtomicUsize,
}

impl Former {
    pub fn new(queue: &Bound<'_, PyAny>) -> Self {
        Former {
            queue: queue.clone().unbind(),
            announced: AtomicUsize::new(0),
        }
    }

    /// Puts a placeholder at the head of `queue` for every entry that has none yet; says whether there was one.
    pub fn announce(&self, queue: &Bound<'_, PyAny>) -> PyResult<bool> {
        let py = queue.py();
        let new = self
            .queue
            .bind(py)
            .len()?
            .saturating_sub(self.announced.load(Ordering::Relaxed));
        for _ in 0..new {
            queue.call_method1(interned!(py, "appendleft"), (py.None(),))?;
            self.announced.fetch_add(1, Ordering::Relaxed);
        }
        Ok(new > 0)
    }

    /// What a placeholder stands for.
    #[cold]
    pub fn next(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        self.announced.fetch_sub(1, Ordering::Relaxed);
        let next = self.queue.bind(py).call_method0(interned!(py, "popleft"))?;
        Ok(next.unbind())
    }

    /// Puts the entries themselves in the place of their placeholders, so that `queue` does without this one.
    /// Only where no thread can be between looking up a queue and using it, and `queue` gives out placeholders.
    pub fn settle(&self, queue: &Bound<'_, PyAny>) -> PyResult<()> {
        self.announce(queue)?;
        let py = queue.py();
        let mut entries = Vec::new();
        while self.announced.load(Ordering::Relaxed) > 0 {
            queue.call_method0(interned!(py, "popleft"))?;
            entries.push(self.next(py)?);
        }
        for entry in entries.into_iter().rev() {
            queue.call_method1(interned!(py, "appendleft"), (entry,))?;
        }
        Ok(())
    }

    pub fn traverse(&self, visit: &pyo3::PyVisit<'_>) -> Result<(), pyo3::PyTraverseError> {
        visit.call(&self.queue)
    }
}
