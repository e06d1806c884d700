//! Polls that a fork must not cut in half. The driver sets some things up when it first needs them, such as the
//! pattern that a server's version is read with. If the process forks while another thread is at it, that thread is not
//! in the child, and whoever needs the same thing there waits for it for ever.
//!
//! So the polls of connecting take a lock that the thread which forks takes, too, until a connection has been made once.
//! Nothing is held between polls: a fork waits for no server.

use std::cell::Cell;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{PoisonError, RwLock, RwLockWriteGuard};
use std::task::{Context, Poll};

use pin_project_lite::pin_project;

/// Everything is set up that connecting needs.
static SETTLED: AtomicBool = AtomicBool::new(false);
static POLLS: RwLock<()> = RwLock::new(());

thread_local! {
    /// This thread is inside such a poll.
    static INSIDE: Cell<bool> = const { Cell::new(false) };
}

pin_project! {
    /// A future whose polls are not cut in half.
    #[derive(Debug)]
    pub struct Whole<F> {
        #[pin]
        future: F,
    }
}

/// Keeps forks out of the polls of `future`, until [`settle`] says that this is no longer needed.
pub fn whole<F>(future: F) -> Whole<F> {
    Whole { future }
}

/// A connection has been made.
pub fn settle() {
    SETTLED.store(true, Ordering::Relaxed);
}

/// Waits for the polls that are going on, and keeps others from beginning.
pub fn hold() -> RwLockWriteGuard<'static, ()> {
    POLLS.write().unwrap_or_else(PoisonError::into_inner)
}

struct Inside;

impl Inside {
    fn enter() -> Inside {
        INSIDE.set(true);
        Inside
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        INSIDE.set(false);
    }
}

impl<F: Future> Future for Whole<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let future = self.project().future;
        if SETTLED.load(Ordering::Relaxed) || INSIDE.get() {
            return future.poll(cx);
        }
        let _poll = POLLS.read().unwrap_or_else(PoisonError::into_inner);
        let _inside = Inside::enter();
        future.poll(cx)
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::sync::mpsc::channel;
    use std::task::Waker;

    use super::*;

    /// One test, because whether everything is settled is known to the whole process.
    #[test]
    fn nobody_holds_while_a_poll_goes_on_until_all_is_settled() {
        let (begun, has_begun) = channel();
        let (go_on, may_go_on) = channel::<()>();
        let poller = std::thread::spawn(move || {
            let inner = whole(poll_fn(|_| Poll::Ready(7)));
            let mut inner = Box::pin(inner);
            let outer = whole(poll_fn(move |cx| {
                begun.send(()).unwrap();
                may_go_on.recv().unwrap();
                inner.as_mut().poll(cx)
            }));
            Box::pin(outer)
                .as_mut()
                .poll(&mut Context::from_waker(Waker::noop()))
        });
        has_begun.recv().unwrap();
        assert!(POLLS.try_write().is_err());
        go_on.send(()).unwrap();
        assert_eq!(poller.join().unwrap(), Poll::Ready(7));

        settle();
        let held = hold();
        let mut free = Box::pin(whole(poll_fn(|_| Poll::Ready(8))));
        let polled = free.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        assert_eq!(polled, Poll::Ready(8));
        drop(held);
    }
}
