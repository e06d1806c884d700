//! Faults over the wire: each does what it says, to whom it says, and to nobody else.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::io::{ErrorKind, Read};
use std::time::{Duration, Instant};

use aerospike_embedded::{Cluster, CommandKind, Fault};
use support::*;

const MS: Duration = Duration::from_millis(1);

fn set(cluster: &Cluster, kind: CommandKind, spec: &str) -> aerospike_embedded::FaultId {
    cluster
        .set_fault(None, kind, spec.parse::<Fault>().unwrap())
        .unwrap()
}

fn timed<T>(work: impl FnOnce() -> T) -> (T, Duration) {
    let began = Instant::now();
    let result = work();
    (result, began.elapsed())
}

#[test]
fn delays_hold_back_the_reply_of_their_kind_alone() {
    let cluster = one_node();
    let mut client = Client::to(&cluster);
    let fault = set(&cluster, CommandKind::Read, "delay=60ms");
    let (_, write) = timed(|| client.call(&Command::put(1, 7)));
    let (reply, read) = timed(|| client.call(&Command::get(1)));
    assert_eq!(reply.int("a"), 7);
    assert!(read >= 60 * MS, "{read:?}");
    assert!(write < 60 * MS, "{write:?}");
    assert_eq!(cluster.stats(0).faults_fired, 1);
    cluster.clear_fault(fault);
    let (_, read) = timed(|| client.call(&Command::get(1)));
    assert!(read < 60 * MS, "{read:?}");
}

#[test]
fn the_delay_itself_is_exact() {
    let cluster = one_node();
    let mut client = Client::to(&cluster);
    client.call(&Command::put(1, 7));
    set(&cluster, CommandKind::Read, "delay=1500us");
    let mut waits: Vec<Duration> = (0..60)
        .map(|_| timed(|| client.call(&Command::get(1))).1)
        .collect();
    waits.sort_unstable();
    assert!(waits[0] >= Duration::from_micros(1500), "{:?}", waits[0]);
    // Rounded up to whole milliseconds the best of sixty could not be below two.
    assert!(waits[0] < Duration::from_micros(2000), "{:?}", waits[0]);
}

#[test]
fn a_delayed_connection_does_not_hold_up_another() {
    let cluster = one_node();
    set(&cluster, CommandKind::Write, "delay=400ms");
    let address = cluster.addresses()[0];
    let slow =
        std::thread::spawn(move || timed(|| Client::connect(address).call(&Command::put(1, 1))).1);
    let (_, quick) = timed(|| {
        let mut client = Client::connect(address);
        (0..50).for_each(|n| {
            client.call(&Command::get(n));
        });
    });
    assert!(slow.join().unwrap() >= 400 * MS);
    assert!(quick < 300 * MS, "{quick:?}");
}

#[test]
fn faults_stay_on_their_node() {
    let cluster = nodes(2);
    cluster
        .set_fault(Some(1), CommandKind::Any, "error=9".parse().unwrap())
        .unwrap();
    let addresses = cluster.addresses();
    assert_eq!(
        Client::connect(addresses[0])
            .call(&Command::put(1, 1))
            .result,
        0
    );
    assert_eq!(
        Client::connect(addresses[1])
            .call(&Command::put(1, 1))
            .result,
        9
    );
    assert_eq!(
        (cluster.stats(0).faults_fired, cluster.stats(1).faults_fired),
        (0, 1)
    );
}

#[test]
fn errors_come_instead_of_the_command_in_every_protocol_shape() {
    let cluster = one_node();
    let mut client = Client::to(&cluster);
    set(&cluster, CommandKind::Any, "error=18");
    assert_eq!(client.call(&Command::put(1, 1)).result, 18);
    let (replies, last, _) = client.stream_of(&batch(0, &[row(1, Attributes::read_all())]));
    assert_eq!((replies.len(), last.result), (0, 18));
    assert_eq!(client.stream_of(&Command::scan()).1.result, 18);
    assert!(client.info_value("node").starts_with("ERROR:18"));
    cluster.clear_faults();
    assert_eq!(client.call(&Command::get(1)).result, 2);
}

#[test]
fn probability_and_times_limit_how_often_a_fault_happens() {
    let cluster = one_node();
    let mut client = Client::to(&cluster);
    let failures = |client: &mut Client, calls: u32| {
        (0..calls)
            .filter(|&n| client.call(&Command::get(n)).result == 9)
            .count()
    };
    let fault = set(&cluster, CommandKind::Read, "error=9@0.25");
    let some = failures(&mut client, 1000);
    assert!((150..350).contains(&some), "{some} of 1000 at 0.25");
    cluster.clear_fault(fault);
    set(&cluster, CommandKind::Read, "error=9x3");
    assert_eq!(failures(&mut client, 20), 3);
}

