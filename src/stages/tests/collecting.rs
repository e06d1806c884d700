//! Collecting from many threads at once: nothing is lost, nothing is counted twice, and shards
//! are handed on from thread to thread.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that cannot go on fails"
)]

use aerospike_stages::collector::{begin, finish, record_deferred, set_enabled, totals, Totals};
use aerospike_stages::{End, Event, Lane, NodeId, Operation, Outcome, Stage};

/// A get or put that waits for the network for `wait` nanoseconds, added up.
fn record(operation: Operation, outcome: Outcome, wait: u64) {
    let mut recorder = begin(operation, Lane::Sync, 0);
    recorder.on(Event::FirstPoll, 100);
    recorder.on(Event::Probe, 200);
    recorder.on(Event::WriteBegin, 300);
    recorder.on(
        Event::WriteEnd {
            bytes: 1,
            complete: true,
        },
        400,
    );
    recorder.on(Event::ReadBegin, 400 + wait);
    finish(recorder, End::of(outcome), 500 + wait, true);
}

fn totals_of(operation: Operation) -> Option<Totals> {
    totals()
        .into_iter()
        .find(|totals| totals.operation == operation && totals.lane == Lane::Sync)
}

#[test]
fn every_operation_of_every_thread_is_counted_once() {
    const THREADS: u64 = 8;
    const EACH: u64 = 5_000;
    for _round in 0..2 {
        std::thread::scope(|scope| {
            for _ in 0..THREADS {
                scope.spawn(|| {
                    (0..EACH).for_each(|i| record(Operation::Get, Outcome::Ok, 1_000 + i))
                });
            }
        });
    }
    let totals = totals_of(Operation::Get).unwrap();
    let all = 2 * THREADS * EACH;
    assert_eq!(totals.wall.count(), all);
    assert_eq!(totals.outcomes[Outcome::Ok as usize], all);
    let exact = 2 * THREADS * (0..EACH).map(|i| 1_000 + i).sum::<u64>();
    assert_eq!(totals.stages[Stage::NetworkWait.index()].sum, exact);
    assert_eq!(
        totals.wall.sum,
        totals.stages.iter().map(|stage| stage.sum).sum::<u64>()
    );
}

/// What a task does at a node that takes so long to answer.
const STEPS_AT_A_NODE: [(Event, u64); 3] = [
    (Event::FirstPoll, 0),
    (Event::WriteBegin, 10),
    (
        Event::WriteEnd {
            bytes: 1,
            complete: true,
        },
        30,
    ),
];

/// A batch with a task for each of these nodes, which all take so long to answer.
fn record_batch(nodes: &[NodeId], wait: u64) {
    let mut recorder = begin(Operation::BatchOperate, Lane::Sync, 0);
    recorder.on(Event::FirstPoll, 0);
    recorder.on(Event::Spawned, 100);
    for node in nodes {
        let mut track = recorder.start_track(100);
        track.set_node(*node);
        for (event, after) in STEPS_AT_A_NODE {
            track.on(event, 100 + after);
        }
        recorder.adopt(track.into_track(130 + wait));
    }
    if let [node] = nodes {
        recorder.facts.node = *node;
    }
    recorder.on(Event::JoinReady, 140 + wait);
    finish(recorder, End::OK, 150 + wait, true);
}

