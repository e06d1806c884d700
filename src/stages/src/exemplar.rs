//! The last traced operation in every range of durations, by operation and lane, so that a point of a
//! histogram leads to a trace.
//!
//! Only operations that a tracer has sampled are offered; an offer never waits.

use std::sync::Mutex;

use crate::ends::PackedEnd;
use crate::facts::End;
use crate::operation::{Lane, Operation};
use crate::recorder::{Origin, Recorder};
use crate::series::Key;

/// One traced operation.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Exemplar {
    /// Of the trace.
    pub trace_id: [u8; 16],
    /// Of the operation's span.
    pub span_id: [u8; 8],
    /// How long it took.
    pub nanos: u64,
    /// When it ended, in seconds since 1970.
    pub unix_seconds: f64,
    /// What tells its series from others.
    series: u64,
}

/// Ranges are doublings: 2^RANGES ns is longer than anybody waits.
const RANGES: usize = 40;

type Slots = [Option<Exemplar>; RANGES];

struct Row(Mutex<Option<Box<Slots>>>);

static ROWS: [[Row; Lane::COUNT]; Operation::COUNT] =
    [const { [const { Row(Mutex::new(None)) }; Lane::COUNT] }; Operation::COUNT];

fn range_of(nanos: u64) -> usize {
    (nanos.max(1).ilog2() as usize).min(RANGES - 1)
}

/// Offers a traced operation that has ended: `nanos` is how long it took, `unix_seconds` when it ended.
/// While another one is being taken, it is left out.
pub fn offer(
    recorder: &Recorder,
    end: &End,
    (trace_id, span_id): ([u8; 16], [u8; 8]),
    nanos: u64,
    unix_seconds: f64,
) {
    let target = recorder.facts.subject.target;
    let key = Key::new(
        target,
        recorder.only_node().unwrap_or(recorder.facts.node),
        PackedEnd::of(end),
        false,
        false,
    );
    let exemplar = Exemplar {
        trace_id,
        span_id,
        nanos,
        unix_seconds,
        series: key.bits(),
    };
    keep(recorder.origin(), exemplar);
}

fn keep(origin: Origin, exemplar: Exemplar) {
    let row = &ROWS[origin.operation as usize][origin.lane as usize];
    if let Ok(mut slots) = row.0.try_lock() {
        let slots = slots.get_or_insert_with(|| Box::new([None; RANGES]));
        slots[range_of(exemplar.nanos)] = Some(exemplar);
    }
}

/// What is kept of an operation on a lane, the shortest first; nothing while one is being taken.
#[must_use]
pub fn kept(operation: Operation, lane: Lane) -> Vec<Exemplar> {
    let row = &ROWS[operation as usize][lane as usize];
    let Ok(slots) = row.0.try_lock() else {
        return Vec::new();
    };
    let slots = slots.iter().flat_map(|slots| slots.iter());
    slots.flatten().copied().collect()
}

impl Exemplar {
    /// Whether it is one of the operations of a series.
    #[must_use]
    pub fn is_of(&self, series: &crate::series::SeriesTotals<'_>) -> bool {
        series.identity() == self.series
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::operation::Outcome;

    #[test]
    fn the_last_of_each_range_is_kept() {
        let (operation, lane) = (Operation::Touch, Lane::Asyncio);
        let mut recorder = Recorder::start(operation, lane, 10);
        let _ = recorder.close(Outcome::Ok, 1_000);
        for (trace, nanos) in [(1, 1_000), (2, 1_020), (3, 5_000_000), (4, u64::MAX)] {
            offer(&recorder, &End::OK, ([trace; 16], [trace; 8]), nanos, 7.5);
        }
        let traces: Vec<u8> = kept(operation, lane)
            .iter()
            .map(|kept| kept.trace_id[0])
            .collect();
        assert_eq!(traces, [2, 3, 4]);
        assert!(kept(operation, Lane::Sync).is_empty());
    }
}
