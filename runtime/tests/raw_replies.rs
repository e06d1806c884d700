//! Batch reads whose bins stay in their replies, through the unmodified driver: the same records as
//! without, whatever the network does, and nothing of it where it was not asked for.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that cannot go on fails"
)]

mod support;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use aerospike_core::{
    BatchOperation, BatchPolicy, BatchReadPolicy, Bin, Bins, ClientPolicy, Record, Value,
    WritePolicy,
};
use aerospike_embedded::CommandKind;
use aerospike_rt::replies::msgpack::{Order, Reader, Token};
use aerospike_rt::replies::{gather, late_bytes, KeptBins, KeptRecord, Particle, Sink};
use aerospike_stages::{Event, Operation, Stage};
use support::{key, stage, Bench};

fn fault(bench: &Bench, node: Option<usize>, spec: &str) {
    bench
        .cluster
        .set_fault(node, CommandKind::BatchRead, spec.parse().unwrap())
        .unwrap();
}

/// A row: its record's generation, expiry and bins, or its result code.
type Row = Result<(u32, u32, Vec<(String, String)>), i32>;

fn row(
    operation: &BatchOperation,
    bins: impl FnOnce(&Record) -> (u32, Vec<(String, Value)>),
) -> Row {
    match (operation.error(), operation.record()) {
        (None, Some(record)) => {
            let (generation, bins) = bins(record);
            let shown = bins
                .into_iter()
                .map(|(name, value)| (name, format!("{value:?}")));
            Ok((generation, record.expiration(), shown.collect()))
        }
        (Some(error), _) => Err(error.result_code()),
        (None, None) => Err(-2),
    }
}

struct Batch {
    keys: Vec<i64>,
    bins: Bins,
    policy: BatchPolicy,
}

impl Batch {
    fn of(keys: impl IntoIterator<Item = i64>) -> Self {
        Batch {
            keys: keys.into_iter().collect(),
            bins: Bins::All,
            policy: BatchPolicy::default(),
        }
    }

    fn operations(&self) -> Vec<BatchOperation> {
        let read = BatchReadPolicy::default();
        let keys = self.keys.iter();
        keys.map(|&i| BatchOperation::read(&read, key(i), self.bins.clone()))
            .collect()
    }

    /// The rows as the driver decodes them.
    fn decoded(&self, bench: &Bench) -> Vec<Row> {
        let mut operations = self.operations();
        let sent = bench.client.batch(&self.policy, &mut operations);
        bench.drive(sent).unwrap();
        let bins = |record: &Record| {
            let bins = record.bins.iter();
            let bins = bins.map(|(name, value)| (name.clone(), plain(value.clone())));
            (record.generation, bins.collect())
        };
        operations
            .iter()
            .map(|operation| row(operation, bins))
            .collect()
    }

    /// The rows read from the bytes of their replies, and how many of them were.
    fn kept(&self, bench: &Bench) -> (Vec<Row>, usize) {
        let sink = Arc::new(Sink::new());
        let mut operations = self.operations();
        let sent = bench.client.batch(&self.policy, &mut operations);
        bench
            .runtime
            .block_on(gather(sent, Some(sink.clone())))
            .unwrap();
        let replies = sink.end();
        let places: Vec<_> = operations
            .iter()
            .map(|operation| replies.row(operation.record()?.generation))
            .collect();
        let kept = replies.into_bins(places.iter().flatten().map(|(place, _)| *place));
        let rows = operations.iter().zip(&places).map(|(operation, place)| {
            row(operation, |record| match place {
                Some((place, generation)) => {
                    assert!(record.bins.is_empty());
                    (*generation, values(&kept, *place))
                }
                None => {
                    let bins = record.bins.iter();
                    let bins = bins.map(|(name, value)| (name.clone(), plain(value.clone())));
                    (record.generation, bins.collect())
                }
            })
        });
        (rows.collect(), places.iter().flatten().count())
    }

