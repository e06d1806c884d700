//! The cluster as clients see it: identity, map, nodes that come and go, counters, shutdown.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::collections::HashMap;
use std::io::Write;
use std::net::{SocketAddr, TcpListener};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use aerospike_embedded::{Cluster, CommandKind, NamespaceOptions, NodeError, Options};
use base64::engine::general_purpose::STANDARD;
use base64::Engine as _;
use support::*;

/// Which node is master of which partition, as read from every node's replicas.
fn masters(cluster: &Cluster, nodes: &[usize]) -> HashMap<usize, Vec<usize>> {
    let mut masters: HashMap<usize, Vec<usize>> = HashMap::new();
    for &node in nodes {
        let text = Client::connect(cluster.addresses()[node]).info_value("replicas");
        let bitmap = text.split(',').nth(2).unwrap();
        let bits = STANDARD.decode(bitmap).unwrap();
        for partition in (0..4096).filter(|p| bits[p / 8] & (0x80 >> (p % 8)) != 0) {
            masters.entry(partition).or_default().push(node);
        }
    }
    masters
}

fn generations(address: SocketAddr) -> (u64, u64) {
    let lines = Client::connect(address).info("partition-generation\npeers-generation\n");
    (lines[0].1.parse().unwrap(), lines[1].1.parse().unwrap())
}

#[test]
fn nodes_answer_what_clients_ask_when_they_connect_and_tend() {
    let cluster = nodes(2);
    let mut client = Client::to(&cluster);
    let lines = client.info(
        "node\nbuild\nfeatures\nnamespaces\npeers-clear-std\ncluster-stable:size=2\nrack-ids\n",
    );
    let value = |name: &str| {
        lines
            .iter()
            .find(|(known, _)| known == name)
            .unwrap()
            .1
            .clone()
    };
    assert_eq!(value("node"), cluster.node_names()[0]);
    assert!(value("build").starts_with("8.1."));
    assert!(value("features")
        .split(';')
        .any(|feature| feature == "pscans"));
    assert_eq!(
        (value("namespaces"), value("rack-ids")),
        ("test".to_owned(), "test:0".to_owned())
    );
    let peer = format!(
        "[{},,[{}]]",
        cluster.node_names()[1],
        cluster.addresses()[1]
    );
    assert!(value("peers-clear-std").ends_with(&format!(",[{peer}]")));
    assert!(u64::from_str_radix(&value("cluster-stable:size=2"), 16).is_ok());
    assert!(client
        .info_value("cluster-stable:size=3")
        .starts_with("ERROR"));
}

#[test]
fn data_written_through_one_node_is_read_through_another() {
    let cluster = nodes(3);
    let addresses = cluster.addresses();
    Client::connect(addresses[0]).call(&Command::put(1, 42));
    assert_eq!(
        Client::connect(addresses[2])
            .call(&Command::get(1))
            .int("a"),
        42
    );
}

#[test]
fn every_partition_has_one_master_before_and_after_it_moves() {
    let cluster = nodes(3);
    let before = masters(&cluster, &[0, 1, 2]);
    assert_eq!(before.len(), 4096);
    assert!(before.values().all(|nodes| nodes.len() == 1));
    let (partitions, peers) = generations(cluster.addresses()[0]);
    cluster.move_partitions();
    let after = masters(&cluster, &[0, 1, 2]);
    assert!(after.values().all(|nodes| nodes.len() == 1));
    assert!((0..4096).all(|partition| before[&partition] != after[&partition]));
    assert_eq!(generations(cluster.addresses()[0]), (partitions + 1, peers));
}

#[test]
fn a_node_that_is_down_refuses_and_its_partitions_are_served_by_others() {
    let cluster = nodes(3);
    let address = cluster.addresses()[1];
    let mut connected = Client::connect(address);
    connected.call(&Command::put(1, 42));
    let (_, peers) = generations(cluster.addresses()[0]);

    cluster.node_down(1).unwrap();
    assert_eq!(connected.end(), End::Closed);
    assert!(Client::try_connect(address).is_err());
    let stats = cluster.stats(1);
    assert_eq!(stats.connections_open, 0);
    let map = masters(&cluster, &[0, 2]);
    assert_eq!(map.len(), 4096);
    assert!(map.values().all(|nodes| nodes.len() == 1));
    let mut other = Client::to(&cluster);
    assert!(!other
        .info_value("peers-clear-std")
        .contains(&cluster.node_names()[1]));
    assert_eq!(generations(cluster.addresses()[0]).1, peers + 1);
    assert_eq!(other.call(&Command::get(1)).int("a"), 42);
    cluster.node_down(1).unwrap();

    cluster.node_up(1).unwrap();
    cluster.node_up(1).unwrap();
    assert_eq!(cluster.addresses()[1], address);
    assert_eq!(Client::connect(address).call(&Command::get(1)).int("a"), 42);
    assert!(other
        .info_value("peers-clear-std")
        .contains(&cluster.node_names()[1]));
}

