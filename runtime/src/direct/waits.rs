//! What the task waits for that is being polled on this thread: sockets and the earliest deadline.

use std::cell::RefCell;
use std::mem::ManuallyDrop;
use std::os::fd::RawFd;

use tokio::time::Instant;

use super::pause::Pause;

/// What a socket has to be before its task is polled again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Readiness {
    Readable,
    Writable,
}

/// How often a thread says what time it is without another look at the clock. Whoever does nothing but wait for the time
/// to pass sees it pass.
const MOST_REPETITIONS: u8 = 15;

/// What one task waits for.
#[derive(Debug, Default)]
pub(super) struct Waits {
    pub(super) sockets: Vec<Wait>,
    pub(super) deadline: Option<Instant>,
    /// Somebody wants to know when replies arrived.
    pub(super) dates_arrivals: bool,
    /// What time it was, and how often that may be said again.
    known_time: Option<(Instant, u8)>,
    /// The deadline that was set last, which is that of the read or write that comes next.
    pub(super) next_deadline: Option<Instant>,
    /// What is polled right now waits for one thing at a time.
    pub(super) sequential: bool,
    /// How the task may wait in the middle of a poll, if it may at all.
    pub(super) pause: Option<Pause>,
}

/// What has to become of a socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Wait {
    pub(super) socket: RawFd,
    /// The number of its stream, which is never used again, while that of a socket is.
    pub(super) stream: u64,
    pub(super) readiness: Readiness,
}

impl Waits {
    pub(super) fn clear(&mut self) {
        self.sockets.clear();
        self.deadline = None;
        self.known_time = None;
        self.next_deadline = None;
        self.sequential = false;
    }

    /// What time it is, as far as this thread knows: looked at once, and again when that was long ago.
    #[inline]
    pub(super) fn known_time(&mut self) -> Instant {
        match &mut self.known_time {
            Some((now, left)) if *left > 0 => {
                *left -= 1;
                *now
            }
            _ => {
                let now = Instant::now();
                self.known_time = Some((now, MOST_REPETITIONS));
                now
            }
        }
    }

    /// Another wait begins. A task that waits for one thing at a time has given up what it asked for earlier in the same
    /// poll, such as the reply that came too late: it does not own that socket any more.
    #[inline]
    fn end_former(&mut self) {
        if self.sequential {
            self.sockets.clear();
        }
    }

    #[inline]
    fn wait_until(&mut self, deadline: Instant) -> bool {
        let passed = self.known_time() >= deadline;
        if !passed && self.deadline.is_none_or(|earliest| deadline < earliest) {
            self.deadline = Some(deadline);
        }
        passed
    }

    /// The thread has slept, or something else took its time.
    #[inline]
    pub(super) fn forget_time(&mut self) {
        self.known_time = None;
    }
}

thread_local! {
    /// Whoever puts something here takes it out again, so nothing is left to drop when the thread ends, and looking at
    /// it needs no check whether it has.
    static COLLECTED: RefCell<Option<ManuallyDrop<Waits>>> = const { RefCell::new(None) };
}

/// Whether this thread drives the task that it polls.
#[inline]
pub(crate) fn is_active() -> bool {
    with(|_| ()).is_some()
}

/// Asks for another poll when the socket is ready; `false` on a thread that drives nothing.
#[inline]
pub(crate) fn wait_for(socket: RawFd, stream: u64, readiness: Readiness) -> bool {
    with(|waits| {
        waits.end_former();
        waits.sockets.push(Wait {
            socket,
            stream,
            readiness,
        });
    })
    .is_some()
}

/// Whether this thread wants to know when the replies arrived that it reads.
#[inline]
pub(crate) fn dates_arrivals() -> bool {
    with(|waits| waits.dates_arrivals).unwrap_or(false)
}

/// Asks for another poll at `deadline`, unless it has passed, which is returned; `None` on a thread that drives nothing.
#[inline]
pub(crate) fn wait_until(deadline: Instant) -> Option<bool> {
    with(|waits| waits.wait_until(deadline))
}

/// The same for a task that waits for nothing else than that.
#[inline]
pub(crate) fn rest_until(deadline: Instant) -> Option<bool> {
    with(|waits| {
        waits.end_former();
        waits.wait_until(deadline)
    })
}

/// What time it is, as far as this thread knows; `None` on a thread that drives nothing.
#[inline]
pub(crate) fn known_time() -> Option<Instant> {
    with(Waits::known_time)
}

/// Something has taken its time.
#[inline]
pub(crate) fn forget_time() {
    with(Waits::forget_time);
}

