//! The operations on embedded servers: what a batch makes of nodes that fail, how its retries count,
//! and what closing does.

use std::sync::Arc;
use std::time::{Duration, Instant};

use aerospike_core::{
    AdminPolicy, BatchPolicy, BatchReadPolicy, BatchWritePolicy, Bin, Bins, ClientPolicy, Host,
    Key, ReadPolicy, Value,
};
use aerospike_embedded::{Cluster, CommandKind, Options};

use super::request::{
    BatchReadRequest, BatchWriteRequest, InfoRequest, ReadRequest, Reply, Request, RetryInfo, Rows,
    WriteRow,
};
use super::session::Session;
use super::{carry_out, prepare};
use crate::error::{Fault, Kind};

const KEYS: i64 = 60;

fn cluster(nodes: usize) -> Cluster {
    Cluster::start(Options {
        nodes,
        ..Options::default()
    })
    .unwrap()
}

fn hosts(cluster: &Cluster) -> Vec<Host> {
    let addresses = cluster.addresses();
    addresses
        .iter()
        .map(|address| Host::new(&address.ip().to_string(), address.port()))
        .collect()
}

async fn execute(session: &Arc<Session>, request: Request) -> Result<Reply, Fault> {
    carry_out(session, prepare(session, request)).await
}

async fn session(cluster: &Cluster) -> Arc<Session> {
    session_with(cluster, ClientPolicy::default()).await
}

async fn session_with(cluster: &Cluster, policy: ClientPolicy) -> Arc<Session> {
    Arc::new(Session::connect(&policy, hosts(cluster)).await.unwrap())
}

fn key(number: i64) -> Key {
    Key::new("test", "rows", Value::Int(number)).unwrap()
}

fn write_request(total_timeout: u32, retry: u32) -> Request {
    let rows = (0..KEYS).map(|number| WriteRow {
        key: key(number),
        bins: vec![Bin::new("n", Value::Int(number))],
        policy: BatchWritePolicy::default(),
    });
    let mut policy = BatchPolicy::write_default();
    policy.base_policy.total_timeout = total_timeout;
    Request::BatchWrite(Box::new(BatchWriteRequest {
        rows: rows.collect(),
        policy,
        retry,
    }))
}

fn get_request(key: Key, total_timeout: u32) -> Request {
    let mut policy = ReadPolicy::default();
    policy.base_policy.total_timeout = total_timeout;
    Request::Get(Box::new(ReadRequest {
        key,
        bins: Bins::All,
        policy,
    }))
}

fn read_request() -> Request {
    batch_read_within(BatchPolicy::default().base_policy.total_timeout)
}

fn batch_read_within(total_timeout: u32) -> Request {
    let mut policy = BatchPolicy::default();
    policy.base_policy.total_timeout = total_timeout;
    Request::BatchRead(Box::new(BatchReadRequest {
        keys: (0..KEYS).map(key).collect(),
        bins: Bins::All,
        read: BatchReadPolicy::default(),
        policy,
    }))
}

async fn written(session: &Arc<Session>, total_timeout: u32, retry: u32) -> (Rows, RetryInfo) {
    match execute(session, write_request(total_timeout, retry))
        .await
        .unwrap()
    {
        Reply::BatchWrite { rows, retry } => (rows, retry),
        other => panic!("{other:?}"),
    }
}

