//! Where finished operations are added up: one shard per thread, written without locks and
//! without locked instructions, read at any time by whoever wants a snapshot.
//!
//! A thread leases a shard with its first operation and gives it back when it ends; the next
//! thread goes on with the same shard, so a shard is never lost and there are never more of
//! them than there were threads at once.

use std::cell::{OnceCell, RefCell};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use crate::cells::Cells;
use crate::clock;
use crate::ends::PackedEnd;
use crate::facts::End;
use crate::histogram::Histogram;
use crate::node::NodeId;
use crate::operation::{Lane, Operation};
use crate::pending::Ended;
use crate::recorder::{Origin, Recorder};
use crate::sink;
use crate::sparse::Sparse;
use crate::table::Stage;
use crate::target::Target;

pub use crate::totals::Totals;

static ENABLED: AtomicBool = AtomicBool::new(false);
static EVER_ENABLED: AtomicBool = AtomicBool::new(false);
static DROPPED: AtomicU64 = AtomicU64::new(0);
static REGISTRY: Mutex<Registry> = Mutex::new(Registry {
    shards: Vec::new(),
    free: Vec::new(),
});

/// Every shard, and those that no thread writes to.
pub(crate) struct Registry {
    shards: Vec<Arc<Shard>>,
    free: Vec<Arc<Shard>>,
}

/// Whether new operations are recorded: one relaxed load.
#[inline]
#[must_use]
pub fn is_enabled() -> bool {
    ENABLED.load(Ordering::Relaxed)
}

/// Switches recording on or off for operations that start from now on.
pub fn set_enabled(enabled: bool) {
    if enabled {
        clock::calibrate();
        EVER_ENABLED.store(true, Ordering::Release);
    }
    ENABLED.store(enabled, Ordering::Release);
}

#[inline]
pub(crate) fn was_ever_enabled() -> bool {
    EVER_ENABLED.load(Ordering::Relaxed)
}

#[derive(Default)]
struct Shard {
    cells: [[OnceLock<Box<Cells>>; Lane::COUNT]; Operation::COUNT],
}

impl Shard {
    fn cells(&self, operation: Operation, lane: Lane) -> &Cells {
        self.cells[operation as usize][lane as usize]
            .get_or_init(|| Box::new(Cells::new(operation, lane)))
    }
}

struct Lease(Arc<Shard>);

pub(crate) fn lock_registry() -> MutexGuard<'static, Registry> {
    REGISTRY.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Lease {
    fn take() -> Lease {
        let mut registry = lock_registry();
        let shard = registry.free.pop().unwrap_or_else(|| {
            let shard = Arc::new(Shard::default());
            registry.shards.push(shard.clone());
            shard
        });
        Lease(shard)
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        lock_registry().free.push(self.0.clone());
    }
}

/// What a thread has of its own.
struct Mine {
    lease: OnceCell<Lease>,
    /// Recorders to use again: an operation then costs no allocation.
    #[expect(
        clippy::vec_box,
        reason = "the box is what is handed on, so that a recorder never moves"
    )]
    idle: RefCell<Vec<Box<Recorder>>>,
}

thread_local! {
    static MINE: Mine = const {
        Mine {
            lease: OnceCell::new(),
            idle: RefCell::new(Vec::new()),
        }
    };
}

impl Mine {
    #[inline]
    fn shard(&self) -> &Shard {
        &self.lease.get_or_init(Lease::take).0
    }

    fn keep(&self, recorder: Box<Recorder>) {
        let mut idle = self.idle.borrow_mut();
        if idle.len() < MAX_IDLE {
            idle.push(recorder);
        }
    }
}

fn with_mine(visit: impl FnOnce(&Mine)) {
    if MINE.try_with(visit).is_err() {
        DROPPED.fetch_add(1, Ordering::Relaxed);
    }
}

/// How many recorders a thread keeps.
const MAX_IDLE: usize = 64;

