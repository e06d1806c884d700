//! The recorder on a virtual clock: exact durations for known event sequences, and the
//! invariants of the partition for arbitrary ones.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that cannot go on fails"
)]

use std::collections::BTreeMap;

use aerospike_stages::invariants::check;
use aerospike_stages::{
    Event, GilWait, Lane, NodeId, Operation, Outcome, Recorder, Stage, Summary,
};
use proptest::prelude::*;

fn expect(summary: &Summary, expected: &[(Stage, u64)]) {
    check(summary).unwrap();
    for stage in Stage::ALL {
        let wanted = expected
            .iter()
            .find(|(of, _)| *of == stage)
            .map_or(0, |(_, nanos)| *nanos);
        assert_eq!(summary.stage(stage), wanted, "{}", stage.name());
    }
}

/// One exchange with a server, starting at `at`; returns when the reply is in memory.
fn exchange(recorder: &mut Recorder, at: u64) -> u64 {
    recorder.on(Event::Probe, at);
    recorder.on(Event::WriteBegin, at + 5);
    recorder.on(
        Event::WriteEnd {
            bytes: 40,
            complete: true,
        },
        at + 12,
    );
    recorder.on(Event::ReadPending { replied: false }, at + 13);
    recorder.on(Event::TimerBegin, at + 14);
    recorder.on(Event::TimerEnd, at + 16);
    recorder.resume(at + 100, at + 110);
    recorder.on(Event::ReadBegin, at + 111);
    recorder.on(Event::ReadEnd { bytes: 30 }, at + 114);
    at + 114
}

#[test]
fn a_sync_get_is_split_exactly() {
    let mut recorder = Recorder::start(Operation::Get, Lane::Sync, 1_000);
    recorder.enter(Stage::Dispatch, 1_020);
    recorder.on(Event::FirstPoll, 1_030);
    let read = exchange(&mut recorder, 1_040);
    recorder.enter(Stage::GilReacquire, read + 6);
    recorder.enter(Stage::ToDict, read + 20);
    let summary = recorder.finish(Outcome::Ok, read + 27);
    expect(
        &summary,
        &[
            (Stage::KeyParse, 20),
            (Stage::Dispatch, 10),
            (Stage::PoolAcquire, 10),
            (Stage::Encode, 5),
            (Stage::NetworkWrite, 7),
            (Stage::TokioTimer, 2),
            (Stage::NetworkWait, 87),
            (Stage::WakeDelay, 10),
            (Stage::NetworkRead, 3),
            (Stage::Decode, 6),
            (Stage::GilReacquire, 14),
            (Stage::ToDict, 7),
        ],
    );
    assert_eq!(summary.wall, 181);
    assert_eq!(summary.attempts, 1);
    assert_eq!(summary.failed_in, None);
}

/// A reply arrives at an idle loop, whose thread then waits for the interpreter before it gets to it.
fn arrive(gil: Option<GilWait>) -> Summary {
    let mut recorder = Recorder::start(Operation::Get, Lane::Asyncio, 0);
    recorder.on(Event::FirstPoll, 0);
    recorder.on(Event::Probe, 0);
    recorder.on(Event::ReadPending { replied: false }, 0);
    recorder.on(Event::Arrived, 100);
    recorder.split_loop_wait(gil);
    recorder.on(Event::ReadBegin, 200);
    recorder.finish(Outcome::Ok, 210)
}

#[test]
fn a_wait_for_the_loop_is_split_where_its_thread_waited_for_the_interpreter() {
    let rest = [(Stage::NetworkWait, 100), (Stage::NetworkRead, 10)];
    let cases = [
        (None, 100, 0),
        (Some((110, 150)), 60, 40),
        // It had been waiting already when the reply came.
        (Some((20, 130)), 70, 30),
        // What it waited for before the reply came is none of the operation's business.
        (Some((20, 100)), 100, 0),
        (Some((100, 200)), 0, 100),
    ];
    for (gil, loop_wait, gil_reacquire) in cases {
        let summary = arrive(gil.map(|(from, until)| GilWait { from, until }));
        let waits = [
            (Stage::LoopWait, loop_wait),
            (Stage::GilReacquire, gil_reacquire),
        ];
        expect(&summary, &[rest, waits].concat());
    }
}

