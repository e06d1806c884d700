//! Tasks that a driven operation spawns: they run on the driving thread as long as somebody waits for
//! them, and on the runtime otherwise.

use std::cell::RefCell;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use futures_util::future::{AbortHandle, Abortable};
use futures_util::FutureExt;

use super::waits::is_active;
use crate::task::JoinError;

/// A task before it has been polled.
pub(super) struct Task {
    pub(super) body: Pin<Box<dyn Future<Output = ()> + Send>>,
    detached: Arc<AtomicBool>,
}

impl Task {
    /// Whether nobody waits for it.
    pub(super) fn is_detached(&self) -> bool {
        self.detached.load(Ordering::Relaxed)
    }
}

thread_local! {
    static SPAWNED: RefCell<Vec<Task>> = const { RefCell::new(Vec::new()) };
}

/// Takes the tasks that were spawned since the last time.
pub(super) fn take_spawned() -> Vec<Task> {
    SPAWNED.with(|spawned| std::mem::take(&mut *spawned.borrow_mut()))
}

/// Whether tasks were spawned since they were last taken.
pub(super) fn has_spawned() -> bool {
    SPAWNED.with_borrow(|spawned| !spawned.is_empty())
}

/// Where a task leaves its result.
#[derive(Debug)]
struct Joint<T>(Mutex<Joining<T>>);

#[derive(Debug)]
enum Joining<T> {
    Waiting(Option<Waker>),
    Finished(Option<Result<T, JoinError>>),
}

impl<T> Joint<T> {
    fn lock(&self) -> MutexGuard<'_, Joining<T>> {
        // The state is replaced whole, so a panic elsewhere leaves it usable.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn finish(&self, result: Result<T, JoinError>) {
        let before = std::mem::replace(&mut *self.lock(), Joining::Finished(Some(result)));
        if let Joining::Waiting(Some(waker)) = before {
            waker.wake();
        }
    }
}

/// Waits for a task, or lets go of it.
#[derive(Debug)]
pub(crate) struct Handle<T> {
    joint: Arc<Joint<T>>,
    abort: AbortHandle,
    detached: Arc<AtomicBool>,
}

/// Spawns a task on the thread that drives; `Err` gives the future back if this thread does not.
pub(crate) fn spawn<F>(future: F) -> Result<Handle<F::Output>, F>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    if !is_active() {
        return Err(future);
    }
    let joint = Arc::new(Joint(Mutex::new(Joining::Waiting(None))));
    let detached = Arc::new(AtomicBool::new(false));
    let (abort, registration) = AbortHandle::new_pair();
    let result = joint.clone();
    let body = async move {
        let future = AssertUnwindSafe(Abortable::new(future, registration)).catch_unwind();
        result.finish(match future.await {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(_)) => Err(JoinError::Aborted),
            Err(panic) => Err(JoinError::panicked(&*panic)),
        });
    };
    let task = Task {
        body: Box::pin(body),
        detached: detached.clone(),
    };
    SPAWNED.with(|spawned| spawned.borrow_mut().push(task));
    Ok(Handle {
        joint,
        abort,
        detached,
    })
}

impl<T> Handle<T> {
    /// Ends the task at its next suspension.
    pub(crate) fn abort(&self) {
        self.abort.abort();
    }

    /// Whether the task has ended.
    pub(crate) fn is_finished(&self) -> bool {
        matches!(*self.joint.lock(), Joining::Finished(_))
    }

    /// The task's result, once; later polls stay pending.
    pub(crate) fn poll(&self, cx: &mut Context<'_>) -> Poll<Result<T, JoinError>> {
        match &mut *self.joint.lock() {
            Joining::Finished(result) => result.take().map_or(Poll::Pending, Poll::Ready),
            Joining::Waiting(waker) => {
                if !waker
                    .as_ref()
                    .is_some_and(|known| known.will_wake(cx.waker()))
                {
                    *waker = Some(cx.waker().clone());
                }
                Poll::Pending
            }
        }
    }
}

impl<T> Drop for Handle<T> {
    /// The task goes on, but the operation that spawned it does not wait for it any more.
    fn drop(&mut self) {
        self.detached.store(true, Ordering::Relaxed);
    }
}
