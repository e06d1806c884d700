//! The loop observer: what an event loop ran while operations waited for it, by name and duration, and when
//! its thread waited for the interpreter. On request only, loop by loop.
//!
//! A loop with an epoll selector tells by itself ([`selector`]); others, uvloop among them, are asked for
//! signs of life by the [`watchdog`], which looks at the thread of whoever gives none.

mod former;
pub mod names;
pub mod observed;
pub mod record;
mod selector;
pub mod watchdog;

pub use watchdog::{lock_running as lock_watchdog, Watching};

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use aerospike_stages::recorder::{Ending, Recorder};
use aerospike_stages::{sink, End, Origin, Stage};
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::lanes::event_loop::LoopBridge;
use crate::lanes::fork;
use crate::probes::gil::is_free_threaded;
use crate::probes::observer::former::Former;
use crate::probes::observer::observed::{here, Current, Observed};
use crate::probes::observer::selector::{Popleft, Select, Stop};

/// The observed loops of this process.
#[derive(Default)]
pub struct Everybody {
    generation: u64,
    loops: Vec<Weak<Observed>>,
    /// Those that nobody else may hold, the latest of them.
    kept: VecDeque<Arc<Observed>>,
    blamer: Option<Arc<dyn sink::Sink>>,
}

static ANYBODY: AtomicBool = AtomicBool::new(false);
static EVERYBODY: Mutex<Everybody> = Mutex::new(Everybody {
    generation: 0,
    loops: Vec::new(),
    kept: VecDeque::new(),
    blamer: None,
});

/// All observed loops.
pub fn lock_everybody() -> MutexGuard<'static, Everybody> {
    EVERYBODY.lock().unwrap_or_else(PoisonError::into_inner)
}

/// So many loops are remembered that nobody holds the observation of.
const MOST_KEPT: usize = 16;

/// Keeps what a loop's observation finds readable when the loop is gone.
pub fn keep(observation: &Observation) {
    let mut everybody = lock_everybody();
    if everybody.kept.len() == MOST_KEPT {
        everybody.kept.pop_front();
    }
    everybody.kept.push_back(observation.observed.clone());
}

/// Those that are observed in this process.
pub fn everybody() -> Vec<Arc<Observed>> {
    let everybody = lock_everybody();
    if everybody.generation != fork::generation() {
        return Vec::new();
    }
    everybody.loops.iter().filter_map(Weak::upgrade).collect()
}

/// A callback resumes one task after the other: the next one begins.
#[inline]
pub fn next_step(py: Python<'_>, callback: &Py<PyAny>) {
    if ANYBODY.load(Ordering::Relaxed) {
        here(|observed| {
            if observed.steps {
                observed.begin(py, Current::Callback(callback.clone_ref(py)));
            }
        });
    }
}

/// A loop has given the sign of life that it was asked for since then, on this thread.
pub fn answered(py: Python<'_>, bridge: &LoopBridge, asked: u64) {
    if ANYBODY.load(Ordering::Relaxed) {
        for observed in everybody() {
            if observed.id == bridge.lag().id {
                observed.is_here();
                observed.answered(py, asked);
            }
        }
    }
}

/// Tells observed loops whom of theirs operations had to wait for.
struct Blamer;

impl sink::Sink for Blamer {
    fn ended(&self, recorder: &Recorder, ending: &Ending, _end: &End) {
        here(|observed| {
            if observed.last_slow() <= ending.start {
                return;
            }
            recorder.visit(|segment| {
                if matches!(segment.stage, Stage::LoopWait | Stage::EventLoopResume) {
                    observed.blame(segment.start, segment.end);
                }
            });
        });
    }

    fn converted(&self, _origin: Origin, _start: u64, _nanos: u64) {}
}

/// The observation of one loop, until it is closed or dropped.
#[pyclass(frozen, module = "aerospike_py._aerospike", name = "_LoopObservation")]
pub struct Observation {
    observed: Arc<Observed>,
    /// Whose methods have been replaced, and which.
    replaced: Mutex<Replaced>,
    open: AtomicBool,
}

impl Observation {
    /// Observes the loop that runs on this thread.
    pub fn of_running_loop(py: Python<'_>, slow: u64) -> PyResult<Self> {
        py.detach(aerospike_stages::clock::calibrate);
        let bridge = LoopBridge::of_running_loop(py)?;
        Self::start(py, &bridge, slow)
    }

    /// Observes a loop whose thread this is.
    pub fn start(py: Python<'_>, bridge: &Arc<LoopBridge>, slow: u64) -> PyResult<Self> {
        let event_loop = bridge.event_loop().bind(py);
        let parts = parts_of(event_loop)?;
        let observed = Observed::new(bridge, slow, parts.is_some());
        watchdog::start(py)?;
        let replaced = match parts {
            Some((selector, queue)) => replace(event_loop, &observed, &selector, &queue)?,
            None => Replaced::default(),
        };
        observed.is_here();
        enlist(&observed);
        Ok(Observation {
            observed,
            replaced: Mutex::new(replaced),
            open: AtomicBool::new(true),
        })
    }

