//! The contract with the unmodified driver: which events an operation passes, in which order,
//! and that the stages made from them say what happened. A new version of the driver that
//! behaves differently fails here.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that cannot go on fails"
)]

mod support;

use std::time::Duration;

use aerospike_core::operations;
use aerospike_core::{
    as_bin, BatchOperation, BatchPolicy, BatchReadPolicy, Bins, ClientPolicy, ReadPolicy,
    WritePolicy,
};
use aerospike_embedded::CommandKind;
use aerospike_stages::{Event, Operation, Stage};
use support::{key, largest, milestones, stage, Bench};

const WRITTEN: Event = Event::WriteEnd {
    bytes: 0,
    complete: true,
};
const READ: Event = Event::ReadEnd { bytes: 0 };

fn fault(bench: &Bench, node: Option<usize>, kind: CommandKind, spec: &str) {
    bench
        .cluster
        .set_fault(node, kind, spec.parse().unwrap())
        .unwrap();
}

/// The command that every single-record operation is, with the reply's reads at the end.
fn assert_single_command(events: &[Event]) {
    let milestones = milestones(events);
    assert_eq!(
        milestones[..4],
        [Event::FirstPoll, Event::Probe, Event::WriteBegin, WRITTEN],
        "{events:?}"
    );
    let reads = &milestones[4..];
    assert!(
        !reads.is_empty() && reads.len().is_multiple_of(2),
        "{events:?}"
    );
    assert!(
        reads.chunks(2).all(|pair| pair == [Event::ReadBegin, READ]),
        "{events:?}"
    );
}

#[test]
fn single_record_commands_pass_the_same_events() {
    for nodes in [1, 3] {
        Bench::each(nodes, |bench| {
            let got = bench.get(7, &ReadPolicy::default());
            assert_eq!(got.value.unwrap().bins.len(), 2);
            assert_single_command(&got.events);
            let bins = [as_bin!("number", 1)];
            let put = bench.record(
                Operation::Put,
                bench.client.put(&WritePolicy::default(), &key(7), &bins),
            );
            put.value.unwrap();
            assert_single_command(&put.events);
            let bin = as_bin!("number", 5);
            let ops = [operations::add(&bin), operations::get_bin("number")];
            let operated = bench.record(
                Operation::Operate,
                bench.client.operate(&WritePolicy::default(), &key(7), &ops),
            );
            operated.value.unwrap();
            assert_single_command(&operated.events);
            assert_eq!(operated.summary.attempts, 1);
        });
    }
}

#[test]
fn stages_add_up_to_a_clock_from_outside() {
    Bench::each(1, |bench| {
        let mut differences: Vec<f64> = (0..300)
            .map(|i| {
                let got = bench.get(i % 200, &ReadPolicy::default());
                let stages: u64 = got.summary.stages.iter().sum();
                1.0 - stages as f64 / got.outside.as_nanos() as f64
            })
            .collect();
        differences.sort_by(f64::total_cmp);
        let median = differences[differences.len() / 2];
        assert!(
            (-0.02..=0.05).contains(&median),
            "stages miss {:.2} % of the outside clock",
            median * 100.0
        );
    });
}

#[test]
fn a_delay_before_the_reply_is_network_wait() {
    Bench::each(1, |bench| {
        fault(bench, None, CommandKind::Read, "delay=40ms");
        let got = bench.get(3, &ReadPolicy::default());
        got.value.unwrap();
        let waited = stage(&got.summary, Stage::NetworkWait);
        assert!(waited >= Duration::from_millis(39), "{waited:?}");
        assert_eq!(largest(&got.summary), Stage::NetworkWait);
        assert!(stage(&got.summary, Stage::NetworkRead) < Duration::from_millis(20));
    });
}

