//! Batches: rows of every sort, their order, errors and size.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use support::*;

fn filled(count: u32) -> (aerospike_embedded::Cluster, Client) {
    let cluster = one_node();
    let mut client = Client::to(&cluster);
    for n in 0..count {
        assert_eq!(client.call(&Command::put(n, i64::from(n))).result, 0);
    }
    (cluster, client)
}

#[test]
fn rows_answer_with_their_index_found_or_not() {
    let (_cluster, mut client) = filled(3);
    let rows = [
        row(0, Attributes::read_all()),
        repeat(9),
        repeat(2),
        repeat(0),
    ];
    let (replies, last, frames) = client.stream_of(&batch(0, &rows));
    let seen: Vec<(u32, u8, usize)> = replies
        .iter()
        .map(|reply| (reply.index, reply.result, reply.ops.len()))
        .collect();
    assert_eq!(seen, [(0, 0, 1), (1, 2, 0), (2, 0, 1), (3, 0, 1)]);
    assert_eq!(replies[2].int("a"), 2);
    assert_eq!((last.result, frames), (0, 1));
}

#[test]
fn the_older_form_reads_too() {
    let (_cluster, mut client) = filled(3);
    let legacy = |info1, ops: &[Op]| Attributes {
        legacy: true,
        ops: ops.to_vec(),
        ..Attributes::new(info1, 0)
    };
    let rows = [
        row(0, legacy(READ | GET_ALL, &[])),
        repeat(1),
        row(2, legacy(READ, &[Op::read("a"), Op::read("b")])),
        row(1, legacy(READ | NO_BIN_DATA, &[])),
    ];
    let (replies, _, _) = client.stream_of(&batch(1, &rows));
    let names: Vec<Vec<&str>> = replies.iter().map(Reply::names).collect();
    assert_eq!(names, [vec!["a"], vec!["a"], vec!["a"], vec![]]);
    assert_eq!(replies[3].generation, 1);
}

#[test]
fn rows_write_operate_delete_and_refuse() {
    let (cluster, mut client) = filled(4);
    let increment = Attributes {
        info1: READ,
        ..Attributes::write(&[Op::int(OP_INCR, "a", 100), Op::read("a")])
    };
    let rows = [
        row(0, increment),
        repeat(1),
        row(2, Attributes::new(0, WRITE | DELETE | RESPOND_ALL)),
        repeat(77),
        row(
            3,
            Attributes {
                generation: Some(9),
                ttl: Some(0),
                ..Attributes::write(&[Op::int(OP_WRITE, "a", 1)])
            },
        ),
        row(
            3,
            Attributes {
                generation: Some(9),
                info2: WRITE | GENERATION,
                ..Attributes::write(&[Op::int(OP_WRITE, "a", 2)])
            },
        ),
        row(50, Attributes::write(&[Op::int(OP_WRITE, "a", 5)])),
    ];
    let (replies, last, _) = client.stream_of(&batch(RESPOND_ALL_KEYS, &rows));
    let results: Vec<u8> = replies.iter().map(|reply| reply.result).collect();
    assert_eq!(results, [0, 0, 0, 2, 0, 3, 0]);
    assert_eq!(
        (replies[0].names(), replies[0].ops[0].kind),
        (vec!["a", "a"], 0)
    );
    assert_eq!(replies[1].ops[1].value, 101i64.to_be_bytes());
    assert_eq!(last.result, 0);
    assert_eq!(client.call(&Command::get(3)).int("a"), 1);
    assert_eq!(cluster.record_count("test", None), 4);
}

#[test]
fn without_respond_all_keys_the_first_failure_ends_the_batch_and_names_its_row() {
    let (_cluster, mut client) = filled(2);
    let nowhere = Attributes {
        fields: vec![(0, b"nowhere".to_vec())],
        ..Attributes::read_all()
    };
    let rows = || {
        [
            row(0, Attributes::read_all()),
            row(1, nowhere.clone()),
            row(1, Attributes::read_all()),
        ]
    };
    let (replies, last, _) = client.stream_of(&batch(0, &rows()));
    assert_eq!((replies.len(), last.result, last.index), (1, 20, 1));
    let (replies, last, _) = client.stream_of(&batch(RESPOND_ALL_KEYS, &rows()));
    let results: Vec<u8> = replies.iter().map(|reply| reply.result).collect();
    assert_eq!((results, last.result), (vec![0, 20, 0], 0));
}

#[test]
fn functions_filters_and_transactions_in_rows_are_refused() {
    let (_cluster, mut client) = filled(1);
    let with = |kind: u8, value: &[u8]| {
        let mut attributes = Attributes::read_all();
        attributes.fields.push((kind, value.to_vec()));
        attributes
    };
    let rows = [
        row(0, with(43, &[0xC3])),
        row(0, with(30, b"module")),
        row(0, with(5, &[0; 8])),
    ];
    let (replies, _, _) = client.stream_of(&batch(RESPOND_ALL_KEYS, &rows));
    let results: Vec<u8> = replies.iter().map(|reply| reply.result).collect();
    assert_eq!(results, [16, 100, 25]);
}

#[test]
fn a_hundred_thousand_keys_come_back_complete_and_in_frames_of_bounded_size() {
    let (_cluster, mut client) = filled(100);
    let mut rows = vec![row(0, Attributes::read_all())];
    rows.extend((1..100_000).map(|n| repeat(n % 100)));
    let (replies, last, frames) = client.stream_of(&batch(0, &rows));
    assert_eq!((replies.len(), last.result), (100_000, 0));
    assert!(replies
        .iter()
        .enumerate()
        .all(|(n, reply)| reply.index == n as u32));
    assert!(replies
        .iter()
        .all(|reply| reply.int("a") == i64::from(reply.index % 100)));
    assert!(frames > 10, "{frames} frames");
}