/// A recorder for an operation that starts now.
#[must_use]
pub fn begin(operation: Operation, lane: Lane, at: u64) -> Box<Recorder> {
    let idle = MINE
        .try_with(|mine| mine.idle.borrow_mut().pop())
        .unwrap_or_default();
    let mut recorder = match idle {
        Some(mut recorder) => {
            recorder.restart(operation, lane, at);
            recorder
        }
        None => first(operation, lane, at),
    };
    if !operation.is_batch() && !sink::is_present() {
        recorder.keep_sums();
    }
    recorder
}

#[cold]
fn first(operation: Operation, lane: Lane, at: u64) -> Box<Recorder> {
    Box::new(Recorder::start(operation, lane, at))
}

/// Ends an operation and adds it up. Never fails and never waits; what cannot be recorded is
/// counted. `timed` says whether its duration counts in the metrics that are always on, too.
pub fn finish(mut recorder: Box<Recorder>, end: End, at: u64, timed: bool) {
    let shown = sink::is_present();
    if shown {
        recorder.keep_marks();
    }
    let origin = recorder.origin();
    let ending = recorder.close(end.outcome, at);
    if shown {
        sink::show(|sink| sink.ended(&recorder, &ending, &end));
    }
    let packed = PackedEnd::of(&end);
    with_mine(|mine| {
        mine.shard()
            .cells(origin.operation, origin.lane)
            .write(|cells| cells.end_recorded(&recorder, &ending, packed, timed));
        mine.keep(recorder);
    });
}

/// Adds the duration of a finished operation, for the metrics that are always on.
pub fn record_duration(
    (operation, lane): (Operation, Lane),
    (target, node): (Target, NodeId),
    end: &End,
    nanos: u64,
) {
    let ended = Ended {
        staged: false,
        node,
        wall: nanos,
        target,
        end: PackedEnd::of(end),
        failed_in: None,
        measured: true,
        shared_out: false,
    };
    with_mine(|mine| {
        mine.shard()
            .cells(operation, lane)
            .write(|cells| cells.end(&ended, &[0; Stage::COUNT]));
    });
}

/// Adds how many keys a batch had.
pub fn record_keys(operation: Operation, lane: Lane, keys: u32) {
    with_mine(|mine| {
        mine.shard().cells(operation, lane).write(|cells| {
            cells
                .keys
                .get_or_init(Sparse::default)
                .record(u64::from(keys));
        });
    });
}

/// Adds a conversion to Python that happened after the operation had ended.
pub fn record_deferred(origin: Origin, start: u64, end: u64) {
    let nanos = end.saturating_sub(start);
    with_mine(|mine| {
        let cells = mine.shard().cells(origin.operation, origin.lane);
        cells.write(|cells| {
            cells.deferred.get_or_init(Histogram::default).record(nanos);
        });
    });
    if sink::is_present() {
        sink::show(|sink| sink.converted(origin, start, nanos));
    }
}

/// How many operations could not be recorded.
#[must_use]
pub fn dropped() -> u64 {
    DROPPED.load(Ordering::Relaxed)
}

/// Everything recorded since the process started, by operation and lane; those that never ran
/// are left out.
#[must_use]
pub fn totals() -> Vec<Totals> {
    read(false)
}

/// As [`totals`], with what the durations are made of.
#[must_use]
pub fn totals_with_series() -> Vec<Totals> {
    read(true)
}

fn read(with_series: bool) -> Vec<Totals> {
    let registry = lock_registry();
    let mut all = Vec::new();
    for &operation in Operation::ALL {
        for lane in Lane::ALL {
            let mut cells = registry
                .shards
                .iter()
                .filter_map(|shard| shard.cells[operation as usize][lane as usize].get())
                .peekable();
            if cells.peek().is_some() {
                let mut totals = Totals::empty(operation, lane, with_series);
                cells.for_each(|cells| cells.read(&mut totals));
                all.push(totals);
            }
        }
    }
    all
}
