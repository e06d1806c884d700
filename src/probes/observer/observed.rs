//! One event loop that is observed: what it runs at the moment, and the record of what was slow.
//!
//! A loop with a selector says itself when it begins something and when it waits. Of other loops it is
//! only known when they were asked for a sign of life and gave none.

use std::cell::RefCell;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use aerospike_stages::{clock, current};
use pyo3::prelude::*;

use crate::lanes::event_loop::LoopBridge;
use crate::probes::observer::names::{self, Seen};
use crate::probes::observer::record::{Record, Slow};
use crate::probes::series::{self, Series};
use crate::probes::table::Probe;

/// Looks that are kept of one thing that runs; more than that say nothing new.
const MOST_LOOKS: usize = 32;

/// What a loop runs right now.
pub enum Current {
    /// A handle of the loop's queue.
    Handle(Py<PyAny>),
    /// A callback that no handle stands for.
    Callback(Py<PyAny>),
}

impl Current {
    fn name(&self, py: Python<'_>) -> Arc<str> {
        match self {
            Current::Handle(handle) => names::of_handle(handle.bind(py)),
            Current::Callback(callback) => names::of_callback(callback.bind(py)),
        }
    }
}

/// A look at the loop's thread while something ran.
struct Look {
    /// What ran: when it had begun.
    began: u64,
    at: u64,
    seen: Seen,
}

/// An observed loop.
pub struct Observed {
    /// Unique within the process.
    pub id: u64,
    /// From when on something is slow, in nanoseconds.
    pub slow: u64,
    /// Whether the loop says itself what it runs.
    pub steps: bool,
    pub bridge: Weak<LoopBridge>,
    open: AtomicBool,
    /// It stops at the end of this turn, and nobody will say when that is.
    stopping: AtomicBool,
    /// Python's number of the loop's thread.
    thread: AtomicU64,
    /// The frame that called the loop, if the loop has no frames of its own.
    base: AtomicUsize,
    /// When what runs now has begun; zero while the loop waits.
    began: AtomicU64,
    current: Mutex<Option<Current>>,
    looks: Mutex<Vec<Look>>,
    record: Mutex<Record>,
    /// When the last slow callback ended.
    last_slow: AtomicU64,
    series: Arc<Series>,
}

thread_local! {
    /// The observed loop of this thread.
    static HERE: RefCell<Option<Arc<Observed>>> = const { RefCell::new(None) };
}

impl Observed {
    /// A loop of which nothing is known yet. `steps` says whether it will tell what it runs.
    pub fn new(bridge: &Arc<LoopBridge>, slow: u64, steps: bool) -> Arc<Self> {
        let id = bridge.lag().id;
        Arc::new(Observed {
            id,
            slow,
            steps,
            bridge: Arc::downgrade(bridge),
            open: AtomicBool::new(true),
            stopping: AtomicBool::new(false),
            thread: AtomicU64::new(0),
            base: AtomicUsize::new(0),
            began: AtomicU64::new(0),
            current: Mutex::new(None),
            looks: Mutex::new(Vec::new()),
            record: Mutex::new(Record::default()),
            last_slow: AtomicU64::new(0),
            series: series::of(Probe::LoopCallback, Some(id)),
        })
    }

    /// The loop runs on this thread.
    pub fn is_here(self: &Arc<Self>) {
        // SAFETY: has no preconditions.
        let thread = unsafe { libc::pthread_self() } as u64;
        self.thread.store(thread, Ordering::Relaxed);
        let _ = HERE.try_with(|here| {
            let mut here = here.borrow_mut();
            let stays = here.as_ref().is_some_and(|known| {
                let tells_more = known.id == self.id && known.steps && known.is_open();
                Arc::ptr_eq(known, self) || tells_more
            });
            if !stays {
                *here = Some(self.clone());
            }
        });
    }

    /// It is observed no more.
    pub fn close(&self) {
        self.open.store(false, Ordering::Release);
        current::set_loop_gil_wait(None);
    }

    /// Since when it has been at what it runs.
    pub fn running(&self) -> Option<u64> {
        Some(self.began.load(Ordering::Acquire)).filter(|began| *began != 0)
    }

    /// Python's number of the thread it runs on; zero as long as that is unknown.
    pub fn thread(&self) -> u64 {
        self.thread.load(Ordering::Relaxed)
    }

    /// Something begins; what ran before has ended.
    pub fn begin(&self, py: Python<'_>, next: Current) {
        let now = clock::now_ns().max(1);
        self.end_at(py, now);
        if self.stopping.load(Ordering::Relaxed) {
            return;
        }
        let before = lock(&self.current).replace(next);
        drop(before);
        self.began.store(now, Ordering::Release);
    }

    /// The loop has been told to stop. What runs from now on is not timed: its end could not be told from
    /// the end of a pause between two runs of the loop.
    pub fn stops(&self) {
        self.stopping.store(true, Ordering::Relaxed);
        self.began.store(0, Ordering::Release);
        let before = lock(&self.current).take();
        drop(before);
    }