    /// Checks that both ways lead to the same rows, and returns how many of them were kept.
    fn check(&self, bench: &Bench) -> usize {
        let (rows, count) = self.kept(bench);
        assert_eq!(rows, self.decoded(bench));
        count
    }
}

fn values(kept: &KeptBins, place: aerospike_rt::replies::KeptRow) -> Vec<(String, Value)> {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    let bins = kept.of(place).map(|(name, particle)| {
        let value = match particle {
            Particle::Nil => Value::Nil,
            Particle::Int(number) => Value::Int(number),
            Particle::Float(number) => Value::from(number),
            Particle::Bool(flag) => Value::Bool(flag),
            Particle::Text(bytes) => Value::String(text(bytes)),
            Particle::GeoJson(bytes) => Value::GeoJson(text(bytes)),
            Particle::Blob(bytes) => Value::Blob(bytes.to_vec()),
            Particle::Hll(bytes) => Value::Hll(bytes.to_vec()),
            Particle::List(bytes) | Particle::Map(bytes) => nested(&mut Reader::new(bytes)),
        };
        (text(name), value)
    });
    bins.collect()
}

fn nested(reader: &mut Reader<'_>) -> Value {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    match reader.token().unwrap() {
        Token::Nil | Token::Extension => Value::Nil,
        Token::Bool(flag) => Value::Bool(flag),
        Token::Int(number) => Value::Int(number),
        Token::Float(number) => Value::from(number),
        Token::Text(bytes) => Value::String(text(bytes)),
        Token::GeoJson(bytes) => Value::GeoJson(text(bytes)),
        Token::Blob(bytes) => Value::Blob(bytes.to_vec()),
        Token::Opaque(bytes) => Value::Hll(bytes.to_vec()),
        Token::List(count) => Value::List((0..count).map(|_| nested(reader)).collect()),
        Token::Map(count, Order::Keyed | Order::Pairs) => Value::KeyValueList(
            (0..count)
                .map(|_| (nested(reader), nested(reader)))
                .collect(),
        ),
    }
}

/// A value with all kinds of maps as pairs.
fn plain(value: Value) -> Value {
    let pairs = |pairs: Vec<(Value, Value)>| {
        let pairs = pairs
            .into_iter()
            .map(|(key, value)| (plain(key), plain(value)));
        Value::KeyValueList(pairs.collect())
    };
    match value {
        Value::OrderedMap(map) => pairs(map.into_iter().collect()),
        Value::SortedMap(map) => pairs(map.into_iter().collect()),
        Value::KeyValueList(list) => pairs(list),
        Value::List(values) => Value::List(values.into_iter().map(plain).collect()),
        other => other,
    }
}

fn put(bench: &Bench, i: i64, bins: &[(&str, Value)]) {
    let bins: Vec<_> = bins
        .iter()
        .map(|(name, value)| Bin::new((*name).to_owned(), value.clone()))
        .collect();
    bench
        .drive(bench.client.put(&WritePolicy::default(), &key(i), &bins))
        .unwrap();
}

fn every_type() -> Vec<(&'static str, Value)> {
    let sorted = BTreeMap::from([
        (Value::Int(-3), Value::from("minus")),
        (
            Value::Int(7),
            Value::List(vec![Value::Nil, Value::Bool(true)]),
        ),
        (Value::from("a"), Value::from(1.5)),
    ]);
    let map = HashMap::from([(Value::from("only"), Value::from(vec![Value::Int(i64::MIN)]))]);
    vec![
        ("int", Value::Int(i64::MAX)),
        ("float", Value::from(-0.0)),
        ("text", Value::from("größer")),
        ("empty", Value::from("")),
        ("blob", Value::Blob(vec![0, 255, 1])),
        ("flag", Value::Bool(true)),
        (
            "geo",
            Value::GeoJson("{\"type\":\"Point\",\"coordinates\":[1,2]}".to_owned()),
        ),
        ("hll", Value::Hll(vec![0, 1, 2])),
        (
            "list",
            Value::List(vec![Value::Int(1), Value::from("x"), Value::Blob(vec![9])]),
        ),
        ("sorted", Value::SortedMap(sorted)),
        ("map", Value::HashMap(map)),
        ("long", Value::from("x".repeat(70_000))),
    ]
}

