//! What commands on one record do, command by command, result code by result code.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aerospike_embedded::{Cluster, NamespaceOptions, Options};
use support::*;

fn now() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap()
        .as_secs()
        - EPOCH
}

#[test]
fn values_of_every_type_come_back_as_they_went_in_and_in_their_order() {
    let cluster = one_node();
    let mut client = Client::to(&cluster);
    let values: [(u8, &[u8]); 10] = [
        (1, &7i64.to_be_bytes()),
        (2, &1.5f64.to_be_bytes()),
        (3, b"text"),
        (4, b"\x00\x01"),
        (8, b"language blob"),
        (17, &[1]),
        (18, b"hll registers"),
        (19, &[0x81, 0x01, 0x02]),
        (20, &[0x92, 0x01, 0x02]),
        (
            23,
            b"\x00\x00\x00{\"type\":\"Point\",\"coordinates\":[0,0]}",
        ),
    ];
    let ops: Vec<Op> = values
        .iter()
        .enumerate()
        .map(|(n, (kind, value))| Op::new(OP_WRITE, *kind, &format!("bin{n}"), value))
        .collect();
    assert_eq!(client.call(&Command::write(1, &ops)).result, 0);
    let reply = client.call(&Command::get(1));
    assert_eq!((reply.result, reply.generation, reply.void_time), (0, 1, 0));
    let seen: Vec<(u8, &[u8])> = reply
        .ops
        .iter()
        .map(|op| (op.kind, op.value.as_slice()))
        .collect();
    assert_eq!(seen, values);
    assert!(reply
        .names()
        .iter()
        .enumerate()
        .all(|(n, name)| *name == format!("bin{n}")));
}

#[test]
fn values_that_cannot_be_are_parameter_errors_and_change_nothing() {
    let cluster = one_node();
    let mut client = Client::to(&cluster);
    for (kind, value) in [
        (1, &b"short"[..]),
        (2, b"short"),
        (17, &[2]),
        (99, b"x"),
        (20, b""),
    ] {
        let command = Command::write(1, &[Op::new(OP_WRITE, kind, "a", value)]);
        assert_eq!(client.call(&command).result, 4, "type {kind}");
    }
    assert_eq!(client.call(&Command::get(1)).result, 2);
    assert_eq!(cluster.record_count("test", None), 0);
}

#[test]
fn some_bins_no_bins_and_existence_can_be_read() {
    let cluster = one_node();
    let mut client = Client::to(&cluster);
    client.call(&Command::write(
        1,
        &[
            Op::int(OP_WRITE, "a", 1),
            Op::int(OP_WRITE, "b", 2),
            Op::int(OP_WRITE, "c", 3),
        ],
    ));
    let reply = client.call(&Command::on(1).info1(READ).ops(&[
        Op::read("c"),
        Op::read("none"),
        Op::read("a"),
    ]));
    assert_eq!(reply.names(), ["c", "a"]);
    let reply = client.call(
        &Command::on(1)
            .info1(READ)
            .info2(RESPOND_ALL)
            .ops(&[Op::read("none"), Op::read("a")]),
    );
    assert_eq!((reply.names(), reply.ops[0].kind), (vec!["none", "a"], 0));
    let header = client.call(&Command::on(1).info1(READ | NO_BIN_DATA));
    assert_eq!(
        (header.result, header.generation, header.ops.len()),
        (0, 1, 0)
    );
    assert_eq!(
        client
            .call(&Command::on(2).info1(READ | NO_BIN_DATA))
            .result,
        2
    );
    assert_eq!(client.call(&Command::on(1)).result, 4);
}

#[test]
fn existence_policies_decide_by_what_is_there() {
    let cluster = one_node();
    let mut client = Client::to(&cluster);
    let put = |n| Command::put(n, 5);
    assert_eq!(client.call(&put(1).info3(UPDATE_ONLY)).result, 2);
    assert_eq!(client.call(&put(1).info3(REPLACE_ONLY)).result, 2);
    assert_eq!(client.call(&put(1).info2(CREATE_ONLY)).result, 0);
    assert_eq!(client.call(&put(1).info2(CREATE_ONLY)).result, 5);
    assert_eq!(client.call(&put(1).info3(UPDATE_ONLY)).result, 0);
    let other = Command::write(1, &[Op::int(OP_WRITE, "b", 6)]);
    client.call(&other);
    assert_eq!(client.call(&Command::get(1)).names(), ["a", "b"]);
    assert_eq!(client.call(&other.clone().info3(REPLACE_ONLY)).result, 0);
    assert_eq!(client.call(&Command::get(1)).names(), ["b"]);
    assert_eq!(client.call(&put(2).info3(CREATE_OR_REPLACE)).result, 0);
    let increment = Command::write(1, &[Op::int(OP_INCR, "b", 1)]);
    assert_eq!(client.call(&increment.info3(CREATE_OR_REPLACE)).result, 4);
}