    /// The queue itself stays: another thread may be about to put something into it.
    fn restore(&self, py: Python<'_>) -> PyResult<()> {
        let mut replaced = self.replaced.lock().unwrap_or_else(PoisonError::into_inner);
        let taken = std::mem::take(&mut *replaced);
        drop(replaced);
        taken.restore(py)
    }
}

#[pymethods]
impl Observation {
    /// Ends the observation; what it has found stays readable.
    fn close(&self, py: Python<'_>) -> PyResult<()> {
        if !self.open.swap(false, Ordering::AcqRel) {
            return Ok(());
        }
        self.observed.close();
        dismiss(&self.observed);
        self.restore(py)
    }

    #[getter]
    fn loop_id(&self) -> u64 {
        self.observed.id
    }

    /// Whether the loop tells by itself what it runs, and waiting for the GIL can be told apart.
    #[getter]
    fn exact(&self) -> bool {
        self.observed.steps
    }

    fn by_name(&self) -> Vec<NameRow> {
        name_rows(&self.observed)
    }

    /// One by one: name, innermost frame, start, duration, whether it was sampled.
    fn recent(&self) -> Vec<(String, Option<String>, u64, u64, bool)> {
        let record = self.observed.record();
        let text = |text: &Arc<str>| text.as_ref().to_owned();
        record
            .recent()
            .map(|slow| {
                (
                    text(&slow.name),
                    slow.at.as_ref().map(text),
                    slow.start,
                    slow.nanos,
                    slow.sampled,
                )
            })
            .collect()
    }

    fn __traverse__(&self, visit: pyo3::PyVisit<'_>) -> Result<(), pyo3::PyTraverseError> {
        match self.replaced.try_lock() {
            Ok(replaced) => replaced.traverse(&visit),
            Err(_) => Ok(()),
        }
    }
}

/// Name, count, total, longest, innermost frame, operations held up, and for how long.
pub type NameRow = (String, u64, u64, u64, Option<String>, u64, u64);

/// What was slow on a loop, by name, what took longest in total first.
pub fn name_rows(observed: &Observed) -> Vec<NameRow> {
    let found = observed.record().by_name();
    let text = |text: &Arc<str>| text.as_ref().to_owned();
    found
        .iter()
        .map(|(name, entry)| {
            let at = entry.at.as_ref().map(text);
            let (total, longest) = (entry.total, entry.longest);
            (
                text(name),
                entry.count,
                total,
                longest,
                at,
                entry.held_up,
                entry.held_up_nanos,
            )
        })
        .collect()
}

fn enlist(observed: &Arc<Observed>) {
    let mut everybody = lock_everybody();
    if everybody.generation != fork::generation() {
        everybody.generation = fork::generation();
        everybody.loops.clear();
        everybody.kept.clear();
    }
    everybody.loops.retain(|known| known.strong_count() > 0);
    everybody.loops.push(Arc::downgrade(observed));
    if everybody.blamer.is_none() {
        let blamer: Arc<dyn sink::Sink> = Arc::new(Blamer);
        sink::add(blamer.clone());
        everybody.blamer = Some(blamer);
    }
    ANYBODY.store(true, Ordering::Release);
}

fn dismiss(observed: &Arc<Observed>) {
    let mut everybody = lock_everybody();
    everybody.loops.retain(|known| {
        known.strong_count() > 0 && !std::ptr::eq(known.as_ptr(), Arc::as_ptr(observed))
    });
    if everybody.loops.is_empty() {
        ANYBODY.store(false, Ordering::Release);
        if let Some(blamer) = everybody.blamer.take() {
            sink::remove(&blamer);
        }
    }
}

/// The selector and the queue of a loop that can tell what it runs, which takes asyncio's own.
fn parts_of<'py>(
    event_loop: &Bound<'py, PyAny>,
) -> PyResult<Option<(Bound<'py, PyAny>, Bound<'py, PyAny>)>> {
    let py = event_loop.py();
    let selector = event_loop.getattr_opt(crate::interned::interned!(py, "_selector"))?;
    let queue = event_loop.getattr_opt(crate::interned::interned!(py, "_ready"))?;
    let (Some(selector), Some(queue)) = (selector, queue) else {
        return Ok(None);
    };
    let selectors = py.import("selectors")?;
    let Some(epoll) = selectors.getattr_opt("EpollSelector")? else {
        return Ok(None);
    };
    // A class of somebody else's may do more in `select` than wait.
    let keys = selector.getattr_opt(crate::interned::interned!(py, "_fd_to_key"))?;
    let known = selector.get_type().is(&epoll)
        && queue.is_instance(&deque_type(py)?)?
        && keys.is_some_and(|keys| keys.is_exact_instance_of::<PyDict>());
    let free = |selector| -> PyResult<bool> {
        Ok(match select_of(selector)? {
            Some(select) => left_over(&select).is_some(),
            None => true,
        })
    };
    Ok(if known && free(&selector)? {
        Some((selector, queue))
    } else {
        None
    })
}

