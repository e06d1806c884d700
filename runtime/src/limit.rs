//! The deadline of a whole operation, for the waits that the driver does not hold to it.
//!
//! The driver looks at an operation's deadline before an attempt and while it sends. While it awaits a reply it knows
//! only how long one silence may be, so an attempt that starts shortly before the deadline would overrun it by that.
//! While a limited future is polled, no deadline of a read or write is later than the operation's own. The driver then
//! sees a time-out of its own: it gives the connection up, decides what is in doubt, and starts no other attempt.
//!
//! Tasks that the future spawns are not limited: the driver limits those that it waits for, and a connection that is
//! opened or drained in the background belongs to nobody.

use std::cell::Cell;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use pin_project_lite::pin_project;
use tokio::time::Instant;

/// The driver's own deadline, counted from a moment later, has passed as well by then. A read that is ended before
/// would be followed by another attempt.
const MARGIN: Duration = Duration::from_millis(1);

thread_local! {
    static DEADLINE: Cell<Option<Instant>> = const { Cell::new(None) };
}

/// A deadline, or that of the operation that this thread is working on if that is sooner.
#[inline]
pub(crate) fn sooner(deadline: Instant) -> Instant {
    match DEADLINE.get() {
        Some(limit) if limit < deadline => limit,
        _ => deadline,
    }
}

pin_project! {
    /// A future that waits for no read or write beyond its time.
    #[derive(Debug)]
    pub struct Limited<F> {
        #[pin]
        future: F,
        total: Duration,
        deadline: Option<Instant>,
    }
}

/// Holds the reads and writes of `future` to `total`, counted from its first poll; `None` is no limit.
pub fn limit<F>(future: F, total: Option<Duration>) -> Limited<F> {
    Limited {
        future,
        total: total.unwrap_or(Duration::MAX),
        deadline: None,
    }
}

/// Puts back what was before.
struct Installed {
    previous: Option<Instant>,
}

impl Drop for Installed {
    fn drop(&mut self) {
        DEADLINE.set(self.previous);
    }
}

impl<F: Future> Future for Limited<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        if this.deadline.is_none() {
            *this.deadline = Instant::now().checked_add(this.total.saturating_add(MARGIN));
        }
        let _installed = Installed {
            previous: DEADLINE.replace(*this.deadline),
        };
        this.future.poll(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::timer::deadline_sleep;

    const SECOND: Duration = Duration::from_secs(1);

    /// Waits as the driver does for a read: with a deadline that is moved before.
    async fn wait_for(time: Duration) {
        let mut deadline = Box::pin(deadline_sleep(Duration::from_secs(3600)));
        deadline.as_mut().reset((Instant::now() + time).into());
        deadline.await;
    }

    #[tokio::test(start_paused = true)]
    async fn no_wait_is_longer_than_what_is_left_of_the_operation() {
        let began = Instant::now();
        let waits = async {
            wait_for(SECOND).await;
            assert_eq!(began.elapsed(), SECOND);
            wait_for(30 * SECOND).await;
        };
        limit(waits, Some(3 * SECOND)).await;
        assert_eq!(began.elapsed(), 3 * SECOND + MARGIN);
    }

    #[tokio::test(start_paused = true)]
    async fn without_a_limit_waits_are_what_they_are() {
        let began = Instant::now();
        limit(wait_for(30 * SECOND), None).await;
        assert_eq!(began.elapsed(), 30 * SECOND);
    }

    #[tokio::test(start_paused = true)]
    async fn the_time_counts_from_the_first_poll() {
        let limited = limit(wait_for(30 * SECOND), Some(SECOND));
        tokio::time::sleep(5 * SECOND).await;
        let began = Instant::now();
        limited.await;
        assert_eq!(began.elapsed(), SECOND + MARGIN);
    }

    #[tokio::test(start_paused = true)]
    async fn tasks_and_those_who_come_after_are_not_limited() {
        let mut spawned = None;
        let spawns = async {
            spawned = Some(tokio::spawn(wait_for(30 * SECOND)));
        };
        let began = Instant::now();
        limit(spawns, Some(SECOND)).await;
        spawned.unwrap().await.unwrap();
        assert_eq!(began.elapsed(), 30 * SECOND);
        wait_for(30 * SECOND).await;
        assert_eq!(began.elapsed(), 60 * SECOND);
    }

    #[tokio::test(start_paused = true)]
    async fn an_operation_within_another_does_not_lift_its_limit_for_good() {
        let began = Instant::now();
        let outer = async {
            limit(wait_for(SECOND), Some(30 * SECOND)).await;
            wait_for(30 * SECOND).await;
        };
        limit(outer, Some(3 * SECOND)).await;
        assert_eq!(began.elapsed(), 3 * SECOND + MARGIN);
    }

    #[test]
    fn a_panic_leaves_no_deadline_behind() {
        let mut panics = Box::pin(limit(async { panic!("on purpose") }, Some(SECOND)));
        let polled = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            let _ = panics
                .as_mut()
                .poll(&mut Context::from_waker(std::task::Waker::noop()));
        }));
        assert!(polled.is_err());
        assert!(DEADLINE.get().is_none());
    }
}