#[test]
fn an_operation_that_the_loop_resumes_is_split_as_well() {
    let mut recorder = Recorder::start(Operation::Get, Lane::Asyncio, 0);
    recorder.on(Event::FirstPoll, 0);
    recorder.wait_in(Stage::Backoff, 0);
    let gil = GilWait {
        from: 60,
        until: 90,
    };
    recorder.resume_on_loop(50, Some(gil), 100);
    let summary = recorder.finish(Outcome::Ok, 100);
    let expected = [
        (Stage::Backoff, 50),
        (Stage::LoopWait, 20),
        (Stage::GilReacquire, 30),
    ];
    expect(&summary, &expected);
}

#[test]
fn waits_between_segments_of_a_reply_are_reading() {
    let mut recorder = Recorder::start(Operation::Get, Lane::Sync, 0);
    recorder.on(Event::FirstPoll, 0);
    let read = exchange(&mut recorder, 0);
    recorder.on(Event::ReadPending { replied: true }, read + 1);
    recorder.resume(read + 201, read + 201);
    recorder.on(Event::ReadBegin, read + 202);
    recorder.on(Event::ReadEnd { bytes: 10 }, read + 204);
    let summary = recorder.finish(Outcome::Ok, read + 210);
    check(&summary).unwrap();
    assert_eq!(summary.stage(Stage::NetworkRead), 3 + 203);
    assert_eq!(summary.stage(Stage::NetworkWait), 87);
    assert_eq!(summary.stage(Stage::Decode), 1 + 6);
}

#[test]
fn time_that_nobody_explains_is_unattributed() {
    let mut recorder = Recorder::start(Operation::Get, Lane::Sync, 0);
    recorder.on(Event::FirstPoll, 10);
    recorder.settle(20);
    recorder.resume(70, 75);
    let summary = recorder.finish(Outcome::Ok, 80);
    expect(
        &summary,
        &[
            (Stage::KeyParse, 10),
            (Stage::PoolAcquire, 15),
            (Stage::Unattributed, 50),
            (Stage::WakeDelay, 5),
        ],
    );
}

#[test]
fn a_poll_that_ends_pending_waits_for_what_is_still_open() {
    let mut recorder = Recorder::start(Operation::BatchRead, Lane::Sync, 0);
    recorder.on(Event::FirstPoll, 0);
    recorder.on(Event::JoinPending, 10);
    recorder.resume(50, 55);
    recorder.still_waits_in(Stage::FanIn);
    recorder.on(Event::JoinReady, 60);
    assert!(!recorder.is_settled());
    recorder.settle(63);
    recorder.resume(100, 101);
    recorder.on(Event::JoinReady, 102);
    let summary = recorder.finish(Outcome::Ok, 110);
    expect(
        &summary,
        &[
            (Stage::PoolAcquire, 10),
            (Stage::FanIn, 83),
            (Stage::WakeDelay, 6),
            (Stage::Decode, 11),
        ],
    );
}

#[test]
fn a_retry_returns_to_the_pool_and_its_sleep_is_backoff() {
    let mut recorder = Recorder::start(Operation::Put, Lane::Asyncio, 0);
    recorder.on(Event::FirstPoll, 0);
    recorder.on(Event::Probe, 10);
    recorder.on(Event::WriteBegin, 20);
    recorder.on(Event::StreamFailed, 25);
    recorder.on(Event::StreamDropped, 30);
    recorder.on(Event::PacingPending, 31);
    recorder.resume(81, 84);
    recorder.on(Event::PacingEnd, 85);
    let read = exchange(&mut recorder, 90);
    let summary = recorder.finish(Outcome::Ok, read);
    check(&summary).unwrap();
    assert_eq!(summary.stage(Stage::Backoff), 50 + 1);
    assert_eq!(summary.stage(Stage::PoolAcquire), 10 + 1 + 5);
    assert_eq!(summary.attempts, 2);
    assert_eq!(summary.failed_in, None);
}