#[test]
fn both_ways_lead_to_the_same_rows() {
    for nodes in [1, 3] {
        Bench::each(nodes, |bench| {
            for i in 500..520 {
                put(bench, i, &every_type());
            }
            assert_eq!(Batch::of(0..200).check(bench), 200);
            assert_eq!(Batch::of(500..520).check(bench), 20);
            // Records that are missing, keys that repeat, names that only some records have.
            let mixed = Batch::of((190..210).chain(500..505).chain([0, 0, 500]));
            assert_eq!(mixed.check(bench), 10 + 5 + 3);
            let some = Batch {
                bins: Bins::Some(vec!["text".to_owned(), "map".to_owned(), "none".to_owned()]),
                ..mixed
            };
            some.check(bench);
            let none = Batch {
                bins: Bins::None,
                ..some
            };
            assert_eq!(none.check(bench), 0);
            // The driver asks for the only key of a node in another way.
            assert_eq!(Batch::of([1]).check(bench), 1);
        });
    }
}

#[test]
fn nothing_is_kept_where_it_was_not_asked_for() {
    Bench::each(1, |bench| {
        let generations = |rows: Vec<Row>| rows.into_iter().map(|row| row.unwrap().0);
        assert!(generations(Batch::of(0..50).decoded(bench)).all(|generation| generation == 1));
        // On a connection that has just had an exchange, too.
        assert_eq!(Batch::of(0..50).kept(bench).1, 50);
        assert!(generations(Batch::of(0..50).decoded(bench)).all(|generation| generation == 1));
    });
}

fn read(bench: &Bench, i: i64, bins: Bins) -> (Record, Option<(KeptRecord, u32)>) {
    let sink = Arc::new(Sink::new());
    let policy = aerospike_core::ReadPolicy::default();
    let got = bench.drive(gather(
        bench.client.get(&policy, &key(i), bins),
        Some(sink.clone()),
    ));
    let record = got.unwrap();
    let kept = sink.end().take(record.generation);
    (record, kept)
}

#[test]
fn the_bins_of_one_record_are_kept_if_its_reply_comes_in_one_piece() {
    Bench::each(1, |bench| {
        let mut bins = every_type();
        let long = bins.pop().unwrap();
        put(bench, 1001, &bins);
        let (record, kept) = read(bench, 1001, Bins::All);
        let (kept, generation) = kept.unwrap();
        assert!(record.bins.is_empty());
        assert_eq!(kept.bins().count(), bins.len());
        assert_eq!(generation, 1);
        let (record, kept) = read(bench, 1001, Bins::None);
        assert_eq!((record.generation, kept.is_none()), (1, true));
        let dribble = "dribble=40,1ms".parse().unwrap();
        bench
            .cluster
            .set_fault(None, CommandKind::Read, dribble)
            .unwrap();
        let (record, kept) = read(bench, 1001, Bins::All);
        assert_eq!((record.generation, kept.is_none()), (1, true));
        assert_eq!(record.bins.len(), bins.len());
        bench.cluster.clear_faults();
        put(bench, 1002, &[long]);
        let (record, kept) = read(bench, 1002, Bins::All);
        assert_eq!((record.bins.len(), kept.is_none()), (1, true));
    });
}

#[test]
fn replies_that_dribble_are_the_same_replies() {
    Bench::each(1, |bench| {
        for piece in [1, 7, 64, 1000] {
            fault(bench, None, &format!("dribble={piece},1us"));
            assert_eq!(Batch::of(0..20).check(bench), 20, "{piece}");
        }
    });
}

