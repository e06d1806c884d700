//! Tests of the labels that operations get.

use aerospike_stages::collector::{record_duration, totals_with_series};
use aerospike_stages::{End, Lane, Operation};

use super::*;
use crate::export::text::{encode, Format};

fn text() -> String {
    encode(&families(&totals_with_series()), Format::Prometheus)
}

#[test]
fn a_duration_lands_in_its_bucket() {
    let target = Target::of("families", "one");
    record_duration(
        (Operation::Truncate, Lane::Sync),
        (target, NodeId::NONE),
        &End::OK,
        1_700_000,
    );
    let text = text();
    let series = "db_system_name=\"aerospike\",db_operation_name=\"truncate\",lane=\"sync\",\
                  db_namespace=\"families\",db_collection_name=\"one\"";
    let line = |le: &str| {
        let wanted =
            format!("db_client_operation_duration_seconds_bucket{{{series},le=\"{le}\"}} ");
        let line = text.lines().find_map(|line| line.strip_prefix(&wanted));
        line.unwrap().parse::<u64>().unwrap()
    };
    assert_eq!((line("0.0015"), line("0.0022"), line("+Inf")), (0, 1, 1));
    assert!(text.contains(&format!(
        "db_client_operation_duration_seconds_sum{{{series}}} 0.0017\n"
    )));
}

#[test]
fn errors_have_a_type_and_codes_of_the_server() {
    let node = NodeId::intern("[::1]:3000");
    let ends = [
        (Outcome::NotFound, Some("RecordNotFound"), Some(2)),
        (Outcome::ServerError, Some("ServerError"), Some(8)),
        (Outcome::Timeout, Some("AerospikeTimeoutError"), Some(-1)),
        (Outcome::Cancelled, None, None),
    ];
    for (outcome, error, code) in ends {
        let end = End {
            outcome,
            error,
            code,
        };
        let target = Target::of_several("families");
        record_duration(
            (Operation::InfoAll, Lane::Asyncio),
            (target, node),
            &end,
            1_000,
        );
    }
    let text = text();
    for labels in [
        "db_response_status_code=\"2\"",
        "error_type=\"ServerError\",db_response_status_code=\"8\"",
        "error_type=\"AerospikeTimeoutError\"",
        "error_type=\"cancelled\"",
    ] {
        let expected = format!(
            "db_client_operation_duration_seconds_count{{db_system_name=\"aerospike\",db_operation_name=\"info_all\",\
             lane=\"asyncio\",db_namespace=\"families\",db_collection_name=\"_several\",server_address=\"::1\",\
             server_port=\"3000\",{labels}}} 1\n"
        );
        assert!(text.contains(&expected), "{expected} is not in\n{text}");
    }
}