#[test]
fn batches_share_their_time_out_to_nodes_once() {
    const EACH: u64 = 50;
    let (one, two) = (
        NodeId::intern("collecting-test:1"),
        NodeId::intern("collecting-test:2"),
    );
    for number in 0..EACH {
        record_batch(&[one], 1_000 + number);
        record_batch(&[one, two], 2_000 + number);
    }
    // One that is too long to be kept for a moment.
    record_batch(&[two], 1 << 33);
    let totals = totals_of(Operation::BatchOperate).unwrap();
    assert_eq!(totals.wall.count(), 2 * EACH + 1);
    let all: u64 = totals.stages.iter().map(|stage| stage.sum).sum();
    assert_eq!(totals.wall.sum, all);
    let at = |node: NodeId, stage: Stage| totals.nodes[node.index()][stage.index()];
    // Of two nodes with the same times, one is the critical path, and the other counts nowhere.
    let waited = at(one, Stage::NetworkWait) + at(two, Stage::NetworkWait);
    assert_eq!(waited, totals.stages[Stage::NetworkWait.index()].sum);
    let alone: u64 = (0..EACH).map(|number| 1_000 + number).sum();
    let together: u64 = (0..EACH).map(|number| 2_000 + number).sum();
    assert_eq!(waited, alone + together + (1 << 33));
    assert_eq!(
        at(one, Stage::NetworkWrite) + at(two, Stage::NetworkWrite),
        20 * (2 * EACH + 1)
    );
    assert!(at(one, Stage::NetworkWait) >= alone && at(two, Stage::NetworkWait) >= 1 << 33);
}

#[test]
fn a_snapshot_taken_meanwhile_adds_up() {
    struct End<'a>(&'a std::sync::atomic::AtomicBool);
    impl Drop for End<'_> {
        fn drop(&mut self) {
            self.0.store(true, std::sync::atomic::Ordering::Relaxed);
        }
    }
    let done = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        // Also when an assertion fails, so that nobody waits for the others for ever.
        let _end = End(&done);
        for _ in 0..2 {
            scope.spawn(|| {
                // Who never pauses keeps a reader from an exact copy; operations take longer than to write them down.
                while !done.load(std::sync::atomic::Ordering::Relaxed) {
                    (0..50).for_each(|_| record(Operation::Exists, Outcome::Ok, 900));
                    std::thread::sleep(std::time::Duration::from_millis(2));
                }
            });
        }
        let mut seen = 0;
        while seen < 20_000 {
            let Some(totals) = totals_of(Operation::Exists) else {
                continue;
            };
            let stages: u64 = totals.stages.iter().map(|stage| stage.sum).sum();
            assert_eq!(totals.wall.sum, stages);
            assert_eq!(totals.wall.count(), totals.outcomes.iter().sum::<u64>());
            seen = totals.wall.count();
        }
    });
}

#[test]
fn failures_keep_their_outcome_and_stage() {
    record(Operation::Put, Outcome::Timeout, 50);
    record(Operation::Put, Outcome::NotFound, 50);
    let totals = totals_of(Operation::Put).unwrap();
    assert_eq!(totals.outcomes[Outcome::Timeout as usize], 1);
    assert_eq!(totals.outcomes[Outcome::NotFound as usize], 1);
    assert_eq!(totals.failed_in[Stage::NetworkRead.index()], 2);
}

#[test]
fn since_reports_only_what_came_later() {
    record(Operation::Touch, Outcome::Ok, 10_000);
    let before = totals_of(Operation::Touch).unwrap();
    record(Operation::Touch, Outcome::Ok, 77);
    let since = totals_of(Operation::Touch).unwrap().since(&before);
    assert_eq!(since.wall.count(), 1);
    assert_eq!(since.stages[Stage::NetworkWait.index()].sum, 77);
}

#[test]
fn deferred_conversions_stand_beside_the_wall_time() {
    let recorder = begin(Operation::BatchRead, Lane::Sync, 0);
    let origin = recorder.origin();
    finish(recorder, End::OK, 1_000, false);
    record_deferred(origin, 2_000, 2_333);
    let totals = totals_of(Operation::BatchRead).unwrap();
    assert_eq!((totals.deferred.count(), totals.deferred.sum), (1, 333));
    assert_eq!(totals.wall.sum, 1_000);
}

#[test]
fn the_switch_is_what_it_was_set_to() {
    set_enabled(true);
    assert!(aerospike_stages::is_enabled());
    set_enabled(false);
    assert!(!aerospike_stages::is_enabled());
}