#[test]
fn replies_of_many_frames_are_the_same_replies() {
    Bench::each(1, |bench| {
        for i in 0..40 {
            let blob = Value::Blob(vec![i as u8; 30_000 + i as usize]);
            put(bench, 600 + i, &[("blob", blob), ("n", Value::Int(i))]);
        }
        assert_eq!(Batch::of(600..640).check(bench), 40);
        put(bench, 700, &[("large", Value::Blob(vec![7; 900_000]))]);
        assert_eq!(Batch::of([700, 1, 700]).check(bench), 3);
    });
}

#[test]
fn a_node_that_fails_in_the_middle_of_a_reply_is_asked_again() {
    for nodes in [1, 3] {
        Bench::each(nodes, |bench| {
            for i in 0..30 {
                put(
                    bench,
                    600 + i,
                    &[("blob", Value::Blob(vec![i as u8; 20_000]))],
                );
            }
            let batch = Batch::of((600..630).chain(0..30));
            let expected = batch.decoded(bench);
            for spec in ["reset-mid-replyx1", "resetx1", "reset-mid-replyx2"] {
                fault(bench, Some(0), spec);
                let (rows, kept) = batch.kept(bench);
                assert_eq!(rows, expected);
                assert_eq!(kept, 60, "{spec}");
            }
        });
    }
}

#[test]
fn a_late_reply_harms_nobody_and_leaves_its_connection_usable() {
    let policy = ClientPolicy {
        max_conns_per_node: 1,
        conn_pools_per_node: 1,
        ..ClientPolicy::default()
    };
    Bench::each_with_policy(1, &policy, |bench| {
        let mut batch = Batch::of(0..50);
        batch.policy.base_policy.socket_timeout = 40;
        batch.policy.base_policy.total_timeout = 40;
        batch.policy.base_policy.max_retries = 0;
        batch.policy.base_policy.timeout_delay = 3000;
        fault(bench, None, "delay=120msx1");
        let late = late_bytes();
        let sink = Arc::new(Sink::new());
        let mut operations = batch.operations();
        let sent = bench.client.batch(&batch.policy, &mut operations);
        assert!(bench
            .runtime
            .block_on(gather(sent, Some(sink.clone())))
            .is_err());
        assert!(sink.end().is_empty());
        let deadline = Instant::now() + Duration::from_secs(10);
        let accepted = bench.cluster.stats(0).connections_accepted;
        while late_bytes() == late {
            assert!(
                Instant::now() < deadline,
                "the late reply has not been read"
            );
            std::thread::sleep(Duration::from_millis(5));
        }
        let again = Batch::of(0..50);
        let (rows, kept) = again.kept(bench);
        assert_eq!(kept, 50);
        assert_eq!(rows, again.decoded(bench));
        assert_eq!(bench.cluster.stats(0).connections_accepted, accepted);
    });
}

#[test]
fn scanning_is_decoding_and_reading_ends_with_the_last_byte() {
    Bench::each(1, |bench| {
        fault(bench, None, "dribble=4096,10ms");
        let sink = Arc::new(Sink::new());
        let mut operations = Batch::of(0..200).operations();
        let policy = BatchPolicy::default();
        let sent = gather(
            bench.client.batch(&policy, &mut operations),
            Some(sink.clone()),
        );
        let got = bench.record(Operation::BatchRead, sent);
        got.value.unwrap();
        let read = stage(&got.summary, Stage::NetworkRead);
        assert!(read >= Duration::from_millis(15), "{read:?}");
        assert!(got.summary.stage(Stage::Decode) > 0);
        let events = &got.track_events[0];
        let of_replies = events.iter().filter_map(|event| match event {
            Event::ReadEnd { bytes } => Some(*bytes),
            _ => None,
        });
        let replies = sink.end();
        assert!(operations.iter().all(|operation| replies
            .row(operation.record().unwrap().generation)
            .is_some()));
        // What the socket gave, not what the driver was served.
        assert!(of_replies.sum::<usize>() > 200 * 40);
    });
}
