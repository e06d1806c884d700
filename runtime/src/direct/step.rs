//! One poll of a future for an executor that has a thread of its own and other things to do on it,
//! such as an event loop: it is told what the future waits for, and looks after that itself.

use std::os::fd::RawFd;
use std::task::Poll;

use aerospike_stages::current;
use tokio::runtime::Handle;
use tokio::time::Instant;

use super::local::take_spawned;
use super::waits::{collect, Readiness, Waits};

/// A socket that has to be readable, or writable, before its future is polled again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Socket {
    /// Its descriptor, which another socket may get once it is closed.
    pub descriptor: RawFd,
    /// The number of its stream, which is never used again in this process.
    pub stream: u64,
    /// Whether it has to be writable instead of readable.
    pub for_writing: bool,
}

/// What a future waits for that has been polled once, beside what its waker is for.
#[derive(Debug, Default)]
pub struct Step(Waits);

impl Step {
    /// The sockets.
    pub fn sockets(&self) -> impl Iterator<Item = Socket> + '_ {
        self.0.sockets.iter().map(|wait| Socket {
            descriptor: wait.socket,
            stream: wait.stream,
            for_writing: wait.readiness == Readiness::Writable,
        })
    }

    /// From now on, records also say when replies arrived, where the kernel knows; or not.
    pub fn date_arrivals(&mut self, wanted: bool) {
        self.0.dates_arrivals = wanted;
    }

    /// The earliest deadline.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        self.0.deadline
    }

    /// Runs `poll`, which polls a future that has been due `since` then; zero if it is polled at
    /// once. Tasks that it spawns are left to `runtime`.
    pub fn take<T>(
        &mut self,
        runtime: &Handle,
        since: u64,
        poll: impl FnOnce() -> Poll<T>,
    ) -> Poll<T> {
        let _context = runtime.enter();
        let polled = current::driven(since, || collect(&mut self.0, poll));
        for task in take_spawned() {
            runtime.spawn(task.body);
        }
        polled
    }
}

#[cfg(test)]
mod tests {
    use super::super::waits::{wait_for, wait_until};
    use super::*;
    use std::sync::mpsc::channel;
    use std::time::Duration;

    #[test]
    fn a_step_tells_what_is_waited_for_and_leaves_tasks_to_the_runtime() {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let deadline = Instant::now() + Duration::from_secs(1);
        let (sender, receiver) = channel();
        let mut step = Step::default();
        let polled = step.take(runtime.handle(), 0, || {
            assert!(wait_for(5, 1, Readiness::Readable) && wait_for(6, 2, Readiness::Writable));
            assert_eq!(wait_until(deadline), Some(false));
            drop(crate::spawn(async move { sender.send("ran elsewhere") }));
            Poll::<()>::Pending
        });
        assert!(polled.is_pending());
        let sockets: Vec<_> = step.sockets().collect();
        assert_eq!((sockets[0].descriptor, sockets[0].for_writing), (5, false));
        assert_eq!((sockets[1].descriptor, sockets[1].for_writing), (6, true));
        assert_eq!((sockets[0].stream, sockets[1].stream), (1, 2));
        assert_eq!(step.deadline(), Some(deadline));
        assert_eq!(receiver.recv(), Ok("ran elsewhere"));
        assert_eq!(
            step.take(runtime.handle(), 0, || Poll::Ready(7)),
            Poll::Ready(7)
        );
        assert_eq!((step.sockets().count(), step.deadline()), (0, None));
        assert!(!wait_for(5, 1, Readiness::Readable));
    }
}
