//! What one thread has recorded: histograms and counters that it writes without locks and without
//! locked instructions, and that anybody may read meanwhile.

use std::sync::atomic::{fence, AtomicU64, Ordering};
use std::sync::OnceLock;

use crate::ends::PackedEnd;
use crate::histogram::{bump, Histogram};
use crate::node::NodeId;
use crate::operation::{Lane, Operation};
use crate::pending::{fits, Ended, Pending, Rest};
use crate::recorder::{Ending, Recorder};
use crate::series::{Key, Series};
use crate::sparse::Sparse;
use crate::table::Stage;
use crate::totals::Totals;

/// What one thread has recorded about one operation on one lane. What every operation writes comes first, together.
#[repr(C)]
pub(crate) struct Cells {
    /// Odd while the thread is writing; a reader that saw it change reads again.
    version: AtomicU64,
    operation: Operation,
    lane: Lane,
    /// Those that have not been added to anything below.
    pending: Pending,
    /// Durations of whole operations. Every operation is in one series, so that ending it touches one
    /// histogram of them only.
    series: Series,
    failed_in: [AtomicU64; Stage::COUNT],
    stages: [OnceLock<Histogram>; Stage::COUNT],
    pub(crate) deferred: OnceLock<Histogram>,
    /// How many keys batches had.
    pub(crate) keys: OnceLock<Sparse>,
    nodes: Box<[OnceLock<Box<NodeSums>>]>,
}

/// Where operations belong that have their rest in common.
#[derive(Clone, Copy)]
struct Settled<'a> {
    rest: Rest,
    durations: Option<&'a Sparse>,
    failed_in: Option<Stage>,
    staged: bool,
}

type NodeSums = [AtomicU64; Stage::COUNT];

impl Cells {
    pub(crate) fn new(operation: Operation, lane: Lane) -> Self {
        Cells {
            operation,
            lane,
            pending: Pending::default(),
            series: Series::default(),
            failed_in: Default::default(),
            stages: Default::default(),
            deferred: OnceLock::new(),
            keys: OnceLock::new(),
            nodes: (0..NodeId::COUNT).map(|_| OnceLock::new()).collect(),
            version: AtomicU64::new(0),
        }
    }

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

    /// Takes notice of an operation that has ended and did not take long; its stages matter if it has some.
    #[inline]
    pub(crate) fn end(&self, ended: &Ended, stages: &[u64; Stage::COUNT]) {
        if !self.pending.push(ended, stages) {
            self.settle();
            self.pending.push(ended, stages);
        }
    }

    /// Adds up what is pending.
    #[cold]
    fn settle(&self) {
        let mut last: Option<Settled<'_>> = None;
        let mut nodes = Nodes::default();
        let mut unstaged = 0_u32;
        for (place, (rest, wall)) in self.pending.rests().enumerate() {
            let settled = match last {
                Some(settled) if settled.rest == rest => settled,
                _ => self.settled_as(rest, &mut nodes),
            };
            last = Some(settled);
            if let Some(durations) = settled.durations {
                durations.record(wall);
            }
            if let Some(stage) = settled.failed_in {
                bump(&self.failed_in[stage.index()], 1);
            }
            unstaged |= u32::from(!settled.staged) << place;
        }
        if nodes.any {
            while unstaged != 0 {
                self.pending
                    .forget_stages(unstaged.trailing_zeros() as usize);
                unstaged &= unstaged - 1;
            }
            self.settle_stages(nodes.only());
        }
        self.pending.clear();
    }