#[test]
fn a_failure_keeps_the_stage_it_died_in() {
    let mut recorder = Recorder::start(Operation::Get, Lane::Sync, 0);
    recorder.on(Event::FirstPoll, 0);
    recorder.on(Event::Probe, 5);
    recorder.on(Event::WriteBegin, 6);
    recorder.on(
        Event::WriteEnd {
            bytes: 1,
            complete: true,
        },
        7,
    );
    recorder.on(Event::ReadPending { replied: false }, 8);
    recorder.resume(1_000, 1_001);
    recorder.on(Event::TimerBegin, 1_002);
    recorder.on(Event::TimerEnd, 1_003);
    recorder.on(Event::DeadlinePassed, 1_003);
    recorder.on(Event::StreamDropped, 1_004);
    recorder.enter(Stage::GilReacquire, 1_010);
    let summary = recorder.finish(Outcome::Timeout, 1_011);
    check(&summary).unwrap();
    assert_eq!(summary.failed_in, Some(Stage::NetworkWait));
}

fn track_of(
    parent: &mut Recorder,
    spawned: u64,
    polled: u64,
    wait: u64,
) -> (aerospike_stages::track::Track, u64) {
    let mut track = parent.start_track(spawned);
    track.on(Event::FirstPoll, polled);
    track.on(Event::Probe, polled + 10);
    track.on(Event::WriteBegin, polled + 20);
    track.on(
        Event::WriteEnd {
            bytes: 1,
            complete: true,
        },
        polled + 25,
    );
    track.on(Event::ReadPending { replied: false }, polled + 25);
    track.resume(polled + 25 + wait, polled + 25 + wait);
    track.on(Event::ReadBegin, polled + 25 + wait);
    track.on(Event::ReadEnd { bytes: 1 }, polled + 35 + wait);
    let end = polled + 40 + wait;
    (track.into_track(end), end)
}

#[test]
fn a_fan_out_shows_its_critical_path_once() {
    let mut recorder = Recorder::start(Operation::BatchRead, Lane::Asyncio, 0);
    recorder.on(Event::FirstPoll, 100);
    // Spawned at 150 and 160, polled before the operation starts to wait at 200: the 40 ns in
    // which both ran belong to the operation's own stage and must not be counted again.
    let (fast, fast_end) = track_of(&mut recorder, 150, 160, 100);
    let (slow, slow_end) = track_of(&mut recorder, 160, 170, 1_000);
    recorder.on(Event::JoinPending, 200);
    recorder.resume(fast_end + 2, fast_end + 4);
    recorder.adopt(fast);
    recorder.on(Event::JoinReady, fast_end + 4);
    recorder.on(Event::JoinPending, fast_end + 5);
    recorder.resume(slow_end + 3, slow_end + 8);
    recorder.adopt(slow);
    recorder.on(Event::JoinReady, slow_end + 8);
    let summary = recorder.finish(Outcome::Ok, slow_end + 20);
    expect(
        &summary,
        &[
            (Stage::KeyParse, 100),
            (Stage::PoolAcquire, 100),
            // The slow track wrote from 190 to 195, before the operation waited.
            (Stage::NetworkWait, 1_000 - 5),
            (Stage::NetworkRead, 10),
            (Stage::Decode, 5 + 12),
            (Stage::FanIn, 3),
            (Stage::WakeDelay, 5),
        ],
    );
    assert_eq!(summary.attempts, 2);
}

#[test]
fn tracks_that_end_before_the_operation_looks_are_the_critical_path_too() {
    let mut recorder = Recorder::start(Operation::BatchRead, Lane::Sync, 0);
    recorder.on(Event::FirstPoll, 0);
    recorder.on(Event::Spawned, 100);
    let (track, end) = track_of(&mut recorder, 105, 120, 300);
    // The thread that spawned was pushed aside by the one that ran the task.
    recorder.adopt(track);
    recorder.on(Event::JoinReady, end + 50);
    let summary = recorder.finish(Outcome::Ok, end + 60);
    expect(
        &summary,
        &[
            (Stage::PoolAcquire, 100 + 10),
            (Stage::FanIn, 5 + 50),
            (Stage::WakeDelay, 15),
            (Stage::Encode, 10),
            (Stage::NetworkWrite, 5),
            (Stage::NetworkWait, 300),
            (Stage::NetworkRead, 10),
            (Stage::Decode, 5 + 10),
        ],
    );
}