/// A deadline has been set: that of the read or write that comes next.
#[inline]
pub(crate) fn expect_by(deadline: Instant) {
    with(|waits| waits.next_deadline = Some(deadline));
}

/// What is polled from now on waits for one thing at a time, or may not any more. Returns what was the case before.
#[inline]
pub(super) fn set_sequential(sequential: bool) -> bool {
    with(|waits| std::mem::replace(&mut waits.sequential, sequential)).unwrap_or(false)
}

/// `visit` must not poll anything.
#[inline]
pub(super) fn with<R>(visit: impl FnOnce(&mut Waits) -> R) -> Option<R> {
    COLLECTED.with_borrow_mut(|collected| collected.as_deref_mut().map(visit))
}

fn replace(waits: Option<Waits>) -> Option<Waits> {
    let before = COLLECTED.replace(waits.map(ManuallyDrop::new));
    before.map(ManuallyDrop::into_inner)
}

/// Runs `poll`, collecting in `waits` what the polled task waits for.
pub(super) fn collect<R>(waits: &mut Waits, poll: impl FnOnce() -> R) -> R {
    struct Restore<'a> {
        outer: Option<Waits>,
        waits: &'a mut Waits,
    }
    impl Drop for Restore<'_> {
        fn drop(&mut self) {
            if let Some(collected) = replace(self.outer.take()) {
                *self.waits = collected;
            }
        }
    }
    waits.clear();
    let restore = Restore {
        outer: replace(Some(std::mem::take(waits))),
        waits,
    };
    let result = poll();
    drop(restore);
    result
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn wait(socket: RawFd, readiness: Readiness) -> Wait {
        Wait {
            socket,
            stream: 1,
            readiness,
        }
    }

    #[test]
    fn outside_of_a_drive_nothing_is_collected() {
        assert!(!is_active());
        assert!(!wait_for(0, 1, Readiness::Readable));
        assert_eq!(wait_until(Instant::now()), None);
        assert_eq!(rest_until(Instant::now()), None);
    }

    #[test]
    fn every_poll_collects_anew_and_the_earliest_deadline_counts() {
        let (now, mut waits) = (Instant::now(), Waits::default());
        let (soon, later) = (now + Duration::from_secs(1), now + Duration::from_secs(2));
        collect(&mut waits, || {
            assert!(is_active());
            wait_for(3, 1, Readiness::Readable);
            for deadline in [later, soon, later] {
                assert_eq!(wait_until(deadline), Some(false));
            }
            assert_eq!(wait_until(now), Some(true));
        });
        assert_eq!(waits.sockets, [wait(3, Readiness::Readable)]);
        assert_eq!(waits.deadline, Some(soon));
        collect(&mut waits, || wait_for(4, 1, Readiness::Writable));
        assert_eq!(waits.sockets, [wait(4, Readiness::Writable)]);
        assert_eq!(waits.deadline, None);
        assert!(!is_active());
    }

    #[test]
    fn a_task_that_waits_for_one_thing_at_a_time_gives_up_what_it_waited_for_before() {
        let (mut waits, soon) = (Waits::default(), Instant::now() + Duration::from_secs(1));
        let sequentially = |poll: fn(Instant)| {
            move || {
                let before = set_sequential(true);
                poll(soon);
                set_sequential(before);
            }
        };
        // The reply came too late, and no connection is left for another attempt.
        let rests = |soon| {
            wait_for(3, 1, Readiness::Readable);
            assert_eq!(wait_until(Instant::now()), Some(true));
            assert_eq!(rest_until(soon), Some(false));
        };
        collect(&mut waits, sequentially(rests));
        assert_eq!((&waits.sockets[..], waits.deadline), (&[][..], Some(soon)));
        // The other attempt waits for its own socket.
        let tries_again = |soon| {
            wait_for(3, 1, Readiness::Readable);
            wait_for(4, 2, Readiness::Readable);
            assert_eq!(wait_until(soon), Some(false));
        };
        collect(&mut waits, sequentially(tries_again));
        assert_eq!(waits.sockets.len(), 1);
        assert_eq!((waits.sockets[0].socket, waits.deadline), (4, Some(soon)));
    }

    #[test]
    fn a_drive_within_a_drive_collects_apart() {
        let (mut outer, mut inner) = (Waits::default(), Waits::default());
        collect(&mut outer, || {
            wait_for(3, 1, Readiness::Readable);
            collect(&mut inner, || wait_for(4, 1, Readiness::Readable));
            wait_for(5, 1, Readiness::Readable);
        });
        assert_eq!(outer.sockets.len(), 2);
        assert_eq!(inner.sockets, [wait(4, Readiness::Readable)]);
    }
}
