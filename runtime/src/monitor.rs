//! How long the runtime's threads are at the operations' tasks, and how long those wait for a turn:
//! measured by `tokio-metrics`, while somebody wants to know. What is not about tasks is read elsewhere.

use std::future::Future;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::OnceLock;

use ::tokio::runtime::Handle;
use ::tokio::task::JoinHandle;
use tokio_metrics::{TaskMetrics, TaskMonitor};

static WATCHED: AtomicBool = AtomicBool::new(false);
static MONITOR: OnceLock<TaskMonitor> = OnceLock::new();

/// Has the tasks watched that are spawned from now on, or not any more.
pub fn watch(wanted: bool) {
    if wanted {
        MONITOR.get_or_init(TaskMonitor::new);
    }
    WATCHED.store(wanted, Ordering::Release);
}

/// What has been seen of tasks so far; `None` if they have never been watched.
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

/// The monitor, while tasks are watched: one relaxed load while they are not.
fn watching() -> Option<&'static TaskMonitor> {
    WATCHED.load(Ordering::Relaxed).then(|| MONITOR.get())?
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
    async fn tasks_are_seen_while_they_are_watched() {
        let here = Handle::current();
        spawn_on(&here, async {}).await.unwrap();
        assert!(seen().is_none());
        watch(true);
        let busy = async { std::thread::sleep(Duration::from_millis(20)) };
        spawn_on(&here, busy).await.unwrap();
        watch(false);
        spawn_on(&here, async {}).await.unwrap();
        let seen = seen().unwrap();
        assert_eq!((seen.instrumented_count, seen.total_poll_count), (1, 1));
        assert!(seen.total_poll_duration >= Duration::from_millis(20));
    }
}