/// What has been put in the place of a selector's `select`.
fn select_of<'py>(selector: &Bound<'py, PyAny>) -> PyResult<Option<Bound<'py, PyAny>>> {
    let py = selector.py();
    match selector.getattr_opt(crate::interned::interned!(py, "__dict__"))? {
        Some(own) if own.contains("select")? => own.get_item("select").map(Some),
        _ => Ok(None),
    }
}

/// The queue from before, of an observation that has ended and left its `select`.
fn left_over(select: &Bound<'_, PyAny>) -> Option<Arc<Former>> {
    let select = select.cast::<Select>().ok()?;
    select.get().left_over().cloned()
}

fn deque_type(py: Python<'_>) -> PyResult<Bound<'_, PyAny>> {
    py.import("collections")?.getattr("deque")
}

/// The loop, its selector and its queue, each with a method of ours.
struct Parts {
    event_loop: Py<PyAny>,
    selector: Py<PyAny>,
    queue: Py<PyAny>,
    former: Option<Arc<Former>>,
}

/// What observation has replaced, if anything.
#[derive(Default)]
struct Replaced(Option<Parts>);

impl Replaced {
    /// Gives the loop its own methods back.
    ///
    /// Without the GIL a thread can be held up for any time between looking up the loop's queue and using it:
    /// there, a loop whose queue has been changed keeps a `select` and a `popleft` that look after the former
    /// one and observe nothing.
    fn restore(self, py: Python<'_>) -> PyResult<()> {
        let Some(parts) = self.0 else {
            return Ok(());
        };
        remove(parts.event_loop.bind(py), "stop")?;
        let queue = parts.queue.bind(py);
        match &parts.former {
            Some(_) if is_free_threaded(py) => return Ok(()),
            Some(former) => {
                remove(queue, "popleft")?;
                former.settle(queue)?;
            }
            None => remove(queue, "popleft")?,
        }
        remove(parts.selector.bind(py), "select")
    }

    fn traverse(&self, visit: &pyo3::PyVisit<'_>) -> Result<(), pyo3::PyTraverseError> {
        let Some(parts) = &self.0 else {
            return Ok(());
        };
        visit.call(&parts.event_loop)?;
        visit.call(&parts.selector)?;
        visit.call(&parts.queue)?;
        match &parts.former {
            Some(former) => former.traverse(visit),
            None => Ok(()),
        }
    }
}

/// Puts ours in place of `select`, `popleft` and `stop`. The type of a plain queue takes no attributes, so the
/// loop gets one of a type that does.
fn replace(
    event_loop: &Bound<'_, PyAny>,
    observed: &Arc<Observed>,
    selector: &Bound<'_, PyAny>,
    before: &Bound<'_, PyAny>,
) -> PyResult<Replaced> {
    let py = event_loop.py();
    let (queue, former) = if before.hasattr("__dict__")? {
        let left = select_of(selector)?.and_then(|select| left_over(&select));
        remove(before, "popleft")?;
        (before.clone(), left)
    } else {
        let kind = py
            .import("aerospike_py._loop_queue")?
            .getattr("ReadyQueue")?;
        (kind.call0()?, Some(Arc::new(Former::new(before))))
    };
    let popleft = Popleft::new(observed, &queue, former.clone())?;
    queue.setattr("popleft", Py::new(py, popleft)?)?;
    if let Some(former) = &former {
        former.announce(&queue)?;
    }
    if !queue.is(before) {
        event_loop.setattr(crate::interned::interned!(py, "_ready"), &queue)?;
        if let Some(former) = &former {
            former.announce(&queue)?;
        }
    }
    let select = Select::new(observed, selector, former.clone(), &queue)?;
    selector.setattr("select", Py::new(py, select)?)?;
    let stop = Stop::new(observed, event_loop)?;
    event_loop.setattr("stop", Py::new(py, stop)?)?;
    Ok(Replaced(Some(Parts {
        event_loop: event_loop.clone().unbind(),
        selector: selector.clone().unbind(),
        queue: queue.unbind(),
        former,
    })))
}

fn remove(owner: &Bound<'_, PyAny>, name: &str) -> PyResult<()> {
    let own = owner.getattr("__dict__")?;
    if own.contains(name)? {
        owner.delattr(name)?;
    }
    Ok(())
}