#[test]
fn a_dribbled_reply_is_network_read() {
    Bench::each(1, |bench| {
        fault(bench, None, CommandKind::Read, "dribble=16,10ms");
        let got = bench.get(3, &ReadPolicy::default());
        got.value.unwrap();
        let read = stage(&got.summary, Stage::NetworkRead);
        assert!(read >= Duration::from_millis(15), "{read:?}");
        assert_eq!(largest(&got.summary), Stage::NetworkRead);
        assert!(got.events.contains(&Event::ReadPending { replied: true }));
    });
}

#[test]
fn a_very_large_reply_stays_bounded_and_adds_up() {
    Bench::each(1, |bench| {
        let blob = aerospike_core::Value::from(vec![7u8; 900_000]);
        let bins = [aerospike_core::Bin::new("blob".to_string(), blob)];
        let put = bench.record(
            Operation::Put,
            bench.client.put(&WritePolicy::default(), &key(1), &bins),
        );
        put.value.unwrap();
        let got = bench.get(1, &ReadPolicy::default());
        got.value.unwrap();
        assert!(got.summary.segments.len() < 2 * aerospike_stages::timeline::MAX_MARKS);
        assert!(got.summary.stage(Stage::NetworkRead) > 0);
    });
}

fn batch_of(count: i64) -> Vec<BatchOperation> {
    (0..count)
        .map(|i| BatchOperation::read(&BatchReadPolicy::default(), key(i), Bins::All))
        .collect()
}

#[test]
fn a_batch_has_a_track_per_node() {
    for nodes in [1, 3] {
        Bench::each(nodes, |bench| {
            let mut operations = batch_of(200);
            let batch = bench.record(
                Operation::BatchRead,
                bench.client.batch(&BatchPolicy::default(), &mut operations),
            );
            batch.value.unwrap();
            assert!(operations
                .iter()
                .all(|operation| operation.record().is_some()));
            assert_eq!(batch.track_events.len(), nodes);
            for events in &batch.track_events {
                let milestones = milestones(events);
                assert_eq!(
                    milestones[..4],
                    [Event::FirstPoll, Event::Probe, Event::WriteBegin, WRITTEN]
                );
                assert!(milestones[4..]
                    .chunks(2)
                    .all(|pair| pair == [Event::ReadBegin, READ]));
            }
            assert_eq!(
                milestones(&batch.events)
                    .iter()
                    .filter(|event| **event == Event::JoinReady)
                    .count(),
                nodes
            );
            assert_eq!(batch.summary.attempts as usize, nodes);
        });
    }
}

#[test]
fn the_slowest_node_is_the_critical_path() {
    Bench::each(3, |bench| {
        fault(bench, Some(1), CommandKind::BatchRead, "delay=60ms");
        fault(bench, Some(2), CommandKind::BatchRead, "delay=30ms");
        let mut operations = batch_of(200);
        let batch = bench.record(
            Operation::BatchRead,
            bench.client.batch(&BatchPolicy::default(), &mut operations),
        );
        batch.value.unwrap();
        let waited = stage(&batch.summary, Stage::NetworkWait);
        assert!(waited >= Duration::from_millis(55), "{waited:?}");
        assert!(
            waited <= batch.outside,
            "{waited:?} of {:?}: waits were counted twice",
            batch.outside
        );
        let slow = bench.cluster.addresses()[1].to_string();
        let mut at_slow = 0;
        batch.summary.per_node(|node, stage, nanos| {
            if node.name() == slow && stage == Stage::NetworkWait {
                at_slow += nanos;
            }
        });
        assert!(at_slow >= 55_000_000, "{at_slow} ns at {slow}");
    });
}

#[test]
fn a_server_error_dies_in_decode() {
    Bench::each(1, |bench| {
        let missing = bench.get(999_999, &ReadPolicy::default());
        assert!(missing.value.is_err());
        assert_eq!(missing.summary.failed_in, Some(Stage::Decode));
        assert_single_command(&missing.events);
    });
}