#[test]
fn waiting_for_the_gil_while_awake_is_not_a_wake_delay() {
    let waiting = || {
        let mut recorder = Recorder::start(Operation::Get, Lane::Sync, 0);
        recorder.on(Event::FirstPoll, 0);
        recorder.on(Event::ReadPending { replied: false }, 10);
        recorder
    };
    // Woken at 60, while the thread waited for the GIL from 50 to 100.
    let mut recorder = waiting();
    recorder.resume_after_gil(60, 50, 100, 103);
    let summary = recorder.finish(Outcome::Ok, 103);
    expect(
        &summary,
        &[
            (Stage::PoolAcquire, 10),
            (Stage::NetworkWait, 50),
            (Stage::GilReacquire, 40),
            (Stage::WakeDelay, 3),
        ],
    );
    // Woken at 120: what the thread did before was waiting for the network.
    let mut recorder = waiting();
    recorder.resume_after_gil(120, 50, 100, 123);
    let summary = recorder.finish(Outcome::Ok, 123);
    expect(
        &summary,
        &[
            (Stage::PoolAcquire, 10),
            (Stage::NetworkWait, 110),
            (Stage::WakeDelay, 3),
        ],
    );
    // Woken at 40, and only then waiting for the GIL.
    let mut recorder = waiting();
    recorder.resume_after_gil(40, 50, 100, 103);
    let summary = recorder.finish(Outcome::Ok, 103);
    expect(
        &summary,
        &[
            (Stage::PoolAcquire, 10),
            (Stage::NetworkWait, 30),
            (Stage::GilReacquire, 50),
            (Stage::WakeDelay, 13),
        ],
    );
}

#[test]
fn a_dead_connection_at_checkout_is_no_attempt() {
    let mut recorder = Recorder::start(Operation::Get, Lane::Sync, 0);
    recorder.on(Event::FirstPoll, 0);
    recorder.on(Event::Probe, 10);
    recorder.on(Event::StreamDropped, 12);
    recorder.on(Event::PacingPending, 20);
    let summary = recorder.finish(Outcome::Timeout, 100);
    check(&summary).unwrap();
    assert_eq!(summary.attempts, 0);
    assert_eq!(summary.failed_in, Some(Stage::Backoff));
}

#[test]
fn a_track_that_never_joins_counts_nowhere() {
    let mut recorder = Recorder::start(Operation::BatchRead, Lane::Sync, 0);
    recorder.on(Event::FirstPoll, 0);
    let (_abandoned, _) = track_of(&mut recorder, 10, 20, 500);
    recorder.on(Event::JoinPending, 50);
    recorder.resume(650, 660);
    recorder.on(Event::JoinReady, 661);
    let summary = recorder.finish(Outcome::Ok, 700);
    expect(
        &summary,
        &[
            (Stage::PoolAcquire, 50),
            (Stage::FanIn, 601),
            (Stage::WakeDelay, 10),
            (Stage::Decode, 39),
        ],
    );
}

#[test]
fn time_on_a_node_is_added_up_for_that_node() {
    let node = NodeId::intern("partition-test:3000");
    let mut recorder = Recorder::start(Operation::Get, Lane::Sync, 0);
    recorder.on(Event::FirstPoll, 0);
    recorder.set_node(node);
    let read = exchange(&mut recorder, 10);
    let summary = recorder.finish(Outcome::Ok, read);
    let mut waited = 0;
    summary.per_node(|of, stage, nanos| {
        assert_eq!(of, node);
        assert!(stage.describe().per_node);
        if stage == Stage::NetworkWait {
            waited += nanos;
        }
    });
    assert_eq!(waited, 87);
}

#[derive(Debug, Clone)]
enum Step {
    Event(Event),
    Enter(Stage),
    Resume,
    LookAgain,
    Settle,
    Node(usize),
    Track(Vec<(u64, Event)>),
}

/// Does what a step says; whatever other processors have stamped is `skew` late.
fn take(step: &Step, recorder: &mut Recorder, now: u64, skew: u64) {
    match step {
        Step::Event(event) => recorder.on(*event, now),
        Step::Enter(stage) => recorder.enter(*stage, now),
        // A wake-up can be stamped by another processor whose clock runs a little apart.
        Step::Resume => recorder.resume(now.saturating_sub(skew), now),
        Step::LookAgain => recorder.look_again(|| now),
        Step::Settle => recorder.settle(now),
        Step::Node(number) => {
            recorder.set_node(NodeId::intern(&format!("partition-test-{number}:3000")));
        }
        Step::Track(events) => {
            let mut track = recorder.start_track(now.saturating_sub(skew));
            let mut at = now;
            for (passed, event) in events {
                at += passed;
                track.on(*event, at);
            }
            recorder.adopt(track.into_track(at + 1));
        }
    }
}

