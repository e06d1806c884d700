//! What the driver's errors and the server's codes mean: which error of a chain decides, and which
//! class of failure it is.

use aerospike_core::{ErrorKind, ResultCode};

use super::{Kind, NO_SERVER_CODE, TIMEOUT_CODE};

/// The code of a batch row whose connection failed.
const CONNECTION_CODE: i32 = -10;
/// The code of a batch row for which no connection was free.
const NO_MORE_CONNECTIONS_CODE: i32 = -7;
/// What the driver reports when its attempts are used up; the reason is the cause.
const MAX_RETRIES_EXCEEDED: i32 = -11;

/// The code of a batch row that failed: the server's, or a negative one of the client's.
pub fn failure_code(error: &aerospike_core::Error) -> i32 {
    match decisive(error).kind() {
        ErrorKind::Timeout => TIMEOUT_CODE,
        ErrorKind::Connection | ErrorKind::Io(_) | ErrorKind::InvalidNode => CONNECTION_CODE,
        ErrorKind::NoMoreConnections | ErrorKind::ConnectionPoolEmpty => NO_MORE_CONNECTIONS_CODE,
        _ => classify(error).1,
    }
}

/// The name of the exception that a batch row's failure would be, and the server's code if it answered.
pub fn failure_class(error: &aerospike_core::Error) -> (&'static str, Option<i32>) {
    let (kind, code) = classify(error);
    (kind.exception(), (code != NO_SERVER_CODE).then_some(code))
}

/// Whether a batch row that failed may have been written all the same.
///
/// The driver calls every write in doubt whose attempts are used up; a server that refused the only
/// attempt has left no doubt.
pub fn failure_in_doubt(error: &aerospike_core::Error) -> bool {
    decisive(error).in_doubt()
}

/// Whether a row with this code is worth another attempt.
pub fn is_retryable(code: i32) -> bool {
    const KEY_BUSY: i32 = 14;
    const DEVICE_OVERLOAD: i32 = 18;
    matches!(
        code,
        TIMEOUT_CODE | KEY_BUSY | DEVICE_OVERLOAD | CONNECTION_CODE | NO_MORE_CONNECTIONS_CODE
    )
}

/// The error that decides: what used up the attempts rather than that they are used up.
pub(super) fn decisive(error: &aerospike_core::Error) -> &aerospike_core::Error {
    let wraps = error.result_code() == MAX_RETRIES_EXCEEDED
        || matches!(
            error.kind(),
            ErrorKind::Client | ErrorKind::StreamTerminated
        );
    match error.cause() {
        Some(cause) if wraps => decisive(cause),
        _ => error,
    }
}

/// Which exception an error becomes, and with which code.
pub(super) fn classify(error: &aerospike_core::Error) -> (Kind, i32) {
    let error = decisive(error);
    match error.kind() {
        ErrorKind::Server { rc, .. } => {
            let code = u8::from(*rc);
            (kind_of_code(code), i32::from(code))
        }
        ErrorKind::Timeout => (Kind::Timeout, NO_SERVER_CODE),
        ErrorKind::InvalidNamespace if error.base_message().contains("map empty") => {
            (Kind::Cluster, NO_SERVER_CODE)
        }
        ErrorKind::InvalidNamespace => (
            Kind::Server,
            i32::from(u8::from(ResultCode::InvalidNamespace)),
        ),
        ErrorKind::InvalidArgument => (Kind::InvalidArgument, NO_SERVER_CODE),
        ErrorKind::UdfBadResponse => (Kind::Udf, i32::from(u8::from(ResultCode::UdfBadResponse))),
        ErrorKind::Connection
        | ErrorKind::Io(_)
        | ErrorKind::InvalidNode
        | ErrorKind::MaxErrorRate
        | ErrorKind::ConnectionPoolEmpty
        | ErrorKind::NoMoreConnections
        | ErrorKind::ParsePeers
        | ErrorKind::ParseAddr(_) => (Kind::Cluster, NO_SERVER_CODE),
        _ => (Kind::Client, NO_SERVER_CODE),
    }
}

/// Which exception a server code becomes.
pub fn kind_of_code(code: u8) -> Kind {
    match code {
        2 => Kind::RecordNotFound,
        3 => Kind::RecordGeneration,
        5 => Kind::RecordExists,
        6 => Kind::BinExists,
        9 | 212 => Kind::Timeout,
        12 => Kind::BinType,
        13 => Kind::RecordTooBig,
        15 | 210 => Kind::QueryAborted,
        17 => Kind::BinNotFound,
        21 => Kind::BinName,
        23 | 24 => Kind::Record,
        27 => Kind::FilteredOut,
        51..=56 | 60..=66 | 70..=75 | 80..=83 => Kind::Admin,
        100 => Kind::Udf,
        200 => Kind::IndexFound,
        201 => Kind::IndexNotFound,
        202..=206 => Kind::Index,
        211 | 213..=215 => Kind::Query,
        _ => Kind::Server,
    }
}
