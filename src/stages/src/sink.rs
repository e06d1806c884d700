//! Whoever wants to see every recorded operation when it has ended: exporters of traces.
//!
//! A sink runs on the thread that ends the operation, within the user's call: it copies what it needs
//! into a bounded buffer of its own and returns. It must not block, fail or call into Python.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockWriteGuard};

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
static SINKS: RwLock<Vec<Arc<dyn Sink>>> = RwLock::new(Vec::new());

pub(crate) fn lock_sinks() -> RwLockWriteGuard<'static, Vec<Arc<dyn Sink>>> {
    SINKS.write().unwrap_or_else(PoisonError::into_inner)
}

/// Has a sink see what ends from now on.
pub fn add(sink: Arc<dyn Sink>) {
    let mut sinks = lock_sinks();
    sinks.push(sink);
    PRESENT.store(true, Ordering::Release);
}

/// Removes a sink; it may see an operation that is ending right now.
pub fn remove(sink: &Arc<dyn Sink>) {
    let mut sinks = lock_sinks();
    sinks.retain(|present| !Arc::ptr_eq(present, sink));
    PRESENT.store(!sinks.is_empty(), Ordering::Release);
}

/// Whether there is a sink: one relaxed load.
#[inline]
#[must_use]
pub fn is_present() -> bool {
    PRESENT.load(Ordering::Relaxed)
}

/// Shows something to every sink. While a sink is being added or removed, nothing is shown rather
/// than waited.
#[cold]
pub(crate) fn show(visit: impl Fn(&dyn Sink)) {
    if let Ok(sinks) = SINKS.try_read() {
        sinks.iter().for_each(|sink| visit(&**sink));
    }
}
