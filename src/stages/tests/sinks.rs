//! Sinks see what has ended, with its facts, and nothing after they have been removed.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that cannot go on fails"
)]

use std::sync::{Arc, Mutex};

use aerospike_stages::collector::{begin, finish, record_deferred};
use aerospike_stages::recorder::Ending;
use aerospike_stages::sink::{self, Sink};
use aerospike_stages::{
    End, Event, Facts, Lane, Operation, Origin, Outcome, Recorder, Subject, Target,
};

/// Keeps operations of one kind, which no other test ends.
struct Kept {
    operation: Operation,
    ended: Mutex<Vec<(Origin, Facts, u64, End)>>,
    converted: Mutex<Vec<(Origin, u64, u64)>>,
}

impl Kept {
    fn those(operation: Operation) -> Arc<Self> {
        Arc::new(Kept {
            operation,
            ended: Mutex::default(),
            converted: Mutex::default(),
        })
    }
}

impl Sink for Kept {
    fn ended(&self, recorder: &Recorder, ending: &Ending, end: &End) {
        if recorder.origin().operation == self.operation {
            let seen = (recorder.origin(), recorder.facts, ending.wall, *end);
            self.ended.lock().unwrap().push(seen);
        }
    }

    fn converted(&self, origin: Origin, start: u64, nanos: u64) {
        if origin.operation == self.operation {
            self.converted.lock().unwrap().push((origin, start, nanos));
        }
    }
}

#[test]
fn a_sink_sees_what_ends_while_it_is_there() {
    let kept = Kept::those(Operation::BatchRead);
    let present: Arc<dyn Sink> = kept.clone();
    let operation = |end: End| {
        let mut recorder = begin(Operation::BatchRead, Lane::Sync, 100);
        recorder.facts.subject = Subject {
            target: Target::of_several("sink-test"),
            sets: 2,
            keys: 7,
        };
        let origin = recorder.origin();
        recorder.on(
            Event::WriteEnd {
                bytes: 30,
                complete: false,
            },
            150,
        );
        recorder.on(
            Event::WriteEnd {
                bytes: 12,
                complete: true,
            },
            160,
        );
        recorder.on(Event::ReadEnd { bytes: 500 }, 170);
        finish(recorder, end, 300, false);
        origin
    };
    operation(End::OK);
    sink::add(present.clone());
    let failed = End {
        error: Some("ServerError"),
        code: Some(4),
        ..End::of(Outcome::ServerError)
    };
    let origin = operation(failed);
    record_deferred(origin, 400, 450);
    sink::remove(&present);
    operation(End::OK);

    let ended = kept.ended.lock().unwrap();
    let [(seen, facts, wall, end)] = ended.as_slice() else {
        panic!("one operation was to be seen, not {}", ended.len());
    };
    assert_eq!((*seen, *wall, *end), (origin, 200, failed));
    assert_eq!((facts.bytes_sent, facts.bytes_received), (42, 500));
    assert_eq!((facts.subject.keys, facts.subject.sets), (7, 2));
    assert_eq!(*kept.converted.lock().unwrap(), [(origin, 400, 50)]);
}

#[test]
fn a_sink_misses_nothing_while_others_come_and_go() {
    const EACH: usize = 20_000;
    let kept = Kept::those(Operation::Touch);
    let present: Arc<dyn Sink> = kept.clone();
    sink::add(present.clone());
    std::thread::scope(|scope| {
        let work = || {
            for _ in 0..EACH {
                let recorder = begin(Operation::Touch, Lane::Sync, 0);
                let origin = recorder.origin();
                finish(recorder, End::OK, 10, false);
                record_deferred(origin, 10, 20);
            }
        };
        let threads: Vec<_> = (0..3).map(|_| scope.spawn(work)).collect();
        while threads.iter().any(|thread| !thread.is_finished()) {
            let visitor: Arc<dyn Sink> = Kept::those(Operation::Exists);
            sink::add(visitor.clone());
            sink::remove(&visitor);
        }
    });
    sink::remove(&present);
    let seen = (
        kept.ended.lock().unwrap().len(),
        kept.converted.lock().unwrap().len(),
    );
    assert_eq!(seen, (3 * EACH, 3 * EACH));
}
