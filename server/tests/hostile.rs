//! Bytes no client would send: connections end, the server goes on, nothing is allocated on a claim.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::io::Write;
use std::time::{Duration, Instant};

use aerospike_embedded::replay;
use support::*;

/// A small generator whose sequence depends on the seed alone.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit as u64) as usize
    }
}

fn compressed(inner: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(inner).unwrap();
    let packed = encoder.finish().unwrap();
    frame(
        4,
        &[&(inner.len() as u64).to_be_bytes()[..], &packed].concat(),
    )
}

/// Frames of every shape the server understands.
fn valid_frames() -> Vec<Vec<u8>> {
    let ops = [
        Op::int(OP_WRITE, "a", 1),
        Op::int(OP_INCR, "a", 2),
        Op::text(OP_APPEND, "s", "x"),
        Op::read("a"),
    ];
    let rows = [
        row(1, Attributes::read_all()),
        repeat(2),
        row(
            3,
            Attributes {
                generation: Some(1),
                ttl: Some(60),
                info1: READ,
                ..Attributes::write(&ops)
            },
        ),
        row(4, Attributes::new(0, WRITE | DELETE)),
    ];
    let put = Command::write(1, &ops)
        .info1(READ)
        .field(2, &[STRING, b'k'])
        .encode();
    vec![
        compressed(&put),
        put,
        Command::get(1).encode(),
        Command::delete(1).encode(),
        batch(RESPOND_ALL_KEYS, &rows).encode(),
        Command::scan()
            .field(11, &[1, 0, 2, 0])
            .field(12, &digest(3))
            .field(13, &5u64.to_be_bytes())
            .encode(),
        frame(
            1,
            b"node\nreplicas\nsets/test\ntruncate:namespace=test;set=demo;lut=1\n",
        ),
        frame(2, &[0; 16]),
    ]
}

fn mutate(frames: &[Vec<u8>], random: &mut Random) -> Vec<u8> {
    let mut bytes = Vec::new();
    for _ in 0..=random.below(2) {
        bytes.extend_from_slice(&frames[random.below(frames.len())]);
    }
    for _ in 0..=random.below(4) {
        let at = random.below(bytes.len());
        match random.below(6) {
            0 => bytes[at] = random.next() as u8,
            1 => bytes[at] ^= 1 << random.below(8),
            2 => bytes[at] = [0, 1, 0x7F, 0x80, 0xFF][random.below(5)],
            3 => bytes.truncate(at.max(1)),
            4 => bytes.insert(at, random.next() as u8),
            _ => {
                let end = (at + 1 + random.below(16)).min(bytes.len());
                let copy = bytes[at..end].to_vec();
                bytes.splice(at..at, copy);
            }
        }
    }
    bytes
}

#[test]
fn tens_of_thousands_of_mutated_frames_never_panic() {
    let frames = valid_frames();
    let mut random = Random(20_100_101);
    let (mut malformed, mut answered) = (0, 0);
    for _ in 0..20_000 {
        let outcome = replay(&mutate(&frames, &mut random));
        malformed += usize::from(outcome.malformed);
        answered += outcome.requests;
        assert!(outcome.reply_bytes < 64 * 1024 * 1024);
    }
    // Both sides of the parser are exercised.
    assert!(
        malformed > 2_000 && answered > 2_000,
        "{malformed} malformed, {answered} answered"
    );
}

#[test]
fn untouched_frames_are_all_answered() {
    let frames = valid_frames();
    let outcome = replay(&frames.concat());
    assert_eq!((outcome.requests, outcome.malformed), (frames.len(), false));
}

