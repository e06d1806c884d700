//! Scans: all records, of a set, of partitions, from a record on, a few at a time.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use aerospike_embedded::Cluster;
use support::*;

/// Records 0..count, the odd ones in set `odd`.
fn filled(cluster: &Cluster, count: u32) -> Client {
    let mut client = Client::to(cluster);
    for n in 0..count {
        let mut put = Command::put(n, i64::from(n))
            .field(2, &[&[INTEGER][..], &i64::from(n).to_be_bytes()].concat());
        if n % 2 == 1 {
            put.fields[1].1 = b"odd".to_vec();
        }
        assert_eq!(client.call(&put).result, 0);
    }
    client
}

fn records(replies: &[Reply]) -> Vec<&Reply> {
    replies
        .iter()
        .filter(|reply| reply.info3 & PARTITION_DONE == 0)
        .collect()
}

fn pids(range: std::ops::Range<u16>) -> Vec<u8> {
    range.flat_map(u16::to_le_bytes).collect()
}

#[test]
fn a_scan_returns_every_record_with_its_identity() {
    let cluster = one_node();
    let mut client = filled(&cluster, 500);
    let (replies, last, _) = client.stream_of(&Command::scan());
    let found = records(&replies);
    assert_eq!((found.len(), last.result), (500, 0));
    for reply in found {
        let n = reply.int("a") as u32;
        assert_eq!(reply.field(0), Some(&b"test"[..]));
        assert_eq!(
            reply.field(1),
            Some(if n % 2 == 1 { &b"odd"[..] } else { b"demo" })
        );
        assert_eq!(reply.field(4), Some(&digest(n)[..]));
        assert_eq!(reply.field(2).unwrap()[1..], i64::from(n).to_be_bytes());
    }
}

#[test]
fn sets_bins_and_metadata_can_be_chosen() {
    let cluster = one_node();
    let mut client = filled(&cluster, 20);
    client.call(&Command::write(0, &[Op::int(OP_WRITE, "b", 1)]));
    let (replies, _, _) = client.stream_of(&Command::scan().field(1, b"demo"));
    assert_eq!(records(&replies).len(), 10);
    let (replies, last, _) = client.stream_of(&Command::scan().field(1, b"absent"));
    assert_eq!((records(&replies).len(), last.result), (0, 0));
    let (replies, _, _) = client.stream_of(&Command::scan().ops(&[Op::read("b")]));
    let with_b = records(&replies)
        .into_iter()
        .filter(|reply| reply.names() == ["b"])
        .count();
    assert_eq!((records(&replies).len(), with_b), (20, 1));
    let (replies, _, _) = client.stream_of(&Command::scan().info1(NO_BIN_DATA));
    assert!(records(&replies).iter().all(|reply| reply.ops.is_empty()));
}

#[test]
fn listed_partitions_are_scanned_and_reported_done() {
    let cluster = one_node();
    let mut client = filled(&cluster, 100);
    let (replies, _, _) = client.stream_of(&Command::scan().field(11, &pids(10..13)));
    let found: BTreeSet<i64> = records(&replies)
        .iter()
        .map(|reply| reply.int("a"))
        .collect();
    assert_eq!(found, BTreeSet::from([10, 11, 12]));
    let done: Vec<(u32, u8)> = replies
        .iter()
        .filter(|reply| reply.info3 & PARTITION_DONE != 0)
        .map(|reply| (reply.generation, reply.result))
        .collect();
    assert_eq!(done, [(10, 0), (11, 0), (12, 0)]);
}

#[test]
fn a_scan_resumes_after_the_last_record_seen_until_none_is_left() {
    let cluster = one_node();
    let mut client = Client::to(&cluster);
    // All in partition 7.
    let count = 50;
    for k in 0..count {
        client.call(&Command::put(7 + k * 4096, i64::from(k)));
    }
    let mut seen = BTreeSet::new();
    let mut resume = Command::scan().field(11, &pids(7..8));
    for _ in 0..count {
        let (replies, _, _) = client.stream_of(&resume.clone().field(13, &3u64.to_be_bytes()));
        let found = records(&replies);
        assert!(found.len() <= 3);
        let Some(last) = found.last() else {
            break;
        };
        assert!(found.iter().all(|reply| seen.insert(reply.int("a"))));
        resume = Command::scan().field(12, last.field(4).unwrap());
    }
    assert_eq!(seen.len(), count as usize);
}

#[test]
fn partitions_of_other_nodes_are_reported_unavailable() {
    let cluster = nodes(3);
    let mut client = filled(&cluster, 300);
    // With two copies on three nodes, each node holds two partitions in three.
    let (replies, last, _) = client.stream_of(&Command::scan().field(11, &pids(0..300)));
    let unavailable = replies.iter().filter(|reply| reply.result == 11).count();
    assert_eq!(
        (unavailable, records(&replies).len(), last.result),
        (100, 200, 0)
    );
    let mut total = 0;
    for address in cluster.addresses() {
        let (replies, _, _) = Client::connect(address).stream_of(&Command::scan());
        total += records(&replies).len();
    }
    assert_eq!(total, 300);
}

#[test]
fn a_rate_limit_slows_the_scan_down() {
    let cluster = one_node();
    let mut client = filled(&cluster, 60);
    let began = Instant::now();
    let (replies, _, _) = client.stream_of(&Command::scan().field(10, &200u32.to_be_bytes()));
    assert_eq!(records(&replies).len(), 60);
    assert!(
        began.elapsed() >= Duration::from_millis(200),
        "{:?}",
        began.elapsed()
    );
}

#[test]
fn large_scans_come_in_frames_of_bounded_size() {
    let cluster = one_node();
    let mut client = Client::to(&cluster);
    let text = "x".repeat(1000);
    for n in 0..1000 {
        client.call(&Command::write(n, &[Op::text(OP_WRITE, "a", &text)]));
    }
    let (replies, _, frames) = client.stream_of(&Command::scan());
    assert_eq!(records(&replies).len(), 1000);
    assert!((8..100).contains(&frames), "{frames} frames");
}

#[test]
fn queries_beyond_this_server_are_refused() {
    let cluster = one_node();
    let mut client = Client::to(&cluster);
    let result_of = |client: &mut Client, command: Command| client.stream_of(&command).1.result;
    assert_eq!(
        result_of(&mut client, Command::scan().field(22, &[0; 8])),
        201
    );
    assert_eq!(
        result_of(&mut client, Command::scan().field(43, &[0xC3])),
        16
    );
    assert_eq!(result_of(&mut client, Command::scan().field(33, &[1])), 100);
    let background = Command::scan()
        .info2(WRITE)
        .ops(&[Op::int(OP_WRITE, "a", 1)]);
    assert_eq!(result_of(&mut client, background), 16);
    let mut elsewhere = Command::scan();
    elsewhere.fields[0].1 = b"nowhere".to_vec();
    assert_eq!(result_of(&mut client, elsewhere), 20);
}
