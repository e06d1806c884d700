//! Timers. The driver uses two kinds: deadlines that guard one read or write and hardly ever
//! pass, and pacing sleeps that are meant to pass.
//!
//! A thread that drives an operation by itself sleeps until the earliest of them; elsewhere they
//! are timers of the runtime.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use aerospike_stages::attempts::Waiting;
use aerospike_stages::{current, Event};
use pin_project_lite::pin_project;
use tokio::time::Sleep;

use crate::instant::Instant;
use crate::{direct, limit};

pin_project! {
    /// A deadline that can be moved. Moving it later costs a store: the timer that is already
    /// armed fires early, sees the new deadline and is armed again, once per time-out period
    /// instead of twice per command.
    #[derive(Debug)]
    pub struct Deadline {
        #[pin]
        timer: Sleep,
        deadline: Instant,
    }
}

/// A deadline that is `duration` away.
#[must_use]
pub fn deadline_sleep(duration: Duration) -> Deadline {
    let timer = tokio::time::sleep(duration);
    let deadline = timer.deadline().into();
    Deadline { timer, deadline }
}

impl Deadline {
    /// When it passes.
    #[must_use]
    pub fn deadline(&self) -> Instant {
        self.deadline
    }

    /// Whether it has passed.
    #[must_use]
    pub fn is_elapsed(&self) -> bool {
        Instant::now() >= self.deadline
    }

    /// Moves it, but not beyond the end of the operation at hand. The driver does so before every read and write, whose
    /// deadline it then is.
    pub fn reset(self: Pin<&mut Self>, deadline: Instant) {
        let deadline = limit::sooner(deadline.into());
        direct::expect_by(deadline);
        *self.project().deadline = deadline.into();
    }
}

impl Future for Deadline {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        match direct::wait_until(self.deadline.into()) {
            Some(false) => return Poll::Pending,
            Some(true) => {
                current::note(Event::DeadlinePassed);
                return Poll::Ready(());
            }
            None => {}
        }
        current::note(Event::TimerBegin);
        let mut this = self.project();
        let deadline = (*this.deadline).into();
        let polled = loop {
            if this.timer.deadline() > deadline {
                this.timer.as_mut().reset(deadline);
            }
            match this.timer.as_mut().poll(cx) {
                Poll::Ready(()) if this.timer.deadline() < deadline => {
                    this.timer.as_mut().reset(deadline)
                }
                polled => break polled,
            }
        };
        current::note(Event::TimerEnd);
        if polled.is_ready() {
            current::note(Event::DeadlinePassed);
        }
        polled
    }
}

pin_project! {
    /// A sleep that paces: before a retry, or until the pool has a connection.
    #[derive(Debug)]
    pub struct Pacing {
        #[pin]
        timer: Sleep,
        waiting: Option<Waiting>,
    }
}

/// Sleeps for `duration`.
#[must_use]
pub fn pacing_sleep(duration: Duration) -> Pacing {
    Pacing {
        timer: tokio::time::sleep(duration),
        waiting: None,
    }
}

impl Future for Pacing {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let deadline = self.timer.deadline();
        let this = self.project();
        let polled = match direct::rest_until(deadline) {
            None => this.timer.poll(cx),
            Some(true) => Poll::Ready(()),
            Some(false) => Poll::Pending,
        };
        if polled.is_pending() {
            this.waiting.get_or_insert_with(Waiting::begin);
        } else {
            *this.waiting = None;
        }
        current::note(if polled.is_pending() {
            Event::PacingPending
        } else {
            Event::PacingEnd
        });
        polled
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paused() -> tokio::runtime::Runtime {
        tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap()
    }

    #[test]
    fn a_deadline_that_is_moved_later_passes_later() {
        paused().block_on(async {
            let start = Instant::now();
            let mut deadline = Box::pin(deadline_sleep(Duration::from_millis(10)));
            deadline.as_mut().reset(start + Duration::from_millis(50));
            deadline.as_mut().await;
            assert_eq!(start.elapsed().as_millis(), 50);
        });
    }

    #[test]
    fn a_deadline_that_is_moved_earlier_passes_earlier() {
        paused().block_on(async {
            let start = Instant::now();
            let mut deadline = Box::pin(deadline_sleep(Duration::from_secs(3600)));
            deadline.as_mut().reset(start + Duration::from_millis(5));
            deadline.as_mut().await;
            assert_eq!(start.elapsed().as_millis(), 5);
            deadline.as_mut().reset(start);
            deadline.as_mut().await;
            assert_eq!(start.elapsed().as_millis(), 5);
        });
    }

    #[test]
    fn a_passed_deadline_can_be_used_again() {
        paused().block_on(async {
            let mut deadline = Box::pin(deadline_sleep(Duration::from_millis(1)));
            deadline.as_mut().await;
            let again = Instant::now();
            deadline.as_mut().reset(again + Duration::from_millis(7));
            deadline.as_mut().await;
            assert_eq!(again.elapsed().as_millis(), 7);
        });
    }
}
