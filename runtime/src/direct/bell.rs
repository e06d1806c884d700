//! Wake-ups from elsewhere: from other threads, and from other tasks of the same drive.

use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::sync::atomic::{fence, AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Wake, Waker};

use aerospike_stages::clock::now_ns;
use rustix::event::{eventfd, EventfdFlags};

/// Where the driving thread sleeps.
#[derive(Debug, Default)]
pub(super) struct Bed {
    sleeping: AtomicBool,
    /// Made when somebody may have to wake the thread; `None` if the system had no descriptor left.
    alarm: OnceLock<Option<OwnedFd>>,
}

impl Bed {
    /// What to sleep on, if the system gives us a descriptor for it.
    pub(super) fn alarm(&self) -> Option<RawFd> {
        let make = || eventfd(0, EventfdFlags::NONBLOCK | EventfdFlags::CLOEXEC).ok();
        self.alarm
            .get_or_init(make)
            .as_ref()
            .map(AsRawFd::as_raw_fd)
    }

    /// From now on, ringing writes to the alarm. Look at the bells afterwards, then sleep.
    pub(super) fn lie_down(&self) {
        self.sleeping.store(true, Ordering::SeqCst);
        fence(Ordering::SeqCst);
    }

    /// The thread is awake again.
    pub(super) fn get_up(&self, alarmed: bool) {
        self.sleeping.store(false, Ordering::Relaxed);
        if let (true, Some(Some(alarm))) = (alarmed, self.alarm.get()) {
            let mut count = [0; 8];
            let _ = rustix::io::read(alarm.as_fd(), &mut count);
        }
    }
}

/// Wakes one task of a drive.
#[derive(Debug)]
pub(super) struct Bell {
    bed: Arc<Bed>,
    rung: AtomicBool,
    /// When it was first rung since the task was last polled; zero for not at all.
    rung_at: AtomicU64,
}

impl Bell {
    pub(super) fn new(bed: Arc<Bed>) -> Arc<Self> {
        Arc::new(Bell {
            bed,
            rung: AtomicBool::new(false),
            rung_at: AtomicU64::new(0),
        })
    }

    /// Whether it has been rung since it was last taken.
    pub(super) fn is_rung(&self) -> bool {
        self.rung.load(Ordering::SeqCst)
    }

    /// Takes the ring: when it was first rung.
    pub(super) fn take(&self) -> Option<u64> {
        // A ring that comes between these two is kept for the next time.
        let rung = self.rung.load(Ordering::Relaxed) && self.rung.swap(false, Ordering::AcqRel);
        rung.then(|| self.rung_at.swap(0, Ordering::AcqRel))
    }

    /// Whether somebody keeps a waker of it, beside the `kept` references of the drive itself.
    pub(super) fn is_handed_out(self: &Arc<Self>, kept: usize) -> bool {
        let handed_out = Arc::strong_count(self) > kept;
        // Whoever has let go of a waker may have rung it before: that must be visible now.
        fence(Ordering::Acquire);
        handed_out
    }
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        let _ =
            self.rung_at
                .compare_exchange(0, now_ns().max(1), Ordering::AcqRel, Ordering::Relaxed);
        if self.rung.swap(true, Ordering::SeqCst) {
            return;
        }
        fence(Ordering::SeqCst);
        if self.bed.sleeping.load(Ordering::SeqCst) {
            if let Some(Some(alarm)) = self.bed.alarm.get() {
                let _ = rustix::io::write(alarm.as_fd(), &1u64.to_ne_bytes());
            }
        }
    }
}

/// A bell and its waker, kept together because both are needed at every poll.
#[derive(Debug)]
pub(super) struct Rope {
    pub(super) bell: Arc<Bell>,
    pub(super) waker: Waker,
}

/// References to a bell that its rope holds.
const OWN_REFERENCES: usize = 2;
/// The same for a task that may pause, where the pause holds another one.
pub(super) const PAUSING_REFERENCES: usize = OWN_REFERENCES + 1;

impl Rope {
    pub(super) fn new(bed: Arc<Bed>) -> Self {
        let bell = Bell::new(bed);
        let waker = Waker::from(bell.clone());
        Rope { bell, waker }
    }

    /// Whether anybody else can ring.
    pub(super) fn is_handed_out(&self, pauses: bool) -> bool {
        self.bell.is_handed_out(if pauses {
            PAUSING_REFERENCES
        } else {
            OWN_REFERENCES
        })
    }
}