#[cfg(unix)]
#[test]
fn nobody_else_gets_the_port_of_a_node_that_goes_down_and_up() {
    let cluster = nodes(1);
    let address = cluster.addresses()[0];
    let over = AtomicBool::new(false);
    std::thread::scope(|threads| {
        let greedy = threads.spawn(|| {
            let mut tries = 0;
            while !over.load(Ordering::Relaxed) || tries == 0 {
                if TcpListener::bind(address).is_ok() {
                    return Err(tries);
                }
                tries += 1;
            }
            Ok(tries)
        });
        for _ in 0..50 {
            cluster.node_down(0).unwrap();
            cluster.node_up(0).unwrap();
        }
        over.store(true, Ordering::Relaxed);
        assert!(greedy.join().unwrap().is_ok());
    });
    assert!(Client::try_connect(address).is_ok());
}

#[test]
fn numbers_of_nodes_that_are_not_there_are_errors() {
    let cluster = nodes(2);
    assert!(matches!(
        cluster.node_down(2),
        Err(NodeError::NoSuchNode { node: 2, nodes: 2 })
    ));
    cluster.stop();
    assert!(matches!(cluster.node_up(0), Err(NodeError::Stopped)));
    assert_eq!(cluster.stats(9).connections_accepted, 0);
}

#[test]
fn counters_tell_what_a_node_has_seen() {
    let cluster = one_node();
    let mut client = Client::to(&cluster);
    client.info("node\n");
    client.call(&Command::put(1, 1));
    client.call(&Command::get(1));
    client.call(&Command::get(1));
    client.call(&Command::on(1).info1(READ | NO_BIN_DATA));
    // Some clients name a bin, an empty one, beside the flag that asks for the header only.
    client.call(
        &Command::on(1)
            .info1(READ | NO_BIN_DATA)
            .ops(&[Op::read("")]),
    );
    client.call(&Command::write(1, &[Op::new(OP_TOUCH, 0, "", &[])]));
    client.call(&Command::write(1, &[Op::read("a")]).info1(READ));
    client.stream_of(&batch(0, &[row(1, Attributes::read_all())]));
    client.stream_of(&batch(
        0,
        &[row(1, Attributes::write(&[Op::int(OP_WRITE, "a", 1)]))],
    ));
    client.stream_of(&Command::scan());
    client.call(&Command::delete(1));
    let stats = cluster.stats(0);
    let expected = [
        (CommandKind::Info, 1),
        (CommandKind::Write, 1),
        (CommandKind::Read, 2),
        (CommandKind::Exists, 2),
        (CommandKind::Touch, 1),
        (CommandKind::Operate, 1),
        (CommandKind::BatchRead, 1),
        (CommandKind::BatchWrite, 1),
        (CommandKind::Scan, 1),
        (CommandKind::Delete, 1),
        (CommandKind::Any, 12),
    ];
    for (kind, count) in expected {
        assert_eq!(stats.commands_of(kind), count, "{kind}");
    }
    assert_eq!((stats.connections_open, stats.connections_accepted), (1, 1));
    assert!(stats.bytes_in > 500 && stats.bytes_out > 500);
    drop(client);
    let deadline = Instant::now() + Duration::from_secs(10);
    while cluster.stats(0).connections_closed == 0 && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(5));
    }
    assert_eq!(cluster.stats(0).connections_open, 0);
}