fn codes(rows: &Rows) -> Vec<i32> {
    let mut codes: Vec<i32> = rows.records.iter().map(|row| rows.code(row)).collect();
    codes.sort_unstable();
    codes.dedup();
    codes
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_that_every_node_refuses_fails_as_a_whole() {
    let cluster = cluster(3);
    let session = session(&cluster).await;
    cluster
        .set_fault(None, CommandKind::BatchRead, "error=150".parse().unwrap())
        .unwrap();
    let fault = execute(&session, read_request()).await.unwrap_err();
    assert_eq!((fault.kind(), fault.code()), (Kind::Server, 150), "{fault}");
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_of_the_node_that_refuses_carry_its_code() {
    let cluster = cluster(3);
    let session = session(&cluster).await;
    written(&session, 1000, 0).await;
    cluster
        .set_fault(Some(1), CommandKind::BatchRead, "error=8".parse().unwrap())
        .unwrap();
    let Reply::BatchRead(rows) = execute(&session, read_request()).await.unwrap() else {
        panic!("not the rows of a batch read");
    };
    assert_eq!(codes(&rows), [0, 8]);
    let found = rows
        .records
        .iter()
        .filter(|row| Rows::found(row).is_some())
        .count();
    let failed = rows
        .records
        .iter()
        .filter(|row| rows.code(row) == 8)
        .count();
    assert!(found > 0 && failed > 1, "{found} found, {failed} failed");
    assert_eq!(found + failed, rows.records.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn retries_send_only_what_failed_and_count_attempts() {
    let cluster = cluster(3);
    let session = session(&cluster).await;
    cluster
        .set_fault(
            Some(2),
            CommandKind::BatchWrite,
            "error=18x2".parse().unwrap(),
        )
        .unwrap();
    let (rows, retry) = written(&session, 10_000, 5).await;
    assert_eq!(codes(&rows), [0]);
    assert_eq!(
        (retry.attempts, retry.max_attempts, retry.unresolved),
        (3, 6, 0)
    );
    assert!(!retry.truncated_by_timeout);
    assert_eq!(cluster.record_count("test", Some("rows")), KEYS as usize);
    // The nodes whose rows had succeeded were not asked again.
    assert_eq!(cluster.stats(0).commands_of(CommandKind::BatchWrite), 1);
    assert_eq!(cluster.stats(2).commands_of(CommandKind::BatchWrite), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_total_timeout_ends_retries() {
    let cluster = cluster(3);
    let session = session(&cluster).await;
    cluster
        .set_fault(
            Some(0),
            CommandKind::BatchWrite,
            "error=14".parse().unwrap(),
        )
        .unwrap();
    let (rows, retry) = written(&session, 150, 1000).await;
    assert_eq!(codes(&rows), [0, 14]);
    assert!(
        retry.truncated_by_timeout && retry.attempts < 1001,
        "{retry:?}"
    );
    assert_eq!(
        retry.unresolved,
        rows.records
            .iter()
            .filter(|row| rows.code(row) == 14)
            .count()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_that_never_gets_through_raises_the_last_failure() {
    let cluster = cluster(1);
    let session = session(&cluster).await;
    cluster
        .set_fault(None, CommandKind::BatchWrite, "reset".parse().unwrap())
        .unwrap();
    let fault = execute(&session, write_request(2000, 2)).await.unwrap_err();
    assert_eq!(fault.kind(), Kind::Cluster, "{fault}");
    assert!(fault.in_doubt());
    assert_eq!(cluster.stats(0).commands_of(CommandKind::BatchWrite), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn closing_ends_operations_without_a_deadline_and_refuses_new_ones() {
    let cluster = cluster(1);
    let session = std::sync::Arc::new(session(&cluster).await);
    cluster
        .set_fault(None, CommandKind::Read, "stall".parse().unwrap())
        .unwrap();
    let mut policy = ReadPolicy::default();
    policy.base_policy.total_timeout = 0;
    policy.base_policy.socket_timeout = 0;
    let request = Request::Get(Box::new(ReadRequest {
        key: key(1),
        bins: Bins::All,
        policy,
    }));
    let waiting = tokio::spawn({
        let session = session.clone();
        async move { execute(&session, request).await }
    });
    while cluster.stats(0).commands_of(CommandKind::Read) == 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let started = Instant::now();
    session.close().await.unwrap();
    session.close().await.unwrap();
    assert!(matches!(waiting.await.unwrap(), Err(Fault::Closed)));
    assert!(started.elapsed() < Duration::from_secs(5));
    assert!(matches!(
        execute(&session, read_request()).await,
        Err(Fault::Closed)
    ));
    assert!(!session.is_connected() && session.node_names().is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn hosts_that_cannot_be_used_are_named_with_the_reason() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = free.local_addr().unwrap().port();
    drop(free);
    let policy = ClientPolicy::default();
    let fault = Session::connect(&policy, vec![Host::new("127.0.0.1", port)])
        .await
        .unwrap_err();
    assert_eq!(fault.kind(), Kind::Cluster);
    let text = fault.to_string();
    assert!(
        text.contains(&format!("127.0.0.1:{port}: Connection refused")),
        "{text}"
    );
    assert!(text.contains("check host and port"), "{text}");

    let mute = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = mute.local_addr().unwrap().port();
    let policy = ClientPolicy {
        timeout: 200,
        ..ClientPolicy::default()
    };
    let fault = Session::connect(&policy, vec![Host::new("127.0.0.1", port)])
        .await
        .unwrap_err();
    assert!(
        fault.to_string().contains("Nothing answered in time"),
        "{fault}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_namespace_is_answered_with_those_there_are() {
    let cluster = cluster(1);
    let session = session(&cluster).await;
    let unknown = Key::new("tset", "rows", Value::Int(1)).unwrap();
    let fault = execute(&session, get_request(unknown, 1000))
        .await
        .unwrap_err();
    assert_eq!((fault.kind(), fault.code()), (Kind::Server, 20));
    let text = fault.to_string();
    assert!(
        text.contains("\"tset\"") && text.contains("which has: test"),
        "{text}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_accepts_no_connection_is_named() {
    let cluster = cluster(1);
    let policy = ClientPolicy {
        tend_interval: 60_000,
        ..ClientPolicy::default()
    };
    let session = session_with(&cluster, policy).await;
    cluster.node_down(0).unwrap();
    let fault = execute(&session, get_request(key(1), 200))
        .await
        .unwrap_err();
    assert_eq!(fault.kind(), Kind::Timeout);
    let text = fault.to_string();
    let address = cluster.addresses()[0].to_string();
    assert!(
        text.contains("could be opened") && text.contains(&address),
        "{text}"
    );

    let request = Request::InfoAll(InfoRequest {
        command: "build".to_owned(),
        policy: AdminPolicy { timeout: 100 },
    });
    let Reply::InfoAll(answers) = execute(&session, request).await.unwrap() else {
        panic!("not the answers of nodes");
    };
    assert_eq!(answers.len(), 1);
    assert!(
        answers[0].response.contains("could be opened"),
        "{answers:?}"
    );
    assert!(answers[0].code < 0, "{answers:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pool_without_a_free_connection_is_told_from_a_slow_server() {
    let cluster = cluster(1);
    let policy = ClientPolicy {
        max_conns_per_node: 1,
        ..ClientPolicy::default()
    };
    let session = std::sync::Arc::new(session_with(&cluster, policy).await);
    cluster
        .set_fault(None, CommandKind::Read, "stall".parse().unwrap())
        .unwrap();
    let first = tokio::spawn({
        let session = session.clone();
        async move { execute(&session, get_request(key(1), 1500)).await }
    });
    while cluster.stats(0).commands_of(CommandKind::Read) == 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    for request in [get_request(key(2), 200), batch_read_within(200)] {
        let fault = execute(&session, request).await.unwrap_err();
        assert_eq!(fault.kind(), Kind::Timeout);
        let text = fault.to_string();
        assert!(
            text.contains("1 are in use") && text.contains("max_conns_per_node"),
            "{text}"
        );
    }
    let text = first.await.unwrap().unwrap_err().to_string();
    assert!(text.contains("the network is slow"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_node_is_asked_at_the_same_time() {
    let cluster = cluster(3);
    let session = session(&cluster).await;
    cluster
        .set_fault(None, CommandKind::Info, "delay=300ms".parse().unwrap())
        .unwrap();
    let request = Request::InfoAll(InfoRequest {
        command: "build".to_owned(),
        policy: AdminPolicy { timeout: 5000 },
    });
    let started = Instant::now();
    let Reply::InfoAll(answers) = execute(&session, request).await.unwrap() else {
        panic!("not the answers of nodes");
    };
    assert_eq!(answers.len(), 3);
    assert!(answers.iter().all(|answer| answer.code == 0), "{answers:?}");
    assert!(started.elapsed() < Duration::from_millis(850));
}