#[test]
fn dribbled_replies_arrive_complete_but_in_pieces() {
    let cluster = one_node();
    let mut client = Client::to(&cluster);
    client.call(&Command::write(
        1,
        &[Op::text(OP_WRITE, "a", &"y".repeat(69))],
    ));
    set(&cluster, CommandKind::Read, "dribble=10,5ms");
    // 8 + 22 + 8 + 1 + 69 bytes are eleven pieces with ten gaps.
    let (reply, taken) = timed(|| client.call(&Command::get(1)));
    assert_eq!(reply.text("a").len(), 69);
    assert!(taken >= 50 * MS, "{taken:?}");
}

#[test]
fn stalled_requests_are_answered_once_the_fault_is_cleared() {
    let cluster = one_node();
    let mut client = Client::to(&cluster);
    client.call(&Command::put(1, 7));
    let fault = set(&cluster, CommandKind::Read, "stall");
    client.send(&Command::get(1).encode());
    client.stream.set_read_timeout(Some(100 * MS)).unwrap();
    let early = client.stream.read(&mut [0; 1]).unwrap_err();
    assert!(matches!(
        early.kind(),
        ErrorKind::WouldBlock | ErrorKind::TimedOut
    ));
    cluster.clear_fault(fault);
    client
        .stream
        .set_read_timeout(Some(Duration::from_secs(10)))
        .unwrap();
    assert_eq!(client.frame().unwrap().1[5], 0);
}

#[test]
fn a_stalled_connection_is_let_go_when_its_client_leaves() {
    let cluster = one_node();
    set(&cluster, CommandKind::Read, "stall");
    let mut client = Client::to(&cluster);
    client.send(&Command::get(1).encode());
    let wait_for_open = |count: u64| {
        let deadline = Instant::now() + Duration::from_secs(10);
        while cluster.stats(0).connections_open != count && Instant::now() < deadline {
            std::thread::sleep(MS);
        }
        assert_eq!(cluster.stats(0).connections_open, count);
    };
    wait_for_open(1);
    drop(client);
    wait_for_open(0);
}

#[test]
fn resets_cut_the_connection_before_or_within_the_reply() {
    let cluster = one_node();
    let mut client = Client::to(&cluster);
    client.call(&Command::put(1, 7));
    set(&cluster, CommandKind::Read, "reset x1");
    client.send(&Command::get(1).encode());
    assert_eq!(client.end(), End::Reset);

    set(&cluster, CommandKind::Write, "reset-mid-reply x1");
    let mut client = Client::to(&cluster);
    client.send(&Command::put(1, 8).encode());
    let mut half = [0; 15];
    client.stream.read_exact(&mut half).unwrap();
    assert_eq!(half[0], 2);
    assert_eq!(client.end(), End::Reset);
    // The command itself was run: that is what makes it doubtful.
    assert_eq!(Client::to(&cluster).call(&Command::get(1)).int("a"), 8);
}

#[test]
fn refusals_close_connections_without_running_the_command() {
    let cluster = one_node();
    let mut client = Client::to(&cluster);
    set(&cluster, CommandKind::Write, "refuse x1");
    client.send(&Command::put(1, 1).encode());
    assert_eq!(client.end(), End::Closed);
    assert_eq!(cluster.record_count("test", None), 0);

    let fault = set(&cluster, CommandKind::Any, "refuse");
    let refused = Client::try_connect(cluster.addresses()[0])
        .and_then(|mut client| client.try_call(&Command::get(1)));
    assert!(refused.is_err());
    cluster.clear_fault(fault);
    assert_eq!(Client::to(&cluster).call(&Command::put(1, 1)).result, 0);
}

#[test]
fn stopping_does_not_wait_for_faults() {
    let cluster = one_node();
    set(&cluster, CommandKind::Any, "delay=100s");
    let mut client = Client::to(&cluster);
    client.send(&Command::get(1).encode());
    let deadline = Instant::now() + Duration::from_secs(10);
    while cluster.stats(0).faults_fired == 0 && Instant::now() < deadline {
        std::thread::sleep(MS);
    }
    let (_, taken) = timed(|| cluster.stop());
    assert!(taken < Duration::from_secs(10), "{taken:?}");
    assert_eq!(client.end(), End::Closed);
}