#[test]
fn a_timeout_dies_in_the_wait() {
    Bench::each(1, |bench| {
        fault(bench, None, CommandKind::Read, "stall");
        let mut policy = ReadPolicy::default();
        policy.base_policy.total_timeout = 80;
        policy.base_policy.socket_timeout = 80;
        policy.base_policy.max_retries = 0;
        let got = bench.get(3, &policy);
        assert!(got.value.is_err());
        assert_eq!(got.summary.failed_in, Some(Stage::NetworkWait));
        assert!(got.events.contains(&Event::DeadlinePassed));
        let waited = stage(&got.summary, Stage::NetworkWait);
        assert!(waited >= Duration::from_millis(75), "{waited:?}");
    });
}

#[test]
fn a_retry_is_another_attempt_with_its_backoff() {
    Bench::each(1, |bench| {
        fault(bench, None, CommandKind::Read, "resetx1");
        let mut policy = ReadPolicy::default();
        policy.base_policy.sleep_between_retries = 30;
        policy.base_policy.max_retries = 3;
        let got = bench.get(3, &policy);
        got.value.unwrap();
        assert_eq!(got.summary.attempts, 2);
        assert!(got.events.contains(&Event::StreamFailed));
        assert!(got.events.contains(&Event::PacingEnd));
        let slept = stage(&got.summary, Stage::Backoff);
        assert!(slept >= Duration::from_millis(29), "{slept:?}");
        assert_eq!(got.summary.failed_in, None);
    });
}

#[test]
fn an_exhausted_pool_is_backoff() {
    let policy = ClientPolicy {
        max_conns_per_node: 1,
        conn_pools_per_node: 1,
        ..ClientPolicy::default()
    };
    Bench::each_with_policy(1, &policy, |bench| {
        fault(bench, None, CommandKind::Read, "delay=60ms");
        let holder = std::sync::Arc::new(());
        let got = std::thread::scope(|scope| {
            let first = holder.clone();
            scope.spawn(|| {
                let _held = first;
                bench
                    .runtime
                    .block_on(bench.client.get(&ReadPolicy::default(), &key(1), Bins::All))
                    .unwrap();
            });
            while bench.cluster.stats(0).commands_of(CommandKind::Read) == 0 {
                std::thread::sleep(Duration::from_millis(1));
            }
            bench.get(2, &ReadPolicy::default())
        });
        got.value.unwrap();
        let slept = stage(&got.summary, Stage::Backoff);
        assert!(slept >= Duration::from_millis(20), "{slept:?}");
    });
}

#[test]
fn background_tasks_leave_no_trace_in_an_operation() {
    let policy = ClientPolicy {
        min_conns_per_node: 0,
        ..ClientPolicy::default()
    };
    Bench::each_with_policy(1, &policy, |bench| {
        fault(bench, None, CommandKind::Read, "delay=50ms");
        // The first of these finds a connection; the others make the driver open more of them in
        // tasks that nobody joins.
        std::thread::scope(|scope| {
            for i in 0..6 {
                scope.spawn(move || {
                    let got = bench.get(i, &ReadPolicy::default());
                    got.value.unwrap();
                    assert!(got.track_events.is_empty());
                    assert_eq!(got.summary.attempts, 1);
                });
            }
        });
    });
}

#[test]
fn a_batch_that_is_given_up_waited_for_what_its_nodes_waited_for() {
    Bench::each(3, |bench| {
        fault(bench, Some(1), CommandKind::BatchRead, "delay=200ms");
        let mut operations = batch_of(200);
        let policy = BatchPolicy::default();
        let given_up = bench.record_until(
            Duration::from_millis(60),
            Operation::BatchRead,
            bench.client.batch(&policy, &mut operations),
        );
        assert_eq!(given_up.failed_in, Some(Stage::NetworkWait));
        let waited = stage(&given_up, Stage::NetworkWait);
        assert!(waited >= Duration::from_millis(40), "{waited:?}");
        let slow = bench.cluster.addresses()[1].to_string();
        let mut nodes = Vec::new();
        given_up.per_node(|node, stage, _| {
            if stage == Stage::NetworkWait {
                nodes.push(node.name());
            }
        });
        assert_eq!(nodes.last(), Some(&slow));
    });
}
