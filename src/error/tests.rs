//! Tests of `error`: the table of codes, what decides in a chain of causes, and the messages.

use super::codes::kind_of_code;
use super::message::{connect_hint, describe, seed_reasons};
use super::*;
use aerospike_core::{Error, Value};

fn key() -> Key {
    Key::new("shop", "users", Value::String("alice".to_owned())).unwrap()
}

#[test]
fn every_documented_code_has_its_kind() {
    let table = [
        (1, Kind::Server),
        (2, Kind::RecordNotFound),
        (3, Kind::RecordGeneration),
        (4, Kind::Server),
        (5, Kind::RecordExists),
        (6, Kind::BinExists),
        (9, Kind::Timeout),
        (12, Kind::BinType),
        (13, Kind::RecordTooBig),
        (15, Kind::QueryAborted),
        (17, Kind::BinNotFound),
        (20, Kind::Server),
        (21, Kind::BinName),
        (22, Kind::Server),
        (23, Kind::Record),
        (27, Kind::FilteredOut),
        (51, Kind::Admin),
        (62, Kind::Admin),
        (80, Kind::Admin),
        (83, Kind::Admin),
        (100, Kind::Udf),
        (150, Kind::Server),
        (200, Kind::IndexFound),
        (201, Kind::IndexNotFound),
        (210, Kind::QueryAborted),
        (250, Kind::Server),
    ];
    for (code, kind) in table {
        assert_eq!(kind_of_code(code), kind, "code {code}");
    }
}

#[test]
fn client_side_arguments_are_invalid_arguments_without_a_server_code() {
    let verdict = Fault::driver(Error::invalid_argument("no such thing")).verdict();
    assert_eq!(verdict.kind, Kind::InvalidArgument);
    assert_eq!(verdict.code, NO_SERVER_CODE);
    assert!(
        verdict.message.contains("no such thing"),
        "{}",
        verdict.message
    );
}

#[test]
fn a_wrapped_cause_decides() {
    let error = Error::invalid_argument("bin value").chain_error("Failed to prepare send buffer");
    let fault = Fault::driver(error);
    assert_eq!(fault.kind(), Kind::InvalidArgument);
    assert!(fault.to_string().contains("bin value"), "{fault}");
}

#[test]
fn io_errors_are_cluster_errors_and_transient() {
    let io = std::io::Error::new(
        std::io::ErrorKind::ConnectionReset,
        "connection reset by peer",
    );
    let fault = Fault::driver(Error::from(io)).about(&key());
    assert_eq!(fault.kind(), Kind::Cluster);
    assert_eq!(fault.outcome(), Outcome::Connection);
    assert!(fault.is_transient());
    assert!(fault.to_string().contains("alice"), "{fault}");
}

#[test]
fn states_of_the_client_have_their_own_words() {
    assert!(Fault::Closed.to_string().contains("client is closed"));
    assert!(Fault::NotConnected.to_string().contains("connect()"));
    let backpressure = Fault::Backpressure {
        limit: 4,
        waited_ms: 250,
    };
    assert_eq!(backpressure.kind(), Kind::Backpressure);
    let text = backpressure.to_string();
    assert!(
        text.contains("250 ms") && text.contains("max_concurrent_operations"),
        "{text}"
    );
    assert_eq!(Fault::Cancelled.outcome(), Outcome::Cancelled);
    assert_eq!(Fault::Panicked("index".to_owned()).kind(), Kind::Panic);
    assert_eq!(Fault::argument("x").kind(), Kind::InvalidArgument);
    assert!(!Fault::Closed.is_transient());
}

#[test]
fn keys_are_shown_shortened_and_escaped() {
    let long = Key::new("ns", "set", Value::String("k".repeat(500))).unwrap();
    assert!(describe(&long).len() < 100);
    let blob = Key::new("ns", "set", Value::Blob(vec![0, 255])).unwrap();
    assert_eq!(describe(&blob), "(\"ns\", \"set\", b\"\\x00\\xff\")");
    let digest = Key::with_digest("ns", "", None, [0xab; 20]);
    assert_eq!(
        describe(&digest),
        format!("(\"ns\", \"\", digest {})", "ab".repeat(20))
    );
}

#[test]
fn connection_hints_follow_what_was_said() {
    assert!(connect_hint("Connection refused (os error 111)").contains("Nothing listens"));
    assert!(connect_hint("failed to lookup address information").contains("resolved"));
    assert!(connect_hint("Security not supported").contains("without user"));
    assert!(connect_hint("Cluster name mismatch").contains("cluster_name"));
    assert!(connect_hint("deadline has elapsed").contains("in time"));
    assert!(connect_hint("garbage").contains("service port"));
}

#[test]
fn seed_reports_are_told_without_decoration() {
    let hosts = ["127.0.0.1:1".to_owned(), "db:3000".to_owned()];
    let report = "Failed to connect to [2] host(s):\n  127.0.0.1:1 Error -1: Error during an I/O operation: \
                  Connection refused (os error 111)\n  db:3000 Error -1: Failed to resolve host aliases\n\
                  caused by: Error -1: Error during an I/O operation: Name or service not known\n";
    let expected = [
        (
            "127.0.0.1:1",
            "Connection refused (os error 111)".to_owned(),
        ),
        (
            "db:3000",
            "Failed to resolve host aliases; Name or service not known".to_owned(),
        ),
    ];
    assert_eq!(seed_reasons(&hosts, report), expected);
    assert!(seed_reasons(&hosts, "TLS is required").is_empty());
}

#[test]
fn batch_rows_tell_connections_from_other_failures() {
    let io = std::io::Error::new(std::io::ErrorKind::ConnectionReset, "reset");
    assert_eq!(failure_code(&Error::from(io)), -10);
    assert_eq!(failure_code(&Error::client_error("?")), NO_SERVER_CODE);
    assert!(!is_retryable(NO_SERVER_CODE));
    assert!(is_retryable(9) && is_retryable(14) && is_retryable(18) && is_retryable(-10));
    assert!(!is_retryable(0) && !is_retryable(2) && !is_retryable(5) && !is_retryable(13));
}
