//! Waiting for a reply in the middle of a poll. A task that waits for one thing at a time need not give its poll up in
//! order to sleep: the thread that drives it sleeps right where the reply is asked for, and the poll goes on.
//!
//! It does so only if nothing else could make the task, or another one of the same drive, go on meanwhile. Everything
//! else, and what takes longer, is waited for by the executor.

use std::future::Future;
use std::os::fd::RawFd;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use pin_project_lite::pin_project;

use super::bell::{Bell, PAUSING_REFERENCES};
use super::local::has_spawned;
use super::sleep::{sleep_on, Woken};
use super::waits::{self, Readiness, Waits};

/// How long a pause may last: what takes longer gains nothing from it.
const LONGEST: Duration = Duration::from_millis(10);

/// What the executor knows of a task that may pause.
#[derive(Debug)]
pub(super) struct Pause {
    bell: Arc<Bell>,
    allowed: bool,
    /// A signal has ended a pause.
    signalled: bool,
}

impl Pause {
    /// Of the task that `bell` wakes.
    pub(super) fn new(bell: Arc<Bell>) -> Self {
        Pause {
            bell,
            allowed: false,
            signalled: false,
        }
    }

    /// The task may pause while it is polled, or may not.
    pub(super) fn allow(&mut self, allowed: bool) {
        self.allowed = allowed;
    }

    /// Whether a signal has ended a pause; told once.
    pub(super) fn take_signalled(&mut self) -> bool {
        std::mem::take(&mut self.signalled)
    }
}

pin_project! {
    /// A future that may wait for one thing at a time.
    #[derive(Debug)]
    pub struct Sequential<F> {
        #[pin]
        future: F,
        sequential: bool,
    }
}

impl<F> Sequential<F> {
    /// Says of `future` whether it waits for one thing at a time (`sequential`): while it waits for the reply to what it
    /// has just sent, nothing but that reply, its deadline or its end by whoever drives it lets it go on.
    pub fn new(future: F, sequential: bool) -> Self {
        Sequential { future, sequential }
    }
}

impl<F: Future> Future for Sequential<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        if !*this.sequential {
            return this.future.poll(cx);
        }
        let before = waits::set_sequential(true);
        let polled = this.future.poll(cx);
        waits::set_sequential(before);
        polled
    }
}

/// Waits until the socket is readable, if that can be done here and now. `false` if it is not readable by then, and
/// the poll has to end.
pub(crate) fn pause_for(socket: RawFd) -> bool {
    let Some(patience) = waits::with(patience).flatten() else {
        return false;
    };
    let (is_ready, woken) = sleep_on(socket, Readiness::Readable, patience);
    waits::with(|waits| {
        waits.forget_time();
        if let Some(pause) = &mut waits.pause {
            pause.signalled |= woken == Woken::BySignal;
        }
    });
    is_ready
}

/// How long the task that is being polled may pause, if it may.
fn patience(waits: &mut Waits) -> Option<Duration> {
    let pause = waits.pause.as_ref().filter(|pause| pause.allowed)?;
    if !waits.sequential || has_spawned() {
        return None;
    }
    // Looked at in this order: whoever has let go of the last waker may have rung it before.
    if pause.bell.is_handed_out(PAUSING_REFERENCES) || pause.bell.is_rung() {
        return None;
    }
    let Some(deadline) = waits.next_deadline else {
        return Some(LONGEST);
    };
    let left = deadline.saturating_duration_since(waits.known_time());
    Some(left.min(LONGEST))
}
