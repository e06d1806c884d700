//! Everything recorded about an operation on a lane, as a copy at rest: what snapshots and exporters
//! read.

use crate::histogram::Counts;
use crate::node::NodeId;
use crate::operation::{Lane, Operation, Outcome};
use crate::pending::Ended;
use crate::series::{expected, Key, SeriesMap};
use crate::table::Stage;

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
    /// How many keys batches had.
    pub keys: Counts,
    /// Nanoseconds by node and stage.
    pub nodes: Vec<[u64; Stage::COUNT]>,
    /// What `durations` is made of, if that was asked for.
    pub series: Option<SeriesMap>,
}

impl Totals {
    pub(crate) fn empty(operation: Operation, lane: Lane, with_series: bool) -> Self {
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
            keys: Counts::default(),
            nodes: vec![[0; Stage::COUNT]; NodeId::COUNT],
            series: with_series.then(SeriesMap::default),
        }
    }

    /// The same without anything in it.
    pub(crate) fn emptied(&self) -> Self {
        Totals::empty(self.operation, self.lane, self.series.is_some())
    }

    /// Adds durations of operations of one series.
    pub(crate) fn add_series(&mut self, key: Key, add: impl Fn(&mut Counts)) {
        let mut durations = Counts::default();
        add(&mut durations);
        let outcome = key.outcome() as usize;
        let count = durations.count();
        if key.is_staged() {
            self.wall.merge(&durations);
            self.outcomes[outcome] += count;
        }
        if !key.is_measured() {
            return;
        }
        self.durations.merge(&durations);
        self.ended[outcome] += count;
        if let Some(series) = &mut self.series {
            series.of(key).merge(&durations);
        }
    }

    pub(crate) fn add_pending(&mut self, ended: &Ended, stages: Option<&[u64; Stage::COUNT]>) {
        let outcome = ended.end.outcome as usize;
        if ended.measured {
            self.durations.record(ended.wall);
            self.ended[outcome] += 1;
            if let Some(series) = &mut self.series {
                let key = expected(self.operation, self.lane, ended.key());
                series.of(key).record(ended.wall);
            }
        }
        let Some(stages) = stages else { return };
        self.wall.record(ended.wall);
        self.outcomes[outcome] += 1;
        if let Some(stage) = ended.failed_in {
            self.failed_in[stage.index()] += 1;
        }
        for (total, nanos) in self.stages.iter_mut().zip(stages) {
            if *nanos > 0 {
                total.record(*nanos);
            }
        }
        if ended.node != NodeId::NONE && !ended.shared_out {
            for stage in Stage::PER_NODE {
                self.nodes[ended.node.index()][stage.index()] += stages[stage.index()];
            }
        }
    }

    pub(crate) fn merge(&mut self, other: &Totals) {
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
        self.keys.merge(&other.keys);
        if let (Some(mine), Some(theirs)) = (&mut self.series, &other.series) {
            mine.merge(theirs);
        }
        for (mine, theirs) in self.nodes.iter_mut().zip(&other.nodes) {
            add(mine, theirs);
        }
    }

    /// What has been added since `earlier`, without the single series.
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
            keys: self.keys.since(&earlier.keys),
            series: None,
            nodes: self
                .nodes
                .iter()
                .zip(&earlier.nodes)
                .map(|(now, then)| std::array::from_fn(|i| minus(now[i], then[i])))
                .collect(),
        }
    }
}
