//! Whoever wants to see every recorded operation when it has ended: exporters of traces.
//!
//! A sink runs on the thread that ends the operation, within the user's call: it copies what it needs
//! into a bounded buffer of its own and returns. It must not block, fail or call into Python.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::ArcSwapOption;

use crate::facts::End;
use crate::recorder::{Ending, Origin, Recorder};

/// Sees recorded operations.
pub trait Sink: Send + Sync {
    /// An operation has ended; its segments, tracks and facts are the recorder's.
    fn ended(&self, recorder: &Recorder, ending: &Ending, end: &End);

    /// The result of an operation that had ended was converted to Python, from `start` on, in so
    /// many nanoseconds.
    fn converted(&self, origin: Origin, start: u64, nanos: u64);
}

static PRESENT: AtomicBool = AtomicBool::new(false);
/// Whoever shows something takes what is there and never waits for those who change it.
static SINKS: ArcSwapOption<Vec<Arc<dyn Sink>>> = ArcSwapOption::const_empty();
/// Changes are made one after another.
static CHANGING: Mutex<()> = Mutex::new(());

pub(crate) fn lock_sinks() -> MutexGuard<'static, ()> {
    CHANGING.lock().unwrap_or_else(PoisonError::into_inner)
}

fn change(change: impl FnOnce(&mut Vec<Arc<dyn Sink>>)) {
    let _changing = lock_sinks();
    let mut sinks = SINKS
        .load_full()
        .map_or_else(Vec::new, |sinks| sinks.to_vec());
    change(&mut sinks);
    let any = !sinks.is_empty();
    SINKS.store(any.then(|| Arc::new(sinks)));
    PRESENT.store(any, Ordering::Release);
}

/// Has a sink see what ends from now on.
pub fn add(sink: Arc<dyn Sink>) {
    change(|sinks| sinks.push(sink));
}

/// Removes a sink; it may see an operation that is ending right now.
pub fn remove(sink: &Arc<dyn Sink>) {
    change(|sinks| sinks.retain(|present| !Arc::ptr_eq(present, sink)));
}

/// Whether there is a sink: one relaxed load.
#[inline]
#[must_use]
pub fn is_present() -> bool {
    PRESENT.load(Ordering::Relaxed)
}

/// Shows something to every sink that is there now, also while others come and go.
#[cold]
pub(crate) fn show(visit: impl Fn(&dyn Sink)) {
    if let Some(sinks) = SINKS.load().as_ref() {
        sinks.iter().for_each(|sink| visit(&**sink));
    }
}
