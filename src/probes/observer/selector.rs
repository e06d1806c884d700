//! What is put in place of three methods of an observed loop: the `select` of its selector, which tells when
//! the operating system had something and when this thread had the interpreter again; the `popleft` of
//! its queue, which tells what the loop runs; and its `stop`, after which it runs nothing.

use std::io;
use std::os::fd::RawFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use aerospike_stages::{clock, current, GilWait};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList, PyTuple};

use crate::probes::observer::former::Former;
use crate::probes::observer::observed::{Current, Observed};

/// Python's `EVENT_READ` and `EVENT_WRITE`.
const READ: u32 = 1;
const WRITE: u32 = 2;

/// `EpollSelector.select`, natively: the same events in the same order.
#[pyclass(frozen, module = "aerospike_py._aerospike", name = "_ObservedSelect")]
pub struct Select {
    observed: Arc<Observed>,
    /// The selector's `epoll` object.
    epoll: Py<PyAny>,
    /// The selector's keys by descriptor.
    keys: Py<PyDict>,
    /// The queue from before, if the loop has had another.
    former: Option<Arc<Former>>,
    queue: Py<PyAny>,
}

impl Select {
    pub fn new(
        observed: &Arc<Observed>,
        selector: &Bound<'_, PyAny>,
        former: Option<Arc<Former>>,
        queue: &Bound<'_, PyAny>,
    ) -> PyResult<Self> {
        let py = selector.py();
        let keys = selector.getattr(crate::interned::interned!(py, "_fd_to_key"))?;
        Ok(Select {
            observed: observed.clone(),
            epoll: selector
                .getattr(crate::interned::interned!(py, "_selector"))?
                .unbind(),
            keys: keys.cast_into::<PyDict>()?.unbind(),
            former,
            queue: queue.clone().unbind(),
        })
    }

    /// The queue from before, if this one is all that is left of an observation that has ended.
    pub fn left_over(&self) -> Option<&Arc<Former>> {
        self.former.as_ref().filter(|_| !self.observed.is_open())
    }

    /// Waits, detached; also says when the wait was over and when this thread was attached again.
    fn wait(
        &self,
        py: Python<'_>,
        events: &mut Vec<libc::epoll_event>,
        millis: i32,
    ) -> PyResult<io::Result<GilWait>> {
        let set: RawFd = self
            .epoll
            .bind(py)
            .call_method0(crate::interned::interned!(py, "fileno"))?
            .extract()?;
        let (waited, from) = py.detach(|| {
            let room = i32::try_from(events.capacity()).unwrap_or(i32::MAX);
            // SAFETY: there is room for so many events behind the pointer. A descriptor that is none, or
            // none of an epoll set, is an error.
            let found = unsafe { libc::epoll_wait(set, events.as_mut_ptr(), room, millis) };
            let waited = usize::try_from(found).map_err(|_| io::Error::last_os_error());
            (waited, clock::now_ns())
        });
        let until = clock::now_ns();
        Ok(waited.map(|found| {
            // SAFETY: the kernel has filled in so many, which is no more than there was room for.
            unsafe { events.set_len(found) };
            GilWait { from, until }
        }))
    }

    fn ready<'py>(
        &self,
        py: Python<'py>,
        events: &[libc::epoll_event],
    ) -> PyResult<Bound<'py, PyList>> {
        let keys = self.keys.bind(py);
        let ready = PyList::empty(py);
        for event in events {
            let (flags, data) = (event.events, event.u64);
            let Some(key) = keys.get_item(descriptor_of(data))? else {
                continue;
            };
            let mut found = 0;
            if flags & !(libc::EPOLLIN as u32) != 0 {
                found |= WRITE;
            }
            if flags & !(libc::EPOLLOUT as u32) != 0 {
                found |= READ;
            }
            let wanted: u32 = key
                .getattr(crate::interned::interned!(py, "events"))?
                .extract()?;
            let found = (found & wanted).into_pyobject(py)?.into_any();
            ready.append(PyTuple::new(py, [key, found])?)?;
        }
        Ok(ready)
    }

    /// Sees to what other threads have put into the queue from before; says whether there was something.
    fn catch_up(&self, py: Python<'_>) -> PyResult<bool> {
        match &self.former {
            Some(former) => former.announce(self.queue.bind(py)),
            None => Ok(false),
        }
    }
}

/// What Python registered: the descriptor, in the first half of what the kernel gives back.
fn descriptor_of(data: u64) -> RawFd {
    let [a, b, c, d, ..] = data.to_ne_bytes();
    RawFd::from_ne_bytes([a, b, c, d])
}

