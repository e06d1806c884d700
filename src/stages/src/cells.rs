//! What one thread has recorded: histograms and counters that it writes without locks and without
//! locked instructions, and that anybody may read meanwhile.

use std::sync::atomic::{fence, AtomicU64, Ordering};
use std::sync::OnceLock;

use crate::histogram::{bump, Counts, Histogram};
use crate::node::NodeId;
use crate::operation::Outcome;
use crate::pending::{narrow, Ended, Pending};
use crate::recorder::{Ending, Recorder};
use crate::table::Stage;
use crate::totals::Totals;

/// What one thread has recorded about one operation on one lane.
pub(crate) struct Cells {
    /// Those that have not been added to anything below.
    pending: Pending,
    /// Operations whose stages were not recorded.
    unstaged: Walls,
    /// Operations whose stages were recorded. Every operation is in one of these three, so that
    /// ending it touches one histogram of whole operations only.
    staged: Walls,
    /// Those whose stages were recorded, but which do not count in the metrics.
    unmeasured: OnceLock<Box<Walls>>,
    failed_in: [AtomicU64; Stage::COUNT],
    stages: [OnceLock<Histogram>; Stage::COUNT],
    pub(crate) deferred: OnceLock<Histogram>,
    nodes: Box<[OnceLock<Box<NodeSums>>]>,
    /// Odd while the thread is writing; a reader that saw it change reads again.
    version: AtomicU64,
}

/// How long operations took and how they ended.
#[derive(Default)]
struct Walls {
    nanos: Histogram,
    outcomes: [AtomicU64; Outcome::COUNT],
}

impl Walls {
    #[inline]
    fn record(&self, outcome: Outcome, nanos: u64) {
        self.nanos.record(nanos);
        bump(&self.outcomes[outcome as usize], 1);
    }

    fn add_to(&self, nanos: &mut Counts, outcomes: &mut [u64; Outcome::COUNT]) {
        self.nanos.add_to(nanos);
        for (total, cell) in outcomes.iter_mut().zip(&self.outcomes) {
            *total += cell.load(Ordering::Relaxed);
        }
    }
}

type NodeSums = [AtomicU64; Stage::COUNT];

impl Default for Cells {
    fn default() -> Self {
        Cells {
            pending: Pending::default(),
            unstaged: Walls::default(),
            staged: Walls::default(),
            unmeasured: OnceLock::new(),
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
    pub(crate) fn write(&self, write: impl FnOnce(&Self)) {
        let version = self.version.load(Ordering::Relaxed);
        self.version
            .store(version.wrapping_add(1), Ordering::Relaxed);
        fence(Ordering::Release);
        write(self);
        self.version
            .store(version.wrapping_add(2), Ordering::Release);
    }

    #[inline]
    fn walls(&self, staged: bool, measured: bool) -> &Walls {
        match (staged, measured) {
            (false, _) => &self.unstaged,
            (true, true) => &self.staged,
            (true, false) => self.unmeasured.get_or_init(Box::default),
        }
    }

    /// Takes notice of an operation that has ended.
    #[inline]
    pub(crate) fn end(&self, ended: &Ended) {
        if !self.pending.push(ended) {
            self.settle();
            self.pending.push(ended);
        }
    }

    /// Adds up what is pending, one histogram after the other.
    #[cold]
    fn settle(&self) {
        for (place, ended) in self.pending.headers().enumerate() {
            self.walls(ended.stages, ended.measured)
                .record(ended.outcome, ended.wall);
            if let Some(stage) = ended.failed_in {
                bump(&self.failed_in[stage.index()], 1);
            }
            if ended.stages {
                self.add_node(ended.node, |stage| self.pending.nanos(place, stage));
            }
        }
        for (stage, histogram) in Stage::ALL.into_iter().zip(&self.stages) {
            self.pending.visit(stage, |nanos| {
                histogram.get_or_init(Histogram::default).record(nanos);
            });
        }
        self.pending.clear();
    }

    /// Takes notice of a recorded operation that has ended.
    #[inline]
    pub(crate) fn end_recorded(&self, recorder: &Recorder, ending: &Ending, measured: bool) {
        let Some((stages, node)) = recorder.simple_sums() else {
            return self.end_at_once(&self.add_segments(recorder), ending, measured);
        };
        if let Some(stages) = narrow(&stages) {
            self.end(&Ended {
                stages: Some(stages),
                node,
                wall: ending.wall,
                outcome: ending.outcome,
                failed_in: ending.failed_in,
                measured,
            });
        } else {
            self.add_node(node, |stage| stages[stage.index()]);
            self.end_at_once(&stages, ending, measured);
        }
    }

    /// Adds an operation that is not simple enough to be pending.
    fn end_at_once(&self, stages: &[u64; Stage::COUNT], ending: &Ending, measured: bool) {
        self.add_stages(stages);
        self.walls(true, measured)
            .record(ending.outcome, ending.wall);
        if let Some(stage) = ending.failed_in {
            bump(&self.failed_in[stage.index()], 1);
        }
    }

    #[inline]
    fn add_stages(&self, stages: &[u64; Stage::COUNT]) {
        for (nanos, histogram) in stages.iter().zip(&self.stages) {
            if *nanos > 0 {
                histogram.get_or_init(Histogram::default).record(*nanos);
            }
        }
    }

    #[inline]
    fn add_node(&self, node: NodeId, nanos: impl Fn(Stage) -> u64) {
        if node == NodeId::NONE {
            return;
        }
        let sums = self.nodes[node.index()].get_or_init(Box::default);
        for stage in Stage::PER_NODE {
            let nanos = nanos(stage);
            if nanos > 0 {
                bump(&sums[stage.index()], nanos);
            }
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
    pub(crate) fn read(&self, totals: &mut Totals) {
        for _ in 0..MAX_READS {
            let before = self.version.load(Ordering::Acquire);
            let mut copy = Totals::empty(totals.operation, totals.lane);
            self.add_to(&mut copy);
            fence(Ordering::Acquire);
            if before.is_multiple_of(2) && self.version.load(Ordering::Relaxed) == before {
                totals.merge(&copy);
                return;
            }
            std::thread::yield_now();
        }
        self.add_to(totals);
    }

    fn add_to(&self, totals: &mut Totals) {
        self.pending
            .iter()
            .for_each(|ended| totals.add_pending(&ended));
        for walls in [&self.unstaged, &self.staged] {
            walls.add_to(&mut totals.durations, &mut totals.ended);
        }
        for walls in self
            .unmeasured
            .get()
            .map(AsRef::as_ref)
            .into_iter()
            .chain([&self.staged])
        {
            walls.add_to(&mut totals.wall, &mut totals.outcomes);
        }
        for (total, cell) in totals.failed_in.iter_mut().zip(&self.failed_in) {
            *total += cell.load(Ordering::Relaxed);
        }
        for (total, cell) in totals.stages.iter_mut().zip(&self.stages) {
            if let Some(histogram) = cell.get() {
                histogram.add_to(total);
            }
        }
        if let Some(histogram) = self.deferred.get() {
            histogram.add_to(&mut totals.deferred);
        }
        for (sums, row) in totals.nodes.iter_mut().zip(self.nodes.iter()) {
            for (total, cell) in sums
                .iter_mut()
                .zip(row.get().into_iter().flat_map(|row| row.iter()))
            {
                *total += cell.load(Ordering::Relaxed);
            }
        }
    }
}

/// How often a reader tries to get a consistent copy.
const MAX_READS: usize = 1_000;
