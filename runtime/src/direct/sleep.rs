//! The call of poll(2).

use std::os::fd::RawFd;
use std::time::Duration;

use super::waits::Readiness;

/// What ended a sleep.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Woken {
    /// A descriptor is ready, or the time is over.
    Ready,
    /// A signal was delivered to this thread.
    BySignal,
}

/// Descriptors to sleep on.
#[derive(Debug, Default)]
pub(super) struct Sleepers(Vec<libc::pollfd>);

impl Sleepers {
    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    pub(super) fn push(&mut self, descriptor: RawFd, readiness: Readiness) {
        self.0.push(sleeper(descriptor, readiness));
    }

    /// Whether the descriptor at `place` was ready, failed or closed when the sleep ended.
    pub(super) fn is_ready(&self, place: usize) -> bool {
        self.0.get(place).is_some_and(|entry| entry.revents != 0)
    }

    /// Sleeps until one of them is ready, at most for `patience`.
    pub(super) fn sleep(&mut self, patience: Option<Duration>) -> Woken {
        poll(&mut self.0, patience)
    }
}

/// Sleeps until a descriptor is ready, at most for `patience`. Returns whether it was ready, failed or closed when the
/// sleep ended.
pub(super) fn sleep_on(
    descriptor: RawFd,
    readiness: Readiness,
    patience: Duration,
) -> (bool, Woken) {
    let mut sleepers = [sleeper(descriptor, readiness)];
    let woken = poll(&mut sleepers, Some(patience));
    (sleepers[0].revents != 0, woken)
}

fn sleeper(descriptor: RawFd, readiness: Readiness) -> libc::pollfd {
    libc::pollfd {
        fd: descriptor,
        events: match readiness {
            Readiness::Readable => libc::POLLIN,
            Readiness::Writable => libc::POLLOUT,
        },
        revents: 0,
    }
}

fn poll(sleepers: &mut [libc::pollfd], patience: Option<Duration>) -> Woken {
    let limit = patience.map(|patience| libc::timespec {
        tv_sec: libc::time_t::try_from(patience.as_secs()).unwrap_or(libc::time_t::MAX),
        tv_nsec: libc::c_long::from(patience.subsec_nanos()),
    });
    let limit = limit.as_ref().map_or(std::ptr::null(), std::ptr::from_ref);
    // SAFETY: the pointer and the length are those of a live slice, which the kernel may write to;
    // `limit` is null or outlives the call. A descriptor that is closed or another's by now is
    // reported as such or wakes the thread in vain, both of which callers allow for.
    let ready = unsafe {
        libc::ppoll(
            sleepers.as_mut_ptr(),
            sleepers.len() as libc::nfds_t,
            limit,
            std::ptr::null(),
        )
    };
    if ready >= 0 {
        return Woken::Ready;
    }
    // The kernel has not written anything, so nothing may be read from an earlier sleep.
    sleepers.iter_mut().for_each(|entry| entry.revents = 0);
    Woken::BySignal
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::net::{TcpListener, TcpStream};
    use std::os::fd::AsRawFd;
    use std::time::Instant;

    #[test]
    fn the_ready_one_is_told_from_the_others() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let quiet = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let _kept = listener.accept().unwrap();
        let ready = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        listener.accept().unwrap().0.write_all(b"x").unwrap();
        let mut sleepers = Sleepers::default();
        sleepers.push(quiet.as_raw_fd(), Readiness::Readable);
        sleepers.push(ready.as_raw_fd(), Readiness::Readable);
        assert_eq!(sleepers.sleep(None), Woken::Ready);
        assert!(!sleepers.is_ready(0));
        assert!(sleepers.is_ready(1));
        assert!(!sleepers.is_ready(2));
    }

    #[test]
    fn one_alone_is_slept_on() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let near = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (mut far, _) = listener.accept().unwrap();
        let sleep = |patience| sleep_on(near.as_raw_fd(), Readiness::Readable, patience);
        let short = Duration::from_millis(5);
        assert_eq!(sleep(short), (false, Woken::Ready));
        far.write_all(b"x").unwrap();
        assert_eq!(sleep(Duration::from_secs(60)), (true, Woken::Ready));
        assert!(sleep_on(near.as_raw_fd(), Readiness::Writable, short).0);
    }

    #[test]
    fn time_runs_out() {
        let before = Instant::now();
        assert_eq!(
            Sleepers::default().sleep(Some(Duration::from_millis(20))),
            Woken::Ready
        );
        assert!(before.elapsed() >= Duration::from_millis(20));
    }

    #[test]
    fn a_descriptor_that_is_closed_is_ready() {
        let mut sleepers = Sleepers::default();
        sleepers.push(1 << 20, Readiness::Readable);
        sleepers.sleep(None);
        assert!(sleepers.is_ready(0));
    }
}