/// Whole milliseconds, rounded away from zero as Python does; -1 to wait without end.
fn millis_of(timeout: Option<f64>) -> i32 {
    match timeout {
        None => -1,
        Some(seconds) => (seconds * 1e3).ceil().clamp(0.0, f64::from(i32::MAX)) as i32,
    }
}

#[pymethods]
impl Select {
    #[pyo3(signature = (timeout=None))]
    fn __call__<'py>(&self, py: Python<'py>, timeout: Option<f64>) -> PyResult<Bound<'py, PyList>> {
        let observing = self.observed.is_open();
        if observing {
            self.observed.is_here();
            self.observed.end(py);
        }
        let mut millis = millis_of(timeout);
        if self.catch_up(py)? {
            millis = 0;
        }
        let until = Instant::now() + Duration::from_millis(u64::try_from(millis).unwrap_or(0));
        let mut events = Vec::with_capacity(self.keys.bind(py).len().max(1));
        loop {
            match self.wait(py, &mut events, millis)? {
                Ok(gil) => {
                    current::set_loop_gil_wait(observing.then_some(gil));
                    break;
                }
                // As Python itself: the handlers of signals run, and what is left of the time is waited.
                Err(error) if error.kind() == io::ErrorKind::Interrupted => py.check_signals()?,
                Err(error) => return Err(error.into()),
            }
            if millis > 0 {
                let left = until.saturating_duration_since(Instant::now());
                millis = millis_of(Some(left.as_secs_f64()));
            }
        }
        self.catch_up(py)?;
        self.ready(py, &events)
    }

    fn __traverse__(&self, visit: pyo3::PyVisit<'_>) -> Result<(), pyo3::PyTraverseError> {
        visit.call(&self.epoll)?;
        visit.call(&self.keys)?;
        if let Some(former) = &self.former {
            former.traverse(&visit)?;
        }
        visit.call(&self.queue)
    }
}

/// `deque.popleft`, saying that what it returns is about to run.
#[pyclass(frozen, module = "aerospike_py._aerospike", name = "_ObservedPopleft")]
pub struct Popleft {
    observed: Arc<Observed>,
    popleft: Py<PyAny>,
    former: Option<Arc<Former>>,
}

impl Popleft {
    pub fn new(
        observed: &Arc<Observed>,
        queue: &Bound<'_, PyAny>,
        former: Option<Arc<Former>>,
    ) -> PyResult<Self> {
        let popleft = queue.getattr(crate::interned::interned!(queue.py(), "popleft"))?;
        Ok(Popleft {
            observed: observed.clone(),
            popleft: popleft.unbind(),
            former,
        })
    }
}

#[pymethods]
impl Popleft {
    fn __call__(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        let mut handle = self.popleft.call0(py)?;
        if let Some(former) = self.former.as_ref().filter(|_| handle.is_none(py)) {
            handle = former.next(py)?;
        }
        if self.observed.is_open() {
            let next = Current::Handle(handle.clone_ref(py));
            self.observed.begin(py, next);
        }
        Ok(handle)
    }

    fn __traverse__(&self, visit: pyo3::PyVisit<'_>) -> Result<(), pyo3::PyTraverseError> {
        if let Some(former) = &self.former {
            former.traverse(&visit)?;
        }
        visit.call(&self.popleft)
    }
}

/// `loop.stop`, saying that it was called.
#[pyclass(frozen, module = "aerospike_py._aerospike", name = "_ObservedStop")]
pub struct Stop {
    observed: Arc<Observed>,
    stop: Py<PyAny>,
}

impl Stop {
    pub fn new(observed: &Arc<Observed>, event_loop: &Bound<'_, PyAny>) -> PyResult<Self> {
        let stop = event_loop.getattr(crate::interned::interned!(event_loop.py(), "stop"))?;
        Ok(Stop {
            observed: observed.clone(),
            stop: stop.unbind(),
        })
    }
}

#[pymethods]
impl Stop {
    fn __call__(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        self.observed.stops();
        self.stop.call0(py)
    }

    fn __traverse__(&self, visit: pyo3::PyVisit<'_>) -> Result<(), pyo3::PyTraverseError> {
        visit.call(&self.stop)
    }
}

#[cfg(test)]
mod tests {
    use super::millis_of;

    #[test]
    fn times_are_rounded_away_from_zero() {
        let times = [
            None,
            Some(0.0),
            Some(-1.0),
            Some(0.0001),
            Some(0.0015),
            Some(1e300),
        ];
        assert_eq!(times.map(millis_of), [-1, 0, 0, 1, 2, i32::MAX]);
    }
}
