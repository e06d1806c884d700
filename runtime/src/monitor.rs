//! How long the runtime's threads are at the operations' tasks, and how long those wait for a turn:
//! measured by `tokio-metrics` on a share of the tasks, while somebody wants to know. What is not about tasks is read
//! elsewhere.

use std::cell::Cell;
use std::future::Future;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::OnceLock;

use ::tokio::runtime::Handle;
use ::tokio::task::JoinHandle;
use tokio_metrics::{TaskMetrics, TaskMonitor};

/// Of so many tasks that a thread spawns one is watched: that costs it most of a microsecond, and means do not need all.
/// A prime, so that tasks which follow each other in a pattern are watched alike.
pub const ONE_OF: u32 = 13;

static WATCHED: AtomicBool = AtomicBool::new(false);
static MONITOR: OnceLock<TaskMonitor> = OnceLock::new();

thread_local! {
    /// How many tasks this thread spawns before the next one is watched.
    static PASSED_OVER: Cell<u32> = const { Cell::new(0) };
}

/// Has one of [`ONE_OF`] tasks watched that are spawned from now on, or none any more.
pub fn watch(wanted: bool) {
    if wanted {
        MONITOR.get_or_init(TaskMonitor::new);
    }
    WATCHED.store(wanted, Ordering::Release);
}

/// What has been seen so far of the tasks that were watched; `None` if none ever was.
#[must_use]
pub fn seen() -> Option<TaskMetrics> {
    MONITOR.get().map(|monitor| monitor.cumulative())
}

/// Spawns a task of an operation on the current runtime.
pub(crate) fn spawn<F>(future: F) -> JoinHandle<F::Output>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    match watching() {
        Some(monitor) => ::tokio::spawn(monitor.instrument(future)),
        None => ::tokio::spawn(future),
    }
}

/// The monitor, if the next task is to be watched: one relaxed load while none is.
fn watching() -> Option<&'static TaskMonitor> {
    if !WATCHED.load(Ordering::Relaxed) {
        return None;
    }
    let left = PASSED_OVER.get();
    PASSED_OVER.set(left.checked_sub(1).unwrap_or(ONE_OF - 1));
    (left == 0).then(|| MONITOR.get())?
}

/// Spawns a task of an operation on a runtime.
pub fn spawn_on<F>(runtime: &Handle, future: F) -> JoinHandle<F::Output>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    match watching() {
        Some(monitor) => runtime.spawn(monitor.instrument(future)),
        None => runtime.spawn(future),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[::tokio::test]
    async fn a_share_of_the_tasks_is_seen_while_they_are_watched() {
        let here = Handle::current();
        spawn_on(&here, async {}).await.unwrap();
        assert!(seen().is_none());
        watch(true);
        let busy = async { std::thread::sleep(Duration::from_millis(20)) };
        spawn_on(&here, busy).await.unwrap();
        watch(false);
        spawn_on(&here, async {}).await.unwrap();
        let first = seen().unwrap();
        assert_eq!((first.instrumented_count, first.total_poll_count), (1, 1));
        assert!(first.total_poll_duration >= Duration::from_millis(20));
        watch(true);
        for _ in 0..3 * ONE_OF {
            spawn_on(&here, async {}).await.unwrap();
        }
        watch(false);
        assert_eq!(seen().unwrap().instrumented_count, 4);
    }
}
