//! How late an event loop is: from a wake-up of the loop by its bell to its running the client's callback.
//! No timer and no Python object is involved, so the loop is neither kept alive nor slowed down.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use aerospike_stages::clock;
use pyo3::prelude::*;

use crate::lanes::event_loop::{lock_bridges, LoopBridge};
use crate::probes::series::{self, Series};
use crate::probes::table::Probe;

static NEXT_LOOP: AtomicU64 = AtomicU64::new(1);

/// What is known of the lateness of one loop. Its bridge owns it.
pub struct LoopLag {
    /// Which loop, unique within the process.
    pub id: u64,
    /// Since when an answer is awaited; zero if none is.
    asked: AtomicU64,
    series: OnceLock<Arc<Series>>,
}

impl LoopLag {
    /// Of a loop that is new.
    pub fn new() -> Self {
        LoopLag {
            id: NEXT_LOOP.fetch_add(1, Ordering::Relaxed),
            asked: AtomicU64::new(0),
            series: OnceLock::new(),
        }
    }

    /// Since when an answer has been awaited.
    pub fn pending(&self) -> Option<u64> {
        Some(self.asked.load(Ordering::Acquire)).filter(|asked| *asked != 0)
    }

    /// The loop runs the client's callback, on this thread. Since when was that awaited?
    #[inline]
    pub fn answer(&self) -> Option<u64> {
        if self.asked.load(Ordering::Relaxed) == 0 {
            return None;
        }
        self.answered()
    }

    #[cold]
    fn answered(&self) -> Option<u64> {
        let asked = self.asked.swap(0, Ordering::AcqRel);
        if asked == 0 {
            return None;
        }
        let series = self
            .series
            .get_or_init(|| series::of(Probe::LoopLag, Some(self.id)));
        series.took(asked, clock::now_ns().saturating_sub(asked));
        Some(asked)
    }
}

impl Drop for LoopLag {
    fn drop(&mut self) {
        if let Some(series) = self.series.get() {
            series::retire(series);
        }
    }
}

/// Wakes a loop up, unless it is still to answer the last time; from any thread, attached or not.
pub fn ask(bridge: &Arc<LoopBridge>) {
    let now = clock::now_ns().max(1);
    let asked = &bridge.lag().asked;
    let first = asked.compare_exchange(0, now, Ordering::AcqRel, Ordering::Relaxed);
    if first.is_ok() {
        bridge.clone().ring();
    }
}

/// Asks every loop that the client knows. A caller who is not attached must drop what is returned only
/// when it is: it may be the last to hold a loop.
pub fn ask_all() -> Vec<Arc<LoopBridge>> {
    let known: Vec<Arc<LoopBridge>> = {
        let bridges = lock_bridges();
        bridges
            .iter()
            .filter_map(|(_, bridge)| bridge.upgrade())
            .collect()
    };
    for bridge in &known {
        ask(bridge);
    }
    known
}

/// A loop that does not run cannot be late: its question is taken back.
pub fn withdraw_unless_running(py: Python<'_>, bridge: &LoopBridge) {
    if bridge.lag().pending().is_none() {
        return;
    }
    let event_loop = bridge.event_loop().bind(py);
    let running = event_loop.call_method0(crate::interned::interned!(py, "is_running"));
    if !running.is_ok_and(|running| running.is_truthy().unwrap_or(false)) {
        bridge.lag().asked.store(0, Ordering::Release);
    }
}