#[test]
fn nodes_come_and_go_under_load_and_the_cluster_stops_in_the_middle_of_it() {
    let cluster = nodes(3);
    let stopping = AtomicBool::new(false);
    let answered = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for n in 0..16u32 {
            let (stopping, answered, addresses) = (&stopping, &answered, cluster.addresses());
            scope.spawn(move || {
                let rows = [row(n, Attributes::read_all()), repeat(n + 1)];
                while !stopping.load(Ordering::Relaxed) {
                    let Ok(mut client) = Client::try_connect(addresses[n as usize % 3]) else {
                        std::thread::sleep(Duration::from_millis(1));
                        continue;
                    };
                    while client.try_call(&Command::put(n, 1)).is_ok() {
                        let Ok(reply) = client.try_call(&Command::get(n)) else {
                            break;
                        };
                        assert_eq!(reply.int("a"), 1);
                        if client.stream.write_all(&batch(0, &rows).encode()).is_err()
                            || client.frame().is_err()
                        {
                            break;
                        }
                        answered.fetch_add(1, Ordering::Relaxed);
                    }
                }
            });
        }
        for round in 0..12 {
            cluster.node_down(round % 3).unwrap();
            assert_eq!(cluster.stats(round % 3).connections_open, 0);
            cluster.move_partitions();
            cluster.node_up(round % 3).unwrap();
            std::thread::sleep(Duration::from_millis(20));
        }
        cluster.stop();
        stopping.store(true, Ordering::Relaxed);
    });
    assert!(answered.load(Ordering::Relaxed) > 100);
    let stats: Vec<_> = (0..3).map(|node| cluster.stats(node)).collect();
    assert!(
        stats
            .iter()
            .all(|stats| stats.connections_open == 0 && stats.malformed_frames == 0),
        "{stats:?}"
    );
}

#[test]
fn truncation_by_call_and_by_request() {
    let cluster = one_node();
    let mut client = Client::to(&cluster);
    let fill = |client: &mut Client| {
        for n in 0..10 {
            let mut put = Command::put(n, 1);
            put.fields[1].1 = if n < 5 {
                b"few".to_vec()
            } else {
                b"many".to_vec()
            };
            client.call(&put);
        }
    };
    fill(&mut client);
    assert_eq!(cluster.record_count("test", Some("few")), 5);
    cluster.truncate("test", Some("few"));
    assert_eq!(
        (
            cluster.record_count("test", None),
            cluster.record_count("test", Some("few"))
        ),
        (5, 0)
    );
    fill(&mut client);
    assert_eq!(client.info_value("truncate:namespace=test;set=many"), "ok");
    assert_eq!(cluster.record_count("test", None), 5);
    // An old point in time spares what was written after it.
    assert_eq!(
        client.info_value("truncate-namespace:namespace=test;lut=1400000000000000000"),
        "ok"
    );
    assert_eq!(cluster.record_count("test", None), 5);
    assert!(client
        .info_value("truncate-namespace:namespace=test;lut=9000000000000000000")
        .starts_with("ERROR"));
    assert!(client
        .info_value("truncate:namespace=test")
        .starts_with("ERROR"));
    assert_eq!(client.info_value("truncate-namespace:namespace=test"), "ok");
    assert_eq!(cluster.record_count("test", None), 0);
    let sets = client.info_value("sets/test");
    assert!(
        sets.contains("set=few:objects=0") && sets.contains("set=many:objects=0"),
        "{sets}"
    );
}

#[test]
fn fixed_ports_follow_each_other_and_are_free_again_after_a_stop() {
    // A free block of three ports, found by asking for the first and trying.
    for _ in 0..50 {
        let port = TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        let options = Options {
            nodes: 3,
            port,
            ..Options::default()
        };
        let Ok(cluster) = Cluster::start(options.clone()) else {
            continue;
        };
        let ports: Vec<u16> = cluster.addresses().iter().map(SocketAddr::port).collect();
        assert_eq!(ports, [port, port + 1, port + 2]);
        let mut client = Client::to(&cluster);
        client.call(&Command::put(1, 1));
        let began = Instant::now();
        cluster.stop();
        cluster.stop();
        assert!(began.elapsed() < Duration::from_secs(5));
        assert_eq!(client.end(), End::Closed);
        let again = Cluster::start(options).unwrap();
        assert_eq!(Client::to(&again).call(&Command::get(1)).result, 2);
        return;
    }
    panic!("no three free ports in a row");
}

#[test]
fn options_that_make_no_sense_are_refused_with_advice() {
    let named = |name: &str| NamespaceOptions {
        name: name.to_owned(),
        ..NamespaceOptions::default()
    };
    let with = |change: &dyn Fn(&mut Options)| {
        let mut options = Options::default();
        change(&mut options);
        Cluster::start(options).unwrap_err().to_string()
    };
    assert!(with(&|options| options.nodes = 0).contains("one node"));
    assert!(with(&|options| options.worker_threads = 0).contains("one worker"));
    assert!(with(&|options| options.namespaces.clear()).contains("one namespace"));
    assert!(
        with(&|options| options.namespaces = vec![named("a"), named("a")])
            .contains("two namespaces")
    );
    assert!(with(&|options| options.namespaces = vec![named("a:b")]).contains("no namespace name"));
    let too_high = with(&|options| {
        options.port = 65_535;
        options.nodes = 2;
    });
    assert!(too_high.contains("lower port"), "{too_high}");
}