fn any_event() -> impl Strategy<Value = Event> {
    prop_oneof![
        Just(Event::FirstPoll),
        Just(Event::Probe),
        Just(Event::TimerBegin),
        Just(Event::TimerEnd),
        Just(Event::DeadlinePassed),
        Just(Event::WriteBegin),
        any::<bool>().prop_map(|complete| Event::WriteEnd { bytes: 1, complete }),
        Just(Event::WritePending),
        any::<bool>().prop_map(|replied| Event::ReadPending { replied }),
        Just(Event::ReadBegin),
        Just(Event::ReadEnd { bytes: 1 }),
        Just(Event::StreamFailed),
        Just(Event::StreamDropped),
        Just(Event::PacingPending),
        Just(Event::PacingEnd),
        Just(Event::Spawned),
        Just(Event::JoinPending),
        Just(Event::JoinReady),
    ]
}

fn any_step_but_tracks() -> impl Strategy<Value = Step> {
    prop_oneof![
        12 => any_event().prop_map(Step::Event),
        2 => (0..Stage::COUNT).prop_map(|index| Step::Enter(Stage::ALL[index])),
        4 => Just(Step::Resume),
        2 => Just(Step::LookAgain),
        2 => Just(Step::Settle),
        1 => (0usize..3).prop_map(Step::Node),
    ]
}

fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        11 => any_step_but_tracks(),
        1 => prop::collection::vec((0u64..200, any_event()), 0..12).prop_map(Step::Track),
    ]
}

/// Nanoseconds by stage, and those on nodes by node.
fn times(recorder: &Recorder) -> BTreeMap<(Stage, NodeId), u64> {
    let mut times = BTreeMap::new();
    recorder.visit(|segment| {
        *times.entry((segment.stage, segment.node)).or_default() += segment.end - segment.start;
    });
    times
}

proptest! {
    #[test]
    fn any_sequence_of_events_is_a_partition(
        steps in prop::collection::vec((0u64..300, any_step()), 0..800),
        start in 0u64..1_000_000,
        skew in 0u64..500,
        sums_only in any::<bool>(),
    ) {
        let mut recorder = Recorder::start(Operation::BatchRead, Lane::Asyncio, start);
        if sums_only {
            recorder.keep_sums();
        }
        let mut now = start;
        for (passed, step) in steps {
            now += passed;
            take(&step, &mut recorder, now, skew);
        }
        let summary = recorder.finish(Outcome::Ok, now);
        prop_assert_eq!(check(&summary), Ok(()));
        if recorder.only_node().is_some() {
            prop_assert_eq!(recorder.sums(), summary.stages);
            prop_assert_eq!(recorder.kept_sums().is_some_and(|sums| *sums != summary.stages), false);
        }
        prop_assert_eq!(summary.stages.iter().sum::<u64>(), summary.wall);
    }

    /// Without the order of stages, every stage and node has the same time as with it.
    #[test]
    fn sums_are_those_of_the_marks(
        steps in prop::collection::vec((0u64..300, any_step_but_tracks()), 0..60),
        start in 0u64..1_000_000,
        skew in 0u64..500,
        shown in any::<bool>(),
    ) {
        let mut both = [(); 2].map(|()| Recorder::start(Operation::Get, Lane::Asyncio, start));
        both[1].keep_sums();
        both.iter_mut().for_each(|recorder| take(&Step::Node(0), recorder, start, skew));
        let mut now = start;
        for (passed, step) in steps {
            now += passed;
            both.iter_mut().for_each(|recorder| take(&step, recorder, now, skew));
        }
        if shown {
            both[1].keep_marks();
        }
        let [ordered, summed] = both.map(|mut recorder| {
            let ending = recorder.close(Outcome::Timeout, now);
            (recorder, ending)
        });
        prop_assert_eq!(summed.1, ordered.1);
        prop_assert_eq!(summed.0.only_node(), ordered.0.only_node());
        prop_assert_eq!(summed.0.sums(), ordered.0.sums());
        if shown || ordered.0.only_node().is_none() {
            prop_assert_eq!(times(&summed.0), times(&ordered.0));
        }
    }
}
