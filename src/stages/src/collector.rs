//! Where finished operations are added up: one shard per thread, written without locks and
//! without locked instructions, read at any time by whoever wants a snapshot.
//!
//! A thread leases a shard with its first operation and gives it back when it ends; the next
//! thread goes on with the same shard, so a shard is never lost and there are never more of
//! them than there were threads at once.

use std::cell::{OnceCell, RefCell};
use std::sync::atomic::{fence, AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use crate::clock;
use crate::histogram::{bump, Counts, Histogram};
use crate::node::NodeId;
use crate::operation::{Lane, Operation, Outcome};
use crate::recorder::{Origin, Recorder};
use crate::table::Stage;

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

/// What one thread has recorded about one operation on one lane.
struct Cells {
    /// Durations of all operations, whether or not their stages were recorded.
    durations: Histogram,
    ended: [AtomicU64; Outcome::COUNT],
    wall: Histogram,
    outcomes: [AtomicU64; Outcome::COUNT],
    failed_in: [AtomicU64; Stage::COUNT],
    stages: [OnceLock<Histogram>; Stage::COUNT],
    deferred: OnceLock<Histogram>,
    nodes: Box<[OnceLock<Box<NodeSums>>]>,
    /// Odd while the thread is writing; a reader that saw it change reads again.
    version: AtomicU64,
}

type NodeSums = [AtomicU64; Stage::COUNT];

impl Default for Cells {
    fn default() -> Self {
        Cells {
            durations: Histogram::default(),
            ended: Default::default(),
            wall: Histogram::default(),
            outcomes: Default::default(),
            failed_in: Default::default(),
            stages: Default::default(),
            deferred: OnceLock::new(),
            nodes: (0..NodeId::COUNT).map(|_| OnceLock::new()).collect(),
            version: AtomicU64::new(0),
        }
    }
}

impl Cells {
    /// Lets a reader see all of what `write` does, or nothing.
    #[inline]
    fn write(&self, write: impl FnOnce(&Self)) {
        let version = self.version.load(Ordering::Relaxed);
        self.version
            .store(version.wrapping_add(1), Ordering::Relaxed);
        fence(Ordering::Release);
        write(self);
        self.version
            .store(version.wrapping_add(2), Ordering::Release);
    }

    #[inline]
    fn time(&self, outcome: Outcome, nanos: u64) {
        self.durations.record(nanos);
        bump(&self.ended[outcome as usize], 1);
    }

    fn add_node(&self, node: NodeId, stages: &[u64; Stage::COUNT]) {
        if node == NodeId::NONE {
            return;
        }
        let sums = self.nodes[node.index()].get_or_init(Box::default);
        for stage in Stage::ALL.into_iter().filter(|stage| stage.is_per_node()) {
            bump(&sums[stage.index()], stages[stage.index()]);
        }
    }

    fn add_segments(&self, recorder: &Recorder) -> [u64; Stage::COUNT] {
        let mut stages = [0; Stage::COUNT];
        recorder.visit(|segment| {
            let nanos = segment.end - segment.start;
            stages[segment.stage.index()] += nanos;
            if segment.node != NodeId::NONE {
                let sums = self.nodes[segment.node.index()].get_or_init(Box::default);
                bump(&sums[segment.stage.index()], nanos);
            }
        });
        stages
    }

    /// Adds a consistent copy to `totals`. A writer that never pauses could keep a reader for
    /// ever, so in the end the reader takes what it gets.
    fn read(&self, totals: &mut Totals) {
        for _ in 0..MAX_READS {
            let before = self.version.load(Ordering::Acquire);
            let mut copy = Totals::empty(totals.operation, totals.lane);
            copy.add(self);
            fence(Ordering::Acquire);
            if before.is_multiple_of(2) && self.version.load(Ordering::Relaxed) == before {
                totals.merge(&copy);
                return;
            }
            std::thread::yield_now();
        }
        totals.add(self);
    }
}

/// How often a reader tries to get a consistent copy.
const MAX_READS: usize = 1_000;

#[derive(Default)]
struct Shard {
    cells: [[OnceLock<Box<Cells>>; Lane::COUNT]; Operation::COUNT],
}

impl Shard {
    fn cells(&self, operation: Operation, lane: Lane) -> &Cells {
        self.cells[operation as usize][lane as usize].get_or_init(Box::default)
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

thread_local! {
    static LEASE: OnceCell<Lease> = const { OnceCell::new() };
}

fn with_shard(visit: impl FnOnce(&Shard)) {
    if LEASE
        .try_with(|lease| visit(&lease.get_or_init(Lease::take).0))
        .is_err()
    {
        DROPPED.fetch_add(1, Ordering::Relaxed);
    }
}

thread_local! {
    /// Recorders to use again: an operation then costs no allocation.
    #[expect(clippy::vec_box, reason = "the box is what is handed on, so that a recorder never moves")]
    static IDLE: RefCell<Vec<Box<Recorder>>> = const { RefCell::new(Vec::new()) };
}

/// How many recorders a thread keeps.
const MAX_IDLE: usize = 64;

/// A recorder for an operation that starts now.
#[must_use]
pub fn begin(operation: Operation, lane: Lane, at: u64) -> Box<Recorder> {
    let idle = IDLE
        .try_with(|idle| idle.borrow_mut().pop())
        .unwrap_or_default();
    match idle {
        Some(mut recorder) => {
            recorder.restart(operation, lane, at);
            recorder
        }
        None => Box::new(Recorder::start(operation, lane, at)),
    }
}

/// Ends an operation and adds it up. Never fails and never waits; what cannot be recorded is
/// counted. `timed` says whether its duration counts in the metrics that are always on, too.
pub fn finish(mut recorder: Box<Recorder>, outcome: Outcome, at: u64, timed: bool) {
    record(&mut recorder, outcome, at, timed);
    let _ = IDLE.try_with(|idle| {
        let mut idle = idle.borrow_mut();
        if idle.len() < MAX_IDLE {
            idle.push(recorder);
        }
    });
}

fn record(recorder: &mut Recorder, outcome: Outcome, at: u64, timed: bool) {
    let origin = recorder.origin();
    let ending = recorder.close(outcome, at);
    with_shard(|shard| {
        shard.cells(origin.operation, origin.lane).write(|cells| {
            let stages = match recorder.simple_sums() {
                Some((stages, node)) => {
                    cells.add_node(node, &stages);
                    stages
                }
                None => cells.add_segments(recorder),
            };
            if timed {
                cells.time(outcome, ending.wall);
            }
            cells.wall.record(ending.wall);
            bump(&cells.outcomes[outcome as usize], 1);
            if let Some(stage) = ending.failed_in {
                bump(&cells.failed_in[stage.index()], 1);
            }
            for (nanos, histogram) in stages.iter().zip(&cells.stages) {
                if *nanos > 0 {
                    histogram.get_or_init(Histogram::default).record(*nanos);
                }
            }
        });
    });
}

/// Adds the duration of a finished operation, for the metrics that are always on.
pub fn record_duration(operation: Operation, lane: Lane, outcome: Outcome, nanos: u64) {
    with_shard(|shard| {
        shard
            .cells(operation, lane)
            .write(|cells| cells.time(outcome, nanos));
    });
}

/// Adds a conversion to Python that happened after the operation had ended.
pub fn record_deferred(origin: Origin, nanos: u64) {
    with_shard(|shard| {
        shard.cells(origin.operation, origin.lane).write(|cells| {
            cells.deferred.get_or_init(Histogram::default).record(nanos);
        });
    });
}

/// How many operations could not be recorded.
#[must_use]
pub fn dropped() -> u64 {
    DROPPED.load(Ordering::Relaxed)
}

/// Everything recorded about one operation on one lane.
#[derive(Debug, Clone)]
pub struct Totals {
    /// Which method.
    pub operation: Operation,
    /// Who drove it.
    pub lane: Lane,
    /// Durations of all operations, whether or not their stages were recorded.
    pub durations: Counts,
    /// All operations by outcome.
    pub ended: [u64; Outcome::COUNT],
    /// Wall times of the operations whose stages were recorded.
    pub wall: Counts,
    /// Recorded operations by outcome, in the order of [`Outcome::ALL`].
    pub outcomes: [u64; Outcome::COUNT],
    /// Failed operations by the stage they were in.
    pub failed_in: [u64; Stage::COUNT],
    /// Times by stage, of the operations in which the stage occurred.
    pub stages: Vec<Counts>,
    /// Conversions after the operation's end.
    pub deferred: Counts,
    /// Nanoseconds by node and stage.
    pub nodes: Vec<[u64; Stage::COUNT]>,
}

impl Totals {
    fn empty(operation: Operation, lane: Lane) -> Self {
        Totals {
            operation,
            lane,
            durations: Counts::default(),
            ended: [0; Outcome::COUNT],
            wall: Counts::default(),
            outcomes: [0; Outcome::COUNT],
            failed_in: [0; Stage::COUNT],
            stages: vec![Counts::default(); Stage::COUNT],
            deferred: Counts::default(),
            nodes: vec![[0; Stage::COUNT]; NodeId::COUNT],
        }
    }

    fn add(&mut self, cells: &Cells) {
        cells.durations.add_to(&mut self.durations);
        for (total, cell) in self.ended.iter_mut().zip(&cells.ended) {
            *total += cell.load(Ordering::Relaxed);
        }
        cells.wall.add_to(&mut self.wall);
        for (total, cell) in self.outcomes.iter_mut().zip(&cells.outcomes) {
            *total += cell.load(Ordering::Relaxed);
        }
        for (total, cell) in self.failed_in.iter_mut().zip(&cells.failed_in) {
            *total += cell.load(Ordering::Relaxed);
        }
        for (total, cell) in self.stages.iter_mut().zip(&cells.stages) {
            if let Some(histogram) = cell.get() {
                histogram.add_to(total);
            }
        }
        if let Some(histogram) = cells.deferred.get() {
            histogram.add_to(&mut self.deferred);
        }
        for (totals, row) in self.nodes.iter_mut().zip(cells.nodes.iter()) {
            for (total, cell) in totals
                .iter_mut()
                .zip(row.get().into_iter().flat_map(|row| row.iter()))
            {
                *total += cell.load(Ordering::Relaxed);
            }
        }
    }

    fn merge(&mut self, other: &Totals) {
        let add = |mine: &mut [u64], theirs: &[u64]| {
            mine.iter_mut()
                .zip(theirs)
                .for_each(|(mine, theirs)| *mine += theirs);
        };
        self.durations.merge(&other.durations);
        add(&mut self.ended, &other.ended);
        self.wall.merge(&other.wall);
        add(&mut self.outcomes, &other.outcomes);
        add(&mut self.failed_in, &other.failed_in);
        for (mine, theirs) in self.stages.iter_mut().zip(&other.stages) {
            mine.merge(theirs);
        }
        self.deferred.merge(&other.deferred);
        for (mine, theirs) in self.nodes.iter_mut().zip(&other.nodes) {
            add(mine, theirs);
        }
    }

    /// What has been added since `earlier`.
    #[must_use]
    pub fn since(&self, earlier: &Totals) -> Totals {
        let minus = |now: u64, then: u64| now.saturating_sub(then);
        Totals {
            operation: self.operation,
            lane: self.lane,
            durations: self.durations.since(&earlier.durations),
            ended: std::array::from_fn(|i| minus(self.ended[i], earlier.ended[i])),
            wall: self.wall.since(&earlier.wall),
            outcomes: std::array::from_fn(|i| minus(self.outcomes[i], earlier.outcomes[i])),
            failed_in: std::array::from_fn(|i| minus(self.failed_in[i], earlier.failed_in[i])),
            stages: self
                .stages
                .iter()
                .zip(&earlier.stages)
                .map(|(now, then)| now.since(then))
                .collect(),
            deferred: self.deferred.since(&earlier.deferred),
            nodes: self
                .nodes
                .iter()
                .zip(&earlier.nodes)
                .map(|(now, then)| std::array::from_fn(|i| minus(now[i], then[i])))
                .collect(),
        }
    }
}

/// Everything recorded since the process started, by operation and lane; those that never ran
/// are left out.
#[must_use]
pub fn totals() -> Vec<Totals> {
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
                let mut totals = Totals::empty(operation, lane);
                cells.for_each(|cells| cells.read(&mut totals));
                all.push(totals);
            }
        }
    }
    all
}