#[test]
fn generations_count_writes_and_guard_them() {
    let cluster = one_node();
    let mut client = Client::to(&cluster);
    let put = || Command::put(1, 5);
    assert_eq!(
        client.call(&put().info2(GENERATION).generation(3)).result,
        3
    );
    assert_eq!(client.call(&put()).generation, 1);
    assert_eq!(
        client
            .call(&put().info2(GENERATION).generation(1))
            .generation,
        2
    );
    assert_eq!(
        client.call(&put().info2(GENERATION).generation(1)).result,
        3
    );
    assert_eq!(
        client
            .call(&put().info2(GENERATION_GT).generation(2))
            .result,
        3
    );
    assert_eq!(
        client
            .call(&put().info2(GENERATION_GT).generation(9))
            .generation,
        3
    );
    assert_eq!(
        client
            .call(&Command::delete(1).info2(GENERATION).generation(1))
            .result,
        3
    );
    assert_eq!(
        client
            .call(&Command::delete(1).info2(GENERATION).generation(3))
            .result,
        0
    );
    assert_eq!(client.call(&put()).generation, 1);
}

#[test]
fn deletes_touches_and_empty_records() {
    let cluster = one_node();
    let mut client = Client::to(&cluster);
    let touch = Command::write(1, &[Op::new(OP_TOUCH, 0, "", &[])]);
    assert_eq!(client.call(&touch).result, 2);
    assert_eq!(client.call(&Command::delete(1)).result, 2);
    client.call(&Command::put(1, 5));
    assert_eq!(client.call(&touch).generation, 2);
    assert_eq!(client.call(&Command::delete(1).info2(DURABLE)).result, 25);
    let remove_bin = Command::write(1, &[Op::new(OP_WRITE, 0, "a", &[])]);
    assert_eq!(client.call(&remove_bin).result, 0);
    assert_eq!(client.call(&Command::get(1)).result, 2);
    assert_eq!(client.call(&remove_bin).result, 2);
    assert_eq!(client.call(&Command::write(1, &[])).result, 4);
    assert_eq!(cluster.record_count("test", Some("demo")), 0);
}

#[test]
fn increments_and_concatenations() {
    let cluster = one_node();
    let mut client = Client::to(&cluster);
    let float = |op, value: f64| Op::new(op, FLOAT, "f", &value.to_be_bytes());
    let start = [
        Op::int(OP_INCR, "i", i64::MAX),
        float(OP_INCR, 1.5),
        Op::text(OP_APPEND, "s", "b"),
    ];
    assert_eq!(client.call(&Command::write(1, &start)).result, 0);
    let more = [
        Op::int(OP_INCR, "i", 1),
        float(OP_INCR, 0.25),
        Op::text(OP_APPEND, "s", "c"),
        Op::text(OP_PREPEND, "s", "a"),
    ];
    assert_eq!(client.call(&Command::write(1, &more)).result, 0);
    let reply = client.call(&Command::get(1));
    assert_eq!((reply.int("i"), reply.text("s")), (i64::MIN, "abc"));
    assert_eq!(
        f64::from_be_bytes(reply.value("f").try_into().unwrap()),
        1.75
    );
    for mismatch in [
        Op::int(OP_INCR, "s", 1),
        Op::int(OP_INCR, "f", 1),
        Op::text(OP_APPEND, "i", "x"),
        Op::new(OP_APPEND, 4, "s", b"x"),
        Op::int(OP_APPEND, "new", 1),
    ] {
        assert_eq!(
            client
                .call(&Command::write(1, std::slice::from_ref(&mismatch)))
                .result,
            12,
            "{mismatch:?}"
        );
    }
    assert_eq!(client.call(&Command::get(1)).generation, 2);
}