#[test]
fn malformed_frames_end_their_connection_and_are_counted() {
    let cluster = one_node();
    let mut bad_field = Command::get(1).encode();
    bad_field[30] = 0x7F;
    let mut bad_count = Command::get(1).encode();
    bad_count[26..28].copy_from_slice(&u16::MAX.to_be_bytes());
    let mut bad_ops = Command::get(1).encode();
    bad_ops[28..30].copy_from_slice(&u16::MAX.to_be_bytes());
    let first_repeats = batch(0, &[repeat(1)]).encode();
    let attacks: Vec<Vec<u8>> = vec![
        frame(1, &b"node\n".repeat(1001)),
        b"GET / HTTP/1.1\r\n\r\n".to_vec(),
        frame(9, b"x"),
        frame(3, b"short"),
        frame(4, &[0; 30]),
        vec![2, 3, 0, 0, 0x7F, 0xFF, 0xFF, 0xFF],
        bad_field,
        bad_count,
        bad_ops,
        first_repeats,
    ];
    let count = attacks.len() as u64;
    for attack in attacks {
        let mut client = Client::to(&cluster);
        client.send(&attack);
        client.end();
    }
    assert_eq!(cluster.stats(0).malformed_frames, count);
    assert_eq!(Client::to(&cluster).call(&Command::put(1, 1)).result, 0);
}

#[test]
fn announced_sizes_are_not_allocated() {
    let cluster = one_node();
    // A hundred connections announce 128 MiB each and send almost nothing.
    let waiting: Vec<Client> = (0..100)
        .map(|_| {
            let mut client = Client::to(&cluster);
            client.send(&[2, 3, 0, 0, 0x08, 0, 0, 0, 22, 3]);
            client
        })
        .collect();
    let deadline = Instant::now() + Duration::from_secs(10);
    while cluster.stats(0).connections_open < 100 && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(1));
    }
    assert_eq!(Client::to(&cluster).call(&Command::put(1, 1)).result, 0);
    if let Ok(status) = std::fs::read_to_string("/proc/self/status") {
        let resident = status
            .lines()
            .find(|line| line.starts_with("VmRSS:"))
            .unwrap();
        let kib: u64 = resident.split_whitespace().nth(1).unwrap().parse().unwrap();
        assert!(kib < 1024 * 1024, "{resident}");
    }
    drop(waiting);
}

#[test]
fn replies_do_not_grow_without_bound() {
    let cluster = one_node();
    let mut client = Client::to(&cluster);
    client.call(&Command::write(
        1,
        &[Op::new(OP_WRITE, 4, "a", &vec![0; 1_000_000])],
    ));
    let again_and_again = vec![Op::read("a"); 60_000];
    assert_eq!(
        client
            .call(&Command::on(1).info1(READ).ops(&again_and_again))
            .result,
        13
    );
    assert_eq!(
        client
            .call(&Command::write(1, &again_and_again[..200]).info1(READ))
            .result,
        13
    );
    assert_eq!(
        client
            .call(&Command::write(1, &again_and_again).info1(READ))
            .result,
        4
    );
    let (replies, last, _) =
        client.stream_of(&Command::scan().ops(&again_and_again).field(11, &[1, 0]));
    assert_eq!((replies.len(), last.result), (0, 13));
    let grow = vec![Op::new(OP_APPEND, 4, "a", &[0; 1000]); 30_000];
    assert_eq!(client.call(&Command::write(1, &grow)).result, 13);
    assert_eq!(client.call(&Command::get(1)).value("a").len(), 1_000_000);
}

#[test]
fn sets_cannot_be_created_without_bound() {
    let cluster = one_node();
    let mut client = Client::to(&cluster);
    let in_set = |n: u32| {
        let mut put = Command::put(n, 1);
        put.fields[1].1 = format!("set{n}").into_bytes();
        put
    };
    assert!((0..4095).all(|n| client.call(&in_set(n)).result == 0));
    assert_eq!(client.call(&in_set(4095)).result, 4);
    assert_eq!(client.call(&in_set(7)).result, 0);
}

#[test]
fn requests_split_at_any_byte_are_understood() {
    let cluster = one_node();
    let mut client = Client::to(&cluster);
    let put = Command::put(1, 9).encode();
    for at in 1..put.len() {
        client.send(&put[..at]);
        if at % 8 == 0 {
            std::thread::sleep(Duration::from_millis(1));
        }
        client.send(&put[at..]);
        assert_eq!(client.frame().unwrap().1[5], 0);
    }
    // Several requests in one packet are answered one after another.
    client.send(&[put.clone(), Command::get(1).encode(), put].concat());
    for _ in 0..3 {
        assert_eq!(client.frame().unwrap().1[5], 0);
    }
}
