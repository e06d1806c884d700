//! Stage statistics as Python sees them. `reset` remembers where it was and later snapshots
//! report the difference, so the writers are never touched and nothing is lost.

use std::sync::{Mutex, MutexGuard, PoisonError};

use aerospike_stages::collector::{totals, Totals};
use aerospike_stages::histogram::Counts;
use aerospike_stages::{Lane, NodeId, Operation, Outcome, Stage};

/// What had been recorded at the last reset.
pub type Baseline = Vec<Totals>;

static BASELINE: Mutex<Baseline> = Mutex::new(Vec::new());

/// What had been recorded at the last reset, for whoever reads or replaces it.
pub fn lock_baseline() -> MutexGuard<'static, Baseline> {
    BASELINE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Count, sum, p50, p90, p99, p99.9 and maximum, in nanoseconds.
pub type Statistics = (u64, u64, u64, u64, u64, u64, u64);

/// One operation on one lane, in the shape that the Python package unpacks.
pub struct Row {
    pub operation: Operation,
    pub lane: Lane,
    pub outcomes: Vec<(&'static str, u64)>,
    pub failed_in: Vec<(&'static str, u64)>,
    pub wall: Statistics,
    pub stages: Vec<(&'static str, Statistics)>,
    pub deferred: Statistics,
    pub nodes: Vec<(&'static str, String, u64)>,
}

/// What has been recorded since the last reset; with `reset`, the next snapshot starts here.
pub fn take(reset: bool) -> Vec<Row> {
    let mut baseline = lock_baseline();
    let now = totals();
    let rows = now
        .iter()
        .map(|current| {
            match baseline
                .iter()
                .find(|b| b.operation == current.operation && b.lane == current.lane)
            {
                Some(before) => current.since(before),
                None => current.clone(),
            }
        })
        .filter(|totals| totals.wall.count() > 0 || totals.deferred.count() > 0)
        .map(|totals| row(&totals))
        .collect();
    if reset {
        *baseline = now;
    }
    rows
}

fn row(totals: &Totals) -> Row {
    let named = |counts: &[u64], name: fn(usize) -> &'static str| {
        counts
            .iter()
            .enumerate()
            .filter(|(_, count)| **count > 0)
            .map(|(i, count)| (name(i), *count))
            .collect()
    };
    let mut nodes = Vec::new();
    for (index, of_node) in totals.nodes.iter().enumerate() {
        for stage in Stage::ALL {
            let nanos = of_node[stage.index()];
            if nanos > 0 {
                nodes.push((stage.name(), NodeId::from_index(index).name(), nanos));
            }
        }
    }
    Row {
        operation: totals.operation,
        lane: totals.lane,
        outcomes: named(&totals.outcomes, |i| Outcome::ALL[i].name()),
        failed_in: named(&totals.failed_in, |i| Stage::ALL[i].name()),
        wall: statistics(&totals.wall),
        stages: Stage::ALL
            .iter()
            .filter(|stage| totals.stages[stage.index()].sum > 0)
            .map(|stage| (stage.name(), statistics(&totals.stages[stage.index()])))
            .collect(),
        deferred: statistics(&totals.deferred),
        nodes,
    }
}

fn statistics(counts: &Counts) -> Statistics {
    (
        counts.count(),
        counts.sum,
        counts.percentile(0.5),
        counts.percentile(0.9),
        counts.percentile(0.99),
        counts.percentile(0.999),
        counts.max,
    )
}