    /// What ran has ended, and the loop is about to wait.
    pub fn end(&self, py: Python<'_>) {
        self.stopping.store(false, Ordering::Relaxed);
        self.end_at(py, clock::now_ns());
        let before = lock(&self.current).take();
        drop(before);
    }

    fn end_at(&self, py: Python<'_>, now: u64) {
        let began = self.began.swap(0, Ordering::AcqRel);
        if began != 0 && now.saturating_sub(began) >= self.slow {
            self.was_slow(py, began, now);
        }
    }

    #[cold]
    fn was_slow(&self, py: Python<'_>, began: u64, now: u64) {
        let look = {
            let mut looks = lock(&self.looks);
            let last = looks.iter().rposition(|look| look.began == began);
            let look = last.map(|last| looks.swap_remove(last));
            looks.clear();
            look
        };
        let (name, at) = match look {
            Some(look) => (look.seen.name, Some(look.seen.at)),
            None => {
                let current = lock(&self.current).take();
                let name = current.map(|current| current.name(py));
                (name.unwrap_or_else(|| names::UNKNOWN.into()), None)
            }
        };
        self.note(Slow {
            name,
            at,
            start: began,
            nanos: now.saturating_sub(began),
            sampled: false,
        });
    }

    fn note(&self, slow: Slow) {
        let (start, nanos) = (slow.start, slow.nanos);
        self.series
            .took_named(start, nanos, Some(slow.name.clone()));
        self.last_slow.store(start + nanos, Ordering::Relaxed);
        lock(&self.record).add(slow);
    }

    /// The loop of which only signs of life are known has given one, which it had been asked for since then.
    pub fn answered(&self, py: Python<'_>, asked: u64) {
        if self.steps {
            return;
        }
        // What called the loop is what its thread shows while it runs nothing.
        let base = base_frame(py);
        self.base.store(base, Ordering::Relaxed);
        let now = clock::now_ns();
        let looks = std::mem::take(&mut *lock(&self.looks));
        if now.saturating_sub(asked) < self.slow {
            return;
        }
        if looks.is_empty() {
            // It kept the GIL all the time, waited for it, or cannot be looked at.
            self.note(Slow {
                name: names::UNKNOWN.into(),
                at: None,
                start: asked,
                nanos: now - asked,
                sampled: true,
            });
        }
        let mut from = asked;
        let mut looks = looks.into_iter().peekable();
        while let Some(look) = looks.next() {
            let same = |next: &Look| next.seen.name == look.seen.name;
            let mut last = look.at;
            while let Some(next) = looks.next_if(same) {
                last = next.at;
            }
            // Nobody saw the change: half-way between two looks it is.
            let until = looks.peek().map_or(now, |next| last + (next.at - last) / 2);
            if until.saturating_sub(from) >= self.slow {
                self.note(Slow {
                    name: look.seen.name,
                    at: Some(look.seen.at),
                    start: from,
                    nanos: until - from,
                    sampled: true,
                });
            }
            from = until;
        }
    }

    /// Keeps what a look at the loop's thread has shown of what had begun then.
    pub fn keep(&self, began: u64, seen: Seen) {
        let mut looks = lock(&self.looks);
        if looks.len() < MOST_LOOKS {
            let at = clock::now_ns();
            looks.push(Look { began, at, seen });
        }
    }

    /// The address of the frame below which nothing of the loop's is.
    pub fn base(&self) -> usize {
        self.base.load(Ordering::Relaxed)
    }

    /// An operation waited for the loop. A reader of the record is not waited for.
    pub fn blame(&self, start: u64, end: u64) {
        if let Ok(mut record) = self.record.try_lock() {
            record.blame(start, end);
        }
    }

    /// When the last slow callback ended.
    pub fn last_slow(&self) -> u64 {
        self.last_slow.load(Ordering::Relaxed)
    }

    /// Whether it is observed still.
    pub fn is_open(&self) -> bool {
        self.open.load(Ordering::Relaxed)
    }

    /// What has been slow so far.
    pub fn record(&self) -> MutexGuard<'_, Record> {
        lock(&self.record)
    }
}

impl Drop for Observed {
    fn drop(&mut self) {
        series::retire(&self.series);
    }
}

/// Visits the observed loop of this thread.
pub fn here(visit: impl FnOnce(&Arc<Observed>)) {
    let here = HERE.try_with(|here| here.borrow().clone()).ok().flatten();
    if let Some(here) = here.filter(|here| here.open.load(Ordering::Relaxed)) {
        visit(&here);
    }
}

/// The address of the frame that runs on this thread; zero for none.
fn base_frame(_py: Python<'_>) -> usize {
    // SAFETY: this thread is attached, as `_py` proves; the frame is borrowed and only its address is used.
    unsafe { pyo3::ffi::PyEval_GetFrame() as usize }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