#[test]
fn operations_run_in_order_and_a_failure_undoes_them_all() {
    let cluster = one_node();
    let mut client = Client::to(&cluster);
    client.call(&Command::put(1, 1));
    let ops = [
        Op::read("a"),
        Op::int(OP_INCR, "a", 10),
        Op::read("a"),
        Op::int(OP_WRITE, "b", 3),
        Op::read("nothing"),
    ];
    let operate = Command::write(1, &ops).info1(READ);
    let reply = client.call(&operate);
    assert_eq!(reply.names(), ["a", "a"]);
    assert_eq!(reply.ops[0].value, 1i64.to_be_bytes());
    assert_eq!(reply.ops[1].value, 11i64.to_be_bytes());
    let reply = client.call(&operate.clone().info2(RESPOND_ALL));
    assert_eq!(reply.names(), ["a", "a", "a", "b", "nothing"]);
    let kinds: Vec<u8> = reply.ops.iter().map(|op| op.kind).collect();
    assert_eq!(kinds, [1, 0, 1, 0, 0]);

    let failing = Command::write(
        1,
        &[Op::int(OP_WRITE, "a", 0), Op::text(OP_APPEND, "b", "x")],
    );
    assert_eq!(client.call(&failing).result, 12);
    let reply = client.call(&Command::get(1));
    assert_eq!((reply.int("a"), reply.generation), (21, 3));

    let get_all =
        Command::write(1, &[Op::int(OP_WRITE, "a", 5), Op::read("")]).info1(READ | GET_ALL);
    assert_eq!(client.call(&get_all).int("a"), 5);
    assert_eq!(client.call(&get_all.clone().info2(RESPOND_ALL)).result, 4);
    assert_eq!(client.call(&Command::write(1, &[Op::read("a")])).result, 4);

    let emptied =
        Command::write(1, &[Op::read("a"), Op::new(OP_DELETE_ALL, 0, "", &[])]).info1(READ);
    let reply = client.call(&emptied);
    assert_eq!((reply.int("a"), reply.generation), (5, 0));
    assert_eq!(client.call(&Command::get(1)).result, 2);
}

#[test]
fn lifetimes_follow_namespace_command_and_touch() {
    let cluster = Cluster::start(Options {
        namespaces: vec![NamespaceOptions {
            default_ttl: 1000,
            ..NamespaceOptions::default()
        }],
        ..Options::default()
    })
    .unwrap();
    let mut client = Client::to(&cluster);
    let mut left = |command: &Command| {
        let reply = client.call(command);
        assert_eq!(reply.result, 0);
        i64::from(reply.void_time) - now() as i64
    };
    assert!((999..=1001).contains(&left(&Command::put(1, 1))));
    assert!((49..=51).contains(&left(&Command::put(1, 1).ttl(50))));
    assert!((48..=51).contains(&left(&Command::put(1, 1).ttl(u32::MAX - 1))));
    assert!((999..=1001).contains(&left(&Command::put(2, 1).ttl(u32::MAX - 1))));
    assert!((48..=51).contains(&left(&Command::get(1))));
    // Less than all of its life is left, so the read starts it anew; a read that must not touch does not.
    assert!((48..=51).contains(&left(&Command::get(1).ttl(u32::MAX))));
    assert_eq!(client.call(&Command::put(1, 1).ttl(u32::MAX)).void_time, 0);
    assert_eq!(client.call(&Command::put(1, 1).ttl(u32::MAX - 2)).result, 4);
    assert_eq!(client.call(&Command::get(1).ttl(101)).result, 4);
}

#[test]
fn expired_records_are_gone() {
    let cluster = one_node();
    let mut client = Client::to(&cluster);
    client.call(&Command::put(1, 1).ttl(1));
    client.call(&Command::put(2, 1));
    assert_eq!(cluster.record_count("test", None), 2);
    std::thread::sleep(Duration::from_millis(2100));
    assert_eq!(cluster.record_count("test", None), 1);
    assert_eq!(
        client.call(&Command::put(1, 1).info3(UPDATE_ONLY)).result,
        2
    );
    assert_eq!(
        client
            .call(&Command::put(1, 1).info2(CREATE_ONLY))
            .generation,
        1
    );
}

#[test]
fn keys_are_stored_once_sent_and_checked_from_then_on() {
    let cluster = one_node();
    let mut client = Client::to(&cluster);
    let with_key = |command: Command, key: &[u8]| command.field(2, &[&[STRING], key].concat());
    client.call(&Command::put(1, 1));
    assert_eq!(client.call(&with_key(Command::get(1), b"any")).result, 0);
    assert_eq!(
        client.call(&with_key(Command::put(1, 1), b"mine")).result,
        0
    );
    assert_eq!(
        client.call(&with_key(Command::put(1, 1), b"other")).result,
        19
    );
    assert_eq!(client.call(&with_key(Command::get(1), b"other")).result, 19);
    assert_eq!(
        client.call(&with_key(Command::delete(1), b"other")).result,
        19
    );
    assert_eq!(
        client.call(&with_key(Command::delete(1), b"mine")).result,
        0
    );
}