    /// Where operations belong that have this in common.
    fn settled_as(&self, rest: Rest, nodes: &mut Nodes) -> Settled<'_> {
        let key = rest.key();
        if key.is_staged() {
            nodes.add(if rest.shared_out() {
                NodeId::NONE
            } else {
                key.node()
            });
        }
        Settled {
            rest,
            durations: self.series.of(self.operation, self.lane, key),
            failed_in: rest.failed_in(),
            staged: key.is_staged(),
        }
    }

    /// One stage of all operations after the other: what a stage's histogram needs is at hand for all of them.
    fn settle_stages(&self, node: Option<NodeId>) {
        let node = node.map(|node| self.of_node(node));
        self.pending.columns(|stage, column| {
            let histogram = self.stages[stage].get_or_init(Histogram::default);
            let sum = histogram.record_all(column.values());
            if let Some(sums) = node.flatten().filter(|_| Stage::ALL[stage].is_per_node()) {
                bump(&sums[stage], sum);
            }
        });
        if node.is_none() {
            for (place, (rest, _)) in self.pending.rests().enumerate() {
                let key = rest.key();
                if key.is_staged() && !rest.shared_out() {
                    self.add_node(key.node(), |stage| self.pending.nanos(place, stage));
                }
            }
        }
    }

    /// Takes notice of a recorded operation that has ended.
    #[inline]
    pub(crate) fn end_recorded(
        &self,
        recorder: &Recorder,
        ending: &Ending,
        end: PackedEnd,
        measured: bool,
    ) {
        let mut ended = Ended {
            staged: true,
            node: recorder.facts.node,
            wall: ending.wall,
            target: recorder.facts.subject.target,
            end,
            failed_in: ending.failed_in,
            measured,
            shared_out: false,
        };
        if let Some(node) = recorder.only_node() {
            ended.node = node;
            if let Some(stages) = recorder.kept_sums().filter(|_| fits(ended.wall)) {
                return self.end(&ended, stages);
            }
        }
        self.end_with_order(recorder, ended);
    }

    /// The same for one whose stages have an order, or that has taken long.
    #[inline(never)]
    fn end_with_order(&self, recorder: &Recorder, mut ended: Ended) {
        let stages = match recorder.only_node() {
            Some(_) => recorder.sums(),
            None => {
                ended.shared_out = true;
                self.add_segments(recorder)
            }
        };
        if fits(ended.wall) {
            return self.end(&ended, &stages);
        }
        self.end_at_once(&stages, &ended);
    }

    /// Adds an operation that has taken too long to be pending.
    #[cold]
    fn end_at_once(&self, stages: &[u64; Stage::COUNT], ended: &Ended) {
        if !ended.shared_out {
            self.add_node(ended.node, |stage| stages[stage.index()]);
        }
        self.add_stages(stages);
        let key = Key::new(ended.target, ended.node, ended.end, true, ended.measured);
        if let Some(durations) = self.series.of(self.operation, self.lane, key) {
            durations.record(ended.wall);
        }
        if let Some(stage) = ended.failed_in {
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
        let Some(sums) = self.of_node(node) else {
            return;
        };
        for stage in Stage::PER_NODE {
            let nanos = nanos(stage);
            if nanos > 0 {
                bump(&sums[stage.index()], nanos);
            }
        }
    }

    #[inline]
    fn of_node(&self, node: NodeId) -> Option<&NodeSums> {
        (node != NodeId::NONE).then(|| &**self.nodes[node.index()].get_or_init(Box::default))
    }

    /// Gives nodes their share of the time; all of it by stage.
    fn add_segments(&self, recorder: &Recorder) -> [u64; Stage::COUNT] {
        let mut stages = [0; Stage::COUNT];
        // What a batch does by itself, between its tasks, is on no node.
        let mut nowhere = [0; Stage::COUNT];
        let mut nodes = Nodes::default();
        recorder.pieces(|from, until| {
            let (stage, nanos) = (from.stage_index(), until - from.since_start());
            stages[stage] += nanos;
            match from.node() {
                NodeId::NONE => nowhere[stage] += nanos,
                node => nodes.add(node),
            }
        });
        if let Some(node) = nodes.only() {
            let of = |stage: Stage| stages[stage.index()] - nowhere[stage.index()];
            self.add_node(node, of);
        } else {
            recorder.pieces(|from, until| {
                if let Some(sums) = self.of_node(from.node()) {
                    bump(&sums[from.stage_index()], until - from.since_start());
                }
            });
        }
        stages
    }

    /// Adds a consistent copy to `totals`. A writer that never pauses could keep a reader for
    /// ever, so in the end the reader takes what it gets.
    pub(crate) fn read(&self, totals: &mut Totals) {
        for _ in 0..MAX_READS {
            let before = self.version.load(Ordering::Acquire);
            let mut copy = totals.emptied();
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
            .for_each(|(ended, stages)| totals.add_pending(&ended, stages.as_ref()));
        self.series
            .visit(|key, durations| totals.add_series(key, |counts| durations.add_to(counts)));
        if let Some(keys) = self.keys.get() {
            keys.add_to(&mut totals.keys);
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

/// Nodes, as long as they are the same.
#[derive(Default)]
struct Nodes {
    any: bool,
    several: bool,
    node: NodeId,
}

impl Nodes {
    #[inline]
    fn add(&mut self, node: NodeId) {
        self.several |= self.any && self.node != node;
        self.node = node;
        self.any = true;
    }

    /// The one node, or that there is none; `None` if there are several.
    #[inline]
    fn only(&self) -> Option<NodeId> {
        (!self.several).then_some(self.node)
    }
}

/// How often a reader tries to get a consistent copy.
const MAX_READS: usize = 1_000;