#[test]
fn limits_have_the_codes_of_the_real_server() {
    let cluster = one_node();
    let mut client = Client::to(&cluster);
    let blob = |size: usize| Command::write(1, &[Op::new(OP_WRITE, 4, "a", &vec![0; size])]);
    assert_eq!(client.call(&blob(1024 * 1024)).result, 13);
    assert_eq!(client.call(&blob(1024 * 1024 - 200)).result, 0);
    assert_eq!(
        client
            .call(&Command::write(
                1,
                &[Op::int(OP_WRITE, "sixteen-bytes-xx", 1)]
            ))
            .result,
        21
    );
    assert_eq!(
        client
            .call(&Command::write(
                1,
                &[Op::int(OP_WRITE, "fifteen-bytes-x", 1)]
            ))
            .result,
        0
    );
    let in_set = |size: usize| {
        let mut command = Command::put(2, 1);
        command.fields[1].1 = vec![b's'; size];
        command
    };
    assert_eq!(client.call(&in_set(64)).result, 4);
    assert_eq!(client.call(&in_set(63)).result, 0);
    assert_eq!(client.call(&in_set(62)).result, 4);
    let mut elsewhere = Command::put(3, 1);
    elsewhere.fields[0].1 = b"nowhere".to_vec();
    assert_eq!(client.call(&elsewhere).result, 20);
}

#[test]
fn features_beyond_this_server_are_refused_never_ignored() {
    let cluster = one_node();
    let mut client = Client::to(&cluster);
    client.call(&Command::put(1, 1));
    assert_eq!(client.call(&Command::get(1).field(43, &[0xC3])).result, 16);
    assert_eq!(client.call(&Command::get(1).field(5, &[0; 8])).result, 25);
    let udf = client.call(
        &Command::on(1)
            .info2(WRITE)
            .field(30, b"module")
            .field(31, b"f")
            .field(32, &[0x90]),
    );
    assert_eq!((udf.result, udf.names()), (100, vec!["FAILURE"]));
    for op in [3, 7, 12, 15] {
        let command = Command::on(1)
            .info1(READ)
            .ops(&[Op::new(op, 4, "a", &[0x90])]);
        assert_eq!(client.call(&command).result, 16, "read operation {op}");
    }
    for op in [4, 8, 13, 16] {
        let command = Command::write(1, &[Op::new(op, 4, "a", &[0x90])]);
        assert_eq!(client.call(&command).result, 16, "write operation {op}");
    }
    assert_eq!(
        client
            .call(&Command::write(1, &[Op::new(200, 4, "a", &[])]))
            .result,
        4
    );
    assert_eq!(client.call(&Command::get(1)).int("a"), 1);
}

#[test]
fn compressed_requests_and_replies() {
    use std::io::{Read, Write};
    let cluster = one_node();
    let mut client = Client::to(&cluster);
    let put = Command::write(1, &[Op::text(OP_WRITE, "a", &"x".repeat(5000))]).encode();
    let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(&put).unwrap();
    let packed = encoder.finish().unwrap();
    client.send(&frame(
        4,
        &[&(put.len() as u64).to_be_bytes()[..], &packed].concat(),
    ));
    let (kind, body) = client.frame().unwrap();
    assert_eq!((kind, body[5]), (3, 0));

    client.send(&Command::get(1).info1(COMPRESS).encode());
    let (kind, body) = client.frame().unwrap();
    assert_eq!(kind, 4);
    assert!(body.len() < 500);
    let mut whole = Vec::new();
    flate2::read::ZlibDecoder::new(&body[8..])
        .read_to_end(&mut whole)
        .unwrap();
    assert_eq!(
        whole.len() as u64,
        u64::from_be_bytes(body[..8].try_into().unwrap())
    );
    assert_eq!(whole.len(), 8 + 22 + 8 + 1 + 5000);
    assert_eq!(client.call(&Command::get(1)).text("a").len(), 5000);
}

#[test]
fn logins_are_answered_as_by_a_server_without_security() {
    let cluster = one_node();
    let mut client = Client::to(&cluster);
    let mut login = [0u8; 16];
    login[2] = 20;
    client.send(&frame(2, &login));
    let (kind, body) = client.frame().unwrap();
    assert_eq!((kind, body.len(), body[1], body[2]), (2, 16, 51, 20));
}
